//! Batches facts, makes them durable, folds them, publishes what readers see.
//!
//! ```text
//! worker 0 ─ ring ─┐                                    ┌── errands: fdatasync ──┐
//! worker 1 ─ ring ─┼─► pending ──append──► log, in flight                        ├─► fold ──► view
//! worker N ─ ring ─┘   one batch: facts | cursor | clock └── more is appended ───┘
//! ```
//! A sync is waited for elsewhere ([`Errands`]): meanwhile the next batch is gathered and written, and the next sync serves
//! all that was written since.
//!
//! What always holds:
//! - the batch's cursor is the least of the last tokens drained from all rings, so it never leads the data;
//! - a fact is folded, and so seen by readers, only after the sync of its batch has come back;
//! - no more than [`BATCH_FACTS_MAX`] facts are gathered, and no more in flight but for the batch that exceeds it: then
//!   nothing is taken from the rings;
//! - a batch without facts (cursor or clock alone) is written at most once a second;
//! - questions ([`inquiry`](crate::community::inquiry)) are answered between batches, at most
//!   [`INQUIRIES_PER_BATCH_MAX`] after each and for [`INQUIRY_TURN_MICROS`]: no number of them keeps the stream waiting;
//! - a snapshot holds what is folded, and nothing that is only in flight;
//! - where the disk is full, nothing is taken from the rings, so the reader stops reading; readers are still served.

mod errands;
mod snapshots;

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

pub use self::errands::{Done, Errands, Loops, threaded};
pub use self::snapshots::{Policy, save};

use self::snapshots::Snapshots;
use super::lanes::Token;
use super::worker::Product;
use crate::clock::{Clock, Now};
use crate::community::Fold;
use crate::community::inquiry::Answerer;
use crate::fact::{Batch, Change, Fact};
use crate::limits::{
    BATCH_DELAY_MILLIS, BATCH_FACTS_MAX, IDLE_BATCH_INTERVAL_MILLIS, INQUIRIES_PER_BATCH_MAX, INQUIRY_TURN_MICROS,
    MINUTE_MICROS, SECOND_MICROS,
};
use crate::log::{Log, LogError, Lsn, Taken};
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
    errands: Box<dyn Errands>,
    clock: Clock,
    now: Arc<Now>,
    telemetry: Arc<Telemetry>,
    pending: Gathered,
    /// Monotonic time of the oldest pending fact's arrival here.
    pending_since: Duration,
    /// A batch that the full disk has not taken, or that waits for a sync; nothing is gathered meanwhile.
    unwritten: Option<Gathered>,
    /// Batches that are written and not durable yet, in their order.
    in_flight: VecDeque<InFlight>,
    /// Facts in them.
    in_flight_facts: usize,
    /// When the sync that is under way was begun, in monotonic time.
    sync_since: Option<Duration>,
    /// Empty buffers for what will be gathered.
    spare: Vec<Gathered>,
    /// The last LSN that the fold holds.
    folded_lsn: Lsn,
    snapshots: Snapshots,
    encoded: Vec<u8>,
    /// The number of the token whose cursor is in the log.
    token_written: u64,
    idle_written_at: Duration,
    clock_written_at: Duration,
    /// Called after each batch, with what the log and the fold then are.
    observe: Observe,
    inquiries: Answerer,
}

/// Facts of a batch to be.
#[derive(Default)]
struct Gathered {
    facts: Vec<Fact>,
    /// When the records of frames among them were witnessed: what is measured from there to where readers see it.
    fresh: Vec<Time>,
}

struct InFlight {
    lsn: Lsn,
    /// Size of its payload.
    bytes: u64,
    batch: Gathered,
}

