//! Sharing: what a community may take from others, and what it keeps out.
//!
//! In: what the view was told of places in feeds; the dockets of hides and blocks. Out: [`Change::Share`] and
//! [`Change::Unshare`], by which every post that is visible somewhere stands once among those that mixed pages draw on;
//! and [`Change::Exclude`], by which a community's moderators keep posts and accounts out of all its sources.
//!
//! What always holds:
//! - a post is shared exactly while it is in the ring of some open feed where its author is shown and it is not hidden
//!   (until [`Change::Evict`] ends it silently);
//! - `Community::excluded` is empty while the community is not open; else it holds exactly the posts that it hides and the
//!   accounts that it blocks, its owner never among them, known to the fold otherwise or not.

use super::Fold;
use super::feeds::Place;
use super::names::DidIndex;
use super::rulings::{Docket, Subject};
use super::told::Told;
use crate::fact::{Change, Excluded};

impl Fold {
    /// A place of a post may have become visible.
    pub(super) fn share(&mut self, post: u32, out: &mut Told<'_>) {
        if !self.posts.is_shared(post) {
            self.sync_shared(post, out);
        }
    }

    /// A place of a post may be visible no more.
    pub(super) fn unshare(&mut self, post: u32, out: &mut Told<'_>) {
        if self.posts.is_shared(post) {
            self.sync_shared(post, out);
        }
    }

    fn sync_shared(&mut self, post: u32, out: &mut Told<'_>) {
        let visible = self.is_visible_somewhere(post);
        if visible == self.posts.is_shared(post) {
            return;
        }
        out.push(|| {
            let key = self.posts.post_key(post, &self.people);
            match self.posts.tags_told(post).filter(|_| visible) {
                Some(tags) => Change::Share { post: key, tags },
                None => Change::Unshare { post: key },
            }
        });
        self.posts.set_shared(post, visible);
    }

    /// A post has become visible in some feed.
    pub(super) fn share_visible(&mut self, post: u32, out: &mut Told<'_>) {
        if self.posts.is_shared(post) {
            return;
        }
        out.push(|| {
            let tags = self.posts.tags_told(post).expect("invariant: a held post has a hashtag");
            Change::Share { post: self.posts.post_key(post, &self.people), tags }
        });
        self.posts.set_shared(post, true);
    }

    fn is_visible_somewhere(&self, post: u32) -> bool {
        let author = self.posts.author(post);
        self.posts.held_places(post).any(|place| self.is_visible_at(author, &place))
    }

    /// Its age aside.
    pub(super) fn is_visible_at(&self, author: DidIndex, place: &Place) -> bool {
        let author = self.feeds.get(&place.id).and_then(|feed| feed.authors.get(&author));
        !place.hidden && author.is_some_and(|author| author.shown && (place.position as usize) < author.in_ring)
    }

    /// Tells the view whether a community keeps a subject out of what it takes from others.
    pub(super) fn sync_excluded(&mut self, community: u32, subject: &Subject, out: &mut Told<'_>) {
        let row = &self.communities[community];
        let (Some(id), Some(what)) = (row.open, self.excluded_of(subject)) else { return };
        let excluded = match subject {
            Subject::Post(did, key) => row.hides(&(*did, key.clone())),
            Subject::Block(did) => {
                let blocks = row.standings.get(did).is_some_and(|standing| standing.blocks.affirms());
                blocks && *did != row.owner
            }
            Subject::Acceptance(_) => return,
        };
        let told = &mut self.communities[community].excluded;
        let news = if excluded { told.insert(subject.clone()) } else { told.remove(subject) };
        if news {
            out.push(|| Change::Exclude { id, what, excluded });
        }
    }

    /// A subject as the view is told of it; `None` where it keeps nothing out.
    pub(super) fn excluded_of(&self, subject: &Subject) -> Option<Excluded> {
        match subject {
            Subject::Post(did, key) => {
                Some(Excluded::Post { did: self.people[*did].did.clone(), rkey: key.to_record_key() })
            }
            Subject::Block(did) => Some(Excluded::Account(self.people[*did].did.clone())),
            Subject::Acceptance(_) => None,
        }
    }

    /// Does so for all that any action of the community is about.
    pub(super) fn sync_all_excluded(&mut self, community: u32, out: &mut Told<'_>) {
        let row = &self.communities[community];
        if row.posts.is_empty() && row.standings.is_empty() {
            return;
        }
        let posts = row.posts.keys().map(|(did, key)| Subject::Post(*did, key.clone()));
        let is_about = |docket: &Docket| !docket.is_empty();
        let blocks = row.standings.iter().filter(|(_, standing)| is_about(&standing.blocks));
        let mut subjects: Vec<Subject> = posts.chain(blocks.map(|(&did, _)| Subject::Block(did))).collect();
        subjects.sort_unstable();
        for subject in subjects {
            self.sync_excluded(community, &subject, out);
        }
    }
}
