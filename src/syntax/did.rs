//! DIDs: <https://atproto.com/specs/did>.

use super::{Class, SyntaxError, text_type};

/// A decentralized identifier, such as `did:plc:ewvi7nxzyoun6zhxrhs64oiz`. At most 2,048 bytes.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Did(Box<str>);

text_type!(Did);

const CHARACTERS: Class = Class::alphanumeric_and(b"._:%-");

impl Did {
    /// Checks without keeping.
    ///
    /// # Errors
    /// Names the broken rule.
    pub fn check(text: &str) -> Result<(), SyntaxError> {
        let fail = |why| Err(SyntaxError::new("DID", why));
        if text.len() > 2048 {
            return fail("longer than 2,048 bytes");
        }
        let Some(rest) = text.strip_prefix("did:") else { return fail("does not start with \"did:\"") };
        let Some(colon) = rest.bytes().position(|byte| byte == b':') else { return fail("has no method") };
        let (method, id) = (&rest[..colon], &rest[colon + 1..]);
        if method.is_empty() || !method.bytes().all(|b| b.is_ascii_lowercase()) {
            return fail("the method is not lower-case letters");
        }
        let Some(last) = id.bytes().last() else { return fail("has no identifier") };
        if !CHARACTERS.holds_all(id) {
            return fail("the identifier holds a character outside A-Z a-z 0-9 . _ : % -");
        }
        if matches!(last, b':' | b'%') {
            return fail("ends with \":\" or \"%\"");
        }
        Ok(())
    }
}
