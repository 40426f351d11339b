//! Snapshots of the fold: what is saved comes back whole, and nothing tells the restored fold from the one that never stopped.
//!
//! ```text
//! history ──► fold ─────────────────┬──────────────► the rest of the history ──► fold    ┐ the same pages, answers,
//!                                   └─ save ─ restore ─► the rest of the history ──► fold ┘ figures, changes
//! ```
//! The campaign, which looks longer (`FOLD_SEED` is the first one's seed):
//! ```text
//! FOLD_HISTORIES=20000 cargo test --release --no-default-features --test fold_snapshot -- --nocapture
//! ```

mod fold_support;

use std::collections::BTreeSet;
use std::convert::Infallible;
use std::fmt::Write as _;

use atrarium::community::{Bounds, Fold, Restoring};
use atrarium::fact::{Body, Change, Collection, Cursor, Dialect, Fact, FeedMix, Gap, GapReason, Host};
use atrarium::syntax::{Fingerprint, Orphan, OrphanKind, RecordUri, Tid, Time};
use atrarium::view::{PageCursor, View, Writer};
use fastrand::Rng;
use fold_support::history::{DIDS, history};
use fold_support::oracle::Oracle;
use fold_support::{DAY, HOUR, account, at, post_uri};

/// Each is met by a history of some hundred facts.
const LOW: Bounds = Bounds {
    posts_per_author: 2,
    waiting: 4,
    tombstones: 3,
    memberships_per_did: 1,
    configs_per_did: 1,
    config_versions: 2,
    claims_per_did: 2,
    claims_per_hashtag: 2,
    idle_rulings_per_did: 1,
    names_sweep_min: 0,
};

type Chunk = (u8, u8, Vec<u8>);

fn save(fold: &Fold) -> Vec<Chunk> {
    let mut chunks = Vec::new();
    let saved: Result<(), Infallible> = fold.save(&mut |section, version, payload| {
        chunks.push((section, version, payload.to_vec()));
        Ok(())
    });
    saved.expect("never fails");
    chunks
}

fn restore(chunks: &[Chunk], bounds: Bounds) -> Result<(Fold, Vec<Change>), String> {
    let mut restoring = Restoring::with_bounds(bounds);
    for (section, version, payload) in chunks {
        restoring.take(*section, *version, payload)?;
    }
    let mut changes = Vec::new();
    let fold = restoring.finish(&mut |change| changes.push(change))?;
    Ok((fold, changes))
}

/// A fold, and everybody who is told of it: the plain view checks each change, the real one shows pages.
struct Engine {
    fold: Fold,
    oracle: Oracle,
    writer: Writer,
    view: View,
}

impl Engine {
    fn new(fold: Fold) -> Self {
        let (writer, view) = atrarium::view::new();
        Self { fold, oracle: Oracle::default(), writer, view }
    }

    fn restored(chunks: &[Chunk], bounds: Bounds) -> Self {
        let (fold, changes) = restore(chunks, bounds).expect("what was saved");
        let mut engine = Self::new(fold);
        engine.obey(changes);
        engine
    }

    fn tell(&mut self, facts: &[Fact]) {
        let mut changes = Vec::new();
        for fact in facts {
            self.fold.apply(fact, &mut changes);
            self.obey(std::mem::take(&mut changes));
        }
    }

    fn obey(&mut self, changes: Vec<Change>) {
        for change in changes {
            self.oracle.apply(&change);
            self.writer.apply(change);
        }
        self.writer.publish();
    }

    /// Everything that anybody can ask.
    fn answers(&self, facts: &[Fact]) -> Answers {
        self.oracle.assert_shared();
        assert_eq!(self.view.counts().ignored, 0);
        let fold = &self.fold;
        let now = fold.clock().or(fold.latest_witnessed()).unwrap_or(at(0));
        let moments = [now, now.plus_micros(3 * DAY)];
        let is_known = facts.iter().map(|fact| if fold.is_known(fact) { '1' } else { '0' }).collect();
        let known: BTreeSet<String> =
            fold.known_posts().map(|(did, rkey, time)| format!("{did} {rkey} {time}")).collect();
        let explained = known.iter().map(|post| {
            let mut words = post.split(' ');
            let uri = post_uri(words.next().expect("a DID"), words.next().expect("a rkey"));
            format!("{uri}: {:?}\n", fold.explain(&uri, None, now))
        });
        let mut stream = format!("{:?} {:?} {:?}\n", fold.clock(), fold.latest_witnessed(), fold.gaps_seen());
        write!(stream, "{:?}\n{:?}\n", fold.cursors().collect::<Vec<_>>(), fold.gaps().collect::<Vec<_>>())
            .and_then(|()| write!(stream, "{:?}", fold.orphans().collect::<Vec<_>>()))
            .expect("a text can grow");
        let served = (self.oracle.excluded(), self.oracle.parents(), self.oracle.feeds(now));
        Answers {
            pages: moments.map(|now| pages(&self.view, now)).concat(),
            communities: moments.map(|now| format!("{:#?}", fold.communities(now))).concat(),
            figures: format!("{:#?}\n{:?}", fold.stats(), fold.bounds_reached().collect::<Vec<_>>()),
            explained: explained.collect(),
            served: format!("{served:#?}"),
            stream,
            is_known,
            known,
        }
    }
}

