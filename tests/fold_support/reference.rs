//! The rules of DESIGN §3 in their plainest form: all feeds, computed anew from the set of all facts.
//!
//! Nothing is kept up to date, nothing is fast, and names are strings. Where this and the fold differ, one of them
//! misreads a rule.

use std::collections::{BTreeMap, BTreeSet};

use atrarium::community::{Day, Lineage, Milestone};
use atrarium::fact::{AccessType, Account, Body, Collection, CommunityId, Config, Fact, Record, Stage, Target, Verb};
use atrarium::syntax::{Tid, Time};

use super::{DAY, MINUTE};

/// did, collection, rkey.
type Name = (String, Collection, String);

/// One version of a record.
#[derive(Clone)]
struct Version {
    rev: Tid,
    witnessed: i64,
    cid: String,
    body: Body,
}

impl Version {
    fn rev_time(&self) -> i64 {
        self.rev.time().micros()
    }

    fn made(&self) -> i64 {
        self.rev_time().max(self.witnessed - 5 * MINUTE).min(self.witnessed)
    }

    fn is_put(&self) -> bool {
        !matches!(self.body, Body::Deleted(_))
    }

    /// Which of two contents of one rev counts: the greater.
    fn rank(&self) -> (bool, String, String) {
        if self.is_put() {
            (false, self.cid.clone(), format!("{:?}", self.body))
        } else {
            (true, String::new(), String::new())
        }
    }

    fn config(&self) -> Option<&Config> {
        if let Body::Config(config) = &self.body { Some(config) } else { None }
    }
}

/// All versions of all records, and all that accounts have said.
#[derive(Default)]
pub struct Reference {
    records: BTreeMap<Name, BTreeMap<Tid, Version>>,
    /// hashtag → (date, config URI), the least date of each.
    claims: BTreeMap<CommunityId, BTreeMap<String, i64>>,
    accounts: Vec<Account>,
    /// Every delivery of a record, for what is a minimum over all of them.
    told: Vec<(Name, Version)>,
}

fn uri_of(name: &Name) -> String {
    format!("at://{}/{}/{}", name.0, name.1.nsid(), name.2)
}

