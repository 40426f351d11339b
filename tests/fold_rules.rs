//! The rules of DESIGN §3, one test each, told as short stories.

mod fold_support;

use atrarium::community::{Fold, Unexplained};
use atrarium::fact::{
    AccessType, Account, Change, Collection, CommunityId, Config, Cursor, Dialect, Fact, Gap, GapReason, Host, Post,
    Stage, Target, Verb,
};
use atrarium::syntax::{Did, RecordUri};
use fold_support::oracle::Oracle;
use fold_support::*;

const ID: u32 = 0xa1b2_c3d4;
const OWNER: &str = "did:plc:owner";
const ALICE: &str = "did:plc:alice";
const BOB: &str = "did:plc:bob";
const MOD: &str = "did:plc:mod";
const STRANGER: &str = "did:plc:stranger";

/// A fold and what a view makes of it.
#[derive(Default)]
struct World {
    fold: Fold,
    oracle: Oracle,
}

impl World {
    /// Returns what concerns the community's own feed.
    fn tell(&mut self, facts: impl IntoIterator<Item = Fact>) -> Vec<Change> {
        let mut changes = self.tell_all(facts);
        changes
            .retain(|change| !matches!(change, Change::Share { .. } | Change::Unshare { .. } | Change::Exclude { .. }));
        changes
    }

    fn tell_all(&mut self, facts: impl IntoIterator<Item = Fact>) -> Vec<Change> {
        let mut changes = Vec::new();
        for fact in facts {
            self.fold.apply(&fact, &mut changes);
        }
        changes.iter().for_each(|change| self.oracle.apply(change));
        self.oracle.assert_shared();
        changes
    }

    /// The record keys of a feed after so many microseconds; `None` while it is not served.
    fn feed_at(&self, id: u32, micros: i64) -> Option<Vec<String>> {
        let feed = self.oracle.feeds(at(micros)).remove(&CommunityId(id))?;
        Some(feed.iter().map(|uri| uri.rsplit('/').next().expect("a part").to_owned()).collect())
    }

    fn feed(&self) -> Vec<String> {
        self.feed_at(ID, DAY).expect("served")
    }
}

fn here() -> RecordUri {
    config_uri(OWNER, "self")
}

fn founded(config: Config) -> Fact {
    put(OWNER, "self", 0, config_body(config))
}

fn joins(who: &str, micros: i64) -> Fact {
    put(who, "join", micros, membership(&here()))
}

fn acts(who: &str, rkey: &str, micros: i64, verb: Verb, target: Target) -> Fact {
    put(who, rkey, micros, action(&here(), verb, target))
}

fn on_post(who: &str, rkey: &str) -> Target {
    Target::Record(post_uri(who, rkey))
}

fn on_account(who: &str) -> Target {
    Target::Account(did(who))
}

/// Moderated by MOD, with ALICE for a member and her post "p".
fn world() -> World {
    let mut world = World::default();
    let facts = [founded(moderated(ID, &[MOD])), joins(ALICE, SECOND), put(ALICE, "p", MINUTE, post(&[ID]))];
    world.tell(facts);
    world
}

#[test]
fn a_members_post_is_shown_and_a_strangers_waits_for_the_membership() {
    let mut world = world();
    assert_eq!(world.feed(), ["p"]);
    assert!(world.tell([put(BOB, "q", 2 * MINUTE, post(&[ID]))]).is_empty());
    assert_eq!((world.feed(), world.fold.stats().waiting), (vec!["p".into()], 1));
    let changes = world.tell([joins(BOB, 3 * MINUTE)]);
    assert!(matches!(changes[..], [Change::Insert { .. }, Change::Author { shown: true, .. }]), "{changes:?}");
    assert_eq!(world.feed(), ["q", "p"]);
}

#[test]
fn who_leaves_is_hidden_at_once_and_what_they_write_then_waits() {
    let mut world = world();
    let changes = world.tell([delete(ALICE, "join", HOUR, Collection::Membership)]);
    assert!(matches!(changes[..], [Change::Author { shown: false, .. }]), "{changes:?}");
    world.tell([put(ALICE, "q", 2 * HOUR, post(&[ID]))]);
    assert!(world.feed().is_empty());
    assert_eq!((world.fold.stats().in_rings, world.fold.stats().waiting), (1, 1));
    world.tell([joins(ALICE, 3 * HOUR)]);
    assert_eq!(world.feed(), ["q", "p"]);
}

