//! The running engine: starts every thread, and waits for their end.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::Receiver;
use std::time::Duration;

use super::recover::Opened;
use super::status::{Board, resume_now};
use super::threads::{Ended, Threads, raise_open_files};
use super::{StartError, recover, seeded};
use crate::clock::{Clock, Now};
use crate::community::inquiry::{self, Answerer, Inquirer};
use crate::disk::{self, RealDisk};
use crate::identity::txt::NoTxt;
use crate::identity::{Changes, Dialer, Gate, Identities, Judges, Policy};
use crate::ingest::committer::{self, Committer, Folded};
use crate::ingest::lanes::{self, Hooks, Lanes, Parcel};
use crate::ingest::reader::{self, Reader, Tls, WithoutCursor, Zstd};
use crate::ingest::sieve::Sieve;
use crate::ingest::worker::{Parser, Product, Worker};
use crate::limits::{FACT_RING_SLOTS, FRAME_RING_SLOTS, STOP_TIMEOUT_MILLIS};
use crate::log::{Log, PendingSnapshot, PendingSync};
use crate::ring::{self, Consumer, Producer, Signal};
use crate::serve::{self, Admin, Callers, Identity, Listeners, RateLimits, ServeConfig, Site, Stop};
use crate::syntax::Did;
use crate::telemetry::Telemetry;
use crate::view::View;
use crate::wire::endpoint::Endpoint;

/// What an operator decides. Every value is complete: defaults belong to the command line.
#[derive(Clone, Debug)]
pub struct Config {
    /// Hosts of the stream, tried in turn; at least one.
    pub upstreams: Vec<Endpoint>,
    /// Certificates (PEM) of authorities that `wss://` hosts may be certified by, besides the public ones.
    pub upstream_ca: Option<Vec<u8>>,
    /// Which streams are asked for compressed.
    pub zstd: Zstd,
    /// Where the log lies.
    pub data_dir: PathBuf,
    /// Where readers are answered.
    pub listen: SocketAddr,
    /// Where operators are answered.
    pub admin_listen: SocketAddr,
    /// How the network reaches this server.
    pub public_url: Option<String>,
    /// The DID of the service, where it is not that of the public URL.
    pub service_did: Option<Did>,
    /// The account that publishes the feeds.
    pub publisher_did: Option<Did>,
    /// How much each caller may ask for; absent: as much as they like, and nobody's token is looked at.
    pub rate_limits: Option<RateLimits>,
    /// Where the documents of callers are read that are a did:plc, such as `https://plc.directory`.
    pub plc_directory: String,
    /// Whom callers' documents may be read from.
    pub dial: Policy,
    /// Where to begin without a cursor.
    pub from: From,
    /// Threads that parse.
    pub workers: usize,
    /// Threads that answer readers.
    pub http_threads: usize,
    /// Pin each thread to a processor.
    pub pin: bool,
}

/// Where the stream is read from when the log holds no cursor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum From {
    /// What comes from now on.
    Live,
    /// The oldest that the host still has.
    Oldest,
}

/// Why the engine ended by itself.
#[derive(Debug, thiserror::Error)]
#[error("the {thread} thread ended: {why}; the log keeps all that was shown, start again to go on")]
pub struct RunError {
    /// Which thread.
    pub thread: String,
    /// Why.
    pub why: String,
}

/// An engine that runs.
pub struct Engine {
    http_addr: SocketAddr,
    admin_addr: SocketAddr,
    stops: Stops,
    threads: Threads,
    ends: Receiver<Ended>,
    clock: Clock,
}

/// Every button that must be pressed for the engine to stop.
#[derive(Clone)]
pub struct Stops {
    listeners: Stop,
    reader: reader::Stop,
}

impl Stops {
    /// Stops the reader, and with it workers and committer, and the listeners. Returns at once.
    pub fn stop(&self) {
        self.reader.stop();
        self.listeners.stop();
    }
}

/// The rings of one engine, by their ends.
struct Rings {
    to_workers: Vec<Producer<Parcel>>,
    workers: Vec<(Consumer<Parcel>, Arc<Signal>, Producer<Product>)>,
    to_committer: Vec<Consumer<Product>>,
    committer_signal: Arc<Signal>,
}

