//! Wrong input: one clear line that says what to do, and the exit code that scripts rely on.
#![allow(clippy::disallowed_methods, reason = "tests wait for other processes, by the real clock")]

#[path = "spine/process.rs"]
#[allow(dead_code, reason = "shared with tests that serve")]
mod process;

use std::net::TcpListener;
use std::path::Path;
use std::time::{Duration, Instant};

use atrarium::disk::RealDisk;
use atrarium::engine::recover;
use atrarium::fact::GapReason;
use process::{Engine, atrarium, get, json, pause, run};

fn text(path: &Path) -> &str {
    path.to_str().expect("UTF-8")
}

/// The exit code, and stderr, which must be one line that holds every word.
fn assert_fails(arguments: &[&str], code: i32, words: &[&str]) {
    let (exit, out, error) = run(arguments);
    assert_eq!(exit, code, "{arguments:?}: {out}{error}");
    for word in words {
        assert!(error.contains(word), "{arguments:?}: no {word:?} in {error:?}");
    }
    if code == 1 {
        // Log lines have their time in front; what is left is the reason.
        let lines: Vec<&str> = error.lines().filter(|line| line.starts_with("atrarium: ")).collect();
        assert_eq!(lines.len(), 1, "{arguments:?}: {error:?}");
    }
}

const NOWHERE: &str = "ws://127.0.0.1:1/subscribe";

#[test]
fn usage_is_2() {
    let cases: [(&[&str], &str); 12] = [
        (&["serve", "--lissten", "x"], "--lissten"),
        (&["sevre"], "sevre"),
        (&["serve", "--upstream", "http://host"], "ws://"),
        (&["serve", "--upstream", "ws://host/elsewhere"], "/subscribe"),
        (&["serve", "--listen", "nowhere"], "--listen"),
        (&["serve", "--workers", "0"], "1 to 256"),
        (&["serve", "--upstream", NOWHERE, "--publisher-did", "alice.example"], "--publisher-did"),
        (&["feed", "0a1b2c3d", "--limit", "101"], "1 to 100"),
        (&["feed", "0a1b2c3d", "--cursor", "nonsense!"], "--cursor"),
        (&["feed", "0a1b2c3d", "--now", "yesterday"], "RFC 3339"),
        (&["explain", "https://bsky.app/"], "AT-URI"),
        (&["replay"], "<FILE>"),
    ];
    for (arguments, word) in cases {
        assert_fails(arguments, 2, &[word]);
    }
}

/// What only shows when the engine starts is usage all the same.
#[test]
fn an_option_that_cannot_be_is_usage() {
    let home = tempfile::tempdir().expect("a directory");
    let own = ["--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0", "--data-dir", text(home.path())];
    for (flag, value, word) in [
        ("--public-url", "feeds.example", "https://HOST"),
        ("--plc-directory", "ftp://plc.example", "https://plc.directory"),
    ] {
        let arguments = [&["serve", "--upstream", NOWHERE, flag, value], &own[..]].concat();
        assert_fails(&arguments, 2, &[flag, word]);
    }
    assert_eq!(std::fs::read_dir(home.path()).expect("there").count(), 0, "nothing is begun before it is said");
}

#[test]
fn an_unknown_key_of_the_file_is_usage() {
    let home = tempfile::tempdir().expect("a directory");
    let file = home.path().join("a.toml");
    std::fs::write(&file, "data-dir = 'x'\nlissten = '127.0.0.1:0'\n").expect("written");
    assert_fails(&["--config", text(&file), "communities"], 2, &["a.toml", "line 2", "lissten"]);
    assert_fails(&["--config", text(&home.path().join("none.toml")), "communities"], 2, &["none.toml"]);
}

#[test]
fn flag_wins_over_environment_and_environment_over_file() {
    let home = tempfile::tempdir().expect("a directory");
    let file = home.path().join("a.toml");
    std::fs::write(&file, format!("data-dir = '{}'\n", home.path().join("file").display())).expect("written");
    let communities = |environment: Option<&str>, flag: Option<&str>| {
        let mut command = atrarium();
        command.args(["--config", text(&file), "communities"]);
        command.envs(environment.map(|dir| ("ATRARIUM_DATA_DIR", dir)));
        command.args(flag.map(|dir| format!("--data-dir={dir}")));
        let output = command.output().expect("it starts");
        String::from_utf8(output.stderr).expect("UTF-8")
    };
    assert!(communities(None, None).contains("file holds no log"));
    assert!(communities(Some("from-env"), None).contains("from-env holds no log"));
    assert!(communities(Some("from-env"), Some("from-flag")).contains("from-flag holds no log"));
}

