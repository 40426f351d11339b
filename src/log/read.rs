//! Reading a log without a lock, beside a running writer.
//!
//! In: a directory. Out: every batch that is known to be durable, in order; where a state is wanted, a snapshot first, and the
//! batches after it.
//!
//! The list of segments is taken once: what is created later is not read. All but the last were whole before their
//! successors were created, so they are judged like at opening. The last may be growing: it is walked through twice,
//! first to see how far it is good and durable, then to hand that out. What lies past the last mark is handed out only
//! if no writer is at work: then it is what recovery would find. Otherwise it may be in flight, and lost yet.

use std::io;
use std::path::{Path, PathBuf};

use super::record::Kind;
use super::recovery::{Action, Place};
use super::segment::{self, Segment};
use super::snapshot;
use super::start::{self, Start};
use super::walk::{End, Walk, deliver, survey};
use super::{Each, Entry, Hole, Item, LogError, Lsn, lock_path, log_dir};
use crate::disk::{Disk, Mode};

/// What a reading has found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ReadReport {
    /// LSN of the first batch in the segments that were read; 0 where there was none.
    pub first_lsn: Lsn,
    /// The last LSN that the snapshot held from which the reading began; 0 where there was none.
    pub snapshot_lsn: Lsn,
    /// LSN of the last one.
    pub last_lsn: Lsn,
    /// LSN of the last batch that a mark or a successor vouches for.
    pub durable_lsn: Lsn,
    /// How many batches were handed out.
    pub batches: u64,
    /// Snapshots that cannot be used, and why.
    pub damaged: Vec<(PathBuf, String)>,
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

