//! Clients that are slow, wrong, many, or gone; and listeners that stop beside them.
#![cfg(feature = "server")]

mod serve_support;

use std::net::TcpStream;
use std::time::Duration;

use atrarium::limits::{HTTP_BODY_BYTES_MAX, HTTP_HEADER_BYTES_MAX, HTTP_HEADERS_MAX, HTTP_TARGET_BYTES_MAX};
use atrarium::serve::{Bounds, ServeConfig};
use serve_support::{Client, PATIENCE, Server, short};

const HEALTH: &str = "GET /xrpc/_health HTTP/1.1\r\nhost: a\r\n\r\n";
const INTERACTIONS: &str = "/xrpc/app.bsky.feed.sendInteractions";

fn start(bounds: Bounds) -> Server {
    Server::start_with(1, bounds, &ServeConfig::default())
}

fn cut(server: &Server) -> u64 {
    server.telemetry.connections_timed_out.get()
}

/// Waits for what must come, without saying when.
#[track_caller]
#[expect(clippy::disallowed_methods, reason = "a test waits for another thread")]
fn wait_until(what: &str, mut holds: impl FnMut() -> bool) {
    for _ in 0..PATIENCE.as_millis() / 5 {
        if holds() {
            return;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    panic!("{what} never came");
}

#[test]
fn a_head_that_dribbles_is_cut() {
    let server = start(short());
    let mut client = Client::connect(server.http);
    client.send("GET / HTTP/1.1\r\n");
    wait_until("the cut", || {
        client.send_in_vain(b"x: y\r\n");
        cut(&server) == 1
    });
    assert_eq!(server.get("/xrpc/_health").status, 200, "others are served");
}

#[test]
fn a_connection_that_says_nothing_is_cut() {
    let server = start(short());
    let mut client = Client::connect(server.http);
    assert!(client.is_closed());
    assert_eq!(cut(&server), 1);
}

#[test]
fn an_idle_connection_is_closed_and_that_is_no_fault() {
    let server = start(Bounds { idle: Duration::from_millis(100), ..Bounds::default() });
    let mut client = Client::connect(server.http);
    assert_eq!(client.ask(HEALTH).status, 200);
    assert!(client.is_closed());
    assert_eq!(cut(&server), 0);
}

#[test]
fn an_idle_connection_outlives_the_bound_of_a_head() {
    let server =
        start(Bounds { head: Duration::from_millis(500), exchange: Duration::from_millis(500), ..Bounds::default() });
    let mut client = Client::connect(server.http);
    assert_eq!(client.ask(HEALTH).status, 200);
    let mut other = Client::connect(server.http);
    assert!(other.is_closed(), "more than the bound of a head has passed");
    assert_eq!(client.ask(HEALTH).status, 200);
    // The second head's bound holds again, though the first one's alarm was long ago.
    client.send("GET /");
    assert!(client.is_closed());
    assert_eq!(cut(&server), 2);
}

#[test]
fn a_body_that_never_ends_is_cut() {
    let server = start(short());
    let mut client = Client::connect(server.http);
    client.send(format!("POST {INTERACTIONS} HTTP/1.1\r\nhost: a\r\ncontent-length: 100\r\n\r\n{{"));
    assert!(client.is_closed());
    assert_eq!(cut(&server), 1);
}

#[test]
fn an_answer_that_nobody_takes_is_cut() {
    let server = start(Bounds { exchange: Duration::from_millis(300), ..Bounds::default() });
    for id in 1000..200_000 {
        server.feeds.add(id);
    }
    // 14 MB are more than the buffers of both sockets hold.
    let mut client = Client::connect(server.http);
    client.send("GET /xrpc/app.bsky.feed.describeFeedGenerator HTTP/1.1\r\nhost: a\r\n\r\n");
    wait_until("the cut", || cut(&server) == 1);
    assert_eq!(client.head().status, 200);
}

#[test]
fn half_a_request_and_goodbye() {
    let server = Server::start();
    let mut client = Client::connect(server.http);
    client.send("GET /xrpc/_health HTT");
    client.shut();
    assert!(client.is_closed());
    let mut client = Client::connect(server.http);
    client.send(HEALTH);
    client.shut();
    assert_eq!(client.reply().status, 200, "a whole request is answered, though its sender has shut");
    assert!(client.is_closed());
    assert_eq!(cut(&server), 0);
}

#[test]
fn a_body_that_ends_early_harms_nobody() {
    let server = Server::start();
    let mut client = Client::connect(server.http);
    client.send(format!("POST {INTERACTIONS} HTTP/1.1\r\nhost: a\r\ncontent-length: 100\r\n\r\n{{"));
    client.shut();
    let reply = client.reply();
    assert_eq!((reply.status, &*reply.error()), (400, "InvalidRequest"));
    assert!(client.is_closed());
}

#[test]
fn pipelined_requests_are_answered_in_order() {
    let server = Server::start();
    let mut client = Client::connect(server.http);
    let mut requests = String::new();
    for at in 0..50 {
        let target = if at % 2 == 0 { "/xrpc/_health" } else { "/nothing" };
        requests.push_str(&format!("GET {target} HTTP/1.1\r\nhost: a\r\n\r\n"));
    }
    client.send(&requests);
    for at in 0..50 {
        assert_eq!(client.reply().status, if at % 2 == 0 { 200 } else { 404 }, "{at}");
    }
    assert_eq!(client.ask(HEALTH).status, 200);
}

#[test]
fn headers_that_are_too_large() {
    let server = Server::start();
    let reply_to = |headers: &str| {
        let mut client = Client::connect(server.http);
        client.send_in_vain(format!("GET / HTTP/1.1\r\n{headers}\r\n").as_bytes());
        let reply = client.reply();
        if reply.status != 200 {
            assert_eq!(reply.error(), "HeaderFieldsTooLarge");
            client.shut();
        }
        reply.status
    };
    let value = |bytes: usize| format!("x: {}\r\n", "y".repeat(bytes));
    assert_eq!(reply_to(&value(HTTP_HEADER_BYTES_MAX - 5)), 200);
    assert_eq!(reply_to(&value(HTTP_HEADER_BYTES_MAX - 4)), 431);
    assert_eq!(reply_to(&value(HTTP_HEADER_BYTES_MAX * 2)), 431);
    assert_eq!(reply_to(&value(4 << 20)), 431);
    assert_eq!(reply_to(&"x: y\r\n".repeat(HTTP_HEADERS_MAX)), 200);
    assert_eq!(reply_to(&"x: y\r\n".repeat(HTTP_HEADERS_MAX + 1)), 431);
    assert_eq!(reply_to(&"x: y\r\n".repeat(200_000)), 431);
}

#[test]
fn a_target_that_is_too_long() {
    let server = Server::start();
    for (bytes, status) in [
        (HTTP_TARGET_BYTES_MAX, 200),
        (HTTP_TARGET_BYTES_MAX + 1, 414),
        (HTTP_TARGET_BYTES_MAX * 4, 414),
        (HTTP_TARGET_BYTES_MAX * 6, 414),
        (4 << 20, 414),
    ] {
        let mut client = Client::connect(server.http);
        let path = "/xrpc/_health?";
        client.send_in_vain(
            format!("GET {path}{} HTTP/1.1\r\nhost: a\r\n\r\n", "x".repeat(bytes - path.len())).as_bytes(),
        );
        let reply = client.reply();
        assert_eq!(reply.status, status, "{bytes}");
        if status == 414 {
            assert_eq!(reply.error(), "UriTooLong");
        }
    }
    // On a connection that has answered before, too.
    let mut client = Client::connect(server.http);
    assert_eq!(client.ask(HEALTH).status, 200);
    client.send_in_vain(format!("GET /{}", "x".repeat(4 << 20)).as_bytes());
    assert_eq!(client.reply().status, 414);
    assert_eq!(server.telemetry.answers().nth(2), Some(("4xx", 5)));
}

#[test]
fn a_body_that_is_too_large() {
    let server = Server::start();
    let json = |bytes: usize| {
        let frame = r#"{"interactions":[],"x":""}"#.len();
        format!(r#"{{"interactions":[],"x":"{}"}}"#, "y".repeat(bytes - frame))
    };
    for (bytes, status) in [(HTTP_BODY_BYTES_MAX, 200), (HTTP_BODY_BYTES_MAX + 1, 413), (8 << 20, 413)] {
        let mut client = Client::connect(server.http);
        client.send(format!("POST {INTERACTIONS} HTTP/1.1\r\nhost: a\r\ncontent-length: {bytes}\r\n\r\n"));
        client.send_in_vain(json(bytes).as_bytes());
        let reply = client.reply();
        assert_eq!(reply.status, status, "{bytes}");
        if status == 413 {
            assert_eq!(reply.error(), "PayloadTooLarge");
            assert!(client.is_closed());
        }
    }
    // Of unknown length.
    let mut client = Client::connect(server.http);
    client.send(format!("POST {INTERACTIONS} HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n"));
    let body = json(1 << 20);
    client.send_in_vain(format!("{:x}\r\n{body}\r\n0\r\n\r\n", body.len()).as_bytes());
    assert_eq!(client.reply().status, 413);
    // Announced to a client that waits for leave to send: it is spared the sending.
    let mut client = Client::connect(server.http);
    let request = format!(
        "POST {INTERACTIONS} HTTP/1.1\r\nhost: a\r\nexpect: 100-continue\r\ncontent-length: {}\r\n\r\n",
        HTTP_BODY_BYTES_MAX + 1
    );
    assert_eq!(client.ask(&request).status, 413);
}

#[test]
fn a_client_may_wait_for_leave_to_send() {
    let server = Server::start();
    let mut client = Client::connect(server.http);
    let body = r#"{"interactions":[]}"#;
    client.send(format!(
        "POST {INTERACTIONS} HTTP/1.1\r\nhost: a\r\nexpect: 100-continue\r\ncontent-length: {}\r\n\r\n",
        body.len()
    ));
    assert_eq!(client.head().status, 100);
    assert_eq!(client.ask(body).status, 200);
}

#[test]
fn what_is_no_http_is_refused_in_json() {
    let server = Server::start();
    for bytes in [
        &b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03 hello of TLS\r\n\r\n"[..],
        b"GET\r\n\r\n",
        b"hello\r\n\r\n",
        b"GET / HTTP/3.0\r\n\r\n",
        b"GET /xrpc/app.bsky.feed.getFeedSkeleton?feed=\xff\xfe HTTP/1.1\r\n\r\n",
        b"GET / HTTP/1.1\r\nno colon\r\n\r\n",
        b"GET / HTTP/1.1\r\ncontent-length: x\r\n\r\n",
        b"POST / HTTP/1.1\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\n",
        b"POST / HTTP/1.0\r\ntransfer-encoding: chunked\r\n\r\n",
    ] {
        let mut client = Client::connect(server.http);
        client.send_in_vain(bytes);
        let reply = client.reply();
        let shown = String::from_utf8_lossy(bytes);
        assert_eq!((reply.status, &*reply.error()), (400, "InvalidRequest"), "{shown}");
        assert_eq!(reply.header("connection"), Some("close"), "{shown}");
        assert!(reply.header("date").is_some(), "{shown}");
        client.shut();
        assert!(client.is_closed(), "{shown}");
    }
    assert_eq!(server.get("/xrpc/_health").status, 200);
    assert_eq!(server.telemetry.answers().nth(2), Some(("4xx", 9)));
}

#[test]
fn a_get_with_a_body_is_answered() {
    let server = Server::start();
    let mut client = Client::connect(server.http);
    let request = "GET /xrpc/_health HTTP/1.1\r\nhost: a\r\ncontent-length: 5\r\n\r\nhello";
    assert_eq!(client.ask(request).status, 200);
    assert_eq!(client.ask(HEALTH).status, 200, "the body was not taken for a request");
    // One that is announced and does not come is not waited for.
    let mut client = Client::connect(server.http);
    assert_eq!(client.ask("GET /xrpc/_health HTTP/1.1\r\nhost: a\r\ncontent-length: 99999\r\n\r\n").status, 200);
    client.shut();
    assert!(client.is_closed());
}

#[test]
fn http_1_0_is_spoken() {
    let server = Server::start();
    let mut client = Client::connect(server.http);
    assert_eq!(client.ask("GET /xrpc/_health HTTP/1.0\r\n\r\n").status, 200);
    assert!(client.is_closed());
    let mut client = Client::connect(server.http);
    for _ in 0..2 {
        let reply = client.ask("GET /xrpc/_health HTTP/1.0\r\nconnection: keep-alive\r\n\r\n");
        assert_eq!((reply.status, reply.header("connection")), (200, Some("keep-alive")));
    }
}

#[test]
fn connections_beyond_the_bound_are_told_so() {
    let server = start(Bounds { connections: 20, ..Bounds::default() });
    let mut held: Vec<Client> = (0..20).map(|_| Client::connect(server.http)).collect();
    for client in &mut held {
        assert_eq!(client.ask(HEALTH).status, 200);
    }
    for refused in 1..=5 {
        let mut client = Client::connect(server.http);
        let reply = client.reply();
        assert_eq!((reply.status, &*reply.error()), (503, "NotEnoughResources"));
        assert!(client.is_closed());
        assert_eq!(server.telemetry.connections_refused.get(), refused);
    }
    for client in &mut held {
        assert_eq!(client.ask(HEALTH).status, 200, "those that have a place keep it");
    }
    held.pop();
    wait_until("a place", || {
        let mut client = Client::connect(server.http);
        client.send_in_vain(HEALTH.as_bytes());
        client.reply().status == 200
    });
}

#[test]
fn a_stop_closes_idle_connections_at_once() {
    let mut server = start(Bounds { stop: PATIENCE * 10, ..Bounds::default() });
    let mut idle = Client::connect(server.http);
    assert_eq!(idle.ask(HEALTH).status, 200);
    let mut silent = Client::connect(server.http);
    let mut operator = Client::connect(server.admin);
    assert_eq!(operator.ask("GET /health/live HTTP/1.1\r\nhost: a\r\n\r\n").status, 200);
    assert_eq!(server.get("/").status, 200, "the silent one has been accepted before this");
    server.stop.stop();
    assert!(server.stop.is_stopped());
    for client in [&mut idle, &mut silent, &mut operator] {
        assert!(client.is_closed());
    }
    // Joined long before the bound of the stop, or this test would not end.
    server.join();
    assert!(TcpStream::connect(server.http).is_err());
    assert_eq!(cut(&server), 0);
}

#[test]
fn a_stop_lets_a_request_in_flight_end() {
    let mut server = start(Bounds { stop: PATIENCE * 10, ..Bounds::default() });
    let body = r#"{"interactions":[{}]}"#;
    let mut client = Client::connect(server.http);
    client.send(format!(
        "POST {INTERACTIONS} HTTP/1.1\r\nhost: a\r\nexpect: 100-continue\r\ncontent-length: {}\r\n\r\n",
        body.len()
    ));
    assert_eq!(client.head().status, 100, "the request is being read");
    server.stop.stop();
    wait_until("the end of the listening", || TcpStream::connect(server.http).is_err());
    let reply = client.ask(body);
    assert_eq!((reply.status, reply.header("connection")), (200, Some("close")));
    assert!(client.is_closed());
    server.join();
    assert_eq!(server.telemetry.interactions().map(|(_, count)| count).sum::<u64>(), 1);
    assert_eq!(cut(&server), 0);
}

#[test]
fn a_stop_does_not_wait_for_ever() {
    let mut server = start(Bounds { stop: Duration::from_millis(100), ..Bounds::default() });
    let mut client = Client::connect(server.http);
    client
        .send(format!("POST {INTERACTIONS} HTTP/1.1\r\nhost: a\r\nexpect: 100-continue\r\ncontent-length: 9\r\n\r\n"));
    assert_eq!(client.head().status, 100);
    server.join();
    assert!(client.is_closed());
    assert_eq!(cut(&server), 1);
}

#[test]
fn several_threads_share_one_port() {
    let mut server = Server::start_with(4, Bounds { connections: 8, ..Bounds::default() }, &ServeConfig::default());
    // Twice as many as one thread may hold: the kernel spreads them by a hash of their addresses.
    let mut served = 0;
    let mut clients: Vec<Client> = (0..16).map(|_| Client::connect(server.http)).collect();
    for client in &mut clients {
        client.send_in_vain(HEALTH.as_bytes());
        served += usize::from(client.reply().status == 200);
    }
    assert!(served > 8, "{served} of 16 were served");
    server.join();
}

#[test]
fn clients_that_vanish_leave_nothing_behind() {
    let server = start(Bounds { connections: 4, ..Bounds::default() });
    for _ in 0..40 {
        let mut client = Client::connect(server.http);
        client.send_in_vain(HEALTH.as_bytes());
        drop(client);
    }
    wait_until("a place", || server.get("/xrpc/_health").status == 200);
}
