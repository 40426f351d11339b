//! Checking a log: every fault, not only the first.
//!
//! In: a directory. Out: each fault with file, offset and LSN, and one verdict. Nothing is changed. Each place is judged by
//! the same table as at opening; but where opening refuses, checking looks for the next record and goes on.

use std::path::{Path, PathBuf};

use super::read::{is_written_to, list, list_again};
use super::record::{ALIGN_BYTES, Kind, Record};
use super::recovery::{Action, Found, Marked, Place, decide};
use super::segment::Segment;
use super::snapshot::{self, Snapshot, Unusable};
use super::walk::{End, Judgement, Walk, deliver};
use super::{Each, Entry, FIRST_LSN, Hole, Item, LogError, Lsn, log_dir};
use crate::disk::Disk;

/// What a check has found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CheckReport {
    /// How many segments there are.
    pub segments: u64,
    /// How many good batches they hold.
    pub batches: u64,
    /// How many good bytes they hold: up to the end of the last good record of each.
    pub bytes: u64,
    /// LSN of the first good batch; 0 where there is none.
    pub first_lsn: Lsn,
    /// LSN of the last good batch; 0 where there is none.
    pub last_lsn: Lsn,
    /// LSN of the last batch that a mark or a successor vouches for.
    pub durable_lsn: Lsn,
    /// What an earlier salvage has given up. That is no fault: it is known.
    pub holes: Vec<Hole>,
    /// How many whole snapshots there are.
    pub snapshots: u64,
    /// The last LSN that the newest of them holds; 0 where there is none.
    pub snapshot_lsn: Lsn,
    /// Everything that is wrong, in the order of the log; then what is wrong with snapshots.
    pub faults: Vec<Fault>,
}

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// Whether a repair at opening would take it away.
    pub kind: FaultKind,
    /// Which file.
    pub file: PathBuf,
    /// At which byte.
    pub offset: u64,
    /// The LSN that should stand there.
    pub lsn: Lsn,
    /// What is wrong, and what is lost by it.
    pub what: String,
}

/// How bad a fault is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FaultKind {
    /// An append that a crash has interrupted. Nothing durable is lost; opening the log for writing repairs it.
    TornTail,
    /// Damage: opening refuses; of a snapshot, it takes the one before.
    Corrupt,
}

/// The whole log in one word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Nothing is wrong.
    Clean,
    /// Nothing but a torn tail.
    TornTail,
    /// Something worse.
    Corrupt,
}

impl CheckReport {
    /// The whole log in one word.
    pub fn verdict(&self) -> Verdict {
        if self.faults.is_empty() {
            Verdict::Clean
        } else if self.faults.iter().all(|fault| fault.kind == FaultKind::TornTail) {
            Verdict::TornTail
        } else {
            Verdict::Corrupt
        }
    }
}

/// Checks every byte of the log in `dir`. `each` is called for every good batch, in the order of the log; what it objects to
/// is a fault too. Beside a running writer, what it is just appending is no fault.
///
/// # Errors
/// [`LogError::Missing`], or the directory cannot be listed.
pub fn check(
    disk: &dyn Disk,
    dir: &Path,
    each: &mut dyn FnMut(Entry<'_>) -> Result<(), String>,
) -> Result<CheckReport, LogError> {
    let mut check = Check { disk, report: CheckReport::default(), next: FIRST_LSN };
    // Snapshots are listed first: so the segments reach to them.
    let snapshots = snapshot::list(disk, &log_dir(dir)).unwrap_or_default();
    let mut segments = list(disk, dir)?;
    let of_snapshots = check.snapshots(&snapshots, &segments);
    let each: Each<'_> = &mut |item| match item {
        Item::Entry(entry) => each(entry),
        Item::Chunk(_) | Item::Hole(_) => Ok(()),
    };
    let (mut at, mut listed_again) = (0, false);
    while let Some(segment) = segments.get(at) {
        if segment.first != check.next && !listed_again {
            // A directory that is written to may be listed with a hole.
            listed_again = true;
            at = list_again(disk, dir, &mut segments, at)?;
            continue;
        }
        check.segment(segment, segments.get(at + 1), each);
        at += 1;
    }
    let mut report = check.report;
    report.segments = segments.len() as u64;
    if is_written_to(disk, dir) {
        report.faults.retain(|fault| fault.kind != FaultKind::TornTail);
    } else if report.snapshot_lsn > report.last_lsn {
        let what = format!("a snapshot holds everything up to LSN {}, the log ends before that", report.snapshot_lsn);
        let file = segments.last().map_or_else(|| log_dir(dir), |segment| segment.path.clone());
        report.fault(FaultKind::Corrupt, &file, 0, report.last_lsn + 1, what);
    }
    report.faults.extend(of_snapshots);
    Ok(report)
}

struct Check<'a> {
    disk: &'a dyn Disk,
    report: CheckReport,
    /// The LSN that is due.
    next: Lsn,
}

