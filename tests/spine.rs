//! The whole spine, as its operators run it: a network of `simnet` into `atrarium serve`, every feed over HTTP against the
//! model, with kills in between.
//!
//! The campaign (ten seeds of 200,000 events, both dialects, a kill in each) is `#[ignore]`d:
//! `cargo test --release --test spine -- --ignored --nocapture`. `ATRARIUM_SEEDS=3..5` picks other seeds.
#![allow(clippy::disallowed_methods, reason = "tests wait for other processes, by the real clock")]

#[path = "spine/compare.rs"]
mod compare;
#[path = "spine/network.rs"]
#[allow(dead_code, reason = "shared with tests that use TLS")]
mod network;
#[path = "spine/process.rs"]
#[allow(dead_code, reason = "shared with tests that measure")]
mod process;

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use compare::assert_feeds;
use network::{Network, Way, serve};
use process::{Engine, pause, run};
use simnet::server::{Fault, Pace, Server, ServerOptions};
use simnet::{Dialect, Options, Reel};

const DIALECTS: [Dialect; 2] = [Dialect::V1, Dialect::V2];

/// Over `ws://`, as an engine reads it that was told nothing else: v2 is asked for compressed.
fn url(server: &Server, dialect: Dialect) -> String {
    Way::new(dialect, false, false).url(server)
}

fn small(seed: u64) -> Network {
    Network::new(Options { events: 20_000, communities: 40, seed, hit_rate: 0.2, ..Options::default() })
}

#[test]
fn every_feed_is_the_models_in_both_dialects() {
    for (seed, dialect) in [(11, Dialect::V1), (12, Dialect::V2)] {
        let network = small(seed);
        let server = network.serve(ServerOptions::default());
        let home = tempfile::tempdir().expect("a directory");
        let engine = Engine::start(home.path(), &[url(&server, dialect)], &["--workers", "3"]);
        engine.wait_for(&network.last);
        let posts = assert_feeds(&engine, &network.feeds, &format!("seed {seed}, {dialect:?}"));
        assert!(posts > 300, "{posts} posts prove little");
        let status = engine.status();
        assert_eq!(status["frames"], network.options.events);
        assert_eq!(status["communities"], network.feeds.len());
        let (code, took) = engine.terminate();
        assert_eq!(code, 0);
        assert!(took < Duration::from_secs(5), "{took:?}");

        let (code, out, _) = run(&["log", "check", path(home.path()), "--json"]);
        assert_eq!(code, 0, "{out}");
        offline_feeds_are_the_models(home.path(), &network);
    }
}

fn path(path: &Path) -> &str {
    path.to_str().expect("UTF-8")
}

/// `atrarium feed` and `atrarium communities` of a few communities.
fn offline_feeds_are_the_models(data_dir: &Path, network: &Network) {
    let (code, out, error) = run(&["communities", "--data-dir", path(data_dir), "--json"]);
    assert_eq!(code, 0, "{error}");
    let listed: serde_json::Value = serde_json::from_str(&out).expect("JSON");
    let communities = listed["communities"].as_array().expect("a list");
    assert_eq!(communities.len(), network.feeds.len());
    for community in communities.iter().step_by(9) {
        let id = community["id"].as_str().expect("an id");
        assert_eq!(community["posts"], network.feeds[id].len(), "{community}");
        let (code, out, error) = run(&["feed", id, "--data-dir", path(data_dir), "--limit", "100"]);
        assert_eq!(code, 0, "{error}");
        let page: serde_json::Value = serde_json::from_str(&out).expect("JSON");
        let read: Vec<&str> =
            page["feed"].as_array().expect("feed").iter().filter_map(|i| i["post"].as_str()).collect();
        assert_eq!(read, network.feeds[id].iter().take(100).map(String::as_str).collect::<Vec<_>>());
        if let Some(post) = read.first() {
            let (code, out, error) = run(&["explain", post, "--community", id, "--data-dir", path(data_dir), "--json"]);
            assert_eq!(code, 0, "{error}");
            let explained: serde_json::Value = serde_json::from_str(&out).expect("JSON");
            assert_eq!(explained["communities"][0]["visible"], true, "{explained}");
        }
    }
}

#[test]
fn nothing_is_lost_by_kills_in_the_middle() {
    let network = small(13);
    for dialect in DIALECTS {
        // Slow enough that every kill meets a stream that is under way.
        let server = network.serve(ServerOptions { pace: Pace::PerSecond(15_000.0), ..ServerOptions::default() });
        let home = tempfile::tempdir().expect("a directory");
        let mut rng = fastrand::Rng::with_seed(99);
        for _ in 0..4 {
            let engine = Engine::start(home.path(), &[url(&server, dialect)], &[]);
            pause(rng.u64(150..400));
            engine.kill();
            let (code, out, _) = run(&["log", "check", path(home.path()), "--json"]);
            assert!(code == 0 || code == 3, "clean, or a torn tail only: {out}");
        }
        let engine = Engine::start(home.path(), &[url(&server, dialect)], &[]);
        engine.wait_for(&network.last);
        assert_feeds(&engine, &network.feeds, &format!("after kills, {dialect:?}"));
        // And once more from the log alone: the stream has nothing new to tell.
        engine.kill();
        let engine = Engine::start(home.path(), &[url(&server, dialect)], &[]);
        engine.wait_for(&network.last);
        assert_feeds(&engine, &network.feeds, &format!("from the log, {dialect:?}"));
    }
}

