//! Which facts are old news, so that a log need not keep them a second time.

use super::Fold;
use super::names::Key;
use super::rulings::RulingKey;
use super::version::Version;
use crate::fact::{Account, Body, Collection, Fact, Record};

impl Fold {
    /// Whether folding this fact would change nothing. Where that is hard to say the answer is no.
    pub fn is_known(&self, fact: &Fact) -> bool {
        match fact {
            Fact::Record(record) => self.is_known_record(record),
            Fact::Account(account) => self.is_known_account(account),
            Fact::Cursor(cursor) => {
                let known = self.cursor_of(&cursor.host, cursor.dialect);
                known.is_some_and(|known| (known.time, known.value) >= (cursor.time, cursor.value))
            }
            Fact::Clock(time) => self.clock().is_some_and(|clock| *time <= clock),
            Fact::Gap(_) => false,
            Fact::Orphans(orphans) => orphans.iter().all(|(post, orphan)| self.orphans.covers(*post, orphan)),
        }
    }

    fn is_known_record(&self, record: &Record) -> bool {
        let collection = record.body.collection();
        if collection == Collection::Post && record.rev.tid().time().millis() < self.horizon_millis() {
            return true;
        }
        let Some(did) = self.people.find(&record.did) else { return false };
        let key = Key::from(&record.rkey);
        match collection {
            Collection::Post => {
                self.posts.find(did, &key).is_some_and(|number| covers(&self.posts.row(number).version, record))
            }
            Collection::Membership => {
                let number = self.memberships.find(did, &key);
                number.is_some_and(|number| covers(&self.memberships[number].version, record))
            }
            Collection::Acceptance | Collection::Action => {
                let key = RulingKey { is_acceptance: collection == Collection::Acceptance, key };
                let number = self.rulings.find(did, &key);
                number.is_some_and(|number| covers(&self.rulings[number].version, record))
            }
            Collection::Config => self.is_known_config(record, did, &key),
        }
    }

    /// Every version of a config counts, not only the winning one.
    fn is_known_config(&self, record: &Record, did: super::names::DidIndex, key: &Key) -> bool {
        let Some(community) = self.communities.find(did, key) else { return false };
        let version = self.communities[community].version(record.rev.tid());
        let is_dated = match &record.body {
            Body::Config(config) => self.feeds.get(&config.id).is_some_and(|feed| {
                feed.claims.iter().any(|&(date, claimant)| claimant == community && date <= record.witnessed)
            }),
            _ => true,
        };
        is_dated && version.is_some_and(|version| covers(version, record))
    }

    fn is_known_account(&self, account: &Account) -> bool {
        let Some(did) = self.people.find(&account.did) else { return false };
        let person = self.people[did].account();
        let is_old = person.state.is_some_and(|state| (state.time, !state.active) >= (account.time, !account.active));
        let deletes = !account.active && account.status.as_deref() == Some("deleted");
        let is_dated =
            account.status.as_deref() != Some("desynchronized") || person.desynchronized_at >= Some(account.time);
        is_old && is_dated && (!deletes || person.deleted_at.is_some_and(|deleted_at| deleted_at >= account.time))
    }
}

/// Whether a commit on a record changes nothing beside the version that is known of it.
fn covers<B>(version: &Version<B>, record: &Record) -> bool {
    record.rev.tid() < version.rev || version.is_redelivered_by(record)
}