#[test]
fn an_inactive_membership_is_none_and_one_of_two_is_enough() {
    let mut world = world();
    let inactive = atrarium::fact::Membership { community: here(), active: false, joined: at(0) };
    world.tell([
        put(ALICE, "second", HOUR, membership(&here())),
        put(ALICE, "join", 2 * HOUR, atrarium::fact::Body::Membership(inactive)),
    ]);
    assert_eq!(world.feed(), ["p"]);
    world.tell([delete(ALICE, "second", 3 * HOUR, Collection::Membership)]);
    assert!(world.feed().is_empty());
}

#[test]
fn the_owner_is_a_member_without_a_record_and_cannot_be_blocked() {
    let mut world = world();
    world.tell([put(OWNER, "o", HOUR, post(&[ID])), acts(MOD, "b", 2 * HOUR, Verb::BlockUser, on_account(OWNER))]);
    assert_eq!(world.feed(), ["o", "p"]);
}

#[test]
fn only_an_older_rev_is_ignored_and_an_edit_moves_or_removes_the_post() {
    let mut world = world();
    assert!(world.tell([put(ALICE, "p", 0, post(&[]))]).is_empty());
    let mut again = commit(ALICE, "p", MINUTE, post(&[ID]));
    again.witnessed = at(MINUTE - SECOND);
    let changes = world.tell([Fact::Record(again)]);
    assert!(matches!(changes[..], [Change::Remove { .. }, Change::Insert { .. }]), "seen earlier: {changes:?}");
    world.tell([put(ALICE, "p", HOUR, post(&[ID + 1]))]);
    assert!(world.feed().is_empty());
    world.tell([put(ALICE, "p", 2 * HOUR, post(&[ID, ID + 1]))]);
    assert_eq!(world.feed(), ["p"]);
}

#[test]
fn an_edit_that_keeps_hashtag_and_time_is_no_change() {
    let mut world = World::default();
    let written = |micros| {
        let post = Post { tags: vec![CommunityId(ID)], created: Some(at(SECOND)) };
        put(OWNER, "p", micros, atrarium::fact::Body::Post(post))
    };
    world.tell([founded(config(ID)), written(MINUTE)]);
    assert!(world.tell([written(HOUR)]).is_empty());
    assert_eq!(world.feed(), ["p"]);
}

#[test]
fn a_late_put_cannot_undo_a_delete_and_a_new_put_can() {
    let mut world = world();
    world.tell([delete(ALICE, "x", HOUR, Collection::Post), put(ALICE, "x", MINUTE, post(&[ID]))]);
    assert_eq!(world.feed(), ["p"]);
    world.tell([put(ALICE, "x", 2 * HOUR, post(&[ID]))]);
    assert_eq!(world.feed(), ["x", "p"]);
}

#[test]
fn the_time_of_a_post_is_the_least_of_three_and_ties_fall_to_the_uri() {
    let mut world = World::default();
    let written = |who: &str, rkey: &str, created, rev, witnessed| {
        let body = atrarium::fact::Body::Post(Post { tags: vec![CommunityId(ID)], created });
        let mut record = commit(who, rkey, witnessed, body);
        record.rev = rev_at(rev);
        Fact::Record(record)
    };
    world.tell([
        founded(config(ID)),
        written(OWNER, "future", Some(at(90 * DAY)), 90 * DAY, 2 * HOUR),
        written(OWNER, "rev", None, HOUR, 3 * HOUR),
        written(OWNER, "created", Some(at(4 * HOUR)), 5 * HOUR, 5 * HOUR),
        written(OWNER, "before-the-epoch", Some(atrarium::syntax::Time::EPOCH), 3 * HOUR, 3 * HOUR),
        written(OWNER, "a", None, HOUR + 999, HOUR + 999),
    ]);
    assert_eq!(world.feed(), ["created", "before-the-epoch", "future", "rev", "a"]);
}

