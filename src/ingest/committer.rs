//! Batches facts, makes them durable, folds them, publishes what readers see.
//!
//! ```text
//! worker 0 ─ ring ─┐
//! worker 1 ─ ring ─┼─► pending ──append, sync──► log ──► fold ──► view        one batch: facts | cursor | clock
//! worker N ─ ring ─┘
//! ```
//!
//! What always holds:
//! - the batch's cursor is the least of the last tokens drained from all rings, so it never leads the data;
//! - a fact is folded, and so seen by readers, only after the sync of its batch has come back;
//! - a batch without facts (cursor or clock alone) is written at most once a second;
//! - questions ([`inquiry`](crate::community::inquiry)) are answered between batches, at most
//!   [`INQUIRIES_PER_BATCH_MAX`] after each and for [`INQUIRY_TURN_MICROS`]: no number of them keeps the stream waiting;
//! - where the disk is full, nothing is taken from the rings, so the reader stops reading; readers are still served.

use std::sync::Arc;
use std::time::Duration;

use super::lanes::Token;
use super::worker::Product;
use crate::clock::{Clock, Now};
use crate::community::Fold;
use crate::community::inquiry::Answerer;
use crate::fact::{Batch, Change, Fact};
use crate::limits::{
    BATCH_DELAY_MILLIS, BATCH_FACTS_MAX, IDLE_BATCH_INTERVAL_MILLIS, INQUIRIES_PER_BATCH_MAX, INQUIRY_TURN_MICROS,
    MINUTE_MICROS,
};
use crate::log::{Log, LogError};
use crate::ring::{Consumer, Signal};
use crate::syntax::Time;
use crate::telemetry::Telemetry;
use crate::view;

/// The state that a log folds to, and what readers see of it.
pub struct Folded {
    /// The fold.
    pub fold: Fold,
    /// The writer of the view.
    pub writer: view::Writer,
    changes: Vec<Change>,
}

impl Folded {
    /// Nothing yet.
    pub fn new(writer: view::Writer) -> Self {
        Self { fold: Fold::new(), writer, changes: Vec::new() }
    }

    /// Folds facts in order; readers see them when [`Folded::publish`] returns, or before.
    pub fn apply(&mut self, facts: &[Fact]) {
        for fact in facts {
            self.fold.apply(fact, &mut self.changes);
            for change in self.changes.drain(..) {
                self.writer.apply(change);
            }
        }
    }

    /// Makes readers see all that was applied.
    pub fn publish(&mut self) {
        self.writer.publish();
    }
}

/// The one thread that writes.
pub struct Committer {
    log: Log,
    folded: Folded,
    inputs: Vec<Input>,
    signal: Arc<Signal>,
    clock: Clock,
    now: Arc<Now>,
    telemetry: Arc<Telemetry>,
    pending: Vec<Fact>,
    /// When the pending records of frames were witnessed: what is measured from there to where readers see it.
    fresh: Vec<Time>,
    /// Monotonic time of the oldest pending fact's arrival here.
    pending_since: Duration,
    encoded: Vec<u8>,
    /// The number of the token whose cursor is in the log.
    token_written: u64,
    idle_written_at: Duration,
    clock_written_at: Duration,
    /// Called after each batch, with what the log and the fold then are.
    observe: Observe,
    inquiries: Answerer,
}

/// What is told of each durable batch.
pub type Observe = Box<dyn FnMut(&Fold) + Send>;

struct Input {
    ring: Consumer<Product>,
    token: Option<Token>,
}

/// All that a committer is made of.
pub struct Parts {
    /// The open log.
    pub log: Log,
    /// What it folds to.
    pub folded: Folded,
    /// One ring from each worker.
    pub rings: Vec<Consumer<Product>>,
    /// The signal that all of them were made with.
    pub signal: Arc<Signal>,
    /// Time.
    pub clock: Clock,
    /// The moment at which feeds are read.
    pub now: Arc<Now>,
    /// Counters.
    pub telemetry: Arc<Telemetry>,
    /// Called after each batch.
    pub observe: Observe,
    /// What other threads ask of the fold.
    pub inquiries: Answerer,
}

