//! What readers did, counted per community, post and event.
//!
//! In: interactions, one by one, from any HTTP thread. Out: what `/status` and the dashboard tell.
//!
//! ```text
//!   shard, by community    communities: id → a count for each event
//!     (behind a lock)      posts: (id, item) → a count for each event
//! ```
//! What always holds:
//! - nothing is kept of who did it, nor when;
//! - memory is bounded: where a table of a shard is full, the part of it that was met least is given up at once
//!   ([`ROOM_PART`]), and what it had counted is told by [`LeftOut`]. So what is met often stays;
//! - a lock is held for one count, or for one such sweep (2,048 rows), never for a whole request.
//!
//! This is the one lock that HTTP threads take, and only those that were sent interactions.

use std::collections::{BTreeMap, HashMap};
use std::hash::Hash;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde::Serialize;

use crate::fact::CommunityId;
use crate::limits::{
    INTERACTION_COMMUNITIES_LISTED, INTERACTION_COMMUNITIES_MAX, INTERACTION_POSTS_LISTED, INTERACTION_POSTS_MAX,
    INTERACTION_SHARDS, ROOM_PART,
};
use crate::telemetry::{Event, LeftOut, Telemetry};

/// Counts of interactions since the start.
pub struct Tally {
    shards: [Mutex<Shard>; INTERACTION_SHARDS],
    telemetry: Arc<Telemetry>,
}

#[derive(Default)]
struct Shard {
    communities: HashMap<CommunityId, Counts>,
    posts: HashMap<(CommunityId, Box<str>), Counts>,
}

/// One number for each event.
#[derive(Clone, Copy, Debug, Default)]
struct Counts([u64; Event::ALL.len()]);

/// What readers did in one community.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct CommunityInteractions {
    /// Which.
    pub id: CommunityId,
    /// All of them.
    pub total: u64,
    /// By event; those that were not met are left out.
    pub events: BTreeMap<&'static str, u64>,
    /// The posts with most of them, those with most first.
    pub posts: Vec<PostInteractions>,
}

/// What readers did with one post in one community.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PostInteractions {
    /// As it was sent.
    pub uri: Box<str>,
    /// All of them.
    pub total: u64,
    /// By event; those that were not met are left out.
    pub events: BTreeMap<&'static str, u64>,
}

impl Counts {
    fn total(&self) -> u64 {
        self.0.iter().sum()
    }

    fn events(&self) -> BTreeMap<&'static str, u64> {
        let named = Event::ALL.iter().map(|&event| (event.as_str(), self.0[event as usize]));
        named.filter(|&(_, count)| count > 0).collect()
    }
}

impl Tally {
    pub(super) fn new(telemetry: Arc<Telemetry>) -> Self {
        Self { shards: Default::default(), telemetry }
    }

    /// Counts one interaction of a community that is served; `item` where it is known and worth a row of its own.
    pub(super) fn count(&self, id: CommunityId, item: Option<&str>, event: Event) {
        let mut shard = self.shard(id);
        let lost = bump(&mut shard.communities, id, event, INTERACTION_COMMUNITIES_MAX / INTERACTION_SHARDS);
        self.leave_out(LeftOut::CommunityForgotten, lost);
        if let Some(item) = item {
            let lost = bump(&mut shard.posts, (id, item.into()), event, INTERACTION_POSTS_MAX / INTERACTION_SHARDS);
            self.leave_out(LeftOut::PostForgotten, lost);
        }
    }

    fn leave_out(&self, why: LeftOut, count: u64) {
        if count > 0 {
            self.telemetry.leave_out(why, count);
        }
    }

    /// What readers did in one community; `None` where nothing was counted.
    pub fn community(&self, id: CommunityId) -> Option<CommunityInteractions> {
        let shard = self.shard(id);
        let counts = *shard.communities.get(&id)?;
        let of_community = shard.posts.iter().filter(|((of, _), _)| *of == id);
        let mut posts: Vec<_> = of_community.map(|((_, item), counts)| (counts.total(), &**item, counts)).collect();
        posts.sort_unstable_by(|a, b| b.0.cmp(&a.0).then_with(|| a.1.cmp(b.1)));
        posts.truncate(INTERACTION_POSTS_LISTED);
        let told = |(total, uri, counts): (u64, &str, &Counts)| PostInteractions {
            uri: uri.into(),
            total,
            events: counts.events(),
        };
        let posts = posts.into_iter().map(told).collect();
        Some(CommunityInteractions { id, total: counts.total(), events: counts.events(), posts })
    }

