//! Validation of records against the lexicons of `lexicons/`.
//!
//! ```text
//! lexicons/**.json ──parse once──► Lexicons ──record("net.atrarium.…")──► Record ──validate(value)──► Ok | Violation
//! ```
//!
//! In: lexicon documents of version 1 (<https://atproto.com/specs/lexicon>) and JSON values. Out: nothing, or the first
//! [`Violation`] with its path and its rule. What a lexicon does not name is tolerated, whatever it holds. The form of
//! the record key is never judged.
//!
//! Of a document only what judges *data* is read: the definitions of queries, procedures, subscriptions and permission
//! sets are known by their type, and nothing is ever valid against them.
//!
//! The program's own lexicons are [`Lexicons::atrarium`]; that the code is general is what lets the protocol's interop
//! files judge it (`tests/interop_lexicon.rs`).
//!
//! Architecture Invariant: nothing in here knows what a community is.
#![forbid(unsafe_code)]

mod check;
pub mod data;
mod schema;

use std::collections::HashMap;
use std::fmt;
use std::sync::LazyLock;

use serde_json::Value;

use crate::syntax::SyntaxError;
use schema::{Definition, Object};

/// The text of one of the program's own lexicons.
macro_rules! source {
    ($path:literal) => {
        include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/lexicons/net/atrarium/", $path))
    };
}

/// The documents of `lexicons/`, as they were when the program was built.
const ATRARIUM: [&str; 4] = [
    source!("community/config.json"),
    source!("community/membership.json"),
    source!("community/acceptance.json"),
    source!("moderation/action.json"),
];

/// A catalog of lexicons.
#[derive(Debug)]
pub struct Lexicons {
    /// By full name: `com.example.thing#main`.
    definitions: HashMap<Box<str>, Definition>,
}

/// A document that is no lexicon.
#[derive(Debug, thiserror::Error)]
pub enum LexiconError {
    /// Not JSON, or without a field that every lexicon has.
    #[error("not a lexicon: {0}")]
    Document(#[source] serde_json::Error),
    /// Of a version that is not known.
    #[error("{id}: is a lexicon of version {version}, this program reads version 1")]
    Version {
        /// The document.
        id: String,
        /// Its version.
        version: u32,
    },
    /// Its id is no NSID.
    #[error("{id:?}: {why}")]
    Id {
        /// The document.
        id: String,
        /// Which rule its id breaks.
        #[source]
        why: SyntaxError,
    },
    /// A definition that is not well formed.
    #[error("{name}: {why}")]
    Definition {
        /// Its full name.
        name: String,
        /// What is wrong with it.
        why: String,
    },
    /// Two definitions of one name.
    #[error("{name}: is defined twice")]
    Twice {
        /// The full name.
        name: String,
    },
}

/// How a value breaks a lexicon: the first rule that was met.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// Where: `feedMix.own`, `moderators[3]`; empty for the record itself.
    pub path: String,
    /// What is wrong there: "is 101, more than the maximum 100". It never quotes the record, so it stays short.
    pub rule: String,
}

impl Violation {
    fn new(rule: impl Into<String>) -> Self {
        Self { path: String::new(), rule: rule.into() }
    }

    /// The same violation, seen from the object that holds `field`.
    fn in_field(mut self, field: &str) -> Self {
        let dot = if self.path.is_empty() || self.path.starts_with('[') { "" } else { "." };
        self.path = format!("{field}{dot}{}", self.path);
        self
    }

    /// The same violation, seen from the array that holds the element.
    fn in_element(self, index: usize) -> Self {
        self.in_field(&format!("[{index}]"))
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = if self.path.is_empty() { "the record" } else { &self.path };
        write!(f, "{path}: {}", self.rule)
    }
}

impl std::error::Error for Violation {}

