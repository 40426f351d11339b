//! URIs of any scheme: <https://atproto.com/specs/lexicon#uri>.

use super::{SyntaxError, text_type};

/// A URI, by the outline of RFC 3986 alone: `SCHEME:REST` in visible ASCII. At most 8 KiB.
///
/// What stands after the scheme is that scheme's own matter and is not judged.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Uri(Box<str>);

text_type!(Uri);

impl Uri {
    /// Checks without keeping.
    ///
    /// # Errors
    /// Names the broken rule.
    pub fn check(text: &str) -> Result<(), SyntaxError> {
        let fail = |why| Err(SyntaxError::new("URI", why));
        if text.len() > 8192 {
            return fail("longer than 8,192 bytes");
        }
        let Some((scheme, rest)) = text.split_once(':') else { return fail("has no scheme") };
        if !scheme.starts_with(|c: char| c.is_ascii_alphabetic()) {
            return fail("the scheme does not start with a letter");
        }
        if !scheme.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'-' | b'.')) {
            return fail("the scheme holds a character outside A-Z a-z 0-9 + - .");
        }
        if rest.is_empty() {
            return fail("nothing follows the scheme");
        }
        if !rest.bytes().all(|b| b.is_ascii_graphic()) {
            return fail("holds a space, a control character, or one outside ASCII");
        }
        Ok(())
    }
}
