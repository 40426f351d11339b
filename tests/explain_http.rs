//! `/api/explain`: its parameters, its errors, its bounds; and a flood of questions while the stream is read, which must
//! change nothing.
#![cfg(feature = "server")]
#![allow(clippy::disallowed_methods, reason = "tests wait for other processes, by the real clock")]

#[path = "spine/compare.rs"]
mod compare;
#[path = "spine/process.rs"]
#[allow(dead_code, reason = "shared with tests that measure")]
mod process;
mod serve_support;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use atrarium::community::Fold;
use atrarium::limits::{EXPLAIN_TIMEOUT_MILLIS, INQUIRIES_MAX};
use atrarium::syntax::Time;
use compare::assert_feeds;
use process::{Engine, get};
use serde_json::Value;
use serve_support::{Client, Server};
use simnet::server::{Pace, ServerOptions};
use simnet::{Dialect, Options, Reel};

const EXPLAIN: &str = "/api/explain";
const POST: &str = "at://did:plc:a/app.bsky.feed.post/3l";

fn request(target: &str) -> String {
    format!("GET {target} HTTP/1.1\r\nhost: a\r\n\r\n")
}

#[test]
fn bad_parameters_are_refused_with_their_name() {
    let server = Server::start();
    for (query, about) in [
        ("", "uri is missing"),
        ("?uri=", "uri is not a valid AT-URI"),
        ("?uri=at://alice.example/app.bsky.feed.post/3l", "uri is not a valid AT-URI"),
        ("?uri=at://did:plc:a/app.bsky.feed.post", "uri is not a valid AT-URI"),
        ("?uri=at://did:plc:a/app.bsky.feed.like/3l", "uri names no post"),
        ("?uri=at://did:plc:a/app.bsky.feed.post/3l&uri=x", "more than once"),
        ("?uri=at://did:plc:a/app.bsky.feed.post/3l&community=a1b2c3", "community is not"),
        ("?uri=at://did:plc:a/app.bsky.feed.post/3l&community=A1B2C3D4", "community is not"),
        ("?uri=at://did:plc:a/app.bsky.feed.post/3l&community=", "community is not"),
        ("?uri=%FF", "UTF-8"),
    ] {
        let reply = server.get(&format!("{EXPLAIN}{query}"));
        assert_eq!((reply.status, &*reply.error()), (400, "InvalidRequest"), "{query}");
        assert!(reply.body.contains(about), "{query}: {}", reply.body);
    }
    let reply = server.ask(&format!("POST {EXPLAIN} HTTP/1.1\r\nhost: a\r\ncontent-length: 0\r\n\r\n"));
    assert_eq!((reply.status, reply.header("allow")), (405, Some("GET, HEAD, OPTIONS")));
    let reply = server.ask(&format!("OPTIONS {EXPLAIN} HTTP/1.1\r\nhost: a\r\n\r\n"));
    assert_eq!(reply.status, 204);
}

/// The folding thread's part is played by the test.
#[test]
fn an_answer_is_waited_for_and_the_connection_goes_on() {
    let server = Server::start();
    let fold = Fold::new();
    let mut client = Client::connect(server.http);
    for _ in 0..2 {
        client.send(request(&format!("{EXPLAIN}?uri={POST}")));
        let mut answerer = server.answerer.lock().expect("no test panics with it");
        while answerer.answer(&fold, Time::EPOCH, 1, || true) == 0 {
            std::thread::yield_now();
        }
        let reply = client.reply();
        assert_eq!((reply.status, &*reply.error()), (404, "NotFound"));
        assert!(reply.body.contains(POST), "{}", reply.body);
        assert_eq!(reply.header("access-control-allow-origin"), Some("*"));
    }
    assert_eq!(client.ask(&request("/xrpc/_health")).status, 200);
}

#[test]
fn a_full_box_answers_at_once_and_nobody_waits_for_ever() {
    let server = Server::start();
    let target = request(&format!("{EXPLAIN}?uri={POST}"));
    let started = Instant::now();
    let mut waiting: Vec<Client> = Vec::new();
    for _ in 0..INQUIRIES_MAX {
        let mut client = Client::connect(server.http);
        client.send(&target);
        waiting.push(client);
    }
    // The box is full when all of them have been read; until then one more may still find a place, and wait with them.
    let refused = loop {
        let asked = Instant::now();
        let reply = Client::connect(server.http).ask(&target);
        assert_eq!(
            (reply.status, &*reply.error(), reply.header("retry-after")),
            (503, "ServiceUnavailable", Some("1"))
        );
        if asked.elapsed() < Duration::from_millis(EXPLAIN_TIMEOUT_MILLIS) {
            break reply;
        }
        assert!(started.elapsed() < Duration::from_secs(15), "nobody was ever refused at once");
    };
    assert!(refused.body.contains("ask again"), "{}", refused.body);
    assert_eq!(server.get("/xrpc/_health").status, 200, "everybody else is served");
    for client in &mut waiting {
        let reply = client.reply();
        assert_eq!((reply.status, reply.header("retry-after")), (503, Some("1")), "nobody answers");
    }
    assert!(started.elapsed() >= Duration::from_millis(EXPLAIN_TIMEOUT_MILLIS));
    assert!(server.telemetry.explanations_refused.get() > INQUIRIES_MAX as u64);
}

