//! The writer's side of one ring: a community's, or the global one, which has every shared post once.
//!
//! In: changes to its posts and authors. Out: flags in chunks that readers hold, entries behind the last one, and, when
//! it is published, a new root.
//!
//! | change | where the post belongs | what is done |
//! |---|---|---|
//! | insert | behind all others | into the last chunk's free room; else that chunk is copied larger, or a new one begun |
//! | insert | elsewhere | its chunk is copied with it, and split where it is full |
//! | fill | behind all others | new chunks of them, behind the last one |
//! | insert | where it was removed | its flag is taken back; with other hashtags than it had, its chunk is copied |
//! | retag | | its chunk is copied, with the other hashtags |
//! | hide, remove | | the flag; a chunk of which more than half is removed is copied without those |
//! | evict | in chunks that are older altogether | they are dropped |
//! | evict | in the next chunk | as removed |
//!
//! What always holds: `chunks` are what readers will see after [`Room::publish`]; what they see now shares every chunk
//! that has not been replaced since. Only the last chunk has free room: another one is begun behind it when it is full,
//! and copies elsewhere are made without. So a chunk gets entries only while it has been the last one ever since it was
//! made, and a reader of an older root does not meet newer entries behind older ones.

use std::iter::once;
use std::ops::Range;
use std::sync::Arc;

use rustc_hash::FxHashMap;

use super::author::Author;
use super::chunk::{Chunk, Hashtags, Key, Row, RowRkey, offset_millis};
use super::pool::Pool;
use super::root::Root;
use super::seats::{SeatTable, Taken};
use crate::fact::{CommunityId, FilledPost, PostKey, ShortKey, Tags};
use crate::limits::{CHUNK_ENTRIES, CHUNK_ENTRIES_FIRST};
use crate::syntax::Did;

/// One ring, to be changed.
pub(super) struct Room {
    hashtags: Hashtags,
    chunks: Vec<Held>,
    seats: SeatTable,
    /// Whether readers have an older root than this.
    pub(super) is_dirty: bool,
    /// Posts that are not removed.
    pub(super) live: u64,
    /// The time of the oldest post that is not removed. The writer's order of eviction goes by it.
    pub(super) due: Option<i64>,
}

/// The seats of authors in a ring that is being filled, so that they are not looked for by their texts again and again.
pub(super) struct FilledSeats {
    /// The ring.
    pub(super) id: Option<CommunityId>,
    /// Who they are, by index.
    pub(super) authors: Arc<[Did]>,
    /// Their seats, by the same.
    pub(super) seats: FxHashMap<u32, u32>,
}

/// A chunk, and how many of its entries are removed.
struct Held {
    chunk: Arc<Chunk>,
    dead: usize,
}

impl Held {
    fn live(&self) -> usize {
        self.chunk.entries().len() - self.dead
    }

    fn rows(&self) -> impl Iterator<Item = Row> + '_ {
        self.chunk.rows(0..usize::MAX)
    }
}

/// Where a key is, or would be.
enum Place {
    /// An entry has this key.
    Here(usize, usize),
    /// None has; it would come into this chunk, before this entry.
    Gap(usize, usize),
}

impl Room {
    pub(super) fn new(hashtags: Hashtags) -> Self {
        Self { hashtags, chunks: Vec::new(), seats: SeatTable::default(), is_dirty: false, live: 0, due: None }
    }

    /// The root that readers are to see, where it is another one than they were given last.
    pub(super) fn take_root(&mut self) -> Option<Root> {
        std::mem::take(&mut self.is_dirty).then(|| {
            let chunks = self.chunks.iter().map(|held| Arc::clone(&held.chunk)).collect();
            Root::new(chunks, self.seats.seats.clone())
        })
    }

    /// Shows or hides an author's posts. `false` where every seat is taken.
    pub(super) fn show(&mut self, author: Author<'_>, shown: bool, pool: &mut Pool) -> bool {
        // Who has no seat is not shown.
        let seat = if shown { self.take_seat(author, pool) } else { self.seats.get(author) };
        let Some(seat) = seat else { return !shown };
        if let Some(seat) = self.seats.seats.get(seat) {
            seat.show(shown);
        }
        true
    }

