//! A log that more than one looks at: locks, and readers beside a writer.

use std::io;
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use super::*;
use crate::disk::{DiskFile, FileSync, Lock, LockError, Mode, RealDisk};

fn open_real(dir: &Path, seed: u64) -> Result<(Log, Recovered), LogError> {
    let options = Options { segment_bytes: 20_000, ..Options::new(0, Rng::with_seed(seed)) };
    Log::open(Arc::new(RealDisk), dir, options, &mut |_| Ok(()))
}

#[test]
fn two_handles_cannot_write() {
    let dir = tempfile::tempdir().unwrap();
    let (log, _) = open_real(dir.path(), 1).unwrap();
    let error = open_real(dir.path(), 2).unwrap_err();
    let expected = format!(
        "{} is in use by another process (pid {}): stop it, or give another --data-dir",
        dir.path().display(),
        std::process::id()
    );
    assert_eq!(error.to_string(), expected);
    log.close().unwrap();
    open_real(dir.path(), 2).unwrap();
}

const DIR_OF_CHILD: &str = "ATRARIUM_TEST_LOCK_DIR";

/// Only does something in the process that [`two_processes_cannot_write`] starts.
#[test]
fn child_that_wants_the_lock() {
    if let Ok(dir) = std::env::var(DIR_OF_CHILD) {
        match open_real(Path::new(&dir), 3) {
            Ok(_) => println!("child: opened"),
            Err(error) => println!("child: {error}"),
        }
    }
}

#[test]
fn two_processes_cannot_write() {
    let dir = tempfile::tempdir().unwrap();
    let run_child = || {
        let output = Command::new(std::env::current_exe().unwrap())
            .args(["log::tests::concurrent::child_that_wants_the_lock", "--exact", "--nocapture"])
            .env(DIR_OF_CHILD, dir.path())
            .output()
            .unwrap();
        String::from_utf8(output.stdout).unwrap()
    };
    let (log, _) = open_real(dir.path(), 1).unwrap();
    let refused = run_child();
    assert!(refused.contains("child: ") && refused.contains(&format!("(pid {})", std::process::id())), "{refused}");
    drop(log);
    assert!(run_child().contains("child: opened"));
}

#[test]
fn what_a_running_writer_has_not_synced_is_held_back() {
    let rig = Rig::new(4096);
    let mut log = rig.open().unwrap().log;
    log.append(0, b"one").unwrap();
    log.sync().unwrap();
    log.append(0, b"two").unwrap();
    let (report, batches) = rig.read().unwrap();
    assert_eq!((batches.len(), report.held_back, report.durable_lsn), (1, 1, 1));
    assert_eq!(rig.check().batches, 2);
    drop(log);
    let (report, batches) = rig.read().unwrap();
    assert_eq!(
        (batches.len(), report.held_back, report.durable_lsn),
        (2, 0, 1),
        "nobody writes: recovery would show it"
    );
}

#[test]
fn what_a_running_writer_is_writing_is_no_fault() {
    let rig = Rig::new(4096);
    let mut log = rig.open().unwrap().log;
    log.append(0, b"one").unwrap();
    log.sync().unwrap();
    let path = segment_path(1);
    let mut file = rig.disk.open(&path, crate::disk::Mode::Write).unwrap();
    file.write_all_at(rig.contents(1).len() as u64, &[1, 2, 3]).unwrap();
    assert_eq!(rig.check().verdict(), Verdict::Clean);
    assert_eq!(rig.read().unwrap().0.tail, None);
    drop(log);
    assert_eq!(rig.check().verdict(), Verdict::TornTail);
    assert_eq!(rig.read().unwrap().0.tail.unwrap().offset, rig.contents(1).len() as u64 - 3);
}

