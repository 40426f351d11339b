//! Figures of the whole engine, as a process, with their references in the same run; every feed is held against the model.
//! Nothing here fails by speed: a machine that others use has no time of its own.
//!
//! `cargo test --release --test measure -- --ignored --nocapture --test-threads 1`
//!
//! Host, engine and clients share the machine, so on two cores the host takes its part of the time.
#![allow(clippy::disallowed_methods, reason = "tests wait for other processes, by the real clock")]

#[path = "measure/bare.rs"]
mod bare;
#[path = "spine/compare.rs"]
mod compare;
#[path = "measure/machine.rs"]
mod machine;
#[path = "spine/network.rs"]
mod network;
#[path = "measure/pages.rs"]
mod pages;
#[path = "spine/process.rs"]
#[allow(dead_code, reason = "shared with tests that stop it")]
mod process;

use std::sync::Arc;
use std::time::{Duration, Instant};

use compare::assert_feeds;
use network::{Network, Way, serve};
use pages::{Histogram, feeds_of, print_times, skeletons};
use process::{Engine, get, pause, run};
use simnet::server::{Pace, ServerOptions};
use simnet::{Authority, Dictionary, Options};

const EVENTS: u64 = 1_000_000;

fn million() -> Network {
    Network::new(Options { events: EVENTS, communities: 1000, hit_rate: 0.005, ..Options::default() })
}

#[test]
#[ignore = "a measurement: a million events in each of eight ways, some minutes"]
fn a_million_events_at_full_speed_in_every_way() {
    let network = million();
    let reel = network.reel();
    let authority = Arc::new(Authority::new(["127.0.0.1"]).expect("a certificate"));
    let plain = serve(Arc::clone(&reel), ServerOptions::default());
    let sealed = serve(reel, ServerOptions { tls: Some(Arc::clone(&authority)), ..ServerOptions::default() });
    println!("| way | frames/s end to end | CPU ns a frame: all, reader | bare recv frames/s | resident MB, most |");
    for way in Way::ALL {
        let server = if way.tls { &sealed } else { &plain };
        server.prepare(way.dialect, way.zstd);
        plain.prepare(way.dialect, way.zstd);
        let id = Dictionary::of_simnet(way.dialect).id();
        let bare = bare::recv(plain.address(), way.dialect, way.zstd.then_some(id));
        let home = tempfile::tempdir().expect("a directory");
        let flags = way.flags(home.path(), Some(&authority));
        let flags: Vec<&str> = flags.iter().map(String::as_str).collect();
        let started = Instant::now();
        let engine = Engine::start(&home.path().join("data"), &[way.url(server)], &flags);
        let progress = watch(&engine, started);
        engine.wait_for(&network.last);
        // A position alone may be a second late. What counts is when the last record was durable and could be read.
        let told = records(&engine);
        let took = progress.iter().find(|at| at.frames == EVENTS && at.records == told).expect("all of it").at;
        let nanos = |thread: &str| machine::cpu_seconds(engine.pid(), thread) * 1e9 / EVENTS as f64;
        let a_second = |time: Duration| EVENTS as f64 / time.as_secs_f64();
        println!(
            "| {way} | {:.0} | {:.0}, {:.0} | {:.0} | {:.0} |",
            a_second(took),
            nanos(""),
            nanos("reader"),
            a_second(bare),
            machine::megabytes(engine.pid(), "VmHWM"),
        );
        assert_eq!(engine.status()["frames"], EVENTS, "{way}: each frame once");
        assert_feeds(&engine, &network.feeds, &way.to_string());
    }
    println!("{} feeds equal the model's in each", network.feeds.len());
}

/// How far the engine was at a moment.
struct Progress {
    at: Duration,
    frames: u64,
    records: f64,
}

/// Facts of records and accounts so far: durable, and seen by readers.
fn records(engine: &Engine) -> f64 {
    let metrics = get(engine.admin, "/metrics").1;
    let count = |line: &str| {
        let (kind, count) = line.strip_prefix("atrarium_facts_total{kind=\"")?.split_once("\"} ")?;
        (!matches!(kind, "cursor" | "clock" | "orphans")).then(|| count.parse::<f64>().expect("a number"))
    };
    metrics.lines().filter_map(count).sum()
}

