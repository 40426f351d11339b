//! One function a rule: whether it lets a post be seen, the sentence that says why, and the record that decides.
//!
//! In: a post, a community. Out: findings. Sentences name records by their AT-URI and moments in UTC.

use super::super::Fold;
use super::super::authority::Grounds;
use super::super::feeds::Place;
use super::super::names::DidIndex;
use super::super::posts::{PostBody, PostRow};
use super::super::rulings::Docket;
use super::super::version::Version;
use super::{Rule, Subject, is_young};
use crate::fact::{Collection, CommunityId};
use crate::limits::{EXPLAIN_MEMBERSHIPS_MAX, EXPLAIN_REASON_CHARS_MAX, EXPLAIN_RULINGS_MAX};
use crate::syntax::{RecordUri, Time};

/// What one rule says.
pub(super) struct Finding {
    holds: bool,
    pub(super) because: String,
    record: Option<RecordUri>,
    at: Option<Time>,
}

impl Finding {
    fn new(holds: bool, because: String) -> Self {
        Self { holds, because, record: None, at: None }
    }

    /// The record that decides, and when it was made.
    fn by(self, record: RecordUri, at: Time) -> Self {
        Self { record: Some(record), at: Some(at), ..self }
    }

    fn named(self, rule: &'static str) -> Rule {
        let Self { holds, because, record, at } = self;
        Rule { rule, holds, because, record, at }
    }
}

impl Fold {
    /// Every rule that bears on the post in the feed of a hashtag. Without a config there is nobody to be a member of
    /// anything; without a post there is no hashtag and no age.
    pub(super) fn rules(&self, subject: &Subject<'_>, id: CommunityId) -> Vec<Rule> {
        if let Some(rules) = self.rules_of_others(subject, id) {
            return rules;
        }
        let mut rules = vec![self.exists(subject).named("exists")];
        if let Some(row) = subject.row.as_deref() {
            rules.push(tagged(subject, row, id).named("tagged"));
        }
        rules.push(self.served(id).named("served"));
        if let Some(community) = self.claimant(id) {
            rules.push(self.member(community, subject.author).named("member"));
            rules.push(self.accepted(community, subject.author).named("accepted"));
            rules.push(self.not_blocked(community, subject.author).named("not_blocked"));
        }
        rules.push(self.account_active(subject.author).named("account_active"));
        if let Some(community) = self.claimant(id) {
            rules.push(self.not_hidden(community, subject).named("not_hidden"));
            if let Some(lacking) = self.no_own_share(community) {
                rules.push(lacking.named("shared"));
            }
        }
        if let Some(row) = subject.row.as_deref() {
            rules.push(young(subject, row).named("young"));
            if let Some(kept) = self.kept(subject, row, id) {
                rules.push(kept.named("kept"));
            }
        }
        rules
    }

    /// The rules of a post that belongs to others, in a feed that takes from others; `None` for any other post or feed.
    fn rules_of_others(&self, subject: &Subject<'_>, id: CommunityId) -> Option<Vec<Rule>> {
        let community = self.claimant(id).filter(|&community| self.communities[community].open == Some(id))?;
        let row = subject.row.as_deref()?;
        let body = row.version.live(self.people[subject.author].account().deleted_at)?;
        let shared = self.shared(community, row, body)?;
        Some(vec![
            self.exists(subject).named("exists"),
            self.served(id).named("served"),
            shared.named("shared"),
            self.not_blocked(community, subject.author).named("not_blocked"),
            self.not_hidden(community, subject).named("not_hidden"),
            young(subject, row).named("young"),
        ])
    }

    /// A feed may leave nothing to its own posts.
    fn no_own_share(&self, community: u32) -> Option<Finding> {
        let has_none = self.info(community).is_some_and(|info| info.mix.own == 0);
        let because = "The feedMix of this community leaves no share to its own posts.".to_owned();
        has_none.then(|| self.by_config(community, Finding::new(false, because)))
    }

