//! Deletes and updates of posts that nobody knew yet.
//!
//! In: each delete, and each update without a tag, whose post was not let pass before. Out: the greatest of them, when
//! the post's create comes after all: then both become facts, and the order of arrival has changed nothing.
//!
//! What always holds: of each post at most one is remembered, that with the greatest rev (of one rev, a delete before an
//! update, as the fold has it). One is given up when the stream is
//! [`DISPLACEMENT_MICROS`](crate::limits::DISPLACEMENT_MICROS) past it, or when there are too many: then the oldest, counted.
//!
//! An orphan is also a fact in the log, and the fold keeps the same set: after a restart its frame is not told again, and the
//! create may still come.
//!
//! The map grows as it must. Its usual size (2 hours at 10 a second) is copied in a millisecond; making it as large as its
//! bound from the start would touch 40 MB on a machine that may have 500.

use std::cmp::Reverse;
use std::collections::VecDeque;

use rustc_hash::FxHashMap;

use crate::limits::{DISPLACEMENT_MICROS, ORPHANS_MAX};
use crate::syntax::{Fingerprint, Orphan, OrphanKind, Tid, Time};

/// What came of [`Orphans::remember`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Remembered {
    /// It told something that was not known.
    pub is_new: bool,
    /// How many others had to be given up early, for want of room.
    pub given_up: u64,
}

/// One place in the queue of orphans, for a snapshot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Queued {
    /// Of which post.
    pub fingerprint: Fingerprint,
    /// The stream time under which it stands there.
    pub queued: Time,
    /// The orphan; `None` where the place is stale.
    pub orphan: Option<Orphan>,
}

#[derive(Debug)]
struct Entry {
    orphan: Orphan,
    /// The time under which it stands in the queue.
    queued: Time,
}

/// Orphans by fingerprint.
#[derive(Debug)]
pub struct Orphans {
    entries: FxHashMap<Fingerprint, Entry>,
    /// In order of arrival. One whose time is not that of its entry is stale: it was taken, or replaced by a greater one.
    queue: VecDeque<(Fingerprint, Time)>,
    latest: Time,
    queue_max: usize,
}

impl Default for Orphans {
    fn default() -> Self {
        Self::new()
    }
}

impl Orphans {
    /// Remembers none yet, and at most [`ORPHANS_MAX`] at a time.
    pub fn new() -> Self {
        Self::with_bound(ORPHANS_MAX)
    }

    fn with_bound(queue_max: usize) -> Self {
        let latest = Time::from_micros(i64::MIN);
        Self { entries: FxHashMap::default(), queue: VecDeque::new(), latest, queue_max }
    }

    /// Remembers one.
    pub fn remember(&mut self, fingerprint: Fingerprint, orphan: Orphan) -> Remembered {
        self.latest = self.latest.max(orphan.witnessed);
        // First, so that one whose time is over does not stand in the way of a lesser one.
        self.give_up_old();
        if self.covers(fingerprint, &orphan) {
            return Remembered { is_new: false, given_up: 0 };
        }
        match self.entries.get_mut(&fingerprint) {
            Some(known) if rank(&known.orphan) == rank(&orphan) => known.orphan.witnessed = orphan.witnessed,
            _ => {
                self.entries.insert(fingerprint, Entry { orphan, queued: orphan.witnessed });
                self.queue.push_back((fingerprint, orphan.witnessed));
            }
        }
        Remembered { is_new: true, given_up: self.give_up_excess() }
    }

    /// Whether remembering it would change nothing: a greater one is known, or its time is over.
    pub fn covers(&self, fingerprint: Fingerprint, orphan: &Orphan) -> bool {
        let order = |orphan: &Orphan| (rank(orphan), Reverse(orphan.witnessed));
        self.latest.micros_since(orphan.witnessed) > DISPLACEMENT_MICROS
            || self.entries.get(&fingerprint).is_some_and(|known| order(&known.orphan) >= order(orphan))
    }

