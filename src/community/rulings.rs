//! Rulings: the records that need authority, which are moderation actions and acceptances.
//!
//! In: commits on these records. Out: per community and subject the ruling that decides, and through it what is hidden,
//! blocked and accepted.
//!
//! ```text
//! record ──(live?)──► filed in the docket of its community and subject ──(latest with authority)──► decides
//! ```
//!
//! What always holds:
//! - a ruling is filed exactly while its winning version is a put that is not ended and means something;
//! - a docket's decision is the latest by (made, rev, AT-URI) of those whose author had authority when it was made.
//!   Those without it are kept: a config that comes late may give it.
//!
//! A ruling has *effect* while it is filed and its author had authority, whether or not it decides. Those of one DID without
//! effect are bounded; a deleted one makes room for a new one (`bounds`).

use std::cmp::Ordering;

use super::Fold;
use super::authority::Grounds;
use super::names::{DidIndex, Key};
use super::told::Told;
use super::version::Version;
use crate::fact::{Acceptance, Action, Body, Collection, Record, Target, Verb};
use crate::syntax::{Did, RecordUri, Time, compare_repositories};
use crate::telemetry::Bound;

/// The key of a ruling within its repository.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct RulingKey {
    /// An acceptance, or else an action.
    pub is_acceptance: bool,
    pub key: Key,
}

/// One action or acceptance.
#[derive(Debug)]
pub(super) struct Ruling {
    pub author: DidIndex,
    pub key: RulingKey,
    pub version: Version<RulingBody>,
    /// The docket that it is filed in.
    pub filed: Option<(u32, Subject)>,
    pub has_effect: bool,
}

/// What a version of a ruling says.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct RulingBody {
    /// In which community, on what; or the whole of it, where that means nothing to any feed.
    pub place: Result<(u32, Subject), Box<Body>>,
    /// Hides, blocks or accepts; or else takes that back.
    pub affirms: bool,
    pub created: Time,
    pub reason: Option<Box<str>>,
}

/// What a ruling is about.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum Subject {
    /// Hiding this post.
    Post(DidIndex, Key),
    /// Blocking this account.
    Block(DidIndex),
    /// Accepting this account.
    Acceptance(DidIndex),
}

/// All filed rulings on one subject in one community. Every member has two dockets, nearly all of them empty: those are one
/// word.
#[derive(Debug, Default)]
pub(super) struct Docket(Option<Box<Filed>>);

#[derive(Debug, Default)]
struct Filed {
    numbers: Vec<u32>,
    /// The one that decides.
    latest: Option<u32>,
    affirms: bool,
}

impl Docket {
    /// Whether the ruling that decides hides, blocks or accepts.
    pub fn affirms(&self) -> bool {
        self.0.as_ref().is_some_and(|filed| filed.latest.is_some() && filed.affirms)
    }

    /// The ruling that decides.
    pub fn latest(&self) -> Option<u32> {
        self.0.as_ref()?.latest
    }

    /// All that are filed, with authority or without, as they came.
    pub fn filed(&self) -> &[u32] {
        self.0.as_ref().map_or(&[], |filed| &filed.numbers)
    }

    /// Whether nothing is filed.
    pub fn is_empty(&self) -> bool {
        self.0.is_none()
    }

    fn file(&mut self, number: u32) {
        self.0.get_or_insert_default().numbers.push(number);
    }

    fn unfile(&mut self, number: u32) {
        if let Some(filed) = &mut self.0 {
            filed.numbers.retain(|&filed| filed != number);
            if filed.numbers.is_empty() {
                self.0 = None;
            }
        }
    }

    fn decide(&mut self, latest: Option<u32>, affirms: bool) {
        if let Some(filed) = &mut self.0 {
            (filed.latest, filed.affirms) = (latest, affirms);
        }
    }
}