const BATCH_DELAY: Duration = Duration::from_millis(BATCH_DELAY_MILLIS);
const IDLE_INTERVAL: Duration = Duration::from_millis(IDLE_BATCH_INTERVAL_MILLIS);
const INQUIRY_TURN: Duration = Duration::from_micros(INQUIRY_TURN_MICROS);
/// How long a full disk is left alone before the batch is tried again.
const NO_SPACE_WAIT: Duration = Duration::from_secs(1);
/// How far behind the wall clock a fact may be to count as live in the latency histogram.
const LIVE_MICROS: i64 = MINUTE_MICROS;

impl Committer {
    /// Puts a committer together.
    pub fn new(parts: Parts) -> Self {
        let inputs = parts.rings.into_iter().map(|ring| Input { ring, token: None }).collect();
        let mut committer = Self {
            log: parts.log,
            folded: parts.folded,
            inputs,
            signal: parts.signal,
            clock: parts.clock,
            now: parts.now,
            telemetry: parts.telemetry,
            pending: Vec::with_capacity(BATCH_FACTS_MAX),
            fresh: Vec::new(),
            pending_since: Duration::ZERO,
            encoded: Vec::new(),
            token_written: 0,
            idle_written_at: Duration::ZERO,
            clock_written_at: Duration::ZERO,
            observe: parts.observe,
            inquiries: parts.inquiries,
        };
        committer.report();
        committer
    }

    /// Commits until every worker has gone and all they handed on is durable; then closes the log with a synced mark.
    ///
    /// # Errors
    /// The log's: after it nothing more is written, and the process should stop.
    pub fn run(mut self) -> Result<(), LogError> {
        loop {
            self.wait();
            // Asked before draining: what a worker pushed before it went is then certainly drained below.
            let finished = self.inputs.iter().all(|input| input.ring.is_closed());
            self.drain();
            if finished {
                self.commit()?;
                return self.log.close();
            }
            if self.is_due() {
                self.commit()?;
                self.answer();
            } else if self.pending.is_empty() {
                self.answer();
            }
        }
    }

    /// Answers some of what others ask of the fold, which holds what is durable and nothing else.
    fn answer(&mut self) {
        if self.inquiries.is_empty() {
            return;
        }
        let started = self.clock.monotonic();
        let has_time = || self.clock.monotonic().saturating_sub(started) < INQUIRY_TURN;
        let now = Time::from_micros(self.now.micros());
        self.inquiries.answer(&self.folded.fold, now, INQUIRIES_PER_BATCH_MAX, has_time);
    }

    /// Sleeps until there is something to take, or something pending has waited long enough.
    fn wait(&self) {
        let timeout = if self.pending.is_empty() && !self.inquiries.is_empty() {
            Duration::ZERO
        } else if self.pending.is_empty() {
            IDLE_INTERVAL / 4
        } else {
            BATCH_DELAY.saturating_sub(self.clock.monotonic().saturating_sub(self.pending_since))
        };
        if !timeout.is_zero() && self.pending.len() < BATCH_FACTS_MAX {
            let inputs = &self.inputs;
            let ready = || inputs.iter().any(|i| !i.ring.is_empty()) || inputs.iter().all(|i| i.ring.is_closed());
            self.signal.wait(ready, timeout);
        }
    }

    fn drain(&mut self) {
        let was_empty = self.pending.is_empty();
        for input in &mut self.inputs {
            let room = BATCH_FACTS_MAX.saturating_sub(self.pending.len());
            let (pending, fresh, token) = (&mut self.pending, &mut self.fresh, &mut input.token);
            input.ring.drain(room, |product| match product {
                Product::Fact(fact) => {
                    if let Fact::Record(record) = &*fact {
                        fresh.push(record.witnessed);
                    }
                    pending.push(*fact);
                }
                Product::Orphan(fact) => pending.push(*fact),
                Product::Token(new) => *token = Some(new),
            });
        }
        if was_empty && !self.pending.is_empty() {
            self.pending_since = self.clock.monotonic();
        }
    }

    /// Whether a batch is to be written now.
    fn is_due(&self) -> bool {
        let now = self.clock.monotonic();
        if !self.pending.is_empty() {
            return self.pending.len() >= BATCH_FACTS_MAX || now.saturating_sub(self.pending_since) >= BATCH_DELAY;
        }
        now.saturating_sub(self.idle_written_at) >= IDLE_INTERVAL
            && (self.cursor().is_some() || (self.now.witnessed_micros().is_some() && self.is_clock_due(now)))
    }