#[test]
fn a_post_is_shown_until_it_is_seven_days_old_and_then_forgotten() {
    let mut world = world();
    assert_eq!(world.feed_at(ID, MINUTE + 7 * DAY - 1).expect("served"), ["p"]);
    assert!(world.feed_at(ID, MINUTE + 7 * DAY).expect("served").is_empty());
    assert!(world.tell([Fact::Clock(at(7 * DAY))]).is_empty());
    assert_eq!(world.fold.known_posts().count(), 1);
    let changes = world.tell([Fact::Clock(at(7 * DAY + MINUTE + 1000))]);
    let before_millis = at(MINUTE).millis() + 1;
    assert_eq!(changes, [Change::Evict { before_millis }]);
    assert_eq!(world.fold.known_posts().count(), 0);
    assert!(world.tell([Fact::Clock(at(0)), put(ALICE, "p", MINUTE, post(&[ID]))]).is_empty());
    assert_eq!((world.fold.clock(), world.fold.stats().late), (Some(at(7 * DAY + MINUTE + 1000)), 1));
}

#[test]
fn a_post_dated_long_ago_keeps_its_rev_while_that_is_young() {
    let mut world = world();
    let old = atrarium::fact::Body::Post(Post { tags: vec![CommunityId(ID)], created: Some(at(-30 * DAY)) });
    world.tell([Fact::Clock(at(HOUR)), put(ALICE, "old", HOUR, old)]);
    assert_eq!((world.feed(), world.fold.stats().tombstones), (vec!["p".into()], 1));
    world.tell([put(ALICE, "old", MINUTE, post(&[ID]))]);
    assert_eq!(world.feed(), ["p"], "the older version must not come back");
    world.tell([put(ALICE, "old", 2 * HOUR, post(&[ID]))]);
    assert_eq!(world.feed(), ["old", "p"]);
}

#[test]
fn the_first_claim_owns_the_hashtag_whatever_becomes_of_it() {
    let mut world = world();
    let squat = |micros| put(BOB, "squat", micros, config_body(config(ID)));
    assert!(world.tell([squat(HOUR)]).is_empty());
    let summary = world.fold.communities(at(DAY)).remove(0);
    assert_eq!((summary.uri, summary.contested), (here(), vec![config_uri(BOB, "squat")]));
    world.tell([delete(OWNER, "self", 2 * HOUR, Collection::Config)]);
    assert_eq!(world.feed_at(ID, DAY), None, "a squatter does not inherit");
    world.tell([put(OWNER, "self", 3 * HOUR, config_body(config(ID)))]);
    assert_eq!(world.feed(), ["p"], "its re-creation revives it");
}

/// One commit may create and delete. Of one rev the delete counts, and yet the hashtag was carried here first.
#[test]
fn a_claim_counts_though_its_version_does_not() {
    let mut world = World::default();
    world.tell([put(BOB, "late", HOUR, config_body(config(ID))), founded(config(ID))]);
    world.tell([delete(OWNER, "self", 0, Collection::Config)]);
    assert_eq!(world.feed_at(ID, DAY), None, "nor does the squatter inherit");
}

#[test]
fn an_earlier_claim_that_comes_late_takes_the_feed() {
    let mut world = World::default();
    world.tell([put(BOB, "late", HOUR, config_body(config(ID))), put(BOB, "p", HOUR, post(&[ID]))]);
    assert_eq!(world.feed(), ["p"]);
    let changes = world.tell([founded(config(ID))]);
    assert!(matches!(changes[..], [Change::Close { .. }, Change::Open { .. }]), "{changes:?}");
    assert!(world.feed().is_empty());
}

#[test]
fn a_config_that_moves_takes_its_members_to_the_other_hashtag() {
    let mut world = world();
    world.tell([put(ALICE, "q", HOUR, post(&[ID + 1])), put(OWNER, "self", 2 * HOUR, config_body(config(ID + 1)))]);
    assert_eq!((world.feed_at(ID, DAY), world.feed_at(ID + 1, DAY)), (None, Some(vec!["q".into()])));
}

#[test]
fn a_new_name_opens_the_feed_again_without_loss() {
    let mut world = world();
    let changes = world.tell([put(OWNER, "self", HOUR, config_body(Config { name: "new".into(), ..config(ID) }))]);
    assert!(matches!(changes[..], [Change::Open { .. }]), "{changes:?}");
    assert_eq!(world.feed(), ["p"]);
}