impl Fold {
    /// A commit on an action; `None` is a delete.
    pub(super) fn apply_action(&mut self, record: &Record, action: Option<&Action>, out: &mut Told<'_>) {
        let body = action.map(|action| {
            let community = self.community_at(&action.community);
            RulingBody {
                place: community
                    .zip(self.subject(action.verb, &action.target))
                    .ok_or_else(|| Box::new(Body::Action(action.clone()))),
                affirms: matches!(action.verb, Verb::HidePost | Verb::BlockUser),
                created: action.created,
                reason: action.reason.clone(),
            }
        });
        self.apply_ruling(record, false, body, out);
    }

    /// A commit on an acceptance; `None` is a delete.
    pub(super) fn apply_acceptance(&mut self, record: &Record, acceptance: Option<&Acceptance>, out: &mut Told<'_>) {
        let body = acceptance.map(|acceptance| {
            let community = self.community_at(&acceptance.community);
            let subject = Subject::Acceptance(self.people.find_or_add(&acceptance.subject));
            let place = community.map(|community| (community, subject));
            let place = place.ok_or_else(|| Box::new(Body::Acceptance(acceptance.clone())));
            RulingBody { place, affirms: true, created: acceptance.created, reason: None }
        });
        self.apply_ruling(record, true, body, out);
    }

    /// What an action is about; `None` where verb and target do not fit, or the record is no post.
    fn subject(&mut self, verb: Verb, target: &Target) -> Option<Subject> {
        match (verb, target) {
            (Verb::HidePost | Verb::UnhidePost, Target::Record(uri)) => {
                let is_post = uri.collection.as_str() == Collection::Post.nsid();
                is_post.then(|| Subject::Post(self.people.find_or_add(&uri.did), Key::from(&uri.rkey)))
            }
            (Verb::BlockUser | Verb::UnblockUser, Target::Account(did)) => {
                Some(Subject::Block(self.people.find_or_add(did)))
            }
            _ => None,
        }
    }

    fn apply_ruling(&mut self, record: &Record, is_acceptance: bool, body: Option<RulingBody>, out: &mut Told<'_>) {
        let author = self.people.find_or_add(&record.did);
        let key = RulingKey { is_acceptance, key: Key::from(&record.rkey) };
        let version = Version::new(record, body);
        if let Some(known) = self.rulings.find(author, &key) {
            let news = self.rulings[known].version.merge(version, |body| self.ruling_form(body));
            if news.is_some() {
                self.refresh_ruling(known, news, out);
                self.bound_dead_rulings(author);
            }
        } else if self.would_have_effect(author, &version) || self.has_room_for_idle_ruling(author) {
            let row = Ruling { author, key: key.clone(), version, filed: None, has_effect: false };
            let number = self.rulings.find_or_add(author, &key, || row);
            self.people[author].tally.idle_rulings += 1;
            self.refresh_ruling(number, None, out);
        }
    }

    fn would_have_effect(&self, author: DidIndex, version: &Version<RulingBody>) -> bool {
        let live = version.live(self.people[author].account().deleted_at);
        let place = live.and_then(|body| body.place.as_ref().ok());
        place.is_some_and(|(community, _)| self.authority(author, *community, version.made()).is_some())
    }

    /// Whether one more ruling without effect can be taken from a DID; where there are too many, the oldest that is not
    /// filed goes.
    fn has_room_for_idle_ruling(&mut self, author: DidIndex) -> bool {
        if (self.people[author].tally.idle_rulings as usize) < self.bounds.idle_rulings_per_did {
            return true;
        }
        self.reached.count(Bound::IdleRulings);
        self.forget_oldest_dead(author)
    }

    /// After a ruling has lost its effect: where there are too many without, the oldest that is not filed goes.
    fn bound_dead_rulings(&mut self, author: DidIndex) {
        while (self.people[author].tally.idle_rulings as usize) > self.bounds.idle_rulings_per_did
            && self.forget_oldest_dead(author)
        {
            self.reached.count(Bound::IdleRulings);
        }
    }

