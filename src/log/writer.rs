//! The writer: appends batches, syncs, marks, rotates.
//!
//! ```text
//! append ──► write ──► (page cache)          sync ──► fdatasync ──► write mark (not synced) ──► durable LSN
//! ```

use std::io;
use std::path::{Path, PathBuf};

use super::error::LogError;
use super::open::Opened;
use super::record::{self, HEADER_BYTES, Header, Kind, Words};
use super::segment::{log_dir, path_of};
use crate::disk::{Disk, DiskFile};
use crate::limits::{LOG_RECORD_BYTES_MAX, SEGMENT_BYTES};

/// How a log is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    /// A segment is closed when it has reached this size, in bytes.
    pub segment_bytes: u64,
    /// Makes the salts of this process different from those of others.
    pub salt_seed: u64,
}

impl Default for Options {
    fn default() -> Self {
        Self { segment_bytes: SEGMENT_BYTES, salt_seed: 0 }
    }
}

/// An open log. It holds the lock of its directory.
pub struct Log<D: Disk> {
    disk: D,
    dir: PathBuf,
    options: Options,
    tail: Tail<D::File>,
    last_lsn: u64,
    durable_lsn: u64,
    segments: u64,
    /// Bytes of all segments before the last.
    closed_bytes: u64,
    buffer: Vec<u8>,
    /// The first failure after which nothing is certain.
    stopped: Option<String>,
    _lock: D::Lock,
}

/// The segment that grows.
pub(super) struct Tail<F> {
    pub file: F,
    pub path: PathBuf,
    pub salt: u64,
    /// Where the next record goes.
    pub offset: u64,
}

/// Figures of a log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LogStatus {
    /// The last LSN written; 0 before the first.
    pub last_lsn: u64,
    /// The last LSN known to be on disk.
    pub durable_lsn: u64,
    /// Files.
    pub segments: u64,
    /// Bytes in all of them.
    pub bytes: u64,
}

impl<D: Disk> Log<D> {
    pub(super) fn new(disk: D, dir: PathBuf, options: Options, lock: D::Lock, opened: Opened<D::File>) -> Self {
        Self {
            disk,
            dir,
            options,
            tail: opened.tail,
            last_lsn: opened.last_lsn,
            durable_lsn: opened.last_lsn,
            segments: opened.segments,
            closed_bytes: opened.closed_bytes,
            buffer: Vec::new(),
            stopped: None,
            _lock: lock,
        }
    }

    /// Appends a batch. It is durable when a later [`Log::sync`] returns its LSN, or a greater one.
    ///
    /// # Errors
    /// [`LogError::NoSpace`]: the batch is not in the log, and may be appended again. After any other one but
    /// [`LogError::TooLarge`] the log is stopped.
    pub fn append(&mut self, version: u8, payload: &[u8]) -> Result<u64, LogError> {
        self.check_running()?;
        if payload.len() > LOG_RECORD_BYTES_MAX {
            return Err(LogError::TooLarge { bytes: payload.len(), max: LOG_RECORD_BYTES_MAX });
        }
        if self.tail.offset >= self.options.segment_bytes && self.tail.offset > HEADER_BYTES as u64 {
            self.rotate()?;
        }
        let lsn = self.last_lsn + 1;
        self.write(Words { kind: Kind::Batch, version, lsn, durable_lsn: self.durable_lsn }, payload)?;
        self.last_lsn = lsn;
        Ok(lsn)
    }

    /// Waits until everything appended is on disk, and says up to which LSN that is.
    ///
    /// # Errors
    /// The disk's; the log is then stopped. A failed sync is never tried again: the system may have dropped what it
    /// could not write, and the next sync would say that all is well.
    pub fn sync(&mut self) -> Result<u64, LogError> {
        self.check_running()?;
        if self.durable_lsn == self.last_lsn {
            return Ok(self.durable_lsn);
        }
        let written = self.last_lsn;
        self.sync_tail()?;
        self.durable_lsn = written;
        match self.write(Words { kind: Kind::Mark, version: 0, lsn: self.last_lsn, durable_lsn: written }, &[]) {
            // A mark only helps to tell damage from a torn tail; the batches are on disk without it.
            Ok(()) | Err(LogError::NoSpace { .. }) => Ok(written),
            Err(error) => Err(error),
        }
    }

