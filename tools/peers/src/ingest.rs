//! One stream, read by everybody: what a frame costs.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;

use clap::ValueEnum;
use serde::{Deserialize, Serialize};
use simnet::server::{Server, ServerOptions};
use simnet::{Dictionary, Options, Reel};

use crate::consume::{Consumer, Told, Wire};
use crate::engine::Engine;
use crate::machine::{self, median};

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

impl Plan {
    /// Frames that come before anything is counted.
    fn warm(&self) -> u64 {
        self.events / 4
    }
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
            let host = Host::new(Arc::clone(&reel), wire, plan);
            let mut all: BTreeMap<&str, Vec<Option<Told>>> = BTreeMap::new();
            for round in 0..plan.rounds {
                for who in readers(wire, plan) {
                    eprintln!("{} at {} % hits, round {}: {who}", wire.as_str(), hit_rate * 100.0, round + 1);
                    all.entry(who).or_default().push(host.read(who, plan));
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

/// A host that has one wire ready.
struct Host {
    server: Server,
    wire: Wire,
    /// Of all messages with their heads.
    bytes: u64,
    dictionary: Option<PathBuf>,
    home: tempfile::TempDir,
}

impl Host {
    fn new(reel: Arc<Reel>, wire: Wire, plan: &Plan) -> Self {
        let home = tempfile::tempdir().expect("a directory");
        let public = plan.public_dictionary.as_ref().filter(|_| wire == Wire::V1Zstd);
        let public = public.map(|path| Dictionary::read(path).expect("a dictionary"));
        let dictionary = public.clone().unwrap_or_else(|| Dictionary::of_simnet(wire.dialect()));
        let path = home.path().join("dictionary");
        std::fs::write(&path, dictionary.bytes()).expect("written");
        let server =
            Server::start("127.0.0.1:0", reel, ServerOptions { dictionary_v1: public, ..ServerOptions::default() })
                .expect("a free port");
        server.prepare(wire.dialect(), wire.is_zstd());
        let mut host = Self { server, wire, bytes: 0, dictionary: wire.is_zstd().then_some(path), home };
        host.bytes = host.count(plan.events);
        host
    }

    /// How many bytes all messages are, by reading them once.
    fn count(&self, frames: u64) -> u64 {
        let stream = crate::consume::Stream {
            host: self.server.address(),
            wire: self.wire,
            frames,
            warm: 0,
            bytes: 0,
            dictionary: self.dictionary.clone(),
        };
        crate::consume::bytes_of(&stream)
    }

    /// What one consumer says; `None` where it gave up.
    fn read(&self, who: &str, plan: &Plan) -> Option<Told> {
        if who == ENGINE {
            return Some(self.read_with_engine(plan));
        }
        let consumer = Consumer::from_str(who, true).expect("one of the consumers");
        let name = consumer.to_possible_value().expect("it has a name");
        let mut command = Command::new(std::env::current_exe().expect("this program"));
        command.args(["consume", name.get_name(), "--host", &self.server.address().to_string()]);
        command.args(["--wire", self.wire.as_str(), "--frames", &plan.events.to_string()]);
        command.args(["--bytes", &self.bytes.to_string(), "--warm", &plan.warm().to_string()]);
        if let Some(path) = &self.dictionary {
            command.arg("--dictionary").arg(path);
        }
        let done = command.stdin(Stdio::null()).stderr(Stdio::inherit()).output().expect("it runs");
        let text = String::from_utf8_lossy(&done.stdout);
        let told = text.lines().last().and_then(|line| serde_json::from_str(line).ok());
        if told.is_none() {
            eprintln!("{who} did not read {} to the end", self.wire.as_str());
        }
        told
    }

    fn read_with_engine(&self, plan: &Plan) -> Told {
        let data = tempfile::tempdir_in(self.home.path()).expect("a directory");
        let path = if self.wire.dialect() == simnet::Dialect::V1 { "/subscribe" } else { "" };
        let url = format!("ws://{}{path}", self.server.address());
        let zstd = if self.wire.is_zstd() { "on" } else { "off" };
        let mut more = vec!["--upstream", &url, "--zstd", zstd];
        if let Some(path) = self.dictionary.as_deref().filter(|_| self.wire == Wire::V1Zstd) {
            more.extend(["--zstd-dictionary", path.to_str().expect("UTF-8")]);
        }
        let engine = Engine::start(&plan.binary, &data.path().join("data"), &more);
        let before = engine.reach(plan.warm());
        let (began, cpu) = (machine::now(), machine::cpu_of(engine.pid()));
        let wall = engine.wait_for(plan.events, began);
        let cpu = machine::cpu_of(engine.pid()) - cpu;
        let status = engine.status();
        let frames = status["frames"].as_u64().unwrap_or(0) - before;
        Told { frames, hits: status["hits"].as_u64().unwrap_or(0), wall: wall.as_secs_f64(), cpu: cpu.as_secs_f64() }
    }
}

/// The dictionary of v1 as the public hosts have it, where the fixtures are at hand.
pub fn public_dictionary() -> Option<PathBuf> {
    let beside = crate::engine::root().join("../shared/fixtures");
    let fixtures = std::env::var_os("ATRARIUM_FIXTURES").map_or(beside, PathBuf::from);
    let path = fixtures.join("jetstream/subscribe_v1.1612007021.zdict");
    Path::exists(&path).then_some(path)
}
