//! The host over real sockets: cursors, drops, filters, faults, and a file in both dialects.

use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::PathBuf;
use std::time::Duration;

use simnet::server::{Fault, Server, ServerOptions};
use simnet::{Dialect, Dictionary, Network, Options, Reel, read_files};
use tungstenite::stream::MaybeTlsStream;
use tungstenite::{Error, Message, WebSocket};

type Client = WebSocket<MaybeTlsStream<TcpStream>>;

const EVENTS: usize = 3_000;

fn network() -> Options {
    Options { events: EVENTS as u64, communities: 5, hit_rate: 0.2, ..Options::default() }
}

fn server(options: ServerOptions) -> Server {
    Server::start("127.0.0.1:0", Reel::of_network(&network(), false, false), options).expect("a free port")
}

fn url(server: &Server, dialect: Dialect, query: &str) -> String {
    let path = match dialect {
        Dialect::V1 => "subscribe",
        Dialect::V2 => "xrpc/network.bsky.jetstream.subscribeEvents",
    };
    format!("ws://{}/{path}?{query}", server.address())
}

fn connect(url: &str) -> Client {
    let (client, _) = tungstenite::connect(url).expect("a handshake");
    if let MaybeTlsStream::Plain(stream) = client.get_ref() {
        stream.set_read_timeout(Some(Duration::from_secs(10))).expect("a timeout");
    }
    client
}

/// The texts up to `count` of them, or up to the end of the connection.
fn texts(client: &mut Client, count: usize) -> Vec<String> {
    let mut texts = Vec::new();
    while texts.len() < count {
        match client.read() {
            Ok(Message::Text(text)) => texts.push(text.to_string()),
            Ok(_) => {}
            Err(_) => break,
        }
    }
    texts
}

fn lines(dialect: Dialect) -> Vec<String> {
    lines_of(&network(), dialect)
}

fn lines_of(network: &Options, dialect: Dialect) -> Vec<String> {
    let mut bytes = Vec::new();
    Network::write(network, dialect, &mut bytes).expect("a Vec takes everything");
    String::from_utf8(bytes).expect("text").lines().map(Into::into).collect()
}

fn value(line: &str) -> serde_json::Value {
    serde_json::from_str(line).expect("JSON")
}

/// The cursor by which a client resumes after this frame; `None` where the frame has none.
fn cursor(line: &str) -> Option<u64> {
    let value: serde_json::Value = serde_json::from_str(line).ok()?;
    value["time_us"].as_u64().or(value["payload"]["seq"].as_u64())
}

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

/// Reads like a client that resumes from the greatest cursor it has seen, until it has everything.
fn read_with_resumes(server: &Server, dialect: Dialect, expected: &BTreeSet<String>) -> (BTreeSet<String>, usize) {
    let (mut seen, mut last, mut connections) = (BTreeSet::new(), 0, 0);
    while seen != *expected && connections < 300 {
        connections += 1;
        let Ok((mut client, _)) = tungstenite::connect(url(server, dialect, &format!("cursor={last}"))) else {
            continue;
        };
        if let MaybeTlsStream::Plain(stream) = client.get_ref() {
            stream.set_read_timeout(Some(Duration::from_millis(700))).expect("a timeout");
        }
        while seen != *expected {
            match client.read() {
                Ok(Message::Text(text)) if expected.contains(text.as_str()) => {
                    last = last.max(cursor(&text).expect("a known frame"));
                    seen.insert(text.to_string());
                }
                Ok(_) => {}
                Err(_) => break,
            }
        }
    }
    (seen, connections)
}

#[test]
fn dropped_connections_lose_nothing_to_a_client_that_resumes() {
    for dialect in [Dialect::V1, Dialect::V2] {
        let server = server(ServerOptions { drop_after: Some(100), ..ServerOptions::default() });
        let expected: BTreeSet<String> = lines(dialect).into_iter().collect();
        let first = texts(&mut connect(&url(&server, dialect, "")), EVENTS);
        assert_eq!(first.len(), 100, "closed after exactly so many frames");
        let (seen, connections) = read_with_resumes(&server, dialect, &expected);
        assert_eq!(seen, expected);
        assert!(connections >= EVENTS / 100, "{connections} connections");
    }
}

#[test]
fn every_fault_happens_and_none_loses_an_event() {
    for dialect in [Dialect::V1, Dialect::V2] {
        let faults: Vec<Fault> = Fault::ALL.iter().copied().filter(|fault| fault.name() != "v1-clamp").collect();
        // Long enough to meet them all: those that do not end a connection fill 1,000 frames of the first three.
        let network = Options { events: 6_000, ..network() };
        let options = ServerOptions { faults, ..ServerOptions::default() };
        let server =
            Server::start("127.0.0.1:0", Reel::of_network(&network, false, false), options).expect("a free port");
        let expected: BTreeSet<String> = lines_of(&network, dialect).into_iter().collect();
        let (seen, connections) = read_with_resumes(&server, dialect, &expected);
        assert_eq!(seen, expected);
        // Three each of disconnect, silence, truncated, error frame, 503, and in v2 of the cursor that is too old.
        let ended = if dialect == Dialect::V2 { 18 } else { 15 };
        assert_eq!(connections, ended + 1);
    }
}