impl Rings {
    fn new(workers: usize) -> Self {
        let committer_signal = Signal::new();
        let mut rings =
            Self { to_workers: Vec::new(), workers: Vec::new(), to_committer: Vec::new(), committer_signal };
        for _ in 0..workers {
            let signal = Signal::new();
            let (frames_in, frames_out) = ring::channel(FRAME_RING_SLOTS, &signal);
            let (facts_in, facts_out) = ring::channel(FACT_RING_SLOTS, &rings.committer_signal);
            rings.to_workers.push(frames_in);
            rings.workers.push((frames_out, signal, facts_in));
            rings.to_committer.push(facts_out);
        }
        rings
    }
}

/// What several threads share.
struct Common {
    clock: Clock,
    now: Arc<Now>,
    telemetry: Arc<Telemetry>,
}

impl Engine {
    /// Binds the listeners, recovers the log, starts every thread.
    ///
    /// `progress` is told of the recovery: bytes done, bytes in all.
    ///
    /// # Errors
    /// A port in use, a data directory in use or not writable, a corrupt log.
    pub fn start(config: Config, clock: Clock, progress: recover::Progress<'_>) -> Result<Self, StartError> {
        raise_open_files();
        let listeners = Listeners::bind(config.listen, config.http_threads, config.admin_listen)?;
        let (http_addr, admin_addr) = (listeners.http_addr(), listeners.admin_addr());
        // What is wrong with an option is said before anything is read or written.
        let identity = identity(&config, http_addr.port())?;
        let (gate, judges, changes) = match callers(&config, &identity, &clock)? {
            Some((gate, judges, changes)) => (Some(gate), Some(judges), Some(changes)),
            None => (None, None, None),
        };
        let telemetry = Arc::new(Telemetry::default());
        let mut sieve = Sieve::new(config.workers, Arc::clone(&telemetry), false);
        let mut opened = recover::open(Arc::new(RealDisk), &config.data_dir, &clock, seeded(&clock), progress)?;
        opened.ready(Some(&mut sieve))?;
        let Opened { log, folded, view, replayed_bytes } = opened;
        let common = Common { now: Arc::new(Now::new(clock.clone())), clock, telemetry };
        resume_now(&common.now, &common.telemetry, &folded.fold);
        let rings = Rings::new(config.workers);
        let monitors = rings.to_workers.iter().map(Producer::monitor).collect();
        let board = Board::new(
            Arc::clone(&common.telemetry),
            common.clock.clone(),
            Arc::clone(&common.now),
            monitors,
            disk::resident_bytes,
        );
        let clock = common.clock.clone();
        let (mut threads, ends) = Threads::new(config.pin);
        let hooks = Box::new(ReaderHooks { board: board.clone(), changes });
        let reader = new_reader(&config, &common, &folded, sieve, rings.to_workers, hooks)?;
        let stops = Stops { listeners: Stop::new(), reader: reader.stop_handle() };
        let engine = |threads| Self { http_addr, admin_addr, stops: stops.clone(), threads, ends, clock };
        let (inquirer, answerer) = inquiry::inquiries();
        let site = site(&config, &common, identity, view, inquirer, gate.clone());
        let started = start_listeners(&mut threads, listeners, &common, &site, gate, &board, &stops.listeners)
            .and_then(|()| start_judges(&mut threads, judges, site, &stops.listeners))
            .and_then(|()| start_workers(&mut threads, rings.workers, &common))
            .and_then(|()| {
                let rings = (rings.to_committer, rings.committer_signal);
                start_committer(&mut threads, (log, folded, replayed_bytes), rings, &common, board, answerer)
            })
            .and_then(|()| {
                threads.start("reader", move || {
                    reader.run();
                    Ok(())
                })
            });
        if let Err(error) = started {
            stops.stop();
            return Err(error);
        }
        Ok(engine(threads))
    }

    /// Where readers are answered, with the port that was chosen.
    pub fn http_addr(&self) -> SocketAddr {
        self.http_addr
    }

    /// Where operators are answered, with the port that was chosen.
    pub fn admin_addr(&self) -> SocketAddr {
        self.admin_addr
    }

    /// What stops this engine, from any thread.
    pub fn stops(&self) -> Stops {
        self.stops.clone()
    }

