//! Opening a log: judge every segment, replay what it holds, repair the end, and make certain what is there.
//!
//! In: a locked directory. Out: the place to append at. What the table refuses is refused before anything is changed;
//! everything that is changed is changed by one rename, so a crash in the middle is a crash before or after it, and
//! opening again ends in the same log.
//!
//! Why the end is copied: after a failed sync the page cache may go on showing what the disk never got, and a later sync of
//! the same file may say yes to it. Bytes that were written anew, into a new file, and synced there are certain. The
//! copy also has a new salt. So what was cut off, and may come back from reused space, can never be taken for a record.

use std::io;
use std::path::{Path, PathBuf};

use super::copy::Copy;
use super::record::{Head, Kind};
use super::recovery::{Action, Place};
use super::segment::{self, HEADER_BYTES, Header, Magic, Segment};
use super::snapshot::{Snapshot, Unusable};
use super::start;
use super::walk::{End, Walk, survey};
use super::{Each, Entry, Hole, Item, LogError, Lsn, Options};
use crate::disk::{Disk, DiskFile, Mode};

/// What opening has found and done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recovered {
    /// LSN of the first batch in the log; where there is none yet, the LSN it will have.
    pub first_lsn: Lsn,
    /// LSN of the last batch; 0 where there is none. All of them are durable.
    pub last_lsn: Lsn,
    /// The last LSN that the snapshot held from which the replay began; 0 where there was none.
    pub snapshot_lsn: Lsn,
    /// How many batches were replayed: those after the snapshot.
    pub batches: u64,
    /// The row of the recovery table that the last segment met; `fresh` where there was no segment.
    pub case: &'static str,
    /// How many batches at the end no mark vouched for: they were copied and synced.
    pub made_certain: u64,
    /// The tail that was cut off, where there was one.
    pub torn: Option<TornTail>,
    /// Snapshots that were damaged, and have another name now; the one before them was taken.
    pub damaged: Vec<DamagedSnapshot>,
}

/// A snapshot that could not be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DamagedSnapshot {
    /// Where it is kept.
    pub kept: PathBuf,
    /// At which byte it is damaged.
    pub offset: u64,
    /// What is wrong.
    pub what: String,
}

/// What was cut off the end of the log: an append that a crash has interrupted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TornTail {
    /// The segment.
    pub file: PathBuf,
    /// Where the tail began, in bytes.
    pub offset: u64,
    /// The LSN that should have stood there.
    pub lsn: Lsn,
    /// How long it was, in bytes.
    pub bytes: u64,
    /// Where it is kept; `None` where it was nothing but zeros.
    pub kept: Option<PathBuf>,
}

/// The segment that grows.
#[derive(Debug)]
pub(super) struct Growing {
    pub segment: Segment,
    pub file: Box<dyn DiskFile>,
    pub salt: u32,
    /// When it was created, in seconds since the epoch; 0 where that is not known.
    pub created: u32,
    /// Where the next record goes, in bytes.
    pub end: u64,
}

/// All that the writer needs to know of what is there.
#[derive(Debug)]
pub(super) struct Opened {
    pub growing: Growing,
    /// Segments before it.
    pub sealed: u64,
    /// Their bytes.
    pub sealed_bytes: u64,
    pub recovered: Recovered,
}

