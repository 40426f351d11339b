//! One enum of operations drives the view and a list that is sorted anew at each reading.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::{did, info, read_all, uri};
use crate::fact::{Change, CommunityId, PostKey, Tags};
use crate::limits::RETENTION_MICROS;
use crate::syntax::{Did, RecordKey, Tid, Time};
use crate::view::{View, Writer};

/// Few of each, so that operations meet; the DIDs are those whose order in an AT-URI is not that of their text.
const DIDS: [&str; 6] =
    ["did:web:a", "did:web:a.b", "did:web:a-b", "did:web:a%20", "did:plc:ewvi7nxzyoun6zhxrhs64oiz", "did:plc:a"];
const COMMUNITIES: u32 = 3;

#[derive(Clone, Debug)]
enum Operation {
    Open(u32),
    Close(u32),
    Author(u32, usize, bool),
    /// As many posts, that far apart in milliseconds, backwards or forwards, from one author or from all in turn.
    Insert {
        community: u32,
        start: PostKey,
        count: usize,
        step: i64,
        hidden: bool,
    },
    /// The n-th of those that are there.
    Remove(u32, prop::sample::Index),
    /// Most of those that are there.
    RemoveMost(u32, usize),
    /// The n-th of those that are there goes, and comes back.
    Again(u32, prop::sample::Index, bool),
    Hide(u32, prop::sample::Index, bool),
    Evict(i64),
    /// Nonsense: a post that (most likely) is not there.
    RemoveUnknown(u32, PostKey),
    Publish,
    /// Reads everything, at that moment, by pages of these sizes.
    Read(i64, Vec<usize>),
}

fn post() -> impl Strategy<Value = PostKey> {
    let rkey = prop_oneof![
        3 => (0u64..50).prop_map(|number| RecordKey::from(Tid::from_u64(number << 58 | number))),
        1 => "(self|a|2|3{13}|z{13}|~)".prop_map(|text: String| RecordKey::parse(&text).expect("a record key")),
    ];
    let time = prop_oneof![8 => 0i64..2_000, 1 => Just(1i64 << 33), 1 => Just(-(1i64 << 33))];
    (time, 0..DIDS.len(), rkey).prop_map(|(time_millis, author, rkey)| PostKey {
        time_millis,
        did: did(DIDS[author]),
        rkey,
    })
}

fn operation() -> impl Strategy<Value = Operation> {
    use Operation::*;
    let community = || 0..COMMUNITIES;
    let index = any::<prop::sample::Index>;
    let count = prop_oneof![10 => Just(1usize), 5 => 1usize..40, 1 => 200usize..600];
    prop_oneof![
        2 => community().prop_map(Open),
        1 => community().prop_map(Close),
        6 => (community(), 0..DIDS.len(), prop::bool::weighted(0.75)).prop_map(|(id, author, shown)| Author(id, author, shown)),
        20 => (community(), post(), count, -3i64..4, prop::bool::weighted(0.1))
            .prop_map(|(community, start, count, step, hidden)| Insert { community, start, count, step, hidden }),
        8 => (community(), index()).prop_map(|(id, at)| Remove(id, at)),
        1 => (community(), 2usize..5).prop_map(|(id, of)| RemoveMost(id, of)),
        4 => (community(), index(), any::<bool>()).prop_map(|(id, at, hidden)| Again(id, at, hidden)),
        8 => (community(), index(), any::<bool>()).prop_map(|(id, at, hidden)| Hide(id, at, hidden)),
        2 => prop_oneof![Just(i64::MIN), Just(0), 0i64..2_000].prop_map(Evict),
        1 => (community(), post()).prop_map(|(id, post)| RemoveUnknown(id, post)),
        4 => Just(Publish),
        4 => (prop_oneof![Just(0), 0i64..3_000], prop::collection::vec(1usize..60, 1..4)).prop_map(|(now, limits)| Read(now, limits)),
    ]
}

#[derive(Default)]
struct Naive {
    posts: BTreeMap<PostKey, bool>,
    shown: BTreeSet<Did>,
}

struct Model {
    writer: Writer,
    view: View,
    naive: BTreeMap<u32, Naive>,
}

