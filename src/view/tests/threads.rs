//! Readers walk while the writer writes.

use std::collections::{BTreeMap, HashSet};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use super::{did, info, post};
use crate::fact::{Change, CommunityId, PostKey, Tags};
use crate::syntax::{Tid, Time};
use crate::view::{PageCursor, View, Writer};

const ID: CommunityId = CommunityId(1);
const NOW: Time = Time::EPOCH;
/// Posts that nobody touches, at even times up to here.
const STABLE: i64 = 700;
const AUTHORS: u64 = 40;

fn author(number: u64) -> String {
    format!("did:web:author{}", number % AUTHORS)
}

/// The community's hashtag, and as many more.
fn tags(more: u32) -> Tags {
    if more == 0 { Tags::One(ID) } else { Tags::Many((ID.0..=ID.0 + more).map(CommunityId).collect()) }
}

fn stable() -> Vec<PostKey> {
    (0..STABLE).map(|at| post(at * 2, &author(at as u64), &Tid::from_u64(at as u64).to_string())).collect()
}

fn opened() -> (Writer, View) {
    let (mut writer, view) = crate::view::new();
    writer.apply(Change::Open { id: ID, info: info("did:web:owner", "self") });
    for number in 0..AUTHORS {
        writer.apply(Change::Author { id: ID, did: did(&author(number)), shown: true });
    }
    for post in stable() {
        writer.apply(Change::Insert { id: ID, post, tags: tags(0), hidden: false });
    }
    writer.publish();
    (writer, view)
}

/// Inserts early and late, hides, shows, removes, and lets new authors come: everything but the stable posts.
fn churn(writer: &mut Writer, rounds: usize, seed: u64) {
    let mut random = fastrand::Rng::with_seed(seed);
    let mut there: Vec<PostKey> = Vec::new();
    let (mut newest, mut inserted) = (STABLE * 2, 0);
    for _ in 0..rounds {
        for _ in 0..random.usize(1..20) {
            let at = random.usize(0..there.len().max(1));
            let change = match random.u32(0..10) {
                0..5 => {
                    newest += i64::from(random.bool());
                    let time = if random.bool() { newest } else { random.i64(0..newest) };
                    let rkey = if random.u8(0..8) == 0 {
                        format!("text{inserted}")
                    } else {
                        // Never the same again: a post that comes back at another time may be met twice.
                        Tid::from_u64(random.u64(1 << 20..1 << 44) << 20 | inserted).to_string()
                    };
                    inserted += 1;
                    let who = if random.u8(0..4) == 0 {
                        format!("did:web:new{}", random.u32(0..3000))
                    } else {
                        author(random.u64(..))
                    };
                    let post = post(time, &who, &rkey);
                    writer.apply(Change::Author { id: ID, did: post.did.clone(), shown: true });
                    there.push(post.clone());
                    Change::Insert { id: ID, post, tags: tags(random.u32(0..3)), hidden: random.bool() }
                }
                5..7 if !there.is_empty() => Change::Hide { id: ID, post: there[at].clone(), hidden: random.bool() },
                7..9 if !there.is_empty() => Change::Remove { id: ID, post: there.swap_remove(at) },
                _ => {
                    let number = random.u32(0..3000);
                    Change::Author { id: ID, did: did(&format!("did:web:new{number}")), shown: random.bool() }
                }
            };
            writer.apply(change);
        }
        writer.publish();
    }
}

/// Reads page by page: order holds, nothing comes twice, no page but the last is empty, every stable post is met once.
fn walk(view: &View, random: &mut fastrand::Rng, keys: &BTreeMap<String, PostKey>) {
    let community = view.find(ID).expect("served");
    let mut seen = HashSet::new();
    let mut stable_seen = Vec::new();
    let mut after: Option<PageCursor> = None;
    loop {
        let page = community.page(NOW, random.usize(1..=100), after.as_ref());
        let cursor = page.cursor();
        assert!(!page.is_empty() || cursor.is_none(), "an empty page with a cursor");
        for uri in page.uris() {
            stable_seen.extend(keys.get(&uri).cloned());
            assert!(seen.insert(uri), "twice");
        }
        if let (Some(cursor), Some(after)) = (&cursor, &after) {
            assert!(cursor.oldest() < after.oldest(), "newest first");
        }
        let Some(cursor) = cursor else { break };
        after = Some(cursor);
    }
    assert_eq!(stable_seen.len(), keys.len(), "every post that was visible throughout");
    assert!(stable_seen.is_sorted_by(|a, b| a > b));
}

