//! How fast a host sends: a bare receive loop that walks frame headers and looks at nothing else.
//!
//! `cargo run --release -p simnet --example receive -- ws://127.0.0.1:6008/subscribe?cursor=1 2000000`

use std::io::Read;
use std::time::Instant;

use tungstenite::stream::MaybeTlsStream;

#[expect(clippy::disallowed_methods, reason = "a stopwatch is all this program is")]
fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let (Some(url), Some(wanted)) = (arguments.next(), arguments.next()) else {
        return Err("usage: receive URL FRAMES".into());
    };
    let wanted: u64 = wanted.parse()?;
    let (socket, _) = tungstenite::connect(url)?;
    let MaybeTlsStream::Plain(mut stream) = socket.into_inner() else { return Err("only ws://".into()) };
    let mut buffer = vec![0; 256 << 10];
    let (mut held, mut frames, mut bytes) = (0, 0, 0);
    let started = Instant::now();
    while frames < wanted {
        let count = stream.read(&mut buffer[held..])?;
        if count == 0 {
            return Err(format!("the host ended after {frames} frames").into());
        }
        bytes += count;
        held += count;
        let (walked, whole) = walk(&buffer[..held]);
        frames += whole;
        buffer.copy_within(walked..held, 0);
        held -= walked;
    }
    let seconds = started.elapsed().as_secs_f64();
    println!(
        "{frames} frames in {seconds:.3} s: {:.0} frames/s, {:.0} MB/s, {:.0} ns a frame",
        frames as f64 / seconds,
        bytes as f64 / seconds / 1e6,
        seconds * 1e9 / frames as f64
    );
    Ok(())
}

/// Bytes and number of the whole frames at the start of `buffer`.
fn walk(buffer: &[u8]) -> (usize, u64) {
    let (mut at, mut frames) = (0, 0);
    while let [_, length, rest @ ..] = &buffer[at..] {
        let end = match (length, rest) {
            (126, [high, low, ..]) => 4 + usize::from(u16::from_be_bytes([*high, *low])),
            (126 | 127, _) => break,
            (short, _) => 2 + usize::from(*short),
        };
        if at + end > buffer.len() {
            break;
        }
        at += end;
        frames += 1;
    }
    (at, frames)
}
