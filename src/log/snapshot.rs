//! Snapshots: the whole state up to one LSN, so that a start need not read everything since the first.
//!
//! ```text
//! header (32 bytes, as of a segment, magic "atrasnap")   its LSN is the last one that the state holds
//! chunk 1 │ chunk 2 │ …                                  records: lsn = number of the chunk, durable lsn = the snapshot's
//! end                                                    a record without payload: lsn = how many chunks there are
//! ```
//! A chunk's record has the section's number where other records have zeros, and the section's version where they have the
//! payload's. What a section means is not known here. Each record has a checksum, and the end says how many there must be: a
//! snapshot is whole, or it is none.
//!
//! It is written aside, synced, renamed, and read back before it counts. Then what it makes superfluous goes (`retention`).
//! A failure to write one costs nothing but its absence: the log goes on.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::copy::Copy;
use super::record::{Head, RawKind};
use super::retention::{self, Dropped};
use super::scan::Scan;
use super::segment::{HEADER_BYTES, Header, HeaderError, Magic};
use super::{Chunk, Each, Item, LAST_LSN, LogError, Lsn};
use crate::disk::{Disk, Mode};

/// A snapshot's name in the file system.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Snapshot {
    /// The last LSN that its state holds.
    pub lsn: Lsn,
    pub path: PathBuf,
}

const EXTENSION: &str = "snap";

impl Snapshot {
    /// The snapshot in `log_dir` that holds everything up to `lsn`.
    pub fn new(log_dir: &Path, lsn: Lsn) -> Self {
        Self { lsn, path: log_dir.join(format!("{lsn:020}.{EXTENSION}")) }
    }

    fn from_name(log_dir: &Path, name: &str) -> Option<Self> {
        let digits = name.strip_suffix(EXTENSION)?.strip_suffix('.')?;
        if digits.len() != 20 || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        Some(Self::new(log_dir, digits.parse().ok().filter(|&lsn| lsn <= LAST_LSN)?))
    }

    /// Where it is prepared.
    fn draft_path(&self) -> PathBuf {
        self.path.with_extension("snap.tmp")
    }

    /// Where it is kept when it turns out to be damaged.
    pub fn damaged_path(&self) -> PathBuf {
        self.path.with_extension("snap.damaged")
    }
}

/// The snapshots of a log, in order.
pub(super) fn list(disk: &dyn Disk, log_dir: &Path) -> io::Result<Vec<Snapshot>> {
    let names = disk.list(log_dir)?;
    let mut snapshots: Vec<Snapshot> = names.iter().filter_map(|name| Snapshot::from_name(log_dir, name)).collect();
    snapshots.sort_by_key(|snapshot| snapshot.lsn);
    Ok(snapshots)
}

/// A snapshot, as it lies there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
pub struct SnapshotFile {
    /// The last LSN that its state holds.
    pub lsn: Lsn,
    /// Its size in bytes.
    pub bytes: u64,
}

/// The snapshots of the log in `dir` that are whole, oldest first.
///
/// # Errors
/// [`LogError::Read`]
pub fn snapshots(disk: &dyn Disk, dir: &Path) -> Result<Vec<SnapshotFile>, LogError> {
    let log_dir = super::log_dir(dir);
    let listed = list(disk, &log_dir).map_err(|error| LogError::read(&log_dir, 0, error))?;
    let whole =
        |snapshot: Snapshot| verify(disk, &snapshot).ok().map(|bytes| SnapshotFile { lsn: snapshot.lsn, bytes });
    Ok(listed.into_iter().filter_map(whole).collect())
}

/// Why a file is no snapshot that can be used.
#[derive(Debug)]
pub(super) enum Unusable {
    /// The disk gave an error.
    Io(u64, io::Error),
    /// Cut short, or damaged, at this byte.
    Bad(u64, String),
    /// Written by a later program.
    Version(u64, String),
}

impl Unusable {
    /// At which byte.
    pub const fn offset(&self) -> u64 {
        match self {
            Self::Io(offset, _) | Self::Bad(offset, _) | Self::Version(offset, _) => *offset,
        }
    }

