//! An author's DID, as a seat keeps it.
//!
//! In: the text. Out: the text, its bytes, its order. What always holds: the usual DID, `did:plc:` and 24 characters, is
//! always [`Author::Plc`], never [`Author::Text`]; so equal DIDs are equal here.

use std::cmp::Ordering as Order;

use crate::syntax::{Did, compare_before_slash};

/// What the usual DID begins with.
pub(super) const PLC_PREFIX: &str = "did:plc:";
/// Bytes of the usual DID.
pub(super) const PLC_LENGTH: usize = PLC_PREFIX.len() + 24;

/// A DID.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Author<'a> {
    /// The 24 characters behind `did:plc:`, eight a word, the first one in the lowest byte.
    Plc([u64; 3]),
    /// Any other.
    Text(&'a str),
}

impl<'a> Author<'a> {
    pub(super) fn new(text: &'a str) -> Self {
        let id = text.strip_prefix(PLC_PREFIX).and_then(|id| <&[u8; 24]>::try_from(id.as_bytes()).ok());
        let Some(id) = id else { return Self::Text(text) };
        let (words, _) = id.as_chunks::<8>();
        Self::Plc(std::array::from_fn(|at| u64::from_le_bytes(words[at])))
    }

    /// The text's bytes, where need be put together in `room`.
    pub(super) fn bytes<'b>(&'b self, room: &'b mut [u8; PLC_LENGTH]) -> &'b [u8] {
        match self {
            Self::Plc(words) => {
                let (prefix, id) = room.split_at_mut(PLC_PREFIX.len());
                prefix.copy_from_slice(PLC_PREFIX.as_bytes());
                write_plc(words, id);
                room
            }
            Self::Text(text) => text.as_bytes(),
        }
    }

    /// Appends the text.
    pub(super) fn push_to(self, text: &mut String) {
        text.push_str(std::str::from_utf8(self.bytes(&mut [0; PLC_LENGTH])).expect("invariant: a DID is ASCII"));
    }

    pub(super) fn to_did(self) -> Did {
        let mut text = String::new();
        self.push_to(&mut text);
        Did::parse(&text).expect("invariant: it was a DID")
    }
}

/// Writes the 24 characters.
#[inline]
pub(super) fn write_plc(words: &[u64; 3], out: &mut [u8]) {
    for (word, out) in words.iter().zip(out.chunks_exact_mut(8)) {
        out.copy_from_slice(&word.to_le_bytes());
    }
}

/// As DIDs are compared in AT-URIs.
impl Ord for Author<'_> {
    fn cmp(&self, other: &Self) -> Order {
        if let (Self::Plc(a), Self::Plc(b)) = (self, other) {
            return a.map(u64::swap_bytes).cmp(&b.map(u64::swap_bytes));
        }
        let (mut room, mut other_room) = ([0; PLC_LENGTH], [0; PLC_LENGTH]);
        compare_before_slash(text(self.bytes(&mut room)), text(other.bytes(&mut other_room)))
    }
}

impl PartialOrd for Author<'_> {
    fn partial_cmp(&self, other: &Self) -> Option<Order> {
        Some(self.cmp(other))
    }
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).expect("invariant: a DID is ASCII")
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXTS: [&str; 9] = [
        "did:plc:ewvi7nxzyoun6zhxrhs64oiz",
        "did:plc:ewvi7nxzyoun6zhxrhs64oiy",
        "did:plc:ewvi7nxyzoun6zhxrhs64oiz",
        "did:plc:ewvi7nxzyoun6zhxrhs64oi",
        "did:plc:ewvi7nxzyoun6zhxrhs64oizz",
        "did:plc:ewvi7nxzyoun6zhxrhs64oiz.a",
        "did:plc:a",
        "did:web:ewvi7nxzyoun6zhxrhs64oiz",
        "",
    ];

    #[test]
    fn the_text_is_kept() {
        for text in TEXTS {
            let author = Author::new(text);
            assert_eq!(matches!(author, Author::Plc(_)), text.len() == PLC_LENGTH && text.starts_with(PLC_PREFIX));
            assert_eq!(author.bytes(&mut [0; PLC_LENGTH]), text.as_bytes());
            let mut pushed = "x".to_owned();
            author.push_to(&mut pushed);
            assert_eq!(pushed[1..], *text);
        }
    }

    #[test]
    fn the_order_is_that_of_the_texts() {
        for a in TEXTS {
            for b in TEXTS {
                assert_eq!(Author::new(a).cmp(&Author::new(b)), compare_before_slash(a, b), "{a} {b}");
                assert_eq!(Author::new(a) == Author::new(b), a == b);
            }
        }
    }
}
