//! What is appended is read again.

use fastrand::Rng;
use proptest::prelude::{ProptestConfig, any, prop, prop_assert_eq, proptest};

use super::*;
use crate::disk::{Fault, Mode, RealDisk};
use crate::limits::LOG_RECORD_BYTES_MAX;

#[test]
fn a_fresh_directory_holds_an_empty_log() {
    let rig = Rig::new(4096);
    assert!(matches!(rig.read(), Err(LogError::Missing { .. })));
    let Opened { mut log, recovered, batches } = rig.open().unwrap();
    assert_eq!((recovered.case, recovered.first_lsn, batches.len()), ("fresh", 1, 0));
    assert_eq!(log.sync().unwrap(), 0);
    assert_eq!(
        log.status(),
        LogStatus { last_lsn: 0, durable_lsn: 0, snapshot_lsn: 0, segments: 1, bytes: HEADER_BYTES as u64 }
    );
    log.close().unwrap();
    assert_eq!(rig.read().unwrap().0.batches, 0);
    assert_eq!(rig.check().verdict(), Verdict::Clean);
    assert_eq!(rig.open().unwrap().recovered.case, "last_whole_marked");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn what_is_appended_is_read(
        batches in prop::collection::vec((any::<u8>(), prop::collection::vec(any::<u8>(), 0..6000)), 0..40),
        segment_bytes in 64_u64..20_000,
        sync_every in 1_usize..10,
        close_every in 1_usize..20,
    ) {
        let rig = Rig::new(segment_bytes);
        let mut log = rig.open().unwrap().log;
        for (at, (version, payload)) in batches.iter().enumerate() {
            prop_assert_eq!(log.append(*version, payload).unwrap(), at as Lsn + 1);
            if at % sync_every == 0 {
                prop_assert_eq!(log.sync().unwrap(), at as Lsn + 1);
            }
            if at % close_every == 0 {
                log.close().unwrap();
                let opened = rig.open().unwrap();
                prop_assert_eq!(&opened.batches[..], &batches[..=at]);
                log = opened.log;
            }
        }
        let status = log.status();
        log.close().unwrap();
        let (report, read) = rig.read().unwrap();
        prop_assert_eq!(&read, &batches);
        prop_assert_eq!((report.segments, report.durable_lsn, report.tail), (status.segments, batches.len() as Lsn, None));
        let check = rig.check();
        prop_assert_eq!(check.verdict(), Verdict::Clean);
        prop_assert_eq!((check.batches, check.segments, check.bytes), (batches.len() as u64, report.segments, report.bytes));
        prop_assert_eq!(rig.open().unwrap().batches, batches);
    }
}

#[test]
fn a_large_payload_on_the_real_disk() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path().join("not/there/yet");
    let mut rng = Rng::with_seed(3);
    let large: Vec<u8> = (0..5 << 20).map(|_| rng.u8(..)).collect();
    let options = Options { segment_bytes: 1 << 20, ..Options::new(0, rng) };
    let (mut log, _) = Log::open(Arc::new(RealDisk), &dir, options.clone(), &mut |_| Ok(())).unwrap();
    for payload in [&large[..], b"small", &large[..7], &large[..]] {
        log.append(9, payload).unwrap();
    }
    assert!(matches!(log.append(9, &vec![0; LOG_RECORD_BYTES_MAX + 1]), Err(LogError::TooLarge { .. })));
    assert_eq!(log.status().segments, 3, "a batch that is too large for any segment has one for itself");
    log.sync().unwrap();
    drop(log);
    let mut seen = Vec::new();
    let (log, recovered) = Log::open(Arc::new(RealDisk), &dir, options, &mut collect(&mut seen)).unwrap();
    assert_eq!(recovered.last_lsn, 4);
    log.close().unwrap();
    assert!(seen[0] == (9, large.clone()) && seen[1] == (9, b"small".to_vec()) && seen[3] == (9, large));
    assert_eq!(check(&RealDisk, &dir, &mut |_| Ok(())).unwrap().verdict(), Verdict::Clean);
}

