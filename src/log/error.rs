//! What can go wrong with a log. Each message is one line that says what, where, and what to do.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::Lsn;
use crate::disk;
use crate::limits::LOG_RECORD_BYTES_MAX;

/// Why the log cannot do what it was asked for.
#[derive(Clone, Debug, thiserror::Error)]
pub enum LogError {
    /// Another process writes to this directory.
    #[error("{dir} is in use by another process{pid}: stop it, or give another --data-dir", dir = .dir.display(),
        pid = .pid.map(|pid| format!(" (pid {pid})")).unwrap_or_default())]
    Locked {
        /// The data directory.
        dir: PathBuf,
        /// Who holds it, where that is known.
        pid: Option<u32>,
    },
    /// The directory cannot be created or written.
    #[error("cannot write to {dir} ({source}): make it writable for this user, or give another --data-dir",
        dir = .dir.display())]
    NotWritable {
        /// The data directory.
        dir: PathBuf,
        /// What the system said.
        source: Arc<io::Error>,
    },
    /// There is no log to read.
    #[error("{dir} holds no log: give the --data-dir of an engine that has run", dir = .dir.display())]
    Missing {
        /// The data directory.
        dir: PathBuf,
    },
    /// The disk failed while it was read. Nothing was changed.
    #[error("cannot read {file} at offset {offset} ({source}): nothing was changed; check the disk and try again",
        file = .file.display())]
    Read {
        /// Which file.
        file: PathBuf,
        /// From which byte on.
        offset: u64,
        /// What the system said.
        source: Arc<io::Error>,
    },
    /// The log is damaged where that can be no torn tail. Nothing was changed.
    #[error("{file} is corrupt at offset {offset}, LSN {lsn} ({what}): nothing was changed; run `atrarium log check` \
        for every fault, and restore the file from a copy", file = .file.display())]
    Corrupt {
        /// Which file.
        file: PathBuf,
        /// At which byte.
        offset: u64,
        /// Which LSN should stand there.
        lsn: Lsn,
        /// What is wrong.
        what: String,
    },
    /// Written by a later program. Nothing was changed.
    #[error("{file} at offset {offset}, LSN {lsn} was written by a later program ({what}): nothing was changed; use \
        that program", file = .file.display())]
    Version {
        /// Which file.
        file: PathBuf,
        /// At which byte.
        offset: u64,
        /// Which LSN should stand there.
        lsn: Lsn,
        /// What is unknown.
        what: String,
    },
    /// The entry is whole, and whoever reads it cannot use it. Nothing was changed.
    #[error("{file} at offset {offset}, LSN {lsn} cannot be used: {what}; nothing was changed", file = .file.display())]
    Entry {
        /// Which file.
        file: PathBuf,
        /// At which byte.
        offset: u64,
        /// Which LSN.
        lsn: Lsn,
        /// What the reader of the entry said.
        what: String,
    },
    /// There is no room. What was to be written is not in the log; try again when there is.
    #[error("no space left for {bytes} bytes of {file}: free some; nothing was lost", file = .file.display())]
    NoSpace {
        /// Which file.
        file: PathBuf,
        /// How much was to be written, in bytes.
        bytes: u64,
    },
    /// A new segment is due, and the sync that was begun has not come back yet. The batch is not in the log; give the answer
    /// to [`Log::finish_sync`](super::Log::finish_sync) first.
    #[error("a sync is still under way: wait for it, then append again")]
    Busy,
    /// The payload is larger than any reader accepts. It is not in the log.
    #[error("a payload of {bytes} bytes is more than one record may hold ({LOG_RECORD_BYTES_MAX}): split the batch")]
    TooLarge {
        /// Size of the payload in bytes.
        bytes: usize,
    },
    /// A write failed. The log takes nothing more until it is opened again.
    #[error("cannot write {file} ({source}): check the disk, then start again", file = .file.display())]
    Write {
        /// Which file.
        file: PathBuf,
        /// What the system said.
        source: Arc<io::Error>,
    },
    /// A sync failed: what was written since the last one may be lost. The log takes nothing more until it is opened
    /// again.
    #[error("cannot sync {file} ({source}): what is not durable may be lost; check the disk, then start again",
        file = .file.display())]
    Sync {
        /// Which file or directory.
        file: PathBuf,
        /// What the system said.
        source: Arc<io::Error>,
    },
}

impl LogError {
    pub(super) fn read(file: &Path, offset: u64, source: io::Error) -> Self {
        Self::Read { file: file.to_owned(), offset, source: Arc::new(source) }
    }

    pub(super) fn sync(file: &Path, source: io::Error) -> Self {
        Self::Sync { file: file.to_owned(), source: Arc::new(source) }
    }

    /// A failed write of `bytes` bytes: no space, or worse.
    pub(super) fn write(file: &Path, bytes: usize, source: io::Error) -> Self {
        if disk::is_no_space(&source) {
            Self::NoSpace { file: file.to_owned(), bytes: bytes as u64 }
        } else {
            Self::Write { file: file.to_owned(), source: Arc::new(source) }
        }
    }

    /// The directory cannot be used, whatever the reason.
    pub(super) fn not_writable(dir: &Path, source: io::Error) -> Self {
        Self::NotWritable { dir: dir.to_owned(), source: Arc::new(source) }
    }
}
