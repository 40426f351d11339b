//! Why a log cannot be opened, written or read. Each is one line that names the place and says what to do.

use std::io;
use std::path::PathBuf;

/// A failure of the log.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// Another process has it.
    #[error("{} is in use by another process ({owner}): stop it, or give another --data-dir", dir.display())]
    InUse {
        /// The data directory.
        dir: PathBuf,
        /// What the owner wrote into the lock file.
        owner: String,
    },
    /// There is no log to read.
    #[error("{} holds no log: give the --data-dir of a `serve` or `replay`", dir.display())]
    Missing {
        /// The data directory.
        dir: PathBuf,
    },
    /// The directory cannot be created, or not be written to.
    #[error("{} cannot be written to ({error}): give this user the right to, or give another --data-dir", dir.display())]
    NotWritable {
        /// The data directory.
        dir: PathBuf,
        /// What the system said.
        error: io::Error,
    },
    /// The disk failed. Nothing was changed by that.
    #[error("{}: {action} failed ({error}): check the disk, then start again; nothing was cut off", path.display())]
    Disk {
        /// Which file or directory.
        path: PathBuf,
        /// What was tried.
        action: &'static str,
        /// What the system said.
        error: io::Error,
    },
    /// The disk is full. What was to be appended is not in the log, and may be tried again.
    #[error("{}: the disk is full: make room", path.display())]
    NoSpace {
        /// Which file.
        path: PathBuf,
    },
    /// What was certain is damaged.
    #[error("{fault}: the log is corrupt; restore it from a copy, or start anew in another directory")]
    Corrupt {
        /// Where and what.
        fault: Fault,
    },
    /// Written by a later program.
    #[error("{fault}: use the program that wrote it")]
    UnknownVersion {
        /// Where and what.
        fault: Fault,
    },
    /// Whoever reads the payloads cannot read this one.
    #[error("{fault}: the batch cannot be read; use the program that wrote it, or restore the log from a copy")]
    Payload {
        /// Where and what.
        fault: Fault,
    },
    /// An earlier sync or write failed, so nothing is known of what is on disk.
    #[error("the log stopped after an earlier failure ({earlier}): check the disk, then start again")]
    Stopped {
        /// The first failure, as it was told.
        earlier: String,
    },
    /// A batch larger than a record may be.
    #[error("a batch of {bytes} bytes is larger than a record may be ({max})")]
    TooLarge {
        /// Of the batch.
        bytes: usize,
        /// The bound.
        max: usize,
    },
}

/// One fault of a log, and its exact place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// Which file.
    pub file: PathBuf,
    /// Byte offset in it.
    pub offset: u64,
    /// The LSN that was expected there.
    pub lsn: u64,
    /// What is wrong.
    pub what: String,
}

impl std::fmt::Display for Fault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}, offset {}, LSN {}: {}", self.file.display(), self.offset, self.lsn, self.what)
    }
}