    fn take_seat(&mut self, author: Author<'_>, pool: &mut Pool) -> Option<u32> {
        match self.seats.take(author, &mut pool.dids) {
            Taken::Seat(seat) => Some(seat),
            Taken::InNewSegment(seat) => {
                self.is_dirty = true;
                Some(seat)
            }
            Taken::Full => None,
        }
    }

    /// `false` where the post is there already, or every seat is taken.
    pub(super) fn insert(&mut self, post: &PostKey, tags: Tags, hidden: bool, pool: &mut Pool) -> bool {
        let key = Key::new(post);
        let Some(seat) = self.take_seat(key.author, pool) else { return false };
        let row = Row { time_millis: key.time_millis, seat, hidden, rkey: key.rkey.into(), tags: self.kept(tags) };
        match self.place(key) {
            Place::Here(at, index) => {
                let revived = self.revive(at, index, row);
                self.live += u64::from(revived);
                return revived;
            }
            Place::Gap(at, index) => self.insert_at(at, index, row, pool),
        }
        self.live += 1;
        true
    }

    /// Gives a post other hashtags. `false` where it is not there.
    pub(super) fn retag(&mut self, post: &PostKey, tags: Tags) -> bool {
        let Place::Here(at, index) = self.place(Key::new(post)) else { return false };
        let row = self.chunks[at].chunk.row(index);
        if self.chunks[at].chunk.entries()[index].meta().is_removed() {
            return false;
        }
        let tags = self.kept(tags);
        if row.tags != tags {
            self.put_again(at, index, Row { tags, ..row });
        }
        true
    }

    /// Of the global ring: the post is there from now on, with these hashtags. `false` where every seat is taken.
    pub(super) fn share(&mut self, post: &PostKey, tags: Tags, pool: &mut Pool) -> bool {
        // Here an author is shown by their posts' being here.
        self.retag(post, tags.clone())
            || (self.show(Author::new(post.did.as_str()), true, pool) && self.insert(post, tags, false, pool))
    }

    /// Puts many posts behind all others, in chunks of their own. Says how many: those whose authors find no seat are left
    /// out. Such as do not come in order, and behind what is there, are inserted one by one.
    pub(super) fn fill(&mut self, seats: &mut FilledSeats, posts: Vec<FilledPost>, pool: &mut Pool) -> usize {
        let authors = Arc::clone(&seats.authors);
        let key = |post: &FilledPost| post.key(&authors);
        let is_next = |post: &FilledPost| match self.place(Key::new(&key(post))) {
            Place::Gap(at, index) => {
                self.chunks.is_empty()
                    || (at + 1 == self.chunks.len() && index == self.chunks[at].chunk.entries().len())
            }
            Place::Here(..) => false,
        };
        let is_later = |a: &FilledPost, b: &FilledPost| {
            a.time_millis < b.time_millis || (a.time_millis == b.time_millis && key(a) < key(b))
        };
        if !posts.first().is_none_or(is_next) || !posts.is_sorted_by(is_later) {
            let insert = |post: FilledPost| match self.hashtags {
                Hashtags::One => self.insert(&post.key(&authors), post.tags, post.hidden, pool),
                Hashtags::Many => self.share(&post.key(&authors), post.tags, pool),
            };
            return posts.into_iter().map(insert).filter(|&inserted| inserted).count();
        }
        let row = |post: FilledPost| {
            let rkey = match post.rkey {
                ShortKey::Tid(tid) => RowRkey::Tid(tid),
                ShortKey::Text(text) => RowRkey::Text(text.as_str().into()),
            };
            let seat = self.seat_for_fill(post.author, seats, pool)?;
            Some(Row { time_millis: post.time_millis, seat, hidden: post.hidden, rkey, tags: self.kept(post.tags) })
        };
        let rows: Vec<Row> = posts.into_iter().filter_map(row).collect();
        self.live += rows.len() as u64;
        for full in rows.chunks(CHUNK_ENTRIES) {
            let end = self.chunks.len();
            self.replace(end..end, full);
        }
        rows.len()
    }

