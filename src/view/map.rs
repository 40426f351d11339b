//! Which communities are served, and the names of their feeds. Made whole and swapped whole.

use std::sync::Arc;

use rustc_hash::FxHashMap;

use super::Community;
use crate::fact::{CommunityId, CommunityInfo};
use crate::syntax::Did;

/// The communities by id and by alias.
#[derive(Default)]
pub(super) struct Map {
    by_id: FxHashMap<CommunityId, Arc<Community>>,
    /// Sorted by (config's rkey, owner, id).
    aliases: Vec<Alias>,
}

#[derive(Clone)]
struct Alias {
    info: Arc<CommunityInfo>,
    id: CommunityId,
    /// The least id among all aliases of the same rkey.
    least: CommunityId,
}

impl Alias {
    fn key(&self) -> (&str, &str) {
        (self.info.uri.rkey.as_str(), self.info.uri.did.as_str())
    }
}

impl Map {
    pub(super) fn find(&self, id: CommunityId) -> Option<&Arc<Community>> {
        self.by_id.get(&id)
    }

    /// See [`View::find_feed`](super::View::find_feed).
    pub(super) fn find_feed(&self, rkey: &str, owner: Option<&Did>) -> Option<&Arc<Community>> {
        let is_owned = |community: &&Arc<Community>| owner.is_none_or(|owner| community.info().uri.did == *owner);
        let by_id = CommunityId::parse(rkey).ok().and_then(|id| self.find(id)).filter(is_owned);
        by_id.or_else(|| self.find(self.alias(rkey, owner)?))
    }

    fn alias(&self, rkey: &str, owner: Option<&Did>) -> Option<CommunityId> {
        let owner_text = owner.map_or("", Did::as_str);
        let at = self.aliases.partition_point(|alias| alias.key() < (rkey, owner_text));
        let found = self.aliases.get(at)?;
        match owner {
            Some(owner) => (found.key() == (rkey, owner.as_str())).then_some(found.id),
            None => (found.key().0 == rkey).then_some(found.least),
        }
    }

    pub(super) fn sorted(&self) -> Vec<Arc<Community>> {
        let mut all: Vec<_> = self.by_id.values().cloned().collect();
        all.sort_unstable_by_key(|community| community.id());
        all
    }

    pub(super) fn len(&self) -> usize {
        self.by_id.len()
    }

    /// This map with some communities put, replaced, or (`None`) taken away. Linear in the size of the map.
    pub(super) fn with_changes(&self, changes: &FxHashMap<CommunityId, Option<Arc<Community>>>) -> Self {
        let mut by_id = self.by_id.clone();
        // The aliases that stay are a sorted run, which the sort below takes as it is.
        let mut aliases: Vec<Alias> =
            self.aliases.iter().filter(|alias| !changes.contains_key(&alias.id)).cloned().collect();
        for (&id, change) in changes {
            match change {
                Some(community) => {
                    aliases.push(Alias { info: community.info(), id, least: id });
                    by_id.insert(id, Arc::clone(community));
                }
                None => {
                    by_id.remove(&id);
                }
            }
        }
        aliases.sort_by(|a, b| (a.key(), a.id).cmp(&(b.key(), b.id)));
        for same_rkey in aliases.chunk_by_mut(|a, b| a.key().0 == b.key().0) {
            if let Some(least) = same_rkey.iter().map(|alias| alias.id).min() {
                same_rkey.iter_mut().for_each(|alias| alias.least = least);
            }
        }
        Self { by_id, aliases }
    }
}
