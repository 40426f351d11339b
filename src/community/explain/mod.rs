//! Why a post is visible in a feed, or is not: every rule that bears on it, whether it holds, and the record that decides.
//!
//! In: a post's AT-URI and a moment. Out: sentences for a moderator. Nothing is changed.
//!
//! ```text
//! uri ──► Subject (author, key, its row) ──► concerned: its hashtags, and who has judged it
//!                                                 └──► rules: one finding each ──► Verdict
//! ```
//!
//! What always holds:
//! - `visible` says whether all rules hold, and is what the feed shows at that moment. A post that its feedMix takes from
//!   others is explained where its community is asked for alone: it may be in thousands of feeds;
//! - a record that is named has been seen, and is of the collection of its rule;
//! - an answer has bounds ([`EXPLAIN_COMMUNITIES_MAX`], [`EXPLAIN_RULINGS_MAX`]), and says what it leaves out: another
//!   thread may ask the one that folds ([`inquiry`](super::inquiry)).

mod filings;
mod rules;

pub(super) use filings::Filings;

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::fmt::Display;

use serde::{Serialize, Serializer};

use super::Fold;
use super::names::{DidIndex, Key};
use super::posts::PostRow;
use crate::fact::{Collection, CommunityId, Gap};
use crate::limits::{EXPLAIN_COMMUNITIES_MAX, RETENTION_MICROS};
use crate::syntax::{Did, RecordUri, Time};

#[cfg(doc)]
use crate::limits::EXPLAIN_RULINGS_MAX;

/// All that decides about one post.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Explanation {
    /// The post.
    #[serde(serialize_with = "as_text")]
    pub uri: RecordUri,
    /// The moment at which the rules are judged.
    pub now: Time,
    /// What the post's own record is, in a sentence.
    pub because: String,
    /// What the stream may have failed to tell of the author's repository, or of all: a rule below may rest on it.
    pub gaps: Vec<String>,
    /// One for each hashtag of the post and each community whose actions name it, by id.
    pub communities: Vec<Verdict>,
    /// How many more there are than [`EXPLAIN_COMMUNITIES_MAX`]; each can be asked for alone.
    #[serde(skip_serializing_if = "is_zero")]
    pub left_out: usize,
}

/// What one community's feed makes of the post.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Verdict {
    /// The community.
    #[serde(serialize_with = "as_text")]
    pub id: CommunityId,
    /// Whether all rules hold.
    pub visible: bool,
    /// Every rule that bears on it, in the order in which they are worth reading.
    pub rules: Vec<Rule>,
}

/// One rule of DESIGN §3, applied.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Rule {
    /// `exists`, `tagged`, `served`, `member`, `accepted`, `not_blocked`, `account_active`, `not_hidden`, `young`, `kept`; of
    /// a post that is taken from others `shared`, for what it needs there.
    pub rule: &'static str,
    /// Whether it lets the post be seen.
    pub holds: bool,
    /// A sentence that names the record and when it was made.
    pub because: String,
    /// The record that decides, where there is one.
    #[serde(serialize_with = "as_text_or_null", skip_serializing_if = "Option::is_none")]
    pub record: Option<RecordUri>,
    /// Since when it decides: when the record was made; the time of the account's event, or of the post.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub at: Option<Time>,
}

/// Why there is nothing to explain. Says what to do.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unexplained {
    /// Nothing was seen of the post, or it was forgotten since it grew old.
    #[error(
        "{uri} is not known here: no post with a community's hashtag was seen under it in the last 7 days, and no \
         moderator has named it; check the URI{}", gaps.iter().map(|gap| format!(". {gap}")).collect::<String>()
    )]
    NotFound {
        /// What was asked for.
        uri: RecordUri,
        /// What the stream may have failed to tell of its repository.
        gaps: Vec<String>,
    },
    /// No config has ever claimed the community's hashtag.
    #[error("no config has claimed #atrarium_{0}: ask for a community that there is, or for none to hear of all")]
    UnknownFeed(CommunityId),
}

impl Unexplained {
    /// The name of the error, as the interfaces write it.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::NotFound { .. } => "NotFound",
            Self::UnknownFeed(_) => "UnknownFeed",
        }
    }
}

/// Serialises a thing as its text, as the interfaces write it.
pub(super) fn as_text<S: Serializer>(thing: &impl Display, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(thing)
}

