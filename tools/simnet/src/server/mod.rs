//! A host of Jetstream: both dialects at one address.
//!
//! In: a [`Reel`] and connections. Out: frames from each client's cursor on, through its filters, at the pace of one
//! shared timeline; and faults, where asked for.
//!
//! ```text
//! accept ──► link (plain, TLS) ──► one thread a connection: http (head, handshake) ──► session (writes frames)
//!                                                   client (reads the client's frames) ──► session
//! ```
//!
//! The timeline:
//! - [`Pace::Max`]: everything is history at once. A client without a cursor gets it from the first event on (there
//!   is no "now" to start from), each client on its own.
//! - [`Pace::PerSecond`]: the stream begins with the first connection and then emits n frames a second, for everybody. A client
//!   without a cursor starts at what is emitted next; one with a cursor gets what has been emitted since as fast as it
//!   takes it.
//!
//! - [`Pace::Live`]: each frame is emitted when the wall clock reaches its stream time, as a network of people does it.
//!
//! After the last event a connection stays open and answers pings; with a reel that repeats there is no last event.

mod client;
mod faults;
mod http;
mod link;
mod presses;
mod query;
mod session;

use std::collections::HashMap;
use std::io;
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream, ToSocketAddrs};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::thread::JoinHandle;
use std::time::Instant;

use rustls::ServerConfig;

use crate::authority::Authority;
use crate::dictionary::Dictionary;
use crate::event::Dialect;
use crate::machine;
use crate::reel::Reel;

pub use faults::Fault;
use faults::FaultBook;
use presses::Presses;

/// How a server behaves.
#[derive(Clone, Debug, Default)]
pub struct ServerOptions {
    /// When frames are emitted.
    pub pace: Pace,
    /// Each connection is closed after this many frames.
    pub drop_after: Option<u64>,
    /// Faults, each of which happens on its first few connections.
    pub faults: Vec<Fault>,
    /// The dictionary of v1's `compress=true`; `None` is simnet's own.
    pub dictionary_v1: Option<Dictionary>,
    /// The dictionary of v2; `None` is simnet's own.
    pub dictionary_v2: Option<Dictionary>,
    /// Speaks TLS alone, with this certificate.
    pub tls: Option<Arc<Authority>>,
    /// When the stream begins: hosts of one network share it.
    pub timeline: Timeline,
}

/// When frames are emitted.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum Pace {
    /// All at once: as fast as each client takes them.
    #[default]
    Max,
    /// So many a second, on one timeline that begins with the first connection.
    PerSecond(f64),
    /// Each at its stream time, by the wall clock.
    Live,
}

/// When a stream has begun: with the first connection to any of the hosts whose options hold a clone of it.
#[derive(Clone, Debug, Default)]
pub struct Timeline(Arc<OnceLock<Instant>>);

/// A running server. It stops when it is dropped.
pub struct Server {
    shared: Arc<Shared>,
    address: SocketAddr,
    accepting: Option<JoinHandle<()>>,
}

/// What all connections share.
struct Shared {
    reel: Arc<Reel>,
    options: ServerOptions,
    faults: FaultBook,
    presses: Presses,
    tls: Option<Arc<ServerConfig>>,
    stopping: AtomicBool,
    connections: Mutex<HashMap<u64, TcpStream>>,
    connected: AtomicU64,
    sent: AtomicU64,
}

impl Server {
    /// Listens, and serves in threads of its own. Several hosts can share a reel.
    ///
    /// # Errors
    /// The address cannot be bound.
    pub fn start(listen: impl ToSocketAddrs, reel: impl Into<Arc<Reel>>, options: ServerOptions) -> io::Result<Self> {
        let listener = TcpListener::bind(listen)?;
        let address = listener.local_addr()?;
        let shared = Arc::new(Shared {
            reel: reel.into(),
            faults: FaultBook::new(&options.faults),
            tls: options.tls.as_ref().map(|authority| authority.config()),
            presses: Presses::new(options.dictionary_v1.clone(), options.dictionary_v2.clone()),
            options,
            stopping: AtomicBool::new(false),
            connections: Mutex::new(HashMap::new()),
            connected: AtomicU64::new(0),
            sent: AtomicU64::new(0),
        });
        let accepting = {
            let shared = shared.clone();
            machine::spawn("simnet-accept", move || accept(&listener, &shared))?
        };
        Ok(Self { shared, address, accepting: Some(accepting) })
    }

