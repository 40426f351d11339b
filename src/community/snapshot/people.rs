//! People: who is who, and what is known of their accounts.

use rustc_hash::FxHashMap;

use super::bytes::{Fault, In};
use super::{Chunks, Ranks, Section};
use crate::community::feeds::Feed;
use crate::community::names::DidIndex;
use crate::community::people::{AccountPast, AccountState, People, Person};
use crate::fact::CommunityId;
use crate::syntax::Did;

pub(super) fn save<E>(people: &People, chunks: &mut Chunks<'_, E>) -> Result<(), E> {
    for (_, person) in people.iter() {
        let AccountPast { state, deleted_at, desynchronized_at } = person.account();
        chunks.row(Section::People, |out| {
            out.text(person.did.as_str());
            out.optional(state.as_ref(), |out, state| {
                out.time(state.time);
                out.flag(state.active);
            });
            out.optional_time(*deleted_at);
            out.optional_time(*desynchronized_at);
        })?;
    }
    Ok(())
}

pub(super) fn take(people: &mut People, row: &mut In<'_>) -> Result<(), Fault> {
    let did: Did = row.parsed("a DID breaks its syntax")?;
    let account = AccountPast {
        state: row.optional(|row| Ok(AccountState { time: row.time()?, active: row.flag()? }))?,
        deleted_at: row.optional_time()?,
        desynchronized_at: row.optional_time()?,
    };
    people.restore(Person::new(did, account)).ok_or("a DID is there twice")
}

pub(super) fn take_did(people: &People, row: &mut In<'_>) -> Result<DidIndex, Fault> {
    row.index(people.len(), "it names a person who is not there").map(DidIndex)
}

/// The authors whom the view was told to show, and of whom no post is held: of others it follows from their posts.
pub(super) fn save_silent<E>(
    feeds: &FxHashMap<CommunityId, Feed>,
    ranks: &Ranks,
    chunks: &mut Chunks<'_, E>,
) -> Result<(), E> {
    let of_feed = |(&id, feed): (&CommunityId, &Feed)| {
        let silent = feed.authors.iter().filter(|(_, author)| author.posts.is_empty());
        silent.map(|(&did, _)| (id, did)).collect::<Vec<_>>()
    };
    let mut silent: Vec<(CommunityId, DidIndex)> = feeds.iter().flat_map(of_feed).collect();
    silent.sort_unstable();
    for (id, did) in silent {
        chunks.row(Section::Silent, |out| {
            out.index(id.0);
            out.index(ranks.did(did));
        })?;
    }
    Ok(())
}

pub(super) fn take_silent(people: &People, row: &mut In<'_>) -> Result<(CommunityId, DidIndex), Fault> {
    Ok((take_tag(row)?, take_did(people, row)?))
}

pub(super) fn take_tag(row: &mut In<'_>) -> Result<CommunityId, Fault> {
    row.index(1 << 32, "a hashtag is out of range").map(CommunityId)
}
