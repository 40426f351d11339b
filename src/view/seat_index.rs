//! Seats by author: a hash table of four bytes a slot.
//!
//! In: the writer puts an author who has a seat. Out: their seat. There may be thousands of communities with hundreds of
//! authors each, so authors are not kept here once more: a slot names a seat, and who sits there is looked up.
//!
//! ```text
//!   slot   31 … 24 | 23 ………… 0         0 where the slot is free
//!          tag     | seat              tag: 1 … 255, from the hash: another author's slot is seldom taken for the right one
//! ```
//! Open addressing with linear probing; an author is never taken out. Authors choose their DIDs, so the hash is keyed by
//! chance (the standard library's hasher): nobody can make it slow. Nothing depends on the order.

use std::hash::{BuildHasher, RandomState};

use super::author::Author;
use super::seats::Seats;
use crate::limits::SEATS_MAX;

#[derive(Debug, Default)]
pub(super) struct SeatIndex {
    hasher: RandomState,
    /// None while nobody sits; else a power of two, at most three quarters of them taken.
    slots: Box<[u32]>,
    count: usize,
}

const SEAT_BITS: u32 = 24;
const _: () = assert!(SEATS_MAX == 1 << SEAT_BITS);

/// Slots of the smallest table that is not empty.
const SLOTS_MIN: usize = 8;

impl SeatIndex {
    /// How many authors there are.
    pub(super) fn len(&self) -> usize {
        self.count
    }

    /// The author's seat.
    pub(super) fn find(&self, author: Author<'_>, seats: &Seats) -> Option<u32> {
        if self.slots.is_empty() {
            return None;
        }
        let hash = self.hasher.hash_one(author);
        let mut at = self.start(hash);
        loop {
            let slot = self.slots[at];
            if slot == 0 {
                return None;
            }
            if slot >> SEAT_BITS == tag(hash) && seats.author(seat_of(slot)) == Some(author) {
                return Some(seat_of(slot));
            }
            at = (at + 1) & (self.slots.len() - 1);
        }
    }

    /// An author who is not there yet has taken a seat.
    pub(super) fn put(&mut self, author: Author<'_>, seat: u32, seats: &Seats) {
        if (self.count + 1) * 4 > self.slots.len() * 3 {
            let length = (2 * self.slots.len()).max(SLOTS_MIN);
            let old = std::mem::replace(&mut self.slots, vec![0; length].into());
            for slot in old.into_iter().filter(|&slot| slot != 0) {
                let author = seats.author(seat_of(slot)).expect("invariant: seats never go");
                self.enter(author, seat_of(slot));
            }
        }
        self.enter(author, seat);
        self.count += 1;
    }

    fn enter(&mut self, author: Author<'_>, seat: u32) {
        let hash = self.hasher.hash_one(author);
        let mut at = self.start(hash);
        while self.slots[at] != 0 {
            at = (at + 1) & (self.slots.len() - 1);
        }
        self.slots[at] = tag(hash) << SEAT_BITS | seat;
    }

    fn start(&self, hash: u64) -> usize {
        hash as usize & (self.slots.len() - 1)
    }
}

/// Of the bits that do not choose the slot.
const fn tag(hash: u64) -> u32 {
    let tag = (hash >> 56) as u32;
    if tag == 0 { 1 } else { tag }
}

const fn seat_of(slot: u32) -> u32 {
    slot & ((1 << SEAT_BITS) - 1)
}
