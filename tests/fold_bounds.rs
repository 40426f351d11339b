//! The bounds of DESIGN §3: a flood of each kind fills what it may, displaces the flooder's own, and leaves everybody else
//! alone. The bounds are lowered, so that a flood is small.

mod fold_support;

use std::collections::BTreeMap;

use atrarium::community::{Bounds, Fold, Stats};
use atrarium::fact::{AccessType, Body, Change, Collection, CommunityId, Config, Fact, Post, Rev, Target, Verb};
use atrarium::syntax::Tid;
use atrarium::telemetry::Bound;
use fold_support::oracle::Oracle;
use fold_support::*;

const ID: u32 = 0xa1b2_c3d4;
const OWNER: &str = "did:plc:owner";
const ALICE: &str = "did:plc:alice";
const BOB: &str = "did:plc:bob";
const SPAM: &str = "did:plc:spam";
const FLOOD: i64 = 2000;

/// Room for the honest, and for a hundredth of each flood.
const BOUNDS: Bounds = Bounds {
    posts_per_author: 10,
    waiting: 64,
    tombstones: 64,
    memberships_per_did: 8,
    configs_per_did: 4,
    config_versions: 6,
    claims_per_did: 5,
    claims_per_hashtag: 7,
    idle_rulings_per_did: 8,
    names_sweep_min: 64,
};

struct World {
    fold: Fold,
    oracle: Oracle,
}

impl World {
    /// ALICE is a member and has written; BOB has written and waits; OWNER has hidden one post.
    fn new() -> Self {
        let mut world = Self { fold: Fold::with_bounds(BOUNDS), oracle: Oracle::default() };
        world.tell([
            put(OWNER, "self", 0, config_body(config(ID))),
            put(ALICE, "join", 1, membership(&here())),
            put(ALICE, "p", MINUTE, post(&[ID])),
            put(ALICE, "hidden", MINUTE, post(&[ID])),
            put(BOB, "waits", MINUTE, post(&[ID])),
            put(OWNER, "h", HOUR, action(&here(), Verb::HidePost, Target::Record(post_uri(ALICE, "hidden")))),
        ]);
        world
    }

    fn tell(&mut self, facts: impl IntoIterator<Item = Fact>) {
        let mut changes: Vec<Change> = Vec::new();
        for fact in facts {
            self.fold.apply(&fact, &mut changes);
            changes.drain(..).for_each(|change| self.oracle.apply(&change));
            let stats = self.fold.stats();
            assert!(stats.waiting <= BOUNDS.waiting && stats.tombstones <= BOUNDS.tombstones, "{stats:?}");
        }
        self.oracle.assert_shared();
    }

    fn feed(&self, id: u32) -> Option<Vec<String>> {
        let feed = self.oracle.feeds(at(DAY)).remove(&CommunityId(id))?;
        Some(feed.iter().map(|uri| uri.rsplit('/').next().expect("a part").to_owned()).collect())
    }

    fn reached(&self) -> BTreeMap<&'static str, u64> {
        self.fold
            .bounds_reached()
            .filter(|(_, count)| *count > 0)
            .map(|(bound, count)| (bound.as_str(), count))
            .collect()
    }

    /// Nothing of the honest was touched: what was shown is shown, what is hidden is hidden, what waits comes when asked.
    fn assert_honest(&mut self) {
        assert_eq!(self.feed(ID).expect("served"), ["p"]);
        self.tell([put(BOB, "join", 2 * HOUR, membership(&here()))]);
        assert_eq!(self.feed(ID).expect("served"), ["waits", "p"]);
    }
}

fn here() -> atrarium::syntax::RecordUri {
    config_uri(OWNER, "self")
}

fn rkey(number: i64) -> String {
    Tid::from_u64(u64::try_from(number).expect("positive") + (1 << 40)).to_string()
}

/// Floods a world and returns what it then holds. The flood is told twice: the second time adds nothing.
fn flood(fact: impl Fn(i64) -> Fact) -> (World, Stats) {
    let mut world = World::new();
    world.tell((0..FLOOD).map(&fact));
    let stats = world.fold.stats();
    world.tell((0..FLOOD).map(&fact));
    let again = world.fold.stats();
    let size = |stats: &Stats| stats.posts + stats.tombstones + stats.memberships + stats.rulings;
    assert!(size(&again) <= size(&stats) + BOUNDS.waiting, "{stats:?} {again:?}");
    (world, stats)
}

