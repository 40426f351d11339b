//! Pinned posts, from the records to the page: what a config may pin, and what takes it down again.

mod fold_support;

use atrarium::community::{Fold, Restoring};
use atrarium::fact::{Change, CommunityId, Config, Fact, Target, Verb};
use atrarium::syntax::{AtUri, Time};
use atrarium::view::{View, Writer};
use fold_support::*;

const OWNER: &str = "did:web:owner";
const AUTHOR: &str = "did:web:author";
const ID: u32 = 0xa1b2_c3d4;

/// A fold and the view that follows it.
struct Engine {
    fold: Fold,
    writer: Writer,
    view: View,
}

impl Engine {
    fn new() -> Self {
        let (writer, view) = atrarium::view::new();
        Self { fold: Fold::new(), writer, view }
    }

    fn apply(&mut self, fact: Fact) {
        let mut changes = Vec::new();
        self.fold.apply(&fact, &mut changes);
        changes.into_iter().for_each(|change| self.writer.apply(change));
        self.writer.publish();
    }

    /// The first item of the feed, if it is pinned.
    #[track_caller]
    fn pinned(&self) -> Option<String> {
        let followed = pinned_of(&self.view);
        // What is restored from a snapshot, and shown whole, is the same.
        let (mut writer, view) = atrarium::view::new();
        restore(&self.fold, &mut |change: Change| writer.apply(change));
        writer.publish();
        assert_eq!(pinned_of(&view), followed, "after a restart");
        followed
    }
}

fn restore(fold: &Fold, changes: &mut dyn FnMut(Change)) {
    let mut restoring = Restoring::new();
    fold.save::<String>(&mut |section, version, payload| restoring.take(section, version, payload))
        .expect("its own snapshot");
    restoring.finish(changes).expect("a whole snapshot");
}

fn pinned_of(view: &View) -> Option<String> {
    let community = view.find(CommunityId(ID))?;
    let mut body = Vec::new();
    view.page(&community, Time::EPOCH, 50, None).write_json(&mut body);
    let body: serde_json::Value = serde_json::from_slice(&body).expect("JSON");
    let first = &body["feed"][0];
    let is_pin = first["reason"]["$type"] == "app.bsky.feed.defs#skeletonReasonPin";
    is_pin.then(|| first["post"].as_str().expect("a URI").to_owned())
}

fn pinning(uri: &str) -> Config {
    Config { pinned_post: Some(AtUri::parse(uri).expect("a URI")), ..config(ID) }
}

fn pin_at(engine: &mut Engine, seconds: i64, uri: &str) {
    engine.apply(put(OWNER, "self", seconds * SECOND, config_body(pinning(uri))));
}

#[test]
fn a_config_pins_any_post_of_a_did_and_nothing_else() {
    let mut engine = Engine::new();
    let post = post_uri(AUTHOR, "3lbtqzxv2pc2a").to_string();
    for (at, (uri, is_pinned)) in (1..).zip([
        (&*post, true),
        ("at://did:web:author/app.bsky.feed.post/not-a-tid", true),
        ("at://did:web:author/app.bsky.feed.repost/3lbtqzxv2pc2a", false),
        ("at://author.example/app.bsky.feed.post/3lbtqzxv2pc2a", false),
        ("at://did:web:author/app.bsky.feed.post", false),
        ("at://did:web:author", false),
        (&*post, true),
    ]) {
        pin_at(&mut engine, at, uri);
        assert_eq!(engine.pinned().as_deref(), Some(uri).filter(|_| is_pinned), "{uri}");
    }
    engine.apply(put(OWNER, "self", 100 * SECOND, config_body(config(ID))));
    assert_eq!(engine.pinned(), None, "the config pins nothing any more");
}

#[test]
fn it_goes_with_its_authors_account_and_comes_back_with_it() {
    let mut engine = Engine::new();
    let rkey = atrarium::syntax::Tid::from_time(at(30 * SECOND), 0).to_string();
    let pinned = post_uri(AUTHOR, &rkey).to_string();
    pin_at(&mut engine, 1, &pinned);
    for (seconds, active, status, is_shown) in [
        (10, false, Some("deactivated"), false),
        (11, true, None, true),
        (12, false, Some("takendown"), false),
        (13, true, None, true),
        (14, false, Some("deleted"), false),
        // The post's rkey is of a later time than the deletion.
        (15, true, None, true),
        (40, false, Some("deleted"), false),
        (41, true, None, false),
    ] {
        engine.apply(account(AUTHOR, seconds * SECOND, active, status));
        assert_eq!(engine.pinned().is_some(), is_shown, "{seconds} s");
    }
    // Somebody else's may be pinned instead; and who was inactive before anybody pinned them is known too.
    pin_at(&mut engine, 50, &post_uri("did:web:other", &rkey).to_string());
    assert!(engine.pinned().is_some());
    engine.apply(account("did:web:third", 55 * SECOND, false, Some("suspended")));
    pin_at(&mut engine, 60, &post_uri("did:web:third", &rkey).to_string());
    assert_eq!(engine.pinned(), None);
    engine.apply(account("did:web:third", 61 * SECOND, true, None));
    assert!(engine.pinned().is_some());
}

#[test]
fn moderators_take_it_down() {
    let mut engine = Engine::new();
    let (target, community) = (post_uri(AUTHOR, "3lbtqzxv2pc2a"), config_uri(OWNER, "self"));
    pin_at(&mut engine, 1, &target.to_string());
    for (at, (verb, target, is_shown)) in (2..).zip([
        (Verb::HidePost, Target::Record(target.clone()), false),
        (Verb::UnhidePost, Target::Record(target), true),
        (Verb::BlockUser, Target::Account(did(AUTHOR)), false),
        (Verb::UnblockUser, Target::Account(did(AUTHOR)), true),
    ]) {
        engine.apply(put(OWNER, &format!("a{at}"), at * SECOND, action(&community, verb, target)));
        assert_eq!(engine.pinned().is_some(), is_shown, "{verb:?}");
    }
}
