//! Lineage: what is told of a community beyond the 7 days for which posts are kept.
//!
//! In: config versions, memberships, posts as they grow too old. Out: [`Lineage`] in a summary.
//!
//! ```text
//! founded           least made of any version of the config          a minimum
//! first join        least made of any active version of a membership a minimum for each member, in their standing
//! milestones, joins by the members' first joins                      computed when asked
//! posts of a day    those in the ring, counted when asked, and those that left it by age, counted then
//! ```
//!
//! What always holds:
//! - founded, joins and milestones are minima of all that was ever told, so neither order nor redelivery changes them;
//!   leaving takes nothing back;
//! - a post is counted on the day of its time, while it is visible (but for its age), and then as it was when it became 7
//!   days old. It leaves by age once, and is refused when it is told again, so redelivery does not inflate the count; what
//!   is displaced across that moment (a hide of a week-old post, say) may or may not be in it.

use std::collections::BTreeMap;

use serde::{Serialize, Serializer};

use super::Fold;
use super::feeds::Place;
use super::names::DidIndex;
use crate::fact::CommunityId;
use crate::limits::{DAILY_COUNTS_DAYS, DAY_MICROS, MEMBER_THRESHOLDS};
use crate::syntax::Time;

/// What a community's summary tells of its past.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Lineage {
    /// When the first version of its config was made.
    #[serde(serialize_with = "as_text")]
    pub founded: Option<Time>,
    /// The time of the first post that was visible, where one was.
    #[serde(serialize_with = "as_text")]
    pub first_post: Option<Time>,
    /// When the first account beside the owner joined.
    #[serde(serialize_with = "as_text")]
    pub first_join: Option<Time>,
    /// When it first had so many members, for each of [`MEMBER_THRESHOLDS`] that it has reached. The owner counts from the
    /// founding on; of an invite-only community those count who are accepted now.
    pub milestones: Vec<Milestone>,
    /// The days of the last [`DAILY_COUNTS_DAYS`] on which something happened, oldest first.
    pub daily: Vec<Day>,
}

/// The moment at which a community first had so many members.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Milestone {
    /// How many.
    pub members: usize,
    /// When.
    #[serde(serialize_with = "as_text")]
    pub reached: Option<Time>,
}

/// What happened on one day, in UTC.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Day {
    /// `2026-11-24`
    pub day: String,
    /// Posts whose time lies on it.
    pub posts: u32,
    /// Accounts that first joined on it.
    pub joins: u32,
}

#[expect(clippy::ref_option, reason = "serde passes a reference to the field")]
fn as_text<S: Serializer>(time: &Option<Time>, serializer: S) -> Result<S::Ok, S::Error> {
    match time {
        Some(time) => serializer.collect_str(time),
        None => serializer.serialize_none(),
    }
}

/// What is kept of a community beside its members' first joins.
#[derive(Debug, Default)]
pub(super) struct Past {
    pub founded: Option<Time>,
    pub first_post_millis: Option<i64>,
    /// Posts that have left by age, by day since the epoch.
    pub posts: BTreeMap<i64, u32>,
}

impl Past {
    /// One more version of the config was made at a moment.
    pub fn found(&mut self, made: Time) {
        self.founded = Some(self.founded.map_or(made, |founded| founded.min(made)));
    }

    /// A visible post leaves by age.
    fn post(&mut self, millis: i64) {
        self.first_post_millis = Some(self.first_post_millis.map_or(millis, |first| first.min(millis)));
        *self.posts.entry(day_of(Time::from_millis(millis))).or_default() += 1;
        while self.posts.len() > usize::try_from(DAILY_COUNTS_DAYS).unwrap_or(usize::MAX) {
            self.posts.pop_first();
        }
    }
}

/// Days since the epoch.
fn day_of(time: Time) -> i64 {
    time.micros().div_euclid(DAY_MICROS)
}

fn day_text(day: i64) -> String {
    Time::from_micros(day * DAY_MICROS).to_string().chars().take_while(|&letter| letter != 'T').collect()
}

impl Fold {
    /// Counts a post that leaves a feed by age, where it was visible.
    pub(super) fn note_post(&mut self, author: DidIndex, place: &Place, millis: i64) {
        let Some(feed) = self.feeds.get(&place.id) else { return };
        let is_shown = feed.authors.get(&author).is_some_and(|author| author.shown && place.is_in_ring_of(author));
        if let Some((community, _)) = feed.open.as_ref().filter(|_| is_shown && !place.hidden) {
            self.communities[*community].past.post(millis);
        }
    }

    /// What is told of a community beyond retention.
    pub(super) fn lineage(&self, community: u32, id: CommunityId, now: Time) -> Lineage {
        let past = &self.communities[community].past;
        let posts = self.visible_at_any_age(id);
        let joins = self.first_joins(community);
        let first_post = posts.iter().copied().chain(past.first_post_millis).min();
        Lineage {
            founded: past.founded,
            first_post: first_post.map(Time::from_millis),
            first_join: joins.first().copied(),
            milestones: milestones(past.founded, &joins),
            daily: daily(past, &posts, &joins, now),
        }
    }

    /// The times of the posts in a ring that are visible but for their age.
    fn visible_at_any_age(&self, id: CommunityId) -> Vec<i64> {
        let shown =
            self.feeds.get(&id).into_iter().flat_map(|feed| feed.authors.values()).filter(|author| author.shown);
        let posts = shown.flat_map(|author| &author.posts[..author.in_ring]);
        let visible = posts.filter(|&&post| self.posts.place(post, id).is_some_and(|place| !place.hidden));
        visible.map(|&post| self.posts.time_millis(post)).collect()
    }

    /// When each account first joined, in order; where members need an acceptance, of those who have one.
    fn first_joins(&self, community: u32) -> Vec<Time> {
        let needs_acceptance = self.is_invite_only(community);
        let standings = self.communities[community].standings.values();
        let counted = standings.filter(|standing| standing.acceptances.affirms() || !needs_acceptance);
        let mut joins: Vec<Time> = counted.filter_map(|standing| standing.first_joined).collect();
        joins.sort_unstable();
        joins
    }
}

fn milestones(founded: Option<Time>, joins: &[Time]) -> Vec<Milestone> {
    let Some(founded) = founded else { return Vec::new() };
    // The owner is the first; who is said to have joined before the founding was a member from then on.
    let reached = |members: usize| match members {
        1 => Some(founded),
        _ => joins.get(members - 2).map(|&joined| joined.max(founded)),
    };
    MEMBER_THRESHOLDS
        .iter()
        .map_while(|&members| Some(Milestone { members, reached: Some(reached(members)?) }))
        .collect()
}

fn daily(past: &Past, posts: &[i64], joins: &[Time], now: Time) -> Vec<Day> {
    let mut days: BTreeMap<i64, (u32, u32)> = past.posts.iter().map(|(&day, &posts)| (day, (posts, 0))).collect();
    for &millis in posts {
        days.entry(day_of(Time::from_millis(millis))).or_default().0 += 1;
    }
    for &joined in joins {
        days.entry(day_of(joined)).or_default().1 += 1;
    }
    let recent = days.split_off(&(day_of(now) - DAILY_COUNTS_DAYS + 1));
    recent.into_iter().map(|(day, (posts, joins))| Day { day: day_text(day), posts, joins }).collect()
}
