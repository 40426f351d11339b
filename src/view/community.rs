//! One community as readers see it.
//!
//! In: roots, infos and exclusions, swapped in by the writer. Out: pages of its own posts; what a mixed page asks.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use arc_swap::{ArcSwap, Guard};

use super::PageCursor;
use super::cursor;
use super::excluded::Excluded;
use super::heads::{Ask, Generation, Horizon};
use super::page::{self, End, Page};
use super::root::{Pin, Root};
use crate::fact::{CommunityId, CommunityInfo};
use crate::limits::{PAGE_ITEMS_MAX, RETENTION_MICROS};
use crate::syntax::Time;

/// A served community. Who holds one may go on reading it after it has been closed; it changes no more then.
pub struct Community {
    id: CommunityId,
    info: ArcSwap<CommunityInfo>,
    root: ArcSwap<Root>,
    excluded: ArcSwap<Excluded>,
    /// Whether `info` gives a share to anything but the community's own posts, or pins a post: a page of nothing but its own
    /// posts need not load it.
    is_mixed: AtomicBool,
    /// Of the pages of its own posts.
    generation: Generation,
}

impl Community {
    /// `birth` is another one for each community that is ever opened.
    pub(super) fn new(id: CommunityId, info: Arc<CommunityInfo>, birth: u64) -> Self {
        Self {
            id,
            is_mixed: AtomicBool::new(is_mixed(&info)),
            info: ArcSwap::new(info),
            root: ArcSwap::default(),
            excluded: ArcSwap::default(),
            generation: Generation::new(birth),
        }
    }

    /// Writer only: whatever may show on a page of the community's own posts is changed in here.
    pub(super) fn change<R>(&self, act: impl FnOnce() -> R) -> R {
        self.generation.change(act)
    }

    /// Asks for the first page of its own posts, before walking for it.
    pub(super) fn ask(&self, now: Time, limit: usize) -> Option<Ask> {
        self.generation.ask(limit.clamp(1, PAGE_ITEMS_MAX), oldest_visible_millis(now))
    }

    /// Its id.
    pub fn id(&self) -> CommunityId {
        self.id
    }

    /// Its info as it is now.
    pub fn info(&self) -> Arc<CommunityInfo> {
        self.info.load_full()
    }

    pub(super) fn is_mixed(&self) -> bool {
        self.is_mixed.load(Ordering::Relaxed)
    }

    pub(super) fn pin(&self) -> Pin {
        self.root.load()
    }

    pub(super) fn excluded(&self) -> Guard<Arc<Excluded>> {
        self.excluded.load()
    }

    pub(super) fn set_info(&self, info: Arc<CommunityInfo>) {
        self.is_mixed.store(is_mixed(&info), Ordering::Relaxed);
        self.info.store(info);
    }

    pub(super) fn set_root(&self, root: Root) {
        self.root.store(Arc::new(root));
    }

    pub(super) fn set_excluded(&self, excluded: Excluded) {
        self.excluded.store(Arc::new(excluded));
    }

    /// The community's own posts, whatever its mix and whatever it pins: the newest visible ones that come after `after` (all where it is
    /// absent), at most `limit` of them. `limit` is taken as 1 where it is 0, and as [`PAGE_ITEMS_MAX`] where it is more.
    /// Readers of the feed are answered by [`View::page`](super::View::page).
    ///
    /// A post is visible where its author is shown, it is neither hidden nor removed, and at `now` it is younger than
    /// [`RETENTION_MICROS`]. The page pins what it shows: render it, and let it go before waiting for anything.
    pub fn page(&self, now: Time, limit: usize, after: Option<&PageCursor>) -> Page {
        let root = self.root.load();
        let limit = limit.clamp(1, PAGE_ITEMS_MAX);
        let mut items = Vec::with_capacity(limit);
        let mut more = false;
        root.walk(after.and_then(PageCursor::own), oldest_visible_millis(now), limit + 1, |item, _, _| {
            more = items.len() == limit;
            if !more {
                items.push(item);
            }
            !more
        });
        let end = match (after.and_then(PageCursor::others), items.last()) {
            (Some(after), Some(last)) if more => Some(End::Mixed(Box::new(after.with_own(root.key(last).to_post())))),
            _ => more.then_some(End::Own),
        };
        Page::own(self.id, root, items, end)
    }

    /// Appends the body of the same page, rendered as the walk goes; says when it is the same.
    pub(super) fn write_page(&self, now: Time, limit: usize, after: Option<&PageCursor>, out: &mut Vec<u8>) -> Horizon {
        let root = self.root.load();
        let (limit, oldest_millis) = (limit.clamp(1, PAGE_ITEMS_MAX), oldest_visible_millis(now));
        let (mut count, mut last, mut next_millis) = (0, None, None);
        page::begin(limit, out);
        root.walk(after.and_then(PageCursor::own), oldest_millis, limit + 1, |item, time_millis, seat| {
            if count == limit {
                next_millis = Some(time_millis);
                return false;
            }
            root.write_line_of(seat, &item, out);
            (count, last) = (count + 1, Some((item, time_millis)));
            true
        });
        page::end_items(count, out);
        if let (Some(_), Some((last, _))) = (next_millis, &last) {
            page::write_cursor(out, |out| match after.and_then(PageCursor::others) {
                Some(after) => after.with_own(root.key(last).to_post()).write(out),
                None => cursor::write_own(root.key(last), out),
            });
        }
        page::end(count, self.id, out);
        match next_millis {
            // However far back one looked, the page would end here.
            Some(until_millis) => Horizon { from_millis: i64::MIN, until_millis },
            None => Horizon { from_millis: oldest_millis, until_millis: last.map_or(i64::MAX, |(_, millis)| millis) },
        }
    }
}

fn is_mixed(info: &CommunityInfo) -> bool {
    info.mix.parent > 0 || info.mix.global > 0 || info.pinned.is_some()
}

impl std::fmt::Debug for Community {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Community").field("id", &self.id).finish_non_exhaustive()
    }
}

/// The first millisecond that is younger than the retention.
pub(super) fn oldest_visible_millis(now: Time) -> i64 {
    // now − millis × 1000 < retention, solved for millis.
    now.micros().saturating_sub(RETENTION_MICROS).div_euclid(1000).saturating_add(1)
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
