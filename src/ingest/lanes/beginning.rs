//! Whether a host began where it was asked to.
//!
//! In: what was asked for, the position that had been taken last, the latest time that had been reached (a host may have
//! told something once more since), the first event that came. Out: a [`Beginning`]. Whatever is asked for lies at or before
//! what was taken (v1 a little, another host two minutes), and cursors are inclusive. So the newest event itself ought to
//! come again, filtered or not; a stream that begins behind it has left something out, or may have.
//!
//! | | begins late when its first event |
//! |---|---|
//! | v2, the same host | has a number more than [`CLAMP_NUMBERS`] greater |
//! | v1, the same host, unless it was asked for a moment | is more than [`CLAMP_SAME_MICROS`] later |
//! | another host, or one that has begun to count anew | is more than [`CLAMP_MICROS`] later than what was reached |
//! | …and was asked for its own position | is later than that: by numbers, or by what v1 is rewound and a little |
//!
//! An event from before the moment that was asked for is passed over: the first one behind it counts.
//!
//! A v2 host whose first number is less than the one that it was asked for has begun to count anew, unless it was asked for
//! a place behind what could not be read, which may lie behind its end. A late beginning that is live
//! ([`CLAMP_LIVE_MICROS`]) may come from a host that did not understand the position. Both are asked for their oldest before
//! anything is given up.

use crate::fact::{Cursor, Dialect};
use crate::limits::{
    CLAMP_LIVE_MICROS, CLAMP_MICROS, CLAMP_NUMBERS, CLAMP_SAME_MICROS, STUCK_STEP_MAX, V1_REWIND_MICROS,
};
use crate::syntax::Time;
use crate::wire::endpoint::Start;

/// How a connection began.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Beginning {
    /// Nothing is left out.
    AsAsked,
    /// Somewhere else: the host may have more, and is to be asked for its oldest.
    Elsewhere,
    /// Later, and the host has no more: a gap.
    Late,
}

impl Beginning {
    /// Whether an event of this number and time says nothing yet: it lies before what was asked for. The host repeats more
    /// than it has to, or the time is forged; the first event that does not is the one to look at.
    pub(super) fn is_open(asked: Start, dialect: Dialect, value: u64, time: Time) -> bool {
        match (asked, dialect) {
            (Start::Cursor { value: asked }, Dialect::V1) => value < asked,
            (Start::Time { at }, _) => time < at,
            _ => false,
        }
    }

    /// `newest` was taken last, `reached` is the latest time of all that was taken, `first` is what has come.
    pub(super) fn of(asked: Start, newest: &Cursor, reached: Time, first: &Cursor, wall: Time) -> Self {
        let same_stream = newest.host == first.host && newest.dialect == first.dialect;
        let late = match (first.dialect, asked) {
            (_, Start::Live) => false,
            (Dialect::V2, Start::Cursor { value })
                if counts_anew(value, first.value, same_stream.then_some(newest)) =>
            {
                return Self::Elsewhere;
            }
            (Dialect::V2, _) if same_stream && first.value >= newest.value => {
                first.value - newest.value > CLAMP_NUMBERS
            }
            (Dialect::V1, Start::Cursor { .. } | Start::Oldest) if same_stream => {
                first.value.saturating_sub(newest.value) > CLAMP_SAME_MICROS
            }
            _ => first.time.micros_since(reached) > CLAMP_MICROS || is_behind(asked, first),
        };
        let live = wall.micros_since(first.time) < CLAMP_LIVE_MICROS;
        match late {
            false => Self::AsAsked,
            true if live && asked != Start::Oldest => Self::Elsewhere,
            true => Self::Late,
        }
    }
}

/// Whether a v2 host that was asked for `value` and begins with `first` has begun to count anew.
fn counts_anew(value: u64, first: u64, newest: Option<&Cursor>) -> bool {
    let is_known = newest.is_some_and(|newest| newest.value == value);
    first < value && (is_known || value - first > STUCK_STEP_MAX + 1)
}

