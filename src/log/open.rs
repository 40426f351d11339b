//! Opening a log for writing: lock, look at every segment, decide by the table, repair, go on.

use std::io;
use std::path::{Path, PathBuf};

use super::error::{Fault, LogError};
use super::record::{self, Kind, Words};
use super::recovery::{Decision, decide, describe};
use super::segment::{self, Scan, first_lsn_of, log_dir, path_of};
use super::writer::{Log, Options, Tail, create_segment, is_full};
use super::{Each, Entry};
use crate::disk::{Disk, DiskFile};

/// What recovery found and did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Recovered {
    /// Batches that were read.
    pub batches: u64,
    /// Bytes of all segments.
    pub bytes: u64,
    /// Where a torn tail, or a segment that was never finished, was kept aside.
    pub kept_aside: Option<PathBuf>,
}

/// The end of a log that is ready to be written.
pub(super) struct Opened<F> {
    pub tail: Tail<F>,
    pub last_lsn: u64,
    pub segments: u64,
    pub closed_bytes: u64,
}

const TORN: &str = "torn";
const TEMPORARY: &str = "tmp";
/// Beyond this many torn tails of one segment the oldest name is used again.
const TORN_NAMES: u32 = 1000;

impl<D: Disk> Log<D> {
    /// Locks a data directory, which is created where it is missing, recovers its log, and hands every batch to `each`
    /// in order.
    ///
    /// What follows the last mark may be in the page cache and not on disk; so it is copied into a new file that is
    /// synced before this returns. Opening again after a crash in here does the same again.
    ///
    /// # Errors
    /// In use, not writable, corrupt, of a later version, or a disk that fails. Nothing is cut off then.
    pub fn open(disk: D, dir: &Path, options: Options, each: Each<'_>) -> Result<(Self, Recovered), LogError> {
        let lock = lock(&disk, dir)?;
        let segments = list(&disk, dir)?;
        let mut recovery = Recovery { disk: &disk, dir, options, recovered: Recovered::default() };
        let opened = recovery.run(&segments, each)?;
        // A recovery that was itself cut short may have left names that only the page cache knows.
        let fail = |error| LogError::Disk { path: log_dir(dir), action: "syncing the directory", error };
        disk.sync_dir(&log_dir(dir)).map_err(fail)?;
        let recovered = recovery.recovered;
        Ok((Self::new(disk, dir.to_owned(), options, lock, opened), recovered))
    }
}

fn lock<D: Disk>(disk: &D, dir: &Path) -> Result<D::Lock, LogError> {
    let not_writable = |error| LogError::NotWritable { dir: dir.to_owned(), error };
    disk.create_dir_all(&log_dir(dir)).map_err(not_writable)?;
    let owner = format!("pid {}", std::process::id());
    let lock = disk.lock(&dir.join("lock"), &owner).map_err(|error| match error.kind() {
        io::ErrorKind::WouldBlock => LogError::InUse { dir: dir.to_owned(), owner: error.to_string() },
        _ => LogError::NotWritable { dir: dir.to_owned(), error },
    })?;
    disk.sync_dir(dir).map_err(not_writable)?;
    Ok(lock)
}

/// The first LSNs of all segments, ascending.
pub(super) fn list<D: Disk>(disk: &D, dir: &Path) -> Result<Vec<u64>, LogError> {
    let names = disk.list(&log_dir(dir)).map_err(|error| match error.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => LogError::Missing { dir: dir.to_owned() },
        _ => LogError::Disk { path: log_dir(dir), action: "listing", error },
    })?;
    let mut segments: Vec<u64> = names.iter().filter_map(|name| first_lsn_of(name)).collect();
    segments.sort_unstable();
    Ok(segments)
}

/// Opens a segment and tells its length.
pub(super) fn length<D: Disk>(disk: &D, path: &Path) -> Result<u64, LogError> {
    let fail = |error| LogError::Disk { path: path.to_owned(), action: "reading", error };
    disk.open_read(path).and_then(|file| file.len()).map_err(fail)
}

/// Reads a whole segment.
pub(super) fn load<D: Disk>(disk: &D, path: &Path) -> Result<Vec<u8>, LogError> {
    let fail = |error| LogError::Disk { path: path.to_owned(), action: "reading", error };
    disk.open_read(path).and_then(|file| file.read_all()).map_err(fail)
}

/// The fault that a scan ended with.
pub(super) fn fault_of(path: &Path, scan: &Scan) -> Fault {
    let what = describe(&scan.ending, scan.next_lsn);
    Fault { file: path.to_owned(), offset: scan.end as u64, lsn: scan.next_lsn, what }
}

struct Recovery<'a, D> {
    disk: &'a D,
    dir: &'a Path,
    options: Options,
    recovered: Recovered,
}

