//! Records of the five collections, after validation against their lexicons.

use serde::{Deserialize, Serialize};

use super::{CommunityId, Host};
use crate::syntax::{AtUri, Cid, Did, RecordKey, RecordUri, Tid, Time};

/// One commit's word about one record.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// Stream time of the frame.
    pub witnessed: Time,
    /// Which host said it.
    pub host: Host,
    /// The repository.
    pub did: Did,
    /// The record key.
    pub rkey: RecordKey,
    /// The commit's revision.
    pub rev: Rev,
    /// The content id; absent on a delete.
    pub cid: Option<Cid>,
    /// What the record is now.
    pub body: Body,
}

/// When in its repository's order a version stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Rev {
    /// The commit's own rev.
    Exact(Tid),
    /// The record was listed, not streamed: its rev is at most this.
    AtMost(Tid),
}

impl Rev {
    /// The number by which versions are compared.
    pub const fn tid(self) -> Tid {
        match self {
            Self::Exact(tid) | Self::AtMost(tid) => tid,
        }
    }
}

/// The collections that are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Collection {
    /// `app.bsky.feed.post`
    Post,
    /// `net.atrarium.community.config`
    Config,
    /// `net.atrarium.community.membership`
    Membership,
    /// `net.atrarium.community.acceptance`
    Acceptance,
    /// `net.atrarium.moderation.action`
    Action,
}

impl Collection {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Post, Self::Config, Self::Membership, Self::Acceptance, Self::Action];

    /// The NSID.
    pub const fn nsid(self) -> &'static str {
        match self {
            Self::Post => "app.bsky.feed.post",
            Self::Config => "net.atrarium.community.config",
            Self::Membership => "net.atrarium.community.membership",
            Self::Acceptance => "net.atrarium.community.acceptance",
            Self::Action => "net.atrarium.moderation.action",
        }
    }

    /// The collection of an NSID; `None` for one that is not read.
    pub fn from_nsid(nsid: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|collection| collection.nsid() == nsid)
    }
}

/// What a record is after a commit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Body {
    /// A post.
    Post(Post),
    /// A community's config.
    Config(Box<Config>),
    /// A membership.
    Membership(Membership),
    /// An acceptance.
    Acceptance(Acceptance),
    /// A moderation action.
    Action(Action),
    /// Deleted.
    Deleted(Collection),
}

impl Body {
    /// Of which collection the record is.
    pub const fn collection(&self) -> Collection {
        match self {
            Self::Post(_) => Collection::Post,
            Self::Config(_) => Collection::Config,
            Self::Membership(_) => Collection::Membership,
            Self::Acceptance(_) => Collection::Acceptance,
            Self::Action(_) => Collection::Action,
            Self::Deleted(collection) => *collection,
        }
    }

    /// The name used in metrics and dumps.
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Post(_) => "post",
            Self::Config(_) => "config",
            Self::Membership(_) => "membership",
            Self::Acceptance(_) => "acceptance",
            Self::Action(_) => "action",
            Self::Deleted(_) => "delete",
        }
    }
}

/// Of a post nothing is kept but what decides where and when it is shown.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Post {
    /// The communities whose hashtag it carries: sorted, each once. Empty where an edit took the last one away.
    pub tags: Vec<CommunityId>,
    /// `createdAt`, where it is valid.
    pub created: Option<Time>,
}

/// `net.atrarium.community.config`
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Config {
    /// At most 100 graphemes.
    pub name: Box<str>,
    /// From `hashtag`, `#atrarium_` and 8 lower-case hex digits.
    pub id: CommunityId,
    /// Its place in the life of a community.
    pub stage: Stage,
    /// The shares of each page.
    pub feed_mix: FeedMix,
    /// Who may moderate beside the owner; at most 50.
    pub moderators: Vec<Did>,
    /// When its author says it was made.
    pub created: Time,
    /// At most 500 graphemes.
    pub description: Option<Box<str>>,
    /// The config of the parent community.
    pub parent: Option<AtUri>,
    /// Who is a member.
    pub access: AccessType,
    /// A post to be pinned.
    pub pinned_post: Option<AtUri>,
    /// When its author says it was changed.
    pub updated: Option<Time>,
}

/// A community's stage.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Stage {
    /// A theme within a graduated community.
    Theme,
    /// A community.
    Community,
    /// A community that themes may have for a parent.
    Graduated,
}

impl Stage {
    /// The word of the lexicon.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Theme => "theme",
            Self::Community => "community",
            Self::Graduated => "graduated",
        }
    }
}

/// Who is a member of a community.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum AccessType {
    /// Whoever has a membership record.
    Open,
    /// Whoever has one and has been accepted.
    InviteOnly,
}

/// The shares of a page, in basis points: they sum to 10,000.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct FeedMix {
    /// The community itself.
    pub own: u16,
    /// Its parent.
    pub parent: u16,
    /// All communities of this engine.
    pub global: u16,
}

/// `net.atrarium.community.membership`. The `role` is the member's own claim and is not kept: it gives no authority.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Membership {
    /// The config's URI.
    pub community: RecordUri,
    /// Absent counts as true.
    pub active: bool,
    /// When its author says they joined.
    pub joined: Time,
}

/// `net.atrarium.community.acceptance`
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Acceptance {
    /// The config's URI.
    pub community: RecordUri,
    /// Who is accepted.
    pub subject: Did,
    /// When its author says it was made.
    pub created: Time,
}

/// `net.atrarium.moderation.action`
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Action {
    /// What is done.
    pub verb: Verb,
    /// To what.
    pub target: Target,
    /// In which community: the config's URI.
    pub community: RecordUri,
    /// When its author says it was made.
    pub created: Time,
    /// At most 500 graphemes; public.
    pub reason: Option<Box<str>>,
}

/// What a moderation action does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Verb {
    /// `hide_post`
    HidePost,
    /// `unhide_post`
    UnhidePost,
    /// `block_user`
    BlockUser,
    /// `unblock_user`
    UnblockUser,
}

impl Verb {
    /// The word of the lexicon.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::HidePost => "hide_post",
            Self::UnhidePost => "unhide_post",
            Self::BlockUser => "block_user",
            Self::UnblockUser => "unblock_user",
        }
    }
}

/// What a moderation action is about, after normalising its older forms.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Target {
    /// A record, normally a post.
    Record(RecordUri),
    /// An account.
    Account(Did),
}