#[test]
fn a_members_flood_displaces_the_members_own_posts() {
    let mut world = World::new();
    world.tell([put(SPAM, "join", 0, membership(&here()))]);
    world.tell((0..FLOOD).map(|n| put(SPAM, &rkey(n), 2 * MINUTE + n, post(&[ID]))));
    let feed = world.feed(ID).expect("served");
    let newest: Vec<String> = (FLOOD - 10..FLOOD).rev().map(rkey).collect();
    assert_eq!(feed, [newest, vec!["p".to_owned()]].concat());
    assert_eq!(world.reached(), BTreeMap::from([("posts_per_author", 1990)]));
    let stats = world.fold.stats();
    assert_eq!((stats.posts, stats.in_rings, stats.tombstones), (13, 12, 0), "what was given up is forgotten");
}

#[test]
fn a_strangers_flood_displaces_the_strangers_own_posts() {
    let (mut world, stats) = flood(|n| put(SPAM, &rkey(n), 2 * MINUTE + n, post(&[ID])));
    assert_eq!((stats.waiting, stats.tombstones), (11, 0));
    world.assert_honest();
}

/// Without deletes the newest N are the same in every order, also far beyond the bound.
#[test]
fn the_newest_posts_of_an_author_are_kept_in_every_order() {
    let mut rng = fastrand::Rng::with_seed(5);
    let member = put(SPAM, "join", 0, membership(&here()));
    let mut facts: Vec<Fact> = (0..40).map(|n| put(SPAM, &rkey(n), HOUR + n / 3, post(&[ID, ID + 1]))).collect();
    facts.extend([member, put(OWNER, "other", 0, config_body(config(ID + 1)))]);
    let mut first = None;
    for _ in 0..50 {
        let mut world = World::new();
        rng.shuffle(&mut facts);
        world.tell(facts.iter().chain(&facts[..20]).cloned());
        let feed = world.feed(ID).expect("served");
        assert_eq!(feed.len(), 11);
        assert_eq!(*first.get_or_insert_with(|| feed.clone()), feed);
    }
}

#[test]
fn hashtags_without_a_config_are_given_up_before_what_waits_in_communities() {
    // Three hundred hashtags in one post, and more posts of the kind.
    let many =
        |n: i64| (0..300).map(|tag| 0x0100_0000 + u32::try_from(n).expect("small") * 300 + tag).collect::<Vec<_>>();
    let mut world = World::new();
    world.tell((0..20).map(|n| put(SPAM, &rkey(n), 2 * MINUTE + n, post(&many(n)))));
    let stats = world.fold.stats();
    assert!(stats.waiting <= BOUNDS.waiting && stats.posts <= BOUNDS.waiting, "{stats:?}");
    assert_eq!(world.reached().into_keys().collect::<Vec<_>>(), ["waiting_unclaimed"]);
    world.assert_honest();
}

#[test]
fn a_flood_of_unclaimed_hashtags_leaves_the_few_of_others() {
    let mut world = World::new();
    world.tell([put(BOB, "early", 2 * MINUTE, post(&[77]))]);
    world.tell((0..FLOOD).map(|n| put(SPAM, &rkey(n), HOUR + n, post(&[1000 + u32::try_from(n).expect("small")]))));
    world.tell([
        put(OWNER, "late", 2 * HOUR, config_body(config(77))),
        put(BOB, "join-77", 2 * HOUR, membership(&config_uri(OWNER, "late"))),
    ]);
    assert_eq!(world.feed(77).expect("served"), ["early"], "a post that came before its config");
}

