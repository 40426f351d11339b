//! `explain` over whole networks: for every post and every community it says what the model's feeds say, and each record
//! that it names was told by the stream, is of the right collection, and says what it is named for.

use std::collections::{BTreeMap, BTreeSet};

use atrarium::clock::Clock;
use atrarium::community::{Explanation, Fold, Rule};
use atrarium::disk::RealDisk;
use atrarium::engine::recover;
use atrarium::engine::replay::Replay;
use atrarium::fact::CommunityId;
use atrarium::syntax::RecordUri;
use serde_json::Value;
use simnet::{Dialect, Options};

const POST: &str = "app.bsky.feed.post";
const CONFIG: &str = "net.atrarium.community.config";
const MEMBERSHIP: &str = "net.atrarium.community.membership";
const ACCEPTANCE: &str = "net.atrarium.community.acceptance";
const ACTION: &str = "net.atrarium.moderation.action";

/// Every record that the stream told of, with all that was ever put there.
type Told = BTreeMap<String, Vec<Value>>;

fn told(lines: &str) -> Told {
    let mut told = Told::new();
    for line in lines.lines() {
        let Ok(frame) = serde_json::from_str::<Value>(line) else { continue };
        let commit = &frame["commit"];
        let parts = [&frame["did"], &commit["collection"], &commit["rkey"]].map(Value::as_str);
        let [Some(did), Some(collection), Some(rkey)] = parts else { continue };
        let puts = told.entry(format!("at://{did}/{collection}/{rkey}")).or_default();
        if commit["record"].is_object() {
            puts.push(commit["record"].clone());
        }
    }
    told
}

fn folded(lines: &str) -> Fold {
    let home = tempfile::tempdir().expect("a directory");
    let mut replay = Replay::open(home.path(), &Clock::real(), &mut |_, _| {}).expect("a log");
    for line in lines.lines() {
        replay.frame(line.as_bytes()).expect("the disk holds");
    }
    replay.finish().expect("the disk holds");
    let (folded, _) = recover::read(&RealDisk, home.path(), &mut |_, _| {}).expect("the log");
    folded.fold
}

/// A target or a subject in any form.
fn names(value: &Value, wanted: &str) -> bool {
    [value, &value["uri"], &value["did"]].iter().any(|text| text.as_str() == Some(wanted))
}

/// Whether a record says what the rule that names it rests on.
fn fits(rule: &Rule, record: &Value, post: &RecordUri, collection: &str) -> bool {
    let author = post.did.as_str();
    match (rule.rule, collection) {
        ("not_hidden", ACTION) => names(&record["target"], &post.to_string()),
        ("not_blocked", ACTION) => names(&record["target"], author),
        ("accepted", ACCEPTANCE) => names(&record["subject"], author),
        ("member", MEMBERSHIP) => {
            record["community"].as_str().is_some_and(|uri| !rule.holds || rule.because.contains(uri))
        }
        ("served" | "member" | "accepted" | "not_blocked", CONFIG) => record["hashtag"].is_string(),
        ("exists" | "tagged" | "young" | "kept", POST) => true,
        _ => false,
    }
}

fn check(what: &str, explanation: &Explanation, told: &Told) -> usize {
    let mut named = 0;
    for rule in explanation.communities.iter().flat_map(|verdict| &verdict.rules) {
        let Some(uri) = &rule.record else { continue };
        let record = told.get(&uri.to_string());
        let puts = record.unwrap_or_else(|| panic!("{what}: the stream did not tell of {rule:?}"));
        let collection = uri.collection.as_str();
        // A delete that came alone is a version too, of a post.
        let fits = puts.iter().any(|put| fits(rule, put, &explanation.uri, collection));
        assert!(fits || (puts.is_empty() && [POST, MEMBERSHIP].contains(&collection)), "{what}: {rule:?}: {puts:?}");
        named += 1;
    }
    named
}

#[test]
fn every_post_in_every_community_is_explained_as_the_model_shows_it() {
    let (mut posts, mut verdicts, mut visible, mut named) = (0, 0, 0, 0);
    let mut broken = BTreeMap::<&str, usize>::new();
    for seed in 100..108_u64 {
        let communities = 1 + (seed as usize * 7) % 30;
        let options = Options { seed, events: 3_000, hit_rate: 0.9, communities, ..Options::default() };
        let mut bytes = Vec::new();
        simnet::Network::write(&options, Dialect::V1, &mut bytes).expect("memory");
        let mut lines: Vec<&str> = std::str::from_utf8(&bytes).expect("UTF-8").lines().collect();
        if seed.is_multiple_of(2) {
            fastrand::Rng::with_seed(seed).shuffle(&mut lines);
        }
        let lines = lines.join("\n");
        let (told, fold) = (told(&lines), folded(&lines));
        let model = simnet::model_of(&options, Dialect::V1);
        let now = model.latest_witnessed().expect("events");
        let feeds: BTreeMap<CommunityId, BTreeSet<String>> = model
            .feeds(now)
            .into_iter()
            .map(|(id, feed)| (CommunityId::parse(&id).expect("an id"), feed.into_iter().collect()))
            .collect();
        let is_shown = |id: CommunityId, post: &str| feeds.get(&id).is_some_and(|feed| feed.contains(post));
        for post in told.keys().filter(|uri| uri.contains(POST)) {
            let what = format!("seed {seed}, {post}");
            let Ok(uri) = RecordUri::parse(post) else { continue };
            posts += 1;
            let Ok(explanation) = fold.explain(&uri, None, now) else {
                assert!(!feeds.keys().any(|&id| is_shown(id, post)), "{what}: shown, and nobody knows it");
                continue;
            };
            assert_eq!(explanation.left_out, 0, "{what}");
            named += check(&what, &explanation, &told);
            for &id in feeds.keys() {
                let Ok(alone) = fold.explain(&uri, Some(id), now) else {
                    // Nothing was seen of it, and it is another community that has judged it.
                    assert!(
                        !is_shown(id, post) && explanation.because.starts_with("Nothing was seen"),
                        "{what} in {id}"
                    );
                    continue;
                };
                let verdict = &alone.communities[0];
                assert_eq!(verdict.visible, is_shown(id, post), "{what}: {alone:#?}");
                named += check(&what, &alone, &told);
                verdicts += 1;
                visible += usize::from(verdict.visible);
                let all = explanation.communities.iter().find(|all| all.id == id);
                assert!(all.map_or(!verdict.visible, |all| all == verdict), "{what}: {id} alone and among all differ");
            }
            for rule in explanation.communities.iter().flat_map(|it| &it.rules).filter(|rule| !rule.holds) {
                *broken.entry(rule.rule).or_default() += 1;
            }
        }
    }
    println!("{posts} posts, {verdicts} verdicts, {visible} visible, {named} records named; broken rules: {broken:?}");
    assert!(visible > 1_000, "{visible}");
    for rule in ["exists", "tagged", "served", "member", "accepted", "not_blocked", "account_active", "not_hidden"] {
        assert!(broken.contains_key(rule), "the networks break {rule} nowhere: {broken:?}");
    }
}
