//! The fold, against one as one would write it: `cargo bench --no-default-features --bench fold`.
//!
//! Both are told the same facts in the same order: communities, memberships, posts of six days, and of some posts an edit, a
//! deletion or a moderator's hiding; some members leave. Both must come to the same feeds. The naive fold keeps strings in
//! the maps of `std`, and knows less: no moderators but owners, no claims, no order but that of arrival, no bounds, nothing
//! that ends by time.
//!
//! *Fold* is the state alone, as it is folded when an engine starts; *fold and view* tells readers every change as well, as a
//! running engine does. *Restore* begins with the bytes of a snapshot, *folding again* with those of the log.

#[path = "../tests/fold_support/mod.rs"]
mod fold_support;
mod support;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::hint::black_box;

use atrarium::community::{Fold, Restoring};
use atrarium::fact::{Batch, Body, Collection, CommunityId, Fact, Post, Record, Rev, Target, Verb};
use atrarium::ingest::committer::Folded;
use atrarium::limits::BATCH_FACTS_MAX;
use atrarium::syntax::{Did, RecordKey, Tid, Time};
use atrarium::view::{self, View};
use fold_support::{DAY, MINUTE, SECOND, action, at, cid, config, config_body, config_uri, delete, membership, put};
use support::Bench;

const COMMUNITIES: u32 = 300;
const AUTHORS: u32 = 4_000;
const POSTS: u32 = 60_000;
/// Between two posts: they span six days.
const GAP: i64 = 6 * DAY / POSTS as i64;
/// Communities that an author writes in.
const HOMES: u32 = 3;

fn main() {
    let facts = facts();
    let batches: Vec<Vec<u8>> = facts.chunks(BATCH_FACTS_MAX).map(|facts| Batch::encode(facts, Vec::new())).collect();
    let (folded, view) = told(&facts);
    let naive = NaiveFold::of(&facts);
    assert_same_feeds(&view, &naive);
    let chunks = save(&folded.fold);
    assert!(chunks == save(&restore(&chunks)), "what is restored is what was saved");
    assert!(chunks == save(&untold(&facts)) && chunks == save(&again(&batches)), "told or not, the state is the same");

    let mut bench = Bench::new();
    let [alone, with_view, naive] = bench.sides(
        "a fact",
        facts.len(),
        support::Time::Processor,
        [
            ("fold", Box::new(|| drop(black_box(untold(&facts))))),
            ("fold and view", Box::new(|| drop(black_box(told(&facts))))),
            ("naive", Box::new(|| drop(black_box(NaiveFold::of(&facts))))),
        ],
    );
    let [restored, folded] = bench.sides(
        "a fact of what is there",
        facts.len(),
        support::Time::Processor,
        [
            ("restored from a snapshot", Box::new(|| drop(black_box(restore(&chunks))))),
            ("folded again", Box::new(|| drop(black_box(again(&batches))))),
        ],
    );
    let rate = |nanos: f64| 1e3 / nanos;
    bench.say(format!(
        "million facts/s: fold {:.2}, fold and view {:.2}, naive {:.2}",
        rate(alone),
        rate(with_view),
        rate(naive)
    ));
    bench.ratio("fold", "a naive fold", alone, naive);
    bench.ratio("fold and view", "a naive fold", with_view, naive);
    bench.ratio("restore from a snapshot", "folding again", restored, folded);
    bench.finish();
}

// --- the facts

fn author(number: u32) -> String {
    format!("did:plc:{number:024}")
}

fn owner(community: u32) -> String {
    author(1_000_000 + community)
}

/// The communities of an author are three different ones.
fn home(author: u32, nth: u32) -> u32 {
    (author * 7 + nth * 13) % COMMUNITIES
}

