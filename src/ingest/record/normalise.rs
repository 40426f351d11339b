//! The older forms of records, turned into the present one before validation. This is the one place that knows them.
//!
//! | field | older form | becomes |
//! |---|---|---|
//! | `feedMix` of a config | fractions that sum to 1 (within 1e-6) | whole percent, and the exact shares beside them |
//! | `feedMix` of a config | whole basis points that sum to 10,000 | the same |
//! | `target` of an action | `{"uri": …, "cid": …}` or `{"did": …}` | the AT-URI or the DID itself |
//! | `active` of a membership | absent | `true` |
//!
//! A lexicon can say that a share is a whole number from 0 to 100; it cannot say that the three sum to 100, and
//! 33.33 % is no whole number. So shares leave here twice: as whole percent in the record, for the lexicon to judge, and
//! as exact [`FeedMix`] for the fact. The sum is judged here.
//!
//! What is no form at all, present or older, is left as it is: the lexicon names its fault better.

use serde_json::{Map, Value};

use super::Refusal;
use crate::fact::{Collection, FeedMix};
use crate::lexicon::data;
use crate::limits::FEED_MIX_SUM_SLACK;
use crate::telemetry::Reason;

const PERCENT: u16 = 100;
const BASIS_POINTS: u16 = 10_000;

/// Rewrites the older forms in `record`. Out: the shares of a config whose `feedMix` has a known form.
///
/// # Errors
/// [`Reason::Normalise`]: shares of no known sum, or a target object that names nothing or too much.
pub(super) fn normalise(collection: Collection, record: &mut Map<String, Value>) -> Result<Option<FeedMix>, Refusal> {
    match collection {
        Collection::Config => feed_mix(record),
        Collection::Action => target(record).map(|()| None),
        Collection::Membership => {
            record.entry("active").or_insert(Value::Bool(true));
            Ok(None)
        }
        Collection::Acceptance | Collection::Post => Ok(None),
    }
}

/// How the three shares are written, judged as a whole.
enum Form {
    Percent([i64; 3]),
    BasisPoints([i64; 3]),
    Fraction([f64; 3]),
}

impl Form {
    /// Three whole numbers tell their form by their sum (a lone 1 beside two zeros is a fraction); others can only be
    /// fractions.
    fn of(shares: [&Value; 3]) -> Option<Self> {
        let floats = shares.map(|share| share.as_f64().unwrap_or(f64::NAN));
        if let [Ok(own), Ok(parent), Ok(global)] = shares.map(data::integer) {
            let whole = [own, parent, global];
            match whole.iter().map(|&share| i128::from(share)).sum() {
                100 => return Some(Self::Percent(whole)),
                10_000 => return Some(Self::BasisPoints(whole)),
                _ => {}
            }
        }
        let sum: f64 = floats.iter().sum();
        ((sum - 1.0).abs() <= FEED_MIX_SUM_SLACK).then_some(Self::Fraction(floats))
    }
}

fn feed_mix(record: &mut Map<String, Value>) -> Result<Option<FeedMix>, Refusal> {
    let Some(Value::Object(mix)) = record.get_mut("feedMix") else { return Ok(None) };
    let shares = ["own", "parent", "global"].map(|source| mix.get(source).filter(|share| share.is_number()));
    let [Some(own), Some(parent), Some(global)] = shares else { return Ok(None) };
    let refuse = |why| Refusal::new(Reason::Normalise, format!("feedMix: {why}"));
    let points = match Form::of([own, parent, global]) {
        Some(Form::Percent(percent)) => {
            // A share below 0 or above 100 is the lexicon's to refuse.
            let point = |share| u16::try_from(share).ok().filter(|&share| share <= PERCENT).map(|share| share * 100);
            let [Some(own), Some(parent), Some(global)] = percent.map(point) else { return Ok(None) };
            return Ok(Some(FeedMix { own, parent, global }));
        }
        Some(Form::BasisPoints(points)) => points.map(|share| share as f64),
        Some(Form::Fraction(shares)) => shares,
        None => return Err(refuse("the shares sum neither to 100 percent, nor to 1, nor to 10000 basis points")),
    };
    if points.iter().any(|&share| share < 0.0) {
        return Err(refuse("a share is negative"));
    }
    let [own, parent, global] = apportion(points, BASIS_POINTS);
    for (source, percent) in ["own", "parent", "global"].into_iter().zip(apportion(points, PERCENT)) {
        mix.insert(source.to_owned(), percent.into());
    }
    Ok(Some(FeedMix { own, parent, global }))
}

/// Parts of `total` in proportion to the weights, by largest remainder; the earlier one wins a tie. They sum to `total`
/// exactly. The weights are not negative, and their sum is not 0.
fn apportion(weights: [f64; 3], total: u16) -> [u16; 3] {
    let sum: f64 = weights.iter().sum();
    let exact = weights.map(|weight| weight / sum * f64::from(total));
    let mut parts = exact.map(|part| part.floor() as u16);
    let mut by_remainder = [0, 1, 2];
    by_remainder.sort_by(|&a: &usize, &b: &usize| (exact[b].fract()).total_cmp(&exact[a].fract()));
    let missing = total.saturating_sub(parts.iter().sum());
    for &at in by_remainder.iter().take(usize::from(missing)) {
        parts[at] += 1;
    }
    parts
}

fn target(record: &mut Map<String, Value>) -> Result<(), Refusal> {
    let Some(target) = record.get_mut("target") else { return Ok(()) };
    let Value::Object(object) = target else { return Ok(()) };
    let refuse = |why| Err(Refusal::new(Reason::Normalise, format!("target: {why}")));
    let plain = match (object.remove("uri"), object.remove("did")) {
        (Some(plain @ Value::String(_)), None) | (None, Some(plain @ Value::String(_))) => plain,
        (Some(_), Some(_)) => return refuse("the object names both \"uri\" and \"did\""),
        (None, None) => return refuse("the object names neither \"uri\" nor \"did\""),
        (Some(_), None) | (None, Some(_)) => return refuse("what the object names is no string"),
    };
    *target = plain;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_always_sum_to_the_total() {
        let mut random = fastrand::Rng::with_seed(7);
        for _ in 0..20_000 {
            let weights = [(); 3].map(|()| if random.u8(..) < 40 { 0.0 } else { random.f64() });
            if weights.iter().sum::<f64>() == 0.0 {
                continue;
            }
            for total in [PERCENT, BASIS_POINTS] {
                let parts = apportion(weights, total);
                assert_eq!(parts.iter().sum::<u16>(), total, "{weights:?}");
                let sum: f64 = weights.iter().sum();
                for (part, weight) in parts.iter().zip(weights) {
                    let off = (f64::from(*part) - weight / sum * f64::from(total)).abs();
                    assert!(off < 1.0 + 1e-9, "{weights:?}: {parts:?}");
                }
            }
        }
        assert_eq!(apportion([1.0, 1.0, 1.0], BASIS_POINTS), [3334, 3333, 3333]);
        assert_eq!(apportion([0.29, 0.7, 0.01], BASIS_POINTS), [2900, 7000, 100]);
    }

    /// Every whole percent comes out as itself, however it was written.
    #[test]
    fn whole_shares_are_exact_in_every_form() {
        for own in 0..=100_u16 {
            for parent in 0..=100 - own {
                let percent = [own, parent, 100 - own - parent];
                let fractions = percent.map(|share| f64::from(share) / 100.0);
                assert_eq!(apportion(fractions, PERCENT), percent);
                assert_eq!(apportion(fractions, BASIS_POINTS), percent.map(|share| share * 100));
            }
        }
    }
}
