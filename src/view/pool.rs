//! What the rings of one writer share.
//!
//! In: the writer keeps it filled. Out: an author's DID that another ring has already; entries for a chunk that is begun.
//!
//! One post in a few hundred begins a chunk. Its entries are fresh memory, which the kernel hands out page by page as it is
//! touched, and that takes many times what an append takes. So they are made before: when a batch is published.

use super::entry::Entry;
use super::seats::Dids;
use crate::limits::CHUNK_ENTRIES;

#[derive(Debug, Default)]
pub(super) struct Pool {
    pub(super) dids: Dids,
    blank: Option<Box<[Entry]>>,
}

impl Pool {
    /// The entries of a full chunk.
    pub(super) fn entries(&mut self) -> Box<[Entry]> {
        self.blank.take().unwrap_or_else(|| blank(CHUNK_ENTRIES))
    }

    /// Between batches: makes what was taken.
    pub(super) fn fill(&mut self) {
        self.blank.get_or_insert_with(|| blank(CHUNK_ENTRIES));
    }
}

/// Entries to be written.
pub(super) fn blank(length: usize) -> Box<[Entry]> {
    (0..length).map(|_| Entry::default()).collect()
}
