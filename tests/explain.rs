//! What `explain` says, sentence by sentence, as short stories; and over hostile histories, that it says what is so.

mod fold_support;

use std::collections::BTreeSet;

use atrarium::community::{Explanation, Fold, Rule, Unexplained};
use atrarium::fact::{AccessType, Action, Body, Collection, CommunityId, Config, Fact, Membership, Target, Verb};
use atrarium::limits::{EXPLAIN_COMMUNITIES_MAX, EXPLAIN_REASON_CHARS_MAX};
use atrarium::syntax::{RecordUri, Time};
use fold_support::history::history;
use fold_support::oracle::Oracle;
use fold_support::reference::Reference;
use fold_support::*;

const ID: u32 = 0xa1b2_c3d4;
const OWNER: &str = "did:plc:owner";
const ALICE: &str = "did:plc:alice";
const BOB: &str = "did:plc:bob";
const MOD: &str = "did:plc:mod";

fn here() -> RecordUri {
    config_uri(OWNER, "self")
}

fn alices() -> RecordUri {
    post_uri(ALICE, "p")
}

fn invite_only() -> Config {
    Config { access: AccessType::InviteOnly, ..moderated(ID, &[MOD]) }
}

fn founded(config: Config) -> Fact {
    put(OWNER, "self", 0, config_body(config))
}

fn joins(who: &str, micros: i64) -> Fact {
    put(who, "join", micros, membership(&here()))
}

fn posts() -> Fact {
    put(ALICE, "p", MINUTE, post(&[ID]))
}

fn acts(who: &str, rkey: &str, micros: i64, verb: Verb, target: Target) -> Fact {
    put(who, rkey, micros, action(&here(), verb, target))
}

fn told(facts: impl IntoIterator<Item = Fact>) -> Fold {
    let (mut fold, mut changes) = (Fold::new(), Vec::new());
    facts.into_iter().for_each(|fact| fold.apply(&fact, &mut changes));
    fold
}

/// The verdict on Alice's post in the community, after a day: whether it is visible, and a rule.
fn ruled(facts: impl IntoIterator<Item = Fact>, rule: &str) -> (bool, Rule) {
    let explanation = told(facts).explain(&alices(), Some(CommunityId(ID)), at(DAY)).expect("known");
    let verdict = &explanation.communities[0];
    let found = verdict.rules.iter().find(|known| known.rule == rule);
    (verdict.visible, found.unwrap_or_else(|| panic!("no {rule} in {verdict:#?}")).clone())
}

/// Checks that a rule alone hides Alice's post, by this record, and that the sentence says so.
#[track_caller]
fn hides(facts: impl IntoIterator<Item = Fact>, rule: &str, record: Option<RecordUri>, says: &[&str]) {
    let facts: Vec<Fact> = facts.into_iter().collect();
    let (visible, found) = ruled(facts.clone(), rule);
    assert!(!visible && !found.holds, "{found:#?}");
    assert_eq!(found.record, record, "{found:#?}");
    for part in says.iter().copied().chain(record.as_ref().map(RecordUri::to_string).as_deref()) {
        assert!(found.because.contains(part), "{part:?} is not in {:?}", found.because);
    }
    let explanation = told(facts).explain(&alices(), Some(CommunityId(ID)), at(DAY)).expect("known");
    let broken: Vec<&Rule> = explanation.communities[0].rules.iter().filter(|rule| !rule.holds).collect();
    assert_eq!(broken.len(), 1, "one reason alone: {broken:#?}");
}

/// Checks that a rule holds for Alice's post, which is visible, by this record.
#[track_caller]
fn allows(facts: impl IntoIterator<Item = Fact>, rule: &str, record: Option<RecordUri>, says: &[&str]) {
    let (visible, found) = ruled(facts, rule);
    assert!(visible && found.holds, "{found:#?}");
    assert_eq!(found.record, record, "{found:#?}");
    says.iter().for_each(|part| assert!(found.because.contains(part), "{part:?} is not in {:?}", found.because));
}

/// A community moderated by MOD, of which Alice is a member and has posted.
fn world() -> Vec<Fact> {
    vec![founded(moderated(ID, &[MOD])), joins(ALICE, SECOND), posts()]
}

