//! The reader over `wss://`, against hosts with certificates of an authority of their own.
#![cfg(feature = "server")]

mod reader_bench;

use std::io::Write;
use std::net::TcpListener;
use std::sync::Arc;
use std::time::Duration;

use atrarium::clock::Clock;
use atrarium::ingest::reader::{Tls, TlsError};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::pki_types::PrivateKeyDer;
use rustls::{ServerConfig, SupportedProtocolVersion};
use tungstenite::Message;

use reader_bench::{Server, Setup, catch_up, closes_after, keep, pings_behind_lumps, script, send, sends, setup};

/// An authority, and what it certifies.
struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::new(Vec::<String>::new()).expect("no names");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().expect("a key");
        Self(CertifiedIssuer::self_signed(params, key).expect("signed"))
    }

    fn pem(&self) -> String {
        self.0.pem()
    }

    /// A host with a certificate for this name, valid in these years.
    fn host(
        &self,
        name: &str,
        years: std::ops::Range<i32>,
        versions: &[&'static SupportedProtocolVersion],
    ) -> Arc<ServerConfig> {
        let key = KeyPair::generate().expect("a key");
        let mut params = CertificateParams::new([name.to_owned()]).expect("a name");
        params.not_before = rcgen::date_time_ymd(years.start, 1, 1);
        params.not_after = rcgen::date_time_ymd(years.end, 1, 1);
        let certificate = params.signed_by(&key, &self.0).expect("signed");
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(versions)
            .expect("versions that ring has")
            .with_no_client_auth()
            .with_single_cert(vec![certificate.der().clone()], PrivateKeyDer::Pkcs8(key.serialize_der().into()))
            .expect("a sound certificate");
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Arc::new(config)
    }

    fn good(&self) -> Arc<ServerConfig> {
        self.host("127.0.0.1", 2020..2120, rustls::ALL_VERSIONS)
    }
}

#[test]
fn the_stream_is_read_under_tls_of_both_versions() {
    for version in [&rustls::version::TLS12, &rustls::version::TLS13] {
        let authority = Authority::new();
        let config = authority.host("127.0.0.1", 2020..2120, &[version]);
        let server = Server::tls(&config, vec![closes_after(1..=500), sends(500..=1000)]);
        let mut work = Setup { ca: Some(authority.pem()), ..setup() }.read(&[&server.url]);
        assert_eq!(server.asked(), "/xrpc/network.bsky.jetstream.subscribeEvents");
        work.until_idle_after(1000);
        assert!(server.asked().ends_with("?cursor=500"));
        assert_eq!(work.new_seqs(), (1..=1000).collect::<Vec<_>>());
        assert!(work.notes().lost[0].contains("1012 \"bye\""), "{:?}", work.notes().lost);
        assert!(work.end() < Duration::from_secs(2));
    }
}

/// Messages that are longer than a record, a burst that is longer than every buffer, and records of one byte.
#[test]
fn records_and_messages_need_not_agree() {
    let authority = Authority::new();
    let server = Server::tls(
        &authority.good(),
        vec![script(|guest| {
            let mut socket = guest.accept();
            for seq in 1..=40_000 {
                let pad = " ".repeat(if seq % 1000 == 0 { 100_000 } else { seq % 200 });
                socket.send(Message::text(format!("{{\"seq\":{seq}{pad}}}"))).expect("the reader reads");
            }
            for byte in b"\x81\x0d{\"seq\":40001}" {
                socket.get_mut().write_all(&[*byte]).expect("the reader reads");
                socket.get_mut().flush().expect("the reader reads");
            }
            keep(socket);
        })],
    );
    let work = Setup { ca: Some(authority.pem()), ..setup() }.read(&[&server.url]);
    work.until_seq(40_001);
    assert_eq!(work.new_seqs().len(), 40_001);
    assert_eq!(work.notes().connected, 1, "{:?}", work.notes().lost);
}

