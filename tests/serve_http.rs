//! Every route of the HTTP listener: its answers byte by byte, its errors, its methods.
#![cfg(feature = "server")]

mod serve_support;

use atrarium::fact::CommunityId;
use atrarium::limits::{INTERACTIONS_PER_REQUEST_MAX, PAGE_CURSOR_BYTES_MAX};
use atrarium::serve::{Bounds, ServeConfig};
use atrarium::syntax::Did;
use serve_support::{Client, OWNER, Server};

const SKELETON: &str = "/xrpc/app.bsky.feed.getFeedSkeleton";
const DESCRIBE: &str = "/xrpc/app.bsky.feed.describeFeedGenerator";
const INTERACTIONS: &str = "/xrpc/app.bsky.feed.sendInteractions";

fn post(target: &str, body: &str) -> String {
    format!("POST {target} HTTP/1.1\r\nhost: a\r\ncontent-length: {}\r\n\r\n{body}", body.len())
}

#[test]
fn a_page_is_what_the_view_renders() {
    let server = Server::start();
    let reply = server.get(&format!("{SKELETON}?feed={}&limit=7&cursor=c%2B1+x", server.feed("a1b2c3d4")));
    assert_eq!(reply.status, 200);
    assert_eq!(reply.body, r#"{"feed":[],"asked":["a1b2c3d4","","2026-11-24T12:00:00.000000Z",7,"c+1 x"]}"#);
    assert_eq!(reply.header("content-type"), Some("application/json"));
    assert_eq!(reply.header("access-control-allow-origin"), Some("*"));
    assert_eq!(server.telemetry.skeleton.snapshot().buckets.iter().sum::<u64>(), 1);
    assert_eq!(server.telemetry.answers().next(), Some(("2xx", 1)));
}

#[test]
fn head_is_get_without_the_body() {
    let server = Server::start();
    let target = format!("{SKELETON}?feed={}", server.feed("a1b2c3d4"));
    let length = server.get(&target).body.len().to_string();
    let mut client = Client::connect(server.http);
    let head = client.ask(&format!("HEAD {target} HTTP/1.1\r\nhost: a\r\n\r\n"));
    assert_eq!((head.status, head.header("content-length")), (200, Some(&*length)));
    // The connection goes on with the next answer, not with a body.
    assert_eq!(client.ask("GET /xrpc/_health HTTP/1.1\r\nhost: a\r\n\r\n").status, 200);
}

#[test]
fn a_feed_is_named_by_its_publisher_or_its_owner() {
    let server = Server::start();
    let port = server.http.port();
    let asked = |authority: &str| {
        let reply = server.get(&format!("{SKELETON}?feed=at://{authority}/app.bsky.feed.generator/00000007"));
        (reply.status, reply.body)
    };
    let page = |owner: &str| {
        (200, format!(r#"{{"feed":[],"asked":["00000007","{owner}","2026-11-24T12:00:00.000000Z",50,""]}}"#))
    };
    assert_eq!(asked(&format!("did:web:localhost%253A{port}")), page(""), "the publisher");
    assert_eq!(asked(&format!("did:web:localhost%3A{port}")), page(""), "percent-encoded once too little");
    assert_eq!(asked(OWNER), page(OWNER), "the owner");
    assert_eq!(asked("did:plc:somebodyelse").0, 400);
}

#[test]
fn a_publisher_of_its_own_is_obeyed() {
    let publisher = Did::parse("did:plc:z72i7hdynmk6r22z27h6tvur").expect("a DID");
    let config = ServeConfig {
        public_url: Some("https://feeds.example.org".to_owned()),
        publisher_did: Some(publisher.clone()),
        ..ServeConfig::default()
    };
    let server = Server::start_with(1, Bounds::default(), &config);
    let reply = server.get(&format!("{SKELETON}?feed=at://{publisher}/app.bsky.feed.generator/00000007"));
    assert_eq!(reply.status, 200);
    let reply = server.get(&format!("{SKELETON}?feed=at://did:web:feeds.example.org/app.bsky.feed.generator/00000007"));
    assert_eq!((reply.status, &*reply.error()), (400, "UnknownFeed"), "the service is not the publisher");
    assert_eq!(
        server.get(DESCRIBE).body,
        format!(
            r#"{{"did":"did:web:feeds.example.org","feeds":[{{"uri":"at://{publisher}/app.bsky.feed.generator/00000007"}},{{"uri":"at://{publisher}/app.bsky.feed.generator/a1b2c3d4"}}]}}"#
        )
    );
    let reply = server.get("/.well-known/did.json");
    assert_eq!(
        reply.body,
        r##"{"@context":["https://www.w3.org/ns/did/v1"],"id":"did:web:feeds.example.org","service":[{"id":"#bsky_fg","type":"BskyFeedGenerator","serviceEndpoint":"https://feeds.example.org"}]}"##
    );
    assert_eq!(reply.header("content-type"), Some("application/json"));
}

#[test]
fn the_document_of_another_kind_of_did_is_not_here() {
    let config = ServeConfig { service_did: Some(Did::parse(OWNER).expect("a DID")), ..ServeConfig::default() };
    let server = Server::start_with(1, Bounds::default(), &config);
    let reply = server.get("/.well-known/did.json");
    assert_eq!((reply.status, &*reply.error()), (404, "NotFound"));
}

#[test]
fn bad_parameters_are_refused_with_their_name() {
    let server = Server::start();
    let feed = server.feed("a1b2c3d4");
    let long = format!("c{}", "x".repeat(PAGE_CURSOR_BYTES_MAX));
    let generator = "app.bsky.feed.generator";
    for (query, error, about) in [
        (String::new(), "InvalidRequest", "feed"),
        ("?".to_owned(), "InvalidRequest", "feed"),
        ("?feed=".to_owned(), "InvalidRequest", "feed"),
        ("?feed=a1b2c3d4".to_owned(), "InvalidRequest", "feed"),
        (format!("?feed=at://{OWNER}/{generator}/a/b"), "InvalidRequest", "feed"),
        (format!("?feed=at://did:x/{generator}/a1b2c3d4"), "InvalidRequest", "feed"),
        (format!("?feed={feed}&feed={feed}"), "InvalidRequest", "feed"),
        ("?feed=%FF%FE".to_owned(), "InvalidRequest", "UTF-8"),
        (format!("?feed={feed}&limit=0"), "InvalidRequest", "limit"),
        (format!("?feed={feed}&limit=101"), "InvalidRequest", "limit"),
        (format!("?feed={feed}&limit=-1"), "InvalidRequest", "limit"),
        (format!("?feed={feed}&limit=%2B5"), "InvalidRequest", "limit"),
        (format!("?feed={feed}&limit=ten"), "InvalidRequest", "limit"),
        (format!("?feed={feed}&limit=1.5"), "InvalidRequest", "limit"),
        (format!("?feed={feed}&limit="), "InvalidRequest", "limit"),
        (format!("?feed={feed}&limit=99999999999999999999999"), "InvalidRequest", "limit"),
        (format!("?feed={feed}&limit=1&limit=2"), "InvalidRequest", "limit"),
        (format!("?feed={feed}&cursor=x"), "InvalidRequest", "cursor"),
        (format!("?feed={feed}&cursor="), "InvalidRequest", "cursor"),
        (format!("?feed={feed}&cursor={long}"), "InvalidRequest", "cursor"),
        (format!("?feed={}", server.feed("ffffffff")), "UnknownFeed", "feed"),
        (format!("?feed=at://{OWNER}/{generator}/ffffffff"), "UnknownFeed", "feed"),
        (format!("?feed=at://{OWNER}"), "UnknownFeed", "feed"),
        (format!("?feed=at://{OWNER}/app.bsky.feed.post/a1b2c3d4"), "UnknownFeed", "feed"),
        (format!("?feed=at://alice.example/{generator}/a1b2c3d4"), "UnknownFeed", "feed"),
    ] {
        let reply = server.get(&format!("{SKELETON}{query}"));
        assert_eq!((reply.status, &*reply.error()), (400, error), "{query}");
        assert!(reply.body.contains(about), "{query}: {}", reply.body);
        assert_eq!(reply.header("access-control-allow-origin"), Some("*"), "{query}");
    }
    for limit in [1, 100] {
        assert_eq!(server.get(&format!("{SKELETON}?limit={limit}&other=1&other=2&feed={feed}")).status, 200);
    }
}

#[test]
fn the_list_of_feeds_follows_their_set() {
    let server = Server::start();
    let publisher = format!("did:web:localhost%3A{}", server.http.port());
    let list = |ids: &[&str]| {
        let uris: Vec<_> =
            ids.iter().map(|id| format!(r#"{{"uri":"at://{publisher}/app.bsky.feed.generator/{id}"}}"#)).collect();
        format!(r#"{{"did":"{publisher}","feeds":[{}]}}"#, uris.join(","))
    };
    for _ in 0..2 {
        assert_eq!(server.get(DESCRIBE).body, list(&["00000007", "a1b2c3d4"]));
    }
    server.feeds.add(9);
    assert_eq!(server.get(DESCRIBE).body, list(&["00000007", "00000009", "a1b2c3d4"]));
    for id in 1000..11_000 {
        server.feeds.add(id);
    }
    let reply = server.get(DESCRIBE);
    let body: serde_json::Value = serde_json::from_str(&reply.body).expect("JSON");
    assert_eq!(body["feeds"].as_array().map(Vec::len), Some(10_003));
}

#[test]
fn interactions_are_counted() {
    let server = Server::start();
    let good = r#"{"interactions":[{"item":"at://did:plc:a/app.bsky.feed.post/3l","event":"app.bsky.feed.defs#requestLess","feedContext":"x","more":1},{}]}"#;
    let reply = server.ask(&post(INTERACTIONS, good));
    assert_eq!((reply.status, &*reply.body), (200, "{}"));
    assert_eq!(server.ask(&post(INTERACTIONS, r#"{"interactions":[]}"#)).status, 200);
    assert_eq!(counted(&server), [("requestLess", 1), ("other", 1)]);
    for bad in ["", "{", "[]", "{}", r#"{"interactions":{}}"#, r#"{"interactions":[{]}"#, r#"{"interactions":[]"#] {
        let reply = server.ask(&post(INTERACTIONS, bad));
        assert_eq!((reply.status, &*reply.error()), (400, "InvalidRequest"), "{bad}");
    }
    let chunked = format!(
        "POST {INTERACTIONS} HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n{:x}\r\n{good}\r\n0\r\n\r\n",
        good.len()
    );
    assert_eq!(server.ask(&chunked).status, 200);
    assert_eq!(counted(&server), [("requestLess", 2), ("other", 2)]);
}

/// Events that were met, with their counts.
fn counted(server: &Server) -> Vec<(&'static str, u64)> {
    let events = server.telemetry.interactions().map(|(event, count)| (event.as_str(), count));
    events.filter(|&(_, count)| count > 0).collect()
}

/// What was not told with the others.
fn left_out(server: &Server) -> Vec<(&'static str, u64)> {
    let reasons = server.telemetry.left_out().map(|(why, count)| (why.as_str(), count));
    reasons.filter(|&(_, count)| count > 0).collect()
}

#[test]
fn an_interaction_counts_for_the_community_whose_page_was_shown() {
    let server = Server::start();
    let item = "at://did:plc:a/app.bsky.feed.post/3l";
    let of = |more: &str| format!(r#"{{"item":"{item}","event":"app.bsky.feed.defs#interactionLike"{more}}}"#);
    let feed = format!("at://{OWNER}/app.bsky.feed.generator/00000007");
    for (interaction, feed, community) in [
        (of(r#","reqId":"a1b2c3d4""#), None, Some(0xa1b2_c3d4)),
        (of(r#","reqId":"a1b2c3d4","feedContext":"global""#), Some(&*feed), Some(0xa1b2_c3d4)),
        (of(r#","reqId":"00000009""#), None, None),
        (of(r#","reqId":"nonsense""#), Some(&*feed), Some(7)),
        (of(""), Some(&*feed), Some(7)),
        (of(""), Some("at://did:plc:other/app.bsky.feed.post/1"), None),
        (of(""), None, None),
    ] {
        let total = |id| server.tally.community(CommunityId(id)).map_or(0_u64, |counts| counts.total);
        let before = [total(7), total(0xa1b2_c3d4)];
        let feed = feed.map_or(String::new(), |feed| format!(r#","feed":"{feed}""#));
        let body = format!(r#"{{"interactions":[{interaction}]{feed}}}"#);
        assert_eq!(server.ask(&post(INTERACTIONS, &body)).status, 200, "{body}");
        let [seven, other] = [total(7) - before[0], total(0xa1b2_c3d4) - before[1]];
        let expected = [7, 0xa1b2_c3d4].map(|id: u32| u64::from(community == Some(id)));
        assert_eq!([seven, other], expected, "{body}");
    }
    assert_eq!(counted(&server), [("interactionLike", 7)]);
    assert_eq!(left_out(&server), [("no_community", 3)]);
    let told = server.tally.community(CommunityId(7)).expect("counted");
    assert_eq!((&*told.posts[0].uri, told.posts[0].total), (item, 2));
}

#[test]
fn bad_interactions_do_not_spoil_good_ones_and_too_many_are_left() {
    let server = Server::start();
    let good = r#"{"event":"app.bsky.feed.defs#interactionSeen","reqId":"a1b2c3d4"}"#;
    let bad = r#"1,null,[],{"item":1},{"item":"https://example.org"},{"event":[]},{"feedContext":2}"#;
    let body = format!(r#"{{"interactions":[{good},{bad},{good}]}}"#);
    assert_eq!(server.ask(&post(INTERACTIONS, &body)).status, 200);
    assert_eq!((counted(&server), left_out(&server)), (vec![("interactionSeen", 2)], vec![("malformed", 7)]));
    let many = vec![good; INTERACTIONS_PER_REQUEST_MAX + 3].join(",");
    assert_eq!(server.ask(&post(INTERACTIONS, &format!(r#"{{"interactions":[{many}]}}"#))).status, 200);
    assert_eq!(counted(&server), [("interactionSeen", 2 + INTERACTIONS_PER_REQUEST_MAX as u64)]);
    assert_eq!(left_out(&server), [("malformed", 7), ("excess", 3)]);
    // Nothing but a hash of the caller is ever asked for; nothing of them is told.
    let metrics = server.admin("/metrics").body;
    assert!(metrics.contains(r#"atrarium_interactions_total{event="interactionSeen"} 502"#), "{metrics}");
    assert!(metrics.contains(r#"atrarium_interactions_left_out_total{reason="malformed"} 7"#), "{metrics}");
}

#[test]
fn the_small_routes() {
    let server = Server::start();
    let version = env!("CARGO_PKG_VERSION");
    let health = server.get("/xrpc/_health");
    assert_eq!((health.status, health.body), (200, format!(r#"{{"version":"{version}"}}"#)));
    server.telemetry.communities.set(12);
    let home = server.get("/");
    assert_eq!((home.status, home.header("content-type")), (200, Some("text/html; charset=utf-8")));
    for said in [&format!("Atrarium {version}"), "12 communities", DESCRIBE] {
        assert!(home.body.contains(said), "{said}: {}", home.body);
    }
    let port = server.http.port();
    assert_eq!(
        server.get("/.well-known/did.json").body,
        format!(
            r##"{{"@context":["https://www.w3.org/ns/did/v1"],"id":"did:web:localhost%3A{port}","service":[{{"id":"#bsky_fg","type":"BskyFeedGenerator","serviceEndpoint":"http://localhost:{port}"}}]}}"##
        )
    );
}

#[test]
fn what_is_not_here_says_so() {
    let server = Server::start();
    for (target, status, error) in [
        ("/xrpc/app.bsky.feed.getTimeline", 501, "MethodNotImplemented"),
        ("/xrpc/x", 501, "MethodNotImplemented"),
        ("/xrpc/app.bsky.feed.getFeedSkeleton/", 501, "MethodNotImplemented"),
        ("/xrpc/", 404, "NotFound"),
        ("/nothing", 404, "NotFound"),
        ("/.well-known/other", 404, "NotFound"),
        ("/metrics", 404, "NotFound"),
    ] {
        let reply = server.get(target);
        assert_eq!((reply.status, &*reply.error()), (status, error), "{target}");
        let reply = server.ask(&post(target, "{}"));
        assert_eq!((reply.status, &*reply.error()), (status, error), "POST {target}");
    }
    assert_eq!(server.telemetry.answers().nth(2), Some(("4xx", 8)));
    assert_eq!(server.telemetry.answers().nth(3), Some(("5xx", 6)));
}

#[test]
fn the_wrong_method_is_told_the_right_ones() {
    let server = Server::start();
    for (method, target, allow) in [
        ("POST", SKELETON, "GET, HEAD, OPTIONS"),
        ("DELETE", SKELETON, "GET, HEAD, OPTIONS"),
        ("PUT", DESCRIBE, "GET, HEAD, OPTIONS"),
        ("POST", "/xrpc/_health", "GET, HEAD, OPTIONS"),
        ("PATCH", "/", "GET, HEAD, OPTIONS"),
        ("POST", "/.well-known/did.json", "GET, HEAD, OPTIONS"),
        ("GET", INTERACTIONS, "POST, OPTIONS"),
        ("BREW", INTERACTIONS, "POST, OPTIONS"),
    ] {
        let reply = server.ask(&format!("{method} {target} HTTP/1.1\r\nhost: a\r\ncontent-length: 0\r\n\r\n"));
        assert_eq!((reply.status, reply.header("allow")), (405, Some(allow)), "{method} {target}");
        assert_eq!(reply.error(), "InvalidRequest");
    }
}

#[test]
fn pages_of_other_origins_may_ask() {
    let server = Server::start();
    for (target, methods) in [(SKELETON, "GET, HEAD, OPTIONS"), (INTERACTIONS, "POST, OPTIONS")] {
        let reply = server.ask(&format!("OPTIONS {target} HTTP/1.1\r\nhost: a\r\norigin: https://b.example\r\n\r\n"));
        assert_eq!(reply.status, 204);
        assert_eq!(reply.header("access-control-allow-origin"), Some("*"));
        assert_eq!(reply.header("access-control-allow-methods"), Some(methods));
        assert_eq!(reply.header("allow"), Some(methods));
        assert_eq!(reply.header("access-control-allow-headers"), Some("*, authorization"));
    }
    assert_eq!(server.get(DESCRIBE).header("access-control-allow-origin"), Some("*"));
}
