//! Handles and at-identifiers: <https://atproto.com/specs/handle>.

use super::{Did, SyntaxError, text_type};

/// A handle, such as `alice.example.com`: a domain name of at least two labels. At most 253 bytes.
///
/// A handle names whoever holds it at the moment, so nothing in here is ever decided by one.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Handle(Box<str>);

text_type!(Handle);

impl Handle {
    /// Checks without keeping.
    ///
    /// # Errors
    /// Names the broken rule.
    pub fn check(text: &str) -> Result<(), SyntaxError> {
        let fail = |why| Err(SyntaxError::new("handle", why));
        if text.len() > 253 {
            return fail("longer than 253 bytes");
        }
        let mut count = 0;
        let mut top = "";
        for label in text.split('.') {
            if label.is_empty() || label.len() > 63 {
                return fail("a label is empty or longer than 63 bytes");
            }
            if !label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-') {
                return fail("a label holds a character outside A-Z a-z 0-9 -");
            }
            if label.starts_with('-') || label.ends_with('-') {
                return fail("a label starts or ends with \"-\"");
            }
            count += 1;
            top = label;
        }
        if count < 2 {
            return fail("fewer than two labels");
        }
        if !top.starts_with(|c: char| c.is_ascii_alphabetic()) {
            return fail("the last label does not start with a letter");
        }
        Ok(())
    }
}

/// A DID or a handle.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct AtIdentifier(Box<str>);

text_type!(AtIdentifier);

impl AtIdentifier {
    /// Checks without keeping.
    ///
    /// # Errors
    /// Names the broken rule.
    pub fn check(text: &str) -> Result<(), SyntaxError> {
        // No handle holds a colon, so the two forms cannot be mistaken for each other.
        if text.starts_with("did:") { Did::check(text) } else { Handle::check(text) }
    }
}