    /// Waits until the engine has been stopped, or has failed. `stop_asked` is asked a few times a second whether to
    /// stop now.
    ///
    /// # Errors
    /// The first thread that ended although nobody had stopped it, or one that did not end in time.
    pub fn join(self, stop_asked: impl Fn() -> bool) -> Result<(), RunError> {
        let mut running = self.threads.count();
        let (mut first, mut is_certain): (Option<RunError>, bool) = (None, false);
        let mut stopped_at = None;
        while running > 0 {
            if stopped_at.is_none() && (stop_asked() || self.stops.listeners.is_stopped()) {
                self.stops.stop();
                stopped_at = Some(self.clock.monotonic());
            }
            let waited = stopped_at.map(|at| self.clock.monotonic().saturating_sub(at)).unwrap_or_default();
            match self.ends.recv_timeout(JOIN_POLL) {
                Ok(ended) => {
                    running -= usize::from(ended.is_waited_for);
                    // A thread that ends because another has failed may be heard of first.
                    let failed = ended.result.is_err();
                    let failure = ended.failure(stopped_at.is_some());
                    if first.is_none() || (failed && !is_certain) {
                        is_certain = failed;
                        first = failure.or(first);
                    }
                    self.stops.stop();
                }
                Err(_) if waited > STOP_TIMEOUT => {
                    let why = format!("{running} threads did not end within {STOP_TIMEOUT_MILLIS} ms of being stopped");
                    return Err(first.unwrap_or(RunError { thread: "engine".to_owned(), why }));
                }
                Err(_) => {}
            }
        }
        first.map_or(Ok(()), Err)
    }
}

impl Ended {
    /// What was wrong with this end, if anything.
    fn failure(self, wanted: bool) -> Option<RunError> {
        match self.result {
            Err(why) => Some(RunError { thread: self.name, why }),
            Ok(()) if wanted => None,
            Ok(()) => Some(RunError { thread: self.name, why: "nobody had stopped it".to_owned() }),
        }
    }
}

const STOP_TIMEOUT: Duration = Duration::from_millis(STOP_TIMEOUT_MILLIS);
/// How often a waiting engine asks whether it is to stop.
const JOIN_POLL: Duration = Duration::from_millis(50);

fn new_reader(
    config: &Config,
    common: &Common,
    folded: &Folded,
    sieve: Sieve,
    rings: Vec<Producer<Parcel>>,
    hooks: Box<dyn Hooks>,
) -> Result<Reader<Lanes>, StartError> {
    let lanes = Lanes::new(lanes::Parts {
        sieve,
        rings,
        clock: common.clock.clone(),
        now: Arc::clone(&common.now),
        telemetry: Arc::clone(&common.telemetry),
        resume: folded.fold.cursor().cloned(),
        hooks,
    });
    let without_cursor = match config.from {
        From::Live => WithoutCursor::Live,
        From::Oldest => WithoutCursor::Oldest,
    };
    let mut settings = reader::Config::new(config.upstreams.clone(), without_cursor);
    settings.zstd = config.zstd.clone();
    if config.upstreams.iter().any(Endpoint::is_tls) {
        let tls = Tls::new(config.upstream_ca.as_deref(), &common.clock);
        settings.tls = Some(tls.map_err(|error| StartError::Config(format!("--upstream-ca: {error}")))?);
    }
    Reader::new(settings, lanes, common.clock.clone(), seeded(&common.clock))
        .map_err(|error| StartError::Config(format!("cannot start the reader: {error}")))
}

/// What the reader tells: the board of what is connected, the judges of whose identity has changed.
struct ReaderHooks {
    board: Board,
    changes: Option<Changes>,
}

impl Hooks for ReaderHooks {
    fn connected(&mut self, endpoint: &Endpoint) {
        self.board.connected(endpoint);
    }

    fn disconnected(&mut self, endpoint: &Endpoint, why: &str) {
        self.board.disconnected(endpoint, why);
    }

    fn identity_changed(&mut self, did: Did) {
        if let Some(changes) = &mut self.changes {
            changes.tell(did);
        }
    }
}

/// Who this server is.
fn identity(config: &Config, port: u16) -> Result<Identity, StartError> {
    let identity = ServeConfig {
        public_url: config.public_url.clone(),
        service_did: config.service_did.clone(),
        publisher_did: config.publisher_did.clone(),
    };
    identity.resolve(port).map_err(|error| StartError::Config(error.to_string()))
}

