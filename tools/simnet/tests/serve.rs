//! The host over real sockets: cursors, drops, filters, zstd, and a file in both dialects.

mod common;

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::Duration;

use common::*;
use simnet::server::{Pace, Server, ServerOptions};
use simnet::{Dialect, Dictionary, Reel, read_files};
use tungstenite::stream::MaybeTlsStream;
use tungstenite::{Error, Message};

#[test]
fn history_comes_whole_and_a_cursor_gives_the_suffix() {
    let server = server(ServerOptions::default());
    for dialect in [Dialect::V1, Dialect::V2] {
        let expected = lines(dialect);
        assert_eq!(texts(&mut connect(&url(&server, dialect, "")), EVENTS), expected);
        assert_eq!(texts(&mut connect(&url(&server, dialect, "cursor=0")), EVENTS), expected);
        let at = 1_234;
        let mut first = at;
        let resume = cursor(&expected[at]).expect("a cursor");
        while cursor(&expected[first - 1]) == Some(resume) {
            first -= 1;
        }
        let mut client = connect(&url(&server, dialect, &format!("cursor={resume}")));
        assert_eq!(texts(&mut client, EVENTS - first), expected[first..]);
    }
}

#[test]
fn a_small_v1_cursor_is_a_sequence_number() {
    let reel = Reel::of_network(&network(), false, true);
    let server = Server::start("127.0.0.1:0", reel, ServerOptions::default()).expect("a free port");
    let all = texts(&mut connect(&url(&server, Dialect::V1, "")), EVENTS);
    let seq = value(&all[2_000])["cursor"].as_u64().expect("v1 frames of v2 hosts carry it");
    let mut client = connect(&url(&server, Dialect::V1, &format!("cursor={seq}")));
    assert_eq!(texts(&mut client, EVENTS - 2_000), all[2_000..]);
}

#[test]
fn dropped_connections_lose_nothing_to_a_client_that_resumes() {
    for dialect in [Dialect::V1, Dialect::V2] {
        let server = server(ServerOptions { drop_after: Some(100), ..ServerOptions::default() });
        let expected: BTreeSet<String> = lines(dialect).into_iter().collect();
        let first = texts(&mut connect(&url(&server, dialect, "")), EVENTS);
        assert_eq!(first.len(), 100, "closed after exactly so many frames");
        let (seen, connections) = read_with_resumes(&server, dialect, false, &expected);
        assert_eq!(seen, expected);
        assert!(connections >= EVENTS / 100, "{connections} connections");
    }
}

#[test]
fn filters_of_both_dialects_are_honoured() {
    let server = server(ServerOptions::default());
    let all: Vec<serde_json::Value> = lines(Dialect::V1).iter().map(|line| value(line)).collect();
    let author =
        all.iter().find(|it| it["commit"]["collection"] == "app.bsky.feed.post").expect("a post")["did"].clone();
    let author = author.as_str().expect("a DID");
    let is_commit = |it: &serde_json::Value| it["kind"] == "commit";
    let of =
        |collection: &str| all.iter().filter(|it| !is_commit(it) || it["commit"]["collection"] == collection).count();
    let of_author = all.iter().filter(|it| it["did"] == author).count();
    let communities = all.iter().filter(|it| {
        is_commit(it) && it["commit"]["collection"].as_str().is_some_and(|it| it.starts_with("net.atrarium."))
    });
    for (dialect, query, wanted) in [
        (Dialect::V1, "wantedCollections=app.bsky.feed.post".to_string(), of("app.bsky.feed.post")),
        (Dialect::V2, "collections=app.bsky.feed.post".to_string(), of("app.bsky.feed.post")),
        (Dialect::V1, format!("wantedDids={author}"), of_author),
        (Dialect::V2, format!("dids={author}"), of_author),
        (Dialect::V2, "kinds=commit&collections=net.atrarium.*".to_string(), communities.count()),
        (Dialect::V2, "kinds=identity".to_string(), all.iter().filter(|it| it["kind"] == "identity").count()),
    ] {
        let mut client = connect(&url(&server, dialect, &query));
        if let MaybeTlsStream::Plain(stream) = client.get_ref() {
            stream.set_read_timeout(Some(Duration::from_millis(300))).expect("a timeout");
        }
        let got = texts(&mut client, EVENTS);
        assert_eq!(got.len(), wanted, "{query}");
        assert!(wanted > 0, "{query}");
    }
}

