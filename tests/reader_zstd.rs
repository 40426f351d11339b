//! The reader and compressed streams: how a dictionary is agreed on, and what follows when it does not work.

mod reader_bench;

use std::path::Path;
use std::time::Duration;

use atrarium::ingest::reader::Zstd;
use atrarium::limits::{FRAME_BYTES_MAX, ZSTD_FAILURES_MAX};
use atrarium::telemetry::Reason;
use atrarium::wire::zstd::Dictionary;
use tungstenite::Message;
use zstd::bulk::Compressor;

use reader_bench::{Script, Server, Setup, close, frame, keep, script, send, sends, setup};

const V1: &str = "subscribe_v1.1612007021.zdict";
const V2: &str = "subscribe_events.20260811.zdict";
const FETCH: &str = "/xrpc/network.bsky.jetstream.getZstdDictionary";

/// A dictionary of production; `None` where the fixtures are not at hand.
fn dictionary(name: &str) -> Option<Vec<u8>> {
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/fixtures");
    let root = std::env::var_os("ATRARIUM_FIXTURES").map_or(beside, Into::into);
    let read = std::fs::read(root.join("jetstream").join(name)).ok();
    if read.is_none() {
        println!("skipped: no {name} in {}", root.display());
    }
    read
}

fn wants_v2() -> Setup {
    Setup { zstd: Zstd { v2: true, v1: None }, ..setup() }
}

fn compress(dictionary: &[u8], text: &str) -> Message {
    let mut compressor = Compressor::with_dictionary(3, dictionary).expect("a sound dictionary");
    Message::binary(compressor.compress(text.as_bytes()).expect("room"))
}

/// Gives the dictionary, in chunks.
fn gives(dictionary: &[u8]) -> Script {
    let mut answer = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nX-Zstd-Dictionary-Id: 1\r\n\r\n".to_vec();
    for chunk in dictionary.chunks(10_000) {
        answer.extend(format!("{:x}\r\n", chunk.len()).as_bytes());
        answer.extend(chunk);
        answer.extend(b"\r\n");
    }
    answer.extend(b"0\r\n\r\n");
    script(move |guest| guest.answer(&answer))
}

/// Sends these frames compressed, and keeps the connection or closes it.
fn sends_compressed(dictionary: &[u8], seqs: std::ops::RangeInclusive<u64>, closes: bool) -> Script {
    let messages: Vec<_> = seqs.map(|seq| compress(dictionary, &frame(seq))).collect();
    script(move |guest| {
        let mut socket = guest.accept();
        for message in messages {
            let _hung_up = socket.send(message);
        }
        if closes { close(socket) } else { drop(keep(socket)) }
    })
}

/// The dictionary of another id, and what is made with it.
fn another(dictionary: &[u8]) -> Vec<u8> {
    let mut other = dictionary.to_vec();
    other[4] ^= 1;
    other
}

fn unknown() -> Script {
    let body =
        r#"{"error":"UnknownZstdDictionary","message":"unknown zstd dictionary id 1; current dictionary id is 2"}"#;
    let answer = format!("HTTP/1.1 400 Bad Request\r\nContent-Length: {}\r\n\r\n{body}", body.len());
    script(move |guest| guest.answer(answer.as_bytes()))
}

#[test]
fn v2_is_read_with_the_dictionary_that_its_host_gives() {
    let Some(bytes) = dictionary(V2) else { return };
    let server = Server::new(vec![
        gives(&bytes),
        sends_compressed(&bytes, 1..=500, true),
        sends_compressed(&bytes, 500..=1000, false),
    ]);
    let work = wants_v2().read(&[&server.url]);
    work.until_idle_after(1000);
    assert_eq!(work.new_seqs(), (1..=1000).collect::<Vec<_>>());
    assert_eq!(server.asked(), FETCH);
    assert!(server.asked().ends_with("?zstdDictionary=20260811"));
    assert!(server.asked().ends_with("?zstdDictionary=20260811&cursor=500"), "it is fetched once");
}

#[test]
fn v1_is_read_with_the_dictionary_that_the_operator_gives() {
    let Some(bytes) = dictionary(V1) else { return };
    let server = Server::new(vec![sends_compressed(&bytes, 1..=3, false)]);
    let zstd = Zstd { v2: true, v1: Some(Dictionary::parse(&bytes).expect("sound")) };
    let work = Setup { zstd, ..setup() }.read(&[&format!("{}/subscribe", server.url)]);
    work.until_seq(3);
    assert_eq!(server.asked(), "/subscribe?compress=true");
}

#[test]
fn a_dictionary_that_the_host_no_longer_knows_is_fetched_once_more() {
    let Some(old) = dictionary(V2) else { return };
    let new = another(&old);
    let server = Server::new(vec![gives(&old), unknown(), gives(&new), sends_compressed(&new, 1..=3, false)]);
    let work = wants_v2().read(&[&server.url]);
    work.until_seq(3);
    let asked: Vec<_> = (0..4).map(|_| server.asked()).collect();
    assert!(asked[0] == FETCH && asked[2] == FETCH, "{asked:?}");
    assert!(asked[3].ends_with("?zstdDictionary=20260810"), "{asked:?}");
    assert!(work.notes().lost[0].contains("UnknownZstdDictionary"), "{:?}", work.notes().lost);
}

