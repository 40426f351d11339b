//! The look that every frame gets: can it matter at all?
//!
//! In: the bytes of a frame. Out: a [`Possible`], which may be wrong one way only. [`Possible::Nothing`] is said of a
//! commit that neither names this network nor changes a post; everything else is parsed.
//!
//! ```text
//! if the frame holds "atrarium":                            Named      (1)
//! read the head: as a layout that servers write today,                 (2)
//!     or else key by key, in whatever order:                           (3)
//!     a commit that creates:                                Nothing    (4)
//!     a commit that updates or deletes a post:              Change
//!     a commit that updates or deletes another record:      Nothing
//!     anything that neither can read:                       Unclear    (5)
//! ```
//!
//! 1. Frames that lie in one buffer are searched together ([`Names`]). `atrarium` is within both `atrarium_` and `net.atrarium.`, and `memchr::memmem` finds one needle in less than half
//!    the time in which `aho_corasick::packed` finds two (`benches/filter.rs`). No server of the stream escapes letters,
//!    digits, `_` or `.` within a record.
//! 2. [`layout`] compares whole pieces of text at once. That costs half of what the walk does, and nearly every frame has
//!    such a layout.
//! 3. [`walk`] assumes no layout: the three wires order their keys differently, and a fourth may. It is the reference of the
//!    first, and stands in for it where a server changes its habits.
//! 4. In all wires kind, operation and collection stand before the record, so both end after some 200 bytes, and nothing
//!    that a user can write is ever looked at. Of a double key the first one counts, here as in the parser.
//! 5. Objects and arrays before the record, escapes, words instead of numbers, another kind than commit: all rare. The
//!    caller parses such a frame in full, which tells what it is, or why it is refused. So unknown kinds and garbage are
//!    counted exactly; only damage behind the head of a commit that cannot matter passes unseen.

mod layout;
mod walk;

use std::sync::LazyLock;

use memchr::memmem::Finder;

/// What a frame may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Possible {
    /// A commit that cannot matter.
    Nothing,
    /// It says `atrarium`: perhaps a hashtag, perhaps one of our collections, perhaps mere talk.
    Named,
    /// It updates or deletes a post: perhaps one that was let pass before.
    Change,
    /// Its head is not that of a commit as the servers write it: another kind, another layout, or garbage.
    Unclear,
}

static NAME: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new("atrarium"));

/// Looks at one frame.
pub fn prefilter(frame: &[u8]) -> Possible {
    if NAME.find(frame).is_some() { Possible::Named } else { prefilter_unnamed(frame) }
}

/// Looks at one frame in which `atrarium` does not stand ([`Names`]).
#[inline]
pub fn prefilter_unnamed(frame: &[u8]) -> Possible {
    match layout::read(frame).or_else(|| walk::read(frame)) {
        // The object is closed; whether all within it is well is not asked.
        Some(head) if frame.trim_ascii_end().ends_with(b"}") => head.judge(),
        _ => Possible::Unclear,
    }
}

/// Where `atrarium` stands in a run of frames, looked for once in all of them.
///
/// It may lie in what is between two frames: then it is said to stand in the second one.
#[derive(Debug)]
pub struct Names<'a> {
    bytes: &'a [u8],
    next: usize,
}

impl<'a> Names<'a> {
    /// In these bytes.
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, next: NAME.find(bytes).unwrap_or(bytes.len()) }
    }

    /// Whether it begins before `end`, and not before the `end` that was asked for last.
    #[inline]
    pub fn is_before(&mut self, end: usize) -> bool {
        let is_before = self.next < end;
        if is_before {
            let rest = self.bytes.get(end..).unwrap_or_default();
            self.next = NAME.find(rest).map_or(self.bytes.len(), |at| end + at);
        }
        is_before
    }
}

/// What the head of a commit says.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Head<'a> {
    Create,
    /// An operation that is no create, and its collection.
    Other(&'a [u8], &'a [u8]),
}

impl Head<'_> {
    fn judge(self) -> Possible {
        match self {
            Self::Create => Possible::Nothing,
            Self::Other(b"update" | b"delete", b"app.bsky.feed.post") => Possible::Change,
            Self::Other(b"update" | b"delete", _) => Possible::Nothing,
            Self::Other(..) => Possible::Unclear,
        }
    }
}

#[cfg(test)]
mod tests;
