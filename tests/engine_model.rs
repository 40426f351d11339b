//! Sieve, parser, log, fold and view in one process against the model: networks full of what concerns communities, told
//! in order, and told in a random order, with restarts in between.

mod engine_support;

use std::collections::BTreeMap;

use engine_support::{feeds, replayed};
use simnet::{Dialect, Options};

#[test]
fn every_feed_and_every_refusal_is_the_models_in_any_order() {
    let (mut compared, mut posts) = (0, 0);
    for seed in 1..25_u64 {
        let communities = 1 + (seed as usize * 7) % 40;
        let options = Options { seed, events: 4_000, hit_rate: 0.9, communities, ..Options::default() };
        let dialect = if seed.is_multiple_of(2) { Dialect::V1 } else { Dialect::V2 };
        let mut bytes = Vec::new();
        simnet::Network::write(&options, dialect, &mut bytes).expect("memory");
        let model = simnet::model_of(&options, dialect);
        let mut lines: Vec<&str> = std::str::from_utf8(&bytes).expect("UTF-8").lines().collect();
        if seed.is_multiple_of(3) {
            fastrand::Rng::with_seed(seed).shuffle(&mut lines);
        }
        // Shuffled, most deletes come before their creates: what nobody knew yet must live through a restart.
        let (refused, view) = replayed(&lines, if seed.is_multiple_of(6) { 9 } else { 1 });
        let expected: BTreeMap<&str, u64> = model.refused().iter().map(|(reason, count)| (*reason, *count)).collect();
        assert_eq!(refused, expected, "seed {seed}");
        let now = model.latest_witnessed().expect("events");
        let expected = model.feeds(now);
        assert_eq!(feeds(&view, now), expected, "seed {seed}");
        compared += expected.len();
        posts += expected.values().map(Vec::len).sum::<usize>();
    }
    println!("{compared} feeds, {posts} posts");
    assert!(compared > 300 && posts > 5_000);
}
