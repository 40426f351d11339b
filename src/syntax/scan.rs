//! Small steps over the bytes of JSON, many at a time, for what is read of every frame.
//!
//! What always holds: a step that gives `None` means "not as expected", never "not there".

/// How a commit begins in v2, as servers write it today.
pub(crate) const V2_COMMIT: &[u8; 85] =
    b"{\"$type\":\"message\",\"payload\":{\"$type\":\"network.bsky.jetstream.subscribeEvents#commit\"";

/// What is left of a frame.
#[derive(Clone, Copy)]
pub(crate) struct Scan<'a> {
    pub(crate) rest: &'a [u8],
}

impl<'a> Scan<'a> {
    /// Past exactly these bytes.
    #[inline(always)]
    pub(crate) fn literal(&mut self, bytes: &[u8]) -> Option<()> {
        self.rest = self.rest.strip_prefix(bytes)?;
        Some(())
    }

    /// Text up to the quote that ends it, and past that; `None` where it holds an escape.
    #[inline(always)]
    pub(crate) fn text(&mut self) -> Option<&'a [u8]> {
        let start = self.rest;
        let mut at = start;
        loop {
            let Some(word) = at.first_chunk() else { return self.text_at_end(start.len() - at.len()) };
            let word = u64::from_le_bytes(*word);
            let stops = zero_bytes(word ^ splat(b'"')) | zero_bytes(word ^ splat(b'\\'));
            if stops != 0 {
                let (text, rest) = start.split_at(start.len() - at.len() + first_byte(stops));
                self.rest = rest.strip_prefix(b"\"")?;
                return Some(text);
            }
            at = &at[8..];
        }
    }

    /// Text of which the first `looked_at` bytes hold neither a quote nor an escape, and behind which little is left.
    fn text_at_end(&mut self, looked_at: usize) -> Option<&'a [u8]> {
        let start = self.rest;
        let length = looked_at + start[looked_at..].iter().position(|byte| matches!(byte, b'"' | b'\\'))?;
        self.rest = start[length..].strip_prefix(b"\"")?;
        Some(&start[..length])
    }

    /// Past at least one digit, and all that follow it: they come back.
    #[inline(always)]
    pub(crate) fn digits(&mut self) -> Option<&'a [u8]> {
        let start = self.rest;
        loop {
            let word = u64::from_le_bytes(*self.rest.first_chunk()?);
            let others = others(word);
            if others != 0 {
                self.rest = &self.rest[first_byte(others)..];
                let digits = &start[..start.len() - self.rest.len()];
                return (!digits.is_empty()).then_some(digits);
            }
            self.rest = &self.rest[8..];
        }
    }
}

/// Whether bytes are these. (Without a branch, and without the call that `==` is for more than 32 of them.)
#[inline(always)]
pub(crate) fn is<const N: usize>(bytes: &[u8; N], wanted: &[u8; N]) -> bool {
    let ((many, few), (wanted_many, wanted_few)) = (bytes.as_chunks::<16>(), wanted.as_chunks::<16>());
    let mut differs = 0;
    for at in 0..many.len() {
        differs |= u128::from_ne_bytes(many[at]) ^ u128::from_ne_bytes(wanted_many[at]);
    }
    for at in 0..few.len() {
        differs |= u128::from(few[at] ^ wanted_few[at]);
    }
    differs == 0
}

/// Whether all bytes are ASCII. (64 at a time, and the last 64 once more instead of one by one: half of what the standard
/// library's takes for some hundred bytes.)
#[inline]
pub(crate) fn is_ascii(bytes: &[u8]) -> bool {
    let (many, few) = bytes.as_chunks::<64>();
    let Some(last) = bytes.last_chunk::<64>() else { return few.is_ascii() };
    let sum = |chunk: &[u8; 64]| chunk.as_chunks::<8>().0.iter().fold(0, |sum, word| sum | u64::from_ne_bytes(*word));
    let mut all = sum(last);
    for chunk in many {
        all |= sum(chunk);
    }
    all & splat(0x80) == 0
}

