//! The cursor of a page: where the next page goes on, as short text that is safe in a URL.
//!
//! In: the key of the last item shown; of a mixed page, that of each source. Out: text that a client sends back, maybe
//! after a restart of the engine, after the items it names are gone, or after the community has another mix. Positions
//! are keys, compared as entries are, never indexes.
//!
//! ```text
//!   base64url without padding of:
//!   own    version 1 | form     | time i64 | DID length u16 | DID | rkey
//!                                            rkey: TID u64, or text to the end where form & 1;  big endian
//!   mixed  version 1 | form & 2 | states u8 | carries of parent and global 2 × i16 | id of the parent u32, where form & 4
//!                    | key of own, of parent, of global, each where it has one
//!          states    0 | global | parent | own, two bits each:  0 absent, 1 top, 2 has a key
//!          key       time i64 | DID length u16 | DID | rkey length u16 | rkey, or where the length is 0: TID u64
//! ```
//! What always holds:
//! - there is one text for each cursor. What would be written otherwise is refused;
//! - carries sum to 0, each is less than a whole item, and a source that is absent has none; so whatever a client sends,
//!   the sums of `mix` hold.

use std::fmt;

use data_encoding::BASE64URL_NOPAD;

use super::author::PLC_LENGTH;
use super::chunk::{Key, Rkey};
use super::mix::{GLOBAL, OWN, PARENT, SOURCES, WHOLE};
use crate::fact::{CommunityId, PostKey};
use crate::limits::PAGE_CURSOR_BYTES_MAX;
use crate::syntax::{Did, RecordKey, RecordUri, Tid};

const VERSION: u8 = 1;
const FORM_TEXT: u8 = 1;
const FORM_MIXED: u8 = 2;
const FORM_PARENT: u8 = 4;

/// 9999-12-31T23:59:59.999Z, the last moment that RFC 3339 has.
const END_OF_TIME_MILLIS: i64 = 253_402_300_799_999;

/// Where the next page goes on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PageCursor {
    pub(super) positions: [Position; SOURCES],
    /// What the shares of mixed pages owe to each source, in basis points of an item.
    pub(super) carries: [i32; SOURCES],
    /// Which community was the parent, when the page was made.
    pub(super) parent: Option<CommunityId>,
}

/// How far one source has been read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Position {
    /// The source had no share.
    Absent,
    /// Nothing of it has been shown yet.
    Top,
    /// This is the last item that was shown of it.
    Behind(PostKey),
}

/// Text that is no page cursor. A client should start from the first page.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PageCursorError {
    /// Longer than [`PAGE_CURSOR_BYTES_MAX`].
    #[error("the cursor has {0} bytes, more than any that this service gives: start from the first page")]
    TooLong(usize),
    /// Not written by this service.
    #[error("the cursor {0}: send one as it was given, or start from the first page")]
    Malformed(&'static str),
    /// Of another version of this service.
    #[error("the cursor has version {0}, this service reads version {VERSION}: start from the first page")]
    Version(u8),
}

impl PageCursor {
    /// The cursor of a page of the community's own posts that ended with this one.
    pub fn behind(key: PostKey) -> Self {
        Self {
            positions: [Position::Behind(key), Position::Absent, Position::Absent],
            carries: [0; SOURCES],
            parent: None,
        }
    }

    /// The cursor of a first page on which nothing but a pinned post had room. That it stands above all others is a place in
    /// their order like any other: behind a moment that no post has, and every source begins with its newest.
    pub(super) fn behind_pinned(pinned: &RecordUri) -> Self {
        let time_millis = END_OF_TIME_MILLIS;
        Self::behind(PostKey { time_millis, did: pinned.did.clone(), rkey: pinned.rkey.clone() })
    }

    /// The oldest of the items that ended a source's part of the pages so far.
    pub fn oldest(&self) -> &PostKey {
        let keys = self.positions.iter().filter_map(Position::key);
        keys.min().expect("invariant: a cursor comes after an item")
    }

    /// Behind what the community's own posts go on; `None` where they begin.
    ///
    /// Where they had no share before, that is behind the oldest item: whoever reads on wants what is older, and has not
    /// been promised what they have passed by.
    pub(super) fn own(&self) -> Option<&PostKey> {
        match &self.positions[OWN] {
            Position::Absent => Some(self.oldest()),
            position => position.key(),
        }
    }

    /// This cursor after more of the community's own posts.
    pub(super) fn with_own(&self, key: PostKey) -> Self {
        let [_, parent, global] = self.positions.clone();
        Self { positions: [Position::Behind(key), parent, global], carries: [0; SOURCES], parent: self.parent }
    }

