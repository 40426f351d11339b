//! Facts: what is kept of the stream, typed.
//!
//! In: a record that a worker has parsed and validated. Out: bytes in the log, and input of the fold.
//!
//! ```text
//! frame ──parse──► Fact ──batch──► log ──decode──► Fact ──fold──► Change ──► view
//! ```
//!
//! A fact says who, what and which `rev`, and carries all that any rule of DESIGN §3 may need: the stream's time
//! (witnessed), the host that said it, and the content id.
//!
//! Architecture Invariant: a fact holds nothing that is local to this process: no index, no arrival time, no pointer.
#![forbid(unsafe_code)]

mod batch;
mod change;
mod record;

pub use batch::{Batch, BatchError};
pub use change::{Change, CommunityId, CommunityInfo, Excluded, FilledPost, PostKey, ShortKey, Tags};
pub use record::{
    Acceptance, AccessType, Action, Body, Collection, Config, FeedMix, Membership, Post, Record, Rev, Stage, Target,
    Verb,
};

use serde::{Deserialize, Serialize};

pub use crate::syntax::Dialect;
use crate::syntax::{Did, Fingerprint, Orphan, Time};

/// One thing that the stream has told.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Fact {
    /// One record put or deleted.
    Record(Record),
    /// One account's status.
    Account(Account),
    /// How far the stream has been read: every fact before it is in this or an earlier batch.
    Cursor(Cursor),
    /// Now has reached this moment.
    Clock(Time),
    /// Something may be missing.
    Gap(Gap),
    /// Deletes and untagged updates of posts that nobody knew, for creates that come late.
    Orphans(Vec<(Fingerprint, Orphan)>),
}

/// The kinds of [`Fact`], for counting.
impl Fact {
    /// The name used in metrics and dumps.
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Record(record) => record.body.kind(),
            Self::Account(_) => "account",
            Self::Cursor(_) => "cursor",
            Self::Clock(_) => "clock",
            Self::Gap(_) => "gap",
            Self::Orphans(_) => "orphans",
        }
    }
}

/// A host of the stream by its name (`jetstream.us-east.bsky.network`, `127.0.0.1:6008`), or `file` for a replay.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Host(std::sync::Arc<str>);

impl Host {
    /// Names a host.
    pub fn new(name: &str) -> Self {
        Self(name.into())
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Serialize for Host {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Host {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let new = |name: &str| Ok::<_, std::convert::Infallible>(Self::new(name));
        crate::syntax::deserialize_text(deserializer, new)
    }
}

/// An account's status, as its host last said it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Account {
    /// Stream time.
    pub witnessed: Time,
    /// Which host said it.
    pub host: Host,
    /// The account.
    pub did: Did,
    /// Whether its records are to be shown. This is obeyed, not `status`.
    pub active: bool,
    /// `takendown`, `suspended`, `deleted`, `deactivated`, `desynchronized`, `throttled`, or what comes later.
    pub status: Option<Box<str>>,
    /// The inner `time`, by which states of one account are ordered.
    pub time: Time,
}

/// A position in one host's stream.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cursor {
    /// Whose stream.
    pub host: Host,
    /// In which dialect.
    pub dialect: Dialect,
    /// v1: `time_us` in microseconds. v2: the sequence number.
    pub value: u64,
    /// Stream time at that position: all that counts on another host.
    pub time: Time,
}

/// Something that the stream may have failed to tell.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Gap {
    /// Stream time when it was noticed.
    pub witnessed: Time,
    /// Whose stream.
    pub host: Host,
    /// The suspect repository; all of them where absent.
    pub did: Option<Did>,
    /// Why.
    pub reason: GapReason,
}

/// Why something may be missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum GapReason {
    /// The host no longer had the cursor that was asked for.
    CursorTooOld,
    /// The host silently began later than the cursor.
    CursorClamped,
    /// A `#sync` event: the repository was reset.
    Sync,
    /// The account came back from `desynchronized`. No fact of its own says it: the fold finds it.
    Desynchronized,
    /// The stream broke at the same position again and again, and was taken up behind it; or a v1 host ended it again and again
    /// before what is repeated after a reconnect had passed, and it was taken up without that.
    Unreadable,
    /// Batches of the log were damaged, and have been given up by salvage.
    Salvaged,
}

impl GapReason {
    /// All of them.
    pub const ALL: [Self; 6] =
        [Self::CursorTooOld, Self::CursorClamped, Self::Sync, Self::Desynchronized, Self::Unreadable, Self::Salvaged];

    /// The name used in `/status`, metrics and dumps.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::CursorTooOld => "cursor_too_old",
            Self::CursorClamped => "cursor_clamped",
            Self::Sync => "sync",
            Self::Desynchronized => "desynchronized",
            Self::Unreadable => "unreadable",
            Self::Salvaged => "salvaged",
        }
    }
}
