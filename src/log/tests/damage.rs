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
    cut_everywhere(&rig, &batches);
}

/// Cuts the last segment at every byte; says how often.
fn cut_everywhere(rig: &Rig, batches: &[Batch]) -> usize {
    let last = *firsts(rig).last().unwrap();
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
        assert!(cut_rig.read().unwrap().1 == batches[..whole], "read, cut at {cut}");
        assert_ne!(cut_rig.check().verdict(), Verdict::Corrupt, "check, cut at {cut}");
        let opened = cut_rig.open().unwrap();
        assert!(opened.batches == batches[..whole], "cut at {cut}");
        drop(opened.log);
        cut_rig.disk.power_cut(&mut Rng::with_seed(cut as u64));
        assert!(cut_rig.open().unwrap().batches == batches[..whole], "cut at {cut}, again");
    }
    bytes.len() + 1
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
            match assert_noticed(&rig, &batches, durable, first, &format!("bit {bit}"), |bytes| {
                bytes[bit / 8] ^= 1 << (bit % 8);
            }) {
                Noticed::Refused => refused += 1,
                Noticed::Torn => torn += 1,
            }
        }
    }
    assert!(refused > torn && torn > 0, "{refused} refused, {torn} torn");
}

enum Noticed {
    Refused,
    Torn,
}

/// Damages one segment, and sees to it that everybody notices, and agrees, and that nothing durable is lost in silence.
fn assert_noticed(
    rig: &Rig,
    batches: &[Batch],
    durable: usize,
    first: Lsn,
    what: &str,
    damage: impl FnOnce(&mut Vec<u8>),
) -> Noticed {
    let damaged = rig.changed(first, damage);
    assert_ne!(damaged.check().verdict(), Verdict::Clean, "segment {first}, {what}");
    let read = damaged.read();
    match damaged.open() {
        Ok(opened) => {
            assert!(opened.batches.len() >= durable, "segment {first}, {what}: {:?}", opened.recovered);
            assert_eq!(opened.batches, batches[..opened.batches.len()], "segment {first}, {what}");
            assert_eq!(read.unwrap().1, opened.batches);
            assert!(opened.recovered.torn.is_some());
            Noticed::Torn
        }
        Err(LogError::Corrupt { .. }) => {
            assert!(matches!(read, Err(LogError::Corrupt { .. })));
            Noticed::Refused
        }
        Err(other) => panic!("segment {first}, {what}: {other}"),
    }
}

/// 64 KiB in five segments; the last 3 of its batches are not synced.
fn large_log() -> (Rig, Vec<Batch>, usize) {
    let rig = Rig::new(14 << 10);
    let mut log = rig.open().unwrap().log;
    let (mut batches, mut rng) = (Vec::new(), Rng::with_seed(11));
    while log.status().bytes < 64 << 10 {
        let batch = (rng.u8(..), (0..rng.usize(0..900)).map(|_| rng.u8(..)).collect::<Vec<u8>>());
        log.append(batch.0, &batch.1).unwrap();
        batches.push(batch);
        if rng.bool() {
            log.sync().unwrap();
        }
    }
    log.sync().unwrap();
    let durable = batches.len();
    for number in 0..3 {
        let batch = (number, vec![number; 100]);
        log.append(batch.0, &batch.1).unwrap();
        batches.push(batch);
    }
    assert_eq!(log.status().segments, 5);
    (rig, batches, durable)
}

/// Zeros are what a sector is that was never written; garbage what one is that was written badly.
#[test]
fn any_lost_sector_is_noticed() {
    let (rig, batches, durable) = large_log();
    let (mut refused, mut torn, mut rng) = (0, 0, Rng::with_seed(12));
    for first in firsts(&rig) {
        for start in (0..rig.contents(first).len()).step_by(512) {
            for garbage in [false, true] {
                let what = format!("sector at {start}, garbage: {garbage}");
                let noticed = assert_noticed(&rig, &batches, durable, first, &what, |bytes| {
                    let end = (start + 512).min(bytes.len());
                    bytes[start..end].fill_with(|| if garbage { rng.u8(..) } else { 0 });
                });
                match noticed {
                    Noticed::Refused => refused += 1,
                    Noticed::Torn => torn += 1,
                }
            }
        }
    }
    assert!(refused > 200 && torn > 0, "{refused} refused, {torn} torn");
}

