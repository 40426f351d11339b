//! From a data directory to what it folds to.

use std::path::Path;

use super::StartError;
use crate::disk::Disk;
use crate::fact::Batch;
use crate::ingest::committer::Folded;
use crate::ingest::sieve::Sieve;
use crate::log::{self, Entry, Log, Options};
use crate::view::{self, View};

/// What long work tells of itself: bytes done, bytes in all.
pub type Progress<'a> = &'a mut dyn FnMut(u64, u64);

/// Locks, repairs and folds a data directory for writing.
///
/// # Errors
/// In use, not writable, corrupt.
pub fn open<D: Disk>(disk: D, dir: &Path, progress: Progress<'_>) -> Result<(Log<D>, Folded, View), StartError> {
    let (writer, view) = view::new();
    let mut folded = Folded::new(writer);
    let (log, _recovered) = Log::open(disk, dir, Options::default(), &mut |entry| {
        progress(entry.offset, entry.total);
        fold_entry(&mut folded, &entry)
    })?;
    folded.publish();
    Ok((log, folded, view))
}

/// Folds what is durable, without a lock, beside a running writer.
///
/// # Errors
/// No log there, or a corrupt one.
pub fn read<D: Disk>(disk: &D, dir: &Path, progress: Progress<'_>) -> Result<(Folded, View), StartError> {
    let (writer, view) = view::new();
    let mut folded = Folded::new(writer);
    log::read(disk, dir, &mut |entry| {
        progress(entry.offset, entry.total);
        fold_entry(&mut folded, &entry)
    })?;
    folded.publish();
    Ok((folded, view))
}

fn fold_entry(folded: &mut Folded, entry: &Entry<'_>) -> Result<(), String> {
    let batch = Batch::decode(entry.version, entry.payload).map_err(|error| error.to_string())?;
    folded.apply(&batch.facts);
    Ok(())
}

/// Lets a new sieve know every post that the fold knows.
pub fn seed(sieve: &mut Sieve, fold: &crate::community::Fold) {
    for (did, rkey, time) in fold.known_posts() {
        sieve.seed(did, &rkey, time);
    }
}