#[test]
fn a_full_sink_stops_a_host_under_tls_and_loses_nothing() {
    const FRAMES: u64 = 100_000;
    let authority = Authority::new();
    let host = script(|guest| {
        let mut socket = guest.accept();
        send(&mut socket, 1..=FRAMES);
        keep(socket);
    });
    let server = Server::tls(&authority.good(), vec![host]);
    let work = Setup { room: 10, ca: Some(authority.pem()), ..setup() }.read(&[&server.url]);
    for room in [10, 5_000, 50_000, usize::MAX] {
        work.room.store(room, std::sync::atomic::Ordering::Relaxed);
        work.stop.wake();
        work.until("the room is used", |notes| notes.seqs.len() == room.min(FRAMES as usize));
    }
    assert_eq!(work.new_seqs(), (1..=FRAMES).collect::<Vec<_>>());
}

#[test]
fn pings_are_answered_under_tls_while_catching_up() {
    let authority = Authority::new();
    let server = Server::tls(&authority.good(), vec![pings_behind_lumps()]);
    catch_up(&Setup { room: 1, ca: Some(authority.pem()), ..setup() }.read(&[&server.url]));
}

#[test]
fn a_certificate_that_must_not_be_trusted_is_refused_and_says_what_to_do() {
    let authority = Authority::new();
    let all = rustls::ALL_VERSIONS;
    for (config, ca, says) in [
        (authority.good(), None, "--upstream-ca"),
        (authority.good(), Some(Authority::new().pem()), "comes from nobody who is trusted here"),
        (authority.host("jetstream.example", 2020..2120, all), Some(authority.pem()), "use a name that it holds"),
        (authority.host("127.0.0.1", 2020..2021, all), Some(authority.pem()), "has expired"),
        (
            authority.host("127.0.0.1", 2119..2120, all),
            Some(authority.pem()),
            "not valid yet: set this machine's clock",
        ),
    ] {
        let server = Server::tls(&config, vec![sends(1..=1)]);
        let work = Setup { ca, ..setup() }.read(&[&server.url]);
        work.until("it is refused", |notes| notes.lost.len() >= 2);
        let notes = work.notes();
        assert!(notes.lost[0].contains(says), "{says}: {:?}", notes.lost);
        assert_eq!((notes.connected, notes.seqs.len()), (0, 0));
        drop(notes);
        drop(work);
    }
}

#[test]
fn what_does_not_speak_tls_is_told_and_the_next_host_is_read() {
    let authority = Authority::new();
    let plain = Server::new(vec![script(|guest| guest.answer_anything(b"HTTP/1.1 400 Bad Request\r\n\r\n"))]);
    let good = Server::tls(&authority.good(), vec![sends(1..=3)]);
    let work = Setup { ca: Some(authority.pem()), ..setup() }.read(&[&plain.url.replace("ws:", "wss:"), &good.url]);
    work.until_seq(3);
    let notes = work.notes();
    assert!(notes.lost[0].contains("does not speak TLS: check the port, or use ws://"), "{:?}", notes.lost);
}

#[test]
fn a_mute_host_under_tls_is_given_up_in_time() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let url = format!("wss://{}", listener.local_addr().expect("it is bound"));
    let mut timeouts = setup().timeouts;
    timeouts.connect = Duration::from_millis(80);
    let mut work = Setup { timeouts, ..setup() }.read(&[&url]);
    work.until("it is given up", |notes| notes.lost.len() >= 2);
    assert!(work.notes().lost[0].contains("no connection within"), "{:?}", work.notes().lost);
    assert!(work.end() < Duration::from_secs(2));
}

#[test]
fn a_ca_file_without_certificates_is_refused() {
    let clock = Clock::real();
    for pem in ["", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", "-----BEGIN CERTIFICATE-----\n"] {
        let error = Tls::new(Some(pem.as_bytes()), &clock).expect_err("nothing to trust");
        assert!(matches!(error, TlsError::Ca(_)) && error.to_string().contains("PEM"), "{pem:?}: {error}");
    }
    Tls::new(None, &clock).expect("the public roots");
}
