//! Posts: every post record that carries a hashtag, did so, or was deleted, while its rev is young.
//!
//! In: commits on posts; clock facts. Out: posts enter feeds, leave them, move within them, and are evicted.
//!
//! ```text
//!                  time < horizon              rev's time < horizon
//! held in feeds ─────────────────► kept as a ───────────────────────► forgotten
//!                  or deleted       tombstone
//! ```
//!
//! What always holds:
//! - a post is *held* exactly while its winning version is a put with a hashtag, is not ended, and is not older than
//!   the horizon (the clock less 7 days); then it has a place in the feed of each of its hashtags, else in none;
//! - `due` names every post: a held one at its time, another at its rev's time (and at moments that are past: those count no more). A post's time is never later than
//!   its rev's, so a version that comes after its record was forgotten could not be shown, and is counted as late.
//!
//! Posts of one author, posts that wait, and tombstones are bounded (`room`). A post that was given up everywhere is
//! forgotten with its rev, as one that was never seen.

use std::cmp::Ordering;
use std::hint::black_box;
use std::ops::{Deref, DerefMut};
use std::sync::Arc;

use xxhash_rust::xxh3::xxh3_64_with_seed;

use super::Fold;
use super::config::Community;
use super::due::Due;
use super::feeds::Place;
use super::index::Index;
use super::names::{DidIndex, Key};
use super::people::People;
use super::told::Told;
use super::version::Version;
use crate::fact::{Body, Change, CommunityId, Post, PostKey, Record, Tags};
use crate::limits::RETENTION_MICROS;
use crate::syntax::{Did, RecordKey, Time};

/// One post record.
#[derive(Debug)]
pub(super) struct PostRow {
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
pub(super) struct PostBody {
    pub created: Option<Time>,
    pub places: Places,
}

/// One place for each hashtag, sorted by id. Nearly all posts have one, which needs no memory of its own.
#[derive(Clone, Debug)]
pub(super) enum Places {
    One(Place),
    /// None, or several.
    Many(Box<Many>),
}

#[derive(Clone, Debug)]
pub(super) struct Many {
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

    fn place_mut(&mut self, id: CommunityId) -> Option<&mut Place> {
        let at = self.places.binary_search_by_key(&id, |place| place.id).ok()?;
        Some(&mut self.places[at])
    }

    /// The debug form of what was put.
    fn form(&self) -> String {
        format!("{:?}", Body::Post(Post { tags: self.tags().collect(), created: self.created }))
    }
}

impl PostRow {
    /// The time of the post in milliseconds: the least of what it says, its rev's and its witnessed time.
    pub fn time_millis(&self) -> i64 {
        let created = self.version.body.as_ref().and_then(|body| body.created).filter(|&created| created > Time::EPOCH);
        let bound = self.version.rev.time().min(self.version.witnessed);
        created.map_or(bound, |created| created.min(bound)).millis()
    }

    fn rev_millis(&self) -> i64 {
        self.version.rev.time().millis()
    }

    /// When the clock has to look at it again.
    fn due_millis(&self) -> i64 {
        if self.is_held { self.time_millis() } else { self.rev_millis() }
    }

    /// The place in the feed of a hashtag, while the post is held.
    pub fn place(&self, id: CommunityId) -> Option<&Place> {
        let body = self.version.body.as_ref().filter(|_| self.is_held)?;
        body.places.iter().find(|place| place.id == id)
    }
}

/// All of them, by number. Numbers are used again.
#[derive(Debug, Default)]
pub(super) struct Posts {
    index: Index,
    rows: Vec<Option<PostRow>>,
    free: Vec<u32>,
    due: Due,
    /// How many are held.
    held: usize,
}

const _: () = assert!(size_of::<Option<PostRow>>() == 88, "millions of them are kept");

const LIVES: &str = "invariant: a post's number is dropped before the post is forgotten";

/// For the index. Posts that share it cost each other a look.
fn hash_of(author: DidIndex, key: &Key) -> u64 {
    const ODD: u64 = 0x9e37_79b9_7f4a_7c15;
    match key {
        Key::Tid(tid) => {
            let both = tid.to_u64() ^ u64::from(author.0).wrapping_mul(ODD);
            let product = u128::from(both) * u128::from(ODD);
            (product >> 64) as u64 ^ product as u64
        }
        Key::Text(text) => xxh3_64_with_seed(text.as_str().as_bytes(), u64::from(author.0)),
    }
}

impl Posts {
    pub fn find(&self, author: DidIndex, key: &Key) -> Option<u32> {
        self.index.find(hash_of(author, key), |number| {
            let row = &self[number];
            row.author == author && row.key == *key
        })
    }

