//! Skeletons: what one costs, and how long it is waited for.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use simnet::server::{Pace as Send, Server, ServerOptions};
use simnet::{Options, Reel};

use crate::engine::{Engine, get};
use crate::feeds::Feeds;
use crate::load::{self, Pace};
use crate::machine::{self, median};

/// What is to be measured.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Events of the network whose feeds are served; nearly all concern Atrarium.
    pub events: u64,
    /// Communities of it.
    pub communities: usize,
    /// How often each server is measured; they take turns.
    pub rounds: usize,
    /// How long, each time.
    pub time: Duration,
    /// The binary of the engine.
    pub binary: PathBuf,
}

/// Medians of one server under a closed load.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Cost {
    /// Which server.
    pub who: String,
    /// Microseconds on a processor for a skeleton, of the whole process.
    pub cpu_micros: f64,
    /// Skeletons in a second, as fast as one loading thread asks.
    pub per_second: f64,
    /// Bytes of an answer, head included.
    pub bytes: f64,
}

/// One server under an open load.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Waiting {
    /// Which server.
    pub who: String,
    /// Requests in a second.
    pub per_second: u32,
    /// Events in a second that the engine reads meanwhile.
    pub ingest: u32,
    /// Microseconds.
    pub p50: f64,
    /// Microseconds.
    pub p99: f64,
    /// Microseconds.
    pub p999: f64,
}

/// All of it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Results {
    /// Posts in all feeds.
    pub posts: usize,
    /// Feeds.
    pub feeds: usize,
    /// As fast as they are answered.
    pub costs: Vec<Cost>,
    /// At a rate.
    pub waits: Vec<Waiting>,
}

const ENGINE: &str = "atrarium";
const OTHERS: &[&str] =
    if cfg!(feature = "others") { &["raw", "axum-json", "axum-sqlite", "starter-kit"] } else { &["raw", "axum-json"] };
const CONNECTIONS: usize = 32;
const RATES: [u32; 3] = [1_000, 5_000, 20_000];
/// Events in a second while reading goes on.
const INGEST: u32 = 50_000;

/// A server under load.
struct Served {
    who: &'static str,
    address: SocketAddr,
    pid: u32,
}

/// Measures every server.
pub fn run(plan: &Plan) -> Results {
    let home = tempfile::tempdir().expect("a directory");
    let options = Options { events: plan.events, communities: plan.communities, hit_rate: 0.9, ..Options::default() };
    let host = Server::start("127.0.0.1:0", Reel::of_network(&options, false, true), ServerOptions::default());
    let host = host.expect("a free port");
    let upstream = format!("ws://{}/subscribe", host.address());
    let engine = Engine::start(
        &plan.binary,
        &home.path().join("data"),
        &["--upstream", &upstream, "--http-threads", "1", "--workers", "1", "--rate-limit", "off"],
    );
    engine.wait_for(plan.events, machine::now());
    let all = feeds_of(&engine);
    let file = home.path().join("feeds.json");
    std::fs::write(&file, serde_json::to_vec(&all).expect("text")).expect("written");
    let feeds: Vec<String> = engine.feeds().into_iter().filter(|uri| is_full(uri, &all)).collect();
    assert!(feeds.len() > plan.communities / 10, "too few feeds have a page: {}", feeds.len());

    let others: Vec<Process> = OTHERS.iter().map(|who| Process::start(who, &file)).collect();
    let mut servers = vec![Served { who: ENGINE, address: engine.http, pid: engine.pid() }];
    servers.extend(others.iter().zip(OTHERS).map(|(it, &who)| Served { who, address: it.address, pid: it.child.id() }));
    let costs = costs(&servers, &feeds, plan);
    let mut waits: Vec<Waiting> = Vec::new();
    for rate in RATES {
        waits.extend(servers.iter().filter_map(|server| wait(server, &feeds, rate, 0, &costs, plan)));
    }
    drop(others);
    drop(engine);
    drop(host);
    waits.extend(while_ingesting(plan));
    Results { posts: all.values().map(Vec::len).sum(), feeds: feeds.len(), costs, waits }
}

fn is_full(uri: &str, all: &Feeds) -> bool {
    uri.rsplit('/').next().and_then(|id| all.get(id)).is_some_and(|posts| posts.len() >= 50)
}