fn and(more: impl IntoIterator<Item = Fact>) -> Vec<Fact> {
    world().into_iter().chain(more).collect()
}

fn time(micros: i64) -> String {
    at(micros).to_string()
}

#[test]
fn what_is_visible_names_what_makes_it_so() {
    let join = uri(ALICE, Collection::Membership, "join");
    allows(world(), "exists", Some(alices()), &["was put on 2026-11-01T00:01:00"]);
    allows(world(), "tagged", Some(alices()), &["carries #atrarium_a1b2c3d4"]);
    allows(world(), "served", Some(here()), &["claimed first by", &time(0)]);
    allows(world(), "member", Some(join), &["is a member of", &time(SECOND)]);
    allows(world(), "accepted", Some(here()), &["is not invite-only"]);
    allows(world(), "not_blocked", None, &["did:plc:alice is not blocked", "no live action"]);
    allows(world(), "account_active", None, &["Nothing was heard", "counts as active"]);
    allows(world(), "not_hidden", None, &["is not hidden", "no live action"]);
    allows(world(), "young", Some(alices()), &["younger than 7 days", &time(MINUTE), &time(DAY)]);
    allows(world(), "kept", Some(alices()), &["is kept"]);
    let explanation = told(world()).explain(&alices(), None, at(DAY)).expect("known");
    assert_eq!(explanation.communities[0].rules.len(), 10, "every rule bears on it");
    assert_eq!(explanation.now, at(DAY));
}

#[test]
fn a_deleted_post_says_by_which_rev() {
    let facts = and([delete(ALICE, "p", HOUR, Collection::Post)]);
    let (visible, exists) = ruled(facts.clone(), "exists");
    assert!(!visible && !exists.holds);
    assert_eq!((&exists.record, exists.at), (&Some(alices()), Some(at(HOUR))));
    let rev = rev_at(HOUR).tid();
    assert!(exists.because.contains(&format!("was deleted on {} (rev {rev})", at(HOUR))), "{}", exists.because);
    let (_, tagged) = ruled(facts, "tagged");
    assert!(!tagged.holds && tagged.because.contains("was deleted"), "{tagged:?}");
}

#[test]
fn an_edit_took_the_hashtag_away() {
    let facts = and([put(ALICE, "p", HOUR, post(&[]))]);
    let (visible, tagged) = ruled(facts, "tagged");
    assert!(!visible && !tagged.holds);
    assert!(tagged.because.contains("does not carry") && tagged.because.contains(&time(HOUR)), "{}", tagged.because);
}

#[test]
fn a_hashtag_that_nobody_has_claimed() {
    let fold = told([posts()]);
    let explanation = fold.explain(&alices(), None, at(DAY)).expect("known");
    let served = explanation.communities[0].rules.iter().find(|rule| rule.rule == "served").expect("a rule");
    assert!(!served.holds && served.because.contains("No config has claimed") && served.because.contains("waits"));
    assert_eq!(
        fold.explain(&alices(), Some(CommunityId(ID)), at(DAY)),
        Err(Unexplained::UnknownFeed(CommunityId(ID))),
        "it is no community yet"
    );
}

#[test]
fn a_contested_hashtag_names_who_came_first_and_who_came_later() {
    let later = put(BOB, "late", HOUR, config_body(config(ID)));
    let rival = config_uri(BOB, "late").to_string();
    allows(and([later.clone()]), "served", Some(here()), &[&rival, "contested", &time(HOUR)]);
    // The first one goes; the later one does not inherit.
    let gone = and([later.clone(), delete(OWNER, "self", 2 * HOUR, Collection::Config)]);
    hides(gone, "served", Some(here()), &["claimed first by", "was deleted on", &time(2 * HOUR), &rival, "not served"]);
    let moved = and([later, put(OWNER, "self", 2 * HOUR, config_body(config(7)))]);
    hides(moved, "served", Some(here()), &["carries #atrarium_00000007 now", &rival]);
    let third = put(MOD, "later", 3 * HOUR, config_body(config(ID)));
    let three = and([put(BOB, "late", HOUR, config_body(config(ID))), third]);
    allows(three, "served", Some(here()), &["2 later claims", &rival]);
}

