//! The one writer of a view.
//!
//! In: changes, one by one; then [`Writer::publish`], once for all changes of a batch. Out: what readers see.
//!
//! What always holds: `rooms` are the communities that the map will have after the next publish; `due` holds each
//! community that has posts once, by a time that none of its posts is before.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use rustc_hash::FxHashMap;

use super::author::Author;
use super::chunk::Hashtags;
use super::excluded::Excluded;
use super::pool::Pool;
use super::room::{FilledSeats, Room};
use super::{Community, Shared};
use crate::fact::{self, Change, CommunityId, CommunityInfo, FilledPost};
use crate::syntax::Did;

/// Applies what the fold says. It never waits for a reader.
pub struct Writer {
    shared: Arc<Shared>,
    rooms: FxHashMap<CommunityId, Served>,
    /// Every post that is visible in some community, once.
    global: Room,
    due: BTreeSet<(i64, CommunityId)>,
    pool: Pool,
    posts: u64,
    ignored: u64,
    /// Communities that were ever opened.
    births: u64,
    /// Of the ring that was filled last.
    filling: Option<FilledSeats>,
    /// Communities whose root or exclusions have changed.
    dirty: Vec<CommunityId>,
    /// Communities that the map is to get, or to lose.
    changed: FxHashMap<CommunityId, Option<Arc<Community>>>,
}

/// A community, and the writer's side of it.
struct Served {
    community: Arc<Community>,
    room: Room,
    excluded: Excluded,
    /// Whether readers have older exclusions than these.
    is_excluded_dirty: bool,
}

impl Served {
    fn is_dirty(&self) -> bool {
        self.room.is_dirty || self.is_excluded_dirty
    }

    fn publish(&mut self) {
        // First what is kept out: a post should not be seen before it is known to be hidden.
        if std::mem::take(&mut self.is_excluded_dirty) {
            self.community.set_excluded(self.excluded.clone());
        }
        if let Some(root) = self.room.take_root() {
            self.community.change(|| self.community.set_root(root));
        }
    }
}

