//! How many items of a page each source gives.
//!
//! In: the limit, the shares in basis points, what the pages before have left owing. Out: a quota for each source, and
//! what is owed after the page; where a source is short, who fills what it cannot.
//!
//! ```text
//!   ideal = limit × share + carry          in basis points of an item: 10,000 are one item
//!   quota = the whole items in it; what is missing to the limit goes to the largest remainders (tie: own, parent, global)
//!   carry = ideal − quota
//! ```
//! What always holds (a test tries it):
//! - quotas sum to the limit, carries sum to 0, and a source without a share has neither;
//! - each carry is less than one item, up or down. So after any number of pages the quotas of a source differ from its
//!   share of all items by less than one, whatever the limits were.
//!
//! A source that owes can have an ideal below zero: its quota is 0, and the others' remainders still hold (with one such
//! source of −x the others' ideals sum to the limit and x, which is less than one item; so their whole items sum to the
//! limit at most).
//!
//! Carries follow the quotas, not what a source could give: a share that a short source has given away is not owed to it
//! later, and what others have given in its place is not counted against them.

/// The community's own posts; its parent's; those of all other communities.
pub(super) const SOURCES: usize = 3;
pub(super) const OWN: usize = 0;
pub(super) const PARENT: usize = 1;
pub(super) const GLOBAL: usize = 2;

/// One item in basis points; also the sum of all shares.
pub(super) const WHOLE: i32 = 10_000;

/// A number for each source.
pub(super) type Each<T> = [T; SOURCES];

/// How many items each source is to give to a page of `limit` (at most
/// [`PAGE_ITEMS_MAX`](crate::limits::PAGE_ITEMS_MAX)), and the carries after it.
pub(super) fn quotas(limit: usize, shares: Each<u16>, carries: Each<i32>) -> (Each<usize>, Each<i32>) {
    let limit = i32::try_from(limit).unwrap_or(i32::MAX / WHOLE);
    let mut ideals = carries;
    for (ideal, share) in ideals.iter_mut().zip(shares) {
        *ideal += limit * i32::from(share);
    }
    let mut quotas = ideals.map(|ideal| ideal.div_euclid(WHOLE).max(0));
    let missing = limit - quotas.iter().sum::<i32>();
    let remainders = ideals.map(|ideal| if ideal > 0 { ideal % WHOLE } else { 0 });
    for source in by_remainder(remainders).into_iter().take(usize::try_from(missing).unwrap_or(0)) {
        quotas[source] += 1;
    }
    let mut carries = ideals;
    for (carry, quota) in carries.iter_mut().zip(quotas) {
        *carry -= quota * WHOLE;
    }
    (quotas.map(|quota| usize::try_from(quota).unwrap_or(0)), carries)
}

/// Deals out what short sources could not give, in proportion to the shares of those that are `open`, by largest
/// remainder. At least one of them has a share.
pub(super) fn deal(items: usize, shares: Each<u16>, open: Each<bool>) -> Each<usize> {
    let mut weights = shares.map(usize::from);
    for (weight, open) in weights.iter_mut().zip(open) {
        *weight *= usize::from(open);
    }
    let sum: usize = weights.iter().sum();
    if sum == 0 {
        return [0; SOURCES];
    }
    let mut parts = weights.map(|weight| items * weight / sum);
    let missing = items - parts.iter().sum::<usize>();
    let remainders = weights.map(|weight| items * weight % sum);
    for source in by_remainder(remainders).into_iter().take(missing) {
        parts[source] += 1;
    }
    parts
}

