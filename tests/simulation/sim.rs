//! One life of the engine: whose turn it is, what time it is, and when it ends. All of it on one thread.
//!
//! The reader runs; whenever it comes to its door ([`door`](crate::door)) the others get some turns, in an order that the
//! seed decides, and the clock moves. The life ends when its steps are used up, when the disk fails, or when the stream is
//! read to its end.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use atrarium::clock::Clock;
use atrarium::community::{Fold, Stats};
use atrarium::disk::SimulatedDisk;
use atrarium::fact::Cursor;
use atrarium::ingest::committer::{self, Committer, Done, Errands};
use atrarium::ingest::reader::Stop;
use atrarium::ingest::worker::{self, Worker};
use atrarium::log::{LogError, PendingSnapshot, PendingSync, SnapshotDone, SyncDone};
use atrarium::syntax::Time;
use atrarium::telemetry::Telemetry;
use atrarium::view::View;
use fastrand::Rng;

use crate::engine_support::feeds;
use crate::faults::{Fault, Plan, Tally};
use crate::host::{Around, Conn, Host};
use crate::world::{Feeds, World};

/// What was decided and what came of it, as one number.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Trace(u64);

impl Trace {
    pub fn note(&mut self, what: u64) {
        self.0 = (self.0.rotate_left(5) ^ what).wrapping_mul(0x517c_c1b7_2722_0a95);
    }
}

/// Everything but the engine's own state, and the engine's actors while it lives.
pub struct Sim {
    pub rng: Rng,
    pub trace: Trace,
    pub clock: Clock,
    pub disk: SimulatedDisk,
    pub world: World,
    pub hosts: Vec<Host>,
    pub plan: Plan,
    pub tally: Tally,
    /// The connection of the moment, and its number.
    pub conn: Option<(u64, Conn)>,
    pub conns: u64,
    pub actors: Option<Actors>,
    pub life: Life,
    pub ending: Option<End>,
    /// What a reader of feeds has seen last, in whatever life.
    pub seen: Option<Seen>,
    /// The newest position that the engine can know in this life.
    pub newest: Option<u64>,
    /// Positions that a host, or the reader, has left out at some time; they may have been told at another.
    pub left_out: Vec<LeftOut>,
    pub steps: u64,
}

/// Positions that were left out on one connection.
pub struct LeftOut {
    pub positions: std::ops::Range<u64>,
    /// The stream had a position before: a gap must be told. Else these are older than the oldest that there is.
    pub is_gap: bool,
}

/// Who takes turns with the reader.
pub struct Actors {
    pub workers: Vec<Worker>,
    pub committer: Committer,
    pub syncs: Arc<Mutex<Syncs>>,
    pub told: Arc<Mutex<Told>>,
    pub view: View,
    pub telemetry: Arc<Telemetry>,
    pub stop: Stop,
}

/// How one life goes.
#[derive(Clone, Debug)]
pub struct Life {
    /// Steps until it ends; `None` for the one that reads the stream to its end.
    pub steps: Option<u64>,
    /// Bytes that one read brings at most.
    pub chunk: usize,
    /// Microseconds that pass at most with each read.
    pub pace: i64,
    /// Bytes that are under way on a connection at most.
    pub room: usize,
    /// How often each kind of actor is chosen: workers, committer, syncs, hosts, readers of feeds.
    pub weights: [u32; 5],
    /// From this step on the disk is full, for so many microseconds.
    pub full_from: Option<(u64, i64)>,
    /// Until this moment of wall time it is.
    full_until: Option<i64>,
    /// How many rests in a row nothing has happened.
    quiet: u32,
}

/// Why a life has ended.
#[derive(Debug)]
pub enum End {
    /// Its steps are used up.
    Time,
    /// The log takes nothing more.
    Disk(#[expect(dead_code, reason = "for people who look for the cause")] LogError),
    /// The stream is read to its end.
    Done,
}

/// What the fold was after the last batch.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Told {
    pub cursor: Option<Cursor>,
    pub clock: Option<Time>,
    pub gaps: u64,
    pub stats: Stats,
}

impl Told {
    pub fn of(fold: &Fold) -> Self {
        Self { cursor: fold.cursor().cloned(), clock: fold.clock(), gaps: fold.gaps_seen(), stats: fold.stats() }
    }
}

/// What was seen of the engine's feeds, and at which LSN.
#[derive(Clone, Debug, PartialEq)]
pub struct Seen {
    pub lsn: u64,
    pub feeds: Feeds,
    pub told: Told,
}

/// A sync and a snapshot on their way.
#[derive(Default)]
pub struct Syncs {
    asked: Option<PendingSync>,
    done: Option<SyncDone>,
    /// The same of a snapshot.
    snapshot: Option<PendingSnapshot>,
    taken: Option<SnapshotDone>,
}

/// The committer's end of it.
pub struct Held(pub Arc<Mutex<Syncs>>);

