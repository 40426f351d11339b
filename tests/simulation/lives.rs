//! One seed: a chain of lives on one disk, each of which ends badly but the last, and what must hold after each.

use std::cell::RefCell;
use std::collections::HashSet;
use std::path::Path;
use std::rc::Rc;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use atrarium::clock::{Clock, Now};
use atrarium::community::inquiry;
use atrarium::disk::{self, Disk, SimulatedDisk};
use atrarium::engine::StartError;
use atrarium::engine::recover::{self, Opened};
use atrarium::fact::{Batch, Fact, GapReason};
use atrarium::ingest::committer::{self, Committer, Folded, Policy};
use atrarium::ingest::lanes::{self, Lanes};
use atrarium::ingest::reader::{Config, Reader, WithoutCursor, Zstd};
use atrarium::ingest::sieve::Sieve;
use atrarium::ingest::worker::{Parser, Worker};
use atrarium::limits::SECOND_MICROS;
use atrarium::log::{self, LogError, Options, Verdict};
use atrarium::ring::{self, Signal};
use atrarium::telemetry::Telemetry;
use atrarium::view::{self, View};
use atrarium::wire::zstd::Dictionary;
use fastrand::Rng;

use crate::door::{Door, Watched};
use crate::engine_support::feeds;
use crate::faults::{Fault, Plan, Tally};
use crate::host::{Host, v1_dictionary};
use crate::sim::{Actors, End, Held, LeftOut, Life, Seen, Sim, Told, Trace, lock};
use crate::world::{Held as Facts, World};

const DIR: &str = "/data";

/// What came of a seed.
#[derive(Debug, PartialEq, Eq)]
pub struct Report {
    pub trace: Trace,
    pub tally: Tally,
    pub lives: u64,
    pub conns: u64,
    pub steps: u64,
    pub facts: u64,
    pub posts: u64,
    /// Events that no host told any more.
    pub lost: u64,
    /// How often something seen was held against what was recovered.
    pub compared: u64,
    pub snapshots: u64,
    /// How often a snapshot was what recovery began with.
    pub snapshots_used: u64,
}

/// A chain of lives.
struct Chain {
    sim: Rc<RefCell<Sim>>,
    disk: SimulatedDisk,
    clock: Clock,
    zstd: Zstd,
    segment_bytes: u64,
    policy: Policy,
    lives: u64,
    compared: u64,
    snapshots: u64,
    snapshots_used: u64,
}

/// Plays one seed to its end.
///
/// # Panics
/// Something that must hold does not.
pub fn play(seed: u64) -> Report {
    let mut chain = Chain::new(seed);
    let lives = chain.sim.borrow_mut().rng.u64(1..6);
    for _ in 0..lives {
        chain.live(false);
    }
    chain.sim.borrow_mut().plan.end();
    chain.live(true);
    chain.judge()
}

impl Chain {
    fn new(seed: u64) -> Self {
        let mut rng = Rng::with_seed(seed);
        let world = World::new(seed, &mut rng);
        let clock = Clock::manual(world.start);
        let disk = SimulatedDisk::new(seed);
        let hosts = (0..rng.usize(1..4)).map(|number| Host::new(number, &world, &mut rng)).collect();
        let v1 = rng.bool().then(|| Dictionary::parse(v1_dictionary()).expect("a dictionary"));
        let zstd = Zstd { v2: rng.bool(), v1 };
        let segment_bytes = [3_000, 20_000, 1 << 20][rng.usize(..3)];
        let policy = Policy {
            log_bytes: [1_000, 10_000, 1 << 20][rng.usize(..3)],
            age: Duration::from_secs(rng.u64(1..100)),
            pause: Duration::from_millis(rng.u64(0..2_000)),
        };
        let sim = Sim {
            trace: Trace::default(),
            clock: clock.clone(),
            disk: disk.clone(),
            world,
            hosts,
            plan: Plan::new(&mut rng),
            tally: Tally::default(),
            conn: None,
            conns: 0,
            actors: None,
            life: Life::new(false, &mut rng),
            ending: None,
            seen: None,
            newest: None,
            left_out: Vec::new(),
            steps: 0,
            rng,
        };
        Self {
            sim: Rc::new(RefCell::new(sim)),
            disk,
            clock,
            zstd,
            segment_bytes,
            policy,
            lives: 0,
            compared: 0,
            snapshots: 0,
            snapshots_used: 0,
        }
    }

