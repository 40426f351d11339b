//! The cursor of a page: where the next page goes on, as short text that is safe in a URL.
//!
//! In: the key of the last item shown. Out: text that a client sends back, maybe after a restart of the engine, and
//! after the item it names is gone. It is a key, compared as entries are, never an index.
//!
//! ```text
//!   base64url without padding of:
//!   version 1 | form | time i64 | carries 3 × i32, where form & 2 | DID length u16 | DID | rkey
//!                                                    rkey: TID u64, or text to the end where form & 1;  big endian
//! ```
//! What always holds: there is one text for each cursor. What would be written otherwise is refused.

use std::fmt;

use data_encoding::BASE64URL_NOPAD;

use super::chunk::Rkey;
use crate::fact::PostKey;
use crate::limits::PAGE_CURSOR_BYTES_MAX;
use crate::syntax::{Did, RecordKey, Tid};

const VERSION: u8 = 1;
const FORM_TEXT: u8 = 1;
const FORM_CARRIES: u8 = 2;
const FORMS: u8 = FORM_TEXT | FORM_CARRIES;

/// Where the next page goes on: behind this key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PageCursor {
    /// The last item that was shown.
    pub key: PostKey,
    /// What the shares of a mixed page owe to own, parent and global; all 0 for a page of one source.
    pub carries: [i32; 3],
}

/// Text that is no page cursor. A client should start from the first page.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PageCursorError {
    /// Longer than [`PAGE_CURSOR_BYTES_MAX`].
    #[error("the cursor has {0} bytes, more than any that this service gives: start from the first page")]
    TooLong(usize),
    /// Not written by this service.
    #[error("the cursor {0}: send one as it was given, or start from the first page")]
    Malformed(&'static str),
    /// Of another version of this service.
    #[error("the cursor has version {0}, this service reads version {VERSION}: start from the first page")]
    Version(u8),
}

impl PageCursor {
    /// Parses what [`fmt::Display`] wrote.
    ///
    /// # Errors
    /// Everything else, also other spellings of the same cursor.
    pub fn parse(text: &str) -> Result<Self, PageCursorError> {
        if text.len() > PAGE_CURSOR_BYTES_MAX {
            return Err(PageCursorError::TooLong(text.len()));
        }
        // Strict: no padding, no white space, no stray bits behind the last byte.
        let bytes = BASE64URL_NOPAD
            .decode(text.as_bytes())
            .map_err(|_| PageCursorError::Malformed("is not base64url without padding"))?;
        let mut rest = Rest(&bytes);
        let version = rest.take::<1>()?[0];
        if version != VERSION {
            return Err(PageCursorError::Version(version));
        }
        let form = rest.take::<1>()?[0];
        if form & !FORMS != 0 {
            return Err(PageCursorError::Malformed("has an unknown form"));
        }
        let time_millis = i64::from_be_bytes(rest.take()?);
        let carries = if form & FORM_CARRIES != 0 { rest.carries()? } else { [0; 3] };
        let did = rest.did()?;
        let rkey = rest.rkey(form & FORM_TEXT != 0)?;
        Ok(Self { key: PostKey { time_millis, did, rkey }, carries })
    }
}

impl fmt::Display for PageCursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = Vec::new();
        let rkey = Rkey::new(self.key.rkey.as_str());
        write(self.key.time_millis, self.key.did.as_str(), rkey, self.carries, &mut text);
        f.write_str(std::str::from_utf8(&text).map_err(|_| fmt::Error)?)
    }
}

impl std::str::FromStr for PageCursor {
    type Err = PageCursorError;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::parse(text)
    }
}

