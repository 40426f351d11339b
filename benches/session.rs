//! What one frame costs in the websocket session alone, without a socket: `cargo bench --no-default-features --bench session`.
//!
//! Against tungstenite alone, by which the session is checked; and against copying the bytes into a buffer of the same size, as
//! `recv` would put them there, which the session's figure has in it too.

mod support;

use std::hint::black_box;

use atrarium::limits::RECEIVE_BUFFER_BYTES;
use atrarium::wire::session::{Event, Session};
use support::{Bench, Time};

const FRAME_BYTES: usize = 500;
const FRAMES: usize = 10_000;

fn main() {
    let frames = vec![vec![b'x'; FRAME_BYTES]; FRAMES];
    let pieces = support::pieces(&frames);
    let mut session = support::session();
    let mut reference = support::session().without_shortcut();
    assert_eq!((read(&mut session, &pieces), read(&mut reference, &pieces)), (FRAMES, FRAMES));
    let mut buffer = vec![0; RECEIVE_BUFFER_BYTES];

    let mut bench = Bench::new();
    let [ours, tungstenite, copy] = bench.sides(
        &format!("a message of {FRAME_BYTES} bytes"),
        FRAMES,
        Time::Processor,
        [
            ("session", Box::new(|| _ = black_box(read(&mut session, &pieces)))),
            ("tungstenite", Box::new(|| _ = black_box(read(&mut reference, &pieces)))),
            (
                "copy",
                Box::new(|| {
                    for piece in &pieces {
                        buffer[..piece.len()].copy_from_slice(piece);
                        black_box(&buffer);
                    }
                }),
            ),
        ],
    );
    bench.ratio("session", "tungstenite", ours, tungstenite);
    bench.ratio("session", "copying its bytes", ours, copy);
    bench.finish();
}

/// How many messages of the right length come out.
fn read(session: &mut Session, pieces: &[Vec<u8>]) -> usize {
    let mut messages = 0;
    for piece in pieces {
        support::receive(session, piece);
        while let Some(event) = session.next().expect("a sound stream") {
            let Event::Text(text) = event else { unreachable!("only text was sent") };
            messages += usize::from(black_box(text).len() == FRAME_BYTES);
        }
    }
    messages
}