#[test]
fn only_authority_moderates_and_the_latest_action_counts_until_it_is_deleted() {
    let mut world = world();
    assert!(world.tell([acts(BOB, "x", HOUR, Verb::HidePost, on_post(ALICE, "p"))]).is_empty());
    world.tell([acts(MOD, "h", 2 * HOUR, Verb::HidePost, on_post(ALICE, "p"))]);
    assert!(world.feed().is_empty());
    world.tell([acts(OWNER, "u", 3 * HOUR, Verb::UnhidePost, on_post(ALICE, "p"))]);
    assert_eq!(world.feed(), ["p"]);
    world.tell([delete(OWNER, "u", 4 * HOUR, Collection::Action)]);
    assert!(world.feed().is_empty(), "the action before counts again");
    world.tell([delete(MOD, "h", 5 * HOUR, Collection::Action)]);
    assert_eq!(world.feed(), ["p"]);
}

#[test]
fn of_two_actions_at_one_moment_the_greater_uri_counts_as_text() {
    let (owner, moderator) = ("did:web:b", "did:web:b.c");
    let here = config_uri(owner, "self");
    let mut world = World::default();
    world.tell([put(owner, "self", 0, config_body(moderated(ID, &[moderator]))), put(owner, "p", 0, post(&[ID]))]);
    world.tell([
        put(moderator, "a", HOUR, action(&here, Verb::HidePost, on_post(owner, "p"))),
        put(owner, "a", HOUR, action(&here, Verb::UnhidePost, on_post(owner, "p"))),
    ]);
    assert_eq!(world.feed(), ["p"], "`did:web:b.c/` sorts before `did:web:b/`");
}

#[test]
fn an_action_may_come_before_its_post_its_config_and_its_moderators_listing() {
    let mut world = World::default();
    world.tell([
        acts(MOD, "h", 2 * HOUR, Verb::HidePost, on_post(ALICE, "p")),
        put(ALICE, "p", HOUR, post(&[ID])),
        joins(ALICE, HOUR),
        put(OWNER, "self", 3 * HOUR, config_body(config(ID))),
    ]);
    assert_eq!(world.feed(), ["p"]);
    world.tell([founded(moderated(ID, &[MOD]))]);
    assert!(world.feed().is_empty(), "when it was made, an older config listed the moderator");
}

#[test]
fn an_action_outlives_the_dismissal_of_its_moderator_but_none_comes_after() {
    let mut world = world();
    world.tell([
        put(ALICE, "q", MINUTE, post(&[ID])),
        acts(MOD, "h", HOUR, Verb::HidePost, on_post(ALICE, "p")),
        put(OWNER, "self", 2 * HOUR, config_body(config(ID))),
        acts(MOD, "late", 3 * HOUR, Verb::HidePost, on_post(ALICE, "q")),
    ]);
    assert_eq!(world.feed(), ["q"]);
    let mut forged = commit(MOD, "forged", 3 * HOUR, action(&here(), Verb::HidePost, on_post(ALICE, "q")));
    forged.rev = rev_at(HOUR);
    world.tell([Fact::Record(forged)]);
    assert_eq!(world.feed(), ["q"], "a forged rev does not date an action back");
}

#[test]
fn a_block_hides_all_posts_and_its_reversal_shows_them() {
    let mut world = world();
    world.tell([acts(MOD, "b", HOUR, Verb::BlockUser, on_account(ALICE))]);
    assert!(world.feed().is_empty());
    world.tell([acts(OWNER, "u", 2 * HOUR, Verb::UnblockUser, on_account(ALICE))]);
    assert_eq!(world.feed(), ["p"]);
}

#[test]
fn a_graduated_parents_people_moderate_its_themes_and_no_others_do() {
    let parent = config_uri(BOB, "parent");
    let above = |stage| put(BOB, "parent", 0, config_body(Config { stage, ..moderated(7, &[MOD]) }));
    for (stage, hidden) in [(Stage::Graduated, true), (Stage::Community, false)] {
        let mut world = World::default();
        world.tell([founded(theme_of(ID, &parent)), joins(ALICE, 0)]);
        world.tell([put(ALICE, "p", 0, post(&[ID])), put(ALICE, "q", 0, post(&[ID]))]);
        world.tell([
            acts(BOB, "h", HOUR, Verb::HidePost, on_post(ALICE, "p")),
            acts(MOD, "h", HOUR, Verb::HidePost, on_post(ALICE, "q")),
        ]);
        assert_eq!(world.feed().len(), 2, "inert while the parent is missing");
        world.tell([above(stage)]);
        assert_eq!(world.feed().is_empty(), hidden, "{stage:?}");
    }
}

