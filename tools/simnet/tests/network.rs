//! The network as a whole: the same every time, the same in both dialects, and of the mix that it promises.

use std::collections::BTreeSet;

use model::{Delivery, Model};
use simnet::{Dialect, Network, Options, expect, model_of, stats};

fn lines(options: &Options, dialect: Dialect) -> Vec<String> {
    let mut bytes = Vec::new();
    Network::write(options, dialect, &mut bytes).expect("a Vec takes everything");
    String::from_utf8(bytes).expect("text").lines().map(Into::into).collect()
}

fn options() -> Options {
    Options { events: 10_000, communities: 25, ..Options::default() }
}

#[test]
fn the_same_seed_gives_the_same_bytes_and_another_one_does_not() {
    for dialect in [Dialect::V1, Dialect::V2] {
        let first = lines(&options(), dialect);
        assert_eq!(first, lines(&options(), dialect));
        assert_eq!(first.len(), 10_000);
        assert_ne!(first, lines(&Options { seed: 2, ..options() }, dialect));
    }
}

#[test]
fn both_dialects_describe_the_same_network() {
    for seed in 1..5 {
        let options = Options { seed, hit_rate: 0.4, ..options() };
        let (v1, v2) = (model_of(&options, Dialect::V1), model_of(&options, Dialect::V2));
        let now = v1.latest_witnessed().expect("events");
        assert_eq!(v2.latest_witnessed(), Some(now));
        assert_eq!(v1.feeds(now), v2.feeds(now));
        assert_eq!(v1.refused(), v2.refused());
        assert!(v1.feeds(now).values().map(Vec::len).sum::<usize>() > 150);
    }
}

#[test]
fn even_one_community_has_a_feed() {
    for seed in 1..20 {
        let options = Options { seed, events: 4_000, communities: 1, hit_rate: 0.5, ..Options::default() };
        let feeds = expect(&options, None);
        assert_eq!(feeds.len(), 1, "seed {seed}");
        assert!(feeds.values().all(|feed| feed.len() > 20), "seed {seed}: {feeds:?}");
    }
}

#[test]
fn half_an_hour_later_the_feeds_are_the_same() {
    for (seed, communities) in [(1, 25), (2, 3), (3, 200)] {
        let options = Options { seed, communities, hit_rate: 0.4, ..options() };
        let model = model_of(&options, Dialect::V1);
        let now = model.latest_witnessed().expect("events");
        assert_eq!(model.feeds(now), model.feeds(now.plus_micros(30 * 60_000_000)));
    }
}

#[test]
fn the_order_of_arrival_does_not_matter() {
    let options = Options { hit_rate: 0.6, ..options() };
    let mut lines = lines(&options, Dialect::V2);
    let expected = expect(&options, None);
    let mut rng = fastrand::Rng::with_seed(5);
    rng.shuffle(&mut lines);
    lines.extend_from_within(..5_000);
    let mut model = Model::new();
    lines.iter().for_each(|line| model.add(Delivery::Frame(line)));
    assert_eq!(model.feeds(model.latest_witnessed().expect("events")), expected);
}

#[test]
fn a_clean_network_is_read_without_a_refusal_and_the_other_one_is_not() {
    let dirty = model_of(&Options { hit_rate: 0.5, ..options() }, Dialect::V1);
    let reasons: Vec<&str> = dirty.refused().keys().copied().collect();
    assert_eq!(reasons, ["lexicon", "normalise", "target"], "{:?}", dirty.refused());
    let clean = model_of(&Options { hit_rate: 0.5, clean: true, ..options() }, Dialect::V1);
    assert!(clean.refused().is_empty(), "{:?}", clean.refused());
}

#[test]
fn the_mix_is_that_of_the_real_network() {
    let stats = stats(&Options { events: 100_000, communities: 100, ..Options::default() });
    let share = |kind: &str| stats.kinds.get(kind).copied().unwrap_or(0) as f64 / stats.events as f64;
    for (kind, wanted, tolerance) in [
        ("app.bsky.feed.like create", 0.70, 0.03),
        ("app.bsky.feed.post create", 0.11, 0.02),
        ("app.bsky.feed.post delete", 0.03, 0.007),
        ("app.bsky.feed.repost create", 0.09, 0.02),
        ("app.bsky.graph.follow create", 0.035, 0.01),
        ("identity", 0.003, 0.002),
        ("account", 0.003, 0.002),
    ] {
        assert!((share(kind) - wanted).abs() < tolerance, "{kind}: {}", share(kind));
    }
    let mean = stats.bytes / stats.events;
    assert!((470..600).contains(&mean), "{mean} bytes");
    assert!((stats.atrarium as f64 / stats.events as f64 - 0.05).abs() < 0.001);
}

#[test]
fn stream_time_moves_forward_at_the_density() {
    let options = options();
    let times: Vec<i64> = Network::new(&options).map(|event| event.time.micros()).collect();
    assert!(times.is_sorted());
    assert!(times.windows(2).any(|pair| pair[0] == pair[1]), "one commit may hold several operations");
    let seconds = (times[times.len() - 1] - times[0]) as f64 / 1e6;
    assert!((seconds - 20.0).abs() < 1.0, "{seconds} s for 10,000 events at 500 a second");
}

#[test]
fn everything_that_can_happen_happens() {
    let features: BTreeSet<&str> =
        stats(&Options { events: 60_000, hit_rate: 0.8, communities: 40, ..Options::default() })
            .features
            .into_keys()
            .collect();
    for feature in [
        "account: deleted",
        "account: inactive before anything is known of it",
        "account: two states at one moment",
        "acceptance: taken back",
        "action: before its author's listing is told",
        "action: before its target",
        "action: block of the owner",
        "action: by a dismissed moderator",
        "action: by the parent's people",
        "action: record updated",
        "action: taken back",
        "action: target as an object",
        "broken: version of a config",
        "config: created again",
        "config: foreign claim of a taken hashtag",
        "config: moves to another hashtag",
        "config: told late",
        "delete: told before the post",
        "edit: adds the tag",
        "edit: told before the post",
        "malformed: some facets are none",
        "membership: again",
        "membership: before its config",
        "membership: forged role",
        "near miss: fullwidth hash",
        "near miss: in a link facet only",
        "post: before its membership",
        "post: created where a delete or an action came first",
        "post: never tagged, deleted later",
        "post: record key that is no TID",
        "post: second of its commit",
        "redelivery",
        "rev: forged future",
        "rev: forged long ago",
        "rev: forged some days ago",
        "tag: of two communities",
    ] {
        assert!(features.contains(feature), "{feature} never happens");
    }
}