    /// Reads ahead for [`Posts::find`] of these posts (`warm`).
    pub fn warm(&self, posts: impl Iterator<Item = (DidIndex, Key)>, found: &mut Vec<u32>) {
        found.clear();
        self.index.warm(posts.map(|(author, key)| hash_of(author, &key)), found);
        let rows = found.iter().filter_map(|&number| self.get(number));
        black_box(rows.filter(|row| row.is_held).count());
    }

    fn get(&self, number: u32) -> Option<&PostRow> {
        self.rows.get(number as usize)?.as_ref()
    }

    /// One place of a post, while there are so many.
    pub fn place_at(&self, number: u32, at: usize) -> Option<Place> {
        self[number].version.body.as_ref()?.places.get(at).copied()
    }

    pub fn iter(&self) -> impl Iterator<Item = (u32, &PostRow)> {
        (0..).zip(&self.rows).filter_map(|(number, row)| Some((number, row.as_ref()?)))
    }

    /// How many numbers were ever used: all are less.
    pub fn numbers(&self) -> usize {
        self.rows.len()
    }

    /// Adds a post of a snapshot; `None` where there are too many. It can be found after [`Posts::derive_index`]; whether it
    /// is held, and where, is said later ([`Posts::derive_held`]).
    pub fn restore(&mut self, row: PostRow) -> Option<()> {
        u32::try_from(self.rows.len()).ok()?;
        self.rows.push(Some(row));
        Some(())
    }

    /// How many there are after a snapshot was read: numbers have no holes then.
    pub fn restored(&self) -> u32 {
        u32::try_from(self.rows.len()).expect("invariant: each got a number")
    }

    /// Enters all restored posts into the index, whose size is known by now: it need not grow. The first that is there twice
    /// is an error.
    pub fn derive_index(&mut self) -> Result<(), u32> {
        self.index = Index::with_room_for(self.rows.len());
        for number in 0..self.restored() {
            let row = &self[number];
            let hash = hash_of(row.author, &row.key);
            let is_it = |known: u32| {
                let known = &self[known];
                known.author == row.author && known.key == row.key
            };
            if self.index.find(hash, is_it).is_some() {
                return Err(number);
            }
            self.index.insert(hash, number);
        }
        Ok(())
    }

    /// Says of a restored post whether it is held, and places it among those that the clock looks at.
    pub fn derive_held(&mut self, number: u32, held: bool) {
        self.set_held(number, held);
        self.set_due(number);
    }

    /// Says of a restored post where it stands in a feed; and where it is in the ring of a community, whether it is hidden,
    /// and so (if its author is shown there) visible.
    pub fn derive_place(&mut self, number: u32, id: CommunityId, position: usize, ring: Option<(&Community, bool)>) {
        self.set_position(number, id, position);
        if let Some((community, shown)) = ring {
            let hidden = self.enter_ring(number, id, community);
            self.row_mut(number).is_shared |= shown && !hidden;
        }
    }

    /// All posts by the moment at which the clock looks at them, in order: that of a held one is its time.
    pub fn due(&self) -> impl Iterator<Item = (i64, u32)> {
        let is_current = |&(due, number): &(i64, u32)| self.is_due(number, due);
        self.due.in_order().flat_map(move |of_minute| of_minute.into_iter().filter(is_current))
    }

    fn is_due(&self, number: u32, millis: i64) -> bool {
        self.get(number).is_some_and(|row| row.due_millis() == millis)
    }

