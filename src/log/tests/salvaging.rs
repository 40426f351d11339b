//! Salvage gives up what is damaged, names it, and nothing else.

use std::collections::BTreeMap;

use super::*;
use crate::log::LAST_LSN;
use crate::log::record::{Head, Kind};
use crate::log::segment::{Header, Magic};

/// Every batch by its LSN, and every hole.
type Found = (BTreeMap<Lsn, Batch>, Vec<Hole>);

fn open_with_holes(rig: &Rig) -> Result<(Found, Recovered), LogError> {
    let (mut batches, mut holes) = (BTreeMap::new(), Vec::new());
    let options = Options { segment_bytes: 900, ..Options::new(0, Rng::with_seed(5)) };
    let (log, recovered) = Log::open(Arc::new(rig.disk.clone()), dir(), options, &mut |item| {
        match item {
            Item::Entry(entry) => {
                batches.insert(entry.lsn, (entry.version, entry.payload.to_vec()));
            }
            Item::Hole(hole) => holes.push(hole),
            Item::Chunk(_) => {}
        }
        Ok(())
    })?;
    log.close()?;
    Ok(((batches, holes), recovered))
}

fn salvaged(rig: &Rig) -> SalvageReport {
    salvage(&rig.disk, dir(), Options::new(0, Rng::with_seed(9))).unwrap()
}

/// 40 batches in segments of about 900 bytes, all synced, closed on purpose.
fn whole() -> (Rig, BTreeMap<Lsn, Batch>) {
    let rig = Rig::new(900);
    let (mut log, mut batches) = (rig.open().unwrap().log, BTreeMap::new());
    for number in 0..40 {
        let batch = (number as u8, payload(number));
        let lsn = log.append(batch.0, &batch.1).unwrap();
        batches.insert(lsn, batch);
        log.sync().unwrap();
    }
    log.close().unwrap();
    (rig, batches)
}

fn firsts(rig: &Rig) -> Vec<Lsn> {
    segment::list(&rig.disk, &log_dir(dir())).unwrap().iter().map(|segment| segment.first).collect()
}

/// Salvages, and sees to it that what is left is what was whole, that all the rest is named, and that it stays so.
fn assert_salvaged(rig: &Rig, batches: &BTreeMap<Lsn, Batch>, story: &str) -> (usize, SalvageReport) {
    let report = salvaged(rig);
    let ((left, holes), _) = open_with_holes(rig).unwrap_or_else(|error| panic!("{story}: {error}"));
    let mut lost = 0;
    for (lsn, batch) in batches {
        let is_named = holes.iter().any(|hole| (hole.first..=hole.last).contains(lsn));
        lost += usize::from(is_named);
        let found = left.get(lsn);
        assert!(found.is_none_or(|found| found == batch), "{story}: LSN {lsn} is another");
        assert!(found.is_some() != is_named, "{story}: LSN {lsn} is neither there nor named: {holes:?}");
    }
    assert_eq!(left.len() + lost, batches.len(), "{story}");
    assert_eq!(report.holes, holes, "{story}");
    let check = rig.check();
    assert_eq!((check.verdict(), &check.holes), (Verdict::Clean, &holes), "{story}: {:?}", check.faults);
    let read = read_batches(&rig.disk, dir(), &mut |_| Ok(())).unwrap();
    assert_eq!(read.batches as usize, left.len(), "{story}");
    let again = salvaged(rig);
    assert_eq!((again.holes, again.kept.len()), (holes, 0), "{story}: twice changes nothing");
    (lost, report)
}

#[test]
fn a_whole_log_and_a_torn_tail_are_left_alone() {
    let (rig, batches) = whole();
    let before: Vec<_> = firsts(&rig).iter().map(|&first| rig.contents(first)).collect();
    assert_eq!(salvaged(&rig), SalvageReport::default());
    let after: Vec<_> = firsts(&rig).iter().map(|&first| rig.contents(first)).collect();
    assert_eq!(before, after);
    let last = *firsts(&rig).last().unwrap();
    let torn = rig.changed(last, |bytes| bytes.extend_from_slice(&[7; 50]));
    assert_eq!(assert_salvaged(&torn, &batches, "torn").0, 0);
}

