//! What clients and proxies may keep: entity tags, compression, HEAD; and the list of 10,000 feeds.
#![cfg(feature = "server")]

mod serve_support;

use std::io::Read;
use std::time::Duration;

use atrarium::clock::Clock;
use atrarium::serve::{Bounds, ServeConfig};
use atrarium::syntax::Did;
use serve_support::{Client, Reply, Server};

const SKELETON: &str = "/xrpc/app.bsky.feed.getFeedSkeleton";
const DESCRIBE: &str = "/xrpc/app.bsky.feed.describeFeedGenerator";
const DID_DOCUMENT: &str = "/.well-known/did.json";

fn ask(server: &Server, method: &str, target: &str, header: &str) -> Reply {
    server.ask(&format!("{method} {target} HTTP/1.1\r\nhost: a\r\n{header}\r\n\r\n"))
}

#[test]
fn what_a_client_has_is_not_sent_again() {
    let server = Server::start();
    let skeleton = format!("{SKELETON}?feed={}", server.feed("a1b2c3d4"));
    for (target, cache) in
        [(&*skeleton, "private, no-cache"), (DESCRIBE, "public, max-age=300"), (DID_DOCUMENT, "public, max-age=300")]
    {
        let first = ask(&server, "GET", target, "x: y");
        let tag = first.header("etag").expect("a tag").to_owned();
        assert!(tag.starts_with("W/\"") && tag.ends_with('"'), "{tag}");
        assert_eq!((first.status, first.header("cache-control")), (200, Some(cache)), "{target}");
        assert_eq!(first.header("content-language"), None);
        for method in ["GET", "HEAD"] {
            for known in [tag.clone(), format!("\"x\", {}", &tag[2..]), "*".to_owned()] {
                let again = ask(&server, method, target, &format!("if-none-match: {known}"));
                assert_eq!((again.status, &*again.body), (304, ""), "{method} {target} {known}");
                assert_eq!((again.header("etag"), again.header("cache-control")), (Some(&*tag), Some(cache)));
                assert_eq!(again.header("access-control-allow-origin"), Some("*"));
            }
        }
        assert_eq!(ask(&server, "GET", target, "if-none-match: W/\"0\"").status, 200);
    }
    let tag = |server: &Server| server.get(DESCRIBE).header("etag").expect("a tag").to_owned();
    let before = tag(&server);
    server.feeds.add(9);
    assert_ne!(tag(&server), before, "another list");
    // An answer that refuses is no page to keep.
    let refused = server.get(&format!("{SKELETON}?feed={}&limit=0", server.feed("a1b2c3d4")));
    assert_eq!((refused.status, refused.header("etag")), (400, None));
}

#[test]
fn head_says_what_get_says() {
    let server = Server::start();
    let skeleton = format!("{SKELETON}?feed={}", server.feed("a1b2c3d4"));
    for target in [&*skeleton, DESCRIBE, DID_DOCUMENT, "/xrpc/_health", "/", "/nothing", "/xrpc/x", SKELETON] {
        let asked = |method| format!("{method} {target} HTTP/1.1\r\nhost: a\r\naccept-encoding: gzip, br\r\n\r\n");
        let mut client = Client::connect(server.http);
        client.send(asked("GET"));
        let (get, _) = client.reply_bytes();
        let head = client.ask(&asked("HEAD"));
        let of = |reply: &Reply| {
            let mut headers = reply.headers.clone();
            headers.retain(|(name, _)| name != "date");
            headers.sort_unstable();
            headers
        };
        assert_eq!((get.status, of(&get)), (head.status, of(&head)), "{target}");
    }
}

#[test]
fn lists_are_sent_compressed_where_that_is_asked_for() {
    let server = Server::start();
    (1000..2000).for_each(|id| server.feeds.add(id));
    let plain = ask(&server, "GET", DESCRIBE, "accept-encoding: identity");
    assert_eq!((plain.header("content-encoding"), plain.header("vary")), (None, Some("accept-encoding")));
    let mut client = Client::connect(server.http);
    client.send(format!("GET {DESCRIBE} HTTP/1.1\r\nhost: a\r\naccept-encoding: br, gzip\r\n\r\n"));
    let (head, bytes) = client.reply_bytes();
    assert_eq!((head.header("content-encoding"), head.header("vary")), (Some("gzip"), Some("accept-encoding")));
    assert_eq!(head.header("etag"), plain.header("etag"), "one weak tag for both");
    assert!(bytes.len() * 5 < plain.body.len(), "{} of {}", bytes.len(), plain.body.len());
    let mut text = String::new();
    flate2::read::GzDecoder::new(&bytes[..]).read_to_string(&mut text).expect("gzip");
    assert_eq!(text, plain.body);
    // A page is sent as it is: see `prebuilt`.
    let skeleton = format!("{SKELETON}?feed={}", server.feed("a1b2c3d4"));
    assert_eq!(ask(&server, "GET", &skeleton, "accept-encoding: gzip").header("content-encoding"), None);
}

#[test]
fn a_service_did_of_the_operators_own_has_no_document_here() {
    let service = Did::parse("did:plc:ewvi7nxzyoun6zhxrhs64oiz").expect("a DID");
    let config = ServeConfig {
        public_url: Some("https://feeds.example.org".to_owned()),
        service_did: Some(service.clone()),
        ..ServeConfig::default()
    };
    let server = Server::start_with(1, Bounds::default(), &config);
    let reply = server.get(DID_DOCUMENT);
    assert_eq!((reply.status, &*reply.error()), (404, "NotFound"));
    let list: serde_json::Value = serde_json::from_str(&server.get(DESCRIBE).body).expect("JSON");
    assert_eq!(list["did"], service.as_str());
    assert_eq!(list["feeds"][0]["uri"], format!("at://{service}/app.bsky.feed.generator/00000007"));
    assert_eq!(server.get(&format!("{SKELETON}?feed=at://{service}/app.bsky.feed.generator/00000007")).status, 200);
}

/// Rendered once, then sent as it lies. `-- --nocapture` prints the figures.
#[test]
fn ten_thousand_feeds_are_rendered_once() {
    let server = Server::start();
    (1000..10_998).for_each(|id| server.feeds.add(id));
    let clock = Clock::real();
    let mut client = Client::connect(server.http);
    let mut ask = |encoding: &str| {
        let began = clock.monotonic();
        client.send(format!("GET {DESCRIBE} HTTP/1.1\r\nhost: a\r\naccept-encoding: {encoding}\r\n\r\n"));
        let (head, bytes) = client.reply_bytes();
        assert_eq!(head.status, 200);
        (clock.monotonic() - began, bytes)
    };
    let (first, body) = ask("identity");
    let list: serde_json::Value = serde_json::from_slice(&body).expect("JSON");
    assert_eq!(list["feeds"].as_array().map(Vec::len), Some(10_000));
    let mut least = |encoding: &str| (0..20).map(|_| ask(encoding)).min_by_key(|(took, _)| *took).expect("twenty");
    let ((again, _), (packed, gzip)) = (least("identity"), least("gzip"));
    println!(
        "10,000 feeds: {} bytes, {} in gzip; first {first:?} (rendered, compressed), then {again:?}, in gzip {packed:?}",
        body.len(),
        gzip.len()
    );
    assert!(again < first && again < Duration::from_millis(100), "{again:?} after {first:?}");
}