    /// All that are remembered, in the order in which they came.
    pub fn iter(&self) -> impl Iterator<Item = (Fingerprint, Orphan)> + '_ {
        let current = |&(fingerprint, queued): &(Fingerprint, Time)| {
            let entry = self.entries.get(&fingerprint).filter(|entry| entry.queued == queued)?;
            Some((fingerprint, entry.orphan))
        };
        self.queue.iter().filter_map(current)
    }

    /// The whole queue, stale places too: with [`Orphans::latest`] all there is.
    pub fn queue(&self) -> impl Iterator<Item = Queued> + '_ {
        self.queue.iter().map(|&(fingerprint, queued)| {
            let entry = self.entries.get(&fingerprint).filter(|entry| entry.queued == queued);
            Queued { fingerprint, queued, orphan: entry.map(|entry| entry.orphan) }
        })
    }

    /// How long the queue is.
    pub fn queued(&self) -> usize {
        self.queue.len()
    }

    /// The latest stream time of any orphan that was ever told.
    pub fn latest(&self) -> Time {
        self.latest
    }

    /// Puts a place of a snapshot behind the others of the queue.
    pub fn restore(&mut self, Queued { fingerprint, queued, orphan }: Queued) {
        self.queue.push_back((fingerprint, queued));
        if let Some(orphan) = orphan {
            self.entries.insert(fingerprint, Entry { orphan, queued });
        }
    }

    /// Says what [`Orphans::latest`] was.
    pub fn restore_latest(&mut self, latest: Time) {
        self.latest = latest;
    }

    /// The orphan of a post whose create has come. It is remembered no longer.
    pub fn take(&mut self, fingerprint: Fingerprint) -> Option<Orphan> {
        if self.entries.is_empty() {
            return None;
        }
        self.entries.remove(&fingerprint).map(|entry| entry.orphan)
    }

    /// How many are remembered.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether none is remembered.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    fn give_up_old(&mut self) {
        while self.queue.front().is_some_and(|&(_, queued)| self.latest.micros_since(queued) > DISPLACEMENT_MICROS) {
            self.pop();
        }
    }

    /// The bound is on the queue, which is never shorter than the map: a flood of edits of one post must not grow it.
    fn give_up_excess(&mut self) -> u64 {
        let mut given_up = 0;
        while self.queue.len() > self.queue_max {
            given_up += u64::from(self.pop());
        }
        given_up
    }

    /// Removes the first of the queue; whether an orphan was lost with it.
    fn pop(&mut self) -> bool {
        let Some((fingerprint, queued)) = self.queue.pop_front() else { return false };
        let is_current = self.entries.get(&fingerprint).is_some_and(|entry| entry.queued == queued);
        is_current && self.entries.remove(&fingerprint).is_some()
    }
}

fn rank(orphan: &Orphan) -> (Tid, OrphanKind) {
    (orphan.rev, orphan.kind)
}

#[cfg(test)]
mod tests {
    use super::OrphanKind::{Deleted, Updated};
    use super::*;
    use crate::limits::SECOND_MICROS;

    fn post(number: u64) -> Fingerprint {
        Fingerprint::from_number(number + 1)
    }

    fn orphan(rev: u64, kind: OrphanKind, second: i64) -> Orphan {
        Orphan { rev: Tid::from_u64(rev), kind, witnessed: Time::from_micros(second * SECOND_MICROS) }
    }

    #[test]
    fn the_greatest_rev_is_kept_and_taken_once() {
        let mut orphans = Orphans::new();
        for told in [orphan(2, Updated, 1), orphan(3, Updated, 2), orphan(3, Deleted, 3), orphan(3, Updated, 4)] {
            assert_eq!(orphans.remember(post(1), told).given_up, 0);
        }
        orphans.remember(post(1), orphan(1, Deleted, 5));
        orphans.remember(post(1), orphan(3, Deleted, 2));
        assert_eq!(orphans.len(), 1);
        assert_eq!(orphans.take(post(2)), None);
        assert_eq!(orphans.take(post(1)), Some(orphan(3, Deleted, 2)));
        assert_eq!(orphans.take(post(1)), None);
        assert!(orphans.is_empty());
    }

