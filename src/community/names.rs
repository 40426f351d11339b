//! Names by number: DIDs, record keys, and tables of records.
//!
//! In: the words of facts. Out: small numbers that the rest of the fold compares and hashes cheaply.
//!
//! Architecture Invariant: numbers follow the order of arrival, so nothing that a feed depends on may be ordered by
//! them. Whatever needs an order takes the text ([`Key::compare_text`], `compare_repositories`).

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::{Index, IndexMut};

use crate::syntax::{RecordKey, Tid};

/// The number of a DID. It is given to another one only after nothing names it any more (`sweep`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct DidIndex(pub u32);

/// A record key in 16 bytes: nearly all are TIDs.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum Key {
    /// By its number.
    Tid(Tid),
    /// Whatever is no TID.
    Text(RecordKey),
}

const _: () = assert!(size_of::<Key>() == 16, "millions of posts carry one");

/// The least of all keys, from which a range over one repository begins.
impl Default for Key {
    fn default() -> Self {
        Self::Tid(Tid::from_u64(0))
    }
}

impl From<&RecordKey> for Key {
    fn from(key: &RecordKey) -> Self {
        key.as_tid().map_or_else(|| Self::Text(key.clone()), Self::Tid)
    }
}

impl Key {
    /// The key in its own form.
    pub fn to_record_key(&self) -> RecordKey {
        match self {
            Self::Tid(tid) => RecordKey::from(*tid),
            Self::Text(key) => key.clone(),
        }
    }

    /// The order of the texts. `Ord` is another one: numbers before texts.
    pub fn compare_text(&self, other: &Self) -> Ordering {
        match (self, other) {
            (Self::Tid(a), Self::Tid(b)) => a.cmp(b),
            (Self::Text(a), Self::Text(b)) => a.cmp(b),
            (Self::Tid(a), Self::Text(b)) => a.to_bytes().as_slice().cmp(b.as_str().as_bytes()),
            (Self::Text(a), Self::Tid(b)) => a.as_str().as_bytes().cmp(b.to_bytes().as_slice()),
        }
    }
}

/// Records, found by repository and key, named by a dense number. Numbers are used again.
#[derive(Debug)]
pub(super) struct Table<K, R> {
    index: BTreeMap<(DidIndex, K), u32>,
    rows: Vec<Option<R>>,
    free: Vec<u32>,
}

const LIVES: &str = "invariant: a record's number is dropped before the record is removed";

impl<K, R> Default for Table<K, R> {
    fn default() -> Self {
        Self { index: BTreeMap::new(), rows: Vec::new(), free: Vec::new() }
    }
}

impl<K: Ord + Clone + Default, R> Table<K, R> {
    /// The number of a record.
    pub fn find(&self, did: DidIndex, key: &K) -> Option<u32> {
        self.index.get(&(did, key.clone())).copied()
    }

    /// The number of a record, which is made by `make` where it was not known.
    pub fn find_or_add(&mut self, did: DidIndex, key: &K, make: impl FnOnce() -> R) -> u32 {
        *self.index.entry((did, key.clone())).or_insert_with(|| {
            let number = self.free.pop().unwrap_or_else(|| {
                self.rows.push(None);
                u32::try_from(self.rows.len() - 1).expect("invariant: memory ends before 2^32 records")
            });
            self.rows[number as usize] = Some(make());
            number
        })
    }

    /// Adds a record of a snapshot, under the next number; `None` where it is known.
    pub fn restore(&mut self, did: DidIndex, key: K, row: R) -> Option<u32> {
        let number = u32::try_from(self.rows.len()).ok()?;
        let before = self.index.insert((did, key), number);
        self.rows.push(Some(row));
        before.is_none().then_some(number)
    }

    /// Removes a record, whose number nothing holds any more.
    pub fn remove(&mut self, did: DidIndex, key: &K) {
        if let Some(number) = self.index.remove(&(did, key.clone())) {
            self.rows[number as usize] = None;
            self.free.push(number);
        }
    }

