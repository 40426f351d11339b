//! The delete of a post, as servers write it today, read without a parser of JSON.
//!
//! ```text
//! {"did":"…","time_us":N,"kind":"commit","commit":{"rev":"…","operation":"delete","collection":"app.bsky.feed.post","rkey":"…"}}
//! … "time_us":N,"cursor":N,"kind" …                                                              v1 on a v2 host
//! {"$type":"message","payload":{"$type":"…#commit","collection":"app.bsky.feed.post","did":"…","operation":"delete","rev":"…",
//!  "rkey":"…","seq":N,"time":"…"}}                                                                v2
//! ```
//!
//! Why: one event in forty is one, and all but few are of posts that nobody here knows. The parser takes some 900 ns, this 60.
//! Whatever is written in another way, or breaks a syntax, is the parser's, and so is every refusal. What is read here it
//! reads in the same way (there is a test, and a fuzz target).

use std::borrow::Cow;

use super::{Commit, Event, Frame, Operation, Position};
use crate::syntax::scan::Scan;
use crate::syntax::{Dialect, Did, RecordKey, Tid, Time, parse_datetime};

const POST: &str = "app.bsky.feed.post";

/// A delete of a post in one of these layouts.
pub(super) fn deleted_post(frame: &[u8]) -> Option<Frame<'_>> {
    let scan = Scan { rest: frame };
    if frame.starts_with(b"{\"did\"") { read_v1(scan) } else { read_v2(scan) }
}

fn read_v1(mut scan: Scan<'_>) -> Option<Frame<'_>> {
    scan.literal(b"{\"did\":\"")?;
    let did = scan.text()?;
    scan.literal(b",\"time_us\":")?;
    let micros = natural(scan.digits()?)?;
    if scan.literal(b",\"cursor\":").is_some() {
        natural(scan.digits()?)?;
    }
    scan.literal(b",\"kind\":\"commit\",\"commit\":{\"rev\":\"")?;
    let rev = scan.text()?;
    scan.literal(b",\"operation\":\"delete\",\"collection\":\"app.bsky.feed.post\",\"rkey\":\"")?;
    let rkey = scan.text()?;
    let time = Time::from_micros(i64::try_from(micros).ok()?);
    let event = delete(did, rev, rkey)?;
    let position = Position { time, value: Some(micros) };
    (scan.rest == b"}}").then_some(Frame { position, dialect: Dialect::V1, event })
}

fn read_v2(mut scan: Scan<'_>) -> Option<Frame<'_>> {
    scan.literal(b"{\"$type\":\"message\",\"payload\":{\"$type\":\"network.bsky.jetstream.subscribeEvents#commit\"")?;
    scan.literal(b",\"collection\":\"app.bsky.feed.post\",\"did\":\"")?;
    let did = scan.text()?;
    scan.literal(b",\"operation\":\"delete\",\"rev\":\"")?;
    let rev = scan.text()?;
    scan.literal(b",\"rkey\":\"")?;
    let rkey = scan.text()?;
    scan.literal(b",\"seq\":")?;
    let seq = natural(scan.digits()?)?;
    scan.literal(b",\"time\":\"")?;
    let time = parse_datetime(std::str::from_utf8(scan.text()?).ok()?).ok()?;
    let event = delete(did, rev, rkey)?;
    let position = Position { time, value: Some(seq) };
    (scan.rest == b"}}").then_some(Frame { position, dialect: Dialect::V2, event })
}

fn delete<'a>(did: &'a [u8], rev: &'a [u8], rkey: &'a [u8]) -> Option<Event<'a>> {
    let text = |bytes| std::str::from_utf8(bytes).ok();
    let (did, rev, rkey) = (text(did)?, text(rev)?, text(rkey)?);
    Did::check(did).ok()?;
    RecordKey::check(rkey).ok()?;
    Some(Event::Commit(Commit {
        did: Cow::Borrowed(did),
        rev: Tid::parse(rev).ok()?,
        operation: Operation::Delete,
        collection: Cow::Borrowed(POST),
        rkey: Cow::Borrowed(rkey),
        cid: None,
        record: None,
    }))
}

/// A number as JSON has it: without a zero in front.
fn natural(digits: &[u8]) -> Option<u64> {
    let is_json = digits.len() == 1 || digits.first() != Some(&b'0');
    std::str::from_utf8(digits).ok().filter(|_| is_json)?.parse().ok()
}