    /// Ends the log with a synced mark, and releases the lock.
    ///
    /// # Errors
    /// The disk's.
    pub fn close(mut self) -> Result<(), LogError> {
        self.sync()?;
        self.sync_tail()
    }

    /// Figures.
    pub fn status(&self) -> LogStatus {
        LogStatus {
            last_lsn: self.last_lsn,
            durable_lsn: self.durable_lsn,
            segments: self.segments,
            bytes: self.closed_bytes + self.tail.offset,
        }
    }

    fn check_running(&self) -> Result<(), LogError> {
        match &self.stopped {
            Some(earlier) => Err(LogError::Stopped { earlier: earlier.clone() }),
            None => Ok(()),
        }
    }

    /// Writes one record at the end, or leaves the segment as it was.
    fn write(&mut self, words: Words, payload: &[u8]) -> Result<(), LogError> {
        self.buffer.clear();
        record::encode(words, self.tail.salt, payload, &mut self.buffer);
        match self.tail.file.write_all_at(&self.buffer, self.tail.offset) {
            Ok(()) => {
                self.tail.offset += self.buffer.len() as u64;
                Ok(())
            }
            Err(error) if is_full(&error) => {
                if let Err(error) = self.tail.file.truncate(self.tail.offset) {
                    return Err(self.stop("cutting back after a full disk", error));
                }
                Err(LogError::NoSpace { path: self.tail.path.clone() })
            }
            Err(error) => Err(self.stop("writing", error)),
        }
    }

    fn sync_tail(&mut self) -> Result<(), LogError> {
        match self.tail.file.sync_data() {
            Ok(()) => Ok(()),
            Err(error) => Err(self.stop("syncing", error)),
        }
    }

    fn stop(&mut self, action: &'static str, error: io::Error) -> LogError {
        let error = LogError::Disk { path: self.tail.path.clone(), action, error };
        self.stopped = Some(error.to_string());
        error
    }

    /// Closes the segment and begins the next one.
    fn rotate(&mut self) -> Result<(), LogError> {
        self.sync()?;
        // The mark too: nothing in a segment that has a successor may be torn.
        self.sync_tail()?;
        let tail = match create_segment(&self.disk, &self.dir, self.last_lsn + 1, self.options.salt_seed) {
            Ok(tail) => tail,
            Err(LogError::Disk { path, action, error }) => {
                let error = LogError::Disk { path, action, error };
                self.stopped = Some(error.to_string());
                return Err(error);
            }
            Err(error) => return Err(error),
        };
        self.closed_bytes += self.tail.offset;
        self.segments += 1;
        self.tail = tail;
        Ok(())
    }
}

/// Creates a segment: its header is on disk, and its name in the directory, when this returns.
///
/// # Errors
/// [`LogError::NoSpace`], after which no file is left; else the disk's.
pub(super) fn create_segment<D: Disk>(
    disk: &D,
    dir: &Path,
    first_lsn: u64,
    salt_seed: u64,
) -> Result<Tail<D::File>, LogError> {
    let path = path_of(dir, first_lsn);
    let header = Header { first_lsn, salt: salt(salt_seed, first_lsn) };
    let create = || -> io::Result<D::File> {
        let mut file = disk.create(&path)?;
        file.write_all_at(&header.encode(), 0)?;
        file.sync_data()?;
        disk.sync_dir(&log_dir(dir))?;
        Ok(file)
    };
    match create() {
        Ok(file) => Ok(Tail { file, path, salt: header.salt, offset: HEADER_BYTES as u64 }),
        Err(error) if is_full(&error) => {
            // An empty segment that cannot be removed is removed by the next recovery, and then by the next try.
            match disk.remove(&path) {
                Ok(()) => Err(LogError::NoSpace { path }),
                Err(error) if error.kind() == io::ErrorKind::NotFound => Err(LogError::NoSpace { path }),
                Err(error) => Err(LogError::Disk { path, action: "removing an unfinished segment", error }),
            }
        }
        Err(error) => Err(LogError::Disk { path, action: "creating a segment", error }),
    }
}

/// Whether an error says that there is no room.
pub(super) fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}

/// A salt that is not zero and differs between segments and between runs: the finaliser of splitmix64.
fn salt(seed: u64, first_lsn: u64) -> u64 {
    let mut mixed = seed ^ first_lsn.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    (mixed ^ (mixed >> 31)) | 1
}
