//! What the fold says to the view: the difference that a fact makes to what readers see.
//!
//! The fold decides, the view obeys. A change names things by their words (DID, record key), never by an index, so
//! neither side knows the other's tables.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::FeedMix;
use crate::syntax::{Did, RecordKey, RecordUri, SyntaxError, Tid, compare_repositories};

/// A community's id: the number behind the 8 hex digits of its hashtag, which are also the rkey of its feed.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct CommunityId(pub u32);

/// As the number where machines read, as 8 hex digits where people do.
impl Serialize for CommunityId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() { serializer.collect_str(self) } else { serializer.serialize_u32(self.0) }
    }
}

impl<'de> Deserialize<'de> for CommunityId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        if deserializer.is_human_readable() {
            let text = <std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
            return Self::parse(&text).map_err(serde::de::Error::custom);
        }
        u32::deserialize(deserializer).map(Self)
    }
}

impl CommunityId {
    /// Parses exactly 8 lower-case hex digits.
    ///
    /// # Errors
    /// Everything else.
    pub fn parse(text: &str) -> Result<Self, SyntaxError> {
        let lower_hex = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
        if text.len() != 8 || !text.bytes().all(lower_hex) {
            return Err(SyntaxError::new("community id", "is not 8 lower-case hex digits"));
        }
        u32::from_str_radix(text, 16)
            .map(Self)
            .map_err(|_| SyntaxError::new("community id", "is not 8 lower-case hex digits"))
    }

    /// Parses `#atrarium_` and 8 lower-case hex digits.
    ///
    /// # Errors
    /// Everything else.
    pub fn parse_hashtag(text: &str) -> Result<Self, SyntaxError> {
        let id =
            text.strip_prefix("#atrarium_").ok_or(SyntaxError::new("hashtag", "does not start with \"#atrarium_\""))?;
        Self::parse(id)
    }
}

impl fmt::Display for CommunityId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:08x}", self.0)
    }
}

impl fmt::Debug for CommunityId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:08x}", self.0)
    }
}

/// What readers need to know of a served community.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CommunityInfo {
    /// The config's URI; its authority is the owner, its rkey an alias of the id.
    pub uri: RecordUri,
    /// The community's name.
    pub name: Box<str>,
    /// The shares of its pages.
    pub mix: FeedMix,
    /// The community that its config names as the parent, while that one is served and graduated. Never itself.
    pub parent: Option<CommunityId>,
    /// The post that its config pins, where that is one and its author's account is active. Whether the community's
    /// moderators hide it is told as for every other post.
    pub pinned: Option<RecordUri>,
}

/// The communities whose hashtag a post carries, served or not: nearly always one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Tags {
    /// Just this one.
    One(CommunityId),
    /// Two or more: sorted, each once. All who keep them share them.
    Many(Arc<[CommunityId]>),
}

impl Tags {
    /// All of them, sorted.
    pub fn as_slice(&self) -> &[CommunityId] {
        match self {
            Self::One(id) => std::slice::from_ref(id),
            Self::Many(ids) => ids,
        }
    }

    /// Whether the post carries the hashtag of a community.
    pub fn contains(&self, id: CommunityId) -> bool {
        match self {
            Self::One(only) => *only == id,
            Self::Many(ids) => ids.binary_search(&id).is_ok(),
        }
    }
}

/// What a community shows from no source.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Excluded {
    /// A post that a moderator has hidden.
    Post {
        /// The author.
        did: Did,
        /// The record key.
        rkey: RecordKey,
    },
    /// An account that a moderator has blocked.
    Account(Did),
}

/// A post as feeds order it. `Ord` is ascending (oldest first, then AT-URI ascending); feeds show it descending.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct PostKey {
    /// Time of the post in milliseconds since the epoch.
    pub time_millis: i64,
    /// The author.
    pub did: Did,
    /// The record key.
    pub rkey: RecordKey,
}

impl Ord for PostKey {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.time_millis
            .cmp(&other.time_millis)
            .then_with(|| compare_repositories(&self.did, &other.did))
            .then_with(|| self.rkey.cmp(&other.rkey))
    }
}

