//! One item of a feed, as text.
//!
//! In: author and rkey. Out: `{"post":"at://did:plc:…/app.bsky.feed.post/3k…"},`, or the AT-URI alone.
//!
//! The usual item, a `did:plc` (always 32 bytes) and a TID (always 13), has one length: a blank line is copied by a handful
//! of moves, and filled where it lies.

use super::author::{Author, PLC_LENGTH, PLC_PREFIX, write_plc};
use super::chunk::Rkey;
use crate::syntax::Tid;

const BEFORE_POST: &[u8] = b"{\"post\":\"";
const AFTER_POST: &[u8] = b"\"},";
const SCHEME: &[u8] = b"at://";
const COLLECTION: &[u8] = b"/app.bsky.feed.post/";

const PLC_AT: usize = BEFORE_POST.len() + SCHEME.len() + PLC_PREFIX.len();
const COLLECTION_AT: usize = BEFORE_POST.len() + SCHEME.len() + PLC_LENGTH;
const TID_AT: usize = COLLECTION_AT + COLLECTION.len();
const TID_LENGTH: usize = 13;

/// Bytes of the usual item.
pub(super) const LINE_LENGTH: usize = TID_AT + TID_LENGTH + AFTER_POST.len();

const BLANK: [u8; LINE_LENGTH] = {
    let mut line = [b'?'; LINE_LENGTH];
    let (before, rest) = line.split_at_mut(BEFORE_POST.len());
    before.copy_from_slice(BEFORE_POST);
    let (scheme, rest) = rest.split_at_mut(SCHEME.len());
    scheme.copy_from_slice(SCHEME);
    let (prefix, _) = rest.split_at_mut(PLC_PREFIX.len());
    prefix.copy_from_slice(PLC_PREFIX.as_bytes());
    let (_, rest) = line.split_at_mut(COLLECTION_AT);
    let (collection, rest) = rest.split_at_mut(COLLECTION.len());
    collection.copy_from_slice(COLLECTION);
    let (_, rest) = rest.split_at_mut(TID_LENGTH);
    rest.copy_from_slice(AFTER_POST);
    line
};

/// Appends the line of any item, a comma behind it.
pub(super) fn write_line(author: Author<'_>, rkey: Rkey<'_>, out: &mut Vec<u8>) {
    out.extend_from_slice(BEFORE_POST);
    write_uri(author, rkey, out);
    out.extend_from_slice(AFTER_POST);
}

/// Appends the line of the usual item.
#[inline]
pub(super) fn write_usual_line(plc: &[u64; 3], tid: Tid, out: &mut Vec<u8>) {
    out.extend_from_slice(&BLANK);
    let line: &mut [u8; LINE_LENGTH] = out.last_chunk_mut().expect("invariant: it was just appended");
    write_plc(plc, &mut line[PLC_AT..COLLECTION_AT]);
    let number = tid.to_u64();
    line[TID_AT] = TID_ALPHABET[(number >> 60) as usize];
    for (pair, shift) in line[TID_AT + 1..TID_AT + TID_LENGTH].as_chunks_mut().0.iter_mut().zip(PAIR_SHIFTS) {
        *pair = PAIRS[(number >> shift) as usize % PAIRS.len()];
    }
}

const TID_ALPHABET: &[u8; 32] = b"234567abcdefghijklmnopqrstuvwxyz";

/// Behind the first character of a TID, which has 4 bits, come six pairs of 10 bits.
const PAIR_SHIFTS: [u32; 6] = [50, 40, 30, 20, 10, 0];

/// The two characters of 10 bits.
static PAIRS: [[u8; 2]; 1024] = {
    let mut pairs = [[0; 2]; 1024];
    let mut bits = 0;
    while bits < pairs.len() {
        pairs[bits] = [TID_ALPHABET[bits >> 5], TID_ALPHABET[bits & 31]];
        bits += 1;
    }
    pairs
};

/// Appends the AT-URI of a post.
pub(super) fn write_uri(author: Author<'_>, rkey: Rkey<'_>, out: &mut Vec<u8>) {
    out.extend_from_slice(SCHEME);
    out.extend_from_slice(author.bytes(&mut [0; PLC_LENGTH]));
    out.extend_from_slice(COLLECTION);
    match rkey {
        Rkey::Tid(tid) => out.extend_from_slice(&tid.to_bytes()),
        Rkey::Text(text) => out.extend_from_slice(text.as_bytes()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_its_uri_in_an_object() {
        let numbers = [0, u64::MAX, 0x0123_4567_89ab_cdef, 0xfedc_ba98_7654_3210];
        let rkeys = numbers.map(|number| Rkey::Tid(Tid::from_u64(number))).into_iter().chain([Rkey::Text("self")]);
        for did in ["did:plc:ewvi7nxzyoun6zhxrhs64oiz", "did:plc:aaaaaaaaaaaaaaaaaaaaaaaa", "did:web:example.org"] {
            for rkey in rkeys.clone() {
                let mut text = String::new();
                rkey.push_to(&mut text);
                let mut line = b"kept".to_vec();
                write_line(Author::new(did), rkey, &mut line);
                let expected = format!("kept{{\"post\":\"at://{did}/app.bsky.feed.post/{text}\"}},");
                assert_eq!(String::from_utf8(line).expect("text"), expected);
                if let (Author::Plc(plc), Rkey::Tid(tid)) = (Author::new(did), rkey) {
                    let mut usual = b"kept".to_vec();
                    write_usual_line(&plc, tid, &mut usual);
                    assert_eq!(String::from_utf8(usual).expect("text"), expected);
                }
            }
        }
    }
}