    fn random<T>(&self, draw: impl FnOnce(&mut Rng) -> T) -> T {
        draw(&mut self.sim.borrow_mut().rng)
    }

    fn fire(&self, fault: Fault) {
        self.sim.borrow_mut().tally.fire(fault);
    }

    /// From opening the log to the end, whichever it is.
    fn live(&mut self, is_last: bool) {
        self.lives += 1;
        let opened = self.open_somehow(is_last);
        let life = self.random(|rng| Life::new(is_last, rng));
        {
            let mut sim = self.sim.borrow_mut();
            let sim = &mut *sim;
            sim.newest =
                opened.folded.fold.cursor().map(|cursor| sim.world.before(cursor.time.micros() + 1).saturating_sub(1));
            (sim.life, sim.ending) = (life, None);
        }
        let refused = self.disk.refused();
        let calls = (!is_last && self.random(|rng| rng.u8(..4) == 0)).then(|| {
            let (at, fault) = self.random(|rng| (rng.u64(1..300), rng.bool()));
            self.disk.fail_call(at, if fault { disk::Fault::Io } else { disk::Fault::NoSpace });
            (self.disk.calls() + at, if fault { Fault::CallIo } else { Fault::CallNoSpace })
        });
        let reader = self.start(opened);
        drop(reader.run());
        let telemetry =
            self.sim.borrow().actors.as_ref().map(|actors| Arc::clone(&actors.telemetry)).expect("it lives");
        self.end_life(is_last);
        if let Some((_, fault)) = calls.filter(|(at, _)| self.disk.calls() >= *at) {
            self.fire(fault);
        }
        self.snapshots += telemetry.snapshots.get();
        (0..telemetry.snapshots_failed.get()).for_each(|_| self.fire(Fault::NoSnapshot));
        if self.disk.refused() > refused {
            self.fire(Fault::FullDisk);
        }
    }