    /// What is wrong, in words.
    pub fn what(&self) -> String {
        match self {
            Self::Io(_, error) => format!("the snapshot cannot be read: {error}"),
            Self::Bad(_, what) => format!("the snapshot is damaged: {what}"),
            Self::Version(_, what) => format!("the snapshot was written by a later program ({what})"),
        }
    }
}

/// Why the walk through a snapshot ended early.
enum Halt {
    Unusable(Unusable),
    Visit(String, u64),
}

impl From<Unusable> for Halt {
    fn from(unusable: Unusable) -> Self {
        Self::Unusable(unusable)
    }
}

/// Reads every byte of a snapshot, and says how many it has.
pub(super) fn verify(disk: &dyn Disk, snapshot: &Snapshot) -> Result<u64, Unusable> {
    walk(disk, snapshot, &mut |_, _| Ok(())).map_err(|halt| match halt {
        Halt::Unusable(unusable) => unusable,
        Halt::Visit(..) => unreachable!("invariant: this visitor never fails"),
    })
}

/// Hands out the chunks of a snapshot that [`verify`] has found good.
pub(super) fn read(disk: &dyn Disk, snapshot: &Snapshot, each: Each<'_>) -> Result<(), LogError> {
    let file = || snapshot.path.clone();
    let done = walk(disk, snapshot, &mut |chunk, offset| each(Item::Chunk(chunk)).map_err(|what| (what, offset)));
    done.map(|_| ()).map_err(|halt| match halt {
        Halt::Visit(what, offset) => LogError::Entry { file: file(), offset, lsn: snapshot.lsn, what },
        Halt::Unusable(Unusable::Io(offset, error)) => LogError::read(&snapshot.path, offset, error),
        Halt::Unusable(other) => {
            LogError::Corrupt { file: file(), offset: other.offset(), lsn: snapshot.lsn, what: other.what() }
        }
    })
}

