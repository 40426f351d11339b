//! The plainest program that says what each feed is.
//!
//! In: frames of the stream, in any order, any number of times. Out: [`Model::feeds`], computed from nothing each
//! time. It is the oracle: the engine must say the same.
//!
//! ```text
//! frame ──frame──► Commit ──record──► Content ──receive──► every version of every record ──rules──► feeds
//! ```
//!
//! - `frame`: one JSON line of Jetstream v1 or v2, read slowly.
//! - `record`: what a record says, or why it is refused.
//! - `tag`: which community hashtags a post carries.
//! - `rules`: DESIGN §3, one function a rule, in its order.
//! - `mix`: mixed pages, from the same rules.
//!
//! Architecture Invariant: of the engine nothing is used but `atrarium::syntax`. No index, no increment, no cleverness:
//! a mistake here must not be the same mistake as there.
#![forbid(unsafe_code)]

mod frame;
mod record;
mod rules;
mod tag;

use std::collections::{BTreeMap, BTreeSet};

use atrarium::syntax::{Did, RecordKey, Tid, Time};

pub use frame::{Account, Commit, Event, Operation, parse};
pub use record::{Acceptance, Action, Config, Content, FeedMix, Membership, Post, Target, Verb, read};
pub use rules::mix::{Mixed, Reader};
pub use tag::tags_in_text;

/// The collections that are read; everything else is skipped.
pub const COLLECTIONS: [&str; 5] = [POST, CONFIG, MEMBERSHIP, ACCEPTANCE, ACTION];
/// Posts.
pub const POST: &str = "app.bsky.feed.post";
/// Configs of communities.
pub const CONFIG: &str = "net.atrarium.community.config";
/// Memberships.
pub const MEMBERSHIP: &str = "net.atrarium.community.membership";
/// Acceptances.
pub const ACCEPTANCE: &str = "net.atrarium.community.acceptance";
/// Moderation actions.
pub const ACTION: &str = "net.atrarium.moderation.action";

/// Something that is delivered to the model.
#[derive(Clone, Debug)]
pub enum Delivery<'a> {
    /// One line of Jetstream, v1 or v2.
    Frame(&'a str),
    /// A commit whose record is still JSON.
    Commit(Commit),
    /// A version whose record has been read already; `None` is a delete.
    Version {
        /// Which record.
        path: Path,
        /// Which version of it.
        rev: Tid,
        /// Stream time.
        witnessed: Time,
        /// Its content id.
        cid: Option<String>,
        /// What it says.
        content: Option<Content>,
    },
    /// An account's status.
    Account(Account),
    /// Nothing but stream time.
    Clock(Time),
}

/// The place of a record.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Path {
    /// One of [`COLLECTIONS`].
    pub collection: &'static str,
    /// The repository.
    pub did: Did,
    /// The record key.
    pub rkey: RecordKey,
}

impl Path {
    /// The record's AT-URI.
    pub fn uri(&self) -> String {
        format!("at://{}/{}/{}", self.did, self.collection, self.rkey)
    }
}

/// One version of one record.
#[derive(Clone, Debug)]
struct Version {
    witnessed: Time,
    cid: Option<String>,
    /// `None` where the version is a delete.
    content: Option<Content>,
}

/// That a config has carried a hashtag. Ordered by the hashtag's id, then as claims are: by date, then AT-URI.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Claim {
    id: String,
    witnessed: Time,
    config: String,
}

/// All that has been delivered.
#[derive(Clone, Debug, Default)]
pub struct Model {
    versions: BTreeMap<Path, BTreeMap<Tid, Version>>,
    accounts: BTreeMap<Did, Vec<Account>>,
    /// Every hashtag that any delivered version of a config has carried, and when it was witnessed.
    claims: BTreeSet<Claim>,
    latest: Option<Time>,
    refused: BTreeMap<&'static str, u64>,
}

impl Model {
    /// Nothing delivered yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes one delivery, whatever it is. What cannot be read is counted ([`Model::refused`]) and changes nothing
    /// but, where the frame tells it, the latest witnessed time.
    pub fn add(&mut self, delivery: Delivery<'_>) {
        match delivery {
            Delivery::Frame(line) => match frame::parse(line) {
                Ok((witnessed, event)) => {
                    self.witness(witnessed);
                    self.add_event(event);
                }
                Err(why) => self.refuse(why),
            },
            Delivery::Commit(commit) => self.add_event(Event::Commit(commit)),
            Delivery::Account(account) => self.add_event(Event::Account(account)),
            Delivery::Version { path, rev, witnessed, cid, content } => {
                self.witness(Some(witnessed));
                self.receive(path, rev, Version { witnessed, cid, content });
            }
            Delivery::Clock(time) => self.witness(Some(time)),
        }
    }

    /// The latest stream time of any delivery.
    pub fn latest_witnessed(&self) -> Option<Time> {
        self.latest
    }

    /// How many deliveries were refused, by reason.
    pub fn refused(&self) -> &BTreeMap<&'static str, u64> {
        &self.refused
    }

    fn add_event(&mut self, event: Event) {
        match event {
            Event::Commit(commit) => {
                self.witness(Some(commit.witnessed));
                if let Some(&collection) = COLLECTIONS.iter().find(|known| **known == commit.collection) {
                    self.add_commit(collection, commit);
                }
            }
            Event::Account(account) => {
                self.witness(Some(account.witnessed));
                self.accounts.entry(account.did.clone()).or_default().push(account);
            }
            Event::Other => {}
        }
    }

    fn add_commit(&mut self, collection: &'static str, commit: Commit) {
        let content = match (commit.operation, &commit.record) {
            (Operation::Delete, _) => None,
            (Operation::Put, None) => return self.refuse("malformed"),
            (Operation::Put, Some(value)) => match record::read(collection, value) {
                Ok(content) => Some(content),
                Err(why) => return self.refuse(why),
            },
        };
        let path = Path { collection, did: commit.did, rkey: commit.rkey };
        let cid = if content.is_some() { commit.cid } else { None };
        self.receive(path, commit.rev, Version { witnessed: commit.witnessed, cid, content });
    }

    /// One version is kept for each rev: witnessed the least, and where the content differs (a forged repeat, or two
    /// operations on one path in one commit) a delete, else the greater cid, else the greater content. So no order of
    /// arrival matters.
    fn receive(&mut self, path: Path, rev: Tid, version: Version) {
        let rank =
            |version: &Version| (version.content.is_none(), version.cid.clone(), format!("{:?}", version.content));
        if let Some(Content::Config(config)) = &version.content {
            let (id, witnessed) = (config.id.clone(), version.witnessed);
            self.claims.insert(Claim { id, witnessed, config: path.uri() });
        }
        let versions = self.versions.entry(path).or_default();
        match versions.get_mut(&rev) {
            None => {
                versions.insert(rev, version);
            }
            Some(known) => {
                let witnessed = known.witnessed.min(version.witnessed);
                if rank(&version) > rank(known) {
                    *known = version;
                }
                known.witnessed = witnessed;
            }
        }
    }

    fn witness(&mut self, time: Option<Time>) {
        self.latest = self.latest.max(time);
    }

    fn refuse(&mut self, why: &'static str) {
        *self.refused.entry(why).or_default() += 1;
    }
}
