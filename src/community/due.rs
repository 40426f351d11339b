//! When the clock has to look at a post again.
//!
//! In: (moment, number) of a post, again each time that its moment changes; who asks for some brings what the moment of
//! each post is now. Out: the posts whose moment has passed.
//!
//! ```text
//! minute ──► [number, …]   as they came
//! ```
//! What always holds: a post stands in the minute of its present moment. It may stand in minutes of moments that it had
//! before, too, and twice in one; those entries are *stale*. There are never more stale ones than others and [`STALE_MAX`]
//! together ([`Due::is_full`]).
//!
//! A post costs 4 bytes, and nothing is looked for in an order when it comes: the minutes' is kept beside them, that within a
//! minute is made when somebody asks.

use std::collections::BTreeSet;

use rustc_hash::FxHashMap;

const MINUTE_MILLIS: i64 = 60_000;
/// So many stale moments are of no account.
const STALE_MAX: usize = 4096;

/// All moments.
#[derive(Debug, Default)]
pub(super) struct Due {
    minutes: FxHashMap<i64, Vec<u32>>,
    /// Those of `minutes`.
    order: BTreeSet<i64>,
    count: usize,
    /// The minute that began last. Posts come in the order of their times, more or less: the one before will hardly grow.
    last: i64,
}

const fn minute_of(millis: i64) -> i64 {
    millis.div_euclid(MINUTE_MILLIS)
}

impl Due {
    pub fn insert(&mut self, millis: i64, number: u32) {
        let minute = minute_of(millis);
        if let Some(known) = self.minutes.get_mut(&minute) {
            known.push(number);
        } else {
            if let Some(last) = self.minutes.get_mut(&self.last) {
                last.shrink_to_fit();
            }
            self.minutes.insert(minute, vec![number]);
            self.order.insert(minute);
            self.last = minute;
        }
        self.count += 1;
    }

    /// Takes posts out whose moment is before `millis`, those of the oldest minute that has some; `None` where there are
    /// none. `moment_of` says the present moment of a post, while there is one of that number.
    pub fn take_minute_before(&mut self, millis: i64, moment_of: impl Fn(u32) -> Option<i64>) -> Option<Vec<u32>> {
        loop {
            let minute = *self.order.first().filter(|&&minute| minute <= minute_of(millis))?;
            let of_minute = self.minutes.get_mut(&minute)?;
            let count = of_minute.len();
            let mut taken = Vec::new();
            of_minute.retain(|&number| {
                let moment = moment_of(number).filter(|&moment| minute_of(moment) == minute);
                taken.extend(moment.filter(|&moment| moment < millis).map(|_| number));
                moment.is_some_and(|moment| moment >= millis)
            });
            self.count -= count - of_minute.len();
            let has_more = !of_minute.is_empty();
            if !has_more {
                self.minutes.remove(&minute);
                self.order.remove(&minute);
            }
            taken.sort_unstable();
            taken.dedup();
            if !taken.is_empty() || has_more {
                return Some(taken).filter(|taken| !taken.is_empty());
            }
        }
    }

    /// Whether there are so many stale moments, beside those of `live` posts, that all should be entered anew.
    pub fn is_full(&self, live: usize) -> bool {
        self.count > 2 * live + STALE_MAX
    }

    /// All posts with their present moments, each once and in order, minute by minute.
    pub fn in_order(&self, moment_of: impl Fn(u32) -> Option<i64>) -> impl Iterator<Item = Vec<(i64, u32)>> {
        self.order.iter().map(move |&minute| {
            let numbers = self.minutes[&minute].iter();
            let moments = numbers.filter_map(|&number| Some((moment_of(number)?, number)));
            let mut sorted: Vec<(i64, u32)> = moments.filter(|&(moment, _)| minute_of(moment) == minute).collect();
            sorted.sort_unstable();
            sorted.dedup();
            sorted
        })
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[test]
    fn all_come_out_once_in_order_of_minutes_whatever_their_moments_were_before() {
        let mut rng = fastrand::Rng::with_seed(4);
        let (mut due, mut plain) = (Due::default(), BTreeMap::new());
        let mut edge = [i64::MIN / 1000, -1, 0, 59_999, 60_000, i64::MAX / 1000].into_iter();
        for _ in 0..10_000 {
            let number = rng.u32(..3000);
            if edge.len() == 0 && rng.u8(..4) == 0 {
                // It is forgotten; its number may be another's soon.
                plain.remove(&number);
                continue;
            }
            let millis = edge.next().unwrap_or_else(|| rng.i64(-200_000..2_000_000));
            due.insert(millis, number);
            plain.insert(number, millis);
        }
        let in_order = |plain: &BTreeMap<u32, i64>| {
            let mut all: Vec<(i64, u32)> = plain.iter().map(|(&number, &millis)| (millis, number)).collect();
            all.sort_unstable();
            all
        };
        let moment_of = |plain: &BTreeMap<u32, i64>, number| plain.get(&number).copied();
        assert_eq!(due.in_order(|number| moment_of(&plain, number)).collect::<Vec<_>>().concat(), in_order(&plain));
        for horizon in [-100_000, 0, 1, 60_000, 60_001, 1_500_000, i64::MAX] {
            let mut taken = Vec::new();
            while let Some(of_minute) = due.take_minute_before(horizon, |number| moment_of(&plain, number)) {
                let minutes = of_minute.iter().map(|number| minute_of(plain[number]));
                assert!(minutes.clone().all(|minute| minutes.clone().next() == Some(minute)));
                taken.extend(of_minute.into_iter().map(|number| (minute_of(plain[&number]), number)));
            }
            assert!(taken.is_sorted());
            let before: Vec<(i64, u32)> =
                in_order(&plain).into_iter().filter(|&(millis, _)| millis < horizon).collect();
            assert_eq!(taken.len(), before.len());
            assert!(before.iter().all(|&(millis, number)| taken.contains(&(minute_of(millis), number))));
            plain.retain(|_, millis| *millis >= horizon);
        }
        assert!(plain.is_empty() && due.count == 0 && !due.is_full(0));
    }
}
