//! A small network of communities that mix, told to the engine (fold and view) and to the model at the same time.
//!
//! Few names, so that everything meets everything: themes of graduated communities, posts of several hashtags, hides and
//! blocks of what belongs to others, and before it is there.
#![allow(dead_code, reason = "each test binary uses another part")]

use std::collections::BTreeSet;

use atrarium::fact::{
    AccessType, Account, Action, Body, Collection, CommunityId, Config, Fact, FeedMix, Host, Membership, Post, Record,
    Rev, Stage, Target, Verb,
};
use atrarium::ingest::committer::Folded;
use atrarium::syntax::{AtUri, Did, Nsid, RecordKey, RecordUri, Tid, Time};
use atrarium::view::{Page, PageCursor, View};
use model::{Content, Delivery, Model, Path};

pub const SECOND: i64 = 1_000_000;
pub const HOUR: i64 = 3600 * SECOND;
pub const DAY: i64 = 24 * HOUR;
/// 2026-11-01T00:00:00Z in microseconds.
const T0: i64 = 1_793_491_200_000_000;

/// `/` sorts after `.`, `-` and `%`, so AT-URIs of these are not ordered as the DIDs are.
const PEOPLE: [&str; 8] = [
    "did:web:b",
    "did:web:b.c",
    "did:web:b-x",
    "did:plc:ewvi7nxzyoun6zhxrhs64oiz",
    "did:plc:aaaaaaaaaaaaaaaaaaaaaaaa",
    "did:plc:bbbbbbbbbbbbbbbbbbbbbbbb",
    "did:web:a",
    "did:web:z",
];

/// The engine and the model, and who talks to both.
pub struct Net {
    pub rng: fastrand::Rng,
    pub model: Model,
    pub folded: Folded,
    pub view: View,
    /// All that was told, for a restart.
    facts: Vec<Fact>,
    pub communities: u32,
    posts: Vec<(Did, RecordKey)>,
    /// Microseconds.
    pub now: i64,
    revs: i64,
}

fn did(text: &str) -> Did {
    Did::parse(text).expect("a DID")
}

fn uri(did: &Did, collection: Collection, rkey: &RecordKey) -> RecordUri {
    let collection = Nsid::parse(collection.nsid()).expect("an NSID");
    RecordUri { did: did.clone(), collection, rkey: rkey.clone() }
}

/// The posts of a mix, in basis points.
pub fn mix(own: u16, parent: u16, global: u16) -> FeedMix {
    FeedMix { own, parent, global }
}

impl Net {
    /// So many communities, with members, and nothing said yet.
    pub fn new(seed: u64, communities: u32) -> Self {
        let (writer, view) = atrarium::view::new();
        let mut net = Self {
            rng: fastrand::Rng::with_seed(seed),
            model: Model::new(),
            folded: Folded::new(writer),
            view,
            facts: Vec::new(),
            communities,
            posts: Vec::new(),
            now: T0,
            revs: 0,
        };
        for community in 0..communities {
            net.configure(community);
            for _ in 0..3 {
                net.join(community);
            }
        }
        net
    }

    // --- who is who

    /// The id of a community; the last one is nobody's.
    pub fn id(&self, community: u32) -> CommunityId {
        CommunityId(0xa000_0000 + community)
    }

    pub fn owner(&self, community: u32) -> Did {
        did(PEOPLE[community as usize % PEOPLE.len()])
    }

    fn config_uri(&self, community: u32) -> RecordUri {
        let rkey = RecordKey::parse(&format!("c{community}")).expect("a record key");
        uri(&self.owner(community), Collection::Config, &rkey)
    }

    fn a_person(&mut self) -> Did {
        did(PEOPLE[self.rng.usize(..PEOPLE.len())])
    }

    fn a_community(&mut self) -> u32 {
        self.rng.u32(..self.communities)
    }

    /// Any form of a mix: one, two or three sources, even shares and odd ones.
    fn a_mix(&mut self) -> FeedMix {
        match self.rng.u32(..10) {
            0 => mix(10_000, 0, 0),
            1 => mix(0, 10_000, 0),
            2 => mix(0, 0, 10_000),
            3 => mix(8000, 1000, 1000),
            4 => mix(3334, 3333, 3333),
            5 => mix(9998, 1, 1),
            6 => mix(0, 5000, 5000),
            _ => {
                let own = self.rng.u16(0..=10_000);
                let parent = self.rng.u16(0..=10_000 - own);
                mix(own, parent, 10_000 - own - parent)
            }
        }
    }

