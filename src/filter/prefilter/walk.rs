//! The head of a commit, key by key, in whatever order and with whatever whitespace.

use super::Head;
use crate::syntax::scan::Scan;

/// The head of a commit; `None` where it is anything but plain.
pub(super) fn read(frame: &[u8]) -> Option<Head<'_>> {
    let mut walk = Walk(Scan { rest: frame });
    let wire = walk.enter_commit()?;
    walk.read_commit(wire)
}

/// How the object is called that holds a commit's fields.
#[derive(Clone, Copy, PartialEq)]
enum Wire {
    /// `commit`, and the envelope has told the kind.
    V1,
    /// `payload`, which tells its kind itself.
    V2,
}

struct Walk<'a>(Scan<'a>);

impl<'a> Walk<'a> {
    /// From the start of the frame into the object that holds the commit's fields.
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
    fn read_commit(&mut self, wire: Wire) -> Option<Head<'a>> {
        let (mut kind, mut operation, mut collection) = (None, None, None);
        loop {
            match self.key()? {
                b"operation" => _ = operation.get_or_insert(self.text()?),
                b"collection" => _ = collection.get_or_insert(self.text()?),
                b"$type" if wire == Wire::V2 => _ = kind.get_or_insert(self.text()?),
                _ => self.skip_value()?,
            }
            let is_commit = match (wire, kind) {
                (Wire::V1, _) | (_, Some(b"network.bsky.jetstream.subscribeEvents#commit" | b"#commit")) => true,
                (_, Some(_)) => return None,
                (_, None) => false,
            };
            match (operation, collection) {
                (Some(b"create"), _) if is_commit => return Some(Head::Create),
                (Some(operation), Some(collection)) if is_commit => return Some(Head::Other(operation, collection)),
                _ => self.expect(b',')?,
            }
        }
    }

    /// A key and its colon.
    fn key(&mut self) -> Option<&'a [u8]> {
        let key = self.text()?;
        self.expect(b':')?;
        Some(key)
    }

    /// A string without escapes.
    fn text(&mut self) -> Option<&'a [u8]> {
        self.expect(b'"')?;
        self.0.text()
    }

    /// Past a string without escapes, or digits.
    fn skip_value(&mut self) -> Option<()> {
        self.skip_whitespace();
        match self.0.rest.first()? {
            b'"' => self.text().map(drop),
            _ => self.0.digits().map(drop),
        }
    }

    /// Past whitespace and one byte of JSON's own.
    fn expect(&mut self, byte: u8) -> Option<()> {
        self.skip_whitespace();
        self.0.literal(&[byte])
    }

    fn skip_whitespace(&mut self) {
        while let Some((b' ' | b'\t' | b'\n' | b'\r', rest)) = self.0.rest.split_first() {
            self.0.rest = rest;
        }
    }
}
