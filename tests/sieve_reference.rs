//! The sieve, held against one that parses every frame in full and knows nothing of bytes, hashes or slices.
//!
//! Guarded is above all the one thing that the prefilter must never do: say that a frame cannot matter which does. A post
//! that is overlooked is a post that is never shown; a delete that is overlooked is a post that is shown for ever.

mod sieve_support;

use std::sync::Arc;

use atrarium::filter::{Possible, prefilter};
use atrarium::ingest::sieve::Sieve;
use atrarium::syntax::Time;
use atrarium::telemetry::{Reason, Telemetry};
use atrarium::wire::event::{self, Event, Operation};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use serde_json::{Value, json};
use sieve_support::made::made;
use sieve_support::plain::{Plain, Said, said};
use sieve_support::real_frames;

/// A fast sieve, a strict one, and the plain one, on the same stream.
struct Trial {
    fast: Sieve,
    strict: Sieve,
    plain: Plain,
    counts: Counts,
}

#[derive(Clone, Copy, Debug, Default)]
struct Counts {
    frames: u64,
    /// Frames of which the prefilter said that they cannot matter.
    nothing: u64,
    /// Frames that matter by the plain sieve.
    matter: u64,
    /// Those of them of which the prefilter said that they cannot.
    misses: u64,
    passed: u64,
    with_orphan: u64,
    refused: u64,
}

impl Trial {
    fn new() -> Self {
        let sieve = |strict| Sieve::new(3, Arc::new(Telemetry::default()), strict);
        Self { fast: sieve(false), strict: sieve(true), plain: Plain::default(), counts: Counts::default() }
    }

    /// Runs one frame through all of them; what differs, in words.
    fn look(&mut self, frame: &[u8]) -> Result<(), String> {
        let expected = self.plain.look(frame);
        let possible = prefilter(frame);
        let matters = !matches!(expected, Said::Skip | Said::Refused(_));
        self.count(&expected, possible, matters);
        let shown = || String::from_utf8_lossy(frame).into_owned();
        if possible == Possible::Nothing && (matters || unknown(&expected)) {
            return Err(format!("overlooked: {expected:?}: {}", shown()));
        }
        let strict = said(self.strict.look(frame));
        if !same(&strict, &expected) {
            return Err(format!("strict says {strict:?}, plain says {expected:?}: {}", shown()));
        }
        let fast = said(self.fast.look(frame));
        let expected = if possible == Possible::Nothing { Said::Skip } else { expected };
        if !same(&fast, &expected) {
            return Err(format!("fast says {fast:?}, plain says {expected:?}: {}", shown()));
        }
        Ok(())
    }

    fn count(&mut self, expected: &Said, possible: Possible, matters: bool) {
        let counts = &mut self.counts;
        counts.frames += 1;
        counts.nothing += u64::from(possible == Possible::Nothing);
        counts.matter += u64::from(matters);
        counts.misses += u64::from(matters && possible == Possible::Nothing);
        counts.passed += u64::from(matches!(expected, Said::Pass { .. }));
        counts.with_orphan += u64::from(matches!(expected, Said::Pass { orphan: Some(_), .. }));
        counts.refused += u64::from(matches!(expected, Said::Refused(_)));
    }
}

/// What even a fast sieve must count.
fn unknown(said: &Said) -> bool {
    matches!(said, Said::Refused(Reason::UnknownKind | Reason::UnknownOperation))
}

/// The sieve does not tell whether it remembers; the next frames show it.
fn same(found: &Said, expected: &Said) -> bool {
    found == expected || (*found == Said::Skip && *expected == Said::Remembered)
}

#[test]
fn made_streams_are_sifted_as_the_plain_sieve_does_it() {
    let mut total = Counts::default();
    let mut runner = TestRunner::new(Config { cases: 1500, failure_persistence: None, ..Config::default() });
    let totals = std::cell::RefCell::new(&mut total);
    runner
        .run(&prop::collection::vec(made(), 1..40), |events| {
            let mut trial = Trial::new();
            let mut time = Time::from_micros(1_786_000_000_000_000);
            for event in &events {
                time = time.plus_micros(event.later);
                trial.look(&event.frame(time)).map_err(TestCaseError::fail)?;
            }
            totals.borrow_mut().add(trial.counts);
            Ok(())
        })
        .unwrap();
    println!("{total:?}");
    assert_eq!(total.misses, 0);
    // The streams were worth the trial.
    assert!(total.frames > 15_000 && total.nothing > 3000 && total.passed > 3000 && total.refused > 500, "{total:?}");
    assert!(total.with_orphan > 100, "{total:?}");
}

impl Counts {
    fn add(&mut self, other: Self) {
        self.frames += other.frames;
        self.nothing += other.nothing;
        self.matter += other.matter;
        self.misses += other.misses;
        self.passed += other.passed;
        self.with_orphan += other.with_orphan;
        self.refused += other.refused;
    }
}

#[test]
fn real_frames_parse() {
    let Some(frames) = real_frames() else { return };
    let (mut kinds, mut operations) = ([0; 3], [0; 3]);
    for line in &frames {
        let frame = event::parse(line.as_bytes()).unwrap_or_else(|reason| panic!("{reason:?}: {line}"));
        assert_eq!(frame.position.value, u64::try_from(frame.position.time.micros()).ok());
        match frame.event {
            Event::Commit(commit) => {
                kinds[0] += 1;
                operations[commit.operation as usize] += 1;
                assert_eq!(commit.record.is_none(), commit.operation == Operation::Delete);
            }
            Event::Identity { .. } => kinds[1] += 1,
            Event::Account { active, status, .. } => {
                kinds[2] += 1;
                assert!(active && status.is_none());
            }
            other => panic!("{other:?}"),
        }
    }
    assert_eq!((kinds, operations), ([150, 1, 1], [144, 2, 4]));
}

#[test]
fn real_frames_are_sifted_alike_in_all_wires() {
    let Some(frames) = real_frames() else { return };
    let mut trial = Trial::new();
    let mut possible = [0; 4];
    for (seq, line) in frames.iter().enumerate() {
        let v1: Value = serde_json::from_str(line).unwrap();
        let on_v2_host = line.replacen(r#","kind""#, &format!(r#","cursor":{seq},"kind""#), 1);
        for frame in [line.clone(), on_v2_host, as_v2(&v1, seq)] {
            trial.look(frame.as_bytes()).unwrap();
            possible[prefilter(frame.as_bytes()) as usize] += 1;
        }
    }
    println!("{:?}, [Nothing, Named, Change, Unclear] = {possible:?}", trial.counts);
    assert_eq!(trial.counts.misses, 0);
    // 149 commits that cannot matter, one post deleted, one identity and one account.
    assert_eq!(possible, [149 * 3, 0, 3, 2 * 3]);
}

/// A v1 frame as v2 writes it: serde_json's maps are in alphabetical order, as v2's are.
fn as_v2(v1: &Value, seq: usize) -> String {
    let kind = v1["kind"].as_str().unwrap();
    let mut payload = match kind {
        "commit" => v1["commit"].clone(),
        _ => json!({ kind: v1[kind] }),
    };
    payload["$type"] = format!("network.bsky.jetstream.subscribeEvents#{kind}").into();
    payload["did"] = v1["did"].clone();
    payload["seq"] = seq.into();
    payload["time"] = Time::from_micros(v1["time_us"].as_i64().unwrap()).to_string().into();
    json!({ "$type": "message", "payload": payload }).to_string()
}
