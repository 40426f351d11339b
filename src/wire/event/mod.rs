//! Events of the stream, parsed without copying.
//!
//! In: the bytes of one frame, in any of the three wires, told apart by content alone:
//!
//! ```text
//! v2            {"$type":"message","payload":{"$type":"network.bsky.jetstream.subscribeEvents#commit",…,"seq":N,"time":T}}
//! v1            {"did":D,"time_us":N,"kind":"commit","commit":{…}}
//! v1, v2 host   {"did":D,"time_us":N,"cursor":SEQ,"kind":"commit","commit":{…}}
//! ```
//!
//! Out: a [`Frame`] whose text borrows from those bytes, or the [`Reason`] why not. Keys may come in any order, with any
//! whitespace; of a key that stands twice the first one counts; fields that are not needed may hold anything.
//!
//! What always holds: DIDs, record keys and revs in an [`Event`] have passed their syntax; a create or an update has a
//! record, a delete has none.
#![forbid(unsafe_code)]

mod loose;
mod plain;
#[cfg(test)]
mod tests;

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::syntax::{Dialect, Did, RecordKey, Tid, Time, parse_datetime};
use crate::telemetry::Reason;
use loose::{Nested, Raw, Scalar, object};

/// One message of the stream.
#[derive(Debug)]
pub struct Frame<'a> {
    /// Where in the stream it stands.
    pub position: Position,
    /// In which form it was written.
    pub dialect: Dialect,
    /// What it tells.
    pub event: Event<'a>,
}

/// A place in one host's stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Position {
    /// Stream time: v1 `time_us`, v2 `time`. [`Time::EPOCH`] for an info or error frame, which may lack one.
    pub time: Time,
    /// What the dialect takes as `cursor`: v1 `time_us` in microseconds (on a v2 host too), v2 `seq`. `None` for an info
    /// or error frame, which stands nowhere.
    pub value: Option<u64>,
}

impl Position {
    const NOWHERE: Self = Self { time: Time::EPOCH, value: None };
}

/// What a frame tells.
#[derive(Debug)]
pub enum Event<'a> {
    /// A record was created, updated or deleted.
    Commit(Commit<'a>),
    /// An account's handle or keys may have changed.
    Identity {
        /// Whose.
        did: Cow<'a, str>,
    },
    /// An account's status.
    Account {
        /// Whose.
        did: Cow<'a, str>,
        /// Whether its records are to be shown.
        active: bool,
        /// `takendown`, `suspended`, `deleted`, `deactivated`, … or what comes later.
        status: Option<Cow<'a, str>>,
        /// The inner time, by which states of one account are ordered.
        time: Time,
    },
    /// A repository was reset; what is known of it is suspect.
    Sync {
        /// Whose.
        did: Cow<'a, str>,
    },
    /// The host remarks on something.
    Info {
        /// Such as `OutdatedCursor`.
        name: Cow<'a, str>,
        /// In words.
        message: Option<Cow<'a, str>>,
    },
    /// The host is about to close the connection.
    Error {
        /// Such as `ConsumerTooSlow`.
        error: Cow<'a, str>,
        /// In words.
        message: Option<Cow<'a, str>>,
    },
}

impl Event<'_> {
    /// The name by which events are counted.
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Commit(_) => "commit",
            Self::Identity { .. } => "identity",
            Self::Account { .. } => "account",
            Self::Sync { .. } => "sync",
            Self::Info { .. } => "info",
            Self::Error { .. } => "error",
        }
    }
}

/// One record created, updated or deleted.
#[derive(Debug)]
pub struct Commit<'a> {
    /// The repository.
    pub did: Cow<'a, str>,
    /// The commit's revision.
    pub rev: Tid,
    /// What was done.
    pub operation: Operation,
    /// The collection, as it is written: it is only ever compared with known names.
    pub collection: Cow<'a, str>,
    /// The record key.
    pub rkey: Cow<'a, str>,
    /// The content id, unchecked. A delete has none.
    pub cid: Option<Cow<'a, str>>,
    /// The record as it is written: any JSON value but `null`. `None` exactly on a delete.
    pub record: Option<&'a RawValue>,
}

/// What a commit did to a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Operation {
    /// It was not there before.
    Create,
    /// It was there before.
    Update,
    /// It is gone.
    Delete,
}

