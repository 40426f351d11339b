//! Retention: which files a new snapshot has made superfluous.
//!
//! ```text
//! segments   1 ───── 100 ───── 200 ───── 300 ───── 400 …     older snapshot at 250, newer at 350
//! may go     └─ if 100 ─┴─ and 200 were created before the 7 days
//! ```
//! What always holds:
//! - two snapshots that were read back whole are kept, the newest ones;
//! - a segment goes only when the older of the two holds all of it, and all of it is older than [`RETENTION_MICROS`]: its
//!   successor was created before that;
//! - segments go from the first on, one at a time, each for certain before the next: what is left has no hole.

use std::path::Path;

use super::segment::{self, Segment};
use super::snapshot::{self, Snapshot};
use super::{LogError, Lsn};
use crate::disk::Disk;
use crate::limits::{RETENTION_MICROS, SECOND_MICROS};

/// What has gone.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Dropped {
    /// How many segments.
    pub segments: u64,
    /// Their bytes.
    pub segment_bytes: u64,
    /// How many snapshots.
    pub snapshots: u64,
}

/// Drops what is superfluous beside `newest`, which was read back whole just now; `now` is in seconds since the epoch.
pub(super) fn drop_superfluous(
    disk: &dyn Disk,
    log_dir: &Path,
    newest: &Snapshot,
    now: u32,
) -> Result<Dropped, LogError> {
    let listed = |error| LogError::read(log_dir, 0, error);
    let mut before = snapshot::list(disk, log_dir).map_err(listed)?;
    before.retain(|snapshot| snapshot.lsn < newest.lsn);
    // A damaged one is no second one; it stays where it is, for `log check` to tell of.
    let Some(at) = before.iter().rposition(|snapshot| snapshot::verify(disk, snapshot).is_ok()) else {
        return Ok(Dropped::default());
    };
    let older = before[at].lsn;
    let mut dropped = Dropped::default();
    for snapshot in &before[..at] {
        remove(disk, log_dir, &snapshot.path)?;
        dropped.snapshots += 1;
    }
    let segments = segment::list(disk, log_dir).map_err(listed)?;
    for pair in segments.windows(2) {
        let [segment, successor] = pair else { break };
        if !may_go(disk, successor, older, now) {
            break;
        }
        dropped.segment_bytes += segment.size(disk)?;
        remove(disk, log_dir, &segment.path)?;
        dropped.segments += 1;
    }
    Ok(dropped)
}

/// Whether everything before `successor` is in the snapshot at `older`, and old enough.
fn may_go(disk: &dyn Disk, successor: &Segment, older: Lsn, now: u32) -> bool {
    let retention = RETENTION_MICROS / SECOND_MICROS;
    successor.first <= older + 1
        && segment::created(disk, successor)
            .is_some_and(|created| i64::from(created).saturating_add(retention) <= i64::from(now))
}

fn remove(disk: &dyn Disk, log_dir: &Path, path: &Path) -> Result<(), LogError> {
    disk.remove(path).map_err(|source| LogError::write(path, 0, source))?;
    disk.sync_dir(log_dir).map_err(|source| LogError::sync(log_dir, source))
}
