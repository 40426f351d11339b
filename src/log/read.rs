//! Reading a log without a lock, beside a running writer.
//!
//! In: a directory. Out: every batch that is known to be durable, in order.
//!
//! The list of segments is taken once: what is created later is not read. All but the last were whole before their
//! successors were created, so they are judged like at opening. The last may be growing: it is walked through twice,
//! first to see how far it is good and durable, then to hand that out. What lies past the last mark is handed out only
//! if no writer is at work: then it is what recovery would find. Otherwise it may be in flight, and lost yet.

use std::io;
use std::path::{Path, PathBuf};

use super::recovery::{Action, Place};
use super::segment::{self, Segment};
use super::walk::{End, Walk, deliver, survey};
use super::{Each, Entry, FIRST_LSN, LogError, Lsn, lock_path, log_dir};
use crate::disk::{Disk, Mode};

/// What a reading has found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ReadReport {
    /// LSN of the first batch that was handed out; 0 where there was none.
    pub first_lsn: Lsn,
    /// LSN of the last one.
    pub last_lsn: Lsn,
    /// LSN of the last batch that a mark or a successor vouches for.
    pub durable_lsn: Lsn,
    /// How many batches were handed out.
    pub batches: u64,
    /// How many whole batches of a running writer were held back, because no mark vouches for them yet.
    pub held_back: u64,
    /// How many segments there are.
    pub segments: u64,
    /// How many good bytes they hold.
    pub bytes: u64,
    /// What follows the last good record, unless a writer is at work.
    pub tail: Option<Tail>,
}

/// The end of an append that a crash has interrupted. Opening the log for writing repairs it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tail {
    /// The segment.
    pub file: PathBuf,
    /// Where it begins, in bytes.
    pub offset: u64,
    /// The LSN that should stand there.
    pub lsn: Lsn,
    /// What it is.
    pub what: String,
}

/// Reads the log in `dir` without changing anything.
///
/// # Errors
/// [`LogError::Missing`]; [`LogError::Read`], [`LogError::Corrupt`] and [`LogError::Version`] as recovery would refuse;
/// [`LogError::Entry`], an error of `each`.
pub fn read(
    disk: &dyn Disk,
    dir: &Path,
    each: &mut dyn FnMut(Entry<'_>) -> Result<(), String>,
) -> Result<ReadReport, LogError> {
    let mut segments = list(disk, dir)?;
    let mut report = ReadReport::default();
    let (mut at, mut listed_again) = (0, false);
    while let Some(segment) = segments.get(at) {
        let is_last = at + 1 == segments.len();
        let expected = report.last_lsn + 1;
        let (walk, judgement) = if is_last {
            survey(disk, segment, Place::Last, expected, &mut |_| Ok(()))?
        } else {
            survey(disk, segment, Place::Sealed, expected, each)?
        };
        if walk.is_none() && !listed_again {
            // A directory that is written to may be listed with a hole, and a segment may have been set aside since.
            listed_again = true;
            segments = list(disk, dir)?;
            at = segments.partition_point(|segment| segment.first < expected);
            continue;
        }
        let (action, end) = judgement.accept(&segment.path)?;
        match walk {
            Some(walk) if is_last => read_last(disk, dir, walk, action, &end, each, &mut report)?,
            Some(walk) => {
                report.add(&walk, walk.next - 1, &end);
                report.durable_lsn = walk.next - 1; // it was synced before its successor was created
            }
            None if is_written_to(disk, dir) => {} // it is just being created
            None => report.tail = Some(tail(&segment.path, &end)),
        }
        at += 1;
    }
    report.first_lsn = if report.batches > 0 { FIRST_LSN } else { 0 };
    Ok(report)
}

/// The segments of the log in `dir`.
pub(super) fn list(disk: &dyn Disk, dir: &Path) -> Result<Vec<Segment>, LogError> {
    let log_dir = log_dir(dir);
    segment::list(disk, &log_dir).map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => LogError::Missing { dir: dir.to_owned() },
        _ => LogError::read(&log_dir, 0, error),
    })
}

/// How many bytes the log in `dir` has, its headers included: what a progress bar may count against.
///
/// # Errors
/// [`LogError::Missing`], [`LogError::Read`].
pub fn size(disk: &dyn Disk, dir: &Path) -> Result<u64, LogError> {
    list(disk, dir)?.iter().try_fold(0, |sum, segment| {
        let length = disk.open(&segment.path, Mode::Read).and_then(|file| file.size());
        length.map(|length| sum + length).map_err(|error| LogError::read(&segment.path, 0, error))
    })
}

/// Whether a writer is at work. Where that cannot be asked, it may be.
pub(super) fn is_written_to(disk: &dyn Disk, dir: &Path) -> bool {
    disk.is_locked(&lock_path(dir)).unwrap_or(true)
}

/// Hands out what is good in the last segment, which `walk` has walked through.
fn read_last(
    disk: &dyn Disk,
    dir: &Path,
    mut walk: Walk,
    action: Action,
    end: &End,
    each: Each<'_>,
    report: &mut ReadReport,
) -> Result<(), LogError> {
    // Asked after the first walk: if nobody writes now, whoever wrote what was seen has stopped.
    let busy = is_written_to(disk, dir);
    let limit = if busy { walk.durable } else { walk.next - 1 };
    report.add(&walk, limit, end);
    if !busy && action != Action::Append && action != Action::Copy {
        report.tail = Some(tail(&walk.path, end));
    }
    walk.rewind();
    let path = walk.path.clone();
    walk.judge(Place::Last, &mut |record| if record.lsn <= limit { deliver(&path, record, each) } else { Ok(()) })?;
    if walk.next <= limit {
        return Err(LogError::read(&path, walk.at, io::Error::other("two readings differ")));
    }
    Ok(())
}

fn tail(path: &Path, end: &End) -> Tail {
    Tail { file: path.to_owned(), offset: end.offset, lsn: end.lsn, what: end.what() }
}

impl ReadReport {
    /// Adds a segment of which the batches up to `limit` are handed out.
    fn add(&mut self, walk: &Walk, limit: Lsn, end: &End) {
        let held_back = walk.next - 1 - limit;
        self.batches += walk.batches - held_back;
        self.held_back += held_back;
        self.last_lsn = limit;
        self.durable_lsn = walk.durable;
        self.segments += 1;
        self.bytes += end.offset;
    }
}
