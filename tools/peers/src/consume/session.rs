//! A websocket of this engine over a plain blocking socket, for those who need whole messages and nothing else.

use std::io::{Read, Write};
use std::net::TcpStream;

use atrarium::wire::session::{Event, Session};

use super::{PATIENCE, Stream};

/// Hands out every message.
pub fn messages(stream: &Stream, mut each: impl FnMut(&[u8])) {
    let mut socket = TcpStream::connect(stream.host).expect("the host listens");
    socket.set_read_timeout(Some(PATIENCE)).expect("a socket");
    let mut session = Session::connect(&stream.url()).expect("a URL");
    let mut left = stream.frames;
    while left > 0 {
        let output = session.output().to_vec();
        socket.write_all(&output).expect("the host reads");
        session.sent(output.len());
        let count = socket.read(session.space()).expect("the host goes on");
        assert!(count > 0, "the host hung up, {left} messages before the end");
        session.received(count);
        while let Some(event) = session.next().expect("a sound stream") {
            if let Event::Text(message) | Event::Binary(message) = event {
                left -= 1;
                each(&message);
            }
        }
    }
}
