use proptest::prelude::*;
use tungstenite::handshake::derive_accept_key;

use super::*;

/// The request and the answer of a host that agrees.
fn agreed(session: &mut Session) -> String {
    let request = String::from_utf8(session.output().to_vec()).unwrap();
    session.sent(request.len());
    let key = request.lines().find_map(|line| line.strip_prefix("Sec-WebSocket-Key: ")).unwrap();
    let accept = derive_accept_key(key.as_bytes());
    format!(
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: {accept}\r\n\r\n"
    )
}

fn connect() -> Session {
    Session::connect("ws://h.example:6008/subscribe?cursor=7").unwrap()
}

fn open() -> Session {
    let mut session = connect();
    let answer = agreed(&mut session);
    feed(&mut session, answer.as_bytes());
    assert_eq!(session.next().unwrap(), Some(Event::Open));
    session
}

fn feed(session: &mut Session, bytes: &[u8]) {
    let space = session.space();
    space[..bytes.len()].copy_from_slice(bytes);
    session.received(bytes.len());
}

/// Everything that `bytes` say, received in parts of `part` bytes.
fn events(session: &mut Session, bytes: &[u8], part: usize) -> (Vec<Event<'static>>, Option<SessionError>) {
    let mut out = Vec::new();
    for part in bytes.chunks(part.min(RECEIVE_BUFFER_BYTES / 2)) {
        feed(session, part);
        loop {
            match session.next() {
                Ok(Some(event)) => out.push(event.into_owned()),
                Ok(None) => break,
                Err(error) => return (out, Some(error)),
            }
        }
    }
    (out, None)
}

/// The same, what lies together taken together.
fn events_by_runs(session: &mut Session, bytes: &[u8], part: usize) -> (Vec<Event<'static>>, Option<SessionError>) {
    let mut out = Vec::new();
    for part in bytes.chunks(part.min(RECEIVE_BUFFER_BYTES / 2)) {
        feed(session, part);
        loop {
            if let Some(run) = session.run() {
                out.extend(run.map(|text| Event::Text(text.to_vec().into())));
            }
            match session.next() {
                Ok(Some(event)) => out.push(event.into_owned()),
                Ok(None) => break,
                Err(error) => return (out, Some(error)),
            }
        }
    }
    (out, None)
}

const FIN: u8 = 0x80;

fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut out = vec![first];
    match payload.len() {
        length @ 0..=125 => out.push(u8::try_from(length).unwrap()),
        length @ 126..=0xffff => {
            out.push(126);
            out.extend(u16::try_from(length).unwrap().to_be_bytes());
        }
        length => {
            out.push(127);
            out.extend((length as u64).to_be_bytes());
        }
    }
    out.extend(payload);
    out
}

fn text(payload: &str) -> Vec<u8> {
    frame(FIN | 1, payload.as_bytes())
}

fn is(payload: &str) -> Event<'static> {
    Event::Text(payload.as_bytes().to_vec().into())
}

#[test]
fn the_request_is_a_websocket_request() {
    let session = connect();
    let request = String::from_utf8(session.output().to_vec()).unwrap();
    assert!(request.starts_with("GET /subscribe?cursor=7 HTTP/1.1\r\nHost: h.example:6008\r\n"), "{request}");
    assert!(request.contains("\r\nUpgrade: websocket\r\n"), "{request}");
    assert!(!request.to_lowercase().contains("extensions"), "nothing is compressed unless asked: {request}");
}

#[test]
fn the_answer_and_the_first_frames_may_come_together_or_byte_by_byte() {
    for part in [1, 3, 7, 10_000] {
        let mut session = connect();
        let mut bytes = agreed(&mut session).into_bytes();
        bytes.extend(text("one"));
        bytes.extend(text(&"x".repeat(70_000)));
        bytes.extend(text(""));
        let (events, error) = events(&mut session, &bytes, part);
        assert_eq!(events, [Event::Open, is("one"), is(&"x".repeat(70_000)), is("")], "{part}");
        assert_eq!(error, None);
    }
}