    /// Says when the clock has to look at a post again.
    fn set_due(&mut self, number: u32) {
        self.due.insert(self[number].due_millis(), number);
        if self.due.is_full(self.index.len()) {
            let mut due = Due::default();
            self.iter().for_each(|(number, row)| due.insert(row.due_millis(), number));
            self.due = due;
        }
    }

    /// How many are kept for their rev alone.
    pub fn tombstones(&self) -> usize {
        self.index.len() - self.held
    }

    /// How many are held.
    pub fn held(&self) -> usize {
        self.held
    }

    /// A post by the key that the view knows it by.
    pub fn post_key(&self, number: u32, people: &People) -> PostKey {
        let row = &self[number];
        row.key_at(row.time_millis(), people)
    }

    pub fn set_position(&mut self, number: u32, id: CommunityId, position: usize) {
        let place = self.row_mut(number).version.body.as_mut().and_then(|body| body.place_mut(id));
        place.expect("invariant: only held posts have a position").position =
            u32::try_from(position).expect("invariant: memory ends before 2^32 posts");
    }

    /// Notes that a post has been given up in one feed.
    pub fn lose_position(&mut self, number: u32, id: CommunityId) {
        if let Some(place) = self.row_mut(number).version.body.as_mut().and_then(|body| body.place_mut(id)) {
            place.position = Place::NOWHERE;
        }
    }

    /// Forgets a post that stands in no feed: one that was given up in all of them, or a tombstone.
    pub fn forget_placeless(&mut self, number: u32) {
        let row = &self[number];
        let mut places = row.version.body.iter().flat_map(|body| body.places.iter());
        if row.is_held && places.any(|place| place.position != Place::NOWHERE) {
            return;
        }
        self.set_held(number, false);
        self.forget(number);
    }

    /// By time, then AT-URI, of posts of one author.
    pub fn compare_of_author(&self, a: u32, b: u32) -> Ordering {
        let (a, b) = (&self[a], &self[b]);
        a.time_millis().cmp(&b.time_millis()).then_with(|| a.key.compare_text(&b.key))
    }

    /// Notes what the view is told of a post as it enters the ring, or as it is judged again: whether it is hidden.
    pub fn enter_ring(&mut self, number: u32, id: CommunityId, community: &Community) -> bool {
        let row = self.row_mut(number);
        let hidden = !community.posts.is_empty() && community.hides(&(row.author, row.key.clone()));
        if let Some(place) = row.version.body.as_mut().and_then(|body| body.place_mut(id)) {
            place.hidden = hidden;
        }
        hidden
    }

    pub fn set_shared(&mut self, number: u32, shared: bool) {
        self.row_mut(number).is_shared = shared;
    }

    fn row_mut(&mut self, number: u32) -> &mut PostRow {
        self.rows[number as usize].as_mut().expect(LIVES)
    }

    fn add(&mut self, row: PostRow) -> u32 {
        let hash = hash_of(row.author, &row.key);
        let number = self.free.pop().unwrap_or_else(|| {
            self.rows.push(None);
            u32::try_from(self.rows.len() - 1).expect("invariant: memory ends before 2^32 posts")
        });
        self.rows[number as usize] = Some(row);
        self.index.insert(hash, number);
        number
    }

    fn forget(&mut self, number: u32) {
        if let Some(row) = self.rows[number as usize].take() {
            self.index.remove(hash_of(row.author, &row.key), number);
            self.free.push(number);
        }
    }

    fn set_held(&mut self, number: u32, held: bool) {
        let row = self.row_mut(number);
        let was_held = std::mem::replace(&mut row.is_held, held);
        self.held = self.held + usize::from(held) - usize::from(was_held);
    }
}

impl PostRow {
    fn key_at(&self, time_millis: i64, people: &People) -> PostKey {
        PostKey { time_millis, did: people[self.author].did.clone(), rkey: self.key.to_record_key() }
    }
}

impl std::ops::Index<u32> for Posts {
    type Output = PostRow;
    fn index(&self, number: u32) -> &PostRow {
        self.rows[number as usize].as_ref().expect(LIVES)
    }
}

impl Fold {
    /// The first millisecond that is young at the clock; nothing before it is held or matters.
    pub(super) fn horizon_millis(&self) -> i64 {
        self.stream.clock.map_or(i64::MIN, |clock| clock.plus_micros(-RETENTION_MICROS).millis())
    }

