//! Salvage: a damaged log is made one that opens, without what is damaged, and every hole is named.
//!
//! ```text
//! segment   1 2 3 ▒▒▒ 7 8 9  ──►  1 2 3 [hole 4 to 6] 7 8 9        the damaged file is kept beside it
//! no segment for 10 to 19    ──►  a segment with [hole 10 to 19]
//! ```
//! In: a directory whose opening is refused as corrupt. Out: what was given up. What always holds:
//! - nothing that is whole is given up, and nothing of the damaged files is deleted: they get other names;
//! - LSNs stay what they were; a hole is a record like others, so a salvaged log is told from one that lost nothing;
//! - each segment is replaced by one rename: after a crash in between, another salvage goes on;
//! - a disk that cannot be read, or a later program's files, are no damage: they are refused here, too.

use std::path::{Path, PathBuf};

use super::copy::Copy;
use super::read::place;
use super::record::{ALIGN_BYTES, Head, Kind};
use super::recovery::{Found, Place};
use super::repair::new_salt;
use super::segment::{self, HEADER_BYTES, Header, Magic, Segment};
use super::snapshot::{self, Unusable};
use super::walk::{Walk, survey};
use super::{Hole, Item, LogError, Lsn, Options, lock, log_dir};
use crate::disk::{Disk, Mode};
use crate::limits::LOG_READ_BYTES;

/// What salvage has done.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SalvageReport {
    /// What is lost now, and what was found lost before.
    pub holes: Vec<Hole>,
    /// The last LSN that a whole snapshot holds: what is lost up to there is not lost to the state.
    pub snapshot_lsn: Lsn,
    /// Where damaged files are kept.
    pub kept: Vec<PathBuf>,
}

/// Salvages the log in `dir`, which nobody else may write to meanwhile. A log that is whole is left as it is, and so is a torn
/// tail: opening repairs that.
///
/// # Errors
/// [`LogError::Missing`], [`LogError::Locked`], [`LogError::Read`], [`LogError::Version`]; and the disk's, writing.
pub fn salvage(disk: &dyn Disk, dir: &Path, mut options: Options) -> Result<SalvageReport, LogError> {
    super::read::list(disk, dir)?;
    let _lock = lock(disk, dir)?;
    let log_dir = log_dir(dir);
    let mut salvage = Salvage { disk, log_dir: &log_dir, options: &mut options, report: SalvageReport::default() };
    salvage.snapshots()?;
    salvage.segments()?;
    Ok(salvage.report)
}

struct Salvage<'a> {
    disk: &'a dyn Disk,
    log_dir: &'a Path,
    options: &'a mut Options,
    report: SalvageReport,
}

