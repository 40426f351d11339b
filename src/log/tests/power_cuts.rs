//! Lives that end badly, one after another, against a plain list of what was promised.
//!
//! A story is a chain of lives on one disk. In each life a writer appends, syncs (also while it goes on appending), closes
//! segments by size and by age, takes snapshots and drops what they make superfluous, until a call fails or time is up; then
//! the power goes, or the process is killed. Then the log is opened, up to four times in a row with another cut in the
//! middle of it. Each cut counts.

use super::*;
use crate::disk::Fault as DiskFault;

/// What the log may and must hold.
#[derive(Default)]
pub(super) struct Promise {
    /// Everything that was appended. The last one may have failed, and be there or not.
    pub appended: Vec<Batch>,
    /// So many of them were answered for.
    pub durable: usize,
    /// The clock of the machine, in seconds since the epoch.
    now: u32,
}

/// What has happened, so that no kind of it is missing unnoticed.
#[derive(Clone, Copy, Debug, Default)]
struct Tally {
    cuts: u64,
    kills: u64,
    cuts_in_recovery: u64,
    torn: u64,
    made_certain: u64,
    faults_fired: u64,
    syncs_overlapped: u64,
    syncs_abandoned: u64,
    snapshots: u64,
    snapshots_abandoned: u64,
    from_snapshot: u64,
    segments_dropped: u64,
    stops: u64,
}

impl Promise {
    /// One life: whatever a writer does, at random, until something fails or time is up.
    fn live(&mut self, mut log: Log, rng: &mut Rng, tally: &mut Tally) {
        let mut under_way: Option<PendingSync> = None;
        for _ in 0..rng.usize(0..14) {
            match rng.u8(0..16) {
                0..=7 => {
                    let batch = (rng.u8(..), (0..rng.usize(0..700)).map(|_| rng.u8(..)).collect::<Vec<u8>>());
                    tally.syncs_overlapped += u64::from(under_way.is_some());
                    match log.append(batch.0, &batch.1) {
                        Ok(lsn) => {
                            self.appended.push(batch);
                            assert_eq!(lsn, self.appended.len() as Lsn);
                        }
                        Err(LogError::NoSpace { .. } | LogError::Busy) => {}
                        Err(_) => return self.appended.push(batch),
                    }
                }
                8..=11 => match under_way.take() {
                    None => match log.begin_sync() {
                        Ok(begun) => under_way = begun,
                        Err(_) => return,
                    },
                    Some(sync) => match log.finish_sync(sync.run()) {
                        Ok(durable) => self.durable = durable as usize,
                        Err(_) => return,
                    },
                },
                12 => {
                    self.now += rng.u32(0..1_500_000);
                    log.tell_time(self.now);
                }
                13 | 14 => {
                    let Some(snapshot) = self.begin_snapshot(&mut log) else { continue };
                    if rng.u8(0..3) == 0 {
                        tally.snapshots_abandoned += 1;
                    } else if let Ok(taken) = log.finish_snapshot(snapshot.run()) {
                        tally.snapshots += 1;
                        tally.segments_dropped += taken.dropped.segments;
                    }
                }
                _ => {}
            }
        }
        if let Some(sync) = under_way {
            if rng.bool() {
                tally.syncs_abandoned += 1;
                return;
            }
            match log.finish_sync(sync.run()) {
                Ok(durable) => self.durable = durable as usize,
                Err(_) => return,
            }
        }
        if rng.u8(0..6) == 0 && log.close().is_ok() {
            self.durable = self.appended.len();
            tally.stops += 1;
        }
    }

    /// Of what is durable; `None` where the disk did not take it.
    fn begin_snapshot(&self, log: &mut Log) -> Option<PendingSnapshot> {
        let durable = log.status().durable_lsn;
        let mut writer = log.begin_snapshot(durable).ok()?;
        for (version, payload) in &self.appended[..durable as usize] {
            writer.put(0, *version, payload).ok()?;
        }
        writer.finish().ok()
    }

    /// What was found is a prefix of what was appended, and holds what was promised. From now on all of it is promised.
    pub fn hold(&mut self, found: &[Batch], story: &str) {
        assert!(found.len() >= self.durable, "{story}: {} of {} durable batches", found.len(), self.durable);
        assert!(found.len() <= self.appended.len(), "{story}: more than was appended");
        assert!(found == &self.appended[..found.len()], "{story}: another payload");
        self.appended.truncate(found.len());
        self.durable = found.len();
    }

    /// Reading and checking, after a cut, find no damage and nothing less.
    fn hold_for_readers(&self, rig: &Rig, story: &str) {
        assert_ne!(rig.check().verdict(), Verdict::Corrupt, "{story}: {:?}", rig.check().faults);
        let (_, read) = rig.read().unwrap_or_else(|error| panic!("{story}: {error}"));
        let enough = self.durable <= read.len() && read.len() <= self.appended.len();
        assert!(enough, "{story}: {} of {} to {} read", read.len(), self.durable, self.appended.len());
        assert!(read == self.appended[..read.len()], "{story}: another payload read");
    }
}

/// The next call that fails, if any.
fn plan_fault(rig: &Rig, rng: &mut Rng, calls: u64) {
    rig.disk.fail_call(rng.u64(1..calls), if rng.bool() { DiskFault::Io } else { DiskFault::NoSpace });
}

