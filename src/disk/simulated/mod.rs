//! A disk in memory that forgets, tears and fails like a real one.
//!
//! ```text
//!             write, truncate            sync_data
//! program ───────────────────► pending ───────────► stored ──┐
//!    ▲                            │                          ├─ power_cut: stored, and some of what is pending
//!    └────────── seen ◄───────────┘                          │
//!             create, rename, remove     sync_dir            │
//! program ───────────────────► changes ───────────► kept ────┘
//! ```
//! `seen` is the page cache: a program reads it, and it outlives the program ([`SimulatedDisk::kill`]), not the power.
//! A failed sync keeps `seen` and drops `pending`: a later sync says yes, and the bytes are on no disk. That is what
//! Linux does.
//!
//! Every call of a trait is counted, so that a test can let the k-th one fail, for every k. A new way to fail is a
//! new [`Fault`], or a new figure in `State` that `State::enter` looks at.

mod content;

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};

use content::{Content, Write};
use fastrand::Rng;

use super::{Disk, DiskFile, FileSync, Lock, LockError, Mode};

/// What a failing call answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// EIO. A part may have been done.
    Io,
    /// ENOSPC. Of a write a part may have been done.
    NoSpace,
}

impl Fault {
    fn error(self) -> io::Error {
        match self {
            Self::Io => io::Error::from_raw_os_error(rustix::io::Errno::IO.raw_os_error()),
            Self::NoSpace => io::Error::from_raw_os_error(rustix::io::Errno::NOSPC.raw_os_error()),
        }
    }
}

/// A disk in memory. Clones are the same disk.
#[derive(Clone, Debug)]
pub struct SimulatedDisk(Arc<Mutex<State>>);

#[derive(Debug)]
struct State {
    /// Decides how much of a failing call is done.
    rng: Rng,
    /// Directories: they are created rarely and at once for good.
    dirs: BTreeSet<PathBuf>,
    /// Names as programs see them.
    names: BTreeMap<PathBuf, u64>,
    /// Names as they are on the disk.
    kept: BTreeMap<PathBuf, u64>,
    /// What leads from `kept` to `names`, in order.
    changes: Vec<NameChange>,
    files: BTreeMap<u64, Content>,
    next_file: u64,
    locks: BTreeSet<PathBuf>,
    /// Grows when every process dies: handles of an earlier life are dead.
    life: u64,
    calls: u64,
    faults: BTreeMap<u64, Fault>,
    /// From this call on every one fails.
    failing_from: Option<(u64, Fault)>,
    /// Calls that have failed because they were told to, since the last mending.
    fired: u64,
    capacity_bytes: Option<u64>,
    /// Writes that met a full disk.
    refused: u64,
}

#[derive(Clone, Debug)]
enum NameChange {
    Put(PathBuf, u64),
    Remove(PathBuf),
    Rename(PathBuf, PathBuf),
}

impl NameChange {
    fn dir(&self) -> Option<&Path> {
        match self {
            Self::Put(path, _) | Self::Remove(path) | Self::Rename(path, _) => path.parent(),
        }
    }

    fn apply(&self, names: &mut BTreeMap<PathBuf, u64>) {
        match self {
            Self::Put(path, file) => {
                names.insert(path.clone(), *file);
            }
            Self::Remove(path) => {
                names.remove(path);
            }
            Self::Rename(from, to) => {
                if let Some(file) = names.remove(from) {
                    names.insert(to.clone(), file);
                }
            }
        }
    }
}

