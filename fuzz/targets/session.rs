//! A websocket session, in random cuts, with and without its shortcut around tungstenite.
//!
//! Input: mode (1 byte), seed of the cuts (2), what the host sends. Mode 0 of 4: from the first byte of its answer to the
//! handshake; else: what follows an answer that agrees.
#![no_main]

use atrarium::wire::session::{Event, Session, SessionError};
use atrarium_fuzz::websocket::{End, Told, read};
use atrarium_fuzz::{Cuts, take_u8, take_u16};
use libfuzzer_sys::fuzz_target;
use tungstenite::handshake::derive_accept_key;

fuzz_target!(|data: &[u8]| {
    let mut data = data;
    let (mode, seed) = (take_u8(&mut data), take_u16(&mut data));
    if mode % 4 == 0 { handshake(data, seed) } else { messages(data, seed) }
});

/// What a session told, how it ended, and what it wants to send.
struct Played {
    events: Vec<Event<'static>>,
    error: Option<SessionError>,
    output: Vec<u8>,
}

fn play<'a>(session: &mut Session, parts: impl Iterator<Item = &'a [u8]>) -> Played {
    let (mut events, mut error) = (Vec::new(), None);
    for mut part in parts {
        while !part.is_empty() {
            let space = session.space();
            let count = part.len().min(space.len());
            assert!(count > 0, "there is room once everything was asked for");
            space[..count].copy_from_slice(&part[..count]);
            session.received(count);
            part = &part[count..];
            loop {
                match session.next() {
                    Ok(Some(event)) => {
                        assert!(error.is_none(), "nothing comes after an error");
                        events.push(event.into_owned());
                    }
                    Ok(None) => break,
                    Err(new) => {
                        assert!(error.is_none(), "one error is all");
                        error = Some(new);
                    }
                }
            }
        }
    }
    Played { events, error, output: session.output().to_vec() }
}

fn connect() -> Session {
    Session::connect("ws://h.example:6008/subscribe?cursor=7").expect("a valid URL")
}

fn handshake(data: &[u8], seed: u16) {
    let mut whole = connect();
    let mut cut = connect();
    let (told, told_cut) = (play(&mut whole, std::iter::once(data)), play(&mut cut, Cuts::new(seed).parts(data)));
    // The keys are random, so nobody can agree by chance.
    assert!(told.events.is_empty() && told_cut.events.is_empty());
    let _why = (whole.end(), cut.end());
    match (told.error, told_cut.error) {
        (Some(SessionError::Refused { refusal: a }), Some(SessionError::Refused { refusal: b })) => assert_eq!(a, b),
        (a, b) => assert_eq!(a.map(|a| std::mem::discriminant(&a)), b.map(|b| std::mem::discriminant(&b))),
    }
}

fn open() -> Session {
    let mut session = connect();
    let request = String::from_utf8(session.output().to_vec()).expect("a request is text");
    session.sent(request.len());
    let key = request.lines().find_map(|line| line.strip_prefix("Sec-WebSocket-Key: ")).expect("it has a key");
    let answer = format!(
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: {}\r\n\r\n",
        derive_accept_key(key.as_bytes())
    );
    let told = play(&mut session, std::iter::once(answer.as_bytes()));
    assert_eq!((told.events, told.error), (vec![Event::Open], None));
    session
}

fn messages(data: &[u8], seed: u16) {
    let expected = read(data);
    // The shortcut and tungstenite alone are held against a plain reading, and so against each other.
    for make in [open, || open().without_shortcut()] {
        for played in [play(&mut make(), std::iter::once(data)), play(&mut make(), Cuts::new(seed).parts(data))] {
            compare(&played, &expected);
            compare_output(&played.output, &expected);
        }
    }
}

fn compare(played: &Played, expected: &Told) {
    assert_eq!(played.events, expected.events);
    match (&played.error, expected.end) {
        (None, End::Open | End::Closed | End::Breaking) => {}
        (Some(SessionError::Protocol(_)), End::Broken | End::Breaking) => {}
        (error, end) => panic!("{error:?} where {end:?} was expected"),
    }
}

/// Nothing goes out but masked control frames, and no more pongs than there were pings.
fn compare_output(mut output: &[u8], expected: &Told) {
    let mut pongs = 0;
    while let [first, second, _, _, _, _, rest @ ..] = output {
        assert!(matches!(first, 0x88 | 0x8a), "{first:#x} went out");
        pongs += usize::from(*first == 0x8a);
        assert_eq!(second & 0x80, 0x80, "a client masks");
        output = &rest[usize::from(second & 0x7f)..];
    }
    assert!(output.is_empty(), "half a frame");
    assert!(pongs <= expected.pings, "{pongs} pongs to {} pings", expected.pings);
}
