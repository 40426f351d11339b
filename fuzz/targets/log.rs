//! A log of one to four segments on a disk: read, checked, opened, and opened again.
//!
//! Input: flags (1 byte), then the segments; before each but the last its length (2 bytes). Flags: 1 makes checksums and
//! magic numbers right, so that damage gets past them; 2 makes salts right too; 4 names the segments as their headers say,
//! and else densely; 8 and 16: how many segments more than one.
#![no_main]

use std::path::{Path, PathBuf};
use std::sync::Arc;

use atrarium::disk::{Disk, SimulatedDisk};
use atrarium::log::{CheckReport, Entry, Log, LogError, Options, ReadReport, Recovered, Verdict, check, read};
use atrarium_fuzz::{take_u8, take_u16};
use libfuzzer_sys::fuzz_target;

const HEADER: usize = 32;
const HEAD: usize = 32;

type Batch = (u64, u8, Vec<u8>);

fuzz_target!(|data: &[u8]| {
    let mut data = data;
    let flags = take_u8(&mut data);
    let disk = SimulatedDisk::new(7);
    let mut first = 1;
    for left in (0..=usize::from(flags >> 3 & 3)).rev() {
        let length = if left == 0 { data.len() } else { usize::from(take_u16(&mut data)).min(data.len()) };
        let (bytes, rest) = data.split_at(length);
        data = rest;
        let mut bytes = bytes.to_vec();
        let batches = mend(&mut bytes, flags);
        let named = u64_at(&bytes, 16).filter(|_| flags & 4 != 0).unwrap_or(first);
        disk.put(&path(named), bytes);
        first = named.saturating_add(batches);
    }
    judge(&disk);
});

fn dir() -> &'static Path {
    Path::new("/data")
}

fn path(first: u64) -> PathBuf {
    dir().join(format!("log/{first:020}.seg"))
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}

fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_le_bytes(bytes.get(at..at + 8)?.try_into().ok()?))
}

/// Makes right what the flags say; how many batches there may be.
fn mend(bytes: &mut [u8], flags: u8) -> u64 {
    let (mut at, mut batches) = (HEADER, 0);
    if bytes.len() < HEADER {
        return 0;
    }
    if flags & 1 != 0 {
        bytes[..8].copy_from_slice(b"atrarium");
        let crc = crc32fast::hash(&bytes[..28]);
        bytes[28..HEADER].copy_from_slice(&crc.to_le_bytes());
    }
    while let Some(length) = u32_at(bytes, at + 4) {
        let size = HEAD + (length as usize).next_multiple_of(8);
        let Some(end) = at.checked_add(size).filter(|&end| end <= bytes.len()) else { break };
        batches += u64::from(bytes[at + 28] == 1);
        if flags & 2 != 0 {
            bytes.copy_within(12..16, at + 24);
        }
        if flags & 1 != 0 {
            let crc = crc32fast::hash(&bytes[at + 4..end]);
            bytes[at..at + 4].copy_from_slice(&crc.to_le_bytes());
        }
        at = end;
    }
    batches
}

fn keep(batches: &mut Vec<Batch>) -> impl FnMut(Entry<'_>) -> Result<(), String> {
    |entry| {
        batches.push((entry.lsn, entry.version, entry.payload.to_vec()));
        Ok(())
    }
}

fn checked(disk: &SimulatedDisk) -> (CheckReport, Vec<Batch>) {
    let mut batches = Vec::new();
    let report = check(disk, dir(), &mut keep(&mut batches)).expect("the directory is there");
    (report, batches)
}

fn opened(disk: &SimulatedDisk) -> Result<(Log, Recovered, Vec<Batch>), LogError> {
    let mut batches = Vec::new();
    let options = Options::new(fastrand::Rng::with_seed(disk.calls()));
    let (log, recovered) = Log::open(Arc::new(disk.clone()), dir(), options, &mut keep(&mut batches))?;
    Ok((log, recovered, batches))
}

fn seen(disk: &SimulatedDisk) -> Result<(ReadReport, Vec<Batch>), LogError> {
    let mut batches = Vec::new();
    let report = read(disk, dir(), &mut keep(&mut batches))?;
    Ok((report, batches))
}

/// Reading, checking and opening say the same of a log; what was opened once opens again, and is the same.
fn judge(disk: &SimulatedDisk) {
    let before = files(disk);
    let (report, found) = checked(disk);
    let reading = seen(disk);
    assert_eq!(files(disk), before, "who only reads changes nothing");
    let opening = opened(disk);
    let (log, recovered, batches) = match opening {
        Ok(opened) => opened,
        Err(LogError::Corrupt { .. } | LogError::Version { .. }) => {
            assert_eq!(report.verdict(), Verdict::Corrupt);
            assert!(matches!(reading, Err(LogError::Corrupt { .. } | LogError::Version { .. })), "{reading:?}");
            assert_eq!(files(disk), before, "what is refused is not changed");
            return;
        }
        Err(error) => panic!("{error}"),
    };
    assert_ne!(report.verdict(), Verdict::Corrupt, "{report:?}");
    assert_eq!(found, batches, "checking and opening find the same");
    let (reading, seen) = reading.expect("what opens can be read");
    assert_eq!(seen, batches, "reading and opening find the same");
    assert_eq!(reading.last_lsn, recovered.last_lsn);
    assert_eq!(reading.tail.is_some(), report.verdict() == Verdict::TornTail);
    assert!(recovered.torn.is_none() || reading.tail.is_some());
    assert!(batches.iter().zip(1..).all(|((lsn, _, _), expected)| *lsn == expected), "LSNs are dense");
    drop(log);
    again(disk, batches);
}

fn again(disk: &SimulatedDisk, mut batches: Vec<Batch>) {
    let (report, _) = checked(disk);
    assert_eq!(report.verdict(), Verdict::Clean, "{report:?}");
    // The power fails: everything that was told of is certain.
    disk.power_cut(&mut fastrand::Rng::with_seed(disk.calls()));
    let (mut log, recovered, found) = opened(disk).expect("it opened before");
    assert_eq!((&found, recovered.torn), (&batches, None));
    let lsn = log.append(1, b"one more").expect("there is room");
    log.sync().expect("a healthy disk");
    assert_eq!(lsn, recovered.last_lsn + 1);
    batches.push((lsn, 1, b"one more".to_vec()));
    drop(log);
    disk.power_cut(&mut fastrand::Rng::with_seed(disk.calls()));
    let (_, found) = seen(disk).expect("it can be read");
    assert_eq!(found, batches);
}

fn files(disk: &SimulatedDisk) -> Vec<(String, Option<Vec<u8>>)> {
    let log = dir().join("log");
    let names = disk.list(&log).expect("the directory is there");
    names.into_iter().map(|name| (name.clone(), disk.contents(&log.join(name)))).collect()
}
