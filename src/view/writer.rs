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

use super::room::Room;
use super::seats::Dids;
use super::{Community, Shared};
use crate::fact::{Change, CommunityId, CommunityInfo};

/// Applies what the fold says. It never waits for a reader.
pub struct Writer {
    shared: Arc<Shared>,
    rooms: FxHashMap<CommunityId, Room>,
    due: BTreeSet<(i64, CommunityId)>,
    dids: Dids,
    posts: u64,
    ignored: u64,
    /// Rooms whose root has changed.
    dirty: Vec<CommunityId>,
    /// Communities that the map is to get, or to lose.
    changed: FxHashMap<CommunityId, Option<Arc<Community>>>,
}

impl Writer {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        Self {
            shared,
            rooms: FxHashMap::default(),
            due: BTreeSet::new(),
            dids: Dids::default(),
            posts: 0,
            ignored: 0,
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
            Change::Author { id, did, shown } => self.in_room(id, |room, dids| room.show(did.as_str(), shown, dids)),
            Change::Insert { id, post, hidden } => self.in_room(id, |room, dids| room.insert(&post, hidden, dids)),
            Change::Remove { id, post } => self.in_room(id, |room, _| room.remove(&post)),
            Change::Hide { id, post, hidden } => self.in_room(id, |room, _| room.hide(&post, hidden)),
            Change::Evict { before_millis } => self.evict(before_millis),
        };
        if !done {
            self.ignored += 1;
        }
    }

    /// Shows readers everything that was applied. Its cost is that of what has changed; where communities were opened
    /// or closed, one pass over the map, however many they were.
    pub fn publish(&mut self) {
        // Roots first: a community is found only when it is complete.
        for id in self.dirty.drain(..) {
            if let Some(room) = self.rooms.get_mut(&id) {
                room.publish();
            }
        }
        if !self.changed.is_empty() {
            let map = self.shared.map.load().with_changes(&self.changed);
            self.shared.map.store(Arc::new(map));
            self.shared.version.fetch_add(1, Ordering::Release);
            self.changed.clear();
        }
        self.shared.posts.store(self.posts, Ordering::Relaxed);
        self.shared.ignored.store(self.ignored, Ordering::Relaxed);
    }

    fn open(&mut self, id: CommunityId, info: Arc<CommunityInfo>) -> bool {
        if let Some(room) = self.rooms.get(&id) {
            let is_renamed = room.community.info().uri != info.uri;
            room.community.set_info(info);
            if is_renamed {
                self.changed.insert(id, Some(Arc::clone(&room.community)));
            }
            return true;
        }
        let community = Arc::new(Community::new(id, info));
        self.changed.insert(id, Some(Arc::clone(&community)));
        self.rooms.insert(id, Room::new(community));
        true
    }

    fn close(&mut self, id: CommunityId) -> bool {
        let Some(room) = self.rooms.remove(&id) else { return false };
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
            self.in_room(id, |room, _| {
                room.evict(before_millis);
                true
            });
        }
        true
    }

    /// Changes one community, and keeps the books. `false` where it is not served, or where `act` says so.
    fn in_room(&mut self, id: CommunityId, act: impl FnOnce(&mut Room, &mut Dids) -> bool) -> bool {
        let Some(room) = self.rooms.get_mut(&id) else { return false };
        let (was_dirty, had) = (room.is_dirty, room.live);
        let done = act(room, &mut self.dids);
        if room.is_dirty && !was_dirty {
            self.dirty.push(id);
        }
        self.posts = self.posts - had + room.live;
        let due = room.oldest_millis();
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

impl std::fmt::Debug for Writer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Writer")
            .field("communities", &self.rooms.len())
            .field("posts", &self.posts)
            .finish_non_exhaustive()
    }
}
