//! From a data directory to what it folds to.

use std::path::Path;
use std::sync::{Arc, mpsc};
use std::time::Duration;

use super::StartError;
use super::beside::{Work, beside};
use crate::clock::Clock;
use crate::community::{Fold, Restoring};
use crate::disk::Disk;
use crate::fact::{Batch, Fact, Gap, GapReason, Host};
use crate::ingest::committer::Folded;
use crate::ingest::sieve::Sieve;
use crate::limits::SECOND_MICROS;
use crate::log::{self, DamagedSnapshot, Item, Log, Options, Recovered};
use crate::syntax::Time;
use crate::view::{self, View};

/// Whose stream a hole of the log stands for: no host has said it.
const HOLE_HOST: &str = "salvage";

/// What long work tells of itself: bytes done, bytes in all.
pub type Progress<'a> = &'a mut dyn FnMut(u64, u64);

/// A data directory that is open for writing. Readers see nothing of it before [`Opened::ready`].
pub struct Opened {
    /// Its log.
    pub log: Log,
    /// What that folds to.
    pub folded: Folded,
    /// What readers will see of it.
    pub view: View,
    /// How many bytes of batches stand behind the newest snapshot.
    pub replayed_bytes: u64,
}

/// Locks, repairs and folds a data directory for writing. `rng` makes the salts of the log.
///
/// # Errors
/// In use, not writable, corrupt.
pub fn open(
    disk: Arc<dyn Disk>,
    dir: &Path,
    clock: &Clock,
    rng: fastrand::Rng,
    progress: Progress<'_>,
) -> Result<Opened, StartError> {
    open_with(disk, dir, clock, Options::new(unix_seconds(clock), rng), progress)
}

/// The same for a log that is written otherwise.
///
/// # Errors
/// In use, not writable, corrupt.
pub fn open_with(
    disk: Arc<dyn Disk>,
    dir: &Path,
    clock: &Clock,
    options: Options,
    progress: Progress<'_>,
) -> Result<Opened, StartError> {
    let started = clock.monotonic();
    // For the progress alone: what is wrong with the directory is told by the opening itself.
    let total = log::size(&*disk, dir).unwrap_or(0);
    let (mut folding, view) = Folding::new(total, progress);
    let (log, recovered) = Log::open(disk, dir, options, &mut |item| folding.take(&item))?;
    let (facts, replayed_bytes) = (folding.facts, folding.replayed_bytes);
    let folded = folding.finish()?;
    tell(&recovered, facts, clock.monotonic().saturating_sub(started));
    Ok(Opened { log, folded, view, replayed_bytes })
}

/// What opening has found, for the operator.
fn tell(recovered: &Recovered, facts: u64, time: Duration) {
    if let Some(torn) = &recovered.torn {
        let (file, bytes) = (torn.file.display(), torn.bytes);
        tracing::warn!(%file, bytes, kept = ?torn.kept, "the log ended in a torn tail, which was cut off and kept aside");
    }
    for DamagedSnapshot { kept, offset, what } in &recovered.damaged {
        tracing::warn!(kept = %kept.display(), offset, what, "a snapshot was damaged: the one before it was taken");
    }
    let seconds = time.as_secs_f64();
    let facts_per_second = if seconds > 0.0 { facts as f64 / seconds } else { 0.0 };
    let Recovered { snapshot_lsn, batches, last_lsn, case, .. } = recovered;
    tracing::info!(
        snapshot_lsn,
        batches,
        last_lsn,
        case,
        facts,
        seconds = format!("{seconds:.3}"),
        facts_per_second = format!("{facts_per_second:.0}"),
        "the log is folded"
    );
}

/// Folds what is durable, without a lock, beside a running writer.
///
/// # Errors
/// No log there, or a corrupt one.
pub fn read(disk: &dyn Disk, dir: &Path, progress: Progress<'_>) -> Result<(Folded, View), StartError> {
    let (mut folding, view) = Folding::new(log::size(disk, dir)?, progress);
    log::read(disk, dir, &mut |item| folding.take(&item))?;
    let mut folded = folding.finish()?;
    show(&mut folded, None)?;
    Ok((folded, view))
}

