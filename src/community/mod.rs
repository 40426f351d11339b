//! The fold: the rules of communities (DESIGN §3), as a function of the log.
//!
//! In: facts, in the order of the log. Out: changes, by which the view shows what the rules say.
//!
//! ```text
//!           records (who said what)             derived                     told to the view
//! Fact ──►  posts        one version each   ──────────────────────────►  feeds: shown authors,
//!           configs      all versions       ──► claims, owners     ──►   in the ring or waiting,    ──► Change
//!           rulings      one version each   ──► dockets: what decides ►  hidden or not
//!           memberships  one version each   ──► standings: members ──►
//!           people       account states     ──────────────────────────►
//! ```
//!
//! A fact changes one record. What is derived from that record is judged again, and a `sync_…` compares what should
//! be shown with what the view was told, and tells the difference. So each step can be repeated without harm, and a
//! rare event (a config, the deletion of an owner's account) simply repeats all steps of its community.
//!
//! What always holds:
//! - **No clock, no I/O, no randomness**: time enters as [`Fact::Clock`]. The same facts give the same changes.
//! - **Convergent**: records merge by a total order (`version`), everything derived is a function of the records, and
//!   what is told is a function of both. So the same commits end in the same feeds, in every order and with every
//!   duplication, read at a moment that no clock fact is after.
//! - [`Change::Author`], [`Change::Insert`], [`Change::Remove`], [`Change::Hide`], [`Change::Retag`] and
//!   [`Change::Exclude`] name a feed that is open; a post is inserted at most once before it is removed or evicted. An
//!   author of whom no post is known is not mentioned.
//! - A post, a membership, an action or an account event costs what it affects, not what is known.
//!
//! Where to read on: `told` who listens · `version` which version counts · `config` claims and configs · `authority` who may moderate ·
//! `rulings` actions and acceptances · `standing` members · `people` accounts · `posts` posts, eviction (`index`, `due`) ·
//! `feeds` the rings · `pins` pinned posts · `sharing` what communities show of others · `stream` cursors, gaps · `bounds` what is given up where
//! there is too much, `room` and `sweep` how · `lineage` what outlives retention · `show` the whole view at once ·
//! `snapshot` the whole state as bytes · `explain`, `summary` questions of operators · `inquiry` how other threads ask them ·
//! `warm` how facts that come by the thousand are folded faster.
#![forbid(unsafe_code)]

mod authority;
mod bounds;
mod config;
mod due;
mod explain;
mod feeds;
mod few;
mod index;
pub mod inquiry;
mod known;
mod lineage;
mod names;
mod people;
mod pins;
mod posts;
mod room;
mod rulings;
mod sharing;
mod show;
mod snapshot;
mod standing;
mod stream;
mod summary;
mod sweep;
mod told;
mod version;
mod warm;

pub use bounds::Bounds;
pub use explain::{Explanation, Rule, Unexplained, Verdict};
pub use lineage::{Day, Lineage, Milestone};
pub use snapshot::Restoring;
pub use summary::{Stats, Summary};

use rustc_hash::FxHashMap;
use told::Told;

use crate::fact::{Body, Change, Collection, CommunityId, Fact, Record};
use crate::filter::Orphans;
use crate::syntax::{Fingerprint, Orphan};

/// All state there is: the result of a log so far.
#[derive(Debug, Default)]
pub struct Fold {
    people: people::People,
    posts: posts::Posts,
    communities: names::Table<names::Key, config::Community>,
    memberships: names::Table<names::Key, standing::MembershipRow>,
    rulings: names::Table<rulings::RulingKey, rulings::Ruling>,
    feeds: FxHashMap<CommunityId, feeds::Feed>,
    pins: pins::Pins,
    filings: explain::Filings,
    stream: stream::Stream,
    /// Nothing here asks them: they are kept for the sieve, over a restart.
    orphans: Orphans,
    counts: summary::Counts,
    /// Memberships and rulings that say nothing any more.
    dead_memberships: names::Dead<names::Key>,
    dead_rulings: names::Dead<rulings::RulingKey>,
    bounds: Bounds,
    reached: bounds::Reached,
    /// How many names there must be for the next sweep.
    sweep_at: usize,
}

impl Fold {
    /// The fold of an empty log.
    pub fn new() -> Self {
        Self::default()
    }

    /// The fold of an empty log that holds no more than `bounds`. Two folds agree only where their bounds do.
    pub fn with_bounds(bounds: Bounds) -> Self {
        Self { bounds, ..Self::default() }
    }

    /// Folds one fact, and appends to `out` exactly what it changes for readers; often nothing.
    pub fn apply(&mut self, fact: &Fact, out: &mut Vec<Change>) {
        self.apply_and_tell(fact, &mut Told::to(out));
    }

    /// Folds facts where nobody reads yet: [`Fold::show`] tells the view everything at the end.
    pub fn apply_untold(&mut self, facts: &[Fact]) {
        let mut room = warm::Warm::default();
        for run in facts.chunks(warm::RUN) {
            self.warm(run, &mut room);
            run.iter().for_each(|fact| self.apply_and_tell(fact, &mut Told::nobody()));
        }
    }

    fn apply_and_tell(&mut self, fact: &Fact, out: &mut Told<'_>) {
        match fact {
            Fact::Record(record) => {
                self.stream.witness(record.witnessed);
                self.apply_record(record, out);
            }
            Fact::Account(account) => {
                self.stream.witness(account.witnessed);
                self.apply_account(account, out);
            }
            Fact::Cursor(cursor) => {
                self.stream.witness(cursor.time);
                self.stream.cursor(cursor);
            }
            Fact::Clock(now) => self.apply_clock(*now, out),
            Fact::Gap(gap) => {
                self.stream.witness(gap.witnessed);
                if gap.did.as_ref().is_none_or(|did| self.writes_here(did)) {
                    self.stream.gap(gap);
                }
            }
            Fact::Orphans(orphans) => {
                for &(fingerprint, orphan) in orphans {
                    self.stream.witness(orphan.witnessed);
                    self.orphans.remember(fingerprint, orphan);
                }
            }
        }
        self.make_room();
    }

    /// Deletes and untagged updates of posts that nobody knew, of the last 2 hours of the stream, in the order they came.
    pub fn orphans(&self) -> impl Iterator<Item = (Fingerprint, Orphan)> + '_ {
        self.orphans.iter()
    }

    fn apply_record(&mut self, record: &Record, out: &mut Told<'_>) {
        match &record.body {
            Body::Post(post) => self.apply_post(record, Some(post), out),
            Body::Config(config) => self.apply_config(record, Some(config), out),
            Body::Membership(membership) => self.apply_membership(record, Some(membership), out),
            Body::Acceptance(acceptance) => self.apply_acceptance(record, Some(acceptance), out),
            Body::Action(action) => self.apply_action(record, Some(action), out),
            Body::Deleted(Collection::Post) => self.apply_post(record, None, out),
            Body::Deleted(Collection::Config) => self.apply_config(record, None, out),
            Body::Deleted(Collection::Membership) => self.apply_membership(record, None, out),
            Body::Deleted(Collection::Acceptance) => self.apply_acceptance(record, None, out),
            Body::Deleted(Collection::Action) => self.apply_action(record, None, out),
        }
    }
}
