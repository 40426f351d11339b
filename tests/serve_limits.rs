//! Limits of what each caller may ask for, as clients meet them.
#![cfg(feature = "server")]

mod serve_support;

use atrarium::serve::{Bounds, Quota, RateLimits, ServeConfig};
use serve_support::{Client, Reply, Server};

const SKELETON: &str = "/xrpc/app.bsky.feed.getFeedSkeleton";
const DESCRIBE: &str = "/xrpc/app.bsky.feed.describeFeedGenerator";
const INTERACTIONS: &str = "/xrpc/app.bsky.feed.sendInteractions";

/// Quotas of feeds by DID, by address, of the dashboard by DID, by address; with the test's own address for a proxy.
fn start(quotas: [u32; 4]) -> Server {
    let trusted_proxies = vec!["127.0.0.0/8".parse().expect("a block")];
    let limits = RateLimits { quotas: quotas.map(Quota::per_hour), trusted_proxies };
    Server::start_limited(2, Bounds::default(), &ServeConfig::default(), Some(limits))
}

/// Asks with a header more, each time on another connection: threads count together.
fn ask(server: &Server, method: &str, target: &str, header: &str) -> Reply {
    let body = if method == "POST" { "{\"interactions\":[]}" } else { "" };
    let length = body.len();
    server.ask(&format!("{method} {target} HTTP/1.1\r\nhost: a\r\n{header}\r\ncontent-length: {length}\r\n\r\n{body}"))
}

fn said(reply: &Reply) -> [Option<&str>; 4] {
    ["ratelimit-limit", "ratelimit-remaining", "ratelimit-reset", "retry-after"].map(|name| reply.header(name))
}

#[test]
fn a_reader_who_proves_a_did_has_its_quota_for_all_feeds_together() {
    let server = start([3, 100, 100, 100]);
    let alice = "authorization: Bearer did:plc:alice";
    let skeleton = format!("{SKELETON}?feed={}", server.feed("a1b2c3d4"));
    for (at, (method, target)) in (1..).zip([("GET", &*skeleton), ("POST", INTERACTIONS), ("HEAD", DESCRIBE)]) {
        let reply = ask(&server, method, target, alice);
        assert_eq!(reply.status, 200);
        let [limit, remaining, reset, retry] = said(&reply);
        assert_eq!((limit, remaining, retry), (Some("3"), Some(&*(3 - at).to_string()), None));
        let reset: u64 = reset.and_then(|text| text.parse().ok()).expect("seconds");
        assert!((1200 * at - 60..=1200 * at).contains(&reset), "{reset}");
        assert_eq!(reply.header("access-control-expose-headers"), Some("*"));
    }
    let refused = ask(&server, "GET", &skeleton, alice);
    assert_eq!((refused.status, &*refused.error()), (429, "RateLimitExceeded"));
    let [limit, remaining, reset, retry] = said(&refused);
    assert_eq!((limit, remaining), (Some("3"), Some("0")));
    let seconds = |text: Option<&str>| text.and_then(|text| text.parse::<u64>().ok()).expect("seconds");
    assert!((1100..=1200).contains(&seconds(retry)) && (3500..=3600).contains(&seconds(reset)), "{refused:?}");
    assert_eq!(refused.header("access-control-allow-origin"), Some("*"));
    assert!(refused.body.contains("account") && refused.body.contains("3 requests an hour"), "{}", refused.body);
    assert_eq!(ask(&server, "POST", INTERACTIONS, alice).status, 429, "the body is not read");
    // Others are not harmed, and what costs nothing is not counted.
    assert_eq!(ask(&server, "GET", &skeleton, "authorization: Bearer did:plc:bob").status, 200);
    assert_eq!(ask(&server, "OPTIONS", &skeleton, alice).status, 204);
    for small in ["/xrpc/_health", "/.well-known/did.json", "/"] {
        let reply = ask(&server, "GET", small, alice);
        assert_eq!((reply.status, reply.header("ratelimit-limit")), (200, None), "{small}");
    }
    assert_eq!(ask(&server, "GET", "/xrpc/x", alice).status, 501);
    let metrics = server.admin("/metrics").body;
    assert!(metrics.contains(r#"atrarium_rate_limited_total{quota="feeds_did"} 2"#), "{metrics}");
}

#[test]
fn others_are_counted_by_the_address_that_a_trusted_proxy_forwards() {
    let server = start([1, 2, 1, 1]);
    let status = |header: &str| ask(&server, "GET", DESCRIBE, header).status;
    for (forwarded, expected) in [
        ("203.0.113.1", [200, 200, 429]),
        ("203.0.113.2", [200, 200, 429]),
        ("1.1.1.1, 203.0.113.3", [200, 200, 429]),
        ("2.2.2.2, 203.0.113.3", [429, 429, 429]),
        ("2001:db8::1", [200, 200, 429]),
        ("2001:db8::2", [429, 429, 429]),
        ("2001:db8:0:1::2", [200, 200, 429]),
    ] {
        let header = format!("x-forwarded-for: {forwarded}");
        assert_eq!([status(&header), status(&header), status(&header)], expected, "{forwarded}");
    }
    // Whose token proves nothing is their address; this machine itself has no limit.
    assert_eq!(status("authorization: Bearer nobody\r\nx-forwarded-for: 203.0.113.1"), 429);
    for _ in 0..10 {
        let reply = ask(&server, "GET", DESCRIBE, "authorization: Basic x");
        assert_eq!((reply.status, reply.header("ratelimit-limit")), (200, None));
    }
}

#[test]
fn the_dashboard_has_quotas_of_its_own() {
    let server = start([1, 1, 2, 1]);
    let target = "/api/explain?uri=nonsense";
    let carol = "authorization: Bearer did:plc:carol";
    assert_eq!(ask(&server, "GET", DESCRIBE, carol).status, 200);
    for (header, expected) in [(carol, [400, 400, 429]), ("x-forwarded-for: 203.0.113.9", [400, 429, 429])] {
        assert_eq!([(); 3].map(|()| ask(&server, "GET", target, header).status), expected, "{header}");
    }
    assert_eq!(ask(&server, "GET", DESCRIBE, carol).status, 429);
}

#[test]
fn nobody_is_limited_where_limits_are_off() {
    let server = Server::start();
    let mut client = Client::connect(server.http);
    for _ in 0..300 {
        let request = format!(
            "GET {DESCRIBE} HTTP/1.1\r\nhost: a\r\nauthorization: Bearer did:plc:dan\r\nx-forwarded-for: 1.1.1.1\r\n\r\n"
        );
        let reply = client.ask(&request);
        assert_eq!((reply.status, reply.header("ratelimit-limit")), (200, None));
    }
}
