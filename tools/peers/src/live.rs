//! From an event to the feed: how long a post takes until a reader is given it, at several rates of the stream.
//!
//! The host sends every event at its stream time. One reader asks for the first page of the one feed again and again; a post
//! that it has not seen before is as old as now is behind its event. What the host is late, and half of the time between two
//! questions, is in it.

use std::collections::{HashMap, HashSet};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use simnet::server::{Pace, Server, ServerOptions};
use simnet::{Event, Kind, Options, Reel};

use crate::engine::Engine;
use crate::{frames, machine};

/// What is to be measured.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Events in a second, one stream each.
    pub rates: Vec<u32>,
    /// How long each stream is.
    pub time: Duration,
    /// The binary of the engine.
    pub binary: PathBuf,
}

/// One rate.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Row {
    /// Events in a second.
    pub per_second: u32,
    /// Posts that were waited for.
    pub posts: usize,
    /// Milliseconds.
    pub p50: f64,
    /// Milliseconds.
    pub p99: f64,
    /// Milliseconds.
    pub max: f64,
    /// Milliseconds of a sync of the log, the mean.
    pub sync: f64,
}

/// Time for the engine to start and connect.
const BEFORE: Duration = Duration::from_secs(2);

/// Measures every rate.
pub fn run(plan: &Plan) -> Vec<Row> {
    plan.rates.iter().map(|&rate| measure(plan, rate)).collect()
}

fn measure(plan: &Plan, rate: u32) -> Row {
    eprintln!("{rate} events a second, each at its time");
    let events = u64::from(rate) * plan.time.as_secs();
    let options = Options { events, hit_rate: 0.0, density: rate, ..Options::default() };
    // Making the stream takes a while: it begins once it is made.
    let began = machine::now();
    drop(make(&options, rate));
    let ahead = began.elapsed() * 3 + BEFORE;
    let epoch = simnet::parse_time("now").expect("now").plus_micros(micros(ahead));
    let options = Options { epoch, ..options };
    let (reel, times) = make(&options, rate);
    let host = Server::start("127.0.0.1:0", reel, ServerOptions { pace: Pace::Live, ..ServerOptions::default() });
    let host = host.expect("a free port");
    host.prepare(simnet::Dialect::V1, false);
    let home = tempfile::tempdir().expect("a directory");
    let upstream = format!("ws://{}/subscribe", host.address());
    let engine = Engine::start(&plan.binary, home.path(), &["--upstream", &upstream, "--rate-limit", "off"]);
    let now = || simnet::parse_time("now").expect("now");
    assert!(now() < options.epoch, "the stream began before the engine did");

    let end = options.epoch.plus_micros(micros(plan.time));
    // The first second makes the communities.
    while now() < options.epoch.plus_micros(1_000_000) {
        machine::pause(Duration::from_millis(50));
    }
    let mut waits: Vec<f64> = Vec::new();
    let mut seen: HashSet<String> = HashSet::new();
    let mut reader = Page::new(&engine);
    let mut is_first = true;
    while now() < end {
        let page = reader.read();
        let wall = simnet::parse_time("now").expect("now").micros();
        for uri in page.split("\"post\":\"").skip(1).filter_map(|rest| rest.split('"').next()) {
            if !seen.contains(uri) {
                seen.insert(uri.to_owned());
                if let Some(time) = times.get(uri).filter(|_| !is_first) {
                    waits.push((wall - time) as f64 / 1e3);
                }
            }
        }
        is_first = false;
        machine::pause(Duration::from_micros(200));
    }
    waits.sort_by(f64::total_cmp);
    let at =
        |share: f64| waits.get((waits.len().saturating_sub(1) as f64 * share) as usize).copied().unwrap_or(f64::NAN);
    Row { per_second: rate, posts: waits.len(), p50: at(0.5), p99: at(0.99), max: at(1.0), sync: mean_sync(&engine) }
}

fn micros(time: Duration) -> i64 {
    i64::try_from(time.as_micros()).unwrap_or(i64::MAX)
}

/// Posts in a second of the stream.
const POSTS: u32 = 200;

/// Events of the network that concern nobody here, of which some are replaced: the first by a community, the next by its
/// members, then one in so many by a post. When each post was written, by its address.
fn make(options: &Options, rate: u32) -> (Reel, HashMap<String, i64>) {
    const MEMBERS: u32 = 10;
    let mut times = HashMap::new();
    let each = u64::from((rate / POSTS).max(1));
    let replaced = |(number, mut event): (u64, Event)| {
        let nth = u32::try_from(number).unwrap_or(u32::MAX);
        let line = match number {
            0 => frames::config(1, event.time),
            1.. if nth <= MEMBERS => frames::membership(1, nth - 1, event.time),
            _ if number % each == 0 => {
                let author = (number / each % u64::from(MEMBERS)) as u32;
                let (line, uri) = frames::post(1, author, event.time, number as i64);
                times.insert(uri, event.time.micros());
                line
            }
            _ => return event,
        };
        event.kind = Kind::Verbatim(line.into());
        event
    };
    let events: Vec<Event> = (0..).zip(simnet::Network::new(options)).map(replaced).collect();
    (Reel::of_events(events, false, true), times)
}

fn mean_sync(engine: &Engine) -> f64 {
    let metrics = crate::engine::get(engine.admin, "/metrics");
    let of = |name: &str| {
        let line = metrics.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        line.and_then(|value| value.trim().parse::<f64>().ok()).unwrap_or(f64::NAN)
    };
    of("atrarium_log_sync_seconds_sum") / of("atrarium_log_sync_seconds_count") * 1e3
}

/// The first page of the one feed, over one connection.
struct Page {
    stream: TcpStream,
    request: String,
    room: Vec<u8>,
}

impl Page {
    fn new(engine: &Engine) -> Self {
        let feed = engine.first_feeds().pop().expect("there is one");
        let stream = TcpStream::connect(engine.http).expect("it listens");
        stream.set_nodelay(true).expect("a socket");
        let request =
            format!("GET /xrpc/app.bsky.feed.getFeedSkeleton?feed={feed}&limit=30 HTTP/1.1\r\nhost: localhost\r\n\r\n");
        Self { stream, request, room: vec![0; 64 << 10] }
    }

    fn read(&mut self) -> String {
        self.stream.write_all(self.request.as_bytes()).expect("it reads");
        let mut filled = 0;
        loop {
            filled += self.stream.read(&mut self.room[filled..]).expect("it answers");
            let text = std::str::from_utf8(&self.room[..filled]).expect("UTF-8");
            let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
            let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")?.parse().ok());
            if body.len() >= length.unwrap_or(0) {
                return body.to_owned();
            }
        }
    }
}
