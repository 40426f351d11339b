//! Communities: their configs, the claims these make, and who is served.
//!
//! In: commits on config records. Out: [`Change::Open`] and [`Change::Close`], and everything that a config decides
//! judged again.
//!
//! What always holds:
//! - all versions of a config are kept, so the one in force at any moment can be told;
//! - a claim's date only falls, and a claim is never released, so the owner of a hashtag is the same in every order;
//! - a feed is open exactly while the winning version of its owner's config is a put that carries its hashtag.
//!
//! Configs and claims of one DID, versions of one config, and claims of one hashtag are bounded (`bounds`).

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use rustc_hash::{FxHashMap, FxHashSet};

use super::Fold;
use super::lineage::Past;
use super::names::{DidIndex, Key};
use super::rulings::{Docket, Subject};
use super::standing::Standing;
use super::told::Told;
use super::version::Version;
use crate::fact::{Body, Collection, CommunityId, CommunityInfo, Config, Record, Stage};
use crate::syntax::{AtUri, Did, Nsid, RecordUri, Tid, Time};
use crate::telemetry::Bound;

/// One community: whatever any record says of one config's URI, known or not.
#[derive(Debug)]
pub(super) struct Community {
    /// The repository that holds the config.
    pub owner: DidIndex,
    pub key: Key,
    /// All versions of the config, by rev.
    pub versions: BTreeMap<Tid, Version<ConfigBody>>,
    /// The communities of which some version names this one as the parent.
    pub themes: BTreeSet<u32>,
    /// What memberships, acceptances and actions say of an account.
    pub standings: FxHashMap<DidIndex, Standing>,
    /// What actions say of a post.
    pub posts: FxHashMap<(DidIndex, Key), Docket>,
    /// The feed that the view shows for this community.
    pub open: Option<CommunityId>,
    /// Under whom it stands in `pins`.
    pub pins: Option<Did>,
    /// What is told of it beyond retention.
    pub past: Past,
    /// What the view was told to keep out of that feed.
    pub excluded: FxHashSet<Subject>,
}

/// What a version of a config says.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct ConfigBody {
    pub config: Arc<Config>,
    /// The community that `parentCommunity` names.
    pub parent: Option<u32>,
}

impl Community {
    pub fn new(owner: DidIndex, key: Key) -> Self {
        Self {
            owner,
            key,
            versions: BTreeMap::new(),
            themes: BTreeSet::new(),
            standings: FxHashMap::default(),
            posts: FxHashMap::default(),
            open: None,
            pins: None,
            past: Past::default(),
            excluded: FxHashSet::default(),
        }
    }

    /// Whether some version of the config is known.
    pub fn is_known(&self) -> bool {
        !self.versions.is_empty()
    }

    /// The communities that any version names as the parent.
    pub fn parents(&self) -> impl Iterator<Item = u32> {
        self.versions.values().filter_map(|version| version.body.as_ref()?.parent)
    }

    /// The version to give up where there are too many: one that gives the same authority as the one before it, in the
    /// order of revs and of the times they were made, and is not the winning one; else the oldest.
    fn spare_version(&self) -> Option<Tid> {
        let winning = self.winning()?.rev;
        let mut pairs = self.versions.values().zip(self.versions.values().skip(1));
        let idle = pairs.find(|(before, version)| {
            version.rev != winning && before.made() <= version.made() && before.gives_same_authority(version)
        });
        idle.map(|(_, version)| version.rev).or_else(|| self.versions.keys().next().copied())
    }

    /// The version of a rev.
    pub fn version(&self, rev: Tid) -> Option<&Version<ConfigBody>> {
        self.versions.get(&rev)
    }

    /// The version that counts now; it may be a delete.
    pub fn winning(&self) -> Option<&Version<ConfigBody>> {
        self.versions.values().next_back()
    }

    /// The version in force at a moment: the greatest rev among those made by then. A delete means none, and from the
    /// deletion of the owner's account on (`deleted_at`) what it ended is not in force.
    pub fn in_force(&self, moment: Time, deleted_at: Option<Time>) -> Option<&ConfigBody> {
        let version = self.versions.values().rev().find(|version| version.made() <= moment)?;
        version.live(deleted_at.filter(|&deleted_at| moment >= deleted_at))
    }

