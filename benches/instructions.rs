//! The hot paths, each a given number of times: what `tools/instructions` counts the instructions of.
//!
//! `cargo bench --no-default-features --bench instructions -- PATH TIMES`; without arguments it names the paths. Nothing is timed.

#[path = "../tests/reader_rig/mod.rs"]
#[allow(dead_code, reason = "shared with a test")]
mod reader_rig;

use std::hint::black_box;
use std::sync::Arc;

use atrarium::fact::{Fact, Host};
use atrarium::ingest::committer::Folded;
use atrarium::ingest::worker::Parser;
use atrarium::syntax::Time;
use atrarium::telemetry::Telemetry;
use atrarium::view::{self, View};
use atrarium::wire::event;
use reader_rig::{Rig, message, misses};
use simnet::{Dialect, Options};

/// Goes a path so many times.
type Go = fn(u64);

const PATHS: [(&str, Go); 6] = [
    ("miss-v1", |times| miss(Dialect::V1, times)),
    ("miss-v2", |times| miss(Dialect::V2, times)),
    ("delete", delete),
    ("hit", hit),
    ("fold", fold),
    ("page", page),
];

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|it| it != "--bench").collect();
    match &arguments[..] {
        [path, times] => {
            let found = PATHS.iter().find(|(name, _)| name == path).unwrap_or_else(|| panic!("no path {path:?}"));
            (found.1)(times.parse().expect("a number"));
        }
        _ => PATHS.iter().for_each(|(name, _)| println!("{name}")),
    }
}

/// Frames that cannot matter, from the receive buffer to the lanes.
fn miss(dialect: Dialect, times: u64) {
    let frames = misses(dialect);
    let piece =
        |frames: &[String]| frames.iter().map(|frame| message(1, frame.as_bytes())).collect::<Vec<_>>().concat();
    let pieces: Vec<Vec<u8>> = frames[..2000].chunks(200).map(piece).collect();
    let mut rig = Rig::new(dialect);
    let mut taken = 0;
    for piece in pieces.iter().cycle() {
        if taken >= times {
            break;
        }
        rig.receive(piece);
        taken += rig.take(None);
    }
}

/// The delete of a post, read.
fn delete(times: u64) {
    let frame = r#"{"did":"did:plc:wq4aajammjtxdomz3e23667t","time_us":1783175888085434,"cursor":91107,"kind":"commit","commit":{"rev":"3mptbypluud2a","operation":"delete","collection":"app.bsky.feed.post","rkey":"3mptbyplj5d2a"}}"#;
    for _ in 0..times {
        black_box(event::parse(black_box(frame.as_bytes()))).expect("a delete");
    }
}

fn lines() -> String {
    let options = Options { events: 20_000, communities: 50, hit_rate: 1.0, ..Options::default() };
    let mut lines = Vec::new();
    simnet::Network::write(&options, Dialect::V1, &mut lines).expect("memory");
    String::from_utf8(lines).expect("UTF-8")
}

/// A frame that matters, parsed into facts.
fn hit(times: u64) {
    let (lines, mut parser) = (lines(), Parser::new(None, Arc::new(Telemetry::default())));
    let (host, mut facts) = (Host::new("h"), Vec::new());
    let posts: Vec<&str> = lines.lines().filter(|line| line.contains("app.bsky.feed.post")).take(1000).collect();
    for line in posts.iter().cycle().take(usize::try_from(times).expect("a small number")) {
        facts.clear();
        let _refused = parser.facts(line.as_bytes(), &host, None, &mut facts);
        black_box(&facts);
    }
}

/// Facts of all kinds.
fn facts() -> Vec<Fact> {
    let (lines, mut parser) = (lines(), Parser::new(None, Arc::new(Telemetry::default())));
    let (host, mut facts) = (Host::new("h"), Vec::new());
    for line in lines.lines() {
        let _refused = parser.facts(line.as_bytes(), &host, None, &mut facts);
    }
    facts
}

/// A fact, folded and told to the view.
fn fold(times: u64) {
    let facts = facts();
    let times = usize::try_from(times).expect("a small number");
    let mut folded = Folded::new(view::new().0);
    folded.apply(&facts[..times.min(facts.len())]);
}

/// The first page of a feed, found and rendered.
fn page(times: u64) {
    let (writer, view) = view::new();
    let mut folded = Folded::new(writer);
    folded.apply(&facts());
    folded.publish();
    let mut out = Vec::new();
    let communities = view.communities();
    for community in communities.iter().cycle().take(usize::try_from(times).expect("a small number")) {
        read(&view, community.id(), &mut out);
    }
}

fn read(view: &View, id: atrarium::fact::CommunityId, out: &mut Vec<u8>) {
    out.clear();
    let community = view.find(id).expect("served");
    view.page(&community, Time::from_micros(1_783_000_000_000_000), 50, None).write_json(out);
    black_box(&out);
}