impl Model {
    fn apply(&mut self, operation: Operation) {
        match operation {
            Operation::Open(id) => {
                self.naive.entry(id).or_default();
                self.writer.apply(Change::Open { id: CommunityId(id), info: info(DIDS[0], "self") });
            }
            Operation::Close(id) => {
                self.naive.remove(&id);
                self.writer.apply(Change::Close { id: CommunityId(id) });
            }
            Operation::Author(id, author, shown) => self.author(id, did(DIDS[author]), shown),
            Operation::Insert { community, start, count, step, hidden } => {
                (0..count as i64).for_each(|at| self.insert(community, nth(&start, at, step), hidden));
            }
            Operation::Remove(id, at) => {
                if let Some(post) = self.nth_there(id, at) {
                    self.remove(id, post);
                }
            }
            Operation::RemoveMost(id, of) => {
                let there: Vec<PostKey> =
                    self.naive.get(&id).into_iter().flat_map(|one| one.posts.keys().cloned()).collect();
                for (at, post) in there.into_iter().enumerate() {
                    if at % of != 0 {
                        self.remove(id, post);
                    }
                }
            }
            Operation::Again(id, at, hidden) => {
                if let Some(post) = self.nth_there(id, at) {
                    self.remove(id, post.clone());
                    self.insert(id, post, hidden);
                }
            }
            Operation::Hide(id, at, hidden) => {
                if let Some(post) = self.nth_there(id, at) {
                    self.naive.entry(id).or_default().posts.insert(post.clone(), hidden);
                    self.writer.apply(Change::Hide { id: CommunityId(id), post, hidden });
                }
            }
            Operation::Evict(before_millis) => {
                for one in self.naive.values_mut() {
                    one.posts.retain(|post, _| post.time_millis >= before_millis);
                }
                self.writer.apply(Change::Evict { before_millis });
            }
            Operation::RemoveUnknown(id, post) => self.remove(id, post),
            Operation::Publish => self.writer.publish(),
            Operation::Read(now, limits) => {
                self.writer.publish();
                self.check(Time::from_micros(RETENTION_MICROS + now * 1000), &limits);
            }
        }
    }

    fn author(&mut self, id: u32, did: Did, shown: bool) {
        if let Some(one) = self.naive.get_mut(&id) {
            if shown {
                one.shown.insert(did.clone());
            } else {
                one.shown.remove(&did);
            }
        }
        self.writer.apply(Change::Author { id: CommunityId(id), did, shown });
    }

    fn insert(&mut self, id: u32, post: PostKey, hidden: bool) {
        if let Some(one) = self.naive.get_mut(&id) {
            one.posts.entry(post.clone()).or_insert(hidden);
        }
        let tags = tags(id, &post);
        self.writer.apply(Change::Insert { id: CommunityId(id), post, tags, hidden });
    }

    fn remove(&mut self, id: u32, post: PostKey) {
        if let Some(one) = self.naive.get_mut(&id) {
            one.posts.remove(&post);
        }
        self.writer.apply(Change::Remove { id: CommunityId(id), post });
    }

    fn nth_there(&self, id: u32, at: prop::sample::Index) -> Option<PostKey> {
        let posts = &self.naive.get(&id)?.posts;
        (!posts.is_empty()).then(|| posts.keys().nth(at.index(posts.len())).cloned())?
    }

    fn check(&self, now: Time, limits: &[usize]) {
        let served: Vec<u32> = self.view.communities().iter().map(|community| community.id().0).collect();
        assert!(served.iter().eq(self.naive.keys()), "{served:?}");
        let posts: usize = self.naive.values().map(|one| one.posts.len()).sum();
        assert_eq!((self.view.counts().communities, self.view.counts().posts), (served.len(), posts as u64));
        for (&id, one) in &self.naive {
            let is_young = |post: &PostKey| now.micros() - post.time_millis * 1000 < RETENTION_MICROS;
            let is_visible =
                |(post, hidden): &(&PostKey, &bool)| !**hidden && one.shown.contains(&post.did) && is_young(post);
            let mut expected: Vec<(i64, String)> =
                one.posts.iter().filter(is_visible).map(|(post, _)| (post.time_millis, uri(post))).collect();
            expected.sort_by(|a, b| b.cmp(a));
            let community = self.view.find(CommunityId(id)).expect("served");
            if let Some((_, older)) = community.chunk_sizes().split_last() {
                assert!(older.iter().all(|(length, capacity)| length == capacity), "only the last chunk has free room");
            }
            let got = read_all(&self.view, CommunityId(id), now, limits);
            assert!(got.iter().eq(expected.iter().map(|(_, uri)| uri)), "{id}: {got:#?}\n{expected:#?}");
        }
    }
}

/// Some posts carry a second hashtag.
fn tags(id: u32, post: &PostKey) -> Tags {
    if post.time_millis % 5 == 0 {
        Tags::Many([CommunityId(id), CommunityId(99)].into())
    } else {
        Tags::One(CommunityId(id))
    }
}

/// The posts of one insertion differ in time, or where the step is 0, in rkey.
fn nth(start: &PostKey, at: i64, step: i64) -> PostKey {
    let rkey = if at == 0 { start.rkey.clone() } else { RecordKey::from(Tid::from_u64(at as u64 * 7919)) };
    let author = if at % 3 == 0 { start.did.clone() } else { did(DIDS[at as usize % DIDS.len()]) };
    PostKey { time_millis: start.time_millis + at * step, did: author, rkey }
}

proptest! {
    #[test]
    fn the_view_shows_what_a_plain_list_shows(operations in prop::collection::vec(operation(), 0..80)) {
        let (writer, view) = crate::view::new();
        let mut model = Model { writer, view, naive: BTreeMap::new() };
        (0..COMMUNITIES).for_each(|id| model.apply(Operation::Open(id)));
        for author in 0..DIDS.len() {
            model.apply(Operation::Author(0, author, true));
        }
        for operation in operations {
            model.apply(operation);
        }
        model.apply(Operation::Read(0, vec![1, 50]));
    }
}