impl Errands for Held {
    fn sync(&mut self, sync: PendingSync) {
        let before = lock(&self.0).asked.replace(sync);
        assert!(before.is_none(), "one sync is under way at a time");
    }

    fn snapshot(&mut self, snapshot: PendingSnapshot) {
        let before = lock(&self.0).snapshot.replace(snapshot);
        assert!(before.is_none(), "one snapshot is under way at a time");
    }

    fn take(&mut self) -> Option<Done> {
        let mut syncs = lock(&self.0);
        syncs.done.take().map(Done::Sync).or_else(|| syncs.taken.take().map(Done::Snapshot))
    }

    fn has_done(&self) -> bool {
        let syncs = lock(&self.0);
        syncs.done.is_some() || syncs.taken.is_some()
    }
}

pub fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Rests without an event before the clock jumps: some milliseconds, so that batches are written meanwhile.
const QUIET_RESTS: u32 = 8;
/// How far v1 events are out of order where replay passes into the live stream, in microseconds of stream time: less than
/// `V1_REWIND_MICROS` of the limits.
pub const SEAM_MICROS: i64 = 4_000_000;
/// No life takes longer than this.
const STEPS_MAX: u64 = 3_000_000;

impl Life {
    /// One of a random pace. The last one reads the stream to its end.
    pub fn new(is_last: bool, rng: &mut Rng) -> Self {
        let steps = [40, 400, 1500, 4000][rng.usize(..4)];
        // Who reads a few bytes in a second never comes to the end of a stream that goes on.
        let slow = rng.usize(if is_last { 1..2 } else { 0..3 });
        Self {
            steps: (!is_last).then(|| rng.u64(1..steps)),
            chunk: [[200, 3_000, 20_000], [3_000, 20_000, 64_000], [20_000, 64_000, 64_000]][slow][rng.usize(..3)],
            pace: [50, 5_000, 300_000][slow],
            room: [600, 8_000, 64_000][rng.usize(..3)],
            weights: [rng.u32(1..20), rng.u32(1..20), rng.u32(1..12), rng.u32(2..20), 1],
            full_from: (rng.u8(..6) == 0).then(|| (rng.u64(1..steps), rng.i64(1_000..5_000_000))),
            full_until: None,
            quiet: 0,
        }
    }
}

impl Life {
    /// Something has come.
    pub fn has_news(&mut self) {
        self.quiet = 0;
    }
}

impl Sim {
    pub fn wall(&self) -> i64 {
        self.clock.wall_micros()
    }

    /// Ends the life, unless it has ended.
    pub fn end(&mut self, end: End) {
        if self.ending.is_none() {
            tracing::debug!(?end, "the life ends");
            self.ending = Some(end);
            if let Some(actors) = &self.actors {
                actors.stop.stop();
            }
        }
    }

    /// The reader has nothing to do for so long. Whether its connection has something now.
    pub fn rest(&mut self, time: Duration) -> bool {
        let turns = self.rng.u8(..5);
        (0..turns).for_each(|_| self.turn());
        if self.ending.is_some() || self.conn.as_ref().is_some_and(|(_, conn)| conn.is_readable()) {
            let micros = self.rng.i64(0..self.life.pace);
            self.advance(micros);
            return true;
        }
        self.life.quiet += 1;
        let most = i64::try_from(time.as_micros()).unwrap_or(i64::MAX);
        let step = if self.life.quiet < QUIET_RESTS {
            self.rng.i64(0..1_000).min(most)
        } else {
            most.min(self.world.next_after(self.wall()) - self.wall())
        };
        self.advance(step.max(1));
        false
    }

    /// Time passes.
    pub fn advance(&mut self, micros: i64) {
        self.clock.advance(Duration::from_micros(micros.unsigned_abs()));
        if self.life.full_until.is_some_and(|until| self.wall() >= until) {
            self.life.full_until = None;
            self.disk.set_capacity(None);
        }
    }

    /// One actor's turn.
    pub fn turn(&mut self) {
        if self.ending.is_some() {
            return;
        }
        self.step();
        let weights = self.life.weights;
        let all: u32 = weights.iter().sum();
        let mut ticket = self.rng.u32(..all);
        let chosen = weights.iter().position(|&weight| {
            let is_mine = ticket < weight;
            ticket = ticket.saturating_sub(weight);
            is_mine
        });
        match chosen {
            Some(0) => {
                self.worker_turn();
            }
            Some(1) => {
                self.committer_turn();
            }
            Some(2) => self.sync_turn(),
            Some(3) => self.host_turn(),
            _ => self.look(),
        }
    }

    fn step(&mut self) {
        self.steps += 1;
        assert!(self.steps < STEPS_MAX, "the stream is never read to its end");
        self.trace.note(self.steps ^ self.wall().unsigned_abs());
        match &mut self.life.steps {
            Some(0) => self.end(End::Time),
            Some(left) => *left -= 1,
            None => {}
        }
        if let Some((at, micros)) = self.life.full_from
            && self.life.steps.is_none_or(|left| left <= at)
        {
            self.life.full_from = None;
            self.life.full_until = Some(self.wall() + micros);
            let used = self.actors.as_ref().map_or(0, |actors| actors.telemetry.log_bytes.get().unsigned_abs());
            self.disk.set_capacity(Some(used + self.rng.u64(..3_000)));
        }
    }