/// `cargo test --release --no-default-features --lib log::tests::damage -- --ignored`
#[test]
#[ignore = "half a million logs: run it with --release"]
fn any_flipped_bit_of_64_kib_is_noticed() {
    let (rig, batches, durable) = large_log();
    let bits: Vec<(Lsn, usize)> = firsts(&rig)
        .iter()
        .flat_map(|&first| (0..rig.contents(first).len() * 8).map(move |bit| (first, bit)))
        .collect();
    assert!(bits.len() >= 8 * (64 << 10));
    let threads = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let counts: Vec<(u64, u64)> = std::thread::scope(|scope| {
        let (batches, share) = (&batches, bits.len().div_ceil(threads));
        let running: Vec<_> = bits
            .chunks(share)
            .map(|bits| {
                let rig = rig.copy();
                scope.spawn(move || {
                    bits.iter().fold((0, 0), |(refused, torn), &(first, bit)| {
                        let flip = |bytes: &mut Vec<u8>| bytes[bit / 8] ^= 1 << (bit % 8);
                        match assert_noticed(&rig, batches, durable, first, &format!("bit {bit}"), flip) {
                            Noticed::Refused => (refused + 1, torn),
                            Noticed::Torn => (refused, torn + 1),
                        }
                    })
                })
            })
            .collect();
        running.into_iter().map(|thread| thread.join().expect("every flip is noticed")).collect()
    });
    let (refused, torn) = counts.iter().fold((0, 0), |sum, count| (sum.0 + count.0, sum.1 + count.1));
    println!("{} bits flipped one by one: {refused} refused, {torn} cut off as never durable, 0 unnoticed", bits.len());
    assert_eq!(refused + torn, bits.len() as u64);
}

/// The last segment of a log of 64 KiB, and then the whole log in one segment, cut at every byte.
#[test]
#[ignore = "80,000 logs: run it with --release"]
fn a_log_of_64_kib_cut_at_any_byte_is_its_whole_batches() {
    let (rig, batches, _) = large_log();
    let mut cuts = cut_everywhere(&rig, &batches);
    let one = Rig::new(1 << 20);
    let mut log = one.open().unwrap().log;
    for (version, payload) in &batches {
        log.append(*version, payload).unwrap();
    }
    drop(log);
    cuts += cut_everywhere(&one, &batches);
    println!("cut at {cuts} places: opened each time, with every whole batch and no other");
    assert!(cuts > 64 << 10);
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

/// Fuzzing found it: a segment named 0 made its reader count down from it.
#[test]
fn files_of_impossible_lsns_are_none_of_ours() {
    let (rig, batches, _) = small_log();
    for name in ["00000000000000000000.seg", "18446744073709551615.seg", "18446744073709551615.snap"] {
        let rig = rig.copy();
        rig.disk.put(&log_dir(dir()).join(name), rig.contents(1));
        assert_eq!(rig.read().unwrap().1, batches, "{name}");
        assert_eq!(rig.check().verdict(), Verdict::Clean, "{name}");
        assert_eq!(rig.open().unwrap().batches, batches, "{name}");
    }
}

/// Found by fuzzing: opening refused it, and who only reads passed it over.
#[test]
fn a_segment_that_begins_too_early_is_refused_by_all() {
    let rig = Rig::new(900);
    let mut log = rig.open().unwrap().log;
    for number in 0..40 {
        log.append(1, &payload(number)).unwrap();
        log.sync().unwrap();
    }
    log.close().unwrap();
    rig.disk.put(&segment_path(2), rig.contents(1));
    let refuses = |result: Result<(), LogError>| match result {
        Err(LogError::Corrupt { file, lsn, .. }) => assert!(file == segment_path(2) && lsn > 2, "{file:?} {lsn}"),
        other => panic!("{other:?}"),
    };
    refuses(rig.open().map(drop));
    refuses(read(&rig.disk, dir(), &mut |_| Ok(())).map(drop));
    refuses(read_batches(&rig.disk, dir(), &mut |_| Ok(())).map(drop));
    let report = rig.check();
    assert_eq!((report.verdict(), &report.faults[0].file), (Verdict::Corrupt, &segment_path(2)));
}