#[test]
fn a_host_that_never_knows_its_own_dictionary_is_read_uncompressed() {
    let Some(bytes) = dictionary(V2) else { return };
    for second in [bytes.clone(), another(&bytes)] {
        let gives_the_same = second == bytes;
        let mut scripts = vec![gives(&bytes), unknown(), gives(&second)];
        scripts.extend((!gives_the_same).then(unknown));
        scripts.push(sends(1..=3));
        let tries = scripts.len();
        let server = Server::new(scripts);
        let work = wants_v2().read(&[&server.url]);
        work.until_seq(3);
        let asked: Vec<_> = (0..tries).map(|_| server.asked()).collect();
        let last = &asked[tries - 1];
        assert!(last.ends_with("subscribeEvents"), "{last}");
    }
}

#[test]
fn without_a_dictionary_the_connection_is_plain_and_the_next_one_tries_again() {
    let Some(bytes) = dictionary(V2) else { return };
    let server = Server::new(vec![
        script(|guest| guest.answer(b"HTTP/1.1 501 Not Implemented\r\n\r\n{\"error\":\"MethodNotImplemented\"}")),
        reader_bench::closes_after(1..=2),
        gives(b"{\"what\":\"is no dictionary\"}"),
        reader_bench::closes_after(2..=3),
        gives(&bytes),
        sends_compressed(&bytes, 3..=4, false),
    ]);
    let work = wants_v2().read(&[&server.url]);
    work.until_seq(4);
    assert_eq!(work.new_seqs(), [1, 2, 3, 4]);
}

#[test]
fn a_host_that_does_not_finish_its_dictionary_is_left_for_the_next_one() {
    let mute = Server::new(vec![script(|guest| guest.say_nothing())]);
    let good = Server::new(vec![script(|guest| guest.answer(b"HTTP/1.1 404 No\r\n\r\n")), sends(1..=3)]);
    let mut timeouts = setup().timeouts;
    timeouts.connect = Duration::from_millis(80);
    let work = Setup { timeouts, ..wants_v2() }.read(&[&mute.url, &good.url]);
    work.until_seq(3);
    assert!(work.notes().lost[0].contains("no connection within"), "{:?}", work.notes().lost);
}

#[test]
fn one_message_that_cannot_be_decoded_is_counted_and_the_connection_goes_on() {
    let Some(bytes) = dictionary(V2) else { return };
    let bomb = format!("{{\"seq\":9{}}}", " ".repeat(FRAME_BYTES_MAX));
    let messages = [
        compress(&bytes, &frame(1)),
        Message::binary(&b"\x28\xb5\x2f\xfdnonsense"[..]),
        compress(&bytes, &frame(2)),
        compress(&bytes, &bomb),
        compress(&another(&bytes), &frame(9)),
        compress(&bytes, &frame(3)),
        Message::text(frame(4)),
    ];
    let server = Server::new(vec![
        gives(&bytes),
        script(move |guest| {
            let mut socket = guest.accept();
            messages.into_iter().for_each(|message| socket.send(message).expect("sent"));
            keep(socket);
        }),
    ]);
    let work = wants_v2().read(&[&server.url]);
    work.until_seq(4);
    assert_eq!(work.new_seqs(), [1, 2, 3, 4]);
    assert_eq!(work.notes().refused, [Reason::Zstd, Reason::TooLarge, Reason::Zstd]);
    assert_eq!(work.notes().connected, 1, "{:?}", work.notes().lost);
}

#[test]
fn a_host_that_compresses_with_another_dictionary_than_agreed_is_read_uncompressed() {
    let Some(bytes) = dictionary(V2) else { return };
    let server = Server::new(vec![
        gives(&bytes),
        sends_compressed(&another(&bytes), 1..=50, false),
        gives(&bytes),
        sends(1..=3),
    ]);
    let work = wants_v2().read(&[&server.url]);
    work.until_seq(3);
    assert_eq!(work.new_seqs(), [1, 2, 3], "nothing is passed over");
    assert_eq!(work.notes().refused, [Reason::Zstd; ZSTD_FAILURES_MAX as usize]);
    assert!(work.notes().lost[0].contains("cannot be decoded"), "{:?}", work.notes().lost);
}

#[test]
fn compressed_messages_that_nobody_asked_for_are_refused() {
    let Some(bytes) = dictionary(V2) else { return };
    let server = Server::new(vec![script(move |guest| {
        let mut socket = guest.accept();
        socket.send(compress(&bytes, &frame(1))).expect("sent");
        send(&mut socket, [2]);
        keep(socket);
    })]);
    let work = setup().read(&[&server.url]);
    work.until_seq(2);
    assert_eq!(work.notes().refused, [Reason::Binary]);
}
