//! Each row of the recovery table, by its label.

use super::super::record::{Head, Kind};
use super::super::recovery::{CASES, Place};
use super::super::segment::{Header, Magic};
use super::super::walk::survey;
use super::*;
use crate::disk::Fault as DiskFault;

/// The label of the row that the segment meets which begins with `first`.
fn label(rig: &Rig, first: Lsn) -> &'static str {
    let segments = segment::list(&rig.disk, &log_dir(dir())).unwrap();
    let at = segments.iter().position(|segment| segment.first == first).unwrap();
    let place = if at + 1 == segments.len() { Place::Last } else { Place::Sealed };
    survey(&rig.disk, &segments[at], place, first, &mut |_| Ok(())).unwrap().1.case.label
}

/// Batches 1 to 4 in a sealed segment, 5 to 8 in the last, each of 104 bytes in a record of 136; 5 and 6 are synced.
///
/// ```text
/// 32: batch 5 | 168: batch 6 | 304: mark 6 | 336: batch 7 | 472: batch 8 | 608: end
/// ```
fn two_segments() -> Rig {
    let rig = Rig::new(640);
    let mut log = rig.open().unwrap().log;
    for number in 1..=8 {
        log.append(1, &[number; 104]).unwrap();
        if number == 6 {
            log.sync().unwrap();
        }
    }
    drop(log);
    assert_eq!((rig.contents(1).len(), rig.contents(5).len()), (32 + 4 * 136, 608));
    rig
}

const BATCH_7: usize = 336;
const BATCH_8: usize = 472;

fn refused(rig: &Rig) -> LogError {
    let names = rig.names();
    let contents: Vec<_> = names.iter().map(|name| rig.disk.contents(&log_dir(dir()).join(name))).collect();
    let error = rig.open().map(|_| ()).unwrap_err();
    assert_eq!(rig.names(), names, "a refusal changes nothing");
    let after: Vec<_> = names.iter().map(|name| rig.disk.contents(&log_dir(dir()).join(name))).collect();
    assert_eq!(after, contents, "a refusal changes nothing");
    error
}

#[track_caller]
fn assert_corrupt(rig: &Rig, first: Lsn, offset: u64, lsn: Lsn) {
    match refused(rig) {
        LogError::Corrupt { file, offset: at, lsn: due, .. } => {
            assert_eq!((file, at, due), (segment_path(first), offset, lsn));
        }
        other => panic!("{other:?}"),
    }
    match rig.read() {
        Err(LogError::Corrupt { file, offset: at, .. }) => assert_eq!((file, at), (segment_path(first), offset)),
        other => panic!("{other:?}"),
    }
    let report = rig.check();
    let fault = &report.faults[0];
    assert_eq!((&fault.file, fault.offset, fault.lsn), (&segment_path(first), offset, lsn));
    assert_eq!(report.verdict(), Verdict::Corrupt);
}

/// Opens, and sees to it that opening again finds the same and has nothing to do.
#[track_caller]
fn assert_recovers(rig: &Rig, case: &str, batches: usize) -> Recovered {
    let (report, read) = rig.read().unwrap();
    let opened = rig.open().unwrap();
    assert_eq!((opened.recovered.case, opened.batches.len()), (case, batches));
    assert_eq!(read, opened.batches, "reading shows what recovery finds");
    assert_eq!(report.tail.is_some(), opened.recovered.torn.is_some());
    drop(opened.log);
    rig.disk.power_cut(&mut Rng::with_seed(5));
    let again = rig.open().unwrap();
    // A segment that was just created is looked at once more; a copy is not.
    let second = if case == "last_no_header" { "last_whole" } else { "last_whole_marked" };
    assert_eq!((again.recovered.case, &again.batches), (second, &opened.batches));
    assert_eq!((again.recovered.torn, again.recovered.made_certain), (None, 0));
    let mut log = again.log;
    assert_eq!(log.append(1, b"next").unwrap(), batches as Lsn + 1);
    log.close().unwrap();
    assert_eq!(rig.check().verdict(), Verdict::Clean);
    assert_eq!(rig.read().unwrap().1.len(), batches + 1);
    opened.recovered
}

#[test]
fn read_error() {
    let rig = two_segments();
    let calls_before = rig.disk.calls();
    drop(rig.open().unwrap());
    let calls = rig.disk.calls() - calls_before;
    let mut read_errors = 0;
    for call in 1..=calls {
        let rig = two_segments();
        rig.disk.fail_call(call, DiskFault::Io);
        if let Err(LogError::Read { .. }) = rig.open().map(|_| ()) {
            read_errors += 1;
            assert_eq!(rig.open().unwrap().batches.len(), 8, "nothing was cut off");
        }
    }
    assert!(read_errors >= 5, "{read_errors}");
    let rig = two_segments();
    let segments = segment::list(&rig.disk, &log_dir(dir())).unwrap();
    rig.disk.fail_call(2, DiskFault::Io);
    let (_, judgement) = survey(&rig.disk, &segments[0], Place::Sealed, 1, &mut |_| Ok(())).unwrap();
    assert_eq!(judgement.case.label, "read_error");
}

