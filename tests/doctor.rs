//! `atrarium doctor` and `atrarium publish` as an operator runs them: without a network, and beside a server of their own.
#![cfg(feature = "server")]

use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};

use serde_json::Value;

const PUBLISHER: &str = "did:plc:ewvi7nxzyoun6zhxrhs64oiz";
/// Nobody listens there.
const NOWHERE: &str = "http://127.0.0.1:9";

fn atrarium(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_atrarium")).args(arguments).output().expect("it starts")
}

fn checks(output: &Output) -> Vec<(String, Option<bool>, String)> {
    let told: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let checks = told["checks"].as_array().expect("a list");
    assert_eq!(told["ok"].as_bool(), Some(checks.iter().all(|check| check["ok"] == true)));
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let failed = checks.iter().filter(|check| check["ok"] == false);
    assert!(failed.clone().all(|check| check["remedy"].is_string()), "{told}");
    checks.iter().map(|check| (text(&check["check"]), check["ok"].as_bool(), text(&check["says"]))).collect()
}

fn doctor(data_dir: &Path, public_url: &str, directory: &str, upstream: &str) -> Output {
    let data_dir = data_dir.to_str().expect("a path of text");
    atrarium(&[
        "doctor",
        "--json",
        "--allow-loopback",
        "--data-dir",
        data_dir,
        "--public-url",
        public_url,
        "--plc-directory",
        directory,
        "--upstream",
        upstream,
        "--publisher-did",
        PUBLISHER,
    ])
}

#[test]
fn what_is_missing_is_a_usage_error_and_says_what_to_give() {
    for command in ["doctor", "publish"] {
        let output = atrarium(&[command, "--public-url", "https://feeds.example.org"]);
        assert_eq!(output.status.code(), Some(2));
        assert!(String::from_utf8_lossy(&output.stderr).contains("--publisher-did"), "{command}");
        let output = atrarium(&[command, "--publisher-did", PUBLISHER]);
        assert_eq!(output.status.code(), Some(2));
        assert!(String::from_utf8_lossy(&output.stderr).contains("--public-url"), "{command}");
    }
}

#[test]
fn without_a_network_each_check_fails_or_is_skipped_and_says_why() {
    let home = tempfile::tempdir().expect("a directory");
    let output = doctor(home.path(), NOWHERE, NOWHERE, "ws://127.0.0.1:9/subscribe");
    assert_eq!(output.status.code(), Some(1));
    let checks = checks(&output);
    let names: Vec<&str> = checks.iter().map(|(name, ..)| name.as_str()).collect();
    let order = [
        "clock",
        "data directory",
        "upstream",
        "public URL",
        "did.json",
        "service DID",
        "publisher's records",
        "skeleton",
    ];
    assert_eq!(names, order);
    for (name, ok, says) in &checks {
        let expected = if matches!(name.as_str(), "did.json" | "skeleton") { None } else { Some(false) };
        assert_eq!((*ok, says.is_empty()), (expected, false), "{name}: {says}");
    }
}

/// A server, stopped at the end.
struct Serve(Child);

impl Drop for Serve {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn free_port() -> u16 {
    let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a free port");
    listener.local_addr().expect("bound").port()
}

#[test]
fn a_server_that_runs_is_found_by_its_public_url() {
    let home = tempfile::tempdir().expect("a directory");
    let frames = home.path().join("frames.jsonl");
    let mut file = std::fs::File::create(&frames).expect("a file");
    let options = simnet::Options { events: 2000, communities: 5, hit_rate: 1.0, ..simnet::Options::default() };
    simnet::Network::write(&options, simnet::Dialect::V1, &mut file).expect("written");
    drop(file);
    let data = home.path().join("data");
    let data_dir = data.to_str().expect("text");
    let replayed = atrarium(&["replay", frames.to_str().expect("text"), "--data-dir", data_dir]);
    assert!(replayed.status.success(), "{}", String::from_utf8_lossy(&replayed.stderr));

    let port = free_port();
    let public_url = format!("http://localhost:{port}");
    let listen = format!("127.0.0.1:{port}");
    let mut serve = Command::new(env!("CARGO_BIN_EXE_atrarium"));
    serve.args(["serve", "--data-dir", data_dir, "--listen", &listen, "--admin-listen", "127.0.0.1:0"]);
    serve.args(["--public-url", &public_url, "--publisher-did", PUBLISHER, "--upstream", "ws://127.0.0.1:9/subscribe"]);
    serve.args(["--rate-limit", "off"]).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut serve = Serve(serve.spawn().expect("it starts"));
    let mut line = String::new();
    BufReader::new(serve.0.stdout.take().expect("piped")).read_line(&mut line).expect("a line");
    assert!(line.starts_with("listening"), "{line}");

    let output = doctor(&data, &public_url, NOWHERE, "ws://127.0.0.1:9/subscribe");
    let checks = checks(&output);
    let of = |wanted: &str| checks.iter().find(|(name, ..)| name == wanted).map(|(_, ok, says)| (*ok, says.clone()));
    for name in ["data directory", "public URL", "did.json", "service DID", "skeleton"] {
        let (ok, says) = of(name).expect("checked");
        assert_eq!(ok, Some(true), "{name}: {says}");
    }
    // The publisher's directory is nowhere.
    assert_eq!(of("publisher's records").map(|(ok, _)| ok), Some(Some(false)));
    assert_eq!(output.status.code(), Some(1));
}
