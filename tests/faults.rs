//! Every fault of `simnet` by its name, against `atrarium serve`: each must have happened, and afterwards every feed is the
//! model's; where something is lost for good, the gap is told.
//!
//! Here each fault meets one way of reading in each dialect. The eight ways in full, and the hosts that are silent for half
//! a minute, are `#[ignore]`d: `cargo test --test faults -- --ignored`.
#![allow(clippy::disallowed_methods, reason = "tests wait for other processes, by the real clock")]

#[path = "spine/compare.rs"]
mod compare;
#[path = "spine/network.rs"]
mod network;
#[path = "spine/process.rs"]
#[allow(dead_code, reason = "shared with tests that measure")]
mod process;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock};
use std::time::{Duration, Instant};

use compare::assert_feeds;
use network::{Network, Way, serve};
use process::{Engine, get, pause};
use simnet::server::{Fault, Pace, ServerOptions, Timeline};
use simnet::{Authority, Dialect, Options, Reel};

/// A network and its reel, which all hosts share.
struct World {
    network: Network,
    reel: Arc<Reel>,
    authority: Arc<Authority>,
}

impl World {
    fn new(seed: u64) -> Self {
        // Around now: a time ten years ahead is only a fault beside a wall clock. So sparse that 500 events, which
        // `v1-clamp` leaves out, are more than what a v1 host is asked for once more.
        let epoch = simnet::parse_time("now").expect("now").plus_micros(-200_000_000);
        let options =
            Options { events: 8_000, communities: 25, seed, hit_rate: 0.2, epoch, density: 50, ..Options::default() };
        let network = Network::new(options);
        let reel = network.reel();
        Self { network, reel, authority: Arc::new(Authority::new(["127.0.0.1"]).expect("a certificate")) }
    }

    fn options(&self, way: Way, faults: &[Fault]) -> ServerOptions {
        let tls = way.tls.then(|| Arc::clone(&self.authority));
        ServerOptions { faults: faults.to_vec(), tls, ..ServerOptions::default() }
    }

    fn engine(&self, home: &tempfile::TempDir, way: Way, urls: &[String]) -> Engine {
        let flags = way.flags(home.path(), Some(&self.authority));
        let flags: Vec<&str> = flags.iter().map(String::as_str).collect();
        Engine::start(&home.path().join("data"), urls, &flags)
    }
}

static WORLD: LazyLock<World> = LazyLock::new(|| World::new(31));

/// Whether a fault can meet a client that reads this way.
fn applies(fault: Fault, way: Way) -> bool {
    match fault {
        Fault::CursorTooOld | Fault::Info => way.dialect == Dialect::V2,
        Fault::V1Clamp => way.dialect == Dialect::V1,
        Fault::TruncatedZstd | Fault::ZstdBomb | Fault::ZstdLength1Gib | Fault::WrongDictionary => way.zstd,
        Fault::RetiredDictionary => way.zstd && way.dialect == Dialect::V2,
        _ => true,
    }
}

/// Silent hosts are left after half a minute each time, and have tests of their own here and in `reader_socket`.
fn is_silent(fault: Fault) -> bool {
    matches!(fault, Fault::Silence)
}

/// Whether something is lost, or may be, so that a gap must be told.
fn gap_of(fault: Fault) -> Option<&'static str> {
    match fault {
        Fault::CursorTooOld => Some("cursor_too_old"),
        Fault::V1Clamp => Some("cursor_clamped"),
        _ => None,
    }
}

/// One engine, one host, one fault.
fn meets(fault: Fault, way: Way) {
    let story = format!("{} on {way}", fault.name());
    // Two of them need a client that comes back with a position.
    let faults = if gap_of(fault).is_some() { vec![Fault::Disconnect, fault] } else { vec![fault] };
    let server = serve(Arc::clone(&WORLD.reel), WORLD.options(way, &faults));
    let home = tempfile::tempdir().expect("a directory");
    let engine = WORLD.engine(&home, way, &[way.url(&server)]);
    engine.wait_for(&WORLD.network.last);
    assert!(server.fired(fault) > 0, "{story}: it never happened");
    let status = engine.status();
    let told: Vec<&str> =
        status["gaps"].as_array().expect("gaps").iter().filter_map(|gap| gap["reason"].as_str()).collect();
    let Some(gap) = gap_of(fault) else {
        // Of the network's own `#sync` events alone.
        assert!(told.iter().all(|reason| *reason == "sync"), "{story}: {told:?}");
        assert_feeds(&engine, &WORLD.network.feeds, &story);
        return;
    };
    assert!(told.contains(&gap), "{story}: {told:?}");
    let metrics = get(engine.admin, "/metrics").1;
    let counted = metrics.lines().find_map(|line| line.strip_prefix("atrarium_gap_total ")).expect("a count");
    assert!(counted.trim().parse::<f64>().expect("a number") >= 1.0, "{story}: {counted}");
    if fault != Fault::V1Clamp {
        assert_feeds(&engine, &WORLD.network.feeds, &story);
    }
}