#[test]
fn who_is_no_member_waits() {
    let without = || [founded(moderated(ID, &[MOD])), posts()];
    hides(without(), "member", None, &["has no membership in", "waits until they join"]);
    let join = uri(ALICE, Collection::Membership, "join");
    let rests = Body::Membership(Membership { community: here(), active: false, joined: at(0) });
    let left = and([put(ALICE, "join", HOUR, rests)]);
    hides(left, "member", Some(join.clone()), &["left", "active=false since", &time(HOUR)]);
    let deleted = and([delete(ALICE, "join", HOUR, Collection::Membership)]);
    hides(
        deleted,
        "member",
        Some(join.clone()),
        &["which may have been the membership", "was deleted on", &time(HOUR)],
    );
    // A membership elsewhere is not it; one that says so is worth more than one that says nothing any more.
    let elsewhere = put(ALICE, "other", HOUR, membership(&config_uri(BOB, "self")));
    hides(without().into_iter().chain([elsewhere.clone()]), "member", None, &["has no membership"]);
    let ended = account(ALICE, 10 * SECOND, false, Some("deleted"));
    let back = account(ALICE, 20 * SECOND, true, None);
    let facts = and([ended, back, elsewhere, delete(ALICE, "third", 2 * HOUR, Collection::Membership)]);
    hides(facts, "member", Some(join), &["was ended by the deletion of its account", &time(10 * SECOND)]);
}

#[test]
fn an_owner_needs_nothing() {
    let facts = [founded(invite_only()), put(OWNER, "o", MINUTE, post(&[ID]))];
    let explanation = told(facts).explain(&post_uri(OWNER, "o"), None, at(DAY)).expect("known");
    let verdict = &explanation.communities[0];
    assert!(verdict.visible);
    for (rule, says) in
        [("member", "needs no membership"), ("accepted", "needs no acceptance"), ("not_blocked", "cannot be blocked")]
    {
        let found = verdict.rules.iter().find(|known| known.rule == rule).expect("a rule");
        assert_eq!(found.record, Some(here()));
        assert!(found.because.contains(says), "{found:?}");
    }
}

#[test]
fn invitations() {
    let closed = |more: Vec<Fact>| [founded(invite_only()), joins(ALICE, SECOND), posts()].into_iter().chain(more);
    let accepts = |who, micros| put(who, "ok", micros, acceptance(&here(), ALICE));
    hides(closed(vec![]), "accepted", Some(here()), &["invite-only", "nobody has accepted", "waits"]);
    let by = |who| Some(uri(who, Collection::Acceptance, "ok"));
    allows(closed(vec![accepts(MOD, HOUR)]), "accepted", by(MOD), &["was accepted by", "of a moderator", &time(HOUR)]);
    allows(closed(vec![accepts(OWNER, HOUR)]), "accepted", by(OWNER), &["of the owner"]);
    let stranger = closed(vec![accepts(BOB, HOUR)]);
    hides(stranger, "accepted", by(BOB), &["of somebody without authority then", &time(HOUR), "waits"]);
    // Bob was made a moderator after he had accepted her: that does not count.
    let later =
        put(OWNER, "self", 2 * HOUR, config_body(Config { access: AccessType::InviteOnly, ..moderated(ID, &[BOB]) }));
    hides(closed(vec![accepts(BOB, HOUR), later]), "accepted", by(BOB), &["without authority then"]);
    let revoked = closed(vec![accepts(MOD, HOUR), delete(MOD, "ok", 2 * HOUR, Collection::Acceptance)]);
    hides(revoked, "accepted", Some(here()), &["nobody has accepted"]);
}

