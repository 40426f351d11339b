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

use std::sync::Arc;

use arc_swap::Guard;

use super::author::Author;
use super::chunk::{Chunk, Key, Rkey};
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
    pub(super) seats: Seats,
}

/// A pinned root.
pub(super) type Pin = Guard<Arc<Root>>;

impl Root {
    /// Hands the visible entries to `each`, newest first, with their time, until it says `false`.
    pub(super) fn walk(&self, after: Option<&PostKey>, oldest_millis: i64, mut each: impl FnMut(Item, i64) -> bool) {
        let (mut count, mut length) = self.start(after);
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
                if !self.is_visible(meta) {
                    continue;
                }
                if !each(Item::new(entry, meta, at), time_millis) {
                    return;
                }
            }
            (count, length) = (at, None);
        }
    }

    fn is_visible(&self, meta: Meta) -> bool {
        meta.is_plain() && self.seats.get(meta.seat()).is_some_and(|seat| seat.is_shown())
    }

    /// How many chunks a walk goes through, and how many entries of the last of them (all where it is absent).
    fn start(&self, after: Option<&PostKey>) -> (usize, Option<usize>) {
        let Some(after) = after else { return (self.chunks.len(), None) };
        let key = Key::new(after);
        let count = self.chunks.partition_point(|chunk| chunk.begins_before(key, &self.seats));
        let length = count.checked_sub(1).map(|at| self.older(at, key));
        (count, length)
    }

    /// How many entries of a chunk are older than a key.
    fn older(&self, at: usize, key: Key<'_>) -> usize {
        let chunk = &self.chunks[at];
        chunk.entries().partition_point(|entry: &Entry| chunk.compare(entry, key, &self.seats).is_lt())
    }

    /// Author and rkey of an item of this root.
    pub(super) fn words(&self, item: &Item) -> (Author<'_>, Rkey<'_>) {
        // The walk met both under this pin.
        let author = self.seats.author(item.meta.seat()).expect("invariant: the walk found the seat");
        (author, self.chunks[item.chunk as usize].rkey(item.rkey, item.meta))
    }

    /// Appends the line of an item of this root.
    #[inline]
    pub(super) fn write_line(&self, item: &Item, out: &mut Vec<u8>) {
        let plc = self.seats.get(item.meta.seat()).and_then(Seat::plc);
        match plc.filter(|_| !item.meta.is_side()) {
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
            if self.root.is_visible(meta) && accepts(&step) {
                return Some(step.item);
            }
        }
    }
}