    /// feedMix: "a post belongs to exactly one source: own if it has the community's tag, else parent, else global". `None`
    /// where it is own, or nothing is taken from others.
    fn shared(&self, community: u32, row: &PostRow, body: &PostBody) -> Option<Finding> {
        let info = self.info(community)?;
        let own = self.communities[community].open?;
        if info.mix.parent + info.mix.global == 0 || body.tags().any(|tag| tag == own) {
            return None;
        }
        let parent = info.parent.filter(|parent| body.tags().any(|tag| tag == *parent));
        let visible = |place: &&Place| self.is_visible_at(row.author, place) && parent.is_none_or(|it| it == place.id);
        let seen = body.places.iter().find(visible);
        let (share, source) = match parent {
            Some(parent) => (info.mix.parent, format!("the parent, #atrarium_{parent}")),
            None => (info.mix.global, "all communities".to_owned()),
        };
        let seen_in = seen.map_or("it is visible in none of them".to_owned(), |place| {
            format!("it is visible in the feed of #atrarium_{}", place.id)
        });
        let percent = f64::from(share) / 100.0;
        let because =
            format!("It is not of this community; {percent} % of this feed come from {source}, and {seen_in}.");
        Some(self.by_config(community, Finding::new(share > 0 && seen.is_some(), because)))
    }

    /// Visible: "not deleted"; and what its account's deletion has ended is no longer there.
    pub(super) fn exists(&self, subject: &Subject<'_>) -> Finding {
        let uri = subject.uri;
        let Some(row) = subject.row.as_deref() else {
            let because = format!(
                "Nothing was seen of {uri}: it is not there, carries no community's hashtag, or is older than 7 days."
            );
            return Finding::new(false, because);
        };
        let deleted_at = self.people[subject.author].account().deleted_at;
        let holds = row.version.live(deleted_at).is_some();
        let because = format!("{uri} {}.", fate(&row.version, deleted_at));
        Finding::new(holds, because).by(uri.clone(), row.version.made())
    }

    /// Claim: the owner of the hashtag is served, while its config is there and carries it.
    fn served(&self, id: CommunityId) -> Finding {
        let Some((community, feed)) = self.claimant(id).zip(self.feeds.get(&id)) else {
            return Finding::new(false, format!("No config has claimed #atrarium_{id}: the post waits for one."));
        };
        let uri = self.community_uri(community);
        let row = &self.communities[community];
        let Some((version, claimed)) = row.winning().zip(feed.claim_date(community)) else {
            return Finding::new(false, format!("{uri} owns #atrarium_{id}, and nothing else is known of it."));
        };
        let deleted_at = self.people[row.owner].account().deleted_at;
        let live = version.live(deleted_at);
        let carries = live.is_some_and(|body| body.config.id == id);
        let state = match live {
            Some(_) if carries => format!("and its config, put on {}, carries it", version.made()),
            Some(body) => {
                format!("but its config, put on {}, carries #atrarium_{} now", version.made(), body.config.id)
            }
            None => format!("but its config {}", fate(version, deleted_at)),
        };
        let because =
            format!("#atrarium_{id} was claimed first by {uri}, on {claimed}, {state}{}.", self.later(id, community));
        Finding::new(carries, because).by(uri, version.made())
    }

    /// Who else has claimed a hashtag, to end a sentence on its owner.
    fn later(&self, id: CommunityId, owner: u32) -> String {
        let claims = self.feeds.get(&id).map_or(&[][..], |feed| &feed.claims);
        let others = claims.iter().filter(|(_, community)| *community != owner);
        let first = others.clone().min_by_key(|(date, _)| date);
        match (first, others.count()) {
            (None, _) => String::new(),
            (Some(&(date, other)), 1) => {
                format!("; the later claim of {} (on {date}) is contested and not served", self.community_uri(other))
            }
            (Some(&(date, other)), count) => format!(
                "; {count} later claims are contested and not served, the first of them that of {} (on {date})",
                self.community_uri(other)
            ),
        }
    }