/// Each author is a member of the communities they write in, save every fifth, whose posts wait.
fn facts() -> Vec<Fact> {
    let mut facts: Vec<Fact> =
        (0..COMMUNITIES).map(|id| put(&owner(id), "self", i64::from(id), config_body(config(id)))).collect();
    for number in (0..AUTHORS).filter(|number| number % 5 != 0) {
        for nth in 0..HOMES {
            let community = config_uri(&owner(home(number, nth)), "self");
            facts.push(put(&author(number), &format!("join{nth}"), i64::from(number), membership(&community)));
        }
    }
    let mut rng = fastrand::Rng::with_seed(7);
    for number in 0..POSTS {
        let (who, nth) = (rng.u32(..AUTHORS), rng.u32(..HOMES));
        let micros = MINUTE + i64::from(number) * GAP;
        let post = PostOf { who, number, micros };
        facts.push(post.version(0, Some(home(who, nth))));
        let uri = fold_support::post_uri(&author(who), post.rkey().as_str());
        match number % 100 {
            // It goes to another community.
            7 => facts.push(post.version(SECOND, Some(home(who, (nth + 1) % HOMES)))),
            // It loses its hashtag.
            17 => facts.push(post.version(SECOND, None)),
            27 | 57 | 87 => facts.push(delete(&author(who), post.rkey().as_str(), micros + SECOND, Collection::Post)),
            37 => {
                let community = home(who, nth);
                let body = action(&config_uri(&owner(community), "self"), Verb::HidePost, Target::Record(uri));
                facts.push(put(&owner(community), &format!("hide{number}"), micros + SECOND, body));
            }
            // Somebody leaves; or had never come.
            47 if number % 1000 == 47 => {
                facts.push(delete(&author(who), &format!("join{nth}"), micros + SECOND, Collection::Membership));
            }
            _ => {}
        }
    }
    facts
}

struct PostOf {
    who: u32,
    number: u32,
    micros: i64,
}

impl PostOf {
    fn rkey(&self) -> RecordKey {
        RecordKey::from(Tid::from_time(at(self.micros), (self.number % 1000) as u16))
    }

    /// As it is after some microseconds, in a community or in none.
    fn version(&self, later: i64, community: Option<u32>) -> Fact {
        let witnessed = at(self.micros + later);
        let body = Post { tags: community.map(CommunityId).into_iter().collect(), created: Some(at(self.micros)) };
        Fact::Record(Record {
            witnessed,
            host: atrarium::fact::Host::new("test"),
            did: Did::parse(&author(self.who)).expect("a DID"),
            rkey: self.rkey(),
            rev: Rev::Exact(Tid::from_time(witnessed, 1)),
            cid: Some(cid(0)),
            body: Body::Post(body),
        })
    }
}

// --- this fold

fn untold(facts: &[Fact]) -> Fold {
    let mut fold = Fold::new();
    fold.apply_untold(facts);
    fold
}

/// As the committer does it: batch by batch.
fn told(facts: &[Fact]) -> (Folded, View) {
    let (writer, view) = view::new();
    let mut folded = Folded::new(writer);
    for batch in facts.chunks(64) {
        folded.apply(batch);
        folded.publish();
    }
    (folded, view)
}

fn again(batches: &[Vec<u8>]) -> Fold {
    let mut fold = Fold::new();
    for batch in batches {
        fold.apply_untold(&Batch::decode(Batch::VERSION, batch).expect("a batch").facts);
    }
    fold
}

/// Section, version, payload.
type Chunk = (u8, u8, Vec<u8>);

fn save(fold: &Fold) -> Vec<Chunk> {
    let mut chunks = Vec::new();
    let mut put = |section, version, payload: &[u8]| {
        chunks.push((section, version, payload.to_vec()));
        Ok::<(), std::convert::Infallible>(())
    };
    fold.save(&mut put).unwrap_or_else(|never| match never {});
    chunks
}

fn restore(chunks: &[Chunk]) -> Fold {
    let mut restoring = Restoring::new();
    for (section, version, payload) in chunks {
        restoring.take(*section, *version, payload).expect("a chunk that was saved");
    }
    restoring.finish_untold().expect("a whole snapshot")
}

// --- the naive one

#[derive(Default)]
struct NaiveFold {
    /// By the address of their configs.
    communities: HashMap<String, NaiveCommunity>,
    /// Addresses of configs.
    by_tag: HashMap<u32, String>,
    /// By their own addresses: whose, and of which config.
    memberships: HashMap<String, (String, String)>,
    /// By their addresses.
    posts: HashMap<String, NaivePost>,
}

