//! A log of one to four segments and up to three snapshots on a disk: read, checked, opened, and opened again.
//!
//! Input: flags (1 byte), then the files; before each but the last its length (2 bytes). Flags: 1 makes checksums and magic
//! numbers right, so that damage gets past them; 2 makes salts right too; 4 names the segments as their headers say, and else
//! densely; 8 and 16: how many segments more than one; 32 and 64: how many snapshots come before them.
#![no_main]

use std::path::Path;
use std::sync::Arc;

use atrarium::disk::{Disk, SimulatedDisk};
use atrarium::log::{CheckReport, Item, Log, LogError, Options, ReadReport, Recovered, Verdict, check, read, salvage};
use atrarium_fuzz::{take_u8, take_u16};
use libfuzzer_sys::fuzz_target;

const HEADER: usize = 32;
const HEAD: usize = 32;

/// What a hole is kept as; its payload is its last LSN.
const HOLE: u16 = u16::MAX;

/// An item as it was read: what it is (0 for a batch, [`HOLE`], else one more than the section), LSN, version, payload.
type Kept = (u16, u64, u8, Vec<u8>);

fuzz_target!(|data: &[u8]| {
    let mut data = data;
    let flags = take_u8(&mut data);
    let (segments, snapshots) = (1 + usize::from(flags >> 3 & 3), usize::from(flags >> 5 & 3));
    let disk = SimulatedDisk::new(7);
    let mut first = 1;
    for left in (0..segments + snapshots).rev() {
        let length = if left == 0 { data.len() } else { usize::from(take_u16(&mut data)).min(data.len()) };
        let (bytes, rest) = data.split_at(length);
        data = rest;
        let mut bytes = bytes.to_vec();
        if left >= segments {
            mend(&mut bytes, flags, b"atrasnap");
            let lsn = u64_at(&bytes, 16).unwrap_or(0);
            disk.put(&dir().join(format!("log/{lsn:020}.snap")), bytes);
        } else {
            let batches = mend(&mut bytes, flags, b"atrarium");
            let named = u64_at(&bytes, 16).filter(|_| flags & 4 != 0).unwrap_or(first);
            disk.put(&dir().join(format!("log/{named:020}.seg")), bytes);
            first = named.saturating_add(batches);
        }
    }
    judge(&disk, snapshots > 0);
});

fn dir() -> &'static Path {
    Path::new("/data")
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}

fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_le_bytes(bytes.get(at..at + 8)?.try_into().ok()?))
}