impl Salvage<'_> {
    /// Gives damaged snapshots another name.
    fn snapshots(&mut self) -> Result<(), LogError> {
        let listed = |error| LogError::read(self.log_dir, 0, error);
        for snapshot in snapshot::list(self.disk, self.log_dir).map_err(listed)? {
            match snapshot::verify(self.disk, &snapshot) {
                Ok(_) => self.report.snapshot_lsn = snapshot.lsn,
                Err(Unusable::Io(offset, error)) => return Err(LogError::read(&snapshot.path, offset, error)),
                Err(Unusable::Version(offset, what)) => {
                    return Err(LogError::Version { file: snapshot.path, offset, lsn: snapshot.lsn, what });
                }
                Err(Unusable::Bad(..)) => self.rename(&snapshot.path, snapshot.damaged_path())?,
            }
        }
        Ok(())
    }

    fn segments(&mut self) -> Result<(), LogError> {
        let segments = self.list()?;
        let base = self.report.snapshot_lsn;
        // What is before the first segment is missing by right where a snapshot holds it.
        let mut next = segments.first().map_or(base + 1, |segment| segment.first.min(base + 1));
        for (at, segment) in segments.iter().enumerate() {
            let successor = segments.get(at + 1).map(|successor| successor.first);
            if segment.first < next {
                // It claims what another has: only one can be right, and that one was whole.
                self.rename(&segment.path, segment.damaged_path())?;
                continue;
            }
            if segment.first > next {
                self.bridge(next, segment.first - 1)?;
            }
            next = self.segment(segment, successor)?;
        }
        if next <= base {
            self.bridge(next, base)?;
        } else if self.list()?.is_empty() {
            // Nothing was left of any segment, or there was none: the log goes on behind the snapshot.
            segment::create(self.disk, &Segment::new(self.log_dir, next), self.new_header(next))?;
        }
        self.report.holes.sort_unstable_by_key(|hole| hole.first);
        Ok(())
    }

    fn list(&self) -> Result<Vec<Segment>, LogError> {
        segment::list(self.disk, self.log_dir).map_err(|error| LogError::read(self.log_dir, 0, error))
    }

    /// Salvages one segment, and says which LSN is due after it. `successor` is the LSN that the next one begins with.
    fn segment(&mut self, segment: &Segment, successor: Option<Lsn>) -> Result<Lsn, LogError> {
        let mut holes = Vec::new();
        let place = place(successor.is_none());
        let (walk, judgement) = survey(self.disk, segment, place, segment.first, &mut |item| {
            holes.extend(if let Item::Hole(hole) = item { Some(hole) } else { None });
            Ok(())
        })?;
        if judgement.accept(&segment.path).is_ok() {
            self.report.holes.append(&mut holes);
            return Ok(walk.map_or(segment.first, |walk| walk.next));
        }
        let survivors = self.survivors(segment, successor)?;
        let Some(last) = survivors.last() else {
            self.rename(&segment.path, segment.damaged_path())?;
            return Ok(segment.first);
        };
        self.rewrite(segment, &survivors)?;
        self.report.holes.extend(survivors.iter().filter(|s| s.is_hole).map(|s| Hole { first: s.first, last: s.last }));
        Ok(last.last + 1)
    }

    /// Every batch of a segment that is whole and comes in order, and every hole that is vouched for.
    fn survivors(&self, segment: &Segment, successor: Option<Lsn>) -> Result<Vec<Survivor>, LogError> {
        let mut survivors: Vec<Survivor> = Vec::new();
        let Some(mut walk) = self.walk(segment)? else { return Ok(survivors) };
        let mut due = segment.first;
        loop {
            let mut found = Vec::new();
            let from_due = due;
            let judgement = walk.judge(Place::Sealed, &mut |record| {
                let survivor = match record.kind {
                    Kind::Batch => Survivor::batch(record.lsn, record.offset),
                    Kind::Hole => Survivor::hole(record.durable + 1, record.lsn),
                    Kind::Mark | Kind::Stop => return Ok(()),
                };
                // What comes twice is taken once.
                if survivor.first >= from_due {
                    found.push(survivor);
                }
                Ok(())
            })?;
            survivors.append(&mut found);
            due = due.max(walk.next);
            let found = judgement.end.found;
            if found == Found::Whole {
                return Ok(survivors);
            }
            judgement.end.refuse_unreadable(&segment.path)?;
            let from = if found == Found::Gap { walk.at } else { walk.at + ALIGN_BYTES as u64 };
            let resumed = walk.resume(from, successor);
            let resumed = resumed.map_err(|error| LogError::read(&segment.path, from, error))?;
            let Some(lsn) = resumed else { return Ok(survivors) };
            if lsn > due {
                survivors.push(Survivor::hole(due, lsn - 1));
                due = lsn;
            }
        }
    }

    /// A walk through a segment, also where its header is damaged; `None` where no record can be told.
    fn walk(&self, segment: &Segment) -> Result<Option<Walk>, LogError> {
        match Walk::open(self.disk, segment, segment.first) {
            Ok(walk) => Ok(Some(walk)),
            Err(end) => {
                end.refuse_unreadable(&segment.path)?;
                Walk::without_header(self.disk, segment)
            }
        }
    }

    /// Puts a segment in the place of a damaged one, of which a copy is kept.
    fn rewrite(&mut self, segment: &Segment, survivors: &[Survivor]) -> Result<(), LogError> {
        self.keep(segment)?;
        let walk = self.walk(segment)?;
        let (salt, created) = walk.as_ref().map_or((0, 0), |walk| (walk.salt, walk.created));
        let header = Header { first: segment.first, salt: new_salt(&mut self.options.rng, salt), created };
        let mut copy = Copy::create(self.disk, &segment.repair_path())?;
        let copied = put_survivors(&mut copy, header, walk, survivors);
        self.replace(segment, copy, copied)
    }

    fn replace(&self, segment: &Segment, copy: Copy, copied: Result<(), LogError>) -> Result<(), LogError> {
        let path = copy.finish(self.disk, copied)?.path;
        self.disk.rename(&path, &segment.path).map_err(|source| LogError::write(&segment.path, 0, source))?;
        self.sync_dir()
    }

    /// Copies a damaged segment aside. A copy that an earlier salvage has made stays: it is nearer to the damage.
    fn keep(&mut self, segment: &Segment) -> Result<(), LogError> {
        let kept = segment.damaged_path();
        if self.disk.open(&kept, Mode::Read).is_err() {
            let file = self.disk.open(&segment.path, Mode::Read);
            let mut scan = super::scan::Scan::new(file.map_err(|error| LogError::read(&segment.path, 0, error))?);
            let draft = kept.with_extension("damaged.tmp");
            let mut copy = Copy::create(self.disk, &draft)?;
            let mut at = 0;
            let copied = loop {
                match scan.bytes(at, LOG_READ_BYTES) {
                    Ok([]) => break Ok(()),
                    Ok(bytes) => match copy.put(bytes) {
                        Ok(()) => at += bytes.len() as u64,
                        failed => break failed,
                    },
                    Err(error) => break Err(LogError::read(&segment.path, at, error)),
                }
            };
            copy.finish(self.disk, copied)?;
            self.disk.rename(&draft, &kept).map_err(|source| LogError::write(&kept, 0, source))?;
            self.sync_dir()?;
        }
        self.report.kept.push(kept);
        Ok(())
    }

    fn new_header(&mut self, first: Lsn) -> Header {
        Header { first, salt: new_salt(&mut self.options.rng, 0), created: self.options.now }
    }

    /// A segment that says that everything from `first` to `last` is lost.
    fn bridge(&mut self, first: Lsn, last: Lsn) -> Result<(), LogError> {
        let segment = Segment::new(self.log_dir, first);
        let header = self.new_header(first);
        let mut copy = Copy::create(self.disk, &segment.repair_path())?;
        let copied = copy
            .put(&header.encode(Magic::Segment))
            .and_then(|()| copy.put_with(|out| Head::hole(header.salt, first, last).encode(&[], out)));
        self.replace(&segment, copy, copied)?;
        self.report.holes.push(Hole { first, last });
        Ok(())
    }

    fn rename(&mut self, from: &Path, to: PathBuf) -> Result<(), LogError> {
        self.disk.rename(from, &to).map_err(|source| LogError::write(&to, 0, source))?;
        self.sync_dir()?;
        self.report.kept.push(to);
        Ok(())
    }

    fn sync_dir(&self) -> Result<(), LogError> {
        self.disk.sync_dir(self.log_dir).map_err(|source| LogError::sync(self.log_dir, source))
    }
}

