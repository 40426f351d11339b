//! The head of a commit as the servers write it today.
//!
//! ```text
//! {"did":"…","time_us":N,"kind":"commit","commit":{"rev":"…","operation":"…","collection":"…",…       v1
//! {"did":"…","time_us":N,"cursor":N,"kind":"commit","commit":{"rev":"…", as above                     v1 on a v2 host
//! {"$type":"message","payload":{"$type":"…#commit","cid":"…","collection":"…","did":"…","operation":"…",…      v2
//! {"$type":"message","payload":{"$type":"…#commit","collection":"…", as above                         v2, a delete
//! ```

use super::Head;
use crate::syntax::scan::{Scan, V2_COMMIT, is, is_digits, is_plain};

/// The head of a commit in one of these layouts. It never differs from what [`super::walk`] reads.
#[inline(always)]
pub(super) fn read(frame: &[u8]) -> Option<Head<'_>> {
    let scan = Scan { rest: frame };
    if frame.starts_with(b"{\"did\"") {
        if creates_v1(frame).is_some() {
            return Some(Head::Create);
        }
        return read_v1(scan);
    }
    if creates_v2(frame).is_some() {
        return Some(Head::Create);
    }
    read_v2(scan)
}

/// Nine of ten frames of v1: a create by a did:plc (24 characters behind the method), at a time of 16 digits, with a rev of
/// 13 characters. Nearly everything stands at its place then, and is compared without looking for it.
#[inline(always)]
fn creates_v1(frame: &[u8]) -> Option<()> {
    let (head, rest) = frame.split_first_chunk::<16>()?;
    let (did, rest) = rest.split_first_chunk::<24>()?;
    let (time_key, rest) = rest.split_first_chunk::<12>()?;
    let (time, rest) = rest.split_first_chunk::<16>()?;
    let mut scan = Scan { rest };
    if scan.literal(b",\"cursor\":").is_some() {
        scan.digits()?;
    }
    let (kind, rest) = scan.rest.split_first_chunk::<34>()?;
    let (rev, rest) = rest.split_first_chunk::<13>()?;
    let (operation, _) = rest.split_first_chunk::<22>()?;
    let is_it = is(head, b"{\"did\":\"did:plc:")
        && is(time_key, b"\",\"time_us\":")
        && is(kind, b",\"kind\":\"commit\",\"commit\":{\"rev\":\"")
        && is(operation, b"\",\"operation\":\"create\"")
        && is_plain(did)
        && is_plain(rev)
        && is_digits(time);
    is_it.then_some(())
}

/// The same of v2: with a cid of 59 characters, which all records have.
#[inline(always)]
fn creates_v2(frame: &[u8]) -> Option<()> {
    let (form, rest) = frame.split_first_chunk::<85>()?;
    let (cid_key, rest) = rest.split_first_chunk::<8>()?;
    let (cid, rest) = rest.split_first_chunk::<59>()?;
    let (collection_key, rest) = rest.split_first_chunk::<16>()?;
    let mut scan = Scan { rest };
    scan.text()?;
    let (did_key, rest) = scan.rest.split_first_chunk::<16>()?;
    let (did, rest) = rest.split_first_chunk::<24>()?;
    let (operation, _) = rest.split_first_chunk::<22>()?;
    let is_it = is(form, V2_COMMIT)
        && is(cid_key, b",\"cid\":\"")
        && is(collection_key, b"\",\"collection\":\"")
        && is(did_key, b",\"did\":\"did:plc:")
        && is(operation, b"\",\"operation\":\"create\"")
        && is_plain(cid)
        && is_plain(did);
    is_it.then_some(())
}

#[inline(always)]
fn read_v1(mut scan: Scan<'_>) -> Option<Head<'_>> {
    scan.literal(b"{\"did\":\"")?;
    scan.text()?;
    scan.literal(b",\"time_us\":")?;
    scan.digits()?;
    if scan.literal(b",\"cursor\":").is_some() {
        scan.digits()?;
    }
    scan.literal(b",\"kind\":\"commit\",\"commit\":{\"rev\":\"")?;
    scan.text()?;
    scan.literal(b",\"operation\":\"")?;
    if scan.literal(b"create\"").is_some() {
        return Some(Head::Create);
    }
    let operation = scan.text()?;
    scan.literal(b",\"collection\":\"")?;
    Some(Head::Other(operation, scan.text()?))
}

#[inline(always)]
fn read_v2(mut scan: Scan<'_>) -> Option<Head<'_>> {
    scan.literal(V2_COMMIT)?;
    if scan.literal(b",\"cid\":\"").is_some() {
        scan.text()?;
    }
    scan.literal(b",\"collection\":\"")?;
    let collection = scan.text()?;
    scan.literal(b",\"did\":\"")?;
    scan.text()?;
    scan.literal(b",\"operation\":\"")?;
    if scan.literal(b"create\"").is_some() {
        return Some(Head::Create);
    }
    Some(Head::Other(scan.text()?, collection))
}
