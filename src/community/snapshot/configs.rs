//! Communities: whoever named them, every version of their configs, their claims, their past.

use std::sync::Arc;

use rustc_hash::FxHashMap;

use super::bytes::{Fault, In, Out};
use super::people::{take_did, take_tag};
use super::{Chunks, Ranks, Section, version};
use crate::community::Fold;
use crate::community::config::{Community, ConfigBody};
use crate::community::feeds::Feed;
use crate::community::lineage::Past;
use crate::community::names::{Key, Table};
use crate::fact::{AccessType, Collection, CommunityId, Config, FeedMix, Stage};
use crate::limits::DAY_MICROS;
use crate::syntax::{AtUri, Time};

const STAGES: [Stage; 3] = [Stage::Theme, Stage::Community, Stage::Graduated];

pub(super) fn save<E>(
    communities: &Table<Key, Community>,
    feeds: &FxHashMap<CommunityId, Feed>,
    ranks: &Ranks,
    chunks: &mut Chunks<'_, E>,
) -> Result<(), E> {
    for (_, community) in communities.iter() {
        let Community {
            owner,
            key,
            versions: _,  // below
            themes: _,    // from the versions
            standings: _, // joins, memberships and rulings
            posts: _,     // from the rulings
            open: _,      // from versions and claims
            pins: _,      // from the versions
            past,
            excluded: _, // from the rulings
        } = community;
        chunks.row(Section::Communities, |out| {
            out.index(ranks.did(*owner));
            version::put_key(out, key);
            put_past(out, past);
        })?;
    }
    for (number, community) in communities.iter() {
        for config_version in community.versions.values() {
            chunks.row(Section::Versions, |out| {
                out.index(ranks.community(number));
                version::put(out, config_version, |out, ConfigBody { config, parent: _ }| put_config(out, config));
            })?;
        }
    }
    save_claims(feeds, ranks, chunks)
}

fn save_claims<E>(feeds: &FxHashMap<CommunityId, Feed>, ranks: &Ranks, chunks: &mut Chunks<'_, E>) -> Result<(), E> {
    let of_feed = |(&id, feed): (&CommunityId, &Feed)| {
        feed.claims.iter().map(|&(date, community)| (id, ranks.community(community), date)).collect::<Vec<_>>()
    };
    let mut claims: Vec<(CommunityId, u32, Time)> = feeds.iter().flat_map(of_feed).collect();
    claims.sort_unstable();
    for (id, community, date) in claims {
        chunks.row(Section::Claims, |out| {
            out.index(id.0);
            out.index(community);
            out.time(date);
        })?;
    }
    Ok(())
}

pub(super) fn take(fold: &mut Fold, row: &mut In<'_>) -> Result<(), Fault> {
    let owner = take_did(&fold.people, row)?;
    let key = version::take_key(row)?;
    let past = take_past(row)?;
    let community = Community { past, ..Community::new(owner, key.clone()) };
    fold.communities.restore(owner, key, community).map(drop).ok_or("a community is there twice")
}

pub(super) fn take_community(fold: &Fold, row: &mut In<'_>) -> Result<u32, Fault> {
    row.index(fold.communities.len(), "it names a community that is not there")
}

pub(super) fn take_version(fold: &mut Fold, row: &mut In<'_>) -> Result<(), Fault> {
    let community = take_community(fold, row)?;
    let version = version::take(row, |row| {
        let config = take_config(row)?;
        let parent = parent_of(fold, &config)?;
        Ok(ConfigBody { config: Arc::new(config), parent })
    })?;
    if let Some(parent) = version.body.as_ref().and_then(|body| body.parent) {
        fold.communities[parent].themes.insert(community);
    }
    let versions = &mut fold.communities[community].versions;
    if versions.insert(version.rev, version).is_some() {
        return Err("a version of a config is there twice");
    }
    Ok(())
}