#[test]
fn a_segment_is_sealed_when_the_next_batch_would_overfill_it() {
    let rig = Rig::new(1000);
    let mut log = rig.open().unwrap().log;
    for _ in 0..10 {
        log.append(0, &[1; 200]).unwrap();
    }
    assert_eq!(log.status().segments, 3);
    assert_eq!(log.status().durable_lsn, 8, "what is sealed is durable");
    drop(log);
    assert_eq!(rig.names(), [1, 5, 9].map(|first| format!("{first:020}.seg")));
    for first in [1, 5] {
        assert!(rig.contents(first).len() <= 1000);
    }
    assert_eq!(rig.open().unwrap().batches.len(), 10);
}

#[test]
fn a_full_disk_loses_nothing_and_goes_on_when_there_is_room() {
    for capacity in (300..3000).step_by(7) {
        let rig = Rig::new(1000);
        let mut log = rig.open().unwrap().log;
        rig.disk.set_capacity(Some(capacity));
        let mut written = Vec::new();
        let mut refused = 0;
        for number in 0..60 {
            match log.append(1, &payload(number)) {
                Ok(lsn) => {
                    written.push((1, payload(number)));
                    assert_eq!(lsn, written.len() as Lsn);
                    assert_eq!(log.sync().unwrap(), lsn);
                }
                Err(LogError::NoSpace { .. }) => refused += 1,
                Err(other) => panic!("{other}"),
            }
            if number == 40 {
                rig.disk.set_capacity(None);
            }
        }
        assert!(refused > 0);
        rig.disk.power_cut(&mut Rng::with_seed(capacity));
        assert_eq!(rig.open().unwrap().batches, written, "capacity {capacity}");
    }
}

#[test]
fn a_failed_sync_ends_the_log() {
    let rig = Rig::new(4096);
    let mut log = rig.open().unwrap().log;
    log.append(0, b"one").unwrap();
    log.sync().unwrap();
    log.append(0, b"two").unwrap();
    rig.disk.fail_call(1, Fault::NoSpace);
    let first = log.sync().unwrap_err();
    assert!(matches!(first, LogError::Sync { .. }), "no space at a sync is a failed sync: {first}");
    let calls = rig.disk.calls();
    for again in [log.sync().unwrap_err(), log.append(0, b"three").unwrap_err()] {
        assert_eq!(again.to_string(), first.to_string());
    }
    assert_eq!(log.status().durable_lsn, 1);
    assert!(log.close().is_err());
    assert_eq!(rig.disk.calls(), calls, "the disk is not asked again");
}

/// Linux marks pages as clean when their write-back has failed. A log that is opened again then sees batches that the disk
/// never got, and a sync of the same file succeeds. What opening has shown must survive a power cut nevertheless.
#[test]
fn what_the_page_cache_shows_after_a_failed_sync_is_made_certain() {
    let mut shown_unsynced = 0;
    for seed in 0..100 {
        let rig = Rig::on(SimulatedDisk::new(seed), 4096);
        let mut log = rig.open().unwrap().log;
        log.append(0, b"one").unwrap();
        log.sync().unwrap();
        log.append(0, &[2; 1500]).unwrap();
        rig.disk.fail_call(1, Fault::Io);
        log.sync().unwrap_err();
        drop(log);
        let Opened { log, recovered, batches } = rig.open().unwrap();
        assert_eq!((recovered.case, recovered.made_certain, batches.len()), ("last_whole", 1, 2));
        shown_unsynced += 1;
        drop(log);
        rig.disk.power_cut(&mut Rng::with_seed(seed));
        let again = rig.open().unwrap();
        assert_eq!(again.batches, batches);
        assert_eq!(again.recovered.case, "last_whole_marked", "and the second time there is nothing to do");
    }
    assert_eq!(shown_unsynced, 100);
}