#[test]
fn a_refusal_before_the_upgrade_tells_status_and_error() {
    let body = r#"{"error":"CursorTooOld","message":"cursor 0 below lookback floor 12"}"#;
    let plain = format!("HTTP/1.1 400 Bad Request\r\nContent-Length: {}\r\n\r\n{body}", body.len());
    let chunked = format!(
        "HTTP/1.1 400 Bad Request\r\nTransfer-Encoding: chunked\r\n\r\n{:x}\r\n{body}\r\n0\r\n\r\n",
        body.len()
    );
    // Found by fuzzing: what stood behind the body decided whether it was understood.
    let trailing = plain.clone() + "{}";
    let untold = format!("HTTP/1.1 400 Bad Request\r\n\r\n{body} }}{{");
    for answer in [plain, chunked, trailing, untold] {
        for part in [1, 5000] {
            let (none, error) = events(&mut connect(), answer.as_bytes(), part);
            assert!(none.is_empty());
            let Some(SessionError::Refused { refusal }) = error else { panic!("{error:?}") };
            assert_eq!(refusal.status, 400);
            assert_eq!(refusal.error.as_deref(), Some("CursorTooOld"));
            assert!(refusal.to_string().contains("400 CursorTooOld: cursor 0 below lookback floor 12"), "{refusal}");
        }
    }
}

#[test]
fn a_refusal_without_json_or_length_ends_with_the_connection() {
    let mut session = connect();
    let (none, error) = events(&mut session, b"HTTP/1.1 503 Service Unavailable\r\n\r\nservice not ready", 4);
    assert!(none.is_empty() && error.is_none());
    let error = session.end();
    let SessionError::Refused { refusal } = error else { panic!("{error:?}") };
    assert_eq!((refusal.status, refusal.error.as_deref()), (503, None));
    assert_eq!(refusal.message, "service not ready");
}

#[test]
fn what_is_no_websocket_host_is_told() {
    for (answer, says) in [
        (&b"SSH-2.0-OpenSSH_9.6\r\n"[..], "check host and port"),
        (b"\x00\x01\x02\x03garbage", "check host and port"),
        (b"HTTP/1.1 101 Switching Protocols\r\n\r\n", "handshake failed"),
        (
            b"HTTP/1.1 101 X\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: x\r\n\r\n",
            "Key mismatch",
        ),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi", "answered 200: hi"),
        (b"HTTP/9\xff\r\n\r\n", "handshake failed"),
    ] {
        let (none, error) = events(&mut connect(), answer, 1000);
        assert!(none.is_empty());
        let error = error.expect("an error").to_string();
        assert!(error.contains(says), "{error}");
    }
    let endless = vec![b'a'; UPGRADE_BYTES_MAX];
    let (_, error) = events(&mut connect(), &[b"HTTP/1.1 101 X\r\nA: ".as_slice(), &endless].concat(), 5000);
    assert!(error.expect("an error").to_string().contains("longer than"));
}

#[test]
fn fragments_with_a_ping_between_are_one_message_and_a_pong() {
    let bytes =
        [frame(1, b"a\xe3"), frame(FIN | 9, b"hi"), frame(0, b"\x81"), frame(FIN, b"\x82z"), text("next")].concat();
    for part in [1, 2, 1000] {
        let mut session = open();
        let (events, error) = events(&mut session, &bytes, part);
        assert_eq!(events, [is("aあz"), is("next")], "{part}");
        assert_eq!(error, None);
        let pong = session.output();
        assert_eq!(pong[..2], [FIN | 10, 0x80 | 2], "a masked pong of two bytes");
        assert_eq!([pong[6] ^ pong[2], pong[7] ^ pong[3]], *b"hi");
    }
}

#[test]
fn a_ping_and_a_close_are_all_that_is_ever_sent() {
    let mut session = open();
    session.ping();
    assert_eq!(session.output()[0], FIN | 9);
    let sent = session.output().len();
    session.sent(sent);
    assert!(session.output().is_empty());
    session.close();
    assert_eq!(session.output()[0], FIN | 8);
    assert_eq!(session.next().unwrap(), None);
}

