//! The admin listener: names and forms that operators' scripts rely on.
#![cfg(feature = "server")]

mod serve_support;

use std::time::Duration;

use atrarium::telemetry::{Bound, FACT_KINDS, Reason};
use serve_support::{Client, NOW_MICROS, Server};

/// Value of one sample, by its name and labels as they stand in the text.
#[track_caller]
fn sample(text: &str, name: &str) -> f64 {
    let of_name = |line: &&str| line.strip_prefix(name).is_some_and(|rest| rest.starts_with(' '));
    let line = text.lines().find(of_name).unwrap_or_else(|| panic!("{name} is not in\n{text}"));
    line.rsplit(' ').next().and_then(|value| value.parse().ok()).expect("a number")
}

#[test]
fn every_metric_has_its_name() {
    let server = Server::start();
    let told = &server.telemetry;
    told.frames.add(5);
    told.hits.add(4);
    told.gaps.add(3);
    told.posts.set(11);
    told.communities.set(2);
    told.refuse(Reason::Lexicon);
    told.fact("post");
    told.skeleton.record(Duration::from_micros(7));
    told.skeleton.record(Duration::from_secs(3600));
    told.log_sync.record(Duration::from_millis(1));
    told.visible_latency.record(Duration::from_millis(20));
    told.witnessed_micros.set(NOW_MICROS);
    told.last_frame_monotonic_micros.set(0);
    let reply = server.admin("/metrics");
    assert_eq!(reply.status, 200);
    assert_eq!(reply.header("content-type"), Some("application/openmetrics-text; version=1.0.0; charset=utf-8"));
    let text = &reply.body;
    assert!(text.ends_with("# EOF\n"));
    for (name, value) in [
        ("atrarium_frames_total", 5.0),
        ("atrarium_frames_refused_total{reason=\"lexicon\"}", 1.0),
        ("atrarium_frames_refused_total{reason=\"garbage\"}", 0.0),
        ("atrarium_hits_total", 4.0),
        ("atrarium_facts_total{kind=\"post\"}", 1.0),
        ("atrarium_posts", 11.0),
        ("atrarium_communities", 2.0),
        ("atrarium_memory_bytes", 12_345_678.0),
        ("atrarium_ring_occupancy_ratio{worker=\"0\"}", 0.0),
        ("atrarium_ring_occupancy_ratio{worker=\"1\"}", 0.25),
        ("atrarium_gap_total", 3.0),
        ("atrarium_skeleton_seconds_count", 2.0),
        ("atrarium_skeleton_seconds_sum", 3_600.000_007),
        ("atrarium_skeleton_seconds_bucket{le=\"0.000005\"}", 0.0),
        ("atrarium_skeleton_seconds_bucket{le=\"0.00001\"}", 1.0),
        ("atrarium_skeleton_seconds_bucket{le=\"30.0\"}", 1.0),
        ("atrarium_skeleton_seconds_bucket{le=\"+Inf\"}", 2.0),
        ("atrarium_log_sync_seconds_count", 1.0),
        ("atrarium_visible_latency_seconds_count", 1.0),
        ("atrarium_frame_bytes_total", 0.0),
        ("atrarium_log_bytes", 0.0),
        ("atrarium_interactions_total{event=\"requestLess\"}", 0.0),
        ("atrarium_interactions_left_out_total{reason=\"malformed\"}", 0.0),
        ("atrarium_rate_limited_total{quota=\"feeds_did\"}", 0.0),
        ("atrarium_rate_limit_forgotten_total", 0.0),
        ("atrarium_http_answers_total{class=\"2xx\"}", 0.0),
        ("atrarium_http_connections_refused_total", 0.0),
        ("atrarium_http_connections_timed_out_total", 0.0),
        ("atrarium_orphans_dropped_total", 0.0),
        ("atrarium_fingerprints_dropped_total", 0.0),
        ("atrarium_explanations_refused_total", 0.0),
        ("atrarium_posts_waiting", 0.0),
        ("atrarium_post_tombstones", 0.0),
    ] {
        let found = sample(text, name);
        assert!((found - value).abs() < 1e-9, "{name} is {found}, not {value}");
    }
    assert!(sample(text, "atrarium_stream_lag_seconds").is_finite());
    assert!(sample(text, "atrarium_stream_silence_seconds") >= 0.0);
    for reason in Reason::ALL {
        sample(text, &format!("atrarium_frames_refused_total{{reason=\"{}\"}}", reason.as_str()));
    }
    for kind in FACT_KINDS {
        sample(text, &format!("atrarium_facts_total{{kind=\"{kind}\"}}"));
    }
    for bound in Bound::ALL {
        sample(text, &format!("atrarium_bound_reached_total{{bound=\"{}\"}}", bound.as_str()));
    }
}

