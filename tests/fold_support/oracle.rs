//! The plainest view: sorted sets with flags. It refuses every change that is not exactly a difference.

use std::collections::{BTreeMap, BTreeSet};

use atrarium::fact::{Change, CommunityId, CommunityInfo, PostKey};
use atrarium::syntax::{Did, Time};

/// What the changes so far have said.
#[derive(Default)]
pub struct Oracle {
    open: BTreeMap<CommunityId, Ring>,
    kept_from_millis: Option<i64>,
    /// How many changes of each kind came: open, close, author, insert, remove, hide, evict.
    pub counts: [u64; 7],
}

struct Ring {
    info: CommunityInfo,
    shown: BTreeSet<Did>,
    /// Posts, and whether they are hidden.
    posts: BTreeMap<PostKey, bool>,
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
                    self.open.insert(*id, Ring { info, shown: BTreeSet::new(), posts: BTreeMap::new() });
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
            Change::Insert { id, post, hidden } => {
                self.counts[3] += 1;
                assert!(self.kept_from_millis.is_none_or(|from| post.time_millis >= from), "too old: {change:?}");
                let before = self.ring(*id, change).posts.insert(post.clone(), *hidden);
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
                let flag = self.ring(*id, change).posts.get_mut(post);
                let flag = flag.unwrap_or_else(|| panic!("hid what is not there: {change:?}"));
                assert_ne!(*flag, *hidden, "said what was known: {change:?}");
                *flag = *hidden;
            }
            Change::Evict { before_millis } => {
                self.counts[6] += 1;
                assert!(self.kept_from_millis < Some(*before_millis), "went back: {change:?}");
                self.kept_from_millis = Some(*before_millis);
                for ring in self.open.values_mut() {
                    ring.posts.retain(|post, _| post.time_millis >= *before_millis);
                }
            }
        }
    }

    fn ring(&mut self, id: CommunityId, change: &Change) -> &mut Ring {
        self.open.get_mut(&id).unwrap_or_else(|| panic!("the feed is not open: {change:?}"))
    }

    /// Every open feed at a moment, newest first.
    pub fn feeds(&self, now: Time) -> BTreeMap<CommunityId, Vec<String>> {
        self.open.iter().map(|(&id, ring)| (id, ring.feed(now))).collect()
    }
}

impl Ring {
    fn feed(&self, now: Time) -> Vec<String> {
        let young = |post: &PostKey| now.micros() - post.time_millis * 1000 < 7 * super::DAY;
        let posts = self.posts.iter().rev();
        posts
            .filter(|(post, hidden)| !**hidden && young(post) && self.shown.contains(&post.did))
            .map(|(post, _)| format!("at://{}/app.bsky.feed.post/{}", post.did, post.rkey))
            .collect()
    }
}
