//! The head of a commit as the servers write it today.
//!
//! ```text
//! {"did":"…","time_us":N,"kind":"commit","commit":{"rev":"…","operation":"…","collection":"…",…       v1
//! {"did":"…","time_us":N,"cursor":N,"kind":"commit","commit":{"rev":"…", as above                     v1 on a v2 host
//! {"$type":"message","payload":{"$type":"…#commit","cid":"…","collection":"…","did":"…","operation":"…",…      v2
//! {"$type":"message","payload":{"$type":"…#commit","collection":"…", as above                         v2, a delete
//! ```

use super::Head;
use super::scan::Scan;

/// The head of a commit in one of these layouts. It never differs from what [`super::walk`] reads.
#[inline(always)]
pub(super) fn read(frame: &[u8]) -> Option<Head<'_>> {
    let scan = Scan { rest: frame };
    if frame.starts_with(b"{\"did\"") { read_v1(scan) } else { read_v2(scan) }
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
    scan.literal(b"{\"$type\":\"message\",\"payload\":{\"$type\":\"network.bsky.jetstream.subscribeEvents#commit\"")?;
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
