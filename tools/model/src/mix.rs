//! Mixed pages (DESIGN §3 feedMix, §4), in the plainest way: lists, sorted and filtered anew for each page.
//!
//! In: the model at a moment, a limit, and how far a reader has come. Out: the page, and how far they are then.

use std::collections::BTreeMap;

use atrarium::syntax::{RecordUri, Time};

use super::{Community, Live, time_of_post};
use crate::{Model, Post};

/// Own, parent, global.
type Each<T> = [T; 3];

/// A post's place in the order of feeds: its time in milliseconds, then its AT-URI.
type Place = (i64, String);

/// What one community's feed draws on at a moment.
#[derive(Clone, Debug)]
pub struct Mixed {
    /// The shares of own, parent and global, in basis points.
    pub shares: Each<i64>,
    /// The id of the parent, where there is one that counts.
    pub parent: Option<String>,
    /// What each source may give, newest first.
    pub sources: Each<Vec<Place>>,
}

/// How far a reader has come, for the next page.
#[derive(Clone, Debug, PartialEq)]
pub struct Reader {
    /// How far each source was read; `None` while it has had no share.
    positions: Each<Option<Position>>,
    /// What pages owe to each source, in basis points of an item.
    owed: Each<i64>,
    parent: Option<String>,
}

#[derive(Clone, Debug, PartialEq)]
enum Position {
    Top,
    Behind(Place),
}

impl Model {
    /// What each served community's feed draws on at `now`, by its id.
    pub fn mixed(&self, now: Time) -> BTreeMap<String, Mixed> {
        let records = self.records();
        let served = self.served();
        let communities: BTreeMap<&str, Community<'_>> =
            served.iter().map(|(id, config)| (id.as_str(), records.of(config))).collect();
        let mut visible_in: BTreeMap<&str, Vec<&Live<'_, Post>>> = BTreeMap::new();
        for (id, community) in &communities {
            let visible = records.posts.iter().filter(|post| self.is_shown(community, post, now));
            visible_in.insert(id, visible.collect());
        }
        let of = |id: &&str| {
            let community = &communities[id];
            let parent = self.parent(community, &communities);
            (id.to_string(), self.draw_on(community, parent, &visible_in))
        };
        communities.keys().map(of).collect()
    }

    /// "Visible, judged at read: author is a member, author's account is active, post not hidden, not deleted, younger than
    /// 7 days."
    fn is_shown(&self, community: &Community<'_>, post: &Live<'_, Post>, now: Time) -> bool {
        let did = &post.path.did;
        post.content.tags.contains(&community.config.id)
            && self.is_visible(community, post, now)
            && self.is_member(community, did)
            && self.is_active(did)
    }

    /// "The parent link is judged at read, and is inert while the parent is missing or not graduated."
    fn parent(&self, community: &Community<'_>, served: &BTreeMap<&str, Community<'_>>) -> Option<String> {
        let named = RecordUri::parse(community.config.parent.as_ref()?).ok()?.to_string();
        let parent = served.values().find(|it| it.uri == named && it.uri != community.uri)?;
        (parent.config.stage == "graduated").then(|| parent.config.id.clone())
    }

    /// "A post belongs to exactly one source: own if it has the community's tag, else parent, else global (all communities of
    /// this engine). What a community hides or blocks appears in its feed from no source."
    fn draw_on(
        &self,
        community: &Community<'_>,
        parent: Option<String>,
        visible_in: &BTreeMap<&str, Vec<&Live<'_, Post>>>,
    ) -> Mixed {
        let own_id = &community.config.id;
        let mut sources: Each<Vec<Place>> = Default::default();
        for (id, visible) in visible_in {
            for post in visible {
                let tags = &post.content.tags;
                let source = if tags.contains(own_id) {
                    0
                } else if parent.as_ref().is_some_and(|parent| tags.contains(parent)) {
                    1
                } else {
                    2
                };
                // Own and parent follow the rules of one community; global of any.
                let judged_here = match source {
                    0 => id == own_id,
                    1 => Some(*id) == parent.as_deref(),
                    _ => true,
                };
                let kept_out = self.is_hidden(community, &post.uri) || self.is_blocked(community, &post.path.did);
                if judged_here && (source == 0 || !kept_out) {
                    sources[source].push((time_of_post(post).millis(), post.uri.clone()));
                }
            }
        }
        for source in &mut sources {
            source.sort();
            source.dedup();
            source.reverse();
        }
        let mix = community.config.feed_mix;
        let shares = [mix.own, mix.parent, mix.global].map(|percent| (percent * 100.0).round() as i64);
        Mixed { shares, parent, sources }
    }
}

impl Mixed {
    /// All pages, one after the other, with these limits over and over.
    pub fn pages(&self, limits: &[usize]) -> Vec<Vec<String>> {
        let (mut pages, mut after) = (Vec::new(), None);
        for limit in limits.iter().cycle() {
            let (page, next) = self.page(*limit, after.as_ref());
            pages.push(page);
            after = next;
            if after.is_none() {
                break;
            }
        }
        pages
    }

