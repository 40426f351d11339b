//! A disk in memory that can lose power and can fail.
//!
//! ```text
//! write ──► volatile bytes ──sync_data──► certain bytes        at a power cut: each unsynced sector is kept, lost,
//! create, rename, remove ──► volatile names ──sync_dir──► certain names         or garbage; unsynced names likewise
//! ```
//! Within a sector only the bytes that were written are at risk (see the assumptions in [`super`]).
//! Clones are handles to the same disk. Every call is numbered, so a test can let the k-th one fail.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::{Disk, DiskFile};

/// The unit in which a disk keeps or loses what was not synced, in bytes.
const SECTOR: usize = 512;

/// How a call fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// EIO
    Io,
    /// ENOSPC; of a write half the bytes arrive.
    NoSpace,
}

impl Fault {
    fn error(self) -> io::Error {
        match self {
            Self::Io => io::Error::from_raw_os_error(5),
            Self::NoSpace => io::Error::from_raw_os_error(28),
        }
    }
}

/// A disk in memory.
#[derive(Clone, Debug, Default)]
pub struct SimulatedDisk(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    inodes: Vec<Inode>,
    names: BTreeMap<PathBuf, usize>,
    certain_names: BTreeMap<PathBuf, usize>,
    dirs: BTreeSet<PathBuf>,
    locks: BTreeMap<PathBuf, String>,
    calls: u64,
    /// The first call that fails, how, and how many calls fail from there on.
    fault: Option<(u64, Fault, u64)>,
    /// Counts power cuts: a file that was open before one can no longer be used.
    era: u64,
}

#[derive(Clone, Debug, Default)]
struct Inode {
    bytes: Vec<u8>,
    certain: Vec<u8>,
    /// The bytes written since the last sync, by sector: from where to where.
    dirty: BTreeMap<usize, (usize, usize)>,
}

/// An open file of a [`SimulatedDisk`].
#[derive(Debug)]
pub struct SimulatedFile {
    disk: SimulatedDisk,
    inode: usize,
    era: u64,
}

/// A lock of a [`SimulatedDisk`].
#[derive(Debug)]
pub struct SimulatedLock {
    disk: SimulatedDisk,
    path: PathBuf,
    era: u64,
}

impl Drop for SimulatedLock {
    fn drop(&mut self) {
        let mut state = self.disk.state();
        if state.era == self.era {
            state.locks.remove(&self.path);
        }
    }
}

impl SimulatedDisk {
    /// An empty disk.
    pub fn new() -> Self {
        Self::default()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How many calls were made so far.
    pub fn calls(&self) -> u64 {
        self.state().calls
    }

    /// Lets `count` calls fail, from call number `first` on (counted from 0).
    pub fn fail(&self, first: u64, fault: Fault, count: u64) {
        self.state().fault = Some((first, fault, count));
    }

    /// Heals the disk.
    pub fn heal(&self) {
        self.state().fault = None;
    }

    /// Cuts the power: of what was not synced a random part survives. Open files and locks are gone.
    pub fn power_cut(&self, rng: &mut fastrand::Rng) {
        let mut state = self.state();
        state.era += 1;
        state.fault = None;
        state.locks.clear();
        for inode in &mut state.inodes {
            inode.lose(rng);
        }
        state.lose_names(rng);
    }

    /// The bytes of a file as a reader sees them now.
    pub fn bytes(&self, path: &Path) -> Option<Vec<u8>> {
        let state = self.state();
        state.names.get(path).map(|&inode| state.inodes[inode].bytes.clone())
    }

    /// Puts bytes on the disk, as certain as if they had been there for ever.
    pub fn plant(&self, path: &Path, bytes: &[u8]) {
        let mut state = self.state();
        let inode = state.inodes.len();
        state.inodes.push(Inode { bytes: bytes.to_vec(), certain: bytes.to_vec(), dirty: BTreeMap::new() });
        state.names.insert(path.to_owned(), inode);
        state.certain_names.insert(path.to_owned(), inode);
        let mut dir = path.parent();
        while let Some(above) = dir {
            state.dirs.insert(above.to_owned());
            dir = above.parent();
        }
    }
}

impl Inode {
    /// Keeps each unsynced sector, loses it, or turns it to garbage; the length is one of those it had.
    fn lose(&mut self, rng: &mut fastrand::Rng) {
        let mut survived = self.certain.clone();
        let kept_length = if rng.bool() { self.bytes.len() } else { rng.usize(0..=self.bytes.len()) };
        if kept_length > survived.len() {
            survived.resize(kept_length, 0);
        } else if self.bytes.len() < survived.len() && rng.bool() {
            survived.truncate(self.bytes.len());
        }
        for &(start, end) in self.dirty.values() {
            let end = end.min(survived.len()).min(self.bytes.len());
            if start >= end {
                continue;
            }
            match rng.u8(0..8) {
                0..4 => survived[start..end].copy_from_slice(&self.bytes[start..end]),
                4 => survived[start..end].iter_mut().for_each(|byte| *byte = rng.u8(..)),
                5 => {
                    let torn = rng.usize(start..=end);
                    survived[start..torn].copy_from_slice(&self.bytes[start..torn]);
                }
                _ => {}
            }
        }
        *self = Self { bytes: survived.clone(), certain: survived, dirty: BTreeMap::new() };
    }
}

impl State {
    /// One call: fails where it is told to.
    fn call(&mut self) -> Result<(), Fault> {
        let number = self.calls;
        self.calls += 1;
        match self.fault {
            Some((first, fault, count)) if (first..first.saturating_add(count)).contains(&number) => Err(fault),
            _ => Ok(()),
        }
    }