/// The community that a config names as its parent: it is there, as one whom a record names.
fn parent_of(fold: &Fold, config: &Config) -> Result<Option<u32>, Fault> {
    let uri = config.parent.as_ref().and_then(AtUri::to_record);
    let Some(uri) = uri.filter(|uri| uri.collection.as_str() == Collection::Config.nsid()) else { return Ok(None) };
    let owner = fold.people.find(&uri.did);
    let parent = owner.and_then(|owner| fold.communities.find(owner, &Key::from(&uri.rkey)));
    parent.map(Some).ok_or("it names a parent that is not there")
}

pub(super) fn take_claim(fold: &mut Fold, row: &mut In<'_>) -> Result<(), Fault> {
    let id = take_tag(row)?;
    let community = take_community(fold, row)?;
    let date = row.time()?;
    let claims = &mut fold.feeds.entry(id).or_default().claims;
    // Those of one hashtag come in order.
    if claims.last().is_some_and(|&(_, before)| before >= community) {
        return Err("claims are not in order");
    }
    claims.push((date, community));
    Ok(())
}

fn put_past(out: &mut Out<'_>, Past { founded, first_post_millis, posts }: &Past) {
    out.optional_time(*founded);
    out.optional(*first_post_millis, Out::difference);
    out.number(posts.len() as u64);
    for (&day, &count) in posts {
        out.difference(day);
        out.index(count);
    }
}

fn take_past(row: &mut In<'_>) -> Result<Past, Fault> {
    let founded = row.optional_time()?;
    let first_post_millis = row.optional(In::difference)?;
    let days = row.list(|row| {
        let day = row.difference()?;
        day.checked_mul(DAY_MICROS).ok_or("a day is out of range")?;
        Ok((day, row.index(1 << 31, "a day has too many posts")?))
    })?;
    if !days.is_sorted_by(|(a, _), (b, _)| a < b) {
        return Err("days are not in order");
    }
    Ok(Past { founded, first_post_millis, posts: days.into_iter().collect() })
}

fn put_config(out: &mut Out<'_>, config: &Config) {
    let Config {
        name,
        id,
        stage,
        feed_mix: FeedMix { own, parent: of_parent, global },
        moderators,
        created,
        description,
        parent,
        access,
        pinned_post,
        updated,
    } = config;
    out.text(name);
    out.index(id.0);
    out.byte(*stage as u8);
    [own, of_parent, global].into_iter().for_each(|&share| out.index(u32::from(share)));
    out.number(moderators.len() as u64);
    moderators.iter().for_each(|did| out.text(did.as_str()));
    out.time(*created);
    out.optional(description.as_ref(), |out, text| out.text(text));
    out.optional(parent.as_ref(), |out, uri| out.text(uri.as_str()));
    out.flag(*access == AccessType::InviteOnly);
    out.optional(pinned_post.as_ref(), |out, uri| out.text(uri.as_str()));
    out.optional_time(*updated);
}

fn take_config(row: &mut In<'_>) -> Result<Config, Fault> {
    let uri = |row: &mut In<'_>| row.parsed::<AtUri>("an AT-URI breaks its syntax");
    Ok(Config {
        name: row.text()?.into(),
        id: take_tag(row)?,
        stage: *STAGES.get(usize::from(row.byte()?)).ok_or("a stage is unknown")?,
        feed_mix: take_mix(row)?,
        moderators: row.list(|row| row.parsed("a DID breaks its syntax"))?,
        created: row.time()?,
        description: row.optional(|row| row.text().map(Into::into))?,
        parent: row.optional(uri)?,
        access: if row.flag()? { AccessType::InviteOnly } else { AccessType::Open },
        pinned_post: row.optional(uri)?,
        updated: row.optional_time()?,
    })
}

fn take_mix(row: &mut In<'_>) -> Result<FeedMix, Fault> {
    let mut share = || u16::try_from(row.number()?).map_err(|_| "a share is out of range");
    let (own, parent, global) = (share()?, share()?, share()?);
    let sum = u32::from(own) + u32::from(parent) + u32::from(global);
    if sum != 10_000 {
        return Err("the shares of a page do not sum to the whole");
    }
    Ok(FeedMix { own, parent, global })
}
