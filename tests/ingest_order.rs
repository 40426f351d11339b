//! Lanes, workers and committer with tiny rings: the cursor never leads the data, nothing is lost where there is no room,
//! and a full disk or a slow one makes the stream wait, with no more in memory than the rings hold.

#[path = "ingest_order/slow_disk.rs"]
mod slow_disk;

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use atrarium::clock::{Clock, Now};
use atrarium::disk::{Disk, SimulatedDisk};
use atrarium::fact::{Batch, Fact, Host};
use atrarium::ingest::committer::{self, Committer, Folded};
use atrarium::ingest::lanes::{self, Lanes, Letter, Parcel};
use atrarium::ingest::reader::{Pressure, Sink};
use atrarium::ingest::sieve::Sieve;
use atrarium::ingest::worker::{Parser, Turn, Worker};
use atrarium::limits::BATCH_FACTS_MAX;
use atrarium::log::{self, Log, LogError, Options, PendingSync};
use atrarium::ring::{self, Signal};
use atrarium::telemetry::Telemetry;
use atrarium::view;
use atrarium::wire::endpoint::Endpoint;
use bytes::Bytes;

const START_MICROS: i64 = 1_783_000_000_000_000;
const DIR: &str = "/data";

/// A v1 frame whose time is its number; every fifth one is a post with a hashtag, and the one behind it the delete of a post
/// that nobody knows.
fn frame(number: i64) -> Bytes {
    if is_orphan(number) {
        let time = START_MICROS + number;
        let commit = r#""rev":"3mptbypluud2a","operation":"delete","collection":"app.bsky.feed.post""#;
        let head = format!(r#"{{"did":"did:plc:nobody","time_us":{time},"kind":"commit","commit":{{{commit}"#);
        return format!(r#"{head},"rkey":"r{number}"}}}}"#).into();
    }
    let text = if number % 5 == 0 { "#atrarium_a1b2c3d4" } else { "nothing" };
    let time = START_MICROS + number;
    let rev = atrarium::syntax::Tid::from_time(atrarium::syntax::Time::from_micros(time), 0);
    format!(
        r#"{{"did":"did:plc:author{}","time_us":{time},"kind":"commit","commit":{{"rev":"{rev}","operation":"create","collection":"app.bsky.feed.post","rkey":"{rev}","record":{{"text":"{text}"}},"cid":"bafyreigh2akiscaildc{number}"}}}}"#,
        number % 23
    )
    .into()
}

fn is_orphan(number: i64) -> bool {
    number % 5 == 1
}

struct Pipeline {
    lanes: Lanes,
    clock: Clock,
    telemetry: Arc<Telemetry>,
    workers: Vec<JoinHandle<()>>,
    committer: JoinHandle<Result<(), LogError>>,
}

#[expect(clippy::disallowed_methods, reason = "a test has threads of its own")]
fn pipeline(disk: Arc<dyn Disk>, slots: usize) -> Pipeline {
    let clock = Clock::manual(START_MICROS);
    let now = Arc::new(Now::new(clock.clone()));
    let telemetry = Arc::new(Telemetry::default());
    let committer_signal = Signal::new();
    let (mut to_workers, mut to_committer, mut workers) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..3 {
        let signal = Signal::new();
        let (frames_in, frames_out) = ring::channel(slots, &signal);
        let (facts_in, facts_out) = ring::channel(slots, &committer_signal);
        let parser = Parser::new(Some(clock.clone()), Arc::clone(&telemetry));
        let worker = Worker::new(parser, frames_out, signal, facts_in);
        to_workers.push(frames_in);
        to_committer.push(facts_out);
        workers.push(std::thread::spawn(move || worker.run()));
    }
    let (writer, _view) = view::new();
    let options = Options::new(0, fastrand::Rng::with_seed(1));
    let (log, _) = Log::open(disk, Path::new(DIR), options, &mut |_| Ok(())).expect("a new log");
    let (errands, loops) = committer::threaded(&committer_signal);
    let committer = Committer::new(committer::Parts {
        log,
        folded: Folded::new(writer),
        rings: to_committer,
        signal: committer_signal,
        clock: clock.clone(),
        now: Arc::clone(&now),
        telemetry: Arc::clone(&telemetry),
        observe: Box::new(|_| {}),
        inquiries: atrarium::community::inquiry::inquiries().1,
        errands: Box::new(errands),
        snapshots: committer::Policy::default(),
        replayed_bytes: 0,
    });
    workers.push(std::thread::spawn(move || loops.syncs.run(PendingSync::run)));
    let lanes = Lanes::new(lanes::Parts {
        sieve: Sieve::new(3, Arc::clone(&telemetry), false),
        rings: to_workers,
        clock: clock.clone(),
        now,
        telemetry: Arc::clone(&telemetry),
        resume: None,
        hooks: Box::new(()),
    });
    Pipeline { lanes, clock, telemetry, workers, committer: std::thread::spawn(move || committer.run()) }
}

impl Pipeline {
    /// Feeds frames as the reader does; a token after every hundred. How often it had to wait.
    fn feed(&mut self, numbers: std::ops::Range<i64>) -> u64 {
        let endpoint = Endpoint::parse("ws://127.0.0.1:1/subscribe").expect("a URL");
        let mut waits = 0;
        for number in numbers {
            if self.lanes.frame(&frame(number), &endpoint) == Pressure::Full {
                while !self.lanes.ready() {
                    waits += 1;
                    std::thread::yield_now();
                }
            }
            if number % 100 == 0 {
                self.lanes.pause(Some(&frame(number)));
                self.clock.advance(Duration::from_millis(1100));
                self.lanes.tick();
                while !self.lanes.ready() {
                    std::thread::yield_now();
                }
            }
        }
        waits
    }

    /// The reader goes; then everybody ends in turn.
    fn finish(self) {
        drop(self.lanes);
        self.committer.join().expect("the committer ends").expect("the log holds");
        for worker in self.workers {
            worker.join().expect("a worker ends");
        }
    }
}

/// The facts of each batch.
fn batches(disk: &SimulatedDisk) -> Vec<Vec<Fact>> {
    let mut batches = Vec::new();
    log::read_batches(disk, Path::new(DIR), &mut |entry| {
        batches.push(Batch::decode(entry.version, entry.payload).map_err(|error| error.to_string())?.facts);
        Ok(())
    })
    .expect("a whole log");
    batches
}

/// Every record and every orphan up to a cursor stands before it, or in its batch. Returns how many there are, and the last
/// cursor.
fn assert_cursor_never_leads(batches: &[Vec<Fact>], count: i64) -> (usize, u64) {
    let is_kept = |number: &i64| number % 5 == 0 || is_orphan(*number);
    let expected: Vec<i64> = (0..count).filter(is_kept).map(|number| START_MICROS + number).collect();
    let (mut seen, mut last) = (BTreeSet::new(), 0);
    for batch in batches {
        for fact in batch {
            match fact {
                Fact::Record(record) => assert!(seen.insert(record.witnessed.micros()), "a record twice"),
                Fact::Orphans(orphans) => {
                    let fresh = orphans.iter().all(|(_, orphan)| seen.insert(orphan.witnessed.micros()));
                    assert!(fresh, "an orphan twice");
                }
                _ => {}
            }
        }
        for fact in batch {
            let Fact::Cursor(cursor) = fact else { continue };
            let due = expected.iter().filter(|&&time| time <= cursor.time.micros());
            let missing: Vec<_> = due.filter(|time| !seen.contains(time)).collect();
            assert!(missing.is_empty(), "the cursor {} leads {missing:?}", cursor.value);
            assert!(cursor.value >= last, "a cursor goes back");
            last = cursor.value;
        }
    }
    assert_eq!(seen.into_iter().collect::<Vec<_>>(), expected, "each once, none missing");
    (expected.len(), last)
}

#[test]
fn what_a_worker_has_made_is_seen_at_the_end_of_its_turn() {
    let (signal, committer_signal) = (Signal::new(), Signal::new());
    let (mut frames_in, frames_out) = ring::channel(8, &signal);
    let (products_in, mut products_out) = ring::channel(8, &committer_signal);
    let mut worker = Worker::new(Parser::new(None, Arc::new(Telemetry::default())), frames_out, signal, products_in);
    for number in [5, 10] {
        let letter = Letter { frame: frame(number), host: Host::new("h"), orphan: None };
        frames_in.push(Parcel::Frame(letter)).expect("there is room");
    }
    assert_eq!(worker.turn(), Turn::Worked);
    assert!(products_out.pop().is_some() && products_out.pop().is_some(), "both posts, without another turn");
}

#[test]
fn the_cursor_never_leads_and_nothing_is_lost_through_tiny_rings() {
    let disk = SimulatedDisk::new(1);
    let mut pipeline = pipeline(Arc::new(disk.clone()), 4);
    let waits = pipeline.feed(0..20_001);
    pipeline.finish();
    let batches = batches(&disk);
    let (kept, last) = assert_cursor_never_leads(&batches, 20_001);
    assert_eq!(last, u64::try_from(START_MICROS + 20_000).expect("positive"), "the last token is durable");
    println!("{kept} records and orphans in {} batches, {waits} waits for room", batches.len());
    assert!(waits > 0, "the rings were never full");
}

#[test]
fn a_full_disk_makes_the_stream_wait_and_loses_nothing() {
    let disk = SimulatedDisk::new(2);
    let mut pipeline = pipeline(Arc::new(disk.clone()), 64);
    pipeline.feed(0..1_000);
    disk.set_capacity(Some(20_000));
    let room = disk.clone();
    #[expect(clippy::disallowed_methods, reason = "somebody makes room meanwhile")]
    let maker = std::thread::spawn(move || {
        std::thread::sleep(Duration::from_millis(700));
        room.set_capacity(None);
    });
    pipeline.feed(1_000..12_001);
    pipeline.finish();
    maker.join().expect("room was made");
    let batches = batches(&disk);
    let (kept, _) = assert_cursor_never_leads(&batches, 12_001);
    println!("{kept} records and orphans in {} batches", batches.len());
}

#[test]
fn a_slow_disk_slows_the_reader_and_nothing_piles_up() {
    const SLOTS: usize = 32;
    const WORKERS: usize = 3;
    const COUNT: i64 = 200_001;
    let disk = SimulatedDisk::new(3);
    let slow = slow_disk::SlowDisk { disk: disk.clone(), sync: Duration::from_millis(30) };
    let mut pipeline = pipeline(Arc::new(slow), SLOTS);
    let telemetry = Arc::clone(&pipeline.telemetry);
    let durable = || {
        telemetry.facts().filter(|(kind, _)| matches!(*kind, "post" | "orphans")).map(|(_, count)| count).sum::<u64>()
    };
    // Both rings of each worker, what a worker holds, one frame that waits; what is gathered, and what is in flight.
    let room = (WORKERS * (2 * SLOTS + 64 + 1) + 1 + 3 * BATCH_FACTS_MAX) as u64;
    let (mut taken, mut waits, mut most) = (0, 0, 0);
    for number in 0..COUNT {
        waits += pipeline.feed(number..number + 1);
        taken += u64::from(number % 5 == 0);
        // Orphans become facts in lumps; they are not counted one by one here.
        most = most.max(taken.saturating_sub(durable()));
    }
    pipeline.finish();
    let (kept, _) = assert_cursor_never_leads(&batches(&disk), COUNT);
    println!("{kept} kept; at most {most} of {room} under way; {waits} waits for room");
    assert!(most <= room && waits > 0, "{most} under way, {waits} waits");
}
