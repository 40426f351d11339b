//! Facts out of bytes: few names, so that everything meets everything.

use arbitrary::{Result, Unstructured};
use atrarium::fact::{
    Acceptance, AccessType, Account, Action, Body, Collection, CommunityId, Config, Fact, Gap, GapReason, Host,
    Membership, Post, Record, Rev, Stage, Target, Verb,
};
use atrarium::syntax::{AtUri, Fingerprint, Orphan, OrphanKind, RecordKey, RecordUri, Tid, Time};

use crate::fold_support::history::DIDS;
use crate::fold_support::{DAY, HOUR, MINUTE, SECOND, T0, cid, config, did, uri};

const CONFIGS: [(usize, &str); 4] = [(0, "3mabc222222ab"), (0, "self"), (1, "3mabc222222ab"), (3, "a.b")];
const TAGS: [u32; 3] = [0x1111_1111, 0xa1b2_c3d4, 0];
const RKEYS: [&str; 4] = ["3mabc222222zz", "3mabc222222zy", "x.y", "self"];
const DELETABLE: [Collection; 5] =
    [Collection::Post, Collection::Config, Collection::Membership, Collection::Acceptance, Collection::Action];

/// As many facts as the bytes last for, at most `most`.
pub fn history(bytes: &mut Unstructured<'_>, most: usize) -> Vec<Fact> {
    let mut facts = Vec::new();
    while facts.len() < most && !bytes.is_empty() {
        match fact(bytes) {
            Ok(fact) => facts.push(fact),
            Err(_) => break,
        }
    }
    facts
}

fn fact(bytes: &mut Unstructured<'_>) -> Result<Fact> {
    let body = match bytes.int_in_range(0..=9)? {
        0 | 1 => Body::Post(post(bytes)?),
        2 => return put_config(bytes),
        3 => {
            let (community, active) = (community(bytes)?, bytes.ratio(5, 6)?);
            Body::Membership(Membership { community, active, joined: Time::EPOCH })
        }
        4 => Body::Acceptance(Acceptance {
            community: community(bytes)?,
            subject: did(bytes.choose(&DIDS)?),
            created: Time::EPOCH,
        }),
        5 | 6 => Body::Action(action(bytes)?),
        7 => Body::Deleted(*bytes.choose(&DELETABLE)?),
        8 => return account(bytes),
        _ => return other(bytes),
    };
    let (author, rkey) = (bytes.choose(&DIDS)?, bytes.choose(&RKEYS)?);
    record(bytes, author, rkey, body)
}

fn record(bytes: &mut Unstructured<'_>, author: &str, rkey: &str, body: Body) -> Result<Fact> {
    let witnessed = time(bytes)?;
    let tid = match bytes.int_in_range(0..=7)? {
        0 => Tid::from_u64(bytes.arbitrary()?),
        1 => Tid::from_time(time(bytes)?, 0),
        2 => Tid::from_time(witnessed.plus_micros(400 * DAY), 0),
        clock => Tid::from_time(witnessed, clock % 2),
    };
    let rev = if bytes.ratio(1, 10)? { Rev::AtMost(tid) } else { Rev::Exact(tid) };
    let has_cid = !matches!(body, Body::Deleted(_)) && bytes.ratio(9, 10)?;
    let cid = if has_cid { Some(cid(bytes.int_in_range(0..=2)?)) } else { None };
    let rkey = RecordKey::parse(rkey).expect("a valid record key");
    Ok(Fact::Record(Record { witnessed, host: Host::new("test"), did: did(author), rkey, rev, cid, body }))
}

/// Within 20 days; often a round moment, so that several things are at the same one.
fn time(bytes: &mut Unstructured<'_>) -> Result<Time> {
    let micros = match bytes.int_in_range(0..=3)? {
        0 => bytes.int_in_range(0..=20)? * DAY,
        1 => bytes.int_in_range(0..=48)? * HOUR,
        2 => bytes.int_in_range(0..=60)? * MINUTE,
        _ => bytes.int_in_range(0..=20 * DAY)?,
    };
    Ok(Time::from_micros(T0 + micros))
}

