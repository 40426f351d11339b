//! Sieve, parser, log, fold and view in one process against the model: networks full of what concerns communities, told
//! in order, and told in a random order, with restarts in between.

use std::collections::BTreeMap;

use atrarium::clock::Clock;
use atrarium::disk::RealDisk;
use atrarium::engine::recover;
use atrarium::engine::replay::Replay;
use atrarium::view::View;
use simnet::{Dialect, Options};

/// Replays lines into a new data directory, in so many parts with a restart after each, and reads it back from the log.
/// Returns the refusals of all parts too.
fn replayed(lines: &[&str], parts: usize) -> (BTreeMap<&'static str, u64>, View) {
    let home = tempfile::tempdir().expect("a directory");
    let mut refused = BTreeMap::new();
    for part in lines.chunks(lines.len().div_ceil(parts)) {
        let mut replay = Replay::open(home.path(), &Clock::real(), &mut |_, _| {}).expect("a log");
        for line in part {
            replay.frame(line.as_bytes()).expect("the disk holds");
        }
        for (reason, count) in replay.finish().expect("the disk holds").by_reason {
            *refused.entry(reason.as_str()).or_default() += count;
        }
    }
    let (_, view) = recover::read(&RealDisk, home.path(), &mut |_, _| {}).expect("the log");
    (refused, view)
}

fn feeds(view: &View, now: atrarium::syntax::Time) -> BTreeMap<String, Vec<String>> {
    let read = |community: &atrarium::view::Community| {
        let (mut posts, mut after) = (Vec::new(), None);
        loop {
            let page = community.page(now, 13, after.as_ref());
            posts.extend(page.uris());
            after = page.cursor();
            if after.is_none() {
                return posts;
            }
        }
    };
    view.communities().iter().map(|community| (community.id().to_string(), read(community))).collect()
}

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