    /// A commit on a post; `None` is a delete.
    pub(super) fn apply_post(&mut self, record: &Record, post: Option<&Post>, out: &mut Told<'_>) {
        let version = Version::new(record, post.map(PostBody::new));
        if version.rev.time().millis() < self.horizon_millis() {
            self.counts.late += 1;
            return;
        }
        let author = self.people.find_or_add(&record.did);
        let key = Key::from(&record.rkey);
        if let Some(known) = self.posts.find(author, &key) {
            if let Some(news) = self.posts[known].version.merge(version, PostBody::form) {
                self.replace(known, news, out);
            }
        } else {
            // It begins as a tombstone of its own rev; then the put comes to it as to every other.
            let row = PostRow { author, key, is_held: false, is_shared: false, version: Version::new(record, None) };
            let due = row.due_millis();
            let number = self.posts.add(row);
            self.replace(number, version, out);
            // Where its moment is another now, that was said. At a bound it may have been the one that was given up.
            if self.posts.is_due(number, due) {
                self.posts.set_due(number);
            }
        }
    }

    /// Gives a post its winning version, and brings its places up to date.
    fn replace(&mut self, number: u32, news: Version<PostBody>, out: &mut Told<'_>) {
        let horizon = self.horizon_millis();
        let row = self.posts.row_mut(number);
        let (author, was_held) = (row.author, row.is_held);
        let (old_due, old_key_millis) = (row.due_millis(), row.time_millis());
        let old = std::mem::replace(&mut row.version, news);
        let moved = row.time_millis() != old_key_millis;
        let live = row.version.live(self.people[author].deleted_at);
        let held = live.is_some_and(|body| !body.places.is_empty()) && row.time_millis() >= horizon;
        if let Some(body) = &mut row.version.body {
            // A merged version is a copy of the old one: its places must be found again.
            body.places.iter_mut().for_each(|place| place.position = Place::NOWHERE);
        }
        self.posts.set_held(number, held);

        let old_body = old.body.filter(|_| was_held);
        let had_places = old_body.is_some();
        let old_tags = old_body.as_ref().and_then(PostBody::tags_told);
        let was_shared = self.posts[number].is_shared && held && !moved;
        if self.posts[number].is_shared && !was_shared {
            self.posts.set_shared(number, false);
            out.push(|| Change::Unshare { post: self.posts[number].key_at(old_key_millis, &self.people) });
        }
        for &place in old_body.iter().flat_map(|body| body.places.iter()) {
            let row = self.posts.row_mut(number);
            let kept = row.version.body.as_mut().filter(|_| held).and_then(|body| body.place_mut(place.id));
            if let Some(kept) = kept {
                *kept = place;
                self.refresh_place(number, &place, old_key_millis, old_tags.as_ref(), out);
            } else if self.leave(author, place) {
                let post = self.posts[number].key_at(old_key_millis, &self.people);
                out.push(|| Change::Remove { id: place.id, post });
            }
        }
        if held {
            self.enter_new_places(number, author, out);
            if had_places {
                self.refresh_shared(number, old_tags.as_ref().filter(|_| was_shared), out);
            }
        }
        if self.posts[number].due_millis() != old_due {
            self.posts.set_due(number);
        }
        if held {
            self.posts.forget_placeless(number);
        }
    }

    /// Tells the view how a post that stays in a ring has changed there: its time, or its hashtags.
    fn refresh_place(
        &mut self,
        number: u32,
        place: &Place,
        old_key_millis: i64,
        old_tags: Option<&Tags>,
        out: &mut Told<'_>,
    ) {
        if !self.is_in_ring(number, place) {
            return;
        }
        let (row, id) = (&self.posts[number], place.id);
        let post = self.posts.post_key(number, &self.people);
        let tags = row.version.body.as_ref().and_then(PostBody::tags_told).expect("invariant: it has this hashtag");
        if post.time_millis != old_key_millis {
            out.push(|| Change::Remove { id, post: row.key_at(old_key_millis, &self.people) });
            out.push(|| Change::Insert { id, post, tags, hidden: place.hidden });
        } else if old_tags != Some(&tags) {
            out.push(|| Change::Retag { id, post, tags });
        }
    }

