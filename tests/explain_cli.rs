//! `atrarium explain`, as people and as scripts use it.
#![cfg(feature = "server")]

#[path = "spine/process.rs"]
#[allow(dead_code, reason = "shared with tests that run an engine")]
#[allow(clippy::disallowed_methods, reason = "tests wait for other processes, by the real clock")]
mod process;

use std::path::Path;

use atrarium::syntax::{Tid, Time, parse_datetime};
use process::run;
use serde_json::{Value, json};

const COMMUNITY: &str = "at://did:plc:owner/net.atrarium.community.config/home";
const POST: &str = "at://did:plc:alice/app.bsky.feed.post/p";
const ACTION: &str = "at://did:plc:owner/net.atrarium.moderation.action/h";

/// One frame of v1: a record put by a DID at a minute past noon.
fn frame(minute: i64, uri: &str, record: &Value) -> String {
    let mut parts = uri["at://".len()..].split('/');
    let mut part = || parts.next().expect("three parts");
    let (did, collection, rkey) = (part(), part(), part());
    let noon = parse_datetime("2026-11-01T12:00:00Z").expect("a datetime");
    let time = noon.plus_micros(minute * 60_000_000);
    let mut record = record.clone();
    record["$type"] = collection.into();
    record["createdAt"] = time.to_string().into();
    let rev = Tid::from_time(time, 0).to_string();
    let cid = "bafyreihldkhcwijkde7gx4rpkkuw7pl6lbyu5gieunyc7ihactn5bkd2nm";
    let commit = json!({"rev": rev, "operation": "create", "collection": collection, "rkey": rkey, "record": record, "cid": cid});
    json!({"did": did, "time_us": Time::micros(time), "kind": "commit", "commit": commit}).to_string()
}

/// A community in which Alice's post is hidden.
fn replayed(dir: &Path) {
    let mix = json!({"own": 100, "parent": 0, "global": 0});
    let config =
        json!({"name": "A", "hashtag": "#atrarium_a1b2c3d4", "stage": "community", "feedMix": mix, "moderators": []});
    let joined = json!({"community": COMMUNITY, "role": "member", "joinedAt": "2026-11-01T12:00:00Z", "active": true});
    let hide = json!({"action": "hide_post", "target": POST, "community": COMMUNITY, "reason": "spam"});
    let frames = [
        frame(0, COMMUNITY, &config),
        frame(1, "at://did:plc:alice/net.atrarium.community.membership/m", &joined),
        frame(2, POST, &json!({"text": "hello #atrarium_a1b2c3d4"})),
        frame(3, ACTION, &hide),
    ];
    let file = dir.join("frames.jsonl");
    std::fs::write(&file, frames.join("\n")).expect("room");
    let (code, out, error) =
        run(&["replay", file.to_str().expect("UTF-8"), "--data-dir", dir.to_str().expect("UTF-8"), "--json"]);
    assert_eq!(code, 0, "{error}");
    let summary: Value = serde_json::from_str(&out).expect("JSON");
    assert_eq!((&summary["read"], &summary["refused"]), (&4.into(), &0.into()), "{summary}");
}

#[test]
fn people_and_scripts_are_told_why() {
    let home = tempfile::tempdir().expect("a directory");
    replayed(home.path());
    let explain =
        |more: &[&str]| run(&[&["explain", "--data-dir", home.path().to_str().expect("UTF-8")], more].concat());

    let (code, out, error) = explain(&[POST]);
    assert_eq!((code, error.as_str()), (0, ""));
    assert!(out.starts_with(&format!("{POST}, at 2026-11-01T12:03:00.000000Z\na1b2c3d4: not visible\n")), "{out}");
    let failing: Vec<&str> = out.lines().filter(|line| line.starts_with("   NO ")).collect();
    let sentence = format!(
        "   NO not_hidden: {POST} was hidden in {COMMUNITY} by {ACTION} of the owner, on 2026-11-01T12:03:00.000000Z (reason: spam)."
    );
    assert_eq!(failing, [sentence]);
    assert_eq!(out.lines().filter(|line| line.starts_with("  yes ")).count(), 9, "{out}");

    let (code, out, _) = explain(&[POST, "--json", "--community", "a1b2c3d4", "--now", "2026-11-20T00:00:00Z"]);
    let explained: Value = serde_json::from_str(&out).expect("one JSON object");
    assert_eq!((code, &explained["now"]), (0, &"2026-11-20T00:00:00.000000Z".into()));
    let rules = explained["communities"][0]["rules"].as_array().expect("a list");
    let broken: Vec<&str> =
        rules.iter().filter(|it| it["holds"] == false).filter_map(|it| it["rule"].as_str()).collect();
    assert_eq!(broken, ["not_hidden", "young"]);

    for (arguments, code, says) in [
        (&[POST, "--community", "ffffffff"][..], 1, "UnknownFeed: no config has claimed #atrarium_ffffffff"),
        (
            &["at://did:plc:alice/app.bsky.feed.post/q"],
            1,
            "NotFound: at://did:plc:alice/app.bsky.feed.post/q is not known",
        ),
        (&[POST, "--community", "A1B2C3D4"], 2, "8 lower-case hex digits"),
        (&["at://alice.example/app.bsky.feed.post/q"], 2, "AT-URI"),
    ] {
        let (is, out, error) = explain(arguments);
        assert_eq!((is, out.as_str()), (code, ""), "{arguments:?}: {error}");
        assert!(error.contains(says), "{arguments:?}: {error}");
        assert!(code == 2 || error.trim_end().lines().count() == 1, "one line: {error}");
    }
}
