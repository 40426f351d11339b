//! A disk whose every sync takes its time.

use std::io;
use std::path::Path;
use std::time::Duration;

use atrarium::disk::{Disk, DiskFile, FileSync, Lock, LockError, Mode, SimulatedDisk};

#[derive(Debug)]
pub struct SlowDisk {
    pub disk: SimulatedDisk,
    /// How long a sync takes.
    pub sync: Duration,
}

#[derive(Debug)]
struct SlowFile {
    file: Box<dyn DiskFile>,
    sync: Duration,
}

impl Disk for SlowDisk {
    fn create_dir_all(&self, dir: &Path) -> io::Result<()> {
        self.disk.create_dir_all(dir)
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<String>> {
        self.disk.list(dir)
    }

    fn open(&self, path: &Path, mode: Mode) -> io::Result<Box<dyn DiskFile>> {
        Ok(Box::new(SlowFile { file: self.disk.open(path, mode)?, sync: self.sync }))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.disk.rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.disk.remove(path)
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        self.disk.sync_dir(dir)
    }

    fn lock(&self, path: &Path) -> Result<Lock, LockError> {
        self.disk.lock(path)
    }

    fn is_locked(&self, path: &Path) -> io::Result<bool> {
        self.disk.is_locked(path)
    }
}

impl DiskFile for SlowFile {
    fn size(&self) -> io::Result<u64> {
        self.file.size()
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        self.file.read_at(offset, buffer)
    }

    fn write_all_at(&mut self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.file.write_all_at(offset, bytes)
    }

    fn truncate(&mut self, size: u64) -> io::Result<()> {
        self.file.truncate(size)
    }

    fn begin_sync(&mut self) -> Box<dyn FileSync> {
        Box::new(SlowSync { sync: self.file.begin_sync(), time: self.sync })
    }
}

#[derive(Debug)]
struct SlowSync {
    sync: Box<dyn FileSync>,
    time: Duration,
}

impl FileSync for SlowSync {
    #[expect(clippy::disallowed_methods, reason = "the disk of a test is slow by the real clock")]
    fn run(self: Box<Self>) -> io::Result<()> {
        std::thread::sleep(self.time);
        self.sync.run()
    }
}
