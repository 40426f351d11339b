//! The plainest view: sorted sets with flags. It refuses every change that is not exactly a difference.

use std::collections::{BTreeMap, BTreeSet};

use atrarium::fact::{Change, CommunityId, CommunityInfo, Excluded, PostKey, Tags};
use atrarium::syntax::{Did, Time};

/// How many kinds of changes there are.
pub const KINDS: usize = 11;

/// What the changes so far have said.
#[derive(Default)]
pub struct Oracle {
    open: BTreeMap<CommunityId, Ring>,
    shared: BTreeMap<PostKey, Tags>,
    kept_from_millis: Option<i64>,
    /// How many changes of each kind came: open, close, author, insert, remove, hide, evict, retag, share, unshare,
    /// exclude.
    pub counts: [u64; KINDS],
}

struct Ring {
    info: CommunityInfo,
    shown: BTreeSet<Did>,
    posts: BTreeMap<PostKey, Entry>,
    excluded: BTreeSet<String>,
}

struct Entry {
    hidden: bool,
    tags: Tags,
}

impl Oracle {
    pub fn apply(&mut self, change: &Change) {
        match change {
            Change::Open { id, info } => {
                self.counts[0] += 1;
                if let Some(ring) = self.open.get_mut(id) {
                    assert_ne!(ring.info, **info, "opened again without news: {change:?}");
                    assert_eq!(ring.info.uri, info.uri, "another community took an open feed: {change:?}");
                    ring.info = (**info).clone();
                } else {
                    let info = (**info).clone();
                    let (shown, posts, excluded) = (BTreeSet::new(), BTreeMap::new(), BTreeSet::new());
                    self.open.insert(*id, Ring { info, shown, posts, excluded });
                }
            }
            Change::Close { id } => {
                self.counts[1] += 1;
                assert!(self.open.remove(id).is_some(), "closed what is not open: {change:?}");
            }
            Change::Author { id, did, shown } => {
                self.counts[2] += 1;
                let ring = self.ring(*id, change);
                let news = if *shown { ring.shown.insert(did.clone()) } else { ring.shown.remove(did) };
                assert!(news, "said what was known: {change:?}");
            }
            Change::Insert { id, post, tags, hidden } => {
                self.counts[3] += 1;
                assert!(self.kept_from_millis.is_none_or(|from| post.time_millis >= from), "too old: {change:?}");
                assert!(tags.contains(*id), "without its hashtag: {change:?}");
                let entry = Entry { hidden: *hidden, tags: tags.clone() };
                let before = self.ring(*id, change).posts.insert(post.clone(), entry);
                assert!(before.is_none(), "inserted twice: {change:?}");
                let posts = &self.open[id].posts;
                let same = posts.keys().filter(|other| other.did == post.did && other.rkey == post.rkey);
                assert_eq!(same.count(), 1, "one post at two times: {change:?}");
            }
            Change::Remove { id, post } => {
                self.counts[4] += 1;
                assert!(self.ring(*id, change).posts.remove(post).is_some(), "removed what is not there: {change:?}");
            }
            Change::Hide { id, post, hidden } => {
                self.counts[5] += 1;
                let entry = self.entry(*id, post, change);
                assert_ne!(entry.hidden, *hidden, "said what was known: {change:?}");
                entry.hidden = *hidden;
            }
            Change::Fill { id, authors, posts } => {
                assert!(!posts.is_empty() && posts.is_sorted_by(|a, b| a.key(authors) < b.key(authors)), "{change:?}");
                for post in posts {
                    let (key, tags) = (post.key(authors), post.tags.clone());
                    let told = match *id {
                        Some(id) => Change::Insert { id, post: key, tags, hidden: post.hidden },
                        None => Change::Share { post: key, tags },
                    };
                    let last = id.map_or(self.shared.keys().next_back(), |id| self.open[&id].posts.keys().next_back());
                    assert!(last.is_none_or(|last| *last < post.key(authors)), "not behind the others: {change:?}");
                    self.apply(&told);
                }
            }
            Change::Evict { before_millis } => {
                self.counts[6] += 1;
                assert!(self.kept_from_millis < Some(*before_millis), "went back: {change:?}");
                self.kept_from_millis = Some(*before_millis);
                self.shared.retain(|post, _| post.time_millis >= *before_millis);
                for ring in self.open.values_mut() {
                    ring.posts.retain(|post, _| post.time_millis >= *before_millis);
                }
            }
            Change::Retag { id, post, tags } => {
                self.counts[7] += 1;
                assert!(tags.contains(*id), "without its hashtag: {change:?}");
                let entry = self.entry(*id, post, change);
                assert_ne!(entry.tags, *tags, "said what was known: {change:?}");
                entry.tags = tags.clone();
            }
            Change::Share { post, tags } => {
                self.counts[8] += 1;
                let before = self.shared.insert(post.clone(), tags.clone());
                assert_ne!(before.as_ref(), Some(tags), "said what was known: {change:?}");
                let same = self.shared.keys().filter(|other| other.did == post.did && other.rkey == post.rkey);
                assert_eq!(same.count(), 1, "one post at two times: {change:?}");
            }
            Change::Unshare { post } => {
                self.counts[9] += 1;
                assert!(self.shared.remove(post).is_some(), "removed what is not there: {change:?}");
            }
            Change::Exclude { id, what, excluded } => {
                self.counts[10] += 1;
                let name = match what {
                    Excluded::Post { did, rkey } => super::post_uri(did.as_str(), rkey.as_str()).to_string(),
                    Excluded::Account(did) => did.to_string(),
                };
                let known = &mut self.ring(*id, change).excluded;
                let news = if *excluded { known.insert(name) } else { known.remove(&name) };
                assert!(news, "said what was known: {change:?}");
            }
        }
    }

