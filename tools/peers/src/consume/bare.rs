//! The least that anybody does who reads the stream: receives it, and looks at nothing.

use std::io::{Read, Write};
use std::net::TcpStream;

use super::{Count, PATIENCE, Stream, Told};
use crate::machine::Stopwatch;

/// The engine's receive buffer has as many bytes.
const BUFFER: usize = atrarium::limits::RECEIVE_BUFFER_BYTES;

pub fn run(stream: &Stream) -> Told {
    let mut socket = TcpStream::connect(stream.host).expect("the host listens");
    socket.set_read_timeout(Some(PATIENCE)).expect("a socket");
    let mut count = Count::new(stream, Stopwatch::of_thread);
    write!(
        socket,
        "GET {} HTTP/1.1\r\nhost: x\r\nupgrade: websocket\r\nconnection: upgrade\r\n\
         sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
        stream.target()
    )
    .expect("the host reads");
    let mut buffer = vec![0; BUFFER];
    let mut bytes = 0;
    while bytes < stream.bytes {
        let read = socket.read(&mut buffer).expect("the host goes on");
        assert!(read > 0, "the host hung up after {bytes} bytes");
        bytes += read as u64;
        // As many frames as so many bytes are, on average.
        let frames = u128::from(stream.frames) * u128::from(bytes.min(stream.bytes)) / u128::from(stream.bytes);
        count.add(u64::try_from(frames).unwrap_or(u64::MAX) - count.seen);
    }
    count.told(0)
}