/// Appends a cursor's text.
pub(super) fn write(time_millis: i64, did: &str, rkey: Rkey<'_>, carries: [i32; 3], out: &mut Vec<u8>) {
    let is_text = matches!(rkey, Rkey::Text(_));
    let has_carries = carries != [0; 3];
    let mut bytes = Vec::with_capacity(64);
    bytes.push(VERSION);
    bytes.push(if is_text { FORM_TEXT } else { 0 } | if has_carries { FORM_CARRIES } else { 0 });
    bytes.extend_from_slice(&time_millis.to_be_bytes());
    if has_carries {
        carries.iter().for_each(|carry| bytes.extend_from_slice(&carry.to_be_bytes()));
    }
    let length = u16::try_from(did.len()).expect("invariant: a DID has at most 2,048 bytes");
    bytes.extend_from_slice(&length.to_be_bytes());
    bytes.extend_from_slice(did.as_bytes());
    match rkey {
        Rkey::Tid(tid) => bytes.extend_from_slice(&tid.to_u64().to_be_bytes()),
        Rkey::Text(text) => bytes.extend_from_slice(text.as_bytes()),
    }
    let at = out.len();
    out.resize(at + BASE64URL_NOPAD.encode_len(bytes.len()), 0);
    BASE64URL_NOPAD.encode_mut(&bytes, &mut out[at..]);
}

/// What is not parsed yet.
struct Rest<'a>(&'a [u8]);

const CUT_SHORT: PageCursorError = PageCursorError::Malformed("is cut short");

