//! Callers with real tokens: judged beside, and counted to whoever they are.
#![cfg(feature = "server")]

mod identity_support;
mod serve_support;

use std::cell::Cell;
use std::time::Duration;

use atrarium::identity::{Changes, Gate, Refusal};
use atrarium::serve::{Quota, RateLimits, ServeConfig};
use identity_support::{ALICE, BOB, METHOD, did, rig, token};
use serve_support::{PATIENCE, Reply, Server};

const DESCRIBE: &str = "app.bsky.feed.describeFeedGenerator";
const FEED: &str = "at://did:web:feeds.atrarium.net/app.bsky.feed.generator/a1b2c3d4";

/// A server at which each account has so many requests an hour for feeds, and this machine's addresses have no limit. Alice
/// signs with key 1, Bob with key 2.
fn start(requests: u32) -> (Server, Gate, Changes) {
    let rig = rig();
    rig.publish(ALICE, 1, "alice.dev");
    rig.publish(BOB, 2, "bob.dev");
    let limits = RateLimits { quotas: [requests, 1000, 1, 1].map(Quota::per_hour), trusted_proxies: Vec::new() };
    let config = ServeConfig { public_url: Some("https://feeds.atrarium.net".to_owned()), ..ServeConfig::default() };
    let (gate, judges, changes) = rig.gate();
    (Server::start_judged(&config, limits, (gate.clone(), judges)), gate, changes)
}

fn ask(server: &Server, method: &str, header: &str) -> Reply {
    server.ask(&format!("GET /xrpc/{method}?feed={FEED} HTTP/1.1\r\nhost: a\r\nauthorization: {header}\r\n\r\n"))
}

/// Waits until `is_so`.
#[expect(clippy::disallowed_methods, reason = "there is nothing to wait on but another thread's counters")]
fn wait(is_so: impl Fn() -> bool) {
    let step = Duration::from_millis(2);
    let waited = (0..PATIENCE.as_millis() / step.as_millis()).any(|_| {
        let is_over = is_so();
        if !is_over {
            std::thread::sleep(step);
        }
        is_over
    });
    assert!(waited, "it did not become so");
}

fn refused(gate: &Gate, why: Refusal) -> u64 {
    gate.callers().tally().refused().find(|(reason, _)| *reason == why).map_or(0, |(_, count)| count)
}

#[test]
fn an_account_is_counted_though_it_never_sends_the_same_token_twice() {
    let (server, gate, _) = start(3);
    for number in 1..=3_u64 {
        let reply = ask(&server, METHOD, &token(ALICE, 1, &number.to_string()));
        assert_eq!((reply.status, reply.header("ratelimit-limit")), (200, None), "it does not wait for a judge");
        wait(|| gate.callers().tally().verified.get() == number);
    }
    // The tally is told a moment before the quota is. Each is another token here too: one that comes again is known, and
    // would use up the quota by itself.
    let number = Cell::new(3_u64);
    let fresh = || {
        number.set(number.get() + 1);
        token(ALICE, 1, &number.get().to_string())
    };
    wait(|| ask(&server, METHOD, &fresh()).status == 429);
    let reply = ask(&server, METHOD, &fresh());
    assert_eq!(gate.callers().tally().known.get(), 0, "no token came twice");
    assert_eq!((reply.status, reply.header("ratelimit-limit")), (429, Some("3")));
    assert!(reply.body.contains("account"), "{}", reply.body);
    assert_eq!(server.get(&format!("/xrpc/{METHOD}?feed={FEED}")).status, 200, "nobody in particular");
    assert_eq!(ask(&server, METHOD, &token(BOB, 2, "1")).status, 200);
}

#[test]
fn a_forged_token_uses_up_nothing_of_whom_it_names() {
    let (server, gate, _) = start(3);
    for number in 0..10_u64 {
        assert_eq!(ask(&server, METHOD, &token(BOB, 1, &number.to_string())).status, 200, "anybody");
        wait(|| refused(&gate, Refusal::Signature) == number + 1);
    }
    let own = token(BOB, 2, "own");
    assert_eq!(ask(&server, METHOD, &own).status, 200);
    wait(|| ask(&server, METHOD, &own).header("ratelimit-limit") == Some("3"));
    assert_eq!(gate.callers().tally().verified.get(), 1);
    let metrics = server.admin("/metrics").body;
    for line in [
        r#"atrarium_tokens_refused_total{reason="signature"} 10"#,
        r#"atrarium_tokens_total{outcome="verified"} 1"#,
        "atrarium_identity_reads_failed_total 0",
    ] {
        assert!(metrics.contains(line), "{line} is not in\n{metrics}");
    }
}

#[test]
fn a_token_that_is_known_says_what_is_left_and_is_for_its_method_alone() {
    let (server, gate, mut changes) = start(10);
    let header = token(ALICE, 1, "1");
    assert_eq!(ask(&server, METHOD, &header).status, 200);
    wait(|| gate.callers().tally().verified.get() == 1);
    let left = |reply: &Reply| reply.header("ratelimit-remaining").and_then(|text| text.parse::<u64>().ok());
    wait(|| left(&ask(&server, METHOD, &header)).is_some_and(|left| left < 9));
    let before = left(&ask(&server, METHOD, &header)).expect("limited");
    let other = ask(&server, DESCRIBE, &header);
    assert_eq!((other.status, left(&other)), (200, None), "it proves nothing here");
    assert_eq!(refused(&gate, Refusal::Method), 1);
    // The key is another one from now on: who has the old one is nobody.
    changes.tell(did(ALICE));
    wait(|| gate.callers().tally().changed.get() == 1);
    assert_eq!(left(&ask(&server, METHOD, &header)), None, "it is judged anew");
    wait(|| left(&ask(&server, METHOD, &header)).is_some_and(|left| left < before));
    assert_eq!(gate.callers().tally().verified.get(), 2);
}