    /// Member: "has a live membership record for the community with `active` not false"; "the owner is a member without
    /// a record".
    fn member(&self, community: u32, did: DidIndex) -> Finding {
        let (uri, who) = (self.community_uri(community), &self.people[did].did);
        if self.communities[community].owner == did {
            return self.by_config(community, Finding::new(true, format!("{who} owns {uri} and needs no membership.")));
        }
        let standing = self.communities[community].standings.get(&did);
        let live = standing.map_or(&[][..], |standing| &*standing.memberships);
        let first = live.iter().take(EXPLAIN_MEMBERSHIPS_MAX).map(|&number| &self.memberships[number]);
        if let Some(row) = first.min_by_key(|row| (row.version.made(), row.version.rev)) {
            let record = self.uri(did, Collection::Membership, &row.key);
            let made = row.version.made();
            let because = format!("{who} is a member of {uri} by {record}, put on {made}.");
            return Finding::new(true, because).by(record, made);
        }
        self.no_member(community, did)
    }

    /// Why somebody is no member: the last of their memberships that was one here, or may have been.
    fn no_member(&self, community: u32, did: DidIndex) -> Finding {
        let (uri, who) = (self.community_uri(community), &self.people[did].did);
        let past = self.memberships.of(did).into_iter().rev().take(EXPLAIN_MEMBERSHIPS_MAX);
        let past = past.map(|number| &self.memberships[number]).filter_map(|row| {
            let is_here = row.version.body.as_ref().map(|body| body.community == Ok(community));
            // A deleted one no longer says where it was: any that does say is worth more.
            (is_here != Some(false)).then_some((is_here.is_some(), row.version.made(), row.version.rev, row))
        });
        let Some((is_here, made, _, row)) = past.max_by_key(|&(is_here, made, rev, _)| (is_here, made, rev)) else {
            let because = format!("{who} has no membership in {uri}: the post waits until they join.");
            return Finding::new(false, because);
        };
        let record = self.uri(did, Collection::Membership, &row.key);
        let deleted_at = self.people[did].account().deleted_at;
        let left = match &row.version.body {
            Some(body) if !body.active && !row.version.is_ended(deleted_at) => {
                format!("{who} left {uri}: {record} has active=false since {made}")
            }
            _ if is_here => format!("{who} is no member of {uri}: {record} {}", fate(&row.version, deleted_at)),
            _ => format!(
                "{who} is no member of {uri}: {record}, which may have been the membership, {}",
                fate(&row.version, deleted_at)
            ),
        };
        Finding::new(false, format!("{left}; the post waits until they join.")).by(record, made)
    }

    /// Member: "where the config in force says `invite-only`, is named by a live acceptance made by somebody with
    /// authority when it was made".
    fn accepted(&self, community: u32, did: DidIndex) -> Finding {
        let (uri, who) = (self.community_uri(community), &self.people[did].did);
        if !self.is_invite_only(community) {
            let because = format!("{uri} is not invite-only: nobody needs an acceptance.");
            return self.by_config(community, Finding::new(true, because));
        }
        if self.communities[community].owner == did {
            return self.by_config(community, Finding::new(true, format!("{who} owns {uri} and needs no acceptance.")));
        }
        let docket = self.communities[community].standings.get(&did).map(|standing| &standing.acceptances);
        if let Some(acceptance) = docket.and_then(Docket::latest) {
            let because =
                format!("{uri} is invite-only, and {who} was accepted by {}.", self.ruling(acceptance, community));
            return self.by_ruling(acceptance, Finding::new(true, because));
        }
        let waits = "the post waits for an acceptance by the owner or a moderator";
        match self.without_authority(docket) {
            Some((acceptance, others)) => {
                let vain = self.ruling(acceptance, community);
                let because = format!("{uri} is invite-only, and {who} was accepted by {vain}{others} alone: {waits}.");
                self.by_ruling(acceptance, Finding::new(false, because))
            }
            None => {
                let because = format!("{uri} is invite-only, and nobody has accepted {who}: {waits}.");
                self.by_config(community, Finding::new(false, because))
            }
        }
    }