    /// Whether anything was worked on.
    pub fn worker_turn(&mut self) -> bool {
        let Some(actors) = &mut self.actors else { return false };
        if actors.workers.is_empty() {
            return false;
        }
        let at = self.rng.usize(..actors.workers.len());
        let turn = actors.workers[at].turn();
        self.trace.note(at as u64 * 8 + turn as u64);
        if turn == worker::Turn::Over {
            actors.workers.swap_remove(at);
        }
        if turn == worker::Turn::Worked {
            self.life.quiet = 0;
        }
        turn == worker::Turn::Worked
    }

    /// Whether the committer has finished.
    pub fn committer_turn(&mut self) -> bool {
        let Some(actors) = &mut self.actors else { return false };
        // A committer that has found no room waits a while.
        if self.life.full_until.is_some() && self.rng.u8(..32) > 0 {
            return false;
        }
        let turn = actors.committer.turn();
        let lsn = actors.telemetry.last_lsn.get().unsigned_abs();
        let is_read = lock(&actors.told).cursor.as_ref().is_some_and(|cursor| cursor.time > self.world.end());
        self.trace.note(lsn);
        match turn {
            Ok(committer::Turn::Finished) => return true,
            Ok(committer::Turn::Again) if is_read && self.life.steps.is_none() => self.end(End::Done),
            Ok(committer::Turn::Again) => {}
            Err(error) => self.end(End::Disk(error)),
        }
        false
    }

    /// Runs the sync that is under way, if there is one; or the snapshot.
    pub fn sync_turn(&mut self) {
        let Some(actors) = &mut self.actors else { return };
        let mut syncs = lock(&actors.syncs);
        if self.rng.u8(..8) == 0
            && let Some(snapshot) = syncs.snapshot.take()
        {
            syncs.taken = Some(snapshot.run());
        } else if let Some(sync) = syncs.asked.take() {
            syncs.done = Some(sync.run());
            self.life.quiet = 0;
        }
    }

    pub fn host_turn(&mut self) {
        let Some((_, conn)) = &mut self.conn else { return };
        let mut around = Around {
            world: &self.world,
            hosts: &mut self.hosts,
            plan: &mut self.plan,
            rng: &mut self.rng,
            wall: self.clock.wall_micros(),
            now: self.clock.monotonic(),
            newest: self.newest,
            is_slow: self.life.chunk < 10_000,
        };
        conn.work(self.life.room, &mut around);
    }

    /// Somebody reads all feeds.
    pub fn look(&mut self) {
        let Some(actors) = &self.actors else { return };
        let lsn = actors.telemetry.durable_lsn.get().unsigned_abs();
        if self.seen.as_ref().is_some_and(|seen| seen.lsn >= lsn) {
            return;
        }
        let feeds = feeds(&actors.view, self.world.end());
        self.trace.note(lsn ^ feeds.values().map(Vec::len).sum::<usize>() as u64);
        tracing::debug!(lsn, "seen");
        self.seen = Some(Seen { lsn, feeds, told: lock(&actors.told).clone() });
    }

    /// A connection is open. `resume` is the newest position that the reader has.
    pub fn connected(&mut self, resume: Option<&Cursor>) {
        let began_at = self.conn.as_ref().and_then(|(_, conn)| conn.began_at).expect("the handshake was answered");
        let count = |cursor: &Cursor| self.world.before(cursor.time.micros() + 1);
        let known = resume.map_or(0, count);
        self.trace.note(began_at);
        tracing::debug!(
            host = self.conn.as_ref().map(|(_, conn)| conn.host),
            began_at,
            known,
            wall = self.wall(),
            "begins"
        );
        // Of v1 a little before a cursor may not have come yet.
        let least = |cursor: &Cursor| self.world.before(cursor.time.micros() - SEAM_MICROS);
        if began_at > resume.map_or(0, least) {
            let durable = self.actors.as_ref().and_then(|actors| lock(&actors.told).cursor.as_ref().map(least));
            let positions = durable.unwrap_or(0)..began_at;
            self.left_out.push(LeftOut { positions, is_gap: resume.is_some() });
        }
    }

    /// The reader closes a connection. A host that was silent was found out if the reader had waited for so long.
    pub fn hang_up(&mut self) {
        let Some((_, conn)) = self.conn.take() else { return };
        let Some((fault, since)) = conn.quiet else { return };
        let patience = match fault {
            Fault::Stall | Fault::Length1Gib => 0,
            Fault::Silence => 30,
            _ => 10,
        };
        let waited = self.clock.monotonic().saturating_sub(since);
        if self.ending.is_none() && waited >= Duration::from_secs(patience) {
            self.tally.fire(fault);
        }
    }
}