#[test]
fn a_close_is_told_and_answered() {
    let mut session = open();
    let bytes = [text("last"), frame(FIN | 8, b"\x03\xf0too slow"), text("never")].concat();
    let (events, error) = events(&mut session, &bytes, 1000);
    assert_eq!(events, [is("last"), Event::Closed { code: 1008, reason: "too slow".into() }]);
    assert_eq!(error, None);
    assert_eq!(session.output()[0], FIN | 8);
}

#[test]
fn a_binary_message_is_one() {
    let (events, _) = events(&mut open(), &[frame(FIN | 2, b"\x28\xb5"), text("on")].concat(), 1000);
    assert_eq!(events, [Event::Binary(b"\x28\xb5".into()), is("on")]);
}

#[test]
fn a_message_above_the_limit_vanishes_alone() {
    let huge = vec![b'x'; FRAME_BYTES_MAX + 1];
    let bytes =
        [text("a"), frame(FIN | 1, &huge), frame(FIN | 9, b""), text("b"), frame(FIN | 2, &huge), text("c")].concat();
    for part in [10_007, 100_000] {
        let (events, error) = events(&mut open(), &bytes, part);
        let refused = Event::Refused(Reason::TooLarge);
        assert_eq!(events, [is("a"), refused.clone(), is("b"), refused, is("c")], "{part}");
        assert_eq!(error, None);
    }
    let most = "x".repeat(FRAME_BYTES_MAX);
    let (events, _) = events(&mut open(), &text(&most), 100_000);
    assert_eq!(events, [is(&most)], "the limit itself is allowed");
}

#[test]
fn a_fragmented_message_that_grows_above_the_limit_vanishes_alone() {
    let half = vec![b'x'; FRAME_BYTES_MAX / 2 + 1];
    let parts =
        [frame(1, &half), frame(0, &half), frame(FIN | 9, b"p"), frame(0, b"tail"), frame(FIN, b"end")].concat();
    let bytes = [text("a"), parts, text("b")].concat();
    for part in [9_999, 100_000] {
        let mut session = open();
        let (events, error) = events(&mut session, &bytes, part);
        assert_eq!(events, [is("a"), Event::Refused(Reason::TooLarge), is("b")], "{part}");
        assert_eq!(error, None);
        assert_eq!(session.output()[0], FIN | 10, "the ping between the dropped parts is answered");
    }
    let unfinished = [frame(1, &half), frame(0, &half), text("b")].concat();
    let (_, error) = events(&mut open(), &unfinished, 100_000);
    assert!(matches!(error, Some(SessionError::Protocol(_))), "{error:?}");
}

#[test]
fn a_text_that_is_not_utf8_vanishes_alone() {
    let whole = frame(FIN | 1, b"\"\xff\"");
    let first = [frame(1, b"a\xff"), frame(0, b"b"), frame(FIN, b"c")].concat();
    let middle = [frame(1, b"a"), frame(0, b"\xff"), frame(FIN | 9, b""), frame(FIN, b"c")].concat();
    let last = [frame(1, b"a"), frame(FIN, b"\xff")].concat();
    let cut = [frame(1, b"a"), frame(FIN, b"\xe3")].concat();
    for bad in [whole, first, middle, last, cut] {
        let bytes = [text("before"), bad.clone(), text("after"), frame(1, b"4"), frame(FIN, b"2")].concat();
        for part in [1, 1000] {
            let (events, error) = events(&mut open(), &bytes, part);
            let refused = Event::Refused(Reason::Garbage);
            assert_eq!(events, [is("before"), refused, is("after"), is("42")], "{bad:?} in {part}");
            assert_eq!(error, None);
        }
    }
}