fn as_text_or_null<S: Serializer>(thing: &Option<RecordUri>, serializer: S) -> Result<S::Ok, S::Error> {
    match thing {
        Some(uri) => serializer.collect_str(uri),
        None => serializer.serialize_none(),
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes references")]
const fn is_zero(count: &usize) -> bool {
    *count == 0
}

/// Whether a post of a time (in milliseconds) is younger than 7 days at a moment.
pub(super) fn is_young(time_millis: i64, now: Time) -> bool {
    now.micros_since(Time::from_millis(time_millis)) < RETENTION_MICROS
}

/// The post that is asked for.
struct Subject<'a> {
    uri: &'a RecordUri,
    author: DidIndex,
    key: Key,
    /// `None` where nothing was seen of it, though a moderator has named it.
    row: Option<Cow<'a, PostRow>>,
    now: Time,
}

impl Fold {
    /// What every rule says of a post at a moment, in the communities that it has to do with, or in `only` one.
    ///
    /// # Errors
    /// A post of which nothing is known; a community that nobody has claimed.
    pub fn explain(&self, uri: &RecordUri, only: Option<CommunityId>, now: Time) -> Result<Explanation, Unexplained> {
        let subject = self.subject_of(uri, now).ok_or_else(|| self.not_found(uri))?;
        let (ids, left_out) = match only {
            Some(id) if self.claimant(id).is_none() => return Err(Unexplained::UnknownFeed(id)),
            Some(id) => (vec![id], 0),
            None => self.concerned(&subject),
        };
        let is_judged = |id: &CommunityId| self.claimant(*id).is_some_and(|community| self.judges(community, &subject));
        if subject.row.is_none() && !ids.iter().any(is_judged) {
            return Err(self.not_found(uri));
        }
        Ok(Explanation {
            uri: uri.clone(),
            now,
            because: self.exists(&subject).because,
            gaps: self.suspicions(&uri.did),
            communities: ids.into_iter().map(|id| self.verdict(&subject, id)).collect(),
            left_out,
        })
    }

    fn subject_of<'a>(&'a self, uri: &'a RecordUri, now: Time) -> Option<Subject<'a>> {
        if uri.collection.as_str() != Collection::Post.nsid() {
            return None;
        }
        let author = self.people.find(&uri.did)?;
        let key = Key::from(&uri.rkey);
        let row = self.posts.find(author, &key).map(|number| self.posts.row(number));
        Some(Subject { uri, author, key, row, now })
    }

    fn not_found(&self, uri: &RecordUri) -> Unexplained {
        Unexplained::NotFound { uri: uri.clone(), gaps: self.suspicions(&uri.did) }
    }

    /// Why what is known of a repository may be incomplete, oldest first: of the last gaps alone, which are kept.
    pub fn suspicions(&self, did: &Did) -> Vec<String> {
        let concerns = |gap: &&Gap| gap.did.as_ref().is_none_or(|suspect| suspect == did);
        let told = |gap: &Gap| {
            let whose = if gap.did.is_some() { "this repository" } else { "any repository" };
            format!(
                "{} has a gap at {} ({}): something of {whose} may be missing.",
                gap.host.as_str(),
                gap.witnessed,
                gap.reason.as_str()
            )
        };
        self.gaps().filter(concerns).map(told).collect()
    }

    /// The community that owns a hashtag.
    fn claimant(&self, id: CommunityId) -> Option<u32> {
        self.feeds.get(&id)?.owner
    }

    /// Whether any action of a community, with authority or without, names the post.
    fn judges(&self, community: u32, subject: &Subject<'_>) -> bool {
        self.communities[community].posts.contains_key(&(subject.author, subject.key.clone()))
    }

    /// The first of the communities that a post has to do with: its hashtags before those that have judged it; and how
    /// many more there are.
    fn concerned(&self, subject: &Subject<'_>) -> (Vec<CommunityId>, usize) {
        let body = subject.row.as_ref().and_then(|row| row.version.body.as_ref());
        let tags: BTreeSet<CommunityId> = body.iter().flat_map(|body| body.tags()).collect();
        let judges = self.filings.of(subject.author, &subject.key);
        let judges = judges.iter().filter_map(|&community| self.communities[community].open);
        let judges: BTreeSet<CommunityId> = judges.filter(|id| !tags.contains(id)).collect();
        let count = tags.len() + judges.len();
        let mut ids: Vec<CommunityId> = tags.into_iter().chain(judges).take(EXPLAIN_COMMUNITIES_MAX).collect();
        ids.sort_unstable();
        let left_out = count - ids.len();
        (ids, left_out)
    }

    fn verdict(&self, subject: &Subject<'_>, id: CommunityId) -> Verdict {
        let rules = self.rules(subject, id);
        Verdict { id, visible: rules.iter().all(|rule| rule.holds), rules }
    }
}
