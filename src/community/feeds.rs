//! Feeds: what the view has been told, one per hashtag.
//!
//! In: posts that carry the hashtag, and calls to `sync_…` whenever a record may have changed what is shown. Out: the
//! difference to what was told before.
//!
//! ```text
//! Author.posts   [ in the ring …………… | waiting …………… ]        a post's Place.position is its index in here
//!                  0 …        in_ring   …          len
//! ```
//!
//! What always holds:
//! - each held post stands once in its author's list of each feed whose hashtag it carries, where it was not given up;
//! - while the feed is closed, nobody is shown and nothing is in the ring;
//! - while it is open, an author is shown exactly while they are a member with an active account, and a post enters the
//!   ring as soon as its author is shown. It stays when the author is shown no more; what comes then waits.
//!
//! The posts of one author here are bounded, and so are those that wait in all feeds together (`room`). A post that was
//! given up in one feed has no position there.

use std::collections::hash_map::Entry;
use std::sync::Arc;

use rustc_hash::{FxHashMap, FxHashSet};

use super::Fold;
use super::names::DidIndex;
use super::told::Told;
use crate::fact::{Change, CommunityId, CommunityInfo};
use crate::syntax::Time;

/// One hashtag: who claims it, and the posts that carry it.
#[derive(Debug, Default)]
pub(super) struct Feed {
    /// The communities that have claimed the hashtag, with the date of each claim.
    pub claims: Vec<(Time, u32)>,
    /// The community of the least claim.
    pub owner: Option<u32>,
    /// The community that the view shows here, and what it was told of it.
    pub open: Option<(u32, Arc<CommunityInfo>)>,
    pub authors: FxHashMap<DidIndex, Author>,
}

/// One author's posts in one feed.
#[derive(Debug, Default)]
pub(super) struct Author {
    /// What the view was told last.
    pub shown: bool,
    /// How many of `posts`, from the front, are in the ring.
    pub in_ring: usize,
    pub posts: Vec<u32>,
}

/// A held post's place in one feed.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place {
    pub id: CommunityId,
    /// Index in [`Author::posts`]; [`Place::NOWHERE`] while the post is not held, or was given up here.
    pub position: u32,
    /// What the view was told last; meaningless while the post is not in the ring.
    pub hidden: bool,
}

impl Place {
    pub const NOWHERE: u32 = u32::MAX;

    pub fn is_in_ring_of(&self, author: &Author) -> bool {
        (self.position as usize) < author.in_ring
    }
}

/// What came of [`Fold::enter`].
pub(super) struct Entered {
    /// Whether no other post of the author stands here, and the view has not been told of them.
    pub is_first: bool,
    /// How many posts the author now has here.
    pub count: usize,
}

impl Feed {
    /// When a community claimed the hashtag.
    pub fn claim_date(&self, community: u32) -> Option<Time> {
        self.claims.iter().find(|(_, claimant)| *claimant == community).map(|&(date, _)| date)
    }
}

impl Fold {
    /// Tells the view of a community, or of its new info, and fills its feed with what has waited.
    pub(super) fn open(&mut self, id: CommunityId, community: u32, info: CommunityInfo, out: &mut Told<'_>) {
        self.file_pin(community);
        let feed = self.feeds.entry(id).or_default();
        let told = feed.open.as_ref().filter(|(told, _)| *told == community);
        if told.is_some_and(|(_, told)| **told == info) {
            return;
        }
        let fills = told.is_none();
        debug_assert!(feed.open.is_none() || !fills, "invariant: the former owner's feed was closed before");
        let info = Arc::new(info);
        feed.open = Some((community, Arc::clone(&info)));
        self.communities[community].open = Some(id);
        out.push(|| Change::Open { id, info });
        if fills {
            self.counts.communities += 1;
            self.sync_all_excluded(community, out);
            self.sync_authors(id, out);
        }
    }

