//! What a reader pins of one ring, and the walks from its newest post to older ones.
//!
//! ```text
//!   root:   chunk 0 (oldest)  [e e e e]   chunk 1  [e e e e e e]   chunk 2  [e e e + +]     + published after the pin
//!   walk:                     ◄──────────◄─────────────────────◄─────────── from the end, or from before the cursor
//! ```
//! A pinned root fixes which chunks there are. Its last chunk may get more entries meanwhile, all of them newer than
//! everything that is pinned; a walk takes each chunk's length once.
//!
//! There are two walks over the same ground: [`Root::walk`] hands over everything visible, and is as fast as a page of
//! one source needs; [`Steps`] goes one step when it is asked, and can be told to leave more out, as a mixed page needs.

use std::hint::black_box;
use std::sync::Arc;

use arc_swap::Guard;

use super::author::Author;
use super::chunk::{Chunk, Key, Rkey, touch};
use super::entry::{Entry, Meta};
use super::line::{write_line, write_usual_line};
use super::page::Item;
use super::seats::{Seat, Seats};
use crate::fact::{CommunityId, PostKey};
use crate::syntax::Tid;

/// The chunks and seats of one ring at one moment.
#[derive(Debug, Default)]
pub(super) struct Root {
    /// Oldest first; none is empty.
    pub(super) chunks: Box<[Arc<Chunk>]>,
    /// When each begins, side by side: a search among chunks touches none of them.
    bases: Box<[i64]>,
    pub(super) seats: Seats,
}

/// A pinned root.
pub(super) type Pin = Guard<Arc<Root>>;

impl Root {
    /// Of chunks in order, none of them empty.
    pub(super) fn new(chunks: Box<[Arc<Chunk>]>, seats: Seats) -> Self {
        let bases = chunks.iter().map(|chunk| chunk.base_millis()).collect();
        Self { chunks, bases, seats }
    }

    /// Hands the visible entries to `each`, newest first, with their time, until it says `false`: most likely after
    /// `likely` of them.
    pub(super) fn walk(
        &self,
        after: Option<&PostKey>,
        oldest_millis: i64,
        likely: usize,
        mut each: impl FnMut(Item, i64, &Seat) -> bool,
    ) {
        let (mut count, mut length) = self.start(after);
        if let (Some(at), Some(length)) = (count.checked_sub(1), length) {
            self.touch(&self.chunks[at].entries()[length.saturating_sub(likely)..length]);
        }
        while let Some(at) = count.checked_sub(1) {
            let chunk = &self.chunks[at];
            let entries = chunk.entries();
            let entries = &entries[..length.unwrap_or(entries.len())];
            for entry in entries.iter().rev() {
                let meta = entry.meta();
                let time_millis = chunk.time_millis(meta);
                if time_millis < oldest_millis {
                    return;
                }
                let Some(seat) = self.visible(meta) else { continue };
                if !each(Item::new(entry, meta, at), time_millis, seat) {
                    return;
                }
            }
            (count, length) = (at, None);
        }
    }

    /// The author's seat, where the post is visible.
    #[inline]
    fn visible(&self, meta: Meta) -> Option<&Seat> {
        if meta.is_plain() { self.seats.get(meta.seat()).filter(|seat| seat.is_shown()) } else { None }
    }

    /// How many chunks a walk goes through, and how many entries of the last of them (all where it is absent).
    fn start(&self, after: Option<&PostKey>) -> (usize, Option<usize>) {
        let Some(after) = after else { return (self.chunks.len(), None) };
        let key = Key::new(after);
        let mut count = self.bases.partition_point(|&base_millis| base_millis < key.time_millis);
        let begins_before = |chunk: &Arc<Chunk>| {
            chunk.entries().first().is_some_and(|first| chunk.compare(first, key, &self.seats).is_lt())
        };
        while self.bases.get(count) == Some(&key.time_millis) && begins_before(&self.chunks[count]) {
            count += 1;
        }
        let length = count.checked_sub(1).map(|at| {
            let chunk = &self.chunks[at];
            let end_millis = self.bases.get(count).copied().unwrap_or_else(|| chunk.last_millis());
            chunk.count_before(key, end_millis, &self.seats)
        });
        (count, length)
    }

