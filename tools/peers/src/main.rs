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
mod feeds;
mod frames;
mod host;
mod http;
mod ingest;
mod live;
mod load;
mod machine;
mod memory;
mod micro;
mod report;
mod scaling;

use std::path::PathBuf;
use std::time::Duration;

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
    /// Measure, and write the results
    Run(RunOptions),
    /// Read one stream, as one consumer
    #[command(hide = true)]
    Consume {
        /// Who
        consumer: consume::Consumer,
        #[command(flatten)]
        stream: consume::Stream,
    },
    /// Ask a running server for skeletons, as fast as it answers: to look at it with a profiler
    Load {
        /// Where it listens
        #[arg(long)]
        server: std::net::SocketAddr,
        /// For how long
        #[arg(long, default_value_t = 5)]
        seconds: u64,
    },
    /// Serve feeds, as one generator
    #[command(hide = true)]
    Serve {
        /// Which
        generator: feeds::Generator,
        /// The feeds
        #[arg(long)]
        feeds: PathBuf,
    },
}

#[derive(Debug, clap::Args)]
struct RunOptions {
    /// A tenth of everything, once: whether it works, not how fast it is
    #[arg(long)]
    quick: bool,
    /// Parts
    #[arg(long, value_delimiter = ',', value_enum, default_values_t = Part::ALL)]
    parts: Vec<Part>,
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
    /// Where the results go
    #[arg(long, default_value = concat!(env!("CARGO_MANIFEST_DIR"), "/results"))]
    out: PathBuf,
}

/// What can be measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Part {
    /// What a frame costs
    Ingest,
    /// What more workers bring
    Scaling,
    /// What a skeleton costs, and how long it is waited for
    Http,
    /// From an event to the feed
    Live,
    /// Memory and starting
    Memory,
    /// The benches of the parts
    Micro,
}

impl Part {
    const ALL: [Self; 6] = [Self::Ingest, Self::Scaling, Self::Http, Self::Live, Self::Memory, Self::Micro];
}

impl std::fmt::Display for Part {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(clap::ValueEnum::to_possible_value(self).expect("it has a name").get_name())
    }
}

fn main() {
    match Cli::parse().command {
        What::Consume { consumer, stream } => consume::run(consumer, &stream),
        What::Load { server, seconds } => {
            let feeds = engine::feeds_at(server);
            let outcome =
                load::run(server, &feeds, load::Pace::Closed { connections: 32 }, Duration::from_secs(seconds));
            println!("{:.0} skeletons/s", outcome.times.len() as f64 / outcome.wall.as_secs_f64());
        }
        What::Serve { generator, feeds } => feeds::run(generator, &feeds),
        What::Run(options) => run(&options),
    }
}

fn run(options: &RunOptions) {
    let binary = options.atrarium.clone().unwrap_or_else(engine::build);
    let quick = options.quick;
    let rounds = options.rounds.unwrap_or(if quick { 1 } else { 3 });
    let wants = |part| options.parts.contains(&part);
    let mut results = report::read(&options.out);
    // Whatever was measured is written, should the next part fail.
    let write = |results: &report::Results| report::write(results, &options.out);
    if wants(Part::Ingest) {
        results.ingest = measured(
            rounds,
            ingest::run(&ingest::Plan {
                events: options.events.unwrap_or(if quick { 100_000 } else { 1_000_000 }),
                hit_rates: options.hit_rates.clone(),
                wires: options.wires.clone(),
                rounds,
                binary: binary.clone(),
                public_dictionary: host::public_dictionary(),
            }),
        );
        write(&results);
    }
    if wants(Part::Scaling) {
        let events = options.events.unwrap_or(if quick { 100_000 } else { 1_000_000 });
        results.scaling = measured(rounds, scaling::run(&scaling::Plan { events, rounds, binary: binary.clone() }));
        write(&results);
    }
    if wants(Part::Http) {
        results.http = measured(
            rounds,
            http::run(&http::Plan {
                events: if quick { 60_000 } else { 1_000_000 },
                communities: if quick { 60 } else { 1000 },
                rounds,
                time: Duration::from_secs(if quick { 1 } else { 3 }),
                binary: binary.clone(),
            }),
        );
        write(&results);
    }
    if wants(Part::Live) {
        results.live = measured(
            1,
            live::run(&live::Plan {
                rates: if quick { vec![1_000, 5_000] } else { vec![1_000, 5_000, 50_000, 200_000] },
                time: Duration::from_secs(if quick { 4 } else { 20 }),
                binary: binary.clone(),
            }),
        );
        write(&results);
    }
    if wants(Part::Memory) {
        let shapes = if quick { vec![(100, 1000)] } else { vec![(1000, 10_000), (10_000, 1000)] };
        results.memory = measured(1, memory::run(&memory::Plan { shapes, binary }));
        write(&results);
    }
    if wants(Part::Micro) {
        results.allocations = measured(1, micro::allocations());
        results.micro = measured(1, micro::run(quick));
        write(&results);
    }
    println!("{}", std::fs::read_to_string(options.out.join("README.md")).expect("just written"));
}

/// What was measured in so many rounds.
fn measured<T>(rounds: usize, figures: T) -> Option<report::Measured<T>> {
    Some(report::Measured { run: report::Run::new(rounds), figures })
}