    /// Tells the view what a post that is held is to other communities, after its places are up to date. `old_tags` are
    /// those it was told, where the post is shared still under the same key.
    fn refresh_shared(&mut self, number: u32, old_tags: Option<&Tags>, out: &mut Told<'_>) {
        self.unshare(number, out);
        let row = &self.posts[number];
        let tags = row.version.body.as_ref().and_then(PostBody::tags_told);
        match tags.filter(|tags| row.is_shared && old_tags.is_some_and(|old| old != tags)) {
            Some(tags) => out.push(|| Change::Share { post: self.posts.post_key(number, &self.people), tags }),
            None => self.share(number, out),
        }
    }

    fn enter_new_places(&mut self, number: u32, author: DidIndex, out: &mut Told<'_>) {
        let mut at = 0;
        while let Some(place) = self.posts.place_at(number, at) {
            if place.position == Place::NOWHERE {
                let entered = self.enter(number, place.id, out);
                if entered.count > self.bounds.posts_per_author {
                    self.give_up_oldest(number, place.id, out);
                }
                if entered.is_first {
                    self.sync_author(place.id, author, out);
                }
            }
            at += 1;
        }
    }

    /// Takes the posts out of the feeds that the deletion of their author's account has ended.
    pub(super) fn end_posts(&mut self, author: DidIndex, out: &mut Told<'_>) {
        let person = &self.people[author];
        let of_feed = |id: &CommunityId| self.feeds.get(id)?.authors.get(&author).map(|author| author.posts.as_slice());
        let mut posts: Vec<u32> = person.feeds.iter().filter_map(of_feed).flatten().copied().collect();
        posts.sort_unstable();
        posts.dedup();
        for number in posts {
            let version = self.posts[number].version.clone();
            if version.is_ended(self.people[author].deleted_at) {
                self.replace(number, version, out);
            }
        }
    }

    /// Now has reached a moment: what is older than 7 days leaves the feeds, and old tombstones are forgotten.
    pub(super) fn apply_clock(&mut self, now: Time, out: &mut Told<'_>) {
        if self.stream.clock.is_some_and(|clock| now <= clock) {
            return;
        }
        self.stream.clock = Some(now);
        let horizon = self.horizon_millis();
        let mut evicts = false;
        while let Some(of_minute) = self.posts.due.take_minute_before(horizon) {
            for (due, number) in of_minute {
                if !self.posts.is_due(number, due) {
                    continue;
                }
                evicts |= self.evict(number);
                if self.posts[number].rev_millis() < horizon {
                    self.posts.forget(number);
                } else {
                    self.posts.set_due(number);
                }
            }
        }
        if evicts {
            out.push(|| Change::Evict { before_millis: horizon });
        }
        self.sweep();
    }

    /// Takes a post out of all feeds. Says whether it was in a ring.
    fn evict(&mut self, number: u32) -> bool {
        let row = &self.posts[number];
        if !row.is_held {
            return false;
        }
        let author = row.author;
        let mut was_in_ring = false;
        let millis = row.time_millis();
        let mut at = 0;
        while let Some(place) = self.posts.place_at(number, at) {
            at += 1;
            self.note_post(author, &place, millis);
            was_in_ring |= self.leave(author, place);
        }
        self.posts.set_held(number, false);
        // The view forgets it by `Change::Evict`.
        self.posts.set_shared(number, false);
        was_in_ring
    }

    /// Every post record that is known, deleted and waiting ones included, with the witnessed time of its winning
    /// version, in no particular order: what the filter must recognise after a start.
    pub fn known_posts(&self) -> impl Iterator<Item = (&Did, RecordKey, Time)> {
        self.posts.iter().map(|(_, row)| (&self.people[row.author].did, row.key.to_record_key(), row.version.witnessed))
    }
}