    /// Member: "is not blocked"; "the owner cannot be blocked".
    fn not_blocked(&self, community: u32, did: DidIndex) -> Finding {
        let (uri, who) = (self.community_uri(community), &self.people[did].did);
        if self.communities[community].owner == did {
            let because = format!("{who} owns {uri}, and the owner cannot be blocked.");
            return self.by_config(community, Finding::new(true, because));
        }
        let docket = self.communities[community].standings.get(&did).map(|standing| &standing.blocks);
        self.judged(community, docket, &["blocked", "unblocked", "block"], who.as_str())
    }

    /// Moderation: "per target the latest action (by made) of somebody with authority when it was made counts".
    fn not_hidden(&self, community: u32, subject: &Subject<'_>) -> Finding {
        let docket = self.communities[community].posts.get(&(subject.author, subject.key.clone()));
        self.judged(community, docket, &["hidden", "shown again", "hide"], &subject.uri.to_string())
    }

    /// What a docket of actions has come to. `words` are those of the deed, of its taking back, and of an attempt.
    fn judged(&self, community: u32, docket: Option<&Docket>, words: &[&str; 3], target: &str) -> Finding {
        let uri = self.community_uri(community);
        let [done, undone, attempt] = words;
        if let Some((docket, action)) = docket.and_then(|docket| Some((docket, docket.latest()?))) {
            let affirms = docket.affirms();
            let word = if affirms { done } else { undone };
            let because = format!("{target} was {word} in {uri} by {}.", self.ruling(action, community));
            return self.by_ruling(action, Finding::new(!affirms, because));
        }
        let because = match self.without_authority(docket) {
            Some((action, others)) => {
                let vain = self.ruling(action, community);
                format!(
                    "{target} is not {done} in {uri}: the action to {attempt} or un{attempt} by {vain}{others} does not count."
                )
            }
            None => format!("{target} is not {done} in {uri}: no live action says so."),
        };
        Finding::new(true, because)
    }

    /// Account: "obey `active`, not `status`".
    fn account_active(&self, did: DidIndex) -> Finding {
        let person = &self.people[did];
        let account = person.account();
        let Some(state) = account.state else {
            let because = format!("Nothing was heard of the account {}, so it counts as active.", person.did);
            return Finding::new(true, because);
        };
        let word = if state.active { "active" } else { "not active" };
        let deleted =
            account.deleted_at.map(|at| format!("; it was deleted on {at}, which ended all its records until then"));
        let because = format!(
            "The account {} is {word} since its event of {}{}.",
            person.did,
            state.time,
            deleted.unwrap_or_default()
        );
        Finding { at: Some(state.time), ..Finding::new(person.is_active(), because) }
    }

    /// Bounds, and the clock of the log: what was given up is not shown, whatever the other rules say. `None` where the
    /// post is not one that this feed would keep.
    fn kept(&self, subject: &Subject<'_>, row: &PostRow, id: CommunityId) -> Option<Finding> {
        row.version
            .live(self.people[row.author].account().deleted_at)
            .filter(|body| body.tags().any(|tag| tag == id))?;
        let uri = subject.uri;
        let time = Time::from_millis(row.time_millis());
        let is_kept = row.place(id).is_some_and(|place| place.position != Place::NOWHERE);
        let because = match self.clock().filter(|_| row.time_millis() < self.horizon_millis()) {
            _ if is_kept => format!("{uri} is kept for the feed of #atrarium_{id}."),
            Some(clock) => {
                format!("{uri} is no longer kept: it is older than 7 days at {clock}, the clock of the log.")
            }
            None => format!("{uri} is no longer kept: a bound was reached, and it was given up for others."),
        };
        Some(Finding::new(is_kept, because).by(uri.clone(), time))
    }

    // --- records in sentences

    /// The finding that the community's config decides.
    fn by_config(&self, community: u32, finding: Finding) -> Finding {
        match self.communities[community].winning() {
            Some(version) => finding.by(self.community_uri(community), version.made()),
            None => finding,
        }
    }