/// A stop is seen in the page cache though its own sync has failed. If the log just went on behind it, the next power cut
/// would leave a hole before batches that were answered for.
#[test]
fn a_mark_whose_own_sync_has_failed_is_written_again() {
    for seed in 0..100 {
        let rig = Rig::on(SimulatedDisk::new(seed), 4096);
        let mut log = rig.open().unwrap().log;
        log.append(0, b"one").unwrap();
        log.sync().unwrap();
        rig.disk.fail_call(2, Fault::Io);
        assert!(matches!(log.close(), Err(LogError::Sync { .. })));
        let Opened { mut log, recovered, .. } = rig.open().unwrap();
        assert_eq!(recovered.case, "last_whole_marked");
        log.append(0, b"two").unwrap();
        log.sync().unwrap();
        rig.disk.power_cut(&mut Rng::with_seed(seed));
        assert_eq!(rig.open().unwrap().batches.len(), 2, "seed {seed}");
    }
}

/// A segment is seen in the page cache though the sync of its directory has failed. What is appended to it would vanish with
/// its name.
#[test]
fn a_segment_whose_name_may_be_lost_is_made_certain() {
    for seed in 0..100 {
        let rig = Rig::on(SimulatedDisk::new(seed), 100);
        let mut log = rig.open().unwrap().log;
        log.append(0, &[1; 60]).unwrap();
        rig.disk.fail_call(5, Fault::Io); // sync; create, write, sync, and the directory
        assert!(matches!(log.append(0, &[2; 60]), Err(LogError::Sync { .. })));
        drop(log);
        let Opened { mut log, recovered, .. } = rig.open().unwrap();
        assert_eq!((recovered.case, log.status().segments), ("last_whole", 2));
        log.append(0, b"two").unwrap();
        log.sync().unwrap();
        rig.disk.power_cut(&mut Rng::with_seed(seed));
        assert_eq!(rig.open().unwrap().batches.len(), 2, "seed {seed}");
    }
}

#[test]
fn a_directory_that_cannot_be_written_is_named() {
    let home = tempfile::tempdir().unwrap();
    let file = home.path().join("file");
    RealDisk.open(&file, Mode::Create).unwrap().write_all_at(0, b"x").unwrap();
    let options = Options::new(0, Rng::with_seed(1));
    let error = Log::open(Arc::new(RealDisk), &file, options, &mut |_| Ok(())).unwrap_err();
    assert!(matches!(error, LogError::NotWritable { .. }));
    let text = error.to_string();
    assert!(text.contains(file.to_str().unwrap()) && text.contains("--data-dir"), "{text}");
}

#[test]
fn an_entry_that_nobody_can_use_stops_opening_before_anything_is_changed() {
    let rig = Rig::new(4096);
    let mut log = rig.open().unwrap().log;
    log.append(0, b"fine").unwrap();
    log.append(77, b"strange").unwrap();
    drop(log);
    let before = rig.contents(1);
    let options = Options::new(0, Rng::with_seed(1));
    let judged = |entry: &Entry<'_>| if entry.version > 1 { Err("version 77".to_owned()) } else { Ok(()) };
    let mut each = |item: Item<'_>| match item {
        Item::Entry(entry) => judged(&entry),
        Item::Chunk(_) | Item::Hole(_) => Ok(()),
    };
    let error = Log::open(Arc::new(rig.disk.clone()), dir(), options, &mut each).unwrap_err();
    match &error {
        LogError::Entry { offset: 72, lsn: 2, what, .. } => assert_eq!(what, "version 77"),
        other => panic!("{other:?}"),
    }
    assert_eq!(rig.contents(1), before);
    assert!(read(&rig.disk, dir(), &mut each).is_err());
    let report = check(&rig.disk, dir(), &mut |entry| judged(&entry)).unwrap();
    assert_eq!((report.verdict(), report.faults.len(), report.faults[0].lsn), (Verdict::Corrupt, 1, 2));
}
