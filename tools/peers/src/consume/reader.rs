//! The engine's reader alone: socket, websocket, sieve, ring. What comes out of the ring is dropped by another thread, whose
//! time is not counted.

use std::sync::Arc;
use std::time::Duration;

use atrarium::clock::{Clock, Now};
use atrarium::ingest::lanes::{self, Hooks, Lanes};
use atrarium::ingest::reader::{Config, Reader, WithoutCursor, Zstd};
use atrarium::ingest::sieve::Sieve;
use atrarium::limits::FRAME_RING_SLOTS;
use atrarium::ring::{self, Signal};
use atrarium::telemetry::Telemetry;
use atrarium::wire::endpoint::Endpoint;
use atrarium::wire::zstd::Dictionary;

use super::{Stream, Told, pause};
use crate::machine::{self, Stopwatch};

struct Deaf;

impl Hooks for Deaf {
    fn connected(&mut self, _endpoint: &Endpoint) {}
    fn disconnected(&mut self, _endpoint: &Endpoint, _why: &str) {}
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
        hooks: Box::new(Deaf),
    });
    let path = if stream.wire.dialect() == simnet::Dialect::V1 { "/subscribe" } else { "" };
    let endpoint = Endpoint::parse(&format!("ws://{}{path}", stream.host)).expect("a URL");
    let mut config = Config::new(vec![endpoint], WithoutCursor::Oldest);
    if let Some(dictionary) = stream.dictionary() {
        let v1 = Dictionary::parse(dictionary.bytes()).expect("a dictionary");
        config.zstd = Zstd { v2: true, v1: Some(v1) };
    }
    let reader = Reader::new(config, lanes, clock, fastrand::Rng::with_seed(1)).expect("a poll");
    let stop = reader.stop_handle();
    let drain = machine::spawn(move || {
        while !out.is_closed() || !out.is_empty() {
            signal.wait(|| !out.is_empty() || out.is_closed(), Duration::from_millis(100));
            out.drain(usize::MAX, drop);
        }
    });
    let frames = stream.frames;
    let counted = Arc::clone(&telemetry);
    let reading = machine::spawn(move || {
        let watch = Stopwatch::of_thread();
        drop(reader.run());
        super::told(&watch, counted.frames.get(), counted.hits.get())
    });
    while telemetry.frames.get() < frames {
        pause();
    }
    stop.stop();
    let told = reading.join().expect("the reader ends");
    drain.join().expect("the ring ends");
    told
}