impl Rest<'_> {
    fn take<const N: usize>(&mut self) -> Result<[u8; N], PageCursorError> {
        let (taken, rest) = self.0.split_first_chunk().ok_or(CUT_SHORT)?;
        self.0 = rest;
        Ok(*taken)
    }

    fn carries(&mut self) -> Result<[i32; 3], PageCursorError> {
        let mut carries = [0; 3];
        for carry in &mut carries {
            *carry = i32::from_be_bytes(self.take()?);
        }
        if carries == [0; 3] {
            return Err(PageCursorError::Malformed("spells out carries of zero"));
        }
        Ok(carries)
    }

    fn did(&mut self) -> Result<Did, PageCursorError> {
        let length = usize::from(u16::from_be_bytes(self.take()?));
        let (did, rest) = self.0.split_at_checked(length).ok_or(CUT_SHORT)?;
        self.0 = rest;
        std::str::from_utf8(did)
            .ok()
            .and_then(|text| Did::parse(text).ok())
            .ok_or(PageCursorError::Malformed("names no DID"))
    }

    fn rkey(mut self, is_text: bool) -> Result<RecordKey, PageCursorError> {
        if is_text {
            let text = std::str::from_utf8(self.0).ok();
            return text
                .filter(|text| matches!(Rkey::new(text), Rkey::Text(_)))
                .and_then(|text| RecordKey::parse(text).ok())
                .ok_or(PageCursorError::Malformed("names no record key"));
        }
        let number = u64::from_be_bytes(self.take()?);
        if !self.0.is_empty() {
            return Err(PageCursorError::Malformed("goes on behind its end"));
        }
        Ok(Tid::from_u64(number).into())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn cursor() -> impl Strategy<Value = PageCursor> {
        let did = prop_oneof!["did:plc:[a-z2-7]{24}", "did:web:[a-z0-9.]{1,30}[a-z]"];
        let rkey = prop_oneof![
            any::<u64>().prop_map(|number| Tid::from_u64(number).to_string()),
            "[A-Za-z0-9_:~-]{1,40}".prop_map(|text: String| text),
        ];
        let carries = prop_oneof![Just([0; 3]), any::<[i32; 3]>()];
        (any::<i64>(), did, rkey, carries).prop_map(|(time_millis, did, rkey, carries)| PageCursor {
            key: PostKey {
                time_millis,
                did: Did::parse(&did).expect("a DID"),
                rkey: RecordKey::parse(&rkey).expect("a record key"),
            },
            carries,
        })
    }

    proptest! {
        #[test]
        fn a_cursor_survives_its_text(cursor in cursor()) {
            let text = cursor.to_string();
            prop_assert!(text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_'));
            prop_assert_eq!(PageCursor::parse(&text), Ok(cursor));
        }

        /// One byte changed, taken away or added: another cursor, or none; never the same, never another spelling.
        #[test]
        fn a_cursor_has_one_spelling(cursor in cursor(), at in any::<prop::sample::Index>(), byte in any::<char>(), how in 0..3) {
            let mut text: Vec<char> = cursor.to_string().chars().collect();
            let at = at.index(text.len());
            match how {
                0 => text[at] = byte,
                1 => drop(text.remove(at)),
                _ => text.insert(at, byte),
            }
            let changed: String = text.into_iter().collect();
            if let Ok(parsed) = PageCursor::parse(&changed) {
                prop_assert_eq!(parsed.to_string(), changed);
            }
        }

        #[test]
        fn nothing_panics(text in "\\PC{0,200}", bytes in prop::collection::vec(any::<u8>(), 0..100)) {
            let encoded = BASE64URL_NOPAD.encode(&bytes);
            for text in [text, encoded] {
                if let Ok(parsed) = PageCursor::parse(&text) {
                    prop_assert_eq!(parsed.to_string(), text);
                }
            }
        }
    }

    #[test]
    fn malformed_cursors_are_refused() {
        let (did, tid) = ("did:plc:ewvi7nxzyoun6zhxrhs64oiz", 0x1234_u64.to_be_bytes());
        let good = [&[1, 0], &[0; 8][..], &[0, 32], did.as_bytes(), &tid].concat();
        let parse = |bytes: &[u8]| PageCursor::parse(&BASE64URL_NOPAD.encode(bytes));
        assert!(parse(&good).is_ok());
        let with = |at: usize, byte: u8| {
            let mut bytes = good.clone();
            bytes[at] = byte;
            parse(&bytes)
        };
        assert_eq!(with(0, 2), Err(PageCursorError::Version(2)));
        assert_eq!(with(1, 4), Err(PageCursorError::Malformed("has an unknown form")));
        assert_eq!(with(11, 255), Err(CUT_SHORT));
        assert_eq!(with(12, b'x'), Err(PageCursorError::Malformed("names no DID")));
        assert_eq!(with(20, 0xff), Err(PageCursorError::Malformed("names no DID")));
        assert_eq!(parse(&[&good[..], &[0]].concat()), Err(PageCursorError::Malformed("goes on behind its end")));
        for length in 0..good.len() {
            assert!(parse(&good[..length]).is_err(), "{length}");
        }
        let text_form = |rkey: &str| parse(&[&[1, 1], &[0; 8][..], &[0, 32], did.as_bytes(), rkey.as_bytes()].concat());
        assert!(text_form("self").is_ok());
        let no_rkey = Err(PageCursorError::Malformed("names no record key"));
        for bad in ["", "..", "a/b", "é", "3jzfcijpj2z2a"] {
            assert_eq!(text_form(bad), no_rkey, "{bad:?}");
        }
        let carries =
            |carry: u8| parse(&[&[1, 2], &[0; 8][..], &[0; 11], &[carry], &[0, 32], did.as_bytes(), &tid].concat());
        assert_eq!(carries(9).map(|cursor| cursor.carries), Ok([0, 0, 9]));
        assert_eq!(carries(0), Err(PageCursorError::Malformed("spells out carries of zero")));
        let text = BASE64URL_NOPAD.encode(&good);
        let not_base64 = Err(PageCursorError::Malformed("is not base64url without padding"));
        for bad in
            [format!("{text}=="), format!("{text} "), text.replace('A', "+"), format!("{}B", &text[..text.len() - 1])]
        {
            assert!(PageCursor::parse(&bad).is_err(), "{bad}");
        }
        assert_eq!(PageCursor::parse("a b"), not_base64);
        assert_eq!(PageCursor::parse(&"A".repeat(4097)), Err(PageCursorError::TooLong(4097)));
    }

    #[test]
    fn the_longest_cursor_is_read() {
        let did = Did::parse(&format!("did:web:{}", "a".repeat(2040))).expect("2,048 bytes");
        let rkey = RecordKey::parse(&"r".repeat(512)).expect("512 bytes");
        let cursor = PageCursor { key: PostKey { time_millis: i64::MAX, did, rkey }, carries: [i32::MIN; 3] };
        let text = cursor.to_string();
        assert!(text.len() <= PAGE_CURSOR_BYTES_MAX, "{}", text.len());
        assert_eq!(PageCursor::parse(&text), Ok(cursor));
    }
}