impl Lexicons {
    /// The program's own four lexicons.
    ///
    /// # Panics
    /// Never: a test reads the same text.
    pub fn atrarium() -> &'static Self {
        static PARSED: LazyLock<Lexicons> = LazyLock::new(|| {
            Lexicons::parse(ATRARIUM).expect("invariant: the lexicons that are built in are well formed")
        });
        &PARSED
    }

    /// Reads a catalog from the text of its documents.
    ///
    /// # Errors
    /// The first document that is no lexicon. A reference to a definition outside the catalog is no error here; a value
    /// that meets it is refused.
    pub fn parse<'a>(documents: impl IntoIterator<Item = &'a str>) -> Result<Self, LexiconError> {
        let mut definitions = HashMap::new();
        for document in documents {
            for (name, definition) in schema::parse(document)? {
                if definitions.contains_key(&name) {
                    return Err(LexiconError::Twice { name: name.into() });
                }
                definitions.insert(name, definition);
            }
        }
        Ok(Self { definitions })
    }

    /// The definition of the records of a collection; `None` where the catalog has none.
    pub fn record(&self, nsid: &str) -> Option<Record<'_>> {
        let (name, definition) = self.definitions.get_key_value(format!("{nsid}#main").as_str())?;
        match definition {
            Definition::Record(object) => Some(Record { catalog: self, name, object }),
            _ => None,
        }
    }

    fn definition(&self, name: &str) -> Option<&Definition> {
        self.definitions.get(name)
    }
}

/// The definition of a collection's records.
#[derive(Clone, Copy, Debug)]
pub struct Record<'a> {
    catalog: &'a Lexicons,
    /// `NSID#main`
    name: &'a str,
    object: &'a Object,
}

impl<'a> Record<'a> {
    /// The field of a record that this key (UTF-8) spells, where the lexicon names it. One that it does not name need
    /// not even be read.
    pub fn named(&self, key: &[u8]) -> Option<&'a str> {
        if key == b"$type" {
            return Some("$type");
        }
        let (name, _) = self.object.properties.get_key_value(std::str::from_utf8(key).ok()?)?;
        Some(name)
    }

    /// Judges a record.
    ///
    /// # Errors
    /// The first rule that it breaks; `$type` must name the collection.
    pub fn validate(&self, record: &Value) -> Result<(), Violation> {
        let Some(map) = record.as_object() else { return Err(Violation::new("is not an object")) };
        match map.get("$type").and_then(Value::as_str) {
            Some(named) if self.name.strip_suffix("#main") == Some(named) => {}
            Some(_) => return Err(Violation::new("does not name this collection").in_field("$type")),
            None => return Err(Violation::new("is missing, or no string").in_field("$type")),
        }
        self.catalog.check_object(self.object, record)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_violation_names_the_path_and_the_rule() {
        let deep = Violation::new("is not an integer").in_element(3).in_field("c").in_field("b").in_element(0);
        assert_eq!(deep.in_field("a").to_string(), "a[0].b.c[3]: is not an integer");
        assert_eq!(Violation::new("is not an object").to_string(), "the record: is not an object");
    }

    #[test]
    fn the_first_broken_rule_is_told() {
        let membership = Lexicons::atrarium().record("net.atrarium.community.membership").expect("ours");
        let told = |record: Value| membership.validate(&record).map_err(|violation| violation.to_string());
        assert_eq!(told(json!([])), Err("the record: is not an object".into()));
        assert_eq!(told(json!({})), Err("$type: is missing, or no string".into()));
        assert_eq!(told(json!({"$type": "a.b.c"})), Err("$type: does not name this collection".into()));
        assert_eq!(told(json!({"$type": "net.atrarium.community.membership"})), Err("community: is missing".into()));
    }

    #[test]
    fn only_records_are_found() {
        assert!(Lexicons::atrarium().record("net.atrarium.community.config").is_some());
        assert!(Lexicons::atrarium().record("net.atrarium.community.config#feedMix").is_none());
        assert!(Lexicons::atrarium().record("app.bsky.feed.post").is_none());
    }

    #[test]
    fn documents_that_are_no_lexicon_are_refused() {
        let of = |text: &str| Lexicons::parse([text]).map(drop).map_err(|error| error.to_string());
        assert_eq!(
            of(r#"{"lexicon":2,"id":"a.b.c","defs":{}}"#),
            Err("a.b.c: is a lexicon of version 2, this program reads version 1".into())
        );
        assert!(of("{").is_err());
        assert!(of(r#"{"lexicon":1,"id":"a.b.c","defs":{"main":{"type":"odd"}}}"#).is_err());
        assert!(
            of(r#"{"lexicon":1,"id":"a.b.c","defs":{"x":{"type":"string","format":"odd"}}}"#).is_err(),
            "a format that cannot be judged must not be skipped"
        );
        let twice = r#"{"lexicon":1,"id":"a.b.c","defs":{"x":{"type":"integer"}}}"#;
        assert!(matches!(Lexicons::parse([twice, twice]), Err(LexiconError::Twice { .. })));
    }
}
