//! Memory and starting: an engine that holds a week of posts, and what it takes to be there again.
//!
//! The posts are written as frames into `atrarium replay -`, as an operator would who brings them from elsewhere. Then the
//! server starts on what that has left: that start is what is timed; and once more without the snapshots that the replay took,
//! so that everything is folded from the log, as after both of them were found damaged.

use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::engine::Engine;
use crate::{frames, machine};

/// What is to be held.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Communities, and posts in each.
    pub shapes: Vec<(u32, u32)>,
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
    /// Bytes that are resident, of the whole process.
    pub resident: u64,
    /// The same of an engine that holds nothing.
    pub empty: u64,
    /// Bytes on the disk.
    pub disk: u64,
    /// Seconds of the replay: parsing, log and fold, on one thread.
    pub replay: f64,
    /// Seconds from the start of the process until it listens and shows everything.
    pub start: f64,
    /// The same without a snapshot; `None` where the log no longer begins with its first batch, or this was not measured.
    #[serde(default)]
    pub start_from_log: Option<f64>,
}

/// Authors of each community. Each is a member of it, and writes in turn.
const AUTHORS: u32 = 100;

/// Holds every shape.
pub fn run(plan: &Plan) -> Vec<Row> {
    let empty = {
        let home = tempfile::tempdir().expect("a directory");
        let engine = Engine::start(&plan.binary, home.path(), &NOWHERE);
        machine::resident_of(engine.pid())
    };
    plan.shapes.iter().map(|&(communities, posts)| measure(plan, communities, posts, empty)).collect()
}

/// Nobody listens there.
const NOWHERE: [&str; 4] = ["--upstream", "ws://127.0.0.1:9/subscribe", "--rate-limit", "off"];

fn measure(plan: &Plan, communities: u32, posts: u32, empty: u64) -> Row {
    eprintln!("{communities} communities with {posts} posts each");
    let home = tempfile::tempdir().expect("a directory");
    let began = machine::now();
    let mut replay = Command::new(&plan.binary);
    replay.args(["replay", "-", "--json", "--data-dir"]).arg(home.path());
    let mut replay =
        replay.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("it starts");
    write_frames(communities, posts, replay.stdin.take().expect("piped")).expect("it reads");
    assert!(replay.wait().expect("it ends").success(), "the replay has failed");
    let replay = began.elapsed().as_secs_f64();
    let engine = Engine::start(&plan.binary, home.path(), &NOWHERE);
    // What was freed on the way is given back in time.
    machine::pause(Duration::from_secs(3));
    let status = engine.status();
    let number = |name: &str| status[name].as_u64().unwrap_or(0);
    let all = u64::from(communities) * u64::from(posts);
    assert_eq!(number("posts"), all, "all are there");
    let (resident, start) = (machine::resident_of(engine.pid()), engine.start.as_secs_f64());
    let disk = bytes_in(&home.path().join("log"));
    drop(engine);
    Row {
        communities: number("communities"),
        posts: number("posts"),
        resident,
        empty,
        disk,
        replay,
        start,
        start_from_log: start_from_log(plan, home.path(), all),
    }
}

/// Seconds of a start without a snapshot, which must come to the same posts.
fn start_from_log(plan: &Plan, data_dir: &Path, posts: u64) -> Option<f64> {
    let log = data_dir.join("log");
    if !log.join(FIRST_SEGMENT).exists() {
        return None;
    }
    for file in std::fs::read_dir(&log).expect("a directory").flatten().map(|entry| entry.path()) {
        if file.extension().is_some_and(|extension| extension == "snap") {
            std::fs::remove_file(file).expect("removed");
        }
    }
    let engine = Engine::start(&plan.binary, data_dir, &NOWHERE);
    assert_eq!(engine.status()["posts"].as_u64(), Some(posts), "all are there again");
    Some(engine.start.as_secs_f64())
}

/// The one with the first batch of all.
const FIRST_SEGMENT: &str = "00000000000000000001.seg";

fn bytes_in(dir: &Path) -> u64 {
    let files = std::fs::read_dir(dir).into_iter().flatten().flatten();
    files.filter_map(|file| Some(file.metadata().ok()?.len())).sum()
}

/// Communities, their authors, and posts of six days, in order.
fn write_frames(communities: u32, posts: u32, out: impl Write) -> std::io::Result<()> {
    let mut out = BufWriter::with_capacity(1 << 20, out);
    let start = simnet::parse_time("2026-11-01T00:00:00Z").expect("a time");
    for community in 0..communities {
        writeln!(out, "{}", frames::config(community, start))?;
        for author in 0..AUTHORS {
            writeln!(out, "{}", frames::membership(community, author, start))?;
        }
    }
    let total = i64::from(communities) * i64::from(posts);
    let gap = 6 * 24 * 3_600_000_000 / total;
    for number in 0..total {
        let time = start.plus_micros(1_000_000 + number * gap);
        let (community, nth) = ((number % i64::from(communities)) as u32, (number / i64::from(communities)) as u32);
        writeln!(out, "{}", frames::post(community, nth % AUTHORS, time, number).0)?;
    }
    out.flush()
}
