//! Whether a host began where it was asked to.
//!
//! In: what was asked for, the newest position that had been taken before, the first event that came. Out: a
//! [`Beginning`]. Whatever is asked for lies at or before the newest position (v1 a little, another host two minutes), and
//! cursors are inclusive. So the newest event itself ought to come again, filtered or not; a stream that begins behind it
//! has left something out, or may have.
//!
//! | | begins late when its first event |
//! |---|---|
//! | v2, the same host | has a number more than [`CLAMP_NUMBERS`] greater |
//! | v1, the same host | is more than [`CLAMP_SAME_MICROS`] later |
//! | another host, or one that has begun to count anew | is more than [`CLAMP_MICROS`] later |
//!
//! A late beginning that is live ([`CLAMP_LIVE_MICROS`]) may come from a host that did not understand the position: it is
//! asked for its oldest before anything is given up.

use crate::fact::{Cursor, Dialect};
use crate::limits::{CLAMP_LIVE_MICROS, CLAMP_MICROS, CLAMP_NUMBERS, CLAMP_SAME_MICROS};
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
    pub(super) fn of(asked: Start, newest: &Cursor, first: &Cursor, wall: Time) -> Self {
        let later = first.time.micros_since(newest.time);
        let same_stream = newest.host == first.host && newest.dialect == first.dialect;
        let late = match first.dialect {
            _ if asked == Start::Live => false,
            _ if !same_stream => later > CLAMP_MICROS,
            Dialect::V1 => first.value.saturating_sub(newest.value) > CLAMP_SAME_MICROS,
            // It counts anew.
            Dialect::V2 if first.value < newest.value && asked == (Start::Cursor { value: newest.value }) => {
                return Self::Elsewhere;
            }
            Dialect::V2 if first.value < newest.value => later > CLAMP_MICROS,
            Dialect::V2 => first.value - newest.value > CLAMP_NUMBERS,
        };
        let live = wall.micros_since(first.time) < CLAMP_LIVE_MICROS;
        match late {
            false => Self::AsAsked,
            true if live && asked != Start::Oldest => Self::Elsewhere,
            true => Self::Late,
        }
    }
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
            (Start::Cursor { value: 1 }, &v1(0), v1(-5 * SECOND_MICROS)),
            (Start::Cursor { value: 1 }, &v1(0), v1(0)),
        ] {
            assert_eq!(Beginning::of(asked, newest, &first, wall), Beginning::AsAsked, "{asked} {first:?}");
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
            (Start::Cursor { value: 1 }, &v1(0), v1(i64::try_from(CLAMP_SAME_MICROS).unwrap() + 1)),
            (Start::Oldest, &newest, v2("a", 2000, 1)),
            (Start::Oldest, &newest, v2("a", 7, HOUR_MICROS)),
        ] {
            let later = first.time.plus_micros(CLAMP_LIVE_MICROS);
            assert_eq!(Beginning::of(asked, newest, &first, later), Beginning::Late, "{asked} {first:?}");
            let live = if asked == Start::Oldest { Beginning::Late } else { Beginning::Elsewhere };
            assert_eq!(Beginning::of(asked, newest, &first, first.time), live, "{asked} {first:?}");
        }
        assert_eq!(Beginning::of(own, &newest, &v2("a", 3, 1), NOW), Beginning::Elsewhere, "it counts anew");
    }
}
