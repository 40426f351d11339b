//! One call fails, for every call of a story.

use super::power_cuts::Promise;
use super::*;
use crate::disk::Fault as DiskFault;

/// A story with one call failing, for each call in it and each fault, with and without a power cut behind it; once, and from then on.
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
    let (mut errors, mut fired) = (0, 0);
    for call in 1..=calls {
        for (variant, fault) in [DiskFault::Io, DiskFault::NoSpace].into_iter().cycle().take(8).enumerate() {
            let rig = Rig::on(SimulatedDisk::new(call), 500);
            let mut promise = Promise::default();
            if variant < 4 {
                rig.disk.fail_call(call, fault)
            } else {
                rig.disk.fail_from_call(call, fault)
            }
            errors += u32::from(story(&rig, &mut promise).is_err());
            fired += u64::from(rig.disk.faults_fired() > 0);
            rig.disk.mend();
            let name = format!("call {call}, {fault:?}, variant {variant}");
            if variant % 4 < 2 {
                rig.disk.kill()
            } else {
                rig.disk.power_cut(&mut Rng::with_seed(call))
            }
            let opened = rig.open().unwrap_or_else(|error| panic!("{name}: {error}"));
            promise.hold(&opened.batches, &name);
        }
    }
    assert_eq!(fired, 8 * calls, "every fault has happened");
    assert!(calls > 60 && u64::from(errors) > 4 * calls, "{calls} calls, {errors} errors");
}