    /// Puts an engine together, as `engine` does with threads.
    fn start(&mut self, opened: Opened) -> Reader<Watched, Door> {
        let Opened { log, folded, view, replayed_bytes } = opened;
        let (workers_count, frame_slots, fact_slots) = self.random(|rng| {
            let most = if rng.bool() { 3 } else { 9 };
            (rng.usize(1..4), 1 << rng.u32(1..most), 1 << rng.u32(1..most))
        });
        let clock = self.clock.clone();
        let (now, telemetry) = (Arc::new(Now::new(clock.clone())), Arc::new(Telemetry::default()));
        if let Some(given) = folded.fold.clock() {
            now.resume(given.micros());
        }
        if let Some(witnessed) = folded.fold.latest_witnessed() {
            now.witness(witnessed.micros());
        }
        let mut sieve = Sieve::new(workers_count, Arc::clone(&telemetry), false);
        recover::seed(&mut sieve, &folded.fold);
        let signal = Signal::new();
        let (mut to_workers, mut workers, mut to_committer) = (Vec::new(), Vec::new(), Vec::new());
        for _ in 0..workers_count {
            let own = Signal::new();
            let (frames_in, frames_out) = ring::channel(frame_slots, &own);
            let (facts_in, facts_out) = ring::channel(fact_slots, &signal);
            let parser = Parser::new(Some(clock.clone()), Arc::clone(&telemetry));
            workers.push(Worker::new(parser, frames_out, own, facts_in));
            to_workers.push(frames_in);
            to_committer.push(facts_out);
        }
        let lanes = Lanes::new(lanes::Parts {
            sieve,
            rings: to_workers,
            clock: clock.clone(),
            now: Arc::clone(&now),
            telemetry: Arc::clone(&telemetry),
            resume: folded.fold.cursor().cloned(),
            hooks: Box::new(()),
        });
        let told = Arc::new(Mutex::new(Told::of(&folded.fold)));
        let (syncs, hears) = (Arc::default(), Arc::clone(&told));
        let committer = Committer::new(committer::Parts {
            log,
            folded,
            rings: to_committer,
            signal,
            clock: clock.clone(),
            now,
            telemetry: Arc::clone(&telemetry),
            observe: Box::new(move |fold| *lock(&hears) = Told::of(fold)),
            inquiries: inquiry::inquiries().1,
            errands: Box::new(Held(Arc::clone(&syncs))),
            snapshots: self.policy,
            replayed_bytes,
        });
        let sink = Watched { lanes, sim: Rc::clone(&self.sim) };
        let endpoints = self.sim.borrow().hosts.iter().map(|host| host.endpoint.clone()).collect();
        let mut config = Config::new(endpoints, WithoutCursor::Oldest);
        config.zstd = self.zstd.clone();
        let rng = self.random(|rng| Rng::with_seed(rng.u64(..)));
        let reader = Reader::on(Door(Rc::clone(&self.sim)), config, sink, clock, rng);
        let stop = reader.stop_handle();
        self.sim.borrow_mut().actors = Some(Actors { workers, committer, syncs, told, view, telemetry, stop });
        reader
    }

    /// The reader has stopped. Now the others stop in turn, or everything ends where it is.
    fn end_life(&mut self, is_last: bool) {
        let ending = self.sim.borrow_mut().ending.take().expect("a reader ends when it is stopped");
        match ending {
            End::Done => self.stop(),
            End::Time if is_last => unreachable!("the last life ends when the stream is read"),
            End::Time if self.random(|rng| rng.u8(..6) == 0) => self.stop(),
            End::Time if self.random(|rng| rng.u8(..5) == 0) => {
                let turns = self.random(|rng| rng.usize(..40));
                if self.turns(turns) {
                    self.close();
                } else {
                    self.fire(Fault::CrashWhileStopping);
                    self.crash();
                }
            }
            End::Time | End::Disk(_) => self.crash(),
        }
        self.disk.mend();
        self.disk.set_capacity(None);
    }

    /// Workers, committer and syncs get so many turns; whether they have finished.
    fn turns(&mut self, count: usize) -> bool {
        let mut sim = self.sim.borrow_mut();
        for _ in 0..count {
            sim.advance(1_000);
            match sim.rng.u8(..4) {
                0 | 1 => _ = sim.worker_turn(),
                2 => sim.sync_turn(),
                _ if sim.committer_turn() => return true,
                _ => {}
            }
            if matches!(sim.ending, Some(End::Disk(_))) {
                return false;
            }
        }
        false
    }

    /// A clean stop, unless the disk fails in it.
    fn stop(&mut self) {
        self.disk.set_capacity(None);
        if self.turns(100_000) {
            return self.close();
        }
        let ending = self.sim.borrow_mut().ending.take();
        assert!(matches!(ending, Some(End::Disk(_))), "a stop ends: {ending:?}");
        self.crash();
    }

    fn close(&mut self) {
        self.sim.borrow_mut().look();
        let actors = self.sim.borrow_mut().actors.take().expect("it lives");
        if actors.committer.close().is_ok() {
            self.fire(Fault::CleanStop);
        }
        // What was synced is on the disk: nothing may be missing whatever happens to the cache.
        match self.random(|rng| rng.u8(..3)) {
            0 => self.power_cut(),
            _ => self.disk.kill(),
        }
    }

