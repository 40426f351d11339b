//! The protocol's data model in JSON: <https://atproto.com/specs/data-model>.
//!
//! In: a JSON value. Out: whether a repository could hold it. Three things look like objects and are values of their
//! own: `{"$bytes": base64}`, `{"$link": cid}` and `{"$type": "blob", …}`.
//!
//! Out of scope: the binary form (DAG-CBOR) and the hashes in content identifiers. The stream carries JSON.

use serde_json::{Map, Value};

use super::Violation;
use crate::syntax::Cid;

/// Integers beyond this magnitude lose digits as a floating-point number, so there they are none.
const EXACT_FLOAT_MAX: f64 = 9_007_199_254_740_992.0;

/// Judges a record by the data model alone: an object, without floats, in which bytes, links and blobs are well formed.
///
/// # Errors
/// The first rule that is broken.
pub fn check(record: &Value) -> Result<(), Violation> {
    let Some(map) = record.as_object() else { return Err(Violation::new("is not an object")) };
    check_map(map)
}

/// Judges any value. Its depth is bounded by the parser that made it.
pub(super) fn check_value(value: &Value) -> Result<(), Violation> {
    match value {
        Value::Null | Value::Bool(_) | Value::String(_) => Ok(()),
        Value::Number(_) => integer(value).map(drop),
        Value::Array(items) => {
            items.iter().enumerate().try_for_each(|(at, item)| check_value(item).map_err(|v| v.in_element(at)))
        }
        Value::Object(map) if map.contains_key("$bytes") => bytes(value).map(drop),
        Value::Object(map) if map.contains_key("$link") => link(value),
        Value::Object(map) => check_map(map),
    }
}

fn check_map(map: &Map<String, Value>) -> Result<(), Violation> {
    match map.get("$type") {
        None => {}
        Some(Value::String(named)) if !named.is_empty() => {}
        Some(_) => return Err(Violation::new("is not a name").in_field("$type")),
    }
    if is_blob(map) {
        Blob::read_map(map)?;
    }
    // Names that the record made up are not told: a violation stays short.
    map.values().try_for_each(|value| check_value(value).map_err(|v| v.in_field("…")))
}

/// The number as an integer of 64 bits. `123.0` is one: JSON has one type of number.
///
/// # Errors
/// No number, a fraction, or one that is too large.
pub fn integer(value: &Value) -> Result<i64, Violation> {
    let Value::Number(number) = value else { return Err(Violation::new("is not an integer")) };
    if let Some(integer) = number.as_i64() {
        return Ok(integer);
    }
    match number.as_f64() {
        Some(float) if float.fract() != 0.0 => Err(Violation::new("is a fraction, not an integer")),
        Some(float) if float.abs() <= EXACT_FLOAT_MAX => Ok(float as i64),
        _ => Err(Violation::new("is an integer beyond 64 bits")),
    }
}

/// How many bytes a `{"$bytes": base64}` holds.
pub(super) fn bytes(value: &Value) -> Result<usize, Violation> {
    let text = only_text(value, "$bytes").ok_or_else(|| Violation::new("is not of the form {\"$bytes\": base64}"))?;
    let digits = text.trim_end_matches('=');
    let padding = text.len() - digits.len();
    let padded = padding == 0 || padding <= 2 && text.len().is_multiple_of(4);
    let alphabet = digits.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'/'));
    if !padded || !alphabet || digits.len() % 4 == 1 {
        return Err(Violation::new("is not base64"));
    }
    Ok(digits.len() / 4 * 3 + (digits.len() % 4).saturating_sub(1))
}

/// Judges a `{"$link": cid}`.
pub(super) fn link(value: &Value) -> Result<(), Violation> {
    let text = only_text(value, "$link").ok_or_else(|| Violation::new("is not of the form {\"$link\": cid}"))?;
    Cid::check(text).map_err(|error| Violation::new(format!("is {error}")))
}

/// The text of an object's one and only field.
fn only_text<'a>(value: &'a Value, field: &str) -> Option<&'a str> {
    let map = value.as_object().filter(|map| map.len() == 1)?;
    map.get(field)?.as_str()
}

/// A reference to a file of the repository.
pub(super) struct Blob<'a> {
    pub(super) mime_type: &'a str,
    /// In bytes.
    pub(super) size: i64,
}

impl<'a> Blob<'a> {
    pub(super) fn read(value: &'a Value) -> Result<Self, Violation> {
        match value.as_object() {
            Some(map) if is_blob(map) => Self::read_map(map),
            _ => Err(Violation::new("is not a blob")),
        }
    }

    fn read_map(map: &'a Map<String, Value>) -> Result<Self, Violation> {
        let missing = |field| Violation::new("is missing").in_field(field);
        link(map.get("ref").ok_or_else(|| missing("ref"))?).map_err(|v| v.in_field("ref"))?;
        let mime_type = map.get("mimeType").ok_or_else(|| missing("mimeType"))?.as_str();
        let mime_type = mime_type.ok_or_else(|| Violation::new("is not a string").in_field("mimeType"))?;
        let size = integer(map.get("size").ok_or_else(|| missing("size"))?).map_err(|v| v.in_field("size"))?;
        if size < 0 {
            return Err(Violation::new("is negative").in_field("size"));
        }
        Ok(Self { mime_type, size })
    }
}

fn is_blob(map: &Map<String, Value>) -> bool {
    map.get("$type").is_some_and(|named| named == "blob")
}

/// Whether the object is a plain one, and no bytes, link or blob.
pub(super) fn is_plain(map: &Map<String, Value>) -> bool {
    !map.contains_key("$bytes") && !map.contains_key("$link") && !is_blob(map)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn integers_end_where_64_bits_end() {
        assert_eq!(integer(&json!(i64::MAX)), Ok(i64::MAX));
        assert_eq!(integer(&json!(i64::MIN)), Ok(i64::MIN));
        assert!(integer(&json!(i64::MAX as u64 + 1)).is_err());
        assert_eq!(integer(&json!(123.0)), Ok(123));
        assert_eq!(integer(&json!(-9_007_199_254_740_992.0)), Ok(-9_007_199_254_740_992));
        for no in [json!(0.5), json!(1e300), json!(-1e300), json!("1"), json!(null), json!(true)] {
            assert!(integer(&no).is_err(), "{no}");
        }
    }

    #[test]
    fn bytes_are_counted_without_decoding() {
        let count = |text: &str| bytes(&json!({ "$bytes": text })).ok();
        let cases = [("", 0), ("YQ", 1), ("YQ==", 1), ("YWI", 2), ("YWI=", 2), ("YWJj", 3), ("YWJjZA==", 4)];
        for (text, length) in cases {
            assert_eq!(count(text), Some(length), "{text}");
        }
        for text in ["Y", "Y===", "YQ=", "====", "YWJjZ", "Y_-x", "Y Q", "YQ==YQ=="] {
            assert_eq!(count(text), None, "{text}");
        }
    }
}
