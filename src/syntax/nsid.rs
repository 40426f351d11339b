//! Namespaced identifiers: <https://atproto.com/specs/nsid>.

use super::{SyntaxError, text_type};

/// The name of a lexicon, such as `app.bsky.feed.post`. At most 317 bytes.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Nsid(Box<str>);

text_type!(Nsid);

impl Nsid {
    /// Checks without keeping.
    ///
    /// # Errors
    /// Names the broken rule.
    pub fn check(text: &str) -> Result<(), SyntaxError> {
        let fail = |why| Err(SyntaxError::new("NSID", why));
        if text.len() > 317 {
            return fail("longer than 317 bytes");
        }
        let mut count = 0;
        for segment in text.split('.') {
            count += 1;
            if segment.is_empty() || segment.len() > 63 {
                return fail("a segment is empty or longer than 63 bytes");
            }
            if !segment.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-') {
                return fail("a segment holds a character outside A-Z a-z 0-9 -");
            }
            if segment.starts_with('-') || segment.ends_with('-') {
                return fail("a segment starts or ends with \"-\"");
            }
        }
        if count < 3 {
            return fail("fewer than three segments");
        }
        if text.starts_with(|c: char| c.is_ascii_digit()) {
            return fail("the first segment starts with a digit");
        }
        let name = text.rsplit('.').next().unwrap_or_default();
        if !name.bytes().all(|b| b.is_ascii_alphanumeric()) || name.starts_with(|c: char| c.is_ascii_digit()) {
            return fail("the name is not letters and digits that start with a letter");
        }
        Ok(())
    }
}