    // --- what they do

    /// Something happens.
    pub fn act(&mut self) {
        let community = self.a_community();
        match self.rng.u32(..100) {
            0..45 => self.post(),
            45..52 => self.edit(),
            52..57 => self.delete_post(),
            57..65 => self.join(community),
            65..68 => self.leave(community),
            68..80 => self.hide(community),
            80..86 => self.block(community),
            86..94 => self.configure(community),
            94..96 => self.delete_config(community),
            96..98 => self.account(),
            _ => {
                let ahead = if self.rng.u32(..8) == 0 { 4 * DAY } else { 8 * HOUR };
                let ahead = self.rng.i64(0..ahead);
                self.pass(ahead);
            }
        }
    }

    /// Time goes on, and the clock says so.
    pub fn pass(&mut self, micros: i64) {
        self.now += micros;
        self.facts.push(Fact::Clock(Time::from_micros(self.now)));
        self.folded.apply(&self.facts[self.facts.len() - 1..]);
    }

    pub fn configure(&mut self, community: u32) {
        let parent = self.rng.u32(..self.communities + 1);
        let config = Config {
            name: format!("community {community}").into(),
            id: self.id(community),
            stage: [Stage::Theme, Stage::Community, Stage::Graduated, Stage::Graduated][self.rng.usize(..4)],
            feed_mix: self.a_mix(),
            moderators: vec![self.a_person()],
            created: Time::from_micros(T0),
            description: None,
            parent: Some(AtUri::parse(&self.config_uri(parent).to_string()).expect("a URI")),
            access: AccessType::Open,
            pinned_post: None,
            updated: None,
        };
        self.configure_as(community, config);
    }

    /// The config of a community whose stage, parent and mix are given.
    pub fn configure_with(&mut self, community: u32, stage: Stage, parent: Option<u32>, feed_mix: FeedMix) {
        let parent = parent.map(|parent| AtUri::parse(&self.config_uri(parent).to_string()).expect("a URI"));
        let config = Config {
            name: "a community".into(),
            id: self.id(community),
            stage,
            feed_mix,
            moderators: Vec::new(),
            created: Time::from_micros(T0),
            description: None,
            parent,
            access: AccessType::Open,
            pinned_post: None,
            updated: None,
        };
        self.configure_as(community, config);
    }

    fn configure_as(&mut self, community: u32, config: Config) {
        let uri = self.config_uri(community);
        self.put(&uri.did, &uri.rkey, Body::Config(Box::new(config)));
    }

    fn delete_config(&mut self, community: u32) {
        let uri = self.config_uri(community);
        self.put(&uri.did, &uri.rkey, Body::Deleted(Collection::Config));
    }

    fn membership_key(community: u32) -> RecordKey {
        RecordKey::parse(&format!("m{community}")).expect("a record key")
    }

    pub fn join(&mut self, community: u32) {
        let who = self.a_person();
        let membership =
            Membership { community: self.config_uri(community), active: true, joined: Time::from_micros(T0) };
        self.put(&who, &Self::membership_key(community), Body::Membership(membership));
    }

    fn leave(&mut self, community: u32) {
        let who = self.a_person();
        self.put(&who, &Self::membership_key(community), Body::Deleted(Collection::Membership));
    }

    /// One hashtag, mostly; sometimes more, or one that nobody has claimed.
    fn some_tags(&mut self) -> Vec<CommunityId> {
        let count = [1, 1, 1, 2, 2, 3][self.rng.usize(..6)];
        let tags: BTreeSet<CommunityId> = (0..count)
            .map(|_| {
                let community = self.rng.u32(..self.communities + 1);
                self.id(community)
            })
            .collect();
        tags.into_iter().collect()
    }

    /// A post dated now, or late; a few share their time.
    pub fn post(&mut self) {
        let author = self.a_person();
        let tags = self.some_tags();
        let created = self.some_time();
        self.post_of(&author, tags, created);
    }

