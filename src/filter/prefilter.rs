//! The look that every frame gets: can it matter at all?
//!
//! In: the bytes of a frame. Out: a [`Possible`], which may be wrong one way only. [`Possible::Nothing`] is said of a
//! commit that neither names this network nor changes a post; everything else is parsed.
//!
//! ```text
//! if the frame holds "atrarium":                    Named      (1)
//! walk the keys of the head, in whatever order:                (2)
//!     a commit that creates:                        Nothing    (3)
//!     a commit that updates or deletes a post:      Change
//!     a commit that updates or deletes another:     Nothing
//!     a key or value that the walk does not know:   Unclear    (4)
//! ```
//!
//! 1. `atrarium` is within both `atrarium_` and `net.atrarium.`, and one needle is searched faster than two (see
//!    `benches/filter.rs`). No server of the stream escapes letters, digits, `_` or `.` within a record.
//! 2. No layout is assumed: the three wires order their keys differently, and a fourth may. The walk reads keys with
//!    their values until it knows kind, operation and (where it matters) collection. In all wires these stand before the
//!    record, so the walk ends after some 200 bytes, and nothing that a user can write is ever looked at.
//! 3. Of a double key the first one counts, here as in the parser, so the walk may stop early.
//! 4. Objects and arrays, escapes, words instead of numbers, another kind than commit: all rare before the record. The
//!    caller parses such a frame in full, which tells what it is, or why it is refused. So unknown kinds and garbage are
//!    counted exactly; only damage behind the head of a commit that cannot matter passes unseen.

use std::sync::LazyLock;

use memchr::memchr2;
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
    if NAME.find(frame).is_some() {
        return Possible::Named;
    }
    match read_head(frame) {
        Some(Head { operation: b"create", .. }) => Possible::Nothing,
        Some(Head { operation: b"update" | b"delete", collection: Some(b"app.bsky.feed.post") }) => Possible::Change,
        Some(Head { operation: b"update" | b"delete", collection: Some(_) }) => Possible::Nothing,
        _ => Possible::Unclear,
    }
}

/// What the head of a commit says.
#[derive(Debug, PartialEq)]
struct Head<'a> {
    operation: &'a [u8],
    /// Not looked for where the operation is a create.
    collection: Option<&'a [u8]>,
}

/// Reads the head of a commit; `None` where it is anything but the plain head of a whole one.
fn read_head(frame: &[u8]) -> Option<Head<'_>> {
    let mut walk = Walk { rest: frame };
    let wire = walk.enter_commit()?;
    let head = walk.read_commit(wire)?;
    frame.trim_ascii_end().ends_with(b"}").then_some(head)
}

/// How the object is called that holds a commit's fields.
#[derive(Clone, Copy, PartialEq)]
enum Wire {
    /// `commit`, and the envelope has told the kind.
    V1,
    /// `payload`, which tells its kind itself.
    V2,
}

/// What is left of a frame while its keys are walked.
struct Walk<'a> {
    rest: &'a [u8],
}

impl<'a> Walk<'a> {
    /// From the start of the frame into the object that holds the commit's fields.
    #[inline]
    fn enter_commit(&mut self) -> Option<Wire> {
        let (mut form, mut kind) = (None, None);
        self.expect(b'{')?;
        loop {
            match self.key()? {
                b"$type" => _ = form.get_or_insert(self.text()?),
                b"kind" => _ = kind.get_or_insert(self.text()?),
                b"payload" if form == Some(b"message") => return self.expect(b'{').map(|()| Wire::V2),
                b"commit" if form.is_none() && kind == Some(b"commit") => return self.expect(b'{').map(|()| Wire::V1),
                _ => self.skip_value()?,
            }
            self.expect(b',')?;
        }
    }

    /// From the first key of a commit's fields as far as they are needed.
    #[inline]
    fn read_commit(&mut self, wire: Wire) -> Option<Head<'a>> {
        let (mut kind, mut operation, mut collection) = (None, None, None);
        loop {
            match self.key()? {
                b"operation" => _ = operation.get_or_insert(self.text()?),
                b"collection" => _ = collection.get_or_insert(self.text()?),
                b"$type" if wire == Wire::V2 => {
                    let known = [&b"network.bsky.jetstream.subscribeEvents#commit"[..], b"#commit"];
                    kind = kind.or(Some(self.text()?).filter(|kind| known.contains(kind)));
                    kind?;
                }
                _ => self.skip_value()?,
            }
            if let Some(operation) = operation
                && (operation == b"create" || collection.is_some())
                && (wire == Wire::V1 || kind.is_some())
            {
                return Some(Head { operation, collection });
            }
            self.expect(b',')?;
        }
    }

    /// A key and its colon.
    #[inline]
    fn key(&mut self) -> Option<&'a [u8]> {
        let key = self.text()?;
        self.expect(b':')?;
        Some(key)
    }

    /// A string without escapes.
    #[inline]
    fn text(&mut self) -> Option<&'a [u8]> {
        self.expect(b'"')?;
        let end = memchr2(b'"', b'\\', self.rest)?;
        let (text, rest) = self.rest.split_at(end);
        self.rest = rest;
        self.expect(b'"')?;
        Some(text)
    }

    /// Past a string without escapes, or digits.
    #[inline]
    fn skip_value(&mut self) -> Option<()> {
        self.skip_whitespace();
        match self.rest.first()? {
            b'"' => self.text().map(drop),
            b'0'..=b'9' => {
                let digits = self.rest.iter().position(|byte| !byte.is_ascii_digit())?;
                self.rest = &self.rest[digits..];
                Some(())
            }
            _ => None,
        }
    }

    /// Past whitespace and one byte of JSON's own.
    #[inline]
    fn expect(&mut self, byte: u8) -> Option<()> {
        self.skip_whitespace();
        self.rest = self.rest.strip_prefix(&[byte])?;
        Some(())
    }

    #[inline]
    fn skip_whitespace(&mut self) {
        while let Some((b' ' | b'\t' | b'\n' | b'\r', rest)) = self.rest.split_first() {
            self.rest = rest;
        }
    }
}
