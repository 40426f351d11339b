//! Faults: each happens, is counted, is what its name says, and loses nothing to a client that resumes.

mod common;

use std::collections::BTreeSet;
use std::time::Duration;

use common::*;
use simnet::server::{Fault, Server, ServerOptions};
use simnet::{Dialect, Dictionary, Options, Reel};
use tungstenite::stream::MaybeTlsStream;
use tungstenite::{Error, Message};

/// These are not met by a client that looks for the true lines alone.
const CHANGES_EVENTS: [Fault; 4] = [Fault::V1Clamp, Fault::ClockAhead, Fault::ClockBack, Fault::ClockCut];
const ZSTD: [Fault; 4] = [Fault::TruncatedZstd, Fault::ZstdBomb, Fault::ZstdLength1Gib, Fault::WrongDictionary];

fn every_fault_happens_and_none_loses_an_event(dialect: Dialect, compressed: bool) {
    let faults: Vec<Fault> = Fault::ALL.iter().copied().filter(|fault| !CHANGES_EVENTS.contains(fault)).collect();
    // Long enough to meet them all: those that do not end a connection fill 2,000 frames of each of the first three.
    let network = Options { events: 8_000, ..network() };
    let options = ServerOptions { faults: faults.clone(), ..ServerOptions::default() };
    let server = Server::start("127.0.0.1:0", Reel::of_network(&network, false, false), options).expect("a free port");
    let expected: BTreeSet<String> = lines_of(&network, dialect).into_iter().collect();
    let (seen, connections) = read_with_resumes(&server, dialect, compressed, &expected);
    assert!(seen == expected, "{} of {} after {connections} connections", seen.len(), expected.len());
    let is_v2 = dialect == Dialect::V2;
    for fault in faults {
        let possible = match fault {
            Fault::CursorTooOld | Fault::Info => is_v2,
            Fault::RetiredDictionary => is_v2 && compressed,
            fault if ZSTD.contains(&fault) => compressed,
            _ => true,
        };
        assert_eq!(server.fired(fault), if possible { 3 } else { 0 }, "{}", fault.name());
    }
    let (status, _, body) = get(&server, "/simnet/fired");
    let told: serde_json::Value = serde_json::from_slice(&body).expect("JSON");
    assert_eq!((status, told["garbage"].as_u64()), (200, Some(3)));
}

#[test]
fn every_fault_happens_and_none_loses_an_event_v1() {
    every_fault_happens_and_none_loses_an_event(Dialect::V1, false);
}

#[test]
fn every_fault_happens_and_none_loses_an_event_v2() {
    every_fault_happens_and_none_loses_an_event(Dialect::V2, false);
}

#[test]
fn every_fault_happens_and_none_loses_an_event_v1_zstd() {
    every_fault_happens_and_none_loses_an_event(Dialect::V1, true);
}

