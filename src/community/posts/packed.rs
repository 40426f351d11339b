//! Rows of posts, in 40 bytes each.
//!
//! In: rows, by number. Out: the same rows, whole; and what is asked most, without making a whole one for it.
//!
//! ```text
//! tid        rkey
//! author     u32
//! id         the hashtag
//! word 0     63 ……………………………………………………… 16 | 15 ……………… 0
//!            rev, as the difference to the rkey: 48 bits | place's position
//! word 1     63 ………………………………………… 19 | 18 ………………… 3 | 2      | 1      | 0
//!            CID behind "bafyrei": 45 bits | created, low 16 | hidden | shared | held
//! word 2     63 ……………………………………… 24 | 23 ………………………………………………… 0
//!            witnessed − rev's time, µs: 40 bits | created − rev's time, µs: the high 24 of 40 bits
//! ```
//! So is kept what nearly all are: a TID for a rkey, one hashtag or none left of a delete, a rev and times within days of the
//! rkey. Three values of `created` are no times: there is none; the record was deleted; the row is *wide*. A wide row stands
//! whole in a map beside.

use std::borrow::Cow;

use rustc_hash::FxHashMap;

use super::row::{Places, PostBody, PostRow, time_millis};
use crate::community::feeds::Place;
use crate::community::names::{DidIndex, Key};
use crate::community::version::{CidPrefix, Version};
use crate::fact::{CommunityId, Tags};
use crate::syntax::{Tid, Time};

#[derive(Clone, Copy, Debug)]
struct Packed {
    tid: u64,
    author: DidIndex,
    id: CommunityId,
    words: [u64; 3],
}

const _: () = assert!(size_of::<Packed>() == 40, "millions of them are kept");

const HELD: u64 = 1;
const SHARED: u64 = 2;
const HIDDEN: u64 = 4;
const CREATED_SHIFT: u32 = 3;
const CREATED_LOW_BITS: u32 = 16;
const CREATED_HIGH_BITS: u32 = 24;
const CREATED_BITS: u32 = CREATED_LOW_BITS + CREATED_HIGH_BITS;
const CID_SHIFT: u32 = CREATED_SHIFT + CREATED_LOW_BITS;
const WITNESSED_BITS: u32 = u64::BITS - CREATED_HIGH_BITS;
const REV_BITS: u32 = u64::BITS - POSITION_BITS;
const POSITION_BITS: u32 = 16;
/// Of no place, in 16 bits.
const NOWHERE: u64 = (1 << POSITION_BITS) - 1;
/// No CID: 45 zeros. One that has these bits is wide.
const NO_CID: u64 = 0;

/// Values of `created` that are no times.
const NONE: i64 = least(CREATED_BITS);
const DELETED: i64 = NONE + 1;
const WIDE: i64 = NONE + 2;
const FREE: i64 = NONE + 3;

/// The least number of so many bits.
const fn least(bits: u32) -> i64 {
    -1 << (bits - 1)
}

/// Whether a number is one of so many bits.
const fn fits(number: i64, bits: u32) -> bool {
    number >= least(bits) && number < -least(bits)
}

/// The low bits of a word, with their sign.
const fn signed(word: u64, bits: u32) -> i64 {
    (word << (u64::BITS - bits)) as i64 >> (u64::BITS - bits)
}

const fn low(number: u64, bits: u32) -> u64 {
    number & ((1 << bits) - 1)
}

fn packed_position(position: u32) -> Option<u64> {
    match position {
        Place::NOWHERE => Some(NOWHERE),
        position => Some(u64::from(position)).filter(|&position| position < NOWHERE),
    }
}

impl Packed {
    const fn special(created: i64) -> Self {
        let packed = Self { tid: 0, author: DidIndex(0), id: CommunityId(0), words: [0; 3] };
        packed.with_created(created)
    }

