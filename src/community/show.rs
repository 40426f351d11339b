//! The whole view of a state, as changes: what an empty view has to be told.
//!
//! In: the fold, whatever it was made by. Out: the changes after which a view is as if it had been told all along.
//!
//! Posts come in bulk ([`Change::Fill`]), in the order of feeds, so that the view need not look for a place for each. What
//! is shared by all needs all posts in one order: they are found in that of `due`, which is that of their times; only
//! among those of one millisecond the texts decide.

use std::sync::Arc;

use super::Fold;
use super::feeds::Feed;
use super::names::{DidIndex, Key};
use super::people::Person;
use crate::fact::{Change, CommunityId, FilledPost, ShortKey};
use crate::limits::FILL_POSTS;
use crate::syntax::{Did, compare_repositories};

impl Fold {
    /// Tells `changes` all that a view of this state needs, beginning with an empty one. Where nobody reads meanwhile, as
    /// before a start, it is faster to drop the changes of each fact and to call this once at the end.
    pub fn show(&self, changes: &mut dyn FnMut(Change)) {
        let mut open: Vec<CommunityId> = self.open_feeds().map(|(id, ..)| id).collect();
        open.sort_unstable();
        for id in &open {
            if let Some((_, info)) = &self.feeds[id].open {
                changes(Change::Open { id: *id, info: info.clone() });
            }
        }
        let authors = Authors::new(self);
        for &id in &open {
            self.show_excluded(id, changes);
            self.show_authors(id, changes);
            self.show_posts(id, &authors, changes);
        }
        self.show_shared(&authors, changes);
    }

    fn open_feeds(&self) -> impl Iterator<Item = (CommunityId, u32, &Feed)> {
        self.feeds.iter().filter_map(|(&id, feed)| Some((id, feed.open.as_ref()?.0, feed)))
    }

    fn show_excluded(&self, id: CommunityId, changes: &mut dyn FnMut(Change)) {
        let Some(&(community, _)) = self.feeds[&id].open.as_ref() else { return };
        let mut subjects: Vec<_> = self.communities[community].excluded.iter().collect();
        subjects.sort_unstable();
        for subject in subjects {
            if let Some(what) = self.excluded_of(subject) {
                changes(Change::Exclude { id, what, excluded: true });
            }
        }
    }

    fn show_authors(&self, id: CommunityId, changes: &mut dyn FnMut(Change)) {
        let shown = self.feeds[&id].authors.iter().filter(|(_, author)| author.shown);
        let mut shown: Vec<DidIndex> = shown.map(|(&did, _)| did).collect();
        shown.sort_unstable();
        for did in shown {
            changes(Change::Author { id, did: self.people[did].did.clone(), shown: true });
        }
    }

    /// All that is in a community's ring, its author shown or not.
    fn show_posts(&self, id: CommunityId, authors: &Authors, changes: &mut dyn FnMut(Change)) {
        let in_ring = self.feeds[&id].authors.values().flat_map(|author| &author.posts[..author.in_ring]);
        let mut posts: Vec<(i64, u32)> = in_ring.map(|&number| (self.posts.time_millis(number), number)).collect();
        posts.sort_unstable();
        let mut filling = Filling::new(self, authors, Some(id));
        for of_moment in posts.chunk_by_mut(|(a, _), (b, _)| a == b) {
            self.sort_of_moment(of_moment);
            of_moment.iter().for_each(|&(millis, number)| filling.add(millis, number, changes));
        }
        filling.end(changes);
    }

    fn show_shared(&self, authors: &Authors, changes: &mut dyn FnMut(Change)) {
        let mut filling = Filling::new(self, authors, None);
        let mut of_moment: Vec<(i64, u32)> = Vec::new();
        let shared = self.posts.due().filter(|&(_, number)| self.posts.is_shared(number));
        for (millis, number) in shared {
            if of_moment.first().is_some_and(|&(moment, _)| moment != millis) {
                self.sort_of_moment(&mut of_moment);
                of_moment.drain(..).for_each(|(millis, number)| filling.add(millis, number, changes));
            }
            of_moment.push((millis, number));
        }
        self.sort_of_moment(&mut of_moment);
        of_moment.drain(..).for_each(|(millis, number)| filling.add(millis, number, changes));
        filling.end(changes);
    }

    /// Posts of one millisecond, by AT-URI.
    fn sort_of_moment(&self, posts: &mut [(i64, u32)]) {
        if posts.len() > 1 {
            posts.sort_unstable_by(|&(_, a), &(_, b)| {
                let did = |number| &self.people[self.posts.author(number)].did;
                compare_repositories(did(a), did(b)).then_with(|| self.posts.key(a).compare_text(&self.posts.key(b)))
            });
        }
    }
}

/// Everybody of whom a post is known, as the view is told of them: once for all rings.
struct Authors {
    dids: Arc<[Did]>,
    /// The index into `dids`, by number.
    indices: Vec<u32>,
}

impl Authors {
    fn new(fold: &Fold) -> Self {
        let mut indices = vec![u32::MAX; fold.people.numbers()];
        let writes = |&(_, person): &(DidIndex, &Person)| !person.feeds.is_empty();
        let dids = (0..).zip(fold.people.iter().filter(writes)).map(|(index, (did, person))| {
            indices[did.0 as usize] = index;
            person.did.clone()
        });
        Self { dids: dids.collect(), indices }
    }
}

/// A [`Change::Fill`] that is being put together.
struct Filling<'a> {
    fold: &'a Fold,
    authors: &'a Authors,
    id: Option<CommunityId>,
    posts: Vec<FilledPost>,
}

impl<'a> Filling<'a> {
    fn new(fold: &'a Fold, authors: &'a Authors, id: Option<CommunityId>) -> Self {
        Self { fold, authors, id, posts: Vec::new() }
    }

    fn add(&mut self, time_millis: i64, number: u32, changes: &mut dyn FnMut(Change)) {
        let posts = &self.fold.posts;
        let author = self.authors.indices[posts.author(number).0 as usize];
        let tags = posts.tags_told(number).expect("invariant: a held post has a hashtag");
        let hidden = self.id.is_some_and(|id| posts.place(number, id).is_some_and(|place| place.hidden));
        let rkey = match posts.key(number) {
            Key::Tid(tid) => ShortKey::Tid(tid),
            Key::Text(text) => ShortKey::Text(text),
        };
        self.posts.push(FilledPost { time_millis, author, hidden, rkey, tags });
        if self.posts.len() == FILL_POSTS {
            self.flush(changes);
        }
    }

    fn flush(&mut self, changes: &mut dyn FnMut(Change)) {
        let (authors, posts) = (Arc::clone(&self.authors.dids), std::mem::take(&mut self.posts));
        changes(Change::Fill { id: self.id, authors, posts });
    }

    fn end(mut self, changes: &mut dyn FnMut(Change)) {
        if !self.posts.is_empty() {
            self.flush(changes);
        }
    }
}