    /// In the global ring an author is shown by their posts' being there.
    fn seat_for_fill(&mut self, author: u32, known: &mut FilledSeats, pool: &mut Pool) -> Option<u32> {
        if let Some(seat) = known.seats.get(&author) {
            return Some(*seat);
        }
        let did = Author::new(known.authors[author as usize].as_str());
        if self.hashtags == Hashtags::Many && !self.show(did, true, pool) {
            return None;
        }
        let seat = self.take_seat(did, pool)?;
        known.seats.insert(author, seat);
        Some(seat)
    }

    /// What entries keep of a post's hashtags: the ring's own one goes without saying.
    fn kept(&self, tags: Tags) -> Option<Tags> {
        Some(tags).filter(|tags| self.hashtags == Hashtags::Many || matches!(tags, Tags::Many(_)))
    }

    /// `false` where the post is not there.
    pub(super) fn remove(&mut self, post: &PostKey) -> bool {
        let Place::Here(at, index) = self.place(Key::new(post)) else { return false };
        let held = &mut self.chunks[at];
        let entry = &held.chunk.entries()[index];
        let meta = entry.meta();
        if meta.is_removed() {
            return false;
        }
        entry.set_meta(meta.removed(true));
        held.dead += 1;
        self.live -= 1;
        self.tidy(at);
        true
    }

    /// `false` where the post is not there.
    pub(super) fn hide(&self, post: &PostKey, hidden: bool) -> bool {
        let Place::Here(at, index) = self.place(Key::new(post)) else { return false };
        let entry = &self.chunks[at].chunk.entries()[index];
        let meta = entry.meta();
        if meta.is_removed() {
            return false;
        }
        entry.set_meta(meta.hidden(hidden));
        true
    }

    /// Forgets every post before a moment.
    pub(super) fn evict(&mut self, before_millis: i64) {
        let is_old = |held: &&Held| held.chunk.last_millis() < before_millis;
        let gone = self.chunks.iter().take_while(is_old).count();
        if gone > 0 {
            self.live -= self.chunks[..gone].iter().map(|held| held.live() as u64).sum::<u64>();
            self.replace(0..gone, &[]);
        }
        let Some(held) = self.chunks.first_mut() else { return };
        for entry in held.chunk.entries() {
            let meta = entry.meta();
            if held.chunk.time_millis(meta) >= before_millis {
                break;
            }
            if !meta.is_removed() {
                entry.set_meta(meta.removed(true));
                held.dead += 1;
                self.live -= 1;
            }
        }
        self.tidy(0);
    }

    /// The time of the oldest post.
    pub(super) fn oldest_millis(&self) -> Option<i64> {
        let chunk = &self.chunks.first()?.chunk;
        let live = chunk.entries().iter().map(|entry| entry.meta()).find(|meta| !meta.is_removed());
        live.map(|meta| chunk.time_millis(meta))
    }

    fn place(&self, key: Key<'_>) -> Place {
        let seats = &self.seats.seats;
        let Some(last) = self.chunks.last() else { return Place::Gap(0, 0) };
        // Most posts are newer than all others.
        let entries = last.chunk.entries();
        if entries.last().is_some_and(|newest| last.chunk.compare(newest, key, seats).is_lt()) {
            return Place::Gap(self.chunks.len() - 1, entries.len());
        }
        let begun = self.chunks.partition_point(|held| {
            held.chunk.entries().first().is_some_and(|first| held.chunk.compare(first, key, seats).is_le())
        });
        let at = begun.saturating_sub(1);
        let chunk = &self.chunks[at].chunk;
        match chunk.entries().binary_search_by(|entry| chunk.compare(entry, key, seats)) {
            Ok(index) => Place::Here(at, index),
            Err(index) => Place::Gap(at, index),
        }
    }

    /// Takes back a removal. `false` where the entry is not removed.
    fn revive(&mut self, at: usize, index: usize, row: Row) -> bool {
        let held = &mut self.chunks[at];
        let entry = &held.chunk.entries()[index];
        let meta = entry.meta();
        if !meta.is_removed() {
            return false;
        }
        if held.chunk.row(index).tags == row.tags {
            held.dead -= 1;
            entry.set_meta(meta.removed(false).hidden(row.hidden));
        } else {
            self.put_again(at, index, row);
        }
        true
    }

