//! One community as readers see it, and the walk from its newest post to older ones.
//!
//! In: roots, swapped in by the writer. Out: pages.
//!
//! ```text
//!   root:   chunk 0 (oldest)  [e e e e]   chunk 1  [e e e e e e]   chunk 2  [e e e + +]     + published after the pin
//!   walk:                     ◄──────────◄─────────────────────◄─────────── from the end, or from before the cursor
//! ```
//! A pinned root fixes which chunks there are. Its last chunk may get more entries meanwhile, all of them newer than
//! everything that is pinned; a walk takes each chunk's length once.

use std::sync::Arc;

use arc_swap::{ArcSwap, Guard};

use super::chunk::{Chunk, Key, Rkey};
use super::entry::Entry;
use super::page::{Item, Page};
use super::seats::Seats;
use super::{PageCursor, page};
use crate::fact::{CommunityId, CommunityInfo};
use crate::limits::{PAGE_ITEMS_MAX, RETENTION_MICROS};
use crate::syntax::Time;

/// A served community. Who holds one may go on reading it after it has been closed; it changes no more then.
pub struct Community {
    id: CommunityId,
    info: ArcSwap<CommunityInfo>,
    root: ArcSwap<Root>,
}

/// What a reader pins.
#[derive(Debug, Default)]
pub(super) struct Root {
    /// Oldest first; none is empty.
    pub(super) chunks: Box<[Arc<Chunk>]>,
    pub(super) seats: Seats,
}

impl Community {
    pub(super) fn new(id: CommunityId, info: Arc<CommunityInfo>) -> Self {
        Self { id, info: ArcSwap::new(info), root: ArcSwap::default() }
    }

    /// Its id.
    pub fn id(&self) -> CommunityId {
        self.id
    }

    /// Its info as it is now.
    pub fn info(&self) -> Arc<CommunityInfo> {
        self.info.load_full()
    }

    pub(super) fn set_info(&self, info: Arc<CommunityInfo>) {
        self.info.store(info);
    }

    pub(super) fn set_root(&self, root: Root) {
        self.root.store(Arc::new(root));
    }

    /// The newest visible posts that come after `after` (all where it is absent), at most `limit` of them. `limit` is
    /// taken as 1 where it is 0, and as [`PAGE_ITEMS_MAX`] where it is more.
    ///
    /// A post is visible where its author is shown, it is neither hidden nor removed, and at `now` it is younger than
    /// [`RETENTION_MICROS`]. The page pins what it shows: render it, and let it go before waiting for anything.
    pub fn page(&self, now: Time, limit: usize, after: Option<&PageCursor>) -> Page {
        let root = self.root.load();
        let limit = limit.clamp(1, PAGE_ITEMS_MAX);
        let mut items = Vec::with_capacity(limit);
        let (mut last_millis, mut more) = (0, false);
        root.walk(after, oldest_visible_millis(now), |item, time_millis| {
            if items.len() == limit {
                more = true;
                return false;
            }
            items.push(item);
            last_millis = time_millis;
            true
        });
        let end =
            more.then(|| page::End { time_millis: last_millis, carries: after.map_or([0; 3], |after| after.carries) });
        Page::new(root, items, end)
    }
}

impl std::fmt::Debug for Community {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Community").field("id", &self.id).finish_non_exhaustive()
    }
}

/// The first millisecond that is younger than the retention.
fn oldest_visible_millis(now: Time) -> i64 {
    // now − millis × 1000 < retention, solved for millis.
    now.micros().saturating_sub(RETENTION_MICROS).div_euclid(1000).saturating_add(1)
}

/// A pinned root.
pub(super) type Pin = Guard<Arc<Root>>;

impl Root {
    /// Hands the visible entries to `each`, newest first, with their time, until it says `false`.
    fn walk(&self, after: Option<&PageCursor>, oldest_millis: i64, mut each: impl FnMut(Item, i64) -> bool) {
        let (mut count, mut length) = self.start(after);
        while let Some(at) = count.checked_sub(1) {
            let chunk = &self.chunks[at];
            let entries = chunk.entries();
            let entries = &entries[..length.unwrap_or(entries.len())];
            for entry in entries.iter().rev() {
                let meta = entry.meta();
                let time_millis = chunk.time_millis(meta);
                if time_millis < oldest_millis {
                    return;
                }
                if !meta.is_plain() || !self.seats.get(meta.seat()).is_some_and(|seat| seat.is_shown()) {
                    continue;
                }
                if !each(Item::new(entry, meta, at), time_millis) {
                    return;
                }
            }
            (count, length) = (at, None);
        }
    }

    /// How many chunks a walk goes through, and how many entries of the last of them (all where it is absent).
    fn start(&self, after: Option<&PageCursor>) -> (usize, Option<usize>) {
        let Some(after) = after else { return (self.chunks.len(), None) };
        let key = Key {
            time_millis: after.key.time_millis,
            did: after.key.did.as_str(),
            rkey: Rkey::new(after.key.rkey.as_str()),
        };
        let count = self.chunks.partition_point(|chunk| {
            chunk.entries().first().is_some_and(|first| chunk.compare(first, key, &self.seats).is_lt())
        });
        let length = count.checked_sub(1).map(|at| self.older(at, key));
        (count, length)
    }

    /// How many entries of a chunk are older than a key.
    fn older(&self, at: usize, key: Key<'_>) -> usize {
        let chunk = &self.chunks[at];
        chunk.entries().partition_point(|entry: &Entry| chunk.compare(entry, key, &self.seats).is_lt())
    }
}

#[cfg(test)]
impl Community {
    /// Length and capacity of each chunk.
    pub(super) fn chunk_sizes(&self) -> Vec<(usize, usize)> {
        self.root.load().chunks.iter().map(|chunk| (chunk.entries().len(), chunk.capacity())).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_post_is_visible_until_it_is_seven_days_old() {
        for micros in [0, 1, 999, 1000, 1001, 1_999, RETENTION_MICROS, 1_760_000_000_000_123, -1, -1001] {
            let oldest = oldest_visible_millis(Time::from_micros(micros));
            assert!(micros - oldest * 1000 < RETENTION_MICROS, "{micros}");
            assert!(micros - (oldest - 1) * 1000 >= RETENTION_MICROS, "{micros}");
        }
        assert!(oldest_visible_millis(Time::from_micros(i64::MIN)) < 0);
    }
}