impl Opened {
    /// Shows readers what was folded, and lets a new sieve know it, where there is one: on threads of their own, for each is
    /// a walk over all posts, and a start waits for both.
    ///
    /// # Errors
    /// The operating system has no thread to give.
    pub fn ready(&mut self, sieve: Option<&mut Sieve>) -> Result<(), StartError> {
        show(&mut self.folded, sieve)
    }
}

/// Changes that are told before the writer of the view has applied them. The large ones have thousands of posts each.
const TOLD_AHEAD: usize = 16;

/// Builds the view, and seeds a sieve beside it. One thread works out what a view has to be told, another applies that.
fn show(folded: &mut Folded, sieve: Option<&mut Sieve>) -> Result<(), StartError> {
    let (fold, writer) = (&folded.fold, &mut folded.writer);
    let (tell, told) = mpsc::sync_channel(TOLD_AHEAD);
    let apply = move || {
        told.into_iter().for_each(|change| writer.apply(change));
        writer.publish();
    };
    let mut works: Vec<(&str, Work<'_>)> = vec![("show", Box::new(apply))];
    if let Some(sieve) = sieve {
        works.push(("seed", Box::new(move || seed(sieve, fold))));
    }
    beside(works, move || {
        // The other end is gone only where its thread has panicked, which is told when the threads are joined.
        fold.show(&mut |change| drop(tell.send(change)));
    })
}

/// A fold under way: from a snapshot, where there is one, through every batch after it.
struct Folding<'a> {
    folded: Folded,
    /// The snapshot, until its last chunk was taken.
    restoring: Option<Restoring>,
    facts: u64,
    replayed_bytes: u64,
    done: u64,
    total: u64,
    progress: Progress<'a>,
}

impl<'a> Folding<'a> {
    fn new(total: u64, progress: Progress<'a>) -> (Self, View) {
        let (writer, view) = view::new();
        let folded = Folded::new(writer);
        (Self { folded, restoring: None, facts: 0, replayed_bytes: 0, done: 0, total, progress }, view)
    }

    fn take(&mut self, item: &Item<'_>) -> Result<(), String> {
        match item {
            Item::Chunk(chunk) => {
                let restoring = self.restoring.get_or_insert_default();
                restoring.take(chunk.section, chunk.version, chunk.payload)?;
                self.done += chunk.payload.len() as u64;
            }
            Item::Entry(entry) => {
                self.restore()?;
                let batch = Batch::decode(entry.version, entry.payload).map_err(|error| error.to_string())?;
                self.folded.fold.apply_untold(&batch.facts);
                self.facts += batch.facts.len() as u64;
                self.replayed_bytes += entry.payload.len() as u64;
                self.done += entry.payload.len() as u64;
            }
            // What it held is not known, so every repository is suspect. It follows from the log alone, as everything here.
            Item::Hole(_) => {
                self.restore()?;
                let witnessed = self.folded.fold.latest_witnessed().unwrap_or(Time::EPOCH);
                let gap = Gap { witnessed, host: Host::new(HOLE_HOST), did: None, reason: GapReason::Salvaged };
                self.folded.fold.apply_untold(&[Fact::Gap(gap)]);
            }
        }
        (self.progress)(self.done, self.total);
        Ok(())
    }

    /// Ends the restoring of a snapshot.
    fn restore(&mut self) -> Result<(), String> {
        if let Some(restoring) = self.restoring.take() {
            self.folded.fold = restoring.finish_untold()?;
        }
        Ok(())
    }

    fn finish(mut self) -> Result<Folded, StartError> {
        // Nobody reads yet: the view is built once, from what everything has come to.
        self.restore().map_err(StartError::Snapshot)?;
        Ok(self.folded)
    }
}

/// Wall time as the log dates its files; 0 for a clock before the epoch.
pub(super) fn unix_seconds(clock: &Clock) -> u32 {
    u32::try_from(clock.wall_micros() / SECOND_MICROS).unwrap_or(0)
}

/// Lets a new sieve know every post and every orphan that the fold knows.
pub fn seed(sieve: &mut Sieve, fold: &Fold) {
    for (did, rkey, time) in fold.known_posts() {
        sieve.seed(did, &rkey, time);
    }
    for (post, orphan) in fold.orphans() {
        sieve.seed_orphan(post, orphan);
    }
}