#[test]
fn blocks() {
    let block = |who, rkey, micros, verb| acts(who, rkey, micros, verb, Target::Account(did(ALICE)));
    let by = |who, rkey| Some(uri(who, Collection::Action, rkey));
    let blocked = and([block(MOD, "b", HOUR, Verb::BlockUser)]);
    hides(blocked, "not_blocked", by(MOD, "b"), &["did:plc:alice was blocked in", "of a moderator", &time(HOUR)]);
    let undone = and([block(MOD, "b", HOUR, Verb::BlockUser), block(OWNER, "u", 2 * HOUR, Verb::UnblockUser)]);
    allows(undone, "not_blocked", by(OWNER, "u"), &["was unblocked in", "of the owner", &time(2 * HOUR)]);
    let vain = and([block(BOB, "b", HOUR, Verb::BlockUser)]);
    let action = uri(BOB, Collection::Action, "b").to_string();
    allows(vain, "not_blocked", None, &[&action, "without authority then", "does not count"]);
}

#[test]
fn hides_name_the_action_its_author_and_the_reason() {
    let hide = |who, rkey, micros, verb| acts(who, rkey, micros, verb, Target::Record(alices()));
    let by = |who, rkey| Some(uri(who, Collection::Action, rkey));
    let hidden = and([hide(MOD, "h", HOUR, Verb::HidePost)]);
    hides(hidden, "not_hidden", by(MOD, "h"), &["was hidden in", "of a moderator", &time(HOUR)]);
    let shown = and([hide(MOD, "h", HOUR, Verb::HidePost), hide(MOD, "u", 2 * HOUR, Verb::UnhidePost)]);
    allows(shown, "not_hidden", by(MOD, "u"), &["was shown again in", &time(2 * HOUR)]);
    let vain = and((0..3).map(|at| hide(BOB, ["x", "y", "z"][at], at as i64 * HOUR, Verb::HidePost)));
    let last = uri(BOB, Collection::Action, "z").to_string();
    allows(vain, "not_hidden", None, &[&last, "and 2 others like it", "does not count"]);
    let reason = |reason: &str| {
        let (verb, target) = (Verb::HidePost, Target::Record(alices()));
        let said = Action { verb, target, community: here(), created: at(0), reason: Some(reason.into()) };
        and([put(MOD, "h", HOUR, Body::Action(said))])
    };
    hides(reason("off_topic"), "not_hidden", by(MOD, "h"), &["(reason: off_topic)"]);
    let (_, hostile) = ruled(reason(&format!("a\n\u{1b}[2Jb{}", "x".repeat(9_000))), "not_hidden");
    assert!(hostile.because.contains("(reason: a  [2Jb") && hostile.because.contains("x…)"), "{}", hostile.because);
    assert!(hostile.because.len() < EXPLAIN_REASON_CHARS_MAX + 400);
}

#[test]
fn a_parents_moderator_is_named_as_one() {
    let parent = config_uri(BOB, "self");
    let facts = [
        put(BOB, "self", 0, config_body(Config { stage: atrarium::fact::Stage::Graduated, ..config(7) })),
        founded(theme_of(ID, &parent)),
        joins(ALICE, SECOND),
        posts(),
        acts(BOB, "h", HOUR, Verb::HidePost, Target::Record(alices())),
    ];
    let action = Some(uri(BOB, Collection::Action, "h"));
    hides(facts, "not_hidden", action, &["of an owner or moderator of the parent", &parent.to_string()]);
}

#[test]
fn accounts() {
    let gone = and([account(ALICE, HOUR, false, Some("takendown"))]);
    hides(gone.clone(), "account_active", None, &["did:plc:alice is not active since its event of", &time(HOUR)]);
    assert_eq!(ruled(gone, "account_active").1.at, Some(at(HOUR)));
    let back = and([account(ALICE, HOUR, false, Some("takendown")), account(ALICE, 2 * HOUR, true, None)]);
    allows(back, "account_active", None, &["is active since its event of", &time(2 * HOUR)]);
    let deleted = and([account(ALICE, HOUR, false, Some("deleted")), account(ALICE, 2 * HOUR, true, None)]);
    let (visible, exists) = ruled(deleted.clone(), "exists");
    assert!(!visible && !exists.holds && exists.because.contains("was ended by the deletion of its account"));
    let (_, active) = ruled(deleted, "account_active");
    assert!(active.holds && active.because.contains("it was deleted on"), "{active:?}");
}

