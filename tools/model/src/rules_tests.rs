//! Each rule by an example of its own.

use serde_json::{Value, json};

use super::*;
use crate::{Commit, Delivery, Operation};

const ID: &str = "a1b2c3d4";

/// A little network: everything happens at a minute after 2026-07-01T12:00Z.
struct Net(Vec<Commit>, Vec<crate::Account>);

fn at(minute: i64) -> Time {
    let noon: Time = "2026-07-01T12:00:00Z".parse().expect("valid");
    noon.plus_micros(minute * MINUTE_MICROS)
}

fn did(name: &str) -> Did {
    Did::parse(&format!("did:plc:{name}")).expect("valid")
}

fn config_uri(owner: &str) -> String {
    format!("at://did:plc:{owner}/{CONFIG}/c")
}

fn post_uri(author: &str, rkey: &str) -> String {
    format!("at://did:plc:{author}/{POST}/{rkey}")
}

fn config() -> Value {
    json!({"name": "n", "hashtag": format!("#atrarium_{ID}"), "stage": "community", "moderators": [],
        "feedMix": {"own": 100, "parent": 0, "global": 0}, "createdAt": "2026-07-01T00:00:00Z"})
}

fn config_with(field: &str, value: Value) -> Value {
    let mut config = config();
    config[field] = value;
    config
}

impl Net {
    /// A community of `owner` with one member `m`, and a post `p` of that member.
    fn new() -> Self {
        let mut net = Self(Vec::new(), Vec::new());
        net.put(0, "owner", CONFIG, "c", config());
        net.join(1, "m", "j");
        net.post(2, "m", "p");
        net
    }

    fn put(&mut self, minute: i64, who: &str, collection: &str, rkey: &str, mut record: Value) -> &mut Commit {
        if record.is_object() {
            record["$type"] = json!(collection);
        }
        self.0.push(Commit {
            witnessed: at(minute),
            did: did(who),
            rev: Tid::from_time(at(minute), 0),
            collection: collection.into(),
            rkey: rkey.parse().expect("valid"),
            operation: Operation::Put,
            cid: None,
            record: Some(record),
        });
        self.0.last_mut().expect("just pushed")
    }

    fn delete(&mut self, minute: i64, who: &str, collection: &str, rkey: &str) {
        let commit = self.put(minute, who, collection, rkey, Value::Null);
        (commit.operation, commit.record) = (Operation::Delete, None);
    }

    fn join(&mut self, minute: i64, who: &str, rkey: &str) {
        let joined = "2026-07-01T00:00:00Z";
        let record = json!({"community": config_uri("owner"), "role": "owner", "joinedAt": joined, "active": true});
        self.put(minute, who, MEMBERSHIP, rkey, record);
    }

    fn leave(&mut self, minute: i64, who: &str, rkey: &str) {
        let joined = "2026-07-01T00:00:00Z";
        let record = json!({"community": config_uri("owner"), "role": "member", "joinedAt": joined, "active": false});
        self.put(minute, who, MEMBERSHIP, rkey, record);
    }

    fn post(&mut self, minute: i64, who: &str, rkey: &str) -> &mut Commit {
        self.put(minute, who, POST, rkey, json!({"text": format!("hello #atrarium_{ID}")}))
    }

    fn accept(&mut self, minute: i64, who: &str, rkey: &str, subject: &str) {
        let created = "2026-07-01T00:00:00Z";
        let record = json!({"community": config_uri("owner"), "subject": did(subject).as_str(), "createdAt": created});
        self.put(minute, who, ACCEPTANCE, rkey, record);
    }

    fn act(&mut self, minute: i64, who: &str, rkey: &str, verb: &str, target: &str) {
        let created = "2026-07-01T00:00:00Z";
        let record = json!({"action": verb, "target": target, "community": config_uri("owner"), "createdAt": created});
        self.put(minute, who, ACTION, rkey, record);
    }

    fn account(&mut self, minute: i64, who: &str, active: bool, status: &str) {
        let status = if active { None } else { Some(status.into()) };
        self.1.push(crate::Account { witnessed: at(minute), did: did(who), active, status, time: at(minute) });
    }

    /// The feed at a minute, as names `author/rkey`, whatever the order of arrival.
    fn feed(&self, minute: i64) -> Vec<String> {
        self.feeds(minute).get(ID).cloned().unwrap_or_default()
    }

    fn feeds(&self, minute: i64) -> BTreeMap<String, Vec<String>> {
        let mut rng = fastrand::Rng::with_seed(7);
        let mut deliveries: Vec<Delivery<'_>> = self.0.iter().cloned().map(Delivery::Commit).collect();
        deliveries.extend(self.1.iter().cloned().map(Delivery::Account));
        let mut answers = Vec::new();
        for _ in 0..8 {
            let mut model = Model::new();
            for delivery in deliveries.iter().chain(&deliveries[..deliveries.len() / 2]) {
                model.add(delivery.clone());
            }
            assert!(model.refused().is_empty(), "{:?}", model.refused());
            answers.push(model.feeds(at(minute)));
            rng.shuffle(&mut deliveries);
        }
        assert!(answers.windows(2).all(|pair| pair[0] == pair[1]), "the order of arrival matters");
        let short = |uri: String| uri.replace("at://did:plc:", "").replace(&format!("{POST}/"), "");
        let feeds = answers.swap_remove(0).into_iter();
        feeds.map(|(id, feed)| (id, feed.into_iter().map(short).collect())).collect()
    }
}