    /// `None` where the row does not fit.
    fn new(row: &PostRow) -> Option<Self> {
        let Key::Tid(tid) = row.key else { return None };
        let version = &row.version;
        let of_rev = |time: Time| time.micros().checked_sub(version.rev.time().micros());
        let rev = version.rev.to_u64().wrapping_sub(tid.to_u64()) as i64;
        let witnessed = of_rev(version.witnessed)?;
        let (created, id, place) = match &version.body {
            None => (DELETED, CommunityId(0), None),
            Some(PostBody { created, places: Places::One(place) }) => {
                let created = created.map_or(Some(NONE), |created| of_rev(created).filter(|&micros| micros > FREE))?;
                (created, place.id, Some(place))
            }
            Some(_) => return None,
        };
        let position = packed_position(place.map_or(Place::NOWHERE, |place| place.position))?;
        let cid = if version.cid == CidPrefix::NONE {
            NO_CID
        } else {
            version.cid.to_bits().filter(|&bits| bits != NO_CID)?
        };
        if !fits(rev, REV_BITS) || !fits(witnessed, WITNESSED_BITS) || !fits(created, CREATED_BITS) {
            return None;
        }
        let flag = |is_set: bool, flag: u64| if is_set { flag } else { 0 };
        let flags = flag(row.is_held, HELD)
            | flag(row.is_shared, SHARED)
            | flag(place.is_some_and(|place| place.hidden), HIDDEN);
        let words = [
            (rev as u64) << POSITION_BITS | position,
            cid << CID_SHIFT | flags,
            (witnessed as u64) << CREATED_HIGH_BITS,
        ];
        Some(Self { tid: tid.to_u64(), author: row.author, id, words }.with_created(created))
    }

    const fn with_created(self, created: i64) -> Self {
        let Self { tid, author, id, words: [first, second, third] } = self;
        let created = created as u64;
        let second = second & !(((1 << CREATED_LOW_BITS) - 1) << CREATED_SHIFT)
            | low(created, CREATED_LOW_BITS) << CREATED_SHIFT;
        let third =
            third >> CREATED_HIGH_BITS << CREATED_HIGH_BITS | low(created >> CREATED_LOW_BITS, CREATED_HIGH_BITS);
        Self { tid, author, id, words: [first, second, third] }
    }

    /// The difference to the rev's time, or one of the values that are no times.
    const fn created(&self) -> i64 {
        let high = low(self.words[2], CREATED_HIGH_BITS);
        signed(high << CREATED_LOW_BITS | low(self.words[1] >> CREATED_SHIFT, CREATED_LOW_BITS), CREATED_BITS)
    }

    const fn is_wide(&self) -> bool {
        self.created() == WIDE
    }

    const fn is_free(&self) -> bool {
        self.created() == FREE
    }

    const fn has(&self, flag: u64) -> bool {
        self.words[1] & flag != 0
    }

    const fn set(&mut self, flag: u64, is_set: bool) {
        if is_set {
            self.words[1] |= flag;
        } else {
            self.words[1] &= !flag;
        }
    }

    const fn rev(&self) -> Tid {
        Tid::from_u64(self.tid.wrapping_add(signed(self.words[0] >> POSITION_BITS, REV_BITS) as u64))
    }

    const fn witnessed(&self) -> Time {
        self.rev().time().plus_micros(self.words[2] as i64 >> CREATED_HIGH_BITS)
    }

    fn created_time(&self) -> Option<Time> {
        let created = self.created();
        (created > FREE).then(|| self.rev().time().plus_micros(created))
    }

    fn time_millis(&self) -> i64 {
        time_millis(self.rev().time(), self.witnessed(), self.created_time())
    }

    fn place(&self) -> Option<Place> {
        let position = match low(self.words[0], POSITION_BITS) {
            NOWHERE => Place::NOWHERE,
            position => position as u32,
        };
        (self.created() != DELETED).then_some(Place { id: self.id, position, hidden: self.has(HIDDEN) })
    }

    /// `false` where the position does not fit.
    fn set_position(&mut self, position: u32) -> bool {
        let Some(position) = packed_position(position) else { return false };
        self.words[0] = self.words[0] & !NOWHERE | position;
        true
    }

    fn row(&self) -> PostRow {
        let cid = match self.words[1] >> CID_SHIFT {
            NO_CID => CidPrefix::NONE,
            bits => CidPrefix::from_bits(bits),
        };
        let body = self.place().map(|place| PostBody { created: self.created_time(), places: Places::One(place) });
        PostRow {
            author: self.author,
            key: Key::Tid(Tid::from_u64(self.tid)),
            is_held: self.has(HELD),
            is_shared: self.has(SHARED),
            version: Version { rev: self.rev(), witnessed: self.witnessed(), cid, body },
        }
    }
}

/// Rows by number. Numbers are used again.
#[derive(Debug, Default)]
pub(super) struct Rows {
    /// Pieces of [`PIECE`] rows, the last one begun: nothing is copied as they grow, and no room is kept that is twice as
    /// large as what is in it.
    pieces: Vec<Vec<Packed>>,
    /// The rows that do not fit.
    wide: FxHashMap<u32, Box<PostRow>>,
    free: Vec<u32>,
}

/// 160 KiB.
const PIECE: usize = 4096;

const LIVES: &str = "invariant: a post's number is dropped before the post is forgotten";

