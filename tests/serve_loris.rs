//! Clients that hold sockets and say next to nothing, beside readers who ask: the readers must not notice.
//!
//! The campaign with as many sockets as the limit of open files allows, at most 5,000:
//!
//! `cargo test --release --test serve_loris -- --ignored --nocapture`
#![cfg(feature = "server")]

mod serve_support;

use std::net::TcpStream;
use std::time::Duration;

use atrarium::clock::Clock;
use atrarium::serve::{Bounds, ServeConfig};
use serve_support::{Client, Server};

/// Each reader asks this often in one run: a tenth of a second in a test, four seconds in the campaign.
const REQUESTS: usize = 2_000;
const CAMPAIGN_REQUESTS: usize = 100_000;

/// What the readers met.
struct Run {
    p50: Duration,
    p99: Duration,
}

/// Two readers ask so often each, one request after the other, on connections that they keep.
fn read(server: &Server, requests: usize) -> Run {
    let target = format!("/xrpc/app.bsky.feed.getFeedSkeleton?feed={}", server.feed("a1b2c3d4"));
    let request = format!("GET {target} HTTP/1.1\r\nhost: a\r\n\r\n");
    let clock = Clock::real();
    let reader = || {
        let mut client = Client::connect(server.http);
        let ask = |_| {
            let began = clock.monotonic();
            assert_eq!(client.ask(&request).status, 200);
            clock.monotonic() - began
        };
        (0..requests).map(ask).collect::<Vec<_>>()
    };
    let mut times: Vec<Duration> = std::thread::scope(|scope| {
        let readers: Vec<_> = (0..2).map(|_| scope.spawn(reader)).collect();
        readers.into_iter().flat_map(|reader| reader.join().expect("a reader has panicked")).collect()
    });
    times.sort_unstable();
    Run { p50: times[times.len() / 2], p99: times[times.len() * 99 / 100] }
}

/// Sockets that have each sent half a head.
fn hold(server: &Server, sockets: usize) -> Vec<TcpStream> {
    let half = |_| {
        let mut client = Client::connect(server.http);
        client.send("GET / HTTP/1.1\r\nhost: a\r\n");
        client.stream
    };
    (0..sockets).map(half).collect()
}

/// All of them say a little more, as long as anybody reads.
#[expect(clippy::disallowed_methods, reason = "the slow ones are slow")]
fn dribble_until(sockets: &[TcpStream], done: &std::sync::atomic::AtomicBool) -> usize {
    use std::io::Write;
    let mut said = 0;
    while !done.load(std::sync::atomic::Ordering::Relaxed) {
        for mut socket in sockets.iter().skip(said % 50).step_by(50) {
            let _ = socket.write(b"x: y\r\n");
        }
        said += 1;
        std::thread::sleep(Duration::from_millis(20));
    }
    said
}

/// The readers alone, with the slow ones, alone again.
fn campaign(sockets: usize, requests: usize, ratio_max: f64) {
    // The slow ones are not cut in between: what is measured is that they are held.
    let bounds = Bounds { head: Duration::from_secs(60), ..Bounds::default() };
    let server = Server::start_with(1, bounds, &ServeConfig::default());
    read(&server, requests);
    let before = read(&server, requests);
    let held = hold(&server, sockets);
    let done = std::sync::atomic::AtomicBool::new(false);
    let beside = std::thread::scope(|scope| {
        let slow = scope.spawn(|| dribble_until(&held, &done));
        let beside = read(&server, requests);
        done.store(true, std::sync::atomic::Ordering::Relaxed);
        slow.join().expect("the slow ones have panicked");
        beside
    });
    assert_eq!(server.telemetry.connections_timed_out.get() + server.telemetry.connections_refused.get(), 0);
    drop(held);
    let after = read(&server, requests);
    let alone = before.p99.max(after.p99);
    let ratio = beside.p99.as_secs_f64() / alone.as_secs_f64();
    println!(
        "{sockets} slow sockets: p50 {:?} (alone {:?} and {:?}), p99 {:?} (alone {:?} and {:?}): {ratio:.2} times",
        beside.p50, before.p50, after.p50, beside.p99, before.p99, after.p99
    );
    assert!(ratio < ratio_max, "{ratio}");
}

/// A machine that does other things too may be slow for a while at any time: so the bound is wide here.
#[test]
fn readers_do_not_notice_two_hundred_slow_sockets() {
    campaign(200, REQUESTS, 20.0);
}

#[test]
#[ignore = "a measurement"]
fn readers_do_not_notice_five_thousand_slow_sockets() {
    let files = rustix::process::getrlimit(rustix::process::Resource::Nofile).current.unwrap_or(1024);
    // Both ends of each socket are open here.
    let sockets = (usize::try_from(files).unwrap_or(usize::MAX).saturating_sub(200) / 2).min(5_000);
    campaign(sockets, CAMPAIGN_REQUESTS, 3.0);
}

/// With the usual bound they are cut, each within its time, and their places are free again.
#[test]
fn slow_sockets_are_cut() {
    let bounds = Bounds { head: Duration::from_millis(300), connections: 150, ..Bounds::default() };
    let server = Server::start_with(1, bounds, &ServeConfig::default());
    let held = hold(&server, 150);
    for slow in held {
        let mut client = Client::of(slow);
        while !client.is_closed() {}
    }
    assert_eq!(server.telemetry.connections_timed_out.get(), 150);
    assert_eq!(server.get("/xrpc/_health").status, 200);
}
