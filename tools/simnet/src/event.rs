//! One event of the network, and how each dialect writes it.
//!
//! In: an [`Event`]. Out: a line of v1 or v2. Both say the same; the keys stand in each dialect's own order.

use std::borrow::Cow;
use std::sync::Arc;

use atrarium::syntax::{Tid, Time};

use crate::json::{Json, Line};

/// The two forms of Jetstream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Dialect {
    /// `/subscribe`
    V1,
    /// `/xrpc/network.bsky.jetstream.subscribeEvents`
    V2,
}

/// A record key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Key {
    /// A TID that moves with each round of `--repeat`: a new record in each.
    Moving(Tid),
    /// The same in each round.
    Fixed(Arc<str>),
}

/// Something that happened, at its place in the stream.
#[derive(Clone, Debug)]
pub struct Event {
    /// Its sequence number.
    pub seq: u64,
    /// Stream time.
    pub time: Time,
    /// The repository.
    pub did: Arc<str>,
    /// What happened.
    pub kind: Kind,
    /// What it is an example of, for `simnet stats`.
    pub features: Vec<&'static str>,
}

/// What happened.
#[derive(Clone, Debug)]
pub enum Kind {
    /// An operation on a record.
    Commit {
        /// The commit's revision.
        rev: Tid,
        /// What was done.
        operation: Operation,
        /// The collection.
        collection: Cow<'static, str>,
        /// The record key.
        rkey: Key,
        /// The record and its content id, where there is one.
        record: Option<(Json, Box<str>)>,
    },
    /// `identity`, `account`, `sync`: an object under that name.
    Named(&'static str, Json),
    /// A line of a file that could not be understood: it is served as it stands.
    Verbatim(Box<str>),
}

/// What a commit does to a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    /// A record that was not there.
    Create,
    /// A record that was.
    Update,
    /// Its end.
    Delete,
}

impl Operation {
    /// The word on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::Update => "update",
            Self::Delete => "delete",
        }
    }
}

impl Event {
    /// `commit`, `identity`, `account`, `sync`; empty where a file's line was not understood.
    pub fn kind_name(&self) -> &'static str {
        match &self.kind {
            Kind::Commit { .. } => "commit",
            Kind::Named(name, _) => name,
            Kind::Verbatim(_) => "",
        }
    }

    /// The collection of a commit; empty for everything else.
    pub fn collection(&self) -> &str {
        match &self.kind {
            Kind::Commit { collection, .. } => collection,
            _ => "",
        }
    }

    /// Appends the event as a line of v1. `cursor` is what v2 hosts add to v1: the sequence number.
    pub fn write_v1(&self, cursor: bool, line: &mut Line) {
        if let Kind::Verbatim(text) = &self.kind {
            return line.raw(text);
        }
        line.raw("{");
        line.field("did", |line| line.string(&self.did));
        line.field("time_us", |line| line.micros(self.time));
        if cursor {
            line.field("cursor", |line| line.seq(self.seq));
        }
        line.field("kind", |line| line.string(self.kind_name()));
        line.field(self.kind_name(), |line| match &self.kind {
            Kind::Commit { rev, operation, collection, rkey, record } => {
                line.raw("{");
                line.field("rev", |line| quoted(line, |line| line.tid(*rev)));
                line.field("operation", |line| line.string(operation.as_str()));
                line.field("collection", |line| line.string(collection));
                line.field("rkey", |line| quoted(line, |line| line.record_key(rkey)));
                if let Some((record, cid)) = record {
                    line.field("record", |line| line.json(record));
                    if !cid.is_empty() {
                        line.field("cid", |line| line.string(cid));
                    }
                }
                line.raw("}");
            }
            Kind::Named(_, value) => line.json(value),
            Kind::Verbatim(_) => {}
        });
        line.raw("}");
    }

    /// Appends the event as a line of v2.
    pub fn write_v2(&self, line: &mut Line) {
        if let Kind::Verbatim(text) = &self.kind {
            return line.raw(text);
        }
        line.raw("{\"$type\":\"message\",\"payload\":{\"$type\":\"network.bsky.jetstream.subscribeEvents#");
        line.raw(self.kind_name());
        line.raw("\"");
        match &self.kind {
            Kind::Commit { rev, operation, collection, rkey, record } => {
                if let Some((_, cid)) = record
                    && !cid.is_empty()
                {
                    line.field("cid", |line| line.string(cid));
                }
                line.field("collection", |line| line.string(collection));
                line.field("did", |line| line.string(&self.did));
                line.field("operation", |line| line.string(operation.as_str()));
                if let Some((record, _)) = record {
                    line.field("record", |line| line.json(record));
                }
                line.field("rev", |line| quoted(line, |line| line.tid(*rev)));
                line.field("rkey", |line| quoted(line, |line| line.record_key(rkey)));
                line.field("seq", |line| line.seq(self.seq));
            }
            Kind::Named(name, value) => {
                // In the order of the alphabet: `account`, `did`, `identity`, `seq`, `sync`, `time`.
                let before_did = *name < "did";
                let before_seq = *name < "seq" && !before_did;
                let inner = |line: &mut Line| line.field(name, |line| line.json(value));
                if before_did {
                    inner(line);
                }
                line.field("did", |line| line.string(&self.did));
                if before_seq {
                    inner(line);
                }
                line.field("seq", |line| line.seq(self.seq));
                if !before_did && !before_seq {
                    inner(line);
                }
            }
            Kind::Verbatim(_) => {}
        }
        line.field("time", |line| line.microsecond(self.time));
        line.raw("}}");
    }
}

fn quoted(line: &mut Line, inner: impl FnOnce(&mut Line)) {
    line.raw("\"");
    inner(line);
    line.raw("\"");
}