impl SimulatedDisk {
    /// An empty disk; `seed` decides how much of a failing call is done.
    pub fn new(seed: u64) -> Self {
        Self(Arc::new(Mutex::new(State {
            rng: Rng::with_seed(seed),
            dirs: BTreeSet::new(),
            names: BTreeMap::new(),
            kept: BTreeMap::new(),
            changes: Vec::new(),
            files: BTreeMap::new(),
            next_file: 0,
            locks: BTreeSet::new(),
            life: 0,
            calls: 0,
            faults: BTreeMap::new(),
            failing_from: None,
            fired: 0,
            capacity_bytes: None,
            refused: 0,
        })))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// Every process dies, and the disk keeps what was synced and a random part of the rest.
    pub fn power_cut(&self, rng: &mut Rng) {
        self.kill();
        let mut state = self.state();
        let changes = std::mem::take(&mut state.changes);
        let survivors = rng.usize(0..=changes.len());
        for change in &changes[..survivors] {
            change.apply(&mut state.kept);
        }
        state.names = state.kept.clone();
        let named: BTreeSet<u64> = state.names.values().copied().collect();
        state.files.retain(|file, _| named.contains(file));
        for content in state.files.values_mut() {
            content.power_cut(rng);
        }
    }

    /// Every process dies: locks end, handles are dead. What was written stays as it was seen.
    pub fn kill(&self) {
        let mut state = self.state();
        state.life += 1;
        state.locks.clear();
    }

    /// The page cache lets go of what it believes to be on the disk.
    pub fn forget_cache(&self) {
        for content in self.state().files.values_mut() {
            content.forget_cache();
        }
    }

    /// The `nth` call from now on fails (1 is the next one).
    pub fn fail_call(&self, nth: u64, fault: Fault) {
        let mut state = self.state();
        let call = state.calls + nth;
        state.faults.insert(call, fault);
    }

    /// The `nth` call from now on fails, and every one after it.
    pub fn fail_from_call(&self, nth: u64, fault: Fault) {
        let mut state = self.state();
        state.failing_from = Some((state.calls + nth, fault));
    }

    /// No call fails any more.
    pub fn mend(&self) {
        let mut state = self.state();
        state.faults.clear();
        state.failing_from = None;
        state.fired = 0;
    }

    /// How many calls have failed as they were told to, since the last mending.
    pub fn faults_fired(&self) -> u64 {
        self.state().fired
    }

    /// How many calls there were so far.
    pub fn calls(&self) -> u64 {
        self.state().calls
    }

    /// How many bytes all files together may hold; `None` is no limit.
    pub fn set_capacity(&self, bytes: Option<u64>) {
        self.state().capacity_bytes = bytes;
    }

    /// How many writes there were for which there was no room.
    pub fn refused(&self) -> u64 {
        self.state().refused
    }

    /// What a file holds, as a program sees it.
    pub fn contents(&self, path: &Path) -> Option<Vec<u8>> {
        let state = self.state();
        state.names.get(path).map(|file| state.files[file].seen().to_vec())
    }

    /// Puts a file on the disk, for good.
    pub fn put(&self, path: &Path, bytes: Vec<u8>) {
        let mut state = self.state();
        let file = state.next_file;
        state.next_file += 1;
        state.files.insert(file, Content::stored(bytes));
        state.names.insert(path.to_owned(), file);
        state.kept.insert(path.to_owned(), file);
        state.dirs.extend(path.ancestors().skip(1).map(Path::to_owned));
    }
}

impl State {
    /// Counts a call, and says whether it is to fail.
    fn enter(&mut self) -> Result<(), Fault> {
        self.calls += 1;
        let lasting = self.failing_from.filter(|(from, _)| self.calls >= *from).map(|(_, fault)| fault);
        let Some(fault) = self.faults.remove(&self.calls).or(lasting) else { return Ok(()) };
        self.fired += 1;
        Err(fault)
    }

    /// The same for a call that is done wholly or not at all: whether it is done though it fails is left to chance.
    fn enter_whole(&mut self) -> (bool, io::Result<()>) {
        match self.enter() {
            Ok(()) => (true, Ok(())),
            Err(fault) => (self.rng.bool(), Err(fault.error())),
        }
    }

    fn change(&mut self, change: NameChange) {
        change.apply(&mut self.names);
        self.changes.push(change);
    }

