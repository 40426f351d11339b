//! A small network, a host of it, and a client.
#![allow(dead_code, reason = "each test file takes what it needs")]

use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use simnet::server::{Server, ServerOptions};
use simnet::{Dialect, Dictionary, Network, Options, Reel};
use tungstenite::stream::MaybeTlsStream;
use tungstenite::{Error, Message, WebSocket};

pub type Client = WebSocket<MaybeTlsStream<TcpStream>>;

pub const EVENTS: usize = 3_000;

pub fn network() -> Options {
    Options { events: EVENTS as u64, communities: 5, hit_rate: 0.2, ..Options::default() }
}

pub fn server(options: ServerOptions) -> Server {
    Server::start("127.0.0.1:0", Reel::of_network(&network(), false, false), options).expect("a free port")
}

pub fn url(server: &Server, dialect: Dialect, query: &str) -> String {
    let path = match dialect {
        Dialect::V1 => "subscribe",
        Dialect::V2 => "xrpc/network.bsky.jetstream.subscribeEvents",
    };
    format!("ws://{}/{path}?{query}", server.address())
}

pub fn connect(url: &str) -> Client {
    let (client, _) = tungstenite::connect(url).expect("a handshake");
    if let MaybeTlsStream::Plain(stream) = client.get_ref() {
        stream.set_read_timeout(Some(Duration::from_secs(10))).expect("a timeout");
    }
    client
}

/// The texts up to `count` of them, or up to the end of the connection.
pub fn texts(client: &mut Client, count: usize) -> Vec<String> {
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

pub fn lines(dialect: Dialect) -> Vec<String> {
    lines_of(&network(), dialect)
}

pub fn lines_of(network: &Options, dialect: Dialect) -> Vec<String> {
    let mut bytes = Vec::new();
    Network::write(network, dialect, &mut bytes).expect("a Vec takes everything");
    String::from_utf8(bytes).expect("text").lines().map(Into::into).collect()
}

pub fn value(line: &str) -> serde_json::Value {
    serde_json::from_str(line).expect("JSON")
}

/// The cursor by which a client resumes after this frame; `None` where the frame has none.
pub fn cursor(line: &str) -> Option<u64> {
    let value: serde_json::Value = serde_json::from_str(line).ok()?;
    value["time_us"].as_u64().or(value["payload"]["seq"].as_u64())
}

/// The answer to a plain GET: status, headers, body.
pub fn get(server: &Server, target: &str) -> (u16, String, Vec<u8>) {
    let mut stream = TcpStream::connect(server.address()).expect("it listens");
    write!(stream, "GET {target} HTTP/1.1\r\nHost: localhost\r\n\r\n").expect("sent");
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).expect("an answer");
    let end = bytes.windows(4).position(|four| four == b"\r\n\r\n").expect("a head") + 4;
    let head = String::from_utf8(bytes[..end].to_vec()).expect("text");
    (head[9..12].parse().expect("a status"), head, bytes[end..].to_vec())
}

pub const GET_DICTIONARY: &str = "/xrpc/network.bsky.jetstream.getZstdDictionary";

/// The query by which a dialect compresses, and a decoder for what comes.
pub fn zstd(dictionary: &Dictionary, dialect: Dialect) -> (String, zstd::bulk::Decompressor<'static>) {
    let query = match dialect {
        Dialect::V1 => "compress=true".to_string(),
        Dialect::V2 => format!("zstdDictionary={}", dictionary.id()),
    };
    (query, zstd::bulk::Decompressor::with_dictionary(dictionary.bytes()).expect("a dictionary"))
}

/// The decoded binary messages up to `count` of them.
pub fn decoded(client: &mut Client, decoder: &mut zstd::bulk::Decompressor<'_>, count: usize) -> Vec<String> {
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

pub fn patience(client: &Client, time: Duration) {
    if let MaybeTlsStream::Plain(stream) = client.get_ref() {
        stream.set_read_timeout(Some(time)).expect("a timeout");
    }
}

/// What a client that resumes does when it meets this.
enum Met {
    Text(String),
    Nothing,
    End,
}

/// Reads like a client that resumes from the greatest cursor it has seen, until it has everything. With `zstd` it
/// compresses, skips what it cannot decode within 1 MiB, and fetches the dictionary anew when it is told so.
pub fn read_with_resumes(
    server: &Server,
    dialect: Dialect,
    compressed: bool,
    expected: &BTreeSet<String>,
) -> (BTreeSet<String>, usize) {
    let (mut seen, mut last, mut connections) = (BTreeSet::new(), 0, 0);
    let mut dictionary = Dictionary::of_simnet(dialect);
    while seen != *expected && connections < 300 {
        connections += 1;
        let (query, mut decoder) = zstd(&dictionary, dialect);
        let query = if compressed { query } else { String::new() };
        let mut client = match tungstenite::connect(url(server, dialect, &format!("cursor={last}&{query}"))) {
            Ok((client, _)) => client,
            Err(Error::Http(response)) => {
                let body = response.body().as_deref().unwrap_or_default();
                if body.windows(21).any(|window| window == b"UnknownZstdDictionary") {
                    dictionary = Dictionary::parse(get(server, GET_DICTIONARY).2).expect("a dictionary");
                }
                continue;
            }
            Err(_) => continue,
        };
        patience(&client, Duration::from_millis(400));
        while seen != *expected {
            let met = match client.read() {
                Ok(Message::Text(text)) => Met::Text(text.to_string()),
                Ok(Message::Binary(bytes)) => match decoder.decompress(&bytes, 1 << 20).map(String::from_utf8) {
                    Ok(Ok(text)) => Met::Text(text),
                    _ => Met::Nothing,
                },
                Ok(_) => Met::Nothing,
                Err(_) => Met::End,
            };
            match met {
                Met::Text(text) if expected.contains(&text) => {
                    last = last.max(cursor(&text).expect("a known frame"));
                    seen.insert(text);
                }
                Met::Text(_) | Met::Nothing => {}
                Met::End => break,
            }
        }
    }
    (seen, connections)
}
