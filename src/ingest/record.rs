//! From a commit on the wire to a fact: the record in it is read, judged and typed.
//!
//! ```text
//! post           text, facets, tags, createdAt (borrowed) ──────────────────────► Post      never refused
//! net.atrarium.* the lexicon's fields ──normalise──► validate ──► type ──► Config … Action   or a Refusal
//! ```
//!
//! In: a collection and the record's JSON as it stands in the frame. Out: a [`Body`], or a [`Refusal`] that is counted by
//! its reason and dropped. Other people write these records, so nothing in them may stop the stream: no panic, no
//! unbounded recursion, no work beyond the record's own length.
//!
//! What is read is read leniently where it does no harm. A field that nobody here needs is skipped without being
//! parsed, whatever it holds. Of a field that stands twice the last one counts, as in every other JSON parser.
#![forbid(unsafe_code)]

mod json;
mod normalise;
mod post;
#[cfg(test)]
mod tests;
mod typed;

use serde_json::value::RawValue;
use serde_json::{Map, Value};

use crate::fact::{self, Body, Collection, Fact, Host, Rev};
use crate::filter::Tags;
use crate::lexicon::{Lexicons, Record, Violation};
use crate::syntax::{Cid, Did, RecordKey, Time};
use crate::telemetry::Reason;
use crate::wire::event::{Commit, Operation};

/// Reads records. One for each worker: it keeps room to work in.
#[derive(Debug)]
pub struct Records {
    tags: Tags,
    lexicons: &'static Lexicons,
    /// Hashtags of the post at hand.
    found: Vec<u32>,
}

/// A record that is not taken, and so leaves the version before it in force.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{detail}")]
pub struct Refusal {
    /// What it is counted as.
    pub reason: Reason,
    /// Where and what is wrong, for people. Short, whatever the record holds.
    pub detail: String,
}

impl Refusal {
    fn new(reason: Reason, detail: impl Into<String>) -> Self {
        Self { reason, detail: detail.into() }
    }
}

impl From<Reason> for Refusal {
    fn from(reason: Reason) -> Self {
        Self::new(reason, reason.as_str())
    }
}

impl From<Violation> for Refusal {
    fn from(violation: Violation) -> Self {
        Self::new(Reason::Lexicon, violation.to_string())
    }
}

impl Default for Records {
    fn default() -> Self {
        Self::new()
    }
}

impl Records {
    /// A reader of records.
    pub fn new() -> Self {
        Self { tags: Tags::new(), lexicons: Lexicons::atrarium(), found: Vec::new() }
    }

    /// The fact that a commit tells; `None` where nobody here reads its collection.
    ///
    /// A post without a hashtag is a fact too: only the caller knows whether it takes a hashtag away from a post that was
    /// seen before, or never had one. `witnessed` is the frame's stream time.
    ///
    /// # Errors
    /// Those of [`Records::body`], and [`Reason::BadDid`], [`Reason::BadRecordKey`] and [`Reason::Malformed`] for a commit
    /// that did not come from [`parse`](crate::wire::event::parse).
    pub fn fact(&mut self, commit: &Commit<'_>, witnessed: Time, host: &Host) -> Result<Option<Fact>, Refusal> {
        let Some(collection) = Collection::from_nsid(&commit.collection) else { return Ok(None) };
        let body = match (commit.operation, commit.record) {
            (Operation::Delete, _) => Body::Deleted(collection),
            (Operation::Create | Operation::Update, Some(record)) => self.body(collection, record)?,
            (Operation::Create | Operation::Update, None) => {
                return Err(Refusal::new(Reason::Malformed, "the record is missing"));
            }
        };
        Ok(Some(Fact::Record(fact::Record {
            witnessed,
            host: host.clone(),
            did: Did::parse(&commit.did).map_err(|error| Refusal::new(Reason::BadDid, error.to_string()))?,
            rkey: RecordKey::parse(&commit.rkey)
                .map_err(|error| Refusal::new(Reason::BadRecordKey, error.to_string()))?,
            rev: Rev::Exact(commit.rev),
            // It only breaks a tie between two contents of one rev, so a host that garbles it costs nobody a post.
            cid: commit.cid.as_deref().and_then(|cid| Cid::parse(cid).ok()),
            body,
        })))
    }

    /// Reads the record of a create or an update.
    ///
    /// # Errors
    /// [`Reason::Normalise`], [`Reason::Lexicon`] or [`Reason::Target`], in the order in which they are met. A post is
    /// never refused: what is malformed in it counts as absent.
    pub fn body(&mut self, collection: Collection, record: &RawValue) -> Result<Body, Refusal> {
        // Posts are not held against a lexicon, so the catalog has none for them.
        let Some(rule) = self.lexicons.record(collection.nsid()) else {
            return Ok(Body::Post(post::read(record, &self.tags, &mut self.found)));
        };
        let mut fields = read(record, rule)?;
        let feed_mix = normalise::normalise(collection, &mut fields)?;
        let value = Value::Object(fields);
        rule.validate(&value)?;
        typed::body(collection, value, feed_mix)
    }
}

/// Parses the fields that the lexicon names.
fn read(record: &RawValue, rule: Record<'_>) -> Result<Map<String, Value>, Refusal> {
    let mut unread: Vec<(&str, &RawValue)> = Vec::new();
    let is_object = json::fields(record, |key, value| {
        let Some(name) = rule.named(key) else { return };
        match unread.iter_mut().find(|(known, _)| *known == name) {
            Some(known) => known.1 = value,
            None => unread.push((name, value)),
        }
    });
    if !is_object {
        return Err(Refusal::new(Reason::Lexicon, "the record: is not an object"));
    }
    let parse = |(name, value): (&str, &RawValue)| match serde_json::from_str(value.get()) {
        Ok(value) => Ok((name.to_owned(), value)),
        Err(error) => Err(Refusal::new(Reason::Lexicon, format!("{name}: cannot be read: {error}"))),
    };
    unread.into_iter().map(parse).collect()
}
