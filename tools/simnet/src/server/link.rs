//! One connection's bytes, plain or through TLS.
//!
//! In: a TCP stream that was accepted, and how to make TLS of it. Out: a [`Link`]: one thread reads it, another one writes it.
//!
//! ```text
//! session ──► write_all ──► [ encrypt, under a lock ] ──► TCP
//! client  ◄── read ◄── [ decrypt, under the same lock ] ◄── TCP (waited for without the lock)
//! ```
//!
//! Always: records go out in the order in which they were encrypted, because they are written under the lock.

use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rustls::{ServerConfig, ServerConnection};

/// Plain text that is encrypted and written at once: what a socket takes in one call, more or less.
const PIECE_BYTES: usize = 256 << 10;

/// A connection. Clones share it.
#[derive(Clone)]
pub(super) struct Link {
    tcp: Arc<TcpStream>,
    tls: Option<Arc<Mutex<ServerConnection>>>,
}

impl Link {
    /// Plain without `config`. The TLS handshake happens with the first read.
    pub fn new(tcp: TcpStream, config: Option<&Arc<ServerConfig>>) -> io::Result<Self> {
        let tls = config.map(|config| ServerConnection::new(config.clone())).transpose().map_err(io::Error::other)?;
        let tls = tls.map(|mut tls| {
            // A piece is written as soon as it is encrypted: its size is the bound.
            tls.set_buffer_limit(None);
            Arc::new(Mutex::new(tls))
        });
        Ok(Self { tcp: Arc::new(tcp), tls })
    }

    /// How long a read may wait.
    pub fn set_read_timeout(&self, timeout: Option<Duration>) -> io::Result<()> {
        self.tcp.set_read_timeout(timeout)
    }

    /// How long a write may wait.
    pub fn set_write_timeout(&self, timeout: Option<Duration>) -> io::Result<()> {
        self.tcp.set_write_timeout(timeout)
    }

    /// Writes bytes, all of them.
    pub fn write_all(&self, bytes: &[u8]) -> io::Result<()> {
        let Some(tls) = &self.tls else { return (&*self.tcp).write_all(bytes) };
        for piece in bytes.chunks(PIECE_BYTES) {
            let mut tls = lock(tls);
            tls.writer().write_all(piece)?;
            send(&mut tls, &self.tcp)?;
        }
        Ok(())
    }

    /// Ends what this side sends. `politely`: TLS says so first; without, it looks as if the network had cut it.
    pub fn end(&self, politely: bool) -> io::Result<()> {
        if let Some(tls) = self.tls.as_ref().filter(|_| politely) {
            let mut tls = lock(tls);
            tls.send_close_notify();
            send(&mut tls, &self.tcp)?;
        }
        self.tcp.shutdown(Shutdown::Write)
    }
}

impl Read for Link {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let Some(shared) = &self.tls else { return (&*self.tcp).read(into) };
        let mut raw = [0; 16 << 10];
        loop {
            match lock(shared).reader().read(into) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                read => return read,
            }
            let count = (&*self.tcp).read(&mut raw)?;
            let mut tls = lock(shared);
            let mut rest = &raw[..count];
            loop {
                tls.read_tls(&mut rest)?;
                let processed = tls.process_new_packets();
                // An alert, or the next step of the handshake.
                send(&mut tls, &self.tcp)?;
                processed.map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
                if rest.is_empty() {
                    break;
                }
            }
        }
    }
}

fn lock(tls: &Mutex<ServerConnection>) -> MutexGuard<'_, ServerConnection> {
    tls.lock().unwrap_or_else(PoisonError::into_inner)
}

fn send(tls: &mut ServerConnection, mut tcp: &TcpStream) -> io::Result<()> {
    while tls.wants_write() {
        tls.write_tls(&mut tcp)?;
    }
    Ok(())
}
