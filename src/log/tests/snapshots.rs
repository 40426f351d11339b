//! Snapshots: what is read from one is what was put, whatever happens to it; and what it makes superfluous goes.

use super::*;
use crate::disk::Fault as DiskFault;
use crate::limits::{RETENTION_MICROS, SECOND_MICROS};

const RETENTION_SECONDS: u32 = (RETENTION_MICROS / SECOND_MICROS) as u32;

fn snapshot_path(lsn: Lsn) -> PathBuf {
    log_dir(dir()).join(format!("{lsn:020}.snap"))
}

/// Appends and syncs batches until there are `count`.
fn append_up_to(log: &mut Log, batches: &mut Vec<Batch>, count: usize) {
    while batches.len() < count {
        let batch = (batches.len() as u8, payload(batches.len()));
        log.append(batch.0, &batch.1).unwrap();
        batches.push(batch);
    }
    log.sync().unwrap();
}

/// 40 batches in several segments; snapshots of the first 20 and the first 30.
fn with_two_snapshots() -> (Rig, Vec<Batch>) {
    let rig = Rig::new(900);
    let (mut log, mut batches) = (rig.open().unwrap().log, Vec::new());
    append_up_to(&mut log, &mut batches, 20);
    Rig::take_snapshot(&mut log, &batches).unwrap();
    append_up_to(&mut log, &mut batches, 30);
    let taken = Rig::take_snapshot(&mut log, &batches).unwrap();
    assert_eq!((taken.lsn, taken.dropped), (30, Dropped::default()), "nothing is old enough");
    append_up_to(&mut log, &mut batches, 40);
    assert_eq!(log.status().snapshot_lsn, 30);
    drop(log);
    (rig, batches)
}

#[test]
fn a_start_reads_the_newest_snapshot_and_what_follows() {
    let (rig, batches) = with_two_snapshots();
    let (report, read) = rig.read().unwrap();
    assert_eq!((report.snapshot_lsn, report.batches, &read), (30, 10, &batches));
    assert_eq!(read_batches(&rig.disk, dir(), &mut |_| Ok(())).unwrap().batches, 40);
    let check = rig.check();
    assert_eq!((check.verdict(), check.snapshots, check.snapshot_lsn, check.batches), (Verdict::Clean, 2, 30, 40));
    let opened = rig.open().unwrap();
    assert_eq!((opened.recovered.snapshot_lsn, opened.recovered.batches, opened.batches), (30, 10, batches));
    assert!(opened.recovered.first_lsn == 1 && opened.recovered.damaged.is_empty());
}

/// Found by fuzzing: what the snapshot holds was read then, and refused.
#[test]
fn nothing_but_a_segment_that_is_just_being_created_follows_a_snapshot() {
    let rig = Rig::new(900);
    let (mut log, mut batches) = (rig.open().unwrap().log, Vec::new());
    append_up_to(&mut log, &mut batches, 30);
    Rig::take_snapshot(&mut log, &batches).unwrap();
    log.close().unwrap();
    rig.disk.put(&segment_path(31), vec![0; 10]);
    let (report, read) = rig.read().unwrap();
    assert_eq!((report.snapshot_lsn, report.last_lsn, report.batches, read), (30, 30, 0, batches.clone()));
    assert_eq!(rig.check().verdict(), Verdict::TornTail);
    let opened = rig.open().unwrap();
    assert_eq!((opened.recovered.last_lsn, opened.batches), (30, batches));
}

#[test]
fn a_damaged_snapshot_is_set_aside_and_the_one_before_is_taken() {
    let (rig, batches) = with_two_snapshots();
    let whole = rig.disk.contents(&snapshot_path(30)).unwrap();
    let mut kinds = 0;
    for cut in (0..whole.len()).step_by(7) {
        let copy = rig.copy();
        copy.disk.put(&snapshot_path(30), whole[..cut].to_vec());
        assert_eq!(copy.check().verdict(), Verdict::Corrupt, "cut at {cut}");
        let (report, read) = copy.read().unwrap();
        assert_eq!((report.snapshot_lsn, report.damaged.len(), &read), (20, 1, &batches), "cut at {cut}");
        let opened = copy.open().unwrap();
        assert_eq!((opened.recovered.snapshot_lsn, opened.recovered.damaged.len()), (20, 1), "cut at {cut}");
        assert_eq!(opened.batches, batches, "cut at {cut}");
        assert!(copy.names().iter().any(|name| name.ends_with(".snap.damaged")));
        drop(opened.log);
        assert!(copy.open().unwrap().recovered.damaged.is_empty(), "it is told once");
        kinds += 1;
    }
    assert!(kinds > 50);
}