/// The end of a life.
fn end(rig: &Rig, rng: &mut Rng, tally: &mut Tally) {
    tally.faults_fired += rig.disk.faults_fired();
    rig.disk.mend();
    match rng.u8(0..6) {
        0 => {
            rig.disk.kill();
            tally.kills += 1;
        }
        1 => {
            rig.disk.kill();
            rig.disk.forget_cache();
            tally.kills += 1;
        }
        _ => {
            rig.disk.power_cut(rng);
            tally.cuts += 1;
        }
    }
}

/// Opens; up to four times in a row a call fails in the middle of it, and the power goes.
fn open_somehow(rig: &Rig, rng: &mut Rng, tally: &mut Tally, story: &str) -> Opened {
    for _ in 0..4 {
        if rng.u8(0..2) == 0 {
            break;
        }
        plan_fault(rig, rng, 25);
        match rig.open() {
            Ok(opened) if rng.bool() => {
                rig.disk.mend();
                return opened;
            }
            // It was opened, or it failed: either way the power goes now.
            _ => {
                tally.cuts_in_recovery += 1;
                end(rig, rng, tally);
            }
        }
    }
    rig.open().unwrap_or_else(|error| panic!("{story}: {error}"))
}

/// One chain of lives.
fn story(seed: u64, tally: &mut Tally) {
    let mut rng = Rng::with_seed(seed);
    let rig = Rig::on(SimulatedDisk::new(seed), rng.u64(100..4000));
    let mut promise = Promise { now: 1_800_000_000, ..Promise::default() };
    for life in 0..10 {
        let story = format!("seed {seed}, life {life}");
        let opened = open_somehow(&rig, &mut rng, tally, &story);
        promise.hold(&opened.batches, &story);
        tally.torn += u64::from(opened.recovered.torn.is_some());
        tally.made_certain += u64::from(opened.recovered.made_certain > 0);
        tally.from_snapshot += u64::from(opened.recovered.snapshot_lsn > 0);
        let mut log = opened.log;
        log.tell_time(promise.now);
        if rng.u8(0..4) == 0 {
            plan_fault(&rig, &mut rng, 20);
        }
        promise.live(log, &mut rng, tally);
        end(&rig, &mut rng, tally);
        if rng.u8(0..4) == 0 {
            promise.hold_for_readers(&rig, &story);
        }
        if rng.u8(0..4) == 0 {
            // Opening what was just opened finds the same.
            let first = rig.open().unwrap_or_else(|error| panic!("{story}: {error}"));
            promise.hold(&first.batches, &story);
            drop(first.log);
            rig.disk.power_cut(&mut rng);
            tally.cuts += 1;
            let again = rig.open().unwrap_or_else(|error| panic!("{story}: {error}"));
            let counts = (again.batches.len(), first.batches.len());
            assert!(again.batches == first.batches, "{story}: {counts:?} {:?} {:?}", first.recovered, again.recovered);
        }
    }
}

fn stories(first_seed: u64, cuts: u64) -> Tally {
    let (mut tally, mut seed) = (Tally::default(), first_seed);
    while tally.cuts < cuts {
        story(seed, &mut tally);
        seed += 1;
    }
    println!("seeds {first_seed} to {}: {tally:?}", seed - 1);
    let Tally { cuts, kills, cuts_in_recovery, torn, made_certain, faults_fired, .. } = tally;
    let happened = [
        kills,
        cuts_in_recovery,
        torn,
        made_certain,
        faults_fired,
        tally.syncs_overlapped,
        tally.syncs_abandoned,
        tally.snapshots,
        tally.snapshots_abandoned,
        tally.from_snapshot,
        tally.segments_dropped,
        tally.stops,
    ];
    assert!(happened.iter().all(|&count| count > cuts / 500), "something never happened: {tally:?}");
    tally
}

/// Seeds of stories that once went wrong.
#[test]
fn stories_that_found_something() {
    // A batch that a full disk had refused came back, because its cut was in the page cache alone.
    // …and once more, in the life in which it was refused.
    const SEEDS: &[u64] = &[281_474_983_727_990, 7_075_555];
    SEEDS.iter().for_each(|&seed| story(seed, &mut Tally::default()));
}

#[test]
fn chained_power_cuts_lose_nothing_that_was_promised() {
    stories(0, 5000);
}

/// `POWER_CUTS=5000000 POWER_CUT_SEED=1000 cargo test --release --no-default-features --lib power_cuts -- --ignored --nocapture`
#[test]
#[ignore = "a campaign: POWER_CUTS says how many, POWER_CUT_SEED from which seed on"]
fn a_campaign_of_power_cuts() {
    let number = |name: &str, default: u64| {
        std::env::var(name).map_or(default, |text| text.parse().unwrap_or_else(|_| panic!("{name}: give a number")))
    };
    let (cuts, seed) = (number("POWER_CUTS", 200_000), number("POWER_CUT_SEED", 1 << 32));
    let threads = std::thread::available_parallelism().map_or(1, |threads| threads.get() as u64);
    let total: u64 = std::thread::scope(|scope| {
        let running: Vec<_> = (0..threads)
            .map(|at| scope.spawn(move || stories(seed + (at << 48), cuts.div_ceil(threads)).cuts))
            .collect();
        running.into_iter().map(|thread| thread.join().expect("no story fails")).sum()
    });
    println!("{total} power cuts, 0 batches lost, 0 false refusals");
}