#[test]
fn each_fault_is_what_its_name_says() {
    let met = |name: &str, dialect: Dialect| {
        let faults = vec![Fault::parse(name).expect("known")];
        let server = server(ServerOptions { faults, ..ServerOptions::default() });
        let (mut messages, mut end) = (Vec::new(), None);
        match tungstenite::connect(url(&server, dialect, "cursor=1")) {
            Err(error) => end = Some(error),
            Ok((mut client, _)) => {
                if let MaybeTlsStream::Plain(stream) = client.get_ref() {
                    stream.set_read_timeout(Some(Duration::from_millis(300))).expect("a timeout");
                }
                while messages.len() < EVENTS + 2_500 && end.is_none() {
                    match client.read() {
                        Ok(message) => messages.push(message),
                        Err(error) => end = Some(error),
                    }
                }
            }
        }
        (messages, end)
    };
    let expected = lines(Dialect::V2);
    let is_text = |message: &&Message| message.is_text();
    for name in ["disconnect", "truncated-frame"] {
        let (messages, end) = met(name, Dialect::V2);
        assert_eq!(messages.len(), 24, "{name}");
        assert!(!matches!(end, Some(Error::Io(error)) if error.kind() == std::io::ErrorKind::WouldBlock), "{name}");
    }
    assert!(met("silence-after-accept", Dialect::V2).0.is_empty());
    for (name, status) in [("http-503", 503), ("cursor-too-old", 400)] {
        match met(name, Dialect::V2).1 {
            Some(Error::Http(response)) => {
                assert_eq!(response.status().as_u16(), status);
                let body: serde_json::Value =
                    serde_json::from_slice(response.body().as_deref().unwrap_or_default()).expect("JSON");
                assert!(body["error"].is_string() && body["message"].is_string());
            }
            other => panic!("{name}: {other:?}"),
        }
    }
    let (messages, _) = met("error-frame-then-close", Dialect::V2);
    assert_eq!(value(messages[24].to_text().expect("text"))["error"], "ConsumerTooSlow");
    assert!(messages[25].is_close());
    for (name, more) in [("garbage", 6), ("unknown-kind", 1), ("info", 1), ("oversized-frame", 1), ("duplicate", 24)] {
        assert_eq!(met(name, Dialect::V2).0.iter().filter(is_text).count(), EVENTS + more, "{name}");
    }
    for name in ["slow-drip", "fragmented"] {
        let (messages, _) = met(name, Dialect::V2);
        let texts: Vec<&str> = messages.iter().filter(is_text).map(|it| it.to_text().expect("text")).collect();
        assert_eq!(texts, expected, "{name}");
    }
    let (messages, _) = met("reorder-at-seam", Dialect::V2);
    let texts: Vec<&str> = messages.iter().filter(is_text).map(|it| it.to_text().expect("text")).collect();
    assert_ne!(texts, expected);
    assert_eq!(texts[24..88], expected[88..152]);
    assert_eq!(texts.into_iter().collect::<BTreeSet<_>>(), expected.iter().map(String::as_str).collect());
    assert!(met("ping-flood", Dialect::V2).0.iter().filter(|it| it.is_ping()).count() >= 2_000);
    assert_eq!(met("binary-frame", Dialect::V2).0.iter().filter(|it| it.is_binary()).count(), 1);
    assert_eq!(met("v1-clamp", Dialect::V1).0.iter().filter(is_text).count(), EVENTS - 500);
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
    let server = server(ServerOptions { rate: Some(2_000.0), ..ServerOptions::default() });
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

/// The answer to a plain GET: status, headers, body.
fn get(server: &Server, target: &str) -> (u16, String, Vec<u8>) {
    let mut stream = TcpStream::connect(server.address()).expect("it listens");
    write!(stream, "GET {target} HTTP/1.1\r\nHost: localhost\r\n\r\n").expect("sent");
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).expect("an answer");
    let end = bytes.windows(4).position(|four| four == b"\r\n\r\n").expect("a head") + 4;
    let head = String::from_utf8(bytes[..end].to_vec()).expect("text");
    (head[9..12].parse().expect("a status"), head, bytes[end..].to_vec())
}

const GET_DICTIONARY: &str = "/xrpc/network.bsky.jetstream.getZstdDictionary";

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

/// The query by which a dialect compresses, and a decoder for what comes.
fn zstd(dictionary: &Dictionary, dialect: Dialect) -> (String, zstd::bulk::Decompressor<'static>) {
    let query = match dialect {
        Dialect::V1 => "compress=true".to_string(),
        Dialect::V2 => format!("zstdDictionary={}", dictionary.id()),
    };
    (query, zstd::bulk::Decompressor::with_dictionary(dictionary.bytes()).expect("a dictionary"))
}

/// The decoded binary messages up to `count` of them.
fn decoded(client: &mut Client, decoder: &mut zstd::bulk::Decompressor<'_>, count: usize) -> Vec<String> {
    let mut texts = Vec::new();
    while texts.len() < count {
        match client.read() {
            Ok(Message::Binary(bytes)) => {
                let text = decoder.decompress(&bytes, 1 << 20).expect("one whole frame");
                texts.push(String::from_utf8(text).expect("text"));
            }
            Ok(Message::Text(text)) => panic!("not compressed: {text}"),
            Ok(_) => {}
            Err(_) => break,
        }
    }
    texts
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
