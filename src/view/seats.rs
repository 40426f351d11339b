//! Authors of one community, by a small number that is never given to another.
//!
//! In: the writer takes a seat for an author's first post or first membership. Out: readers ask by number who it is and
//! whether their posts are shown.
//!
//! ```text
//!   seat   0 … 7 | 8 … 23 | 24 … 55 | …     each segment twice as long as the one before; none ever moves
//! ```

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, OnceLock};

use crate::limits::SEATS_MAX;
use crate::sync::{AtomicBool, Ordering};

/// Seats in the first segment, as a power of two.
const FIRST_BITS: u32 = 3;

/// One author.
#[derive(Debug, Default)]
pub(super) struct Seat {
    did: OnceLock<Arc<str>>,
    shown: AtomicBool,
}

impl Seat {
    /// Who; empty before the seat is taken.
    pub(super) fn did(&self) -> &str {
        self.did.get().map_or("", |did| did)
    }

    /// Whether the author's posts are shown now.
    pub(super) fn is_shown(&self) -> bool {
        self.shown.load(Ordering::Relaxed)
    }

    /// Writer only.
    pub(super) fn show(&self, shown: bool) {
        self.shown.store(shown, Ordering::Relaxed);
    }
}

/// The seats as a root holds them: readers of an older root may miss the newest segment.
#[derive(Clone, Debug, Default)]
pub(super) struct Seats(Vec<Arc<[Seat]>>);

impl Seats {
    pub(super) fn get(&self, seat: u32) -> Option<&Seat> {
        let (segment, at) = place(seat);
        self.0.get(segment)?.get(at)
    }
}

/// The segment of a seat, and its place there.
const fn place(seat: u32) -> (usize, usize) {
    let number = seat as usize + (1 << FIRST_BITS);
    let bits = number.ilog2();
    ((bits - FIRST_BITS) as usize, number - (1 << bits))
}

/// The writer's side: who sits where.
///
/// Authors choose their DIDs, so the maps here are keyed by chance (the standard library's hasher): nobody can make
/// them slow. Nothing depends on their order.
#[derive(Debug, Default)]
pub(super) struct SeatTable {
    pub(super) seats: Seats,
    by_did: HashMap<Arc<str>, u32>,
}

/// What became of a wish for a seat.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Taken {
    /// The author had it already, or it is in a segment that was there.
    Seat(u32),
    /// It is the first of a new segment, which readers see with the next root.
    InNewSegment(u32),
    /// All [`SEATS_MAX`] are taken.
    Full,
}

impl SeatTable {
    pub(super) fn get(&self, did: &str) -> Option<u32> {
        self.by_did.get(did).copied()
    }

    /// The author's seat, a new one where there is none.
    pub(super) fn take(&mut self, did: &str, dids: &mut Dids) -> Taken {
        if let Some(seat) = self.get(did) {
            return Taken::Seat(seat);
        }
        let number = self.by_did.len();
        let Some(seat) = u32::try_from(number).ok().filter(|_| number < SEATS_MAX) else { return Taken::Full };
        let (segment, at) = place(seat);
        let is_new = segment == self.seats.0.len();
        if is_new {
            self.seats.0.push((0..1usize << (FIRST_BITS + segment as u32)).map(|_| Seat::default()).collect());
        }
        let did = dids.intern(did);
        let set = self.seats.0[segment][at].did.set(Arc::clone(&did));
        debug_assert!(set.is_ok(), "a seat is taken once");
        self.by_did.insert(did, seat);
        if is_new { Taken::InNewSegment(seat) } else { Taken::Seat(seat) }
    }
}

/// Every DID that sits anywhere, once.
#[derive(Debug, Default)]
pub(super) struct Dids {
    all: HashSet<Arc<str>>,
    /// Those that nobody else holds are swept out at this size.
    sweep_at: usize,
}

/// No sweep below this many DIDs.
const SWEEP_MIN: usize = 1024;

impl Dids {
    fn intern(&mut self, did: &str) -> Arc<str> {
        if let Some(known) = self.all.get(did) {
            return Arc::clone(known);
        }
        if self.all.len() >= self.sweep_at.max(SWEEP_MIN) {
            self.all.retain(|did| Arc::strong_count(did) > 1);
            // Twice what is left: a sweep costs a constant for each DID that came since the last one.
            self.sweep_at = 2 * self.all.len();
        }
        let did: Arc<str> = did.into();
        self.all.insert(Arc::clone(&did));
        did
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn segments_follow_one_another() {
        let mut expected = (0, 0);
        for seat in 0..1000 {
            assert_eq!(place(seat), expected, "seat {seat}");
            expected.1 += 1;
            if expected.1 == 8 << expected.0 {
                expected = (expected.0 + 1, 0);
            }
        }
    }

    #[test]
    fn an_author_keeps_their_seat() {
        let (mut table, mut dids) = (SeatTable::default(), Dids::default());
        for round in 0..2 {
            for number in 0..100 {
                let taken = table.take(&format!("did:web:{number}"), &mut dids);
                let new_segment = round == 0 && [0, 8, 24, 56].contains(&number);
                assert_eq!(taken, if new_segment { Taken::InNewSegment(number) } else { Taken::Seat(number) });
                assert_eq!(table.seats.get(number).map(Seat::did), Some(format!("did:web:{number}").as_str()));
            }
        }
        assert!(table.seats.get(100).is_some_and(|seat| seat.did().is_empty()), "room in the last segment");
        assert!(table.seats.get(1_000_000).is_none());
    }

    #[test]
    fn dids_that_nobody_holds_are_forgotten() {
        let mut dids = Dids::default();
        let held: Vec<Arc<str>> = (0..10).map(|number| dids.intern(&format!("did:web:held{number}"))).collect();
        for number in 0..10 * SWEEP_MIN {
            drop(dids.intern(&format!("did:web:gone{number}")));
        }
        assert!(dids.all.len() <= SWEEP_MIN + 1, "{}", dids.all.len());
        assert!(held.iter().all(|did| Arc::ptr_eq(did, &dids.intern(did))));
    }
}