    /// Whether a moderator has hidden the post here.
    pub fn hides(&self, post: &(DidIndex, Key)) -> bool {
        self.posts.get(post).is_some_and(Docket::affirms)
    }
}

impl Version<ConfigBody> {
    fn gives_same_authority(&self, other: &Self) -> bool {
        match (&self.body, &other.body) {
            (None, None) => true,
            (Some(a), Some(b)) => {
                (a.config.stage, &a.config.moderators, a.parent) == (b.config.stage, &b.config.moderators, b.parent)
            }
            _ => false,
        }
    }
}

impl Fold {
    /// The number of the community that a URI names; `None` where it is no config's URI.
    pub(super) fn community_at(&mut self, uri: &RecordUri) -> Option<u32> {
        if uri.collection.as_str() != Collection::Config.nsid() {
            return None;
        }
        let owner = self.people.find_or_add(&uri.did);
        let key = Key::from(&uri.rkey);
        Some(self.communities.find_or_add(owner, &key, || Community::new(owner, key.clone())))
    }

    /// The URI of a community's config.
    pub(super) fn community_uri(&self, community: u32) -> RecordUri {
        let Community { owner, key, .. } = &self.communities[community];
        self.uri(*owner, Collection::Config, key)
    }

    /// The URI of a record.
    pub(super) fn uri(&self, did: DidIndex, collection: Collection, key: &Key) -> RecordUri {
        let collection = Nsid::parse(collection.nsid()).expect("invariant: the collections are NSIDs");
        RecordUri { did: self.people[did].did.clone(), collection, rkey: key.to_record_key() }
    }

    /// The config that counts now, while it is neither deleted nor ended.
    pub(super) fn live_config(&self, community: u32) -> Option<&ConfigBody> {
        let community = &self.communities[community];
        community.winning()?.live(self.people[community.owner].account().deleted_at)
    }

    /// The config in force at a moment.
    pub(super) fn config_at(&self, community: u32, moment: Time) -> Option<&ConfigBody> {
        let community = &self.communities[community];
        community.in_force(moment, self.people[community.owner].account().deleted_at)
    }

    /// A commit on a config record; `None` is a delete.
    pub(super) fn apply_config(&mut self, record: &Record, config: Option<&Config>, out: &mut Told<'_>) {
        let owner = self.people.find_or_add(&record.did);
        let key = Key::from(&record.rkey);
        let community = self.communities.find_or_add(owner, &key, || Community::new(owner, key.clone()));
        if !self.communities[community].is_known() {
            if (self.people[owner].tally.configs as usize) >= self.bounds.configs_per_did {
                return self.reached.count(Bound::Configs);
            }
            self.people[owner].tally.configs += 1;
        }
        let body = config.map(|config| self.config_body(community, config));
        let version = Version::new(record, body);
        if config.is_some() {
            self.communities[community].past.found(version.made());
        }

        let versions = &mut self.communities[community].versions;
        let news = match versions.get(&version.rev) {
            None => Some(version),
            Some(known) => known.merge(version, |body| format!("{:?}", Body::Config(Box::new((*body.config).clone())))),
        };
        let changed = news.is_some();
        if let Some(version) = news {
            versions.insert(version.rev, version);
            self.bound_versions(community);
        }
        let claimed = config.is_some_and(|config| self.claim(config.id, community, record.witnessed, out));
        if changed || claimed {
            self.config_changed(community, out);
        }
    }

    /// Gives up versions where there are too many.
    fn bound_versions(&mut self, community: u32) {
        while self.communities[community].versions.len() > self.bounds.config_versions {
            let Some(rev) = self.communities[community].spare_version() else { return };
            self.reached.count(Bound::ConfigVersions);
            let given_up = self.communities[community].versions.remove(&rev);
            let parent = given_up.and_then(|version| version.body?.parent);
            if let Some(parent) = parent.filter(|&parent| !self.communities[community].parents().any(|it| it == parent))
            {
                self.communities[parent].themes.remove(&community);
            }
        }
    }

    fn config_body(&mut self, community: u32, config: &Config) -> ConfigBody {
        let parent = config.parent.as_ref().and_then(AtUri::to_record);
        let parent = parent.and_then(|uri| self.community_at(&uri));
        if let Some(parent) = parent {
            self.communities[parent].themes.insert(community);
        }
        ConfigBody { config: Arc::new(config.clone()), parent }
    }

