//! JSON as Jetstream writes it, with the places that a later round of the same network moves.
//!
//! In: a tree. Out: bytes without spaces, object keys in the order given, `<`, `>`, `&`, quotes and control characters
//! escaped as Go escapes them. While writing, [`Line`] notes where moments and sequence numbers stand ([`Slot`]), so that
//! `--repeat` can shift a whole frame in place: every one of them has a fixed width.
//!
//! Always: the text of a tree is the same for the same tree.

use std::borrow::Cow;
use std::sync::Arc;

use atrarium::syntax::{Tid, Time};

use crate::event::Key;

/// A value.
#[derive(Clone, Debug)]
pub enum Json {
    /// `true` or `false`
    Bool(bool),
    /// An integer.
    Number(i64),
    /// JSON that is written as it stands.
    Raw(Cow<'static, str>),
    /// A string.
    Text(Cow<'static, str>),
    /// A moment with three digits after the point.
    At(Time),
    /// `at://DID/COLLECTION/RKEY`
    Uri(Arc<str>, &'static str, Key),
    /// An array.
    List(Vec<Json>),
    /// An object; its keys stand in alphabetical order.
    Object(Vec<(&'static str, Json)>),
}

/// An object, its keys sorted as Go sorts them.
pub fn object(mut fields: Vec<(&'static str, Json)>) -> Json {
    fields.sort_by_key(|(key, _)| *key);
    Json::Object(fields)
}

/// A string.
pub fn text(text: impl Into<Cow<'static, str>>) -> Json {
    Json::Text(text.into())
}

/// What stands in a [`Slot`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SlotKind {
    /// Microseconds since the epoch, as decimal digits.
    Micros,
    /// A datetime with three digits after the point.
    Millisecond,
    /// A datetime with six digits after the point.
    Microsecond,
    /// A TID.
    Tid,
    /// A sequence number.
    Seq,
}

/// A place in a line that moves with a later round.
#[derive(Clone, Copy, Debug)]
pub struct Slot {
    /// Offset in bytes from the start of the line.
    pub at: u32,
    /// What stands there.
    pub kind: SlotKind,
    /// Its value in the first round: microseconds, the TID's number, or the sequence number.
    pub value: u64,
}

/// A line being written.
#[derive(Debug, Default)]
pub struct Line {
    /// The text so far.
    pub bytes: Vec<u8>,
    /// What moves in it.
    pub slots: Vec<Slot>,
}

impl Line {
    /// Forgets everything but the memory it holds.
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.slots.clear();
    }

    /// Appends JSON that needs no escaping.
    pub fn raw(&mut self, text: &str) {
        self.bytes.extend_from_slice(text.as_bytes());
    }

    /// Appends `,"key":`, or `"key":` where the object has just been opened.
    fn key(&mut self, key: &str) {
        if self.bytes.last() != Some(&b'{') {
            self.bytes.push(b',');
        }
        self.bytes.push(b'"');
        self.raw(key);
        self.raw("\":");
    }

    /// Appends a field whose value is written by `value`.
    pub fn field(&mut self, key: &str, value: impl FnOnce(&mut Self)) {
        self.key(key);
        value(self);
    }

    /// Appends a string.
    pub fn string(&mut self, text: &str) {
        self.bytes.push(b'"');
        self.escaped(text);
        self.bytes.push(b'"');
    }

    /// Appends a TID that moves, without quotes.
    pub fn tid(&mut self, tid: Tid) {
        self.slot(SlotKind::Tid, tid.to_u64());
        self.bytes.extend_from_slice(&tid.to_bytes());
    }

    /// Appends microseconds since the epoch.
    pub fn micros(&mut self, time: Time) {
        self.slot(SlotKind::Micros, time.micros() as u64);
        self.number(time.micros());
    }

    /// Appends a sequence number.
    pub fn seq(&mut self, seq: u64) {
        self.slot(SlotKind::Seq, seq);
        self.number(seq as i64);
    }

    /// Appends a datetime with six digits, in quotes.
    pub fn microsecond(&mut self, time: Time) {
        self.bytes.push(b'"');
        self.slot(SlotKind::Microsecond, time.micros() as u64);
        self.bytes.extend_from_slice(&datetime(time));
        self.bytes.push(b'"');
    }

    /// Appends a datetime with three digits, in quotes.
    pub fn millisecond(&mut self, time: Time) {
        self.bytes.push(b'"');
        self.slot(SlotKind::Millisecond, time.micros() as u64);
        self.bytes.extend_from_slice(&datetime(time)[..23]);
        self.raw("Z\"");
    }

    /// Appends a record key, without quotes.
    pub fn record_key(&mut self, key: &Key) {
        match key {
            Key::Moving(tid) => self.tid(*tid),
            Key::Fixed(text) => self.escaped(text),
        }
    }

    /// Appends a value.
    pub fn json(&mut self, value: &Json) {
        match value {
            Json::Bool(value) => self.raw(if *value { "true" } else { "false" }),
            Json::Number(number) => self.number(*number),
            Json::Raw(json) => self.raw(json),
            Json::Text(text) => self.string(text),
            Json::At(time) => self.millisecond(*time),
            Json::Uri(did, collection, key) => {
                self.raw("\"at://");
                self.raw(did);
                self.bytes.push(b'/');
                self.raw(collection);
                self.bytes.push(b'/');
                self.record_key(key);
                self.bytes.push(b'"');
            }
            Json::List(items) => self.list(items),
            Json::Object(fields) => {
                self.bytes.push(b'{');
                for (key, value) in fields {
                    self.field(key, |line| line.json(value));
                }
                self.bytes.push(b'}');
            }
        }
    }

    fn list(&mut self, items: &[Json]) {
        self.bytes.push(b'[');
        for (at, item) in items.iter().enumerate() {
            if at > 0 {
                self.bytes.push(b',');
            }
            self.json(item);
        }
        self.bytes.push(b']');
    }

    /// Appends an integer.
    pub fn number(&mut self, number: i64) {
        use std::io::Write as _;
        write!(self.bytes, "{number}").expect("invariant: a Vec can grow");
    }

    fn slot(&mut self, kind: SlotKind, value: u64) {
        let at = u32::try_from(self.bytes.len()).expect("invariant: a frame is smaller than 4 GiB");
        self.slots.push(Slot { at, kind, value });
    }

    /// As Go's `encoding/json` escapes: also `<`, `>`, `&` and the two line separators.
    fn escaped(&mut self, text: &str) {
        let mut from = 0;
        for (at, c) in text.char_indices() {
            let escape: Cow<'static, str> = match c {
                '"' => "\\\"".into(),
                '\\' => "\\\\".into(),
                '\n' => "\\n".into(),
                '\r' => "\\r".into(),
                '\t' => "\\t".into(),
                '<' => "\\u003c".into(),
                '>' => "\\u003e".into(),
                '&' => "\\u0026".into(),
                '\u{2028}' => "\\u2028".into(),
                '\u{2029}' => "\\u2029".into(),
                c if c < ' ' => format!("\\u{:04x}", u32::from(c)).into(),
                _ => continue,
            };
            self.raw(&text[from..at]);
            self.raw(&escape);
            from = at + c.len_utf8();
        }
        self.raw(&text[from..]);
    }
}

/// Writes the value of a slot, moved by `shift_micros` and `shift_seq`, over what stands in `frame` (a line's bytes).
/// A sequence number whose width changes is cut to the width that is there.
pub fn move_slot(frame: &mut [u8], slot: Slot, shift_micros: i64, shift_seq: u64) {
    let at = slot.at as usize;
    let moved = || Time::from_micros((slot.value as i64).saturating_add(shift_micros));
    match slot.kind {
        SlotKind::Tid => {
            let tid = Tid::from_u64(slot.value.wrapping_add((shift_micros as u64) << 10));
            frame[at..at + 13].copy_from_slice(&tid.to_bytes());
        }
        SlotKind::Millisecond => frame[at..at + 23].copy_from_slice(&datetime(moved())[..23]),
        SlotKind::Microsecond => frame[at..at + 27].copy_from_slice(&datetime(moved())),
        SlotKind::Micros => digits(&mut frame[at..], moved().micros() as u64),
        SlotKind::Seq => digits(&mut frame[at..], slot.value + shift_seq),
    }
}

/// Overwrites the digits at the start of `frame` with those of `number`.
fn digits(frame: &mut [u8], mut number: u64) {
    let width = frame.iter().take_while(|byte| byte.is_ascii_digit()).count();
    for slot in frame[..width].iter_mut().rev() {
        *slot = b'0' + (number % 10) as u8;
        number /= 10;
    }
}

/// `2026-08-11T12:50:55.801900Z`, for the years 1 to 9999. The calendar is Howard Hinnant's `civil_from_days`.
pub fn datetime(time: Time) -> [u8; 27] {
    const DAY_MICROS: i64 = 86_400_000_000;
    let (days, micros) = (time.micros().div_euclid(DAY_MICROS), time.micros().rem_euclid(DAY_MICROS));
    let shifted = days + 719_468;
    let era = shifted.div_euclid(146_097);
    let of_era = shifted.rem_euclid(146_097);
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    let year = era * 400 + year_of_era + i64::from(month <= 2);
    let seconds = micros / 1_000_000;
    let mut text = *b"0000-00-00T00:00:00.000000Z";
    for (at, width, number) in [
        (0, 4, year),
        (5, 2, month),
        (8, 2, day),
        (11, 2, seconds / 3600),
        (14, 2, seconds / 60 % 60),
        (17, 2, seconds % 60),
        (20, 6, micros % 1_000_000),
    ] {
        digits(&mut text[at..at + width], number as u64);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn datetimes_are_those_of_the_words() {
        let mut rng = fastrand::Rng::with_seed(3);
        for _ in 0..20_000 {
            let time = Time::from_micros(rng.i64(-62_000_000_000_000_000..250_000_000_000_000_000));
            assert_eq!(std::str::from_utf8(&datetime(time)).expect("ASCII"), time.to_string());
        }
    }

    #[test]
    fn text_is_escaped_as_go_escapes_it_and_reads_back() {
        let text = "a<b>&\"c\\\n\t\u{1}\u{2028}日本";
        let mut line = Line::default();
        line.string(text);
        let json = String::from_utf8(line.bytes).expect("UTF-8");
        assert_eq!(json, "\"a\\u003cb\\u003e\\u0026\\\"c\\\\\\n\\t\\u0001\\u2028日本\"");
        assert_eq!(serde_json::from_str::<String>(&json).expect("JSON"), text);
    }

    #[test]
    fn every_slot_moves_in_place() {
        let time = Time::from_micros(1_783_175_888_085_434);
        let shift = 3_600_000_000;
        let write = |time: Time, tid: Tid, seq: u64| {
            let mut line = Line::default();
            line.micros(time);
            line.millisecond(time);
            line.microsecond(time);
            line.tid(tid);
            line.seq(seq);
            line
        };
        let mut line = write(time, Tid::from_time(time, 7), 10_000_000_001);
        for slot in line.slots.clone() {
            move_slot(&mut line.bytes, slot, shift, 5);
        }
        let later = time.plus_micros(shift);
        assert_eq!(line.bytes, write(later, Tid::from_time(later, 7), 10_000_000_006).bytes);
    }
}
