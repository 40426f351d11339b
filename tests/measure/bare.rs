//! The reference: a loop that receives the same bytes and looks at none of them.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use simnet::Dialect;

/// Asks for the whole stream and receives until nothing more comes. From the request to the last byte.
pub fn recv(address: SocketAddr, dialect: Dialect, zstd: Option<u32>) -> Duration {
    let target = match (dialect, zstd) {
        (Dialect::V1, None) => "/subscribe?cursor=1000000000000000".to_owned(),
        (Dialect::V1, Some(_)) => "/subscribe?cursor=1000000000000000&compress=true".to_owned(),
        (Dialect::V2, None) => "/xrpc/network.bsky.jetstream.subscribeEvents?cursor=0".to_owned(),
        (Dialect::V2, Some(id)) => {
            format!("/xrpc/network.bsky.jetstream.subscribeEvents?cursor=0&zstdDictionary={id}")
        }
    };
    let mut stream = TcpStream::connect(address).expect("it listens");
    let started = Instant::now();
    write!(
        stream,
        "GET {target} HTTP/1.1\r\nhost: x\r\nupgrade: websocket\r\nconnection: upgrade\r\n\
         sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    )
    .expect("sent");
    let mut buffer = vec![0; 256 << 10];
    stream.set_read_timeout(Some(Duration::from_secs(1))).expect("a socket");
    let (mut last, mut bytes) = (started, 0);
    // The host has everything at hand: when a second brings nothing, that was all.
    while let Ok(count @ 1..) = stream.read(&mut buffer) {
        (last, bytes) = (Instant::now(), bytes + count);
    }
    assert!(bytes > 1 << 20, "{target}: {bytes} bytes");
    last - started
}
