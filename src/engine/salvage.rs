//! Salvage of a data directory: of its log, which must open after it.

use std::path::Path;
use std::sync::Arc;

use super::{StartError, recover, seeded};
use crate::clock::Clock;
use crate::disk::RealDisk;
use crate::log::{self, Options, SalvageReport};

/// Salvages the log in `data_dir`, and opens it once, which repairs a torn tail. Each hole that no snapshot holds is a gap from
/// then on ([`GapReason::Salvaged`](crate::fact::GapReason::Salvaged)).
///
/// # Errors
/// In use, not readable, written by a later program; or the disk's, writing.
pub fn salvage(data_dir: &Path, clock: &Clock) -> Result<SalvageReport, StartError> {
    let disk = Arc::new(RealDisk);
    let report = log::salvage(&*disk, data_dir, Options::new(recover::unix_seconds(clock), seeded(clock)))?;
    recover::open(disk, data_dir, clock, seeded(clock), &mut |_, _| {})?.log.close()?;
    Ok(report)
}