    /// When a post says it was made: not at all, long ago, or at a full hour that others share.
    pub fn some_time(&mut self) -> Option<i64> {
        match self.rng.u32(..4) {
            0 => None,
            1 => Some(self.now - self.rng.i64(0..8 * DAY)),
            _ => Some((self.now - self.rng.i64(0..DAY)) / HOUR * HOUR),
        }
    }

    pub fn post_of(&mut self, author: &Did, tags: Vec<CommunityId>, created: Option<i64>) {
        let number = self.posts.len() as u64;
        let rkey = if self.rng.u32(..8) == 0 {
            RecordKey::parse(&format!("text{number}")).expect("a record key")
        } else {
            RecordKey::from(Tid::from_time(Time::from_micros(self.now), (number % 1024) as u16))
        };
        let known = (author.clone(), rkey.clone());
        if !self.posts.contains(&known) {
            self.posts.push(known);
        }
        self.put(author, &rkey, Body::Post(Post { tags, created: created.map(Time::from_micros) }));
    }

    fn a_post(&mut self) -> Option<(Did, RecordKey)> {
        self.rng.choice(&self.posts).cloned()
    }

    /// Other hashtags, and sometimes another time.
    fn edit(&mut self) {
        let Some((author, rkey)) = self.a_post() else { return };
        let tags = self.some_tags();
        let created = (self.now - self.rng.i64(0..3 * DAY)) / HOUR * HOUR;
        self.put(&author, &rkey, Body::Post(Post { tags, created: Some(Time::from_micros(created)) }));
    }

    pub fn delete_post(&mut self) {
        if let Some((author, rkey)) = self.a_post() {
            self.put(&author, &rkey, Body::Deleted(Collection::Post));
        }
    }

    /// Of any post, also one that has yet to come.
    pub fn hide(&mut self, community: u32) {
        let rkey = Tid::from_time(Time::from_micros(self.now + SECOND), (self.posts.len() % 1024) as u16);
        let (author, rkey) = match self.a_post() {
            Some(known) if self.rng.u32(..6) > 0 => known,
            _ => (self.a_person(), RecordKey::from(rkey)),
        };
        let verb = if self.rng.u32(..3) > 0 { Verb::HidePost } else { Verb::UnhidePost };
        self.moderate(community, verb, Target::Record(uri(&author, Collection::Post, &rkey)));
    }

    pub fn block(&mut self, community: u32) {
        let verb = if self.rng.bool() { Verb::BlockUser } else { Verb::UnblockUser };
        let target = Target::Account(self.a_person());
        self.moderate(community, verb, target);
    }

    pub fn block_by_owner(&mut self, community: u32, who: &Did) {
        let (owner, target) = (self.owner(community), Target::Account(who.clone()));
        self.moderate_as(&owner, community, Verb::BlockUser, target);
    }

    fn moderate(&mut self, community: u32, verb: Verb, target: Target) {
        let who = if self.rng.u32(..4) > 0 { self.owner(community) } else { self.a_person() };
        self.moderate_as(&who, community, verb, target);
    }

    fn moderate_as(&mut self, who: &Did, community: u32, verb: Verb, target: Target) {
        // Few keys: later actions take the place of earlier ones, which is as if those were deleted.
        let rkey = RecordKey::parse(&format!("a{}", self.rng.u32(..40))).expect("a record key");
        let community = self.config_uri(community);
        let created = Time::from_micros(T0);
        self.put(who, &rkey, Body::Action(Action { verb, target, community, created, reason: None }));
    }

    fn account(&mut self) {
        let (who, active) = (self.a_person(), self.rng.u32(..3) > 0);
        let time = self.tick();
        let status = (!active).then_some("deactivated");
        self.model.add(Delivery::Account(model::Account {
            did: who.clone(),
            witnessed: time,
            time,
            active,
            status: status.map(Into::into),
        }));
        let host = Host::new("test");
        let status = status.map(Into::into);
        self.tell(Fact::Account(Account { witnessed: time, host, did: who, active, status, time }));
    }

    // --- telling both

    /// A moment of its own for everything that happens.
    fn tick(&mut self) -> Time {
        self.revs += 1;
        self.now += SECOND;
        Time::from_micros(self.now)
    }

