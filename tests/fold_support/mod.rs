//! What the tests of the fold share: builders of facts, a view so plain that it cannot be wrong, the rules in their
//! plainest form, and hostile histories.
#![allow(dead_code, reason = "each test binary uses another part")]

pub mod history;
pub mod oracle;
pub mod orders;
pub mod reference;

use atrarium::fact::{
    Acceptance, AccessType, Account, Action, Body, Collection, CommunityId, Config, Fact, FeedMix, Host, Membership,
    Post, Record, Rev, Stage, Target, Verb,
};
use atrarium::syntax::{AtUri, Cid, Did, Nsid, RecordKey, RecordUri, Tid, Time};

/// 2026-11-01T00:00:00Z in microseconds.
pub const T0: i64 = 1_793_491_200_000_000;
pub const SECOND: i64 = 1_000_000;
pub const MINUTE: i64 = 60 * SECOND;
pub const HOUR: i64 = 60 * MINUTE;
pub const DAY: i64 = 24 * HOUR;

pub fn at(micros: i64) -> Time {
    Time::from_micros(T0 + micros)
}

pub fn did(text: &str) -> Did {
    Did::parse(text).expect("a valid DID")
}

pub fn uri(did: &str, collection: Collection, rkey: &str) -> RecordUri {
    RecordUri {
        did: self::did(did),
        collection: Nsid::parse(collection.nsid()).expect("a valid NSID"),
        rkey: RecordKey::parse(rkey).expect("a valid record key"),
    }
}

pub fn config_uri(did: &str, rkey: &str) -> RecordUri {
    uri(did, Collection::Config, rkey)
}

pub fn post_uri(did: &str, rkey: &str) -> RecordUri {
    uri(did, Collection::Post, rkey)
}

pub fn rev_at(micros: i64) -> Rev {
    Rev::Exact(Tid::from_time(at(micros), 0))
}

/// A commit made and witnessed at `micros` after [`T0`].
pub fn commit(did: &str, rkey: &str, micros: i64, body: Body) -> Record {
    let deleted = matches!(body, Body::Deleted(_));
    Record {
        witnessed: at(micros),
        host: Host::new("test"),
        did: self::did(did),
        rkey: RecordKey::parse(rkey).expect("a valid record key"),
        rev: rev_at(micros),
        cid: (!deleted).then(|| cid(0)),
        body,
    }
}

pub fn cid(number: u8) -> Cid {
    Cid::parse(&format!("bafyrei{}aaaaaaaaaa", char::from(b'a' + number))).expect("a valid CID")
}

pub fn put(did: &str, rkey: &str, micros: i64, body: Body) -> Fact {
    Fact::Record(commit(did, rkey, micros, body))
}

pub fn delete(did: &str, rkey: &str, micros: i64, collection: Collection) -> Fact {
    put(did, rkey, micros, Body::Deleted(collection))
}

pub fn post(tags: &[u32]) -> Body {
    Body::Post(Post { tags: tags.iter().copied().map(CommunityId).collect(), created: None })
}

pub fn config(id: u32) -> Config {
    Config {
        name: format!("community {id}").into(),
        id: CommunityId(id),
        stage: Stage::Community,
        feed_mix: FeedMix { own: 10_000, parent: 0, global: 0 },
        moderators: Vec::new(),
        created: at(0),
        description: None,
        parent: None,
        access: AccessType::Open,
        pinned_post: None,
        updated: None,
    }
}

pub fn config_body(config: Config) -> Body {
    Body::Config(Box::new(config))
}

pub fn moderated(id: u32, moderators: &[&str]) -> Config {
    Config { moderators: moderators.iter().map(|text| did(text)).collect(), ..config(id) }
}

pub fn theme_of(id: u32, parent: &RecordUri) -> Config {
    let parent = AtUri::parse(&parent.to_string()).expect("a valid URI");
    Config { stage: Stage::Theme, parent: Some(parent), ..config(id) }
}

pub fn membership(community: &RecordUri) -> Body {
    Body::Membership(Membership { community: community.clone(), active: true, joined: at(0) })
}

pub fn acceptance(community: &RecordUri, subject: &str) -> Body {
    Body::Acceptance(Acceptance { community: community.clone(), subject: did(subject), created: at(0) })
}

pub fn action(community: &RecordUri, verb: Verb, target: Target) -> Body {
    Body::Action(Action { verb, target, community: community.clone(), created: at(0), reason: None })
}

pub fn account(did: &str, micros: i64, active: bool, status: Option<&str>) -> Fact {
    Fact::Account(Account {
        witnessed: at(micros),
        host: Host::new("test"),
        did: self::did(did),
        active,
        status: status.map(Into::into),
        time: at(micros),
    })
}
