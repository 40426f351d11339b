//! A small log cut at every byte, and with every bit flipped.

use super::*;

/// Two sealed segments and a last one; 12 of 13 batches are synced, each with its mark.
fn small_log() -> (Rig, Vec<Batch>, usize) {
    let rig = Rig::new(400);
    let mut log = rig.open().unwrap().log;
    let mut batches = Vec::new();
    for number in 0..13_u8 {
        let batch = (number, vec![number; 20 + usize::from(number) * 3]);
        log.append(batch.0, &batch.1).unwrap();
        batches.push(batch);
        if number < 12 {
            log.sync().unwrap();
        }
    }
    drop(log);
    assert!(rig.names().len() >= 3);
    (rig, batches, 12)
}

fn firsts(rig: &Rig) -> Vec<Lsn> {
    segment::list(&rig.disk, &log_dir(dir())).unwrap().iter().map(|segment| segment.first).collect()
}

/// Cutting the last segment is what a crash does to bytes that were not synced: opening never refuses, and finds every batch
/// that is whole, and no other.
#[test]
fn a_log_cut_at_any_byte_is_its_whole_batches() {
    let (rig, batches, _) = small_log();
    let last = *firsts(&rig).last().unwrap();
    let bytes = rig.contents(last);
    let mut ends = Vec::new();
    let mut at = HEADER_BYTES;
    while at < bytes.len() {
        let len = u32::from_le_bytes(bytes[at + 4..at + 8].try_into().unwrap()) as usize;
        let is_batch = bytes[at + 28] == 1;
        at += record::size(len);
        if is_batch {
            ends.push(at);
        }
    }
    for cut in 0..=bytes.len() {
        let cut_rig = rig.changed(last, |bytes| bytes.truncate(cut));
        let whole = last as usize - 1 + ends.iter().filter(|&&end| end <= cut).count();
        assert_eq!(cut_rig.read().unwrap().1, batches[..whole], "read, cut at {cut}");
        assert_ne!(cut_rig.check().verdict(), Verdict::Corrupt, "check, cut at {cut}");
        let opened = cut_rig.open().unwrap();
        assert_eq!(opened.batches, batches[..whole], "cut at {cut}");
        drop(opened.log);
        cut_rig.disk.power_cut(&mut Rng::with_seed(cut as u64));
        assert_eq!(cut_rig.open().unwrap().batches, batches[..whole], "cut at {cut}, again");
    }
}

#[test]
fn a_sealed_segment_cut_anywhere_is_refused() {
    let (rig, batches, _) = small_log();
    let last_mark = rig.contents(1).len() - record::HEAD_BYTES;
    assert_eq!(rig.changed(1, |bytes| bytes.truncate(last_mark)).open().unwrap().batches, batches, "no batch is lost");
    for cut in (0..rig.contents(1).len()).filter(|&cut| cut != last_mark) {
        let cut_rig = rig.changed(1, |bytes| bytes.truncate(cut));
        assert!(matches!(cut_rig.open(), Err(LogError::Corrupt { .. })), "cut at {cut}");
        assert!(matches!(cut_rig.read(), Err(LogError::Corrupt { .. })), "cut at {cut}");
        assert_eq!(cut_rig.check().verdict(), Verdict::Corrupt, "cut at {cut}");
    }
}

/// One wrong bit never gives a wrong payload: either opening refuses, or what is lost was not durable.
#[test]
fn any_flipped_bit_is_noticed() {
    let (rig, batches, durable) = small_log();
    let (mut refused, mut torn) = (0, 0);
    for first in firsts(&rig) {
        for bit in 0..rig.contents(first).len() * 8 {
            let flipped = rig.changed(first, |bytes| bytes[bit / 8] ^= 1 << (bit % 8));
            assert_ne!(flipped.check().verdict(), Verdict::Clean, "segment {first}, bit {bit}");
            let read = flipped.read();
            match flipped.open() {
                Ok(opened) => {
                    torn += 1;
                    assert!(opened.batches.len() >= durable, "segment {first}, bit {bit}: {:?}", opened.recovered);
                    assert_eq!(opened.batches, batches[..opened.batches.len()], "segment {first}, bit {bit}");
                    assert_eq!(read.unwrap().1, opened.batches);
                    assert!(opened.recovered.torn.is_some());
                }
                Err(LogError::Corrupt { .. }) => {
                    refused += 1;
                    assert!(matches!(read, Err(LogError::Corrupt { .. })));
                }
                Err(other) => panic!("segment {first}, bit {bit}: {other}"),
            }
        }
    }
    assert!(refused > torn && torn > 0, "{refused} refused, {torn} torn");
}

/// What a checker finds after the first damage is as good as what it found before.
#[test]
fn a_check_lists_every_fault() {
    let (rig, ..) = small_log();
    let firsts = firsts(&rig);
    let damaged = rig.changed(firsts[0], |bytes| bytes[40] ^= 1).changed(firsts[1], |bytes| bytes[200] ^= 0x10);
    let mut lsns = Vec::new();
    let report = check(&damaged.disk, dir(), &mut |entry| {
        lsns.push(entry.lsn);
        Ok(())
    })
    .unwrap();
    assert_eq!(report.verdict(), Verdict::Corrupt);
    assert_eq!(report.faults.len(), 2, "{:?}", report.faults);
    assert_eq!((report.faults[0].lsn, report.faults[0].offset), (1, 32));
    assert_eq!(report.faults[1].file, segment_path(firsts[1]));
    assert!(report.batches >= 11 && lsns.is_sorted() && lsns.len() as u64 == report.batches);
    assert_eq!((report.first_lsn, report.last_lsn), (2, 13));
}
