//! The sweep: DIDs and configs that were named once, and that nothing names any more, are forgotten.
//!
//! In: the state of the fold, when the clock moves and there are twice as many names as the sweep before has left.
//! Out: free numbers. No reader sees it, and no rule can tell, with one exception that is bounded: an *active* state of
//! an account of which nothing else is known goes when it is 2 hours old. It is needed only to win over an inactive
//! state of an earlier inner time that arrives later, and arrival is displaced by no more than that.

use super::Fold;
use super::names::DidIndex;
use super::people::Person;
use super::rulings::{RulingBody, Subject};
use crate::limits::DISPLACEMENT_MICROS;
use crate::syntax::Time;

/// Numbers that are needed.
struct Marks(Vec<bool>);

impl Marks {
    fn new(numbers: usize) -> Self {
        Self(vec![false; numbers])
    }

    fn mark(&mut self, number: u32) {
        self.0[number as usize] = true;
    }

    fn has(&self, number: u32) -> bool {
        self.0[number as usize]
    }
}

impl Fold {
    /// Sweeps, where there are enough names for it to be worth its while.
    pub(super) fn sweep(&mut self) {
        let least = self.bounds.names_sweep_min;
        if least > 0 && self.people.len() + self.communities.len() < self.sweep_at.max(least) {
            return;
        }
        self.sweep_communities();
        self.sweep_people();
        self.sweep_at = 2 * (self.people.len() + self.communities.len());
    }

    /// A config of which no version is known is needed while a record names it.
    fn sweep_communities(&mut self) {
        let mut needed = Marks::new(self.communities.numbers());
        let of_memberships =
            self.memberships.iter().filter_map(|(_, row)| row.version.body.as_ref()?.community.clone().ok());
        let of_rulings = self.rulings.iter().filter_map(|(_, row)| Some(place_of(row.version.body.as_ref()?)?.0));
        let of_parents = self.communities.iter().flat_map(|(_, row)| row.parents());
        of_memberships.chain(of_rulings).chain(of_parents).for_each(|number| needed.mark(number));
        self.feeds.values().flat_map(|feed| &feed.claims).for_each(|&(_, number)| needed.mark(number));

        let is_idle = |number: u32, row: &super::config::Community| {
            !needed.has(number) && !row.is_known() && row.standings.is_empty() && row.posts.is_empty()
        };
        let idle = self.communities.iter().filter(|(number, row)| is_idle(*number, row));
        for (owner, key) in idle.map(|(_, row)| (row.owner, row.key.clone())).collect::<Vec<_>>() {
            self.communities.remove(owner, &key);
        }
    }

    /// A DID is needed while a record is theirs or names them, or while their account has a state worth keeping.
    fn sweep_people(&mut self) {
        let mut needed = Marks::new(self.people.numbers());
        let mut mark = |did: DidIndex| needed.mark(did.0);
        self.posts.iter().for_each(|(_, row)| mark(row.author));
        self.memberships.iter().for_each(|(_, row)| mark(row.member));
        for (_, row) in self.rulings.iter() {
            mark(row.author);
            match row.version.body.as_ref().and_then(place_of) {
                Some((_, Subject::Post(did, _) | Subject::Block(did) | Subject::Acceptance(did))) => mark(*did),
                None => {}
            }
        }
        for (_, row) in self.communities.iter() {
            mark(row.owner);
            row.standings.keys().for_each(|&did| mark(did));
            row.posts.keys().for_each(|&(did, _)| mark(did));
        }
        self.feeds.values().flat_map(|feed| feed.authors.keys()).for_each(|&did| mark(did));

        let fresh_from = self.stream.clock.map(|clock| clock.plus_micros(-DISPLACEMENT_MICROS));
        self.people.retain(|did, person| needed.has(did.0) || has_state_to_keep(person, fresh_from));
    }
}

fn place_of(body: &RulingBody) -> Option<&(u32, Subject)> {
    body.place.as_ref().ok()
}

fn has_state_to_keep(person: &Person, fresh_from: Option<Time>) -> bool {
    let is_worth = |state: super::people::AccountState| !state.active || Some(state.time) >= fresh_from;
    let account = person.account();
    let is_away = account.desynchronized_at.is_some() && !person.is_back();
    account.deleted_at.is_some() || is_away || account.state.is_some_and(is_worth)
}
