//! What a commit did to a post that nobody knew.

use serde::{Deserialize, Serialize};

use super::{Tid, Time};

/// A delete, or an update without a hashtag, of a post that was not let pass before it: its create may come late.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Orphan {
    /// The rev of the commit that told it.
    pub rev: Tid,
    /// What it told.
    pub kind: OrphanKind,
    /// Stream time: the least over all deliveries.
    pub witnessed: Time,
}

/// Of one rev, the greater counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OrphanKind {
    /// It was edited, and the new version has no tag.
    Updated,
    /// It was deleted.
    Deleted,
}
