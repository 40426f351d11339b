//! A run of entries in order.
//!
//! In: rows, at its making or (the last chunk of a community) one by one. Out: entries below the published length.
//! What always holds: below that length nothing changes but flags; keys ascend strictly; there is at least one entry in
//! a chunk that readers can reach.

use std::cmp::Ordering as Order;
use std::hint::black_box;
use std::ops::Range;
use std::sync::Arc;

use super::author::Author;
use super::entry::{Entry, Meta};
use super::pool::blank;
use super::seats::Seats;
use crate::fact::{CommunityId, PostKey, Tags};
use crate::sync::{AtomicU32, AtomicUsize, Ordering};
use crate::syntax::{RecordKey, Tid};

/// A record key: nearly always a TID.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Rkey<'a> {
    Tid(Tid),
    /// Anything else; never the text of a TID.
    Text(&'a str),
}

impl<'a> Rkey<'a> {
    pub(super) fn new(text: &'a str) -> Self {
        Tid::parse(text).map_or(Self::Text(text), Self::Tid)
    }

    /// Appends the text.
    pub(super) fn push_to(self, text: &mut String) {
        match self {
            Self::Tid(tid) => text.extend(tid.to_bytes().map(char::from)),
            Self::Text(rkey) => text.push_str(rkey),
        }
    }

    fn to_record_key(self) -> RecordKey {
        match self {
            Self::Tid(tid) => tid.into(),
            Self::Text(text) => RecordKey::parse(text).expect("invariant: it was a record key"),
        }
    }

    /// By text, as AT-URIs are compared.
    fn cmp(self, other: Self) -> Order {
        match (self, other) {
            (Self::Tid(a), Self::Tid(b)) => a.cmp(&b),
            (Self::Tid(a), Self::Text(b)) => a.to_bytes().as_slice().cmp(b.as_bytes()),
            (Self::Text(a), Self::Tid(b)) => a.as_bytes().cmp(b.to_bytes().as_slice()),
            (Self::Text(a), Self::Text(b)) => a.cmp(b),
        }
    }
}

/// A [`PostKey`], borrowed, its rkey made out, and compared in the same order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Key<'a> {
    pub(super) time_millis: i64,
    pub(super) author: Author<'a>,
    pub(super) rkey: Rkey<'a>,
}

impl<'a> Key<'a> {
    pub(super) fn new(post: &'a PostKey) -> Self {
        Self {
            time_millis: post.time_millis,
            author: Author::new(post.did.as_str()),
            rkey: Rkey::new(post.rkey.as_str()),
        }
    }
}

impl Key<'_> {
    /// The key as cursors keep it.
    pub(super) fn to_post(self) -> PostKey {
        PostKey { time_millis: self.time_millis, did: self.author.to_did(), rkey: self.rkey.to_record_key() }
    }
}

impl Ord for Key<'_> {
    fn cmp(&self, other: &Self) -> Order {
        self.time_millis
            .cmp(&other.time_millis)
            .then_with(|| self.author.cmp(&other.author))
            .then_with(|| self.rkey.cmp(other.rkey))
    }
}

impl PartialOrd for Key<'_> {
    fn partial_cmp(&self, other: &Self) -> Option<Order> {
        Some(self.cmp(other))
    }
}

/// An entry with everything that its chunk knows of it: what chunks are made of.
#[derive(Clone, Debug)]
pub(super) struct Row {
    pub(super) time_millis: i64,
    pub(super) seat: u32,
    pub(super) hidden: bool,
    pub(super) rkey: RowRkey,
    /// `None` where it is the hashtag of the ring alone.
    pub(super) tags: Option<Tags>,
}

/// A [`Rkey`] that a chunk can keep.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum RowRkey {
    Tid(Tid),
    Text(Arc<str>),
}

impl From<Rkey<'_>> for RowRkey {
    fn from(rkey: Rkey<'_>) -> Self {
        match rkey {
            Rkey::Tid(tid) => Self::Tid(tid),
            Rkey::Text(text) => Self::Text(text.into()),
        }
    }
}

/// A run of entries, with room for more behind them.
#[derive(Debug)]
pub(super) struct Chunk {
    /// The time of the first entry.
    base_millis: i64,
    /// `1 <= published <= entries.len()`
    published: AtomicUsize,
    entries: Box<[Entry]>,
    /// In a ring of many hashtags, the one of each entry that is not in the side table; else empty.
    tags: Box<[AtomicU32]>,
    /// What does not fit into the entries that are flagged so.
    side: Box<[Side]>,
}

/// An entry whose rkey is no TID, or which carries several hashtags.
#[derive(Debug)]
struct Side {
    rkey: RowRkey,
    tags: Option<Tags>,
}