/// Whether a host begins behind its own position that it was asked for.
fn is_behind(asked: Start, first: &Cursor) -> bool {
    let Start::Cursor { value } = asked else { return false };
    let slack = match first.dialect {
        Dialect::V1 => V1_REWIND_MICROS + CLAMP_SAME_MICROS,
        Dialect::V2 => CLAMP_NUMBERS,
    };
    first.value.saturating_sub(value) > slack
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fact::Host;
    use crate::limits::{HOUR_MICROS, SECOND_MICROS};

    const NOW: Time = Time::from_micros(1_795_500_000_000_000);

    fn v2(host: &str, value: u64, micros: i64) -> Cursor {
        Cursor { host: Host::new(host), dialect: Dialect::V2, value, time: NOW.plus_micros(micros) }
    }

    fn v1_from(seconds: i64) -> Start {
        Start::Cursor { value: v1(seconds * SECOND_MICROS).value }
    }

    fn v1(micros: i64) -> Cursor {
        let time = NOW.plus_micros(micros);
        Cursor { host: Host::new("a"), dialect: Dialect::V1, value: time.micros().unsigned_abs(), time }
    }

    #[test]
    fn a_stream_that_begins_at_or_before_the_newest_event_leaves_nothing_out() {
        let wall = NOW.plus_micros(HOUR_MICROS);
        let own = Start::Cursor { value: 1000 };
        let moment = Start::Time { at: NOW.plus_micros(-120 * SECOND_MICROS) };
        let newest = v2("a", 1000, 0);
        for (asked, newest, first) in [
            (own, &newest, v2("a", 1000, 0)),
            (own, &newest, v2("a", 1000 + CLAMP_NUMBERS, HOUR_MICROS)),
            (moment, &newest, v2("b", 5, -60 * SECOND_MICROS)),
            (moment, &newest, v2("b", 5, CLAMP_MICROS)),
            (moment, &newest, v1(-3 * HOUR_MICROS)),
            (Start::Oldest, &newest, v2("a", 7, -9 * HOUR_MICROS)),
            (Start::Live, &newest, v2("a", 5000, HOUR_MICROS)),
            (v1_from(-5), &v1(0), v1(-5 * SECOND_MICROS)),
            (v1_from(0), &v1(0), v1(0)),
            (v1_from(-60), &newest, v1(-54 * SECOND_MICROS)),
            (Start::Cursor { value: 8 }, &newest, v2("b", 8 + CLAMP_NUMBERS, -HOUR_MICROS)),
            (Start::Cursor { value: 8 + STUCK_STEP_MAX }, &newest, v2("b", 7, 0)),
        ] {
            assert_eq!(
                Beginning::of(asked, newest, newest.time, &first, wall),
                Beginning::AsAsked,
                "{asked} {first:?}"
            );
        }
    }

    #[test]
    fn a_stream_that_begins_behind_it_is_late_and_a_live_one_is_asked_for_its_oldest_first() {
        let newest = v2("a", 1000, 0);
        let own = Start::Cursor { value: 1000 };
        let moment = Start::Time { at: NOW };
        for (asked, newest, first) in [
            (own, &newest, v2("a", 1001 + CLAMP_NUMBERS, 1)),
            (moment, &newest, v2("b", 5, CLAMP_MICROS + 1)),
            (v1_from(-5), &v1(0), v1(i64::try_from(CLAMP_SAME_MICROS).unwrap() + 1)),
            (v1_from(-60), &newest, v1(-53 * SECOND_MICROS)),
            (Start::Cursor { value: 8 }, &newest, v2("b", 9 + CLAMP_NUMBERS, -HOUR_MICROS)),
            (Start::Oldest, &newest, v2("a", 2000, 1)),
            (Start::Oldest, &newest, v2("a", 7, HOUR_MICROS)),
        ] {
            let later = first.time.plus_micros(CLAMP_LIVE_MICROS);
            assert_eq!(Beginning::of(asked, newest, newest.time, &first, later), Beginning::Late, "{asked} {first:?}");
            let live = if asked == Start::Oldest { Beginning::Late } else { Beginning::Elsewhere };
            assert_eq!(Beginning::of(asked, newest, newest.time, &first, first.time), live, "{asked} {first:?}");
        }
    }

    #[test]
    fn a_host_that_counts_anew_is_found_out_whatever_was_read_last() {
        let old = NOW.plus_micros(HOUR_MICROS);
        for (asked, newest) in [(1000, v2("a", 1000, 0)), (90_000, v2("a", 91_000, 0)), (90_000, v1(-HOUR_MICROS))] {
            let beginning = Beginning::of(Start::Cursor { value: asked }, &newest, NOW, &v2("a", 3, 1), old);
            assert_eq!(beginning, Beginning::Elsewhere, "{asked} {newest:?}");
        }
    }

    #[test]
    fn what_another_host_has_told_once_more_is_not_what_was_reached() {
        let (replayed, reached) = (v1(-HOUR_MICROS), NOW);
        let asked = Start::Time { at: reached.plus_micros(-120 * SECOND_MICROS) };
        for first in [v2("b", 5, -60 * SECOND_MICROS), v1(-60 * SECOND_MICROS)] {
            assert_eq!(Beginning::of(asked, &replayed, reached, &first, NOW), Beginning::AsAsked, "{first:?}");
        }
    }
}
