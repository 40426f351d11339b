//! One stream, read by everybody: what a frame costs.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use simnet::{Options, Reel};

use crate::consume::{Told, Wire};
use crate::host::Host;
use crate::machine::median;

/// What is to be compared.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Frames of each stream.
    pub events: u64,
    /// Shares of frames that concern Atrarium.
    pub hit_rates: Vec<f64>,
    /// Wires.
    pub wires: Vec<Wire>,
    /// How often each consumer reads each stream; they take turns.
    pub rounds: usize,
    /// The binary of the engine.
    pub binary: PathBuf,
    /// The dictionary that the peers for v1 have built in, where it is at hand.
    pub public_dictionary: Option<PathBuf>,
}

/// Medians of what one consumer has said of one stream.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Row {
    /// The wire.
    pub wire: Wire,
    /// The share of frames that concern Atrarium.
    pub hit_rate: f64,
    /// Who read it.
    pub who: String,
    /// Nanoseconds on a processor for a frame; `None` where it did not read to the end.
    pub cpu_nanos: Option<f64>,
    /// Frames in a second.
    pub per_second: Option<f64>,
    /// Posts of communities that it found.
    pub hits: u64,
}

/// The engine itself, beside the consumers that have a process of `peers`.
pub const ENGINE: &str = "atrarium";

/// Reads all streams with all consumers.
pub fn run(plan: &Plan) -> Vec<Row> {
    let mut rows = Vec::new();
    for &hit_rate in &plan.hit_rates {
        let options = Options { events: plan.events, communities: 1000, hit_rate, ..Options::default() };
        let reel = Arc::new(Reel::of_network(&options, false, true));
        for &wire in &plan.wires {
            let host = Host::new(Arc::clone(&reel), wire, plan.public_dictionary.as_deref());
            let mut all: BTreeMap<&str, Vec<Option<Told>>> = BTreeMap::new();
            for round in 0..plan.rounds {
                for who in readers(wire, plan) {
                    eprintln!("{} at {} % hits, round {}: {who}", wire.as_str(), hit_rate * 100.0, round + 1);
                    let told = match who {
                        ENGINE => Some(host.read_with_engine(&plan.binary, &[])),
                        _ => host.read(who),
                    };
                    all.entry(who).or_default().push(told);
                }
            }
            rows.extend(all.into_iter().map(|(who, told)| row(wire, hit_rate, who, &told)));
        }
    }
    rows
}

fn row(wire: Wire, hit_rate: f64, who: &str, told: &[Option<Told>]) -> Row {
    let all: Option<Vec<Told>> = told.iter().copied().collect();
    let of = |figure: fn(&Told) -> f64| all.as_ref().map(|all| median(all.iter().map(figure).collect()));
    Row {
        wire,
        hit_rate,
        who: who.to_owned(),
        cpu_nanos: of(|told| told.cpu * 1e9 / told.frames as f64),
        per_second: of(|told| told.frames as f64 / told.wall),
        hits: all.iter().flatten().map(|told| told.hits).max().unwrap_or(0),
    }
}

/// Who can read a wire. The crates speak v1 alone, and have its public dictionary built in.
fn readers(wire: Wire, plan: &Plan) -> Vec<&'static str> {
    let mut readers = vec!["bare", "reader", ENGINE, "naive"];
    if wire.is_zstd() {
        readers.push("decode");
    }
    let built_in = wire == Wire::V1Zstd && plan.public_dictionary.is_some();
    if cfg!(feature = "others") && (wire == Wire::V1 || built_in) {
        readers.extend(["rocketman", "jetstream-oxide"]);
    }
    readers
}