/// Watches it until it has read everything and nothing more became a fact for half a second.
fn watch(engine: &Engine, started: Instant) -> Vec<Progress> {
    let mut progress: Vec<Progress> = Vec::new();
    loop {
        let frames = engine.status()["frames"].as_u64().expect("a number");
        let records = if frames < EVENTS { 0.0 } else { records(engine) };
        progress.push(Progress { at: started.elapsed(), frames, records });
        let still = progress.iter().rev().take_while(|at| at.frames == EVENTS && at.records == records);
        if still.last().is_some_and(|first| started.elapsed() - first.at > Duration::from_millis(500)) {
            return progress;
        }
        assert!(started.elapsed() < Duration::from_secs(120), "{frames} frames after two minutes");
        pause(10);
    }
}

#[test]
#[ignore = "a measurement: ten kills while a million events are read"]
fn ten_kills_while_catching_up_lose_nothing() {
    let network = million();
    let reel = network.reel();
    for way in Way::PLAIN {
        let server = serve(Arc::clone(&reel), ServerOptions::default());
        server.prepare(way.dialect, way.zstd);
        let home = tempfile::tempdir().expect("a directory");
        let flags = way.flags(home.path(), None);
        let flags: Vec<&str> = flags.iter().map(String::as_str).collect();
        let data = home.path().join("data");
        let mut rng = fastrand::Rng::with_seed(17);
        let mut reached = Vec::new();
        for _ in 0..10 {
            let engine = Engine::start(&data, &[way.url(&server)], &flags);
            // Some 60,000 to 90,000 frames: after ten of them it is still catching up.
            let frames = loop {
                let frames = engine.status()["frames"].as_u64().expect("a number");
                if frames > rng.u64(30_000..60_000) {
                    break frames;
                }
                pause(1);
            };
            engine.kill();
            reached.push(frames);
            let (code, out, _) = run(&["log", "check", data.to_str().expect("UTF-8"), "--json"]);
            assert!(code == 0 || code == 3, "clean, or a torn tail only: {out}");
        }
        let engine = Engine::start(&data, &[way.url(&server)], &flags);
        engine.wait_for(&network.last);
        let posts = assert_feeds(&engine, &network.feeds, &format!("{way}, after ten kills"));
        assert!(reached.iter().sum::<u64>() < EVENTS, "{reached:?}: the last kill came after the end");
        println!("{way}: ten kills, each after so many frames more: {reached:?}; {posts} posts, every feed equal");
    }
}

#[test]
#[ignore = "a measurement: half a minute of a live network"]
fn a_live_network_of_five_thousand_events_a_second() {
    const PER_SECOND: u32 = 5_000;
    const SECONDS: u64 = 30;
    for way in Way::PLAIN {
        // Begins when the engine is surely connected, which takes a second; making the network takes longer.
        let epoch = simnet::parse_time("now").expect("now").plus_micros(8_000_000);
        let events = u64::from(PER_SECOND) * SECONDS;
        let options =
            Options { events, communities: 200, hit_rate: 0.1, density: PER_SECOND, epoch, ..Options::default() };
        let network = Network::new(options);
        let server = network.serve(ServerOptions { pace: Pace::Live, ..ServerOptions::default() });
        server.prepare(way.dialect, false);
        let home = tempfile::tempdir().expect("a directory");
        let engine = Engine::start(home.path(), &[way.url(&server)], &["--zstd", "off"]);
        let last = simnet::parse_time(&network.last).expect("a time");
        let now = || simnet::parse_time("now").expect("now");
        assert!(now() < epoch, "the network took too long to make");
        while now().micros_since(epoch) < 5_000_000 {
            pause(100);
        }
        let feeds = feeds_of(&engine);
        let reader = skeletons(&engine, &feeds, Duration::from_secs(10));
        print_times(&format!("{way}, while {PER_SECOND} events/s come, one reader after the other"), &reader);
        while now() < last {
            pause(100);
        }
        engine.wait_for(&network.last);
        let visible = Histogram::read(&engine, "atrarium_visible_latency_seconds");
        let (sync, skeleton) = (
            Histogram::read(&engine, "atrarium_log_sync_seconds"),
            Histogram::read(&engine, "atrarium_skeleton_seconds"),
        );
        println!(
            "  witnessed to visible, {} records: p50 at most {} ms, p99 at most {} ms, mean {:.1} ms",
            visible.count(),
            visible.bound_millis(0.5),
            visible.bound_millis(0.99),
            visible.mean_micros() / 1e3,
        );
        println!(
            "  in the server a page takes {:.1} µs (mean), p99 at most {} ms; a sync {:.0} µs (mean); resident {:.0} MB at most",
            skeleton.mean_micros(),
            skeleton.bound_millis(0.99),
            sync.mean_micros(),
            machine::megabytes(engine.pid(), "VmHWM"),
        );
        println!("  ready: {:?}", get(engine.admin, "/health/ready"));
        assert_feeds(&engine, &network.feeds, &way.to_string());
    }
}