/// What a [`Committer::turn`] came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turn {
    /// Call it again when something has come, or something that waits is due.
    Again,
    /// Every worker has gone, and all they handed on is durable and folded.
    Finished,
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
    /// Who waits for the disk.
    pub errands: Box<dyn Errands>,
    /// When snapshots are taken.
    pub snapshots: Policy,
    /// How many bytes of batches were folded behind the last snapshot.
    pub replayed_bytes: u64,
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
        let folded_lsn = parts.log.status().last_lsn;
        let snapshots = Snapshots::new(parts.snapshots, parts.replayed_bytes, parts.clock.monotonic());
        let inputs = parts.rings.into_iter().map(|ring| Input { ring, token: None }).collect();
        let mut committer = Self {
            log: parts.log,
            folded: parts.folded,
            inputs,
            signal: parts.signal,
            clock: parts.clock,
            now: parts.now,
            telemetry: parts.telemetry,
            pending: Gathered::default(),
            pending_since: Duration::ZERO,
            unwritten: None,
            in_flight: VecDeque::new(),
            in_flight_facts: 0,
            sync_since: None,
            spare: Vec::new(),
            folded_lsn,
            snapshots,
            encoded: Vec::new(),
            token_written: 0,
            idle_written_at: Duration::ZERO,
            clock_written_at: Duration::ZERO,
            observe: parts.observe,
            inquiries: parts.inquiries,
            errands: parts.errands,
        };
        committer.report();
        committer
    }

    /// Commits until every worker has gone and all they handed on is durable; then closes the log with a synced mark.
    ///
    /// # Errors
    /// The log's: after it nothing more is written, and the process should stop.
    pub fn run(mut self) -> Result<(), LogError> {
        while self.turn()? == Turn::Again {
            self.wait();
        }
        self.close()
    }

    /// Does what can be done now, without waiting for anything.
    ///
    /// # Errors
    /// The log's: after it nothing more is written, and the process should stop.
    pub fn turn(&mut self) -> Result<Turn, LogError> {
        let published = self.settle()?;
        // Asked before draining: what a worker pushed before it went is then certainly drained below.
        let finished = self.inputs.iter().all(|input| input.ring.is_closed());
        self.drain();
        if self.unwritten.is_none() && (finished || self.is_due()) {
            self.gather();
        }
        self.write()?;
        self.begin_sync()?;
        self.take_snapshot();
        if published || self.is_idle() {
            self.answer();
        }
        let is_done = finished && self.is_idle() && self.pending.facts.is_empty();
        Ok(if is_done { Turn::Finished } else { Turn::Again })
    }

    /// Ends the log with a synced mark, after [`Turn::Finished`].
    ///
    /// # Errors
    /// The log's.
    pub fn close(self) -> Result<(), LogError> {
        self.log.close()
    }

    /// Nothing is written that is not durable, and nothing waits to be written.
    fn is_idle(&self) -> bool {
        self.in_flight.is_empty() && self.unwritten.is_none()
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
        let has_room = self.has_room();
        let timeout = if self.unwritten.is_some() {
            NO_SPACE_WAIT
        } else if self.is_idle() && self.pending.facts.is_empty() && !self.inquiries.is_empty() {
            Duration::ZERO
        } else if self.pending.facts.is_empty() || !has_room {
            IDLE_INTERVAL / 4
        } else {
            BATCH_DELAY.saturating_sub(self.clock.monotonic().saturating_sub(self.pending_since))
        };
        if timeout.is_zero() {
            return;
        }
        let (inputs, errands) = (&self.inputs, &self.errands);
        let has_input = || inputs.iter().any(|input| !input.ring.is_empty());
        let has_ended = || inputs.iter().all(|input| input.ring.is_closed());
        let is_idle = self.is_idle();
        let ready = || errands.has_done() || (has_room && has_input()) || (is_idle && has_ended());
        self.signal.wait(ready, timeout);
    }

    /// Whether more may be taken from the rings.
    fn has_room(&self) -> bool {
        self.unwritten.is_none()
            && self.pending.facts.len() < BATCH_FACTS_MAX
            && (self.in_flight_facts < BATCH_FACTS_MAX || self.pending.facts.is_empty())
    }

    fn drain(&mut self) {
        if !self.has_room() {
            return;
        }
        let Gathered { facts, fresh } = &mut self.pending;
        let was_empty = facts.is_empty();
        for input in &mut self.inputs {
            let room = BATCH_FACTS_MAX.saturating_sub(facts.len());
            let token = &mut input.token;
            input.ring.drain(room, |product| match product {
                Product::Fact(fact) => {
                    if let Fact::Record(record) = &*fact {
                        fresh.push(record.witnessed);
                    }
                    facts.push(*fact);
                }
                Product::Orphan(fact) => facts.push(*fact),
                Product::Token(new) => *token = Some(new),
            });
        }
        if was_empty && !self.pending.facts.is_empty() {
            self.pending_since = self.clock.monotonic();
        }
    }

    /// Whether a batch is to be written now.
    fn is_due(&self) -> bool {
        let now = self.clock.monotonic();
        if self.in_flight_facts >= BATCH_FACTS_MAX {
            return false;
        }
        let count = self.pending.facts.len();
        if count > 0 {
            return count >= BATCH_FACTS_MAX || now.saturating_sub(self.pending_since) >= BATCH_DELAY;
        }
        now.saturating_sub(self.idle_written_at) >= IDLE_INTERVAL
            && (self.cursor().is_some() || (self.now.witnessed_micros().is_some() && self.is_clock_due(now)))
    }

    /// A clock fact is due once a second while something else is written, and once a minute while nothing is.
    fn is_clock_due(&self, now: Duration) -> bool {
        let interval =
            if self.pending.facts.is_empty() && self.cursor().is_none() { 60 * IDLE_INTERVAL } else { IDLE_INTERVAL };
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

    /// Makes a batch of what is pending, with the cursor and the clock that are due.
    fn gather(&mut self) {
        let facts_only = self.pending.facts.len();
        let monotonic = self.clock.monotonic();
        let clock_due = self.now.witnessed_micros().is_some() && self.is_clock_due(monotonic);
        if let Some(token) = self.cursor().cloned() {
            self.pending.facts.push(Fact::Cursor((*token.cursor).clone()));
            self.token_written = token.number;
        }
        if clock_due {
            self.pending.facts.push(Fact::Clock(Time::from_micros(self.now.micros())));
            self.clock_written_at = monotonic;
        }
        if self.pending.facts.is_empty() {
            return;
        }
        if facts_only == 0 {
            self.idle_written_at = monotonic;
        }
        let empty = self.spare.pop().unwrap_or_default();
        self.unwritten = Some(std::mem::replace(&mut self.pending, empty));
    }

    /// Appends the batch that was made. A full disk is waited for, and the stream waits with it.
    fn write(&mut self) -> Result<(), LogError> {
        let Some(batch) = &self.unwritten else { return Ok(()) };
        self.encoded.clear();
        self.encoded = Batch::encode(&batch.facts, std::mem::take(&mut self.encoded));
        self.log.tell_time(u32::try_from(self.now.micros() / SECOND_MICROS).unwrap_or(0));
        match self.log.append(Batch::VERSION, &self.encoded) {
            Ok(lsn) => {
                let bytes = self.encoded.len() as u64;
                self.in_flight_facts += batch.facts.len();
                self.in_flight.extend(self.unwritten.take().map(|batch| InFlight { lsn, bytes, batch }));
                Ok(())
            }
            Err(LogError::Busy) => Ok(()),
            Err(LogError::NoSpace { .. }) => {
                tracing::error!("the disk is full: the stream waits, readers are served; make room");
                self.answer();
                Ok(())
            }
            Err(error) => Err(error),
        }
    }

    fn begin_sync(&mut self) -> Result<(), LogError> {
        if let Some(sync) = self.log.begin_sync()? {
            self.sync_since = Some(self.clock.monotonic());
            self.errands.sync(sync);
        }
        Ok(())
    }

    /// Folds and publishes what has become durable. Says whether anything has.
    fn settle(&mut self) -> Result<bool, LogError> {
        let mut published = false;
        while let Some(done) = self.errands.take() {
            let done = match done {
                Done::Sync(done) => done,
                Done::Snapshot(done) => {
                    let taken = self.log.finish_snapshot(done);
                    self.snapshot_ended(taken);
                    continue;
                }
            };
            let durable = self.log.finish_sync(done)?;
            if let Some(since) = self.sync_since.take() {
                self.telemetry.log_sync.record(self.clock.monotonic().saturating_sub(since));
            }
            self.fold_up_to(durable);
            published = true;
        }
        // A new segment makes everything before it durable without a sync that was asked for.
        let durable = self.log.status().durable_lsn;
        if self.in_flight.front().is_some_and(|first| first.lsn <= durable) {
            self.fold_up_to(durable);
            published = true;
        }
        Ok(published)
    }

    fn fold_up_to(&mut self, durable: Lsn) {
        let gaps = self.folded.fold.gaps_seen();
        let first_batches = self.in_flight.partition_point(|flying| flying.lsn <= durable);
        for InFlight { lsn, bytes, batch } in self.in_flight.range(..first_batches) {
            self.folded.apply(&batch.facts);
            self.folded_lsn = *lsn;
            self.snapshots.folded(*bytes);
        }
        self.folded.publish();
        // The fold finds some by itself.
        self.telemetry.gaps.add(self.folded.fold.gaps_seen() - gaps);
        let wall = Time::from_micros(self.clock.wall_micros());
        for InFlight { mut batch, .. } in self.in_flight.drain(..first_batches) {
            self.in_flight_facts -= batch.facts.len();
            for fact in batch.facts.drain(..) {
                self.telemetry.fact(fact.kind());
            }
            for witnessed in batch.fresh.drain(..) {
                let latency = wall.micros_since(witnessed);
                if (0..LIVE_MICROS).contains(&latency) {
                    self.telemetry.visible_latency.record(Duration::from_micros(latency.unsigned_abs()));
                }
            }
            self.spare.push(batch);
        }
        self.report();
    }

    /// Writes the fold out, where that is due. The disk's part is done elsewhere.
    fn take_snapshot(&mut self) {
        let begun = self.clock.monotonic();
        if !self.snapshots.is_due(begun) {
            return;
        }
        self.snapshots.begun(begun);
        match snapshots::save(&self.folded.fold, &mut self.log, self.folded_lsn) {
            Ok(pending) => self.errands.snapshot(pending),
            Err(error) => self.snapshot_ended(Err(error)),
        }
        self.telemetry.snapshot_pause.record(self.clock.monotonic().saturating_sub(begun));
    }

    fn snapshot_ended(&mut self, taken: Result<Taken, LogError>) {
        self.snapshots.ended(taken.is_err());
        match taken {
            Ok(Taken { lsn, bytes, dropped }) => {
                self.telemetry.snapshots.increment();
                let (segments, snapshots) = (dropped.segments, dropped.snapshots);
                tracing::info!(
                    lsn,
                    bytes,
                    dropped.segments = segments,
                    dropped.snapshots = snapshots,
                    "took a snapshot"
                );
            }
            Err(error) => {
                self.telemetry.snapshots_failed.increment();
                tracing::error!(%error, "no snapshot this time: the log goes on, and another is tried");
            }
        }
        self.report();
    }

    fn report(&mut self) {
        let status = self.log.status();
        let gauge = |value: u64| i64::try_from(value).unwrap_or(i64::MAX);
        self.telemetry.last_lsn.set(gauge(status.last_lsn));
        self.telemetry.durable_lsn.set(gauge(status.durable_lsn));
        self.telemetry.snapshot_lsn.set(gauge(status.snapshot_lsn));
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