impl<D: Disk> Recovery<'_, D> {
    fn run(&mut self, segments: &[u64], each: Each<'_>) -> Result<Opened<D::File>, LogError> {
        let paths: Vec<PathBuf> = segments.iter().map(|&first| path_of(self.dir, first)).collect();
        let total = paths.iter().try_fold(0, |sum, path| Ok(sum + length(self.disk, path)?))?;
        let (mut next_lsn, mut closed_bytes) = (1, 0);
        let mut before: Option<(PathBuf, Vec<u8>, Scan)> = None;
        for (at, path) in paths.iter().enumerate() {
            let bytes = load(self.disk, path)?;
            let scan = segment::scan(&bytes, next_lsn, &mut |offset, record| {
                let end = (offset + record.bytes) as u64;
                let words = record.words;
                let entry = Entry {
                    lsn: words.lsn,
                    version: words.version,
                    payload: record.payload,
                    offset: closed_bytes + end,
                    total,
                };
                self.recovered.batches += 1;
                each(entry).map_err(|what| LogError::Payload {
                    fault: Fault { file: path.clone(), offset: offset as u64, lsn: words.lsn, what },
                })
            })?;
            match decide(&scan.ending, at + 1 < paths.len()) {
                Decision::GoOn | Decision::CutTail => {}
                Decision::RefuseVersion => return Err(LogError::UnknownVersion { fault: fault_of(path, &scan) }),
                Decision::RefuseCorrupt => return Err(LogError::Corrupt { fault: fault_of(path, &scan) }),
                Decision::Remove => {
                    self.keep_aside(path, &bytes)?;
                    self.remove(path)?;
                    continue;
                }
            }
            if let Some((_, bytes, _)) = before.replace((path.clone(), bytes, scan.clone())) {
                closed_bytes += bytes.len() as u64;
            }
            next_lsn = scan.next_lsn;
        }
        let opened = match before {
            None => self.begin()?,
            Some((path, bytes, scan)) => {
                let segments = paths.iter().position(|known| *known == path).map_or(1, |at| at as u64 + 1);
                self.go_on(path, bytes, &scan, segments, closed_bytes)?
            }
        };
        self.recovered.bytes = opened.closed_bytes + opened.tail.offset;
        Ok(opened)
    }

    /// The first segment of a new log.
    fn begin(&self) -> Result<Opened<D::File>, LogError> {
        let tail = create_segment(self.disk, self.dir, 1, self.options.salt_seed)?;
        Ok(Opened { tail, last_lsn: 0, segments: 1, closed_bytes: 0 })
    }

    /// The last segment, with whatever follows its last mark made certain.
    fn go_on(
        &mut self,
        path: PathBuf,
        mut bytes: Vec<u8>,
        scan: &Scan,
        segments: u64,
        closed_bytes: u64,
    ) -> Result<Opened<D::File>, LogError> {
        let header = scan.header.expect("invariant: a segment without a header is refused or removed");
        let last_lsn = scan.next_lsn - 1;
        let has_tail = scan.end < bytes.len();
        if has_tail {
            self.keep_aside(&path, &bytes[scan.end..])?;
        }
        // A mark is written after a sync has come back, so all before it is on disk.
        if has_tail || !scan.ends_with_mark {
            bytes.truncate(scan.end);
            let mark = Words { kind: Kind::Mark, version: 0, lsn: last_lsn, durable_lsn: last_lsn };
            record::encode(mark, header.salt, &[], &mut bytes);
            self.replace(&path, &bytes)?;
        }
        let offset = bytes.len() as u64;
        let file = self.disk.open_write(&path);
        let file = file.map_err(|error| LogError::Disk { path: path.clone(), action: "opening", error })?;
        Ok(Opened { tail: Tail { file, path, salt: header.salt, offset }, last_lsn, segments, closed_bytes })
    }

    /// Writes a whole new file, syncs it, and puts it in the place of the old one.
    fn replace(&self, path: &Path, bytes: &[u8]) -> Result<(), LogError> {
        let temporary = path.with_extension(TEMPORARY);
        self.write_new(&temporary, bytes)?;
        let fail = |action| move |error| LogError::Disk { path: path.to_owned(), action, error };
        self.disk.rename(&temporary, path).map_err(fail("replacing"))?;
        self.disk.sync_dir(&log_dir(self.dir)).map_err(fail("syncing the directory"))
    }

    /// Copies bytes that are about to be cut off.
    fn keep_aside(&mut self, path: &Path, bytes: &[u8]) -> Result<(), LogError> {
        let dir = log_dir(self.dir);
        let present = self.disk.list(&dir).map_err(|error| LogError::Disk { path: dir, action: "listing", error })?;
        let name_of = |number: u32| match number {
            0 => path.with_extension(TORN),
            number => path.with_extension(format!("{number}.{TORN}")),
        };
        let is_free = |name: &PathBuf| {
            let name = name.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            !present.iter().any(|known| known == name)
        };
        let name = (0..TORN_NAMES).map(name_of).find(is_free).unwrap_or_else(|| name_of(0));
        self.write_new(&name, bytes)?;
        tracing::warn!(file = %name.display(), bytes = bytes.len(), "kept a torn tail of the log aside");
        self.recovered.kept_aside = Some(name);
        Ok(())
    }

    fn write_new(&self, path: &Path, bytes: &[u8]) -> Result<(), LogError> {
        let write = || -> io::Result<()> {
            match self.disk.remove(path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
            let mut file = self.disk.create(path)?;
            file.write_all_at(bytes, 0)?;
            file.sync_data()?;
            self.disk.sync_dir(&log_dir(self.dir))
        };
        write().map_err(|error| match is_full(&error) {
            true => LogError::NoSpace { path: path.to_owned() },
            false => LogError::Disk { path: path.to_owned(), action: "writing a copy", error },
        })
    }

    fn remove(&self, path: &Path) -> Result<(), LogError> {
        let fail = |error| LogError::Disk { path: path.to_owned(), action: "removing", error };
        self.disk.remove(path).map_err(fail)?;
        self.disk.sync_dir(&log_dir(self.dir)).map_err(fail)
    }
}