#[test]
fn the_community_with_most_waiting_posts_gives_up_and_its_busiest_stranger_first() {
    let mut world = World::new();
    world.tell([put(OWNER, "other", 0, config_body(config(ID + 1)))]);
    world.tell([put(BOB, "rare", 3 * MINUTE, post(&[ID + 1]))]);
    for stranger in 0..20 {
        let did = format!("did:plc:stranger{stranger}");
        world.tell((0..9).map(|n| put(&did, &rkey(n), 2 * MINUTE + n, post(&[ID + 1]))));
    }
    assert_eq!(world.reached().into_keys().collect::<Vec<_>>(), ["waiting_claimed"]);
    world.tell([put(BOB, "join-other", HOUR, membership(&config_uri(OWNER, "other")))]);
    assert_eq!(world.feed(ID + 1).expect("served"), ["rare"]);
    world.assert_honest();
}

#[test]
fn tombstones_of_the_busiest_deleter_go_and_those_of_others_hold() {
    let mut world = World::new();
    world.tell([delete(ALICE, "late", 2 * HOUR, Collection::Post)]);
    world.tell((0..FLOOD).map(|n| delete(SPAM, &rkey(n), 2 * MINUTE + n, Collection::Post)));
    assert!(world.reached()["tombstones"] > 1900);
    world.tell([put(ALICE, "late", HOUR, post(&[ID]))]);
    world.assert_honest();
}

#[test]
fn deletes_of_posts_are_forgotten_when_their_rev_is_seven_days_old() {
    let mut world = World::new();
    world.tell([delete(ALICE, "p", HOUR, Collection::Post)]);
    world.tell([Fact::Clock(at(7 * DAY + HOUR))]);
    assert_eq!(world.fold.stats().tombstones, 1);
    world.tell([Fact::Clock(at(7 * DAY + HOUR + 1000))]);
    assert_eq!(world.fold.stats().tombstones, 0);
}

#[test]
fn memberships_of_one_did_are_bounded_and_deleted_ones_make_room() {
    let elsewhere = |n: i64| membership(&config_uri(&format!("did:plc:o{n}"), "self"));
    let (mut world, stats) = flood(|n| put(SPAM, &rkey(n), HOUR + n, elsewhere(n)));
    assert_eq!(stats.memberships, 1 + 8);
    assert_eq!(world.reached()["memberships"], 2 * 1992);
    world.assert_honest();
    // Who joins and leaves for years with ever new records can still join.
    let mut world = World::new();
    for n in 0..FLOOD {
        world.tell([
            put(SPAM, &rkey(n), HOUR + 2 * n, membership(&here())),
            delete(SPAM, &rkey(n), HOUR + 2 * n + 1, Collection::Membership),
        ]);
    }
    world.tell([put(SPAM, "at-last", 2 * HOUR, membership(&here())), put(SPAM, "q", 2 * HOUR, post(&[ID]))]);
    assert_eq!(world.feed(ID).expect("served"), ["q", "p"]);
    assert_eq!(world.fold.stats().memberships, 1 + 8);
}

/// One record that names another community each time would leave a trace of each.
#[test]
fn one_membership_that_wanders_leaves_no_trace_of_what_is_not_there() {
    let elsewhere = |n: i64| membership(&config_uri(&format!("did:plc:o{n}"), "self"));
    let (mut world, _) = flood(|n| put(SPAM, "wanders", HOUR + n, elsewhere(n)));
    world.tell([Fact::Clock(at(2 * HOUR))]);
    let stats = world.fold.stats();
    assert!(stats.configs <= 1 + 8 + 1 && stats.dids <= 4 + 8 + 1, "{stats:?}");
    assert!(world.reached()["joins"] > 1900);
    world.assert_honest();
}

#[test]
fn configs_claims_and_versions_of_one_did_are_bounded() {
    let tag = |n: i64| 0x0200_0000 + u32::try_from(n).expect("small");
    let (mut world, stats) = flood(|n| put(SPAM, &rkey(n), HOUR + n, config_body(config(tag(n)))));
    assert_eq!(stats.communities, 1 + 4);
    assert!(world.reached()["configs"] >= 1996);
    world.assert_honest();
    let (mut world, stats) = flood(|n| put(SPAM, "self", HOUR + n, config_body(config(tag(n)))));
    assert_eq!((world.reached()["claims"], world.reached()["config_versions"]), (3990, 3988));
    assert_eq!(stats.communities, 1, "the latest hashtag could not be claimed");
    world.assert_honest();
}

