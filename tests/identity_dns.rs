//! TXT records, from a server that answers as the test says.
#![cfg(feature = "server")]
#![expect(clippy::disallowed_methods, reason = "the server of the test, and how long is really waited")]

use std::collections::BTreeSet;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

use atrarium::identity::dial::Dns;
use atrarium::identity::txt::Txt;

/// Answers by the first label of the name.
fn server() -> SocketAddr {
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
    let address = socket.local_addr().expect("bound");
    std::thread::spawn(move || {
        let mut query = [0; 4096];
        while let Ok((count, from)) = socket.recv_from(&mut query) {
            if let Some(answer) = answer(&query[..count]) {
                let _gone = socket.send_to(&answer, from);
            }
        }
    });
    address
}

fn answer(query: &[u8]) -> Option<Vec<u8>> {
    let name_end = 12 + query[12..].iter().position(|&byte| byte == 0)?;
    let question = &query[12..name_end + 5];
    // In whatever case it is asked.
    let label = String::from_utf8_lossy(&query[13..13 + usize::from(query[12])]).to_lowercase();
    let (code, records): (u8, Vec<Vec<&[u8]>>) = match label.as_str() {
        "one" => (0, vec![vec![b"did=did:plc:aaaaaaaaaaaaaaaaaaaaaaaa"]]),
        "split" => (0, vec![vec![b"did=did:plc:aaaaaaaa", b"aaaaaaaaaaaaaaaa"]]),
        "several" => (0, vec![vec![b"v=spf1"], vec![b"\xff\xfe"], vec![b"did=did:web:a.dev"]]),
        "none" => (0, vec![]),
        "missing" => (3, vec![]),
        "broken" => (2, vec![]),
        "refused" => (5, vec![]),
        _ => return None,
    };
    let mut out = query[..2].to_vec();
    out.extend([0x81, 0x80 | code, 0, 1, 0, u8::try_from(records.len()).ok()?, 0, 0, 0, 0]);
    out.extend(question);
    for strings in records {
        let length: usize = strings.iter().map(|string| string.len() + 1).sum();
        out.extend([0xc0, 12, 0, 16, 0, 1, 0, 0, 0, 60, 0, u8::try_from(length).ok()?]);
        for string in strings {
            out.push(u8::try_from(string.len()).ok()?);
            out.extend(string);
        }
    }
    Some(out)
}

#[test]
fn records_are_read_and_none_is_told_from_unknown() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let dns = Dns::at(server()).expect("set up");
        let did = "did=did:plc:aaaaaaaaaaaaaaaaaaaaaaaa";
        for (label, expected) in [
            ("one", Some(vec![did])),
            ("split", Some(vec![did])),
            ("several", Some(vec!["v=spf1", "did=did:web:a.dev"])),
            ("none", Some(vec![])),
            ("missing", Some(vec![])),
            ("broken", None),
            ("refused", None),
            ("silent", None),
        ] {
            let started = Instant::now();
            let found = dns.records(&format!("{label}.handles.dev")).await;
            // Their order is the server's.
            let is = found.as_ref().ok().map(|records| records.iter().map(String::as_str).collect::<BTreeSet<_>>());
            assert_eq!(is, expected.map(BTreeSet::from_iter), "{label}: {found:?}");
            assert!(started.elapsed() < Duration::from_millis(3_500), "{label}");
        }
    });
}