#[test]
fn a_walk_meets_everything_that_stays_once() {
    walk_while_churning(2, 1500, 7);
}

/// As long as wanted: `STRESS=N` writes N thousand rounds, with other changes in each thousand.
#[test]
#[ignore = "long: STRESS=50 cargo test --release --no-default-features --lib stress -- --ignored --nocapture"]
fn stress_of_walks_under_churn() {
    let thousands: u64 = std::env::var("STRESS").map_or(1, |text| text.parse().expect("STRESS: give a number"));
    let walks: u64 = (0..thousands).map(|seed| walk_while_churning(3, 1000, seed)).sum();
    println!("{walks} walks met each of {STABLE} posts once, while {thousands} thousand rounds were written");
    assert!(walks > 0);
}

/// A writer that panics must not leave its readers reading for ever.
pub(super) struct Over<'a>(pub(super) &'a AtomicBool);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Some readers walk again and again while the writer writes some rounds; how many walks there were.
fn walk_while_churning(readers: u64, rounds: usize, seed: u64) -> u64 {
    let (mut writer, view) = opened();
    let keys: BTreeMap<String, PostKey> = stable().into_iter().map(|post| (super::uri(&post), post)).collect();
    let (is_over, walks) = (AtomicBool::new(false), AtomicU64::new(0));
    std::thread::scope(|scope| {
        let read = |reader| {
            let (view, keys, is_over, walks) = (view.clone(), &keys, &is_over, &walks);
            scope.spawn(move || {
                let mut random = fastrand::Rng::with_seed(reader);
                while !is_over.load(Ordering::Relaxed) {
                    walk(&view, &mut random, keys);
                    walks.fetch_add(1, Ordering::Relaxed);
                }
            })
        };
        let reading: Vec<_> = (0..readers).map(read).collect();
        let over = Over(&is_over);
        churn(&mut writer, rounds, seed);
        drop(over);
        // The end of a scope is within std, where ThreadSanitizer does not see it.
        reading.into_iter().for_each(|reading| reading.join().expect("no reader panics"));
    });
    walk(&view, &mut fastrand::Rng::with_seed(3), &keys);
    walks.into_inner()
}

/// Within one page, too, the order is that of the keys, though the newest chunk goes while the page is read, and another
/// one comes.
#[test]
fn pages_are_in_order_while_the_newest_chunk_comes_and_goes() {
    let (mut writer, view) = opened();
    let is_over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let reading = scope.spawn(|| {
            let community = view.find(ID).expect("served");
            let mut count = 0u64;
            while !is_over.load(Ordering::Relaxed) || count == 0 {
                let numbers: Vec<u64> = community.page(NOW, 100, None).uris().map(|uri| number_of(&uri)).collect();
                assert!(numbers.is_sorted_by(|a, b| a > b), "{numbers:?}");
                count += 1;
            }
        });
        let newer = |number: i64| {
            post(STABLE * 2 + number, &author(number as u64), &Tid::from_u64((STABLE + number) as u64).to_string())
        };
        for round in 0..300 {
            // Behind one another, so that a later round's posts are newer than all that a reader may have pinned.
            let posts: Vec<PostKey> = (0..300).map(|at| newer(round * 300 + at)).collect();
            for post in &posts {
                writer.apply(Change::Insert { id: ID, post: post.clone(), tags: tags(0), hidden: false });
                writer.publish();
            }
            for post in posts {
                writer.apply(Change::Remove { id: ID, post });
            }
            writer.publish();
        }
        is_over.store(true, Ordering::Relaxed);
        reading.join().expect("no reader panics");
    });
}

/// Posts here have ascending TIDs.
fn number_of(uri: &str) -> u64 {
    let rkey = uri.rsplit('/').next().expect("a rkey");
    Tid::parse(rkey).expect("a TID").to_u64()
}