    /// This cursor, where others' posts were read too, and may be again: where they stood is kept.
    pub(super) fn others(&self) -> Option<&Self> {
        Some(self).filter(|cursor| !cursor.is_own())
    }

    /// Whether nothing but the community's own posts was read.
    pub(super) fn is_own(&self) -> bool {
        matches!(self.positions, [Position::Behind(_), Position::Absent, Position::Absent])
    }

    /// Parses what [`fmt::Display`] wrote.
    ///
    /// # Errors
    /// Everything else, also other spellings of the same cursor.
    pub fn parse(text: &str) -> Result<Self, PageCursorError> {
        if text.len() > PAGE_CURSOR_BYTES_MAX {
            return Err(PageCursorError::TooLong(text.len()));
        }
        // Strict: no padding, no white space, no stray bits behind the last byte.
        let bytes = BASE64URL_NOPAD
            .decode(text.as_bytes())
            .map_err(|_| PageCursorError::Malformed("is not base64url without padding"))?;
        let mut rest = Rest(&bytes);
        let version = rest.take::<1>()?[0];
        if version != VERSION {
            return Err(PageCursorError::Version(version));
        }
        match rest.take::<1>()?[0] {
            form @ (0 | FORM_TEXT) => rest.own(form == FORM_TEXT),
            form if form & !FORM_PARENT == FORM_MIXED => rest.mixed(form & FORM_PARENT != 0),
            _ => Err(PageCursorError::Malformed("has an unknown form")),
        }
    }
}

impl Position {
    pub(super) fn key(&self) -> Option<&PostKey> {
        if let Self::Behind(key) = self { Some(key) } else { None }
    }

    const fn state(&self) -> u8 {
        match self {
            Self::Absent => 0,
            Self::Top => 1,
            Self::Behind(_) => 2,
        }
    }
}

impl fmt::Display for PageCursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = Vec::new();
        self.write(&mut text);
        f.write_str(std::str::from_utf8(&text).map_err(|_| fmt::Error)?)
    }
}

impl std::str::FromStr for PageCursor {
    type Err = PageCursorError;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::parse(text)
    }
}

impl PageCursor {
    /// Appends the cursor's text.
    pub(super) fn write(&self, out: &mut Vec<u8>) {
        match &self.positions {
            [Position::Behind(own), Position::Absent, Position::Absent] => write_own(Key::new(own), out),
            _ => self.write_mixed(out),
        }
    }

    fn write_mixed(&self, out: &mut Vec<u8>) {
        let mut bytes = Vec::with_capacity(192);
        bytes.extend([VERSION, FORM_MIXED | if self.parent.is_some() { FORM_PARENT } else { 0 }]);
        bytes.push(self.positions.iter().rev().fold(0, |states, position| states << 2 | position.state()));
        for source in [PARENT, GLOBAL] {
            let carry = i16::try_from(self.carries[source]).expect("invariant: a carry is less than a whole item");
            bytes.extend(carry.to_be_bytes());
        }
        bytes.extend(self.parent.map(|id| id.0.to_be_bytes()).into_iter().flatten());
        for key in self.positions.iter().filter_map(Position::key).map(Key::new) {
            write_time_and_did(key, &mut bytes);
            match key.rkey {
                Rkey::Tid(tid) => {
                    bytes.extend([0; 2]);
                    bytes.extend(tid.to_u64().to_be_bytes());
                }
                Rkey::Text(text) => {
                    bytes.extend(length_of(text.as_bytes()));
                    bytes.extend_from_slice(text.as_bytes());
                }
            }
        }
        encode(&bytes, out);
    }
}

/// Appends the text of the cursor behind one of the community's own posts.
pub(super) fn write_own(key: Key<'_>, out: &mut Vec<u8>) {
    let mut bytes = Vec::with_capacity(64);
    bytes.push(VERSION);
    bytes.push(if matches!(key.rkey, Rkey::Text(_)) { FORM_TEXT } else { 0 });
    write_time_and_did(key, &mut bytes);
    match key.rkey {
        Rkey::Tid(tid) => bytes.extend_from_slice(&tid.to_u64().to_be_bytes()),
        Rkey::Text(text) => bytes.extend_from_slice(text.as_bytes()),
    }
    encode(&bytes, out);
}

fn write_time_and_did(key: Key<'_>, bytes: &mut Vec<u8>) {
    bytes.extend_from_slice(&key.time_millis.to_be_bytes());
    let mut room = [0; PLC_LENGTH];
    let did = key.author.bytes(&mut room);
    bytes.extend_from_slice(&length_of(did));
    bytes.extend_from_slice(did);
}