    /// Tells the view that a feed is no longer served. Its posts wait.
    pub(super) fn close(&mut self, id: CommunityId, out: &mut Told<'_>) {
        let Some(feed) = self.feeds.get_mut(&id) else { return };
        let Some((community, _)) = feed.open.take() else { return };
        let mut were_in_ring: Vec<u32> = Vec::new();
        for author in feed.authors.values_mut() {
            author.shown = false;
            let in_ring = std::mem::take(&mut author.in_ring);
            were_in_ring.extend(&author.posts[..in_ring]);
            self.counts.in_rings -= in_ring;
        }
        let silent: Vec<DidIndex> =
            feed.authors.iter().filter(|(_, author)| author.posts.is_empty()).map(|(&did, _)| did).collect();
        let row = &mut self.communities[community];
        row.open = None;
        row.excluded = FxHashSet::default();
        self.unfile_pin(community);
        self.counts.communities -= 1;
        out.push(|| Change::Close { id });
        were_in_ring.sort_unstable();
        for post in were_in_ring {
            self.unshare(post, out);
        }
        for did in silent {
            self.forget_author(id, did);
        }
    }

    /// Brings the whole feed of a community up to date, after its config or its parent's has changed.
    pub(super) fn sync_community(&mut self, community: u32, out: &mut Told<'_>) {
        let Some(id) = self.communities[community].open else { return };
        let mut posts: Vec<_> = self.communities[community].posts.keys().cloned().collect();
        posts.sort_unstable();
        for (author, key) in posts {
            if let Some(post) = self.posts.find(author, &key) {
                self.sync_hidden(id, post, out);
            }
        }
        self.sync_all_excluded(community, out);
        self.sync_authors(id, out);
    }

    fn sync_authors(&mut self, id: CommunityId, out: &mut Told<'_>) {
        let mut authors: Vec<DidIndex> = self.feeds[&id].authors.keys().copied().collect();
        authors.sort_unstable();
        for did in authors {
            self.sync_author(id, did, out);
        }
    }

    /// Tells the view whether an author is shown, and first puts into the ring what has waited for that.
    pub(super) fn sync_author(&mut self, id: CommunityId, did: DidIndex, out: &mut Told<'_>) {
        let Some(&(community, _)) = self.feeds.get(&id).and_then(|feed| feed.open.as_ref()) else { return };
        let shown = self.people[did].is_active() && self.is_member(community, did);
        let Some(author) = self.feeds.get_mut(&id).and_then(|feed| feed.authors.get_mut(&did)) else { return };
        let mut begun = author.in_ring;
        if shown {
            let community = &self.communities[community];
            for &post in &author.posts[author.in_ring..] {
                let hidden = self.posts.enter_ring(post, id, community);
                out.push(|| {
                    let tags = self.posts.tags_told(post).expect("invariant: a held post has a hashtag");
                    Change::Insert { id, post: self.posts.post_key(post, &self.people), tags, hidden }
                });
            }
            self.counts.in_rings += author.posts.len() - author.in_ring;
            author.in_ring = author.posts.len();
        }
        if author.shown != shown {
            author.shown = shown;
            begun = 0;
            out.push(|| Change::Author { id, did: self.people[did].did.clone(), shown });
        }
        // What has just come, or all where the author's being shown has changed.
        let touched = author.posts[begun..author.in_ring].to_vec();
        for post in touched {
            if shown { self.share(post, out) } else { self.unshare(post, out) }
        }
        self.forget_author(id, did);
    }

    /// Tells the view whether a post is hidden, where it is in the ring.
    pub(super) fn sync_hidden(&mut self, id: CommunityId, post: u32, out: &mut Told<'_>) {
        let Some(&(community, _)) = self.feeds.get(&id).and_then(|feed| feed.open.as_ref()) else { return };
        let Some(place) = self.posts.place(post, id) else { return };
        if !self.is_in_ring(post, &place) {
            return;
        }
        let told = place.hidden;
        let hidden = self.posts.enter_ring(post, id, &self.communities[community]);
        if hidden != told {
            out.push(|| Change::Hide { id, post: self.posts.post_key(post, &self.people), hidden });
            if hidden { self.unshare(post, out) } else { self.share(post, out) }
        }
    }