    fn forget_oldest_dead(&mut self, author: DidIndex) -> bool {
        let Some(oldest) = self.dead_rulings.pop_oldest(author) else { return false };
        self.rulings.remove(author, &oldest);
        self.people[author].tally.idle_rulings -= 1;
        true
    }

    fn set_effect(&mut self, number: u32, has_effect: bool) {
        let ruling = &mut self.rulings[number];
        let idle = &mut self.people[ruling.author].tally.idle_rulings;
        match (std::mem::replace(&mut ruling.has_effect, has_effect), has_effect) {
            (false, true) => *idle -= 1,
            (true, false) => *idle += 1,
            _ => {}
        }
    }

    /// Files a ruling where it belongs now: after a new version, or after its account was deleted.
    pub(super) fn refresh_ruling(&mut self, number: u32, news: Option<Version<RulingBody>>, out: &mut Told<'_>) {
        let before = self.rulings[number].filed.take();
        if let Some((community, subject)) = &before {
            self.unfile(number, *community, subject);
        }
        let ruling = &mut self.rulings[number];
        self.dead_rulings.remove(ruling.author, ruling.version.rev, &ruling.key);
        if let Some(version) = news {
            ruling.version = version;
        }
        let deleted_at = self.people[ruling.author].account().deleted_at;
        let after = ruling.version.live(deleted_at).and_then(|body| body.place.clone().ok());
        match &after {
            Some((community, subject)) => self.file(number, *community, subject),
            None => self.dead_rulings.insert(ruling.author, ruling.version.rev, &ruling.key),
        }
        self.rulings[number].filed.clone_from(&after);
        if let Some((community, subject)) = before.as_ref().filter(|_| before != after) {
            self.sync_subject(*community, subject, out);
        }
        if let Some((community, subject)) = &after {
            self.sync_subject(*community, subject, out);
        }
    }

    /// Tells the view what the docket of a subject has come to.
    fn sync_subject(&mut self, community: u32, subject: &Subject, out: &mut Told<'_>) {
        let Some(id) = self.communities[community].open else { return };
        self.sync_excluded(community, subject, out);
        match subject {
            Subject::Post(author, key) => {
                if let Some(post) = self.posts.find(*author, key) {
                    self.sync_hidden(id, post, out);
                }
            }
            Subject::Block(did) | Subject::Acceptance(did) => self.sync_author(id, *did, out),
        }
    }

    fn file(&mut self, number: u32, community: u32, subject: &Subject) {
        let mut docket = std::mem::take(self.docket(community, subject));
        docket.file(number);
        if let Subject::Post(author, key) = subject {
            self.filings.note(*author, key, community);
        }
        let has_authority = self.ruling_authority(number, community).is_some();
        self.set_effect(number, has_authority);
        if has_authority && docket.latest().is_none_or(|latest| self.compare_rulings(latest, number).is_lt()) {
            self.decide(&mut docket, Some(number));
        }
        *self.docket(community, subject) = docket;
    }

    fn unfile(&mut self, number: u32, community: u32, subject: &Subject) {
        let mut docket = std::mem::take(self.docket(community, subject));
        let has_decided = docket.latest() == Some(number);
        docket.unfile(number);
        self.set_effect(number, false);
        if has_decided {
            self.judge(community, &mut docket);
        }
        *self.docket(community, subject) = docket;
        self.forget_empty(community, subject);
    }

    /// Judges every docket of a community again, after authority in it may have changed.
    pub(super) fn rejudge(&mut self, community: u32) {
        let mut subjects: Vec<Subject> =
            self.communities[community].posts.keys().map(|(did, key)| Subject::Post(*did, key.clone())).collect();
        for (&did, standing) in &self.communities[community].standings {
            subjects.extend((!standing.blocks.is_empty()).then_some(Subject::Block(did)));
            subjects.extend((!standing.acceptances.is_empty()).then_some(Subject::Acceptance(did)));
        }
        for subject in subjects {
            let mut docket = std::mem::take(self.docket(community, &subject));
            self.judge(community, &mut docket);
            *self.docket(community, &subject) = docket;
        }
    }