#[test]
fn v1_takes_an_options_update_and_v2_closes_on_any_data() {
    let server = server(ServerOptions::default());
    let mut v1 = connect(&url(&server, Dialect::V1, "requireHello=true"));
    let update = r#"{"type":"options_update","payload":{"wantedCollections":["app.bsky.graph.follow"]}}"#;
    v1.send(Message::text(update)).expect("sent");
    if let MaybeTlsStream::Plain(stream) = v1.get_ref() {
        stream.set_read_timeout(Some(Duration::from_millis(300))).expect("a timeout");
    }
    let got = texts(&mut v1, EVENTS);
    assert!(got.iter().all(|line| !line.contains("app.bsky.feed.like\"")));
    assert!(got.iter().any(|line| line.contains("app.bsky.graph.follow")));

    let mut v2 = connect(&url(&server, Dialect::V2, ""));
    v2.send(Message::text("hello?")).expect("sent");
    while let Ok(message) = v2.read() {
        if let Message::Close(Some(frame)) = message {
            assert_eq!(u16::from(frame.code), 1008);
            return;
        }
    }
    panic!("no close frame");
}

#[test]
fn after_the_last_event_pings_are_answered() {
    let server = server(ServerOptions::default());
    let mut client = connect(&url(&server, Dialect::V2, ""));
    assert_eq!(texts(&mut client, EVENTS).len(), EVENTS);
    client.send(Message::Ping("still there?".into())).expect("sent");
    loop {
        match client.read().expect("an answer") {
            Message::Pong(payload) => return assert_eq!(&payload[..], b"still there?"),
            message => assert!(message.is_ping(), "{message:?}"),
        }
    }
}

#[test]
fn at_a_rate_all_share_one_timeline() {
    let server = server(ServerOptions { pace: Pace::PerSecond(2_000.0), ..ServerOptions::default() });
    let expected = lines(Dialect::V2);
    let mut early = connect(&url(&server, Dialect::V2, ""));
    assert_eq!(texts(&mut early, 400), expected[..400]);
    let mut late = connect(&url(&server, Dialect::V2, ""));
    let first = texts(&mut late, 1).pop().expect("a frame");
    assert!(expected.iter().position(|line| *line == first).expect("known") >= 400, "late joiners get the middle");
    let mut from_the_start = connect(&url(&server, Dialect::V2, "cursor=0"));
    assert_eq!(texts(&mut from_the_start, 400), expected[..400]);
}

#[test]
fn a_repeating_host_goes_on_with_later_times_and_numbers() {
    let reel = Reel::of_network(&network(), true, true);
    let server = Server::start("127.0.0.1:0", reel, ServerOptions::default()).expect("a free port");
    let got = texts(&mut connect(&url(&server, Dialect::V2, "")), 2 * EVENTS + 10);
    let seqs: Vec<u64> = got.iter().filter_map(|line| cursor(line)).collect();
    assert_eq!(seqs.len(), got.len());
    assert!(seqs.windows(2).all(|pair| pair[0] + 1 == pair[1]));
    let resumed = texts(&mut connect(&url(&server, Dialect::V2, &format!("cursor={}", seqs[EVENTS + 5]))), 10);
    assert_eq!(resumed, got[EVENTS + 5..EVENTS + 15]);
    let times: Vec<String> = got.iter().map(|line| value(line)["payload"]["time"].to_string()).collect();
    assert!(times.is_sorted());
}

