//! What one frame costs in the websocket session alone, without a socket, as a ratio to copying its bytes.
//!
//! `cargo bench --bench session`

use std::hint::black_box;

use atrarium::clock::Clock;
use atrarium::wire::session::{Event, Session};
use tungstenite::handshake::derive_accept_key;

const FRAME_BYTES: usize = 500;
const FRAMES: usize = 200_000;
const RUNS: usize = 15;

fn main() {
    let frame = [&[0x81, 126][..], &500_u16.to_be_bytes(), &[b'x'; FRAME_BYTES]].concat();
    let stream = frame.repeat(4096);
    let clock = Clock::real();

    let copy = median(&clock, || copy(&stream));
    let read = median(&clock, || read(&stream));
    println!("copy the bytes  {copy:7.1} ns a frame of {FRAME_BYTES} bytes");
    println!("session         {read:7.1} ns a frame of {FRAME_BYTES} bytes, {:.1} times the copy", read / copy);
}

/// Nanoseconds for one frame, the median of some runs.
fn median(clock: &Clock, mut run: impl FnMut() -> usize) -> f64 {
    let mut runs: Vec<f64> = (0..RUNS)
        .map(|_| {
            let started = clock.monotonic();
            let frames = run();
            (clock.monotonic() - started).as_nanos() as f64 / frames as f64
        })
        .collect();
    runs.sort_by(f64::total_cmp);
    runs[RUNS / 2]
}

/// The reference: the bytes go into a buffer of the same size, as `recv` would put them there.
fn copy(stream: &[u8]) -> usize {
    let mut buffer = vec![0; atrarium::limits::RECEIVE_BUFFER_BYTES];
    let mut bytes = 0;
    for part in stream.chunks(buffer.len()).cycle() {
        buffer[..part.len()].copy_from_slice(part);
        bytes += black_box(&buffer[..part.len()]).len();
        if bytes >= FRAMES * FRAME_BYTES {
            return bytes / (FRAME_BYTES + 4);
        }
    }
    unreachable!("the parts come again and again")
}

fn read(stream: &[u8]) -> usize {
    let mut session = open();
    let mut frames = 0;
    let mut parts = stream.chunks(200_000).cycle();
    while frames < FRAMES {
        feed(&mut session, parts.next().expect("the parts come again and again"));
        while let Some(event) = session.next().expect("a sound stream") {
            let Event::Text(text) = event else { unreachable!("only text was sent") };
            frames += usize::from(!black_box(text).is_empty());
        }
    }
    frames
}

fn open() -> Session {
    let mut session = Session::connect("ws://host/subscribe").expect("a sound URL");
    let request = String::from_utf8(session.output().to_vec()).expect("a request is text");
    let key = request.lines().find_map(|line| line.strip_prefix("Sec-WebSocket-Key: ")).expect("a key");
    let accept = derive_accept_key(key.as_bytes());
    let answer = format!(
        "HTTP/1.1 101 Ok\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: {accept}\r\n\r\n"
    );
    feed(&mut session, answer.as_bytes());
    assert_eq!(session.next(), Ok(Some(Event::Open)));
    session
}

fn feed(session: &mut Session, mut bytes: &[u8]) {
    while !bytes.is_empty() {
        let space = session.space();
        let count = bytes.len().min(space.len());
        space[..count].copy_from_slice(&bytes[..count]);
        session.received(count);
        bytes = &bytes[count..];
    }
}