/// A batch that is whole, or a hole.
#[derive(Clone, Copy, Debug)]
struct Survivor {
    first: Lsn,
    last: Lsn,
    /// Where the batch begins.
    offset: u64,
    is_hole: bool,
}

impl Survivor {
    const fn batch(lsn: Lsn, offset: u64) -> Self {
        Self { first: lsn, last: lsn, offset, is_hole: false }
    }

    const fn hole(first: Lsn, last: Lsn) -> Self {
        Self { first, last, offset: 0, is_hole: true }
    }
}

fn put_survivors(copy: &mut Copy, header: Header, walk: Option<Walk>, survivors: &[Survivor]) -> Result<(), LogError> {
    copy.put(&header.encode(Magic::Segment))?;
    let Some(mut walk) = walk else { return Ok(()) };
    let mut durable = header.first - 1;
    for survivor in survivors {
        if survivor.is_hole {
            copy.put_with(|out| Head::hole(header.salt, survivor.first, survivor.last).encode(&[], out))?;
            durable = durable.max(survivor.first - 1);
            continue;
        }
        let again = |error| LogError::read(&walk.path, survivor.offset, error);
        let whole = walk.scan.whole(survivor.offset, walk.salt).map_err(again)?;
        let Some((head, payload, _)) = whole.filter(|(head, ..)| head.lsn == survivor.first) else {
            return Err(LogError::read(&walk.path, survivor.offset, std::io::Error::other("two readings differ")));
        };
        // What a head calls durable must be before it, whatever was lost in between.
        durable = durable.max(head.durable.min(survivor.first - 1));
        let head = Head::batch(header.salt, survivor.first, durable, head.version);
        copy.put_with(|out| head.encode(payload, out))?;
    }
    Ok(())
}

const _: () = assert!(HEADER_BYTES.is_multiple_of(ALIGN_BYTES), "records are looked for at multiples of this");