impl Operation {
    /// The word of the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::Update => "update",
            Self::Delete => "delete",
        }
    }

    fn parse(text: &str) -> Result<Self, Reason> {
        [Self::Create, Self::Update, Self::Delete]
            .into_iter()
            .find(|operation| operation.as_str() == text)
            .ok_or(Reason::UnknownOperation)
    }
}

/// Parses one frame.
///
/// # Errors
/// [`Reason::Garbage`] for what is no JSON object, [`Reason::UnknownKind`] and [`Reason::UnknownOperation`] for words of a
/// later time, [`Reason::BadDid`], [`Reason::BadRecordKey`] and [`Reason::BadRev`] for broken syntax, and
/// [`Reason::Malformed`] where a field is missing or of the wrong type.
pub fn parse(frame: &[u8]) -> Result<Frame<'_>, Reason> {
    plain::deleted_post(frame).map_or_else(|| parse_any(frame), Ok)
}

/// [`parse`] without the shortcut for what is frequent and simple: the reference.
///
/// # Errors
/// The same.
pub fn parse_any(frame: &[u8]) -> Result<Frame<'_>, Reason> {
    Envelope::read(frame)?.open()
}

/// Where in the stream a frame stands: also of a kind, or with a content, that [`parse`] refuses. `None` for info and
/// error frames, and for garbage. It reads the whole frame: meant for one frame in
/// [`TOKEN_FRAMES`](crate::limits::TOKEN_FRAMES).
pub fn position(frame: &[u8]) -> Option<Position> {
    let envelope = Envelope::read(frame).ok()?;
    match (envelope.form.as_text(), &envelope.payload.0) {
        (Some(_), Some(payload)) => payload.position().ok(),
        (Some(_), None) => None,
        (None, _) => envelope.position().ok(),
    }
}

/// The method whose name, with `#` and the kind, is the `$type` of a v2 payload.
const METHOD: &str = "network.bsky.jetstream.subscribeEvents";

object! {
    /// The outermost object of every wire.
    Envelope {
        form: Scalar<'a> = "$type",
        payload: Nested<Payload<'a>> = "payload",
        error: Scalar<'a> = "error",
        message: Scalar<'a> = "message",
        did: Scalar<'a> = "did",
        time_us: Scalar<'a> = "time_us",
        kind: Scalar<'a> = "kind",
        commit: Nested<CommitFields<'a>> = "commit",
        account: Nested<AccountFields<'a>> = "account",
    }
}

object! {
    /// The payload of v2: what v1 nests under `commit` lies flat in it.
    Payload {
        kind: Scalar<'a> = "$type",
        did: Scalar<'a> = "did",
        seq: Scalar<'a> = "seq",
        time: Scalar<'a> = "time",
        rev: Scalar<'a> = "rev",
        operation: Scalar<'a> = "operation",
        collection: Scalar<'a> = "collection",
        rkey: Scalar<'a> = "rkey",
        cid: Scalar<'a> = "cid",
        record: Raw<'a> = "record",
        account: Nested<AccountFields<'a>> = "account",
        name: Scalar<'a> = "name",
        message: Scalar<'a> = "message",
    }
}

object! {
    /// v1's `commit`.
    CommitFields {
        rev: Scalar<'a> = "rev",
        operation: Scalar<'a> = "operation",
        collection: Scalar<'a> = "collection",
        rkey: Scalar<'a> = "rkey",
        cid: Scalar<'a> = "cid",
        record: Raw<'a> = "record",
    }
}

object! {
    /// The upstream object of an account event, the same in every wire.
    AccountFields {
        active: Scalar<'a> = "active",
        status: Scalar<'a> = "status",
        time: Scalar<'a> = "time",
    }
}

impl<'a> Envelope<'a> {
    fn read(frame: &'a [u8]) -> Result<Self, Reason> {
        let mut json = serde_json::Deserializer::from_slice(frame);
        let envelope = Nested::<Self>::deserialize(&mut json).map_err(|_| Reason::Garbage)?;
        json.end().map_err(|_| Reason::Garbage)?;
        envelope.0.ok_or(Reason::Garbage)
    }

