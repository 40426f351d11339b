//! A seeded network of communities, told as Jetstream tells it, with known feeds.
//!
//! In: [`Options`], everything from one seed. Out: the same events every time, as lines of v1 or v2
//! ([`Network::write`]), as what each feed must hold ([`expect`]), as counts of what happens in it ([`stats`]), and as a
//! server that speaks both dialects ([`server::Server`]).
//!
//! ```text
//!                    ┌► line of v1 / v2 ──► file
//! seed ──► Network ──┼► model ──► expected feeds
//!                    └► Reel (both dialects, ready to send) ──► Server, with faults
//! files ──► Event ───────┘
//! ```
//!
//! - `world`: who is there. `scenes`: what happens. `network`: in which order the stream tells it.
//! - `compare`, `fetch`: what a running engine serves, beside the expected feeds.
//! - `event`, `json`: how a line is written. `file`: how one is read.
//! - `reel`, `press`, `server`: frames in memory, plain and compressed, and who gets which. `dictionary`, `authority`: zstd and TLS.
//!
//! Always: the same options give the same bytes; v1 and v2 describe the same events; no post lies within hours of the
//! 7-day edge, so a reading ten or thirty minutes later sees the same feeds.
#![forbid(unsafe_code)]

mod authority;
mod compare;
mod dictionary;
mod event;
mod fetch;
mod file;
mod json;
mod machine;
mod network;
mod press;
mod reel;
mod scenes;
pub mod server;
pub mod websocket;
mod words;
mod world;

use std::collections::BTreeMap;
use std::io::{self, Write};

use atrarium::syntax::Time;
use model::{Delivery, Model};

pub use authority::{Authority, AuthorityError};
pub use compare::{CompareError, Comparison, compare};
pub use dictionary::{Dictionary, DictionaryError};
pub use event::{Dialect, Event, Kind, Operation};
pub use file::{FileError, read_files};
pub use json::Line;
pub use network::Network;
pub use reel::Reel;

/// 2026-07-01T00:00:00Z: when stream time begins, unless told otherwise.
pub const EPOCH: Time = Time::from_micros(1_782_864_000_000_000);

/// A moment as options write it: RFC 3339, or `now`.
///
/// # Errors
/// Text that is neither.
pub fn parse_time(text: &str) -> Result<Time, String> {
    match text {
        "now" => Ok(Time::from_micros(machine::wall_micros())),
        _ => text.parse().map_err(|error| format!("{error}; write 2026-07-01T00:00:00Z, or now")),
    }
}

/// What decides everything about a network.
#[derive(Clone, Debug, PartialEq)]
pub struct Options {
    /// How many events the stream tells.
    pub events: u64,
    /// How many communities there are, 1 to 1,048,576; each gets its config while there is room for it.
    pub communities: usize,
    /// The seed.
    pub seed: u64,
    /// When stream time begins.
    pub epoch: Time,
    /// The share of frames that concern Atrarium (near misses, vandals and broken records too), 0 to 1.
    pub hit_rate: f64,
    /// Events in a second of stream time.
    pub density: u32,
    /// Leaves out records that break their lexicon.
    pub clean: bool,
}

/// The most communities of one network.
pub const COMMUNITIES_MAX: usize = 1 << 20;

impl Default for Options {
    fn default() -> Self {
        Self { events: 10_000, communities: 20, seed: 1, epoch: EPOCH, hit_rate: 0.05, density: 500, clean: false }
    }
}

impl Options {
    /// Checks what no type can.
    ///
    /// # Errors
    /// Names the option that is out of its bounds.
    pub fn check(&self) -> Result<(), String> {
        if !(1..=COMMUNITIES_MAX).contains(&self.communities) {
            return Err(format!("--communities must be 1 to {COMMUNITIES_MAX}"));
        }
        if !(0.0..=1.0).contains(&self.hit_rate) {
            return Err("--hit-rate must be 0 to 1".into());
        }
        if self.density == 0 || self.density > 1_000_000 {
            return Err("--density must be 1 to 1000000 events in a second".into());
        }
        Ok(())
    }

    /// Mean microseconds from one event to the next.
    fn gap_micros(&self) -> i64 {
        1_000_000 / i64::from(self.density)
    }
}

impl Network {
    /// Writes the whole network as lines.
    ///
    /// # Errors
    /// Those of `out`.
    pub fn write(options: &Options, dialect: Dialect, out: &mut dyn Write) -> io::Result<()> {
        let mut line = Line::default();
        for event in Self::new(options) {
            line.clear();
            event.write(dialect, false, &mut line);
            line.bytes.push(b'\n');
            out.write_all(&line.bytes)?;
        }
        out.flush()
    }
}

impl Event {
    /// Appends the event as a line of a dialect; `cursor` only matters for v1 ([`Event::write_v1`]).
    pub fn write(&self, dialect: Dialect, cursor: bool, line: &mut Line) {
        match dialect {
            Dialect::V1 => self.write_v1(cursor, line),
            Dialect::V2 => self.write_v2(line),
        }
    }
}

/// The model after the whole network has been told, through lines of `dialect`.
pub fn model_of(options: &Options, dialect: Dialect) -> Model {
    let mut model = Model::new();
    let mut line = Line::default();
    for event in Network::new(options) {
        line.clear();
        event.write(dialect, false, &mut line);
        let text = std::str::from_utf8(&line.bytes).expect("invariant: a line is made of text");
        model.add(Delivery::Frame(text));
    }
    model
}

/// What each feed must hold at `now`; without it, at the latest witnessed time of the stream.
pub fn expect(options: &Options, now: Option<Time>) -> BTreeMap<String, Vec<String>> {
    let model = model_of(options, Dialect::V1);
    model.feeds(now.or(model.latest_witnessed()).unwrap_or(options.epoch))
}

/// How often everything occurs: `kind …` for kinds of events, and the examples that scenes name.
#[derive(Debug, Default)]
pub struct Stats {
    /// Events.
    pub events: u64,
    /// Bytes of all lines of v1, without line ends.
    pub bytes: u64,
    /// Size of the largest line of v1, in bytes.
    pub largest: usize,
    /// Events that concern Atrarium.
    pub atrarium: u64,
    /// By kind, and by collection and operation.
    pub kinds: BTreeMap<String, u64>,
    /// By what they are examples of.
    pub features: BTreeMap<&'static str, u64>,
}

/// Counts what happens in a network.
pub fn stats(options: &Options) -> Stats {
    let mut stats = Stats::default();
    let mut line = Line::default();
    for event in Network::new(options) {
        line.clear();
        event.write_v1(false, &mut line);
        stats.events += 1;
        stats.bytes += line.bytes.len() as u64;
        stats.largest = stats.largest.max(line.bytes.len());
        stats.atrarium += u64::from(!event.features.is_empty());
        let kind = match &event.kind {
            Kind::Commit { operation, collection, .. } => format!("{collection} {}", operation.as_str()),
            _ => event.kind_name().to_string(),
        };
        *stats.kinds.entry(kind).or_default() += 1;
        for feature in &event.features {
            *stats.features.entry(feature).or_default() += 1;
        }
    }
    stats
}
