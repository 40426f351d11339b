//! Where the reading of a log begins: at a snapshot, or at the first batch.
//!
//! ```text
//! newest snapshot that is whole ──► its state, then every batch after it
//! none                          ──► every batch from LSN 1 on
//! ```
//! | found | done |
//! |---|---|
//! | no snapshot, the log begins with LSN 1 | everything is read |
//! | a snapshot that is damaged, or cannot be read | the one before it is taken; there are two |
//! | a snapshot of a later program | refused |
//! | no whole snapshot reaches to the first segment | refused: what is before it is missing |
//! | a snapshot, and the log ends before it (seen when the last segment was read) | refused: batches that were durable are gone |

use std::io;
use std::path::Path;

use super::segment::{self, Segment};
use super::snapshot::{self, Snapshot, Unusable};
use super::{Each, FIRST_LSN, LogError, Lsn};
use crate::disk::Disk;

/// Where to begin.
#[derive(Debug)]
pub(super) struct Start {
    pub snapshot: Option<Snapshot>,
    /// Newer ones that cannot be used, and why.
    pub damaged: Vec<(Snapshot, Unusable)>,
    /// Segments of which the snapshot holds everything: they are not read.
    pub covered: Vec<Segment>,
    /// The others, from the one on that has the first batch after the snapshot, or will have it.
    pub segments: Vec<Segment>,
}

impl Start {
    /// The last LSN that the snapshot holds; 0 where there is none.
    pub fn base(&self) -> Lsn {
        self.snapshot.as_ref().map_or(FIRST_LSN - 1, |snapshot| snapshot.lsn)
    }

    /// The first LSN in the segments that are read.
    pub fn first(&self) -> Lsn {
        self.segments.first().map_or(FIRST_LSN, |segment| segment.first)
    }

    /// Hands out the snapshot.
    pub fn read_snapshot(&self, disk: &dyn Disk, each: Each<'_>) -> Result<(), LogError> {
        self.snapshot.as_ref().map_or(Ok(()), |snapshot| snapshot::read(disk, snapshot, each))
    }

    /// Refuses a log of which the last LSN is `last`, and which ends in `segment` at `offset`, where the snapshot has more.
    pub fn reaches(&self, last: Lsn, segment: &Segment, offset: u64) -> Result<(), LogError> {
        let base = self.base();
        if last >= base {
            return Ok(());
        }
        let what = format!("a snapshot holds everything up to LSN {base}, the log ends with {last}");
        Err(LogError::Corrupt { file: segment.path.clone(), offset, lsn: last + 1, what })
    }
}

/// Chooses where to begin. Nothing is changed.
pub(super) fn choose(disk: &dyn Disk, log_dir: &Path) -> Result<Start, LogError> {
    let mut left = LISTINGS;
    loop {
        left -= 1;
        let (chosen, damaged) = newest_whole(disk, log_dir)?;
        // Beside a running writer a snapshot may go between being listed and being read: newer ones have come then.
        let is_gone = |(_, why): &(Snapshot, Unusable)| matches!(why, Unusable::Io(_, error) if error.kind() == io::ErrorKind::NotFound);
        if left == 0 || !damaged.iter().any(is_gone) {
            return follow(disk, log_dir, chosen, damaged);
        }
    }
}

/// How often snapshots are listed at most.
const LISTINGS: u32 = 3;

type Damaged = Vec<(Snapshot, Unusable)>;

fn newest_whole(disk: &dyn Disk, log_dir: &Path) -> Result<(Option<Snapshot>, Damaged), LogError> {
    let snapshots = snapshot::list(disk, log_dir).map_err(|error| LogError::read(log_dir, 0, error))?;
    let mut damaged = Vec::new();
    for snapshot in snapshots.into_iter().rev() {
        match snapshot::verify(disk, &snapshot) {
            Ok(_) => return Ok((Some(snapshot), damaged)),
            Err(Unusable::Version(offset, what)) => {
                return Err(LogError::Version { file: snapshot.path, offset, lsn: snapshot.lsn, what });
            }
            Err(unusable) => damaged.push((snapshot, unusable)),
        }
    }
    Ok((None, damaged))
}

/// The segments that go with a snapshot. They are listed after it was chosen, so they reach to it.
fn follow(disk: &dyn Disk, log_dir: &Path, snapshot: Option<Snapshot>, damaged: Damaged) -> Result<Start, LogError> {
    let mut segments = segment::list(disk, log_dir).map_err(|error| LogError::read(log_dir, 0, error))?;
    let base = snapshot.as_ref().map_or(FIRST_LSN - 1, |snapshot| snapshot.lsn);
    let first = segments.first().map_or(FIRST_LSN, |segment| segment.first);
    if first > base + 1 || (segments.is_empty() && base >= FIRST_LSN) {
        let file = segments.first().map_or_else(|| log_dir.to_owned(), |segment| segment.path.clone());
        let lost =
            if segments.is_empty() { "no segment follows" } else { "what is before the first segment is missing" };
        let what = match &snapshot {
            Some(snapshot) => {
                format!("the last whole snapshot holds everything up to LSN {}, and {lost}", snapshot.lsn)
            }
            None => format!("there is no whole snapshot, and {lost}"),
        };
        return Err(LogError::Corrupt { file, offset: 0, lsn: base + 1, what });
    }
    let after = segments.iter().rposition(|segment| segment.first <= base + 1).unwrap_or(0);
    let rest = segments.split_off(after);
    Ok(Start { snapshot, damaged, covered: segments, segments: rest })
}