/// The sources, greatest remainder first; among equals in their order.
fn by_remainder<T: Ord + Copy>(remainders: Each<T>) -> Each<usize> {
    let mut sources = [OWN, PARENT, GLOBAL];
    sources.sort_by_key(|&source| std::cmp::Reverse(remainders[source]));
    sources
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::PAGE_ITEMS_MAX;

    fn shares(rng: &mut fastrand::Rng) -> Each<u16> {
        let whole = WHOLE as u16;
        let first = [0, 1, 3333, 5000, 9999, whole, rng.u16(0..=whole)][rng.usize(0..7)];
        let second = [0, 1, whole - first, rng.u16(0..=whole - first)][rng.usize(0..4)].min(whole - first);
        let mut shares = [first, second, whole - first - second];
        rng.shuffle(&mut shares);
        shares
    }

    fn check(limit: usize, shares: Each<u16>, before: Each<i32>) -> (Each<usize>, Each<i32>) {
        let (quotas, after) = super::quotas(limit, shares, before);
        let story = format!("{limit} of {shares:?} with {before:?}: {quotas:?}, {after:?}");
        assert_eq!(quotas.iter().sum::<usize>(), limit, "{story}");
        assert_eq!(after.iter().sum::<i32>(), 0, "{story}");
        assert!(after.iter().all(|carry| carry.abs() < WHOLE), "{story}");
        for source in 0..SOURCES {
            let ideal = limit as i32 * i32::from(shares[source]) + before[source];
            assert_eq!(ideal, quotas[source] as i32 * WHOLE + after[source], "{story}");
            assert!(shares[source] > 0 || before[source] != 0 || quotas[source] == 0, "{story}");
        }
        (quotas, after)
    }

    #[test]
    fn quotas_are_exact_over_any_pages() {
        let mut rng = fastrand::Rng::with_seed(1);
        for _ in 0..2_000 {
            let shares = shares(&mut rng);
            let largest = [1, 2, 3, 10, PAGE_ITEMS_MAX][rng.usize(0..5)];
            let (mut carries, mut given, mut all) = ([0; SOURCES], [0; SOURCES], 0);
            for _ in 0..100 {
                let limit = rng.usize(1..=largest);
                let (quotas, after) = check(limit, shares, carries);
                carries = after;
                all += limit;
                for source in 0..SOURCES {
                    given[source] += quotas[source];
                    let owed = (all * usize::from(shares[source])) as i64 - (given[source] * WHOLE as usize) as i64;
                    assert!(owed.abs() < i64::from(WHOLE), "{shares:?}: {given:?} of {all}");
                }
            }
        }
    }

    /// Also from what no row of pages leads to: a client can make up a cursor.
    #[test]
    fn quotas_hold_from_every_cursor_that_is_read() {
        let mut rng = fastrand::Rng::with_seed(2);
        for _ in 0..200_000 {
            let mut shares = shares(&mut rng);
            if shares.contains(&0) {
                shares = [9998, 1, 1];
            }
            let [a, b] = [0; 2].map(|_| rng.i32(1 - WHOLE..WHOLE));
            if (a + b).abs() < WHOLE {
                check(rng.usize(1..=PAGE_ITEMS_MAX), shares, [-(a + b), a, b]);
            }
        }
    }

    #[test]
    fn examples() {
        assert_eq!(quotas(50, [8000, 1000, 1000], [0; 3]), ([40, 5, 5], [0; 3]));
        assert_eq!(quotas(1, [3334, 3333, 3333], [0; 3]), ([1, 0, 0], [-6666, 3333, 3333]));
        assert_eq!(quotas(1, [3334, 3333, 3333], [-6666, 3333, 3333]), ([0, 1, 0], [-3332, -3334, 6666]));
        assert_eq!(quotas(1, [5000, 5000, 0], [0; 3]), ([1, 0, 0], [-5000, 5000, 0]), "a tie goes to own");
        assert_eq!(deal(10, [8000, 1000, 1000], [false, true, true]), [0, 5, 5]);
        assert_eq!(deal(3, [8000, 1000, 1000], [false, true, true]), [0, 2, 1]);
        assert_eq!(deal(3, [8000, 0, 2000], [false, true, true]), [0, 0, 3]);
        assert_eq!(deal(3, [8000, 0, 2000], [false, true, false]), [0, 0, 0]);
    }
}
