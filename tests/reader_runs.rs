//! Messages that lie together are searched together: the lanes tell of them what they tell of each alone.

#[allow(dead_code, reason = "shared with other tests")]
mod reader_rig;

use reader_rig::{Rig, message};
use simnet::{Dialect, Options};

fn lines(dialect: Dialect, seed: u64) -> Vec<String> {
    let options = Options { events: 12_000, communities: 20, hit_rate: 0.05, seed, ..Options::default() };
    let mut lines = Vec::new();
    simnet::Network::write(&options, dialect, &mut lines).expect("memory");
    String::from_utf8(lines).expect("UTF-8").lines().map(str::to_owned).collect()
}

/// What else may stand between them.
fn odd(rng: &mut fastrand::Rng) -> String {
    let all = [
        "garbage atrarium_",
        "{}",
        "",
        r#"{"did":"did:plc:wq4aajammjtxdomz3e23667t","time_us":1,"kind":"merge"}"#,
        r##"{"$type":"message","payload":{"$type":"#info","name":"n"}}"##,
        r#"{"did":"did:plc:wq4aajammjtxdomz3e23667t","time_us":5,"kind":"identity"}"#,
    ];
    all[rng.usize(..all.len())].to_owned()
}

#[test]
fn what_lies_together_is_told_as_each_alone() {
    let (mut passed, mut refused) = (0, 0);
    for (dialect, seed) in [(Dialect::V1, 1), (Dialect::V2, 2), (Dialect::V1, 3)] {
        let mut rng = fastrand::Rng::with_seed(seed);
        let mut frames = lines(dialect, seed);
        for _ in 0..200 {
            frames.insert(rng.usize(..frames.len()), odd(&mut rng));
        }
        let (mut together, mut alone) = (Rig::new(dialect), Rig::new(dialect));
        let (mut rest, mut frames_passed) = (&frames[..], 0);
        while !rest.is_empty() {
            let (some, others) = rest.split_at(rng.usize(1..=150).min(rest.len()));
            rest = others;
            let piece = some.iter().map(|frame| message(1, frame.as_bytes())).collect::<Vec<_>>().concat();
            let told = [(&mut together, true), (&mut alone, false)].map(|(rig, is_together)| {
                rig.receive(&piece);
                rig.told(is_together)
            });
            assert_eq!(told[0], told[1], "{dialect:?}, seed {seed}");
            frames_passed += told[0].iter().filter(|parcel| parcel.starts_with("Frame(")).count() as u64;
        }
        let counted = [together, alone].map(|rig| {
            let refusals: Vec<_> = rig.telemetry.refusals().collect();
            (rig.telemetry.frames.get(), rig.telemetry.frame_bytes.get(), rig.telemetry.hits.get(), refusals)
        });
        assert_eq!(counted[0], counted[1], "{dialect:?}, seed {seed}");
        assert_eq!(counted[0].0, frames.len() as u64);
        assert_eq!(counted[0].2, frames_passed, "a worker sees every frame after the pause behind it");
        passed += frames_passed;
        refused += counted[0].3.iter().map(|(_, count)| count).sum::<u64>();
    }
    assert!(passed > 1000 && refused > 100, "{passed} passed, {refused} refusals");
}