/// Reads the log in `dir` without changing anything: the newest snapshot, and every batch after it.
///
/// # Errors
/// [`LogError::Missing`]; [`LogError::Read`], [`LogError::Corrupt`] and [`LogError::Version`] as recovery would refuse;
/// [`LogError::Entry`], an error of `each`.
pub fn read(
    disk: &dyn Disk,
    dir: &Path,
    each: &mut dyn FnMut(Item<'_>) -> Result<(), String>,
) -> Result<ReadReport, LogError> {
    let start = choose(disk, dir)?;
    start.read_snapshot(disk, each)?;
    let segments = start.segments.clone();
    Reading::new(disk, dir, &start, start.base()).run(segments, each)
}

/// Reads every batch that the segments in `dir` still hold, without changing anything.
///
/// # Errors
/// As [`read`].
pub fn read_batches(
    disk: &dyn Disk,
    dir: &Path,
    each: &mut dyn FnMut(Entry<'_>) -> Result<(), String>,
) -> Result<ReadReport, LogError> {
    let start = choose(disk, dir)?;
    let segments = start.covered.iter().chain(&start.segments).cloned().collect();
    Reading::new(disk, dir, &start, 0).run(segments, &mut |item| match item {
        Item::Entry(entry) => each(entry),
        Item::Chunk(_) | Item::Hole(_) => Ok(()),
    })
}

fn choose(disk: &dyn Disk, dir: &Path) -> Result<Start, LogError> {
    list(disk, dir)?;
    start::choose(disk, &log_dir(dir))
}

/// A reading under way.
struct Reading<'a> {
    disk: &'a dyn Disk,
    dir: &'a Path,
    start: &'a Start,
    /// Batches up to this one are passed over.
    base: Lsn,
    report: ReadReport,
}

impl<'a> Reading<'a> {
    fn new(disk: &'a dyn Disk, dir: &'a Path, start: &'a Start, base: Lsn) -> Self {
        let damaged = start.damaged.iter().map(|(snapshot, why)| (snapshot.path.clone(), why.what())).collect();
        let report = ReadReport { snapshot_lsn: base, damaged, ..ReadReport::default() };
        Self { disk, dir, start, base, report }
    }

    fn run(mut self, mut segments: Vec<Segment>, each: Each<'_>) -> Result<ReadReport, LogError> {
        let first = segments.first().map_or(super::FIRST_LSN, |segment| segment.first);
        self.report.last_lsn = first - 1;
        let (mut at, mut listed_again) = (0, false);
        while let Some(segment) = segments.get(at) {
            let is_last = at + 1 == segments.len();
            let (place, expected, base) = (place(is_last), self.report.last_lsn + 1, self.base);
            let batches = &mut self.report.batches;
            let (walk, judgement) = survey(self.disk, segment, place, expected, &mut |item| match item {
                Item::Entry(Entry { lsn, .. }) | Item::Hole(Hole { last: lsn, .. }) if is_last || lsn <= base => Ok(()),
                item => {
                    *batches += u64::from(matches!(item, Item::Entry(_)));
                    each(item)
                }
            })?;
            if walk.is_none() && !listed_again {
                // A directory that is written to may be listed with a hole, and a segment may have been set aside since.
                listed_again = true;
                at = list_again(self.disk, self.dir, &mut segments, at)?;
                continue;
            }
            let (action, end) = judgement.accept(&segment.path)?;
            if is_last {
                let last = walk.as_ref().map_or(expected, |walk| walk.next) - 1;
                self.start.reaches(last, segment, end.offset)?;
            }
            match walk {
                Some(walk) if is_last => self.last(walk, action, &end, each)?,
                Some(walk) => {
                    self.add(&walk, walk.next - 1, &end);
                    self.report.durable_lsn = walk.next - 1; // it was synced before its successor was created
                }
                None if is_written_to(self.disk, self.dir) => {} // it is just being created
                None => self.report.tail = Some(tail(&segment.path, &end)),
            }
            at += 1;
        }
        self.report.first_lsn = if self.report.last_lsn >= first { first } else { 0 };
        self.report.last_lsn = self.report.last_lsn.max(self.base);
        Ok(self.report)
    }

    /// Hands out what is good in the last segment, which `walk` has walked through.
    fn last(&mut self, mut walk: Walk, action: Action, end: &End, each: Each<'_>) -> Result<(), LogError> {
        // Asked after the first walk: if nobody writes now, whoever wrote what was seen has stopped.
        let busy = is_written_to(self.disk, self.dir);
        // What a snapshot holds was durable before, also where there was no room for the mark.
        let limit = if busy { walk.durable.max(self.start.base()) } else { walk.next - 1 };
        self.add(&walk, limit, end);
        let report = &mut self.report;
        if !busy && action != Action::Append && action != Action::Copy {
            report.tail = Some(tail(&walk.path, end));
        }
        walk.rewind();
        let (path, handed_out) = (walk.path.clone(), self.base + 1..=limit);
        walk.judge(Place::Last, &mut |record| {
            let is_batch = u64::from(record.kind == Kind::Batch);
            if handed_out.contains(&record.lsn) {
                report.batches += is_batch;
                return deliver(&path, record, each);
            }
            report.held_back += if record.lsn > limit { is_batch } else { 0 };
            Ok(())
        })?;
        if walk.next <= limit {
            return Err(LogError::read(&path, walk.at, io::Error::other("two readings differ")));
        }
        Ok(())
    }

    /// Adds a segment that is handed out up to `limit`.
    fn add(&mut self, walk: &Walk, limit: Lsn, end: &End) {
        self.report.last_lsn = limit;
        self.report.durable_lsn = walk.durable;
        self.report.segments += 1;
        self.report.bytes += end.offset;
    }
}

/// Lists the segments once more, of which those before `at` were read; which is the next one now. None is passed over: what is
/// listed still is judged.
pub(super) fn list_again(
    disk: &dyn Disk,
    dir: &Path,
    segments: &mut Vec<Segment>,
    at: usize,
) -> Result<usize, LogError> {
    // Behind the last that was read. Where none was: those before the first to be read are a snapshot's.
    let from = at.checked_sub(1).map_or_else(|| segments[0].first, |before| segments[before].first + 1);
    *segments = list(disk, dir)?;
    Ok(segments.partition_point(|segment| segment.first < from))
}

/// Where a segment stands.
pub(super) fn place(is_last: bool) -> Place {
    if is_last { Place::Last } else { Place::Sealed }
}

/// The segments of the log in `dir`.
pub(super) fn list(disk: &dyn Disk, dir: &Path) -> Result<Vec<Segment>, LogError> {
    let log_dir = log_dir(dir);
    segment::list(disk, &log_dir).map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => LogError::Missing { dir: dir.to_owned() },
        _ => LogError::read(&log_dir, 0, error),
    })
}

/// How many bytes a reading of the log in `dir` goes through, headers included: what a progress bar may count against.
///
/// # Errors
/// [`LogError::Missing`], [`LogError::Read`].
pub fn size(disk: &dyn Disk, dir: &Path) -> Result<u64, LogError> {
    let newest = snapshot::list(disk, &log_dir(dir)).ok().and_then(|mut snapshots| snapshots.pop());
    let base = newest.as_ref().map_or(0, |snapshot| snapshot.lsn);
    let of_snapshot =
        newest.map_or(Ok(0), |snapshot| disk.open(&snapshot.path, Mode::Read).and_then(|file| file.size()));
    let segments = list(disk, dir)?;
    let from = segments.partition_point(|segment| segment.first <= base + 1).saturating_sub(1);
    segments[from..].iter().try_fold(of_snapshot.unwrap_or(0), |sum, segment| Ok(sum + segment.size(disk)?))
}

/// Whether a writer is at work. Where that cannot be asked, it may be.
pub(super) fn is_written_to(disk: &dyn Disk, dir: &Path) -> bool {
    disk.is_locked(&lock_path(dir)).unwrap_or(true)
}

fn tail(path: &Path, end: &End) -> Tail {
    Tail { file: path.to_owned(), offset: end.offset, lsn: end.lsn, what: end.what() }
}
