//! One stream, read by the engine with one worker, two and four: whether more of them make it faster, and what they cost.
//!
//! The host that sends runs on the same machine, and so does everything else: with few processors there is little to gain.
//! However many workers there are, the engine must find the same.

use std::path::PathBuf;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use simnet::{Options, Reel};

use crate::consume::{Told, Wire};
use crate::host::Host;
use crate::machine::median;

/// What is to be measured.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Frames of each stream.
    pub events: u64,
    /// How often each number of workers reads each stream; they take turns.
    pub rounds: usize,
    /// The binary of the engine.
    pub binary: PathBuf,
}

/// Numbers of workers.
pub const WORKERS: [u32; 3] = [1, 2, 4];
/// Shares of frames that concern Atrarium: workers see these alone.
const HIT_RATES: [f64; 2] = [0.003, 0.1];
const WIRES: [Wire; 2] = [Wire::V1, Wire::V1Zstd];

/// Medians of one number of workers over one stream.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Row {
    /// The wire.
    pub wire: Wire,
    /// The share of frames that concern Atrarium.
    pub hit_rate: f64,
    /// Threads that parse.
    pub workers: u32,
    /// Nanoseconds on a processor for a frame, of all threads.
    pub cpu_nanos: f64,
    /// Frames in a second.
    pub per_second: f64,
}

/// Reads all streams with all numbers of workers.
pub fn run(plan: &Plan) -> Vec<Row> {
    let mut rows = Vec::new();
    for hit_rate in HIT_RATES {
        let options = Options { events: plan.events, communities: 1000, hit_rate, ..Options::default() };
        let reel = Arc::new(Reel::of_network(&options, false, true));
        for wire in WIRES {
            rows.extend(measure(plan, &Host::new(Arc::clone(&reel), wire, None), wire, hit_rate));
        }
    }
    rows
}

fn measure(plan: &Plan, host: &Host, wire: Wire, hit_rate: f64) -> Vec<Row> {
    let mut all: [Vec<Told>; WORKERS.len()] = Default::default();
    for round in 0..plan.rounds {
        for (workers, told) in WORKERS.into_iter().zip(&mut all) {
            eprintln!("{wire} at {} % hits, round {}: {workers} workers", hit_rate * 100.0, round + 1);
            told.push(host.read_with_engine(&plan.binary, &["--workers", &workers.to_string()]));
        }
    }
    let hits: Vec<u64> = all.iter().flatten().map(|told| told.hits).collect();
    assert!(hits.iter().all(|it| *it == hits[0]), "the number of workers decides what is found: {hits:?}");
    let row = |(workers, told): (u32, Vec<Told>)| {
        let of = |figure: fn(&Told) -> f64| median(told.iter().map(figure).collect());
        Row {
            wire,
            hit_rate,
            workers,
            cpu_nanos: of(|told| told.cpu * 1e9 / told.frames as f64),
            per_second: of(|told| told.frames as f64 / told.wall),
        }
    };
    WORKERS.into_iter().zip(all).map(row).collect()
}
