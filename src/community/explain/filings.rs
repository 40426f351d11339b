//! Which communities have filed an action on a post: the index behind "what has to do with it?".
//!
//! In: the first action that a community files on a post, and the last one that goes. Out: the communities, by number.
//! Without it that question would cost a look into every community there is.

use std::collections::BTreeSet;

use rustc_hash::FxHashMap;

use super::super::names::{DidIndex, Key};

/// For each post that an action names: the communities in which one does.
#[derive(Debug, Default)]
pub(in super::super) struct Filings(FxHashMap<(DidIndex, Key), BTreeSet<u32>>);

static NOBODY: BTreeSet<u32> = BTreeSet::new();

impl Filings {
    /// A community has an action on the post.
    pub fn note(&mut self, author: DidIndex, key: &Key, community: u32) {
        self.0.entry((author, key.clone())).or_default().insert(community);
    }

    /// A community has no action on the post any more.
    pub fn forget(&mut self, author: DidIndex, key: &Key, community: u32) {
        let post = (author, key.clone());
        if let Some(communities) = self.0.get_mut(&post) {
            communities.remove(&community);
            if communities.is_empty() {
                self.0.remove(&post);
            }
        }
    }

    /// The communities that have an action on the post.
    pub fn of(&self, author: DidIndex, key: &Key) -> &BTreeSet<u32> {
        self.0.get(&(author, key.clone())).unwrap_or(&NOBODY)
    }
}
