//! People: every DID that a fact has named, and the state of its account.
//!
//! In: account facts. Out: whether an account is active, and which of its records its deletion has ended.
//!
//! A return from `desynchronized` is a gap that the fold finds by itself: both ends of it are account facts.
//!
//! What always holds: the state is that of the greatest inner time (on a tie inactive wins), and `deleted_at` only
//! rises, so both are the same in every order of arrival.
//!
//! Who is named by nothing and has no state worth keeping is forgotten in time (`sweep`).

use std::hint::black_box;
use std::ops::{Index, IndexMut};

use xxhash_rust::xxh3::xxh3_64;

use super::Fold;
use super::few::Few;
use super::index::Index as Numbers;
use super::names::DidIndex;
use super::told::Told;
use crate::fact::{Account, CommunityId, Gap, GapReason};
use crate::syntax::{Did, Time};

/// What is known of one DID.
#[derive(Debug)]
pub(super) struct Person {
    pub did: Did,
    /// What account events said. Of nearly everybody nothing was heard.
    account: Option<Box<AccountPast>>,
    /// The feeds that hold a post of theirs, or where the view has been told that they are shown.
    pub feeds: Few<CommunityId>,
    pub tally: Tally,
}

const _: () = assert!(size_of::<Option<Person>>() == 64, "everybody who writes is one");

/// What account events have said of an account.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct AccountPast {
    /// What the latest one said; nothing heard counts as active.
    pub state: Option<AccountState>,
    /// The latest moment at which the account was deleted. Records whose rev is not later are ended for good.
    pub deleted_at: Option<Time>,
    /// The latest moment at which the account was desynchronized: what it wrote meanwhile may be missing.
    pub desynchronized_at: Option<Time>,
}

/// How much there is of what is bounded for each DID.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Tally {
    /// Membership records.
    pub memberships: u32,
    /// Communities ever joined, as statistics know them.
    pub joins: u32,
    /// Config records.
    pub configs: u32,
    /// Hashtags claimed by them.
    pub claims: u32,
    /// Actions and acceptances without effect.
    pub idle_rulings: u32,
}

impl Person {
    /// Somebody of whose account so much is known.
    pub fn new(did: Did, account: AccountPast) -> Self {
        let account = (account != AccountPast::default()).then(|| Box::new(account));
        Self { did, account, feeds: Few::None, tally: Tally::default() }
    }

    /// What account events have said.
    pub fn account(&self) -> &AccountPast {
        const NOTHING: &AccountPast = &AccountPast { state: None, deleted_at: None, desynchronized_at: None };
        self.account.as_deref().unwrap_or(NOTHING)
    }

    /// Whether the account's records are to be shown.
    pub fn is_active(&self) -> bool {
        self.account().state.is_none_or(|state| state.active)
    }

    /// Whether the account was desynchronized once, and is active again.
    pub fn is_back(&self) -> bool {
        let AccountPast { state, desynchronized_at, .. } = self.account();
        desynchronized_at.zip(*state).is_some_and(|(before, state)| state.active && state.time > before)
    }
}

/// The last word on an account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct AccountState {
    /// The inner time of the event.
    pub time: Time,
    pub active: bool,
}

/// All of them, by number.
#[derive(Debug, Default)]
pub(super) struct People {
    index: Numbers,
    rows: Vec<Option<Person>>,
    free: Vec<DidIndex>,
}

const LIVES: &str = "invariant: nobody is forgotten while something names them";

fn hash_of(did: &Did) -> u64 {
    xxh3_64(did.as_str().as_bytes())
}

impl People {
    pub fn find(&self, did: &Did) -> Option<DidIndex> {
        let is_it = |number: u32| self[DidIndex(number)].did == *did;
        self.index.find(hash_of(did), is_it).map(DidIndex)
    }

    pub fn find_or_add(&mut self, did: &Did) -> DidIndex {
        if let Some(known) = self.find(did) {
            return known;
        }
        let number = self.free.pop().unwrap_or_else(|| {
            self.rows.push(None);
            DidIndex(u32::try_from(self.rows.len() - 1).expect("invariant: memory ends before 2^32 DIDs"))
        });
        self.index.insert(hash_of(did), number.0);
        self.rows[number.0 as usize] = Some(Person::new(did.clone(), AccountPast::default()));
        number
    }

