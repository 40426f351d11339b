//! When the clock has to look at a post again.
//!
//! In: (moment, number) of a post, again each time that its moment changes. Out: those whose moment has passed.
//!
//! ```text
//! minute ──► [(millisecond in it, number), …]   as they came
//! ```
//! What always holds: a post's present moment is in here. Moments it had before may be too, and are *stale*: who takes one
//! out compares it with the post. There are never more stale ones than others and [`STALE_MAX`] together ([`Due::is_full`]).
//!
//! A post costs 8 bytes, and nothing is looked for in an order when it comes: the minutes' is kept beside them, that within a
//! minute is made when somebody asks.

use std::collections::BTreeSet;
use std::collections::hash_map::Entry;

use rustc_hash::FxHashMap;

const MINUTE_MILLIS: i64 = 60_000;
/// So many stale moments are of no account.
const STALE_MAX: usize = 4096;

/// All moments.
#[derive(Debug, Default)]
pub(super) struct Due {
    minutes: FxHashMap<i64, Vec<(u32, u32)>>,
    /// Those of `minutes`.
    order: BTreeSet<i64>,
    count: usize,
}

const fn split(millis: i64) -> (i64, u32) {
    (millis.div_euclid(MINUTE_MILLIS), millis.rem_euclid(MINUTE_MILLIS) as u32)
}

const fn join(minute: i64, rest: u32) -> i64 {
    minute * MINUTE_MILLIS + rest as i64
}

impl Due {
    pub fn insert(&mut self, millis: i64, number: u32) {
        let (minute, rest) = split(millis);
        match self.minutes.entry(minute) {
            Entry::Occupied(mut known) => known.get_mut().push((rest, number)),
            Entry::Vacant(new) => {
                new.insert(vec![(rest, number)]);
                self.order.insert(minute);
            }
        }
        self.count += 1;
    }

    /// Takes those of the oldest minute out that are before a moment; `None` where there are none.
    pub fn take_minute_before(&mut self, millis: i64) -> Option<Vec<(i64, u32)>> {
        let minute = *self.order.first()?;
        let of_minute = self.minutes.get_mut(&minute)?;
        let mut taken = Vec::new();
        of_minute.retain(|&(rest, number)| {
            let is_before = join(minute, rest) < millis;
            taken.extend(is_before.then_some((join(minute, rest), number)));
            !is_before
        });
        if of_minute.is_empty() {
            self.minutes.remove(&minute);
            self.order.remove(&minute);
        }
        self.count -= taken.len();
        Some(taken).filter(|taken| !taken.is_empty())
    }

    /// Whether there are so many stale moments, beside those of `live` posts, that all should be entered anew.
    pub fn is_full(&self, live: usize) -> bool {
        self.count > 2 * live + STALE_MAX
    }

    /// All moments, stale ones too, each once and in order, minute by minute.
    pub fn in_order(&self) -> impl Iterator<Item = Vec<(i64, u32)>> + '_ {
        self.order.iter().map(|&minute| {
            let of_minute = &self.minutes[&minute];
            let mut sorted: Vec<(i64, u32)> =
                of_minute.iter().map(|&(rest, number)| (join(minute, rest), number)).collect();
            sorted.sort_unstable();
            sorted.dedup();
            sorted
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_come_out_once_in_order_of_minutes() {
        let mut rng = fastrand::Rng::with_seed(4);
        let (mut due, mut plain) = (Due::default(), Vec::new());
        let edge = [i64::MIN / 1000, -1, 0, 59_999, 60_000, i64::MAX / 1000];
        for number in 0..5000 {
            let millis = if number < 6 { edge[number as usize] } else { rng.i64(-200_000..2_000_000) };
            due.insert(millis, number);
            plain.push((millis, number));
        }
        plain.sort_unstable();
        assert_eq!(due.in_order().collect::<Vec<_>>().concat(), plain);
        for horizon in [-100_000, 0, 1, 60_000, 60_001, 1_500_000, i64::MAX] {
            let (before, after) = plain.split_at(plain.partition_point(|&(millis, _)| millis < horizon));
            let mut taken: Vec<(i64, u32)> = std::iter::from_fn(|| due.take_minute_before(horizon)).flatten().collect();
            assert!(taken.is_sorted_by_key(|&(millis, _)| split(millis).0));
            taken.sort_unstable();
            assert_eq!(taken, before);
            plain = after.to_vec();
        }
        assert!(plain.is_empty() && !due.is_full(0));
    }
}
