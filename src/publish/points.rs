//! Write points: how much of what a PDS allows is left.
//!
//! A PDS lets an account spend 5,000 points an hour and 35,000 a day: a create costs 3, an update 2, a delete 1
//! (<https://docs.bsky.app/docs/advanced-guides/rate-limits>). What was spent is kept over runs, minute by minute.

use serde::{Deserialize, Serialize};

use crate::limits::{PUBLISH_POINTS_PER_DAY, PUBLISH_POINTS_PER_HOUR};

const HOUR: i64 = 3600;
const DAY: i64 = 24 * HOUR;

/// What was spent in the last 24 hours. Moments are seconds since the epoch.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Points {
    /// (moment, points), in the order of moments.
    spent: Vec<(i64, u64)>,
}

impl Points {
    /// How many may be spent at a moment.
    pub fn left(&self, now: i64) -> u64 {
        let left = |span, most: u64| most.saturating_sub(self.since(now - span));
        left(HOUR, PUBLISH_POINTS_PER_HOUR).min(left(DAY, PUBLISH_POINTS_PER_DAY))
    }

    fn since(&self, from: i64) -> u64 {
        self.spent.iter().filter(|&&(at, _)| at > from).map(|&(_, points)| points).sum()
    }

    /// Notes what is about to be spent.
    pub fn spend(&mut self, now: i64, points: u64) {
        self.spent.retain(|&(at, _)| at > now - DAY);
        match self.spent.last_mut() {
            // Never dated back: a minute's points count until its last second is an hour old.
            Some((at, sum)) if now.div_euclid(60) == at.div_euclid(60) => (*at, *sum) = (now.max(*at), *sum + points),
            _ => self.spent.push((now, points)),
        }
    }

    /// The first moment from which on so many points may be spent; `now` where that is now. Points beyond what an hour gives
    /// are taken for as many as it gives.
    pub fn available_at(&self, now: i64, points: u64) -> i64 {
        let points = points.min(PUBLISH_POINTS_PER_HOUR);
        let moments = self.spent.iter().flat_map(|&(at, _)| [at + HOUR, at + DAY]).filter(|&at| at > now);
        std::iter::once(now).chain(moments).filter(|&at| self.left(at) >= points).min().unwrap_or(now + DAY)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Against every second of two days, and every window in it.
    #[test]
    fn no_hour_and_no_day_takes_more_than_its_own() {
        let mut rng = fastrand::Rng::with_seed(3);
        let (mut points, mut plain, mut now) = (Points::default(), Vec::<(i64, u64)>::new(), 1_800_000_000);
        let end = now + 2 * DAY;
        while now < end {
            let wish = rng.u64(1..900);
            if points.left(now) >= wish {
                points.spend(now, wish);
                plain.push((now, wish));
                now += rng.i64(0..30);
            } else {
                let next = points.available_at(now, wish);
                assert!(next > now && points.left(next) >= wish && points.left(next - 1) < wish);
                now = next;
            }
        }
        for &(from, _) in &plain {
            let within = |span| {
                plain.iter().filter(|&&(at, _)| at >= from && at < from + span).map(|&(_, sum)| sum).sum::<u64>()
            };
            assert!(within(HOUR) <= PUBLISH_POINTS_PER_HOUR && within(DAY) <= PUBLISH_POINTS_PER_DAY);
        }
        let sum: u64 = plain.iter().map(|&(_, sum)| sum).sum();
        assert!(sum > PUBLISH_POINTS_PER_DAY, "{sum}: the day's bound was met and waited for");
        assert!(points.spent.len() <= 24 * 60 + 1);
    }
}