impl Check<'_> {
    /// Reads every snapshot, and finds out where the segments may begin. A snapshot that went meanwhile is no fault.
    fn snapshots(&mut self, snapshots: &[Snapshot], segments: &[Segment]) -> Vec<Fault> {
        let mut faults = Vec::new();
        for snapshot in snapshots {
            match snapshot::verify(self.disk, snapshot) {
                Ok(_) => {
                    self.report.snapshots += 1;
                    self.report.snapshot_lsn = snapshot.lsn;
                }
                Err(Unusable::Io(_, error)) if error.kind() == std::io::ErrorKind::NotFound => {}
                Err(why) => {
                    let (file, offset, lsn) = (snapshot.path.clone(), why.offset(), snapshot.lsn);
                    faults.push(Fault { kind: FaultKind::Corrupt, file, offset, lsn, what: why.what() });
                }
            }
        }
        // What was dropped by retention is missing by right.
        let first = segments.first().map_or(FIRST_LSN, |segment| segment.first);
        if first <= self.report.snapshot_lsn + 1 {
            self.next = first;
        }
        faults
    }

    fn segment(&mut self, segment: &Segment, successor: Option<&Segment>, each: Each<'_>) {
        let path = &segment.path;
        if segment.first != self.next {
            let what = format!("LSN {} was expected, the segment begins with {}", self.next, segment.first);
            self.report.fault(FaultKind::Corrupt, path, 0, self.next, what);
        }
        let place = if successor.is_some() { Place::Sealed } else { Place::Last };
        self.next = match Walk::open(self.disk, segment, segment.first) {
            Ok(walk) => self.records(walk, place, successor, each),
            Err(end) => {
                let judgement = Judgement { case: decide(end.found, place, Marked::No), end };
                self.judged(&judgement, path, successor.map(|successor| successor.first));
                successor.map_or(segment.first, |successor| successor.first)
            }
        };
    }

    /// Checks the records of one segment, and says which LSN is due after it.
    fn records(&mut self, mut walk: Walk, place: Place, successor: Option<&Segment>, each: Each<'_>) -> Lsn {
        let path = walk.path.clone();
        loop {
            let (report, mut objections) = (&mut self.report, Vec::new());
            let judgement = walk.judge(place, &mut |record| {
                report.count(record);
                if let Err(LogError::Entry { offset, lsn, what, .. }) = deliver(&path, record, each) {
                    objections.push((offset, lsn, what));
                }
                Ok(())
            });
            for (offset, lsn, what) in objections {
                self.report.fault(FaultKind::Corrupt, &path, offset, lsn, what);
            }
            let judgement = judgement.expect("invariant: this visitor never fails");
            let found = judgement.end.found;
            let goes_on = matches!(judgement.case.action, Action::RefuseCorrupt | Action::RefuseVersion);
            // A whole record in the wrong place is itself the next one; anything else is stepped over.
            let from = if found == Found::Gap { walk.at } else { walk.at + ALIGN_BYTES as u64 };
            let (end, next) = (walk.at, walk.next);
            let successor = successor.map(|successor| successor.first);
            let resumed = if goes_on { walk.resume(from, successor).unwrap_or(None) } else { None };
            let lost_before = resumed.or(successor);
            let is_fault = self.judged(&judgement, &path, lost_before);
            if resumed.is_none() {
                self.report.bytes += end;
                let durable = if place == Place::Sealed { next - 1 } else { walk.durable };
                self.report.durable_lsn = self.report.durable_lsn.max(durable);
                return if is_fault { lost_before.unwrap_or(next) } else { next };
            }
        }
    }

    /// Writes down what a judgement says, if it is a fault. `resumes_with`: the LSN after the damage.
    fn judged(&mut self, judgement: &Judgement, path: &Path, resumes_with: Option<Lsn>) -> bool {
        let Judgement { case, end } = judgement;
        let kind = match case.action {
            Action::Next | Action::Append | Action::Copy => return false,
            Action::CopyWithoutTail | Action::CopyWithoutZeros | Action::CreateAgain => FaultKind::TornTail,
            Action::RefuseRead | Action::RefuseVersion | Action::RefuseCorrupt => FaultKind::Corrupt,
        };
        let what = end.what() + &losses(end, resumes_with);
        self.report.fault(kind, path, end.offset, end.lsn, what);
        true
    }
}

fn losses(end: &End, resumes_with: Option<Lsn>) -> String {
    match resumes_with.and_then(|lsn| lsn.checked_sub(end.lsn)) {
        None | Some(0) => String::new(),
        Some(1) => format!("; LSN {} is lost", end.lsn),
        Some(lost) => format!("; LSN {} to {} are lost", end.lsn, end.lsn + lost - 1),
    }
}

impl CheckReport {
    fn count(&mut self, record: &Record<'_>) {
        if record.kind == Kind::Batch {
            if self.batches == 0 {
                self.first_lsn = record.lsn;
            }
            self.batches += 1;
        }
        match record.kind {
            Kind::Batch => self.last_lsn = record.lsn,
            Kind::Hole => {
                self.last_lsn = record.lsn;
                self.holes.push(Hole { first: record.durable + 1, last: record.lsn });
            }
            Kind::Mark | Kind::Stop => {}
        }
    }

    fn fault(&mut self, kind: FaultKind, file: &Path, offset: u64, lsn: Lsn, what: String) {
        self.faults.push(Fault { kind, file: file.to_owned(), offset, lsn, what });
    }
}
