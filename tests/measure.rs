//! First figures of the whole engine, with their references in the same run. Not a test that can fail by speed:
//! `cargo test --release --test measure -- --ignored --nocapture`
#![allow(clippy::disallowed_methods, reason = "tests wait for other processes, by the real clock")]

#[path = "spine/process.rs"]
#[allow(dead_code, reason = "shared with tests that serve")]
mod process;

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use process::{Engine, json, pause};
use simnet::server::{Server, ServerOptions};
use simnet::{Dialect, Options, Reel};

const EVENTS: u64 = 1_000_000;

/// A bare loop over the same bytes: handshake, then `recv` until as many bytes have come as the engine was sent.
fn bare_recv(server: &Server, path: &str, bytes: u64) -> Duration {
    let mut stream = TcpStream::connect(server.address()).expect("it listens");
    write!(
        stream,
        "GET {path} HTTP/1.1\r\nhost: x\r\nupgrade: websocket\r\nconnection: upgrade\r\n\
         sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    )
    .expect("sent");
    let mut buffer = vec![0; 256 << 10];
    let (mut read, started) = (0, Instant::now());
    while read < bytes {
        match stream.read(&mut buffer).expect("it sends") {
            0 => break,
            count => read += count as u64,
        }
    }
    started.elapsed()
}

/// User and system time of a process so far, in seconds.
fn cpu_seconds(pid: u32) -> f64 {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).expect("it runs");
    let fields: Vec<&str> = stat.rsplit(')').next().expect("fields").split_whitespace().collect();
    (fields[11].parse::<f64>().expect("ticks") + fields[12].parse::<f64>().expect("ticks")) / 100.0
}

fn feeds_of(engine: &Engine) -> Vec<String> {
    let described = json(engine.http, "/xrpc/app.bsky.feed.describeFeedGenerator");
    let uris = described["feeds"].as_array().expect("feeds").iter();
    uris.map(|feed| feed["uri"].as_str().expect("a URI").replace('%', "%25")).collect()
}

/// One keep-alive connection after the other feed; the time of each answer.
fn skeletons(engine: &Engine, feeds: &[String], count: usize) -> Vec<Duration> {
    let mut stream = TcpStream::connect(engine.http).expect("it listens");
    stream.set_nodelay(true).expect("a socket");
    let mut buffer = vec![0; 64 << 10];
    let mut times = Vec::with_capacity(count);
    for at in 0..count {
        let feed = &feeds[at * 7 % feeds.len()];
        let request =
            format!("GET /xrpc/app.bsky.feed.getFeedSkeleton?feed={feed}&limit=50 HTTP/1.1\r\nhost: x\r\n\r\n");
        let started = Instant::now();
        stream.write_all(request.as_bytes()).expect("sent");
        let mut filled = 0;
        loop {
            filled += stream.read(&mut buffer[filled..]).expect("answered");
            let text = std::str::from_utf8(&buffer[..filled]).expect("UTF-8");
            let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
            // While the stream goes on, a community may end between two requests.
            let is_answer = head.starts_with("HTTP/1.1 200") || body.contains("UnknownFeed");
            assert!(is_answer, "{head}");
            let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")).expect("a length");
            if body.len() >= length.parse::<usize>().expect("a number") {
                break;
            }
        }
        times.push(started.elapsed());
    }
    times.sort_unstable();
    times
}

fn print_times(what: &str, times: &[Duration]) {
    let at = |share: f64| times[((times.len() - 1) as f64 * share) as usize].as_secs_f64() * 1e6;
    println!(
        "{what}: {} skeletons, p50 {:.0} µs, p99 {:.0} µs, p99.9 {:.0} µs",
        times.len(),
        at(0.5),
        at(0.99),
        at(0.999)
    );
}

#[test]
#[ignore = "a measurement, not a test: a million events in each dialect"]
fn frames_a_second_and_skeletons() {
    let options = Options { events: EVENTS, communities: 1000, hit_rate: 0.005, ..Options::default() };
    let last = simnet::Network::new(&options).last().expect("events").time.to_string();
    let reel = Reel::of_network(&options, false, true);
    let server = Server::start("127.0.0.1:0", reel, ServerOptions::default()).expect("a free port");
    server.prepare(Dialect::V1, false);
    server.prepare(Dialect::V2, false);
    for (dialect, path) in [
        (Dialect::V1, "/subscribe?cursor=1000000000000000"),
        (Dialect::V2, "/xrpc/network.bsky.jetstream.subscribeEvents?cursor=0"),
    ] {
        let home = tempfile::tempdir().expect("a directory");
        let url = format!("ws://{}{}", server.address(), path.split('?').next().expect("a path"));
        let started = Instant::now();
        let engine = Engine::start(home.path(), &[url], &[]);
        engine.wait_for(&last);
        let (took, cpu) = (started.elapsed(), cpu_seconds(engine.pid()));
        let metrics = process::get(engine.admin, "/metrics").1;
        let bytes = metrics.lines().find_map(|line| line.strip_prefix("atrarium_frame_bytes_total ")).expect("bytes");
        let bytes: f64 = bytes.trim().parse().expect("a number");
        // Each frame has a header of 4 bytes at these sizes; the rest is the payload that the engine has counted.
        let bare = bare_recv(&server, path, bytes as u64 + 4 * EVENTS - 4096);
        println!(
            "{dialect:?}: {:.0} frames/s end to end, {:.0} ns of CPU a frame; bare recv {:.0} frames/s, wall ratio {:.2}",
            EVENTS as f64 / took.as_secs_f64(),
            cpu * 1e9 / EVENTS as f64,
            EVENTS as f64 / bare.as_secs_f64(),
            took.as_secs_f64() / bare.as_secs_f64(),
        );
        let feeds = feeds_of(&engine);
        print_times("  idle", &skeletons(&engine, &feeds, 20_000));
        let memory = metrics.lines().find_map(|line| line.strip_prefix("atrarium_memory_bytes ")).unwrap_or("0");
        println!("  resident {:.0} MB, {} feeds", memory.trim().parse::<f64>().expect("a number") / 1e6, feeds.len());
    }
    while_ingesting();
}

/// Live latency and skeletons while 5,000 events a second come.
fn while_ingesting() {
    let epoch = simnet::parse_time("now").expect("now");
    let options =
        Options { events: 60_000, communities: 200, hit_rate: 0.2, density: 5_000, epoch, ..Options::default() };
    let server = Server::start(
        "127.0.0.1:0",
        Reel::of_network(&options, false, true),
        ServerOptions { rate: Some(5_000.0), ..ServerOptions::default() },
    )
    .expect("a free port");
    let home = tempfile::tempdir().expect("a directory");
    let engine = Engine::start(home.path(), &[format!("ws://{}", server.address())], &[]);
    pause(3_000);
    let feeds = feeds_of(&engine);
    print_times("while ingesting 5,000 events/s", &skeletons(&engine, &feeds, 50_000));
    pause(1_000);
    for line in process::get(engine.admin, "/metrics").1.lines() {
        let told = ["atrarium_visible_latency_seconds", "atrarium_log_sync_seconds", "atrarium_skeleton_seconds"];
        if told.iter().any(|name| line.starts_with(name)) {
            println!("  {line}");
        }
    }
}
