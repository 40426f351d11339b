//! Token buckets of very many callers, in memory of a fixed size.
//!
//! In: a caller's hash, the moment, a quota. Out: whether this request is within it, and what is left.
//!
//! A bucket is one number, the moment at which it will be full again (GCRA): a request moves it one interval on, and is
//! refused where it would then lie further ahead than the whole quota. So a bucket that is full needs no memory at all.
//!
//! ```text
//!   a set is one cache line:   [ word | word | word | word | word | word | word | word ]      found by the low bits
//!   word:                      tag, the 16 high bits of the hash | full again at, 48 bits of microseconds (8.9 years)
//! ```
//! What always holds:
//! - memory is what it was at the start, whoever calls;
//! - a word changes by one compare-and-swap, so no request is counted half;
//! - a moment that was read a little before another thread counted at a later one ([`LATE_MICROS`]) refuses nothing that the
//!   quota has room for. Such a request is let pass that much too early, and none is let pass too often;
//! - where a set has no place left, the bucket that is nearest to full makes room: what is forgotten of its caller is the
//!   least that could be. So a caller who has used much stays known while others come and go.
//!
//! Two callers of one set share a bucket where their tags are equal: one in 9,000 has such a neighbour in a full table. The
//! hash has a random key, so nobody can choose theirs.
//!
//! Why not the crate `governor`: its keyed store grows with the callers until somebody walks all of it to shrink it, and a
//! million callers within one walk are a million entries.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::limits::{RATE_QUOTA_MAX, RATE_WINDOW_SECONDS};

/// Buckets in one set.
const WAYS: usize = 8;
const TIME_BITS: u32 = 48;
const TIME: u64 = (1 << TIME_BITS) - 1;
/// A request's moment may have been read this long before it is counted: the thread may have lost its processor in between.
const LATE_MICROS: u64 = 100_000;
/// How often a swap is tried that other threads spoil. Who loses them all is let pass and not counted: then so many others
/// of the same caller were counted meanwhile that one more makes no difference.
const TRIES: usize = 16;

/// How many requests a caller may make in an hour, at once or one after the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quota {
    requests: u32,
    /// For one request to be made good.
    interval_micros: u64,
}

impl Quota {
    /// From 1 to [`RATE_QUOTA_MAX`] requests an hour; what lies outside is taken as the nearer end.
    pub fn per_hour(requests: u32) -> Self {
        let requests = requests.clamp(1, RATE_QUOTA_MAX);
        Self { requests, interval_micros: RATE_WINDOW_SECONDS * 1_000_000 / u64::from(requests) }
    }

    /// Requests an hour.
    pub const fn requests(self) -> u32 {
        self.requests
    }

    /// How much too early a request may be: less than one interval, or one would be let pass too often.
    fn late_micros(self) -> u64 {
        LATE_MICROS.min(self.interval_micros - 1)
    }

    const fn window_micros(self) -> u64 {
        self.interval_micros * self.requests as u64
    }
}

/// What was said to one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Taken {
    /// Requests that could follow at once.
    pub remaining: u64,
    /// Until the whole quota is there again.
    pub full_in_micros: u64,
    /// The request is refused, and this long from now it would not be.
    pub refused_for_micros: Option<u64>,
    /// The bucket of another caller was given up for this one before it was full.
    pub forgot: bool,
}

#[derive(Default)]
#[repr(align(64))]
struct Set([AtomicU64; WAYS]);

/// See the [module](self).
pub(super) struct Buckets(Box<[Set]>);

impl Buckets {
    /// Room for so many callers, rounded up to a power of two.
    pub fn new(callers: usize) -> Self {
        let sets = callers.div_ceil(WAYS).next_power_of_two();
        Self((0..sets).map(|_| Set::default()).collect())
    }

    /// What [`take`](Self::take) would say, and takes nothing.
    pub fn look(&self, hash: u64, now_micros: u64, quota: Quota) -> Taken {
        let Set(set) = &self.0[hash as usize & (self.0.len() - 1)];
        let (_, word) = find(set, hash & !TIME);
        judge(word, hash & !TIME, now_micros & TIME, quota)
    }

    /// Takes one request from a caller's bucket. `hash` is that of the caller, in all its bits.
    pub fn take(&self, hash: u64, now_micros: u64, quota: Quota) -> Taken {
        let Set(set) = &self.0[hash as usize & (self.0.len() - 1)];
        let tag = hash & !TIME;
        let now = now_micros & TIME;
        for _ in 0..TRIES {
            let (at, word) = find(set, tag);
            let taken = judge(word, tag, now, quota);
            let new = tag | ((now + taken.full_in_micros) & TIME);
            if taken.refused_for_micros.is_some()
                || set[at].compare_exchange(word, new, Ordering::Relaxed, Ordering::Relaxed).is_ok()
            {
                return taken;
            }
        }
        Taken { remaining: 0, full_in_micros: 0, refused_for_micros: None, forgot: false }
    }

