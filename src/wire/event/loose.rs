//! JSON values that are read in one pass and judged afterwards.
//!
//! A derived `Deserialize` stops at the first value of a wrong type, so it can tell neither whether the rest is JSON at
//! all, nor that the wrong value stands in a field that nobody needs. Here every value is accepted for what it is; whoever
//! needs the field says whether that is enough. So an error of the parser always means "not JSON".
//!
//! Of a key that stands twice the first one counts. The prefilter, which stops reading early, relies on that.

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;

use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use crate::telemetry::Reason;

/// One value that is neither object nor array, or the news that it is something else.
#[derive(Debug, Default, PartialEq)]
pub(super) enum Scalar<'a> {
    /// No such key, or `null`.
    #[default]
    Absent,
    Text(Cow<'a, str>),
    /// A whole number that is not negative.
    Natural(u64),
    Truth(bool),
    /// Anything else.
    Other,
}

impl<'a> Scalar<'a> {
    pub(super) fn text(self) -> Result<Cow<'a, str>, Reason> {
        self.text_if_any()?.ok_or(Reason::Malformed)
    }

    pub(super) fn text_if_any(self) -> Result<Option<Cow<'a, str>>, Reason> {
        match self {
            Self::Text(text) => Ok(Some(text)),
            Self::Absent => Ok(None),
            _ => Err(Reason::Malformed),
        }
    }

    pub(super) fn as_text(&self) -> Option<&str> {
        if let Self::Text(text) = self { Some(text) } else { None }
    }

    pub(super) fn natural(&self) -> Result<u64, Reason> {
        if let Self::Natural(number) = self { Ok(*number) } else { Err(Reason::Malformed) }
    }

    pub(super) fn truth(&self) -> Result<bool, Reason> {
        if let Self::Truth(truth) = self { Ok(*truth) } else { Err(Reason::Malformed) }
    }
}

/// A set of named fields that an object of the wire may have.
pub(super) trait Object<'a>: Default {
    /// Reads the value of `key` into its field, or past it.
    fn field<A: MapAccess<'a>>(&mut self, key: &str, map: &mut A) -> Result<(), A::Error>;
}

/// An object, or `None` for anything else.
#[derive(Debug)]
pub(super) struct Nested<T>(pub(super) Option<T>);

impl<T> Default for Nested<T> {
    fn default() -> Self {
        Self(None)
    }
}

/// A value as it is written, unless it is absent or `null`.
#[derive(Debug, Default)]
pub(super) struct Raw<'a>(pub(super) Option<&'a RawValue>);

/// Where the first value of a key stays.
pub(super) trait Slot {
    fn is_free(&self) -> bool;
}

impl Slot for Scalar<'_> {
    fn is_free(&self) -> bool {
        *self == Scalar::Absent
    }
}

impl<T> Slot for Nested<T> {
    fn is_free(&self) -> bool {
        self.0.is_none()
    }
}

impl Slot for Raw<'_> {
    fn is_free(&self) -> bool {
        self.0.is_none()
    }
}

/// Reads the value that is next into `slot`, or past it where the slot is taken.
pub(super) fn read_into<'a, A, S>(slot: &mut S, map: &mut A) -> Result<(), A::Error>
where
    A: MapAccess<'a>,
    S: Slot + Deserialize<'a>,
{
    if slot.is_free() {
        *slot = map.next_value()?;
    } else {
        map.next_value::<IgnoredAny>()?;
    }
    Ok(())
}

/// Declares an [`Object`]: each field with its type and its key.
macro_rules! object {
    ($(#[$doc:meta])* $name:ident { $($field:ident: $type:ty = $key:literal,)+ }) => {
        $(#[$doc])*
        #[derive(Debug, Default)]
        struct $name<'a> { $($field: $type,)+ }

        impl<'a> loose::Object<'a> for $name<'a> {
            fn field<A: serde::de::MapAccess<'a>>(&mut self, key: &str, map: &mut A) -> Result<(), A::Error> {
                match key {
                    $($key => loose::read_into(&mut self.$field, map),)+
                    _ => map.next_value::<serde::de::IgnoredAny>().map(drop),
                }
            }
        }
    };
}
pub(super) use object;

impl<'de: 'a, 'a> Deserialize<'de> for Raw<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let raw = <&'a RawValue>::deserialize(deserializer)?;
        Ok(Self(Some(raw).filter(|raw| raw.get() != "null")))
    }
}

struct Key<'a>(Cow<'a, str>);

impl<'de> Deserialize<'de> for Key<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct KeyVisitor;
        impl<'de> Visitor<'de> for KeyVisitor {
            type Value = Key<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a key")
            }
            fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Key<'de>, E> {
                Ok(Key(Cow::Borrowed(text)))
            }
            fn visit_str<E>(self, text: &str) -> Result<Key<'de>, E> {
                Ok(Key(Cow::Owned(text.to_owned())))
            }
        }
        deserializer.deserialize_str(KeyVisitor)
    }
}

/// The part of a visitor in which scalars and objects agree: what is neither text, number nor truth.
macro_rules! skip_sequences {
    ($lifetime:lifetime, $other:expr) => {
        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("any JSON value")
        }
        fn visit_i64<E>(self, _: i64) -> Result<Self::Value, E> {
            Ok($other)
        }
        fn visit_f64<E>(self, _: f64) -> Result<Self::Value, E> {
            Ok($other)
        }
        fn visit_unit<E>(self) -> Result<Self::Value, E> {
            Ok(Self::Value::default())
        }
        fn visit_seq<A: SeqAccess<$lifetime>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
            while seq.next_element::<IgnoredAny>()?.is_some() {}
            Ok($other)
        }
    };
}

impl<'de: 'a, 'a> Deserialize<'de> for Scalar<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct ScalarVisitor;
        impl<'de> Visitor<'de> for ScalarVisitor {
            type Value = Scalar<'de>;
            skip_sequences!('de, Scalar::Other);
            fn visit_bool<E>(self, truth: bool) -> Result<Self::Value, E> {
                Ok(Scalar::Truth(truth))
            }
            fn visit_u64<E>(self, number: u64) -> Result<Self::Value, E> {
                Ok(Scalar::Natural(number))
            }
            fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Self::Value, E> {
                Ok(Scalar::Text(Cow::Borrowed(text)))
            }
            fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
                Ok(Scalar::Text(Cow::Owned(text.to_owned())))
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
                Ok(Scalar::Other)
            }
        }
        deserializer.deserialize_any(ScalarVisitor)
    }
}

impl<'de, T: Object<'de>> Deserialize<'de> for Nested<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct NestedVisitor<T>(PhantomData<T>);
        impl<'de, T: Object<'de>> Visitor<'de> for NestedVisitor<T> {
            type Value = Nested<T>;
            skip_sequences!('de, Nested(None));
            fn visit_bool<E>(self, _: bool) -> Result<Self::Value, E> {
                Ok(Nested(None))
            }
            fn visit_u64<E>(self, _: u64) -> Result<Self::Value, E> {
                Ok(Nested(None))
            }
            fn visit_str<E>(self, _: &str) -> Result<Self::Value, E> {
                Ok(Nested(None))
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut object = T::default();
                while let Some(key) = map.next_key::<Key<'de>>()? {
                    object.field(&key.0, &mut map)?;
                }
                Ok(Nested(Some(object)))
            }
        }
        deserializer.deserialize_any(NestedVisitor(PhantomData))
    }
}
