//! The delete of a post, as servers write it today, read without a parser of JSON.
//!
//! ```text
//! {"did":"…","time_us":N,"kind":"commit","commit":{"rev":"…","operation":"delete","collection":"app.bsky.feed.post","rkey":"…"}}
//! … "time_us":N,"cursor":N,"kind" …                                                              v1 on a v2 host
//! {"$type":"message","payload":{"$type":"…#commit","collection":"app.bsky.feed.post","did":"…","operation":"delete","rev":"…",
//!  "rkey":"…","seq":N,"time":"…"}}                                                                v2
//! ```
//!
//! Why: one event in forty is one, and all but few are of posts that nobody here knows. The parser takes some five times as long.
//! Whatever is written in another way, or breaks a syntax, is the parser's, and so is every refusal. What is read here it
//! reads in the same way (there is a test, and a fuzz target).

use std::borrow::Cow;

use super::{Commit, Event, Frame, Operation, Position};
use crate::syntax::scan::{Scan, V2_COMMIT};
use crate::syntax::{Dialect, Did, RecordKey, Tid, Time, parse_datetime};

const POST: &str = "app.bsky.feed.post";

/// A delete of a post in one of these layouts.
pub(super) fn deleted_post(frame: &[u8]) -> Option<Frame<'_>> {
    let scan = Scan { rest: frame };
    let (found, position, dialect) = if frame.starts_with(b"{\"did\"") { read_v1(scan)? } else { read_v2(scan)? };
    Some(Frame { position, dialect, event: found.delete(frame)? })
}

/// The words of a delete: how much of the frame is left behind each, and how long it is.
struct Found {
    did: (usize, usize),
    rev: (usize, usize),
    rkey: (usize, usize),
}

/// Text, and past it.
#[inline(always)]
fn word(scan: &mut Scan<'_>) -> Option<(usize, usize)> {
    let left = scan.rest.len();
    let length = scan.text()?.len();
    Some((left, length))
}

#[inline(always)]
fn read_v1(mut scan: Scan<'_>) -> Option<(Found, Position, Dialect)> {
    scan.literal(b"{\"did\":\"")?;
    let did = word(&mut scan)?;
    scan.literal(b",\"time_us\":")?;
    let micros = natural(scan.digits()?)?;
    if scan.literal(b",\"cursor\":").is_some() {
        natural(scan.digits()?)?;
    }
    scan.literal(b",\"kind\":\"commit\",\"commit\":{\"rev\":\"")?;
    let rev = word(&mut scan)?;
    scan.literal(b",\"operation\":\"delete\",\"collection\":\"app.bsky.feed.post\",\"rkey\":\"")?;
    let rkey = word(&mut scan)?;
    let position = Position { time: Time::from_micros(i64::try_from(micros).ok()?), value: Some(micros) };
    (scan.rest == b"}}").then_some((Found { did, rev, rkey }, position, Dialect::V1))
}

#[inline(always)]
fn read_v2(mut scan: Scan<'_>) -> Option<(Found, Position, Dialect)> {
    scan.literal(V2_COMMIT)?;
    scan.literal(b",\"collection\":\"app.bsky.feed.post\",\"did\":\"")?;
    let did = word(&mut scan)?;
    scan.literal(b",\"operation\":\"delete\",\"rev\":\"")?;
    let rev = word(&mut scan)?;
    scan.literal(b",\"rkey\":\"")?;
    let rkey = word(&mut scan)?;
    scan.literal(b",\"seq\":")?;
    let seq = natural(scan.digits()?)?;
    scan.literal(b",\"time\":\"")?;
    let time = parse_datetime(std::str::from_utf8(scan.text()?).ok()?).ok()?;
    let position = Position { time, value: Some(seq) };
    (scan.rest == b"}}").then_some((Found { did, rev, rkey }, position, Dialect::V2))
}

impl Found {
    fn delete<'a>(&self, frame: &'a [u8]) -> Option<Event<'a>> {
        // Once for all of it: word by word it costs three times as much.
        let text = simdutf8::basic::from_utf8(frame).ok()?;
        let word = |(left, length): (usize, usize)| text.get(text.len() - left..text.len() - left + length);
        let (did, rev, rkey) = (word(self.did)?, word(self.rev)?, word(self.rkey)?);
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
}

/// A number of digits, as JSON has it: without a zero in front.
fn natural(digits: &[u8]) -> Option<u64> {
    if digits.len() > 1 && digits[0] == b'0' {
        return None;
    }
    digits.iter().try_fold(0_u64, |number, digit| number.checked_mul(10)?.checked_add(u64::from(digit - b'0')))
}
