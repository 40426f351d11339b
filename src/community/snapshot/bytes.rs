//! Bytes of a snapshot: the few forms that all rows are made of.
//!
//! | form | bytes |
//! |---|---|
//! | number | 7 bits a byte, the lowest first; the top bit says that more follow |
//! | difference, time | as a number, the sign in the lowest bit |
//! | TID, fingerprint | 8, little endian |
//! | text | its length as a number, then UTF-8 |
//! | optional | 0, or 1 and the value |
//!
//! What always holds: reading never panics, whatever the bytes, and reserves no memory that a length alone asks for.

use crate::syntax::{Tid, Time};

/// What is wrong with bytes.
pub(super) type Fault = &'static str;

/// Appends to a row.
pub(super) struct Out<'a>(pub &'a mut Vec<u8>);

impl Out<'_> {
    pub fn byte(&mut self, byte: u8) {
        self.0.push(byte);
    }

    pub fn flag(&mut self, flag: bool) {
        self.byte(u8::from(flag));
    }

    pub fn number(&mut self, mut number: u64) {
        while number >= 0x80 {
            self.byte(number as u8 | 0x80);
            number >>= 7;
        }
        self.byte(number as u8);
    }

    pub fn index(&mut self, index: u32) {
        self.number(u64::from(index));
    }

    pub fn difference(&mut self, difference: i64) {
        self.number(((difference << 1) ^ (difference >> 63)) as u64);
    }

    pub fn time(&mut self, time: Time) {
        self.difference(time.micros());
    }

    /// A time that lies near another one; any that does not is as well kept.
    pub fn time_near(&mut self, time: Time, near: Time) {
        self.difference(time.micros().wrapping_sub(near.micros()));
    }

    pub fn optional_time(&mut self, time: Option<Time>) {
        self.optional(time, |out, time| out.time(time));
    }

    pub fn optional<T>(&mut self, value: Option<T>, put: impl FnOnce(&mut Self, T)) {
        self.flag(value.is_some());
        if let Some(value) = value {
            put(self, value);
        }
    }

    pub fn word(&mut self, word: u64) {
        self.bytes(&word.to_le_bytes());
    }

    pub fn tid(&mut self, tid: Tid) {
        self.word(tid.to_u64());
    }

    pub fn text(&mut self, text: &str) {
        self.number(text.len() as u64);
        self.bytes(text.as_bytes());
    }

    pub fn bytes(&mut self, bytes: &[u8]) {
        self.0.extend_from_slice(bytes);
    }
}

/// What of a chunk is still to be read.
pub(super) struct In<'a>(pub &'a [u8]);