    /// Whom an account fact or a record of each of these DIDs will ask for, as far as that can be told without looking at all:
    /// reads ahead for [`People::find`] (`warm`).
    pub fn warm<'a>(&self, dids: impl Iterator<Item = &'a Did>, found: &mut Vec<u32>) {
        found.clear();
        self.index.warm(dids.map(hash_of), found);
        let rows = || found.iter().filter_map(|&number| self.rows.get(number as usize)?.as_ref());
        black_box(rows().filter(|person| person.account.is_some()).count());
        black_box(rows().map(|person| usize::from(person.did.as_str().as_bytes()[0])).sum::<usize>());
    }

    /// Adds somebody of a snapshot; `None` where they are known.
    pub fn restore(&mut self, person: Person) -> Option<()> {
        let number = u32::try_from(self.rows.len()).ok()?;
        if self.find(&person.did).is_some() {
            return None;
        }
        self.index.insert(hash_of(&person.did), number);
        self.rows.push(Some(person));
        Some(())
    }

    /// All of them, in order of their numbers.
    pub fn iter(&self) -> impl Iterator<Item = (DidIndex, &Person)> {
        (0..).map(DidIndex).zip(&self.rows).filter_map(|(number, row)| Some((number, row.as_ref()?)))
    }

    pub fn len(&self) -> usize {
        self.index.len()
    }

    /// How many numbers were ever used: all are less.
    pub fn numbers(&self) -> usize {
        self.rows.len()
    }

    /// Forgets everybody whom `is_needed` does not want to keep.
    pub fn retain(&mut self, mut is_needed: impl FnMut(DidIndex, &Person) -> bool) {
        for (number, row) in (0..).map(DidIndex).zip(&mut self.rows) {
            if let Some(person) = row.take_if(|person| !is_needed(number, person)) {
                self.index.remove(hash_of(&person.did), number.0);
                self.free.push(number);
            }
        }
    }
}

impl Index<DidIndex> for People {
    type Output = Person;
    fn index(&self, did: DidIndex) -> &Person {
        self.rows[did.0 as usize].as_ref().expect(LIVES)
    }
}

impl IndexMut<DidIndex> for People {
    fn index_mut(&mut self, did: DidIndex) -> &mut Person {
        self.rows[did.0 as usize].as_mut().expect(LIVES)
    }
}

impl Fold {
    /// An account's status: shows or hides what its owner wrote, and may end it.
    pub(super) fn apply_account(&mut self, account: &Account, out: &mut Told<'_>) {
        let did = self.people.find_or_add(&account.did);
        let person = &mut self.people[did];
        let (was_active, was_back) = (person.is_active(), person.is_back());
        let past = person.account.get_or_insert_default();
        let newer = past.state.is_none_or(|state| (state.time, !state.active) < (account.time, !account.active));
        if newer {
            past.state = Some(AccountState { time: account.time, active: account.active });
        }
        if account.status.as_deref() == Some("desynchronized") {
            past.desynchronized_at = past.desynchronized_at.max(Some(account.time));
        }
        let deleted = !account.active && account.status.as_deref() == Some("deleted");
        let ends = deleted && past.deleted_at.is_none_or(|before| before < account.time);
        if ends {
            past.deleted_at = Some(account.time);
        }
        let is_back = person.is_back();
        if is_back && !was_back {
            let (witnessed, host, did) = (account.witnessed, account.host.clone(), Some(account.did.clone()));
            self.stream.gap(&Gap { witnessed, host, did, reason: GapReason::Desynchronized });
        }
        if self.people[did].is_active() != was_active {
            let feeds = self.people[did].feeds.clone();
            for &id in &*feeds {
                self.sync_author(id, did, out);
            }
        }
        if ends {
            self.end_records(did, out);
        }
        if ends || self.people[did].is_active() != was_active {
            self.sync_pins_of(&account.did, out);
        }
    }

    /// Judges every record of a repository again, after its account's deletion has ended some.
    fn end_records(&mut self, did: DidIndex, out: &mut Told<'_>) {
        self.end_posts(did, out);
        for membership in self.memberships.of(did) {
            self.refresh_membership(membership, None, out);
        }
        for ruling in self.rulings.of(did) {
            self.refresh_ruling(ruling, None, out);
        }
        for community in self.communities.of(did) {
            self.config_changed(community, out);
        }
    }
}
