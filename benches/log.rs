//! Append and sync of the log against the least that could do the same: one write and one fdatasync of a plain file.
//!
//! `cargo bench --no-default-features --bench log [-- DIR]` prints, for each payload size, the median of both and their
//! ratio. They take turns, so that a disk that drifts drifts under both. DIR decides which disk is measured (default:
//! the working directory).

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use atrarium::clock::Clock;
use atrarium::disk::RealDisk;
use atrarium::log::{Log, Options, check};

const ROUNDS: usize = 400;
const PAYLOAD_BYTES: [usize; 4] = [256, 4 << 10, 64 << 10, 1 << 20];

fn main() {
    let dir = std::env::args().skip(1).find(|argument| !argument.starts_with("--"));
    let dir = dir.map_or_else(|| PathBuf::from("."), PathBuf::from);
    let clock = Clock::real();
    println!("{:>9}  {:>12}  {:>12}  {:>6}  {:>12}", "payload", "log", "plain file", "ratio", "append only");
    for bytes in PAYLOAD_BYTES {
        let home = tempfile::tempdir_in(&dir).expect("DIR can be written");
        measure(&clock, home.path(), bytes);
    }
}

fn measure(clock: &Clock, home: &Path, bytes: usize) {
    let rounds = ROUNDS.min((64 << 20) / bytes);
    let options = Options::new(0, fastrand::Rng::with_seed(bytes as u64));
    let (mut log, _) = Log::open(Arc::new(RealDisk), &home.join("data"), options, &mut |_| Ok(())).expect("log opens");
    let plain = File::create(home.join("plain")).expect("file is created");
    let payload = vec![0x5A; bytes];
    let (mut of_log, mut of_plain) = (Vec::new(), Vec::new());
    for round in 0..rounds {
        of_log.push(time(clock, || {
            log.append(1, &payload).expect("append");
            log.sync().expect("sync");
        }));
        of_plain.push(time(clock, || {
            plain.write_all_at(&payload, (round * bytes) as u64).expect("write");
            plain.sync_data().expect("fdatasync");
        }));
    }
    let appends = (0..rounds).map(|_| time(clock, || assert!(log.append(1, &payload).is_ok()))).collect();
    log.close().expect("close");
    let report = check(&RealDisk, &home.join("data"), &mut |_| Ok(())).expect("check");
    assert_eq!((report.batches, report.faults.len()), (2 * rounds as u64, 0));
    let (log, plain, append) = (median(of_log), median(of_plain), median(appends));
    let ratio = log.as_secs_f64() / plain.as_secs_f64();
    println!("{bytes:>9}  {log:>12.1?}  {plain:>12.1?}  {ratio:>6.2}  {append:>12.1?}");
}

fn time(clock: &Clock, work: impl FnOnce()) -> Duration {
    let start = clock.monotonic();
    work();
    clock.monotonic() - start
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort();
    times[times.len() / 2]
}
