//! Reads the stream from its hosts: one thread, one connection at a time, no async runtime.
//!
//! ```text
//! plan ──endpoint, ask──► connection ──frames──► Sink ──Go / Full / Reconnect / Rewind──┐
//!   ▲                        │ end                                                      │
//!   └── outcome, cursor ◄────┴──────────────────────────────────────────────────────────┘
//! ```
//!
//! In: the endpoints, and the position from which to go on (the sink knows it). Out: every message, in order, to the
//! [`Sink`]. What always holds:
//! - The sink is ticked at least each half of [`TOKEN_INTERVAL_MILLIS`]: idle,
//!   connecting, waiting or reading. The one exception is the resolution of a host's name, which the system does not let
//!   go of; an address needs none.
//! - When the sink is full nothing is read, so the host's own sending comes to rest. Nothing is dropped.
//! - A connection that ends is followed by another, whatever ended it, from where the sink is; only [`Stop::stop`] ends
//!   the reader. How long it waits in between grows until something new arrives.
//! - Every wait ends at once when [`Stop`] says so.

mod compression;
mod connection;
mod network;
mod plan;
mod sockets;
#[cfg(feature = "server")]
mod tls;

use std::io::{self, Read, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use mio::Waker;
use tracing::{debug, info, warn};

pub use self::compression::Zstd;
pub use self::network::Network;
pub use self::plan::{Config, Timeouts, WithoutCursor};
pub use self::sockets::Sockets;
#[cfg(feature = "server")]
pub use self::tls::{Tls, TlsError};

use self::compression::Compression;
use self::connection::Connection;
use self::plan::{Outcome, Plan};
use crate::clock::Clock;
use crate::fact::{Cursor, GapReason};
use crate::limits::{FULL_WAIT_MILLIS, TOKEN_INTERVAL_MILLIS, ZSTD_FAILURES_MAX};
use crate::syntax::Time;
use crate::telemetry::Reason;
use crate::wire::endpoint::{Ask, Endpoint};
use crate::wire::http::Get;
use crate::wire::session::{Event, Run, Session, SessionError};
use crate::wire::zstd::{Decoder, Dictionary};

/// Who takes what the reader reads, and counts it: the reader counts nothing itself.
pub trait Sink {
    /// Takes one text message, decompressed where it was compressed: copy what is to be kept.
    fn frame(&mut self, frame: &[u8], endpoint: &Endpoint) -> Pressure;
    /// Takes text messages that lie one behind the other, until it wants something else than [`Pressure::Go`]: it has taken
    /// the last one then, but for [`Pressure::Rewind`]. What it leaves comes again.
    fn frames(&mut self, run: &mut Run<'_>, endpoint: &Endpoint) -> Pressure {
        let wanted = run.map(|frame| self.frame(frame, endpoint)).find(|&pressure| pressure != Pressure::Go);
        wanted.unwrap_or(Pressure::Go)
    }
    /// After the frames of one reading of the socket. The last one that was taken, where it is still there. More may come at
    /// once, or [`Sink::idle`] follows.
    fn pause(&mut self, last: Option<&[u8]>);
    /// Nothing more comes for now: what was kept back for more is to be handed on.
    fn idle(&mut self);
    /// Called at least each half of the token interval, whether or not anything comes.
    fn tick(&mut self);
    /// After [`Pressure::Full`]: whether reading may go on. Called now and then without it, too.
    fn ready(&mut self) -> bool;
    /// The newest position that was taken; of the recovered log before the first one.
    fn resume(&self) -> Option<Cursor>;
    /// A message was refused before it could be handed over.
    fn refused(&mut self, reason: Reason);
    /// The host may not have told everything from the position on that it was asked for.
    fn gap(&mut self, endpoint: &Endpoint, reason: GapReason);
    /// A connection is open, and was asked for `ask`: the first event can be held against it.
    fn connected(&mut self, endpoint: &Endpoint, ask: &Ask);
    /// A connection is lost, or could not be made. Whatever was taken counts for [`Sink::resume`] from now on.
    fn disconnected(&mut self, endpoint: &Endpoint, why: &str);
}

/// What the sink wants after a message, which it has taken but for [`Pressure::Rewind`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pressure {
    /// The next one.
    Go,
    /// None before [`Sink::ready`].
    Full,
    /// Another connection: the host said that it ends this one.
    Reconnect,
    /// Another connection to the same host, from its oldest: it did not begin where it was asked to.
    Rewind,
}

