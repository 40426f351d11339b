//! One post record, as the rules see it. How millions of them are kept: `packed`.

use std::ops::{Deref, DerefMut};
use std::sync::Arc;

use crate::community::feeds::Place;
use crate::community::names::{DidIndex, Key};
use crate::community::people::People;
use crate::community::version::Version;
use crate::fact::{Body, CommunityId, Post, PostKey, Tags};
use crate::syntax::Time;

/// One post record.
#[derive(Clone, Debug)]
pub(in crate::community) struct PostRow {
    pub author: DidIndex,
    pub key: Key,
    /// Whether it has places in feeds.
    pub is_held: bool,
    /// What the view was told last: whether it is visible in some community.
    pub is_shared: bool,
    pub version: Version<PostBody>,
}

/// What a version of a post says.
#[derive(Clone, Debug)]
pub(in crate::community) struct PostBody {
    pub created: Option<Time>,
    pub places: Places,
}

/// One place for each hashtag, sorted by id. Nearly all posts have one, which needs no memory of its own.
#[derive(Clone, Debug)]
pub(in crate::community) enum Places {
    One(Place),
    /// None, or several.
    Many(Box<Many>),
}

#[derive(Clone, Debug)]
pub(in crate::community) struct Many {
    places: Box<[Place]>,
    /// The hashtags once more, for all rings to share.
    ids: Arc<[CommunityId]>,
}

impl Places {
    fn new(tags: &[CommunityId]) -> Self {
        let place = |id| Place { id, position: Place::NOWHERE, hidden: false };
        match tags {
            [id] => Self::One(place(*id)),
            several => {
                let mut ids = several.to_vec();
                ids.sort_unstable();
                ids.dedup();
                match &ids[..] {
                    [id] => Self::One(place(*id)),
                    ids => Self::many(ids.iter().copied().map(place).collect()),
                }
            }
        }
    }

    /// No place, or several, sorted.
    pub fn many(places: Vec<Place>) -> Self {
        let ids = places.iter().map(|place| place.id).collect();
        Self::Many(Box::new(Many { places: places.into(), ids }))
    }
}

impl Deref for Places {
    type Target = [Place];
    fn deref(&self) -> &[Place] {
        match self {
            Self::One(place) => std::slice::from_ref(place),
            Self::Many(many) => &many.places,
        }
    }
}

impl DerefMut for Places {
    fn deref_mut(&mut self) -> &mut [Place] {
        match self {
            Self::One(place) => std::slice::from_mut(place),
            Self::Many(many) => &mut many.places,
        }
    }
}

/// By what the post says; where its places are is no part of that.
impl PartialEq for PostBody {
    fn eq(&self, other: &Self) -> bool {
        self.created == other.created && self.tags().eq(other.tags())
    }
}

impl PostBody {
    pub fn new(post: &Post) -> Self {
        Self { created: post.created, places: Places::new(&post.tags) }
    }

    pub fn tags(&self) -> impl Iterator<Item = CommunityId> {
        self.places.iter().map(|place| place.id)
    }

    /// The hashtags as the view is told them; `None` where there is none.
    pub fn tags_told(&self) -> Option<Tags> {
        match &self.places {
            Places::One(place) => Some(Tags::One(place.id)),
            Places::Many(many) => Some(Tags::Many(Arc::clone(&many.ids))).filter(|_| !many.ids.is_empty()),
        }
    }

    pub(super) fn place_mut(&mut self, id: CommunityId) -> Option<&mut Place> {
        let at = self.places.binary_search_by_key(&id, |place| place.id).ok()?;
        Some(&mut self.places[at])
    }

    /// The debug form of what was put.
    pub(super) fn form(&self) -> String {
        format!("{:?}", Body::Post(Post { tags: self.tags().collect(), created: self.created }))
    }
}

/// The time of a post: the least of what it says, its rev's and its witnessed time, in milliseconds.
pub(super) fn time_millis(rev: Time, witnessed: Time, created: Option<Time>) -> i64 {
    let bound = rev.min(witnessed);
    created.filter(|&created| created > Time::EPOCH).map_or(bound, |created| created.min(bound)).millis()
}

impl PostRow {
    /// The time of the post in milliseconds.
    pub fn time_millis(&self) -> i64 {
        let created = self.version.body.as_ref().and_then(|body| body.created);
        time_millis(self.version.rev.time(), self.version.witnessed, created)
    }

    /// When the clock has to look at it again.
    pub(super) fn due_millis(&self) -> i64 {
        if self.is_held { self.time_millis() } else { self.version.rev.time().millis() }
    }

    /// The place in the feed of a hashtag, while the post is held.
    pub fn place(&self, id: CommunityId) -> Option<Place> {
        let body = self.version.body.as_ref().filter(|_| self.is_held)?;
        body.places.iter().find(|place| place.id == id).copied()
    }

    /// The hashtags as the view is told them; `None` where there is none.
    pub fn tags_told(&self) -> Option<Tags> {
        self.version.body.as_ref().and_then(PostBody::tags_told)
    }

    /// The key under which the view knows it, at a time that it has or had.
    pub(super) fn key_at(&self, time_millis: i64, people: &People) -> PostKey {
        PostKey { time_millis, did: people[self.author].did.clone(), rkey: self.key.to_record_key() }
    }
}
