//! Summaries: the served communities, and how much the fold holds.
//!
//! In: the state of the fold. Out: figures for operators. Nothing is changed.

use serde::{Serialize, Serializer};

use super::Fold;
use super::explain::{as_text, is_young};
use super::feeds::Feed;
use super::lineage::Lineage;
use crate::fact::{CommunityId, Stage};
use crate::syntax::{Did, RecordUri, Time};

/// One served community.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Summary {
    /// Its id.
    #[serde(serialize_with = "as_text")]
    pub id: CommunityId,
    /// Its config.
    #[serde(serialize_with = "as_text")]
    pub uri: RecordUri,
    /// Its name.
    pub name: Box<str>,
    /// Its description.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<Box<str>>,
    /// `#atrarium_` and the id.
    pub hashtag: String,
    /// Its stage.
    #[serde(serialize_with = "as_stage")]
    pub stage: Stage,
    /// Who holds the config.
    pub owner: Did,
    /// How many accounts are members, the owner included, active or not.
    pub members: usize,
    /// How many posts are visible.
    pub posts: usize,
    /// The configs that claimed the hashtag later, first claim first.
    #[serde(serialize_with = "as_texts")]
    pub contested: Vec<RecordUri>,
    /// What is told of it beyond retention.
    #[serde(flatten)]
    pub lineage: Lineage,
}

/// How much the fold holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Stats {
    /// Served communities.
    pub communities: usize,
    /// Post records that stand in some feed, shown or waiting.
    pub posts: usize,
    /// Posts in the rings of served communities; one with two hashtags counts twice.
    pub in_rings: usize,
    /// Posts that wait outside: their author is not shown, or their hashtag is not served. Counted as `in_rings`.
    pub waiting: usize,
    /// Post records that are kept for their rev alone: deleted, ended, without a hashtag, or too old to be shown.
    pub tombstones: usize,
    /// DIDs that any fact has named.
    pub dids: usize,
    /// Configs that any record has named, known or not.
    pub configs: usize,
    /// Membership records, deleted ones included.
    pub memberships: usize,
    /// Actions and acceptances, with and without effect, deleted ones included.
    pub rulings: usize,
    /// Commits on posts that came more than 7 days late, and could change nothing.
    pub late: u64,
}

/// What is counted as it happens.
#[derive(Debug, Default)]
pub(super) struct Counts {
    pub communities: usize,
    pub places: usize,
    pub in_rings: usize,
    pub late: u64,
}

impl Counts {
    /// Places of posts that wait outside the rings.
    pub fn waiting(&self) -> usize {
        self.places - self.in_rings
    }
}

fn as_stage<S: Serializer>(stage: &Stage, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(stage.as_str())
}

fn as_texts<S: Serializer>(uris: &[RecordUri], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(uris.iter().map(ToString::to_string))
}

impl Fold {
    /// The served communities at a moment, by id.
    pub fn communities(&self, now: Time) -> Vec<Summary> {
        let mut ids: Vec<CommunityId> =
            self.feeds.iter().filter(|(_, feed)| feed.open.is_some()).map(|(&id, _)| id).collect();
        ids.sort_unstable();
        ids.into_iter().filter_map(|id| self.summary(id, now)).collect()
    }

    fn summary(&self, id: CommunityId, now: Time) -> Option<Summary> {
        let feed = &self.feeds[&id];
        let (community, info) = feed.open.as_ref()?;
        let config = &self.live_config(*community)?.config;
        let row = &self.communities[*community];
        let others = row.standings.keys().filter(|&&did| did != row.owner && self.is_member(*community, did));
        Some(Summary {
            id,
            uri: info.uri.clone(),
            name: config.name.clone(),
            description: config.description.clone(),
            hashtag: format!("#atrarium_{id}"),
            stage: config.stage,
            owner: self.people[row.owner].did.clone(),
            members: 1 + others.count(),
            posts: self.visible(id, feed, now),
            contested: self.contested(feed, *community),
            lineage: self.lineage(*community, id, now),
        })
    }

    fn visible(&self, id: CommunityId, feed: &Feed, now: Time) -> usize {
        let shown = feed.authors.values().filter(|author| author.shown);
        let posts = shown.flat_map(|author| &author.posts[..author.in_ring]);
        let is_visible = |&&post: &&u32| {
            is_young(self.posts.time_millis(post), now) && self.posts.place(post, id).is_some_and(|place| !place.hidden)
        };
        posts.filter(is_visible).count()
    }

    fn contested(&self, feed: &Feed, owner: u32) -> Vec<RecordUri> {
        let others = feed.claims.iter().filter(|(_, community)| *community != owner);
        let mut others: Vec<_> = others.map(|&(date, community)| (date, self.community_uri(community))).collect();
        others.sort();
        others.into_iter().map(|(_, uri)| uri).collect()
    }

    /// How much is held. Costs nothing.
    pub fn stats(&self) -> Stats {
        let counts = &self.counts;
        Stats {
            communities: counts.communities,
            posts: self.posts.held(),
            in_rings: counts.in_rings,
            waiting: counts.waiting(),
            tombstones: self.posts.tombstones(),
            dids: self.people.len(),
            configs: self.communities.len(),
            memberships: self.memberships.len(),
            rulings: self.rulings.len(),
            late: counts.late,
        }
    }
}
