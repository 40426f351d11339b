//! Why a post is visible in a feed, or is not: every rule, whether it holds, and the record that decides.
//!
//! In: a post's AT-URI and a moment. Out: sentences for an operator. Nothing is changed.
//!
//! What always holds: a post is visible exactly where all rules hold, and then the view shows it at that moment.

use std::collections::BTreeSet;
use std::fmt::Display;

use serde::{Serialize, Serializer};

use super::Fold;
use super::authority::Grounds;
use super::names::{DidIndex, Key};
use super::posts::PostRow;
use super::rulings::Docket;
use super::standing::MembershipRow;
use super::version::Version;
use crate::fact::{Collection, CommunityId, Gap};
use crate::limits::RETENTION_MICROS;
use crate::syntax::{Did, RecordUri, Time};

/// All that decides about one post.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Explanation {
    /// The post.
    #[serde(serialize_with = "as_text")]
    pub uri: RecordUri,
    /// What the post's own record is, in a sentence.
    pub because: String,
    /// What the stream may have failed to tell of the author's repository, or of all: a rule below may rest on it.
    pub gaps: Vec<String>,
    /// One for each hashtag of the post and each community whose actions name it, by id.
    pub communities: Vec<Verdict>,
}

/// What one community's feed makes of the post.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Verdict {
    /// The community.
    #[serde(serialize_with = "as_text")]
    pub id: CommunityId,
    /// Whether all rules hold.
    pub visible: bool,
    /// Every rule, in the order in which they are worth reading.
    pub rules: Vec<Rule>,
}

/// One rule of DESIGN §3, applied.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Rule {
    /// `exists`, `tagged`, `served`, `member`, `accepted`, `not_blocked`, `account_active`, `not_hidden`, `young`.
    pub rule: &'static str,
    /// Whether it lets the post be seen.
    pub holds: bool,
    /// A sentence that names the record and when it was made.
    pub because: String,
    /// The record that decides, where there is one.
    #[serde(serialize_with = "as_text_or_null", skip_serializing_if = "Option::is_none")]
    pub record: Option<RecordUri>,
}

/// Serialises a thing as its text, as the interfaces write it.
pub(super) fn as_text<S: Serializer>(thing: &impl Display, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(thing)
}

fn as_text_or_null<S: Serializer>(thing: &Option<RecordUri>, serializer: S) -> Result<S::Ok, S::Error> {
    match thing {
        Some(uri) => serializer.collect_str(uri),
        None => serializer.serialize_none(),
    }
}

/// Whether a post of a time (in milliseconds) is younger than 7 days at a moment.
pub(super) fn is_young(time_millis: i64, now: Time) -> bool {
    now.micros_since(Time::from_millis(time_millis)) < RETENTION_MICROS
}

/// Whether it holds, why, and the record that decides.
type Finding = (bool, String, Option<RecordUri>);

impl Fold {
    /// What every rule says of a post at a moment, in the communities that it has to do with, or in `only` one.
    /// `None` where the fold knows of no such post: never seen, or forgotten since it grew old.
    pub fn explain(&self, uri: &RecordUri, only: Option<CommunityId>, now: Time) -> Option<Explanation> {
        if uri.collection.as_str() != Collection::Post.nsid() {
            return None;
        }
        let author = self.people.find(&uri.did)?;
        let post = &self.posts[self.posts.find(author, &Key::from(&uri.rkey))?];
        let ids = only.map_or_else(|| self.concerned(post), |id| BTreeSet::from([id]));
        let communities = ids.into_iter().map(|id| self.verdict(uri, post, id, now)).collect();
        let gaps = self.suspicions(&uri.did);
        Some(Explanation { uri: uri.clone(), because: self.exists(uri, post).1, gaps, communities })
    }

    /// Why what is known of a repository may be incomplete, oldest first: of the last gaps alone, which are kept.
    pub fn suspicions(&self, did: &Did) -> Vec<String> {
        let concerns = |gap: &&Gap| gap.did.as_ref().is_none_or(|suspect| suspect == did);
        let told = |gap: &Gap| {
            let whose = if gap.did.is_some() { "this repository" } else { "any repository" };
            format!(
                "{} has a gap at {} ({}): something of {whose} may be missing.",
                gap.host.as_str(),
                gap.witnessed,
                gap.reason.as_str()
            )
        };
        self.gaps().filter(concerns).map(told).collect()
    }

