//! The host through TLS: the same events, trusted by its own authority alone.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use simnet::server::{Fault, Server, ServerOptions};
use simnet::{Authority, Dialect, Dictionary, Network, Options, Reel};
use tungstenite::{Error, HandshakeError, Message, WebSocket};

type Stream = StreamOwned<ClientConnection, TcpStream>;

const EVENTS: usize = 2_000;

fn network() -> Options {
    Options { events: EVENTS as u64, communities: 5, hit_rate: 0.2, ..Options::default() }
}

fn server(authority: &Arc<Authority>, faults: Vec<Fault>) -> Server {
    let options = ServerOptions { tls: Some(authority.clone()), faults, ..ServerOptions::default() };
    Server::start("127.0.0.1:0", Reel::of_network(&network(), false, false), options).expect("a free port")
}

fn lines(dialect: Dialect) -> Vec<String> {
    let mut bytes = Vec::new();
    Network::write(&network(), dialect, &mut bytes).expect("a Vec takes everything");
    String::from_utf8(bytes).expect("text").lines().map(Into::into).collect()
}

/// A TLS stream to the server that trusts `ca`, and calls it `name`.
fn stream(server: &Server, ca: &Authority, name: &str) -> Stream {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(ca.ca_pem().as_bytes()).expect("PEM")).expect("a certificate");
    let config = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_root_certificates(roots)
        .with_no_client_auth();
    let name = ServerName::try_from(name.to_string()).expect("a name");
    let tcp = TcpStream::connect(server.address()).expect("it listens");
    tcp.set_read_timeout(Some(Duration::from_secs(10))).expect("a timeout");
    StreamOwned::new(ClientConnection::new(Arc::new(config), name).expect("a client"), tcp)
}

fn connect(server: &Server, ca: &Authority, target: &str) -> WebSocket<Stream> {
    let url = format!("wss://{}{target}", server.address());
    tungstenite::client(url, stream(server, ca, "127.0.0.1")).expect("a handshake").0
}

fn messages(client: &mut WebSocket<Stream>, count: usize) -> (Vec<Message>, Option<Error>) {
    let mut messages = Vec::new();
    while messages.len() < count {
        match client.read() {
            Ok(message) if message.is_text() || message.is_binary() => messages.push(message),
            Ok(_) => {}
            Err(error) => return (messages, Some(error)),
        }
    }
    (messages, None)
}

const V2: &str = "/xrpc/network.bsky.jetstream.subscribeEvents";

#[test]
fn both_dialects_plain_and_zstd_come_through_tls() {
    let authority = Arc::new(Authority::new(Authority::LOCAL).expect("made"));
    let server = server(&authority, Vec::new());
    for (dialect, target) in [(Dialect::V1, "/subscribe"), (Dialect::V2, V2)] {
        let (got, _) = messages(&mut connect(&server, &authority, target), EVENTS);
        let texts: Vec<&str> = got.iter().map(|message| message.to_text().expect("text")).collect();
        assert!(texts == lines(dialect), "{} messages", texts.len());
        let dictionary = Dictionary::of_simnet(dialect);
        let query = match dialect {
            Dialect::V1 => "compress=true".to_string(),
            Dialect::V2 => format!("zstdDictionary={}", dictionary.id()),
        };
        let mut decoder = zstd::bulk::Decompressor::with_dictionary(dictionary.bytes()).expect("a dictionary");
        let (got, _) = messages(&mut connect(&server, &authority, &format!("{target}?{query}")), EVENTS);
        let decoded =
            got.into_iter().map(|message| decoder.decompress(&message.into_data(), 1 << 20).expect("a frame"));
        assert!(decoded.eq(lines(dialect).iter().map(|line| line.as_bytes().to_vec())));
    }
}

#[test]
fn a_client_is_heard_while_the_host_sends() {
    let authority = Arc::new(Authority::new(Authority::LOCAL).expect("made"));
    let server = server(&authority, Vec::new());
    let mut client = connect(&server, &authority, V2);
    client.send(Message::Ping("there?".into())).expect("sent");
    let pong = std::iter::from_fn(|| client.read().ok()).find(|message| message.is_pong());
    assert_eq!(pong, Some(Message::Pong("there?".into())));
    client.send(Message::text("v2 takes no data")).expect("sent");
    let close = std::iter::from_fn(|| client.read().ok()).find(|message| message.is_close());
    assert!(matches!(close, Some(Message::Close(Some(frame))) if u16::from(frame.code) == 1008));
}

#[test]
fn the_dictionary_is_handed_out_through_tls() {
    let authority = Arc::new(Authority::new(Authority::LOCAL).expect("made"));
    let server = server(&authority, Vec::new());
    let mut stream = stream(&server, &authority, "localhost");
    let target = "/xrpc/network.bsky.jetstream.getZstdDictionary";
    write!(stream, "GET {target} HTTP/1.1\r\nHost: localhost\r\n\r\n").expect("sent");
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).expect("an end that says goodbye");
    assert!(answer.ends_with(Dictionary::of_simnet(Dialect::V2).bytes()));
}

#[test]
fn neither_another_authority_nor_another_name_is_trusted() {
    let ours = Arc::new(Authority::new(Authority::LOCAL).expect("made"));
    let other = Authority::new(Authority::LOCAL).expect("made");
    let elsewhere = Arc::new(Authority::new(["jetstream.example"]).expect("made"));
    for (host, trusted, why) in [(&ours, &other, "UnknownIssuer"), (&elsewhere, &*elsewhere, "NotValidForName")] {
        let server = server(host, Vec::new());
        let url = format!("wss://{}{V2}", server.address());
        match tungstenite::client(url, stream(&server, trusted, "127.0.0.1")) {
            Err(HandshakeError::Failure(Error::Io(error))) => {
                let error = format!("{error:?}");
                assert!(error.contains(why), "{error}");
            }
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn a_dropped_connection_says_no_goodbye() {
    let authority = Arc::new(Authority::new(Authority::LOCAL).expect("made"));
    let server = server(&authority, vec![Fault::Disconnect]);
    let (got, end) = messages(&mut connect(&server, &authority, V2), EVENTS);
    assert_eq!(got.len(), 24);
    assert!(matches!(end, Some(Error::Io(error)) if error.kind() == std::io::ErrorKind::UnexpectedEof));
}
