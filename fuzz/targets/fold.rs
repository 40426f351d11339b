//! The fold, against the rules in their plainest form, in two orders of delivery, the second one through a snapshot.
//!
//! Input: a seed of the second delivery (2 bytes); the rest decides facts about few people, communities and posts, whose
//! revs and times may lie.
#![no_main]

#[path = "fold/facts.rs"]
mod facts;
#[path = "../../tests/fold_support/mod.rs"]
mod fold_support;

use std::collections::BTreeMap;

use arbitrary::Unstructured;
use atrarium::community::{Fold, Restoring};
use atrarium::fact::{CommunityId, Fact};
use atrarium::syntax::Time;
use atrarium_fuzz::take_u16;
use fold_support::oracle::Oracle;
use fold_support::orders::{Order, through_the_log, told};
use fold_support::reference::Reference;
use fold_support::{DAY, T0};
use libfuzzer_sys::fuzz_target;

/// A history that is longer shows nothing new, and takes its time.
const FACTS_MAX: usize = 40;

fuzz_target!(|data: &[u8]| {
    let mut data = data;
    let seed = take_u16(&mut data);
    let history = facts::history(&mut Unstructured::new(data), FACTS_MAX);
    if history.is_empty() {
        return;
    }
    let expected = Expected::of(&history);
    expected.compare(&history, None);
    let mut rng = fastrand::Rng::with_seed(u64::from(seed));
    let order = Order::ALL[usize::from(seed) % Order::ALL.len()];
    let (again, restarts) = told(&history, order, &mut rng);
    let again = if restarts.is_empty() { again } else { through_the_log(&again) };
    expected.compare(&again, Some(rng.usize(..=again.len())));
});

/// What the rules say of a history.
struct Expected {
    reference: Reference,
    feeds: Vec<(Time, BTreeMap<CommunityId, Vec<String>>)>,
}

impl Expected {
    fn of(facts: &[Fact]) -> Self {
        let reference = Reference::new(facts);
        let clocks = facts.iter().filter_map(|fact| if let Fact::Clock(now) = fact { Some(*now) } else { None });
        // No moment before the clock: what it has evicted nobody may ask for.
        let from = clocks.max().unwrap_or(Time::from_micros(T0));
        let moments = [0, 7 * DAY - 1, 7 * DAY].map(|micros| from.plus_micros(micros));
        let feeds = moments.map(|now| (now, reference.feeds(now.micros()))).into();
        Self { reference, feeds }
    }

    /// Folds facts into a view, after `restart` of them from a snapshot.
    fn compare(&self, facts: &[Fact], restart: Option<usize>) {
        let (mut fold, mut oracle, mut changes) = (Fold::new(), Oracle::default(), Vec::new());
        for (at, fact) in facts.iter().enumerate() {
            if restart == Some(at) {
                let told = oracle;
                (fold, oracle) = through_a_snapshot(&fold);
                assert_eq!(oracle.feeds(self.feeds[0].0), told.feeds(self.feeds[0].0), "after {at} facts");
                assert_eq!((oracle.excluded(), oracle.parents()), (told.excluded(), told.parents()));
            }
            fold.apply(fact, &mut changes);
            changes.drain(..).for_each(|change| oracle.apply(&change));
        }
        oracle.assert_shared();
        assert_eq!(oracle.excluded(), self.reference.excluded());
        assert_eq!(oracle.parents(), self.reference.parents());
        for (now, feeds) in &self.feeds {
            assert_eq!(oracle.feeds(*now), *feeds, "at {now}");
        }
        let (now, feeds) = &self.feeds[0];
        for summary in fold.communities(*now) {
            assert_eq!(summary.posts, feeds[&summary.id].len(), "posts in {}", summary.id);
        }
    }
}

fn through_a_snapshot(fold: &Fold) -> (Fold, Oracle) {
    let (mut restoring, mut oracle) = (Restoring::new(), Oracle::default());
    fold.save(&mut |section, version, payload| restoring.take(section, version, payload))
        .expect("what is saved is taken");
    let fold = restoring.finish(&mut |change| oracle.apply(&change)).expect("what is saved is restored");
    (fold, oracle)
}
