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

mod packed;
mod row;

use std::borrow::Cow;
use std::cmp::Ordering;
use std::hint::black_box;

use xxhash_rust::xxh3::xxh3_64_with_seed;

use packed::Rows;
pub(super) use row::{Places, PostBody, PostRow};

use super::Fold;
use super::config::Community;
use super::due::Due;
use super::feeds::Place;
use super::index::Index;
use super::names::{DidIndex, Key};
use super::people::People;
use super::told::Told;
use super::version::Version;
use crate::fact::{Change, CommunityId, Post, PostKey, Record, Tags};
use crate::limits::RETENTION_MICROS;
use crate::syntax::{Did, RecordKey, Tid, Time};

/// All of them, by number. Numbers are used again.
#[derive(Debug, Default)]
pub(super) struct Posts {
    index: Index,
    rows: Rows,
    due: Due,
    /// How many are held.
    held: usize,
}

const ROOM: &str = "invariant: memory ends before 2^32 posts";

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
        self.index.find(hash_of(author, key), |number| self.rows.is(number, author, key))
    }

    /// Reads ahead for [`Posts::find`] of these posts (`warm`).
    pub fn warm(&self, posts: impl Iterator<Item = (DidIndex, Key)>, found: &mut Vec<u32>) {
        found.clear();
        self.index.warm(posts.map(|(author, key)| hash_of(author, &key)), found);
        black_box(found.iter().fold(0, |sum: i64, &number| sum ^ self.rows.due_millis(number).unwrap_or(0)));
    }

    /// A post, whole. What is asked often has a question of its own below.
    pub fn row(&self, number: u32) -> Cow<'_, PostRow> {
        self.rows.row(number)
    }

    pub fn author(&self, number: u32) -> DidIndex {
        self.rows.author(number)
    }

    pub fn key(&self, number: u32) -> Key {
        self.rows.key(number)
    }

    pub fn rev(&self, number: u32) -> Tid {
        self.rows.rev(number)
    }

    pub fn is_shared(&self, number: u32) -> bool {
        self.rows.is_shared(number)
    }

    /// The time of a post in milliseconds.
    pub fn time_millis(&self, number: u32) -> i64 {
        self.rows.time_millis(number)
    }

    /// The hashtags of a post as the view is told them; `None` where there is none.
    pub fn tags_told(&self, number: u32) -> Option<Tags> {
        self.rows.tags_told(number)
    }

    /// The place of a post in the feed of a hashtag, while it is held.
    pub fn place(&self, number: u32, id: CommunityId) -> Option<Place> {
        self.rows.place(number, id)
    }

    /// One place of a post, while there are so many.
    pub fn place_at(&self, number: u32, at: usize) -> Option<Place> {
        self.rows.place_at(number, at)
    }

    /// The places of a post, while it is held.
    pub fn held_places(&self, number: u32) -> impl Iterator<Item = Place> {
        (0..).map_while(move |at| self.rows.place_at(number, at)).filter(move |_| self.rows.is_held(number))
    }

    pub fn iter(&self) -> impl Iterator<Item = (u32, Cow<'_, PostRow>)> {
        self.rows.iter()
    }

    /// How many numbers were ever used: all are less.
    pub fn numbers(&self) -> usize {
        self.rows.numbers()
    }

    /// Adds a post of a snapshot; `None` where there are too many. It can be found after [`Posts::derive_index`]; whether it
    /// is held, and where, is said later ([`Posts::derive_held`]).
    pub fn restore(&mut self, row: PostRow) -> Option<()> {
        self.rows.add(row).map(drop)
    }

    /// How many there are after a snapshot was read: numbers have no holes then.
    pub fn restored(&self) -> u32 {
        u32::try_from(self.rows.numbers()).expect("invariant: each got a number")
    }

    /// Enters all restored posts into the index, whose size is known by now: it need not grow. The first that is there twice
    /// is an error.
    pub fn derive_index(&mut self) -> Result<(), u32> {
        self.index = Index::with_room_for(self.rows.numbers());
        for number in 0..self.restored() {
            let (author, key) = (self.rows.author(number), self.rows.key(number));
            let hash = hash_of(author, &key);
            if self.index.find(hash, |known| self.rows.is(known, author, &key)).is_some() {
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
            if shown && !hidden {
                self.set_shared(number, true);
            }
        }
    }

    /// All posts by the moment at which the clock looks at them, in order: that of a held one is its time.
    pub fn due(&self) -> impl Iterator<Item = (i64, u32)> {
        self.due.in_order(|number| self.rows.due_millis(number)).flatten()
    }

    fn is_due(&self, number: u32, millis: i64) -> bool {
        self.rows.due_millis(number) == Some(millis)
    }

    /// Takes the posts out that the clock has to look at before a moment, those of one minute at a time.
    fn take_due_before(&mut self, millis: i64) -> Option<Vec<u32>> {
        let Self { due, rows, .. } = self;
        due.take_minute_before(millis, |number| rows.due_millis(number))
    }

    /// Says when the clock has to look at a post again.
    fn set_due(&mut self, number: u32) {
        let due_of = |number| self.rows.due_millis(number);
        self.due.insert(due_of(number).expect("invariant: it is there"), number);
        if self.due.is_full(self.index.len()) {
            let mut due = Due::default();
            self.rows.iter().for_each(|(number, row)| due.insert(row.due_millis(), number));
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
        let did = people[self.rows.author(number)].did.clone();
        PostKey { time_millis: self.rows.time_millis(number), did, rkey: self.rows.key(number).to_record_key() }
    }

    pub fn set_position(&mut self, number: u32, id: CommunityId, position: usize) {
        let position = u32::try_from(position).expect(ROOM);
        assert!(self.rows.set_position(number, id, position), "invariant: only posts with the hashtag have a position");
    }

    /// Notes that a post has been given up in one feed.
    pub fn lose_position(&mut self, number: u32, id: CommunityId) {
        self.rows.set_position(number, id, Place::NOWHERE);
    }

    /// Forgets a post that stands in no feed: one that was given up in all of them, or a tombstone.
    pub fn forget_placeless(&mut self, number: u32) {
        let mut places = (0..).map_while(|at| self.rows.place_at(number, at));
        if self.rows.is_held(number) && places.any(|place| place.position != Place::NOWHERE) {
            return;
        }
        self.set_held(number, false);
        self.forget(number);
    }

    /// By time, then AT-URI, of posts of one author.
    pub fn compare_of_author(&self, a: u32, b: u32) -> Ordering {
        let time_millis = |number| self.rows.time_millis(number);
        time_millis(a).cmp(&time_millis(b)).then_with(|| self.rows.key(a).compare_text(&self.rows.key(b)))
    }

    /// Notes what the view is told of a post as it enters the ring, or as it is judged again: whether it is hidden.
    pub fn enter_ring(&mut self, number: u32, id: CommunityId, community: &Community) -> bool {
        let is_hidden = || community.hides(&(self.rows.author(number), self.rows.key(number)));
        let hidden = !community.posts.is_empty() && is_hidden();
        self.rows.set_hidden(number, id, hidden);
        hidden
    }

    pub fn set_shared(&mut self, number: u32, shared: bool) {
        self.rows.set_shared(number, shared);
    }

    fn add(&mut self, row: PostRow) -> u32 {
        let hash = hash_of(row.author, &row.key);
        let number = self.rows.add(row).expect(ROOM);
        self.index.insert(hash, number);
        number
    }

    fn forget(&mut self, number: u32) {
        let hash = hash_of(self.rows.author(number), &self.rows.key(number));
        self.index.remove(hash, number);
        self.rows.remove(number);
    }

    fn set_held(&mut self, number: u32, held: bool) {
        let was_held = self.rows.is_held(number);
        self.rows.set_held(number, held);
        self.held = self.held + usize::from(held) - usize::from(was_held);
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
            let news = self.posts.row(known).version.merge(version, PostBody::form);
            if let Some(news) = news {
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
        let mut row = self.posts.row(number).into_owned();
        let (author, was_held, was_shared) = (row.author, row.is_held, row.is_shared);
        let (old_due, old_key_millis) = (row.due_millis(), row.time_millis());
        let old = std::mem::replace(&mut row.version, news);
        let moved = row.time_millis() != old_key_millis;
        let live = row.version.live(self.people[author].account().deleted_at);
        let held = live.is_some_and(|body| !body.places.is_empty()) && row.time_millis() >= horizon;
        if let Some(body) = &mut row.version.body {
            // A merged version is a copy of the old one: its places must be found again.
            body.places.iter_mut().for_each(|place| place.position = Place::NOWHERE);
        }
        // A post that leaves, or that the view knows by another key, is shared under this one no more.
        let stays_shared = was_shared && held && !moved;
        row.is_shared = stays_shared;
        self.posts.rows.put(number, row);
        self.posts.set_held(number, held);

        let old_body = old.body.filter(|_| was_held);
        let had_places = old_body.is_some();
        let old_tags = old_body.as_ref().and_then(PostBody::tags_told);
        if was_shared && !stays_shared {
            out.push(|| Change::Unshare { post: self.posts.row(number).key_at(old_key_millis, &self.people) });
        }
        for &place in old_body.iter().flat_map(|body| body.places.iter()) {
            if held && self.posts.rows.set_position(number, place.id, place.position) {
                self.posts.rows.set_hidden(number, place.id, place.hidden);
                self.refresh_place(number, &place, old_key_millis, old_tags.as_ref(), out);
            } else if self.leave(author, place) {
                let post = self.posts.row(number).key_at(old_key_millis, &self.people);
                out.push(|| Change::Remove { id: place.id, post });
            }
        }
        if held {
            self.enter_new_places(number, author, out);
            if had_places {
                self.refresh_shared(number, old_tags.as_ref().filter(|_| stays_shared), out);
            }
        }
        if !self.posts.is_due(number, old_due) {
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
        let id = place.id;
        let post = self.posts.post_key(number, &self.people);
        let tags = self.posts.tags_told(number).expect("invariant: it has this hashtag");
        if post.time_millis != old_key_millis {
            out.push(|| Change::Remove { id, post: PostKey { time_millis: old_key_millis, ..post.clone() } });
            out.push(|| Change::Insert { id, post, tags, hidden: place.hidden });
        } else if old_tags != Some(&tags) {
            out.push(|| Change::Retag { id, post, tags });
        }
    }

    /// Tells the view what a post that is held is to other communities, after its places are up to date. `old_tags` are
    /// those it was told, where the post is shared still under the same key.
    fn refresh_shared(&mut self, number: u32, old_tags: Option<&Tags>, out: &mut Told<'_>) {
        self.unshare(number, out);
        let (tags, is_shared) = (self.posts.tags_told(number), self.posts.is_shared(number));
        match tags.filter(|tags| is_shared && old_tags.is_some_and(|old| old != tags)) {
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
            let version = self.posts.row(number).into_owned().version;
            if version.is_ended(self.people[author].account().deleted_at) {
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
        while let Some(of_minute) = self.posts.take_due_before(horizon) {
            for number in of_minute {
                evicts |= self.evict(number);
                if self.posts.rows.due_millis(number).is_some_and(|rev_millis| rev_millis < horizon) {
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
        if !self.posts.rows.is_held(number) {
            return false;
        }
        let (author, millis) = (self.posts.author(number), self.posts.time_millis(number));
        let mut was_in_ring = false;
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
