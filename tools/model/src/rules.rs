//! DESIGN §3, one function a rule, in its order. Each quotes its rule.
//!
//! In: every version of every record, and a moment. Out: the feeds at that moment.

#[path = "mix.rs"]
pub(crate) mod mix;

use std::collections::{BTreeMap, BTreeSet};

use atrarium::syntax::{Did, RecordUri, Tid, Time};

use crate::{
    ACCEPTANCE, ACTION, Acceptance, Action, CONFIG, Config, Content, MEMBERSHIP, Membership, Model, POST, Path, Post,
    Target, Verb, Version,
};

const MINUTE_MICROS: i64 = 60_000_000;
const WEEK_MICROS: i64 = 7 * 24 * 60 * MINUTE_MICROS;

/// The winning version of a record that is there.
struct Live<'a, T> {
    path: &'a Path,
    uri: String,
    rev: Tid,
    version: &'a Version,
    content: &'a T,
}

/// All live records but the configs.
struct Records<'a> {
    posts: Vec<Live<'a, Post>>,
    memberships: Vec<Live<'a, Membership>>,
    acceptances: Vec<Live<'a, Acceptance>>,
    actions: Vec<Live<'a, Action>>,
}

impl<'a> Records<'a> {
    /// A community, with those of them that name it.
    fn of(&'a self, config: &Live<'a, Config>) -> Community<'a> {
        let uri = config.uri.clone();
        Community {
            owner: config.path.did.clone(),
            config: config.content,
            memberships: self.memberships.iter().filter(|it| it.content.community == uri).collect(),
            acceptances: self.acceptances.iter().filter(|it| it.content.community == uri).collect(),
            actions: self.actions.iter().filter(|it| it.content.community == uri).collect(),
            uri,
        }
    }
}

/// A community at the moment in question, with what concerns it.
struct Community<'a> {
    uri: String,
    owner: Did,
    config: &'a Config,
    memberships: Vec<&'a Live<'a, Membership>>,
    acceptances: Vec<&'a Live<'a, Acceptance>>,
    actions: Vec<&'a Live<'a, Action>>,
}

impl Model {
    /// What each served community's feed holds at `now`, newest first, by the community's id: its own posts, whatever its
    /// mix. Mixed pages are [`Model::mixed`]'s.
    pub fn feeds(&self, now: Time) -> BTreeMap<String, Vec<String>> {
        let records = self.records();
        let served = self.served();
        let feed = |config: &Live<'_, Config>| self.feed(&records.of(config), &records.posts, now);
        served.iter().map(|(id, config)| (id.clone(), feed(config))).collect()
    }

