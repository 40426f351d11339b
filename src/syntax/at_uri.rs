//! AT-URIs: <https://atproto.com/specs/at-uri-scheme>.

use std::cmp::Ordering;
use std::fmt;

use serde::{Deserialize, Serialize};

use super::{AtIdentifier, Did, Nsid, RecordKey, SyntaxError, text_type};

/// An AT-URI in the restricted form that lexicons use: `at://AUTHORITY[/COLLECTION[/RKEY]]`, at most 8 KiB.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct AtUri(Box<str>);

text_type!(AtUri);

impl AtUri {
    /// Checks without keeping.
    ///
    /// # Errors
    /// Names the broken rule.
    pub fn check(text: &str) -> Result<(), SyntaxError> {
        let fail = |why| Err(SyntaxError::new("AT-URI", why));
        if text.len() > 8192 {
            return fail("longer than 8,192 bytes");
        }
        let Some(rest) = text.strip_prefix("at://") else { return fail("does not start with \"at://\"") };
        let mut parts = rest.split('/');
        let authority = parts.next().unwrap_or_default();
        if AtIdentifier::check(authority).is_err() {
            return fail("the authority is neither a DID nor a handle");
        }
        let Some(collection) = parts.next() else { return Ok(()) };
        if Nsid::check(collection).is_err() {
            return fail("the collection is not an NSID");
        }
        let Some(rkey) = parts.next() else { return Ok(()) };
        if RecordKey::check(rkey).is_err() {
            return fail("the record key is not valid");
        }
        if parts.next().is_some() {
            return fail("has more than three parts");
        }
        Ok(())
    }

    /// The authority: a DID or a handle.
    pub fn authority(&self) -> &str {
        self.part(0).unwrap_or_default()
    }

    /// The collection, where there is one.
    pub fn collection(&self) -> Option<&str> {
        self.part(1)
    }

    /// The record key, where there is one.
    pub fn rkey(&self) -> Option<&str> {
        self.part(2)
    }

    fn part(&self, index: usize) -> Option<&str> {
        self.0["at://".len()..].split('/').nth(index)
    }

    /// The URI as that of a record whose authority is a DID; `None` for every other form.
    pub fn to_record(&self) -> Option<RecordUri> {
        Some(RecordUri {
            did: Did::parse(self.authority()).ok()?,
            collection: Nsid::parse(self.collection()?).ok()?,
            rkey: RecordKey::parse(self.rkey()?).ok()?,
        })
    }
}

/// The AT-URI of one record, with a DID for its authority: `at://DID/COLLECTION/RKEY`.
///
/// `Ord` is that of the text.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct RecordUri {
    /// The repository.
    pub did: Did,
    /// The collection.
    pub collection: Nsid,
    /// The record key.
    pub rkey: RecordKey,
}

impl RecordUri {
    /// Parses `at://DID/COLLECTION/RKEY`.
    ///
    /// # Errors
    /// Names the broken rule; a handle as authority is refused too.
    pub fn parse(text: &str) -> Result<Self, SyntaxError> {
        AtUri::parse(text)?.to_record().ok_or(SyntaxError::new("AT-URI", "is not at://DID/COLLECTION/RKEY"))
    }
}

impl fmt::Display for RecordUri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "at://{}/{}/{}", self.did, self.collection, self.rkey)
    }
}

impl Ord for RecordUri {
    fn cmp(&self, other: &Self) -> Ordering {
        compare_repositories(&self.did, &other.did)
            .then_with(|| compare_before_slash(self.collection.as_str(), other.collection.as_str()))
            .then_with(|| self.rkey.cmp(&other.rkey))
    }
}

impl PartialOrd for RecordUri {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// Compares two DIDs as they stand in AT-URIs, where `/` follows: `did:web:a.b` sorts before `did:web:a`, because `.`
/// sorts before `/`.
pub fn compare_repositories(a: &Did, b: &Did) -> Ordering {
    compare_before_slash(a.as_str(), b.as_str())
}

/// Compares two texts that are followed by `/` in an AT-URI: DIDs, collections.
pub fn compare_before_slash(a: &str, b: &str) -> Ordering {
    let shared = a.len().min(b.len());
    a.as_bytes()[..shared].cmp(&b.as_bytes()[..shared]).then_with(|| {
        let next = |text: &str| text.as_bytes().get(shared).copied().unwrap_or(b'/');
        next(a).cmp(&next(b))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_order_of_record_uris_is_that_of_their_text() {
        let dids = ["did:web:a", "did:web:a.b", "did:web:a-b", "did:web:ab", "did:web:a%20", "did:plc:a"];
        let uris: Vec<RecordUri> = dids
            .iter()
            .flat_map(|did| ["3l", "3l.", "3m"].map(|rkey| format!("at://{did}/app.bsky.feed.post/{rkey}")))
            .map(|text| RecordUri::parse(&text).expect("valid"))
            .collect();
        for a in &uris {
            for b in &uris {
                assert_eq!(a.cmp(b), a.to_string().cmp(&b.to_string()), "{a} {b}");
            }
        }
    }
}
