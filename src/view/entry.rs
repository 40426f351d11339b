//! One post in 16 bytes.
//!
//! ```text
//!   word 0   TID of the rkey, or where the side flag is set (the rkey is no TID, or there are several hashtags): index
//!            into the chunk's side table
//!   word 1   63 ……………… 40 | 39 ……………… 35 | 34   | 33      | 32     | 31 …………………………………………………… 0
//!            author's seat | 0           | side | removed | hidden | milliseconds since the chunk's base
//! ```
//! Both words are written once, before the chunk's published length covers them; after that the writer changes the two
//! flags `removed` and `hidden` alone. A reader loads word 1 once, so it sees one state of an entry.

use crate::sync::{AtomicU64, Ordering};

/// The two words in a chunk.
#[derive(Debug, Default)]
pub(super) struct Entry {
    pub(super) rkey: AtomicU64,
    pub(super) meta: AtomicU64,
}

const HIDDEN: u64 = 1 << 32;
const REMOVED: u64 = 1 << 33;
const SIDE: u64 = 1 << 34;
const SEAT_SHIFT: u32 = 40;

const _: () = assert!(crate::limits::SEATS_MAX == 1 << (u64::BITS - SEAT_SHIFT));

/// Word 1, as loaded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Meta(u64);

impl Meta {
    pub(super) const fn new(seat: u32, offset_millis: u32, side: bool) -> Self {
        let side = if side { SIDE } else { 0 };
        Self((seat as u64) << SEAT_SHIFT | side | offset_millis as u64)
    }

    pub(super) const fn seat(self) -> u32 {
        (self.0 >> SEAT_SHIFT) as u32
    }

    pub(super) const fn offset_millis(self) -> u32 {
        self.0 as u32
    }

    pub(super) const fn is_side(self) -> bool {
        self.0 & SIDE != 0
    }

    pub(super) const fn is_hidden(self) -> bool {
        self.0 & HIDDEN != 0
    }

    pub(super) const fn is_removed(self) -> bool {
        self.0 & REMOVED != 0
    }

    /// Neither hidden nor removed: one test for the reader's walk.
    pub(super) const fn is_plain(self) -> bool {
        self.0 & (HIDDEN | REMOVED) == 0
    }

    #[must_use]
    pub(super) const fn hidden(self, hidden: bool) -> Self {
        if hidden { Self(self.0 | HIDDEN) } else { Self(self.0 & !HIDDEN) }
    }

    #[must_use]
    pub(super) const fn removed(self, removed: bool) -> Self {
        if removed { Self(self.0 | REMOVED) } else { Self(self.0 & !REMOVED) }
    }
}

impl Entry {
    /// Live: what the writer has stored last, or is about to replace.
    pub(super) fn meta(&self) -> Meta {
        Meta(self.meta.load(Ordering::Relaxed))
    }

    /// Writer only.
    pub(super) fn set_meta(&self, meta: Meta) {
        self.meta.store(meta.0, Ordering::Relaxed);
    }
}