/// The owner's many edits that change nobody's tenure do not cost the actions of the first moderators.
#[test]
fn versions_that_change_no_tenure_are_given_up_first() {
    let mut world = World::new();
    let named =
        |name: &str, moderators: &[&str]| config_body(Config { name: name.into(), ..moderated(ID, moderators) });
    world.tell([put(OWNER, "self", HOUR, named("with", &["did:plc:mod"]))]);
    world.tell([put("did:plc:mod", "h", HOUR + 1, action(&here(), Verb::BlockUser, Target::Account(did(ALICE))))]);
    assert_eq!(world.feed(ID).expect("served"), [""; 0]);
    world.tell((0..FLOOD).map(|n| put(OWNER, "self", 2 * HOUR + n, named(&format!("edit {n}"), &[]))));
    assert_eq!(world.feed(ID).expect("served"), [""; 0], "the block outlives the dismissal of its moderator");
    assert!(world.reached()["config_versions"] > 1900);
}

#[test]
fn the_owner_of_a_hashtag_is_always_among_its_claims() {
    let mut world = World::new();
    let squatter = |n: i64| format!("did:plc:squat{n}");
    world.tell((0..200).map(|n| put(&squatter(n), "self", HOUR - n, config_body(config(ID)))));
    let summary = world.fold.communities(at(DAY)).remove(0);
    assert_eq!((summary.uri, summary.contested.len()), (here(), 6));
    assert_eq!(summary.contested[0], config_uri(&squatter(199), "self"));
    let mut earlier = commit(&squatter(7), "self", HOUR - 7, config_body(config(ID)));
    earlier.witnessed = at(-HOUR);
    world.tell([Fact::Record(earlier)]);
    assert_eq!(world.fold.communities(at(DAY))[0].uri, config_uri(&squatter(7), "self"), "a claim that was given up");
}

#[test]
fn actions_without_authority_are_bounded_and_those_with_it_are_not() {
    let hides = |who: &str, n: i64, community: &atrarium::syntax::RecordUri| {
        let target = Target::Record(post_uri("did:plc:whoever", &rkey(n)));
        put(who, &rkey(n), HOUR + n, action(community, Verb::HidePost, target))
    };
    let (mut world, stats) = flood(|n| hides(SPAM, n, &here()));
    assert_eq!(stats.rulings, 1 + 8);
    assert_eq!(world.reached()["idle_rulings"], 2 * 1992);
    world.assert_honest();
    let (mut world, stats) = flood(|n| hides(OWNER, n, &here()));
    assert_eq!(stats.rulings, 1 + 2000);
    assert!(world.reached().is_empty(), "{:?}", world.reached());
    world.assert_honest();
}

#[test]
fn deleted_actions_make_room_and_what_was_given_up_counts_no_more() {
    let mut world = World::new();
    for n in 0..FLOOD {
        let target = Target::Account(did(ALICE));
        world.tell([
            put(OWNER, &rkey(n), HOUR + 2 * n, action(&here(), Verb::BlockUser, target)),
            delete(OWNER, &rkey(n), HOUR + 2 * n + 1, Collection::Action),
        ]);
    }
    assert!(world.fold.stats().rulings <= 1 + 8 + 1, "{:?}", world.fold.stats());
    world.assert_honest();
}

/// A moderator's actions lose their effect when the config that named them turns out to be a later one; they are kept.
#[test]
fn effect_is_counted_anew_when_authority_changes() {
    let mut world = World::new();
    let target = |n: i64| Target::Record(post_uri("did:plc:whoever", &rkey(n)));
    let acts = |n: i64| put(SPAM, &rkey(n), HOUR + n, action(&here(), Verb::HidePost, target(n)));
    world.tell([put(OWNER, "self", MINUTE, config_body(moderated(ID, &[SPAM])))]);
    world.tell((0..30).map(acts));
    assert_eq!(world.fold.stats().rulings, 1 + 30);
    let nobody = put(OWNER, "self", 2 * MINUTE, config_body(config(ID)));
    world.tell([nobody]);
    world.tell((30..60).map(acts));
    assert_eq!(world.fold.stats().rulings, 1 + 30, "there is no room for more");
    assert_eq!(world.reached()["idle_rulings"], 30);
}

