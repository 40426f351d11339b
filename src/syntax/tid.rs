//! Timestamp identifiers: <https://atproto.com/specs/tid>.
//!
//! ```text
//! bit 63 | 62 ………………………………………… 10 | 9 ………………… 0
//!    0   | microseconds since 1970 | clock identifier     13 characters of base32-sortable, 5 bits each
//! ```

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::{SyntaxError, Time};

/// A timestamp identifier as its 64-bit number. Numeric order equals text order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Tid(u64);

const ALPHABET: &[u8; 32] = b"234567abcdefghijklmnopqrstuvwxyz";
const LENGTH: usize = 13;
const CLOCK_ID_BITS: u32 = 10;

/// `VALUES[byte]` is the 5-bit value of a character, or 255.
const VALUES: [u8; 256] = {
    let mut values = [255; 256];
    let mut at = 0;
    while at < 32 {
        values[ALPHABET[at] as usize] = at as u8;
        at += 1;
    }
    values
};

impl Tid {
    /// Parses the 13 characters.
    ///
    /// # Errors
    /// Names the broken rule.
    pub fn parse(text: &str) -> Result<Self, SyntaxError> {
        let bytes: &[u8; LENGTH] =
            text.as_bytes().try_into().map_err(|_| SyntaxError::new("TID", "is not 13 characters long"))?;
        // 13 characters carry 65 bits. The specification's pattern `[234567abcdefghij]` for the first one keeps the
        // number within 64.
        if VALUES[bytes[0] as usize] > 15 {
            return Err(SyntaxError::new("TID", "the first character is not one of 2-7 a-j"));
        }
        let mut number: u64 = 0;
        for &byte in bytes {
            let value = VALUES[byte as usize];
            if value == 255 {
                return Err(SyntaxError::new("TID", "holds a character outside 2-7 a-z"));
            }
            number = (number << 5) | u64::from(value);
        }
        Ok(Self(number))
    }

    /// The number itself.
    pub const fn to_u64(self) -> u64 {
        self.0
    }

    /// A TID from its number.
    pub const fn from_u64(number: u64) -> Self {
        Self(number)
    }

    /// The first TID of a microsecond, with the given clock identifier (its low 10 bits are used).
    pub const fn from_time(time: Time, clock_id: u16) -> Self {
        Self(((time.micros() as u64) << CLOCK_ID_BITS) | (clock_id as u64 & ((1 << CLOCK_ID_BITS) - 1)))
    }

    /// The microsecond that the TID names. It is the repository's own word, and may be forged. A greater TID never
    /// names an earlier one: the top bit, which should be 0, counts too (it lies past the year 2200).
    pub const fn time(self) -> Time {
        Time::from_micros((self.0 >> CLOCK_ID_BITS) as i64)
    }

    /// The 13 characters. A page of a feed renders many: eight at a time, in a register.
    #[inline]
    pub fn to_bytes(self) -> [u8; LENGTH] {
        let mut text = [0; LENGTH];
        let (head, tail) = text.split_at_mut(8);
        head.copy_from_slice(&characters(self.0 >> 25));
        tail.copy_from_slice(&characters(self.0 << 15)[..5]);
        text
    }
}

/// The characters of the low 40 bits, 5 bits each, the highest first.
#[inline]
const fn characters(bits: u64) -> [u8; 8] {
    // 40 bits, to two lanes of 20, to four of 10, to eight of 5.
    let lanes = ((bits << 12) & 0x000f_ffff_0000_0000) | (bits & 0x000f_ffff);
    let lanes = ((lanes << 6) & 0x03ff_0000_03ff_0000) | (lanes & 0x0000_03ff_0000_03ff);
    let lanes = ((lanes << 3) & 0x1f00_1f00_1f00_1f00) | (lanes & 0x001f_001f_001f_001f);
    // 0 to 5 are "2" to "7", 6 to 31 are "a" to "z": letters are those that reach 128 when 122 is added.
    const EACH: u64 = 0x0101_0101_0101_0101;
    let letters = ((lanes + 122 * EACH) >> 7) & EACH;
    (lanes + b'2' as u64 * EACH + letters * (b'a' - 6 - b'2') as u64).to_be_bytes()
}

impl fmt::Display for Tid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bytes = self.to_bytes();
        f.write_str(std::str::from_utf8(&bytes).map_err(|_| fmt::Error)?)
    }
}

impl std::str::FromStr for Tid {
    type Err = SyntaxError;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::parse(text)
    }
}

/// As the number where machines read: a TID in the log costs eight bytes, not fourteen. As its text where people do.
impl Serialize for Tid {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() { serializer.collect_str(self) } else { serializer.serialize_u64(self.0) }
    }
}

impl<'de> Deserialize<'de> for Tid {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        if deserializer.is_human_readable() {
            let text = <std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
            return Self::parse(&text).map_err(serde::de::Error::custom);
        }
        u64::deserialize(deserializer).map(Self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One character after the other, by the table.
    fn plain(number: u64) -> String {
        (0..LENGTH as u32).rev().map(|at| char::from(ALPHABET[(number >> (5 * at)) as usize & 31])).collect()
    }

    #[test]
    fn the_characters_are_those_of_the_table() {
        let every_value = (0..32).flat_map(|value| (0..LENGTH as u32).map(move |at| value << (5 * at)));
        let mixed = (0..10_000).map(|at: u64| at.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        for number in every_value.chain(mixed).chain([u64::MAX]) {
            let text = Tid::from_u64(number).to_string();
            assert_eq!(text, plain(number), "{number:x}");
            assert_eq!(Tid::parse(&text), Ok(Tid::from_u64(number)));
        }
    }
}
