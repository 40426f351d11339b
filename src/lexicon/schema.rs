//! Lexicon documents as typed definitions.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;
use serde_json::Value;

use super::LexiconError;
use crate::syntax::{
    AtIdentifier, AtUri, Cid, Did, Handle, Language, Nsid, RecordKey, SyntaxError, Tid, Uri, parse_datetime,
};

/// A named definition of a document.
#[derive(Debug)]
pub(super) enum Definition {
    /// The records of a collection.
    Record(Object),
    /// Data that others may refer to.
    Data(Rule),
    /// A name that stands for itself: its value is its own full name.
    Token,
    /// A query, procedure, subscription or permission set: no data is ever valid against it.
    NoData,
}

/// What a value must be.
#[derive(Debug, Deserialize)]
#[serde(tag = "type", rename_all = "kebab-case")]
pub(super) enum Rule {
    Boolean(Boolean),
    Integer(Integer),
    String(Text),
    Bytes(Bytes),
    CidLink,
    Blob(Blob),
    Array(Array),
    Object(Object),
    Ref(Ref),
    Union(Union),
    Unknown,
}

#[derive(Debug, Deserialize)]
pub(super) struct Boolean {
    pub(super) r#const: Option<bool>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Integer {
    pub(super) minimum: Option<i64>,
    pub(super) maximum: Option<i64>,
    pub(super) r#enum: Option<Vec<i64>>,
    pub(super) r#const: Option<i64>,
}

/// Lengths are in bytes of UTF-8. `knownValues` suggests and does not judge, so it is not read.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Text {
    pub(super) format: Option<Format>,
    pub(super) min_length: Option<usize>,
    pub(super) max_length: Option<usize>,
    pub(super) min_graphemes: Option<usize>,
    pub(super) max_graphemes: Option<usize>,
    pub(super) r#enum: Option<Vec<Box<str>>>,
    pub(super) r#const: Option<Box<str>>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Bytes {
    pub(super) min_length: Option<usize>,
    pub(super) max_length: Option<usize>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Blob {
    /// MIME types; `*` stands for all, and `image/*` for all of a kind.
    pub(super) accept: Option<Vec<Box<str>>>,
    pub(super) max_size: Option<i64>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Array {
    pub(super) items: Box<Rule>,
    pub(super) min_length: Option<usize>,
    pub(super) max_length: Option<usize>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Object {
    pub(super) properties: BTreeMap<Box<str>, Rule>,
    #[serde(default)]
    pub(super) required: Vec<Box<str>>,
    #[serde(default)]
    pub(super) nullable: BTreeSet<Box<str>>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Ref {
    /// A full name, once the document is read.
    pub(super) r#ref: Box<str>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Union {
    /// Full names, once the document is read.
    pub(super) refs: Vec<Box<str>>,
    #[serde(default)]
    pub(super) closed: bool,
}

/// The formats of strings. One that is not listed makes the document unreadable: it could not be judged.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Format {
    AtIdentifier,
    AtUri,
    Cid,
    Datetime,
    Did,
    Handle,
    Language,
    Nsid,
    RecordKey,
    Tid,
    Uri,
}

impl Format {
    pub(super) fn check(self, text: &str) -> Result<(), SyntaxError> {
        match self {
            Self::AtIdentifier => AtIdentifier::check(text),
            Self::AtUri => AtUri::check(text),
            Self::Cid => Cid::check(text),
            Self::Datetime => parse_datetime(text).map(drop),
            Self::Did => Did::check(text),
            Self::Handle => Handle::check(text),
            Self::Language => Language::check(text),
            Self::Nsid => Nsid::check(text),
            Self::RecordKey => RecordKey::check(text),
            Self::Tid => Tid::parse(text).map(drop),
            Self::Uri => Uri::check(text),
        }
    }
}

/// A document before its definitions are read.
#[derive(Deserialize)]
struct Document {
    lexicon: u32,
    id: String,
    defs: BTreeMap<String, Value>,
}

/// Reads a document: its definitions by their full names.
pub(super) fn parse(document: &str) -> Result<Vec<(Box<str>, Definition)>, LexiconError> {
    let Document { lexicon, id, defs } = serde_json::from_str(document).map_err(LexiconError::Document)?;
    if lexicon != 1 {
        return Err(LexiconError::Version { id, version: lexicon });
    }
    if let Err(why) = Nsid::check(&id) {
        return Err(LexiconError::Id { id, why });
    }
    let mut definitions = Vec::with_capacity(defs.len());
    for (name, value) in defs {
        let full = format!("{id}#{name}");
        match definition(&id, &name, value) {
            Ok(definition) => definitions.push((full.into(), definition)),
            Err(why) => return Err(LexiconError::Definition { name: full, why }),
        }
    }
    Ok(definitions)
}

/// The full name of what `reference` names in the document `id`: `#x`, `com.example.thing#x`, or `com.example.thing`,
/// which means its `main`.
pub(super) fn full_name(id: &str, reference: &str) -> Box<str> {
    match reference.split_once('#') {
        Some(("", name)) => format!("{id}#{name}").into(),
        Some(_) => reference.into(),
        None => format!("{reference}#main").into(),
    }
}

fn definition(id: &str, name: &str, value: Value) -> Result<Definition, String> {
    let kind = value.get("type").and_then(Value::as_str).ok_or("has no type")?;
    let primary = matches!(kind, "record" | "query" | "procedure" | "subscription" | "permission-set");
    if primary && name != "main" {
        return Err(format!("a {kind:?} can only be \"main\""));
    }
    match kind {
        "record" => record(id, value),
        "token" => Ok(Definition::Token),
        "ref" | "union" | "unknown" => Err(format!("a {kind:?} cannot stand alone")),
        _ if primary => Ok(Definition::NoData),
        _ => rule(id, value).map(Definition::Data),
    }
}

fn record(id: &str, value: Value) -> Result<Definition, String> {
    let parts = value.get("key").and_then(Value::as_str).zip(value.get("record"));
    let (_key, of) = parts.ok_or("a record needs \"key\" and \"record\"")?;
    match rule(id, of.clone())? {
        Rule::Object(object) => Ok(Definition::Record(object)),
        _ => Err("a record is not of type object".into()),
    }
}

fn rule(id: &str, value: Value) -> Result<Rule, String> {
    let mut rule = serde_json::from_value(value).map_err(|error| error.to_string())?;
    resolve(id, &mut rule);
    Ok(rule)
}

/// Turns every reference below `rule` into a full name.
fn resolve(id: &str, rule: &mut Rule) {
    match rule {
        Rule::Array(array) => resolve(id, &mut array.items),
        Rule::Object(object) => object.properties.values_mut().for_each(|property| resolve(id, property)),
        Rule::Ref(reference) => reference.r#ref = full_name(id, &reference.r#ref),
        Rule::Union(union) => union.refs.iter_mut().for_each(|one| *one = full_name(id, one)),
        _ => {}
    }
}
