//! `atrarium serve`, as an operator runs it, and the little HTTP that asks it.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::machine;

/// The root of the repository.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// Builds the binary that users run, by the profile that they use, and says where it lies.
pub fn build() -> PathBuf {
    let mut cargo = Command::new(std::env::var("CARGO").unwrap_or_else(|_| "cargo".into()));
    cargo.args(["build", "--release", "--bin", "atrarium"]).current_dir(root());
    let done = cargo.status().expect("cargo can be run");
    assert!(done.success(), "atrarium does not build");
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), |dir| root().join(dir));
    target.join("release/atrarium")
}

/// What has not changed for so long is at its end. (An idle engine writes a clock fact once a second at most.)
const SETTLED: Duration = Duration::from_millis(300);

/// A running engine. It is killed when dropped.
#[derive(Debug)]
pub struct Engine {
    child: Child,
    /// Where readers ask.
    pub http: SocketAddr,
    /// Where operators ask.
    pub admin: SocketAddr,
    /// From its start until it listened.
    pub start: Duration,
}

impl Engine {
    /// Starts it on free ports and waits until it listens.
    pub fn start(binary: &Path, data_dir: &Path, more: &[&str]) -> Self {
        let began = machine::now();
        let mut command = Command::new(binary);
        for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("ATRARIUM_")) {
            command.env_remove(name);
        }
        command.arg("serve").arg("--data-dir").arg(data_dir);
        command.args(["--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0"]).args(more);
        let mut child =
            command.stdout(Stdio::piped()).stderr(Stdio::null()).stdin(Stdio::null()).spawn().expect("it starts");
        let mut line = String::new();
        BufReader::new(child.stdout.take().expect("piped")).read_line(&mut line).expect("a line");
        let address = |key: &str| {
            let word = line.split_whitespace().find_map(|word| word.strip_prefix(key));
            word.unwrap_or_else(|| panic!("no {key} in {line:?}")).parse().expect("an address")
        };
        Self { http: address("http="), admin: address("admin="), child, start: began.elapsed() }
    }

    /// `/status`
    pub fn status(&self) -> Value {
        serde_json::from_str(&get(self.admin, "/status")).expect("JSON")
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Waits until it has read so many frames, at least; how many they are.
    pub fn reach(&self, frames: u64) -> u64 {
        let began = machine::now();
        loop {
            let reached = self.status()["frames"].as_u64().unwrap_or(0);
            if reached >= frames {
                return reached;
            }
            assert!(began.elapsed() < Duration::from_secs(300), "not at {frames} frames after five minutes");
            machine::pause(Duration::from_millis(1));
        }
    }

    /// Waits until it has read so many frames, and all facts of them are durable and shown: until nothing changes any more.
    /// How long the reading took.
    pub fn wait_for(&self, frames: u64, began: Instant) -> Duration {
        let deadline = began + Duration::from_secs(300);
        let mut reached = None;
        loop {
            let status = self.status();
            assert!(machine::now() < deadline, "not at {frames} frames after five minutes: {status}");
            if status["frames"].as_u64() >= Some(frames) {
                let log = (status["log"]["last_lsn"].clone(), status["posts"].clone());
                match &reached {
                    Some((at, known)) if *known == log => {
                        if began.elapsed() - *at > SETTLED {
                            return *at;
                        }
                    }
                    _ => reached = Some((began.elapsed(), log)),
                }
                machine::pause(Duration::from_millis(50));
            }
            machine::pause(Duration::from_millis(5));
        }
    }

    /// The address of every feed.
    pub fn feeds(&self) -> Vec<String> {
        feeds_at(self.http)
    }

    /// The same, once there is one.
    pub fn first_feeds(&self) -> Vec<String> {
        let began = machine::now();
        loop {
            let feeds = self.feeds();
            if !feeds.is_empty() {
                return feeds;
            }
            assert!(began.elapsed() < Duration::from_secs(30), "no community after half a minute");
            machine::pause(Duration::from_millis(50));
        }
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        let _ended = self.child.kill();
        let _status = self.child.wait();
    }
}

/// The address of every feed that a server has, as the AppView would ask for it.
pub fn feeds_at(server: SocketAddr) -> Vec<String> {
    let described: Value =
        serde_json::from_str(&get(server, "/xrpc/app.bsky.feed.describeFeedGenerator")).expect("JSON");
    let feeds = described["feeds"].as_array().expect("feeds").iter();
    feeds.filter_map(|feed| Some(feed["uri"].as_str()?.replace('%', "%25"))).collect()
}

/// The body of a GET that must succeed.
pub fn get(address: SocketAddr, target: &str) -> String {
    let mut stream = TcpStream::connect(address).expect("it listens");
    write!(stream, "GET {target} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n").expect("it reads");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("it answers");
    let (head, body) = answer.split_once("\r\n\r\n").expect("a head and a body");
    assert!(head.starts_with("HTTP/1.1 200"), "{target}: {head}");
    body.to_owned()
}
