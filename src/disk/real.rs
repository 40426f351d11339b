//! The operating system's file system.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;

use rustix::fs::{FlockOperation, flock};

use super::{Disk, DiskFile, FileSync, Lock, LockError, Mode};
use crate::limits::LOCK_TRIES;

/// The real disk.
#[derive(Clone, Copy, Debug, Default)]
pub struct RealDisk;

impl Disk for RealDisk {
    fn create_dir_all(&self, dir: &Path) -> io::Result<()> {
        if dir.as_os_str().is_empty() {
            return Ok(());
        }
        let parent = dir.parent().unwrap_or(Path::new(""));
        if dir.is_dir() {
            // Whoever created it may have died before its name was certain. Where the parent is closed to us, it was not us.
            return match self.sync_dir(parent) {
                Err(error) if error.kind() == io::ErrorKind::PermissionDenied => Ok(()),
                done => done,
            };
        }
        self.create_dir_all(parent)?;
        match fs::create_dir(dir) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists && dir.is_dir() => {}
            done => done?,
        }
        self.sync_dir(parent)
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in fs::read_dir(dir)? {
            names.extend(entry?.file_name().into_string());
        }
        Ok(names)
    }

    fn open(&self, path: &Path, mode: Mode) -> io::Result<Box<dyn DiskFile>> {
        let mut options = OpenOptions::new();
        options.read(true).write(mode != Mode::Read);
        match mode {
            Mode::Read | Mode::Write => {}
            Mode::Create => {
                options.create_new(true);
            }
            Mode::Replace => {
                options.create(true).truncate(true);
            }
        }
        Ok(Box::new(RealFile(Arc::new(options.open(path)?))))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        fs::remove_file(path)
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        let dir = if dir.as_os_str().is_empty() { Path::new(".") } else { dir };
        File::open(dir)?.sync_all()
    }

    fn lock(&self, path: &Path) -> Result<Lock, LockError> {
        let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path)?;
        if !take(&file, FlockOperation::NonBlockingLockExclusive)? {
            return Err(LockError::Held { pid: holder(&file) });
        }
        file.set_len(0)?;
        file.write_all_at(format!("{}\n", std::process::id()).as_bytes(), 0)?;
        Ok(Lock::new(Box::new(file)))
    }

    fn is_locked(&self, path: &Path) -> io::Result<bool> {
        match File::open(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(error),
            // Closing the file ends the shared lock that the question took.
            Ok(file) => match flock(&file, FlockOperation::NonBlockingLockShared) {
                Ok(()) => Ok(false),
                Err(rustix::io::Errno::WOULDBLOCK) => Ok(true),
                Err(error) => Err(error.into()),
            },
        }
    }
}

/// Tries to lock; `false` where somebody else has it. [`Disk::is_locked`] of another process holds the lock for some
/// microseconds: so the question is put a few times before the answer is believed.
fn take(file: &File, operation: FlockOperation) -> io::Result<bool> {
    for _ in 0..LOCK_TRIES {
        match flock(file, operation) {
            Ok(()) => return Ok(true),
            Err(rustix::io::Errno::WOULDBLOCK) => std::thread::yield_now(),
            Err(error) => return Err(error.into()),
        }
    }
    Ok(false)
}

/// The process id in a lock file.
fn holder(file: &File) -> Option<u32> {
    let mut text = [0; 16];
    let len = file.read_at(&mut text, 0).ok()?;
    std::str::from_utf8(&text[..len]).ok()?.trim().parse().ok()
}

#[derive(Debug)]
struct RealFile(Arc<File>);

#[derive(Debug)]
struct RealSync(Arc<File>);

impl FileSync for RealSync {
    fn run(self: Box<Self>) -> io::Result<()> {
        self.0.sync_data()
    }
}

impl DiskFile for RealFile {
    fn size(&self) -> io::Result<u64> {
        Ok(self.0.metadata()?.len())
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            match self.0.read_at(buffer, offset) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                done => return done,
            }
        }
    }

    fn write_all_at(&mut self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.0.write_all_at(bytes, offset)
    }

    fn truncate(&mut self, size: u64) -> io::Result<()> {
        self.0.set_len(size)
    }

    fn begin_sync(&mut self) -> Box<dyn FileSync> {
        Box::new(RealSync(Arc::clone(&self.0)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_hold_what_was_written() {
        let dir = tempfile::tempdir().unwrap();
        let deep = dir.path().join("a/b/c");
        RealDisk.create_dir_all(&deep).unwrap();
        RealDisk.create_dir_all(&deep).unwrap();
        let path = deep.join("x");
        let mut file = RealDisk.open(&path, Mode::Create).unwrap();
        file.write_all_at(3, b"abc").unwrap();
        file.sync_data().unwrap();
        assert_eq!(file.size().unwrap(), 6);
        let mut bytes = [9; 8];
        assert_eq!(file.read_at(0, &mut bytes).unwrap(), 6);
        assert_eq!(&bytes[..6], b"\0\0\0abc");
        file.truncate(4).unwrap();
        assert_eq!(file.read_at(4, &mut bytes).unwrap(), 0);
        assert_eq!(RealDisk.open(&path, Mode::Create).unwrap_err().kind(), io::ErrorKind::AlreadyExists);
        RealDisk.rename(&path, &deep.join("y")).unwrap();
        RealDisk.sync_dir(&deep).unwrap();
        assert_eq!(RealDisk.list(&deep).unwrap(), ["y"]);
        RealDisk.open(&deep.join("y"), Mode::Replace).unwrap();
        assert_eq!(RealDisk.open(&deep.join("y"), Mode::Read).unwrap().size().unwrap(), 0);
        RealDisk.remove(&deep.join("y")).unwrap();
        assert!(RealDisk.list(&deep).unwrap().is_empty());
    }

    #[test]
    fn one_lock_at_a_time() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("lock");
        assert!(!RealDisk.is_locked(&path).unwrap());
        let lock = RealDisk.lock(&path).unwrap();
        assert!(RealDisk.is_locked(&path).unwrap());
        match RealDisk.lock(&path) {
            Err(LockError::Held { pid }) => assert_eq!(pid, Some(std::process::id())),
            other => panic!("{other:?}"),
        }
        drop(lock);
        assert!(!RealDisk.is_locked(&path).unwrap());
        RealDisk.lock(&path).unwrap();
    }
}
