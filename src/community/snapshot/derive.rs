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
use crate::community::told::Told;
use crate::fact::CommunityId;

impl Fold {
    /// Works everything out that a snapshot does not say.
    ///
    /// # Errors
    /// What the snapshot says of the view contradicts its records.
    pub(super) fn derive(&mut self, silent: &[(CommunityId, DidIndex)]) -> Result<(), String> {
        self.posts.derive_index().map_err(|number| format!("post {number} is there twice"))?;
        self.derive_tallies();
        self.derive_rulings();
        self.derive_memberships();
        self.derive_served();
        let standings = self.derive_held()?;
        self.derive_authors(standings)?;
        self.derive_silent(silent)
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
            self.file_pin(number);
            let info = self.info(number).map(Arc::new);
            self.feeds.entry(id).or_default().open = info.map(|info| (number, info));
            self.counts.communities += 1;
            self.sync_all_excluded(number, &mut Told::nobody());
        }
    }

    /// Whether each post is held; and where it is, place by place.
    fn derive_held(&mut self) -> Result<Vec<Standing>, String> {
        let horizon = self.horizon_millis();
        // Nearly every post stands in one feed.
        let mut standings = Vec::with_capacity(self.posts.numbers());
        for number in 0..self.posts.restored() {
            let author = self.posts.author(number);
            let deleted_at = self.people[author].account().deleted_at;
            let held = self.posts.place_at(number, 0).is_some()
                && deleted_at.is_none_or(|deleted_at| self.posts.rev(number).time() > deleted_at)
                && self.posts.time_millis(number) >= horizon;
            let before = standings.len();
            let places = (0..).map_while(|at| self.posts.place_at(number, at)).filter(|_| held);
            for place in places.filter(|place| place.position != Place::NOWHERE) {
                let waits = place.position != Place::IN_RING;
                standings.push(Standing { id: place.id, author, waits, number });
            }
            if held && standings.len() == before {
                return Err(format!("post {number} stands nowhere, and was not forgotten"));
            }
            self.posts.derive_held(number, held);
        }
        Ok(standings)
    }

    /// The lists of all authors in all feeds: one after the other, for a look-up for each post would cost more.
    fn derive_authors(&mut self, mut standings: Vec<Standing>) -> Result<(), String> {
        standings.sort_unstable();
        for of_author in standings.chunk_by(|a, b| (a.id, a.author) == (b.id, b.author)) {
            self.derive_author(of_author)?;
        }
        Ok(())
    }

    /// One author in one feed: shown while a member with an active account.
    fn derive_author(&mut self, standings: &[Standing]) -> Result<(), String> {
        let [Standing { id, author: did, .. }, ..] = *standings else { return Ok(()) };
        let in_ring = standings.partition_point(|standing| !standing.waits);
        let (community, shown) = self.served_and_shown(id, did);
        if community.is_none() && in_ring > 0 {
            return Err(format!("{} is in the ring of {id}, which is not served", self.people[did].did));
        }
        if shown && in_ring < standings.len() {
            return Err(format!("{} is shown in {id}, and waits there", self.people[did].did));
        }
        for (position, standing) in standings.iter().enumerate() {
            let ring = community.filter(|_| !standing.waits).map(|community| (&self.communities[community], shown));
            self.posts.derive_place(standing.number, id, position, ring);
        }
        let posts = standings.iter().map(|standing| standing.number).collect();
        self.feeds.entry(id).or_default().authors.insert(did, Author { shown, in_ring, posts });
        self.people[did].feeds.push(id);
        self.counts.places += standings.len();
        self.counts.in_rings += in_ring;
        Ok(())
    }

    /// The community that is served here, and whether somebody is shown in it.
    fn served_and_shown(&self, id: CommunityId, did: DidIndex) -> (Option<u32>, bool) {
        let community = self.feeds.get(&id).and_then(|feed| feed.open.as_ref()).map(|&(community, _)| community);
        let is_member = community.is_some_and(|community| self.is_member(community, did));
        (community, is_member && self.people[did].is_active())
    }

    /// Those who are shown without a post.
    fn derive_silent(&mut self, silent: &[(CommunityId, DidIndex)]) -> Result<(), String> {
        for &(id, did) in silent {
            let (_, shown) = self.served_and_shown(id, did);
            let author = Author { shown, in_ring: 0, posts: Vec::new() };
            let before = self.feeds.entry(id).or_default().authors.insert(did, author);
            if !shown || before.is_some() {
                return Err(format!("{} is not shown in {id}, or is there twice", self.people[did].did));
            }
            self.people[did].feeds.push(id);
        }
        Ok(())
    }
}

/// A post in one feed. They are sorted by feed, by author, and then those in the ring come first.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Standing {
    id: CommunityId,
    author: DidIndex,
    waits: bool,
    number: u32,
}
