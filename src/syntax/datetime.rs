//! Moments: [`Time`], and the protocol's datetime text <https://atproto.com/specs/lexicon#datetime>.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::SyntaxError;

/// A moment in microseconds since 1970-01-01T00:00:00Z.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Time(i64);

impl Time {
    /// 1970-01-01T00:00:00Z.
    pub const EPOCH: Self = Self(0);

    /// From microseconds since the epoch.
    pub const fn from_micros(micros: i64) -> Self {
        Self(micros)
    }

    /// From milliseconds since the epoch.
    pub const fn from_millis(millis: i64) -> Self {
        Self(millis.saturating_mul(1000))
    }

    /// Microseconds since the epoch.
    pub const fn micros(self) -> i64 {
        self.0
    }

    /// Whole milliseconds since the epoch, rounded down.
    pub const fn millis(self) -> i64 {
        self.0.div_euclid(1000)
    }

    /// This moment moved by a number of microseconds; it stops at the ends of the range.
    #[must_use]
    pub const fn plus_micros(self, micros: i64) -> Self {
        Self(self.0.saturating_add(micros))
    }

    /// Microseconds from `earlier` to this moment; negative where it is later.
    pub const fn micros_since(self, earlier: Self) -> i64 {
        self.0.saturating_sub(earlier.0)
    }
}

/// RFC 3339 in UTC with six digits, such as `2026-08-11T12:50:55.801900Z`.
impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match time::OffsetDateTime::from_unix_timestamp_nanos(i128::from(self.0) * 1000) {
            Ok(at) => write!(
                f,
                "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:06}Z",
                at.year(),
                u8::from(at.month()),
                at.day(),
                at.hour(),
                at.minute(),
                at.second(),
                at.microsecond()
            ),
            Err(_) => write!(f, "{}us", self.0),
        }
    }
}

impl std::str::FromStr for Time {
    type Err = SyntaxError;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        parse_datetime(text)
    }
}

/// Parses the protocol's datetime: RFC 3339 that is ISO 8601 too, with upper-case `T` and `Z`, a time zone, and
/// seconds. Digits past the microsecond are cut off.
///
/// # Errors
/// Names the broken rule. Also refused are what `*_parse_invalid` of the interop files refuses: days and hours that no
/// calendar has, and moments before the year 1 in UTC.
pub fn parse_datetime(text: &str) -> Result<Time, SyntaxError> {
    let fail = |why| SyntaxError::new("datetime", why);
    let bytes = text.as_bytes();
    if bytes.len() > 64 {
        return Err(fail("longer than 64 characters"));
    }
    if bytes.len() < 20 || !bytes.is_ascii() {
        return Err(fail("is not of the form 2006-01-02T15:04:05Z"));
    }
    let shape = [(4, b'-'), (7, b'-'), (10, b'T'), (13, b':'), (16, b':')];
    if shape.iter().any(|&(at, byte)| bytes[at] != byte) {
        return Err(fail("is not of the form 2006-01-02T15:04:05Z"));
    }
    let number = |from: usize, to: usize| -> Result<u32, SyntaxError> {
        bytes[from..to].iter().try_fold(0, |sum, byte| match byte {
            b'0'..=b'9' => Ok(sum * 10 + u32::from(byte - b'0')),
            _ => Err(SyntaxError::new("datetime", "a digit was expected")),
        })
    };
    let (year, month, day) = (number(0, 4)?, number(5, 7)?, number(8, 10)?);
    let (hour, minute, second) = (number(11, 13)?, number(14, 16)?, number(17, 19)?);
    let (fraction_micros, zone_at) = parse_fraction(bytes)?;
    let offset_seconds = parse_zone(&bytes[zone_at..])?;
    if hour > 23 || minute > 59 || second > 59 {
        return Err(fail("the time of day does not exist"));
    }
    let date = u8::try_from(month)
        .ok()
        .and_then(|month| time::Month::try_from(month).ok())
        .zip(u8::try_from(day).ok())
        .and_then(|(month, day)| time::Date::from_calendar_date(i32::try_from(year).ok()?, month, day).ok())
        .ok_or_else(|| fail("the date does not exist"))?;
    let seconds =
        date.midnight().assume_utc().unix_timestamp() + i64::from(hour * 3600 + minute * 60 + second) - offset_seconds;
    if seconds < YEAR_1 {
        return Err(fail("before the year 1"));
    }
    Ok(Time(seconds * 1_000_000 + fraction_micros))
}

/// 0001-01-01T00:00:00Z in seconds: a datetime must not normalise to a year that RFC 3339 cannot write usefully.
const YEAR_1: i64 = -62_135_596_800;

/// The optional fraction after the seconds: its microseconds and where the time zone begins.
fn parse_fraction(bytes: &[u8]) -> Result<(i64, usize), SyntaxError> {
    if bytes[19] != b'.' {
        return Ok((0, 19));
    }
    let digits = bytes[20..].iter().take_while(|byte| byte.is_ascii_digit()).count();
    if digits == 0 {
        return Err(SyntaxError::new("datetime", "a point without digits"));
    }
    let micros = (0..6).fold(0, |sum, at| {
        let digit = if at < digits { i64::from(bytes[20 + at] - b'0') } else { 0 };
        sum * 10 + digit
    });
    Ok((micros, 20 + digits))
}

/// `Z` or `±hh:mm`, in seconds east of UTC.
fn parse_zone(zone: &[u8]) -> Result<i64, SyntaxError> {
    let fail = |why| SyntaxError::new("datetime", why);
    match zone {
        b"Z" => Ok(0),
        [sign @ (b'+' | b'-'), h1, h2, b':', m1, m2] if [h1, h2, m1, m2].iter().all(|b| b.is_ascii_digit()) => {
            let two = |a: &u8, b: &u8| i64::from(a - b'0') * 10 + i64::from(b - b'0');
            let (hours, minutes) = (two(h1, h2), two(m1, m2));
            if hours > 23 || minutes > 59 {
                return Err(fail("the time zone does not exist"));
            }
            let seconds = hours * 3600 + minutes * 60;
            if *sign == b'-' && seconds == 0 {
                return Err(fail("\"-00:00\" is not allowed"));
            }
            Ok(if *sign == b'-' { -seconds } else { seconds })
        }
        _ => Err(fail("the time zone is neither \"Z\" nor \"+hh:mm\"")),
    }
}