    fn put(&mut self, who: &Did, rkey: &RecordKey, body: Body) {
        let witnessed = self.tick();
        let rev = Tid::from_time(witnessed, 0);
        let collection = body.collection();
        self.model.add(Delivery::Version {
            path: Path { collection: collection.nsid(), did: who.clone(), rkey: rkey.clone() },
            rev,
            witnessed,
            cid: None,
            content: content(&body),
        });
        let record = Record {
            witnessed,
            host: Host::new("test"),
            did: who.clone(),
            rkey: rkey.clone(),
            rev: Rev::Exact(rev),
            cid: None,
            body,
        };
        self.tell(Fact::Record(record));
    }

    fn tell(&mut self, fact: Fact) {
        self.folded.apply(std::slice::from_ref(&fact));
        self.facts.push(fact);
    }

    /// The engine begins anew, with everything told to it in another order.
    pub fn restart(&mut self) {
        let (writer, view) = atrarium::view::new();
        self.folded = Folded::new(writer);
        let mut facts = self.facts.clone();
        self.rng.shuffle(&mut facts);
        self.folded.apply(&facts);
        self.folded.publish();
        self.view = view;
    }

    pub fn now(&self) -> Time {
        Time::from_micros(self.now)
    }
}

/// What the model is told of the same record.
fn content(body: &Body) -> Option<Content> {
    Some(match body {
        Body::Post(post) => Content::Post(model::Post {
            tags: post.tags.iter().map(ToString::to_string).collect(),
            created: post.created,
        }),
        Body::Config(config) => Content::Config(model::Config {
            id: config.id.to_string(),
            name: config.name.to_string(),
            stage: config.stage.as_str().to_owned(),
            feed_mix: model::FeedMix {
                own: f64::from(config.feed_mix.own) / 100.0,
                parent: f64::from(config.feed_mix.parent) / 100.0,
                global: f64::from(config.feed_mix.global) / 100.0,
            },
            moderators: config.moderators.clone(),
            parent: config.parent.as_ref().map(ToString::to_string),
            invite_only: config.access == AccessType::InviteOnly,
        }),
        Body::Membership(membership) => Content::Membership(model::Membership {
            community: membership.community.to_string(),
            active: membership.active,
        }),
        Body::Acceptance(acceptance) => Content::Acceptance(model::Acceptance {
            community: acceptance.community.to_string(),
            subject: acceptance.subject.clone(),
        }),
        Body::Action(action) => Content::Action(model::Action {
            community: action.community.to_string(),
            verb: match action.verb {
                Verb::HidePost => model::Verb::Hide(true),
                Verb::UnhidePost => model::Verb::Hide(false),
                Verb::BlockUser => model::Verb::Block(true),
                Verb::UnblockUser => model::Verb::Block(false),
            },
            target: match &action.target {
                Target::Record(uri) => model::Target::Record(uri.to_string()),
                Target::Account(did) => model::Target::Account(did.clone()),
            },
        }),
        Body::Deleted(_) => return None,
    })
}

/// The cursor of a page as a client has it: through its text, and with what always holds of pages checked.
pub fn checked_cursor(page: &Page, limit: usize, after: Option<&PageCursor>, story: &str) -> Option<PageCursor> {
    assert!(page.len() <= limit, "{story}: more than the limit");
    let cursor = page.cursor();
    assert!(!page.is_empty() || cursor.is_none(), "{story}: an empty page with a cursor");
    assert_ne!((cursor.as_ref(), true), (after, cursor.is_some()), "{story}: the cursor that was sent");
    let mut body = Vec::new();
    page.write_json(&mut body);
    let body: serde_json::Value = serde_json::from_slice(&body).expect("JSON");
    let text = body.get("cursor").map(|text| text.as_str().expect("text").to_owned());
    assert_eq!(text, cursor.as_ref().map(ToString::to_string), "{story}");
    assert_eq!(body["feed"].as_array().map(Vec::len), Some(page.len()), "{story}");
    text.map(|text| PageCursor::parse(&text).expect("its own cursor"))
}

/// `ATRARIUM_MIX_SEEDS=FROM..TO` looks longer.
pub fn seeds(usual: std::ops::Range<u64>) -> std::ops::Range<u64> {
    let Ok(text) = std::env::var("ATRARIUM_MIX_SEEDS") else { return usual };
    let bounds = text.split_once("..").map(|(from, to)| (from.parse(), to.parse()));
    let Some((Ok(from), Ok(to))) = bounds else { panic!("ATRARIUM_MIX_SEEDS={text}: give FROM..TO") };
    from..to
}
