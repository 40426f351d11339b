//! Memory and starting: an engine that has read a week of posts, and what it takes to be there again.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use simnet::server::{Server, ServerOptions};
use simnet::{Options, Reel};

use crate::engine::{Engine, get};
use crate::machine;

/// What is to be held.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Communities, and events of the network, nearly all of which concern Atrarium.
    pub shapes: Vec<(usize, u64)>,
    /// The binary of the engine.
    pub binary: PathBuf,
}

/// One shape.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Row {
    /// Communities that are served.
    pub communities: u64,
    /// Posts in all feeds.
    pub posts: u64,
    /// Facts of the log.
    pub facts: u64,
    /// Bytes that are resident, of the whole process.
    pub resident: u64,
    /// The same of an engine that holds nothing.
    pub empty: u64,
    /// Bytes on the disk.
    pub disk: u64,
    /// Seconds until all was read, durable and shown.
    pub ingest: f64,
    /// Seconds from the start of the process until it listens, from the log alone or with a snapshot, as it happened to be.
    pub start: f64,
    /// Bytes that are resident after that.
    pub resident_again: u64,
}

/// Holds every shape.
pub fn run(plan: &Plan) -> Vec<Row> {
    let empty = {
        let home = tempfile::tempdir().expect("a directory");
        let engine = Engine::start(&plan.binary, home.path(), &["--upstream", "ws://127.0.0.1:9/subscribe"]);
        machine::resident_of(engine.pid())
    };
    plan.shapes.iter().map(|&(communities, events)| measure(plan, communities, events, empty)).collect()
}

fn measure(plan: &Plan, communities: usize, events: u64, empty: u64) -> Row {
    eprintln!("{communities} communities, {events} events");
    let options = Options { events, communities, hit_rate: 1.0, clean: true, ..Options::default() };
    let host = Server::start("127.0.0.1:0", Reel::of_network(&options, false, true), ServerOptions::default());
    let host = host.expect("a free port");
    host.prepare(simnet::Dialect::V1, false);
    let home = tempfile::tempdir().expect("a directory");
    let upstream = format!("ws://{}/subscribe", host.address());
    let more = ["--upstream", &upstream, "--rate-limit", "off"];
    let began = Instant::now();
    let engine = Engine::start(&plan.binary, home.path(), &more);
    let ingest = engine.wait_for(events, began).as_secs_f64();
    let resident = machine::resident_of(engine.pid());
    let status = engine.status();
    let number = |name: &str| status[name].as_u64().unwrap_or(0);
    let facts = get(engine.admin, "/metrics")
        .lines()
        .filter(|line| line.starts_with("atrarium_facts_total{"))
        .filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok())
        .sum::<f64>();
    drop(engine);
    drop(host);
    let again = Engine::start(&plan.binary, home.path(), &more);
    assert_eq!(again.status()["posts"].as_u64(), status["posts"].as_u64(), "as many as before");
    // What was freed while it was read is given back in time.
    machine::pause(Duration::from_secs(2));
    Row {
        communities: number("communities"),
        posts: number("posts"),
        facts: facts as u64,
        resident,
        empty,
        disk: bytes_in(&home.path().join("log")),
        ingest,
        start: again.start.as_secs_f64(),
        resident_again: machine::resident_of(again.pid()),
    }
}

fn bytes_in(dir: &std::path::Path) -> u64 {
    let files = std::fs::read_dir(dir).into_iter().flatten().flatten();
    files.filter_map(|file| Some(file.metadata().ok()?.len())).sum()
}