/// A mark written while batches before it were still on their way to the disk says nothing of those.
#[test]
fn last_whole_with_a_mark_of_what_is_not_certain() {
    let rig = two_segments();
    let salt = Header::decode(Magic::Segment, &rig.contents(5)).unwrap().salt;
    let with_mark = |durable| {
        let marked = rig.changed(5, |bytes| Head::mark(Kind::Mark, salt, 8, durable).encode(&[], bytes));
        label(&marked, 5)
    };
    assert_eq!((with_mark(8), with_mark(7)), ("last_whole_marked", "last_whole"));
}

#[test]
fn unknown_version() {
    let rig = two_segments();
    let salt = Header::decode(Magic::Segment, &rig.contents(5)).unwrap().salt;
    let later_record = rig.changed(5, |bytes| {
        let head = Head { kind: 9, ..Head::batch(salt, 9, 6, 1) };
        head.encode(b"what a later program knows", bytes);
    });
    assert_eq!(label(&later_record, 5), "unknown_version");
    assert!(matches!(refused(&later_record), LogError::Version { offset: 608, lsn: 9, .. }));
    assert!(matches!(later_record.read(), Err(LogError::Version { .. })));
    let later_segment = rig.changed(1, |bytes| {
        bytes[8] = 2;
        let crc = crc32fast::hash(&bytes[..28]);
        bytes[28..32].copy_from_slice(&crc.to_le_bytes());
    });
    assert_eq!(label(&later_segment, 1), "unknown_version");
    match refused(&later_segment) {
        LogError::Version { offset: 0, lsn: 1, what, .. } => assert_eq!(what, "segment of version 2"),
        other => panic!("{other:?}"),
    }
    assert_eq!(later_segment.check().verdict(), Verdict::Corrupt);
}

#[test]
fn gap() {
    let rig = two_segments();
    let within = rig.changed(5, |bytes| {
        bytes.drain(BATCH_7..BATCH_8);
    });
    assert_eq!(label(&within, 5), "gap");
    assert_corrupt(&within, 5, BATCH_7 as u64, 7);
    let twice = rig.changed(5, |bytes| bytes.extend_from_within(BATCH_8..));
    assert_corrupt(&twice, 5, 608, 9);
    let between = Rig::new(600);
    between.disk.put(&segment_path(5), rig.contents(5));
    assert_corrupt(&between, 5, 0, 1);
    assert_eq!(between.check().faults[0].what, "LSN 1 was expected, the segment begins with 5");
    let renamed = Rig::new(600);
    renamed.disk.put(&segment_path(1), rig.contents(5));
    assert_corrupt(&renamed, 1, 0, 1);
    let salt = Header::decode(Magic::Segment, &rig.contents(5)).unwrap().salt;
    let mark_of_the_future = rig.changed(5, |bytes| Head::mark(Kind::Mark, salt, 8, 9).encode(&[], bytes));
    assert_corrupt(&mark_of_the_future, 5, 608, 9);
}

#[test]
fn bad_header() {
    let rig = two_segments();
    for first in [1, 5] {
        let bad = rig.changed(first, |bytes| bytes[17] ^= 1);
        assert_eq!(label(&bad, first), "bad_header");
        assert_corrupt(&bad, first, 0, first);
    }
}

#[test]
fn sealed_no_header() {
    let rig = two_segments().changed(1, |bytes| bytes.truncate(20));
    assert_eq!(label(&rig, 1), "sealed_no_header");
    assert_corrupt(&rig, 1, 0, 1);
    assert!(rig.check().faults[0].what.ends_with("LSN 1 to 4 are lost"));
}

#[test]
fn last_no_header() {
    for len in [0, 20, 31] {
        let rig = two_segments().changed(5, |bytes| bytes.truncate(len));
        assert_eq!(label(&rig, 5), "last_no_header");
        assert_eq!(rig.check().verdict(), Verdict::TornTail);
        let torn = assert_recovers(&rig, "last_no_header", 4).torn.unwrap();
        assert_eq!((torn.offset, torn.lsn, torn.bytes), (0, 5, len as u64));
        assert_eq!(rig.disk.contents(&torn.kept.unwrap()).unwrap().len(), len);
    }
    let zeros = two_segments().changed(5, |bytes| bytes.fill(0));
    assert_recovers(&zeros, "last_no_header", 4);
}

#[test]
fn sealed_bad() {
    let damaged = two_segments().changed(1, |bytes| bytes[200] ^= 1);
    assert_eq!(label(&damaged, 1), "sealed_bad");
    assert_corrupt(&damaged, 1, 168, 2);
    let report = damaged.check();
    assert_eq!((report.faults.len(), report.batches, report.last_lsn), (1, 7, 8));
    assert!(report.faults[0].what.ends_with("LSN 2 is lost"), "{:?}", report.faults);
    let cut = two_segments().changed(1, |bytes| bytes.truncate(500));
    assert_corrupt(&cut, 1, 440, 4);
    assert_eq!(cut.check().faults.len(), 1);
}