/// Stops a reader, or wakes it, from another thread.
#[derive(Clone, Debug)]
pub struct Stop {
    asked: Arc<AtomicBool>,
    waker: Option<Arc<Waker>>,
}

impl Stop {
    /// Ends the reader; [`Reader::run`] returns within 100 ms, or when the system has resolved a name.
    pub fn stop(&self) {
        self.asked.store(true, Ordering::Release);
        self.wake();
    }

    /// Says that the sink may be ready again.
    pub fn wake(&self) {
        if let Some(Err(error)) = self.waker.as_ref().map(|waker| waker.wake()) {
            // The reader wakes by itself within a tick.
            debug!(%error, "the reader could not be woken");
        }
    }
}

/// The loop of the reader's thread, on a network: the real one, unless a test brings another.
pub struct Reader<S, N: Network = Sockets> {
    network: N,
    plan: Plan,
    compression: Compression,
    /// Of the connection that is read now.
    decoder: Option<Decoder>,
    sink: S,
    clock: Clock,
    stop: Stop,
    tick_at: Duration,
}

/// How a connection ended.
struct End {
    why: Why,
    frames: u64,
}

/// Why a connection ended, or was not made.
#[derive(Debug, thiserror::Error)]
enum Why {
    #[error("stopped")]
    Stopped,
    #[error("the name {host} cannot be resolved ({error}): check the name and the network")]
    Resolve { host: String, error: io::Error },
    #[error("{0}")]
    Network(#[from] io::Error),
    #[error("no dictionary: {0}")]
    Dictionary(String),
    #[error("{ZSTD_FAILURES_MAX} compressed messages in a row cannot be decoded with the dictionary")]
    Undecodable,
    #[error("no connection within {0:?}")]
    ConnectTimeout(Duration),
    #[error("{0}")]
    Session(#[from] SessionError),
    #[error("the host closed with {code} {reason:?}")]
    Closed { code: u16, reason: String },
    #[error("the host has sent nothing for {0:?} after it accepted")]
    Silent(Duration),
    #[error("the host has stopped sending for {0:?}")]
    Idle(Duration),
    #[error("the host said that it ends the connection")]
    Asked,
    #[error("the host did not begin where it was asked to")]
    Rewind,
}

const TICK: Duration = Duration::from_millis(TOKEN_INTERVAL_MILLIS / 4);
const FULL_WAIT: Duration = Duration::from_millis(FULL_WAIT_MILLIS);

impl<S: Sink> Reader<S> {
    /// Prepares a reader of the real network. `rng` is for the jitter between tries.
    ///
    /// # Errors
    /// The system gives no poll.
    ///
    /// # Panics
    /// When `config` has no endpoint.
    pub fn new(config: Config, sink: S, clock: Clock, rng: fastrand::Rng) -> io::Result<Self> {
        let sockets = Sockets::new()?;
        #[cfg(feature = "server")]
        let sockets = sockets.with_tls(config.tls.clone());
        Ok(Self::on(sockets, config, sink, clock, rng))
    }
}

impl<S: Sink, N: Network> Reader<S, N> {
    /// Prepares a reader of a network. `rng` is for the jitter between tries.
    ///
    /// # Panics
    /// When `config` has no endpoint.
    pub fn on(network: N, config: Config, sink: S, clock: Clock, rng: fastrand::Rng) -> Self {
        assert!(!config.endpoints.is_empty(), "a reader needs an endpoint");
        let stop = Stop { asked: Arc::new(AtomicBool::new(false)), waker: network.waker() };
        let compression = Compression::new(&config.zstd, &config.endpoints);
        let plan = Plan::new(config, rng);
        let tick_at = clock.monotonic();
        Self { network, plan, compression, decoder: None, sink, clock, stop, tick_at }
    }

    /// What stops this reader.
    pub fn stop_handle(&self) -> Stop {
        self.stop.clone()
    }

    /// Reads until it is stopped, and gives the sink back.
    pub fn run(mut self) -> S {
        while !self.stopped() {
            let now = Time::from_micros(self.clock.wall_micros());
            let next = self.plan.next(self.sink.resume(), now);
            let endpoint = self.plan.endpoint(next.at).clone();
            if next.skips {
                warn!(host = endpoint.host_name(), start = %next.ask.start, "the stream cannot be read on from where it was: going on behind that, a gap");
                self.sink.gap(&endpoint, GapReason::Unreadable);
            }
            let end = self.read_from(next.at, &endpoint, next.ask);
            let why = end.why.to_string();
            self.sink.disconnected(&endpoint, &why);
            if matches!(end.why, Why::Stopped) {
                break;
            }
            let outcome =
                Outcome { of: next, kind: end.why.kind(), frames: end.frames > 0, cursor: self.sink.resume() };
            let after = self.plan.ended(&outcome);
            if let Some(reason) = after.gap {
                self.sink.gap(&endpoint, reason);
            }
            end.why.log(&endpoint, end.frames, after.wait);
            self.wait(after.wait);
        }
        info!("the reader has stopped");
        self.sink
    }

    fn read_from(&mut self, at: usize, endpoint: &Endpoint, ask: Ask) -> End {
        let mut taken = Taken::default();
        let why = match self.agree(at, endpoint, ask).and_then(|ask| Ok((self.connect(endpoint, &ask)?, ask))) {
            Ok((mut connection, ask)) => {
                let why = self.drive(&mut connection, endpoint, &ask, &mut taken);
                self.network.end(connection.into_stream());
                why
            }
            Err(why) => why,
        };
        if taken.decoded > 0 {
            self.compression.worked(at);
        }
        if why.kind() == plan::Kind::Dictionary {
            self.compression.failed(at, endpoint);
        }
        End { why, frames: taken.frames }
    }

    /// Adds to what is asked for whether the stream is to be compressed. Where a dictionary is needed, it is fetched.
    fn agree(&mut self, at: usize, endpoint: &Endpoint, ask: Ask) -> Result<Ask, Why> {
        if self.compression.needs_dictionary(at) {
            match self.fetch_dictionary(endpoint) {
                Ok(dictionary) => self.compression.fetched(at, dictionary),
                Err(Why::Dictionary(why)) => {
                    warn!(host = endpoint.host_name(), "no dictionary ({why}): reading uncompressed this time");
                }
                Err(why) => return Err(why),
            }
        }
        let dictionary = self.compression.dictionary(at);
        self.decoder = dictionary.map(Decoder::new).transpose().map_err(|error| Why::Dictionary(error.to_string()))?;
        Ok(Ask { zstd: dictionary.map(Dictionary::id), ..ask })
    }

    /// Asks the host for its current dictionary, within the time for a connection.
    fn fetch_dictionary(&mut self, endpoint: &Endpoint) -> Result<Dictionary, Why> {
        let (mut stream, deadline) = self.open(endpoint)?;
        let get = Get::new(&endpoint.host_name(), endpoint.dictionary_target());
        let body = self.exchange(&mut stream, get, deadline);
        self.network.end(stream);
        let dictionary = Dictionary::parse(&body?).map_err(|error| Why::Dictionary(error.to_string()))?;
        info!(host = endpoint.host_name(), id = dictionary.id(), "fetched the dictionary");
        Ok(dictionary)
    }

    fn exchange(&mut self, stream: &mut N::Stream, mut get: Get, deadline: Duration) -> Result<Vec<u8>, Why> {
        let mut room = [0; 16 << 10];
        loop {
            self.upkeep();
            if self.stopped() {
                return Err(Why::Stopped);
            }
            while !get.output().is_empty() {
                match stream.write(get.output()) {
                    Ok(count) => get.sent(count),
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                    Err(error) => return Err(error.into()),
                }
            }
            match stream.read(&mut room) {
                Ok(count) => {
                    let body = get.received(&room[..count], count == 0);
                    if let Some(body) = body.map_err(|error| Why::Dictionary(error.to_string()))? {
                        return Ok(body);
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.rest(deadline);
                }
                Err(error) => return Err(error.into()),
            }
            if self.clock.monotonic() >= deadline {
                return Err(Why::ConnectTimeout(self.plan.timeouts().connect));
            }
        }
    }

    fn connect(&mut self, endpoint: &Endpoint, ask: &Ask) -> Result<Connection<N::Stream>, Why> {
        let session = Session::connect(&endpoint.request_url(ask))?;
        let (stream, deadline) = self.open(endpoint)?;
        Ok(Connection::new(stream, session, deadline))
    }

    /// Makes the TCP connection, to one address of the host after the other within the time for all. Whatever follows must
    /// be done at the moment that comes with it.
    fn open(&mut self, endpoint: &Endpoint) -> Result<(N::Stream, Duration), Why> {
        debug!(host = endpoint.host_name(), "resolving");
        let resolved = self.network.resolve(endpoint);
        let addresses = resolved.map_err(|error| Why::Resolve { host: endpoint.host().to_owned(), error })?;
        let limit = self.plan.timeouts().connect;
        let deadline = self.clock.monotonic() + limit;
        let mut last = Why::ConnectTimeout(limit);
        for (at, address) in addresses.iter().enumerate() {
            let now = self.clock.monotonic();
            let left = u32::try_from(addresses.len() - at).unwrap_or(u32::MAX);
            let until = now + deadline.saturating_sub(now) / left;
            match self.connect_to(endpoint, *address, until) {
                Ok(Some(stream)) => return Ok((stream, deadline)),
                Ok(None) if self.stopped() => return Err(Why::Stopped),
                Ok(None) => last = Why::ConnectTimeout(limit),
                Err(error) => last = Why::Network(error),
            }
        }
        Err(last)
    }

    /// One address; `None` when the time is over, or the reader was stopped.
    fn connect_to(
        &mut self,
        endpoint: &Endpoint,
        address: N::Address,
        until: Duration,
    ) -> io::Result<Option<N::Stream>> {
        let mut stream = self.network.begin(endpoint, address)?;
        loop {
            match self.network.is_up(&mut stream) {
                Ok(true) => return Ok(Some(stream)),
                Ok(false) if self.clock.monotonic() < until && !self.stopped() => self.rest(until),
                failed => {
                    self.network.end(stream);
                    return failed.map(|_late| None);
                }
            };
        }
    }

    /// Drives one connection to its end.
    fn drive(
        &mut self,
        connection: &mut Connection<N::Stream>,
        endpoint: &Endpoint,
        ask: &Ask,
        taken: &mut Taken,
    ) -> Why {
        let mut full = !self.sink.ready();
        loop {
            self.upkeep();
            if self.stopped() {
                connection.say_goodbye();
                return Why::Stopped;
            }
            if full {
                full = !self.sink.ready();
                connection.live(self.clock.monotonic());
            }
            if !full {
                match self.take_all(connection, endpoint, ask, taken) {
                    Ok(is_full) => full = is_full,
                    Err(why) => {
                        connection.flush_last_words();
                        return why;
                    }
                }
            }
            if let Err(error) = connection.flush() {
                return error.into();
            }
            let now = self.clock.monotonic();
            let has_news = match connection.due(now, self.plan.timeouts()) {
                Err(why) => return why,
                Ok(_) if full => self.rest(now + FULL_WAIT),
                Ok(_) if connection.may_read() => false,
                Ok(until) => self.rest(until),
            };
            if has_news {
                connection.notice();
            }
        }
    }

    /// Hands over what has come, and reads once more; whether the sink is full now.
    fn take_all(
        &mut self,
        connection: &mut Connection<N::Stream>,
        endpoint: &Endpoint,
        ask: &Ask,
        taken: &mut Taken,
    ) -> Result<bool, Why> {
        let before = taken.frames;
        taken.last = None;
        let result = self.take_events(connection, endpoint, ask, taken);
        if taken.frames > before {
            connection.live(self.clock.monotonic());
        }
        if taken.frames > before {
            self.sink.pause(match taken.last {
                Some(Last::Plain) => Some(connection.last()),
                Some(Last::Decoded) => self.decoder.as_ref().map(Decoder::text),
                None => None,
            });
        }
        if result? {
            return Ok(true);
        }
        if let Some(why) = connection.over() {
            return Err(why);
        }
        if connection.may_read() {
            connection.read()?;
            if !connection.may_read() {
                self.sink.idle();
            }
        }
        Ok(false)
    }

    fn take_events(
        &mut self,
        connection: &mut Connection<N::Stream>,
        endpoint: &Endpoint,
        ask: &Ask,
        taken: &mut Taken,
    ) -> Result<bool, Why> {
        if let Some(mut run) = connection.run() {
            let pressure = self.sink.frames(&mut run, endpoint);
            if run.messages() > 0 {
                taken.frames += run.messages();
                if taken.note(pressure, Last::Plain)? {
                    return Ok(true);
                }
            }
        }
        while let Some(event) = connection.next()? {
            let last;
            let pressure = match event {
                Event::Text(text) => {
                    taken.frames += 1;
                    last = Last::Plain;
                    self.sink.frame(&text, endpoint)
                }
                Event::Binary(bytes) => match self.decoder.as_mut().map(|decoder| decoder.decode(&bytes)) {
                    Some(Ok(text)) => {
                        taken.frames += 1;
                        taken.decoded += 1;
                        taken.failures = 0;
                        last = Last::Decoded;
                        self.sink.frame(text, endpoint)
                    }
                    Some(Err(reason)) => {
                        taken.last = None;
                        self.sink.refused(reason);
                        taken.failures += u32::from(reason == Reason::Zstd);
                        if taken.failures >= ZSTD_FAILURES_MAX {
                            return Err(Why::Undecodable);
                        }
                        continue;
                    }
                    None => {
                        taken.last = None;
                        self.sink.refused(Reason::Binary);
                        continue;
                    }
                },
                Event::Refused(reason) => {
                    debug!(host = endpoint.host_name(), reason = reason.as_str(), "a message was skipped");
                    self.sink.refused(reason);
                    continue;
                }
                Event::Open => {
                    info!(host = endpoint.host_name(), dialect = endpoint.dialect().as_str(), start = %ask.start, "connected");
                    connection.opened(self.clock.monotonic());
                    self.sink.connected(endpoint, ask);
                    continue;
                }
                Event::Closed { code, reason } => return Err(Why::Closed { code, reason }),
            };
            if taken.note(pressure, last)? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Waits between two tries.
    fn wait(&mut self, time: Duration) {
        let until = self.clock.monotonic() + time;
        while self.clock.monotonic() < until && !self.stopped() {
            self.upkeep();
            self.rest(until);
        }
    }

    /// Sleeps until `until`, the next tick, news of the stream, or a call of the handle; whether there is such news.
    fn rest(&mut self, until: Duration) -> bool {
        let now = self.clock.monotonic();
        let time = until.min(self.tick_at).saturating_sub(now);
        // At least a millisecond, or the poll would not sleep at all at the end of a wait.
        let time = if until > now { time.max(Duration::from_millis(1)) } else { Duration::ZERO };
        let has_news = self.network.rest(time);
        self.upkeep();
        has_news
    }

    fn upkeep(&mut self) {
        let now = self.clock.monotonic();
        if now >= self.tick_at {
            self.tick_at = now + TICK;
            self.sink.tick();
            self.sink.ready();
        }
    }

    fn stopped(&self) -> bool {
        self.stop.asked.load(Ordering::Acquire)
    }
}

/// What was taken of one connection. Only text counts: a host that sends anything else counts as silent.
#[derive(Default)]
struct Taken {
    frames: u64,
    /// So many of them were compressed.
    decoded: u64,
    /// Compressed messages since then that cannot be decoded.
    failures: u32,
    /// Where the last message lies, if the sink has taken it and was not told of a pause since.
    last: Option<Last>,
}

impl Taken {
    /// After a message that lies there: whether the sink is full now.
    fn note(&mut self, pressure: Pressure, last: Last) -> Result<bool, Why> {
        self.last = None;
        match pressure {
            Pressure::Reconnect => return Err(Why::Asked),
            Pressure::Rewind => return Err(Why::Rewind),
            Pressure::Go | Pressure::Full => self.last = Some(last),
        }
        Ok(pressure == Pressure::Full)
    }
}

#[derive(Clone, Copy)]
enum Last {
    /// In the connection.
    Plain,
    /// In the decoder.
    Decoded,
}

impl Why {
    fn kind(&self) -> plan::Kind {
        match self {
            Self::Session(SessionError::Refused { refusal }) => plan::Kind::of_refusal(refusal),
            Self::Session(SessionError::Protocol(_)) => plan::Kind::Protocol,
            Self::Silent(_) => plan::Kind::Silent,
            Self::Rewind => plan::Kind::Rewind,
            Self::Undecodable => plan::Kind::Dictionary,
            _ => plan::Kind::Other,
        }
    }

    fn log(&self, endpoint: &Endpoint, frames: u64, wait: Duration) {
        let seconds = wait.as_secs_f64();
        let dialect = endpoint.dialect().as_str();
        if frames == 0 {
            warn!(dialect, "cannot read {endpoint}: {self}; next try in {seconds:.1} s");
        } else {
            warn!(dialect, frames, "lost {endpoint}: {self}; next try in {seconds:.1} s");
        }
    }
}