#[test]
fn a_port_in_use_names_the_flag() {
    let home = tempfile::tempdir().expect("a directory");
    let taken = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = taken.local_addr().expect("bound").to_string();
    let arguments = ["serve", "--upstream", NOWHERE, "--data-dir", text(home.path())];
    assert_fails(&[&arguments[..], &["--listen", &address]].concat(), 1, &[&address, "in use", "--listen"]);
    let admin = [&arguments[..], &["--listen", "127.0.0.1:0", "--admin-listen", &address]].concat();
    assert_fails(&admin, 1, &[&address, "in use", "--admin-listen"]);
}

#[test]
fn a_data_directory_in_use_or_not_writable_names_what_to_do() {
    let home = tempfile::tempdir().expect("a directory");
    let engine = Engine::start(home.path(), &[NOWHERE.to_owned()], &[]);
    let frames = home.path().join("frames.jsonl");
    std::fs::write(&frames, "").expect("written");
    assert_fails(&["replay", text(&frames), "--data-dir", text(home.path())], 1, &["in use", "pid", "--data-dir"]);
    drop(engine);
    let (code, _, error) = run(&["replay", text(&frames), "--data-dir", text(home.path())]);
    assert_eq!(code, 0, "free again: {error}");
    // A file where a directory should be: nobody can write below it, whoever runs the test.
    assert_fails(&["replay", text(&frames), "--data-dir", text(&frames.join("x"))], 1, &["cannot write", "--data-dir"]);
}

#[test]
fn an_unreachable_host_is_tried_again_and_readers_are_served() {
    let home = tempfile::tempdir().expect("a directory");
    let engine = Engine::start(home.path(), &[NOWHERE.to_owned()], &[]);
    assert_eq!(get(engine.admin, "/health/live").0, 200);
    let deadline = Instant::now() + Duration::from_secs(20);
    loop {
        let (status, body) = get(engine.admin, "/health/ready");
        assert_eq!(status, 503, "{body}");
        if body.contains("refused") {
            break;
        }
        assert!(Instant::now() < deadline, "{body}");
        pause(20);
    }
    assert_eq!(json(engine.http, "/xrpc/app.bsky.feed.describeFeedGenerator")["feeds"], serde_json::json!([]));
    let (status, body) =
        get(engine.http, "/xrpc/app.bsky.feed.getFeedSkeleton?feed=at://did:plc:a/app.bsky.feed.generator/0");
    assert_eq!(status, 400);
    assert!(body.contains("UnknownFeed"), "{body}");
    assert_eq!(engine.terminate().0, 0);
}

#[test]
fn a_corrupt_log_is_refused_with_its_place_and_never_repaired() {
    let home = tempfile::tempdir().expect("a directory");
    let frames = home.path().join("frames.jsonl");
    let data_dir = home.path().join("data");
    let mut lines = Vec::new();
    let options = simnet::Options { events: 20_000, communities: 5, hit_rate: 0.5, ..Default::default() };
    simnet::Network::write(&options, simnet::Dialect::V1, &mut lines).expect("memory");
    std::fs::write(&frames, lines).expect("written");
    let (code, _, error) = run(&["replay", text(&frames), "--data-dir", text(&data_dir)]);
    assert_eq!(code, 0, "{error}");

    let segment = data_dir.join("log/00000000000000000001.seg");
    let mut bytes = std::fs::read(&segment).expect("the segment");
    let middle = bytes.len() / 2;
    bytes[middle] ^= 0x40;
    std::fs::write(&segment, &bytes).expect("written");
    for arguments in [vec!["replay", text(&frames)], vec!["communities"], vec!["serve", "--upstream", NOWHERE]] {
        let arguments = [&arguments[..], &["--data-dir", text(&data_dir)]].concat();
        assert_fails(&arguments, 1, &["corrupt", "00000000000000000001.seg", "offset"]);
    }
    let (code, out, _) = run(&["log", "check", text(&data_dir), "--json"]);
    assert_eq!(code, 1);
    let report: serde_json::Value = serde_json::from_str(&out).expect("JSON");
    assert_eq!(report["ok"], false);
    assert!(report["faults"][0]["offset"].is_u64() && report["faults"][0]["what"].is_string(), "{report}");
    assert_eq!(std::fs::read(&segment).expect("the segment"), bytes, "nobody has touched it");

    // What is damaged can be given up: then it is named, and the rest is served.
    let salvaged = home.path().join("salvaged");
    std::fs::create_dir_all(salvaged.join("log")).expect("a directory");
    std::fs::write(salvaged.join("log/00000000000000000001.seg"), &bytes).expect("a copy");
    let (code, out, error) = run(&["log", "check", text(&salvaged), "--salvage", "--json"]);
    assert_eq!(code, 0, "{error}");
    assert!(error.contains("lost: LSN") && error.contains("00000000000000000001.seg.damaged"), "{error}");
    let report: serde_json::Value = serde_json::from_str(&out).expect("JSON");
    assert_eq!((&report["ok"], &report["salvaged"]["holes"]), (&true.into(), &report["holes"]), "{report}");
    assert_eq!(report["holes"].as_array().map(Vec::len), Some(1), "{report}");
    assert!(std::fs::read(salvaged.join("log/00000000000000000001.seg.damaged")).expect("kept") == bytes);
    let gaps = || {
        let (folded, _) = recover::read(&RealDisk, &salvaged, &mut |_, _| {}).expect("the log");
        folded.fold.gaps().filter(|gap| gap.reason == GapReason::Salvaged).count()
    };
    assert_eq!(gaps(), 1, "the fold tells of it");
    let (code, _, error) = run(&["log", "check", text(&salvaged), "--salvage"]);
    assert!(code == 0 && !error.contains("damaged, kept"), "twice changes nothing: {error}");
    assert_eq!(gaps(), 1);
    let (code, out, _) = run(&["communities", "--data-dir", text(&salvaged), "--json"]);
    assert!(code == 0 && out.contains("atrarium_"), "{out}");

    // Cut in the middle of its last record: torn, which a check says and the next writer repairs.
    bytes[middle] ^= 0x40;
    bytes.extend_from_slice(&[0xff; 100]);
    std::fs::write(&segment, &bytes).expect("written");
    assert_eq!(run(&["log", "check", text(&data_dir)]).0, 3);
    let (code, _, error) = run(&["replay", text(&frames), "--data-dir", text(&data_dir)]);
    assert_eq!(code, 0, "{error}");
    assert_eq!(run(&["log", "check", text(&data_dir)]).0, 0);
}