impl PartialOrd for PostKey {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

/// A record key in 16 bytes: nearly all are TIDs.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum ShortKey {
    /// By its number.
    Tid(Tid),
    /// Whatever is no TID.
    Text(RecordKey),
}

/// One post of a [`Change::Fill`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FilledPost {
    /// Time of the post in milliseconds since the epoch.
    pub time_millis: i64,
    /// Index into the authors of the same change.
    pub author: u32,
    /// Whether a moderator has hidden it.
    pub hidden: bool,
    /// The record key.
    pub rkey: ShortKey,
    /// The hashtags it carries.
    pub tags: Tags,
}

impl FilledPost {
    /// The post as feeds order it; `authors` are those of the same change.
    pub fn key(&self, authors: &[Did]) -> PostKey {
        let rkey = match &self.rkey {
            ShortKey::Tid(tid) => RecordKey::from(*tid),
            ShortKey::Text(text) => text.clone(),
        };
        PostKey { time_millis: self.time_millis, did: authors[self.author as usize].clone(), rkey }
    }
}

/// One difference to what readers see.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// The community is served from now on, or its info has changed. What it held stays.
    Open {
        /// Which.
        id: CommunityId,
        /// Its info.
        info: Arc<CommunityInfo>,
    },
    /// The community is no longer served, and what it held is forgotten.
    Close {
        /// Which.
        id: CommunityId,
    },
    /// Whether an author's posts are shown: member, not blocked, account active. An author starts as not shown.
    Author {
        /// In which community.
        id: CommunityId,
        /// Who.
        did: Did,
        /// Shown or not.
        shown: bool,
    },
    /// The post is in the ring from now on. A post is inserted at most once before it is removed.
    Insert {
        /// Into which community.
        id: CommunityId,
        /// Which post, and where.
        post: PostKey,
        /// The hashtags it carries, this community's among them.
        tags: Tags,
        /// Whether a moderator has hidden it.
        hidden: bool,
    },
    /// The post, which is in the ring, carries other hashtags than before, this community's still among them.
    Retag {
        /// In which community.
        id: CommunityId,
        /// Which post, by the key it was inserted with.
        post: PostKey,
        /// The hashtags it carries now.
        tags: Tags,
    },
    /// The post is in the ring no longer.
    Remove {
        /// From which community.
        id: CommunityId,
        /// Which post, by the key it was inserted with.
        post: PostKey,
    },
    /// A moderator has hidden the post, or shown it again.
    Hide {
        /// In which community.
        id: CommunityId,
        /// Which post, by the key it was inserted with.
        post: PostKey,
        /// Hidden or not.
        hidden: bool,
    },
    /// The post is visible in some community, its age aside, and carries these hashtags: other communities may show it from
    /// their global source. For a post that is shared already: its hashtags are others now.
    Share {
        /// Which post.
        post: PostKey,
        /// The hashtags it carries.
        tags: Tags,
    },
    /// The post is visible in no community any more.
    Unshare {
        /// Which post, by the key it was shared with.
        post: PostKey,
    },
    /// Whether a community's moderators keep this out of its feed, from whichever source: hidden posts (known or not) and
    /// blocked accounts. When a community is opened nothing is excluded.
    Exclude {
        /// In which community.
        id: CommunityId,
        /// What.
        what: Excluded,
        /// Kept out or not.
        excluded: bool,
    },
    /// Many posts at once, each as [`Change::Insert`] or (where `id` is absent) [`Change::Share`] would tell it: how a view is
    /// built from a state. They are in order, and come after all that the ring has; so the view need not look for their
    /// places.
    Fill {
        /// Into which community; absent: what others may show.
        id: Option<CommunityId>,
        /// Who has written them, and perhaps others: one list for all the changes that tell of one state.
        authors: Arc<[Did]>,
        /// The posts, oldest first.
        posts: Vec<FilledPost>,
    },
    /// Posts before this moment (milliseconds since the epoch) will never be read again, in any community. The fold
    /// forgets them without a [`Change::Remove`] or [`Change::Unshare`] for each.
    Evict {
        /// The first moment that is kept.
        before_millis: i64,
    },
}
