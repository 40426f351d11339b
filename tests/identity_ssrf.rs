//! Where strangers can send the dialer: nowhere but to public addresses.
//!
//! Names are the test's own, and every connection that the dialer asks for is written down. So each row says what was
//! dialled, and rows that must be refused dial nothing.
#![cfg(feature = "server")]
#![expect(clippy::disallowed_methods, reason = "servers of the test, and how long the dialer really waits")]

use std::collections::HashMap;
use std::future::Future;
use std::io::{self, Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener};
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use atrarium::clock::Clock;
use atrarium::identity::address::{Scope, scope};
use atrarium::identity::dial::Net;
use atrarium::identity::{DialError, Dialer, Http, Policy, Request, Response, Whose};
use tokio::net::TcpStream;

/// Names that answer each look-up with the next of their lists of addresses, and the last for ever. What is dialled ends at
/// `serves`, or nowhere.
#[derive(Default)]
struct Fake {
    names: Mutex<HashMap<&'static str, Vec<Vec<IpAddr>>>>,
    dialled: Mutex<Vec<SocketAddr>>,
    serves: Option<SocketAddr>,
}

impl Net for Fake {
    fn lookup<'a>(&'a self, name: &'a str) -> Pin<Box<dyn Future<Output = io::Result<Vec<IpAddr>>> + Send + 'a>> {
        let mut names = self.names.lock().expect("not poisoned");
        let found = match names.get_mut(name) {
            Some(lists) if lists.len() > 1 => Ok(lists.remove(0)),
            Some(lists) => Ok(lists[0].clone()),
            None => Err(io::Error::other("no such name")),
        };
        Box::pin(async move { found })
    }

    fn connect(&self, address: SocketAddr) -> Pin<Box<dyn Future<Output = io::Result<TcpStream>> + Send + '_>> {
        self.dialled.lock().expect("not poisoned").push(address);
        Box::pin(async move {
            match self.serves {
                Some(real) => TcpStream::connect(real).await,
                None => Err(io::Error::other("nobody there")),
            }
        })
    }
}