#[test]
fn invite_only_hides_the_unaccepted_at_once_and_deleting_an_acceptance_revokes_it() {
    let mut world = world();
    let closed = Config { access: AccessType::InviteOnly, ..moderated(ID, &[MOD]) };
    world.tell([put(OWNER, "self", HOUR, config_body(closed))]);
    assert!(world.feed().is_empty());
    world.tell([put(BOB, "a", 2 * HOUR, acceptance(&here(), ALICE))]);
    assert!(world.feed().is_empty(), "Bob may not accept");
    world.tell([put(MOD, "a", 2 * HOUR, acceptance(&here(), ALICE))]);
    assert_eq!(world.feed(), ["p"]);
    world.tell([delete(MOD, "a", 3 * HOUR, Collection::Acceptance)]);
    assert!(world.feed().is_empty());
}

#[test]
fn accounts_are_ordered_by_their_inner_time_and_inactive_wins_a_tie() {
    let mut world = world();
    world.tell([account(ALICE, 2 * HOUR, false, Some("takendown")), account(ALICE, HOUR, true, None)]);
    assert!(world.feed().is_empty());
    world.tell([account(ALICE, 3 * HOUR, true, None)]);
    assert_eq!(world.feed(), ["p"]);
    world.tell([account(ALICE, 3 * HOUR, false, Some("suspended")), account(ALICE, 3 * HOUR, true, None)]);
    assert!(world.feed().is_empty());
}

#[test]
fn a_deleted_account_ends_its_records_for_good_and_in_whatever_order() {
    let mut world = world();
    let revived = account(ALICE, 3 * HOUR, true, None);
    world.tell([account(ALICE, 2 * HOUR, false, Some("deleted")), revived, put(ALICE, "q", HOUR, post(&[ID]))]);
    assert!(world.feed().is_empty());
    world.tell([joins(ALICE, 4 * HOUR)]);
    assert!(world.feed().is_empty(), "a new membership does not bring back the old posts");
    world.tell([put(ALICE, "r", 5 * HOUR, post(&[ID]))]);
    assert_eq!(world.feed(), ["r"]);
}

#[test]
fn an_owners_deletion_ends_the_community_and_moderators_lose_their_authority_from_then_on() {
    let mut world = world();
    world.tell([account(OWNER, 2 * HOUR, false, Some("deleted"))]);
    assert_eq!(world.feed_at(ID, DAY), None);
    world.tell([
        put(ALICE, "q", HOUR, post(&[ID])),
        acts(MOD, "before", HOUR, Verb::HidePost, on_post(ALICE, "q")),
        acts(MOD, "after", 3 * HOUR, Verb::HidePost, on_post(ALICE, "p")),
        put(OWNER, "self", 4 * HOUR, config_body(config(ID))),
    ]);
    assert_eq!(world.feed(), ["p"]);
}

#[test]
fn records_of_other_collections_are_no_communities_and_no_posts() {
    let mut world = world();
    let elsewhere = uri(OWNER, Collection::Membership, "self");
    let not_a_post = Target::Record(uri(ALICE, Collection::Config, "p"));
    world.tell([put(BOB, "join", 0, membership(&elsewhere)), put(BOB, "q", 0, post(&[ID]))]);
    world.tell([acts(OWNER, "h", HOUR, Verb::HidePost, not_a_post)]);
    world.tell([acts(OWNER, "i", HOUR, Verb::HidePost, on_account(ALICE))]);
    assert_eq!(world.feed(), ["p"]);
}

/// Found by a hostile history: one rev and one CID for a membership here and for one that means nothing. The fold kept
/// no text of the latter, and so took the former, where the rule takes the greater text.
#[test]
fn of_two_contents_of_one_rev_the_greater_counts_in_both_orders() {
    let elsewhere = uri("did:web:z", Collection::Post, "self");
    let contents = [joins(BOB, HOUR), put(BOB, "join", HOUR, membership(&elsewhere))];
    for order in [[0, 1], [1, 0]] {
        let mut world = world();
        world.tell([put(BOB, "q", HOUR, post(&[ID]))]);
        world.tell(order.map(|index| contents[index].clone()));
        assert_eq!(world.feed(), ["p"], "{order:?}");
    }
}