    fn room(&self) -> u64 {
        let used: u64 = self.names.values().map(|file| self.files[file].seen().len() as u64).sum();
        self.capacity_bytes.map_or(u64::MAX, |capacity| capacity.saturating_sub(used))
    }
}

fn not_found() -> io::Error {
    io::ErrorKind::NotFound.into()
}

impl Disk for SimulatedDisk {
    fn create_dir_all(&self, dir: &Path) -> io::Result<()> {
        let mut state = self.state();
        let (done, answer) = state.enter_whole();
        if done {
            state.dirs.extend(dir.ancestors().map(Path::to_owned));
        }
        answer
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<String>> {
        let mut state = self.state();
        state.enter().map_err(Fault::error)?;
        if !state.dirs.contains(dir) {
            return Err(not_found());
        }
        let in_dir = state.names.keys().filter(|path| path.parent() == Some(dir));
        Ok(in_dir.filter_map(|path| path.file_name()?.to_str().map(str::to_owned)).collect())
    }

    fn open(&self, path: &Path, mode: Mode) -> io::Result<Box<dyn DiskFile>> {
        let mut state = self.state();
        state.enter().map_err(Fault::error)?;
        if !path.parent().is_some_and(|dir| state.dirs.contains(dir)) {
            return Err(not_found());
        }
        let file = match (state.names.get(path).copied(), mode) {
            (Some(_), Mode::Create) => return Err(io::ErrorKind::AlreadyExists.into()),
            (None, Mode::Read | Mode::Write) => return Err(not_found()),
            (Some(file), _) => file,
            (None, Mode::Create | Mode::Replace) => {
                let file = state.next_file;
                state.next_file += 1;
                state.files.insert(file, Content::default());
                state.change(NameChange::Put(path.to_owned(), file));
                file
            }
        };
        if let (Mode::Replace, Some(content)) = (mode, state.files.get_mut(&file)) {
            content.push(Write::Size(0));
        }
        Ok(Box::new(SimulatedFile { disk: self.clone(), file, life: state.life, writable: mode != Mode::Read }))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        assert_eq!(from.parent(), to.parent(), "a rename stays in its directory");
        let mut state = self.state();
        let (done, answer) = state.enter_whole();
        if !state.names.contains_key(from) {
            return Err(not_found());
        }
        if done {
            state.change(NameChange::Rename(from.to_owned(), to.to_owned()));
        }
        answer
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        let mut state = self.state();
        let (done, answer) = state.enter_whole();
        if !state.names.contains_key(path) {
            return Err(not_found());
        }
        if done {
            state.change(NameChange::Remove(path.to_owned()));
        }
        answer
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        let mut state = self.state();
        // What a failed sync of a directory leaves open stays pending: it may survive the next power cut, or not.
        state.enter().map_err(Fault::error)?;
        let (due, later) = std::mem::take(&mut state.changes).into_iter().partition(|change| change.dir() == Some(dir));
        state.changes = later;
        let due: Vec<NameChange> = due;
        for change in due {
            change.apply(&mut state.kept);
        }
        Ok(())
    }

    fn lock(&self, path: &Path) -> Result<Lock, LockError> {
        let mut state = self.state();
        state.enter().map_err(Fault::error)?;
        if !state.locks.insert(path.to_owned()) {
            return Err(LockError::Held { pid: Some(std::process::id()) });
        }
        Ok(Lock::new(Box::new(SimulatedLock { disk: self.clone(), path: path.to_owned(), life: state.life })))
    }

    fn is_locked(&self, path: &Path) -> io::Result<bool> {
        let mut state = self.state();
        state.enter().map_err(Fault::error)?;
        Ok(state.locks.contains(path))
    }
}

struct SimulatedLock {
    disk: SimulatedDisk,
    path: PathBuf,
    life: u64,
}

impl Drop for SimulatedLock {
    fn drop(&mut self) {
        let mut state = self.disk.state();
        if state.life == self.life {
            state.locks.remove(&self.path);
        }
    }
}

#[derive(Debug)]
struct SimulatedFile {
    disk: SimulatedDisk,
    file: u64,
    life: u64,
    writable: bool,
}

impl SimulatedFile {
    /// Runs `call` on the file's content, unless the file's process is dead.
    fn with<T>(&self, call: impl FnOnce(&mut State, u64) -> io::Result<T>) -> io::Result<T> {
        let mut state = self.disk.state();
        if state.life != self.life || !state.files.contains_key(&self.file) {
            return Err(io::Error::other("this file was opened before its process was killed"));
        }
        call(&mut state, self.file)
    }

    fn writable(&self) -> io::Result<()> {
        if self.writable { Ok(()) } else { Err(io::ErrorKind::PermissionDenied.into()) }
    }
}

/// The content behind a handle whose life was checked.
fn content(state: &mut State, file: u64) -> &mut Content {
    state.files.get_mut(&file).expect("invariant: a living handle has its file")
}

impl DiskFile for SimulatedFile {
    fn size(&self) -> io::Result<u64> {
        self.with(|state, file| {
            state.enter().map_err(Fault::error)?;
            Ok(content(state, file).seen().len() as u64)
        })
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        self.with(|state, file| {
            state.enter().map_err(Fault::error)?;
            let seen = content(state, file).seen();
            let from = usize::try_from(offset).unwrap_or(usize::MAX).min(seen.len());
            let len = buffer.len().min(seen.len() - from);
            buffer[..len].copy_from_slice(&seen[from..from + len]);
            Ok(len)
        })
    }

    fn write_all_at(&mut self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.writable()?;
        self.with(|state, file| {
            let (mut len, mut answer) = (bytes.len(), Ok(()));
            if let Err(fault) = state.enter() {
                (len, answer) = (state.rng.usize(0..=len), Err(fault.error()));
            }
            let room = state.room().saturating_add(content(state, file).seen().len() as u64);
            if offset.saturating_add(len as u64) > room {
                state.refused += 1;
                (len, answer) = (room.saturating_sub(offset) as usize, Err(Fault::NoSpace.error()));
            }
            if len > 0 {
                content(state, file).push(Write::Bytes(offset as usize, bytes[..len].to_vec()));
            }
            answer
        })
    }