    /// All live records but the configs.
    fn records(&self) -> Records<'_> {
        Records {
            posts: self.live(POST, |content| if let Content::Post(it) = content { Some(it) } else { None }),
            memberships: self
                .live(MEMBERSHIP, |content| if let Content::Membership(it) = content { Some(it) } else { None }),
            acceptances: self
                .live(ACCEPTANCE, |content| if let Content::Acceptance(it) = content { Some(it) } else { None }),
            actions: self.live(ACTION, |content| if let Content::Action(it) = content { Some(it) } else { None }),
        }
    }

    /// "Order: time descending, then AT-URI descending."
    fn feed(&self, community: &Community<'_>, posts: &[Live<'_, Post>], now: Time) -> Vec<String> {
        let mut shown: BTreeSet<(i64, &str)> = BTreeSet::new();
        let mut authors: BTreeMap<&Did, bool> = BTreeMap::new();
        for post in posts.iter().filter(|post| post.content.tags.contains(&community.config.id)) {
            let did = &post.path.did;
            let author = *authors.entry(did).or_insert_with(|| self.is_member(community, did) && self.is_active(did));
            if author && self.is_visible(community, post, now) {
                shown.insert((time_of_post(post).millis(), &post.uri));
            }
        }
        shown.into_iter().rev().map(|(_, uri)| uri.to_string()).collect()
    }

    // --- Time

    /// "Made = the rev's time clamped to [witnessed − 5 min, witnessed]."
    fn made(rev: Tid, witnessed: Time) -> Time {
        rev.time().clamp(witnessed.plus_micros(-5 * MINUTE_MICROS), witnessed)
    }

    // --- Rules

    /// "Within one record only `rev` counts: a newer one wins, an older one never overwrites." And a delete is a version
    /// too. "`deleted` at time t ends, for good and in whatever order, every record of that DID with rev time ≤ t."
    fn live<'a, T>(&'a self, collection: &str, pick: impl Fn(&'a Content) -> Option<&'a T>) -> Vec<Live<'a, T>> {
        let mut live = Vec::new();
        for (path, versions) in self.versions.iter().filter(|(path, _)| path.collection == collection) {
            let Some((&rev, version)) = versions.last_key_value() else { continue };
            if let Some(content) = version.content.as_ref().and_then(&pick)
                && !self.is_ended(&path.did, rev)
            {
                live.push(Live { path, uri: path.uri(), rev, version, content });
            }
        }
        live
    }

    /// "Community. Identified by its config's AT-URI. Its hashtag is `#atrarium_` + 8 lower-case hex digits; the 8 digits
    /// are its id." Served is the owner of the tag, while its config is there and carries the tag.
    fn served(&self) -> BTreeMap<String, Live<'_, Config>> {
        let owners = self.tag_owners();
        self.live(CONFIG, |content| if let Content::Config(it) = content { Some(it) } else { None })
            .into_iter()
            .filter(|config| owners.get(&config.content.id) == Some(&config.uri))
            .map(|config| (config.content.id.clone(), config))
            .collect()
    }

    /// "Claim: the pair (hashtag, config), dated by the least witnessed time of any valid version of that config that
    /// carries that hashtag. The least (date, AT-URI) owns the tag. A claim is never released by edit or deletion."
    fn tag_owners(&self) -> BTreeMap<String, String> {
        let mut owners = BTreeMap::new();
        for claim in &self.claims {
            owners.entry(claim.id.clone()).or_insert_with(|| claim.config.clone());
        }
        owners
    }

    /// "Owner is the DID of the repo that holds the config. Moderators: the owner (always) and `config.moderators` in the
    /// config version in force (tenure by made; all versions are kept). … Of a theme with a graduated parent, the parent's
    /// owner and moderators moderate too."
    fn has_authority(&self, did: &Did, community: &str, moment: Time) -> bool {
        if owner_of(community).as_ref() == Some(did) {
            return true;
        }
        let Some(config) = self.config_in_force(community, moment) else { return false };
        if config.moderators.contains(did) {
            return true;
        }
        let Some(parent) = config.parent.as_deref().filter(|_| config.stage == "theme") else { return false };
        match self.config_in_force(parent, moment) {
            Some(of_parent) if of_parent.stage == "graduated" => {
                owner_of(parent).as_ref() == Some(did) || of_parent.moderators.contains(did)
            }
            _ => false,
        }
    }

    /// "The config version in force": of the versions made until then, the one with the greatest rev; none where that is a
    /// delete, or where the account had been deleted by then and the version is not younger than that.
    fn config_in_force(&self, community: &str, moment: Time) -> Option<&Config> {
        let uri = RecordUri::parse(community).ok().filter(|uri| uri.collection.as_str() == CONFIG)?;
        let deleted = self.deleted_at(&uri.did);
        let path = Path { collection: CONFIG, did: uri.did, rkey: uri.rkey };
        let (rev, version) =
            self.versions.get(&path)?.iter().rfind(|(rev, version)| Self::made(**rev, version.witnessed) <= moment)?;
        if deleted.is_some_and(|deleted| moment >= deleted && rev.time() <= deleted) {
            return None;
        }
        match &version.content {
            Some(Content::Config(config)) => Some(config),
            _ => None,
        }
    }

    /// "Member: has a live membership record for the community with `active` not false, is not blocked, and, where the
    /// config in force says `invite-only`, is named by a live acceptance made by somebody with authority when it was made.
    /// The owner is a member without a record."
    fn is_member(&self, community: &Community<'_>, did: &Did) -> bool {
        if *did == community.owner {
            return true;
        }
        let joined = community.memberships.iter().any(|it| it.path.did == *did && it.content.active);
        let admitted = !community.config.invite_only || self.is_accepted(community, did);
        joined && admitted && !self.is_blocked(community, did)
    }

    fn is_accepted(&self, community: &Community<'_>, did: &Did) -> bool {
        community.acceptances.iter().any(|it| {
            let made = Self::made(it.rev, it.version.witnessed);
            it.content.subject == *did && self.has_authority(&it.path.did, &community.uri, made)
        })
    }

    /// "Visible, judged at read: author is a member, author's account is active, post not hidden, not deleted, younger than
    /// 7 days." (The first two were asked once for the author; what is deleted is not live.)
    fn is_visible(&self, community: &Community<'_>, post: &Live<'_, Post>, now: Time) -> bool {
        now.micros_since(time_of_post(post)) < WEEK_MICROS && !self.is_hidden(community, &post.uri)
    }

    /// "Moderation: per target the latest action (by made) of somebody with authority when it was made counts; deleting the
    /// action's record takes it back." "Compare by made, then rev, then AT-URI."
    fn is_hidden(&self, community: &Community<'_>, post: &str) -> bool {
        let target = Target::Record(post.into());
        self.latest_action(community, &target) == Some(Verb::Hide(true))
    }

    /// "The owner cannot be blocked."
    fn is_blocked(&self, community: &Community<'_>, did: &Did) -> bool {
        let target = Target::Account(did.clone());
        *did != community.owner && self.latest_action(community, &target) == Some(Verb::Block(true))
    }

    fn latest_action(&self, community: &Community<'_>, target: &Target) -> Option<Verb> {
        let mut latest: BTreeMap<(Time, Tid, &str), Verb> = BTreeMap::new();
        for action in community.actions.iter().filter(|action| action.content.target == *target) {
            let made = Self::made(action.rev, action.version.witnessed);
            if self.has_authority(&action.path.did, &community.uri, made) {
                latest.insert((made, action.rev, &action.uri), action.content.verb);
            }
        }
        latest.into_values().next_back()
    }

    /// "Account: obey `active`, not `status`; states are ordered by the inner `time`, on a tie inactive wins."
    fn is_active(&self, did: &Did) -> bool {
        let states = self.accounts.get(did).into_iter().flatten();
        states.map(|it| (it.time, !it.active)).max().is_none_or(|(_, inactive)| !inactive)
    }

    /// "`deleted` at time t ends, for good and in whatever order, every record of that DID with rev time ≤ t."
    fn is_ended(&self, did: &Did, rev: Tid) -> bool {
        self.deleted_at(did).is_some_and(|deleted| rev.time() <= deleted)
    }

    fn deleted_at(&self, did: &Did) -> Option<Time> {
        let states = self.accounts.get(did).into_iter().flatten();
        states.filter(|it| !it.active && it.status.as_deref() == Some("deleted")).map(|it| it.time).max()
    }
}

/// "Time of a post = the least of its valid `createdAt` (after the epoch), its rev's time and its witnessed time, of its
/// winning version, to the millisecond."
fn time_of_post(post: &Live<'_, Post>) -> Time {
    let told = post.version.witnessed.min(post.rev.time());
    let least = match post.content.created {
        Some(created) if created > Time::EPOCH => told.min(created),
        _ => told,
    };
    Time::from_millis(least.millis())
}

fn owner_of(community: &str) -> Option<Did> {
    RecordUri::parse(community).ok().map(|uri| uri.did)
}

#[cfg(test)]
#[path = "rules_tests.rs"]
mod tests;