#[test]
fn any_flipped_bit_of_a_snapshot_is_noticed() {
    let (rig, batches) = with_two_snapshots();
    let whole = rig.disk.contents(&snapshot_path(30)).unwrap();
    for bit in 0..whole.len() * 8 {
        let mut bytes = whole.clone();
        bytes[bit / 8] ^= 1 << (bit % 8);
        rig.disk.put(&snapshot_path(30), bytes);
        let (report, read) = rig.read().unwrap();
        assert_eq!((report.snapshot_lsn, &read), (20, &batches), "bit {bit}");
    }
    // Behind the end, too.
    rig.disk.put(&snapshot_path(30), [&whole[..], &[0; 8]].concat());
    assert_eq!(rig.read().unwrap().0.snapshot_lsn, 20);
}

/// Each record of it is whole, and one is gone or there twice.
#[test]
fn a_chunk_that_is_missing_or_there_twice_is_noticed() {
    let (rig, batches) = with_two_snapshots();
    let whole = rig.disk.contents(&snapshot_path(30)).unwrap();
    let (mut ends, mut at) = (vec![HEADER_BYTES], HEADER_BYTES);
    while at < whole.len() {
        let len = u32::from_le_bytes(whole[at + 4..at + 8].try_into().unwrap()) as usize;
        at += record::size(len);
        ends.push(at);
    }
    assert_eq!(ends.len(), 32, "30 chunks and the end");
    let mut changed = Vec::new();
    for pair in ends.windows(2) {
        changed.push([&whole[..pair[0]], &whole[pair[1]..]].concat());
        changed.push([&whole[..pair[1]], &whole[pair[0]..]].concat());
    }
    // All but the first few chunks are missing, and the end is there.
    changed.push([&whole[..ends[5]], &whole[ends[30]..]].concat());
    for bytes in changed {
        rig.disk.put(&snapshot_path(30), bytes);
        let (report, read) = rig.read().unwrap();
        assert_eq!((report.snapshot_lsn, &read), (20, &batches));
    }
    // Another's name.
    rig.disk.put(&snapshot_path(31), whole);
    assert_eq!(rig.read().unwrap().0.snapshot_lsn, 20);
}

#[test]
fn both_damaged_and_the_whole_log_is_read() {
    let (rig, batches) = with_two_snapshots();
    for lsn in [20, 30] {
        rig.disk.put(&snapshot_path(lsn), vec![0; 500]);
    }
    let opened = rig.open().unwrap();
    assert_eq!((opened.recovered.snapshot_lsn, opened.recovered.damaged.len(), opened.batches), (0, 2, batches));
}

#[test]
fn a_snapshot_of_a_later_program_is_refused() {
    let (rig, _) = with_two_snapshots();
    let mut bytes = rig.disk.contents(&snapshot_path(30)).unwrap();
    bytes[8] = 9;
    let crc = crc32fast::hash(&bytes[..28]);
    bytes[28..32].copy_from_slice(&crc.to_le_bytes());
    rig.disk.put(&snapshot_path(30), bytes);
    assert!(matches!(rig.open(), Err(LogError::Version { .. })));
    assert!(matches!(rig.read(), Err(LogError::Version { .. })));
}

#[test]
fn a_log_that_ends_before_its_snapshot_is_refused() {
    let (rig, _) = with_two_snapshots();
    let segments = segment::list(&rig.disk, &log_dir(dir())).unwrap();
    let at = segments.iter().rposition(|segment| segment.first <= 30).unwrap();
    let copy = rig.copy();
    for segment in &segments[at..] {
        copy.disk.remove(&segment.path).unwrap();
    }
    let error = copy.open().map(|_| ()).unwrap_err();
    assert!(matches!(error, LogError::Corrupt { .. }) && error.to_string().contains("LSN 30"), "{error}");
    assert!(matches!(copy.read(), Err(LogError::Corrupt { .. })));
    assert_eq!(copy.check().verdict(), Verdict::Corrupt);
    for segment in &segments[..at] {
        copy.disk.remove(&segment.path).unwrap();
    }
    assert!(matches!(copy.open(), Err(LogError::Corrupt { .. })), "a snapshot alone");
}

#[test]
fn what_is_before_the_first_segment_must_be_in_a_snapshot() {
    let (rig, batches) = with_two_snapshots();
    let segments = segment::list(&rig.disk, &log_dir(dir())).unwrap();
    rig.disk.remove(&segments[0].path).unwrap();
    assert_eq!(rig.read().unwrap().1, batches);
    assert_eq!(rig.check().verdict(), Verdict::Clean);
    for lsn in [20, 30] {
        rig.disk.put(&snapshot_path(lsn), vec![0; 500]);
    }
    let error = rig.open().map(|_| ()).unwrap_err();
    assert!(matches!(error, LogError::Corrupt { lsn: 1, .. }), "{error}");
    assert_eq!(rig.check().verdict(), Verdict::Corrupt);
}