/// A rev whose top bit is set is greater than all others. Its time must be so too, or it would both win and be ended.
#[test]
fn a_rev_with_the_top_bit_set_is_late_not_early() {
    let mut world = world();
    let mut record = commit(ALICE, "p", HOUR, post(&[]));
    record.rev = atrarium::fact::Rev::Exact(atrarium::syntax::Tid::from_u64(1 << 63));
    world.tell([Fact::Clock(at(8 * DAY)), Fact::Record(record), put(ALICE, "p", 8 * DAY, post(&[ID]))]);
    assert!(world.feed_at(ID, 8 * DAY).expect("served").is_empty());
    assert_eq!(world.fold.stats().late, 0);
}

#[test]
fn explain_names_the_record_that_decides() {
    let mut world = world();
    world.tell([acts(MOD, "h", HOUR, Verb::HidePost, on_post(ALICE, "p"))]);
    let explanation = world.fold.explain(&post_uri(ALICE, "p"), None, at(DAY)).expect("known");
    let verdict = &explanation.communities[0];
    assert!(!verdict.visible);
    let broken: Vec<_> = verdict.rules.iter().filter(|rule| !rule.holds).collect();
    assert_eq!(broken.len(), 1);
    assert_eq!((broken[0].rule, &broken[0].record), ("not_hidden", &Some(uri(MOD, Collection::Action, "h"))));
    assert!(broken[0].because.contains(&at(HOUR).to_string()), "{}", broken[0].because);
    let json = serde_json::to_value(&explanation).expect("JSON");
    assert_eq!(json["communities"][0]["id"], "a1b2c3d4");
    assert_eq!(json["communities"][0]["rules"][0]["record"], post_uri(ALICE, "p").to_string());
    let unknown = world.fold.explain(&post_uri(ALICE, "unknown"), None, at(DAY)).expect_err("unknown");
    assert_eq!(unknown.name(), "NotFound");
    let other = world.fold.explain(&post_uri(ALICE, "p"), Some(CommunityId(9)), at(DAY));
    assert_eq!(other, Err(Unexplained::UnknownFeed(CommunityId(9))));
}

#[test]
fn explain_says_which_gaps_concern_the_author() {
    let mut world = world();
    let gap = |did: Option<&str>, reason| {
        let did = did.map(|did| atrarium::syntax::Did::parse(did).expect("sound"));
        let host = atrarium::fact::Host::new("h.example");
        Fact::Gap(atrarium::fact::Gap { witnessed: at(HOUR), host, did, reason })
    };
    assert!(world.fold.explain(&post_uri(ALICE, "p"), None, at(DAY)).expect("known").gaps.is_empty());
    world.tell([
        gap(None, GapReason::CursorClamped),
        gap(Some(ALICE), GapReason::Sync),
        gap(Some(BOB), GapReason::Desynchronized),
    ]);
    let seen = world.fold.gaps_seen();
    // Who has never written anything here has lost nothing; who may write has.
    world.tell([account(STRANGER, HOUR, true, None), gap(Some(STRANGER), GapReason::Sync)]);
    assert_eq!(world.fold.gaps_seen(), seen);
    for who in [OWNER, MOD] {
        world.tell([gap(Some(who), GapReason::Sync)]);
    }
    assert_eq!(world.fold.gaps_seen(), seen + 2);
    let gaps = world.fold.explain(&post_uri(ALICE, "p"), None, at(DAY)).expect("known").gaps;
    assert_eq!(gaps.len(), 2, "{gaps:?}");
    assert!(gaps[0].contains("h.example has a gap at 2026-11-01T01:00:00") && gaps[0].contains("cursor_clamped"));
    assert!(gaps[1].contains("(sync)") && gaps[1].contains("this repository"), "{gaps:?}");
}

#[test]
fn explain_says_that_a_post_was_deleted() {
    let mut world = world();
    world.tell([delete(ALICE, "p", HOUR, Collection::Post)]);
    let explanation = world.fold.explain(&post_uri(ALICE, "p"), None, at(DAY)).expect("known");
    assert!(explanation.because.contains("was deleted on 2026-11-01T01:00:00"), "{}", explanation.because);
}