    /// Reads what a walk is about to need, first the entries, then the seats: behind a cursor they are seldom in a cache.
    fn touch(&self, entries: &[Entry]) {
        touch(entries);
        let seats = entries.iter().rev().map(|entry| self.seats.get(entry.meta().seat()));
        black_box(seats.fold(false, |any, seat| any | seat.is_some_and(Seat::is_shown)));
    }

    /// Author and rkey of an item of this root.
    pub(super) fn words(&self, item: &Item) -> (Author<'_>, Rkey<'_>) {
        // The walk met both under this pin.
        let author = self.seats.author(item.meta.seat()).expect("invariant: the walk found the seat");
        (author, self.chunks[item.chunk as usize].rkey(item.rkey, item.meta))
    }

    /// Appends the line of an item of this root.
    pub(super) fn write_line(&self, item: &Item, out: &mut Vec<u8>) {
        // As in `words`.
        let seat = self.seats.get(item.meta.seat()).expect("invariant: the walk found the seat");
        self.write_line_of(seat, item, out);
    }

    /// The same, where its author's seat is at hand. It is most of what a page costs, and must not pass items through memory.
    #[inline(always)]
    pub(super) fn write_line_of(&self, seat: &Seat, item: &Item, out: &mut Vec<u8>) {
        match seat.plc().filter(|_| !item.meta.is_side()) {
            Some(plc) => write_usual_line(&plc, Tid::from_u64(item.rkey), out),
            None => self.write_unusual_line(item, out),
        }
    }

    #[cold]
    fn write_unusual_line(&self, item: &Item, out: &mut Vec<u8>) {
        let (author, rkey) = self.words(item);
        write_line(author, rkey, out);
    }

    /// The key of an item of this root.
    pub(super) fn key(&self, item: &Item) -> Key<'_> {
        let (author, rkey) = self.words(item);
        Key { time_millis: self.time_millis(item), author, rkey }
    }

    /// The time of an item of this root.
    pub(super) fn time_millis(&self, item: &Item) -> i64 {
        self.chunks[item.chunk as usize].time_millis(item.meta)
    }
}

/// A walk that goes one step at a time.
pub(super) struct Steps<'a> {
    root: &'a Root,
    oldest_millis: i64,
    /// The chunk that is walked.
    at: usize,
    /// How many of its entries are still ahead.
    ahead: usize,
}

/// An entry that a walk stands on.
pub(super) struct Step<'a> {
    chunk: &'a Chunk,
    index: usize,
    pub(super) item: Item,
}

impl Step<'_> {
    /// Whether the post carries a hashtag beside that of its ring.
    pub(super) fn carries(&self, id: CommunityId) -> bool {
        self.chunk.carries(self.index, self.item.meta, id)
    }
}

impl<'a> Steps<'a> {
    /// From behind a key, or from the newest on.
    pub(super) fn new(root: &'a Root, after: Option<&PostKey>, oldest_millis: i64) -> Self {
        let (count, length) = root.start(after);
        match count.checked_sub(1) {
            Some(at) => {
                let ahead = length.unwrap_or_else(|| root.chunks[at].entries().len());
                Self { root, oldest_millis, at, ahead }
            }
            None => Self { root, oldest_millis, at: 0, ahead: 0 },
        }
    }

    /// The next visible entry that `accepts` takes.
    pub(super) fn next(&mut self, mut accepts: impl FnMut(&Step<'a>) -> bool) -> Option<Item> {
        loop {
            while self.ahead == 0 {
                self.at = self.at.checked_sub(1)?;
                self.ahead = self.root.chunks[self.at].entries().len();
            }
            self.ahead -= 1;
            let (chunk, index) = (&*self.root.chunks[self.at], self.ahead);
            let entry = &chunk.entries()[index];
            let meta = entry.meta();
            if chunk.time_millis(meta) < self.oldest_millis {
                (self.at, self.ahead) = (0, 0);
                return None;
            }
            let step = Step { chunk, index, item: Item::new(entry, meta, self.at) };
            if self.root.visible(meta).is_some() && accepts(&step) {
                return Some(step.item);
            }
        }
    }
}