type Visit<'v> = &'v mut dyn FnMut(Chunk<'_>, u64) -> Result<(), (String, u64)>;

fn walk(disk: &dyn Disk, snapshot: &Snapshot, visit: Visit<'_>) -> Result<u64, Halt> {
    let io = |offset| move |error| Unusable::Io(offset, error);
    let bad = |offset, what: &str| Unusable::Bad(offset, what.to_owned());
    let mut scan = Scan::new(disk.open(&snapshot.path, Mode::Read).map_err(io(0))?);
    let header = match Header::decode(Magic::Snapshot, scan.bytes(0, HEADER_BYTES).map_err(io(0))?) {
        Ok(header) if header.first == snapshot.lsn => header,
        Ok(header) => {
            return Err(bad(0, &format!("its name says LSN {}, its header {}", snapshot.lsn, header.first)).into());
        }
        Err(HeaderError::Version(version)) => {
            return Err(Unusable::Version(0, format!("snapshot of version {version}")).into());
        }
        Err(HeaderError::Bad) => return Err(bad(0, "it has no whole header").into()),
    };
    let (mut at, mut chunks) = (HEADER_BYTES as u64, 0);
    loop {
        let Some((head, payload, size)) = scan.whole(at, header.salt).map_err(io(at))? else {
            return Err(bad(at, "bytes that are no chunk, or the end is missing").into());
        };
        if head.durable != snapshot.lsn {
            return Err(bad(at, "a chunk of another snapshot").into());
        }
        match head.raw_kind() {
            RawKind::Chunk if head.lsn == chunks + 1 => {
                chunks += 1;
                let Ok(section) = u8::try_from(head.reserved) else {
                    return Err(Unusable::Version(at, format!("section {}", head.reserved)).into());
                };
                let chunk = Chunk { section, version: head.version, payload };
                visit(chunk, at).map_err(|(what, offset)| Halt::Visit(what, offset))?;
                at += size;
            }
            RawKind::End if head.lsn == chunks => {
                at += size;
                return match scan.bytes(at, 1).map_err(io(at))? {
                    [] => Ok(at),
                    _ => Err(bad(at, "bytes behind its end").into()),
                };
            }
            RawKind::Chunk | RawKind::End => return Err(bad(at, "a chunk is missing, or there twice").into()),
            _ => return Err(Unusable::Version(at, format!("record of kind {}", head.kind)).into()),
        }
    }
}

/// A snapshot that is being written. Dropped before [`SnapshotWriter::finish`], it leaves a draft that the next one, or the
/// next opening, removes.
#[derive(Debug)]
pub struct SnapshotWriter {
    disk: Arc<dyn Disk>,
    log_dir: PathBuf,
    snapshot: Snapshot,
    header: Header,
    draft: Copy,
    chunks: u64,
    now: u32,
}

impl SnapshotWriter {
    pub(super) fn create(disk: Arc<dyn Disk>, log_dir: &Path, lsn: Lsn, salt: u32, now: u32) -> Result<Self, LogError> {
        let snapshot = Snapshot::new(log_dir, lsn);
        let draft = Copy::create(&*disk, &snapshot.draft_path())?;
        let header = Header { first: lsn, salt, created: now };
        let mut writer = Self { disk, log_dir: log_dir.to_owned(), snapshot, header, draft, chunks: 0, now };
        let begun = writer.draft.put(&header.encode(Magic::Snapshot));
        writer.or_remove(begun)?;
        Ok(writer)
    }

    /// Appends one chunk: a part of a section, in that section's version.
    ///
    /// # Errors
    /// [`LogError::NoSpace`], [`LogError::Write`], [`LogError::TooLarge`]: there will be no snapshot this time; the log goes on.
    pub fn put(&mut self, section: u8, version: u8, payload: &[u8]) -> Result<(), LogError> {
        if payload.len() > crate::limits::LOG_RECORD_BYTES_MAX {
            return Err(LogError::TooLarge { bytes: payload.len() });
        }
        self.chunks += 1;
        let head = Head::chunk(self.header.salt, self.chunks, self.snapshot.lsn, section, version);
        let put = self.draft.put_with(|out| head.encode(payload, out));
        self.or_remove(put)
    }

    /// Where there is no room, the draft goes: it would only be in the way.
    fn or_remove(&self, done: Result<(), LogError>) -> Result<(), LogError> {
        if matches!(done, Err(LogError::NoSpace { .. })) {
            self.disk.remove(&self.draft.path).map_err(|source| LogError::write(&self.draft.path, 0, source))?;
        }
        done
    }

    /// Says that every chunk was put. What is left takes the disk its time: [`PendingSnapshot::run`].
    ///
    /// # Errors
    /// As [`SnapshotWriter::put`].
    pub fn finish(mut self) -> Result<PendingSnapshot, LogError> {
        let head = Head::end(self.header.salt, self.chunks, self.snapshot.lsn);
        let put = self.draft.put_with(|out| head.encode(&[], out));
        self.or_remove(put)?;
        Ok(PendingSnapshot(self))
    }
}

/// A snapshot that is written and not certain yet: run it on any thread, and give the answer to
/// [`Log::finish_snapshot`](super::Log::finish_snapshot).
#[derive(Debug)]
pub struct PendingSnapshot(SnapshotWriter);

/// What became of a snapshot.
#[derive(Debug)]
pub struct SnapshotDone(pub(super) Result<Taken, LogError>);

/// A snapshot that counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Taken {
    /// The last LSN that its state holds.
    pub lsn: Lsn,
    /// Its size in bytes.
    pub bytes: u64,
    /// What it has made superfluous.
    pub dropped: Dropped,
}

impl PendingSnapshot {
    /// Syncs the draft, gives it its name, reads it back, and drops what is superfluous now.
    pub fn run(self) -> SnapshotDone {
        SnapshotDone(self.0.publish())
    }
}

impl SnapshotWriter {
    fn publish(self) -> Result<Taken, LogError> {
        let Self { disk, log_dir, snapshot, draft, now, .. } = self;
        let draft = draft.finish(&*disk, Ok(()))?;
        disk.rename(&draft.path, &snapshot.path).map_err(|source| LogError::write(&snapshot.path, 0, source))?;
        disk.sync_dir(&log_dir).map_err(|source| LogError::sync(&log_dir, source))?;
        let bytes = verify(&*disk, &snapshot).map_err(|unusable| LogError::Corrupt {
            file: snapshot.path.clone(),
            offset: unusable.offset(),
            lsn: snapshot.lsn,
            what: unusable.what(),
        })?;
        let dropped = retention::drop_superfluous(&*disk, &log_dir, &snapshot, now)?;
        Ok(Taken { lsn: snapshot.lsn, bytes, dropped })
    }
}
