//! The least that a server does: it reads what is asked, does not look at it, and writes the same page again.

use std::collections::HashMap;
use std::io::{self, Read, Write};

use mio::net::{TcpListener, TcpStream};
use mio::{Events, Interest, Poll, Token};

use super::Feeds;

const LISTENER: Token = Token(usize::MAX);

pub fn run(feeds: &Feeds) {
    // A page of 50, and the head that the engine's answers have.
    let page = feeds.values().find(|uris| uris.len() >= 50).or_else(|| feeds.values().max_by_key(|uris| uris.len()));
    let items = page.into_iter().flatten().take(50).map(|uri| format!("{{\"post\":\"{uri}\"}}"));
    let body = format!("{{\"feed\":[{}],\"cursor\":\"{}\"}}", items.collect::<Vec<_>>().join(","), "0".repeat(72));
    let answer = format!(
        "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\ndate: Mon, 30 Nov 2026 12:00:00 GMT\r\n\r\n{body}",
        body.len()
    );
    let mut poll = Poll::new().expect("a poll");
    let mut listener = TcpListener::bind("127.0.0.1:0".parse().expect("an address")).expect("a free port");
    println!("listening {}", listener.local_addr().expect("it is bound"));
    poll.registry().register(&mut listener, LISTENER, Interest::READABLE).expect("registered");
    let mut events = Events::with_capacity(256);
    let mut guests: HashMap<Token, TcpStream> = HashMap::new();
    let mut room = vec![0; 64 << 10];
    loop {
        poll.poll(&mut events, None).expect("it polls");
        for event in &events {
            if event.token() == LISTENER {
                while let Ok((mut guest, _)) = listener.accept() {
                    let token = Token(guests.len());
                    guest.set_nodelay(true).expect("a socket");
                    poll.registry().register(&mut guest, token, Interest::READABLE).expect("registered");
                    guests.insert(token, guest);
                }
            } else if let Some(guest) = guests.get_mut(&event.token()) {
                answer_all(guest, &mut room, answer.as_bytes());
            }
        }
    }
}

/// A request comes whole: it is short, and one at a time is under way on each connection.
fn answer_all(guest: &mut TcpStream, room: &mut [u8], answer: &[u8]) {
    loop {
        match guest.read(room) {
            Ok(0) => return,
            Ok(count) => {
                if room[..count].ends_with(b"\r\n\r\n") {
                    guest.write_all(answer).expect("the reader reads");
                }
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
            Err(_) => return,
        }
    }
}