    /// Dates the claim of a community to a hashtag. Where that takes the hashtag from another community, that one is
    /// closed. Says whether the owner changed.
    fn claim(&mut self, id: CommunityId, community: u32, date: Time, out: &mut Told<'_>) -> bool {
        let claims = &mut self.feeds.entry(id).or_default().claims;
        let owner = self.communities[community].owner;
        match claims.iter_mut().find(|(_, claimant)| *claimant == community) {
            Some((known, _)) if *known <= date => return false,
            Some((known, _)) => *known = date,
            None if (self.people[owner].tally.claims as usize) >= self.bounds.claims_per_did => {
                self.reached.count(Bound::Claims);
                self.forget_author(id, owner);
                return false;
            }
            None => {
                claims.push((date, community));
                self.people[owner].tally.claims += 1;
                self.bound_claims(id);
            }
        }
        let least = self.feeds[&id].claims.iter().min_by(|a, b| self.compare_claims(a, b));
        let owner = least.map(|&(_, claimant)| claimant);
        let before = std::mem::replace(&mut self.feeds.entry(id).or_default().owner, owner);
        if let Some(before) = before.filter(|_| before != owner) {
            self.sync_served(before, out);
        }
        before != owner
    }

    /// Gives up the latest claim of a hashtag where there are too many.
    fn bound_claims(&mut self, id: CommunityId) {
        let claims = &self.feeds[&id].claims;
        if claims.len() <= self.bounds.claims_per_hashtag {
            return;
        }
        let latest = (0..claims.len()).max_by(|&a, &b| self.compare_claims(&claims[a], &claims[b]));
        let Some(latest) = latest else { return };
        self.reached.count(Bound::Contested);
        let (_, claimant) = self.feeds.entry(id).or_default().claims.swap_remove(latest);
        let owner = self.communities[claimant].owner;
        self.people[owner].tally.claims -= 1;
    }

    /// By date, then AT-URI.
    pub(super) fn compare_claims(&self, (date_a, a): &(Time, u32), (date_b, b): &(Time, u32)) -> Ordering {
        date_a.cmp(date_b).then_with(|| self.community_uri(*a).cmp(&self.community_uri(*b)))
    }

    /// Judges everything again that a config decides, for the community and for the themes that name it.
    pub(super) fn config_changed(&mut self, community: u32, out: &mut Told<'_>) {
        self.rejudge(community);
        self.sync_served(community, out);
        self.sync_community(community, out);
        for theme in self.communities[community].themes.clone() {
            self.rejudge(theme);
            self.sync_community(theme, out);
        }
    }

    /// Opens or closes the community's feed, or tells its new info, so that the view shows what is served; then tells
    /// the communities that name it as their parent whether it is one.
    fn sync_served(&mut self, community: u32, out: &mut Told<'_>) {
        self.sync_open(community, out);
        let themes: Vec<u32> = self.communities[community].themes.iter().copied().collect();
        for theme in themes {
            // Who names itself has been told above.
            if let Some(id) = self.communities[theme].open.filter(|_| theme != community)
                && let Some(info) = self.info(theme)
            {
                self.open(id, theme, info, out);
            }
        }
    }

    /// What the view is to know of a community whose config is live.
    pub(super) fn info(&self, community: u32) -> Option<CommunityInfo> {
        let body = self.live_config(community)?;
        let parent = body.parent.filter(|&parent| parent != community);
        let is_graduated =
            |parent: &u32| self.live_config(*parent).is_some_and(|body| body.config.stage == Stage::Graduated);
        Some(CommunityInfo {
            uri: self.community_uri(community),
            name: body.config.name.clone(),
            mix: body.config.feed_mix,
            parent: parent.filter(is_graduated).and_then(|parent| self.communities[parent].open),
            pinned: self.shown_pin(&body.config),
        })
    }

    fn sync_open(&mut self, community: u32, out: &mut Told<'_>) {
        let served = self.live_config(community).map(|body| Arc::clone(&body.config));
        let served =
            served.filter(|config| self.feeds.get(&config.id).is_some_and(|feed| feed.owner == Some(community)));
        let open = self.communities[community].open;
        if let Some(id) = open.filter(|&id| served.as_ref().is_none_or(|config| config.id != id)) {
            self.close(id, out);
        }
        if let Some(config) = served
            && let Some(info) = self.info(community)
        {
            self.open(config.id, community, info, out);
        }
    }
}