#[test]
fn age_says_which_time_counts() {
    let fold = told(world());
    let young = |now| {
        let explanation = fold.explain(&alices(), None, now).expect("known");
        explanation.communities[0].rules.iter().find(|rule| rule.rule == "young").expect("a rule").clone()
    };
    let old = young(at(8 * DAY));
    assert!(!old.holds && old.because.contains("older than 7 days") && old.because.contains("(its rev)"), "{old:?}");
    assert_eq!(old.at, Some(at(MINUTE)));
    let long_ago = Body::Post(atrarium::fact::Post { tags: vec![CommunityId(ID)], created: Some(at(-5 * DAY)) });
    let (visible, dated) = ruled([founded(config(ID)), joins(ALICE, 0), put(ALICE, "p", MINUTE, long_ago)], "young");
    assert!(visible && dated.because.contains("(its createdAt)"), "{dated:?}");
    let mut late = commit(ALICE, "p", HOUR, post(&[ID]));
    late.witnessed = at(MINUTE);
    let (_, told_of) = ruled([founded(config(ID)), joins(ALICE, 0), Fact::Record(late)], "young");
    assert!(told_of.because.contains("(when the stream told of it)"), "{told_of:?}");
}

#[test]
fn what_the_log_gave_up_is_not_shown_at_an_earlier_moment_either() {
    let facts = and([put(ALICE, "old", 2 * DAY, post(&[ID])), Fact::Clock(at(7 * DAY + HOUR))]);
    // Its rev is older too: it is forgotten.
    let fold = told(facts);
    assert_eq!(fold.explain(&alices(), None, at(DAY)).expect_err("forgotten").name(), "NotFound");
    // Dated back, it is kept for its rev alone.
    let dated = Body::Post(atrarium::fact::Post { tags: vec![CommunityId(ID)], created: Some(at(-5 * DAY)) });
    let facts = [founded(config(ID)), joins(ALICE, 0), put(ALICE, "p", MINUTE, dated), Fact::Clock(at(3 * DAY))];
    hides(facts, "kept", Some(alices()), &["no longer kept", "older than 7 days at", &time(3 * DAY)]);
}

#[test]
fn a_post_that_was_never_seen() {
    let unknown = post_uri(ALICE, "unknown");
    let not_found = told(world()).explain(&unknown, None, at(DAY)).expect_err("unknown");
    assert_eq!(not_found.name(), "NotFound");
    assert!(not_found.to_string().contains(&unknown.to_string()));
    let nobody = post_uri("did:plc:nobody", "p");
    assert_eq!(told(world()).explain(&nobody, None, at(DAY)).expect_err("unknown").name(), "NotFound");
    let membership = uri(ALICE, Collection::Membership, "join");
    assert_eq!(told(world()).explain(&membership, None, at(DAY)).expect_err("no post").name(), "NotFound");
}

#[test]
fn a_post_that_was_never_seen_and_yet_is_hidden() {
    let target = post_uri("did:plc:stranger", "s");
    let facts = and([acts(MOD, "h", HOUR, Verb::HidePost, Target::Record(target.clone()))]);
    let fold = told(facts);
    let explanation = fold.explain(&target, None, at(DAY)).expect("a moderator has named it");
    assert!(explanation.because.contains("Nothing was seen of"), "{}", explanation.because);
    let verdict = &explanation.communities[0];
    assert!(!verdict.visible);
    let not_hidden = verdict.rules.iter().find(|rule| rule.rule == "not_hidden").expect("a rule");
    assert_eq!(not_hidden.record, Some(uri(MOD, Collection::Action, "h")));
    assert!(verdict.rules.iter().all(|rule| rule.rule != "young"), "nothing is known of its age");
    // Taken back, nothing is left to say.
    let mut fold = fold;
    fold.apply(&delete(MOD, "h", 2 * HOUR, Collection::Action), &mut Vec::new());
    assert_eq!(fold.explain(&target, None, at(DAY)).expect_err("unknown").name(), "NotFound");
}

