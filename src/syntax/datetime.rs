//! Moments: [`Time`], and the protocol's datetime text <https://atproto.com/specs/lexicon#datetime>.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::SyntaxError;

/// A moment in microseconds since 1970-01-01T00:00:00Z.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
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

/// As microseconds where machines read, as RFC 3339 where people do.
impl Serialize for Time {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() { serializer.collect_str(self) } else { serializer.serialize_i64(self.0) }
    }
}

impl<'de> Deserialize<'de> for Time {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        if deserializer.is_human_readable() {
            let text = <std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
            return parse_datetime(&text).map_err(serde::de::Error::custom);
        }
        i64::deserialize(deserializer).map(Self)
    }
}

impl std::str::FromStr for Time {
    type Err = SyntaxError;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        parse_datetime(text)
    }
}

/// Checks the form of the protocol's datetime alone: RFC 3339 that is ISO 8601 too, with upper-case `T` and `Z`, a time
/// zone, and seconds. `1985-13-99T99:99:99Z` has that form and is no moment: see [`parse_datetime`].
///
/// # Errors
/// Names the broken rule.
pub fn check_datetime(text: &str) -> Result<(), SyntaxError> {
    Parts::read(text).map(drop)
}

/// Parses the protocol's datetime. Digits past the microsecond are cut off.
///
/// # Errors
/// Names the broken rule: what [`check_datetime`] refuses, and days, hours and time zones that do not exist (a leap
/// second is one of them), and moments before the year 0 or after the year 9999 in UTC.
pub fn parse_datetime(text: &str) -> Result<Time, SyntaxError> {
    let fail = |why| SyntaxError::new("datetime", why);
    let parts = Parts::read(text)?;
    let [hour, minute, second] = parts.clock;
    if hour > 23 || minute > 59 || second > 59 {
        return Err(fail("the time of day does not exist"));
    }
    let [zone_hours, zone_minutes] = parts.zone;
    if zone_hours > 23 || zone_minutes > 59 {
        return Err(fail("the time zone does not exist"));
    }
    let zone = i64::from(zone_hours) * 3600 + i64::from(zone_minutes) * 60;
    let [century, year, month, day] = parts.date;
    let year = i32::from(century) * 100 + i32::from(year);
    let date = time::Month::try_from(month)
        .ok()
        .and_then(|month| time::Date::from_calendar_date(year, month, day).ok())
        .ok_or_else(|| fail("the date does not exist"))?;
    let of_day = i64::from(hour) * 3600 + i64::from(minute) * 60 + i64::from(second);
    let seconds =
        date.midnight().assume_utc().unix_timestamp() + of_day + if parts.zone_is_west { zone } else { -zone };
    if seconds < YEAR_0 {
        return Err(fail("before the year 0 in UTC"));
    }
    if seconds >= YEAR_10000 {
        return Err(fail("after the year 9999 in UTC"));
    }
    Ok(Time(seconds * 1_000_000 + parts.micros))
}

/// 0000-01-01T00:00:00Z in seconds: RFC 3339 cannot write what lies before it.
const YEAR_0: i64 = -62_167_219_200;
/// 10000-01-01T00:00:00Z in seconds: nor what does not lie before it.
const YEAR_10000: i64 = 253_402_300_800;

/// The longest datetime, in bytes: the protocol's own bound.
const BYTES_MAX: usize = 64;

/// The numbers of a datetime, as written.
struct Parts {
    /// Century, year of it, month, day.
    date: [u8; 4],
    /// Hour, minute, second.
    clock: [u8; 3],
    micros: i64,
    /// Hours and minutes.
    zone: [u8; 2],
    zone_is_west: bool,
}

