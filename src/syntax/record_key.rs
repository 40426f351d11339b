//! Record keys: <https://atproto.com/specs/record-key>.

use super::{Class, SyntaxError, Tid, text_type};

/// The last part of a record's path. 1 to 512 bytes of `A-Za-z0-9.-_:~`, and neither `.` nor `..`.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RecordKey(Box<str>);

text_type!(RecordKey);

const CHARACTERS: Class = Class::alphanumeric_and(b".-_:~");

impl RecordKey {
    /// Checks without keeping.
    ///
    /// # Errors
    /// Names the broken rule.
    pub fn check(text: &str) -> Result<(), SyntaxError> {
        let fail = |why| Err(SyntaxError::new("record key", why));
        if text.is_empty() || text.len() > 512 {
            return fail("empty or longer than 512 bytes");
        }
        if text == "." || text == ".." {
            return fail("\".\" and \"..\" are not allowed");
        }
        if !CHARACTERS.holds_all(text) {
            return fail("holds a character outside A-Z a-z 0-9 . - _ : ~");
        }
        Ok(())
    }

    /// The key as a TID, where it has that form.
    pub fn as_tid(&self) -> Option<Tid> {
        Tid::parse(&self.0).ok()
    }
}

impl From<Tid> for RecordKey {
    fn from(tid: Tid) -> Self {
        Self(tid.to_string().into())
    }
}