#[test]
fn superfluous_files_go_and_nothing_else() {
    let rig = Rig::new(900);
    let options = |now| Options { segment_bytes: 900, ..Options::new(now, Rng::with_seed(u64::from(now))) };
    let open = |now, batches: &mut Vec<Batch>| {
        batches.clear();
        Log::open(Arc::new(rig.disk.clone()), dir(), options(now), &mut collect(batches)).unwrap().0
    };
    let start = 1_800_000_000;
    let mut batches = Vec::new();
    let mut log = open(start, &mut batches);
    let (mut dropped, mut snapshots) = (0, 0);
    for step in 1..=40_u32 {
        // Half a day at a time.
        log.tell_time(start + step * 43_200);
        append_up_to(&mut log, &mut batches, step as usize * 10);
        let before = segment::list(&rig.disk, &log_dir(dir())).unwrap();
        let taken = Rig::take_snapshot(&mut log, &batches).unwrap();
        let after = segment::list(&rig.disk, &log_dir(dir())).unwrap();
        assert_eq!(before.len() - after.len(), taken.dropped.segments as usize);
        let status = log.status();
        assert_eq!(status.segments as usize, after.len());
        let size: u64 = after.iter().map(|segment| segment.size(&rig.disk).unwrap()).sum();
        assert_eq!(status.bytes, size);
        let older = u64::from(step.saturating_sub(1)) * 10;
        for pair in after.windows(2) {
            let created = segment::created(&rig.disk, &pair[1]).unwrap();
            let is_old = created + RETENTION_SECONDS <= start + step * 43_200;
            assert!(!is_old || pair[1].first > older + 1, "step {step}: {pair:?} should have gone");
        }
        if let [gone, kept, ..] = &before[..]
            && gone != &after[0]
        {
            let created = segment::created(&rig.disk, kept).unwrap_or(start);
            assert!(created + RETENTION_SECONDS <= start + step * 43_200 && kept.first <= older + 1, "step {step}");
        }
        dropped += taken.dropped.segments;
        snapshots += taken.dropped.snapshots;
        if step % 5 == 0 {
            drop(log);
            rig.disk.power_cut(&mut Rng::with_seed(u64::from(step)));
            let wanted = batches.clone();
            log = open(start + step * 43_200, &mut batches);
            assert_eq!(batches, wanted, "step {step}");
            assert_eq!(rig.check().verdict(), Verdict::Clean, "step {step}");
        }
    }
    assert!(dropped > 30, "{dropped}");
    assert_eq!(snapshots, 38, "two are kept");
}

#[test]
fn segments_are_closed_by_age() {
    let rig = Rig::new(1 << 20);
    let mut log = rig.open().unwrap().log;
    log.append(0, b"undated").unwrap();
    for hour in 0..20 {
        log.tell_time(1_800_000_000 + hour * 3600);
        log.append(0, b"x").unwrap();
    }
    assert_eq!(log.status().segments, 4, "at 0, 6, 12 and 18 hours");
    log.tell_time(1_700_000_000);
    log.append(0, b"x").unwrap();
    assert_eq!(log.status().segments, 4, "a clock that goes back closes nothing");
}

/// One call fails, for each call of a story with two snapshots, and the power goes: nothing durable is lost, and the log itself
/// never minds a snapshot that fails.
#[test]
fn any_call_of_a_snapshot_may_fail() {
    let story = |rig: &Rig, promised: &mut Vec<Batch>, fault: Option<(u64, DiskFault)>| -> (u64, bool) {
        let mut log = rig.open().unwrap().log;
        let mut failed = false;
        for count in [6, 12, 18] {
            append_up_to(&mut log, promised, count);
            if count == 12
                && let Some((call, fault)) = fault
            {
                rig.disk.fail_call(call, fault);
            }
            failed |= Rig::take_snapshot(&mut log, promised).is_err();
            rig.disk.mend();
        }
        let before = rig.disk.calls();
        Rig::take_snapshot(&mut log, promised).unwrap();
        (rig.disk.calls() - before, failed)
    };
    let calls = story(&Rig::new(700), &mut Vec::new(), None).0;
    assert!(calls > 10, "{calls}");
    let mut failures = 0;
    for call in 1..=calls + 5 {
        for fault in [DiskFault::Io, DiskFault::NoSpace] {
            let rig = Rig::on(SimulatedDisk::new(call), 700);
            let mut promised = Vec::new();
            failures += u32::from(story(&rig, &mut promised, Some((call, fault))).1);
            rig.disk.power_cut(&mut Rng::with_seed(call));
            let opened = rig.open().unwrap_or_else(|error| panic!("call {call}, {fault:?}: {error}"));
            assert_eq!(opened.batches, promised, "call {call}, {fault:?}");
            assert!(!rig.names().iter().any(|name| name.ends_with(".tmp")), "drafts go at opening");
        }
    }
    assert!(u64::from(failures) > calls, "{failures} of {calls}");
}
