//! The design one would write first: a `Mutex` around a map of communities, each a `VecDeque` of posts with `String`s,
//! filtered on reading and rendered by `serde_json`.
//!
//! A mixed page takes fixed parts of it from three lists (the community's, its parent's, and one of all posts), sorts
//! them by time, and gives a cursor of three positions. It owes nothing to short sources, and knows no exclusions: it does
//! less than the view does.

use std::collections::{HashMap, HashSet, VecDeque};
use std::hint::black_box;
use std::sync::Mutex;

use atrarium::fact::PostKey;
use serde::Serialize;

use super::{NOW, PAGE};

struct NaivePost {
    community: String,
    did: String,
    rkey: String,
    time_millis: i64,
    hidden: bool,
}

#[derive(Default)]
pub struct Community {
    posts: VecDeque<NaivePost>,
    members: HashSet<String>,
}

#[derive(Default)]
struct All {
    communities: HashMap<String, Community>,
    /// Of all communities.
    posts: VecDeque<NaivePost>,
}

#[derive(Default)]
pub struct Naive(Mutex<All>);

#[derive(Serialize)]
struct Page {
    feed: Vec<Item>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cursor: Option<String>,
}

#[derive(Serialize)]
struct Item {
    post: String,
}

fn naive_post(community: &str, post: &PostKey) -> NaivePost {
    NaivePost {
        community: community.to_owned(),
        did: post.did.to_string(),
        rkey: post.rkey.to_string(),
        time_millis: post.time_millis,
        hidden: false,
    }
}

fn is_young(post: &NaivePost) -> bool {
    NOW.micros() - post.time_millis * 1000 < atrarium::limits::RETENTION_MICROS
}

impl Community {
    fn shows(&self, post: &NaivePost) -> bool {
        !post.hidden && self.members.contains(&post.did) && is_young(post)
    }
}

fn item(post: &NaivePost) -> Item {
    Item { post: format!("at://{}/app.bsky.feed.post/{}", post.did, post.rkey) }
}

fn position(post: &NaivePost) -> String {
    format!("{}::{}", post.time_millis, post.rkey)
}

impl Naive {
    /// A member's post.
    pub fn insert(&self, id: &str, post: &PostKey) {
        let mut all = self.0.lock().expect("not poisoned");
        if !all.communities.contains_key(id) {
            all.communities.insert(id.to_owned(), Community::default());
        }
        let community = all.communities.get_mut(id).expect("there");
        community.members.insert(post.did.to_string());
        community.posts.push_front(naive_post(id, post));
    }

    /// The same post in the list of all.
    pub fn share(&self, id: &str, post: &PostKey) {
        self.0.lock().expect("not poisoned").posts.push_front(naive_post(id, post));
    }

    pub fn hide_all(&self, id: &str) {
        let mut all = self.0.lock().expect("not poisoned");
        all.communities.get_mut(id).expect("there").posts.iter_mut().for_each(|post| post.hidden = true);
    }

    /// A post of somebody who is a member already.
    pub fn append(&self, id: &str, post: &PostKey) {
        let mut all = self.0.lock().expect("not poisoned");
        all.communities.get_mut(id).expect("there").posts.push_front(naive_post(id, post));
    }

    pub fn page(&self, id: &str, after_millis: Option<i64>, out: &mut Vec<u8>) {
        out.clear();
        let all = self.0.lock().expect("not poisoned");
        let community = &all.communities[id];
        let start = after_millis.map_or(0, |after| community.posts.partition_point(|post| post.time_millis >= after));
        let mut visible = community.posts.range(start..).filter(|post| community.shows(post));
        let items: Vec<&NaivePost> = visible.by_ref().take(PAGE).collect();
        let cursor = visible.next().and(items.last()).map(|last| position(last));
        let page = Page { feed: items.into_iter().map(item).collect(), cursor };
        serde_json::to_writer(&mut *out, &page).expect("a page is JSON");
        black_box(&out);
    }

    /// The first page of a community that takes some of it from its parent and from all others.
    pub fn mixed_page(&self, id: &str, parent: &str, parts: [usize; 3], out: &mut Vec<u8>) {
        out.clear();
        let all = self.0.lock().expect("not poisoned");
        let of = |id: &str, count: usize| {
            let community = &all.communities[id];
            community.posts.iter().filter(|post| community.shows(post)).take(count).collect::<Vec<_>>()
        };
        let is_others = |post: &&NaivePost| {
            post.community != id && post.community != parent && all.communities[&post.community].shows(post)
        };
        let global: Vec<&NaivePost> = all.posts.iter().filter(is_others).take(parts[2]).collect();
        let sources = [of(id, parts[0]), of(parent, parts[1]), global];
        let positions: Vec<String> =
            sources.iter().map(|source| source.last().map_or(String::new(), |last| position(last))).collect();
        let mut items: Vec<&NaivePost> = sources.into_iter().flatten().collect();
        items.sort_by(|a, b| (b.time_millis, &b.did, &b.rkey).cmp(&(a.time_millis, &a.did, &a.rkey)));
        let page = Page { feed: items.into_iter().map(item).collect(), cursor: Some(positions.join("|")) };
        serde_json::to_writer(&mut *out, &page).expect("a page is JSON");
        black_box(&out);
    }
}