/// Whether a ring is that of one hashtag, or has many.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Hashtags {
    One,
    Many,
}

impl Chunk {
    /// Makes a chunk of rows in order. It has room for `capacity` entries, and at least for the rows.
    ///
    /// `None` where a row is too far from the first one ([`offset_millis`]), or where there is no row.
    pub(super) fn new(rows: &[Row], capacity: usize, hashtags: Hashtags) -> Option<Self> {
        Self::of_entries(rows, blank(capacity.max(rows.len())), hashtags)
    }

    /// Makes a chunk of rows in order, in entries that nobody has used; there are at least as many as rows.
    ///
    /// `None` as [`Chunk::new`] says.
    pub(super) fn of_entries(rows: &[Row], entries: Box<[Entry]>, hashtags: Hashtags) -> Option<Self> {
        let base_millis = rows.first()?.time_millis;
        let capacity = entries.len();
        let slots = if hashtags == Hashtags::Many { capacity } else { 0 };
        let tags: Box<[AtomicU32]> = (0..slots).map(|_| AtomicU32::new(0)).collect();
        let mut side = Vec::new();
        for (at, (entry, row)) in entries.iter().zip(rows).enumerate() {
            let offset = offset_millis(base_millis, row.time_millis)?;
            let (word, is_side) = match row.fits() {
                Some((tid, tag)) => {
                    set_tag(&tags, at, tag);
                    (tid.to_u64(), false)
                }
                None => {
                    side.push(Side { rkey: row.rkey.clone(), tags: row.tags.clone() });
                    (side.len() as u64 - 1, true)
                }
            };
            entry.rkey.store(word, Ordering::Relaxed);
            entry.set_meta(Meta::new(row.seat, offset, is_side).hidden(row.hidden));
        }
        Some(Self { base_millis, published: AtomicUsize::new(rows.len()), entries, tags, side: side.into() })
    }

    /// Writer only: puts a row behind the last one, for readers to see at once. `false` where it does not fit: no room,
    /// too late for the base, or a row for the side table, which is only made with the chunk.
    ///
    /// The row comes after the last one, and no chunk has ever come after this one: a reader may be walking older chunks
    /// than those that are published now.
    pub(super) fn append(&self, row: &Row) -> bool {
        let at = self.published.load(Ordering::Relaxed);
        let (Some(entry), Some((tid, tag)), Some(offset)) =
            (self.entries.get(at), row.fits(), offset_millis(self.base_millis, row.time_millis))
        else {
            return false;
        };
        set_tag(&self.tags, at, tag);
        entry.rkey.store(tid.to_u64(), Ordering::Relaxed);
        entry.set_meta(Meta::new(row.seat, offset, false).hidden(row.hidden));
        // Hands the words over to whoever sees the new length.
        self.published.store(at + 1, Ordering::Release);
        true
    }

    /// The published entries. A reader calls this once for a walk: the length may grow.
    pub(super) fn entries(&self) -> &[Entry] {
        &self.entries[..self.published.load(Ordering::Acquire)]
    }

    #[cfg(test)]
    pub(super) fn capacity(&self) -> usize {
        self.entries.len()
    }

    /// The time of the last published entry.
    pub(super) fn last_millis(&self) -> i64 {
        self.entries().last().map_or(self.base_millis, |entry| self.time_millis(entry.meta()))
    }

    pub(super) fn time_millis(&self, meta: Meta) -> i64 {
        // It was made by `offset_millis`, so it is in range.
        self.base_millis.wrapping_add(i64::from(meta.offset_millis()))
    }

