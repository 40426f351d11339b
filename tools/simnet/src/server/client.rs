//! What the client sends after the handshake: masked frames (RFC 6455, 5.2).
//!
//! In: bytes of the socket. Out: [`Said`], over a channel to the session, which alone writes.

use std::io::{self, Read};
use std::sync::mpsc::Sender;

use crate::websocket::{BINARY, CLOSE, CONTINUATION, PING, PONG, TEXT};

/// The largest message that a client may send, in bytes, as Jetstream has it.
const MESSAGE_BYTES_MAX: u64 = 10_000_000;

/// Something that the client said.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Said {
    /// A whole text or binary message.
    Data(Vec<u8>),
    Ping(Vec<u8>),
    Pong,
    Close(Vec<u8>),
    /// It broke the protocol, or the connection is gone.
    Gone,
}

/// Listens until the client is gone, or nobody hears it any more.
pub(super) fn listen(mut socket: impl Read, to: &Sender<Said>) {
    let mut message = Vec::new();
    loop {
        let said = match read_frame(&mut socket) {
            Ok((PING, _, payload)) => Said::Ping(payload),
            Ok((PONG, ..)) => Said::Pong,
            Ok((CLOSE, _, payload)) => Said::Close(payload),
            Ok((TEXT | BINARY | CONTINUATION, last, payload)) => {
                message.extend_from_slice(&payload);
                if !last {
                    continue;
                }
                Said::Data(std::mem::take(&mut message))
            }
            Ok(_) | Err(_) => Said::Gone,
        };
        let gone = said == Said::Gone;
        if to.send(said).is_err() || gone {
            return;
        }
    }
}

/// One frame: opcode, whether it is the last of its message, payload.
fn read_frame(socket: &mut impl Read) -> io::Result<(u8, bool, Vec<u8>)> {
    let [first, second] = bytes(socket)?;
    let broken = |why| io::Error::new(io::ErrorKind::InvalidData, why);
    if first & 0x70 != 0 || second & 0x80 == 0 {
        return Err(broken("reserved bits are set, or the frame is not masked"));
    }
    let length = match second & 0x7f {
        126 => u64::from(u16::from_be_bytes(bytes(socket)?)),
        127 => u64::from_be_bytes(bytes(socket)?),
        short => u64::from(short),
    };
    if length > MESSAGE_BYTES_MAX {
        return Err(broken("the message is too large"));
    }
    let mask: [u8; 4] = bytes(socket)?;
    let mut payload = vec![0; length as usize];
    socket.read_exact(&mut payload)?;
    for (byte, mask) in payload.iter_mut().zip(mask.iter().cycle()) {
        *byte ^= mask;
    }
    Ok((first & 0x0f, first & 0x80 != 0, payload))
}

fn bytes<const N: usize>(socket: &mut impl Read) -> io::Result<[u8; N]> {
    let mut bytes = [0; N];
    socket.read_exact(&mut bytes)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn masked_frames_are_read_and_others_end_the_connection() {
        let mut input = vec![0x01, 0x82, 1, 2, 3, 4, b'h' ^ 1, b'e' ^ 2];
        input.extend([0x89, 0x80, 0, 0, 0, 0]);
        input.extend([0x80, 0x81, 9, 9, 9, 9, b'y' ^ 9]);
        input.extend([0x81, 0x01, b'x']);
        let (to, from) = std::sync::mpsc::channel();
        listen(&input[..], &to);
        drop(to);
        let said: Vec<Said> = from.iter().collect();
        assert_eq!(said, [Said::Ping(vec![]), Said::Data(b"hey".to_vec()), Said::Gone]);
    }
}