    fn open(self) -> Result<Frame<'a>, Reason> {
        match &self.form {
            Scalar::Absent => self.open_v1(),
            Scalar::Text(form) if form == "message" => self.payload.0.ok_or(Reason::Malformed)?.open(),
            Scalar::Text(form) if form == "error" => Ok(Frame {
                position: Position::NOWHERE,
                dialect: Dialect::V2,
                event: Event::Error { error: self.error.text()?, message: self.message.text_if_any()? },
            }),
            Scalar::Text(_) => Err(Reason::UnknownKind),
            _ => Err(Reason::Malformed),
        }
    }

    fn open_v1(self) -> Result<Frame<'a>, Reason> {
        let position = self.position();
        let event = match self.kind.as_text().ok_or(Reason::Malformed)? {
            "commit" => Event::Commit(self.commit.0.ok_or(Reason::Malformed)?.check(self.did)?),
            "account" => self.account.0.ok_or(Reason::Malformed)?.check(self.did)?,
            "identity" => Event::Identity { did: check_did(self.did)? },
            "sync" => Event::Sync { did: check_did(self.did)? },
            _ => return Err(Reason::UnknownKind),
        };
        Ok(Frame { position: position?, dialect: Dialect::V1, event })
    }

    fn position(&self) -> Result<Position, Reason> {
        let micros = self.time_us.natural()?;
        let time = Time::from_micros(i64::try_from(micros).map_err(|_| Reason::Malformed)?);
        Ok(Position { time, value: Some(micros) })
    }
}

impl<'a> Payload<'a> {
    fn open(self) -> Result<Frame<'a>, Reason> {
        let position = self.position();
        let kind = self.kind.text()?;
        let (position, event) = match kind.strip_prefix(METHOD).unwrap_or(&kind) {
            "#commit" => {
                let Self { did, rev, operation, collection, rkey, cid, record, .. } = self;
                let fields = CommitFields { rev, operation, collection, rkey, cid, record };
                (position?, Event::Commit(fields.check(did)?))
            }
            "#account" => (position?, self.account.0.ok_or(Reason::Malformed)?.check(self.did)?),
            "#identity" => (position?, Event::Identity { did: check_did(self.did)? }),
            "#sync" => (position?, Event::Sync { did: check_did(self.did)? }),
            "#info" => {
                let event = Event::Info { name: self.name.text()?, message: self.message.text_if_any()? };
                (position.unwrap_or(Position::NOWHERE), event)
            }
            _ => return Err(Reason::UnknownKind),
        };
        Ok(Frame { position, dialect: Dialect::V2, event })
    }

    fn position(&self) -> Result<Position, Reason> {
        Ok(Position { time: check_time(&self.time)?, value: Some(self.seq.natural()?) })
    }
}

impl<'a> CommitFields<'a> {
    fn check(self, did: Scalar<'a>) -> Result<Commit<'a>, Reason> {
        let did = check_did(did)?;
        let operation = Operation::parse(&self.operation.text()?)?;
        let collection = self.collection.text()?;
        let rkey = self.rkey.text()?;
        RecordKey::check(&rkey).map_err(|_| Reason::BadRecordKey)?;
        let rev = Tid::parse(&self.rev.text()?).map_err(|_| Reason::BadRev)?;
        let (cid, record) = match operation {
            Operation::Create | Operation::Update => {
                (self.cid.text_if_any()?, Some(self.record.0.ok_or(Reason::Malformed)?))
            }
            Operation::Delete => (None, None),
        };
        Ok(Commit { did, rev, operation, collection, rkey, cid, record })
    }
}

impl<'a> AccountFields<'a> {
    fn check(self, did: Scalar<'a>) -> Result<Event<'a>, Reason> {
        Ok(Event::Account {
            did: check_did(did)?,
            active: self.active.truth()?,
            status: self.status.text_if_any()?,
            time: check_time(&self.time)?,
        })
    }
}

fn check_did<'a>(did: Scalar<'a>) -> Result<Cow<'a, str>, Reason> {
    let did = did.text()?;
    Did::check(&did).map_err(|_| Reason::BadDid)?;
    Ok(did)
}

fn check_time(time: &Scalar<'_>) -> Result<Time, Reason> {
    parse_datetime(time.as_text().ok_or(Reason::Malformed)?).map_err(|_| Reason::Malformed)
}
