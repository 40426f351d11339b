//! From what was told to what follows from it: the last step of restoring.
//!
//! In: a fold whose records are complete, and of which nothing is judged, filed, listed, open or held. Out: the fold as it
//! was.
//!
//! The steps stand in the order in which each needs the ones before; they are the rules' own, with one difference: the
//! view is told nothing, for it is told everything at the end (`show`).

use std::sync::Arc;

use crate::community::Fold;
use crate::community::feeds::{Author, Place};
use crate::community::names::DidIndex;
use crate::community::posts::PostBody;
use crate::community::told::Told;
use crate::fact::CommunityId;

impl Fold {
    /// Works everything out that a snapshot does not say.
    ///
    /// # Errors
    /// What the snapshot says of the view contradicts its records.
    pub(super) fn derive(&mut self, silent: &[(CommunityId, DidIndex)]) -> Result<(), String> {
        self.derive_tallies();
        self.derive_rulings();
        self.derive_memberships();
        self.derive_served();
        self.derive_places()?;
        self.derive_shown(silent)?;
        self.derive_shared();
        Ok(())
    }

    /// How many configs and claims each person has. What else is counted is as it is listed.
    fn derive_tallies(&mut self) {
        for (_, community) in self.communities.iter().filter(|(_, community)| community.is_known()) {
            self.people[community.owner].tally.configs += 1;
        }
        for &(_, community) in self.feeds.values().flat_map(|feed| &feed.claims) {
            self.people[self.communities[community].owner].tally.claims += 1;
        }
    }

    fn derive_rulings(&mut self) {
        let numbers: Vec<u32> = self.rulings.iter().map(|(number, _)| number).collect();
        for number in numbers {
            let author = self.rulings[number].author;
            self.people[author].tally.idle_rulings += 1;
            self.refresh_ruling(number, None, &mut Told::nobody());
        }
    }

    fn derive_memberships(&mut self) {
        let numbers: Vec<u32> = self.memberships.iter().map(|(number, _)| number).collect();
        for number in numbers {
            let member = self.memberships[number].member;
            self.people[member].tally.memberships += 1;
            self.refresh_membership(number, None, &mut Told::nobody());
        }
    }

    /// Who owns each hashtag, which communities are open, and what they keep out.
    fn derive_served(&mut self) {
        let owner_of = |feed: &crate::community::feeds::Feed| {
            feed.claims.iter().min_by(|a, b| self.compare_claims(a, b)).map(|&(_, community)| community)
        };
        let owners: Vec<(CommunityId, Option<u32>)> =
            self.feeds.iter().map(|(&id, feed)| (id, owner_of(feed))).collect();
        for (id, owner) in owners {
            self.feeds.entry(id).or_default().owner = owner;
            let is_served = |owner: &u32| self.live_config(*owner).is_some_and(|body| body.config.id == id);
            if let Some(owner) = owner.filter(is_served) {
                self.communities[owner].open = Some(id);
            }
        }
        // What is told of a theme names its parent, once that is open.
        let open = self.communities.iter().filter_map(|(number, community)| Some((number, community.open?)));
        for (number, id) in open.collect::<Vec<_>>() {
            let info = self.info(number).map(Arc::new);
            self.feeds.entry(id).or_default().open = info.map(|info| (number, info));
            self.counts.communities += 1;
            self.sync_all_excluded(number, &mut Told::nobody());
        }
    }

    /// Whether each post is held, and its places in the lists of its author.
    fn derive_places(&mut self) -> Result<(), String> {
        let horizon = self.horizon_millis();
        for number in 0..self.posts.restored() {
            let row = &self.posts[number];
            let author = row.author;
            let live = row.version.live(self.people[author].deleted_at);
            let held = live.is_some_and(|body| !body.places.is_empty()) && row.time_millis() >= horizon;
            let stands = |body: &PostBody| body.places.iter().any(|place| place.position != Place::NOWHERE);
            if held && !live.is_some_and(stands) {
                return Err(format!("post {number} stands nowhere, and was not forgotten"));
            }
            self.posts.derive_held(number, held);
            let mut at = 0;
            while let Some(place) = self.posts.place_at(number, at).filter(|_| held) {
                at += 1;
                if place.position == Place::NOWHERE {
                    continue;
                }
                self.enter(number, place.id, &mut Told::nobody());
                if place.position == Place::IN_RING && !self.enter_ring_again(number, author, place.id) {
                    return Err(format!("post {number} is in the ring of {}, which is not served", place.id));
                }
            }
        }
        Ok(())
    }

    /// Moves a post that has just been put at the end of its author's list into the ring's part of it.
    fn enter_ring_again(&mut self, number: u32, author: DidIndex, id: CommunityId) -> bool {
        let Some(feed) = self.feeds.get_mut(&id) else { return false };
        let (Some(&(community, _)), Some(author)) = (feed.open.as_ref(), feed.authors.get_mut(&author)) else {
            return false;
        };
        let (at, last) = (author.in_ring, author.posts.len() - 1);
        author.posts.swap(at, last);
        author.in_ring += 1;
        self.posts.set_position(author.posts[last], id, last);
        self.posts.set_position(author.posts[at], id, at);
        self.counts.in_rings += 1;
        self.posts.enter_ring(number, id, &self.communities[community]);
        true
    }

    /// Who is shown: members with an active account, of whom a post is known or was.
    fn derive_shown(&mut self, silent: &[(CommunityId, DidIndex)]) -> Result<(), String> {
        for &(id, did) in silent {
            let author = self.feeds.entry(id).or_default().authors.entry(did).or_default();
            if !author.posts.is_empty() || !self.people[did].feeds.iter().all(|&feed| feed != id) {
                return Err(format!("{} has posts in {id}, or is there twice", self.people[did].did));
            }
            self.people[did].feeds.push(id);
        }
        let of_feed = |id: &CommunityId| {
            let community = self.feeds[id].open.as_ref().map(|&(community, _)| community);
            self.feeds[id].authors.iter().map(move |(&did, author)| (did, community, author))
        };
        let mut shown: Vec<(CommunityId, DidIndex)> = Vec::new();
        for id in self.feeds.keys() {
            for (did, community, author) in of_feed(id) {
                let is_member = community.is_some_and(|community| self.is_member(community, did));
                let is_shown = is_member && self.people[did].is_active();
                let fits = if is_shown { author.in_ring == author.posts.len() } else { !author.posts.is_empty() };
                if !fits {
                    return Err(format!("{} is shown in {id} and waits there, or neither", self.people[did].did));
                }
                shown.extend(is_shown.then_some((*id, did)));
            }
        }
        for (id, did) in shown {
            let author = self.feeds.get_mut(&id).and_then(|feed| feed.authors.get_mut(&did));
            author.into_iter().for_each(|author: &mut Author| author.shown = true);
        }
        Ok(())
    }

    fn derive_shared(&mut self) {
        for number in 0..self.posts.restored() {
            let shared = self.is_visible_somewhere(&self.posts[number]);
            self.posts.set_shared(number, shared);
        }
    }
}