    /// Copies a chunk with another row in the place of one entry.
    fn put_again(&mut self, at: usize, index: usize, row: Row) {
        let chunk = &self.chunks[at].chunk;
        let (before, behind) = (chunk.rows(0..index), chunk.rows(index + 1..usize::MAX));
        let rows: Vec<Row> = before.chain(once(row)).chain(behind).collect();
        self.replace(at..at + 1, &rows);
    }

    fn insert_at(&mut self, at: usize, index: usize, row: Row, pool: &mut Pool) {
        let Some(held) = self.chunks.get(at) else { return self.replace(0..0, &[row]) };
        let is_newest = at + 1 == self.chunks.len() && index == held.chunk.entries().len();
        if is_newest && held.chunk.append(&row) {
            return;
        }
        if is_newest && held.live() >= CHUNK_ENTRIES {
            return self.begin_chunk(&row, pool);
        }
        let end = self.end_of_copy(at);
        let (before, behind) = (held.chunk.rows(0..index), held.chunk.rows(index..usize::MAX));
        let later = self.chunks[at + 1..end].iter().flat_map(Held::rows);
        let rows: Vec<Row> = before.chain(once(row)).chain(behind).chain(later).collect();
        self.replace(at..end, &rows);
    }

    /// Begins a chunk behind the last one.
    fn begin_chunk(&mut self, row: &Row, pool: &mut Pool) {
        let chunk = Chunk::of_entries(std::slice::from_ref(row), pool.entries(), self.hashtags);
        let chunk = Arc::new(chunk.expect("invariant: a row is near itself in time"));
        self.chunks.push(Held { chunk, dead: 0 });
        self.is_dirty = true;
    }

    /// Up to where chunks are copied for an insertion into one of them. A full one before a last one that has just begun
    /// is put together with it, so that a post that is a little late does not leave two halves behind.
    fn end_of_copy(&self, at: usize) -> usize {
        let is_full = self.chunks[at].live() >= CHUNK_ENTRIES;
        let has_begun = |last: &Held| last.live() <= CHUNK_ENTRIES / 2;
        match &self.chunks[at + 1..] {
            [last] if is_full && has_begun(last) => at + 2,
            _ => at + 1,
        }
    }

    /// Copies a chunk of which more than half is removed, together with the one before where both are small.
    fn tidy(&mut self, at: usize) {
        let held = &self.chunks[at];
        if held.dead <= held.live() {
            return;
        }
        let are_small = |before: &usize| self.chunks[*before].live() + held.live() <= CHUNK_ENTRIES / 2;
        let start = at.checked_sub(1).filter(are_small).unwrap_or(at);
        let rows: Vec<Row> = self.chunks[start..=at].iter().flat_map(Held::rows).collect();
        self.replace(start..at + 1, &rows);
    }

    /// Puts new chunks of `rows` in the place of some.
    fn replace(&mut self, range: Range<usize>, rows: &[Row]) {
        let is_last = range.end == self.chunks.len();
        let mut pieces = Vec::new();
        let mut rest = rows;
        while !rest.is_empty() {
            let (piece, later) = rest.split_at(piece_length(rest, is_last));
            let capacity = match (is_last && later.is_empty(), range.start + pieces.len()) {
                (false, _) => piece.len(),
                (true, 0) => (piece.len() + 1).next_power_of_two().clamp(CHUNK_ENTRIES_FIRST, CHUNK_ENTRIES),
                (true, _) => CHUNK_ENTRIES,
            };
            let chunk = Chunk::new(piece, capacity, self.hashtags)
                .expect("invariant: a piece has rows, near each other in time");
            pieces.push(Held { chunk: Arc::new(chunk), dead: 0 });
            rest = later;
        }
        self.chunks.splice(range, pieces);
        self.is_dirty = true;
    }
}

/// How many of the first rows make one chunk. At the end of a community posts come in time order, more or less: a split
/// leaves the older chunk fuller there.
fn piece_length(rows: &[Row], is_last: bool) -> usize {
    let length = match rows.len() {
        few if few <= CHUNK_ENTRIES => few,
        _ if is_last => CHUNK_ENTRIES - CHUNK_ENTRIES / 4,
        many => (many / 2).min(CHUNK_ENTRIES),
    };
    let base_millis = rows[0].time_millis;
    rows[..length].partition_point(|row| offset_millis(base_millis, row.time_millis).is_some())
}
