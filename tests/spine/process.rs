//! The engine as a process, and the little HTTP that asks it.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

/// `atrarium`, built with these tests.
pub fn atrarium() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_atrarium"));
    // What an operator's shell may hold must not reach the tests.
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("ATRARIUM_")) {
        command.env_remove(name);
    }
    command
}

/// Runs a command to its end: exit code, stdout, stderr.
pub fn run(arguments: &[&str]) -> (i32, String, String) {
    let output = atrarium().args(arguments).stdin(Stdio::null()).output().expect("the program starts");
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("UTF-8");
    (output.status.code().expect("an exit code"), text(output.stdout), text(output.stderr))
}

/// A running `atrarium serve`. It is killed when dropped.
pub struct Engine {
    child: Child,
    pub http: SocketAddr,
    pub admin: SocketAddr,
}

impl Engine {
    /// Starts it on free ports and waits until it listens.
    pub fn start(data_dir: &Path, upstreams: &[String], more: &[&str]) -> Self {
        let mut command = atrarium();
        command.arg("serve").arg("--data-dir").arg(data_dir);
        for upstream in upstreams {
            command.arg("--upstream").arg(upstream);
        }
        command.args(["--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0"]).args(more);
        let mut child =
            command.stdout(Stdio::piped()).stderr(Stdio::null()).stdin(Stdio::null()).spawn().expect("it starts");
        let mut line = String::new();
        BufReader::new(child.stdout.take().expect("piped")).read_line(&mut line).expect("a line");
        let address = |key: &str| {
            let word = line.split_whitespace().find_map(|word| word.strip_prefix(key));
            word.unwrap_or_else(|| panic!("no {key} in {line:?}")).parse().expect("an address")
        };
        Self { http: address("http="), admin: address("admin="), child }
    }

    /// `/status`
    pub fn status(&self) -> Value {
        json(self.admin, "/status")
    }

    /// Waits until everything up to a stream time (RFC 3339) is durable and can be read.
    pub fn wait_for(&self, time: &str) {
        let deadline = Instant::now() + Duration::from_secs(120);
        loop {
            let status = self.status();
            if status["upstream"]["cursor_time"].as_str().is_some_and(|reached| reached >= time) {
                return;
            }
            assert!(Instant::now() < deadline, "not at {time} after two minutes: {status}");
            pause(20);
        }
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// SIGKILL.
    pub fn kill(mut self) {
        self.child.kill().expect("it runs");
        self.child.wait().expect("it ends");
    }

    /// SIGTERM; the exit code and how long it took.
    pub fn terminate(mut self) -> (i32, Duration) {
        let started = Instant::now();
        let pid = i32::try_from(self.child.id()).ok().and_then(rustix::process::Pid::from_raw).expect("a pid");
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).expect("it runs");
        let status = self.child.wait().expect("it ends");
        (status.code().expect("an exit code"), started.elapsed())
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        // It has ended already where a test has killed or stopped it.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

pub fn pause(millis: u64) {
    std::thread::sleep(Duration::from_millis(millis));
}

/// A GET; status and body.
pub fn get(address: SocketAddr, target: &str) -> (u16, String) {
    let mut stream = TcpStream::connect(address).expect("it listens");
    write!(stream, "GET {target} HTTP/1.1\r\nhost: test\r\nconnection: close\r\n\r\n").expect("sent");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("answered");
    let (head, body) = answer.split_once("\r\n\r\n").expect("a head and a body");
    (head.split(' ').nth(1).and_then(|code| code.parse().ok()).expect("a status"), body.to_owned())
}

/// A GET that must succeed and answer JSON.
pub fn json(address: SocketAddr, target: &str) -> Value {
    let (status, body) = get(address, target);
    assert_eq!(status, 200, "{target}: {body}");
    serde_json::from_str(&body).unwrap_or_else(|error| panic!("{target}: {error}: {body}"))
}
