//! Consumers of one stream, each in a process of its own: what it did and what it cost is its last line on stdout.
//!
//! | name | what it does |
//! |---|---|
//! | `bare` | receives into a buffer of 256 KiB, looks at nothing |
//! | `decode` | decompresses every message, all received before; only that is counted |
//! | `reader` | this engine's reader and sieve, from the socket into the ring; the other side of the ring throws away |
//! | `naive` | `tokio-tungstenite`, `serde_json::Value`, a map of queues |
//! | `rocketman`, `jetstream-oxide` | as their examples show it, the text of each post searched for a hashtag |

mod bare;
mod decode;
mod naive;
#[cfg(feature = "others")]
mod oxide;
mod reader;
#[cfg(feature = "others")]
mod rocket;
mod session;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::machine::{self, Stopwatch};

/// What is to be read.
#[derive(Clone, Debug, clap::Args)]
pub struct Stream {
    /// Where the host listens
    #[arg(long)]
    pub host: SocketAddr,
    /// Which wire it is to send
    #[arg(long, value_enum)]
    pub wire: Wire,
    /// How many frames there are
    #[arg(long)]
    pub frames: u64,
    /// So many of them come before anything is counted: what a process touches first is dear, on a virtual machine above all
    #[arg(long, default_value_t = 0)]
    pub warm: u64,
    /// How many bytes they are, with their heads
    #[arg(long)]
    pub bytes: u64,
    /// The dictionary, where the wire is compressed
    #[arg(long)]
    pub dictionary: Option<PathBuf>,
}

/// A wire of Jetstream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum Wire {
    /// v1, plain
    V1,
    /// v2, plain
    V2,
    /// v1, zstd
    V1Zstd,
    /// v2, zstd
    V2Zstd,
}

impl Wire {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::V1, Self::V2, Self::V1Zstd, Self::V2Zstd];

    /// The word for it on the command line and in tables.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::V1 => "v1",
            Self::V2 => "v2",
            Self::V1Zstd => "v1-zstd",
            Self::V2Zstd => "v2-zstd",
        }
    }

    /// Whether messages are compressed.
    pub const fn is_zstd(self) -> bool {
        matches!(self, Self::V1Zstd | Self::V2Zstd)
    }

    /// The dialect of what is in them.
    pub const fn dialect(self) -> simnet::Dialect {
        match self {
            Self::V1 | Self::V1Zstd => simnet::Dialect::V1,
            Self::V2 | Self::V2Zstd => simnet::Dialect::V2,
        }
    }
}

impl std::fmt::Display for Wire {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Stream {
    /// The request target that asks for all of it.
    pub fn target(&self) -> String {
        let id = || self.dictionary().map(|dictionary| dictionary.id()).unwrap_or_default();
        match self.wire {
            Wire::V1 => "/subscribe?cursor=1000000000000000".to_owned(),
            Wire::V1Zstd => "/subscribe?cursor=1000000000000000&compress=true".to_owned(),
            Wire::V2 => "/xrpc/network.bsky.jetstream.subscribeEvents?cursor=0".to_owned(),
            Wire::V2Zstd => {
                format!("/xrpc/network.bsky.jetstream.subscribeEvents?cursor=0&zstdDictionary={}", id())
            }
        }
    }

    /// The URL that asks for all of it.
    pub fn url(&self) -> String {
        format!("ws://{}{}", self.host, self.target())
    }

    /// The dictionary, where there is one.
    pub fn dictionary(&self) -> Option<simnet::Dictionary> {
        self.dictionary.as_deref().map(|path| simnet::Dictionary::read(path).expect("a dictionary"))
    }
}

/// What a consumer says at its end.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Told {
    /// Messages that it was given while it was measured.
    pub frames: u64,
    /// Posts of communities that it found; 0 where it does not look.
    pub hits: u64,
    /// Seconds in between.
    pub wall: f64,
    /// Seconds of processor time in between, of all its threads.
    pub cpu: f64,
}

/// The consumers that have a process of `peers`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Consumer {
    /// See the table above.
    Bare,
    /// See the table above.
    Decode,
    /// See the table above.
    Reader,
    /// See the table above.
    Naive,
    /// See the table above.
    #[cfg(feature = "others")]
    Rocketman,
    /// See the table above.
    #[cfg(feature = "others")]
    JetstreamOxide,
}

/// Reads the stream to its end, and says what that was.
pub fn run(consumer: Consumer, stream: &Stream) {
    let told = match consumer {
        Consumer::Bare => bare::run(stream),
        Consumer::Decode => decode::run(stream),
        Consumer::Reader => reader::run(stream),
        Consumer::Naive => naive::run(stream),
        #[cfg(feature = "others")]
        Consumer::Rocketman => rocket::run(stream),
        #[cfg(feature = "others")]
        Consumer::JetstreamOxide => oxide::run(stream),
    };
    println!("{}", serde_json::to_string(&told).expect("numbers"));
}

/// Counts messages, and begins to measure when enough have come.
struct Count {
    watch: Stopwatch,
    make: fn() -> Stopwatch,
    seen: u64,
    warm: u64,
}

impl Count {
    fn new(stream: &Stream, make: fn() -> Stopwatch) -> Self {
        Self { watch: make(), make, seen: 0, warm: stream.warm }
    }

    fn add(&mut self, count: u64) {
        let was_cold = self.seen < self.warm;
        self.seen += count;
        if was_cold && self.seen >= self.warm {
            self.watch = (self.make)();
            self.warm = self.seen;
        }
    }

    /// What was counted since.
    fn told(&self, hits: u64) -> Told {
        let (wall, cpu) = (self.watch.wall().as_secs_f64(), self.watch.cpu().as_secs_f64());
        Told { frames: self.seen - self.warm, hits, wall, cpu }
    }
}

#[cfg(feature = "others")]
/// The end of a process whose libraries have none: they would connect again.
fn leave(told: &Told) -> ! {
    println!("{}", serde_json::to_string(told).expect("numbers"));
    std::process::exit(0)
}

/// As they are read from crates.io: on all processors.
fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime")
}

/// For how long a consumer may be given nothing before it counts as stuck.
const PATIENCE: Duration = Duration::from_secs(30);

/// Whether a text carries a community's hashtag, as one would write it.
fn is_hit(text: &str) -> bool {
    text.contains("#atrarium_")
}

fn pause() {
    machine::pause(Duration::from_millis(1));
}

/// How many bytes all messages of a stream are, with their heads.
pub fn bytes_of(stream: &Stream) -> u64 {
    let mut bytes = 0;
    session::messages(stream, |message| {
        let head = match message.len() {
            0..126 => 2,
            126..0x1_0000 => 4,
            _ => 10,
        };
        bytes += head + message.len() as u64;
    });
    bytes
}