#[test]
fn names_that_nothing_needs_are_swept_and_inactive_accounts_are_kept() {
    let mut world = World::new();
    let who = |n: i64| format!("did:plc:n{n}");
    world.tell((0..FLOOD).map(|n| account(&who(n), n, n % 100 != 0, Some("takendown").filter(|_| n % 100 == 0))));
    assert!(world.fold.stats().dids >= 2000);
    world.tell([Fact::Clock(at(HOUR))]);
    assert!(world.fold.stats().dids >= 2000, "an inactive state of before may still come");
    world.tell([account(ALICE, HOUR, true, None), Fact::Clock(at(3 * HOUR))]);
    // A sweep waits until there are twice as many names as the one before has left.
    world.tell((0..2 * FLOOD).map(|n| account(&who(n + FLOOD), 3 * HOUR + n, true, None)));
    world.tell([Fact::Clock(at(9 * HOUR))]);
    assert!(world.fold.stats().dids < 64, "{:?}", world.fold.stats());
    // A DID that was swept and comes back, and one whose state was kept.
    world.tell([1, 100].map(|n| put(&who(n), "join", 9 * HOUR, membership(&here()))));
    world.tell([1, 100].map(|n| put(&who(n), &format!("post{n}"), 9 * HOUR, post(&[ID]))));
    assert_eq!(world.feed(ID).expect("served"), ["post1", "p"]);
    world.tell([account(&who(100), 9 * HOUR, true, None)]);
    assert_eq!(world.feed(ID).expect("served"), ["post100", "post1", "p"]);
}

#[test]
fn an_old_active_state_is_kept_while_a_record_names_the_account() {
    let mut world = World::new();
    world.tell([account(ALICE, HOUR, true, None)]);
    world.tell((0..FLOOD).map(|n| account(&format!("did:plc:n{n}"), n, true, None)));
    world.tell([Fact::Clock(at(5 * HOUR)), account(ALICE, MINUTE, false, Some("takendown"))]);
    assert_eq!(world.feed(ID).expect("served"), ["p"]);
}

/// What a sweep frees is used again, and what it must not free still works: a whole life before and after.
#[test]
fn a_sweep_changes_no_feed() {
    for seed in 0..300 {
        let history = fold_support::history::history(seed, 120);
        let mut feeds = Vec::new();
        for names_sweep_min in [0, usize::MAX] {
            let mut fold = Fold::with_bounds(Bounds { names_sweep_min, ..Bounds::default() });
            let (mut oracle, mut changes) = (Oracle::default(), Vec::new());
            for (n, fact) in (0..).zip(&history) {
                // Clocks that evict nothing, so that there is a sweep after every third fact.
                let clock = Fact::Clock(at(-300 * DAY + n));
                for fact in [Some(fact), Some(&clock).filter(|_| n % 3 == 0)].into_iter().flatten() {
                    fold.apply(fact, &mut changes);
                    changes.drain(..).for_each(|change| oracle.apply(&change));
                }
            }
            feeds.push((oracle.feeds(at(10 * DAY)), format!("{:?}", fold.communities(at(10 * DAY)))));
        }
        assert_eq!(feeds[0], feeds[1], "seed {seed}");
    }
}

/// A config that is not taken must leave nothing behind in the community that it names as its parent: it is swept itself,
/// and the parent would look for it.
#[test]
fn a_config_that_was_not_taken_is_no_theme_of_its_parent() {
    let fold = Fold::with_bounds(Bounds { names_sweep_min: 0, ..BOUNDS });
    let mut world = World { fold, oracle: Oracle::default() };
    world.tell([put(OWNER, "self", 0, config_body(config(ID)))]);
    world.tell((0..8).map(|n| put(SPAM, &rkey(n), MINUTE, config_body(theme_of(ID + 1, &here())))));
    assert_eq!(world.reached()["configs"], 4);
    world.tell([
        Fact::Clock(at(HOUR)),
        put(OWNER, "self", 2 * HOUR, config_body(Config { name: "new".into(), ..config(ID) })),
    ]);
    assert_eq!(world.fold.stats().configs, 5);
}