#[test]
fn one_wrong_byte_costs_one_batch() {
    let (rig, batches) = whole();
    let mut most = 0;
    for first in firsts(&rig) {
        for at in (0..rig.contents(first).len()).step_by(5) {
            let damaged = rig.changed(first, |bytes| bytes[at] ^= 0x40);
            let (lost, report) = assert_salvaged(&damaged, &batches, &format!("segment {first}, byte {at}"));
            assert!(lost <= 1, "segment {first}, byte {at}: {lost} lost, {report:?}");
            most = most.max(lost);
        }
    }
    assert_eq!(most, 1);
}

/// Found by fuzzing: a hole was made up to the LSN that a record claimed, and the log did not open any more.
#[test]
fn records_that_claim_impossible_lsns_are_none() {
    let (rig, batches) = whole();
    let firsts = firsts(&rig);
    for (at, &first) in firsts.iter().enumerate() {
        let salt = Header::decode(Magic::Segment, &rig.contents(first)).unwrap().salt;
        let successor = firsts.get(at + 1).copied();
        for lsn in [successor.unwrap_or(LAST_LSN), u64::MAX - 1, u64::MAX] {
            let damaged = rig.changed(first, |bytes| {
                bytes.truncate(bytes.len() - 8);
                Head::batch(salt, lsn, first, 1).encode(b"from nowhere", bytes);
                Head::hole(salt, lsn, lsn).encode(&[], bytes);
                Head::mark(Kind::Mark, salt, lsn, lsn).encode(&[], bytes);
            });
            assert_salvaged(&damaged, &batches, &format!("segment {first}, LSN {lsn}"));
        }
    }
}

#[test]
fn missing_segments_are_bridged() {
    let (rig, batches) = whole();
    let firsts = firsts(&rig);
    assert!(firsts.len() > 5);
    for gone in [vec![0], vec![1], vec![2, 3], vec![0, 1, 4]] {
        let copy = rig.copy();
        let mut expected = 0;
        for &at in &gone {
            copy.disk.remove(&segment_path(firsts[at])).unwrap();
            expected += (firsts[at + 1] - firsts[at]) as usize;
        }
        assert!(matches!(copy.open(), Err(LogError::Corrupt { .. })), "{gone:?}");
        let (lost, _) = assert_salvaged(&copy, &batches, &format!("without {gone:?}"));
        assert_eq!(lost, expected, "without {gone:?}");
    }
}

#[test]
fn a_segment_of_garbage_is_one_hole() {
    let (rig, batches) = whole();
    let firsts = firsts(&rig);
    let mut rng = Rng::with_seed(3);
    for at in 0..firsts.len() - 1 {
        let garbage = rig.changed(firsts[at], |bytes| bytes.fill_with(|| rng.u8(..)));
        let (lost, report) = assert_salvaged(&garbage, &batches, &format!("segment {at}"));
        assert_eq!(lost, (firsts[at + 1] - firsts[at]) as usize);
        assert_eq!(report.kept, [segment_path(firsts[at]).with_extension("seg.damaged")]);
    }
}

