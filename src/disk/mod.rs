//! The only door to the file system.
//!
//! In: paths and bytes. Out: what the disk says, with its errors unchanged. [`RealDisk`] is the machine's own;
//! [`SimulatedDisk`] keeps what was not synced apart, so that a test can cut the power.
//!
//! Assumptions about a disk, which the log relies on:
//! - a file's bytes are certain after [`DiskFile::sync_data`] has returned, a directory's entries after
//!   [`Disk::sync_dir`]; before that any part of them may be missing, sector by sector, in any order;
//! - a write that is torn damages only bytes that it was to write, never its neighbours in the sector (what SQLite calls
//!   powersafe overwrite): so what was synced stays as it was while more is appended behind it;
//! - a failed sync says nothing about what is on disk, and a second one that succeeds says nothing either;
//! - a rename within a directory is atomic.
//!
//! Architecture Invariant: no other module of the library opens, writes or lists a file.
#![forbid(unsafe_code)]

mod real;
mod simulated;

use std::io;
use std::path::Path;

pub use real::{RealDisk, RealFile, RealLock, resident_bytes};
pub use simulated::{Fault, SimulatedDisk, SimulatedFile, SimulatedLock};

/// A file system. A clone is another handle to the same one.
pub trait Disk: Clone + Send + 'static {
    /// An open file.
    type File: DiskFile;
    /// Holds a lock until it is dropped.
    type Lock: Send;

    /// Creates a directory and those above it; one that exists is fine.
    ///
    /// # Errors
    /// The disk's.
    fn create_dir_all(&self, dir: &Path) -> io::Result<()>;

    /// The names of the files in a directory, in no particular order.
    ///
    /// # Errors
    /// The disk's; `NotFound` where there is no such directory.
    fn list(&self, dir: &Path) -> io::Result<Vec<String>>;

    /// Opens an existing file for reading.
    ///
    /// # Errors
    /// The disk's.
    fn open_read(&self, path: &Path) -> io::Result<Self::File>;

    /// Opens an existing file for reading and writing.
    ///
    /// # Errors
    /// The disk's.
    fn open_write(&self, path: &Path) -> io::Result<Self::File>;

    /// Creates a file that does not exist yet, for reading and writing.
    ///
    /// # Errors
    /// The disk's; `AlreadyExists`.
    fn create(&self, path: &Path) -> io::Result<Self::File>;

    /// Renames a file, over another one where that exists.
    ///
    /// # Errors
    /// The disk's.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;

    /// Removes a file.
    ///
    /// # Errors
    /// The disk's.
    fn remove(&self, path: &Path) -> io::Result<()>;

    /// Makes the entries of a directory certain.
    ///
    /// # Errors
    /// The disk's.
    fn sync_dir(&self, dir: &Path) -> io::Result<()>;

    /// Takes an exclusive lock on a file, which is created where it is missing, and writes `owner` into it.
    ///
    /// # Errors
    /// `WouldBlock` with the present owner's text where another process (or handle) holds it; else the disk's.
    fn lock(&self, path: &Path, owner: &str) -> io::Result<Self::Lock>;
}

/// An open file.
pub trait DiskFile: Send + 'static {
    /// Its length in bytes.
    ///
    /// # Errors
    /// The disk's.
    fn len(&self) -> io::Result<u64>;

    /// Whether it holds nothing.
    ///
    /// # Errors
    /// The disk's.
    fn is_empty(&self) -> io::Result<bool> {
        Ok(self.len()? == 0)
    }

    /// Reads at most `buffer.len()` bytes from `offset`; 0 at the end.
    ///
    /// # Errors
    /// The disk's.
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize>;

    /// Writes all bytes at `offset`. After an error any part of them may have been written.
    ///
    /// # Errors
    /// The disk's; `StorageFull`.
    fn write_all_at(&mut self, bytes: &[u8], offset: u64) -> io::Result<()>;

    /// Makes all that was written certain.
    ///
    /// # Errors
    /// The disk's. After one nothing is known of what was written since the last success.
    fn sync_data(&mut self) -> io::Result<()>;

    /// Cuts the file to `len` bytes.
    ///
    /// # Errors
    /// The disk's.
    fn truncate(&mut self, len: u64) -> io::Result<()>;

    /// Reads the whole file.
    ///
    /// # Errors
    /// The disk's.
    fn read_all(&self) -> io::Result<Vec<u8>> {
        let mut bytes = vec![0; usize::try_from(self.len()?).map_err(io::Error::other)?];
        let mut filled = 0;
        while filled < bytes.len() {
            match self.read_at(&mut bytes[filled..], filled as u64) {
                Ok(0) => break,
                Ok(count) => filled += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        bytes.truncate(filled);
        Ok(bytes)
    }
}
