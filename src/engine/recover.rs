//! From a data directory to what it folds to.

use std::path::Path;
use std::sync::Arc;

use super::StartError;
use crate::clock::Clock;
use crate::community::Fold;
use crate::disk::Disk;
use crate::fact::Batch;
use crate::ingest::committer::Folded;
use crate::ingest::sieve::Sieve;
use crate::limits::SECOND_MICROS;
use crate::log::{self, Item, Log, Options};
use crate::view::{self, View};

/// What long work tells of itself: bytes done, bytes in all.
pub type Progress<'a> = &'a mut dyn FnMut(u64, u64);

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
) -> Result<(Log, Folded, View), StartError> {
    // For the progress alone: what is wrong with the directory is told by the opening itself.
    let total = log::size(&*disk, dir).unwrap_or(0);
    let (mut folding, view) = Folding::new(total, progress);
    let (log, recovered) =
        Log::open(disk, dir, Options::new(unix_seconds(clock), rng), &mut |item| folding.take(&item))?;
    let folded = folding.finish();
    if let Some(torn) = &recovered.torn {
        let (file, bytes) = (torn.file.display(), torn.bytes);
        tracing::warn!(%file, bytes, kept = ?torn.kept, "the log ended in a torn tail, which was cut off and kept aside");
    }
    tracing::info!(
        batches = recovered.batches,
        last_lsn = recovered.last_lsn,
        case = recovered.case,
        "the log is folded"
    );
    Ok((log, folded, view))
}

/// Folds what is durable, without a lock, beside a running writer.
///
/// # Errors
/// No log there, or a corrupt one.
pub fn read(disk: &dyn Disk, dir: &Path, progress: Progress<'_>) -> Result<(Folded, View), StartError> {
    let (mut folding, view) = Folding::new(log::size(disk, dir)?, progress);
    log::read(disk, dir, &mut |item| folding.take(&item))?;
    Ok((folding.finish(), view))
}

/// A fold under way.
struct Folding<'a> {
    folded: Folded,
    done: u64,
    total: u64,
    progress: Progress<'a>,
}

impl<'a> Folding<'a> {
    fn new(total: u64, progress: Progress<'a>) -> (Self, View) {
        let (writer, view) = view::new();
        (Self { folded: Folded::new(writer), done: 0, total, progress }, view)
    }

    fn take(&mut self, item: &Item<'_>) -> Result<(), String> {
        let Item::Entry(entry) = item else { return Err("a snapshot".to_owned()) };
        let batch = Batch::decode(entry.version, entry.payload).map_err(|error| error.to_string())?;
        self.folded.apply(&batch.facts);
        self.done += entry.payload.len() as u64;
        (self.progress)(self.done, self.total);
        Ok(())
    }

    fn finish(mut self) -> Folded {
        self.folded.publish();
        self.folded
    }
}

/// Wall time as the log dates its files; 0 for a clock before the epoch.
fn unix_seconds(clock: &Clock) -> u32 {
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