#[test]
fn a_members_post_is_shown_for_seven_days() {
    let net = Net::new();
    assert_eq!(net.feed(3), ["m/p"]);
    assert_eq!(net.feed(2 + 7 * 24 * 60 - 1), ["m/p"]);
    assert!(net.feed(2 + 7 * 24 * 60).is_empty());
    assert_eq!(net.feeds(2 + 7 * 24 * 60).len(), 1, "an empty feed is still served");
}

#[test]
fn the_time_of_a_post_is_the_least_and_nothing_can_be_pinned_by_a_future_date() {
    let mut net = Net::new();
    let text = format!("#atrarium_{ID}");
    net.put(3, "m", POST, "future", json!({"text": text, "createdAt": "2099-01-01T00:00:00Z"}));
    net.put(4, "m", POST, "back", json!({"text": text, "createdAt": "2026-07-01T11:00:00Z"}));
    net.put(5, "m", POST, "stale", json!({"text": text, "createdAt": "2026-06-01T00:00:00Z"}));
    net.put(6, "m", POST, "epoch", json!({"text": text, "createdAt": "1970-01-01T00:00:00Z"}));
    net.put(7, "m", POST, "rev", json!({"text": text})).rev = Tid::from_time(at(-90), 0);
    assert_eq!(net.feed(9), ["m/epoch", "m/future", "m/p", "m/back", "m/rev"]);
}

#[test]
fn equal_times_are_ordered_by_uri() {
    let mut net = Net::new();
    net.post(2, "m", "q");
    net.post(2, "owner", "p");
    assert_eq!(net.feed(9), ["owner/p", "m/q", "m/p"]);
}

#[test]
fn the_first_claim_owns_the_tag_for_good() {
    let mut net = Net::new();
    net.put(5, "thief", CONFIG, "c", config());
    assert_eq!(net.feed(9), ["m/p"]);
    net.delete(6, "owner", CONFIG, "c");
    assert!(net.feeds(9).is_empty(), "a squatter must not inherit");
    net.put(7, "owner", CONFIG, "c", config());
    assert_eq!(net.feed(9), ["m/p"]);
    net.put(8, "owner", CONFIG, "c", config_with("hashtag", json!("#atrarium_00000001")));
    assert_eq!(net.feeds(9).into_keys().collect::<Vec<_>>(), ["00000001"]);
}

#[test]
fn a_claim_counts_though_its_version_does_not() {
    let mut net = Net::new();
    net.put(5, "late", CONFIG, "c", config_with("hashtag", json!("#atrarium_00000001")));
    // One commit may create and delete: of one rev the delete counts, and yet the hashtag was carried first here.
    net.put(4, "early", CONFIG, "c", config_with("hashtag", json!("#atrarium_00000001")));
    net.delete(4, "early", CONFIG, "c");
    assert_eq!(net.feeds(9).into_keys().collect::<Vec<_>>(), [ID]);
}

#[test]
fn membership_acts_at_once_and_retroactively() {
    let mut net = Net::new();
    net.post(2, "late", "early");
    assert_eq!(net.feed(9), ["m/p"]);
    net.join(5, "late", "j");
    net.leave(6, "m", "j");
    assert_eq!(net.feed(9), ["late/early"]);
    net.join(7, "m", "another");
    assert_eq!(net.feed(9), ["m/p", "late/early"], "one active record of several is enough");
    net.delete(8, "late", MEMBERSHIP, "j");
    assert_eq!(net.feed(9), ["m/p"]);
}

#[test]
fn a_role_in_a_membership_gives_no_authority() {
    let mut net = Net::new();
    net.join(3, "boaster", "j");
    net.act(4, "boaster", "a", "hide_post", &post_uri("m", "p"));
    assert_eq!(net.feed(9), ["m/p"]);
}

#[test]
fn edits_and_deletes_of_posts() {
    let mut net = Net::new();
    net.put(3, "m", POST, "p", json!({"text": "no tag any more"}));
    assert!(net.feed(9).is_empty());
    net.post(4, "m", "p");
    assert_eq!(net.feed(9), ["m/p"]);
    net.delete(5, "m", POST, "p");
    assert!(net.feed(9).is_empty());
    net.post(6, "m", "p");
    assert_eq!(net.feed(9), ["m/p"]);
    net.post(7, "m", "p").rev = Tid::from_time(at(1), 0);
    assert_eq!(net.feed(9), ["m/p"], "an older rev never overwrites");
}

