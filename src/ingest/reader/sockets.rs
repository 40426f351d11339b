//! The real network: TCP sockets behind a poll, plain or under TLS.
//!
//! What always holds: a stream behaves as its socket, which never blocks. It is registered for edges, so after one it is
//! read until it would block. A read returns what is there before it says so.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, ToSocketAddrs};
use std::sync::Arc;
use std::time::Duration;

use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token, Waker};
use tracing::warn;

use super::network::Network;
#[cfg(feature = "server")]
use super::tls::{Tls, TlsStream};
use crate::wire::endpoint::Endpoint;

const WAKE: Token = Token(0);
const SOCKET: Token = Token(1);

/// See the module.
pub struct Sockets {
    poll: Poll,
    events: Events,
    waker: Arc<Waker>,
    #[cfg(feature = "server")]
    tls: Option<Tls>,
}

/// A socket.
pub enum Transport {
    /// `ws://`
    Plain(TcpStream),
    /// `wss://`
    #[cfg(feature = "server")]
    Tls(Box<TlsStream>),
}

impl Sockets {
    /// Of the operating system, without TLS.
    ///
    /// # Errors
    /// It gives no poll.
    pub(super) fn new() -> io::Result<Self> {
        let poll = Poll::new()?;
        let waker = Arc::new(Waker::new(poll.registry(), WAKE)?);
        Ok(Self {
            poll,
            events: Events::with_capacity(8),
            waker,
            #[cfg(feature = "server")]
            tls: None,
        })
    }

    /// How `wss://` is spoken.
    #[cfg(feature = "server")]
    pub(super) fn with_tls(self, tls: Option<Tls>) -> Self {
        Self { tls, ..self }
    }

    /// TLS where the endpoint wants it: before the socket is made, so that one that cannot be used is not made at all.
    #[cfg(feature = "server")]
    fn tls_of(&self, endpoint: &Endpoint) -> io::Result<Option<Tls>> {
        match &self.tls {
            Some(tls) if endpoint.is_tls() => Ok(Some(tls.clone())),
            None if endpoint.is_tls() => Err(no_tls()),
            _ => Ok(None),
        }
    }
}

fn no_tls() -> io::Error {
    io::Error::new(io::ErrorKind::Unsupported, "this reader was set up without TLS: use ws://")
}

impl Network for Sockets {
    type Address = SocketAddr;
    type Stream = Transport;

    /// A name asks the system's resolver, which takes its time; an address does not.
    fn resolve(&mut self, endpoint: &Endpoint) -> io::Result<Vec<SocketAddr>> {
        let host = endpoint.host().trim_start_matches('[').trim_end_matches(']');
        let addresses: Vec<_> = (host, endpoint.port()).to_socket_addrs()?.collect();
        if addresses.is_empty() {
            return Err(io::Error::new(io::ErrorKind::NotFound, "it has no address"));
        }
        Ok(addresses)
    }

    fn begin(&mut self, endpoint: &Endpoint, address: SocketAddr) -> io::Result<Transport> {
        #[cfg(feature = "server")]
        let tls = self.tls_of(endpoint)?;
        #[cfg(not(feature = "server"))]
        if endpoint.is_tls() {
            return Err(no_tls());
        }
        let mut socket = TcpStream::connect(address)?;
        self.poll.registry().register(&mut socket, SOCKET, Interest::READABLE | Interest::WRITABLE)?;
        #[cfg(feature = "server")]
        if let Some(tls) = tls {
            return Ok(Transport::Tls(Box::new(tls.begin(endpoint.host(), socket)?)));
        }
        Ok(Transport::Plain(socket))
    }

    fn is_up(&mut self, stream: &mut Transport) -> io::Result<bool> {
        let socket = stream.socket();
        if let Some(error) = socket.take_error()? {
            return Err(error);
        }
        match socket.peer_addr() {
            Ok(_) => {
                socket.set_nodelay(true)?;
                Ok(true)
            }
            Err(error) if error.kind() == io::ErrorKind::NotConnected => Ok(false),
            Err(error) => Err(error),
        }
    }

    fn end(&mut self, mut stream: Transport) {
        #[cfg(feature = "server")]
        if let Transport::Tls(tls) = &mut stream {
            tls.close();
        }
        // Closing a socket takes it from the poll, too.
        let _done_by_close = self.poll.registry().deregister(stream.socket());
    }

    fn rest(&mut self, time: Duration) -> bool {
        self.events.clear();
        match self.poll.poll(&mut self.events, Some(time)) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => warn!(%error, "the poll failed"),
        }
        let mut events = self.events.iter();
        events.any(|event| event.token() == SOCKET && (event.is_readable() || event.is_read_closed()))
    }

    fn waker(&self) -> Option<Arc<Waker>> {
        Some(Arc::clone(&self.waker))
    }
}

impl Transport {
    fn socket(&mut self) -> &mut TcpStream {
        match self {
            Self::Plain(socket) => socket,
            #[cfg(feature = "server")]
            Self::Tls(stream) => stream.socket(),
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
