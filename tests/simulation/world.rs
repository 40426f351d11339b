//! What one seed's network tells: its events, the numbers under which hosts tell them, and what the feeds must then be.
//!
//! Position p is the p-th event. Behind the last one the stream goes on with one like a second, for ever: nothing that any
//! feed shows, but a network never ends, and a reader that waits for the next event must get one.

use std::collections::{BTreeMap, HashSet};

use atrarium::fact::Fact;
use atrarium::syntax::{Did, Fingerprint, Tid, Time};
use atrarium::wire::event;
use fastrand::Rng;
use model::{Delivery, Model};
use simnet::{Dialect, Event, Line, Network, Options};

/// Microseconds from one event of the tail to the next.
const TAIL_STEP: i64 = 1_000_000;

/// See the module.
pub struct World {
    pub events: Vec<Event>,
    /// Stream time of each, never decreasing.
    times: Vec<i64>,
    /// Stream time of the first event of the tail, less one step.
    tail_base: i64,
    /// Each event is told when its stream time comes; else all of them are history.
    pub is_live: bool,
    /// Wall time at the beginning, in microseconds.
    pub start: i64,
}

/// Feeds by community.
pub type Feeds = BTreeMap<String, Vec<String>>;

impl World {
    pub fn new(seed: u64, rng: &mut Rng) -> Self {
        let options = Options {
            seed,
            events: rng.u64(150..350),
            communities: rng.usize(1..8),
            hit_rate: [0.5, 0.9][rng.usize(..2)],
            density: [1, 2, 5, 20, 100][rng.usize(..5)],
            ..Options::default()
        };
        let events: Vec<Event> = Network::new(&options).collect();
        let times: Vec<i64> = events.iter().map(|event| event.time.micros()).collect();
        let (first, last) = (times[0], times[times.len() - 1]);
        let is_live = rng.bool();
        let start = if is_live { rng.i64(first..=last) } else { last + rng.i64(0..3_600_000_000) };
        Self { events, times, tail_base: last.max(start), is_live, start }
    }

    /// How many events there are before the tail.
    pub fn len(&self) -> u64 {
        self.times.len() as u64
    }

    /// How many positions have been told at a moment of wall time.
    pub fn head(&self, wall: i64) -> u64 {
        if self.is_live && wall < self.times[self.times.len() - 1] {
            return self.times.partition_point(|&time| time <= wall) as u64;
        }
        self.len() + ((wall - self.tail_base).max(0) / TAIL_STEP) as u64
    }

    /// When the next one is told after a moment.
    pub fn next_after(&self, wall: i64) -> i64 {
        self.time(self.head(wall)).max(wall + 1)
    }

    /// Stream time of a position.
    pub fn time(&self, position: u64) -> i64 {
        match self.times.get(position as usize) {
            Some(&time) => time,
            None => self.tail_base + (position - self.len() + 1) as i64 * TAIL_STEP,
        }
    }

    /// How many positions have a stream time below this one.
    pub fn before(&self, time: i64) -> u64 {
        let known = self.times.partition_point(|&known| known < time) as u64;
        if known < self.len() { known } else { known + ((time - 1 - self.tail_base).max(0) / TAIL_STEP) as u64 }
    }

    /// The text of a position under a host's number; empty where the dialect does not tell it.
    pub fn text(&self, position: u64, number: u64, dialect: Dialect, v1_cursor: bool) -> Vec<u8> {
        let Some(event) = self.events.get(position as usize) else {
            return like(self.time(position), number, dialect, v1_cursor).into_bytes();
        };
        if dialect == Dialect::V1 && event.kind_name() == "sync" {
            return Vec::new();
        }
        let mut line = Line::default();
        Event { seq: number, ..event.clone() }.write(dialect, v1_cursor, &mut line);
        line.bytes
    }

