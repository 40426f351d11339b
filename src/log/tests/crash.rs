//! Lives that end badly, one after another, against a plain list of what was promised.

use super::*;
use crate::disk::Fault as DiskFault;

/// What the log may and must hold.
#[derive(Default)]
struct Promise {
    /// Everything that was appended. The last one may have failed, and be there or not.
    appended: Vec<Batch>,
    /// So many of them were answered for.
    durable: usize,
}

impl Promise {
    /// One life: appends, syncs and closes at random, until something fails or time is up.
    fn live(&mut self, mut log: Log, rng: &mut Rng) {
        for _ in 0..rng.usize(0..12) {
            let batch = (rng.u8(..), (0..rng.usize(0..1200)).map(|_| rng.u8(..)).collect::<Vec<u8>>());
            match log.append(batch.0, &batch.1) {
                Ok(lsn) => {
                    self.appended.push(batch);
                    assert_eq!(lsn, self.appended.len() as Lsn);
                }
                Err(LogError::NoSpace { .. }) => {}
                Err(_) => return self.appended.push(batch),
            }
            if rng.u8(0..3) == 0 {
                match log.sync() {
                    Ok(durable) => self.durable = durable as usize,
                    Err(_) => return,
                }
            }
        }
        if rng.u8(0..6) == 0 && log.close().is_ok() {
            self.durable = self.appended.len();
        }
    }

    /// What was found is a prefix of what was appended, and holds what was promised. From now on all of it is promised.
    fn hold(&mut self, found: &[Batch], story: &str) {
        assert!(found.len() >= self.durable, "{story}: {} of {} durable batches", found.len(), self.durable);
        assert!(found.len() <= self.appended.len(), "{story}: more than was appended");
        assert!(found == &self.appended[..found.len()], "{story}: another payload");
        self.appended.truncate(found.len());
        self.durable = found.len();
    }
}

/// Opens, with a fault now and then in the middle of it: then the power goes, and it opens again.
fn open_somehow(rig: &Rig, rng: &mut Rng, story: &str) -> Opened {
    if rng.u8(0..3) == 0 {
        rig.disk.fail_call(rng.u64(1..25), if rng.bool() { DiskFault::Io } else { DiskFault::NoSpace });
        if let Ok(opened) = rig.open() {
            rig.disk.mend();
            return opened;
        }
        rig.disk.mend();
        if rng.bool() { rig.disk.kill() } else { rig.disk.power_cut(rng) }
    }
    rig.open().unwrap_or_else(|error| panic!("{story}: {error}"))
}

#[test]
fn chained_power_cuts_lose_nothing_that_was_promised() {
    let (mut cuts, mut torn, mut certain) = (0, 0, 0);
    for seed in 0..150 {
        let mut rng = Rng::with_seed(seed);
        let rig = Rig::on(SimulatedDisk::new(seed), rng.u64(100..6000));
        let mut promise = Promise::default();
        for life in 0..20 {
            let story = format!("seed {seed}, life {life}");
            let opened = open_somehow(&rig, &mut rng, &story);
            promise.hold(&opened.batches, &story);
            torn += u32::from(opened.recovered.torn.is_some());
            certain += u32::from(opened.recovered.made_certain > 0);
            if rng.u8(0..4) == 0 {
                rig.disk.fail_call(rng.u64(1..20), if rng.bool() { DiskFault::Io } else { DiskFault::NoSpace });
            }
            promise.live(opened.log, &mut rng);
            rig.disk.mend();
            match rng.u8(0..4) {
                0 => rig.disk.kill(),
                1 => {
                    rig.disk.kill();
                    rig.disk.forget_cache();
                }
                _ => rig.disk.power_cut(&mut rng),
            }
            cuts += 1;
            assert_ne!(rig.check().verdict(), Verdict::Corrupt, "{story}: {:?}", rig.check().faults);
            let (_, read) = rig.read().unwrap_or_else(|error| panic!("{story}: {error}"));
            let enough = promise.durable <= read.len() && read.len() <= promise.appended.len();
            assert!(enough, "{story}: {} of {} to {} read", read.len(), promise.durable, promise.appended.len());
            assert!(read == promise.appended[..read.len()], "{story}: another payload read");
        }
    }
    assert!(cuts == 3000 && torn > 300 && certain > 300, "{cuts} cuts, {torn} torn, {certain} made certain");
}

/// The same story with one call failing, for each call in it and each fault, with and without a power cut behind it.
#[test]
fn any_call_may_fail() {
    let story = |rig: &Rig, promise: &mut Promise| -> Result<(), LogError> {
        for life in 0..3 {
            let opened = rig.open()?;
            promise.hold(&opened.batches, "within the story");
            let mut log = opened.log;
            for number in 0..5 {
                let batch = (life, payload(number + 1));
                match log.append(batch.0, &batch.1) {
                    Ok(_) => promise.appended.push(batch),
                    Err(LogError::NoSpace { .. }) => {}
                    Err(error) => {
                        promise.appended.push(batch);
                        return Err(error);
                    }
                }
                if number % 2 == 1 {
                    promise.durable = log.sync()? as usize;
                }
            }
            match life {
                0 => drop(log), // as a crash would
                _ => log.close()?,
            }
        }
        Ok(())
    };
    let rig = Rig::new(500);
    story(&rig, &mut Promise::default()).unwrap();
    let calls = rig.disk.calls();
    let mut errors = 0;
    for call in 1..=calls {
        for (variant, fault) in
            [DiskFault::Io, DiskFault::Io, DiskFault::NoSpace, DiskFault::NoSpace].into_iter().enumerate()
        {
            let rig = Rig::on(SimulatedDisk::new(call), 500);
            let mut promise = Promise::default();
            rig.disk.fail_call(call, fault);
            errors += u32::from(story(&rig, &mut promise).is_err());
            let name = format!("call {call}, {fault:?}, variant {variant}");
            if variant % 2 == 0 {
                rig.disk.kill()
            } else {
                rig.disk.power_cut(&mut Rng::with_seed(call))
            }
            let opened = rig.open().unwrap_or_else(|error| panic!("{name}: {error}"));
            promise.hold(&opened.batches, &name);
        }
    }
    assert!(calls > 60 && u64::from(errors) > calls, "{calls} calls, {errors} errors");
}