/// Readers see every batch that was durable when they began, nothing that is wrong, and never a fault.
#[test]
#[expect(clippy::disallowed_methods, reason = "a test of two threads")]
fn readers_beside_a_writer() {
    let home = tempfile::tempdir().unwrap();
    let dir = home.path().to_owned();
    let (durable, done) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicBool::new(false)));
    let (mut log, _) = open_real(&dir, 1).unwrap();
    let writer = {
        let (durable, done) = (Arc::clone(&durable), Arc::clone(&done));
        std::thread::spawn(move || {
            for number in 0..1500 {
                log.append(1, &payload(number)).unwrap();
                if number % 3 == 0 {
                    durable.store(log.sync().unwrap(), Ordering::Release);
                }
            }
            done.store(true, Ordering::Release);
            log.close().unwrap();
        })
    };
    let mut rounds = 0;
    loop {
        let ended = done.load(Ordering::Acquire);
        let promised = durable.load(Ordering::Acquire);
        let mut last = 0;
        let report = read_batches(&RealDisk, &dir, &mut |entry| {
            assert_eq!(entry.lsn, last + 1);
            last = entry.lsn;
            assert_eq!(entry.payload, payload(last as usize - 1));
            Ok(())
        })
        .unwrap();
        assert!(report.last_lsn == last && last >= promised, "{last} read, {promised} promised");
        let report = check(&RealDisk, &dir, &mut |_| Ok(())).unwrap();
        assert!(report.faults.is_empty() || ended, "{:?}", report.faults);
        rounds += 1;
        if ended {
            break;
        }
    }
    writer.join().unwrap();
    assert!(rounds > 2);
    let report = check(&RealDisk, &dir, &mut |_| Ok(())).unwrap();
    assert_eq!((report.verdict(), report.batches), (Verdict::Clean, 1500));
    assert!(report.segments > 5);
}

/// A disk on which a byte of each file is wrong when it is read for the first time: as one that is just being written.
#[derive(Debug)]
struct Late(SimulatedDisk, u64);

#[derive(Debug)]
struct LateFile(Box<dyn DiskFile>, u64, AtomicBool);

impl Disk for Late {
    fn create_dir_all(&self, dir: &Path) -> io::Result<()> {
        self.0.create_dir_all(dir)
    }
    fn list(&self, dir: &Path) -> io::Result<Vec<String>> {
        self.0.list(dir)
    }
    fn open(&self, path: &Path, mode: Mode) -> io::Result<Box<dyn DiskFile>> {
        Ok(Box::new(LateFile(self.0.open(path, mode)?, self.1, AtomicBool::new(true))))
    }
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.0.rename(from, to)
    }
    fn remove(&self, path: &Path) -> io::Result<()> {
        self.0.remove(path)
    }
    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        self.0.sync_dir(dir)
    }
    fn lock(&self, path: &Path) -> Result<Lock, LockError> {
        self.0.lock(path)
    }
    fn is_locked(&self, path: &Path) -> io::Result<bool> {
        self.0.is_locked(path)
    }
}

impl DiskFile for LateFile {
    fn size(&self) -> io::Result<u64> {
        self.0.size()
    }
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.0.read_at(offset, buffer)?;
        let at = self.1.checked_sub(offset).map(|at| at as usize).filter(|&at| at < read);
        if let Some(at) = at.filter(|_| self.2.swap(false, Ordering::Relaxed)) {
            buffer[at] ^= 0x10;
        }
        Ok(read)
    }
    fn write_all_at(&mut self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.0.write_all_at(offset, bytes)
    }
    fn truncate(&mut self, size: u64) -> io::Result<()> {
        self.0.truncate(size)
    }
    fn begin_sync(&mut self) -> Box<dyn FileSync> {
        self.0.begin_sync()
    }
}

#[test]
fn damage_is_believed_only_when_the_disk_says_it_twice() {
    let rig = Rig::new(900);
    let mut log = rig.open().unwrap().log;
    for number in 0..40 {
        log.append(1, &payload(number)).unwrap();
        log.sync().unwrap();
    }
    log.close().unwrap();
    // Behind the header: what a header says is read once.
    for at in [70, 300, 500] {
        let report = read_batches(&Late(rig.disk.clone(), at), dir(), &mut |_| Ok(())).unwrap();
        assert_eq!((report.batches, report.tail), (40, None), "byte {at}");
    }
}
