//! What all versions begin with, and record keys.
//!
//! ```text
//! version   rev (TID) | witnessed, as the difference to the rev's time | CID prefix | body (optional)
//! CID       0 none | 1 and the 45 bits behind "bafyrei" in 6 bytes | 2 and 16 bytes
//! rkey      0 and a TID | 1 and a text
//! ```

use super::bytes::{Fault, In, Out};
use crate::community::names::Key;
use crate::community::version::{CidPrefix, Version};
use crate::syntax::RecordKey;

pub(super) fn put<B>(out: &mut Out<'_>, version: &Version<B>, put_body: impl FnOnce(&mut Out<'_>, &B)) {
    out.tid(version.rev);
    out.time_near(version.witnessed, version.rev.time());
    put_cid(out, &version.cid);
    out.optional(version.body.as_ref(), put_body);
}

pub(super) fn take<B>(
    row: &mut In<'_>,
    take_body: impl FnOnce(&mut In<'_>) -> Result<B, Fault>,
) -> Result<Version<B>, Fault> {
    let rev = row.tid()?;
    let witnessed = row.time_near(rev.time())?;
    let cid = take_cid(row)?;
    Ok(Version { rev, witnessed, cid, body: row.optional(take_body)? })
}

pub(super) fn put_cid(out: &mut Out<'_>, cid: &CidPrefix) {
    if *cid == CidPrefix::NONE {
        out.byte(0);
    } else if let Some(bits) = cid.to_bits() {
        out.byte(1);
        out.bytes(&bits.to_le_bytes()[..6]);
    } else {
        out.byte(2);
        out.bytes(&cid.0);
    }
}

pub(super) fn take_cid(row: &mut In<'_>) -> Result<CidPrefix, Fault> {
    match row.byte()? {
        0 => Ok(CidPrefix::NONE),
        1 => {
            let [a, b, c, d, e, f] = row.array()?;
            Ok(CidPrefix::from_bits(u64::from_le_bytes([a, b, c, d, e, f, 0, 0])))
        }
        2 => row.array().map(CidPrefix),
        _ => Err("a CID has no known form"),
    }
}

pub(super) fn put_key(out: &mut Out<'_>, key: &Key) {
    match key {
        Key::Tid(tid) => {
            out.byte(0);
            out.tid(*tid);
        }
        Key::Text(text) => {
            out.byte(1);
            out.text(text.as_str());
        }
    }
}

pub(super) fn take_key(row: &mut In<'_>) -> Result<Key, Fault> {
    if row.flag()? { take_text_key(row) } else { row.tid().map(Key::Tid) }
}

pub(super) fn take_text_key(row: &mut In<'_>) -> Result<Key, Fault> {
    let key: RecordKey = row.parsed("a record key breaks its syntax")?;
    // Of two keys that are one text both must be found under it.
    Some(Key::from(&key)).filter(|key| matches!(key, Key::Text(_))).ok_or("the text of a TID stands in full")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cid_comes_back_whole_and_the_usual_one_is_short() {
        let prefixes: [(&[u8; 16], usize); 5] = [
            (b"bafyreiabcxyz234", 7),
            (b"bafyrei777777777", 7),
            (b"bafyreiABC234567", 17),
            (b"bafkreiabcxyz234", 17),
            (&[0; 16], 1),
        ];
        for (prefix, length) in prefixes {
            let mut row = Vec::new();
            put_cid(&mut Out(&mut row), &CidPrefix(*prefix));
            assert_eq!(row.len(), length);
            assert_eq!(take_cid(&mut In(&row)), Ok(CidPrefix(*prefix)));
        }
    }
}
