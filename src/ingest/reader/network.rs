//! The reader's door to the network: names, connections, and the one place where its thread sleeps.
//!
//! In: what the reader wants of the network. Out: streams that never block, and whether they may have something. The real
//! network is [`Sockets`](super::Sockets); a test hands the reader another one, and so decides what it meets and when.
//!
//! What always holds: the reader has one stream at a time, and reads it until it would block; then it rests.

use std::io::{self, Read, Write};
use std::sync::Arc;
use std::time::Duration;

use mio::Waker;

use crate::wire::endpoint::Endpoint;

/// A network, as far as the reader needs one.
pub trait Network {
    /// Where a host can be reached.
    type Address: Copy;
    /// A connection. It never blocks: [`io::ErrorKind::WouldBlock`] says that nothing can go on before a [`rest`](Self::rest).
    type Stream: Read + Write;

    /// The addresses of a host, at least one.
    ///
    /// # Errors
    /// There is none, or it cannot be learnt.
    fn resolve(&mut self, endpoint: &Endpoint) -> io::Result<Vec<Self::Address>>;

    /// Begins a connection to one address.
    ///
    /// # Errors
    /// The network's own, and where TLS is wanted that the reader was not set up with.
    fn begin(&mut self, endpoint: &Endpoint, address: Self::Address) -> io::Result<Self::Stream>;

    /// Whether a begun connection stands.
    ///
    /// # Errors
    /// It never will.
    fn is_up(&mut self, stream: &mut Self::Stream) -> io::Result<bool>;

    /// Closes a connection, standing or not.
    fn end(&mut self, stream: Self::Stream);

    /// Sleeps until the stream can go on, the waker is called, or `time` has passed; whether the stream may have something
    /// to read since it last would have blocked.
    fn rest(&mut self, time: Duration) -> bool;

    /// What ends a rest from another thread; `None` where there is no other thread.
    fn waker(&self) -> Option<Arc<Waker>>;
}