    /// Makes the frames of a dialect, plain or compressed, before anybody asks for them.
    pub fn prepare(&self, dialect: Dialect, zstd: bool) {
        let press = zstd.then(|| self.shared.presses.current(dialect));
        http::prepare(&self.shared.reel, dialect, press);
        if zstd && self.shared.options.faults.contains(&Fault::RetiredDictionary) {
            // The other of the two that take turns, and back.
            self.shared.presses.retire();
            self.shared.presses.current(dialect).film(&self.shared.reel);
            self.shared.presses.retire();
        }
    }

    /// On how many connections a fault has happened so far. Over HTTP, `GET /simnet/fired` says it of all.
    pub fn fired(&self, fault: Fault) -> u64 {
        self.shared.faults.fired().get(fault.name()).copied().unwrap_or(0)
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Connections that have been accepted so far.
    pub fn connections(&self) -> u64 {
        self.shared.connected.load(Ordering::Relaxed)
    }

    /// Data frames sent so far, on all connections.
    pub fn frames_sent(&self) -> u64 {
        self.shared.sent.load(Ordering::Relaxed)
    }

    /// Serves until the process ends.
    pub fn wait(mut self) {
        if let Some(accepting) = self.accepting.take() {
            // A panic in there has been printed; there is nothing left to serve.
            let _ = accepting.join();
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.shared.stopping.store(true, Ordering::Release);
        for stream in self.shared.connections().values() {
            let _ = stream.shutdown(Shutdown::Both);
        }
        // Wakes `accept`. Where this fails, the listener is gone, and the thread with it.
        let _ = TcpStream::connect(self.address);
        if let Some(accepting) = self.accepting.take() {
            let _ = accepting.join();
        }
    }
}

impl Shared {
    fn connections(&self) -> std::sync::MutexGuard<'_, HashMap<u64, TcpStream>> {
        self.connections.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::Acquire)
    }

    /// How many frames have been emitted: the stream's end for now.
    fn head(&self) -> u64 {
        match self.options.pace {
            Pace::Max => self.reel.total(),
            Pace::Live => self.reel.at_time(machine::wall_micros().saturating_add(1)).min(self.reel.total()),
            Pace::PerSecond(rate) => {
                let elapsed = self.options.timeline.0.get_or_init(machine::now).elapsed().as_secs_f64();
                ((elapsed * rate) as u64).min(self.reel.total())
            }
        }
    }

    /// Where a client without a cursor starts.
    fn live(&self) -> u64 {
        if self.options.pace == Pace::Max { 0 } else { self.head() }
    }
}

fn accept(listener: &TcpListener, shared: &Arc<Shared>) {
    for stream in listener.incoming() {
        if shared.is_stopping() {
            return;
        }
        // A connection that broke before it was accepted is the client's affair.
        let Ok(stream) = stream else { continue };
        let number = shared.connected.fetch_add(1, Ordering::Relaxed);
        if let Ok(clone) = stream.try_clone() {
            shared.connections().insert(number, clone);
        }
        let served = {
            let shared = shared.clone();
            machine::spawn("simnet-connection", move || {
                // Clients come and go as they like: how a connection ends is no failure of the server.
                let _ = http::serve(stream, &shared);
                if let Some(stream) = shared.connections().remove(&number) {
                    let _ = stream.shutdown(Shutdown::Both);
                }
            })
        };
        if served.is_err() {
            shared.connections().remove(&number);
        }
    }
}
