//! Authors of one community, by a small number that is never given to another.
//!
//! In: the writer takes a seat for an author's first post or first membership. Out: readers ask by number who it is and
//! whether their posts are shown.
//!
//! ```text
//!   seat     0 … 7 | 8 … 23 | 24 … 55 | …     each segment twice as long as the one before; none ever moves
//!
//!   a seat   word 0 … 2   the 24 characters behind `did:plc:`; of any other DID nothing: its text is in the segment's
//!                         side table, which is made when the first such author comes
//!            word 3       whether their posts are shown | which kind of DID
//! ```
//! A seat is half a cache line, so that a page touches one line for each of its authors, and no text anywhere else.
//!
//! What always holds: who sits on a seat is written before anything that names the seat is published (an entry by its
//! chunk's length, a segment by a root), and never again. So plain loads do. Whether they are shown is read live.

use std::collections::HashSet;
use std::sync::{Arc, OnceLock};

use super::author::Author;
use super::seat_index::SeatIndex;
use crate::limits::SEATS_MAX;
use crate::sync::{AtomicU64, Ordering};

/// Seats in the first segment, as a power of two.
const FIRST_BITS: u32 = 3;

/// One author. Its alignment keeps it within one cache line.
#[derive(Debug, Default)]
#[repr(align(32))]
pub(super) struct Seat {
    plc: [AtomicU64; 3],
    state: AtomicU64,
}

const _: () = assert!(cfg!(loom) || size_of::<Seat>() == 32);

const SHOWN: u64 = 1;
const PLC: u64 = 2;

impl Seat {
    /// Whether the author's posts are shown now.
    pub(super) fn is_shown(&self) -> bool {
        self.state.load(Ordering::Relaxed) & SHOWN != 0
    }

    /// Writer only.
    pub(super) fn show(&self, shown: bool) {
        let state = self.state.load(Ordering::Relaxed);
        self.state.store(if shown { state | SHOWN } else { state & !SHOWN }, Ordering::Relaxed);
    }

    /// Whose it is, where that is a usual DID.
    #[inline]
    pub(super) fn plc(&self) -> Option<[u64; 3]> {
        let is_plc = self.state.load(Ordering::Relaxed) & PLC != 0;
        is_plc.then(|| std::array::from_fn(|at| self.plc[at].load(Ordering::Relaxed)))
    }
}

/// A run of seats.
#[derive(Clone, Debug)]
struct Segment {
    seats: Arc<[Seat]>,
    others: Arc<OnceLock<Others>>,
}

/// By place, the DIDs that do not fit into seats. Made where the first such author comes.
type Others = Box<[OnceLock<Arc<str>>]>;

impl Segment {
    fn new(length: usize) -> Self {
        Self { seats: (0..length).map(|_| Seat::default()).collect(), others: Arc::default() }
    }

    /// Writer only: somebody takes a seat, and is not shown yet.
    fn take(&self, at: usize, author: Author<'_>, dids: &mut Dids) {
        let seat = &self.seats[at];
        match author {
            Author::Plc(words) => {
                seat.plc.iter().zip(words).for_each(|(slot, word)| slot.store(word, Ordering::Relaxed));
                seat.state.store(PLC, Ordering::Relaxed);
            }
            Author::Text(text) => {
                let others = self.others.get_or_init(|| self.seats.iter().map(|_| OnceLock::new()).collect());
                let set = others[at].set(dids.intern(text));
                debug_assert!(set.is_ok(), "a seat is taken once");
            }
        }
    }

    fn other(&self, at: usize) -> &str {
        self.others.get().and_then(|others| others[at].get()).map_or("", |did| did)
    }
}

/// The seats as a root holds them: readers of an older root may miss the newest segment.
#[derive(Clone, Debug, Default)]
pub(super) struct Seats(Vec<Segment>);

impl Seats {
    #[inline]
    pub(super) fn get(&self, seat: u32) -> Option<&Seat> {
        let (segment, at) = place(seat);
        self.0.get(segment)?.seats.get(at)
    }

    /// Who sits there; the empty text before the seat is taken.
    pub(super) fn author(&self, seat: u32) -> Option<Author<'_>> {
        let (segment, at) = place(seat);
        let segment = self.0.get(segment)?;
        let plc = segment.seats.get(at)?.plc();
        Some(plc.map_or_else(|| Author::Text(segment.other(at)), Author::Plc))
    }
}

/// The segment of a seat, and its place there.
const fn place(seat: u32) -> (usize, usize) {
    let number = seat as usize + (1 << FIRST_BITS);
    let bits = number.ilog2();
    ((bits - FIRST_BITS) as usize, number - (1 << bits))
}

/// The writer's side: who sits where.
#[derive(Debug, Default)]
pub(super) struct SeatTable {
    pub(super) seats: Seats,
    index: SeatIndex,
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
    pub(super) fn get(&self, author: Author<'_>) -> Option<u32> {
        self.index.find(author, &self.seats)
    }

    /// The author's seat, a new one where there is none.
    pub(super) fn take(&mut self, author: Author<'_>, dids: &mut Dids) -> Taken {
        if let Some(seat) = self.get(author) {
            return Taken::Seat(seat);
        }
        let number = self.index.len();
        let Some(seat) = u32::try_from(number).ok().filter(|_| number < SEATS_MAX) else { return Taken::Full };
        let (segment, at) = place(seat);
        let is_new = segment == self.seats.0.len();
        if is_new {
            self.seats.0.push(Segment::new(1 << (FIRST_BITS + segment as u32)));
        }
        self.seats.0[segment].take(at, author, dids);
        self.index.put(author, seat, &self.seats);
        if is_new { Taken::InNewSegment(seat) } else { Taken::Seat(seat) }
    }
}

/// Every DID that does not fit into seats and sits anywhere, once.
///
/// Authors choose their DIDs, so the set is keyed by chance (the standard library's hasher): nobody can make it slow.
/// Nothing depends on its order.
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
        let did = |number: u32| match number % 3 {
            0 => format!("did:web:{number}"),
            _ => format!("did:plc:{number:0>24}"),
        };
        let (mut table, mut dids) = (SeatTable::default(), Dids::default());
        for round in 0..2 {
            for number in 0..1000 {
                let author = did(number);
                let author = Author::new(&author);
                assert_eq!(table.get(author).is_some(), round > 0);
                let taken = table.take(author, &mut dids);
                let new_segment = round == 0 && [0, 8, 24, 56, 120, 248, 504].contains(&number);
                assert_eq!(taken, if new_segment { Taken::InNewSegment(number) } else { Taken::Seat(number) });
                assert_eq!(table.seats.author(number), Some(author));
            }
        }
        assert_eq!(table.seats.author(1000), Some(Author::Text("")), "room in the last segment");
        assert!(table.seats.author(1_000_000).is_none() && table.seats.get(1_000_000).is_none());
        let seat = table.seats.get(1).expect("taken");
        for shown in [true, false, true] {
            seat.show(shown);
            assert_eq!((seat.is_shown(), table.seats.author(1)), (shown, Some(Author::new(&did(1)))));
        }
    }

    #[test]
    fn a_side_table_is_made_for_those_who_need_one() {
        let (mut table, mut dids) = (SeatTable::default(), Dids::default());
        for number in 0..100 {
            let did = if number == 30 { "did:web:a".to_owned() } else { format!("did:plc:{number:0>24}") };
            table.take(Author::new(&did), &mut dids);
        }
        let made: Vec<bool> = table.seats.0.iter().map(|segment| segment.others.get().is_some()).collect();
        assert_eq!((made, dids.all.len()), (vec![false, false, true, false], 1));
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