    /// A clock fact is due once a second while something else is written, and once a minute while nothing is.
    fn is_clock_due(&self, now: Duration) -> bool {
        let interval =
            if self.pending.is_empty() && self.cursor().is_none() { 60 * IDLE_INTERVAL } else { IDLE_INTERVAL };
        now.saturating_sub(self.clock_written_at) >= interval
    }

    /// The least of the last tokens of all rings, if it is newer than what the log says.
    fn cursor(&self) -> Option<&Token> {
        let mut least: Option<&Token> = None;
        for input in &self.inputs {
            let token = input.token.as_ref()?;
            if least.is_none_or(|least| token.number < least.number) {
                least = Some(token);
            }
        }
        least.filter(|token| token.number > self.token_written)
    }

    /// Writes one batch, waits until it is on disk, folds and publishes it.
    fn commit(&mut self) -> Result<(), LogError> {
        let facts_only = self.pending.len();
        let monotonic = self.clock.monotonic();
        let clock_due = self.now.witnessed_micros().is_some() && self.is_clock_due(monotonic);
        let token = self.cursor().cloned();
        if let Some(token) = &token {
            self.pending.push(Fact::Cursor((*token.cursor).clone()));
        }
        if clock_due {
            self.pending.push(Fact::Clock(Time::from_micros(self.now.micros())));
        }
        if self.pending.is_empty() {
            return Ok(());
        }
        self.write()?;
        let gaps = self.folded.fold.gaps_seen();
        self.folded.apply(&self.pending);
        self.folded.publish();
        // The fold finds some by itself.
        self.telemetry.gaps.add(self.folded.fold.gaps_seen() - gaps);
        self.token_written = token.map_or(self.token_written, |token| token.number);
        if clock_due {
            self.clock_written_at = monotonic;
        }
        if facts_only == 0 {
            self.idle_written_at = monotonic;
        }
        self.count();
        self.report();
        self.pending.clear();
        Ok(())
    }

    /// Appends and syncs what is pending. A full disk is waited for, and the stream waits with it.
    fn write(&mut self) -> Result<(), LogError> {
        self.encoded.clear();
        self.encoded = Batch::encode(&self.pending, std::mem::take(&mut self.encoded));
        loop {
            match self.log.append(Batch::VERSION, &self.encoded) {
                Ok(_) => break,
                Err(LogError::NoSpace { .. }) => {
                    tracing::error!("the disk is full: the stream waits, readers are served; make room");
                    self.signal.wait(|| false, NO_SPACE_WAIT);
                    self.answer();
                }
                Err(error) => return Err(error),
            }
        }
        let started = self.clock.monotonic();
        self.log.sync()?;
        self.telemetry.log_sync.record(self.clock.monotonic().saturating_sub(started));
        Ok(())
    }

    fn count(&mut self) {
        for fact in &self.pending {
            self.telemetry.fact(fact.kind());
        }
        let wall = Time::from_micros(self.clock.wall_micros());
        for witnessed in self.fresh.drain(..) {
            let latency = wall.micros_since(witnessed);
            if (0..LIVE_MICROS).contains(&latency) {
                self.telemetry.visible_latency.record(Duration::from_micros(latency.unsigned_abs()));
            }
        }
    }

    fn report(&mut self) {
        let status = self.log.status();
        let gauge = |value: u64| i64::try_from(value).unwrap_or(i64::MAX);
        self.telemetry.last_lsn.set(gauge(status.last_lsn));
        self.telemetry.durable_lsn.set(gauge(status.durable_lsn));
        self.telemetry.segments.set(gauge(status.segments));
        self.telemetry.log_bytes.set(gauge(status.bytes));
        let stats = self.folded.fold.stats();
        self.telemetry.communities.set(gauge(stats.communities as u64));
        self.telemetry.posts.set(gauge(stats.in_rings as u64));
        self.telemetry.posts_waiting.set(gauge(stats.waiting as u64));
        self.telemetry.post_tombstones.set(gauge(stats.tombstones as u64));
        for (bound, count) in self.folded.fold.bounds_reached() {
            self.telemetry.set_bound_reached(bound, count);
        }
        (self.observe)(&self.folded.fold);
    }
}