#[test]
fn what_is_not_there_is_said() {
    let home = tempfile::tempdir().expect("a directory");
    let frames = home.path().join("frames.jsonl");
    std::fs::write(&frames, "").expect("written");
    let data_dir = ["--data-dir", text(home.path())];
    assert_fails(&[&["feed", "0a1b2c3d"], &data_dir[..]].concat(), 1, &["holds no log"]);
    assert_fails(&[&["replay", "/no/such/file"], &data_dir[..]].concat(), 1, &["/no/such/file"]);
    assert_eq!(run(&[&["replay", text(&frames)], &data_dir[..]].concat()).0, 0);
    assert_fails(&[&["feed", "0a1b2c3d"], &data_dir[..]].concat(), 1, &["UnknownFeed", "0a1b2c3d"]);
    let post = "at://did:plc:abc/app.bsky.feed.post/3lpost";
    assert_fails(&[&["explain", post], &data_dir[..]].concat(), 1, &["NotFound", post]);
}

#[test]
fn every_kind_of_bad_line_is_counted_by_its_reason() {
    let home = tempfile::tempdir().expect("a directory");
    let frames = home.path().join("frames.jsonl");
    let commit = |collection: &str, rev: &str, rest: &str| {
        format!(
            r#"{{"kind":"commit","commit":{{"rkey":"3lpost","rev":"{rev}","operation":"create","collection":"{collection}"{rest}}},"time_us":1783175888085434,"did":"did:plc:abc","later":[1]}}"#
        )
    };
    let lines = [
        commit("app.bsky.feed.post", "3mptbypluud2a", r##","record":{"text":"#atrarium_a1b2c3d4"}"##),
        "not json".to_owned(),
        "[]".to_owned(),
        commit("app.bsky.feed.post", "not-a-tid", r##","record":{}"##),
        commit("app.bsky.feed.post", "3mptbypluud2a", ""),
        commit("net.atrarium.community.config", "3mptbypluud2a", r#","record":{"name":"x"}"#),
        r#"{"did":"did:plc:abc","time_us":1783175888085434,"kind":"weather"}"#.to_owned(),
        format!("\"{}\"", "x".repeat(5 << 20)),
        String::new(),
    ];
    std::fs::write(&frames, lines.join("\n")).expect("written");
    let data_dir = home.path().join("data");
    let (code, out, error) = run(&["replay", text(&frames), "--data-dir", text(&data_dir), "--json"]);
    assert_eq!(code, 0, "{error}");
    let report: serde_json::Value = serde_json::from_str(&out).expect("JSON");
    let reasons = serde_json::json!(
        {"garbage": 2, "bad_rev": 1, "malformed": 1, "lexicon": 1, "unknown_kind": 1, "too_large": 1}
    );
    assert_eq!(report["by_reason"], reasons);
    assert_eq!((&report["read"], &report["refused"], &report["facts"]), (&8.into(), &7.into(), &1.into()));
    assert!(error.contains("line 2: refused"), "{error}");
}