#[test]
fn what_breaks_the_protocol_ends_the_session() {
    let broken: [(&str, Vec<u8>); 9] = [
        ("reserved bit", frame(FIN | 0x40 | 1, b"x")),
        ("unknown data frame", frame(FIN | 3, b"x")),
        ("unknown control frame", frame(FIN | 11, b"x")),
        ("masked", vec![FIN | 1, 0x80 | 1, 0, 0, 0, 0, b'x']),
        ("continuation of nothing", frame(FIN, b"x")),
        ("fragmented control frame", frame(9, b"x")),
        ("long control frame", frame(FIN | 9, &[0; 126])),
        ("a message within a message", [frame(1, b"a"), text("b")].concat()),
        ("an absurd length", [&[FIN | 1, 127][..], &u64::MAX.to_be_bytes(), b"xxxxxxx"].concat()),
    ];
    for (what, bytes) in broken {
        for part in [1, 1000] {
            let mut session = open();
            let (events, error) = events(&mut session, &[text("a"), bytes.clone(), text("b")].concat(), part);
            assert_eq!(events, [is("a")], "{what}");
            assert!(matches!(error, Some(SessionError::Protocol(_))), "{what}: {error:?}");
            assert_eq!(session.next().unwrap(), None, "{what}: nothing comes after an error");
        }
    }
    let mut session = open();
    let (_, error) = events(&mut session, &frame(FIN | 8, b"\x03\xe8\xff"), 1000);
    assert!(matches!(error, Some(SessionError::Protocol(_))), "a reason that is not UTF-8 is no text: {error:?}");
    assert_eq!(open().end(), SessionError::HungUp);
}

/// tungstenite alone, reading the same bytes from memory.
fn oracle(bytes: &[u8]) -> Vec<Event<'static>> {
    struct Bytes<'a>(&'a [u8]);
    impl Read for Bytes<'_> {
        fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
            if self.0.is_empty() { Err(io::ErrorKind::WouldBlock.into()) } else { self.0.read(into) }
        }
    }
    impl Write for Bytes<'_> {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            Ok(bytes.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let mut socket = WebSocket::from_raw_socket(Bytes(bytes), Role::Client, Some(config()));
    let mut out = Vec::new();
    loop {
        match socket.read() {
            Ok(Message::Text(text)) => out.push(Event::Text(text.as_bytes().to_vec().into())),
            Ok(Message::Binary(bytes)) => out.push(Event::Binary(bytes.to_vec().into())),
            Ok(Message::Close(_)) | Err(_) => return out,
            Ok(_) => {}
        }
    }
}

fn any_frame() -> impl Strategy<Value = Vec<u8>> {
    let payload = prop_oneof![
        4 => "[ -~あé]{0,40}".prop_map(String::into_bytes),
        1 => (100_usize..200).prop_map(|length| vec![b'y'; length]),
        1 => (65_500_usize..65_600).prop_map(|length| vec![b'z'; length]),
    ];
    let first = prop_oneof![
        10 => Just(FIN | 1), 2 => Just(FIN | 2), 3 => Just(1_u8), 3 => Just(0_u8), 4 => Just(FIN), 2 => Just(FIN | 9),
        1 => Just(FIN | 10), 1 => Just(FIN | 8), 1 => any::<u8>(),
    ];
    (first, payload).prop_map(|(first, payload)| frame(first, &payload))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    /// The gate changes nothing that is within the limits: the session tells what tungstenite alone tells, however the
    /// bytes arrive.
    #[test]
    fn the_session_tells_what_tungstenite_tells(frames in prop::collection::vec(any_frame(), 0..30), part in 1_usize..9000) {
        let bytes = frames.concat();
        let (mut told, error) = events(&mut open(), &bytes, part);
        let (slow, slow_error) = events(&mut open().without_shortcut(), &bytes, part);
        prop_assert!(told == slow && error == slow_error, "{error:?}, without the shortcut {slow_error:?}");
        let (by_runs, run_error) = events_by_runs(&mut open(), &bytes, part);
        prop_assert!(told == by_runs && error == run_error, "{error:?}, by runs {run_error:?}");
        told.retain(|event| matches!(event, Event::Text(_) | Event::Binary(_)));
        let oracle = oracle(&bytes);
        prop_assert!(told == oracle, "{} events, tungstenite {}", told.len(), oracle.len());
    }

    /// Nothing that a host can send makes a session panic or hang.
    #[test]
    fn any_bytes_are_survived(bytes in prop::collection::vec(any::<u8>(), 0..2000), part in 1_usize..500) {
        events(&mut open(), &bytes, part);
        events(&mut connect(), &bytes, part);
        let mut answered = b"HTTP/1.1 400 X\r\n\r\n".to_vec();
        answered.extend(&bytes);
        let mut session = connect();
        events(&mut session, &answered, part);
        session.end();
    }
}