#[test]
fn every_fault_happens_and_none_loses_an_event_v2_zstd() {
    every_fault_happens_and_none_loses_an_event(Dialect::V2, true);
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
                    stream.set_read_timeout(Some(Duration::from_millis(500))).expect("a timeout");
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

/// The messages of one compressed connection that meets a fault, up to one more than there are events, and how often it
/// has fired. Patient: a bomb takes its time to make.
fn met_compressed(fault: Fault, dialect: Dialect) -> (Vec<Message>, Option<Error>, u64) {
    let server = server(ServerOptions { faults: vec![fault], ..ServerOptions::default() });
    let (query, _) = zstd(&Dictionary::of_simnet(dialect), dialect);
    let mut client = connect(&url(&server, dialect, &query));
    let (mut messages, mut end) = (Vec::new(), None);
    while messages.len() <= EVENTS && end.is_none() {
        match client.read() {
            Ok(message) if message.is_binary() => messages.push(message),
            Ok(message) => assert!(message.is_ping(), "{message:?}"),
            Err(error) => end = Some(error),
        }
    }
    (messages, end, server.fired(fault))
}

#[test]
fn broken_zstd_comes_in_addition() {
    for dialect in [Dialect::V1, Dialect::V2] {
        let (_, mut decoder) = zstd(&Dictionary::of_simnet(dialect), dialect);
        for fault in ZSTD {
            let (messages, _, fired) = met_compressed(fault, dialect);
            assert_eq!(fired, 1, "{}", fault.name());
            let binary: Vec<_> = messages.into_iter().map(Message::into_data).collect();
            assert_eq!(binary.len(), EVENTS + 1, "{}", fault.name());
            let broken = &binary[24];
            assert!(decoder.decompress(broken, 64 << 20).is_err(), "{}", fault.name());
            let decoded = binary.iter().enumerate().filter(|(at, _)| *at != 24);
            let decoded = decoded.map(|(_, bytes)| decoder.decompress(bytes, 1 << 20).expect("whole"));
            assert!(decoded.eq(lines(dialect).iter().map(|line| line.as_bytes().to_vec())), "{}", fault.name());
            match fault {
                Fault::TruncatedZstd => assert!(binary[25].starts_with(broken)),
                Fault::ZstdBomb => {
                    let text = decoder.decompress(broken, 80 << 20).expect("valid");
                    assert!(broken.len() < 16 << 10 && text.len() > 64 << 20);
                    assert!(serde_json::from_slice::<serde_json::Value>(&text).is_ok());
                }
                Fault::WrongDictionary => {
                    let other = if dialect == Dialect::V1 { Dialect::V2 } else { Dialect::V1 };
                    let (_, mut decoder) = zstd(&Dictionary::of_simnet(other), other);
                    assert_eq!(decoder.decompress(broken, 1 << 20).expect("valid"), lines(dialect)[24].as_bytes());
                }
                _ => assert_eq!(broken[5..9], (1_u32 << 30).to_le_bytes()),
            }
        }
    }
}

#[test]
fn a_frame_of_one_gibibyte_is_announced() {
    let (messages, end, fired) = met_compressed(Fault::Length1Gib, Dialect::V2);
    assert_eq!((messages.len(), fired), (24, 1));
    assert!(matches!(end, Some(Error::Capacity(_))), "{end:?}");
}

#[test]
fn a_retired_dictionary_is_replaced_and_the_new_one_serves() {
    let options = ServerOptions { faults: vec![Fault::RetiredDictionary], ..ServerOptions::default() };
    let server = server(options);
    let first = Dictionary::of_simnet(Dialect::V2);
    let refusal = match tungstenite::connect(url(&server, Dialect::V2, &zstd(&first, Dialect::V2).0)) {
        Err(Error::Http(response)) => String::from_utf8(response.into_body().unwrap_or_default()).expect("text"),
        other => panic!("{other:?}"),
    };
    let (status, _, _) = get(&server, &format!("{GET_DICTIONARY}?id={}", first.id()));
    assert_eq!(status, 404, "retired");
    let second = Dictionary::parse(get(&server, GET_DICTIONARY).2).expect("a dictionary");
    assert!(refusal.contains("UnknownZstdDictionary") && refusal.contains(&second.id().to_string()), "{refusal}");
    assert_ne!(second.id(), first.id());
    let (query, mut decoder) = zstd(&second, Dialect::V2);
    let got = decoded(&mut connect(&url(&server, Dialect::V2, &query)), &mut decoder, EVENTS);
    assert!(got == lines(Dialect::V2));
    assert_eq!(server.fired(Fault::RetiredDictionary), 1);
}

#[test]
fn a_clock_that_jumps_moves_likes_alone() {
    for (fault, years) in [(Fault::ClockAhead, 10), (Fault::ClockBack, -10)] {
        for dialect in [Dialect::V1, Dialect::V2] {
            let server = server(ServerOptions { faults: vec![fault], ..ServerOptions::default() });
            let got = texts(&mut connect(&url(&server, dialect, "")), EVENTS);
            let expected = lines(dialect);
            assert_eq!((got.len(), server.fired(fault)), (EVENTS, 1));
            let forged: Vec<usize> = (0..EVENTS).filter(|&at| got[at] != expected[at]).collect();
            assert!(forged.len() > 30 && forged.iter().all(|at| (24..24 + 64).contains(at)), "{forged:?}");
            for at in forged {
                assert!(got[at].contains("\"app.bsky.feed.like\"") && !got[at].contains("atrarium"), "{}", got[at]);
                let (mut told, mut true_one) = (value(&got[at]), value(&expected[at]));
                let jump = match dialect {
                    Dialect::V1 => {
                        let times = [told["time_us"].take(), true_one["time_us"].take()];
                        let [told, true_one] = times.map(|time| time.as_i64().expect("microseconds"));
                        (told - true_one) / (365 * 86_400_000_000)
                    }
                    Dialect::V2 => {
                        let times = [told["payload"]["time"].take(), true_one["payload"]["time"].take()];
                        let [told, true_one] = times.map(|it| it.as_str().expect("a time")[..4].parse::<i64>());
                        told.expect("a year") - true_one.expect("a year")
                    }
                };
                assert_eq!((jump, told), (years, true_one));
            }
            // What decides the feeds is as it was.
            let mut model = model::Model::new();
            got.iter().for_each(|line| model.add(model::Delivery::Frame(line)));
            let now = simnet::model_of(&network(), dialect).latest_witnessed().expect("events");
            assert!(model.feeds(now) == simnet::expect(&network(), None));
        }
    }
}

#[test]
fn a_clock_that_jumps_is_the_last_thing_before_a_cut() {
    for dialect in [Dialect::V1, Dialect::V2] {
        let server = server(ServerOptions { faults: vec![Fault::ClockCut], ..ServerOptions::default() });
        let got = texts(&mut connect(&url(&server, dialect, "")), EVENTS);
        let expected = lines(dialect);
        assert!((24..24 + 64).contains(&got.len()) && server.fired(Fault::ClockCut) == 1, "{}", got.len());
        let (last, true_one) = (&got[got.len() - 1], &expected[got.len() - 1]);
        let forged_year = if dialect == Dialect::V1 { "\"time_us\":2098" } else { "\"time\":\"2036-" };
        assert!(last.contains(forged_year) && last.len() == true_one.len(), "{last}");
        // A client that knows better than to believe it resumes where it was.
        let resume = cursor(&expected[23]).expect("a cursor");
        let mut client = connect(&url(&server, dialect, &format!("cursor={resume}")));
        assert_eq!(texts(&mut client, 1), expected[23..24]);
    }
}

#[test]
fn a_fault_that_a_connection_did_not_reach_is_met_by_a_later_one() {
    let options = ServerOptions { faults: vec![Fault::Info], drop_after: Some(10), ..ServerOptions::default() };
    let server = server(options);
    for _ in 0..5 {
        assert_eq!(texts(&mut connect(&url(&server, Dialect::V2, "")), EVENTS).len(), 10);
    }
    assert_eq!(server.fired(Fault::Info), 0);
    let v1 = self::server(ServerOptions { faults: vec![Fault::V1Clamp], ..ServerOptions::default() });
    for fired in [1, 2, 3, 3] {
        assert!(!texts(&mut connect(&url(&v1, Dialect::V1, "cursor=1")), 100).is_empty());
        assert_eq!(v1.fired(Fault::V1Clamp), fired);
    }
}
