//! Content identifiers, by their form alone: <https://atproto.com/specs/data-model#link-and-cid-formats>.

use super::{SyntaxError, text_type};

/// The text of a CID. Only its form is known here (8 to 256 characters of a multibase string), not its hash.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Cid(Box<str>);

text_type!(Cid);

impl Cid {
    /// Checks without keeping.
    ///
    /// # Errors
    /// Names the broken rule.
    pub fn check(text: &str) -> Result<(), SyntaxError> {
        let fail = |why| Err(SyntaxError::new("CID", why));
        if text.len() < 8 || text.len() > 256 {
            return fail("shorter than 8 or longer than 256 characters");
        }
        if !text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'=')) {
            return fail("holds a character outside A-Z a-z 0-9 + =");
        }
        // Version 0 is bare base58 of a sha2-256 hash, which always begins so; no multibase prefix is "Q".
        if text.starts_with("Qm") {
            return fail("is of version 0");
        }
        Ok(())
    }
}
