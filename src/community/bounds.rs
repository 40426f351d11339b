//! Bounds: how much the fold holds, and what is given up where that is not enough.
//!
//! In: figures of [`limits`](crate::limits). Out: the same, so that a test can lower them; and how often each was reached.
//!
//! | bound | what is given up, or not taken | at the bound |
//! |---|---|---|
//! | posts of an author in a community | the oldest by (time, AT-URI) | no order matters, as long as none is deleted |
//! | waiting posts | first hashtags that nobody claims, then the communities with most; there the authors with most, their oldest | what is held decides |
//! | tombstones of posts | of the authors with most, the oldest by rev | what is held decides |
//! | memberships of a DID | a deleted one, oldest rev first; else the new record | what came first stays |
//! | actions and acceptances of a DID without effect | as memberships | what came first stays |
//! | configs of a DID, hashtags claimed by a DID | the new one | what came first stays |
//! | versions of a config | one that changes nobody's tenure; else the oldest | no order matters for the former |
//! | claims of a hashtag | the latest; never the owner's | no order matters |
//!
//! What always holds:
//! - below its bound nothing is given up, and no order of arrival matters; at it, the same facts in the same order still
//!   give the same state;
//! - whoever floods displaces their own first: every bound is one of a single DID, or takes from those who have most;
//! - what has effect is never given up: an action or an acceptance of somebody with authority, the winning version of a
//!   config, the claim of a hashtag's owner, the state of an inactive account. (A DID has authority in the communities
//!   that it owns, so by these it can make the fold grow; and many DIDs together can.)

use crate::limits::{
    CLAIMS_PER_DID_MAX, CLAIMS_PER_HASHTAG_MAX, CONFIG_VERSIONS_MAX, CONFIGS_PER_DID_MAX, IDLE_RULINGS_PER_DID_MAX,
    MEMBERSHIPS_PER_DID_MAX, NAMES_SWEEP_MIN, POSTS_PER_AUTHOR_MAX, ROOM_PART, TOMBSTONES_MAX, WAITING_MAX,
};
use crate::telemetry::Bound;

/// How much a fold may hold. The default is what [`limits`](crate::limits) says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// Posts of one author in one community.
    pub posts_per_author: usize,
    /// Places of waiting posts.
    pub waiting: usize,
    /// Posts kept for their rev alone.
    pub tombstones: usize,
    /// Membership records of one DID.
    pub memberships_per_did: usize,
    /// Config records of one DID.
    pub configs_per_did: usize,
    /// Versions of one config.
    pub config_versions: usize,
    /// Hashtags claimed by one DID.
    pub claims_per_did: usize,
    /// Claims of one hashtag.
    pub claims_per_hashtag: usize,
    /// Actions and acceptances of one DID without effect.
    pub idle_rulings_per_did: usize,
    /// Names from which on those are looked for that nothing needs; 0: whenever the clock moves.
    pub names_sweep_min: usize,
}

impl Default for Bounds {
    fn default() -> Self {
        Self {
            posts_per_author: POSTS_PER_AUTHOR_MAX,
            waiting: WAITING_MAX,
            tombstones: TOMBSTONES_MAX,
            memberships_per_did: MEMBERSHIPS_PER_DID_MAX,
            configs_per_did: CONFIGS_PER_DID_MAX,
            config_versions: CONFIG_VERSIONS_MAX,
            claims_per_did: CLAIMS_PER_DID_MAX,
            claims_per_hashtag: CLAIMS_PER_HASHTAG_MAX,
            idle_rulings_per_did: IDLE_RULINGS_PER_DID_MAX,
            names_sweep_min: NAMES_SWEEP_MIN,
        }
    }
}

/// How often each bound was reached.
#[derive(Debug, Default)]
pub(super) struct Reached([u64; Bound::ALL.len()]);

impl Reached {
    pub fn count(&mut self, bound: Bound) {
        self.0[bound as usize] += 1;
    }

    pub fn of(&self, bound: Bound) -> u64 {
        self.0[bound as usize]
    }

    /// Says how often a bound had been reached when a snapshot was made.
    pub fn restore(&mut self, bound: Bound, count: u64) {
        self.0[bound as usize] = count;
    }
}

impl super::Fold {
    /// Every bound, with how often something was given up or not taken because of it, since the log began.
    pub fn bounds_reached(&self) -> impl Iterator<Item = (Bound, u64)> + '_ {
        Bound::ALL.iter().map(|&bound| (bound, self.reached.of(bound)))
    }
}

/// What is left of a bound after room was made at it.
pub(super) fn with_room(bound: usize) -> usize {
    bound - bound / ROOM_PART
}

/// The greatest level such that counts, each cut down to it, sum to at most `total`: who has most gives up first.
pub(super) fn level(counts: impl Iterator<Item = usize>, total: usize) -> usize {
    let mut counts: Vec<usize> = counts.collect();
    counts.sort_unstable();
    let mut left = total;
    for (at, &count) in counts.iter().enumerate() {
        let share = left / (counts.len() - at);
        if count > share {
            return share;
        }
        left -= count;
    }
    usize::MAX
}

#[cfg(test)]
mod tests {
    use super::level;

    #[test]
    fn whoever_has_most_is_cut_first() {
        assert_eq!(level([1, 2, 3].into_iter(), 6), usize::MAX);
        assert_eq!(level([1, 100, 3].into_iter(), 10), 6);
        assert_eq!(level([50, 100, 3].into_iter(), 23), 10);
        assert_eq!(level([5, 5].into_iter(), 0), 0);
        assert_eq!(level([5, 5, 5].into_iter(), 2), 0);
        assert_eq!(level(std::iter::empty(), 0), usize::MAX);
    }

    #[test]
    fn the_level_is_the_greatest_that_fits() {
        let mut random = fastrand::Rng::with_seed(3);
        for _ in 0..2000 {
            let counts: Vec<usize> = (0..random.usize(1..8)).map(|_| random.usize(..20)).collect();
            let total = random.usize(..60);
            let sum = |level: usize| counts.iter().map(|&count| count.min(level)).sum::<usize>();
            let found = level(counts.iter().copied(), total);
            assert!(sum(found) <= total, "{counts:?} {total} {found}");
            assert!(found == usize::MAX || sum(found + 1) > total, "{counts:?} {total} {found}");
        }
    }
}
