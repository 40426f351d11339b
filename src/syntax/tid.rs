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

    /// The 13 characters.
    pub fn to_bytes(self) -> [u8; LENGTH] {
        let mut text = [0; LENGTH];
        let mut rest = self.0;
        for slot in text.iter_mut().rev() {
            *slot = ALPHABET[(rest & 31) as usize];
            rest >>= 5;
        }
        text
    }
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

/// As the number: a TID in the log costs eight bytes, not fourteen.
impl Serialize for Tid {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u64(self.0)
    }
}

impl<'de> Deserialize<'de> for Tid {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        u64::deserialize(deserializer).map(Self)
    }
}