#[test]
fn damage_everywhere_leaves_what_is_whole() {
    let (rig, batches) = whole();
    let mut left = 0;
    for seed in 0..300 {
        let mut rng = Rng::with_seed(seed);
        let copy = rig.copy();
        for first in firsts(&rig) {
            let mut bytes = rig.contents(first);
            for _ in 0..rng.usize(0..4) {
                let (at, len) = (rng.usize(0..bytes.len()), rng.usize(1..120));
                let end = (at + len).min(bytes.len());
                match rng.u8(0..3) {
                    0 => bytes[at..end].fill(0),
                    1 => bytes[at..end].fill_with(|| rng.u8(..)),
                    _ => bytes.truncate(at),
                }
                if bytes.is_empty() {
                    break;
                }
            }
            copy.disk.put(&segment_path(first), bytes);
        }
        if copy.open().is_ok() {
            continue; // only tails
        }
        // Tails that nothing vouches for are cut off and in no hole: they are no part of what must be there.
        salvaged(&copy);
        let ((found, holes), _) = open_with_holes(&copy).unwrap_or_else(|error| panic!("seed {seed}: {error}"));
        let last = found.keys().next_back().copied().max(holes.last().map(|hole| hole.last)).unwrap_or(0);
        for (lsn, batch) in batches.range(..=last) {
            let is_named = holes.iter().any(|hole| (hole.first..=hole.last).contains(lsn));
            assert!(found.get(lsn).map_or(is_named, |found| found == batch && !is_named), "seed {seed}, LSN {lsn}");
        }
        assert_eq!(copy.check().verdict(), Verdict::Clean, "seed {seed}");
        left += found.len();
    }
    assert!(left > 2000, "{left}");
}

/// A log of 30 batches and a snapshot of them all, without its segments.
fn snapshot_alone() -> (Rig, Vec<Batch>) {
    let rig = Rig::new(900);
    let (mut log, mut batches) = (rig.open().unwrap().log, Vec::new());
    for number in 0..30 {
        batches.push((number as u8, payload(number)));
        log.append(number as u8, &payload(number)).unwrap();
    }
    log.sync().unwrap();
    Rig::take_snapshot(&mut log, &batches).unwrap();
    drop(log);
    for first in firsts(&rig) {
        rig.disk.remove(&segment_path(first)).unwrap();
    }
    (rig, batches)
}

/// Found by fuzzing: the only segment was put aside, and the log did not open without one.
#[test]
fn a_segment_of_garbage_alone_behind_a_snapshot_is_put_aside() {
    let (rig, batches) = snapshot_alone();
    rig.disk.put(&segment_path(31), vec![7; 500]);
    assert!(matches!(rig.open(), Err(LogError::Corrupt { .. })));
    let report = salvaged(&rig);
    assert_eq!((report.snapshot_lsn, report.holes.len()), (30, 0));
    assert_eq!(report.kept, [segment_path(31).with_extension("seg.damaged")]);
    let Opened { mut log, batches: found, .. } = rig.open().unwrap();
    assert_eq!(found, batches);
    assert_eq!(log.append(1, b"next").unwrap(), 31);
}

#[test]
fn what_a_snapshot_holds_is_no_loss_and_the_log_goes_on_behind_it() {
    let (rig, batches) = snapshot_alone();
    assert!(matches!(rig.open(), Err(LogError::Corrupt { .. })));
    let report = salvaged(&rig);
    assert_eq!((report.snapshot_lsn, report.holes.len()), (30, 0), "everything is in the snapshot");
    let Opened { mut log, batches: found, .. } = rig.open().unwrap();
    assert_eq!(found, batches);
    assert_eq!(log.append(1, b"next").unwrap(), 31);
}

/// The power goes in the middle of it: another salvage ends it.
#[test]
fn any_call_of_a_salvage_may_fail() {
    let (rig, batches) = whole();
    let firsts = firsts(&rig);
    let damaged = rig.changed(firsts[1], |bytes| bytes[60] ^= 1).changed(firsts[3], |bytes| bytes[90] ^= 1);
    damaged.disk.remove(&segment_path(firsts[4])).unwrap();
    let before = damaged.disk.calls();
    let expected = assert_salvaged(&damaged.copy(), &batches, "without a fault").0;
    let mut failed = 0;
    for call in 1..damaged.disk.calls() - before + 120 {
        let copy = damaged.copy();
        copy.disk.fail_call(call, crate::disk::Fault::Io);
        failed += u32::from(salvage(&copy.disk, dir(), Options::new(0, Rng::with_seed(1))).is_err());
        copy.disk.mend();
        copy.disk.power_cut(&mut Rng::with_seed(call));
        let (lost, _) = assert_salvaged(&copy, &batches, &format!("call {call}"));
        assert_eq!(lost, expected, "call {call}");
    }
    assert!(failed > 40, "{failed}");
}