    fn ring(&mut self, id: CommunityId, change: &Change) -> &mut Ring {
        self.open.get_mut(&id).unwrap_or_else(|| panic!("the feed is not open: {change:?}"))
    }

    fn entry(&mut self, id: CommunityId, post: &PostKey, change: &Change) -> &mut Entry {
        let entry = self.ring(id, change).posts.get_mut(post);
        entry.unwrap_or_else(|| panic!("changed what is not there: {change:?}"))
    }

    /// Every open feed at a moment, newest first.
    pub fn feeds(&self, now: Time) -> BTreeMap<CommunityId, Vec<String>> {
        self.open.iter().map(|(&id, ring)| (id, ring.feed(now))).collect()
    }

    /// What each open feed keeps out of all its sources: AT-URIs of posts, and DIDs.
    pub fn excluded(&self) -> BTreeMap<CommunityId, BTreeSet<String>> {
        self.open.iter().map(|(&id, ring)| (id, ring.excluded.clone())).collect()
    }

    /// The parent of each open feed.
    pub fn parents(&self) -> BTreeMap<CommunityId, Option<CommunityId>> {
        self.open.iter().map(|(&id, ring)| (id, ring.info.parent)).collect()
    }

    /// Shared is exactly what is visible somewhere, and everybody is told the same hashtags of it.
    pub fn assert_shared(&self) {
        let visible = self.open.values().flat_map(Ring::visible).map(|(post, entry)| (post, &entry.tags));
        let mut expected: BTreeMap<&PostKey, &Tags> = BTreeMap::new();
        for (post, tags) in visible {
            assert_eq!(*expected.entry(post).or_insert(tags), tags, "{post:?} has two sets of hashtags");
        }
        assert!(self.shared.iter().eq(expected), "{:#?}", self.shared);
    }
}

impl Ring {
    /// Their age aside.
    fn visible(&self) -> impl DoubleEndedIterator<Item = (&PostKey, &Entry)> {
        self.posts.iter().filter(|(post, entry)| !entry.hidden && self.shown.contains(&post.did))
    }

    fn feed(&self, now: Time) -> Vec<String> {
        let young = |post: &PostKey| now.micros() - post.time_millis * 1000 < 7 * super::DAY;
        let posts = self.visible().rev().filter(|(post, _)| young(post));
        posts.map(|(post, _)| format!("at://{}/app.bsky.feed.post/{}", post.did, post.rkey)).collect()
    }
}