#[test]
fn what_is_not_spoken_is_refused_in_json() {
    let server = server(ServerOptions::default());
    let refused = |dialect: Dialect, query: &str| match tungstenite::connect(url(&server, dialect, query)) {
        Err(Error::Http(response)) => {
            let body = response.body().as_deref().unwrap_or_default();
            (response.status().as_u16(), serde_json::from_slice::<serde_json::Value>(body).expect("JSON"))
        }
        other => panic!("{other:?}"),
    };
    assert_eq!(refused(Dialect::V2, "cursor=soon").0, 400);
    let (status, body) = refused(Dialect::V2, "compress=true");
    assert_eq!((status, &body["error"]), (400, &"InvalidRequest".into()));
    let (status, body) = refused(Dialect::V2, "zstdDictionary=12345");
    assert_eq!((status, &body["error"]), (400, &"UnknownZstdDictionary".into()));
    let current = format!("current dictionary id is {} ", Dictionary::of_simnet(Dialect::V2).id());
    assert!(body["message"].as_str().is_some_and(|message| message.contains(&current)), "{body}");
}

#[test]
fn the_dictionary_is_handed_out_as_jetstream_does() {
    let server = server(ServerOptions::default());
    let own = Dictionary::of_simnet(Dialect::V2);
    for target in [GET_DICTIONARY.to_string(), format!("{GET_DICTIONARY}?id={}", own.id())] {
        let (status, head, body) = get(&server, &target);
        assert_eq!((status, &body[..]), (200, own.bytes()));
        assert!(head.contains("Content-Type: application/octet-stream\r\n"), "{head}");
        assert!(head.contains(&format!("X-Zstd-Dictionary-Id: {}\r\n", own.id())), "{head}");
    }
    let (status, _, body) = get(&server, &format!("{GET_DICTIONARY}?id=7"));
    let body: serde_json::Value = serde_json::from_slice(&body).expect("JSON");
    assert_eq!((status, &body["error"]), (404, &"DictionaryNotFound".into()));
}

#[test]
fn compressed_messages_are_the_plain_ones() {
    let server = server(ServerOptions::default());
    for dialect in [Dialect::V1, Dialect::V2] {
        let expected = lines(dialect);
        let (query, mut decoder) = zstd(&Dictionary::of_simnet(dialect), dialect);
        let mut client = connect(&url(&server, dialect, &query));
        assert!(decoded(&mut client, &mut decoder, EVENTS) == expected, "{dialect:?}");
        let resume = cursor(&expected[2_000]).expect("a cursor");
        let mut client = connect(&url(&server, dialect, &format!("{query}&cursor={resume}")));
        let suffix = decoded(&mut client, &mut decoder, 100);
        assert!(expected.windows(100).any(|window| window == suffix), "a suffix of the same");
        // One that filters sees fewer of the same; v1 lets everything pass that is no commit.
        let likes = if dialect == Dialect::V1 { "wantedCollections" } else { "kinds=commit&collections" };
        let mut client = connect(&url(&server, dialect, &format!("{query}&{likes}=app.bsky.feed.like")));
        let is_other = |line: &String| line.contains("\"commit\"") && !line.contains("app.bsky.feed.like\"");
        let got = decoded(&mut client, &mut decoder, 300);
        assert_eq!((got.len(), got.iter().find(|line| is_other(line))), (300, None));
    }
}

#[test]
fn another_host_goes_on_where_the_first_one_was_by_time() {
    let timeline = ServerOptions { pace: Pace::PerSecond(1e9), ..ServerOptions::default() };
    let start = |reel| Server::start("127.0.0.1:0", reel, timeline.clone()).expect("a free port");
    let first = start(Reel::of_network(&network(), false, true));
    let second = start(Reel::of_network(&network(), false, true).of_another_host());
    let time = |line: &String| value(line)["time_us"].as_u64().expect("a time");
    let seq = |line: &String| value(line)["cursor"].as_u64().expect("a number");
    let got = texts(&mut connect(&url(&first, Dialect::V1, "cursor=0")), 1_000);
    let at = time(&got[999]);
    let rest = texts(&mut connect(&url(&second, Dialect::V1, &format!("cursor={at}"))), 2_000);
    assert!(rest.len() >= EVENTS - 1_000 && time(&rest[0]) >= at);
    assert!(seq(&rest[0]) < seq(&got[0]), "numbers mean something else");
    let by_time = texts(&mut connect(&url(&second, Dialect::V2, &format!("cursor={at}"))), 1);
    assert_eq!(value(&by_time[0])["payload"]["seq"].as_u64(), Some(seq(&rest[0])), "v2 takes a moment too");
    // One timeline: a number of the first host lies in the future of the second, and gets nothing of what has been.
    let query = format!("cursor={}", seq(&got[999]));
    let mut client = connect(&url(&second, Dialect::V1, &query));
    patience(&client, Duration::from_millis(200));
    assert!(texts(&mut client, 1).is_empty());
}

