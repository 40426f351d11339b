//! What readers see: per community, the posts newest first, read without a lock.
//!
//! In: [`Change`]s of the fold, applied by the one committer thread through the [`Writer`]. Out: [`Page`]s, rendered by
//! any number of reader threads through clones of the [`View`].
//!
//! ```text
//!   View ─► map (swapped whole) ─► Community ─► root (swapped whole) ─► chunk, chunk, chunk … each oldest first
//!        │  id, alias               info        │    │                     16 bytes an entry: TID | seat, flags, time
//!        │                                      │    └─► seats: who, and whether their posts are shown
//!        │                                      └─► excluded: what its moderators hide, whom they block
//!        └► global root: every post that is visible somewhere, once; 20 bytes an entry, with its hashtag
//! ```
//! A page of one source walks that community's ring (`community`). A mixed page walks up to three rings (`mixed`) by
//! quotas (`mix`): the community's, its parent's, and the global one, however many communities there are. First pages of
//! one source that are asked for often are kept as they were rendered (`heads`).
//!
//! What always holds:
//! - A reader never waits for the writer, nor for another reader; the writer never waits for a reader.
//! - Below its published length a chunk changes in nothing but its flags. In-order posts go into the last chunk's free
//!   room; everything else copies the chunks it touches, and swaps the root.
//! - Chunks, and entries within them, are in the order of [`PostKey`], each key once.
//! - An item that is visible, and of the same source, while a reader walks from page to page is met exactly once.
//! - What is applied is seen, at the latest, when [`Writer::publish`] has returned. Flags, an author's being shown,
//!   and in-order posts are seen earlier.
//! - A seat is never given to another author while its community is served.
//!
//! Architecture Invariant: nothing here decides who is a member or what is hidden: the fold does.
#![forbid(unsafe_code)]

mod author;
mod chunk;
mod community;
mod cursor;
mod entry;
mod excluded;
mod heads;
mod line;
mod map;
mod mix;
mod mixed;
mod page;
mod pool;
mod room;
mod root;
mod seat_index;
mod seats;
mod writer;

#[cfg(test)]
mod tests;
#[cfg(all(test, loom))]
mod tests_loom;

pub use community::Community;
pub use cursor::{PageCursor, PageCursorError};
pub use page::Page;
pub use writer::Writer;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use arc_swap::ArcSwap;
use bytes::Bytes;

use crate::fact::CommunityId;
#[cfg(doc)]
use crate::fact::{Change, PostKey};
use crate::syntax::Did;
use crate::syntax::Time;
use heads::{Ask, Heads};
use map::Map;
use page::Pins;
use root::Root;

/// An empty view, and the one writer of it.
pub fn new() -> (Writer, View) {
    let shared = Arc::new(Shared::default());
    (Writer::new(Arc::clone(&shared)), View(shared))
}

/// The readers' end. Clones are cheap and see the same.
#[derive(Clone)]
pub struct View(Arc<Shared>);

#[derive(Default)]
struct Shared {
    map: ArcSwap<Map>,
    /// Every post that is visible in some community, once.
    global: ArcSwap<Root>,
    heads: Heads,
    /// Grows each time that `map` is swapped, after it was.
    version: AtomicU64,
    posts: AtomicU64,
    ignored: AtomicU64,
}

/// Figures of the whole view, as of the last [`Writer::publish`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Counts {
    /// Communities served.
    pub communities: usize,
    /// Posts in all rings, visible or not.
    pub posts: u64,
    /// Changes that named what is not there, or that no room was left for, since the start. The fold sends none of the
    /// former.
    pub ignored: u64,
}

impl View {
    /// The community of an id, where it is served.
    pub fn find(&self, id: CommunityId) -> Option<Arc<Community>> {
        self.0.map.load().find(id).cloned()
    }

    /// The community of a feed's rkey: its id (8 lower-case hex digits), else the rkey of its config. Where an owner
    /// is given it is that owner's; where none is, and several configs have that rkey, it is the least id.
    pub fn find_feed(&self, rkey: &str, owner: Option<&Did>) -> Option<Arc<Community>> {
        self.0.map.load().find_feed(rkey, owner).cloned()
    }

    /// A page of a community's feed: the newest visible posts that come after `after`, at most `limit` of them (1 where it
    /// is 0, [`PAGE_ITEMS_MAX`](crate::limits::PAGE_ITEMS_MAX) where it is more), from its own posts, its parent's and all
    /// others as its mix says. It pins what it shows: render it, and let it go before waiting for anything.
    pub fn page(&self, community: &Community, now: Time, limit: usize, after: Option<&PageCursor>) -> Page {
        if !community.is_mixed() {
            return community.page(now, limit, after);
        }
        let info = community.info();
        let own = community.pin();
        let parent = info.parent.and_then(|parent| self.0.map.load().find(parent).map(|parent| parent.pin()));
        let pins = Pins { own, others: Some(Box::new((parent, self.0.global.load()))) };
        mixed::page(community, &info, pins, now, limit, after)
    }

    /// Appends the body of `getFeedSkeleton` to `out`: that of [`View::page`], which may have been rendered before.
    pub fn write_page(
        &self,
        community: &Community,
        now: Time,
        limit: usize,
        after: Option<&PageCursor>,
        out: &mut Vec<u8>,
    ) {
        let ask = ask(community, now, limit, after);
        if ask.and_then(|ask| self.0.heads.serve(ask, |body| out.extend_from_slice(body))).is_none() {
            self.write(community, now, limit, after, ask, out);
        }
    }

    /// The same body, to be sent as it lies: where it was rendered before it is not copied. One that is rendered now is
    /// written into a buffer of at least `capacity` bytes.
    pub fn body(
        &self,
        community: &Community,
        now: Time,
        limit: usize,
        after: Option<&PageCursor>,
        capacity: usize,
    ) -> Bytes {
        let ask = ask(community, now, limit, after);
        if let Some(body) = ask.and_then(|ask| self.0.heads.serve(ask, Bytes::clone)) {
            return body;
        }
        let mut out = Vec::with_capacity(capacity);
        self.write(community, now, limit, after, ask, &mut out);
        out.into()
    }

    /// Renders a page; what others may ask for too, for them as well.
    fn write(
        &self,
        community: &Community,
        now: Time,
        limit: usize,
        after: Option<&PageCursor>,
        ask: Option<Ask>,
        out: &mut Vec<u8>,
    ) {
        if community.is_mixed() {
            return self.page(community, now, limit, after).write_json(out);
        }
        let start = out.len();
        let horizon = community.write_page(now, limit, after, out);
        if let Some(ask) = ask {
            self.0.heads.offer(ask, &out[start..], horizon);
        }
    }

    /// All that are served at this moment, sorted by id.
    pub fn communities(&self) -> Vec<Arc<Community>> {
        self.0.map.load().sorted()
    }

    /// A number that is another one after the set of communities has changed. Read it before [`View::communities`].
    pub fn version(&self) -> u64 {
        self.0.version.load(Ordering::Acquire)
    }

    /// Figures of the whole view.
    pub fn counts(&self) -> Counts {
        Counts {
            communities: self.0.map.load().len(),
            posts: self.0.posts.load(Ordering::Relaxed),
            ignored: self.0.ignored.load(Ordering::Relaxed),
        }
    }
}

/// What may have been rendered before: the first page of a community's own posts.
fn ask(community: &Community, now: Time, limit: usize, after: Option<&PageCursor>) -> Option<Ask> {
    if after.is_some() || community.is_mixed() { None } else { community.ask(now, limit) }
}

impl std::fmt::Debug for View {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("View").field(&self.counts()).finish()
    }
}