    fn concerned(&self, post: &PostRow) -> BTreeSet<CommunityId> {
        let tags = post.version.body.iter().flat_map(|body| body.tags());
        let record = (post.author, post.key.clone());
        let naming = self.communities.iter().filter(|(_, community)| community.posts.contains_key(&record));
        tags.chain(naming.filter_map(|(_, community)| community.open)).collect()
    }

    fn verdict(&self, uri: &RecordUri, post: &PostRow, id: CommunityId, now: Time) -> Verdict {
        let community = self.feeds.get(&id).and_then(|feed| feed.owner);
        let of_community = |find: &dyn Fn(u32) -> Finding| match community {
            Some(community) => find(community),
            None => (false, format!("No config has claimed #atrarium_{id}."), None),
        };
        let author = post.author;
        let findings: [(&'static str, Finding); 9] = [
            ("exists", self.exists(uri, post)),
            ("tagged", tagged(uri, post, id)),
            ("served", of_community(&|community| self.served(community, id))),
            ("member", of_community(&|community| self.member(community, author))),
            ("accepted", of_community(&|community| self.accepted(community, author))),
            ("not_blocked", of_community(&|community| self.not_blocked(community, author))),
            ("account_active", self.account_active(author)),
            ("not_hidden", of_community(&|community| self.not_hidden(community, uri, post))),
            ("young", young(uri, post, now)),
        ];
        let rules = findings.map(|(rule, (holds, because, record))| Rule { rule, holds, because, record });
        Verdict { id, visible: rules.iter().all(|rule| rule.holds), rules: rules.into() }
    }

    fn exists(&self, uri: &RecordUri, post: &PostRow) -> Finding {
        let deleted_at = self.people[post.author].deleted_at;
        let holds = post.version.live(deleted_at).is_some();
        (holds, format!("{uri} {}.", fate(&post.version, deleted_at)), Some(uri.clone()))
    }

    fn served(&self, community: u32, id: CommunityId) -> Finding {
        let uri = self.community_uri(community);
        let row = &self.communities[community];
        let Some(version) = row.winning() else {
            return (false, format!("{uri} is not known."), Some(uri));
        };
        let deleted_at = self.people[row.owner].deleted_at;
        let claimed = self.feeds.get(&id).and_then(|feed| feed.claim_date(community)).unwrap_or(version.witnessed);
        let live = version.live(deleted_at);
        let carries = live.is_some_and(|body| body.config.id == id);
        let rest = match live {
            Some(_) if carries => "carries it".to_owned(),
            Some(body) => format!("carries #atrarium_{} now", body.config.id),
            None => "is no longer there".to_owned(),
        };
        let fate = fate(version, deleted_at);
        let because = format!("{uri} owns #atrarium_{id} by its claim of {claimed}; it {fate} and {rest}.");
        (carries, because, Some(uri))
    }

    fn member(&self, community: u32, did: DidIndex) -> Finding {
        let (uri, who) = (self.community_uri(community), &self.people[did].did);
        if self.communities[community].owner == did {
            return (true, format!("{who} owns {uri}, and the owner is always a member."), Some(uri));
        }
        let standing = self.communities[community].standings.get(&did);
        if let Some(&number) = standing.and_then(|standing| standing.memberships.last()) {
            let row = &self.memberships[number];
            let record = self.uri(did, Collection::Membership, &row.key);
            return (true, format!("{record} in {uri} was made at {}.", row.version.made()), Some(record));
        }
        let deleted_at = self.people[did].deleted_at;
        // A deleted one no longer says where it was.
        let here = |row: &&MembershipRow| row.version.body.as_ref().is_none_or(|body| body.community == Ok(community));
        let past = self.memberships.of(did).into_iter().map(|number| &self.memberships[number]).filter(here);
        match past.max_by_key(|row| row.version.rev) {
            Some(row) => {
                let record = self.uri(did, Collection::Membership, &row.key);
                let fate = fate(&row.version, deleted_at);
                let because = format!("No active membership of {who} in {uri} is known; {record} {fate}.");
                (false, because, Some(record))
            }
            None => (false, format!("No membership of {who} in {uri} is known."), None),
        }
    }

    fn accepted(&self, community: u32, did: DidIndex) -> Finding {
        let (uri, who) = (self.community_uri(community), &self.people[did].did);
        if !self.is_invite_only(community) {
            return (true, format!("{uri} is not invite-only, so nobody needs an acceptance."), Some(uri));
        }
        if self.communities[community].owner == did {
            return (true, format!("{who} owns {uri}, and the owner needs no acceptance."), Some(uri));
        }
        let docket = self.communities[community].standings.get(&did).map(|standing| &standing.acceptances);
        match docket.and_then(|docket| docket.latest) {
            Some(acceptance) => (true, self.ruling_text(acceptance, community), Some(self.ruling_uri(acceptance))),
            None => {
                let because = format!("{uri} is invite-only, and {}accepts {who}.", nobody(docket));
                (false, because, Some(uri))
            }
        }
    }

    fn not_blocked(&self, community: u32, did: DidIndex) -> Finding {
        let (uri, who) = (self.community_uri(community), &self.people[did].did);
        if self.communities[community].owner == did {
            return (true, format!("{who} owns {uri}, and the owner cannot be blocked."), Some(uri));
        }
        let docket = self.communities[community].standings.get(&did).map(|standing| &standing.blocks);
        match docket.and_then(|docket| docket.latest) {
            Some(action) => {
                let blocked = docket.is_some_and(Docket::affirms);
                (!blocked, self.ruling_text(action, community), Some(self.ruling_uri(action)))
            }
            None => (true, format!("In {uri} {}blocks {who}.", nobody(docket)), None),
        }
    }

    fn account_active(&self, did: DidIndex) -> Finding {
        let person = &self.people[did];
        let because = match person.state {
            None => format!("Nothing was heard of the account {}, so it counts as active.", person.did),
            Some(state) => {
                let word = if state.active { "active" } else { "not active" };
                format!("The account {} is {word} since its event of {}.", person.did, state.time)
            }
        };
        (person.is_active(), because, None)
    }

    fn not_hidden(&self, community: u32, uri: &RecordUri, post: &PostRow) -> Finding {
        let docket = self.communities[community].posts.get(&(post.author, post.key.clone()));
        match docket.and_then(|docket| docket.latest) {
            Some(action) => {
                let hidden = docket.is_some_and(Docket::affirms);
                (!hidden, self.ruling_text(action, community), Some(self.ruling_uri(action)))
            }
            None => (true, format!("In {} {}hides {uri}.", self.community_uri(community), nobody(docket)), None),
        }
    }

    /// A sentence on a ruling that decides.
    fn ruling_text(&self, number: u32, community: u32) -> String {
        let ruling = &self.rulings[number];
        let (uri, made) = (self.ruling_uri(number), ruling.version.made());
        let body = ruling.version.body.as_ref();
        let grounds = match self.ruling_authority(number, community) {
            Some(Grounds::Owner) => "the owner".to_owned(),
            Some(Grounds::Moderator) => "a moderator".to_owned(),
            Some(Grounds::Parent(parent)) => format!("an owner or moderator of {}", self.community_uri(parent)),
            None => "somebody without authority".to_owned(),
        };
        let does = match (ruling.key.is_acceptance, body.is_some_and(|body| body.affirms)) {
            (true, _) => "accepts them",
            (false, true) => "does so",
            (false, false) => "takes it back",
        };
        let reason = body.and_then(|body| body.reason.as_ref());
        let reason = reason.map_or_else(String::new, |reason| format!(" (reason: {reason})"));
        format!("{uri} of {grounds}, made at {made}, {does}{reason}.")
    }
}

fn tagged(uri: &RecordUri, post: &PostRow, id: CommunityId) -> Finding {
    let carries = post.version.body.as_ref().is_some_and(|body| body.tags().any(|tag| tag == id));
    let verb = if carries { "carries" } else { "does not carry" };
    (carries, format!("{uri}, as of {}, {verb} #atrarium_{id}.", post.version.made()), Some(uri.clone()))
}

fn young(uri: &RecordUri, post: &PostRow, now: Time) -> Finding {
    let millis = post.time_millis();
    let holds = is_young(millis, now);
    let word = if holds { "younger" } else { "not younger" };
    let time = Time::from_millis(millis);
    (holds, format!("{uri} has the time {time}, which at {now} is {word} than 7 days."), Some(uri.clone()))
}

/// What became of a record, to follow its name.
fn fate<B>(version: &Version<B>, deleted_at: Option<Time>) -> String {
    let made = version.made();
    match (&version.body, deleted_at.filter(|_| version.is_ended(deleted_at))) {
        (None, _) => format!("was deleted at {made}"),
        (Some(_), None) => format!("was put at {made}"),
        (Some(_), Some(ended)) => format!("was put at {made} and ended by the deletion of its account at {ended}"),
    }
}

/// The subject of "… hides it" where no ruling decides: who has tried, and could not.
fn nobody(docket: Option<&Docket>) -> String {
    match docket.map_or(0, Docket::len) {
        0 => "no record ".to_owned(),
        1 => "one record without authority, and no other, ".to_owned(),
        count => format!("{count} records without authority, and no other, "),
    }
}