impl Rows {
    /// How many numbers were ever used: all are less.
    pub fn numbers(&self) -> usize {
        self.pieces.last().map_or(0, |last| (self.pieces.len() - 1) * PIECE + last.len())
    }

    fn get(&self, number: u32) -> Option<&Packed> {
        let packed = self.pieces.get(number as usize / PIECE)?.get(number as usize % PIECE)?;
        (!packed.is_free()).then_some(packed)
    }

    fn packed(&self, number: u32) -> &Packed {
        self.get(number).expect(LIVES)
    }

    fn packed_mut(&mut self, number: u32) -> &mut Packed {
        let packed = &mut self.pieces[number as usize / PIECE][number as usize % PIECE];
        assert!(!packed.is_free(), "{LIVES}");
        packed
    }

    fn wide(&self, number: u32) -> &PostRow {
        self.wide.get(&number).expect("invariant: what is wide stands beside")
    }

    fn wide_mut(&mut self, number: u32) -> &mut PostRow {
        self.wide.get_mut(&number).expect("invariant: what is wide stands beside")
    }

    fn whole<'a>(&'a self, number: u32, packed: &Packed) -> Cow<'a, PostRow> {
        if packed.is_wide() { Cow::Borrowed(self.wide(number)) } else { Cow::Owned(packed.row()) }
    }

    /// A row, whole.
    pub fn row(&self, number: u32) -> Cow<'_, PostRow> {
        self.whole(number, self.packed(number))
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = (u32, Cow<'_, PostRow>)> {
        let all = (0..).zip(self.pieces.iter().flatten()).filter(|(_, packed)| !packed.is_free());
        all.map(|(number, packed)| (number, self.whole(number, packed)))
    }

    /// Adds a row; `None` where there is no number for it.
    pub fn add(&mut self, row: PostRow) -> Option<u32> {
        let number = match self.free.pop() {
            Some(number) => number,
            None => self.push(Packed::special(FREE))?,
        };
        self.put(number, row);
        Some(number)
    }

    fn push(&mut self, packed: Packed) -> Option<u32> {
        let number = u32::try_from(self.numbers()).ok().filter(|&number| number < u32::MAX)?;
        match self.pieces.last_mut() {
            Some(last) if last.len() < PIECE => last.push(packed),
            _ => {
                let mut piece = Vec::with_capacity(PIECE);
                piece.push(packed);
                self.pieces.push(piece);
            }
        }
        Some(number)
    }

    /// Puts a row in the place of what has its number.
    pub fn put(&mut self, number: u32, row: PostRow) {
        let packed = &mut self.pieces[number as usize / PIECE][number as usize % PIECE];
        let was_wide = packed.is_wide();
        match Packed::new(&row) {
            Some(fits) => {
                *packed = fits;
                if was_wide {
                    self.wide.remove(&number);
                }
            }
            None => {
                *packed = Packed::special(WIDE);
                self.wide.insert(number, Box::new(row));
            }
        }
    }

    /// Takes a row out; its number is given to another.
    pub fn remove(&mut self, number: u32) {
        if self.get(number).is_some() {
            if self.packed(number).is_wide() {
                self.wide.remove(&number);
            }
            *self.packed_mut(number) = Packed::special(FREE);
            self.free.push(number);
        }
    }

    /// Whether a number is that of a post.
    pub fn is(&self, number: u32, author: DidIndex, key: &Key) -> bool {
        let packed = self.packed(number);
        if packed.is_wide() {
            let row = self.wide(number);
            return row.author == author && row.key == *key;
        }
        packed.author == author && matches!(key, Key::Tid(tid) if tid.to_u64() == packed.tid)
    }

    pub fn author(&self, number: u32) -> DidIndex {
        let packed = self.packed(number);
        if packed.is_wide() { self.wide(number).author } else { packed.author }
    }

    pub fn key(&self, number: u32) -> Key {
        let packed = self.packed(number);
        if packed.is_wide() { self.wide(number).key.clone() } else { Key::Tid(Tid::from_u64(packed.tid)) }
    }

    pub fn rev(&self, number: u32) -> Tid {
        let packed = self.packed(number);
        if packed.is_wide() { self.wide(number).version.rev } else { packed.rev() }
    }

    pub fn is_held(&self, number: u32) -> bool {
        let packed = self.packed(number);
        if packed.is_wide() { self.wide(number).is_held } else { packed.has(HELD) }
    }

    pub fn is_shared(&self, number: u32) -> bool {
        let packed = self.packed(number);
        if packed.is_wide() { self.wide(number).is_shared } else { packed.has(SHARED) }
    }

    pub fn time_millis(&self, number: u32) -> i64 {
        let packed = self.packed(number);
        if packed.is_wide() { self.wide(number).time_millis() } else { packed.time_millis() }
    }

    /// When the clock has to look at a post again; `None` where there is none of that number.
    pub fn due_millis(&self, number: u32) -> Option<i64> {
        let packed = self.get(number)?;
        Some(match (packed.is_wide(), packed.has(HELD)) {
            (true, _) => self.wide(number).due_millis(),
            (false, true) => packed.time_millis(),
            (false, false) => packed.rev().time().millis(),
        })
    }

    /// The hashtags as the view is told them; `None` where there is none.
    pub fn tags_told(&self, number: u32) -> Option<Tags> {
        let packed = self.packed(number);
        if packed.is_wide() { self.wide(number).tags_told() } else { packed.place().map(|place| Tags::One(place.id)) }
    }

    /// One place of a post, held or not, while there are so many.
    pub fn place_at(&self, number: u32, at: usize) -> Option<Place> {
        let packed = self.packed(number);
        if packed.is_wide() {
            return self.wide(number).version.body.as_ref()?.places.get(at).copied();
        }
        packed.place().filter(|_| at == 0)
    }

    /// The place in the feed of a hashtag, while the post is held.
    pub fn place(&self, number: u32, id: CommunityId) -> Option<Place> {
        let packed = self.packed(number);
        if packed.is_wide() {
            return self.wide(number).place(id);
        }
        packed.place().filter(|place| place.id == id && packed.has(HELD))
    }

    pub fn set_held(&mut self, number: u32, held: bool) {
        self.set(number, HELD, held, |row| row.is_held = held);
    }

    pub fn set_shared(&mut self, number: u32, shared: bool) {
        self.set(number, SHARED, shared, |row| row.is_shared = shared);
    }

    /// Says of the place of a hashtag, where the post has one, whether the post is hidden there.
    pub fn set_hidden(&mut self, number: u32, id: CommunityId, hidden: bool) {
        if self.packed(number).is_wide() || self.packed(number).id == id {
            self.set(number, HIDDEN, hidden, |row| {
                if let Some(place) = row.version.body.as_mut().and_then(|body| body.place_mut(id)) {
                    place.hidden = hidden;
                }
            });
        }
    }

    fn set(&mut self, number: u32, flag: u64, is_set: bool, of_wide: impl FnOnce(&mut PostRow)) {
        let packed = self.packed_mut(number);
        if packed.is_wide() { of_wide(self.wide_mut(number)) } else { packed.set(flag, is_set) }
    }

    /// Says where a post stands in the feed of a hashtag; `false` where it does not carry that.
    pub fn set_position(&mut self, number: u32, id: CommunityId, position: u32) -> bool {
        let packed = self.packed_mut(number);
        if !packed.is_wide() {
            if packed.id != id || packed.created() == DELETED {
                return false;
            }
            if packed.set_position(position) {
                return true;
            }
        }
        let mut row = self.row(number).into_owned();
        let place = row.version.body.as_mut().and_then(|body| body.place_mut(id));
        let Some(place) = place else { return false };
        place.position = position;
        self.put(number, row);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::syntax::RecordKey;

    /// Rows of every shape, most of them near the edges of what is packed.
    fn row(rng: &mut fastrand::Rng) -> PostRow {
        let near = |rng: &mut fastrand::Rng, bits: u32| match rng.u8(..4) {
            0 => 0,
            1 => rng.i64(-5..5),
            2 => least(bits) + rng.i64(-3..8),
            _ => -least(bits) + rng.i64(-4..3),
        };
        let tid = Tid::from_time(Time::from_micros(1_790_000_000_000_000 + rng.i64(0..1 << 50)), rng.u16(..1024));
        let key = match rng.u8(..8) {
            0 => Key::from(&RecordKey::parse("self").expect("valid")),
            _ => Key::Tid(tid),
        };
        let rev = Tid::from_u64(tid.to_u64().wrapping_add(near(rng, REV_BITS) as u64) & (i64::MAX as u64));
        let place = |rng: &mut fastrand::Rng| Place {
            id: CommunityId(rng.u32(..3)),
            position: [0, 1, 65_534, 65_535, 65_536, Place::NOWHERE][rng.usize(..6)],
            hidden: rng.bool(),
        };
        let places = match rng.u8(..6) {
            0 => Places::many(Vec::new()),
            1 => Places::many((0..2).map(|id| Place { id: CommunityId(id), ..place(rng) }).collect()),
            _ => Places::One(place(rng)),
        };
        let created = (rng.u8(..4) > 0).then(|| rev.time().plus_micros(near(rng, CREATED_BITS)));
        let body = (rng.u8(..5) > 0).then_some(PostBody { created, places });
        let cid = match rng.u8(..4) {
            0 => CidPrefix::NONE,
            1 => CidPrefix(*b"bafkreiabcxyz234"),
            2 => CidPrefix(*b"bafyreiaaaaaaaaa"),
            _ => CidPrefix(*b"bafyreiabcxyz234"),
        };
        let witnessed = rev.time().plus_micros(near(rng, WITNESSED_BITS));
        let version = Version { rev, witnessed, cid, body };
        PostRow { author: DidIndex(rng.u32(..9)), key, is_held: rng.bool(), is_shared: rng.bool(), version }
    }

    fn text(row: &PostRow) -> String {
        format!("{row:?}")
    }

    #[test]
    fn a_row_comes_back_whole_whatever_it_is() {
        let mut rng = fastrand::Rng::with_seed(11);
        let (mut rows, mut plain) = (Rows::default(), Vec::<Option<PostRow>>::new());
        let (mut packed, mut wide) = (0, 0);
        for _ in 0..60_000 {
            let at = rng.usize(..plain.len().max(1));
            let number = at as u32;
            match (rng.u8(..8), plain.get_mut(at)) {
                (0, Some(known @ Some(_))) => {
                    rows.remove(number);
                    *known = None;
                }
                (1, Some(Some(known))) => {
                    let new = row(&mut rng);
                    *known = new.clone();
                    rows.put(number, new);
                }
                (2, Some(Some(known))) => {
                    known.is_held = !known.is_held;
                    rows.set_held(number, known.is_held);
                }
                (3, Some(Some(known))) => {
                    known.is_shared = !known.is_shared;
                    rows.set_shared(number, known.is_shared);
                }
                (of @ 4..=5, Some(Some(known))) => {
                    let id = CommunityId(rng.u32(..3));
                    let place = known.version.body.as_mut().and_then(|body| body.place_mut(id));
                    let has_place = place.is_some();
                    let new = [0, 7, 65_534, 65_535, 1 << 20, Place::NOWHERE][rng.usize(..6)];
                    if let Some(place) = place {
                        if of == 4 { place.position = new } else { place.hidden = new == 0 }
                    }
                    if of == 4 {
                        assert_eq!(rows.set_position(number, id, new), has_place);
                    } else {
                        rows.set_hidden(number, id, new == 0);
                    }
                }
                _ => {
                    let new = row(&mut rng);
                    let number = rows.add(new.clone()).expect("room");
                    plain.resize(plain.len().max(number as usize + 1), None);
                    assert!(plain[number as usize].replace(new).is_none());
                }
            }
            let Some(Some(known)) = plain.get(at) else {
                assert_eq!(rows.due_millis(number), None);
                continue;
            };
            assert_eq!(text(&rows.row(number)), text(known));
            assert_eq!(rows.due_millis(number), Some(known.due_millis()));
            assert_eq!(rows.time_millis(number), known.time_millis());
            assert_eq!((rows.author(number), rows.key(number)), (known.author, known.key.clone()));
            assert_eq!((rows.is_held(number), rows.is_shared(number)), (known.is_held, known.is_shared));
            assert_eq!((rows.rev(number), rows.tags_told(number)), (known.version.rev, known.tags_told()));
            assert!(rows.is(number, known.author, &known.key));
            assert!(!rows.is(number, DidIndex(known.author.0 + 1), &known.key));
            for id in (0..3).map(CommunityId) {
                assert_eq!(format!("{:?}", rows.place(number, id)), format!("{:?}", known.place(id)));
            }
            let places = known.version.body.iter().flat_map(|body| body.places.iter());
            let all: Vec<String> = places.map(|place| format!("{place:?}")).collect();
            let seen = (0..).map_while(|at| rows.place_at(number, at)).map(|place| format!("{place:?}"));
            assert_eq!(seen.collect::<Vec<_>>(), all);
            if rows.packed(number).is_wide() { wide += 1 } else { packed += 1 }
        }
        assert!(packed > 5000 && wide > 5000, "{packed} {wide}");
        let all: Vec<(u32, String)> = rows.iter().map(|(number, row)| (number, text(&row))).collect();
        let known = (0..).zip(&plain).filter_map(|(number, row)| Some((number, text(row.as_ref()?))));
        assert_eq!(all, known.collect::<Vec<_>>());
        assert_eq!(rows.numbers(), plain.len());
        assert_eq!(rows.wide.len(), rows.iter().filter(|(number, _)| rows.packed(*number).is_wide()).count());
    }
}