#[derive(Debug, PartialEq)]
struct Answers {
    pages: Vec<String>,
    communities: String,
    figures: String,
    explained: String,
    served: String,
    stream: String,
    is_known: String,
    known: BTreeSet<String>,
}

/// Every page of every feed, with its cursor.
fn pages(view: &View, now: Time) -> Vec<String> {
    let mut pages = Vec::new();
    for community in view.communities() {
        pages.push(format!("{} {:?}", community.id(), community.info()));
        let mut after: Option<PageCursor> = None;
        loop {
            let page = view.page(&community, now, 2, after.as_ref());
            let mut json = Vec::new();
            page.write_json(&mut json);
            pages.push(String::from_utf8(json).expect("JSON"));
            after = page.cursor();
            if after.is_none() {
                break;
            }
        }
    }
    pages
}

/// A hostile history with mixed feeds, and with everything that is no record in between.
fn facts(seed: u64, length: usize) -> Vec<Fact> {
    let mut rng = Rng::with_seed(seed ^ 0x5aa5);
    let mut facts = history(seed, length);
    for fact in &mut facts {
        if let Fact::Record(record) = fact
            && let Body::Config(config) = &mut record.body
        {
            let own = rng.u16(0..=10_000);
            let parent = rng.u16(0..=10_000 - own);
            config.feed_mix = FeedMix { own, parent, global: 10_000 - own - parent };
        }
    }
    for _ in 0..length / 5 {
        let fact = other_fact(&mut rng);
        facts.insert(rng.usize(..=facts.len()), fact);
    }
    facts
}

fn other_fact(rng: &mut Rng) -> Fact {
    let micros = rng.i64(0..20 * DAY);
    let host = Host::new(["a.example", "b.example"][rng.usize(..2)]);
    match rng.u32(..5) {
        0 => {
            let dialect = if rng.bool() { Dialect::V1 } else { Dialect::V2 };
            Fact::Cursor(Cursor { host, dialect, value: rng.u64(..), time: at(micros) })
        }
        1 => {
            let did = rng.bool().then(|| fold_support::did(DIDS[rng.usize(..DIDS.len())]));
            let reason = GapReason::ALL[rng.usize(..GapReason::ALL.len())];
            Fact::Gap(Gap { witnessed: at(micros), host, did, reason })
        }
        2 => account(DIDS[rng.usize(..DIDS.len())], micros, rng.bool(), Some("desynchronized")),
        _ => {
            let orphan = |rng: &mut Rng| {
                let kind = if rng.bool() { OrphanKind::Deleted } else { OrphanKind::Updated };
                let witnessed = at(rng.i64(0..4 * HOUR));
                (Fingerprint::from_number(rng.u64(..9)), Orphan { rev: Tid::from_u64(rng.u64(..5)), kind, witnessed })
            };
            Fact::Orphans((0..rng.usize(1..4)).map(|_| orphan(rng)).collect())
        }
    }
}

