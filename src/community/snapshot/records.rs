//! Memberships and rulings, with and without effect, and when accounts first joined.
//!
//! ```text
//! membership body   0 and the community, or 1 and the URI that is no config's | active | joined
//! ruling body       kind | …                                                           | affirms | created | reason
//!                   0 post: community | author | rkey      1 block: community | who      2 acceptance: community | who
//!                   3 an action without meaning: verb | target | URI of the community
//!                   4 an acceptance without meaning: subject | URI of the community
//! ```

use super::bytes::{Fault, In, Out};
use super::configs::take_community;
use super::people::take_did;
use super::{Chunks, Ranks, Section, version};
use crate::community::Fold;
use crate::community::config::Community;
use crate::community::names::{DidIndex, Key, Table};
use crate::community::rulings::{Ruling, RulingBody, RulingKey, Subject};
use crate::community::standing::{MembershipBody, MembershipRow};
use crate::fact::{Acceptance, Action, Body, Target, Verb};
use crate::syntax::{Did, RecordUri, Time};

const VERBS: [Verb; 4] = [Verb::HidePost, Verb::UnhidePost, Verb::BlockUser, Verb::UnblockUser];

pub(super) fn save_joins<E>(
    communities: &Table<Key, Community>,
    ranks: &Ranks,
    chunks: &mut Chunks<'_, E>,
) -> Result<(), E> {
    for (number, community) in communities.iter() {
        let joins = community.standings.iter().filter_map(|(&did, standing)| Some((did, standing.first_joined?)));
        let mut joins: Vec<(DidIndex, Time)> = joins.collect();
        joins.sort_unstable();
        for (did, joined) in joins {
            chunks.row(Section::Joins, |out| {
                out.index(ranks.community(number));
                out.index(ranks.did(did));
                out.time(joined);
            })?;
        }
    }
    Ok(())
}

pub(super) fn take_join(fold: &mut Fold, row: &mut In<'_>) -> Result<(), Fault> {
    let community = take_community(fold, row)?;
    let did = take_did(&fold.people, row)?;
    let joined = row.time()?;
    let standing = fold.communities[community].standings.entry(did).or_default();
    if standing.first_joined.replace(joined).is_some() {
        return Err("somebody has first joined twice");
    }
    fold.people[did].tally.joins += 1;
    Ok(())
}

pub(super) fn save_memberships<E>(
    memberships: &Table<Key, MembershipRow>,
    ranks: &Ranks,
    chunks: &mut Chunks<'_, E>,
) -> Result<(), E> {
    for (_, membership) in memberships.iter() {
        let MembershipRow { member, key, version, listed: _ } = membership;
        chunks.row(Section::Memberships, |out| {
            out.index(ranks.did(*member));
            version::put_key(out, key);
            version::put(out, version, |out, MembershipBody { community, active, joined }| {
                match community {
                    Ok(community) => {
                        out.byte(0);
                        out.index(ranks.community(*community));
                    }
                    Err(uri) => {
                        out.byte(1);
                        put_uri(out, uri);
                    }
                }
                out.flag(*active);
                out.time(*joined);
            });
        })?;
    }
    Ok(())
}

pub(super) fn take_membership(fold: &mut Fold, row: &mut In<'_>) -> Result<(), Fault> {
    let member = take_did(&fold.people, row)?;
    let key = version::take_key(row)?;
    let version = version::take(row, |row| {
        let community = if row.flag()? { Err(Box::new(take_uri(row)?)) } else { Ok(take_community(fold, row)?) };
        Ok(MembershipBody { community, active: row.flag()?, joined: row.time()? })
    })?;
    let membership = MembershipRow { member, key: key.clone(), version, listed: None };
    fold.memberships.restore(member, key, membership).map(drop).ok_or("a membership is there twice")
}

pub(super) fn save_rulings<E>(
    rulings: &Table<RulingKey, Ruling>,
    ranks: &Ranks,
    chunks: &mut Chunks<'_, E>,
) -> Result<(), E> {
    for (_, ruling) in rulings.iter() {
        let Ruling { author, key: RulingKey { is_acceptance, key }, version, filed: _, has_effect: _ } = ruling;
        chunks.row(Section::Rulings, |out| {
            out.index(ranks.did(*author));
            out.flag(*is_acceptance);
            version::put_key(out, key);
            version::put(out, version, |out, RulingBody { place, affirms, created, reason }| {
                match place {
                    Ok((community, subject)) => put_subject(out, ranks, *community, subject),
                    Err(body) => put_meaningless(out, body),
                }
                out.flag(*affirms);
                out.time(*created);
                out.optional(reason.as_ref(), |out, text| out.text(text));
            });
        })?;
    }
    Ok(())
}

