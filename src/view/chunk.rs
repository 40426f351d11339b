//! A run of entries in order.
//!
//! In: rows, at its making or (the last chunk of a community) one by one. Out: entries below the published length.
//! What always holds: below that length nothing changes but flags; keys ascend strictly; there is at least one entry in
//! a chunk that readers can reach.

use std::cmp::Ordering as Order;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::entry::{Entry, Meta};
use super::seats::Seats;
use crate::fact::PostKey;
use crate::syntax::{Tid, compare_before_slash};

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

/// A [`PostKey`], borrowed, its rkey made out.
#[derive(Clone, Copy, Debug)]
pub(super) struct Key<'a> {
    pub(super) time_millis: i64,
    pub(super) did: &'a str,
    pub(super) rkey: Rkey<'a>,
}

impl<'a> Key<'a> {
    pub(super) fn new(post: &'a PostKey) -> Self {
        Self { time_millis: post.time_millis, did: post.did.as_str(), rkey: Rkey::new(post.rkey.as_str()) }
    }
}

/// An entry with everything that its chunk knows of it: what chunks are made of.
#[derive(Clone, Debug)]
pub(super) struct Row {
    pub(super) time_millis: i64,
    pub(super) seat: u32,
    pub(super) hidden: bool,
    pub(super) rkey: RowRkey,
}

/// A [`Rkey`] that a chunk can keep.
#[derive(Clone, Debug)]
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
    /// Rkeys that are no TID.
    side: Box<[Arc<str>]>,
}

impl Chunk {
    /// Makes a chunk of rows in order. It has room for `capacity` entries, and at least for the rows.
    ///
    /// `None` where a row is too far from the first one ([`offset_millis`]), or where there is no row.
    pub(super) fn new(rows: &[Row], capacity: usize) -> Option<Self> {
        let base_millis = rows.first()?.time_millis;
        let entries: Box<[Entry]> = (0..capacity.max(rows.len())).map(|_| Entry::default()).collect();
        let mut side = Vec::new();
        for (entry, row) in entries.iter().zip(rows) {
            let offset = offset_millis(base_millis, row.time_millis)?;
            let (word, is_side) = match &row.rkey {
                RowRkey::Tid(tid) => (tid.to_u64(), false),
                RowRkey::Text(text) => {
                    side.push(Arc::clone(text));
                    (side.len() as u64 - 1, true)
                }
            };
            entry.rkey.store(word, Ordering::Relaxed);
            entry.set_meta(Meta::new(row.seat, offset, is_side).hidden(row.hidden));
        }
        Some(Self { base_millis, published: AtomicUsize::new(rows.len()), entries, side: side.into() })
    }

    /// Writer only: puts a row behind the last one, for readers to see at once. `false` where it does not fit: no room,
    /// too late for the base, or a rkey for the side table, which is only made with the chunk.
    ///
    /// The row comes after the last one, and no chunk has ever come after this one: a reader may be walking older chunks
    /// than those that are published now.
    pub(super) fn append(&self, row: &Row) -> bool {
        let at = self.published.load(Ordering::Relaxed);
        let (Some(entry), RowRkey::Tid(tid), Some(offset)) =
            (self.entries.get(at), &row.rkey, offset_millis(self.base_millis, row.time_millis))
        else {
            return false;
        };
        entry.rkey.store(tid.to_u64(), Ordering::Relaxed);
        entry.set_meta(Meta::new(row.seat, offset, false).hidden(row.hidden));
        // Hands the two words over to whoever sees the new length.
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
        let at = usize::try_from(word).expect("invariant: an index of the side table");
        Rkey::Text(&self.side[at])
    }

    /// The entry against a key, as [`PostKey`]s are compared.
    pub(super) fn compare(&self, entry: &Entry, key: Key<'_>, seats: &Seats) -> Order {
        let meta = entry.meta();
        self.time_millis(meta).cmp(&key.time_millis).then_with(|| {
            // A seat that the pinned root does not have belongs to an entry that came after the pin. Such entries are last
            // in the last chunk. Taken as greatest, they do not lead a search among those before them astray.
            let Some(seat) = seats.get(meta.seat()) else { return Order::Greater };
            compare_before_slash(seat.did(), key.did)
                .then_with(|| self.rkey(entry.rkey.load(Ordering::Relaxed), meta).cmp(key.rkey))
        })
    }

    /// Rows of those of some entries (all where the range is wider) that are not removed.
    pub(super) fn rows(&self, range: Range<usize>) -> impl Iterator<Item = Row> + '_ {
        let entries = self.entries();
        let end = range.end.min(entries.len());
        entries[range.start..end].iter().filter(|entry| !entry.meta().is_removed()).map(|entry| {
            let (word, meta) = (entry.rkey.load(Ordering::Relaxed), entry.meta());
            let rkey = match self.rkey(word, meta) {
                Rkey::Tid(tid) => RowRkey::Tid(tid),
                Rkey::Text(_) => RowRkey::Text(Arc::clone(&self.side[word as usize])),
            };
            Row { time_millis: self.time_millis(meta), seat: meta.seat(), hidden: meta.is_hidden(), rkey }
        })
    }
}

/// How far a time is after a base, where 32 bits hold it: within 49 days.
pub(super) fn offset_millis(base_millis: i64, time_millis: i64) -> Option<u32> {
    u32::try_from(time_millis.checked_sub(base_millis)?).ok()
}