#[test]
fn a_summary_is_written_as_the_interfaces_say() {
    let world = world();
    let json = serde_json::to_value(world.fold.communities(at(DAY))).expect("JSON");
    let expected = serde_json::json!([{
        "id": "a1b2c3d4", "uri": here().to_string(), "name": format!("community {ID}"), "hashtag": "#atrarium_a1b2c3d4",
        "stage": "community", "owner": OWNER, "members": 2, "posts": 1, "contested": [],
        "founded": at(0).to_string(), "first_post": at(MINUTE).to_string(), "first_join": at(SECOND).to_string(),
        "milestones": [{"members": 1, "reached": at(0).to_string()}],
        "daily": [{"day": "2026-11-01", "posts": 1, "joins": 1}],
    }]);
    assert_eq!(json, expected);
}

#[test]
fn the_newest_cursor_of_each_host_is_kept_and_gaps_are_counted() {
    let mut world = World::default();
    let cursor = |host: &str, value, micros| {
        Fact::Cursor(Cursor { host: Host::new(host), dialect: Dialect::V2, value, time: at(micros) })
    };
    let gap = Gap { witnessed: at(9), host: Host::new("a"), did: None, reason: GapReason::CursorTooOld };
    world.tell([cursor("a", 900, 1), cursor("b", 5, 3), cursor("a", 7, 2), cursor("b", 4, 2), Fact::Gap(gap)]);
    let value_of = |host| world.fold.cursor_of(&Host::new(host), Dialect::V2).map(|cursor| cursor.value);
    assert_eq!([value_of("a"), value_of("b"), value_of("c")], [Some(7), Some(5), None]);
    assert_eq!(world.fold.cursor().map(|cursor| cursor.value), Some(5));
    assert_eq!(world.fold.latest_witnessed(), Some(at(9)));
    assert_eq!((world.fold.gaps().len(), world.fold.gaps_seen()), (1, 1));
}

#[test]
fn a_return_from_desynchronized_is_a_gap_in_whatever_order() {
    let gone = |hour| account(ALICE, hour * HOUR, false, Some("desynchronized"));
    let back = |hour| account(ALICE, hour * HOUR, true, None);
    for (story, gaps) in [
        (vec![gone(1)], 0),
        (vec![back(1), gone(2)], 0),
        (vec![gone(1), back(2)], 1),
        (vec![back(2), gone(1)], 1),
        (vec![gone(1), back(2), gone(1), back(2), back(3)], 1),
        (vec![gone(1), back(2), gone(3), back(4)], 2),
        (vec![gone(1), account(ALICE, 2 * HOUR, false, Some("takendown"))], 0),
    ] {
        let mut world = World::default();
        world.tell(story.clone());
        assert_eq!(world.fold.gaps_seen(), gaps, "{story:?}");
        let is_told = |gap: &Gap| (gap.reason, gap.did.as_ref()) == (GapReason::Desynchronized, Some(&did(ALICE)));
        assert!(world.fold.gaps().all(is_told), "{story:?}");
    }
}

#[test]
fn what_is_no_longer_needed_is_forgotten() {
    let mut world = world();
    world.tell([put(BOB, "q", MINUTE, post(&[ID, 77])), delete(ALICE, "p", HOUR, Collection::Post)]);
    let known: Vec<(Did, String)> =
        world.fold.known_posts().map(|(did, rkey, _)| (did.clone(), rkey.to_string())).collect();
    assert_eq!(known.len(), 2, "{known:?}");
    let stats = world.fold.stats();
    assert_eq!((stats.posts, stats.in_rings, stats.waiting, stats.tombstones), (1, 0, 2, 1));
    world.tell([Fact::Clock(at(8 * DAY))]);
    let stats = world.fold.stats();
    assert_eq!((stats.posts, stats.waiting, stats.tombstones, stats.communities), (0, 0, 0, 1));
}

#[test]
fn nothing_is_told_of_an_author_who_has_written_nothing() {
    let mut world = World::default();
    world.tell([founded(config(ID))]);
    let quiet = [joins(ALICE, 0), account(ALICE, 1, false, None), account(ALICE, 2, true, None)];
    assert!(world.tell(quiet).is_empty());
}

#[test]
fn an_account_event_without_the_word_deleted_ends_nothing() {
    let mut world = world();
    let gone = Account {
        witnessed: at(HOUR),
        host: Host::new("test"),
        did: did(ALICE),
        active: true,
        status: Some("deleted".into()),
        time: at(HOUR),
    };
    world.tell([Fact::Account(gone), account(ALICE, HOUR, false, Some("takendown")), account(ALICE, DAY, true, None)]);
    assert_eq!(world.feed(), ["p"]);
}
