//! Reading without a lock, beside a running writer: `read` for what is durable, `check` for every fault.

use std::path::{Path, PathBuf};

use super::error::{Fault, LogError};
use super::open::{fault_of, length, list, load};
use super::recovery::{Decision, decide};
use super::segment::{self, Ending, Scan, path_of};
use super::{Each, Entry};
use crate::disk::Disk;

/// What was read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ReadReport {
    /// Files.
    pub segments: u64,
    /// Bytes in all of them.
    pub bytes: u64,
    /// The first LSN; 0 of an empty log.
    pub first_lsn: u64,
    /// The last LSN that was handed out; 0 of an empty log.
    pub last_lsn: u64,
}

/// Hands every batch that is known to be on disk to `each`, in order.
///
/// In the last segment that is up to the LSN of its last mark: what follows is being written, or is a tail that only a
/// recovery can judge.
///
/// # Errors
/// No log there; corrupt; of a later version; a disk that fails.
pub fn read<D: Disk>(disk: &D, dir: &Path, each: Each<'_>) -> Result<ReadReport, LogError> {
    let mut report = ReadReport::default();
    let mut total = 0;
    walk(disk, dir, &mut |segment| {
        let Segment { path, bytes, first_lsn, before_bytes, scan, has_successor, .. } = segment;
        total = total.max(segment.total);
        match decide(&scan.ending, has_successor) {
            Decision::RefuseCorrupt => return Err(LogError::Corrupt { fault: fault_of(path, scan) }),
            Decision::RefuseVersion => return Err(LogError::UnknownVersion { fault: fault_of(path, scan) }),
            Decision::GoOn | Decision::CutTail | Decision::Remove => {}
        }
        let durable_lsn = if has_successor { scan.next_lsn - 1 } else { scan.durable_lsn };
        segment::scan(bytes, first_lsn, &mut |offset, record| {
            if record.words.lsn > durable_lsn {
                return Ok(());
            }
            report.last_lsn = record.words.lsn;
            let entry = Entry {
                lsn: record.words.lsn,
                version: record.words.version,
                payload: record.payload,
                offset: before_bytes + (offset + record.bytes) as u64,
                total,
            };
            each(entry).map_err(|what| LogError::Payload {
                fault: Fault { file: path.to_owned(), offset: offset as u64, lsn: record.words.lsn, what },
            })
        })?;
        report.segments += 1;
        report.bytes += bytes.len() as u64;
        Ok(())
    })?;
    report.first_lsn = u64::from(report.last_lsn > 0);
    Ok(report)
}

/// What a check came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Nothing is wrong.
    Clean,
    /// The log ends in something that was never known to be on disk; the next recovery keeps it aside and cuts it off.
    Torn,
    /// Something that was certain is damaged.
    Corrupt,
}

/// What a check found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CheckReport {
    /// The worst of it.
    pub verdict: Verdict,
    /// Files.
    pub segments: u64,
    /// The first LSN; 0 of an empty log.
    pub first_lsn: u64,
    /// The last valid LSN; 0 of an empty log.
    pub last_lsn: u64,
    /// Every fault, in order.
    pub faults: Vec<Fault>,
}

/// Verifies every byte, and hands every valid batch to `each`, in order. What `each` refuses is a fault too.
///
/// # Errors
/// No log there, or a disk that fails. Damage is no error here but a finding.
pub fn check<D: Disk>(disk: &D, dir: &Path, each: Each<'_>) -> Result<CheckReport, LogError> {
    let mut report =
        CheckReport { verdict: Verdict::Clean, segments: 0, first_lsn: 0, last_lsn: 0, faults: Vec::new() };
    walk(disk, dir, &mut |segment| {
        let Segment { path, bytes, first_lsn, before_bytes, scan, has_successor, total } = segment;
        report.segments += 1;
        let ok: Result<Scan, LogError> = segment::scan(bytes, first_lsn, &mut |offset, record| {
            report.last_lsn = record.words.lsn;
            let entry = Entry {
                lsn: record.words.lsn,
                version: record.words.version,
                payload: record.payload,
                offset: before_bytes + (offset + record.bytes) as u64,
                total,
            };
            if let Err(what) = each(entry) {
                report.verdict = Verdict::Corrupt;
                let lsn = record.words.lsn;
                report.faults.push(Fault { file: path.to_owned(), offset: offset as u64, lsn, what });
            }
            Ok(())
        });
        ok?;
        match decide(&scan.ending, has_successor) {
            Decision::GoOn => {}
            Decision::CutTail | Decision::Remove => {
                report.faults.push(fault_of(path, scan));
                if report.verdict == Verdict::Clean {
                    report.verdict = Verdict::Torn;
                }
            }
            Decision::RefuseCorrupt | Decision::RefuseVersion => {
                report.faults.push(fault_of(path, scan));
                report.verdict = Verdict::Corrupt;
            }
        }
        Ok(())
    })?;
    report.first_lsn = u64::from(report.last_lsn > 0);
    Ok(report)
}

/// One segment, as a reader found it.
struct Segment<'a> {
    path: &'a Path,
    bytes: &'a [u8],
    /// The LSN that is expected first: of the segment's name, after a fault in the one before.
    first_lsn: u64,
    before_bytes: u64,
    total: u64,
    scan: &'a Scan,
    has_successor: bool,
}

/// Visits every segment in order. A writer may append and rotate meanwhile.
fn walk<D: Disk>(
    disk: &D,
    dir: &Path,
    visit: &mut dyn FnMut(Segment<'_>) -> Result<(), LogError>,
) -> Result<(), LogError> {
    let mut segments = list(disk, dir)?;
    let (mut at, mut next_lsn, mut before_bytes) = (0, 1, 0);
    let mut total = segments.iter().try_fold(0, |sum, &first| Ok(sum + length(disk, &path_of(dir, first))?))?;
    while at < segments.len() {
        let path = path_of(dir, segments[at]);
        let (bytes, scan) = look(disk, &path, next_lsn)?;
        // Asked after reading: where a successor exists now, the file may have grown since, and is then read again.
        let now = list(disk, dir)?;
        let grew = now.len() > segments.len() && at + 1 == segments.len();
        segments = now;
        if grew {
            continue;
        }
        let has_successor = at + 1 < segments.len();
        total = total.max(before_bytes + bytes.len() as u64);
        visit(Segment {
            path: &path,
            bytes: &bytes,
            first_lsn: next_lsn,
            before_bytes,
            total,
            scan: &scan,
            has_successor,
        })?;
        before_bytes += bytes.len() as u64;
        // After a fault the numbers go on with the next segment's name, so that one fault is told once.
        next_lsn = match (&scan.ending, segments.get(at + 1)) {
            (Ending::Clean, _) | (_, None) => scan.next_lsn,
            (_, Some(&next)) => next,
        };
        at += 1;
    }
    Ok(())
}

/// Reads and scans a segment. Where it seems damaged it is read once more: a record that was half written at the first
/// look is whole by the time that a mark stands behind it.
fn look<D: Disk>(disk: &D, path: &PathBuf, first_lsn: u64) -> Result<(Vec<u8>, Scan), LogError> {
    let nothing: &mut dyn FnMut(usize, super::record::Record<'_>) -> Result<(), LogError> = &mut |_, _| Ok(());
    let bytes = load(disk, path)?;
    let scan = segment::scan(&bytes, first_lsn, nothing)?;
    if scan.ending == Ending::Clean {
        return Ok((bytes, scan));
    }
    let again = load(disk, path)?;
    let scan = segment::scan(&again, first_lsn, &mut |_, _| Ok::<(), LogError>(()))?;
    Ok((again, scan))
}