fn costs(servers: &[Served], feeds: &[String], plan: &Plan) -> Vec<Cost> {
    let mut figures: Vec<Vec<(f64, f64, f64)>> = vec![Vec::new(); servers.len()];
    for round in 0..plan.rounds {
        for (server, figures) in servers.iter().zip(&mut figures) {
            eprintln!("skeletons as fast as they come, round {}: {}", round + 1, server.who);
            let before = machine::cpu_of(server.pid);
            let outcome = load::run(server.address, feeds, Pace::Closed { connections: CONNECTIONS }, plan.time);
            let cpu = machine::cpu_of(server.pid) - before;
            let count = outcome.times.len() as f64;
            let each = cpu.as_secs_f64() * 1e6 / count;
            figures.push((each, count / outcome.wall.as_secs_f64(), outcome.bytes as f64 / count));
        }
    }
    let cost = |(server, figures): (&Served, &Vec<(f64, f64, f64)>)| Cost {
        who: server.who.to_owned(),
        cpu_micros: median(figures.iter().map(|it| it.0).collect()),
        per_second: median(figures.iter().map(|it| it.1).collect()),
        bytes: median(figures.iter().map(|it| it.2).collect()),
    };
    servers.iter().zip(&figures).map(cost).collect()
}

/// An open load. Nobody is asked for more than nine tenths of what they can: the queue would only grow.
fn wait(server: &Served, feeds: &[String], rate: u32, ingest: u32, costs: &[Cost], plan: &Plan) -> Option<Waiting> {
    let most = costs.iter().find(|cost| cost.who == server.who).map_or(f64::MAX, |cost| cost.per_second);
    if f64::from(rate) > most * 0.9 {
        eprintln!("{} is not asked for {rate} skeletons a second: it has {most:.0}", server.who);
        return None;
    }
    eprintln!("{rate} skeletons a second, {ingest} events a second: {}", server.who);
    let outcome = load::run(server.address, feeds, Pace::Open { per_second: rate }, plan.time);
    let micros = |share| outcome.quantile(share).as_secs_f64() * 1e6;
    Some(Waiting {
        who: server.who.to_owned(),
        per_second: rate,
        ingest,
        p50: micros(0.5),
        p99: micros(0.99),
        p999: micros(0.999),
    })
}

/// The engine, while it reads.
fn while_ingesting(plan: &Plan) -> Vec<Waiting> {
    let time = plan.time * u32::try_from(RATES.len()).unwrap_or(1) + Duration::from_secs(4);
    let events = u64::from(INGEST) * time.as_secs();
    let options = Options { events, communities: 200, hit_rate: 0.01, density: INGEST, ..Options::default() };
    let reel = Arc::new(Reel::of_network(&options, false, true));
    let pace = Send::PerSecond(f64::from(INGEST));
    let host = Server::start("127.0.0.1:0", reel, ServerOptions { pace, ..ServerOptions::default() });
    let host = host.expect("a free port");
    host.prepare(simnet::Dialect::V1, false);
    let home = tempfile::tempdir().expect("a directory");
    let upstream = format!("ws://{}/subscribe", host.address());
    let engine = Engine::start(&plan.binary, home.path(), &["--upstream", &upstream, "--rate-limit", "off"]);
    machine::pause(Duration::from_secs(2));
    let feeds = engine.first_feeds();
    let server = Served { who: ENGINE, address: engine.http, pid: engine.pid() };
    RATES.iter().filter_map(|&rate| wait(&server, &feeds, rate, INGEST, &[], plan)).collect()
}

/// Every feed of the engine, page by page.
pub fn feeds_of(engine: &Engine) -> Feeds {
    let read = |uri: &String| {
        let (mut posts, mut cursor) = (Vec::new(), String::new());
        loop {
            let target = format!("/xrpc/app.bsky.feed.getFeedSkeleton?feed={uri}&limit=100{cursor}");
            let page: serde_json::Value = serde_json::from_str(&get(engine.http, &target)).expect("JSON");
            let items = page["feed"].as_array().expect("a feed").iter();
            posts.extend(items.filter_map(|item| Some(item["post"].as_str()?.to_owned())));
            match page["cursor"].as_str() {
                Some(next) => cursor = format!("&cursor={next}"),
                None => return (uri.rsplit('/').next().unwrap_or_default().to_owned(), posts),
            }
        }
    };
    engine.feeds().iter().map(read).collect()
}

/// A feed generator of `peers`.
struct Process {
    child: Child,
    address: SocketAddr,
}

impl Process {
    fn start(who: &str, file: &Path) -> Self {
        let mut command = Command::new(std::env::current_exe().expect("this program"));
        command.args(["serve", who, "--feeds"]).arg(file);
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().expect("it starts");
        let mut line = String::new();
        BufReader::new(child.stdout.take().expect("piped")).read_line(&mut line).expect("a line");
        let address = line.trim().strip_prefix("listening ").and_then(|address| address.parse().ok());
        Self { child, address: address.expect("an address") }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ended = self.child.kill();
        let _status = self.child.wait();
    }
}
