//! The posts that were let pass, as fingerprints.
//!
//! In: each post with a tag, when it is let pass, and after a restart each post of the recovered fold. Out: whether a
//! delete or an update without a tag may be about one of them.
//!
//! ```text
//! day of witnessed time:  │ n-8 │ n-7 │ … │ n-1 │  n  │      one table a day; n is the latest day that was entered
//!                    dropped whole when n moves on ┘
//! ```
//!
//! A post lives for 7 days. A slice that is older than that and one more day is dropped whole, so nothing is ever searched
//! for what is old. A post that is entered again stays in its old slice and is in the later one too. A new slice is made
//! with room for as many entries as the last one took.
//!
//! Two posts with one fingerprint can only make a delete pass that need not: the fold then keeps a tombstone that it does
//! not need. With 64 bits that is one of 10^12 deletes beside 16 million posts.

use std::collections::VecDeque;

use super::table::Table;
use crate::limits::{DAY_MICROS, RETENTION_MICROS, SEEN_MAX};
use crate::syntax::{Fingerprint, Time};

/// A slice is kept while its day is at most this many days before the latest one.
const KEPT_DAYS: i64 = RETENTION_MICROS / DAY_MICROS + 1;

#[derive(Debug)]
struct Slice {
    day: i64,
    table: Table,
}

/// Fingerprints by the day of their witnessed time.
#[derive(Debug)]
pub struct Seen {
    /// In order of their days, each at most once, none before `last.day - KEPT_DAYS`.
    slices: VecDeque<Slice>,
    entries_max: usize,
    /// The last day of which something was not entered for want of room.
    overflowed: Option<i64>,
}

impl Default for Seen {
    fn default() -> Self {
        Self::new()
    }
}

impl Seen {
    /// An empty set, bounded by [`SEEN_MAX`].
    pub fn new() -> Self {
        Self::with_bound(SEEN_MAX)
    }

    fn with_bound(entries_max: usize) -> Self {
        Self { slices: VecDeque::with_capacity(KEPT_DAYS as usize + 2), entries_max, overflowed: None }
    }

    /// Enters a post that was witnessed at `time`; `false` where there was no room. From then on, for as long as the post
    /// would have been kept, [`contains`](Self::contains) says yes to everything: deletes are then not sorted out, and none
    /// is missed. A time before the first slice counts as that slice's.
    pub fn enter(&mut self, fingerprint: Fingerprint, time: Time) -> bool {
        let day = time.micros().div_euclid(DAY_MICROS);
        self.drop_slices_before(day.saturating_sub(KEPT_DAYS));
        let day = day.max(self.slices.back().map_or(day, |last| last.day - KEPT_DAYS));
        if self.slices.iter().rev().take_while(|slice| slice.day >= day).any(|slice| slice.table.contains(fingerprint))
        {
            return true;
        }
        if self.len() >= self.entries_max {
            self.overflowed = self.overflowed.max(Some(day));
            return false;
        }
        self.slice_of(day).table.enter(fingerprint);
        true
    }

    /// Whether the post was perhaps entered, and not too long ago.
    pub fn contains(&self, fingerprint: Fingerprint) -> bool {
        self.overflowed.is_some() || self.slices.iter().rev().any(|slice| slice.table.contains(fingerprint))
    }

    /// Entries in all slices.
    pub fn len(&self) -> usize {
        self.slices.iter().map(|slice| slice.table.len()).sum()
    }

    /// Whether nothing was entered.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn drop_slices_before(&mut self, first_day: i64) {
        while self.slices.front().is_some_and(|slice| slice.day < first_day) {
            self.slices.pop_front();
        }
        self.overflowed = self.overflowed.filter(|&day| day >= first_day);
    }

    /// The slice of a day, made where it is missing.
    fn slice_of(&mut self, day: i64) -> &mut Slice {
        let at = self.slices.partition_point(|slice| slice.day < day);
        if self.slices.get(at).is_none_or(|slice| slice.day != day) {
            let room = at.checked_sub(1).map_or(0, |before| self.slices[before].table.len());
            self.slices.insert(at, Slice { day, table: Table::with_room_for(room) });
        }
        &mut self.slices[at]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn day(day: i64) -> Time {
        Time::from_micros(day * DAY_MICROS + 5)
    }

    fn post(number: u64) -> Fingerprint {
        Fingerprint::of("did:plc:a", &number.to_string())
    }

    #[test]
    fn a_post_is_kept_for_its_life_and_a_day() {
        let mut seen = Seen::new();
        seen.enter(post(1), day(20_000));
        for later in 20_001..=20_008 {
            seen.enter(post(2), day(later));
            assert!(seen.contains(post(1)), "day {later}");
        }
        seen.enter(post(2), day(20_009));
        assert!(!seen.contains(post(1)) && seen.contains(post(2)));
    }

    #[test]
    fn a_post_that_comes_again_moves_on() {
        let mut seen = Seen::new();
        seen.enter(post(1), day(100));
        seen.enter(post(1), day(105));
        seen.enter(post(1), day(103));
        assert_eq!(seen.len(), 2, "what a later slice holds need not be in an earlier one");
        seen.enter(post(2), day(112));
        assert!(seen.contains(post(1)));
        seen.enter(post(2), day(114));
        assert!(!seen.contains(post(1)));
    }

    #[test]
    fn days_may_come_in_any_order() {
        let mut seen = Seen::new();
        for (number, at) in [(1, 50), (2, 47), (3, 49), (4, 10), (5, 47)] {
            seen.enter(post(number), day(at));
        }
        // Day 10 is long gone; its post is kept with the oldest rather than forgotten.
        assert!((1..=5).all(|number| seen.contains(post(number))));
        let days: Vec<i64> = seen.slices.iter().map(|slice| slice.day).collect();
        assert_eq!(days, [42, 47, 49, 50]);
        assert!(!seen.contains(post(6)));
    }

    #[test]
    fn a_full_set_says_yes_until_the_lost_ones_are_old() {
        let mut seen = Seen::with_bound(2);
        assert!(seen.is_empty());
        assert!(seen.enter(post(1), day(1)) && seen.enter(post(2), day(2)));
        assert!(seen.enter(post(2), day(2)), "it is there already");
        assert!(!seen.enter(post(3), day(3)));
        assert!(seen.contains(post(3)) && seen.contains(post(99)));
        // Days 1 and 2 go, so there is room, but post 3 is still alive.
        assert!(seen.enter(post(4), day(11)));
        assert!(seen.contains(post(3)));
        assert!(seen.enter(post(5), day(12)));
        assert!(!seen.contains(post(3)) && seen.contains(post(4)));
    }

    #[test]
    fn far_times_do_not_overflow() {
        let mut seen = Seen::new();
        assert!(seen.enter(post(1), Time::from_micros(i64::MIN)));
        assert!(seen.enter(post(2), Time::from_micros(i64::MAX)));
        assert!(seen.enter(post(3), Time::from_micros(i64::MIN)));
        assert!(!seen.contains(post(1)) && seen.contains(post(2)) && seen.contains(post(3)));
    }
}
