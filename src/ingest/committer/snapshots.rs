//! When a snapshot is taken, and how the fold gets into it.
//!
//! While the fold is written out (to the page cache) the committer does nothing else: readers are served, the stream waits. What
//! takes the disk its time comes after that, elsewhere ([`Errands::snapshot`](super::Errands::snapshot)). A snapshot that cannot be taken
//! is told of and counted; the log goes on, and it is tried again.

use std::time::Duration;

use crate::community::Fold;
use crate::limits::{SNAPSHOT_AGE_SECONDS, SNAPSHOT_LOG_BYTES, SNAPSHOT_PAUSE_SECONDS};
use crate::log::{Log, LogError, Lsn, PendingSnapshot};

/// When a snapshot is due.
#[derive(Clone, Copy, Debug)]
pub struct Policy {
    /// So many bytes of batches stand behind the last one.
    pub log_bytes: u64,
    /// It is so old, and anything stands behind it.
    pub age: Duration,
    /// But not sooner than this after the last try.
    pub pause: Duration,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            log_bytes: SNAPSHOT_LOG_BYTES,
            age: Duration::from_secs(SNAPSHOT_AGE_SECONDS),
            pause: Duration::from_secs(SNAPSHOT_PAUSE_SECONDS),
        }
    }
}

/// How much stands behind the last snapshot.
#[derive(Debug)]
pub(super) struct Snapshots {
    policy: Policy,
    bytes_behind: u64,
    /// When the last one was begun; before the first, when the committer was made. In monotonic time.
    tried_at: Duration,
    is_under_way: bool,
}

impl Snapshots {
    pub fn new(policy: Policy, bytes_behind: u64, now: Duration) -> Self {
        Self { policy, bytes_behind, tried_at: now, is_under_way: false }
    }

    /// A batch of so many bytes was folded.
    pub fn folded(&mut self, bytes: u64) {
        self.bytes_behind += bytes;
    }

    pub fn is_due(&self, now: Duration) -> bool {
        let since = now.saturating_sub(self.tried_at);
        !self.is_under_way
            && self.bytes_behind > 0
            && since >= self.policy.pause
            && (self.bytes_behind >= self.policy.log_bytes || since >= self.policy.age)
    }

    pub fn begun(&mut self, now: Duration) {
        (self.is_under_way, self.bytes_behind, self.tried_at) = (true, 0, now);
    }

    /// It is over, one way or the other. A failed one is tried again after the pause.
    pub fn ended(&mut self, failed: bool) {
        self.is_under_way = false;
        if failed {
            self.bytes_behind = self.bytes_behind.max(self.policy.log_bytes);
        }
    }
}

/// Writes out the fold, which holds everything up to `lsn`.
///
/// # Errors
/// [`LogError::NoSpace`], [`LogError::Write`]: there is no snapshot this time.
pub fn save(fold: &Fold, log: &mut Log, lsn: Lsn) -> Result<PendingSnapshot, LogError> {
    let mut writer = log.begin_snapshot(lsn)?;
    fold.save(&mut |section, version, payload| writer.put(section, version, payload))?;
    writer.finish()
}