impl Reference {
    pub fn new<'a>(facts: impl IntoIterator<Item = &'a Fact>) -> Self {
        let mut all = Self::default();
        for fact in facts {
            match fact {
                Fact::Record(record) => all.add(record),
                Fact::Account(account) => all.accounts.push(account.clone()),
                _ => {}
            }
        }
        all
    }

    fn add(&mut self, record: &Record) {
        let name = (record.did.to_string(), record.body.collection(), record.rkey.to_string());
        let new = Version {
            rev: record.rev.tid(),
            witnessed: record.witnessed.micros(),
            cid: record.cid.as_ref().map(ToString::to_string).unwrap_or_default(),
            body: record.body.clone(),
        };
        if let Some(config) = new.config() {
            let claim = self.claims.entry(config.id).or_default().entry(uri_of(&name)).or_insert(i64::MAX);
            *claim = (*claim).min(new.witnessed);
        }
        self.told.push((name.clone(), new.clone()));
        let versions = self.records.entry(name).or_default();
        let known = versions.entry(new.rev).or_insert_with(|| new.clone());
        let witnessed = known.witnessed.min(new.witnessed);
        if new.rank() > known.rank() {
            *known = new;
        }
        known.witnessed = witnessed;
    }

    fn deleted_at(&self, did: &str) -> Option<i64> {
        let deletions = self.accounts.iter().filter(|account| {
            account.did.as_str() == did && !account.active && account.status.as_deref() == Some("deleted")
        });
        deletions.map(|account| account.time.micros()).max()
    }

    fn is_ended(&self, did: &str, version: &Version) -> bool {
        self.deleted_at(did).is_some_and(|deleted_at| version.rev_time() <= deleted_at)
    }

    fn is_active(&self, did: &str) -> bool {
        let of_did = self.accounts.iter().filter(|account| account.did.as_str() == did);
        of_did.max_by_key(|account| (account.time, !account.active)).is_none_or(|account| account.active)
    }

    /// The winning version of a record, while it is a put that is not ended.
    fn live(&self, name: &Name) -> Option<&Version> {
        let winning = self.records.get(name)?.values().next_back()?;
        (winning.is_put() && !self.is_ended(&name.0, winning)).then_some(winning)
    }

    fn live_of(&self, collection: Collection) -> Vec<(&Name, &Version)> {
        let names = self.records.keys().filter(|name| name.1 == collection);
        names.filter_map(|name| Some((name, self.live(name)?))).collect()
    }

    fn config_name(uri: &str) -> Option<Name> {
        let mut parts = uri.strip_prefix("at://")?.split('/');
        let (did, collection, rkey) = (parts.next()?, parts.next()?, parts.next()?);
        let is_config = collection == Collection::Config.nsid() && did.starts_with("did:");
        is_config.then(|| (did.to_owned(), Collection::Config, rkey.to_owned()))
    }

    fn in_force(&self, community: &Name, moment: i64) -> Option<&Config> {
        let versions = self.records.get(community)?.values().rev();
        let version = versions.into_iter().find(|version| version.made() <= moment)?;
        let gone = self.deleted_at(&community.0).is_some_and(|t| moment >= t && version.rev_time() <= t);
        if gone { None } else { version.config() }
    }

    fn has_authority(&self, did: &str, community: &Name, moment: i64) -> bool {
        let names = |config: &Config| config.moderators.iter().any(|moderator| moderator.as_str() == did);
        if community.0 == did {
            return true;
        }
        let Some(config) = self.in_force(community, moment) else { return false };
        if names(config) {
            return true;
        }
        if config.stage != Stage::Theme {
            return false;
        }
        let Some(parent) = config.parent.as_ref().and_then(|uri| Self::config_name(uri.as_str())) else { return false };
        let Some(above) = self.in_force(&parent, moment) else { return false };
        above.stage == Stage::Graduated && (parent.0 == did || names(above))
    }

    /// The latest action with authority on a target decides.
    fn is_moderated(&self, community: &Name, target: &Target) -> bool {
        let mut latest: Option<((i64, Tid, String), Verb)> = None;
        for (name, version) in self.live_of(Collection::Action) {
            let Body::Action(action) = &version.body else { continue };
            let fits = matches!(
                (action.verb, &action.target),
                (Verb::HidePost | Verb::UnhidePost, Target::Record(_))
                    | (Verb::BlockUser | Verb::UnblockUser, Target::Account(_))
            );
            let here = action.community.to_string() == uri_of(community);
            let order = (version.made(), version.rev, uri_of(name));
            if fits
                && here
                && action.target == *target
                && self.has_authority(&name.0, community, version.made())
                && latest.as_ref().is_none_or(|(before, _)| *before < order)
            {
                latest = Some((order, action.verb));
            }
        }
        latest.is_some_and(|(_, verb)| matches!(verb, Verb::HidePost | Verb::BlockUser))
    }

    pub fn is_member(&self, community: &Name, did: &str) -> bool {
        if community.0 == did {
            return true;
        }
        let here = uri_of(community);
        let joined = self.live_of(Collection::Membership).into_iter().any(|(name, version)| {
            let Body::Membership(membership) = &version.body else { return false };
            name.0 == did && membership.active && membership.community.to_string() == here
        });
        let blocked = self.is_moderated(community, &Target::Account(super::did(did)));
        joined && !blocked && self.is_admitted(community, did)
    }

    /// Whether the config in force asks for no acceptance, or there is one.
    fn is_admitted(&self, community: &Name, did: &str) -> bool {
        let here = uri_of(community);
        let invite_only = self
            .live(community)
            .and_then(Version::config)
            .is_some_and(|config| config.access == AccessType::InviteOnly);
        let accepted = self.live_of(Collection::Acceptance).into_iter().any(|(name, version)| {
            let Body::Acceptance(acceptance) = &version.body else { return false };
            acceptance.subject.as_str() == did
                && acceptance.community.to_string() == here
                && self.has_authority(&name.0, community, version.made())
        });
        accepted || !invite_only
    }

    /// The served hashtags, each with its config.
    pub fn served(&self) -> BTreeMap<CommunityId, Name> {
        let owner = |claims: &BTreeMap<String, i64>| {
            let least = claims.iter().min_by_key(|(uri, date)| (**date, (*uri).clone())).expect("a claim");
            Self::config_name(least.0).expect("a config")
        };
        let owners = self.claims.iter().map(|(&id, claims)| (id, owner(claims)));
        let carries = |id, name: &Name| self.live(name).and_then(Version::config).is_some_and(|config| config.id == id);
        owners.filter(|(id, name)| carries(*id, name)).collect()
    }

    /// What each served feed keeps out: the posts that it hides, the accounts that it blocks.
    pub fn excluded(&self) -> BTreeMap<CommunityId, BTreeSet<String>> {
        let targets: BTreeSet<Target> = self
            .live_of(Collection::Action)
            .into_iter()
            .filter_map(|(_, version)| if let Body::Action(action) = &version.body { Some(action) } else { None })
            .map(|action| action.target.clone())
            .collect();
        let excluded = |community: &Name| {
            let is_out = |target: &&Target| match target {
                Target::Account(did) if did.as_str() == community.0 => false,
                Target::Record(uri) if uri.collection.as_str() != Collection::Post.nsid() => false,
                target => self.is_moderated(community, target),
            };
            let name = |target: &Target| match target {
                Target::Account(did) => did.to_string(),
                Target::Record(uri) => uri.to_string(),
            };
            targets.iter().filter(is_out).map(name).collect()
        };
        self.served().into_iter().map(|(id, community)| (id, excluded(&community))).collect()
    }

    /// The parent of each served feed: another one that is served, and graduated.
    pub fn parents(&self) -> BTreeMap<CommunityId, Option<CommunityId>> {
        let served = self.served();
        let config = |name: &Name| self.live(name).and_then(Version::config);
        let parent = |community: &Name| {
            let parent = Self::config_name(config(community)?.parent.as_ref()?.as_str())?;
            let above = config(&parent).filter(|above| above.stage == Stage::Graduated)?;
            (parent != *community && served.get(&above.id) == Some(&parent)).then_some(above.id)
        };
        served.iter().map(|(&id, community)| (id, parent(community))).collect()
    }

    /// The later claimants of a hashtag, first claim first.
    pub fn contested(&self, id: CommunityId) -> Vec<String> {
        let mut claims: Vec<_> = self.claims[&id].iter().map(|(uri, date)| (*date, uri.clone())).collect();
        claims.sort();
        claims.into_iter().skip(1).map(|(_, uri)| uri).collect()
    }

    /// The members of a community among all who ever did anything.
    pub fn members(&self, community: &Name) -> usize {
        let mut dids: BTreeSet<&str> = self.records.keys().map(|name| name.0.as_str()).collect();
        dids.insert(&community.0);
        dids.into_iter().filter(|did| self.is_member(community, did)).count()
    }

    /// Every served feed at a moment, newest first.
    pub fn feeds(&self, now: i64) -> BTreeMap<CommunityId, Vec<String>> {
        self.served().into_iter().map(|(id, community)| (id, self.feed(id, &community, now))).collect()
    }

    fn feed(&self, id: CommunityId, community: &Name, now: i64) -> Vec<String> {
        let young = |(millis, uri): (i64, String)| (now - millis * 1000 < 7 * DAY).then_some(uri);
        self.feed_with_times(id, community).into_iter().rev().filter_map(young).collect()
    }

    /// What is visible but for its age, oldest first.
    fn feed_with_times(&self, id: CommunityId, community: &Name) -> Vec<(i64, String)> {
        let mut feed = Vec::new();
        for (name, version) in self.live_of(Collection::Post) {
            let Body::Post(post) = &version.body else { continue };
            let created = post.created.map(|created| created.micros()).filter(|&created| created > 0);
            let time = version.rev_time().min(version.witnessed).min(created.unwrap_or(i64::MAX));
            let millis = time.div_euclid(1000);
            let target = Target::Record(super::post_uri(&name.0, &name.2));
            if post.tags.contains(&id)
                && self.is_active(&name.0)
                && self.is_member(community, &name.0)
                && !self.is_moderated(community, &target)
            {
                feed.push((millis, uri_of(name)));
            }
        }
        feed.sort();
        feed
    }

    /// What is told of a community beyond retention, where nothing was evicted yet.
    pub fn lineage(&self, id: CommunityId, community: &Name, now: i64) -> Lineage {
        let founded = self.told.iter().filter(|(name, version)| name == community && version.config().is_some());
        let founded = founded.map(|(_, version)| version.made()).min();
        let joins = self.first_joins(community);
        let posts: Vec<i64> =
            self.feed_with_times(id, community).into_iter().map(|(millis, _)| millis * 1000).collect();
        let time = Time::from_micros;
        let mut milestones = Vec::new();
        for members in [1, 10, 50, 100, 500, 1000, 5000, 10_000, 50_000, 100_000] {
            let mut dates: Vec<i64> = joins.iter().map(|&joined| joined.max(founded.expect("a config"))).collect();
            dates.extend(founded);
            dates.sort_unstable();
            if let Some(&date) = dates.get(members - 1) {
                milestones.push(Milestone { members, reached: Some(time(date)) });
            }
        }
        let mut days: BTreeMap<i64, (u32, u32)> = BTreeMap::new();
        posts.iter().for_each(|at| days.entry(at.div_euclid(DAY)).or_default().0 += 1);
        joins.iter().for_each(|at| days.entry(at.div_euclid(DAY)).or_default().1 += 1);
        days.retain(|day, _| now.div_euclid(DAY) - day < 400);
        let daily = days.into_iter().map(|(day, (posts, joins))| {
            let day = time(day * DAY).to_string()[..10].to_owned();
            Day { day, posts, joins }
        });
        Lineage {
            founded: founded.map(time),
            first_post: posts.iter().min().map(|&first| time(first)),
            first_join: joins.iter().min().map(|&first| time(first)),
            milestones,
            daily: daily.collect(),
        }
    }

    /// The least made of any active version of any membership, for each account that counts.
    fn first_joins(&self, community: &Name) -> Vec<i64> {
        let here = uri_of(community);
        let mut first: BTreeMap<&str, i64> = BTreeMap::new();
        for (name, version) in &self.told {
            let Body::Membership(membership) = &version.body else { continue };
            if membership.active && membership.community.to_string() == here && name.0 != community.0 {
                let date = first.entry(&name.0).or_insert(i64::MAX);
                *date = (*date).min(version.made());
            }
        }
        first.into_iter().filter(|(did, _)| self.is_admitted(community, did)).map(|(_, date)| date).collect()
    }

    /// The AT-URIs of all post records.
    pub fn posts(&self) -> Vec<String> {
        self.records.keys().filter(|name| name.1 == Collection::Post).map(uri_of).collect()
    }
}