    /// The page that follows, and how far a reader is after it; `None` where nothing more follows.
    pub fn page(&self, limit: usize, after: Option<&Reader>) -> (Vec<String>, Option<Reader>) {
        let mut positions = self.positions(after);
        let (mut parts, owed) = self.quotas(limit, after);
        let ahead: Each<Vec<&Place>> = [0, 1, 2].map(|source| {
            let is_ahead = |place: &&Place| match &positions[source] {
                Some(Position::Behind(last)) => *place < last,
                _ => true,
            };
            let has_share = self.shares[source] > 0;
            self.sources[source].iter().filter(|place| has_share && is_ahead(place)).collect()
        });
        // "A short source's share goes to the others."
        let mut taken = [0; 3];
        loop {
            for source in 0..3 {
                taken[source] = (taken[source] + parts[source]).min(ahead[source].len());
            }
            let missing = limit - taken.iter().sum::<usize>();
            let open = [0, 1, 2].map(|source| taken[source] < ahead[source].len());
            if missing == 0 || open == [false; 3] {
                break;
            }
            parts = deal(missing, self.shares, open);
        }
        let mut page: Vec<&Place> = Vec::new();
        for source in 0..3 {
            page.extend(&ahead[source][..taken[source]]);
            if taken[source] > 0 {
                positions[source] = Some(Position::Behind(ahead[source][taken[source] - 1].clone()));
            }
        }
        page.sort();
        page.reverse();
        let more = (0..3).any(|source| taken[source] < ahead[source].len());
        let parent = if self.is_plain() { after.and_then(|after| after.parent.clone()) } else { self.parent.clone() };
        let reader = more.then_some(Reader { positions, owed, parent });
        (page.into_iter().map(|(_, uri)| uri.clone()).collect(), reader)
    }

    fn is_plain(&self) -> bool {
        self.shares == [10_000, 0, 0]
    }

    /// Where each source goes on.
    ///
    /// A source that has had no share yet starts behind the oldest item read of any. Where the parent is another one, posts
    /// have moved between parent and global: both go on from the older of their positions.
    fn positions(&self, after: Option<&Reader>) -> Each<Option<Position>> {
        let Some(after) = after else {
            return self.shares.map(|share| (share > 0).then_some(Position::Top));
        };
        let mut positions = after.positions.clone();
        if after.parent != self.parent && !self.is_plain() && positions[1].is_some() && positions[2].is_some() {
            let older = oldest(&positions[1..]).map_or(Position::Top, Position::Behind);
            positions[1] = Some(older.clone());
            positions[2] = Some(older);
        }
        for (position, share) in positions.iter_mut().zip(self.shares) {
            if share > 0 && position.is_none() {
                *position = oldest(&after.positions).map(Position::Behind);
            }
        }
        positions
    }

    /// "Own / parent / global shares of each page (largest remainder, the rest carried by the cursor)." How many items each
    /// source is to give, and what is owed then. A debt to a source without a share is forgiven, and all others with it.
    fn quotas(&self, limit: usize, after: Option<&Reader>) -> (Each<usize>, Each<i64>) {
        let mut ideals = after.map_or([0; 3], |after| after.owed);
        if (0..3).any(|source| self.shares[source] == 0 && ideals[source] != 0) {
            ideals = [0; 3];
        }
        for (ideal, share) in ideals.iter_mut().zip(self.shares) {
            *ideal += limit as i64 * share;
        }
        let mut quotas = ideals.map(|ideal| if ideal < 0 { 0 } else { ideal as usize / 10_000 });
        while quotas.iter().sum::<usize>() < limit {
            // The one that lacks most of what it is owed; the first of several.
            let lacks = [0, 1, 2].map(|source| ideals[source] - quotas[source] as i64 * 10_000);
            let most = *lacks.iter().max().expect("three");
            let source = lacks.iter().position(|lack| *lack == most).expect("one of them");
            quotas[source] += 1;
        }
        (quotas, [0, 1, 2].map(|source| ideals[source] - quotas[source] as i64 * 10_000))
    }
}

/// Deals items out in proportion to the shares of those that are open, by largest remainder.
fn deal(items: usize, shares: Each<i64>, open: Each<bool>) -> Each<usize> {
    let sum: i64 = (0..3).filter(|source| open[*source]).map(|source| shares[source]).sum();
    let exact = [0, 1, 2].map(|source| if open[source] { items as i64 * shares[source] } else { 0 });
    let mut parts = exact.map(|part| part / sum);
    while parts.iter().sum::<i64>() < items as i64 {
        let lacks = [0, 1, 2].map(|source| exact[source] - parts[source] * sum);
        let most = *lacks.iter().max().expect("three");
        parts[lacks.iter().position(|lack| *lack == most).expect("one of them")] += 1;
    }
    parts.map(|part| part as usize)
}

fn oldest(positions: &[Option<Position>]) -> Option<Place> {
    let place = |position: &Option<Position>| match position {
        Some(Position::Behind(place)) => Some(place.clone()),
        _ => None,
    };
    positions.iter().filter_map(place).min()
}

#[cfg(test)]
#[path = "mix_tests.rs"]
mod tests;
