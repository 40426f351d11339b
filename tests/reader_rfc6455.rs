//! Every check of RFC 6455 that a client owes, tried with a hostile host over a real socket.
//!
//! Each breach comes between two sound frames. The connection must end there, with a reason that names the protocol; a
//! close frame goes out first where RFC 6455 §7.1.7 wants one; and the stream goes on with the next connection.

mod reader_bench;

use std::io::{Read, Write};

use atrarium::ingest::reader::WithoutCursor;
use reader_bench::{Server, Setup, frame, script, sends, setup};

/// A server's frame: first byte, length, payload.
fn raw(first: u8, payload: &[u8]) -> Vec<u8> {
    let length = u16::try_from(payload.len()).expect("a short payload");
    let head = match length {
        ..=125 => vec![first, length as u8],
        _ => [&[first, 126][..], &length.to_be_bytes()].concat(),
    };
    [&head, payload].concat()
}

const FIN: u8 = 0x80;
const PING: u8 = 0x89;
const CLOSE: u8 = 0x88;

/// Answers the handshake with this head, then sends these bytes; gives what the reader sent until it hung up.
fn hostile(bytes: Vec<u8>) -> (reader_bench::Script, std::sync::mpsc::Receiver<Vec<u8>>) {
    let (told, got) = std::sync::mpsc::channel();
    let script = script(move |guest| {
        let (mut stream, accept) = guest.accept_by_hand();
        let sent = [accept.as_bytes(), &raw(FIN | 1, frame(1).as_bytes()), &bytes].concat();
        stream.write_all(&sent).expect("the reader reads");
        let mut answer = Vec::new();
        let _reset = stream.read_to_end(&mut answer);
        let _test_is_over = told.send(answer);
    });
    (script, got)
}

#[test]
fn a_breach_of_the_protocol_ends_the_connection_and_not_the_stream() {
    let masked = [&[FIN | 1, 0x80 | 9, 1, 2, 3, 4][..], b"012345678"].concat();
    let breaches: [(&str, Vec<u8>); 17] = [
        ("a masked frame", masked),
        ("RSV1, without an extension", raw(FIN | 0x40 | 1, b"x")),
        ("RSV2", raw(FIN | 0x20 | 1, b"x")),
        ("RSV3", raw(FIN | 0x10 | 1, b"x")),
        ("RSV1 on a control frame", raw(PING | 0x40, b"x")),
        ("opcode 3", raw(FIN | 3, b"x")),
        ("opcode 7", raw(FIN | 7, b"x")),
        ("opcode 11", raw(FIN | 11, b"x")),
        ("opcode 15", raw(FIN | 15, b"x")),
        ("a continuation of nothing", raw(FIN, b"x")),
        ("a message within a fragmented one", [raw(1, b"a"), raw(FIN | 1, b"b")].concat()),
        ("a fragmented ping", raw(9, b"x")),
        ("a fragmented close", raw(8, &1000_u16.to_be_bytes())),
        ("a ping of 126 bytes", raw(PING, &[b'x'; 126])),
        ("a close of one byte", raw(CLOSE, b"x")),
        ("a close with a reason that is not UTF-8", raw(CLOSE, b"\x03\xe8\xff\xfe")),
        ("a length of 2^63", [&[FIN | 1, 127][..], &(1_u64 << 63).to_be_bytes(), b"x"].concat()),
    ];
    for (what, bytes) in breaches {
        let (script, _got) = hostile([bytes, raw(FIN | 1, frame(9).as_bytes())].concat());
        let server = Server::new(vec![script, sends(1..=2)]);
        let work = setup().read(&[&server.url]);
        work.until_seq(2);
        assert_eq!(work.new_seqs(), [1, 2], "{what}: nothing behind the breach is taken");
        let lost = work.notes().lost[0].clone();
        assert!(lost.contains("broke the websocket protocol"), "{what}: {lost}");
        assert_eq!(work.notes().connected, 2, "{what}");
        drop(work);
    }
}