    fn truncate(&mut self, size: u64) -> io::Result<()> {
        self.writable()?;
        self.with(|state, file| {
            let (done, answer) = state.enter_whole();
            if done {
                content(state, file).push(Write::Size(size as usize));
            }
            answer
        })
    }

    fn begin_sync(&mut self) -> Box<dyn FileSync> {
        let written = self.with(|state, file| Ok(content(state, file).written())).unwrap_or(0);
        let file = Self { disk: self.disk.clone(), file: self.file, life: self.life, writable: self.writable };
        Box::new(SimulatedSync { file, written })
    }
}

#[derive(Debug)]
struct SimulatedSync {
    file: SimulatedFile,
    /// It is about the writes before this one.
    written: u64,
}

impl FileSync for SimulatedSync {
    fn run(self: Box<Self>) -> io::Result<()> {
        self.file.with(|state, file| match state.enter() {
            Ok(()) => {
                content(state, file).sync(self.written);
                Ok(())
            }
            Err(fault) => {
                let mut rng = state.rng.fork();
                content(state, file).fail_sync(self.written, &mut rng);
                Err(fault.error())
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(disk: &SimulatedDisk, name: &str, bytes: &[u8]) -> Box<dyn DiskFile> {
        let mut file = disk.open(&Path::new("/d").join(name), Mode::Replace).unwrap();
        file.write_all_at(0, bytes).unwrap();
        file
    }

    fn disk() -> SimulatedDisk {
        let disk = SimulatedDisk::new(1);
        disk.create_dir_all(Path::new("/d")).unwrap();
        disk
    }

    #[test]
    fn a_power_cut_keeps_what_was_synced_and_loses_some_of_the_rest() {
        let mut losses = 0;
        for seed in 0..200 {
            let disk = disk();
            let mut file = write(&disk, "x", &[1; 1000]);
            file.sync_data().unwrap();
            disk.sync_dir(Path::new("/d")).unwrap();
            file.write_all_at(1000, &[2; 3000]).unwrap();
            write(&disk, "y", &[3; 10]).sync_data().unwrap();
            disk.power_cut(&mut Rng::with_seed(seed));
            let left = disk.contents(Path::new("/d/x")).unwrap();
            assert!(left.len() >= 1000 && left[..1000] == [1; 1000]);
            assert!(file.size().is_err(), "the handle died with its process");
            losses += usize::from(left.len() < 4000 || left[1000..] != [2; 3000]);
            losses += usize::from(disk.contents(Path::new("/d/y")).is_none());
        }
        assert!((100..400).contains(&losses), "{losses}");
    }

    #[test]
    fn a_failed_sync_leaves_the_cache_lying() {
        let mut lies = 0;
        for seed in 0..50 {
            let disk = SimulatedDisk::new(seed);
            disk.create_dir_all(Path::new("/d")).unwrap();
            let mut file = write(&disk, "x", &[7; 2000]);
            disk.fail_call(1, Fault::Io);
            assert_eq!(file.sync_data().unwrap_err().raw_os_error(), Some(5));
            file.sync_data().unwrap();
            disk.sync_dir(Path::new("/d")).unwrap();
            assert_eq!(disk.contents(Path::new("/d/x")).unwrap(), [7; 2000]);
            disk.forget_cache();
            lies += usize::from(disk.contents(Path::new("/d/x")).unwrap() != [7; 2000]);
        }
        assert!(lies > 10, "{lies}");
    }

    #[test]
    fn a_full_disk_takes_a_part() {
        let disk = disk();
        disk.set_capacity(Some(100));
        let mut file = disk.open(Path::new("/d/x"), Mode::Create).unwrap();
        file.write_all_at(0, &[1; 60]).unwrap();
        assert_eq!(disk.refused(), 0);
        let error = file.write_all_at(60, &[2; 60]).unwrap_err();
        assert_eq!(disk.refused(), 1);
        assert!(crate::disk::is_no_space(&error));
        assert_eq!(file.size().unwrap(), 100);
        file.truncate(60).unwrap();
        disk.set_capacity(None);
        file.write_all_at(60, &[2; 60]).unwrap();
        assert_eq!(file.size().unwrap(), 120);
    }

    #[test]
    fn locks_end_with_their_guard_or_their_process() {
        let disk = disk();
        let path = Path::new("/d/lock");
        let lock = disk.lock(path).unwrap();
        assert!(disk.lock(path).is_err() && disk.is_locked(path).unwrap());
        disk.kill();
        let next = disk.lock(path).unwrap();
        drop(lock);
        assert!(disk.is_locked(path).unwrap(), "a dead process ends nobody else's lock");
        drop(next);
        assert!(!disk.is_locked(path).unwrap());
    }
}
