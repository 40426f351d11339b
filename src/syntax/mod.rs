//! The words of AT Protocol, parsed once at the border and trusted afterwards.
//!
//! In: text from the stream, from flags and from queries. Out: types that cannot hold a wrong value.
//! Every rule here is the protocol's own (the page is named at each type) and is held against the protocol's
//! interop files by `tests/interop_syntax.rs`. `scan` is no syntax of the protocol: it steps over the bytes of JSON, for the two
//! rooms above that look at every frame.
//!
//! Architecture Invariant: nothing in here reads a clock, does I/O, or knows what a community is.
#![forbid(unsafe_code)]

mod at_uri;
mod cid;
mod datetime;
mod dialect;
mod did;
mod fingerprint;
mod handle;
mod language;
mod nsid;
mod orphan;
mod record_key;
pub(crate) mod scan;
mod tid;
mod uri;

pub use at_uri::{AtUri, RecordUri, compare_before_slash, compare_repositories};
pub use cid::Cid;
pub use datetime::{Time, check_datetime, parse_datetime};
pub use dialect::Dialect;
pub use did::Did;
pub use fingerprint::Fingerprint;
pub use handle::{AtIdentifier, Handle};
pub use language::Language;
pub use nsid::Nsid;
pub use orphan::{Orphan, OrphanKind};
pub use record_key::RecordKey;
pub use tid::Tid;
pub use uri::Uri;

/// Text that breaks one of the protocol's syntaxes.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a valid {what}: {why}")]
pub struct SyntaxError {
    /// Which syntax: "DID", "TID", "AT-URI" …
    pub what: &'static str,
    /// Which of its rules was broken.
    pub why: &'static str,
}

impl SyntaxError {
    pub(crate) const fn new(what: &'static str, why: &'static str) -> Self {
        Self { what, why }
    }
}

/// The letters and digits of ASCII, and some more: what a character class is asked for of every byte of a log.
pub(crate) struct Class([bool; 256]);

impl Class {
    pub(crate) const fn alphanumeric_and(more: &[u8]) -> Self {
        let mut holds = [false; 256];
        let mut at = 0;
        while at < 256 {
            holds[at] = (at as u8).is_ascii_alphanumeric();
            at += 1;
        }
        let mut at = 0;
        while at < more.len() {
            holds[more[at] as usize] = true;
            at += 1;
        }
        Self(holds)
    }

    /// Whether it has all bytes of a text. (No branch for each: a wrong one is rare.)
    pub(crate) fn holds_all(&self, text: &str) -> bool {
        text.bytes().fold(true, |all, byte| all & self.0[byte as usize])
    }
}

/// Reads a text and checks it, from wherever it lies: a log is full of them, and a copy to look at would cost more than the
/// look.
pub(crate) fn deserialize_text<'de, D, T, E>(
    deserializer: D,
    parse: impl FnOnce(&str) -> Result<T, E>,
) -> Result<T, D::Error>
where
    D: serde::Deserializer<'de>,
    E: std::fmt::Display,
{
    struct Text<F>(F);
    impl<T, E: std::fmt::Display, F: FnOnce(&str) -> Result<T, E>> serde::de::Visitor<'_> for Text<F> {
        type Value = T;
        fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("a text")
        }
        fn visit_str<X: serde::de::Error>(self, text: &str) -> Result<T, X> {
            (self.0)(text).map_err(X::custom)
        }
    }
    deserializer.deserialize_str(Text(parse))
}

/// Gives a checked-text type its common face: `parse`, `as_str`, `Display`, and serde as a plain string that is
/// checked again when read.
macro_rules! text_type {
    ($name:ident) => {
        impl $name {
            /// Parses and checks `text`.
            ///
            /// # Errors
            /// [`SyntaxError`](crate::syntax::SyntaxError) names the rule that was broken.
            pub fn parse(text: &str) -> Result<Self, crate::syntax::SyntaxError> {
                Self::check(text)?;
                Ok(Self(text.into()))
            }

            /// The text itself.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl std::fmt::Debug for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl std::str::FromStr for $name {
            type Err = crate::syntax::SyntaxError;
            fn from_str(text: &str) -> Result<Self, Self::Err> {
                Self::parse(text)
            }
        }

        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(&self.0)
            }
        }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                crate::syntax::deserialize_text(deserializer, Self::parse)
            }
        }
    };
}
pub(crate) use text_type;