fn fake(names: &[(&'static str, &[&[&str]])], serves: Option<SocketAddr>) -> Arc<Fake> {
    let address = |text: &&str| text.parse().unwrap_or_else(|_| panic!("{text} is an address"));
    let lists = |lists: &&[&[&str]]| lists.iter().map(|list| list.iter().map(address).collect()).collect();
    let names = names.iter().map(|(name, them)| (*name, lists(them))).collect();
    Arc::new(Fake { names: Mutex::new(names), serves, ..Fake::default() })
}

fn run<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime").block_on(work)
}

fn dialer(net: &Arc<Fake>, allow_loopback: bool) -> Dialer {
    let policy = Policy { allow_loopback, extra_roots: None };
    Dialer::with_net(&policy, &Clock::real(), Arc::clone(net) as Arc<dyn Net>).expect("a dialer")
}

/// One row: the URL, where its name leads, what must come of it.
struct Row(&'static str, &'static [&'static str], &'static str);

/// What must not be dialled, with loopback not allowed.
const REFUSED: &[Row] = &[
    // by the address behind the name
    Row("https://a.example/", &["127.0.0.1"], "not_public"),
    Row("https://a.example/", &["::1"], "not_public"),
    Row("https://a.example/", &["10.1.2.3"], "not_public"),
    Row("https://a.example/", &["172.16.0.1"], "not_public"),
    Row("https://a.example/", &["192.168.1.1"], "not_public"),
    Row("https://a.example/", &["100.64.0.1"], "not_public"),
    Row("https://a.example/", &["169.254.169.254"], "not_public"),
    Row("https://a.example/", &["0.0.0.0"], "not_public"),
    Row("https://a.example/", &["224.0.0.1"], "not_public"),
    Row("https://a.example/", &["255.255.255.255"], "not_public"),
    Row("https://a.example/", &["198.18.0.1"], "not_public"),
    Row("https://a.example/", &["203.0.113.1"], "not_public"),
    Row("https://a.example/", &["::"], "not_public"),
    Row("https://a.example/", &["fd00:ec2::254"], "not_public"),
    Row("https://a.example/", &["fe80::1"], "not_public"),
    Row("https://a.example/", &["ff02::1"], "not_public"),
    Row("https://a.example/", &["::ffff:127.0.0.1"], "not_public"),
    Row("https://a.example/", &["::ffff:10.0.0.1"], "not_public"),
    Row("https://a.example/", &["::127.0.0.1"], "not_public"),
    Row("https://a.example/", &["64:ff9b::10.0.0.1"], "not_public"),
    Row("https://a.example/", &["64:ff9b::127.0.0.1"], "not_public"),
    Row("https://a.example/", &["2002:7f00:1::"], "not_public"),
    Row("https://a.example/", &["2001:0:7f00:1::"], "not_public"),
    Row("https://a.example/", &["2001:db8::1"], "not_public"),
    // one bad address among good ones, in either order
    Row("https://a.example/", &["1.1.1.1", "10.0.0.1"], "not_public"),
    Row("https://a.example/", &["10.0.0.1", "1.1.1.1"], "not_public"),
    Row("https://a.example/", &["1.1.1.1", "1.1.1.2", "1.1.1.3", "1.1.1.4", "1.1.1.5", "127.0.0.1"], "not_public"),
    Row("https://a.example/", &[], "lookup"),
    Row("https://nowhere.example/", &["1.1.1.1"], "lookup"),
    Row("https://localhost/", &["127.0.0.1"], "lookup"),
    // addresses in the URL, in every spelling
    Row("https://127.0.0.1/", &[], "not_public"),
    Row("https://127.1/", &[], "not_public"),
    Row("https://2130706433/", &[], "not_public"),
    Row("https://0x7f000001/", &[], "not_public"),
    Row("https://0177.0.0.1/", &[], "not_public"),
    Row("https://%31%32%37.0.0.1/", &[], "not_public"),
    Row("https://①②⑦.0.0.1/", &[], "not_public"),
    Row("https://[::1]/", &[], "not_public"),
    Row("https://[::ffff:127.0.0.1]/", &[], "not_public"),
    Row("https://[fe80::1%25eth0]/", &[], "url"),
    Row("https://[fe80::1]/", &[], "not_public"),
    Row("https://0/", &[], "not_public"),
    // by the URL
    Row("http://a.example/", &["1.1.1.1"], "scheme"),
    Row("http://a.example:443/", &["1.1.1.1"], "scheme"),
    Row("ftp://a.example/", &["1.1.1.1"], "scheme"),
    Row("gopher://a.example/", &["1.1.1.1"], "scheme"),
    Row("file:///etc/passwd", &[], "scheme"),
    Row("https://a.example:22/", &["1.1.1.1"], "port"),
    Row("https://a.example:8443/", &["1.1.1.1"], "port"),
    Row("https://a.example:80/", &["1.1.1.1"], "port"),
    Row("https://user@a.example/", &["1.1.1.1"], "userinfo"),
    Row("https://user:word@a.example/", &["1.1.1.1"], "userinfo"),
    Row("https://b.example@a.example/", &["1.1.1.1"], "userinfo"),
    Row("https://a.example./", &["1.1.1.1"], "url"),
    Row("https://127.0.0.1./", &[], "not_public"),
    Row("https://a.example\\@b.example/", &["10.0.0.1"], "not_public"),
    Row("//a.example/", &["1.1.1.1"], "url"),
    Row("https://", &[], "url"),
    Row("", &[], "url"),
];

#[test]
fn nothing_is_dialled_that_is_not_public() {
    let mut wrong = Vec::new();
    for Row(url, addresses, expected) in REFUSED {
        let net = fake(&[("a.example", &[addresses])], None);
        let told = run(dialer(&net, false).send(Request::get(*url)));
        let reason = told.as_ref().map_or_else(DialError::as_str, |_| "answered");
        let dialled = net.dialled.lock().expect("not poisoned").len();
        if (reason, dialled) != (*expected, 0) {
            wrong.push(format!("{url} at {addresses:?}: {reason}, {dialled} dialled; must be {expected}"));
        }
    }
    println!("{} rows, {} wrong", REFUSED.len(), wrong.len());
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// With loopback allowed nothing else is: the same rows dial loopback, public addresses under https, and nothing else.
#[test]
fn allowing_loopback_allows_nothing_else() {
    let mut wrong = Vec::new();
    for Row(url, addresses, _) in REFUSED {
        let net = fake(&[("a.example", &[addresses])], None);
        let told = run(dialer(&net, true).send(Request::get(*url)));
        assert!(told.is_err(), "{url}");
        for at in net.dialled.lock().expect("not poisoned").iter() {
            let is_public = scope(at.ip()) == Scope::Public && at.port() == 443 && url.starts_with("https:");
            if !at.ip().is_loopback() && !is_public {
                wrong.push(format!("{url} at {addresses:?}: dialled {at}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn what_is_public_is_dialled_at_the_address_that_was_judged() {
    for (url, whose, addresses, dialled) in [
        ("https://a.example/", Whose::Stranger, &["1.1.1.1"][..], &["1.1.1.1:443"][..]),
        ("https://a.example:8443/", Whose::Operator, &["1.1.1.1"], &["1.1.1.1:8443"]),
        ("https://8.8.8.8/", Whose::Stranger, &[], &["8.8.8.8:443"]),
        ("https://a.example/", Whose::Stranger, &["2606:4700::1", "1.1.1.1"], &["[2606:4700::1]:443", "1.1.1.1:443"]),
        ("https://a.example/", Whose::Stranger, &["64:ff9b::8.8.8.8"], &["[64:ff9b::808:808]:443"]),
    ] {
        let net = fake(&[("a.example", &[addresses])], None);
        let told = run(dialer(&net, false).send(Request { whose, ..Request::get(url) }));
        assert!(matches!(told, Err(DialError::Connect { .. })), "{url}: {told:?}");
        let dialled: Vec<SocketAddr> = dialled.iter().map(|text| text.parse().expect("an address")).collect();
        assert_eq!(*net.dialled.lock().expect("not poisoned"), dialled, "{url}");
    }
}

/// The name is public when it is asked first and leads home when it is asked again. It is asked once for each request, and
/// what was judged is dialled.
#[test]
fn a_name_that_leads_elsewhere_a_moment_later_gains_nothing() {
    let net = fake(&[("a.example", &[&["1.1.1.1"], &["127.0.0.1"]])], None);
    let dialer = dialer(&net, false);
    let first = run(dialer.send(Request::get("https://a.example/")));
    assert!(matches!(first, Err(DialError::Connect { .. })), "{first:?}");
    let second = run(dialer.send(Request::get("https://a.example/")));
    assert!(matches!(second, Err(DialError::NotPublic { .. })), "{second:?}");
    assert_eq!(*net.dialled.lock().expect("not poisoned"), ["1.1.1.1:443".parse().expect("an address")]);
}

/// Answers each connection with the next of these, after it has read a request; keeps what it read.
fn server(answers: Vec<Vec<u8>>) -> (SocketAddr, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
    let address = listener.local_addr().expect("bound");
    let asked = Arc::new(Mutex::new(Vec::new()));
    let keep = Arc::clone(&asked);
    std::thread::spawn(move || {
        for answer in answers {
            let Ok((mut socket, _)) = listener.accept() else { return };
            let mut request = Vec::new();
            let mut piece = [0; 4096];
            let is_whole = |request: &[u8]| {
                let text = String::from_utf8_lossy(request);
                let Some((head, body)) = text.split_once("\r\n\r\n") else { return false };
                let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
                body.len() >= length.map_or(0, |length| length.parse().expect("a number"))
            };
            while !is_whole(&request) {
                match socket.read(&mut piece) {
                    Ok(0) | Err(_) => break,
                    Ok(count) => request.extend_from_slice(&piece[..count]),
                }
            }
            keep.lock().expect("not poisoned").push(String::from_utf8_lossy(&request).into_owned());
            let _gone = socket.write_all(&answer);
            if answer.is_empty() {
                std::thread::sleep(Duration::from_secs(5));
            }
        }
    });
    (address, asked)
}

fn ok(body: &str) -> Vec<u8> {
    format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\nX-Y: z\r\n\r\n{body}", body.len()).into_bytes()
}

#[test]
fn a_development_server_is_asked_only_when_the_policy_says_so() {
    let (address, asked) = server(vec![ok("{\"a\":1}"), ok("done")]);
    let url = format!("http://{address}/x?y=z");
    for (allow_loopback, expected) in [(false, "scheme"), (true, "answered")] {
        let policy = Policy { allow_loopback, extra_roots: None };
        let told = run(Dialer::new(&policy, &Clock::real()).expect("a dialer").send(Request::get(url.as_str())));
        assert_eq!(told.as_ref().map_or_else(DialError::as_str, |_| "answered"), expected);
        if let Ok(answer) = told {
            assert_eq!((answer.status, answer.header("x-y"), &*answer.body), (200, Some("z"), &b"{\"a\":1}"[..]));
        }
    }
    let policy = Policy { allow_loopback: true, extra_roots: None };
    let request = Request::post_json(url.as_str(), &[1, 2]).expect("JSON").with("authorization", "Bearer x");
    let answer: Response =
        run(Dialer::new(&policy, &Clock::real()).expect("a dialer").send(request)).expect("an answer");
    assert_eq!(answer.body, b"done");
    let asked = asked.lock().expect("not poisoned");
    assert!(
        asked[0].starts_with(&format!("GET /x?y=z HTTP/1.1\r\nhost: {address}\r\nuser-agent: atrarium/")),
        "{asked:?}"
    );
    assert!(asked[1].starts_with("POST /x?y=z HTTP/1.1\r\n") && asked[1].ends_with("\r\n\r\n[1,2]"), "{asked:?}");
    assert!(asked[1].contains("authorization: Bearer x\r\n"), "{asked:?}");
    assert!(asked[1].contains("content-type: application/json\r\n"), "{asked:?}");
}

/// Every answer of a host on loopback, which may be anything.
#[test]
fn a_bad_answer_is_an_error_that_says_what() {
    let redirect =
        |status| format!("HTTP/1.1 {status} x\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n");
    let long_head = format!("HTTP/1.1 200 OK\r\nX: {}\r\n\r\n", "y".repeat(100_000));
    let many_headers = format!("HTTP/1.1 200 OK\r\n{}\r\n", "A: b\r\n".repeat(101));
    let chunked =
        format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{}0\r\n\r\n", "8\r\n12345678\r\n".repeat(20));
    for (answer, expected) in [
        (redirect(301), "redirect"),
        (redirect(302), "redirect"),
        (redirect(307), "redirect"),
        (redirect(308), "redirect"),
        ("HTTP/1.1 304 x\r\n\r\n".to_owned(), "redirect"),
        ("HTTP/1.1 200 OK\r\nContent-Length: 101\r\n\r\n".to_owned() + &"x".repeat(101), "too_large"),
        ("HTTP/1.1 200 OK\r\n\r\n".to_owned() + &"x".repeat(101), "too_large"),
        (chunked, "too_large"),
        (long_head, "http"),
        (many_headers, "http"),
        ("HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\nshort".to_owned(), "http"),
        ("SSH-2.0-OpenSSH_9.9\r\n".to_owned(), "http"),
        (" ".to_owned(), "http"),
        (String::new(), "timeout"),
        ("HTTP/1.1 200 OK\r\n\r\n".to_owned() + &"x".repeat(100), "answered"),
        ("HTTP/1.1 400 x\r\nContent-Length: 2\r\n\r\n{}".to_owned(), "answered"),
    ] {
        let (address, asked) = server(vec![answer.clone().into_bytes()]);
        let net = fake(&[("a.example", &[&["127.0.0.1"]])], Some(address));
        let started = Instant::now();
        let told = run(dialer(&net, true).send(Request::get("http://a.example/").at_most(100)));
        let reason = told.as_ref().map_or_else(DialError::as_str, |_| "answered");
        assert_eq!(reason, expected, "{answer:.60}: {told:?}");
        assert!(started.elapsed() < Duration::from_millis(3_500), "{answer:.60}");
        assert_eq!(net.dialled.lock().expect("not poisoned").len(), 1, "a redirect is not followed");
        assert_eq!(asked.lock().expect("not poisoned").len(), 1);
    }
}

/// A public name under https: the certificate must be of an authority that is trusted, and for this name.
#[test]
fn a_host_must_prove_its_name() {
    use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
    use rustls::pki_types::PrivateKeyDer;
    let mut params = CertificateParams::new(Vec::<String>::new()).expect("no names");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority = CertifiedIssuer::self_signed(params, KeyPair::generate().expect("a key")).expect("signed");
    let key = KeyPair::generate().expect("a key");
    let params = CertificateParams::new(["a.example".to_owned()]).expect("a name");
    let certificate = params.signed_by(&key, &authority).expect("signed");
    let config = rustls::ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("versions that ring has")
        .with_no_client_auth()
        .with_single_cert(vec![certificate.der().clone()], PrivateKeyDer::Pkcs8(key.serialize_der().into()))
        .expect("a sound certificate");
    let config = Arc::new(config);
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
    let address = listener.local_addr().expect("bound");
    std::thread::spawn(move || {
        while let Ok((mut socket, _)) = listener.accept() {
            let mut session = rustls::ServerConnection::new(Arc::clone(&config)).expect("a session");
            let mut stream = rustls::Stream::new(&mut session, &mut socket);
            let mut piece = [0; 4096];
            if stream.read(&mut piece).is_ok_and(|count| count > 0) {
                let _gone = stream.write_all(&ok("proved"));
                session.send_close_notify();
                let _gone = session.write_tls(&mut socket);
            }
        }
    });
    for (host, roots, expected) in [
        ("a.example", Some(authority.pem()), "answered"),
        ("b.example", Some(authority.pem()), "tls"),
        ("a.example", None, "tls"),
    ] {
        let net = fake(&[("a.example", &[&["1.1.1.1"]]), ("b.example", &[&["1.1.1.1"]])], Some(address));
        let policy = Policy { allow_loopback: false, extra_roots: roots.map(String::into_bytes) };
        let dialer = Dialer::with_net(&policy, &Clock::real(), Arc::clone(&net) as Arc<dyn Net>).expect("a dialer");
        let told = run(dialer.send(Request::get(format!("https://{host}/"))));
        assert_eq!(told.as_ref().map_or_else(DialError::as_str, |_| "answered"), expected, "{host}: {told:?}");
        assert!(told.is_err() || told.is_ok_and(|answer| answer.body == b"proved"));
        assert_eq!(*net.dialled.lock().expect("not poisoned"), ["1.1.1.1:443".parse().expect("an address")]);
    }
}
