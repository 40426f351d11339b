//! Numbers by hash: which number does this repository's key have?
//!
//! In: a hash and a number. Out: the numbers of a hash, for the caller to compare what they stand for.
//!
//! ```text
//! slots: │ 0 │ h n │ 0 │ h n │ h n │ 0 │ …   0 is free; at most 3 of 4 are taken
//!              └ 32 bits of the hash, which say where a search begins; then the number, plus 1
//! ```
//! A slot has 8 bytes, so ten million posts have their index in some 107 MB, and a search that finds nothing touches one
//! line of it. There may be any number of slots (a search begins at `hash * slots / 2^32`): one that were a power of two
//! would often be half empty. The table grows by half, without a look at what the numbers stand for.

/// The numbers of up to 2³² − 1 things.
#[derive(Debug, Default)]
pub(super) struct Index {
    slots: Box<[u64]>,
    taken: usize,
}

/// Slots of the smallest table that is not empty.
const SLOTS_MIN: usize = 16;

const fn slot(hash: u64, number: u32) -> u64 {
    (hash as u32 as u64) << 32 | (number as u64 + 1)
}

const fn number(slot: u64) -> u32 {
    (slot as u32).wrapping_sub(1)
}

const fn hash(slot: u64) -> u32 {
    (slot >> 32) as u32
}

/// Where a search begins.
fn begin(slots: &[u64], hash: u32) -> usize {
    ((u64::from(hash) * slots.len() as u64) >> 32) as usize
}

fn next(slots: &[u64], at: usize) -> usize {
    if at + 1 == slots.len() { 0 } else { at + 1 }
}

/// How far it is from one slot forward to another.
fn distance(slots: &[u64], from: usize, to: usize) -> usize {
    if to >= from { to - from } else { to + slots.len() - from }
}

impl Index {
    /// One that takes `count` numbers before it grows.
    pub fn with_room_for(count: usize) -> Self {
        Self { slots: vec![0; (count / 3 * 4 + 4).max(SLOTS_MIN)].into_boxed_slice(), taken: 0 }
    }

    pub fn len(&self) -> usize {
        self.taken
    }

    /// The number of this hash that `is_it` says yes to.
    pub fn find(&self, of: u64, is_it: impl Fn(u32) -> bool) -> Option<u32> {
        if self.slots.is_empty() {
            return None;
        }
        let mut at = begin(&self.slots, of as u32);
        loop {
            match self.slots[at] {
                0 => return None,
                found if hash(found) == of as u32 && is_it(number(found)) => return Some(number(found)),
                _ => at = next(&self.slots, at),
            }
        }
    }

    /// Reads ahead for [`Index::find`]: the first number that each of these hashes meets, `u32::MAX` where that is none. In two
    /// steps, so that the processor waits for many slots at once.
    pub fn warm(&self, of: impl Iterator<Item = u64>, found: &mut Vec<u32>) {
        if self.slots.is_empty() {
            return;
        }
        found.extend(of.map(|of| of as u32));
        for hash in found {
            *hash = number(self.slots[begin(&self.slots, *hash)]);
        }
    }

    /// Enters a number that is not there.
    pub fn insert(&mut self, of: u64, number: u32) {
        if self.taken >= self.slots.len() * 3 / 4 {
            self.grow();
        }
        place(&mut self.slots, slot(of, number));
        self.taken += 1;
    }

    /// Removes a number that was entered with this hash.
    pub fn remove(&mut self, of: u64, number: u32) {
        let slots = &mut self.slots;
        if slots.is_empty() {
            return;
        }
        let gone = slot(of, number);
        let mut free = begin(slots, of as u32);
        while slots[free] != gone {
            if slots[free] == 0 {
                return;
            }
            free = next(slots, free);
        }
        self.taken -= 1;
        // What comes behind moves up, where its search begins before the free slot: no search may end there too early.
        let mut at = free;
        loop {
            at = next(slots, at);
            let moved = slots[at];
            if moved == 0 {
                break;
            }
            if distance(slots, begin(slots, hash(moved)), at) >= distance(slots, free, at) {
                slots[free] = moved;
                free = at;
            }
        }
        slots[free] = 0;
    }

    fn grow(&mut self) {
        let larger = vec![0; (self.slots.len() * 3 / 2).max(SLOTS_MIN)].into_boxed_slice();
        let old = std::mem::replace(&mut self.slots, larger);
        old.iter().filter(|&&slot| slot != 0).for_each(|&slot| place(&mut self.slots, slot));
    }
}

fn place(slots: &mut [u64], slot: u64) {
    let mut at = begin(slots, hash(slot));
    while slots[at] != 0 {
        at = next(slots, at);
    }
    slots[at] = slot;
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[test]
    fn it_is_a_map_whatever_the_hashes_are() {
        for spread in [1, 7, 1 << 20, u64::MAX] {
            let mut rng = fastrand::Rng::with_seed(spread);
            let hash_of = |key: u32| u64::from(key).wrapping_mul(0x9e37_79b9_7f4a_7c15) % spread;
            let (mut index, mut plain) = (Index::default(), BTreeMap::new());
            let mut keys: Vec<u32> = Vec::new();
            for _ in 0..20_000 {
                let key = rng.u32(..400);
                let is_it = |number: u32| keys[number as usize] == key;
                assert_eq!(index.find(hash_of(key), is_it), plain.get(&key).copied());
                if let Some(number) = plain.remove(&key) {
                    index.remove(hash_of(key), number);
                } else {
                    let number = u32::try_from(keys.len()).expect("few");
                    keys.push(key);
                    index.insert(hash_of(key), number);
                    plain.insert(key, number);
                }
                assert_eq!(index.len(), plain.len());
            }
            let size = index.slots.len();
            let mut presized = Index::with_room_for(plain.len());
            plain.iter().for_each(|(&key, &number)| presized.insert(hash_of(key), number));
            assert!(
                presized.slots.len() <= size && presized.slots.len() == Index::with_room_for(plain.len()).slots.len()
            );
            index.remove(3, u32::MAX - 1);
            assert_eq!(index.len(), plain.len(), "nobody was removed");
        }
    }
}
