//! What the fuzz targets share.
//!
//! Each target reads bytes as its first lines say, plays them to one part of the engine, and to a plain reference of that
//! part where there is one. A panic is a finding, and so is a difference. `fuzz/run` runs them all.
#![forbid(unsafe_code)]

pub mod websocket;

/// Where a stream of bytes is cut: by a seed, so that the fuzzer can choose, and the same every time.
#[derive(Debug)]
pub struct Cuts {
    rng: fastrand::Rng,
    /// Parts are mostly no longer than this.
    most: usize,
}

impl Cuts {
    /// The cuts that a seed stands for.
    pub fn new(seed: u16) -> Self {
        let mut rng = fastrand::Rng::with_seed(u64::from(seed));
        let most = [1, 2, 7, 40, 500][rng.usize(..5)];
        Self { rng, most }
    }

    /// The parts of `bytes`, in order; none is empty.
    pub fn parts<'a>(mut self, mut bytes: &'a [u8]) -> impl Iterator<Item = &'a [u8]> {
        std::iter::from_fn(move || {
            let most = if self.rng.u8(..16) == 0 { bytes.len() } else { self.most };
            let (part, rest) = bytes.split_at_checked(self.rng.usize(1..=most.max(1))).unwrap_or((bytes, &[]));
            bytes = rest;
            (!part.is_empty()).then_some(part)
        })
    }
}

/// Takes the first bytes of an input as a number; 0 where there are none.
pub fn take_u16(data: &mut &[u8]) -> u16 {
    u16::from(take_u8(data)) << 8 | u16::from(take_u8(data))
}

/// Takes the first byte of an input; 0 where there is none.
pub fn take_u8(data: &mut &[u8]) -> u8 {
    let Some((&first, rest)) = data.split_first() else { return 0 };
    *data = rest;
    first
}

/// Whether a name stands twice in one object of a JSON text: then a reader that fills maps takes another one than one that
/// takes the first.
pub fn has_twice(json: &[u8]) -> bool {
    struct Twice(bool);
    impl<'de> serde::de::Visitor<'de> for &mut Twice {
        type Value = ();
        fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("JSON")
        }
        fn visit_unit<E>(self) -> Result<(), E> {
            Ok(())
        }
        fn visit_bool<E>(self, _: bool) -> Result<(), E> {
            Ok(())
        }
        fn visit_i64<E>(self, _: i64) -> Result<(), E> {
            Ok(())
        }
        fn visit_u64<E>(self, _: u64) -> Result<(), E> {
            Ok(())
        }
        fn visit_f64<E>(self, _: f64) -> Result<(), E> {
            Ok(())
        }
        fn visit_str<E>(self, _: &str) -> Result<(), E> {
            Ok(())
        }
        fn visit_seq<A: serde::de::SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
            while seq.next_element_seed(&mut *self)?.is_some() {}
            Ok(())
        }
        fn visit_map<A: serde::de::MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
            let mut names = std::collections::BTreeSet::new();
            while let Some(name) = map.next_key::<String>()? {
                self.0 |= !names.insert(name);
                map.next_value_seed(&mut *self)?;
            }
            Ok(())
        }
    }
    impl<'de> serde::de::DeserializeSeed<'de> for &mut Twice {
        type Value = ();
        fn deserialize<D: serde::Deserializer<'de>>(self, from: D) -> Result<(), D::Error> {
            from.deserialize_any(self)
        }
    }
    let mut twice = Twice(false);
    let mut reader = serde_json::Deserializer::from_slice(json);
    let _garbage = serde::de::DeserializeSeed::deserialize(&mut twice, &mut reader);
    twice.0
}

/// Whether a text is JSON, whatever it holds. A `serde_json::Value` takes less: no number beyond a float, no half of a
/// surrogate pair, no nesting beyond 128.
pub fn is_json(text: &[u8]) -> bool {
    serde_json::from_slice::<serde::de::IgnoredAny>(text).is_ok()
}