#[test]
fn later_rounds_are_compressed_too() {
    for dialect in [Dialect::V1, Dialect::V2] {
        let reel = Reel::of_network(&network(), true, true);
        let server = Server::start("127.0.0.1:0", reel, ServerOptions::default()).expect("a free port");
        let (query, mut decoder) = zstd(&Dictionary::of_simnet(dialect), dialect);
        let plain = texts(&mut connect(&url(&server, dialect, "")), EVENTS + 500);
        let compressed = decoded(&mut connect(&url(&server, dialect, &query)), &mut decoder, EVENTS + 500);
        assert!(compressed == plain, "{dialect:?}");
    }
}

#[test]
fn real_dictionaries_are_taken() {
    for (name, dialect, id) in [
        ("jetstream/subscribe_v1.1612007021.zdict", Dialect::V1, 1_612_007_021),
        ("jetstream/subscribe_events.20260811.zdict", Dialect::V2, 20_260_811),
    ] {
        let Some(file) = fixture(name) else { return };
        let real = Dictionary::read(&file).expect("readable");
        assert_eq!(real.id(), id);
        let given = Some(real.clone());
        let options = ServerOptions { dictionary_v1: given.clone(), dictionary_v2: given, ..ServerOptions::default() };
        let server = server(options);
        let (query, mut decoder) = zstd(&real, dialect);
        let got = decoded(&mut connect(&url(&server, dialect, &query)), &mut decoder, EVENTS);
        assert!(got == lines(dialect), "{name}");
    }
}

#[test]
fn a_real_file_is_served_in_both_dialects() {
    let Some(file) = fixture("jetstream/real_v1_20260704.jsonl") else { return };
    let real: Vec<String> = std::fs::read_to_string(&file).expect("readable").lines().map(Into::into).collect();
    let reel = Reel::of_events(read_files(&[file]).expect("readable"), false, false);
    let server = Server::start("127.0.0.1:0", reel, ServerOptions::default()).expect("a free port");
    let v1 = texts(&mut connect(&url(&server, Dialect::V1, "cursor=0")), 152);
    assert_eq!(v1, real, "byte for byte");
    let v2 = texts(&mut connect(&url(&server, Dialect::V2, "cursor=0")), 152);
    assert_eq!(v2.len(), 152);
    for (v1, v2) in v1.iter().zip(&v2) {
        assert_eq!(format!("{:?}", model::parse(v1)), format!("{:?}", model::parse(v2)));
        assert!(model::parse(v2).is_ok());
    }
    // The real stream is not in order of time: nothing at or after the cursor may be missing.
    let at = cursor(&v1[70]).expect("a time");
    let suffix = v1.iter().position(|line| cursor(line) >= Some(at)).expect("this one");
    let resumed = texts(&mut connect(&url(&server, Dialect::V1, &format!("cursor={at}"))), 152 - suffix);
    assert_eq!(resumed, v1[suffix..]);
}

fn fixture(name: &str) -> Option<PathBuf> {
    let beside = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared/fixtures");
    let folder = std::env::var_os("ATRARIUM_FIXTURES").map_or(beside, PathBuf::from);
    let path = folder.join(name);
    if !path.exists() {
        println!("skipped: {} is not there", path.display());
        return None;
    }
    Some(path)
}