    /// Bytes of all buckets.
    #[cfg(test)]
    fn bytes(&self) -> usize {
        size_of_val(&*self.0)
    }
}

/// What a request is told that finds this word for its tag.
fn judge(word: u64, tag: u64, now: u64, quota: Quota) -> Taken {
    let is_known = word & !TIME == tag;
    let full_at = word & TIME;
    let before = if is_known { full_at.saturating_sub(now) } else { 0 };
    let debt = before + quota.interval_micros;
    if debt > quota.window_micros() + quota.late_micros() {
        let wait = debt - quota.window_micros();
        return Taken { remaining: 0, full_in_micros: before, refused_for_micros: Some(wait), forgot: false };
    }
    let remaining = quota.window_micros().saturating_sub(debt) / quota.interval_micros;
    Taken { remaining, full_in_micros: debt, refused_for_micros: None, forgot: !is_known && full_at > now }
}

/// The word of a tag, or the one that is nearest to full: a word that was never used is fullest of all.
fn find(set: &[AtomicU64; WAYS], tag: u64) -> (usize, u64) {
    let mut least = (0, u64::MAX);
    for (at, word) in set.iter().enumerate() {
        let word = word.load(Ordering::Relaxed);
        if word & !TIME == tag {
            return (at, word);
        }
        if word & TIME < least.1 & TIME {
            least = (at, word);
        }
    }
    least
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;
    use std::hash::{BuildHasher, RandomState};

    use super::*;
    use crate::limits::RATE_CALLERS;

    const HOUR: u64 = RATE_WINDOW_SECONDS * 1_000_000;

    #[test]
    fn a_bucket_gives_its_quota_at_once_and_then_one_in_each_interval() {
        let (buckets, quota) = (Buckets::new(8), Quota::per_hour(100));
        for left in (0..100).rev() {
            let taken = buckets.take(7 << 50, 5, quota);
            assert_eq!((taken.remaining, taken.refused_for_micros), (left, None));
        }
        let interval = HOUR / 100;
        assert_eq!(buckets.take(7 << 50, 5, quota).refused_for_micros, Some(interval));
        let early = LATE_MICROS + 1;
        assert_eq!(buckets.take(7 << 50, 5 + interval - early, quota).refused_for_micros, Some(early));
        let taken = buckets.take(7 << 50, 5 + interval, quota);
        assert_eq!((taken.remaining, taken.refused_for_micros, taken.full_in_micros), (0, None, HOUR));
        assert_eq!(buckets.take(7 << 50, 6 + interval, quota).refused_for_micros, Some(interval - 1));
        assert_eq!(buckets.take(7 << 50, 5 + 2 * HOUR, quota).remaining, 99, "full again");
        assert_eq!(buckets.take(8 << 50, 5, quota).remaining, 99, "another caller has their own");
    }

    /// Beside the plainest bucket there is: a number of tokens that grows with time.
    #[test]
    fn it_agrees_with_a_bucket_of_tokens() {
        let mut rng = fastrand::Rng::with_seed(3);
        for requests in [1, 7, 100, 3600, 1_000_000, RATE_QUOTA_MAX] {
            let (buckets, quota) = (Buckets::new(64), Quota::per_hour(requests));
            let window = quota.window_micros();
            let signed = |micros: u64| i64::try_from(micros).expect("years");
            let (interval, late) = (signed(quota.interval_micros), signed(quota.late_micros()));
            // Microseconds of credit, where one request costs an interval.
            let mut tokens: HashMap<u64, (i64, u64)> = HashMap::new();
            let mut now = 0;
            for _ in 0..20_000 {
                let slower = [1, 3, 10][rng.usize(0..3)];
                now += rng.u64(0..=2 * quota.interval_micros.max(2) / slower);
                let caller = rng.u64(1..4) << 60;
                let (credit, since) = tokens.get(&caller).copied().unwrap_or((signed(window), now));
                let credit = (credit + signed(now - since)).min(signed(window));
                let granted = credit + late >= interval;
                let left = if granted { credit - interval } else { credit };
                tokens.insert(caller, (left, now));
                let taken = buckets.take(caller, now, quota);
                assert_eq!(taken.refused_for_micros.is_none(), granted, "{requests} an hour at {now}");
                let remaining = if granted { left.max(0) / interval } else { 0 };
                assert_eq!(i64::try_from(taken.remaining), Ok(remaining));
            }
        }
    }

    /// A thread has read the time, others count, and then it counts itself.
    #[test]
    fn a_moment_that_was_read_early_refuses_nothing_that_there_is_room_for() {
        let quota = Quota::per_hour(5);
        for (late, is_refused) in [(0, false), (1, false), (LATE_MICROS, false), (LATE_MICROS + 1, true)] {
            let buckets = Buckets::new(8);
            (0..4).for_each(|_| assert_eq!(buckets.take(7 << 50, 1_000_000, quota).refused_for_micros, None));
            assert_eq!(
                buckets.look(7 << 50, 1_000_000 - late, quota).refused_for_micros.is_some(),
                is_refused,
                "{late}"
            );
            assert_eq!(
                buckets.take(7 << 50, 1_000_000 - late, quota).refused_for_micros.is_some(),
                is_refused,
                "{late}"
            );
            if !is_refused {
                assert!(buckets.take(7 << 50, 1_000_000, quota).refused_for_micros.is_some(), "five, and not six");
            }
        }
    }

    #[test]
    fn who_has_used_most_is_forgotten_last() {
        let (buckets, quota) = (Buckets::new(WAYS), Quota::per_hour(100));
        let heavy = 1 << 50;
        (0..100).for_each(|_| assert_eq!(buckets.take(heavy, 1, quota).refused_for_micros, None));
        let forgot = (2..10_000_u64).filter(|caller| buckets.take(caller << 50, 1, quota).forgot).count();
        assert!(forgot > 9_000, "{forgot}");
        assert!(buckets.take(heavy, 1, quota).refused_for_micros.is_some());
    }

    /// What the table does when a million callers come within an hour, each once, while some others use up their quota.
    #[test]
    fn a_million_callers_take_no_more_memory() {
        let (buckets, quota) = (Buckets::new(RATE_CALLERS), Quota::per_hour(100));
        let bytes = buckets.bytes();
        let hasher = RandomState::new();
        let (mut refused_heavy, mut refused_new) = (0, 0);
        for caller in 0..1_000_000_u64 {
            let now = caller * (HOUR / 1_000_000);
            refused_new += u64::from(buckets.take(hasher.hash_one(caller), now, quota).refused_for_micros.is_some());
            // A thousand others, each a thousand times in the hour.
            let heavy = buckets.take(hasher.hash_one(u64::MAX - caller % 1000), now, quota);
            refused_heavy += u64::from(heavy.refused_for_micros.is_some());
        }
        assert_eq!(buckets.bytes(), bytes);
        assert!(bytes <= 8 << 20, "{bytes}");
        // 100 at once and 100 in the hour of 1,000: 800 of each thousand are refused.
        assert!((795_000..=805_000).contains(&refused_heavy), "{refused_heavy}");
        assert!(refused_new < 200, "{refused_new} shared a bucket that was empty");
    }

    #[test]
    fn threads_count_together() {
        let (buckets, quota) = (Buckets::new(8), Quota::per_hour(3_600_000));
        let granted: usize = std::thread::scope(|scope| {
            let take = || (0..20_000).filter(|_| buckets.take(1 << 60, 1, quota).refused_for_micros.is_none()).count();
            let threads: Vec<_> = (0..2).map(|_| scope.spawn(take)).collect();
            threads.into_iter().map(|thread| thread.join().expect("no panic")).sum()
        });
        assert_eq!(granted, 40_000);
        let left = buckets.take(1 << 60, 1, quota).remaining;
        assert!((3_559_999..3_560_020).contains(&left), "{left} are left: some were not counted");
    }

    /// `cargo test --release --lib -- --ignored the_price_of_a_bucket --nocapture`
    #[test]
    #[ignore = "a measurement"]
    fn the_price_of_a_bucket() {
        let (buckets, quota, hasher) =
            (Buckets::new(RATE_CALLERS), Quota::per_hour(RATE_QUOTA_MAX), RandomState::new());
        let clock = crate::clock::Clock::real();
        for (what, callers) in [("one caller", 1), ("a million callers", 1_000_000_u64)] {
            let began = clock.monotonic();
            for round in 0..10_000_000_u64 {
                let hash = hasher.hash_one((1_u8, std::hint::black_box(round % callers)));
                std::hint::black_box(buckets.take(hash, round / 1000, quota));
            }
            let nanos = (clock.monotonic() - began).as_nanos() as f64 / 1e7;
            println!("{what}: {nanos:.1} ns a request, its hash included");
        }
    }
}