    /// The rkey of an entry of this chunk.
    pub(super) fn rkey(&self, word: u64, meta: Meta) -> Rkey<'_> {
        if !meta.is_side() {
            return Rkey::Tid(Tid::from_u64(word));
        }
        match &self.side(word).rkey {
            RowRkey::Tid(tid) => Rkey::Tid(*tid),
            RowRkey::Text(text) => Rkey::Text(text),
        }
    }

    fn side(&self, word: u64) -> &Side {
        &self.side[usize::try_from(word).expect("invariant: an index of the side table")]
    }

    /// Whether the entry at an index carries a hashtag beside that of its ring.
    pub(super) fn carries(&self, at: usize, meta: Meta, id: CommunityId) -> bool {
        if meta.is_side() {
            let side = self.side(self.entries[at].rkey.load(Ordering::Relaxed));
            return side.tags.as_ref().is_some_and(|tags| tags.contains(id));
        }
        self.tags.get(at).is_some_and(|tag| tag.load(Ordering::Relaxed) == id.0)
    }

    /// The entry against a key, as [`PostKey`]s are compared.
    pub(super) fn compare(&self, entry: &Entry, key: Key<'_>, seats: &Seats) -> Order {
        let meta = entry.meta();
        self.time_millis(meta).cmp(&key.time_millis).then_with(|| {
            // A seat that the pinned root does not have belongs to an entry that came after the pin. Such entries are last
            // in the last chunk. Taken as greatest, they do not lead a search among those before them astray.
            let Some(author) = seats.author(meta.seat()) else { return Order::Greater };
            author.cmp(&key.author).then_with(|| self.rkey(entry.rkey.load(Ordering::Relaxed), meta).cmp(key.rkey))
        })
    }

    /// The time of the first entry.
    pub(super) fn base_millis(&self) -> i64 {
        self.base_millis
    }

    /// How many of the entries are before a key. `end_millis` is about the time of the last one.
    ///
    /// It begins where the key would be if posts came evenly, and goes from there in growing steps: a search by halves
    /// touches a line of memory with nearly each step, and they are seldom in a cache. What lies around the guess is fetched at
    /// once: the steps go there, and then the page does.
    pub(super) fn count_before(&self, key: Key<'_>, end_millis: i64, seats: &Seats) -> usize {
        let entries = self.entries();
        let is_before = |entry: &Entry| self.compare(entry, key, seats).is_lt();
        let part = (key.time_millis as f64 - self.base_millis as f64) / (end_millis as f64 - self.base_millis as f64);
        let (mut low, mut high) = (0, entries.len());
        let guess = ((part * entries.len() as f64) as usize).min(entries.len() - 1);
        touch(&entries[guess.saturating_sub(TOUCHED_BEFORE)..(guess + TOUCHED_BEHIND).min(entries.len())]);
        let mut step = 4;
        if is_before(&entries[guess]) {
            low = guess + 1;
            while let Some(entry) = entries.get(low + step) {
                if !is_before(entry) {
                    high = low + step;
                    break;
                }
                low += step + 1;
                step *= 2;
            }
        } else {
            high = guess;
            while let Some(at) = high.checked_sub(step) {
                if is_before(&entries[at]) {
                    low = at + 1;
                    break;
                }
                high = at;
                step *= 2;
            }
        }
        low + entries[low..high].partition_point(is_before)
    }

    /// Rows of those of some entries (all where the range is wider) that are not removed.
    pub(super) fn rows(&self, range: Range<usize>) -> impl Iterator<Item = Row> + '_ {
        let entries = self.entries();
        let end = range.end.min(entries.len());
        let live = (range.start..end).filter(|&at| !entries[at].meta().is_removed());
        live.map(|at| self.row(at))
    }

    /// The row of an entry, removed or not.
    pub(super) fn row(&self, at: usize) -> Row {
        let (word, meta) = (self.entries[at].rkey.load(Ordering::Relaxed), self.entries[at].meta());
        let (rkey, tags) = if meta.is_side() {
            let side = self.side(word);
            (side.rkey.clone(), side.tags.clone())
        } else {
            let tag = self.tags.get(at).map(|tag| Tags::One(CommunityId(tag.load(Ordering::Relaxed))));
            (RowRkey::Tid(Tid::from_u64(word)), tag)
        };
        Row { time_millis: self.time_millis(meta), seat: meta.seat(), hidden: meta.is_hidden(), rkey, tags }
    }
}

impl Row {
    /// The TID, and the one hashtag (0 where it is the ring's), of a row that needs no side table.
    fn fits(&self) -> Option<(Tid, u32)> {
        match (&self.rkey, &self.tags) {
            (RowRkey::Tid(tid), None) => Some((*tid, 0)),
            (RowRkey::Tid(tid), Some(Tags::One(tag))) => Some((*tid, tag.0)),
            _ => None,
        }
    }
}

/// Entries around a guess: a page, and how far the guess is often off.
const TOUCHED_BEFORE: usize = 48;
const TOUCHED_BEHIND: usize = 16;

/// Reads entries, newest first, with nothing in between that waits for them: the processor fetches as much at once as it is
/// let.
pub(super) fn touch(entries: &[Entry]) {
    const ENTRIES_PER_LINE: usize = 64 / size_of::<Entry>();
    let lines = entries.iter().rev().step_by(ENTRIES_PER_LINE).map(Entry::meta);
    black_box(lines.fold(0, |all, meta| all | meta.seat()));
}

fn set_tag(tags: &[AtomicU32], at: usize, tag: u32) {
    if let Some(slot) = tags.get(at) {
        slot.store(tag, Ordering::Relaxed);
    }
}

/// How far a time is after a base, where 32 bits hold it: within 49 days.
pub(super) fn offset_millis(base_millis: i64, time_millis: i64) -> Option<u32> {
    u32::try_from(time_millis.checked_sub(base_millis)?).ok()
}