/// All of them, some at a time: most of their time is waiting.
fn all_meet(pairs: &[(Fault, Way)]) {
    let next = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                while let Some(&(fault, way)) = pairs.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let started = Instant::now();
                    meets(fault, way);
                    println!("{:<24}{way}: {:.1} s", fault.name(), started.elapsed().as_secs_f64());
                }
            });
        }
    });
}

fn pairs(ways: &[Way], wanted: impl Fn(Fault) -> bool) -> Vec<(Fault, Way)> {
    let faults = Fault::ALL.iter().copied().filter(|fault| wanted(*fault));
    faults.flat_map(|fault| ways.iter().map(move |way| (fault, *way))).filter(|(f, w)| applies(*f, *w)).collect()
}

#[test]
fn every_fault_in_each_dialect() {
    let ways = [Way::new(Dialect::V1, false, false), Way::new(Dialect::V2, true, true)];
    let pairs = pairs(&ways, |fault| !is_silent(fault));
    let met: Vec<Fault> = pairs.iter().map(|pair| pair.0).collect();
    assert!(Fault::ALL.iter().all(|fault| is_silent(*fault) || met.contains(fault)), "{met:?}");
    all_meet(&pairs);
}

#[test]
#[ignore = "every fault in every way, some minutes"]
fn every_fault_in_every_way() {
    all_meet(&pairs(&Way::ALL, |fault| !is_silent(fault)));
}

#[test]
#[ignore = "hosts that are silent for half a minute, three times"]
fn silent_hosts_are_left() {
    all_meet(&pairs(&Way::PLAIN, is_silent));
}

#[test]
fn all_faults_at_once() {
    let faults: Vec<Fault> =
        Fault::ALL.iter().copied().filter(|fault| !is_silent(*fault) && gap_of(*fault).is_none()).collect();
    for way in [Way::new(Dialect::V1, true, true), Way::new(Dialect::V2, true, true)] {
        let faults: Vec<Fault> = faults.iter().copied().filter(|fault| applies(*fault, way)).collect();
        let server = serve(Arc::clone(&WORLD.reel), WORLD.options(way, &faults));
        let home = tempfile::tempdir().expect("a directory");
        let engine = WORLD.engine(&home, way, &[way.url(&server)]);
        engine.wait_for(&WORLD.network.last);
        assert_feeds(&engine, &WORLD.network.feeds, &format!("all faults on {way}"));
        for fault in faults {
            assert!(server.fired(fault) > 0, "{} on {way} never happened", fault.name());
        }
    }
}

#[test]
fn hosts_that_take_turns_lose_nothing() {
    // Each breaks off and refuses again and again, and they number their events differently; the stream goes on meanwhile.
    let faults = [Fault::Disconnect, Fault::Http503];
    for (first, second) in
        [(Dialect::V2, Dialect::V2), (Dialect::V1, Dialect::V2), (Dialect::V2, Dialect::V1), (Dialect::V1, Dialect::V1)]
    {
        let (first, second) = (Way::new(first, false, false), Way::new(second, false, false));
        let options = |way| ServerOptions {
            pace: Pace::PerSecond(4_000.0),
            timeline: Timeline::default(),
            ..WORLD.options(way, &faults)
        };
        let shared = options(first);
        let other = Reel::of_network(&WORLD.network.options, false, true).of_another_host();
        let hosts = [serve(Arc::clone(&WORLD.reel), shared.clone()), serve(other, shared)];
        let home = tempfile::tempdir().expect("a directory");
        let engine = WORLD.engine(&home, first, &[first.url(&hosts[0]), second.url(&hosts[1])]);
        engine.wait_for(&WORLD.network.last);
        let story = format!("{first} and {second} in turn");
        assert_feeds(&engine, &WORLD.network.feeds, &story);
        assert!(hosts.iter().all(|host| host.connections() > 1), "{story}: both are read");
    }
}

#[test]
fn readiness_says_how_far_behind_it_is() {
    // A day behind, at a pace that leaves time to look.
    let epoch = simnet::parse_time("now").expect("now").plus_micros(-86_400_000_000);
    let options = Options { events: 20_000, communities: 10, epoch, density: 1, ..Options::default() };
    let network = Network::new(options);
    let way = Way::new(Dialect::V2, false, false);
    let paced = ServerOptions { pace: Pace::PerSecond(10_000.0), ..ServerOptions::default() };
    let server = network.serve(paced);
    let home = tempfile::tempdir().expect("a directory");
    let engine = Engine::start(home.path(), &[way.url(&server)], &["--zstd", "off"]);
    let deadline = Instant::now() + Duration::from_secs(20);
    let (code, body) = loop {
        let (code, body) = get(engine.admin, "/health/ready");
        if body.contains("behind") {
            break (code, body);
        }
        assert!(Instant::now() < deadline, "{code} {body}");
        pause(10);
    };
    assert_eq!(code, 503);
    let answer: serde_json::Value = serde_json::from_str(&body).expect("JSON");
    println!("{answer}");
    assert_eq!(answer["ready"], false);
    let status = engine.status();
    let lag = status["upstream"]["lag_seconds"].as_f64().expect("a number");
    assert!((60_000.0..90_000.0).contains(&lag), "{lag} s of a day");
}