fn length_of(text: &[u8]) -> [u8; 2] {
    u16::try_from(text.len()).expect("invariant: a DID has at most 2,048 bytes, a rkey 512").to_be_bytes()
}

fn encode(bytes: &[u8], out: &mut Vec<u8>) {
    let at = out.len();
    out.resize(at + BASE64URL_NOPAD.encode_len(bytes.len()), 0);
    BASE64URL_NOPAD.encode_mut(bytes, &mut out[at..]);
}

/// What is not parsed yet.
struct Rest<'a>(&'a [u8]);

const CUT_SHORT: PageCursorError = PageCursorError::Malformed("is cut short");
const BAD_RKEY: PageCursorError = PageCursorError::Malformed("names no record key");

impl Rest<'_> {
    fn own(mut self, is_text: bool) -> Result<PageCursor, PageCursorError> {
        let (time_millis, did) = self.time_and_did()?;
        let rkey = if is_text { text_rkey(std::mem::take(&mut self.0))? } else { self.tid()? };
        self.end()?;
        Ok(PageCursor::behind(PostKey { time_millis, did, rkey }))
    }

    fn mixed(mut self, has_parent: bool) -> Result<PageCursor, PageCursorError> {
        let states = self.take::<1>()?[0];
        let [parent, global] = [self.take()?, self.take()?].map(|carry| i32::from(i16::from_be_bytes(carry)));
        let carries = [-(parent + global), parent, global];
        let parent = if has_parent { Some(CommunityId(u32::from_be_bytes(self.take()?))) } else { None };
        let mut positions = [const { Position::Absent }; SOURCES];
        for (source, position) in positions.iter_mut().enumerate() {
            *position = match states >> (2 * source) & 3 {
                0 => Position::Absent,
                1 => Position::Top,
                2 => Position::Behind(self.key()?),
                _ => return Err(PageCursorError::Malformed("has an unknown state")),
            };
        }
        self.end()?;
        let cursor = PageCursor { positions, carries, parent };
        if states >> (2 * SOURCES) != 0 || cursor.is_own() || !cursor.positions.iter().any(|one| one.key().is_some()) {
            return Err(PageCursorError::Malformed("has an unknown state"));
        }
        let owes = |(position, carry): (&Position, &i32)| *carry == 0 || *position != Position::Absent;
        if !cursor.positions.iter().zip(&carries).all(owes) || carries.iter().any(|carry| carry.abs() >= WHOLE) {
            return Err(PageCursorError::Malformed("owes what no page owes"));
        }
        Ok(cursor)
    }

    fn key(&mut self) -> Result<PostKey, PageCursorError> {
        let (time_millis, did) = self.time_and_did()?;
        let rkey = match usize::from(u16::from_be_bytes(self.take()?)) {
            0 => self.tid()?,
            length => text_rkey(self.split(length)?)?,
        };
        Ok(PostKey { time_millis, did, rkey })
    }

    fn time_and_did(&mut self) -> Result<(i64, Did), PageCursorError> {
        let time_millis = i64::from_be_bytes(self.take()?);
        let length = usize::from(u16::from_be_bytes(self.take()?));
        let did = std::str::from_utf8(self.split(length)?).ok().and_then(|text| Did::parse(text).ok());
        Ok((time_millis, did.ok_or(PageCursorError::Malformed("names no DID"))?))
    }

    fn tid(&mut self) -> Result<RecordKey, PageCursorError> {
        Ok(Tid::from_u64(u64::from_be_bytes(self.take()?)).into())
    }

    fn take<const N: usize>(&mut self) -> Result<[u8; N], PageCursorError> {
        let (taken, rest) = self.0.split_first_chunk().ok_or(CUT_SHORT)?;
        self.0 = rest;
        Ok(*taken)
    }

    fn split(&mut self, length: usize) -> Result<&[u8], PageCursorError> {
        let (taken, rest) = self.0.split_at_checked(length).ok_or(CUT_SHORT)?;
        self.0 = rest;
        Ok(taken)
    }

    fn end(&self) -> Result<(), PageCursorError> {
        if self.0.is_empty() { Ok(()) } else { Err(PageCursorError::Malformed("goes on behind its end")) }
    }
}

/// A rkey that is spelt out, and so is no TID.
fn text_rkey(bytes: &[u8]) -> Result<RecordKey, PageCursorError> {
    let text = std::str::from_utf8(bytes).ok().filter(|text| matches!(Rkey::new(text), Rkey::Text(_)));
    text.and_then(|text| RecordKey::parse(text).ok()).ok_or(BAD_RKEY)
}

#[cfg(test)]
#[path = "tests/cursor.rs"]
mod tests;