#[test]
fn moderators_act_within_their_tenure() {
    let mut net = Net::new();
    net.act(3, "mod", "before", "hide_post", &post_uri("m", "p"));
    assert_eq!(net.feed(30), ["m/p"]);
    net.put(10, "owner", CONFIG, "c", config_with("moderators", json!([did("mod").as_str()])));
    assert_eq!(net.feed(30), ["m/p"], "no authority when it was made");
    net.act(12, "mod", "during", "hide_post", &post_uri("m", "p"));
    assert!(net.feed(30).is_empty());
    net.put(14, "owner", CONFIG, "c", config());
    assert!(net.feed(30).is_empty(), "an action outlives its moderator's dismissal");
    net.act(16, "mod", "after", "unhide_post", &post_uri("m", "p"));
    assert!(net.feed(30).is_empty());
    net.delete(17, "mod", ACTION, "during");
    assert_eq!(net.feed(30), ["m/p"], "a deleted action is taken back");
}

#[test]
fn the_latest_action_counts_and_the_owner_cannot_be_blocked() {
    let mut net = Net::new();
    net.post(3, "owner", "o");
    net.act(4, "owner", "a", "block_user", "did:plc:m");
    net.act(4, "owner", "b", "block_user", "did:plc:owner");
    assert_eq!(net.feed(9), ["owner/o"]);
    net.act(5, "owner", "c", "unblock_user", "did:plc:m");
    assert_eq!(net.feed(9), ["owner/o", "m/p"]);
    net.delete(6, "owner", ACTION, "c");
    assert_eq!(net.feed(9), ["owner/o"], "the next latest counts");
}

#[test]
fn an_invite_only_community_shows_whom_somebody_with_authority_accepted() {
    let mut net = Net::new();
    net.put(3, "owner", CONFIG, "c", config_with("accessType", json!("invite-only")));
    assert!(net.feed(9).is_empty());
    net.accept(4, "m", "self", "m");
    assert!(net.feed(9).is_empty());
    net.accept(5, "owner", "a", "m");
    assert_eq!(net.feed(9), ["m/p"]);
    net.delete(6, "owner", ACCEPTANCE, "a");
    assert!(net.feed(9).is_empty());
}

#[test]
fn a_theme_is_moderated_by_its_graduated_parent() {
    let mut net = Net::new();
    let parent = |stage: &str| {
        let mut parent = config_with("hashtag", json!("#atrarium_00000001"));
        parent["stage"] = json!(stage);
        parent["moderators"] = json!([did("elder").as_str()]);
        parent
    };
    let mut theme = config_with("stage", json!("theme"));
    theme["parentCommunity"] = json!(config_uri("parent"));
    net.put(3, "parent", CONFIG, "c", parent("community"));
    net.put(3, "owner", CONFIG, "c", theme);
    net.act(4, "elder", "a", "hide_post", &post_uri("m", "p"));
    assert_eq!(net.feed(30), ["m/p"], "the parent has not graduated");
    net.put(10, "parent", CONFIG, "c", parent("graduated"));
    assert_eq!(net.feed(30), ["m/p"]);
    net.act(11, "elder", "b", "hide_post", &post_uri("m", "p"));
    assert!(net.feed(30).is_empty());
    net.act(12, "parent", "c", "unhide_post", &post_uri("m", "p"));
    assert_eq!(net.feed(30), ["m/p"]);
}

#[test]
fn account_states_are_ordered_by_their_inner_time() {
    let mut net = Net::new();
    net.account(3, "m", false, "takendown");
    assert!(net.feed(30).is_empty());
    net.account(3, "m", true, "");
    assert!(net.feed(30).is_empty(), "on a tie inactive wins");
    net.account(4, "m", true, "");
    assert_eq!(net.feed(30), ["m/p"]);
    net.account(10, "m", false, "deleted");
    net.account(11, "m", true, "");
    assert!(net.feed(30).is_empty(), "deleted ends every record for good");
    net.join(12, "m", "again");
    net.post(13, "m", "new");
    assert_eq!(net.feed(30), ["m/new"]);
}

#[test]
fn a_deleted_owner_takes_the_community_along_but_not_the_claim() {
    let mut net = Net::new();
    net.account(5, "owner", false, "deleted");
    net.put(6, "thief", CONFIG, "c", config());
    assert!(net.feeds(9).is_empty());
}

#[test]
fn an_invalid_version_leaves_the_earlier_valid_one_in_force() {
    let mut model = Model::new();
    for commit in Net::new().0 {
        model.add(Delivery::Commit(commit));
    }
    let mut broken = Net::new();
    broken.put(9, "owner", CONFIG, "c", config_with("stage", json!("village")));
    model.add(Delivery::Commit(broken.0.pop().expect("just put")));
    assert_eq!(model.refused()["lexicon"], 1);
    assert_eq!(model.feeds(at(9))[ID].len(), 1);
}
