//! The fold against the rules in their plainest form, over hostile histories in every order that a network could deliver:
//! interleaved, displaced, shuffled, with duplicates, rewinds, clocks and restarts in between.
//!
//! The campaign, which looks longer (a history has a median of 60 facts; `FOLD_SEED` is the first one's seed):
//! ```text
//! FOLD_HISTORIES=50000 FOLD_ORDERS=20 cargo test --release --no-default-features --test fold_reference every_order -- --nocapture
//! ```
//! A difference is shrunk to the smallest list of facts that still shows it, and printed with its seed. What was found stays
//! as a story in `fold_rules.rs`, in facts: a seed means another history as soon as the generator changes.

mod fold_support;

use std::collections::{BTreeMap, BTreeSet};
use std::panic::{AssertUnwindSafe, catch_unwind};

use atrarium::community::{Fold, Lineage};
use atrarium::fact::{Change, CommunityId, Fact};
use atrarium::syntax::{RecordUri, Time};
use fold_support::history::history;
use fold_support::oracle::{KINDS, Oracle};
use fold_support::orders::{Order, shrunk, through_the_log, told};
use fold_support::reference::Reference;
use fold_support::{DAY, T0};

/// What a run met.
#[derive(Default, Debug)]
struct Met {
    histories: u64,
    orders: u64,
    restarts: u64,
    facts_folded: u64,
    feeds_compared: u64,
    posts_visible: u64,
    /// Of the kinds that [`Oracle::counts`] names.
    changes: [u64; KINDS],
}

/// What the rules say of a history, at several moments.
struct Expected {
    reference: Reference,
    feeds: Vec<(Time, BTreeMap<CommunityId, Vec<String>>)>,
    excluded: BTreeMap<CommunityId, BTreeSet<String>>,
    parents: BTreeMap<CommunityId, Option<CommunityId>>,
    /// Whether a clock may have taken posts out of the fold before what is told of them was complete.
    has_clock: bool,
}

impl Expected {
    fn of(facts: &[Fact]) -> Self {
        let reference = Reference::new(facts);
        let clocks = facts.iter().filter_map(|fact| if let Fact::Clock(now) = fact { Some(*now) } else { None });
        let clock = clocks.max();
        // None before the clock: what it has evicted nobody may ask for.
        let from = clock.unwrap_or(Time::from_micros(T0));
        let moments = [0, 1000, DAY, 3 * DAY, 7 * DAY - 1, 7 * DAY, 12 * DAY, 21 * DAY];
        let moments = moments.map(|micros| from.plus_micros(micros));
        let feeds = moments.map(|now| (now, reference.feeds(now.micros()))).into();
        let (excluded, parents) = (reference.excluded(), reference.parents());
        Self { reference, feeds, excluded, parents, has_clock: clock.is_some() }
    }
}

/// Folds facts one by one into a view. After a restart everything is folded again, from what the log gives back.
fn fold(facts: &[Fact], restarts: &[usize], met: &mut Met) -> (Fold, Oracle) {
    let (mut fold, mut oracle) = (Fold::new(), Oracle::default());
    let mut changes: Vec<Change> = Vec::new();
    let mut tell = |fold: &mut Fold, oracle: &mut Oracle, fact: &Fact| {
        fold.apply(fact, &mut changes);
        changes.drain(..).for_each(|change| oracle.apply(&change));
    };
    for index in 0..=facts.len() {
        if restarts.contains(&index) {
            (fold, oracle) = (Fold::new(), Oracle::default());
            through_the_log(&facts[..index]).iter().for_each(|fact| tell(&mut fold, &mut oracle, fact));
            met.restarts += 1;
        }
        if let Some(fact) = facts.get(index) {
            tell(&mut fold, &mut oracle, fact);
        }
    }
    met.orders += 1;
    met.facts_folded += facts.len() as u64;
    met.changes.iter_mut().zip(oracle.counts).for_each(|(sum, count)| *sum += count);
    (fold, oracle)
}

fn compare(oracle: &Oracle, expected: &Expected, moments: usize, met: &mut Met) {
    oracle.assert_shared();
    assert_eq!(oracle.excluded(), expected.excluded);
    assert_eq!(oracle.parents(), expected.parents);
    for (now, feeds) in &expected.feeds[..moments] {
        met.feeds_compared += feeds.len() as u64;
        met.posts_visible += feeds.values().map(|feed| feed.len() as u64).sum::<u64>();
        assert_eq!(oracle.feeds(*now), *feeds, "at {now}");
    }
}

/// What operators are told agrees with what readers see.
fn compare_answers(fold: &Fold, expected: &Expected) {
    let (now, feeds) = &expected.feeds[0];
    let reference = &expected.reference;
    let served = reference.served();
    let summaries = fold.communities(*now);
    let ids = summaries.iter().map(|summary| summary.id).collect::<Vec<_>>();
    assert_eq!(ids, feeds.keys().copied().collect::<Vec<_>>());
    for summary in &summaries {
        let community = &served[&summary.id];
        assert_eq!(summary.posts, feeds[&summary.id].len(), "posts in {}", summary.id);
        assert_eq!(summary.members, reference.members(community), "members of {}", summary.id);
        let contested: Vec<String> = summary.contested.iter().map(ToString::to_string).collect();
        assert_eq!(contested, reference.contested(summary.id), "claims of {}", summary.id);
        let mut lineage = reference.lineage(summary.id, community, now.micros());
        if expected.has_clock {
            forget_posts(&mut lineage);
        }
        let mut told = summary.lineage.clone();
        if expected.has_clock {
            forget_posts(&mut told);
        }
        assert_eq!(told, lineage, "lineage of {}", summary.id);
    }
    for post in reference.posts() {
        compare_explanation(fold, &post, *now, feeds);
    }
}