    #[test]
    fn one_is_given_up_after_two_hours_of_the_stream() {
        let mut orphans = Orphans::new();
        orphans.remember(post(1), orphan(1, Deleted, 0));
        orphans.remember(post(2), orphan(1, Deleted, 7200));
        assert_eq!(orphans.len(), 2);
        assert_eq!(
            orphans.remember(post(3), orphan(1, Deleted, 7201)).given_up,
            0,
            "its time was over, it was not lost"
        );
        assert_eq!((orphans.take(post(1)), orphans.len()), (None, 2));
    }

    #[test]
    fn a_greater_rev_starts_the_time_anew() {
        let mut orphans = Orphans::new();
        orphans.remember(post(1), orphan(1, Updated, 0));
        orphans.remember(post(1), orphan(2, Deleted, 7000));
        orphans.remember(post(2), orphan(1, Deleted, 14_000));
        assert_eq!(orphans.take(post(1)), Some(orphan(2, Deleted, 7000)));
    }

    #[test]
    fn a_greater_rev_whose_time_is_over_makes_way() {
        let mut orphans = Orphans::new();
        orphans.remember(post(1), orphan(2, Deleted, 0));
        orphans.remember(post(1), orphan(1, Updated, 7201));
        assert_eq!(orphans.take(post(1)), Some(orphan(1, Updated, 7201)));
    }

    #[test]
    fn the_oldest_goes_when_there_are_too_many() {
        let mut orphans = Orphans::with_bound(3);
        for number in 0..3 {
            assert_eq!(orphans.remember(post(number), orphan(1, Deleted, 0)).given_up, 0);
        }
        assert_eq!(orphans.remember(post(3), orphan(1, Deleted, 0)).given_up, 1);
        assert_eq!((orphans.take(post(0)), orphans.len()), (None, 3));
        // Places of those that were taken are given up without a loss.
        orphans.take(post(1));
        assert_eq!(orphans.remember(post(4), orphan(1, Deleted, 0)).given_up, 0);
        // Edits of one post take no more room than the bound.
        for rev in 2..100 {
            orphans.remember(post(4), orphan(rev, Updated, i64::try_from(rev).unwrap()));
        }
        assert_eq!((orphans.queue.len(), orphans.len()), (3, 1));
        assert_eq!(orphans.take(post(4)).unwrap().rev, Tid::from_u64(99));
    }

    #[test]
    fn what_is_new_is_told_and_all_can_be_carried_over() {
        let mut orphans = Orphans::new();
        let told = [
            (1, orphan(2, Updated, 5), true),
            (1, orphan(2, Updated, 6), false),
            (1, orphan(2, Updated, 4), true),
            (1, orphan(1, Deleted, 7), false),
            (2, orphan(1, Deleted, 8), true),
            (1, orphan(2, Deleted, 9), true),
            (3, orphan(9, Deleted, 9 - 7200), true),
            (3, orphan(9, Deleted, 9 - 7201), false),
        ];
        for (number, told, is_new) in told {
            assert_eq!(orphans.remember(post(number), told).is_new, is_new, "{told:?}");
        }
        let mut other = Orphans::new();
        for (post, orphan) in orphans.iter() {
            assert!(other.remember(post, orphan).is_new && other.covers(post, &orphan));
        }
        let of = |orphans: &Orphans| orphans.iter().collect::<Vec<_>>();
        assert_eq!(of(&other), of(&orphans));
        assert_eq!(of(&other)[0], (post(2), orphan(1, Deleted, 8)));
    }
}
