//! The only door to the file system.
//!
//! In: paths, offsets and bytes. Out: what the disk holds, or the error it gave. [`RealDisk`] asks the operating
//! system; [`SimulatedDisk`] is memory that forgets at a power cut what no sync has made certain, and fails when told
//! to. Whoever writes files is handed a [`Disk`], so that every crash can be played in a test.
//!
//! What is assumed of a disk, real or simulated:
//! 1. After a successful [`DiskFile::sync_data`] the file's bytes and its size survive a power cut.
//! 2. After a successful [`Disk::sync_dir`] the directory's names survive. A rename happens wholly or not at all.
//! 3. Before that, any part of what was written may survive: sectors in any order, torn, or as garbage. But a write
//!    damages no byte outside its own range.
//! 4. After a failed sync nothing is known, and a later sync that succeeds proves nothing about the earlier bytes:
//!    the page cache may go on showing what the disk never got. (Names are journaled: a directory whose sync has failed
//!    may be synced again, by another process.)
//!
//! Architecture Invariant: no other module of the library calls `std::fs` or `rustix::fs`.
#![forbid(unsafe_code)]

mod memory;
mod real;
mod simulated;

pub use memory::resident_bytes;
pub use real::RealDisk;
pub use simulated::{Fault, SimulatedDisk};

use std::any::Any;
use std::fmt;
use std::io;
use std::path::Path;

/// A file system, as far as this program needs one.
pub trait Disk: fmt::Debug + Send + Sync {
    /// Creates a directory and those above it, where missing. When this returns, the directory survives a power cut.
    ///
    /// # Errors
    /// The system's own.
    fn create_dir_all(&self, dir: &Path) -> io::Result<()>;

    /// The names in a directory, in no order. A name that is not UTF-8 is none of ours and is left out.
    ///
    /// # Errors
    /// The system's own; `NotFound` where there is no such directory.
    fn list(&self, dir: &Path) -> io::Result<Vec<String>>;

    /// Opens a file.
    ///
    /// # Errors
    /// The system's own; `AlreadyExists` where [`Mode::Create`] meets a file.
    fn open(&self, path: &Path, mode: Mode) -> io::Result<Box<dyn DiskFile>>;

    /// Gives a file another name in the same directory; a file that had that name is gone.
    ///
    /// # Errors
    /// The system's own.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;

    /// Removes a file.
    ///
    /// # Errors
    /// The system's own.
    fn remove(&self, path: &Path) -> io::Result<()>;

    /// Makes certain which names a directory holds.
    ///
    /// # Errors
    /// The system's own. See assumption 4: do not retry.
    fn sync_dir(&self, dir: &Path) -> io::Result<()>;

    /// Locks a file for this process alone, creating it where missing, and writes the process id into it. The lock ends
    /// when the guard is dropped, or the process ends, however it ends. The file stays.
    ///
    /// # Errors
    /// [`LockError::Held`] at once where somebody else has it.
    fn lock(&self, path: &Path) -> Result<Lock, LockError>;

    /// Whether somebody holds that lock at this moment. `false` where there is no such file.
    ///
    /// # Errors
    /// The system's own.
    fn is_locked(&self, path: &Path) -> io::Result<bool>;
}

/// How a file is opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// To read what is there.
    Read,
    /// To read and write what is there.
    Write,
    /// To read and write a file that must not exist yet.
    Create,
    /// To read and write an empty file, whatever was there.
    Replace,
}

/// An open file.
pub trait DiskFile: fmt::Debug + Send {
    /// Size in bytes.
    ///
    /// # Errors
    /// The system's own.
    fn size(&self) -> io::Result<u64>;

    /// Reads from `offset` on into `buffer`, and says how many bytes. 0 means: the file ends at or before `offset`.
    ///
    /// # Errors
    /// The system's own.
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize>;

    /// Writes all of `bytes` at `offset`. A gap before it reads as zeros.
    ///
    /// # Errors
    /// The system's own; a part may have been written then.
    fn write_all_at(&mut self, offset: u64, bytes: &[u8]) -> io::Result<()>;

    /// Cuts the file to `size` bytes, or fills it up with zeros.
    ///
    /// # Errors
    /// The system's own.
    fn truncate(&mut self, size: u64) -> io::Result<()>;

    /// Makes certain what was written, and the size.
    ///
    /// # Errors
    /// The system's own. See assumption 4: do not retry.
    fn sync_data(&mut self) -> io::Result<()> {
        self.begin_sync().run()
    }

    /// The same for what was written so far, to be run elsewhere while more is written. Run one at a time: two at once may
    /// share one answer, and an error would be told to one of them alone.
    fn begin_sync(&mut self) -> Box<dyn FileSync>;
}

/// A sync that was begun.
pub trait FileSync: fmt::Debug + Send {
    /// Makes certain what was written before it was begun. What was written since may become certain too, or not.
    ///
    /// # Errors
    /// The system's own. See assumption 4: do not retry.
    fn run(self: Box<Self>) -> io::Result<()>;
}

/// A lock that is held until this is dropped.
#[derive(Debug)]
pub struct Lock {
    _guard: Box<dyn Any + Send>,
}

impl Lock {
    /// For implementations of [`Disk`]: dropping `guard` must end the lock.
    pub fn new(guard: Box<dyn Any + Send>) -> Self {
        Self { _guard: guard }
    }
}

/// Why there is no lock.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// Somebody else has it.
    #[error("locked by another process")]
    Held {
        /// The process id that stands in the lock file.
        pid: Option<u32>,
    },
    /// The lock file cannot be opened, locked or written.
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// Whether an error says that there is no room: the disk is full, or the user's quota.
pub fn is_no_space(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}
