//! The sieve and its prefilter, against a full parse of every frame: no frame that matters may be overlooked.
//!
//! Input: frames, one a line.
#![no_main]

#[path = "../../tests/sieve_support/plain.rs"]
mod plain;

use std::sync::Arc;

use atrarium::filter::{Possible, prefilter};
use atrarium::ingest::sieve::Sieve;
use atrarium::syntax::Time;
use atrarium::telemetry::{Reason, Telemetry};
use atrarium_fuzz::{has_twice, is_json};
use libfuzzer_sys::fuzz_target;
use plain::{Plain, Said, said};

fuzz_target!(|data: &[u8]| {
    let sieve = |strict| Sieve::new(3, Arc::new(Telemetry::default()), strict);
    let (mut fast, mut strict, mut plain) = (sieve(false), sieve(true), Plain::default());
    let mut latest = Time::EPOCH;
    for frame in data.split(|&byte| byte == b'\n').filter(|frame| !frame.is_empty()) {
        // The plain sieve forgets nothing that came late: it is only right where time does not go back.
        if let Some(position) = Sieve::position(frame) {
            if position.time < latest {
                continue;
            }
            latest = position.time;
        }
        let expected = plain.look(frame);
        let possible = prefilter(frame);
        let matters = !matches!(expected, Said::Skip | Said::Refused(_));
        let is_unknown = matches!(expected, Said::Refused(Reason::UnknownKind | Reason::UnknownOperation));
        // Of these the plain sieve, which reads them into a `Value`, has another opinion.
        if has_twice(frame) || (expected == Said::Refused(Reason::Garbage) && is_json(frame)) {
            return;
        }
        if as_servers_write(frame) {
            assert!(possible != Possible::Nothing || !(matters || is_unknown), "overlooked: {expected:?}");
        }
        assert_same(said(strict.look(frame)), &expected);
        let seen = if possible == Possible::Nothing { Said::Skip } else { expected };
        assert_same(said(fast.look(frame)), &seen);
    }
});

/// The prefilter relies on what both servers do: they escape quotes, control characters, and `<>&`; never a letter, a digit,
/// `#`, `_` or `.`.
fn as_servers_write(frame: &[u8]) -> bool {
    !frame.windows(2).any(|two| two == b"\\u") && !frame.windows(2).any(|two| two == b"\\/")
}

/// The sieve does not tell whether it remembers; the next frames show it. Where several things are wrong with a frame, any of
/// them may be the reason.
fn assert_same(found: Said, expected: &Said) {
    let same = match (&found, expected) {
        (Said::Refused(_), Said::Refused(_)) | (Said::Skip, Said::Remembered) => true,
        (found, expected) => found == expected,
    };
    assert!(same, "{found:?}, not {expected:?}");
}