#[test]
fn a_foreign_post_that_a_community_hides() {
    let facts = and([
        put(BOB, "self", 0, config_body(config(7))),
        acts(MOD, "h", HOUR, Verb::HidePost, Target::Record(post_uri(BOB, "f"))),
        put(BOB, "f", MINUTE, post(&[7])),
    ]);
    let fold = told(facts.clone());
    let explanation = fold.explain(&post_uri(BOB, "f"), None, at(DAY)).expect("known");
    let verdicts: Vec<(CommunityId, bool)> = explanation.communities.iter().map(|it| (it.id, it.visible)).collect();
    assert_eq!(verdicts, [(CommunityId(7), true), (CommunityId(ID), false)]);
    let broken: Vec<&str> = explanation.communities[1].rules.iter().filter(|it| !it.holds).map(|it| it.rule).collect();
    assert_eq!(broken, ["tagged", "member", "not_hidden"]);
    let undone = told(facts.into_iter().chain([delete(MOD, "h", 2 * HOUR, Collection::Action)]));
    let explanation = undone.explain(&post_uri(BOB, "f"), None, at(DAY)).expect("known");
    assert_eq!(explanation.communities.len(), 1, "an action that was taken back is nobody's concern");
    let foreign = fold.explain(&alices(), Some(CommunityId(7)), at(DAY)).expect("known");
    assert_eq!(foreign.communities.len(), 1, "asked for, it is judged, though it has nothing to do with it");
    assert!(!foreign.communities[0].visible);
}

#[test]
fn more_communities_than_an_answer_holds_are_counted() {
    let count = u32::try_from(EXPLAIN_COMMUNITIES_MAX).expect("small") + 5;
    let mut facts = vec![put(ALICE, "p", MINUTE, post(&[ID])), founded(config(ID)), joins(ALICE, 0)];
    for number in 0..count {
        let rkey = format!("c{number}");
        facts.push(put(BOB, &rkey, 0, config_body(config(number))));
        let hide = action(&config_uri(BOB, &rkey), Verb::HidePost, Target::Record(alices()));
        facts.push(put(BOB, &format!("h{number}"), HOUR, hide));
    }
    let fold = told(facts);
    let explanation = fold.explain(&alices(), None, at(DAY)).expect("known");
    assert_eq!((explanation.communities.len(), explanation.left_out), (EXPLAIN_COMMUNITIES_MAX, 6));
    let own = explanation.communities.iter().find(|verdict| verdict.id == CommunityId(ID)).expect("its own first");
    assert!(own.visible);
    let json = serde_json::to_value(&explanation).expect("JSON");
    assert_eq!(json["left_out"], 6);
    let last = fold.explain(&alices(), Some(CommunityId(count - 1)), at(DAY)).expect("asked for alone");
    assert!(!last.communities[0].rules.iter().find(|rule| rule.rule == "not_hidden").expect("a rule").holds);
}

#[test]
fn the_json_is_that_of_the_interfaces() {
    let facts = and([acts(MOD, "h", HOUR, Verb::HidePost, Target::Record(alices()))]);
    let json = serde_json::to_value(told(facts).explain(&alices(), None, at(DAY)).expect("known")).expect("JSON");
    let mut keys: Vec<&str> = json.as_object().expect("an object").keys().map(String::as_str).collect();
    keys.sort_unstable();
    assert_eq!(keys, ["because", "communities", "gaps", "now", "uri"]);
    assert_eq!((&json["uri"], &json["now"]), (&alices().to_string().into(), &time(DAY).into()));
    let verdict = &json["communities"][0];
    assert_eq!((&verdict["id"], &verdict["visible"]), (&"a1b2c3d4".into(), &false.into()));
    let hidden = verdict["rules"].as_array().expect("rules").iter().find(|rule| rule["rule"] == "not_hidden");
    let hidden = hidden.expect("a rule");
    assert_eq!((&hidden["holds"], &hidden["at"]), (&false.into(), &time(HOUR).into()));
    assert_eq!(hidden["record"], uri(MOD, Collection::Action, "h").to_string());
    let blocked = verdict["rules"].as_array().expect("rules").iter().find(|rule| rule["rule"] == "not_blocked");
    assert!(blocked.expect("a rule").get("record").is_none(), "no record, no key");
}