#[test]
fn last_bad_marked() {
    let damaged = two_segments().changed(5, |bytes| bytes[60] ^= 1);
    assert_eq!(label(&damaged, 5), "last_bad_marked");
    assert_corrupt(&damaged, 5, 32, 5);
    let length = two_segments().changed(5, |bytes| bytes[32 + 6] ^= 1);
    assert_corrupt(&length, 5, 32, 5);
}

#[test]
fn last_bad_marked_by_the_head_of_a_batch() {
    let damaged = two_segments().changed(5, |bytes| {
        bytes[60] ^= 1;
        bytes[310] ^= 1;
    });
    assert_eq!(label(&damaged, 5), "last_bad_marked", "the mark is gone; batch 7 says that 6 was durable");
}

#[test]
fn last_torn() {
    let before = two_segments();
    let torn = before.changed(5, |bytes| bytes[400] ^= 1);
    assert_eq!(label(&torn, 5), "last_torn");
    let report = torn.check();
    assert_eq!((report.verdict(), report.faults[0].offset, report.faults[0].lsn), (Verdict::TornTail, 336, 7));
    let tail = assert_recovers(&torn, "last_torn", 6).torn.unwrap();
    assert_eq!((&tail.file, tail.offset, tail.lsn, tail.bytes), (&segment_path(5), 336, 7, 272));
    let kept = torn.disk.contents(&tail.kept.unwrap()).unwrap();
    assert!(kept.len() == 272 && kept[136..] == before.contents(5)[BATCH_8..]);
    for garbage in [&b"x"[..], &[0xFF; 100], &[0, 0, 0, 0, 0, 0, 0, 0, 0, 1]] {
        let rig = before.changed(5, |bytes| bytes.extend_from_slice(garbage));
        assert_recovers(&rig, "last_torn", 8);
    }
}

#[test]
fn last_torn_by_records_of_another_segment() {
    let rig = two_segments();
    let others = rig.contents(1);
    let reused = rig.changed(5, |bytes| bytes.extend_from_slice(&others[32..]));
    assert_recovers(&reused, "last_torn", 8);
}

#[test]
fn sealed_zeros() {
    let rig = two_segments().changed(1, |bytes| bytes.extend_from_slice(&[0; 64]));
    assert_eq!(label(&rig, 1), "sealed_zeros");
    assert_corrupt(&rig, 1, 576, 5);
}

#[test]
fn last_zeros() {
    for len in [1, 8, 5000] {
        let rig = two_segments().changed(5, |bytes| bytes.resize(bytes.len() + len, 0));
        assert_eq!(label(&rig, 5), "last_zeros");
        let torn = assert_recovers(&rig, "last_zeros", 8).torn.unwrap();
        assert_eq!((torn.offset, torn.bytes, torn.kept), (608, len as u64, None));
    }
}

#[test]
fn sealed_whole() {
    assert_eq!(label(&two_segments(), 1), "sealed_whole");
}

#[test]
fn last_whole_marked() {
    let rig = two_segments();
    rig.open().unwrap().log.close().unwrap();
    assert_eq!(label(&rig, 5), "last_whole_marked");
    let before = rig.contents(5);
    assert_eq!(assert_recovers(&rig, "last_whole_marked", 8).made_certain, 0);
    assert_eq!(rig.contents(5)[..before.len()], before, "it is appended to as it is");
}

#[test]
fn last_whole() {
    let rig = two_segments();
    assert_eq!(label(&rig, 5), "last_whole");
    let before = Header::decode(Magic::Segment, &rig.contents(5)).unwrap();
    let recovered = assert_recovers(&rig, "last_whole", 8);
    assert_eq!((recovered.made_certain, recovered.torn), (2, None));
    let after = Header::decode(Magic::Segment, &rig.contents(5)).unwrap();
    assert!(after.first == before.first && after.salt != before.salt, "the copy has a salt of its own");
    assert!(rig.names().iter().all(|name| name.ends_with(".seg")));
}

#[test]
fn every_row_has_its_test() {
    let source = include_str!("rows.rs");
    for case in &CASES {
        assert!(source.contains(&format!("fn {}()", case.label)), "{}", case.label);
    }
}

#[test]
fn repairs_that_did_not_end_are_removed() {
    let rig = two_segments();
    let left = segment_path(5).with_extension("seg.tmp");
    rig.disk.put(&left, vec![1; 10]);
    let old = segment_path(1).with_extension("seg.tmp");
    rig.disk.put(&old, vec![1; 10]);
    assert_recovers(&rig, "last_whole", 8);
    assert!(rig.disk.contents(&left).is_none() && rig.disk.contents(&old).is_none());
}
