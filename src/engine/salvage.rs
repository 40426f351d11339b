//! Salvage of a data directory: of its log, and a gap at its end, so that `/status` and metrics tell of what is lost.

use std::path::Path;
use std::sync::Arc;

use super::{StartError, recover, seeded};
use crate::clock::Clock;
use crate::disk::RealDisk;
use crate::fact::{Batch, Fact, Gap, GapReason, Host};
use crate::log::{self, Options, SalvageReport};
use crate::syntax::Time;

/// The name under which the gap stands in the log: no host of the stream has said it.
const HOST: &str = "salvage";

/// Salvages the log in `data_dir`. Where batches are lost that no snapshot holds, and that no salvage has told of before, the log
/// ends in a gap of every repository.
///
/// # Errors
/// In use, not readable, written by a later program; or the disk's, writing.
pub fn salvage(data_dir: &Path, clock: &Clock) -> Result<SalvageReport, StartError> {
    let disk = Arc::new(RealDisk);
    let report = log::salvage(&*disk, data_dir, Options::new(recover::unix_seconds(clock), seeded(clock)))?;
    let is_news = !report.kept.is_empty() || report.is_bridged;
    let is_loss = report.holes.iter().any(|hole| hole.last > report.snapshot_lsn);
    let opened = recover::open(disk, data_dir, clock, seeded(clock), &mut |_, _| {})?;
    let mut log = opened.log;
    if is_news && is_loss {
        let witnessed = opened.folded.fold.latest_witnessed().unwrap_or(Time::EPOCH);
        let gap = Gap { witnessed, host: Host::new(HOST), did: None, reason: GapReason::Salvaged };
        log.append(Batch::VERSION, &Batch::encode(&[Fact::Gap(gap)], Vec::new()))?;
    }
    log.close()?;
    Ok(report)
}