impl<'a> In<'a> {
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn bytes(&mut self, count: usize) -> Result<&'a [u8], Fault> {
        let (bytes, rest) = self.0.split_at_checked(count).ok_or("it ends within a row")?;
        self.0 = rest;
        Ok(bytes)
    }

    pub fn array<const N: usize>(&mut self) -> Result<[u8; N], Fault> {
        let (bytes, rest) = self.0.split_first_chunk().ok_or("it ends within a row")?;
        self.0 = rest;
        Ok(*bytes)
    }

    pub fn byte(&mut self) -> Result<u8, Fault> {
        Ok(self.array::<1>()?[0])
    }

    pub fn flag(&mut self) -> Result<bool, Fault> {
        match self.byte()? {
            0 => Ok(false),
            1 => Ok(true),
            _ => Err("a flag is neither 0 nor 1"),
        }
    }

    pub fn number(&mut self) -> Result<u64, Fault> {
        let mut number = 0;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            let bits = u64::from(byte & 0x7f);
            if bits << shift >> shift != bits {
                break;
            }
            number |= bits << shift;
            if byte < 0x80 {
                return Ok(number);
            }
        }
        Err("a number does not fit into 64 bits")
    }

    /// What is only counted up: it cannot have come near the end of its range.
    pub fn counter(&mut self) -> Result<u64, Fault> {
        self.number().ok().filter(|&count| count < 1 << 62).ok_or("a counter is out of range")
    }

    /// An index below a bound.
    pub fn index(&mut self, bound: usize, fault: Fault) -> Result<u32, Fault> {
        let index = self.number()?;
        u32::try_from(index).ok().filter(|_| index < bound as u64).ok_or(fault)
    }

    /// How many items follow, each of one byte at least.
    pub fn count(&mut self) -> Result<usize, Fault> {
        let count = self.number()?;
        usize::try_from(count).ok().filter(|&count| count <= self.0.len()).ok_or("a list is longer than its chunk")
    }

    /// A list: how many, then each.
    pub fn list<T>(&mut self, mut item: impl FnMut(&mut Self) -> Result<T, Fault>) -> Result<Vec<T>, Fault> {
        // Grows as it is read: an item in memory may be many times larger than in the chunk.
        (0..self.count()?).map(|_| item(self)).collect()
    }

    pub fn difference(&mut self) -> Result<i64, Fault> {
        let number = self.number()?;
        Ok((number >> 1) as i64 ^ -((number & 1) as i64))
    }

    pub fn time(&mut self) -> Result<Time, Fault> {
        self.difference().map(Time::from_micros)
    }

    pub fn time_near(&mut self, near: Time) -> Result<Time, Fault> {
        Ok(Time::from_micros(near.micros().wrapping_add(self.difference()?)))
    }

    pub fn optional_time(&mut self) -> Result<Option<Time>, Fault> {
        self.optional(Self::time)
    }

    pub fn optional<T>(&mut self, take: impl FnOnce(&mut Self) -> Result<T, Fault>) -> Result<Option<T>, Fault> {
        if self.flag()? { take(self).map(Some) } else { Ok(None) }
    }

    pub fn word(&mut self) -> Result<u64, Fault> {
        Ok(u64::from_le_bytes(self.array()?))
    }

    pub fn tid(&mut self) -> Result<Tid, Fault> {
        self.word().map(Tid::from_u64)
    }

    pub fn text(&mut self) -> Result<&'a str, Fault> {
        let count = self.count()?;
        std::str::from_utf8(self.bytes(count)?).map_err(|_| "a text is not UTF-8")
    }

    /// A text that one of the protocol's syntaxes must allow.
    pub fn parsed<T: std::str::FromStr>(&mut self, fault: Fault) -> Result<T, Fault> {
        self.text()?.parse().map_err(|_| fault)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        let mut row = Vec::new();
        let numbers = [0, 1, 127, 128, 16_383, 16_384, u64::from(u32::MAX), u64::MAX - 1, u64::MAX];
        let differences = [0, 1, -1, 63, -64, 64, i64::MAX, i64::MIN];
        let mut out = Out(&mut row);
        numbers.iter().for_each(|&number| out.number(number));
        differences.iter().for_each(|&difference| out.difference(difference));
        differences.iter().for_each(|&a| out.time_near(Time::from_micros(a), Time::from_micros(i64::MIN + 5)));
        out.text("häuser");
        out.optional_time(None);
        let mut read = In(&row);
        assert!(numbers.iter().all(|&number| read.number() == Ok(number)));
        assert!(differences.iter().all(|&difference| read.difference() == Ok(difference)));
        let near = Time::from_micros(i64::MIN + 5);
        assert!(differences.iter().all(|&a| read.time_near(near) == Ok(Time::from_micros(a))));
        assert_eq!((read.text(), read.optional_time(), read.is_empty()), (Ok("häuser"), Ok(None), true));
    }

    #[test]
    fn nothing_is_believed() {
        assert!(In(&[0xff; 10]).number().is_err());
        assert!(In(&[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2]).number().is_err());
        assert!(In(&[0x80]).number().is_err(), "cut");
        assert!(In(&[5, b'a']).text().is_err(), "longer than the chunk");
        assert!(In(&[1, 0xff]).text().is_err());
        assert!(In(&[2]).flag().is_err());
        assert!(In(&[7]).index(7, "too great").is_err());
        assert!(In(&[3, 1, 1]).list(In::byte).is_err());
    }
}
