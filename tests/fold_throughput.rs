//! How fast the fold is: `cargo test --release --no-default-features --test fold_throughput -- --ignored --nocapture`

mod fold_support;

use std::time::Duration;

use atrarium::clock::Clock;
use atrarium::community::Fold;
use atrarium::fact::{Body, Change, CommunityId, Fact, Post, Record, Rev};
use atrarium::syntax::{RecordKey, Tid};
use fold_support::{SECOND, at, cid, commit, config, config_body, config_uri, membership, put};

const POSTS: u32 = 1_000_000;
const COMMUNITIES: u32 = 1000;
const AUTHORS: u32 = 20_000;

fn author(number: u32) -> String {
    format!("did:plc:{number:024}")
}

/// Posts of a week over all communities; each author is a member of the communities they write in, save every fifth.
fn facts() -> Vec<Fact> {
    let owner = |community: u32| author(1_000_000 + community);
    let mut facts: Vec<Fact> =
        (0..COMMUNITIES).map(|id| put(&owner(id), "self", i64::from(id), config_body(config(id)))).collect();
    for number in (0..AUTHORS).filter(|number| number % 5 != 0) {
        for nth in 0..3 {
            let community = config_uri(&owner((number * 7 + nth) % COMMUNITIES), "self");
            facts.push(put(&author(number), &format!("join{nth}"), i64::from(number), membership(&community)));
        }
    }
    let template = commit(&author(0), "self", 0, Body::Deleted(atrarium::fact::Collection::Post));
    let dids: Vec<_> = (0..AUTHORS).map(|number| fold_support::did(&author(number))).collect();
    let mut rng = fastrand::Rng::with_seed(7);
    for number in 0..POSTS {
        let who = rng.u32(..AUTHORS);
        let time = at(i64::from(number) * SECOND / 2);
        let tid = Tid::from_time(time, 3);
        let tags = vec![CommunityId((who * 7 + rng.u32(..3)) % COMMUNITIES)];
        facts.push(Fact::Record(Record {
            witnessed: time,
            did: dids[who as usize].clone(),
            rkey: RecordKey::from(tid),
            rev: Rev::Exact(tid),
            cid: Some(cid(0)),
            body: Body::Post(Post { tags, created: Some(time) }),
            ..template.clone()
        }));
    }
    facts
}

/// How long this thread has had a processor: on a busy machine that is less than the time that has passed.
fn processor_time() -> Duration {
    let stat = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    Duration::from_nanos(stat.split(' ').next().and_then(|nanos| nanos.parse().ok()).unwrap_or(0))
}

#[test]
#[ignore = "a measurement: run it with --release"]
fn a_million_posts_over_a_thousand_communities() {
    let facts = facts();
    let (clock, mut fold, mut changes) = (Clock::real(), Fold::new(), Vec::new());
    let mut run = |name: &str, facts: &[Fact], fold: &mut Fold| {
        let (start, mut count) = (clock.monotonic(), 0);
        let on_processor = processor_time();
        for fact in facts {
            fold.apply(fact, &mut changes);
            count += changes.len();
            changes.clear();
        }
        let took = clock.monotonic() - start;
        let on_processor = processor_time() - on_processor;
        let rate = facts.len() as f64 / on_processor.as_secs_f64();
        println!(
            "{name}: {} facts, {count} changes in {took:.2?}, of which {on_processor:.2?} on a processor: {rate:.0} facts/s",
            facts.len()
        );
        count
    };
    let inserted = run("first", &facts, &mut fold);
    assert!(inserted > POSTS as usize / 2);
    println!("{:?}", fold.stats());
    assert_eq!(run("again", &facts, &mut fold), 0, "duplicates change nothing");
    let clocks: Vec<Fact> = (0..100_000).map(|second| Fact::Clock(at((7 * 86_400 + second) * SECOND))).collect();
    let evictions = run("clock", &clocks, &mut fold);
    assert!(evictions > 0);
    println!("{:?}", fold.stats());
    let _: Vec<Change> = changes;

    let (start, mut fold) = (processor_time(), Fold::new());
    fold.apply_untold(&facts);
    let took = processor_time() - start;
    println!("nobody told: {took:.2?} on a processor: {:.0} facts/s", facts.len() as f64 / took.as_secs_f64());
}
