//! Standing: what an account is in a community.
//!
//! In: commits on memberships; the dockets of blocks and acceptances. Out: whether somebody is a member.
//!
//! What always holds: a membership is listed in its community exactly while its winning version is a put that is not
//! ended and has `active`.
//!
//! Memberships of one DID are bounded; one that is deleted or inactive makes room for a new one (`bounds`).

use super::Fold;
use super::few::Few;
use super::names::{DidIndex, Key};
use super::rulings::Docket;
use super::told::Told;
use super::version::Version;
use crate::fact::{AccessType, Body, Membership, Record};
use crate::syntax::{RecordUri, Time};
use crate::telemetry::Bound;

/// What the records of one community say of one account.
#[derive(Debug, Default)]
pub(super) struct Standing {
    /// Its live memberships, by number.
    pub memberships: Few<u32>,
    pub blocks: Docket,
    pub acceptances: Docket,
    /// When they first joined: the least time at which any version of a membership of theirs was made. Never forgotten.
    pub first_joined: Option<Time>,
}

impl Standing {
    fn is_empty(&self) -> bool {
        self.memberships.is_empty()
            && self.blocks.is_empty()
            && self.acceptances.is_empty()
            && self.first_joined.is_none()
    }
}

/// One membership record.
#[derive(Debug)]
pub(super) struct MembershipRow {
    pub member: DidIndex,
    pub key: Key,
    pub version: Version<MembershipBody>,
    /// The community in which it is listed.
    pub listed: Option<u32>,
}

/// What a version of a membership says.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct MembershipBody {
    /// The number of the community, or the URI where it is no config's and means nothing.
    pub community: Result<u32, Box<RecordUri>>,
    pub active: bool,
    pub joined: Time,
}

impl Fold {
    /// Whether an account is a member: the owner always; who is not blocked, has a membership and, where the config
    /// asks for it, an acceptance.
    pub(super) fn is_member(&self, community: u32, did: DidIndex) -> bool {
        if self.communities[community].owner == did {
            return true;
        }
        let Some(standing) = self.communities[community].standings.get(&did) else { return false };
        !standing.memberships.is_empty()
            && !standing.blocks.affirms()
            && (standing.acceptances.affirms() || !self.is_invite_only(community))
    }

    /// Whether the config that counts now asks for an acceptance.
    pub(super) fn is_invite_only(&self, community: u32) -> bool {
        self.live_config(community).is_some_and(|body| body.config.access == AccessType::InviteOnly)
    }

    /// A commit on a membership; `None` is a delete.
    pub(super) fn apply_membership(&mut self, record: &Record, body: Option<&Membership>, out: &mut Told<'_>) {
        let member = self.people.find_or_add(&record.did);
        let key = Key::from(&record.rkey);
        let body = body.map(|membership| MembershipBody {
            community: self.community_at(&membership.community).ok_or_else(|| Box::new(membership.community.clone())),
            active: membership.active,
            joined: membership.joined,
        });
        let version = Version::new(record, body);
        let known = self.memberships.find(member, &key);
        if known.is_none() && !self.has_room_for_membership(member) {
            return;
        }
        self.note_join(member, &version);
        if let Some(known) = known {
            let news = self.memberships[known].version.merge(version, |body| self.membership_form(body));
            if news.is_some() {
                self.refresh_membership(known, news, out);
            }
        } else {
            let row = MembershipRow { member, key: key.clone(), version, listed: None };
            let number = self.memberships.find_or_add(member, &key, || row);
            self.people[member].tally.memberships += 1;
            self.refresh_membership(number, None, out);
        }
    }

    /// Whether one more membership of a DID can be taken; where there are too many, the oldest that says nothing goes.
    fn has_room_for_membership(&mut self, member: DidIndex) -> bool {
        if (self.people[member].tally.memberships as usize) < self.bounds.memberships_per_did {
            return true;
        }
        self.reached.count(Bound::Memberships);
        let Some(oldest) = self.dead_memberships.pop_oldest(member) else { return false };
        self.memberships.remove(member, &oldest);
        self.people[member].tally.memberships -= 1;
        true
    }

    /// Dates a member's first joining by one more version, whether it counts now or not.
    fn note_join(&mut self, member: DidIndex, version: &Version<MembershipBody>) {
        let Some(body) = version.body.as_ref().filter(|body| body.active) else { return };
        let Ok(community) = body.community else { return };
        if self.communities[community].owner == member {
            return;
        }
        let joined = self.communities[community].standings.get(&member).and_then(|standing| standing.first_joined);
        if joined.is_none() {
            let joins = &mut self.people[member].tally.joins;
            if (*joins as usize) >= self.bounds.memberships_per_did {
                return self.reached.count(Bound::Joins);
            }
            *joins += 1;
        }
        let made = version.made();
        let first = joined.map_or(made, |joined| joined.min(made));
        self.communities[community].standings.entry(member).or_default().first_joined = Some(first);
    }

    /// Lists a membership where it belongs now: after a new version, or after its account was deleted.
    pub(super) fn refresh_membership(
        &mut self,
        number: u32,
        news: Option<Version<MembershipBody>>,
        out: &mut Told<'_>,
    ) {
        let row = &mut self.memberships[number];
        let (member, before) = (row.member, row.listed);
        self.dead_memberships.remove(member, row.version.rev, &row.key);
        if let Some(version) = news {
            row.version = version;
        }
        let live = row.version.live(self.people[member].account().deleted_at);
        let after = live.filter(|body| body.active).and_then(|body| body.community.as_ref().ok().copied());
        row.listed = after;
        if after.is_none() {
            self.dead_memberships.insert(member, row.version.rev, &row.key);
        }
        if before == after {
            return;
        }
        if let Some(community) = after {
            self.communities[community].standings.entry(member).or_default().memberships.push(number);
            self.sync_member(community, member, out);
        }
        if let Some(community) = before {
            let standing = self.communities[community].standings.entry(member).or_default();
            standing.memberships.retain(|&listed| listed != number);
            self.sync_member(community, member, out);
            self.forget_standing(community, member);
        }
    }

    fn sync_member(&mut self, community: u32, member: DidIndex, out: &mut Told<'_>) {
        if let Some(id) = self.communities[community].open {
            self.sync_author(id, member, out);
        }
    }

    /// Forgets the standing of an account of which no record says anything.
    pub(super) fn forget_standing(&mut self, community: u32, did: DidIndex) {
        let standings = &mut self.communities[community].standings;
        if standings.get(&did).is_some_and(Standing::is_empty) {
            standings.remove(&did);
        }
    }

    /// The debug form of what was put.
    fn membership_form(&self, body: &MembershipBody) -> String {
        let community = match &body.community {
            Ok(community) => self.community_uri(*community),
            Err(uri) => (**uri).clone(),
        };
        format!("{:?}", Body::Membership(Membership { community, active: body.active, joined: body.joined }))
    }
}