#[derive(Default)]
struct NaiveCommunity {
    owner: String,
    members: HashSet<String>,
    hidden: HashSet<String>,
    /// Whose post, by time and address.
    feed: BTreeMap<(i64, String), String>,
}

struct NaivePost {
    rev: String,
    time_millis: i64,
    tags: Vec<u32>,
}

impl NaiveFold {
    fn of(facts: &[Fact]) -> Self {
        let mut fold = Self::default();
        facts.iter().for_each(|fact| fold.apply(fact));
        fold
    }

    fn apply(&mut self, fact: &Fact) {
        let Fact::Record(record) = fact else { return };
        let did = record.did.to_string();
        let uri = format!("at://{did}/{}/{}", record.body.collection().nsid(), record.rkey);
        match &record.body {
            Body::Config(config) => {
                let mut community = NaiveCommunity { owner: did.clone(), ..NaiveCommunity::default() };
                community.members.insert(did);
                self.by_tag.insert(config.id.0, uri.clone());
                self.communities.insert(uri, community);
            }
            Body::Membership(membership) => {
                let community = membership.community.to_string();
                if let Some(it) = self.communities.get_mut(&community) {
                    it.members.insert(did.clone());
                }
                self.memberships.insert(uri, (did, community));
            }
            Body::Deleted(Collection::Membership) => {
                if let Some((did, community)) = self.memberships.remove(&uri)
                    && let Some(it) = self.communities.get_mut(&community)
                {
                    it.members.remove(&did);
                }
            }
            Body::Post(post) => {
                let earliest = record.witnessed.min(record.rev.tid().time()).min(post.created.unwrap_or(Time::EPOCH));
                let time_millis = earliest.micros().div_euclid(1000);
                let tags = post.tags.iter().map(|tag| tag.0).collect();
                self.put(did, uri, NaivePost { rev: record.rev.tid().to_string(), time_millis, tags });
            }
            Body::Deleted(Collection::Post) => self.take_out(&uri),
            Body::Action(action) => {
                let (verb, Target::Record(target)) = (action.verb, &action.target) else { return };
                let community = self.communities.get_mut(&action.community.to_string());
                if let Some(it) = community.filter(|it| it.owner == did && verb == Verb::HidePost) {
                    it.hidden.insert(target.to_string());
                }
            }
            Body::Acceptance(_) | Body::Deleted(_) => {}
        }
    }

    fn put(&mut self, did: String, uri: String, post: NaivePost) {
        if self.posts.get(&uri).is_some_and(|known| known.rev >= post.rev) {
            return;
        }
        self.take_out(&uri);
        for tag in &post.tags {
            if let Some(community) = self.by_tag.get(tag).and_then(|config| self.communities.get_mut(config)) {
                community.feed.insert((post.time_millis, uri.clone()), did.clone());
            }
        }
        self.posts.insert(uri, post);
    }

    fn take_out(&mut self, uri: &str) {
        let Some(post) = self.posts.remove(uri) else { return };
        let key = (post.time_millis, uri.to_owned());
        for tag in &post.tags {
            if let Some(community) = self.by_tag.get(tag).and_then(|config| self.communities.get_mut(config)) {
                community.feed.remove(&key);
            }
        }
    }

    fn feed(&self, tag: u32) -> Vec<&str> {
        let community = &self.communities[&self.by_tag[&tag]];
        let newest_first = community.feed.iter().rev();
        let visible =
            newest_first.filter(|((_, uri), did)| community.members.contains(*did) && !community.hidden.contains(uri));
        visible.map(|((_, uri), _)| uri.as_str()).collect()
    }
}

fn assert_same_feeds(view: &View, naive: &NaiveFold) {
    let mut posts = 0;
    for id in 0..COMMUNITIES {
        let community = view.find(CommunityId(id)).expect("served");
        let (mut feed, mut after) = (Vec::new(), None);
        loop {
            let page = view.page(&community, at(6 * DAY), 100, after.as_ref());
            feed.extend(page.uris());
            after = page.cursor();
            if after.is_none() {
                break;
            }
        }
        assert_eq!(feed, naive.feed(id), "both show the same in community {id}");
        posts += feed.len() as u32;
    }
    assert!(posts > POSTS / 2, "{posts} posts are shown");
}