    /// Each name that differs from the certain ones is either as it was or as it became.
    fn lose_names(&mut self, rng: &mut fastrand::Rng) {
        let paths: BTreeSet<PathBuf> = self.names.keys().chain(self.certain_names.keys()).cloned().collect();
        let mut survived = BTreeMap::new();
        for path in paths {
            let (was, is) = (self.certain_names.get(&path), self.names.get(&path));
            let kept = if rng.bool() { is } else { was };
            survived.extend(kept.map(|&inode| (path, inode)));
        }
        // A renamed file has one of its two names, never none: a rename is atomic.
        for (path, inode) in &self.certain_names {
            let renamed = self.names.get(path) != Some(inode) && self.names.values().any(|is| is == inode);
            if renamed && !survived.values().any(|kept| kept == inode) {
                survived.entry(path.clone()).or_insert(*inode);
            }
        }
        self.names.clone_from(&survived);
        self.certain_names = survived;
    }
}

impl Disk for SimulatedDisk {
    type File = SimulatedFile;
    type Lock = SimulatedLock;

    fn create_dir_all(&self, dir: &Path) -> io::Result<()> {
        let mut state = self.state();
        state.call().map_err(Fault::error)?;
        let mut above = Some(dir);
        while let Some(dir) = above {
            state.dirs.insert(dir.to_owned());
            above = dir.parent();
        }
        Ok(())
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<String>> {
        let mut state = self.state();
        state.call().map_err(Fault::error)?;
        if !state.dirs.contains(dir) {
            return Err(io::ErrorKind::NotFound.into());
        }
        let names = state.names.keys().filter(|path| path.parent() == Some(dir));
        Ok(names.filter_map(|path| Some(path.file_name()?.to_str()?.to_owned())).collect())
    }

    fn open_read(&self, path: &Path) -> io::Result<SimulatedFile> {
        let mut state = self.state();
        state.call().map_err(Fault::error)?;
        let inode = *state.names.get(path).ok_or(io::ErrorKind::NotFound)?;
        Ok(SimulatedFile { disk: self.clone(), inode, era: state.era })
    }

    fn open_write(&self, path: &Path) -> io::Result<SimulatedFile> {
        self.open_read(path)
    }

    fn create(&self, path: &Path) -> io::Result<SimulatedFile> {
        let mut state = self.state();
        state.call().map_err(Fault::error)?;
        if state.names.contains_key(path) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        let inode = state.inodes.len();
        state.inodes.push(Inode::default());
        state.names.insert(path.to_owned(), inode);
        Ok(SimulatedFile { disk: self.clone(), inode, era: state.era })
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut state = self.state();
        state.call().map_err(Fault::error)?;
        let inode = state.names.remove(from).ok_or(io::ErrorKind::NotFound)?;
        state.names.insert(to.to_owned(), inode);
        Ok(())
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        let mut state = self.state();
        state.call().map_err(Fault::error)?;
        state.names.remove(path).map(drop).ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        let mut state = self.state();
        state.call().map_err(Fault::error)?;
        let names: Vec<(PathBuf, usize)> = state.names.iter().map(|(path, inode)| (path.clone(), *inode)).collect();
        state.certain_names.retain(|path, _| path.parent() != Some(dir));
        state.certain_names.extend(names.into_iter().filter(|(path, _)| path.parent() == Some(dir)));
        Ok(())
    }

    fn lock(&self, path: &Path, owner: &str) -> io::Result<SimulatedLock> {
        let mut state = self.state();
        state.call().map_err(Fault::error)?;
        if let Some(present) = state.locks.get(path) {
            return Err(io::Error::new(io::ErrorKind::WouldBlock, present.clone()));
        }
        state.locks.insert(path.to_owned(), owner.to_owned());
        Ok(SimulatedLock { disk: self.clone(), path: path.to_owned(), era: state.era })
    }
}

impl SimulatedFile {
    /// One call on this file.
    fn call<T>(&self, work: impl FnOnce(&mut Inode) -> T) -> Result<T, Option<Fault>> {
        let mut state = self.disk.state();
        if state.era != self.era {
            return Err(None);
        }
        state.call().map_err(Some)?;
        Ok(work(&mut state.inodes[self.inode]))
    }
}

/// A fault, or a file that was open before the power was cut.
fn failed(fault: Option<Fault>) -> io::Error {
    fault.map_or_else(|| io::Error::other("the power was cut"), Fault::error)
}

impl DiskFile for SimulatedFile {
    fn len(&self) -> io::Result<u64> {
        self.call(|inode| inode.bytes.len() as u64).map_err(failed)
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let read = |inode: &mut Inode| {
            let start = usize::try_from(offset).unwrap_or(usize::MAX).min(inode.bytes.len());
            let count = buffer.len().min(inode.bytes.len() - start);
            buffer[..count].copy_from_slice(&inode.bytes[start..start + count]);
            count
        };
        self.call(read).map_err(failed)
    }