    /// The finding that an action or acceptance decides.
    fn by_ruling(&self, number: u32, finding: Finding) -> Finding {
        finding.by(self.ruling_uri(number), self.rulings[number].version.made())
    }

    /// "at://… of a moderator on … (reason: spam)", to follow "by".
    fn ruling(&self, number: u32, community: u32) -> String {
        let ruling = &self.rulings[number];
        let (uri, made) = (self.ruling_uri(number), ruling.version.made());
        let of = match self.ruling_authority(number, community) {
            Some(Grounds::Owner) => "of the owner".to_owned(),
            Some(Grounds::Moderator) => "of a moderator".to_owned(),
            Some(Grounds::Parent(parent)) => {
                format!("of an owner or moderator of the parent {}", self.community_uri(parent))
            }
            None => "of somebody without authority then".to_owned(),
        };
        let reason = ruling.version.body.as_ref().and_then(|body| body.reason.as_deref());
        let reason = reason.map_or_else(String::new, |reason| format!(" (reason: {})", one_line(reason)));
        format!("{uri} {of}, on {made}{reason}")
    }

    /// Where nobody with authority has decided: the last one of those without, and how many more there are, in words.
    fn without_authority(&self, docket: Option<&Docket>) -> Option<(u32, String)> {
        let filed = docket?.filed();
        let some = filed.iter().rev().take(EXPLAIN_RULINGS_MAX).copied();
        let last = some.max_by_key(|&number| {
            let version = &self.rulings[number].version;
            (version.made(), version.rev, self.ruling_uri(number))
        })?;
        let others = match filed.len() - 1 {
            0 => String::new(),
            1 => " and one other like it".to_owned(),
            count => format!(" and {count} others like it"),
        };
        Some((last, others))
    }
}

/// Tag in text, facets, `tags`.
fn tagged(subject: &Subject<'_>, row: &PostRow, id: CommunityId) -> Finding {
    let (uri, made) = (subject.uri, row.version.made());
    let (carries, because) = match &row.version.body {
        None => (false, format!("{uri} was deleted on {made} and carries no hashtag.")),
        Some(body) if body.tags().any(|tag| tag == id) => {
            (true, format!("{uri} carries #atrarium_{id}, as put on {made}."))
        }
        Some(_) => {
            (false, format!("{uri} does not carry #atrarium_{id}, as put on {made}: it is no post of this community."))
        }
    };
    Finding::new(carries, because).by(uri.clone(), made)
}

/// Visible: "younger than 7 days".
fn young(subject: &Subject<'_>, row: &PostRow) -> Finding {
    let (uri, now, millis) = (subject.uri, subject.now, row.time_millis());
    let holds = is_young(millis, now);
    let word = if holds { "younger" } else { "older" };
    let source = if millis == row.version.rev.time().millis() {
        "its rev"
    } else if millis == row.version.witnessed.millis() {
        "when the stream told of it"
    } else {
        "its createdAt"
    };
    let time = Time::from_millis(millis);
    let because = format!("{uri} is {word} than 7 days: its time is {time} ({source}), and now is {now}.");
    Finding::new(holds, because).by(uri.clone(), time)
}

/// What became of a record, to follow its name.
fn fate<B>(version: &Version<B>, deleted_at: Option<Time>) -> String {
    let (made, rev) = (version.made(), version.rev);
    match (&version.body, deleted_at.filter(|_| version.is_ended(deleted_at))) {
        (None, _) => format!("was deleted on {made} (rev {rev})"),
        (Some(_), None) => format!("was put on {made} (rev {rev})"),
        (Some(_), Some(ended)) => {
            format!("was put on {made} (rev {rev}) and was ended by the deletion of its account on {ended}")
        }
    }
}

/// The beginning of somebody's own words, in one line and without what could steer a terminal.
fn one_line(text: &str) -> String {
    let shown = text.chars().take(EXPLAIN_REASON_CHARS_MAX).map(|c| if c.is_control() { ' ' } else { c });
    let rest = text.chars().nth(EXPLAIN_REASON_CHARS_MAX).map(|_| '…');
    shown.chain(rest).collect()
}
