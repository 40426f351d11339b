//! A set of fingerprints that never stalls.
//!
//! In: fingerprints, one by one. Out: whether one was entered before.
//!
//! ```text
//! slots: │ 0 │ f │ 0 │ f │ f │ 0 │ …   0 is free; at most 3 of 4 are taken
//!                  └ linear probing from `hash of the fingerprint * slots / 2^64`
//! ```
//!
//! When the slots are full enough, half as many more are allocated, and each later entry moves [`MOVED_PER_ENTRY`] of the old
//! ones: there is no moment at which all of them are copied. Until the last one is moved, a look-up searches both.
//!
//! What always holds: the old slots are gone before the new ones are full. They are moved within `len / 8` entries, and
//! the new ones take `3/8 · len` entries more.

use crate::syntax::Fingerprint;

/// Slots of the smallest table (32 KiB).
const SLOTS_MIN: usize = 1 << 12;
/// Old slots that are moved with each new entry.
const MOVED_PER_ENTRY: usize = 8;
const FREE: u64 = 0;

#[derive(Debug)]
pub(super) struct Table {
    slots: Box<[u64]>,
    /// Empty unless the table is growing.
    old: Box<[u64]>,
    /// 0 <= moved <= old.len(): the old slots before it are in `slots` too.
    moved: usize,
    entries: usize,
}

impl Table {
    /// A table that takes this many entries without growing.
    pub(super) fn with_room_for(entries: usize) -> Self {
        Self { slots: free_slots(entries.saturating_mul(4) / 3 + 1), old: Box::default(), moved: 0, entries: 0 }
    }

    pub(super) fn len(&self) -> usize {
        self.entries
    }

    pub(super) fn contains(&self, fingerprint: Fingerprint) -> bool {
        holds(&self.slots, fingerprint.number()) || holds(&self.old, fingerprint.number())
    }

    /// Enters it; whether it is new.
    pub(super) fn enter(&mut self, fingerprint: Fingerprint) -> bool {
        if self.contains(fingerprint) {
            return false;
        }
        if self.entries >= self.slots.len() * 3 / 4 {
            debug_assert!(self.old.is_empty(), "the old slots are gone before the new ones are full");
            let larger = free_slots(self.slots.len() * 3 / 2);
            self.old = std::mem::replace(&mut self.slots, larger);
        }
        place(&mut self.slots, fingerprint.number());
        self.entries += 1;
        self.move_some();
        true
    }

    fn move_some(&mut self) {
        let end = self.old.len().min(self.moved + MOVED_PER_ENTRY);
        for &number in self.old[self.moved..end].iter().filter(|&&number| number != FREE) {
            place(&mut self.slots, number);
        }
        self.moved = end;
        if self.moved == self.old.len() {
            self.old = Box::default();
            self.moved = 0;
        }
    }
}

fn free_slots(at_least: usize) -> Box<[u64]> {
    // A zeroed allocation: the system hands out its pages when they are first written, not now.
    vec![FREE; at_least.max(SLOTS_MIN)].into_boxed_slice()
}

/// The slot that holds `number`, or the free one where it belongs. A free one always exists.
fn slot_of(slots: &[u64], number: u64) -> usize {
    const ODD: u64 = 0x9e37_79b9_7f4a_7c15;
    let mut at = ((u128::from(number.wrapping_mul(ODD)) * slots.len() as u128) >> 64) as usize;
    while slots[at] != FREE && slots[at] != number {
        at = if at + 1 == slots.len() { 0 } else { at + 1 };
    }
    at
}

fn holds(slots: &[u64], number: u64) -> bool {
    !slots.is_empty() && slots[slot_of(slots, number)] == number
}

fn place(slots: &mut [u64], number: u64) {
    slots[slot_of(slots, number)] = number;
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn it_equals_a_hash_set_while_it_grows() {
        let mut random = fastrand::Rng::with_seed(7);
        let (mut table, mut set) = (Table::with_room_for(0), HashSet::new());
        let mut growing = 0;
        for _ in 0..100_000 {
            // Few enough values that many come twice, and low bits that crowd.
            let fingerprint = Fingerprint::from_number(random.u64(0..120_000) * 3);
            assert_eq!(table.contains(fingerprint), set.contains(&fingerprint));
            assert_eq!(table.enter(fingerprint), set.insert(fingerprint));
            assert_eq!(table.len(), set.len());
            growing += usize::from(!table.old.is_empty());
        }
        assert!(growing > 1000, "the test must see a growing table");
        assert!(set.iter().all(|&fingerprint| table.contains(fingerprint)));
        assert!((1..1000).all(|number| !table.contains(Fingerprint::from_number(number * 3 + 1))));
    }

    #[test]
    fn a_table_with_room_does_not_grow() {
        for room in [0, 3072, 3073, 10_000] {
            let mut table = Table::with_room_for(room);
            let slots = table.slots.len();
            for number in 0..room as u64 {
                table.enter(Fingerprint::from_number(number << 20 | number));
            }
            assert_eq!(table.slots.len(), slots);
        }
    }
}
