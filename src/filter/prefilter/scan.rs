//! Small steps over the bytes of a frame, eight at a time.
//!
//! What always holds: a step that gives `None` means "not as expected", never "not there". Text near the end of the frame
//! is not read either: it needs eight bytes. Behind the head of a whole commit there are always more.

/// What is left of a frame.
#[derive(Clone, Copy)]
pub(super) struct Scan<'a> {
    pub(super) rest: &'a [u8],
}

impl<'a> Scan<'a> {
    /// Past exactly these bytes.
    #[inline(always)]
    pub(super) fn literal(&mut self, bytes: &[u8]) -> Option<()> {
        self.rest = self.rest.strip_prefix(bytes)?;
        Some(())
    }

    /// Text up to the quote that ends it, and past that; `None` where it holds an escape.
    #[inline(always)]
    pub(super) fn text(&mut self) -> Option<&'a [u8]> {
        let start = self.rest;
        let mut at = start;
        loop {
            let word = u64::from_le_bytes(*at.first_chunk()?);
            let stops = zero_bytes(word ^ splat(b'"')) | zero_bytes(word ^ splat(b'\\'));
            if stops != 0 {
                let (text, rest) = start.split_at(start.len() - at.len() + first_byte(stops));
                self.rest = rest.strip_prefix(b"\"")?;
                return Some(text);
            }
            at = &at[8..];
        }
    }

    /// Past at least one digit, and all that follow it.
    #[inline(always)]
    pub(super) fn digits(&mut self) -> Option<()> {
        let start = self.rest;
        loop {
            let word = u64::from_le_bytes(*self.rest.first_chunk()?);
            // '0'..='9' is 0x30..=0x39: the high half is 3, and still is after 6 more. A carry runs into later bytes only.
            let high_halves = |word: u64| (word & splat(0xf0)) ^ splat(0x30);
            let others = high_halves(word) | high_halves(word.wrapping_add(splat(6)));
            if others != 0 {
                self.rest = &self.rest[first_byte(others)..];
                return (self.rest.len() < start.len()).then_some(());
            }
            self.rest = &self.rest[8..];
        }
    }
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
            let mut scan = Scan { rest: &padded };
            let text = scan.text();
            prop_assert_eq!(text, naive_text(&bytes));
            if let Some(text) = text {
                prop_assert_eq!(scan.rest, &padded[text.len() + 1..]);
            }
            let mut scan = Scan { rest: &padded };
            let digits = bytes.iter().take_while(|byte| byte.is_ascii_digit()).count();
            prop_assert_eq!(scan.digits().is_some(), digits > 0);
            prop_assert_eq!(scan.rest, &padded[digits..]);
        }
    }
}