fn number(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

fn seeds(count: u64) -> std::ops::Range<u64> {
    let first = number("FOLD_SEED", 0);
    first..first + number("FOLD_HISTORIES", count)
}

/// What a run met, so that a tame one fails.
#[derive(Debug, Default)]
struct Met {
    snapshots: u64,
    bytes: u64,
    pages: u64,
    silent: u64,
    waiting: u64,
    in_rings: u64,
    tombstones: u64,
    rulings: u64,
    reached: BTreeSet<&'static str>,
}

fn check(seed: u64, length: usize, bounds: Bounds, met: &mut Met) {
    let facts = facts(seed, length);
    let mut rng = Rng::with_seed(seed);
    let cut = rng.usize(..=facts.len());
    let mut original = Engine::new(Fold::with_bounds(bounds));
    original.tell(&facts[..cut]);

    let saved = save(&original.fold);
    let mut restored = Engine::restored(&saved, bounds);
    assert_eq!(save(&restored.fold), saved, "seed {seed}: not the same bytes");
    let before = original.answers(&facts);
    assert_eq!(restored.answers(&facts), before, "seed {seed}, after fact {cut}");

    // A second snapshot on the way, and everything told again at the end.
    let second = rng.usize(cut..=facts.len());
    original.tell(&facts[cut..second]);
    restored.tell(&facts[cut..second]);
    let mut again = Engine::restored(&save(&restored.fold), bounds);
    let rest = [&facts[second..], &facts[..cut]].concat();
    for engine in [&mut original, &mut restored, &mut again] {
        engine.tell(&rest);
    }
    let after = original.answers(&facts);
    assert_eq!(restored.answers(&facts), after, "seed {seed}, after the rest");
    assert_eq!(again.answers(&facts), after, "seed {seed}, after the rest and a second snapshot");

    met.snapshots += 2;
    met.bytes += saved.iter().map(|(.., payload)| payload.len() as u64).sum::<u64>();
    met.pages += before.pages.len() as u64;
    met.silent += u64::from(saved.iter().any(|(section, ..)| *section == 8));
    let stats = original.fold.stats();
    met.waiting += stats.waiting as u64;
    met.in_rings += stats.in_rings as u64;
    met.tombstones += stats.tombstones as u64;
    met.rulings += stats.rulings as u64;
    let reached = original.fold.bounds_reached().filter(|(_, count)| *count > 0);
    met.reached.extend(reached.map(|(bound, _)| bound.as_str()));
}

fn length_of(seed: u64) -> usize {
    let seed = usize::try_from(seed % 1_000_000).expect("small");
    if seed % 50 == 49 { 400 } else { 4 + (seed * 37) % 113 }
}

#[test]
fn a_restored_fold_goes_on_as_if_it_had_never_stopped() {
    let mut met = Met::default();
    seeds(400).for_each(|seed| check(seed, length_of(seed), Bounds::default(), &mut met));
    println!("{met:?}");
    let counts = [met.pages, met.silent, met.waiting, met.in_rings, met.tombstones, met.rulings];
    assert!(counts.iter().all(|&count| count > 0), "the histories are too tame: {met:?}");
    assert!(met.reached.is_empty());
}

#[test]
fn what_was_given_up_at_a_bound_stays_given_up() {
    let mut met = Met::default();
    seeds(400).for_each(|seed| check(seed, 2 * length_of(seed), LOW, &mut met));
    println!("{met:?}");
    assert_eq!(met.reached.len(), atrarium::telemetry::Bound::ALL.len(), "a bound was not met: {:?}", met.reached);
}

/// The same facts in another order give the same bytes where nothing that depends on the order is held: here, the order in
/// which hash maps come must not show.
#[test]
fn the_same_state_has_the_same_bytes() {
    for seed in 0..50 {
        let facts = facts(seed, 100);
        let of = || {
            let mut fold = Fold::new();
            facts.iter().for_each(|fact| fold.apply(fact, &mut Vec::new()));
            save(&fold)
        };
        assert_eq!(of(), of(), "seed {seed}");
    }
}

/// The view of a state can be told at any time, not only after restoring.
#[test]
fn a_view_that_is_built_at_once_shows_what_one_does_that_was_told_all_along() {
    for seed in 0..200 {
        let facts = facts(seed, length_of(seed));
        let mut told = Engine::new(Fold::new());
        told.tell(&facts);
        let mut fold = Fold::new();
        fold.apply_untold(&facts);
        let mut changes = Vec::new();
        fold.show(&mut |change| changes.push(change));
        let mut built = Engine::new(fold);
        built.obey(changes);
        assert_eq!(built.answers(&facts), told.answers(&facts), "seed {seed}");
    }
}

/// A restored fold, if there is one, must hold what it promises: it is saved, and told more.
fn try_out(chunks: &[Chunk], facts: &[Fact]) -> bool {
    let Ok((fold, changes)) = restore(chunks, Bounds::default()) else { return false };
    let again = save(&fold);
    assert!(restore(&again, Bounds::default()).is_ok(), "what it saves can be read");
    let mut engine = Engine::new(fold);
    engine.obey(changes);
    engine.tell(facts);
    engine.answers(facts);
    true
}

#[test]
fn a_snapshot_that_is_cut_anywhere_is_refused() {
    let facts = facts(49, 150);
    let mut fold = Fold::new();
    facts.iter().for_each(|fact| fold.apply(fact, &mut Vec::new()));
    let chunks = save(&fold);
    assert!(try_out(&chunks, &facts));
    for at in 0..chunks.len() {
        let without = [&chunks[..at], &chunks[at + 1..]].concat();
        assert!(restore(&without, Bounds::default()).is_err(), "without chunk {at}");
        assert!(restore(&chunks[..at], Bounds::default()).is_err(), "only {at} chunks");
        let twice = [&chunks[..=at], &chunks[at..]].concat();
        assert!(restore(&twice, Bounds::default()).is_err(), "chunk {at} twice");
        for length in 0..chunks[at].2.len() {
            let mut cut = chunks.clone();
            cut[at].2.truncate(length);
            assert!(restore(&cut, Bounds::default()).is_err(), "chunk {at} cut to {length} bytes");
        }
    }
}

#[test]
fn flipped_bytes_give_an_error_or_a_fold_that_holds() {
    let mut rng = Rng::with_seed(9);
    let (mut refused, mut taken) = (0, 0);
    for seed in 0..number("FOLD_HISTORIES", 40) {
        let facts = facts(seed, 60);
        let mut fold = Fold::new();
        facts[..40].iter().for_each(|fact| fold.apply(fact, &mut Vec::new()));
        let chunks = save(&fold);
        for _ in 0..100 {
            let mut damaged = chunks.clone();
            for _ in 0..rng.usize(1..3) {
                let chunk = rng.usize(..damaged.len());
                let payload = &mut damaged[chunk].2;
                let byte = rng.usize(..payload.len());
                payload[byte] = if rng.bool() { rng.u8(..) } else { payload[byte] ^ (1 << rng.u32(..8)) };
            }
            if try_out(&damaged, &facts[40..]) { taken += 1 } else { refused += 1 }
        }
    }
    println!("refused {refused}, taken {taken}");
    assert!(refused > 0 && taken > 0);
}

#[test]
fn what_a_later_program_wrote_is_refused_by_name() {
    let mut restoring = Restoring::new();
    let unknown = restoring.take(77, 1, &[]).expect_err("unknown");
    assert!(unknown.contains("section 77") && unknown.contains("later program"), "{unknown}");
    let later = restoring.take(9, 2, &[]).expect_err("a later version");
    assert!(later.contains("posts has version 2"), "{later}");
    assert!(Restoring::new().finish(&mut drop).expect_err("nothing").contains("no end"));
    // The empty fold is a snapshot too.
    let (fold, changes) = restore(&save(&Fold::new()), Bounds::default()).expect("empty");
    assert!(changes.is_empty() && fold.stats() == Fold::new().stats());
}

#[test]
fn a_failing_disk_ends_the_saving() {
    let mut fold = Fold::new();
    facts(3, 60).iter().for_each(|fact| fold.apply(fact, &mut Vec::new()));
    let chunks = save(&fold).len();
    for failing in 0..chunks {
        let mut calls = 0;
        let saved = fold.save(&mut |_, _, _| {
            calls += 1;
            if calls > failing { Err("full") } else { Ok(()) }
        });
        assert_eq!((saved, calls), (Err("full"), failing + 1));
    }
}

/// Whoever wrote a post that was deleted before it came is not mixed up with somebody else after a restart.
#[test]
fn an_explanation_names_the_same_records_after_a_restart() {
    let uri = |text: &str| RecordUri::parse(text).expect("valid");
    let here = fold_support::config_uri("did:plc:owner", "self");
    let mut fold = Fold::new();
    let facts = [
        fold_support::put("did:plc:owner", "self", 0, fold_support::config_body(fold_support::config(7))),
        fold_support::put("did:plc:a", "join", 1, fold_support::membership(&here)),
        fold_support::put("did:plc:a", "p", 2, fold_support::post(&[7])),
        fold_support::delete("did:plc:b", "gone", 3, Collection::Post),
    ];
    facts.iter().for_each(|fact| fold.apply(fact, &mut Vec::new()));
    let (restored, _) = restore(&save(&fold), Bounds::default()).expect("saved");
    for post in ["at://did:plc:a/app.bsky.feed.post/p", "at://did:plc:b/app.bsky.feed.post/gone"] {
        assert_eq!(
            format!("{:?}", restored.explain(&uri(post), None, at(5))),
            format!("{:?}", fold.explain(&uri(post), None, at(5)))
        );
    }
}