    /// Whether a held post is in the ring of a feed.
    pub(super) fn is_in_ring(&self, post: u32, place: &Place) -> bool {
        let author = self.feeds.get(&place.id).and_then(|feed| feed.authors.get(&self.posts.author(post)));
        author.is_some_and(|author| place.is_in_ring_of(author))
    }

    /// Puts a post at the end of its author's list: into the ring where they are shown, else it waits. An author of whom no
    /// post was known is not shown yet: see [`Fold::sync_author`].
    pub(super) fn enter(&mut self, post: u32, id: CommunityId, out: &mut Told<'_>) -> Entered {
        let did = self.posts.author(post);
        let feed = self.feeds.entry(id).or_default();
        let (author, is_first) = match feed.authors.entry(did) {
            Entry::Occupied(known) => (known.into_mut(), false),
            Entry::Vacant(new) => {
                self.people[did].feeds.push(id);
                (new.insert(Author::default()), true)
            }
        };
        let position = author.posts.len();
        author.posts.push(post);
        self.posts.set_position(post, id, position);
        self.counts.places += 1;
        let shown_by = feed.open.as_ref().filter(|_| author.shown).map(|&(community, _)| community);
        if let Some(community) = shown_by {
            debug_assert_eq!(author.in_ring, position, "invariant: of who is shown nothing waits");
            author.in_ring += 1;
            self.counts.in_rings += 1;
            self.tell_entered(post, id, community, out);
        }
        Entered { is_first, count: position + 1 }
    }

    /// Tells the view of a post that is in the ring of an author who is shown, from now on.
    fn tell_entered(&mut self, post: u32, id: CommunityId, community: u32, out: &mut Told<'_>) {
        let hidden = self.posts.enter_ring(post, id, &self.communities[community]);
        out.push(|| {
            let tags = self.posts.tags_told(post).expect("invariant: a held post has a hashtag");
            Change::Insert { id, post: self.posts.post_key(post, &self.people), tags, hidden }
        });
        if !hidden {
            self.share_visible(post, out);
        }
    }

    /// Takes a post out of its author's list. Says whether it was in the ring.
    pub(super) fn leave(&mut self, did: DidIndex, place: Place) -> bool {
        if place.position == Place::NOWHERE {
            return false;
        }
        let id = place.id;
        let author = self.feeds.get_mut(&id).and_then(|feed| feed.authors.get_mut(&did));
        let author = author.expect("invariant: a held post stands in the lists of its places");
        let mut at = place.position as usize;
        let was_in_ring = at < author.in_ring;
        if was_in_ring {
            // The last one of the ring's part takes its position; then it is the first that waits.
            author.in_ring -= 1;
            self.counts.in_rings -= 1;
            author.posts.swap(at, author.in_ring);
            if at != author.in_ring {
                self.posts.set_position(author.posts[at], id, at);
            }
            at = author.in_ring;
        }
        author.posts.swap_remove(at);
        if let Some(&moved) = author.posts.get(at) {
            self.posts.set_position(moved, id, at);
        }
        self.counts.places -= 1;
        self.forget_author(id, did);
        was_in_ring
    }

    /// Forgets an author of whom nothing is held and nothing was told, and a feed that is nothing to anybody.
    pub(super) fn forget_author(&mut self, id: CommunityId, did: DidIndex) {
        let Some(feed) = self.feeds.get_mut(&id) else { return };
        if feed.authors.get(&did).is_some_and(|author| author.posts.is_empty() && !author.shown) {
            feed.authors.remove(&did);
            self.people[did].feeds.retain(|&feed| feed != id);
        }
        if feed.authors.is_empty() && feed.claims.is_empty() {
            self.feeds.remove(&id);
        }
    }
}