#[test]
fn close_codes_are_told_and_answered() {
    for code in [1000_u16, 1001, 1008, 1011, 1012, 1013, 3000, 4999] {
        let (script, got) = hostile(raw(CLOSE, &[&code.to_be_bytes()[..], b"why"].concat()));
        let server = Server::new(vec![script, sends(1..=2)]);
        let work = setup().read(&[&server.url]);
        work.until_seq(2);
        assert!(work.notes().lost[0].contains(&format!("closed with {code} \"why\"")), "{:?}", work.notes().lost);
        let answer = got.recv_timeout(reader_bench::PATIENCE).expect("the script ends");
        assert_eq!(answer[0], CLOSE, "{code}: a close is answered with a close");
        assert_eq!(answer[1] & 0x80, 0x80, "{code}: what a client sends is masked");
        drop(work);
    }
    let (script, _got) = hostile(raw(CLOSE, b""));
    let server = Server::new(vec![script, sends(1..=2)]);
    let work = setup().read(&[&server.url]);
    work.until_seq(2);
    assert!(work.notes().lost[0].contains("closed with 1005"), "no code at all: {:?}", work.notes().lost);
}

/// §7.4.1: 1004, 1005, 1006 and 1015 never stand in a frame, and below 1000 there are none.
#[test]
fn a_close_code_that_must_not_be_sent_ends_the_connection_all_the_same() {
    for code in [0_u16, 999, 1004, 1005, 1006, 1015, 1016, 2999, 5000, 65535] {
        let (script, _got) = hostile(raw(CLOSE, &code.to_be_bytes()));
        let server = Server::new(vec![script, sends(1..=2)]);
        let work = setup().read(&[&server.url]);
        work.until_seq(2);
        let lost = work.notes().lost[0].clone();
        assert!(lost.contains("closed with") || lost.contains("broke the websocket protocol"), "{code}: {lost}");
        drop(work);
    }
}

/// §4.1: a client must fail the connection where the answer to the handshake is not the one that it asked for.
#[test]
fn a_handshake_that_is_not_ours_is_refused() {
    let good = "HTTP/1.1 101 Ok\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n";
    let answers = [
        ("no accept key", format!("{good}\r\n")),
        ("a foreign accept key", format!("{good}Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n")),
        ("no upgrade", "HTTP/1.1 101 Ok\r\nConnection: Upgrade\r\n\r\n".to_owned()),
        ("another upgrade", "HTTP/1.1 101 Ok\r\nUpgrade: h2c\r\nConnection: Upgrade\r\n\r\n".to_owned()),
        ("no connection", "HTTP/1.1 101 Ok\r\nUpgrade: websocket\r\n\r\n".to_owned()),
    ];
    for (what, answer) in answers {
        let server = Server::new(vec![script(move |guest| guest.answer(answer.as_bytes())), sends(1..=2)]);
        let work = Setup { without_cursor: WithoutCursor::Live, ..setup() }.read(&[&server.url]);
        work.until_seq(2);
        assert!(work.notes().lost[0].contains("handshake failed"), "{what}: {:?}", work.notes().lost);
        assert_eq!(work.notes().connected, 1, "{what}");
        drop(work);
    }
    // An extension or a subprotocol that nobody asked for.
    for header in ["Sec-WebSocket-Extensions: permessage-deflate", "Sec-WebSocket-Protocol: chat"] {
        let hostile = script(move |guest| {
            let (mut stream, accept) = guest.accept_by_hand();
            let answer = accept.replacen("Upgrade: websocket", &format!("{header}\r\nUpgrade: websocket"), 1);
            stream.write_all(answer.as_bytes()).expect("the reader reads");
            let _until_hung_up = stream.read_to_end(&mut Vec::new());
        });
        let server = Server::new(vec![hostile, sends(1..=2)]);
        let work = setup().read(&[&server.url]);
        work.until_seq(2);
        assert!(work.notes().lost[0].contains("handshake failed"), "{header}: {:?}", work.notes().lost);
        drop(work);
    }
}
