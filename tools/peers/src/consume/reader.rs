//! The engine's reader alone: socket, websocket, sieve, ring. What comes out of the ring is dropped by another thread, whose
//! time is not counted.

use std::sync::Arc;
use std::time::Duration;

use atrarium::clock::{Clock, Now};
use atrarium::fact::{Cursor, GapReason};
use atrarium::ingest::lanes::{self, Lanes};
use atrarium::ingest::reader::{Config, Pressure, Reader, Sink, WithoutCursor, Zstd};
use atrarium::ingest::sieve::Sieve;
use atrarium::limits::FRAME_RING_SLOTS;
use atrarium::ring::{self, Signal};
use atrarium::telemetry::{Reason, Telemetry};
use atrarium::wire::endpoint::{Ask, Endpoint};
use atrarium::wire::session::Run;
use atrarium::wire::zstd::Dictionary;

use super::{Count, Stream, Told, pause};
use crate::machine::{self, Stopwatch};

/// The lanes, and a count of what they take.
struct Counted {
    lanes: Lanes,
    count: Count,
    telemetry: Arc<Telemetry>,
}

impl Sink for Counted {
    fn frame(&mut self, frame: &[u8], endpoint: &Endpoint) -> Pressure {
        self.lanes.frame(frame, endpoint)
    }

    fn frames(&mut self, run: &mut Run<'_>, endpoint: &Endpoint) -> Pressure {
        self.lanes.frames(run, endpoint)
    }

    fn pause(&mut self, last: Option<&[u8]>) {
        self.count.add(self.telemetry.frames.get() - self.count.seen);
        self.lanes.pause(last);
    }

    fn idle(&mut self) {
        self.lanes.idle();
    }

    fn tick(&mut self) {
        self.lanes.tick();
    }

    fn ready(&mut self) -> bool {
        self.lanes.ready()
    }

    fn resume(&self) -> Option<Cursor> {
        self.lanes.resume()
    }

    fn refused(&mut self, reason: Reason) {
        self.lanes.refused(reason);
    }

    fn gap(&mut self, endpoint: &Endpoint, reason: GapReason) {
        self.lanes.gap(endpoint, reason);
    }

    fn connected(&mut self, endpoint: &Endpoint, ask: &Ask) {
        self.lanes.connected(endpoint, ask);
    }

    fn disconnected(&mut self, endpoint: &Endpoint, why: &str) {
        self.lanes.disconnected(endpoint, why);
    }
}

pub fn run(stream: &Stream) -> Told {
    let (clock, telemetry) = (Clock::real(), Arc::new(Telemetry::default()));
    let signal = Signal::new();
    let (frames, mut out) = ring::channel(FRAME_RING_SLOTS, &signal);
    let lanes = Lanes::new(lanes::Parts {
        sieve: Sieve::new(1, Arc::clone(&telemetry), false),
        rings: vec![frames],
        clock: clock.clone(),
        now: Arc::new(Now::new(clock.clone())),
        telemetry: Arc::clone(&telemetry),
        resume: None,
        hooks: Box::new(()),
    });
    let path = if stream.wire.dialect() == simnet::Dialect::V1 { "/subscribe" } else { "" };
    let endpoint = Endpoint::parse(&format!("ws://{}{path}", stream.host)).expect("a URL");
    let mut config = Config::new(vec![endpoint], WithoutCursor::Oldest);
    if let Some(dictionary) = stream.dictionary() {
        let v1 = Dictionary::parse(dictionary.bytes()).expect("a dictionary");
        config.zstd = Zstd { v2: true, v1: Some(v1) };
    }
    let sink = Counted { lanes, count: Count::new(stream, Stopwatch::of_thread), telemetry: Arc::clone(&telemetry) };
    let reader = Reader::new(config, sink, clock, fastrand::Rng::with_seed(1)).expect("a poll");
    let stop = reader.stop_handle();
    let drain = machine::spawn(move || {
        while !out.is_closed() || !out.is_empty() {
            signal.wait(|| !out.is_empty() || out.is_closed(), Duration::from_millis(100));
            out.drain(usize::MAX, drop);
        }
    });
    let frames = stream.frames;
    let hits = Arc::clone(&telemetry);
    // Measured by the thread that reads.
    let reading = machine::spawn(move || {
        let sink = reader.run();
        sink.count.told(hits.hits.get())
    });
    while telemetry.frames.get() < frames {
        pause();
    }
    stop.stop();
    let told = reading.join().expect("the reader ends");
    drain.join().expect("the ring ends");
    told
}