/// Who finds out whose requests come; nobody, where all may ask for as much as they like.
fn callers(config: &Config, identity: &Identity, clock: &Clock) -> Result<Option<(Gate, Judges, Changes)>, StartError> {
    if config.rate_limits.is_none() {
        return Ok(None);
    }
    let dialer = Dialer::new(&config.dial, clock).map_err(|error| StartError::Config(error.to_string()))?;
    // Tokens hold DIDs; handles are not asked for.
    let identities = Identities::new(&config.plc_directory, Arc::new(dialer), Arc::new(NoTxt), clock.clone())
        .map_err(|error| StartError::Config(format!("--plc-directory: {error}")))?;
    Ok(Some(Gate::new(identity.service_did.clone(), identities, clock.clone())))
}

fn site(
    config: &Config,
    common: &Common,
    identity: Identity,
    view: View,
    inquirer: Inquirer,
    gate: Option<Gate>,
) -> Arc<Site<View>> {
    let (now, clock, telemetry) = (Arc::clone(&common.now), common.clock.clone(), Arc::clone(&common.telemetry));
    let site = Site::new(view, identity, now, clock, telemetry).with_inquirer(inquirer);
    let gate = gate.map(|gate| Arc::new(gate) as Arc<dyn Callers>);
    Arc::new(match &config.rate_limits {
        Some(settings) => site.with_rate_limits(settings.clone(), gate),
        None => site,
    })
}

fn start_listeners(
    threads: &mut Threads,
    listeners: Listeners,
    common: &Common,
    site: &Arc<Site<View>>,
    gate: Option<Gate>,
    board: &Board,
    stop: &Stop,
) -> Result<(), StartError> {
    let (clock, telemetry) = (common.clock.clone(), Arc::clone(&common.telemetry));
    let admin = Admin::new(Arc::new(board.clone()), clock, telemetry).with_tally(site.tally());
    let admin = match gate {
        Some(gate) => admin.with_callers(gate),
        None => admin,
    };
    for (at, socket) in listeners.http.into_iter().enumerate() {
        let (site, stop) = (Arc::clone(site), stop.clone());
        threads.start(&format!("http-{at}"), move || {
            serve::run_http(socket, site, &stop).map_err(|error| error.to_string())
        })?;
    }
    let (admin, stop) = (Arc::new(admin), stop.clone());
    threads.start("admin", move || serve::run_admin(listeners.admin, admin, &stop).map_err(|error| error.to_string()))
}

fn start_judges(
    threads: &mut Threads,
    judges: Option<Judges>,
    site: Arc<Site<View>>,
    stop: &Stop,
) -> Result<(), StartError> {
    let Some(judges) = judges else { return Ok(()) };
    let stop = stop.clone();
    // Without it everybody is their address, which is said, and feeds are served all the same.
    threads.start_background("judges", move || {
        if let Err(error) = serve::run_judges(judges, site, &stop) {
            tracing::error!(%error, "tokens of callers are not judged: limits are by address alone");
        }
    })
}

fn start_workers(
    threads: &mut Threads,
    rings: Vec<(Consumer<Parcel>, Arc<Signal>, Producer<Product>)>,
    common: &Common,
) -> Result<(), StartError> {
    for (at, (frames, signal, products)) in rings.into_iter().enumerate() {
        let parser = Parser::new(Some(common.clock.clone()), Arc::clone(&common.telemetry));
        let worker = Worker::new(parser, frames, signal, products);
        threads.start(&format!("worker-{at}"), move || {
            worker.run();
            Ok(())
        })?;
    }
    Ok(())
}

fn start_committer(
    threads: &mut Threads,
    (log, folded, replayed_bytes): (Log, Folded, u64),
    (rings, signal): (Vec<Consumer<Product>>, Arc<Signal>),
    common: &Common,
    board: Board,
    inquiries: Answerer,
) -> Result<(), StartError> {
    let (errands, loops) = committer::threaded(&signal);
    threads.start("sync", move || {
        loops.syncs.run(PendingSync::run);
        Ok(())
    })?;
    threads.start_background("snapshot", move || loops.snapshots.run(PendingSnapshot::run))?;
    let committer = Committer::new(committer::Parts {
        log,
        folded,
        rings,
        signal,
        clock: common.clock.clone(),
        now: Arc::clone(&common.now),
        telemetry: Arc::clone(&common.telemetry),
        observe: Box::new(move |fold| board.observe(fold)),
        inquiries,
        errands: Box::new(errands),
        snapshots: committer::Policy::default(),
        replayed_bytes,
    });
    threads.start("committer", move || committer.run().map_err(|error| error.to_string()))
}