/// Posts that a clock evicts are counted as they then are: another order shows them or not at that moment.
fn forget_posts(lineage: &mut Lineage) {
    lineage.first_post = None;
    lineage.daily.iter_mut().for_each(|day| day.posts = 0);
    lineage.daily.retain(|day| day.joins > 0);
}

fn compare_explanation(fold: &Fold, post: &str, now: Time, feeds: &BTreeMap<CommunityId, Vec<String>>) {
    let seen_in = |id: &CommunityId| feeds.get(id).is_some_and(|feed| feed.iter().any(|visible| visible == post));
    let Ok(explanation) = fold.explain(&RecordUri::parse(post).expect("valid"), None, now) else {
        assert!(!feeds.keys().any(&seen_in), "{post} is visible and unknown");
        return;
    };
    for verdict in &explanation.communities {
        assert_eq!(verdict.visible, seen_in(&verdict.id), "{explanation:#?}");
    }
    let explained = |id: &CommunityId| explanation.communities.iter().any(|verdict| verdict.id == *id);
    assert!(feeds.keys().all(|id| !seen_in(id) || explained(id)), "{post} is visible and nobody says why");
}

/// Runs `work`; what it panics with, if it does.
fn failure(work: impl FnOnce()) -> Option<String> {
    let panic = catch_unwind(AssertUnwindSafe(work)).err()?;
    let text = panic.downcast_ref::<String>().cloned();
    Some(text.or_else(|| panic.downcast_ref::<&str>().map(|&text| text.to_owned())).unwrap_or_default())
}

fn run(facts: &[Fact], restarts: &[usize], expected: &Expected, answers: bool, met: &mut Met) {
    let (fold, oracle) = fold(facts, restarts, met);
    compare(&oracle, expected, expected.feeds.len(), met);
    if answers {
        compare_answers(&fold, expected);
    }
}

fn check(seed: u64, length: usize, orders: usize, met: &mut Met) {
    let history = history(seed, length);
    let expected = Expected::of(&history);
    met.histories += 1;
    let mut rng = fastrand::Rng::with_seed(seed);
    for nth in 0..orders {
        let order = Order::ALL[nth % Order::ALL.len()];
        let (facts, restarts) = if nth == 0 { (history.clone(), Vec::new()) } else { told(&history, order, &mut rng) };
        // What operators are told takes longer to compare than the feeds: once in each kind of order.
        let answers = nth < Order::ALL.len();
        if let Some(why) = failure(|| run(&facts, &restarts, &expected, answers, met)) {
            report(seed, length, order, facts, &restarts, &why);
        }
    }
}

/// Shrinks what has failed, and fails with it.
fn report(seed: u64, length: usize, order: Order, facts: Vec<Fact>, restarts: &[usize], why: &str) -> ! {
    let fails = |facts: &[Fact], restarts: &[usize]| {
        failure(|| run(facts, restarts, &Expected::of(facts), true, &mut Met::default()))
    };
    std::panic::set_hook(Box::new(|_| {}));
    // A restart is at a position, which shrinking moves; most failures need none.
    let without = fails(&facts, &[]).is_some();
    let least = if without { shrunk(facts, |fewer| fails(fewer, &[]).is_some()) } else { facts };
    let least_why = fails(&least, if without { &[] } else { restarts }).unwrap_or_default();
    drop(std::panic::take_hook());
    let list: Vec<String> = least.iter().map(|fact| format!("  {fact:?}")).collect();
    let restarts = if without { "none needed".to_owned() } else { format!("{restarts:?}") };
    panic!(
        "seed {seed}, length {length}, {order:?}, restarts {restarts}: {why}\n{} facts still differ:\n{}\n{least_why}",
        least.len(),
        list.join("\n")
    )
}

fn number(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

/// From 4 to 116 facts, 60 in the middle; now and then a long one.
fn length_of(seed: u64) -> usize {
    let seed = usize::try_from(seed % 1_000_000).expect("small");
    if seed % 200 == 199 { 400 } else { 4 + (seed * 37) % 113 }
}

#[test]
fn every_order_and_duplication_ends_in_the_feeds_of_the_reference() {
    let mut met = Met::default();
    let orders = usize::try_from(number("FOLD_ORDERS", 20)).expect("a number of orders");
    let first = number("FOLD_SEED", 0);
    for seed in first..first + number("FOLD_HISTORIES", 2000) {
        check(seed, length_of(seed), orders, &mut met);
    }
    println!("{met:?}");
    assert!(met.posts_visible > 0 && met.changes.iter().all(|&count| count > 0), "the histories are too tame");
}

#[test]
fn after_every_single_fact_the_feeds_are_those_of_the_reference() {
    let mut met = Met::default();
    for seed in 1_000_000..1_000_000 + number("FOLD_HISTORIES", 2000) / 10 {
        let facts = history(seed, 50);
        let (mut fold, mut oracle, mut changes) = (Fold::new(), Oracle::default(), Vec::new());
        for index in 0..facts.len() {
            fold.apply(&facts[index], &mut changes);
            changes.drain(..).for_each(|change| oracle.apply(&change));
            let expected = Expected::of(&facts[..=index]);
            let compared = failure(|| {
                compare(&oracle, &expected, 3, &mut met);
                compare_answers(&fold, &expected);
            });
            assert_eq!(compared, None, "seed {seed}, after fact {index}: {:?}", facts[index]);
        }
        met.histories += 1;
    }
    println!("{met:?}");
}
