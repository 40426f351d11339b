//! The stream: how far it has been read, what time it is, and what it may have failed to tell.
//!
//! In: cursor, clock and gap facts; the witnessed time of every fact. Out: where to go on after a start.

use std::collections::{BTreeMap, VecDeque};

use super::Fold;
use super::people::Tally;
use crate::fact::{Cursor, Dialect, Gap, Host};
use crate::limits::GAPS_KEPT_MAX;
use crate::syntax::{Did, Time};

/// What is known of the stream itself.
#[derive(Debug, Default)]
pub(super) struct Stream {
    pub cursors: BTreeMap<(Host, Dialect), Cursor>,
    pub gaps: VecDeque<Gap>,
    pub gaps_seen: u64,
    pub latest_witnessed: Option<Time>,
    /// The greatest clock fact.
    pub clock: Option<Time>,
}

impl Stream {
    pub fn witness(&mut self, time: Time) {
        self.latest_witnessed = self.latest_witnessed.max(Some(time));
    }

    pub fn cursor(&mut self, cursor: &Cursor) {
        let known = self.cursors.entry((cursor.host.clone(), cursor.dialect)).or_insert_with(|| cursor.clone());
        if (known.time, known.value) < (cursor.time, cursor.value) {
            known.clone_from(cursor);
        }
    }

    pub fn gap(&mut self, gap: &Gap) {
        self.gaps_seen += 1;
        if self.gaps.len() == GAPS_KEPT_MAX {
            self.gaps.pop_front();
        }
        self.gaps.push_back(gap.clone());
    }
}

impl Fold {
    /// Whether anything that is kept is of this repository, or what it writes would count: else nothing of it can be missing
    /// that was ever here. Every new account of the network comes with a `#sync`: their gaps would push out those that matter.
    pub(super) fn writes_here(&self, did: &Did) -> bool {
        let has_records = self.people.find(did).map(|number| &self.people[number]).is_some_and(|person| {
            let Tally { memberships, joins: _, configs, claims, idle_rulings } = person.tally;
            !person.feeds.is_empty() || [memberships, configs, claims, idle_rulings].iter().any(|&count| count > 0)
        });
        let is_moderator = |number| self.live_config(number).is_some_and(|body| body.config.moderators.contains(did));
        has_records || self.communities.iter().any(|(number, _)| is_moderator(number))
    }

    /// The newest cursor overall, by stream time. On another host only its time is of use.
    pub fn cursor(&self) -> Option<&Cursor> {
        self.cursors().max_by_key(|cursor| (cursor.time, cursor.value))
    }

    /// The newest cursor of one host's stream in one dialect.
    pub fn cursor_of(&self, host: &Host, dialect: Dialect) -> Option<&Cursor> {
        self.stream.cursors.get(&(host.clone(), dialect))
    }

    /// The newest cursor of each host and dialect, by stream time and then by value: a host whose sequence numbers
    /// begin again goes on with the new ones.
    pub fn cursors(&self) -> impl Iterator<Item = &Cursor> {
        self.stream.cursors.values()
    }

    /// The latest witnessed time of any fact: what time it is offline.
    pub fn latest_witnessed(&self) -> Option<Time> {
        self.stream.latest_witnessed
    }

    /// The greatest clock fact.
    pub fn clock(&self) -> Option<Time> {
        self.stream.clock
    }

    /// The last gaps, oldest first, at most [`GAPS_KEPT_MAX`] of them.
    pub fn gaps(&self) -> impl ExactSizeIterator<Item = &Gap> {
        self.stream.gaps.iter()
    }

    /// How many gap facts there were.
    pub fn gaps_seen(&self) -> u64 {
        self.stream.gaps_seen
    }
}
