//! The engine beside what people would use instead of it: the same events, one machine, turn by turn, and the ratios.
//!
//! ```text
//! simnet ──frames──► bare · reader · atrarium · tokio-tungstenite + serde_json · rocketman · jetstream-oxide     ingest
//! load ──requests──► a raw socket loop · atrarium · axum + Json · axum + SQLite                                    http
//! ```
//! Each is a process of its own; what it costs is its time on a processor, which another program on the machine does not
//! change. `peers run` builds the engine, measures, and writes `results/`.
#![forbid(unsafe_code)]

mod consume;
mod engine;
mod ingest;
mod machine;

use std::path::PathBuf;

use clap::{Parser, Subcommand};

/// All have the allocator that the engine has.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[derive(Debug, Parser)]
#[command(version, about)]
struct Cli {
    #[command(subcommand)]
    command: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Measure everything and write the results
    Run {
        /// A tenth of everything: whether it works, not how fast it is
        #[arg(long)]
        quick: bool,
        /// Frames of each stream
        #[arg(long)]
        events: Option<u64>,
        /// How often each is measured
        #[arg(long)]
        rounds: Option<usize>,
        /// Shares of frames that concern Atrarium
        #[arg(long, value_delimiter = ',', default_values_t = [0.001, 0.003, 0.01, 0.1])]
        hit_rates: Vec<f64>,
        /// Wires
        #[arg(long, value_delimiter = ',', default_values_t = consume::Wire::ALL)]
        wires: Vec<consume::Wire>,
        /// This binary instead of the one that is built
        #[arg(long)]
        atrarium: Option<PathBuf>,
    },
    /// Read one stream, as one consumer
    #[command(hide = true)]
    Consume {
        /// Who
        consumer: consume::Consumer,
        #[command(flatten)]
        stream: consume::Stream,
    },
}

fn main() {
    match Cli::parse().command {
        What::Consume { consumer, stream } => consume::run(consumer, &stream),
        What::Run { quick, events, rounds, hit_rates, wires, atrarium } => {
            let binary = atrarium.unwrap_or_else(engine::build);
            let plan = ingest::Plan {
                events: events.unwrap_or(if quick { 100_000 } else { 1_000_000 }),
                hit_rates,
                wires,
                rounds: rounds.unwrap_or(if quick { 1 } else { 5 }),
                binary,
                public_dictionary: ingest::public_dictionary(),
            };
            for row in ingest::run(&plan) {
                println!("{}", serde_json::to_string(&row).expect("numbers"));
            }
        }
    }
}