#[test]
fn a_listener_that_stops_lets_the_question_end() {
    let mut server = Server::start();
    let mut client = Client::connect(server.http);
    client.send(request(&format!("{EXPLAIN}?uri={POST}")));
    // Asked: it is in the box.
    while server.answerer.lock().expect("no test panics with it").is_empty() {
        std::thread::yield_now();
    }
    server.join();
    assert_eq!(client.reply().status, 503);
}

/// The target that asks for a post: a DID may hold a `%`, which stands for itself only when it is encoded.
fn asking(uri: &str) -> String {
    format!("{EXPLAIN}?uri={}", uri.replace('%', "%25"))
}

/// What was answered in a flood, by status.
type Statuses = BTreeMap<u16, usize>;

/// Asks one question after the other until it is stopped.
fn flood(http: SocketAddr, uris: &[String], from: usize, stop: &AtomicBool) -> Statuses {
    let mut statuses = Statuses::new();
    let mut client = Client::connect(http);
    for uri in uris.iter().cycle().skip(from) {
        if stop.load(Ordering::Relaxed) {
            break;
        }
        let reply = client.ask(&request(&asking(uri)));
        if reply.status == 503 {
            assert_eq!(reply.header("retry-after"), Some("1"));
        } else {
            let body: Value = serde_json::from_str(&reply.body).expect("JSON");
            assert!(body["uri"] == **uri || body["error"] == "NotFound", "{body}");
        }
        *statuses.entry(reply.status).or_default() += 1;
    }
    statuses
}

#[test]
fn a_flood_of_questions_changes_no_feed_and_ends() {
    let options = Options { events: 30_000, communities: 40, seed: 77, hit_rate: 0.2, ..Options::default() };
    let model = simnet::model_of(&options, Dialect::V1);
    let feeds = model.feeds(model.latest_witnessed().expect("events"));
    let last = simnet::Network::new(&options).last().expect("events").time.to_string();
    let uris: Vec<String> = feeds.values().flatten().cloned().chain([POST.to_owned()]).collect();
    let paced = ServerOptions { pace: Pace::PerSecond(10_000.0), ..ServerOptions::default() };
    let server =
        simnet::server::Server::start("127.0.0.1:0", Reel::of_network(&options, false, true), paced).expect("a port");
    let home = tempfile::tempdir().expect("a directory");
    let engine = Engine::start(home.path(), &[format!("ws://{}", server.address())], &[]);
    let stop = AtomicBool::new(false);
    let statuses = std::thread::scope(|scope| {
        // More than the box holds.
        let askers = INQUIRIES_MAX + 8;
        let askers: Vec<_> = (0..askers)
            .map(|at| {
                let (http, uris, stop) = (engine.http, &uris, &stop);
                scope.spawn(move || flood(http, uris, at * 13, stop))
            })
            .collect();
        let started = Instant::now();
        engine.wait_for(&last);
        println!("the stream was read {:.1} s after the flood began", started.elapsed().as_secs_f64());
        let posts = assert_feeds(&engine, &feeds, "under the flood");
        assert!(posts > 300, "{posts} posts prove little");
        stop.store(true, Ordering::Relaxed);
        let mut statuses = Statuses::new();
        for asker in askers {
            for (status, count) in asker.join().expect("every answer was right") {
                *statuses.entry(status).or_default() += count;
            }
        }
        statuses
    });
    println!("answers by status: {statuses:?}");
    assert!(statuses.keys().all(|status| [200, 404, 503].contains(status)), "{statuses:?}");
    assert!(statuses.get(&200).is_some_and(|&count| count > 100), "{statuses:?}");

    // Afterwards, one by one: what is explained is what is shown.
    let visible_in = |uri: &str| {
        let (status, body) = get(engine.http, &asking(uri));
        assert_eq!(status, 200, "{body}");
        let explained: Value = serde_json::from_str(&body).expect("JSON");
        let verdicts = explained["communities"].as_array().expect("a list").clone();
        verdicts.into_iter().filter(|verdict| verdict["visible"] == true).collect::<Vec<_>>()
    };
    for (id, feed) in feeds.iter().step_by(5) {
        let Some(uri) = feed.first() else { continue };
        assert!(visible_in(uri).iter().any(|verdict| verdict["id"] == **id), "{uri} in {id}");
    }
    let (status, body) = get(engine.http, &format!("{}&community=ffffffff", asking(&uris[0])));
    assert!(status == 404 && body.contains("UnknownFeed"), "{body}");
    let (code, took) = engine.terminate();
    assert_eq!(code, 0);
    assert!(took < Duration::from_secs(5), "{took:?}");
}