fn post(bytes: &mut Unstructured<'_>) -> Result<Post> {
    let mut tags = Vec::new();
    for _ in 0..bytes.int_in_range(0..=2)? {
        tags.push(CommunityId(*bytes.choose(&TAGS)?));
    }
    tags.sort();
    tags.dedup();
    let created = match bytes.int_in_range(0..=4)? {
        0 => Some(time(bytes)?),
        1 => Some(Time::from_micros(bytes.int_in_range(-5..=5)?)),
        2 => Some(Time::from_micros(bytes.arbitrary()?)),
        _ => None,
    };
    // What a worker lets through: after the epoch.
    Ok(Post { tags, created: created.filter(|created| *created > Time::EPOCH) })
}

fn put_config(bytes: &mut Unstructured<'_>) -> Result<Fact> {
    let (owner, rkey) = *bytes.choose(&CONFIGS)?;
    let stage = *bytes.choose(&[Stage::Theme, Stage::Community, Stage::Graduated])?;
    let parent = if bytes.arbitrary()? { AtUri::parse(&community(bytes)?.to_string()).ok() } else { None };
    let access = if bytes.ratio(1, 4)? { AccessType::InviteOnly } else { AccessType::Open };
    let mut moderators = Vec::new();
    for _ in 0..bytes.int_in_range(0..=2)? {
        moderators.push(did(bytes.choose(&DIDS)?));
    }
    let config = Config { stage, parent, access, moderators, ..config(*bytes.choose(&TAGS)?) };
    record(bytes, DIDS[owner], rkey, Body::Config(Box::new(config)))
}

fn community(bytes: &mut Unstructured<'_>) -> Result<RecordUri> {
    let (owner, rkey) = *bytes.choose(&CONFIGS)?;
    let collection = if bytes.ratio(1, 25)? { Collection::Post } else { Collection::Config };
    Ok(uri(DIDS[owner], collection, rkey))
}

fn action(bytes: &mut Unstructured<'_>) -> Result<Action> {
    let verb = *bytes.choose(&[Verb::HidePost, Verb::UnhidePost, Verb::BlockUser, Verb::UnblockUser])?;
    let on_post = matches!(verb, Verb::HidePost | Verb::UnhidePost) != bytes.ratio(1, 20)?;
    let target = if on_post {
        Target::Record(uri(bytes.choose(&DIDS)?, Collection::Post, bytes.choose(&RKEYS)?))
    } else {
        Target::Account(did(bytes.choose(&DIDS)?))
    };
    Ok(Action { verb, target, community: community(bytes)?, created: Time::EPOCH, reason: None })
}

fn account(bytes: &mut Unstructured<'_>) -> Result<Fact> {
    let (witnessed, did, active) = (time(bytes)?, did(bytes.choose(&DIDS)?), bytes.arbitrary()?);
    let time = if bytes.arbitrary()? { time(bytes)? } else { witnessed };
    let status = if active { None } else { Some((*bytes.choose(&["deleted", "takendown", "suspended"])?).into()) };
    Ok(Fact::Account(Account { witnessed, host: Host::new("test"), did, active, status, time }))
}

/// What moves no feed, or only takes old posts out of it.
fn other(bytes: &mut Unstructured<'_>) -> Result<Fact> {
    Ok(match bytes.int_in_range(0..=2)? {
        0 => Fact::Clock(time(bytes)?),
        1 => Fact::Gap(Gap {
            witnessed: time(bytes)?,
            host: Host::new("test"),
            did: None,
            reason: GapReason::CursorTooOld,
        }),
        _ => {
            let witnessed = time(bytes)?;
            let orphan =
                Orphan { rev: Tid::from_time(witnessed.plus_micros(-SECOND), 0), kind: OrphanKind::Deleted, witnessed };
            Fact::Orphans(vec![(Fingerprint::of(bytes.choose(&DIDS)?, bytes.choose(&RKEYS)?), orphan)])
        }
    })
}
