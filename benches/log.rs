//! Append and sync of the log against the least that could do the same: a plain file, written and synced.
//!
//! `cargo bench --no-default-features --bench log [-- DIR]`. DIR decides which disk is measured (default: the working
//! directory). For each payload size:
//! - *append* alone, against one `write_all` of the same bytes; without a sync on either side;
//! - *append and sync*, against a write and an `fdatasync`.
//!
//! And *group commit*: 64 records that are appended and share one sync, against an `fdatasync` for each of them. All take turns,
//! so that a disk that drifts drifts under all. At the end both files are read: they must hold the same payloads.

mod support;

use std::fs::File;
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use atrarium::clock::Clock;
use atrarium::disk::RealDisk;
use atrarium::log::{Item, Log, Options, read};
use support::{median, ratio};

const ROUNDS: usize = 400;
const PAYLOAD_BYTES: [usize; 4] = [256, 4 << 10, 64 << 10, 1 << 20];
/// Records that share a sync, and how long each is.
const GROUP: usize = 64;
const RECORD_BYTES: usize = 256;

fn main() {
    let dir = std::env::args().skip(1).find(|argument| !argument.starts_with("--"));
    let dir = dir.map_or_else(|| PathBuf::from("."), PathBuf::from);
    let rounds = if support::is_quick() { 20 } else { ROUNDS };
    let mut lines = Vec::new();
    println!("medians, µs");
    println!("{:>9}  {:>9}  {:>9}  {:>9}  {:>14}", "payload", "append", "write_all", "and sync", "and fdatasync");
    for bytes in PAYLOAD_BYTES {
        let home = tempfile::tempdir_in(&dir).expect("DIR can be written");
        let mut pair = Pair::new(home.path());
        let [append, write, sync, fdatasync] = pair.measure(bytes, rounds.min((64 << 20) / bytes));
        pair.assert_same();
        println!("{bytes:>9}  {append:>9.1}  {write:>9.1}  {sync:>9.1}  {fdatasync:>14.1}");
        lines.push(ratio(&format!("log append of {bytes} bytes"), "write_all", append, write));
        lines.push(ratio(&format!("log append and sync of {bytes} bytes"), "write and fdatasync", sync, fdatasync));
    }
    let home = tempfile::tempdir_in(&dir).expect("DIR can be written");
    let mut pair = Pair::new(home.path());
    let [group, each] = pair.measure_group(rounds.div_ceil(10));
    pair.assert_same();
    println!("{GROUP} records of {RECORD_BYTES} bytes: group commit {group:.1}, an fdatasync for each {each:.1}");
    lines.push(ratio(&format!("group commit of {GROUP}"), "an fdatasync for each record", group, each));
    println!();
    lines.iter().for_each(|line| println!("{line}"));
}

/// A log and a plain file, which are given the same.
struct Pair {
    clock: Clock,
    log: Log,
    dir: PathBuf,
    plain: File,
    random: fastrand::Rng,
}

impl Pair {
    fn new(home: &Path) -> Self {
        let options = Options::new(0, fastrand::Rng::with_seed(1));
        let dir = home.join("data");
        let (log, _) = Log::open(Arc::new(RealDisk), &dir, options, &mut |_| Ok(())).expect("log opens");
        let plain = File::options().read(true).write(true).create_new(true).open(home.join("plain"));
        let plain = plain.expect("file is created");
        Self { clock: Clock::real(), log, dir, plain, random: fastrand::Rng::with_seed(2) }
    }

    fn payload(&mut self, bytes: usize) -> Vec<u8> {
        std::iter::repeat_with(|| self.random.u8(..)).take(bytes).collect()
    }

    /// Medians in microseconds: append, write, append and sync, write and fdatasync.
    fn measure(&mut self, bytes: usize, rounds: usize) -> [f64; 4] {
        let payload = self.payload(bytes);
        let mut times = [const { Vec::new() }; 4];
        for _ in 0..rounds {
            let Self { clock, log, plain, .. } = self;
            times[0].push(time(clock, || assert!(log.append(1, &payload).is_ok())));
            times[1].push(time(clock, || plain.write_all(&payload).expect("write")));
            log.sync().expect("sync");
            plain.sync_data().expect("fdatasync");
            times[2].push(time(clock, || {
                log.append(1, &payload).expect("append");
                log.sync().expect("sync");
            }));
            times[3].push(time(clock, || {
                plain.write_all(&payload).expect("write");
                plain.sync_data().expect("fdatasync");
            }));
        }
        times.map(median)
    }

    /// Medians in microseconds for a group: with one sync, with a sync for each record.
    fn measure_group(&mut self, rounds: usize) -> [f64; 2] {
        let payload = self.payload(RECORD_BYTES);
        let mut times = [const { Vec::new() }; 2];
        for _ in 0..rounds {
            let Self { clock, log, plain, .. } = self;
            times[0].push(time(clock, || {
                (0..GROUP).for_each(|_| assert!(log.append(1, &payload).is_ok()));
                log.sync().expect("sync");
            }));
            times[1].push(time(clock, || {
                for _ in 0..GROUP {
                    plain.write_all(&payload).expect("write");
                    plain.sync_data().expect("fdatasync");
                }
            }));
        }
        times.map(median)
    }

    fn assert_same(mut self) {
        self.log.close().expect("close");
        self.plain.seek(SeekFrom::Start(0)).expect("seek");
        let plain = &mut self.plain;
        let mut each = |item: Item<'_>| {
            let Item::Entry(entry) = item else { return Err("only batches were written".to_owned()) };
            let mut payload = vec![0; entry.payload.len()];
            plain.read_exact(&mut payload).map_err(|error| error.to_string())?;
            assert!(payload == entry.payload, "both hold the same in batch {}", entry.lsn);
            Ok(())
        };
        read(&RealDisk, &self.dir, &mut each).expect("the log is read");
        assert_eq!(plain.read(&mut [0]).expect("the file is read"), 0, "both are at their end");
    }
}

/// Microseconds.
fn time(clock: &Clock, work: impl FnOnce()) -> f64 {
    let start = clock.monotonic();
    work();
    let taken: Duration = clock.monotonic() - start;
    taken.as_secs_f64() * 1e6
}