/// Opens the log in `log_dir`, which nobody else writes to.
pub(super) fn open(disk: &dyn Disk, log_dir: &Path, options: &mut Options, each: Each<'_>) -> Result<Opened, LogError> {
    let start = start::choose(disk, log_dir)?;
    start.read_snapshot(disk, each)?;
    let base = start.base();
    let mut repair = Repair { disk, log_dir, options, torn: None, made_certain: 0 };
    let (mut next, mut batches, mut sealed_bytes) = (start.first(), 0, 0);
    for segment in &start.covered {
        sealed_bytes += segment.size(disk)?;
    }
    let mut after_base = |item: Item<'_>| match item {
        Item::Entry(Entry { lsn, .. }) | Item::Hole(Hole { last: lsn, .. }) if lsn <= base => Ok(()),
        item => {
            batches += u64::from(matches!(item, Item::Entry(_)));
            each(item)
        }
    };
    let (mut growing, mut label) = (None, "fresh");
    for (at, segment) in start.segments.iter().enumerate() {
        let place = if at + 1 == start.segments.len() { Place::Last } else { Place::Sealed };
        let (walk, judgement) = survey(disk, segment, place, next, &mut after_base)?;
        label = judgement.case.label;
        let (action, end) = judgement.accept(&segment.path)?;
        if let Some(walk) = &walk {
            next = walk.next;
        }
        if action == Action::Next {
            sealed_bytes += end.offset;
        } else {
            start.reaches(next - 1, segment, end.offset)?;
            growing = Some(repair.last(segment, walk, action, &end)?);
        }
    }
    let growing = match growing {
        Some(growing) => growing,
        None => repair.create(next)?,
    };
    let damaged = repair.set_snapshots_aside(&start.damaged)?;
    segment::remove_drafts(disk, log_dir).map_err(|source| LogError::write(log_dir, 0, source))?;
    let Repair { torn, made_certain, .. } = repair;
    let first_lsn = start.covered.first().map_or(start.first(), |segment| segment.first);
    let snapshot_lsn = start.base();
    let recovered =
        Recovered { first_lsn, last_lsn: next - 1, snapshot_lsn, batches, case: label, made_certain, torn, damaged };
    let sealed = (start.covered.len() + start.segments.len()).saturating_sub(1) as u64;
    Ok(Opened { growing, sealed, sealed_bytes, recovered })
}

/// What is done to the last segment.
struct Repair<'a> {
    disk: &'a dyn Disk,
    log_dir: &'a Path,
    options: &'a mut Options,
    torn: Option<TornTail>,
    made_certain: u64,
}

impl Repair<'_> {
    fn last(&mut self, segment: &Segment, walk: Option<Walk>, action: Action, end: &End) -> Result<Growing, LogError> {
        let Some(mut walk) = walk else {
            self.set_aside(segment, end)?;
            return self.create(segment.first);
        };
        match action {
            Action::Append => return self.append_to(segment, &mut walk, end),
            Action::CopyWithoutTail => self.keep_tail(segment, &mut walk, end)?,
            Action::CopyWithoutZeros => self.torn = Some(torn_tail(segment, &mut walk, end, None)?),
            _ => {}
        }
        self.copy(segment, walk, end)
    }

    /// A segment that ends as it should: it is gone on with.
    ///
    /// A mark says that the batches before it are on the disk, not that the mark itself is. If its own sync has failed, the
    /// page cache shows a mark that the disk never got, and a hole would stand before the next batch. So the marks behind
    /// the last batch are written once more, and synced. So is the end of the file: where the disk was full, a batch was cut off
    /// again, and the cut may be in the page cache alone. The batch would come back after the next power cut.
    fn append_to(&self, segment: &Segment, walk: &mut Walk, end: &End) -> Result<Growing, LogError> {
        let path = &segment.path;
        let mut marks = Vec::new();
        walk.copy_rest(walk.batches_end, &mut |bytes| {
            marks.extend_from_slice(bytes);
            Ok(())
        })?;
        let written = self.disk.open(path, Mode::Write).and_then(|mut file| {
            file.write_all_at(walk.batches_end, &marks)?;
            file.truncate(end.offset)?;
            Ok(file)
        });
        let mut file = written.map_err(|source| LogError::write(path, marks.len(), source))?;
        file.sync_data().map_err(|source| LogError::sync(path, source))?;
        self.sync_dir()?;
        Ok(Growing { segment: segment.clone(), file, salt: walk.salt, created: walk.created, end: end.offset })
    }

    /// Creates the segment that begins with `first`.
    fn create(&mut self, first: Lsn) -> Result<Growing, LogError> {
        let segment = Segment::new(self.log_dir, first);
        let header = Header { first, salt: new_salt(&mut self.options.rng, 0), created: self.options.now };
        let file = segment::create(self.disk, &segment, header)?;
        Ok(Growing { segment, file, salt: header.salt, created: header.created, end: HEADER_BYTES as u64 })
    }

    /// Gives a segment that has no whole header another name.
    fn set_aside(&mut self, segment: &Segment, end: &End) -> Result<(), LogError> {
        let kept = segment.torn_path(0);
        let bytes = segment.size(self.disk)?;
        self.disk.rename(&segment.path, &kept).map_err(|source| LogError::write(&kept, 0, source))?;
        self.sync_dir()?;
        self.torn = Some(TornTail { file: segment.path.clone(), offset: 0, lsn: end.lsn, bytes, kept: Some(kept) });
        Ok(())
    }

    /// Gives snapshots that are damaged another name: they are not to be counted among the two that are kept.
    fn set_snapshots_aside(&self, damaged: &[(Snapshot, Unusable)]) -> Result<Vec<DamagedSnapshot>, LogError> {
        let mut aside = Vec::new();
        for (snapshot, unusable) in damaged {
            let kept = snapshot.damaged_path();
            self.disk.rename(&snapshot.path, &kept).map_err(|source| LogError::write(&kept, 0, source))?;
            self.sync_dir()?;
            aside.push(DamagedSnapshot { kept, offset: unusable.offset(), what: unusable.what() });
        }
        Ok(aside)
    }

    /// Copies the tail into a file of its own.
    fn keep_tail(&mut self, segment: &Segment, walk: &mut Walk, end: &End) -> Result<(), LogError> {
        let kept = segment.torn_path(end.offset);
        let mut copy = Copy::create(self.disk, &kept)?;
        let copied = walk.copy_rest(end.offset, &mut |bytes| copy.put(bytes));
        copy.finish(self.disk, copied)?;
        self.sync_dir()?;
        self.torn = Some(torn_tail(segment, walk, end, Some(kept))?);
        Ok(())
    }

    /// Puts a copy of all that is good, with a new salt, in the segment's place.
    fn copy(&mut self, segment: &Segment, mut walk: Walk, end: &End) -> Result<Growing, LogError> {
        self.made_certain = walk.next - 1 - walk.durable;
        let header =
            Header { first: segment.first, salt: new_salt(&mut self.options.rng, walk.salt), created: walk.created };
        let path = segment.repair_path();
        let mut copy = Copy::create(self.disk, &path)?;
        let copied = put_all(&mut copy, segment, &mut walk, end, header);
        let mut copy = copy.finish(self.disk, copied)?;
        self.disk.rename(&path, &segment.path).map_err(|source| LogError::write(&segment.path, 0, source))?;
        self.sync_dir()?;
        // Only now is it true that all of this is on the disk, under this name. A crash before here: it is copied again.
        let last = end.lsn - 1;
        copy.put_with(|out| Head::mark(Kind::Stop, header.salt, last, last).encode(&[], out))?;
        copy.sync()?;
        let Header { salt, created, .. } = header;
        Ok(Growing { segment: segment.clone(), file: copy.file, salt, created, end: copy.written })
    }

    fn sync_dir(&self) -> Result<(), LogError> {
        self.disk.sync_dir(self.log_dir).map_err(|source| LogError::sync(self.log_dir, source))
    }
}

