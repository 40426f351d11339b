//! A host that sends one stream over one wire, and what those who read it say.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;

use clap::ValueEnum;
use simnet::server::{Server, ServerOptions};
use simnet::{Dictionary, Reel};

use crate::consume::{Consumer, Told, Wire};
use crate::engine::Engine;
use crate::machine;

/// A host that has one wire ready.
pub struct Host {
    server: Server,
    wire: Wire,
    /// How many there are.
    frames: u64,
    /// Of all messages with their heads.
    bytes: u64,
    dictionary: Option<PathBuf>,
    home: tempfile::TempDir,
}

impl Host {
    /// A host that sends these frames, as fast as they are read. `public` is the dictionary of v1 that peers have built in.
    pub fn new(reel: Arc<Reel>, wire: Wire, public: Option<&Path>) -> Self {
        let home = tempfile::tempdir().expect("a directory");
        let public = public.filter(|_| wire == Wire::V1Zstd);
        let public = public.map(|path| Dictionary::read(path).expect("a dictionary"));
        let dictionary = public.clone().unwrap_or_else(|| Dictionary::of_simnet(wire.dialect()));
        let path = home.path().join("dictionary");
        std::fs::write(&path, dictionary.bytes()).expect("written");
        let frames = reel.len();
        let server =
            Server::start("127.0.0.1:0", reel, ServerOptions { dictionary_v1: public, ..ServerOptions::default() })
                .expect("a free port");
        server.prepare(wire.dialect(), wire.is_zstd());
        let mut host = Self { server, wire, frames, bytes: 0, dictionary: wire.is_zstd().then_some(path), home };
        host.bytes = host.count();
        host
    }

    /// Frames that come before anything is counted.
    fn warm(&self) -> u64 {
        self.frames / 4
    }

    /// How many bytes all messages are, by reading them once.
    fn count(&self) -> u64 {
        let stream = crate::consume::Stream {
            host: self.server.address(),
            wire: self.wire,
            frames: self.frames,
            warm: 0,
            bytes: 0,
            dictionary: self.dictionary.clone(),
        };
        crate::consume::bytes_of(&stream)
    }

    /// What one consumer says; `None` where it gave up.
    pub fn read(&self, who: &str) -> Option<Told> {
        let consumer = Consumer::from_str(who, true).expect("one of the consumers");
        let name = consumer.to_possible_value().expect("it has a name");
        let mut command = Command::new(std::env::current_exe().expect("this program"));
        command.args(["consume", name.get_name(), "--host", &self.server.address().to_string()]);
        command.args(["--wire", self.wire.as_str(), "--frames", &self.frames.to_string()]);
        command.args(["--bytes", &self.bytes.to_string(), "--warm", &self.warm().to_string()]);
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

    /// What the engine says, started with some more arguments.
    pub fn read_with_engine(&self, binary: &Path, arguments: &[&str]) -> Told {
        let data = tempfile::tempdir_in(self.home.path()).expect("a directory");
        let path = if self.wire.dialect() == simnet::Dialect::V1 { "/subscribe" } else { "" };
        let url = format!("ws://{}{path}", self.server.address());
        let zstd = if self.wire.is_zstd() { "on" } else { "off" };
        let mut more = [&["--upstream", &url, "--zstd", zstd], arguments].concat();
        if let Some(path) = self.dictionary.as_deref().filter(|_| self.wire == Wire::V1Zstd) {
            more.extend(["--zstd-dictionary", path.to_str().expect("UTF-8")]);
        }
        let engine = Engine::start(binary, &data.path().join("data"), &more);
        let before = engine.reach(self.warm());
        let (began, cpu) = (machine::now(), machine::cpu_of(engine.pid()));
        let wall = engine.wait_for(self.frames, began);
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