/// The collections of which a rule may name a record.
fn collections(rule: &str) -> &'static [Collection] {
    match rule {
        "exists" | "tagged" | "young" | "kept" => &[Collection::Post],
        "served" => &[Collection::Config],
        "member" => &[Collection::Membership, Collection::Config],
        "accepted" => &[Collection::Acceptance, Collection::Config],
        "not_blocked" => &[Collection::Action, Collection::Config],
        "not_hidden" => &[Collection::Action],
        _ => &[],
    }
}

fn check(what: &str, explanation: &Explanation, seen: &BTreeSet<String>, feeds: &dyn Fn(CommunityId) -> bool) -> usize {
    let mut named = 0;
    for verdict in &explanation.communities {
        assert_eq!(verdict.visible, feeds(verdict.id), "{what}: {explanation:#?}");
        for rule in &verdict.rules {
            let Some(record) = &rule.record else { continue };
            named += 1;
            let of = collections(rule.rule);
            assert!(of.iter().any(|it| it.nsid() == record.collection.as_str()), "{what}: {rule:?}");
            assert!(seen.contains(&record.to_string()), "{what}: nobody has seen the record of {rule:?}");
            assert!(rule.because.contains(&record.to_string()) && rule.at.is_some(), "{what}: {rule:?}");
        }
    }
    named
}

/// Hostile histories: every post, in every community, at moments before and after the clock of the log, against what the
/// view shows. (That the view shows what it should is tried by `fold_reference`.)
#[test]
fn in_hostile_histories_it_says_what_is_shown_and_names_records_that_there_are() {
    let (mut judged, mut visible, mut named) = (0, 0, 0);
    let mut rules = BTreeSet::new();
    for seed in 5_000_000..5_000_600_u64 {
        let mut facts = history(seed, 10 + usize::try_from(seed % 50).expect("small"));
        fastrand::Rng::with_seed(seed).shuffle(&mut facts);
        let (mut fold, mut oracle, mut changes) = (Fold::new(), Oracle::default(), Vec::new());
        for fact in &facts {
            fold.apply(fact, &mut changes);
            changes.drain(..).for_each(|change| oracle.apply(&change));
        }
        let records = facts.iter().filter_map(|fact| if let Fact::Record(record) = fact { Some(record) } else { None });
        let seen: BTreeSet<String> =
            records.map(|it| uri(it.did.as_str(), it.body.collection(), it.rkey.as_str()).to_string()).collect();
        for now in [at(0), at(3 * DAY), fold.clock().unwrap_or(at(DAY)), at(12 * DAY)] {
            let feeds = oracle.feeds(now);
            for post in Reference::new(&facts).posts() {
                let what = format!("seed {seed}, {post} at {now}");
                let is_shown = |id: CommunityId| feeds.get(&id).is_some_and(|feed| feed.contains(&post));
                let uri = RecordUri::parse(&post).expect("valid");
                let Ok(explanation) = fold.explain(&uri, None, now) else {
                    assert!(!feeds.keys().any(|&id| is_shown(id)), "{what}: shown, and nobody knows it");
                    continue;
                };
                named += check(&what, &explanation, &seen, &is_shown);
                judged += explanation.communities.len();
                let verdicts = &explanation.communities;
                visible += verdicts.iter().filter(|verdict| verdict.visible).count();
                rules.extend(verdicts.iter().flat_map(|it| &it.rules).map(|rule| (rule.rule, rule.holds)));
                for &id in feeds.keys() {
                    let Ok(alone) = fold.explain(&uri, Some(id), now) else {
                        assert!(!is_shown(id) && explanation.because.starts_with("Nothing was seen"), "{what} in {id}");
                        continue;
                    };
                    check(&what, &alone, &seen, &is_shown);
                    assert!(
                        !is_shown(id) || explanation.communities.iter().any(|it| it.id == id),
                        "{what}: {id} is left out"
                    );
                }
            }
        }
    }
    println!("{judged} verdicts, {visible} of them visible, {named} records named; rules met: {rules:?}");
    assert_eq!(rules.len(), 20, "each rule, held and broken: {rules:?}");
    assert!(visible > 100);
}

/// The moment of an answer is the one that was asked for.
#[test]
fn now_is_what_was_passed() {
    let later = Time::from_micros(at(DAY).micros() + 5);
    assert_eq!(told(world()).explain(&alices(), None, later).expect("known").now, later);
}