/// Whether text holds neither a quote nor an escape. (All bytes, without a branch: many at once.)
#[inline(always)]
pub(crate) fn is_plain<const N: usize>(text: &[u8; N]) -> bool {
    text.iter().fold(0, |found, &byte| found | u8::from(byte == b'"') | u8::from(byte == b'\\')) == 0
}

/// Whether all are digits.
#[inline(always)]
pub(crate) fn is_digits<const N: usize>(text: &[u8; N]) -> bool {
    text.iter().fold(0, |found, &byte| found | u8::from(byte.wrapping_sub(b'0') > 9)) == 0
}

/// Zero where all eight bytes are digits; else the lowest byte that is not zero is the first that is none.
#[inline(always)]
const fn others(word: u64) -> u64 {
    // '0'..='9' is 0x30..=0x39: the high half is 3, and still is after 6 more. A carry runs into later bytes only.
    high_halves(word) | high_halves(word.wrapping_add(splat(6)))
}

const fn high_halves(word: u64) -> u64 {
    (word & splat(0xf0)) ^ splat(0x30)
}

/// Eight times the same byte.
const fn splat(byte: u8) -> u64 {
    u64::from_ne_bytes([byte; 8])
}

/// Sets the highest bit of the first zero byte, and of no byte before it; behind it there may be false ones.
const fn zero_bytes(word: u64) -> u64 {
    word.wrapping_sub(splat(1)) & !word & splat(0x80)
}

/// The place of the first byte, in memory, that is not zero.
const fn first_byte(word: u64) -> usize {
    (word.trailing_zeros() / 8) as usize
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn naive_text(bytes: &[u8]) -> Option<&[u8]> {
        let end = bytes.iter().position(|byte| matches!(byte, b'"' | b'\\'))?;
        (bytes[end] == b'"').then_some(&bytes[..end])
    }

    proptest! {
        #[test]
        fn steps_equal_their_naive_reading(bytes in prop::collection::vec(prop_oneof![
            8 => b'0'..=b'9', 4 => any::<u8>(), 1 => Just(b'"'), 1 => Just(b'\\'), 1 => Just(b'/'), 1 => Just(b':'),
        ], 0..40)) {
            let padded = [&bytes[..], &b"x       "[..]].concat();
            // With much behind it, and with nothing.
            for all in [&padded, &bytes] {
                let mut scan = Scan { rest: all };
                let text = scan.text();
                prop_assert_eq!(text, naive_text(&bytes));
                if let Some(text) = text {
                    prop_assert_eq!(scan.rest, &all[text.len() + 1..]);
                }
            }
            let mut scan = Scan { rest: &padded };
            let digits = bytes.iter().take_while(|byte| byte.is_ascii_digit()).count();
            prop_assert_eq!(scan.digits().is_some(), digits > 0);
            prop_assert_eq!(scan.rest, &padded[digits..]);
            let (start, mut other): (&[u8; 37], _) = (padded.first_chunk().unwrap_or(&[b'1'; 37]), [b'1'; 37]);
            prop_assert_eq!(is_plain(start), !start.contains(&b'"') && !start.contains(&b'\\'));
            prop_assert_eq!(is_digits(start), start.iter().all(u8::is_ascii_digit));
            other[padded.len() % 37] = 7;
            prop_assert!(is(start, start) && is(start, &other) == (*start == other));
        }
    }

    #[test]
    fn one_byte_that_is_no_ascii_is_seen_wherever_it_stands() {
        for length in 0..200 {
            let mut text = vec![b'x'; length];
            assert!(is_ascii(&text), "{length}");
            for at in 0..length {
                text[at] = 0x80 | at as u8;
                assert!(!is_ascii(&text), "{at} of {length}");
                text[at] = b'x';
            }
        }
    }
}