    fn judge(&mut self, community: u32, docket: &mut Docket) {
        for &filed in docket.filed() {
            let has_authority = self.ruling_authority(filed, community).is_some();
            self.set_effect(filed, has_authority);
        }
        let with_effect = docket.filed().iter().copied().filter(|&filed| self.rulings[filed].has_effect);
        let latest = with_effect.max_by(|&a, &b| self.compare_rulings(a, b));
        self.decide(docket, latest);
    }

    fn decide(&self, docket: &mut Docket, latest: Option<u32>) {
        let body = latest.and_then(|latest| self.rulings[latest].version.body.as_ref());
        docket.decide(latest, body.is_some_and(|body| body.affirms));
    }

    /// The grounds on which a ruling's author had authority when it was made.
    pub(super) fn ruling_authority(&self, number: u32, community: u32) -> Option<Grounds> {
        let ruling = &self.rulings[number];
        self.authority(ruling.author, community, ruling.version.made())
    }

    /// By made, then rev, then AT-URI. The rulings of one docket are of one collection.
    fn compare_rulings(&self, a: u32, b: u32) -> Ordering {
        let (a, b) = (&self.rulings[a], &self.rulings[b]);
        (a.version.made(), a.version.rev)
            .cmp(&(b.version.made(), b.version.rev))
            .then_with(|| compare_repositories(&self.people[a.author].did, &self.people[b.author].did))
            .then_with(|| a.key.key.compare_text(&b.key.key))
    }

    fn docket(&mut self, community: u32, subject: &Subject) -> &mut Docket {
        let community = &mut self.communities[community];
        match subject {
            Subject::Post(did, key) => community.posts.entry((*did, key.clone())).or_default(),
            Subject::Block(did) => &mut community.standings.entry(*did).or_default().blocks,
            Subject::Acceptance(did) => &mut community.standings.entry(*did).or_default().acceptances,
        }
    }

    fn forget_empty(&mut self, community: u32, subject: &Subject) {
        match subject {
            Subject::Post(did, key) => {
                let posts = &mut self.communities[community].posts;
                let post = (*did, key.clone());
                if posts.get(&post).is_some_and(Docket::is_empty) {
                    posts.remove(&post);
                    self.filings.forget(*did, key, community);
                }
            }
            Subject::Block(did) | Subject::Acceptance(did) => self.forget_standing(community, *did),
        }
    }

    /// The URI of a ruling.
    pub(super) fn ruling_uri(&self, number: u32) -> RecordUri {
        let Ruling { author, key, .. } = &self.rulings[number];
        let collection = if key.is_acceptance { Collection::Acceptance } else { Collection::Action };
        self.uri(*author, collection, &key.key)
    }

    /// The debug form of what was put.
    fn ruling_form(&self, body: &RulingBody) -> String {
        let (community, subject) = match &body.place {
            Ok(place) => place,
            Err(body) => return format!("{body:?}"),
        };
        let community = self.community_uri(*community);
        let did = |did: DidIndex| -> Did { self.people[did].did.clone() };
        let (verbs, target) = match subject {
            Subject::Acceptance(subject) => {
                let subject = did(*subject);
                return format!("{:?}", Body::Acceptance(Acceptance { community, subject, created: body.created }));
            }
            Subject::Post(author, key) => {
                ([Verb::UnhidePost, Verb::HidePost], Target::Record(self.uri(*author, Collection::Post, key)))
            }
            Subject::Block(subject) => ([Verb::UnblockUser, Verb::BlockUser], Target::Account(did(*subject))),
        };
        let verb = verbs[usize::from(body.affirms)];
        let reason = body.reason.clone();
        format!("{:?}", Body::Action(Action { verb, target, community, created: body.created, reason }))
    }
}
