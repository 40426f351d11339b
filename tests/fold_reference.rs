//! The fold against the rules in their plainest form, over hostile histories in every order and with duplicates.
//!
//! `FOLD_HISTORIES=20000 cargo test --no-default-features --test fold_reference` looks longer.

mod fold_support;

use std::collections::BTreeMap;

use atrarium::community::Fold;
use atrarium::fact::{Change, CommunityId, Fact};
use atrarium::syntax::{RecordUri, Time};
use fold_support::history::history;
use fold_support::oracle::{KINDS, Oracle};
use fold_support::reference::Reference;
use fold_support::{DAY, T0};

/// What a run met.
#[derive(Default, Debug)]
struct Met {
    histories: u64,
    facts_folded: u64,
    feeds_compared: u64,
    posts_visible: u64,
    /// Of the kinds that [`Oracle::counts`] names.
    changes: [u64; KINDS],
}

/// Moments to read at: none before the clock.
fn moments(facts: &[Fact]) -> Vec<Time> {
    let clock = facts.iter().filter_map(|fact| if let Fact::Clock(now) = fact { Some(*now) } else { None }).max();
    let from = clock.unwrap_or(Time::from_micros(T0));
    [0, 1000, DAY, 3 * DAY, 7 * DAY - 1, 7 * DAY, 12 * DAY, 21 * DAY].map(|micros| from.plus_micros(micros)).into()
}

fn fold(facts: &[Fact], met: &mut Met, mut after_each: impl FnMut(usize, &Fold, &Oracle)) -> (Fold, Oracle) {
    let (mut fold, mut oracle) = (Fold::new(), Oracle::default());
    let mut changes: Vec<Change> = Vec::new();
    for (index, fact) in facts.iter().enumerate() {
        fold.apply(fact, &mut changes);
        changes.drain(..).for_each(|change| oracle.apply(&change));
        after_each(index, &fold, &oracle);
    }
    met.facts_folded += facts.len() as u64;
    met.changes.iter_mut().zip(oracle.counts).for_each(|(sum, count)| *sum += count);
    (fold, oracle)
}

fn compare(what: &str, oracle: &Oracle, reference: &Reference, moments: &[Time], met: &mut Met) {
    oracle.assert_shared(what);
    assert_eq!(oracle.excluded(), reference.excluded(), "{what}");
    assert_eq!(oracle.parents(), reference.parents(), "{what}");
    for &now in moments {
        let expected: BTreeMap<CommunityId, Vec<String>> = reference.feeds(now.micros());
        met.feeds_compared += expected.len() as u64;
        met.posts_visible += expected.values().map(|feed| feed.len() as u64).sum::<u64>();
        assert_eq!(oracle.feeds(now), expected, "{what}, at {now}");
    }
}

/// What operators are told agrees with what readers see.
fn compare_answers(what: &str, fold: &Fold, reference: &Reference, now: Time) {
    let feeds = reference.feeds(now.micros());
    let served = reference.served();
    let summaries = fold.communities(now);
    assert_eq!(
        summaries.iter().map(|summary| summary.id).collect::<Vec<_>>(),
        feeds.keys().copied().collect::<Vec<_>>()
    );
    for summary in &summaries {
        assert_eq!(summary.posts, feeds[&summary.id].len(), "{what}, {}", summary.id);
        assert_eq!(summary.members, reference.members(&served[&summary.id]), "{what}, {}", summary.id);
        let contested: Vec<String> = summary.contested.iter().map(ToString::to_string).collect();
        assert_eq!(contested, reference.contested(summary.id), "{what}, {}", summary.id);
    }
    for post in reference.posts() {
        let Ok(explanation) = fold.explain(&RecordUri::parse(&post).expect("valid"), None, now) else {
            assert!(!feeds.values().flatten().any(|visible| *visible == post), "{what}: {post} is visible and unknown");
            continue;
        };
        for verdict in &explanation.communities {
            let visible = feeds.get(&verdict.id).is_some_and(|feed| feed.contains(&post));
            assert_eq!(verdict.visible, visible, "{what}: {explanation:#?}");
        }
        let explained = |id| explanation.communities.iter().any(|verdict| verdict.id == id);
        let seen_in = feeds.iter().filter(|(_, feed)| feed.contains(&post));
        seen_in.for_each(|(&id, _)| assert!(explained(id), "{what}: {post} is visible in {id} and nobody says why"));
    }
}

fn check(seed: u64, length: usize, orders: u64, met: &mut Met) {
    let mut facts = history(seed, length);
    let reference = Reference::new(&facts);
    let moments = moments(&facts);
    met.histories += 1;
    let mut rng = fastrand::Rng::with_seed(seed);
    for order in 0..orders {
        let what = format!("seed {seed}, length {length}, order {order}");
        if order > 0 {
            rng.shuffle(&mut facts);
        }
        let mut told = facts.clone();
        if order > 1 {
            for _ in 0..rng.usize(..facts.len()) {
                let again = facts[rng.usize(..facts.len())].clone();
                told.insert(rng.usize(..=told.len()), again);
            }
        }
        let (fold, oracle) = fold(&told, met, |_, _, _| {});
        compare(&what, &oracle, &reference, &moments, met);
        compare_answers(&what, &fold, &reference, moments[0]);
    }
}

fn histories() -> u64 {
    std::env::var("FOLD_HISTORIES").ok().and_then(|text| text.parse().ok()).unwrap_or(2000)
}

#[test]
fn every_order_and_duplication_ends_in_the_feeds_of_the_reference() {
    let mut met = Met::default();
    for seed in 0..histories() {
        check(seed, 4 + usize::try_from(seed % 50).expect("small"), 5, &mut met);
    }
    println!("{met:?}");
    assert!(met.posts_visible > 0 && met.changes.iter().all(|&count| count > 0), "the histories are too tame");
}

#[test]
fn after_every_single_fact_the_feeds_are_those_of_the_reference() {
    let mut met = Met::default();
    for seed in 1_000_000..1_000_000 + histories() / 10 {
        let facts = history(seed, 50);
        let mut compared = Met::default();
        fold(&facts, &mut met, |index, fold, oracle| {
            let reference = Reference::new(&facts[..=index]);
            let moments = moments(&facts[..=index]);
            let what = format!("seed {seed}, after fact {index}: {:?}", facts[index]);
            compare(&what, oracle, &reference, &moments[..3], &mut compared);
            compare_answers(&what, fold, &reference, moments[0]);
        });
        met.histories += 1;
        met.feeds_compared += compared.feeds_compared;
        met.posts_visible += compared.posts_visible;
    }
    println!("{met:?}");
}