/// A salt that no record of the segment before has, and that is not zero: zeros must be no record.
pub(super) fn new_salt(rng: &mut fastrand::Rng, before: u32) -> u32 {
    loop {
        match rng.u32(1..) {
            salt if salt != before => return salt,
            _ => {}
        }
    }
}

fn torn_tail(segment: &Segment, walk: &mut Walk, end: &End, kept: Option<PathBuf>) -> Result<TornTail, LogError> {
    let mut bytes = 0;
    walk.copy_rest(end.offset, &mut |piece| {
        bytes += piece.len() as u64;
        Ok(())
    })?;
    Ok(TornTail { file: segment.path.clone(), offset: end.offset, lsn: end.lsn, bytes, kept })
}

/// The header, and every batch up to `end`.
fn put_all(copy: &mut Copy, segment: &Segment, walk: &mut Walk, end: &End, header: Header) -> Result<(), LogError> {
    copy.put(&header.encode(Magic::Segment))?;
    walk.rewind();
    walk.judge(Place::Last, &mut |record| {
        let head = match record.kind {
            Kind::Batch => Head::batch(header.salt, record.lsn, record.durable, record.version),
            Kind::Hole => Head::hole(header.salt, record.durable + 1, record.lsn),
            Kind::Mark | Kind::Stop => return Ok(()),
        };
        copy.put_with(|out| head.encode(record.payload, out))
    })?;
    if (walk.at, walk.next) != (end.offset, end.lsn) {
        let error = io::Error::other("two readings differ");
        return Err(LogError::read(&segment.path, walk.at, error));
    }
    Ok(())
}