/// Of somebody a deleted post is all that is known. Were they swept, the next one would get their number.
#[test]
fn a_sweep_forgets_nobody_whose_post_was_deleted() {
    let fold = Fold::with_bounds(Bounds { names_sweep_min: 0, ..BOUNDS });
    let mut world = World { fold, oracle: Oracle::default() };
    let (eve, next) = ("did:plc:eve", "did:plc:next");
    world.tell([delete(eve, "gone", 2 * HOUR, Collection::Post), Fact::Clock(at(3 * HOUR))]);
    world.tell([put(OWNER, "self", 0, config_body(config(ID))), put(next, "join", 0, membership(&here()))]);
    world.tell([put(eve, "gone", HOUR, post(&[ID])), put(eve, "join", HOUR, membership(&here()))]);
    assert_eq!(world.feed(ID).expect("served"), [""; 0]);
}

#[test]
fn below_the_bounds_nothing_is_given_up_and_every_bound_has_a_name() {
    let names: std::collections::BTreeSet<&str> = Bound::ALL.iter().map(|bound| bound.as_str()).collect();
    assert_eq!(names.len(), Bound::ALL.len());
    let mut fold = Fold::new();
    let mut changes = Vec::new();
    for fact in fold_support::history::history(3, 400) {
        fold.apply(&fact, &mut changes);
    }
    assert!(fold.bounds_reached().all(|(_, count)| count == 0));
}

#[test]
fn lineage_outlives_retention_and_redelivery_does_not_inflate_it() {
    let mut world = World::new();
    let invited = Config { access: AccessType::InviteOnly, ..config(9) };
    world.tell([put(OWNER, "closed", 0, config_body(invited))]);
    world.tell([put(BOB, "join", HOUR, membership(&here())), put(BOB, "leave", HOUR, membership(&here()))]);
    world.tell([delete(BOB, "join", 2 * HOUR, Collection::Membership)]);
    let late = Body::Post(Post { tags: vec![CommunityId(ID)], created: Some(at(26 * HOUR)) });
    let mut late = commit(ALICE, "later", 27 * HOUR, late);
    late.rev = Rev::Exact(Tid::from_time(at(27 * HOUR), 0));
    let late = Fact::Record(late);
    world.tell([late.clone()]);
    let before = world.fold.communities(at(2 * DAY)).pop().expect("served").lineage;
    assert_eq!(before.first_post, Some(at(MINUTE)));
    assert_eq!(before.first_join, Some(at(1)));
    let days: Vec<_> = before.daily.iter().map(|day| (day.day.as_str(), day.posts, day.joins)).collect();
    assert_eq!(days, [("2026-11-01", 2, 2), ("2026-11-02", 1, 0)]);
    world.tell([Fact::Clock(at(20 * DAY)), late, put(ALICE, "p", MINUTE, post(&[ID]))]);
    assert_eq!(world.fold.stats().posts, 0);
    let after = world.fold.communities(at(20 * DAY)).pop().expect("served").lineage;
    assert_eq!(before, after);
    assert!(world.fold.communities(at(500 * DAY)).pop().expect("served").lineage.daily.is_empty());
}

#[test]
fn milestones_are_dated_by_first_joins_and_leaving_takes_none_back() {
    let mut fold = Fold::new();
    let mut changes = Vec::new();
    let mut facts = vec![put(OWNER, "self", MINUTE, config_body(config(ID)))];
    for n in 0..60 {
        let who = format!("did:plc:m{n}");
        facts.push(put(&who, "join", n, membership(&here())));
        facts.push(put(&who, "join-again", HOUR + n, membership(&here())));
        facts.push(delete(&who, "join", 2 * HOUR, Collection::Membership));
        facts.push(delete(&who, "join-again", 2 * HOUR, Collection::Membership));
    }
    fastrand::Rng::with_seed(1).shuffle(&mut facts);
    facts.iter().chain(&facts).for_each(|fact| fold.apply(fact, &mut changes));
    let summary = fold.communities(at(DAY)).remove(0);
    assert_eq!(summary.members, 1);
    let reached: Vec<_> = summary.lineage.milestones.iter().map(|it| (it.members, it.reached)).collect();
    assert_eq!(reached, [1, 10, 50].map(|members| (members, Some(at(MINUTE)))));
}