    fn crash(&mut self) {
        match self.random(|rng| rng.u8(..8)) {
            0..=3 => {
                self.fire(Fault::PowerCut);
                self.power_cut();
            }
            4 | 5 => {
                self.fire(Fault::Kill);
                self.disk.kill();
            }
            _ => {
                self.fire(Fault::KillForgotten);
                self.disk.kill();
                self.disk.forget_cache();
            }
        }
        self.sim.borrow_mut().actors = None;
    }

    fn power_cut(&self) {
        let disk = self.disk.clone();
        self.random(|rng| disk.power_cut(rng));
    }

    /// Opens the log, with a fault now and then in the middle of it; then everything ends, and it opens again.
    fn open_somehow(&mut self, is_last: bool) -> Opened {
        for _ in 0..4 {
            if is_last || self.random(|rng| rng.u8(..3) > 0) {
                break;
            }
            self.open_badly();
        }
        if self.lives > 1 && self.random(|rng| rng.u8(..4) == 0) {
            let report = log::check(&self.disk, Path::new(DIR), &mut |_| Ok(()));
            if let Ok(report) = report {
                assert_ne!(report.verdict(), Verdict::Corrupt, "{:?}", report.faults);
            }
        }
        let torn = count_files(&self.disk, ".torn");
        let opened = self.open().unwrap_or_else(|error| panic!("a false refusal: {error}"));
        if count_files(&self.disk, ".torn") > torn {
            self.fire(Fault::TornTail);
        }
        opened
    }

    fn open_badly(&mut self) {
        let (at, how) = self.random(|rng| (rng.u64(1..40), rng.u8(..4)));
        let (fault, name) = match how {
            0 => (disk::Fault::NoSpace, Fault::RecoveryNoSpace),
            1 => (disk::Fault::Io, Fault::RecoveryIo),
            _ => (disk::Fault::Io, Fault::RecoveryCut),
        };
        let due = self.disk.calls() + at;
        // After a cut nothing is done any more; a call that fails may be followed by others.
        let calls = if name == Fault::RecoveryCut { 100 } else { 1 };
        (0..calls).for_each(|after| self.disk.fail_call(at + after, fault));
        let opened = self.open();
        if self.disk.calls() >= due {
            self.fire(name);
        }
        if let Err(error) = opened {
            let is_false =
                !matches!(error, StartError::Log(_)) || matches!(error, StartError::Log(LogError::Corrupt { .. }));
            assert!(!is_false, "a false refusal: {error}");
        }
        self.disk.mend();
        match how {
            0 | 1 => self.disk.kill(),
            _ => self.power_cut(),
        }
    }

    /// Recovers, and holds what a reader has seen, and what is recovered, against all batches from the first one on.
    fn open(&mut self) -> Result<Opened, StartError> {
        let rng = self.random(|rng| Rng::with_seed(rng.u64(..)));
        let seconds = u32::try_from(self.clock.wall_micros() / SECOND_MICROS).expect("this century");
        let options = Options { segment_bytes: self.segment_bytes, ..Options::new(seconds, rng) };
        let disk = Arc::new(self.disk.clone());
        let mut opened = recover::open_with(disk, Path::new(DIR), &self.clock, options, &mut |_, _| {})?;
        opened.ready(None)?;
        self.hold(&opened);
        Ok(opened)
    }

