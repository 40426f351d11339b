//! JSON read one level at a time, borrowed from the frame.
//!
//! In: a [`RawValue`], so text that is known to be JSON. Out: its parts, unparsed. Skipping a part needs no recursion,
//! so a record may nest as deep as it likes; and a part that cannot be read (half of a surrogate pair, a number beyond
//! all bounds) spoils nothing beside it.

use std::borrow::Cow;
use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

/// Calls `each` with every field of an object, in order; a field may stand twice. Whether it is an object.
pub(super) fn fields<'a>(value: &'a RawValue, each: impl FnMut(&[u8], &'a RawValue)) -> bool {
    serde_json::Deserializer::from_str(value.get()).deserialize_map(Fields(each)).is_ok()
}

/// Calls `each` with every element of an array, in order. Whether it is an array.
pub(super) fn elements<'a>(value: &'a RawValue, each: impl FnMut(&'a RawValue)) -> bool {
    serde_json::Deserializer::from_str(value.get()).deserialize_seq(Elements(each)).is_ok()
}

/// The value as a string; copied only where it holds an escape.
pub(super) fn text(value: &RawValue) -> Option<Cow<'_, str>> {
    #[derive(Deserialize)]
    struct Text<'a>(#[serde(borrow)] Cow<'a, str>);
    serde_json::from_str(value.get()).ok().map(|Text(text)| text)
}

struct Fields<F>(F);

impl<'de, F: FnMut(&[u8], &'de RawValue)> Visitor<'de> for Fields<F> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut map: A) -> Result<(), A::Error> {
        while let Some(Key(key)) = map.next_key()? {
            let value = map.next_value()?;
            (self.0)(&key, value);
        }
        Ok(())
    }
}

struct Elements<F>(F);

impl<'de, F: FnMut(&'de RawValue)> Visitor<'de> for Elements<F> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array")
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut elements: A) -> Result<(), A::Error> {
        while let Some(element) = elements.next_element()? {
            (self.0)(element);
        }
        Ok(())
    }
}

/// A key as bytes: as a string, one with half of a surrogate pair would be an error and end the object.
struct Key<'a>(Cow<'a, [u8]>);

impl<'de> Deserialize<'de> for Key<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Bytes;
        impl<'de> Visitor<'de> for Bytes {
            type Value = Key<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a key")
            }
            fn visit_borrowed_bytes<E>(self, bytes: &'de [u8]) -> Result<Key<'de>, E> {
                Ok(Key(Cow::Borrowed(bytes)))
            }
            fn visit_bytes<E>(self, bytes: &[u8]) -> Result<Key<'de>, E> {
                Ok(Key(Cow::Owned(bytes.to_vec())))
            }
        }
        deserializer.deserialize_bytes(Bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn raw(text: &str) -> &RawValue {
        serde_json::from_str(text).expect("JSON")
    }

    fn keys(text: &str) -> Option<Vec<String>> {
        let mut keys = Vec::new();
        let each = |key: &[u8], value: &RawValue| keys.push(format!("{}={value}", String::from_utf8_lossy(key)));
        fields(raw(text), each).then_some(keys)
    }

    #[test]
    fn an_object_is_told_field_by_field() {
        assert_eq!(keys(r#" {"a":1, "a":[2], "\u0062":{}} "#), Some(vec!["a=1".into(), "a=[2]".into(), "b={}".into()]));
        assert_eq!(keys("{}"), Some(vec![]));
        for other in ["[]", "1", "null", "\"a\""] {
            assert_eq!(keys(other), None, "{other}");
        }
    }

    #[test]
    fn half_of_a_surrogate_pair_spoils_only_itself() {
        let told = keys(r#"{"\ud800":1,"text":"\ud800","tags":1e999,"last":2}"#).expect("an object");
        assert_eq!(told.len(), 4);
        assert_eq!(told[3], "last=2");
        assert_eq!(text(raw(r#""\ud800""#)), None);
    }

    #[test]
    fn text_is_borrowed_where_it_can_be() {
        assert!(matches!(text(raw("\"plain\"")), Some(Cow::Borrowed("plain"))));
        assert!(matches!(text(raw("\"a\\nb\"")), Some(Cow::Owned(text)) if text == "a\nb"));
        assert_eq!(text(raw("1")), None);
        assert_eq!(text(raw("null")), None);
    }

    #[test]
    fn depth_costs_no_stack() {
        let deep = format!("[{}1{},2]", "[".repeat(200_000), "]".repeat(200_000));
        let mut count = 0;
        assert!(elements(raw(&deep), |_| count += 1));
        assert_eq!(count, 2);
    }
}
