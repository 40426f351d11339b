//! What a connection reads and writes: a TCP socket, plain or under TLS.
//!
//! What always holds: both behave as the socket, which never blocks: [`io::ErrorKind::WouldBlock`] says that nothing can
//! go on before its next event. A read returns what is there before it says so.

use std::io::{self, Read, Write};

use mio::Poll;
use mio::net::TcpStream;

use super::connection;
#[cfg(feature = "server")]
use super::tls::TlsStream;

/// A connected socket.
pub(super) enum Transport {
    /// `ws://`
    Plain(TcpStream),
    /// `wss://`
    #[cfg(feature = "server")]
    Tls(Box<TlsStream>),
}

impl Transport {
    /// Closes the socket.
    pub(super) fn hang_up(mut self, poll: &Poll) {
        match &mut self {
            Self::Plain(socket) => connection::release(poll, socket),
            #[cfg(feature = "server")]
            Self::Tls(stream) => {
                stream.close();
                connection::release(poll, stream.socket());
            }
        }
    }
}

impl Read for Transport {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Plain(socket) => socket.read(into),
            #[cfg(feature = "server")]
            Self::Tls(stream) => stream.read(into),
        }
    }
}

impl Write for Transport {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Plain(socket) => socket.write(bytes),
            #[cfg(feature = "server")]
            Self::Tls(stream) => stream.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Plain(socket) => socket.flush(),
            #[cfg(feature = "server")]
            Self::Tls(stream) => stream.flush(),
        }
    }
}