    fn write_all_at(&mut self, bytes: &[u8], offset: u64) -> io::Result<()> {
        let offset = usize::try_from(offset).map_err(io::Error::other)?;
        match self.call(|inode| inode.write(bytes, offset)) {
            Ok(()) => Ok(()),
            Err(Some(Fault::NoSpace)) => {
                let mut state = self.disk.state();
                state.inodes[self.inode].write(&bytes[..bytes.len() / 2], offset);
                Err(Fault::NoSpace.error())
            }
            Err(fault) => Err(failed(fault)),
        }
    }

    fn sync_data(&mut self) -> io::Result<()> {
        let sync = |inode: &mut Inode| {
            inode.certain.clone_from(&inode.bytes);
            inode.dirty.clear();
        };
        self.call(sync).map_err(failed)
    }

    fn truncate(&mut self, len: u64) -> io::Result<()> {
        let len = usize::try_from(len).map_err(io::Error::other)?;
        let cut = |inode: &mut Inode| {
            inode.bytes.resize(len, 0);
        };
        self.call(cut).map_err(failed)
    }
}

impl Inode {
    fn write(&mut self, bytes: &[u8], offset: usize) {
        let end = offset + bytes.len();
        if self.bytes.len() < end {
            self.bytes.resize(end, 0);
        }
        self.bytes[offset..end].copy_from_slice(bytes);
        for sector in offset / SECTOR..end.div_ceil(SECTOR) {
            let (from, to) = (offset.max(sector * SECTOR), end.min((sector + 1) * SECTOR));
            let dirty = self.dirty.entry(sector).or_insert((from, to));
            *dirty = (dirty.0.min(from), dirty.1.max(to));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_synced_survives_and_what_was_not_may_not() {
        let mut lost = 0;
        for seed in 0..200 {
            let mut rng = fastrand::Rng::with_seed(seed);
            let disk = SimulatedDisk::new();
            let path = Path::new("/d/file");
            disk.create_dir_all(Path::new("/d")).expect("created");
            let mut file = disk.create(path).expect("created");
            file.write_all_at(&[1; 4096], 0).expect("written");
            file.sync_data().expect("synced");
            disk.sync_dir(Path::new("/d")).expect("synced");
            file.write_all_at(&[2; 4096], 4096).expect("written");
            disk.power_cut(&mut rng);
            let bytes = disk.bytes(path).expect("the name was synced");
            assert_eq!(bytes[..4096], [1; 4096]);
            lost += usize::from(bytes[4096..] != [2; 4096]);
            assert!(file.read_all().is_err(), "an old handle is of no use");
        }
        assert!(lost > 100, "{lost}");
    }

    #[test]
    fn a_rename_keeps_the_old_file_or_the_new_one() {
        let mut seen = BTreeSet::new();
        for seed in 0..50 {
            let disk = SimulatedDisk::new();
            disk.plant(Path::new("/d/old"), b"old");
            let mut new = disk.create(Path::new("/d/tmp")).expect("created");
            new.write_all_at(b"new", 0).expect("written");
            new.sync_data().expect("synced");
            disk.sync_dir(Path::new("/d")).expect("synced");
            disk.rename(Path::new("/d/tmp"), Path::new("/d/old")).expect("renamed");
            disk.power_cut(&mut fastrand::Rng::with_seed(seed));
            seen.insert(disk.bytes(Path::new("/d/old")).expect("one of them"));
        }
        assert_eq!(seen.len(), 2);
    }

    #[test]
    fn the_kth_call_fails() {
        let disk = SimulatedDisk::new();
        disk.fail(1, Fault::NoSpace, 1);
        disk.create_dir_all(Path::new("/d")).expect("call 0");
        let error = disk.create(Path::new("/d/a")).expect_err("call 1");
        assert_eq!(error.kind(), io::ErrorKind::StorageFull);
        disk.create(Path::new("/d/a")).expect("call 2");
        assert_eq!(disk.calls(), 3);
    }
}