/// Makes right what the flags say; how many batches there may be.
fn mend(bytes: &mut [u8], flags: u8, magic: &[u8; 8]) -> u64 {
    let (mut at, mut batches) = (HEADER, 0);
    if bytes.len() < HEADER {
        return 0;
    }
    if flags & 1 != 0 {
        bytes[..8].copy_from_slice(magic);
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

fn keep(items: &mut Vec<Kept>) -> impl FnMut(Item<'_>) -> Result<(), String> {
    |item| {
        items.push(match item {
            Item::Entry(entry) => (0, entry.lsn, entry.version, entry.payload.to_vec()),
            Item::Chunk(chunk) => (1 + u16::from(chunk.section), 0, chunk.version, chunk.payload.to_vec()),
            Item::Hole(hole) => (HOLE, hole.first, 0, hole.last.to_le_bytes().to_vec()),
        });
        Ok(())
    }
}

fn checked(disk: &SimulatedDisk) -> (CheckReport, Vec<Kept>) {
    let mut items = Vec::new();
    let mut keep = keep(&mut items);
    let report = check(disk, dir(), &mut |entry| keep(Item::Entry(entry))).expect("the directory is there");
    drop(keep);
    (report, items)
}

fn opened(disk: &SimulatedDisk) -> Result<(Log, Recovered, Vec<Kept>), LogError> {
    let mut items = Vec::new();
    let options = Options::new(1_800_000_000, fastrand::Rng::with_seed(disk.calls()));
    let (log, recovered) = Log::open(Arc::new(disk.clone()), dir(), options, &mut keep(&mut items))?;
    Ok((log, recovered, items))
}

fn seen(disk: &SimulatedDisk) -> Result<(ReadReport, Vec<Kept>), LogError> {
    let mut items = Vec::new();
    let report = read(disk, dir(), &mut keep(&mut items))?;
    Ok((report, items))
}

/// Reading, checking and opening say the same of a log; what was opened once opens again, and is the same.
///
/// Checking looks at more than opening where there are snapshots: at all of them, and at what they make superfluous.
fn judge(disk: &SimulatedDisk, has_snapshots: bool) {
    let before = files(disk);
    let (report, found) = checked(disk);
    let reading = seen(disk);
    assert_eq!(files(disk), before, "who only reads changes nothing");
    let (log, recovered, items) = match opened(disk) {
        Ok(opened) => opened,
        Err(error @ (LogError::Corrupt { .. } | LogError::Version { .. })) => {
            assert_eq!(report.verdict(), Verdict::Corrupt);
            let refuses = matches!(reading, Err(LogError::Corrupt { .. } | LogError::Version { .. }));
            assert!(refuses, "{error}, and reading says {:?}", reading.map(|(report, _)| report));
            assert_eq!(files(disk), before, "what is refused is not changed");
            return salvaged(disk);
        }
        Err(error) => panic!("{error}"),
    };
    let (reading, seen) = reading.expect("what opens can be read");
    assert_eq!(seen, items, "reading and opening find the same");
    assert_eq!((reading.last_lsn, reading.snapshot_lsn), (recovered.last_lsn, recovered.snapshot_lsn));
    assert!(recovered.torn.is_none() || reading.tail.is_some());
    if !has_snapshots {
        assert_ne!(report.verdict(), Verdict::Corrupt, "{report:?}");
        assert!(found.iter().eq(items.iter().filter(|item| item.0 == 0)), "checking and opening find the same");
        assert_eq!(reading.tail.is_some(), report.verdict() == Verdict::TornTail);
    }
    assert_dense(&items, &recovered);
    drop(log);
    again(disk, items, has_snapshots);
}

/// Every LSN behind the snapshot comes once, as a batch or in a hole.
fn assert_dense(items: &[Kept], recovered: &Recovered) {
    let mut next = recovered.snapshot_lsn + 1;
    for (what, lsn, _, payload) in items {
        let last = match *what {
            0 => *lsn,
            HOLE => u64::from_le_bytes(payload[..].try_into().expect("eight bytes")),
            _ => continue,
        };
        // A hole may begin in what the snapshot holds.
        let begins = *lsn == next || (*what == HOLE && *lsn <= next);
        assert!(begins && last >= next, "{next} was expected, {lsn} to {last} comes");
        next = last + 1;
    }
    assert_eq!(next, recovered.last_lsn.max(recovered.snapshot_lsn) + 1);
}

/// What opening refuses can be salvaged, and opens then, and again.
fn salvaged(disk: &SimulatedDisk) {
    match salvage(disk, dir(), Options::new(1_800_000_000, fastrand::Rng::with_seed(disk.calls()))) {
        Ok(_) => {}
        Err(LogError::Version { .. }) => return,
        Err(error) => panic!("{error}"),
    }
    let (log, recovered, items) = opened(disk).expect("what was salvaged opens");
    assert_dense(&items, &recovered);
    drop(log);
    again(disk, items, true);
}

fn again(disk: &SimulatedDisk, mut items: Vec<Kept>, has_snapshots: bool) {
    if !has_snapshots {
        let (report, _) = checked(disk);
        assert_eq!(report.verdict(), Verdict::Clean, "{report:?}");
    }
    // The power fails: everything that was told of is certain.
    let cut = || disk.power_cut(&mut fastrand::Rng::with_seed(disk.calls()));
    cut();
    let (mut log, recovered, found) = opened(disk).expect("it opened before");
    assert_eq!((&found, recovered.torn, recovered.damaged), (&items, None, Vec::new()));
    let lsn = log.append(1, b"one more").expect("there is room");
    assert_eq!(log.sync().expect("a healthy disk"), lsn);
    assert_eq!(lsn, recovered.last_lsn + 1);
    items.push((0, lsn, 1, b"one more".to_vec()));
    drop(log);
    cut();
    let (mut log, _, found) = opened(disk).expect("it opened before");
    assert_eq!(found, items);
    let mut snapshot = log.begin_snapshot(lsn).expect("there is room");
    snapshot.put(6, 7, b"state").expect("there is room");
    let done = snapshot.finish().expect("there is room").run();
    log.finish_snapshot(done).expect("a healthy disk");
    drop(log);
    cut();
    let (report, found) = seen(disk).expect("it can be read");
    assert_eq!((report.snapshot_lsn, report.last_lsn, found), (lsn, lsn, vec![(7, 0, 7, b"state".to_vec())]));
}

fn files(disk: &SimulatedDisk) -> Vec<(String, Option<Vec<u8>>)> {
    let log = dir().join("log");
    let names = disk.list(&log).expect("the directory is there");
    names.into_iter().map(|name| (name.clone(), disk.contents(&log.join(name)))).collect()
}