impl Parts {
    /// ```text
    /// 0    4  7  10 13 16 19
    /// 2006-01-02T15:04:05[.digits](Z|±hh:mm)
    /// ```
    fn read(text: &str) -> Result<Self, SyntaxError> {
        let fail = |why| SyntaxError::new("datetime", why);
        let bytes = text.as_bytes();
        if bytes.len() > BYTES_MAX {
            return Err(fail("longer than 64 characters"));
        }
        let separators = [(4, b'-'), (7, b'-'), (10, b'T'), (13, b':'), (16, b':')];
        if bytes.len() < 20 || separators.iter().any(|&(at, byte)| bytes[at] != byte) {
            return Err(fail("is not of the form 2006-01-02T15:04:05Z"));
        }
        let two = |at: usize| {
            two_digits(bytes[at], bytes[at + 1]).ok_or_else(|| fail("is not of the form 2006-01-02T15:04:05Z"))
        };
        let date = [two(0)?, two(2)?, two(5)?, two(8)?];
        let clock = [two(11)?, two(14)?, two(17)?];
        let (micros, zone_at) = read_fraction(bytes)?;
        let (zone, zone_is_west) = read_zone(&bytes[zone_at..])?;
        Ok(Self { date, clock, micros, zone, zone_is_west })
    }
}

fn two_digits(tens: u8, ones: u8) -> Option<u8> {
    (tens.is_ascii_digit() && ones.is_ascii_digit()).then(|| (tens - b'0') * 10 + (ones - b'0'))
}

/// The optional fraction after the seconds: its microseconds, and where the time zone begins.
fn read_fraction(bytes: &[u8]) -> Result<(i64, usize), SyntaxError> {
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

/// `Z` or `±hh:mm`: hours and minutes, and whether they lie west of UTC.
fn read_zone(zone: &[u8]) -> Result<([u8; 2], bool), SyntaxError> {
    let fail = |why| SyntaxError::new("datetime", why);
    match *zone {
        [b'Z'] => Ok(([0, 0], false)),
        [sign @ (b'+' | b'-'), h1, h2, b':', m1, m2] => {
            let west = sign == b'-';
            match two_digits(h1, h2).zip(two_digits(m1, m2)) {
                Some((0, 0)) if west => Err(fail("\"-00:00\" is not allowed")),
                Some((hours, minutes)) => Ok(([hours, minutes], west)),
                None => Err(fail("the time zone is neither \"Z\" nor \"+hh:mm\"")),
            }
        }
        _ => Err(fail("the time zone is neither \"Z\" nor \"+hh:mm\"")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is written back reads as the same moment, from the year 0 to the year 9999.
    #[test]
    fn a_moment_survives_being_written() {
        for micros in [-62_167_219_200_000_000, -1, 0, 1, 999_999, 1_783_175_888_085_434, 253_402_300_799_999_999] {
            let time = Time::from_micros(micros);
            assert_eq!(parse_datetime(&time.to_string()), Ok(time), "{time}");
        }
    }

    /// Fuzzing found the latter: a year 9999 that is the year 10000 in UTC was read, and could not be written.
    #[test]
    fn what_utc_cannot_write_is_not_read() {
        assert!(parse_datetime("0000-01-01T00:00:00-00:01").is_ok());
        assert!(parse_datetime("0000-01-01T00:00:00+00:01").is_err());
        assert!(parse_datetime("9999-12-31T23:59:59.999999+00:01").is_ok());
        assert!(parse_datetime("9999-12-31T23:59:00-00:01").is_err());
        let last = parse_datetime("9999-12-31T23:59:59.999999999Z").expect("a moment");
        assert_eq!(parse_datetime(&last.to_string()), Ok(last));
    }

    #[test]
    fn zones_and_fractions_count() {
        let micros = |text| parse_datetime(text).map(Time::micros);
        assert_eq!(micros("1970-01-01T01:00:00+01:00"), Ok(0));
        assert_eq!(micros("1969-12-31T17:00:00-07:00"), Ok(0));
        assert_eq!(micros("1970-01-01T00:00:00.0000019Z"), Ok(1), "cut off, not rounded");
        assert_eq!(micros("1970-01-01T00:00:00.1Z"), Ok(100_000));
        assert!(micros("2023-02-29T00:00:00Z").is_err());
        assert!(micros("2024-02-29T00:00:00Z").is_ok());
        assert!(check_datetime("2016-12-31T23:59:60Z").is_ok());
        assert!(micros("2016-12-31T23:59:60Z").is_err(), "a leap second has the form, and is no moment here");
        assert!(micros("1970-01-01T00:00:00.\u{0661}Z").is_err());
    }
}
