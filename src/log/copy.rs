//! A file that is written from its start, and synced before it gets its name: a repaired segment, a tail, a snapshot.

use std::path::{Path, PathBuf};

use super::LogError;
use crate::disk::{Disk, DiskFile, Mode};
use crate::limits::LOG_READ_BYTES;

/// Such a file.
#[derive(Debug)]
pub(super) struct Copy {
    pub path: PathBuf,
    pub file: Box<dyn DiskFile>,
    buffer: Vec<u8>,
    /// How many bytes were handed to the disk.
    pub written: u64,
}

impl Copy {
    /// Begins an empty file, whatever was there.
    pub fn create(disk: &dyn Disk, path: &Path) -> Result<Self, LogError> {
        let file = disk.open(path, Mode::Replace).map_err(|source| LogError::write(path, 0, source))?;
        Ok(Self { path: path.to_owned(), file, buffer: Vec::new(), written: 0 })
    }

    /// Appends bytes.
    pub fn put(&mut self, bytes: &[u8]) -> Result<(), LogError> {
        self.put_with(|buffer| buffer.extend_from_slice(bytes))
    }

    /// Appends what `encode` appends.
    pub fn put_with(&mut self, encode: impl FnOnce(&mut Vec<u8>)) -> Result<(), LogError> {
        encode(&mut self.buffer);
        if self.buffer.len() < LOG_READ_BYTES { Ok(()) } else { self.write_out() }
    }

    fn write_out(&mut self) -> Result<(), LogError> {
        let len = self.buffer.len();
        let done = self.file.write_all_at(self.written, &self.buffer);
        done.map_err(|source| LogError::write(&self.path, len, source))?;
        self.written += len as u64;
        self.buffer.clear();
        Ok(())
    }

    /// Makes certain what was put.
    pub fn sync(&mut self) -> Result<(), LogError> {
        self.write_out()?;
        self.file.sync_data().map_err(|source| LogError::sync(&self.path, source))
    }

    /// Writes out and syncs it. Where there was no room, it is removed: it would only be in the way.
    pub fn finish(mut self, disk: &dyn Disk, copied: Result<(), LogError>) -> Result<Self, LogError> {
        match copied.and_then(|()| self.sync()) {
            Err(error @ LogError::NoSpace { .. }) => {
                disk.remove(&self.path).map_err(|source| LogError::write(&self.path, 0, source))?;
                Err(error)
            }
            done => done.map(|()| self),
        }
    }
}