pub(super) fn take_ruling(fold: &mut Fold, row: &mut In<'_>) -> Result<(), Fault> {
    let author = take_did(&fold.people, row)?;
    let is_acceptance = row.flag()?;
    let key = RulingKey { is_acceptance, key: version::take_key(row)? };
    let version = version::take(row, |row| {
        let meaning = take_meaning(fold, row)?;
        let (affirms, created) = (row.flag()?, row.time()?);
        let reason: Option<Box<str>> = row.optional(|row| row.text().map(Into::into))?;
        if meaning.is_acceptance() != is_acceptance {
            return Err("an acceptance is an action, or the other way round");
        }
        Ok(RulingBody { place: meaning.into_place(created, reason.as_deref()), affirms, created, reason })
    })?;
    let ruling = Ruling { author, key: key.clone(), version, filed: None, has_effect: false };
    fold.rulings.restore(author, key, ruling).map(drop).ok_or("an action or an acceptance is there twice")
}

fn put_subject(out: &mut Out<'_>, ranks: &Ranks, community: u32, subject: &Subject) {
    let community = ranks.community(community);
    let mut put = |kind: u8, did: &DidIndex| {
        out.byte(kind);
        out.index(community);
        out.index(ranks.did(*did));
    };
    match subject {
        Subject::Post(did, key) => {
            put(0, did);
            version::put_key(out, key);
        }
        Subject::Block(did) => put(1, did),
        Subject::Acceptance(did) => put(2, did),
    }
}

/// Of a record that means nothing to any feed: its created and reason are those of the ruling.
fn put_meaningless(out: &mut Out<'_>, body: &Body) {
    match body {
        Body::Action(Action { verb, target, community, created: _, reason: _ }) => {
            out.byte(3);
            out.byte(*verb as u8);
            match target {
                Target::Record(uri) => {
                    out.flag(true);
                    put_uri(out, uri);
                }
                Target::Account(did) => {
                    out.flag(false);
                    out.text(did.as_str());
                }
            }
            put_uri(out, community);
        }
        Body::Acceptance(Acceptance { community, subject, created: _ }) => {
            out.byte(4);
            out.text(subject.as_str());
            put_uri(out, community);
        }
        _ => unreachable!("invariant: rulings are actions and acceptances"),
    }
}

/// What a ruling says, before its created and reason are known.
enum Meaning {
    Place(u32, Subject),
    Action(Verb, Target, RecordUri),
    Acceptance(Did, RecordUri),
}

impl Meaning {
    fn is_acceptance(&self) -> bool {
        matches!(self, Self::Place(_, Subject::Acceptance(_)) | Self::Acceptance(..))
    }

    fn into_place(self, created: Time, reason: Option<&str>) -> Result<(u32, Subject), Box<Body>> {
        let body = match self {
            Self::Place(community, subject) => return Ok((community, subject)),
            Self::Action(verb, target, community) => {
                Body::Action(Action { verb, target, community, created, reason: reason.map(Into::into) })
            }
            Self::Acceptance(subject, community) => Body::Acceptance(Acceptance { community, subject, created }),
        };
        Err(Box::new(body))
    }
}

fn take_meaning(fold: &Fold, row: &mut In<'_>) -> Result<Meaning, Fault> {
    match row.byte()? {
        kind @ 0..=2 => {
            let community = take_community(fold, row)?;
            let did = take_did(&fold.people, row)?;
            let subject = match kind {
                0 => Subject::Post(did, version::take_key(row)?),
                1 => Subject::Block(did),
                _ => Subject::Acceptance(did),
            };
            Ok(Meaning::Place(community, subject))
        }
        3 => {
            let verb = *VERBS.get(usize::from(row.byte()?)).ok_or("a verb is unknown")?;
            let target =
                if row.flag()? { Target::Record(take_uri(row)?) } else { Target::Account(take_did_text(row)?) };
            Ok(Meaning::Action(verb, target, take_uri(row)?))
        }
        4 => Ok(Meaning::Acceptance(take_did_text(row)?, take_uri(row)?)),
        _ => Err("an action is of an unknown kind"),
    }
}

fn take_did_text(row: &mut In<'_>) -> Result<Did, Fault> {
    row.parsed("a DID breaks its syntax")
}

fn put_uri(out: &mut Out<'_>, uri: &RecordUri) {
    out.text(uri.did.as_str());
    out.text(uri.collection.as_str());
    out.text(uri.rkey.as_str());
}

fn take_uri(row: &mut In<'_>) -> Result<RecordUri, Fault> {
    Ok(RecordUri {
        did: take_did_text(row)?,
        collection: row.parsed("an NSID breaks its syntax")?,
        rkey: row.parsed("a record key breaks its syntax")?,
    })
}