    /// The numbers of all records of one repository.
    pub fn of(&self, did: DidIndex) -> Vec<u32> {
        let from = (did, K::default());
        self.index.range(from..).take_while(|((owner, _), _)| *owner == did).map(|(_, &number)| number).collect()
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.index.len()
    }

    /// How many numbers were ever used: all are less.
    pub fn numbers(&self) -> usize {
        self.rows.len()
    }

    /// All of them, in order of their numbers.
    pub fn iter(&self) -> impl Iterator<Item = (u32, &R)> {
        (0..).zip(&self.rows).filter_map(|(number, row)| Some((number, row.as_ref()?)))
    }
}

impl<K, R> Index<u32> for Table<K, R> {
    type Output = R;
    fn index(&self, number: u32) -> &R {
        self.rows[number as usize].as_ref().expect(LIVES)
    }
}

impl<K, R> IndexMut<u32> for Table<K, R> {
    fn index_mut(&mut self, number: u32) -> &mut R {
        self.rows[number as usize].as_mut().expect(LIVES)
    }
}

/// The records of a table that say nothing any more, by repository, rev and key, so that the oldest can make room. Never
/// by number: which one goes must not hang on the order of arrival.
#[derive(Debug)]
pub(super) struct Dead<K>(BTreeSet<(DidIndex, Tid, K)>);

impl<K> Default for Dead<K> {
    fn default() -> Self {
        Self(BTreeSet::new())
    }
}

impl<K: Ord + Clone + Default> Dead<K> {
    pub fn insert(&mut self, did: DidIndex, rev: Tid, key: &K) {
        self.0.insert((did, rev, key.clone()));
    }

    pub fn remove(&mut self, did: DidIndex, rev: Tid, key: &K) {
        self.0.remove(&(did, rev, key.clone()));
    }

    /// Takes out the one with the least rev in a repository.
    pub fn pop_oldest(&mut self, did: DidIndex) -> Option<K> {
        let from = (did, Tid::from_u64(0), K::default());
        let oldest = self.0.range(from..).next().filter(|(of, ..)| *of == did)?.clone();
        self.0.remove(&oldest);
        Some(oldest.2)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_compare_as_their_texts_and_come_back_whole() {
        let texts =
            ["3l", "3lzzzzzzzzzz2", "jzzzzzzzzzzzz", "2222222222222", "22222222222222", "3lzzzzzzzzzz.", "self"];
        for a in texts.map(|text| RecordKey::parse(text).expect("valid")) {
            assert_eq!(Key::from(&a).to_record_key(), a);
            for b in texts.map(|text| RecordKey::parse(text).expect("valid")) {
                assert_eq!(Key::from(&a).compare_text(&Key::from(&b)), a.cmp(&b), "{a} {b}");
            }
        }
    }

    #[test]
    fn a_table_lists_one_repository() {
        let mut table: Table<Key, &str> = Table::default();
        let text = |text| Key::from(&RecordKey::parse(text).expect("valid"));
        let first = table.find_or_add(DidIndex(1), &text("self"), || "first");
        let other = table.find_or_add(DidIndex(2), &text("2222222222222"), || "other");
        let second = table.find_or_add(DidIndex(1), &text("2222222222222"), || "second");
        assert_eq!(table.find_or_add(DidIndex(1), &text("self"), || "again"), first);
        assert_eq!(table.of(DidIndex(1)), [second, first]);
        assert_eq!(table.of(DidIndex(2)), [other]);
        assert_eq!(table.len(), 3);
        table.remove(DidIndex(1), &text("self"));
        assert_eq!((table.len(), table.of(DidIndex(1))), (2, vec![second]));
        assert_eq!(table.find_or_add(DidIndex(3), &text("self"), || "new"), first, "its number is used again");
        assert_eq!(table.iter().map(|(_, row)| *row).collect::<Vec<_>>(), ["new", "other", "second"]);
    }
}