    /// The feeds at the latest stream time of the network, when it has been told without some positions.
    pub fn feeds_without(&self, lost: &HashSet<u64>) -> Feeds {
        let mut model = Model::new();
        for (position, event) in (0..).zip(&self.events) {
            if !lost.contains(&position) {
                let mut line = Line::default();
                event.write(Dialect::V1, false, &mut line);
                model.add(Delivery::Frame(std::str::from_utf8(&line.bytes).expect("text")));
            }
        }
        model.feeds(self.end())
    }

    /// The latest stream time of the network, without the tail.
    pub fn end(&self) -> Time {
        Time::from_micros(self.times[self.times.len() - 1])
    }
}

/// A like by somebody whom nobody knows: it decides nothing, whenever it is said to have happened.
pub fn like(micros: i64, number: u64, dialect: Dialect, v1_cursor: bool) -> String {
    padded_like(micros, number, dialect, v1_cursor, 0)
}

/// The same with a note of so many bytes.
pub fn padded_like(micros: i64, number: u64, dialect: Dialect, v1_cursor: bool, note_bytes: usize) -> String {
    let time = Time::from_micros(micros);
    let rev = Tid::from_time(time, 0);
    let note = "x".repeat(note_bytes);
    let record = format!(r#"{{"$type":"app.bsky.feed.like","note":"{note}"}}"#);
    let (did, rkey, cid) = ("did:plc:tail", rev, "bafyreitail");
    match dialect {
        Dialect::V1 => {
            let cursor = if v1_cursor { format!(r#","cursor":{number}"#) } else { String::new() };
            format!(
                r#"{{"did":"{did}","time_us":{micros}{cursor},"kind":"commit","commit":{{"rev":"{rev}","operation":"create","collection":"app.bsky.feed.like","rkey":"{rkey}","record":{record},"cid":"{cid}"}}}}"#
            )
        }
        Dialect::V2 => format!(
            r#"{{"$type":"message","payload":{{"$type":"network.bsky.jetstream.subscribeEvents#commit","cid":"{cid}","collection":"app.bsky.feed.like","did":"{did}","operation":"create","record":{record},"rev":"{rev}","rkey":"{rkey}","seq":{number},"time":"{time}"}}}}"#
        ),
    }
}

/// What a log holds, by what an event is known by.
#[derive(Default)]
pub struct Held {
    records: HashSet<(String, String, Tid)>,
    /// Two states of one account may have one time.
    accounts: HashSet<(Did, Time, bool)>,
    orphans: HashSet<(Fingerprint, Tid)>,
}

impl Held {
    pub fn add(&mut self, fact: &Fact) {
        match fact {
            Fact::Record(record) => {
                let path = format!("{}/{}", record.body.collection().nsid(), record.rkey);
                self.records.insert((record.did.to_string(), path, record.rev.tid()));
            }
            Fact::Account(account) => {
                self.accounts.insert((account.did.clone(), account.time, account.active));
            }
            Fact::Orphans(orphans) => {
                self.orphans.extend(orphans.iter().map(|(post, orphan)| (*post, orphan.rev)));
            }
            Fact::Cursor(_) | Fact::Clock(_) | Fact::Gap(_) => {}
        }
    }

    /// Whether an event has left a fact.
    pub fn has(&self, event: &Event) -> bool {
        let mut line = Line::default();
        event.write(Dialect::V1, false, &mut line);
        let Ok(frame) = event::parse(&line.bytes) else { return false };
        match frame.event {
            event::Event::Commit(commit) => {
                let path = format!("{}/{}", commit.collection, commit.rkey);
                self.records.contains(&(commit.did.to_string(), path, commit.rev))
                    || self.orphans.contains(&(Fingerprint::of(&commit.did, &commit.rkey), commit.rev))
            }
            event::Event::Account { did, time, active, .. } => {
                Did::parse(&did).is_ok_and(|did| self.accounts.contains(&(did, time, active)))
            }
            _ => false,
        }
    }
}