    fn hold(&mut self, opened: &Opened) {
        let mut sim = self.sim.borrow_mut();
        let end = sim.world.end();
        let (writer, view) = view::new();
        let mut folded = Folded::new(writer);
        let look =
            |lsn, folded: &Folded, view: &View| Seen { lsn, feeds: feeds(view, end), told: Told::of(&folded.fold) };
        let mut is_held = sim.seen.as_ref().is_none_or(|seen| seen.lsn == 0);
        self.compared += u64::from(!is_held);
        self.disk.mend();
        let (mut last, seen) = (0, sim.seen.clone());
        each_batch(&self.disk, |lsn, facts| {
            folded.apply(facts);
            last = lsn;
            if let Some(seen) = seen.as_ref().filter(|seen| seen.lsn == lsn) {
                folded.publish();
                assert_eq!(look(lsn, &folded, &view), *seen, "what was seen is not what is in the log");
                is_held = true;
            }
        });
        folded.publish();
        assert!(is_held, "{:?} was seen, and {last} is the last LSN of the log", seen.map(|seen| seen.lsn));
        assert_eq!(opened.log.status().last_lsn, last);
        assert_eq!(
            look(last, &opened.folded, &opened.view),
            look(last, &folded, &view),
            "a snapshot is not what it stands for"
        );
        self.snapshots_used += u64::from(opened.log.status().snapshot_lsn > 0);
        sim.trace.note(last);
    }

    /// The stream is read to its end: every feed is the model's, but for what was left out, and that was told.
    fn judge(mut self) -> Report {
        let Opened { log: _log, folded, view, .. } =
            self.open().unwrap_or_else(|error| panic!("a false refusal: {error}"));
        let sim = self.sim.borrow();
        let mut facts = Facts::default();
        let mut count = 0;
        each_batch(&self.disk, |_, batch| {
            count += batch.len() as u64;
            batch.iter().for_each(|fact| facts.add(fact));
        });
        let feeds = feeds(&view, sim.world.end());
        let all = sim.world.feeds_without(&HashSet::new());
        let missing = |is_counted: &dyn Fn(&LeftOut) -> bool| -> HashSet<u64> {
            let left_out = sim.left_out.iter().filter(|left_out| is_counted(left_out));
            let positions = left_out.flat_map(|left_out| left_out.positions.clone()).filter(|&at| at < sim.world.len());
            positions.filter(|&at| !facts.has(&sim.world.events[at as usize])).collect()
        };
        let lost = missing(&|_| true);
        let mut told = folded.fold.gaps().map(|gap| gap.reason);
        let was_told = told.any(|reason| !matches!(reason, GapReason::Sync | GapReason::Desynchronized));
        if feeds != all {
            assert_eq!(feeds, sim.world.feeds_without(&lost), "{} events were left out", lost.len());
            let is_gap = feeds != sim.world.feeds_without(&missing(&|left_out| !left_out.is_gap));
            assert!(was_told || !is_gap, "{} events are missing, and no gap is told", lost.len());
        }
        if was_told {
            let may_be = Fault::ALL.iter().any(|&fault| fault.may_tell_gap() && sim.tally.of(fault) > 0);
            assert!(may_be, "a gap is told, and nothing was left out: {:?}", folded.fold.gaps().collect::<Vec<_>>());
        }
        Report {
            trace: sim.trace,
            tally: sim.tally.clone(),
            lives: self.lives,
            conns: sim.conns,
            steps: sim.steps,
            facts: count,
            posts: feeds.values().map(|posts| posts.len() as u64).sum(),
            lost: lost.len() as u64,
            compared: self.compared,
            snapshots: self.snapshots,
            snapshots_used: self.snapshots_used,
        }
    }
}

/// Every batch of the log from the first one on.
fn each_batch(disk: &SimulatedDisk, mut each: impl FnMut(u64, &[Fact])) {
    log::read_batches(disk, Path::new(DIR), &mut |entry| {
        let batch = Batch::decode(entry.version, entry.payload).map_err(|error| error.to_string())?;
        each(entry.lsn, &batch.facts);
        Ok(())
    })
    .expect("a log that was opened can be read");
}

/// How many files of the log have a name that ends so.
fn count_files(disk: &SimulatedDisk, end: &str) -> usize {
    let names = disk.list(&Path::new(DIR).join("log")).unwrap_or_default();
    names.iter().filter(|name| name.ends_with(end)).count()
}