    /// The communities where readers did most.
    pub fn busiest(&self) -> Vec<CommunityInteractions> {
        let mut totals: Vec<(u64, CommunityId)> = Vec::new();
        for shard in &self.shards {
            totals.extend(lock(shard).communities.iter().map(|(&id, counts)| (counts.total(), id)));
        }
        totals.sort_unstable_by(|a, b| b.0.cmp(&a.0).then_with(|| a.1.cmp(&b.1)));
        totals.truncate(INTERACTION_COMMUNITIES_LISTED);
        totals.into_iter().filter_map(|(_, id)| self.community(id)).collect()
    }

    fn shard(&self, id: CommunityId) -> MutexGuard<'_, Shard> {
        // An id is an owner's choice, so its low bits may be too; a full shard harms none but itself.
        lock(&self.shards[id.0 as usize % INTERACTION_SHARDS])
    }
}

/// A panic elsewhere leaves a count too many or too few, and nothing worse.
fn lock(shard: &Mutex<Shard>) -> MutexGuard<'_, Shard> {
    shard.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Counts an event in a row, which is made where it is missing. Where that needs room, the rows that were met least go; says
/// how much they had counted.
fn bump<K: Hash + Eq>(rows: &mut HashMap<K, Counts>, key: K, event: Event, rows_max: usize) -> u64 {
    let mut lost = 0;
    if rows.len() >= rows_max && !rows.contains_key(&key) {
        let mut totals: Vec<u64> = rows.values().map(Counts::total).collect();
        let spared = rows_max / ROOM_PART;
        let (_, &mut bound, _) = totals.select_nth_unstable(spared);
        // Of those at the bound itself only as many as are needed.
        let below = rows.values().filter(|counts| counts.total() < bound).count();
        let mut at_bound = (spared - below).max(1);
        rows.retain(|_, counts| {
            let total = counts.total();
            let goes = total < bound || (total == bound && at_bound > 0);
            at_bound -= usize::from(goes && total == bound);
            lost += if goes { total } else { 0 };
            !goes
        });
    }
    rows.entry(key).or_default().0[event as usize] += 1;
    lost
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_counts_by_community_post_and_event() {
        let tally = Tally::new(Arc::default());
        let (a, b) = (CommunityId(1), CommunityId(17));
        for _ in 0..3 {
            tally.count(a, Some("at://x"), Event::Like);
        }
        tally.count(a, Some("at://y"), Event::Seen);
        tally.count(a, None, Event::Other);
        tally.count(b, Some("at://x"), Event::Seen);
        let told = tally.community(a).expect("counted");
        assert_eq!(told.total, 5);
        assert_eq!(told.events, BTreeMap::from([("interactionLike", 3), ("interactionSeen", 1), ("other", 1)]));
        let posts: Vec<_> = told.posts.iter().map(|post| (&*post.uri, post.total)).collect();
        assert_eq!(posts, [("at://x", 3), ("at://y", 1)]);
        assert_eq!(tally.community(CommunityId(33)), None);
        assert_eq!(tally.busiest().iter().map(|one| one.id).collect::<Vec<_>>(), [a, b]);
    }

    #[test]
    fn its_size_is_bounded_and_what_is_met_often_stays() {
        let telemetry = Arc::<Telemetry>::default();
        let tally = Tally::new(Arc::clone(&telemetry));
        let id = CommunityId(5);
        let rows = 100_000;
        for number in 0..rows {
            tally.count(id, Some(&format!("at://{number}")), Event::Seen);
            if number % 100 == 0 {
                tally.count(id, Some("at://often"), Event::Like);
            }
        }
        let held = tally.shard(id).posts.len();
        assert!(held <= INTERACTION_POSTS_MAX / INTERACTION_SHARDS, "{held}");
        let told = tally.community(id).expect("counted");
        assert_eq!(
            (told.total, &*told.posts[0].uri, told.posts[0].total),
            (rows + rows / 100, "at://often", rows / 100)
        );
        let lost: u64 = telemetry.left_out().map(|(_, count)| count).sum();
        assert_eq!(lost, rows - (held as u64 - 1));
        for number in 0..100_000 {
            tally.count(CommunityId(number * 16 + 5), None, Event::Seen);
        }
        assert!(tally.shard(id).communities.len() <= INTERACTION_COMMUNITIES_MAX / INTERACTION_SHARDS);
        assert_eq!(tally.busiest()[0].id, id);
    }
}