impl Writer {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        Self {
            shared,
            rooms: FxHashMap::default(),
            global: Room::new(Hashtags::Many),
            due: BTreeSet::new(),
            pool: Pool::default(),
            posts: 0,
            ignored: 0,
            births: 0,
            filling: None,
            dirty: Vec::new(),
            changed: FxHashMap::default(),
        }
    }

    /// Obeys one change. Readers may see its effect at once, and see it after the next [`Writer::publish`].
    ///
    /// A change that names what is not there does nothing, and is counted ([`Counts::ignored`](super::Counts)).
    pub fn apply(&mut self, change: Change) {
        let done = match change {
            Change::Open { id, info } => self.open(id, info),
            Change::Close { id } => self.close(id),
            Change::Author { id, did, shown } => {
                self.in_room(id, Oldest::Stays, |room, pool| room.show(Author::new(did.as_str()), shown, pool))
            }
            Change::Insert { id, post, tags, hidden } => {
                let oldest = Oldest::With(post.time_millis);
                self.in_room(id, oldest, |room, pool| room.insert(&post, tags, hidden, pool))
            }
            Change::Retag { id, post, tags } => self.in_room(id, Oldest::Stays, |room, _| room.retag(&post, tags)),
            Change::Share { post, tags } => self.global.share(&post, tags, &mut self.pool),
            Change::Unshare { post } => self.global.remove(&post),
            Change::Exclude { id, what, excluded } => self.exclude(id, &what, excluded),
            Change::Remove { id, post } => self.in_room(id, Oldest::Any, |room, _| room.remove(&post)),
            Change::Hide { id, post, hidden } => self.in_room(id, Oldest::Stays, |room, _| room.hide(&post, hidden)),
            Change::Fill { id, authors, posts } => return self.fill(id, authors, posts),
            Change::Evict { before_millis } => self.evict(before_millis),
        };
        if !done {
            self.ignored += 1;
        }
    }

    /// Shows readers everything that was applied. Its cost is that of what has changed; where communities were opened
    /// or closed, one pass over the map, however many they were.
    pub fn publish(&mut self) {
        self.filling = None;
        // Roots first: a community is found only when it is complete.
        for id in self.dirty.drain(..) {
            if let Some(served) = self.rooms.get_mut(&id) {
                served.publish();
            }
        }
        if let Some(root) = self.global.take_root() {
            self.shared.global.store(Arc::new(root));
        }
        if !self.changed.is_empty() {
            let map = self.shared.map.load().with_changes(&self.changed);
            self.shared.map.store(Arc::new(map));
            self.shared.version.fetch_add(1, Ordering::Release);
            self.changed.clear();
        }
        self.pool.fill();
        self.shared.posts.store(self.posts, Ordering::Relaxed);
        self.shared.ignored.store(self.ignored, Ordering::Relaxed);
    }

    /// What cannot be taken is counted post by post.
    fn fill(&mut self, id: Option<CommunityId>, authors: Arc<[Did]>, posts: Vec<FilledPost>) {
        let count = posts.len();
        let mut taken = 0;
        let goes_on = |known: &FilledSeats| known.id == id && Arc::ptr_eq(&known.authors, &authors);
        let known = self.filling.take().filter(goes_on);
        let mut seats = known.unwrap_or_else(|| FilledSeats { id, authors, seats: FxHashMap::default() });
        match id {
            Some(id) => {
                self.in_room(id, Oldest::Any, |room, pool| {
                    taken = room.fill(&mut seats, posts, pool);
                    true
                });
            }
            None => taken = self.global.fill(&mut seats, posts, &mut self.pool),
        }
        self.filling = Some(seats);
        self.ignored += (count - taken) as u64;
    }

    fn open(&mut self, id: CommunityId, info: Arc<CommunityInfo>) -> bool {
        if let Some(Served { community, .. }) = self.rooms.get(&id) {
            let is_renamed = community.info().uri != info.uri;
            community.change(|| community.set_info(info));
            if is_renamed {
                self.changed.insert(id, Some(Arc::clone(community)));
            }
            return true;
        }
        self.births += 1;
        let community = Arc::new(Community::new(id, info, self.births));
        self.changed.insert(id, Some(Arc::clone(&community)));
        let (room, excluded) = (Room::new(Hashtags::One), Excluded::default());
        self.rooms.insert(id, Served { community, room, excluded, is_excluded_dirty: false });
        true
    }

    fn close(&mut self, id: CommunityId) -> bool {
        let Some(Served { room, .. }) = self.rooms.remove(&id) else { return false };
        self.posts -= room.live;
        if let Some(due) = room.due {
            self.due.remove(&(due, id));
        }
        self.changed.insert(id, None);
        true
    }

    fn evict(&mut self, before_millis: i64) -> bool {
        while let Some(&(due, id)) = self.due.first()
            && due < before_millis
        {
            self.in_room(id, Oldest::Any, |room, _| {
                room.evict(before_millis);
                true
            });
        }
        self.global.evict(before_millis);
        true
    }

    fn exclude(&mut self, id: CommunityId, what: &fact::Excluded, excluded: bool) -> bool {
        let Some(served) = self.rooms.get_mut(&id) else { return false };
        let was_dirty = served.is_dirty();
        let done = served.excluded.set(what, excluded);
        served.is_excluded_dirty |= done;
        if served.is_dirty() && !was_dirty {
            self.dirty.push(id);
        }
        done
    }

    /// Changes one community, and keeps the books. `false` where it is not served, or where `act` says so.
    fn in_room(&mut self, id: CommunityId, oldest: Oldest, act: impl FnOnce(&mut Room, &mut Pool) -> bool) -> bool {
        let Some(served) = self.rooms.get_mut(&id) else { return false };
        let (was_dirty, had) = (served.is_dirty(), served.room.live);
        let (room, pool) = (&mut served.room, &mut self.pool);
        let done = served.community.change(|| act(room, pool));
        if served.is_dirty() && !was_dirty {
            self.dirty.push(id);
        }
        let room = &mut served.room;
        self.posts = self.posts - had + room.live;
        let due = if oldest.stays(room.due) { room.due } else { room.oldest_millis() };
        if due != room.due {
            if let Some(old) = room.due {
                self.due.remove(&(old, id));
            }
            self.due.extend(due.map(|due| (due, id)));
            room.due = due;
        }
        done
    }
}

/// What a change does to the oldest post of a community. It is looked for only where it may be another one: most posts come
/// last, and the first chunk of a ring is seldom in a cache.
#[derive(Clone, Copy)]
enum Oldest {
    /// Nothing.
    Stays,
    /// A post of this time may come.
    With(i64),
    /// Any post may come or go.
    Any,
}

impl Oldest {
    /// Whether it is that of this time still.
    fn stays(self, oldest_millis: Option<i64>) -> bool {
        match self {
            Self::Stays => true,
            Self::With(millis) => oldest_millis.is_some_and(|oldest| oldest <= millis),
            Self::Any => false,
        }
    }
}

impl std::fmt::Debug for Writer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Writer")
            .field("communities", &self.rooms.len())
            .field("posts", &self.posts)
            .finish_non_exhaustive()
    }
}