#[test]
fn metrics_before_the_first_frame_are_well_formed() {
    let server = Server::start();
    let text = server.admin("/metrics").body;
    assert!(sample(&text, "atrarium_stream_lag_seconds").is_nan(), "there is no lag yet");
    assert!(sample(&text, "atrarium_stream_silence_seconds") >= 0.0);
    let names = text.lines().filter(|line| !line.starts_with('#'));
    for line in names {
        assert!(line.starts_with("atrarium_"), "{line}");
        let value = line.rsplit(' ').next().expect("a value");
        assert!(value.parse::<f64>().is_ok(), "{line}");
    }
    // A family is declared once, with what it is.
    let mut declared: Vec<_> = text.lines().filter(|line| line.starts_with("# TYPE ")).collect();
    let count = declared.len();
    declared.sort_unstable();
    declared.dedup();
    assert_eq!(declared.len(), count);
}

#[test]
fn health_tells_why_not() {
    let server = Server::start();
    assert_eq!(server.admin("/health/live").status, 200);
    let ready = server.admin("/health/ready");
    assert_eq!((ready.status, &*ready.body), (200, r#"{"ready":true}"#));
    *server.engine.why_not.lock().expect("not poisoned") = Some("the stream is \"silent\"".to_owned());
    let ready = server.admin("/health/ready");
    assert_eq!((ready.status, &*ready.body), (503, r#"{"ready":false,"why":"the stream is \"silent\""}"#));
    assert_eq!(ready.header("content-type"), Some("application/json"));
    assert_eq!(server.admin("/health/live").status, 200, "alive though not ready");
}

#[test]
fn status_has_its_keys() {
    let server = Server::start();
    server.telemetry.frames.add(9);
    server.telemetry.hits.add(8);
    server.telemetry.fact("post");
    server.telemetry.fact("config");
    server.telemetry.refuse(Reason::BadDid);
    let seen = r#"{"item":"at://did:plc:a/app.bsky.feed.post/3l","event":"app.bsky.feed.defs#interactionSeen","reqId":"a1b2c3d4"}"#;
    let body = format!(r#"{{"interactions":[{seen},{seen},{{}}]}}"#);
    let target = "/xrpc/app.bsky.feed.sendInteractions";
    let request = format!("POST {target} HTTP/1.1\r\nhost: a\r\ncontent-length: {}\r\n\r\n{body}", body.len());
    assert_eq!(server.ask(&request).status, 200);
    server.telemetry.communities.set(3);
    server.telemetry.posts.set(4);
    server.telemetry.last_lsn.set(20);
    server.telemetry.durable_lsn.set(19);
    server.telemetry.segments.set(2);
    server.telemetry.log_bytes.set(4096);
    let before = server.admin("/status").body;
    assert!(before.contains(r#""cursor":91107,"cursor_time":null,"witnessed":null,"lag_seconds":null"#), "{before}");
    server.telemetry.witnessed_micros.set(NOW_MICROS);
    let reply = server.admin("/status");
    assert_eq!((reply.status, reply.header("content-type")), (200, Some("application/json")));
    let mut status: serde_json::Value = serde_json::from_str(&reply.body).expect("JSON");
    let lag = status["upstream"]["lag_seconds"].take();
    assert!(lag.as_f64().is_some_and(|lag| lag >= 0.0), "{lag}");
    assert_eq!(
        status,
        serde_json::json!({
            "version": env!("CARGO_PKG_VERSION"),
            "upstream": {
                "url": "wss://jetstream.example", "dialect": "v2", "connected": true, "cursor": 91107, "cursor_time": null,
                "witnessed": "2026-11-24T12:00:00.000000Z", "lag_seconds": null,
            },
            "frames": 9, "hits": 8, "facts": 2, "refused": {"bad_did": 1}, "communities": 3, "posts": 4,
            "interactions": {
                "total": 3, "events": {"interactionSeen": 2, "other": 1}, "left_out": {"no_community": 1},
                "communities": [
                    {"id": "a1b2c3d4", "total": 2, "events": {"interactionSeen": 2},
                     "posts": [{"uri": "at://did:plc:a/app.bsky.feed.post/3l", "total": 2, "events": {"interactionSeen": 2}}]},
                ],
            },
            "log": {"last_lsn": 20, "durable_lsn": 19, "snapshot_lsn": 0, "segments": 2, "bytes": 4096}, "gaps": [],
        })
    );
}

#[test]
fn other_paths_and_methods_are_refused() {
    let server = Server::start();
    assert_eq!(server.admin("/").status, 200);
    let reply = server.admin("/xrpc/_health");
    assert_eq!((reply.status, &*reply.error()), (404, "NotFound"));
    for (method, target, status) in
        [("POST", "/metrics", 405), ("DELETE", "/status", 405), ("POST", "/x", 404), ("OPTIONS", "/status", 204)]
    {
        let mut client = Client::connect(server.admin);
        let reply = client.ask(&format!("{method} {target} HTTP/1.1\r\nhost: a\r\ncontent-length: 0\r\n\r\n"));
        assert_eq!(reply.status, status, "{method} {target}");
        assert_eq!(reply.header("allow").is_some(), status != 404);
    }
    let mut client = Client::connect(server.admin);
    let head = client.ask("HEAD /health/ready HTTP/1.1\r\nhost: a\r\n\r\n");
    assert_eq!((head.status, head.header("content-length")), (200, Some("14")));
    assert_eq!(server.telemetry.answers().map(|(_, count)| count).sum::<u64>(), 0, "scrapes are not readers");
}
