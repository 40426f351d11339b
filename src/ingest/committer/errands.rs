//! Errands: what takes the disk its time, done elsewhere while the committer goes on.
//!
//! ```text
//! committer ──PendingSync──────► sync loop ──────SyncDone──────► committer
//!           ──PendingSnapshot──► snapshot loop ──SnapshotDone──►
//! ```
//! In: syncs and snapshots that were begun. Out: their answers, and a call of the committer's signal for each.
//!
//! What always holds: one of each kind is under way at a time, and an answer is told once.

use std::sync::Arc;
use std::time::Duration;

use crate::log::{PendingSnapshot, PendingSync, SnapshotDone, SyncDone};
use crate::ring::{self, Consumer, Full, Producer, Signal};

/// What came back.
pub enum Done {
    /// Of [`Errands::sync`].
    Sync(SyncDone),
    /// Of [`Errands::snapshot`].
    Snapshot(SnapshotDone),
}

/// Who waits for the disk.
pub trait Errands: Send {
    /// Runs a sync, now or later, here or elsewhere.
    fn sync(&mut self, sync: PendingSync);
    /// Makes a snapshot certain that was written, now or later, here or elsewhere.
    fn snapshot(&mut self, snapshot: PendingSnapshot);
    /// The next answer, if one is there.
    fn take(&mut self) -> Option<Done>;
    /// Whether one is there.
    fn has_done(&self) -> bool;
}

/// More than are ever under way.
const SLOTS: usize = 2;
/// A loop looks this often whether the committer has gone, without being called.
const IDLE: Duration = Duration::from_secs(1);

/// Errands that loops on other threads run, and those loops. `signal` is the committer's: it is called for every answer.
pub fn threaded(signal: &Arc<Signal>) -> (Threaded, Loops) {
    let (syncs, synced, sync_loop) = between(signal);
    let (snapshots, taken, snapshot_loop) = between(signal);
    (Threaded { syncs, synced, snapshots, taken }, Loops { syncs: sync_loop, snapshots: snapshot_loop })
}

/// Both ends of the committer, and the loop between them.
fn between<T: Send, D: Send>(signal: &Arc<Signal>) -> (Producer<T>, Consumer<D>, Loop<T, D>) {
    let asked = Signal::new();
    let (to_loop, from) = ring::channel(SLOTS, &asked);
    let (to, from_loop) = ring::channel(SLOTS, signal);
    (to_loop, from_loop, Loop { from, signal: asked, to })
}

/// The committer's end.
pub struct Threaded {
    syncs: Producer<PendingSync>,
    synced: Consumer<SyncDone>,
    snapshots: Producer<PendingSnapshot>,
    taken: Consumer<SnapshotDone>,
}

/// The other ends: one thread each.
pub struct Loops {
    /// Runs syncs.
    pub syncs: Loop<PendingSync, SyncDone>,
    /// Runs snapshots.
    pub snapshots: Loop<PendingSnapshot, SnapshotDone>,
}

/// Runs errands of one kind until the committer has gone.
pub struct Loop<T, D> {
    from: Consumer<T>,
    signal: Arc<Signal>,
    to: Producer<D>,
}

impl Errands for Threaded {
    fn sync(&mut self, sync: PendingSync) {
        // Where the loop has gone nobody will answer; its thread's end stops the engine.
        let _no_one_left = self.syncs.push(sync);
    }

    fn snapshot(&mut self, snapshot: PendingSnapshot) {
        let _no_one_left = self.snapshots.push(snapshot);
    }

    fn take(&mut self) -> Option<Done> {
        self.synced.pop().map(Done::Sync).or_else(|| self.taken.pop().map(Done::Snapshot))
    }

    fn has_done(&self) -> bool {
        !self.synced.is_empty() || !self.taken.is_empty()
    }
}

impl<T: Send, D: Send> Loop<T, D> {
    /// Runs `work` for every errand.
    pub fn run(mut self, work: impl Fn(T) -> D) {
        while !self.from.is_closed() {
            let Some(errand) = self.from.pop() else {
                let from = &self.from;
                self.signal.wait(|| !from.is_empty() || from.is_closed(), IDLE);
                continue;
            };
            let mut done = work(errand);
            while let Err(Full(back)) = self.to.push(done) {
                if self.to.is_closed() {
                    return;
                }
                done = back;
                self.to.wait_for_space(IDLE);
            }
        }
    }
}