#[test]
fn hosts_that_misbehave_change_no_feed() {
    // Those that a client rides out at once; silence and 503 take their timeouts, which `reader_socket` tries.
    let faults = [
        Fault::Disconnect,
        Fault::Garbage,
        Fault::Truncated,
        Fault::Oversized,
        Fault::ErrorFrame,
        Fault::Duplicate,
        Fault::Reorder,
        Fault::UnknownKind,
        Fault::Info,
        Fault::Binary,
        Fault::Fragmented,
        Fault::PingFlood,
        Fault::ClockAhead,
        Fault::ClockBack,
        Fault::ClockCut,
    ];
    let network = small(14);
    for dialect in DIALECTS {
        let server = network.serve(ServerOptions { faults: faults.to_vec(), ..ServerOptions::default() });
        let home = tempfile::tempdir().expect("a directory");
        let engine = Engine::start(home.path(), &[url(&server, dialect)], &[]);
        engine.wait_for(&network.last);
        assert_feeds(&engine, &network.feeds, &format!("faults, {dialect:?}"));
        let refused = engine.status()["refused"].clone();
        // v2 is read compressed, so a binary message that is none of ours fails to decode.
        let binary = if dialect == Dialect::V1 { "binary" } else { "zstd" };
        for reason in ["garbage", "too_large", "unknown_kind", binary] {
            assert!(refused[reason].as_u64().is_some_and(|count| count > 0), "{reason} in {refused}");
        }
        assert!(server.connections() > 3, "the faults ended {} connections", server.connections());
    }
}

#[test]
fn connections_that_are_dropped_again_and_again_lose_nothing() {
    let network = small(15);
    let server = network.serve(ServerOptions { drop_after: Some(6_000), ..ServerOptions::default() });
    let home = tempfile::tempdir().expect("a directory");
    let engine = Engine::start(home.path(), &[url(&server, Dialect::V2)], &[]);
    engine.wait_for(&network.last);
    assert_feeds(&engine, &network.feeds, "dropped after 6,000 frames");
    assert!(server.connections() >= 4);
}

/// The recorded frames of production, where they lie.
fn recorded() -> Option<PathBuf> {
    let root = std::env::var_os("ATRARIUM_FIXTURES")
        .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../shared/fixtures"), PathBuf::from);
    let file = root.join("jetstream/real_v1_20260704.jsonl");
    if !file.exists() {
        println!("skipped: {} is not there", file.display());
        return None;
    }
    Some(file)
}

#[test]
fn recorded_frames_are_replayed_and_served_without_a_refusal() {
    let Some(file) = recorded() else { return };
    let home = tempfile::tempdir().expect("a directory");
    let replay = || {
        let (code, out, error) = run(&["replay", path(&file), "--data-dir", path(home.path()), "--json"]);
        assert_eq!(code, 0, "{error}");
        serde_json::from_str::<serde_json::Value>(&out).expect("JSON")
    };
    let first = replay();
    assert_eq!((&first["read"], &first["refused"]), (&152.into(), &0.into()));
    assert_eq!(first["by_kind"], serde_json::json!({"commit": 150, "identity": 1, "account": 1}));
    assert_eq!(replay()["facts"], 0, "replaying twice changes nothing");

    let events = simnet::read_files(std::slice::from_ref(&file)).expect("frames");
    for dialect in DIALECTS {
        let reel = Reel::of_events(events.clone(), false, true);
        let server = serve(reel, ServerOptions::default());
        let home = tempfile::tempdir().expect("a directory");
        let engine = Engine::start(home.path(), &[url(&server, dialect)], &[]);
        engine.wait_for(&events.last().expect("152").time.to_string());
        let status = engine.status();
        assert_eq!((&status["frames"], &status["refused"]), (&152.into(), &serde_json::json!({})), "{dialect:?}");
    }
}

/// The seeds of the campaign.
fn seeds() -> std::ops::Range<u64> {
    let text = std::env::var("ATRARIUM_SEEDS").unwrap_or_else(|_| "1..11".to_owned());
    let bounds = text.split_once("..").map(|(from, to)| (from.parse(), to.parse()));
    let Some((Ok(from), Ok(to))) = bounds else { panic!("ATRARIUM_SEEDS={text}: give FROM..TO") };
    from..to
}

#[test]
#[ignore = "the campaign: ten seeds of 200,000 events, some minutes"]
fn ten_seeds_of_two_hundred_thousand_events_with_kills() {
    let (mut feeds, mut posts, mut kills) = (0, 0, 0);
    for seed in seeds() {
        let network = Network::new(Options { events: 200_000, communities: 200, seed, ..Options::default() });
        let dialect = DIALECTS[usize::from(seed % 2 == 0)];
        let started = Instant::now();
        let server = network.serve(ServerOptions { pace: Pace::PerSecond(100_000.0), ..ServerOptions::default() });
        let home = tempfile::tempdir().expect("a directory");
        let engine = Engine::start(home.path(), &[url(&server, dialect)], &[]);
        pause(700 + seed * 50);
        engine.kill();
        kills += 1;
        let engine = Engine::start(home.path(), &[url(&server, dialect)], &[]);
        engine.wait_for(&network.last);
        posts += assert_feeds(&engine, &network.feeds, &format!("seed {seed}, {dialect:?}"));
        feeds += network.feeds.len();
        println!(
            "seed {seed} {dialect:?}: {} feeds equal, {:.1} s",
            network.feeds.len(),
            started.elapsed().as_secs_f64()
        );
    }
    println!("{feeds} feeds of {posts} posts equal the model's, {kills} kills");
}
