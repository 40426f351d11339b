//! Tests of the log as a whole, on a simulated disk unless the real one is the point.

mod concurrent;
mod crash;
mod damage;
mod power_cuts;
mod rows;
mod salvaging;
mod snapshots;
mod writing;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use fastrand::Rng;

use super::segment::{HEADER_BYTES, Segment};
use super::*;
use crate::disk::{Disk, SimulatedDisk};

/// A batch as it was read: version and payload. Its place is its LSN.
type Batch = (u8, Vec<u8>);

/// A disk with a data directory.
struct Rig {
    disk: SimulatedDisk,
    segment_bytes: u64,
}

struct Opened {
    log: Log,
    recovered: Recovered,
    batches: Vec<Batch>,
}

fn dir() -> &'static Path {
    Path::new("/data")
}

fn segment_path(first: Lsn) -> PathBuf {
    Segment::new(&log_dir(dir()), first).path
}

/// Collects batches, and sees to it that their LSNs are dense.
fn collect(batches: &mut Vec<Batch>) -> impl FnMut(Item<'_>) -> Result<(), String> {
    |item| {
        match item {
            Item::Entry(entry) => {
                batches.push((entry.version, entry.payload.to_vec()));
                assert_eq!(entry.lsn, batches.len() as Lsn);
            }
            // In these tests a chunk is one batch: the state is all batches so far.
            Item::Chunk(chunk) => batches.push((chunk.version, chunk.payload.to_vec())),
            Item::Hole(hole) => panic!("nothing was salvaged: {hole:?}"),
        }
        Ok(())
    }
}

impl Rig {
    fn new(segment_bytes: u64) -> Self {
        Self::on(SimulatedDisk::new(7), segment_bytes)
    }

    fn on(disk: SimulatedDisk, segment_bytes: u64) -> Self {
        Self { disk, segment_bytes }
    }

    fn open(&self) -> Result<Opened, LogError> {
        let mut batches = Vec::new();
        let rng = Rng::with_seed(self.disk.calls());
        let options = Options { segment_bytes: self.segment_bytes, ..Options::new(0, rng) };
        let (log, recovered) = Log::open(Arc::new(self.disk.clone()), dir(), options, &mut collect(&mut batches))?;
        assert_eq!(recovered.snapshot_lsn + recovered.batches, batches.len() as u64);
        assert_eq!(recovered.last_lsn, batches.len() as u64);
        let status = log.status();
        assert_eq!((status.last_lsn, status.durable_lsn), (recovered.last_lsn, recovered.last_lsn));
        Ok(Opened { log, recovered, batches })
    }

    fn read(&self) -> Result<(ReadReport, Vec<Batch>), LogError> {
        let mut batches = Vec::new();
        let report = read(&self.disk, dir(), &mut collect(&mut batches))?;
        assert_eq!(
            (report.snapshot_lsn + report.batches, report.last_lsn),
            (batches.len() as u64, batches.len() as u64)
        );
        Ok((report, batches))
    }

    /// Takes a snapshot of batches that are durable, each a chunk.
    fn take_snapshot(log: &mut Log, batches: &[Batch]) -> Result<Taken, LogError> {
        let mut writer = log.begin_snapshot(batches.len() as Lsn)?;
        for (version, payload) in batches {
            writer.put(*version, *version, payload)?;
        }
        let pending = writer.finish()?;
        log.finish_snapshot(pending.run())
    }

    fn check(&self) -> CheckReport {
        check(&self.disk, dir(), &mut |_| Ok(())).unwrap()
    }

    /// Names in the log's directory.
    fn names(&self) -> Vec<String> {
        self.disk.list(&log_dir(dir())).unwrap()
    }

    fn contents(&self, first: Lsn) -> Vec<u8> {
        self.disk.contents(&segment_path(first)).unwrap()
    }

    /// A rig whose disk holds the same segments.
    fn copy(&self) -> Self {
        let copy = Self::new(self.segment_bytes);
        for name in self.names().iter().filter(|name| name.ends_with(".seg") || name.ends_with(".snap")) {
            let path = log_dir(dir()).join(name);
            copy.disk.put(&path, self.disk.contents(&path).unwrap());
        }
        copy
    }

    /// The same with the segment that begins with `first` changed.
    fn changed(&self, first: Lsn, change: impl FnOnce(&mut Vec<u8>)) -> Self {
        let copy = self.copy();
        let mut bytes = self.contents(first);
        change(&mut bytes);
        copy.disk.put(&segment_path(first), bytes);
        copy
    }
}

/// A payload that tells which one it is, of 0 to 200 bytes.
fn payload(number: usize) -> Vec<u8> {
    let mut rng = Rng::with_seed(number as u64);
    (0..rng.usize(0..200)).map(|_| rng.u8(..)).collect()
}
