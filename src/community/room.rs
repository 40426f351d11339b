//! Room for posts: which are given up where there are too many.
//!
//! In: a post that has just entered a feed; after each fact, how much there is. Out: [`Change::Remove`] for a post that
//! was in a ring; else nothing that a reader sees.
//!
//! What always holds: after each fact no author has more than N posts in a feed, no more than the stated number of posts
//! wait, and no more than the stated number of tombstones are kept.
//!
//! Waiting posts and tombstones are thinned rarely and then by a part of their bound ([`ROOM_PART`](crate::limits::ROOM_PART)),
//! because finding out who has most takes a look at all of them.

use rustc_hash::FxHashMap;

use super::Fold;
use super::bounds::{level, with_room};
use super::feeds::Author;
use super::names::{DidIndex, Key};
use super::told::Told;
use crate::fact::{Change, CommunityId};
use crate::syntax::Tid;
use crate::telemetry::Bound;

/// Places of posts, by author.
type ByAuthor = FxHashMap<DidIndex, Vec<(u32, CommunityId)>>;

impl Author {
    /// The posts outside the ring.
    pub fn waiting(&self) -> &[u32] {
        &self.posts[self.in_ring..]
    }
}

impl Fold {
    /// After a post has entered a feed where its author now has too many: gives up the oldest. That may be the post itself,
    /// which is then left for the caller to forget.
    pub(super) fn give_up_oldest(&mut self, post: u32, id: CommunityId, out: &mut Told<'_>) {
        let author = self.posts.author(post);
        let posts = &self.feeds[&id].authors[&author].posts;
        let oldest = posts.iter().copied().min_by(|&a, &b| self.posts.compare_of_author(a, b));
        let Some(oldest) = oldest else { return };
        self.reached.count(Bound::PostsPerAuthor);
        self.give_up(oldest, id, out);
        if oldest != post {
            self.posts.forget_placeless(oldest);
        }
    }

    fn give_up(&mut self, post: u32, id: CommunityId, out: &mut Told<'_>) {
        let author = self.posts.author(post);
        let Some(place) = self.posts.place(post, id) else { return };
        if self.leave(author, place) {
            out.push(|| Change::Remove { id, post: self.posts.post_key(post, &self.people) });
        }
        self.posts.lose_position(post, id);
        self.unshare(post, out);
    }

    /// After each fact: makes room where too many posts wait or too many tombstones are kept.
    pub(super) fn make_room(&mut self) {
        if self.counts.waiting() > self.bounds.waiting {
            self.thin_unclaimed();
            self.thin_claimed();
        }
        if self.posts.tombstones() > self.bounds.tombstones {
            self.thin_tombstones();
        }
    }

    /// Hashtags that no config has claimed give up first.
    fn thin_unclaimed(&mut self) {
        let mut places = ByAuthor::default();
        for (&id, feed) in self.feeds.iter().filter(|(_, feed)| feed.claims.is_empty()) {
            for (&did, author) in &feed.authors {
                places.entry(did).or_default().extend(author.waiting().iter().map(|&post| (post, id)));
            }
        }
        let unclaimed: usize = places.values().map(Vec::len).sum();
        let claimed = self.counts.waiting() - unclaimed;
        self.thin(places, with_room(self.bounds.waiting).saturating_sub(claimed), Bound::WaitingUnclaimed);
    }

    /// Then the communities with most waiting posts.
    fn thin_claimed(&mut self) {
        let total = with_room(self.bounds.waiting);
        if self.counts.waiting() <= total {
            return;
        }
        let waiting = |feed: &super::feeds::Feed| feed.authors.values().map(|author| author.waiting().len()).sum();
        let counts: Vec<(CommunityId, usize)> = self
            .feeds
            .iter()
            .filter(|(_, feed)| !feed.claims.is_empty())
            .map(|(&id, feed)| (id, waiting(feed)))
            .collect();
        let most = level(counts.iter().map(|&(_, count)| count), total);
        for (id, _) in counts.into_iter().filter(|&(_, count)| count > most) {
            let of_author = |(&did, author): (&DidIndex, &Author)| {
                (did, author.waiting().iter().map(|&post| (post, id)).collect::<Vec<_>>())
            };
            let places = self.feeds[&id].authors.iter().map(of_author).collect();
            self.thin(places, most, Bound::WaitingClaimed);
        }
    }

    /// Leaves `total` places: the authors with most give up their oldest.
    fn thin(&mut self, of_authors: ByAuthor, total: usize, bound: Bound) {
        let most = level(of_authors.values().map(Vec::len), total);
        for (_, mut places) in of_authors.into_iter().filter(|(_, places)| places.len() > most) {
            places.sort_unstable_by(|(a, tag_a), (b, tag_b)| {
                self.posts.compare_of_author(*a, *b).then_with(|| tag_a.cmp(tag_b))
            });
            for &(post, id) in &places[..places.len() - most] {
                self.reached.count(bound);
                let mut nothing = Vec::new();
                self.give_up(post, id, &mut Told::to(&mut nothing));
                debug_assert!(nothing.is_empty(), "invariant: no reader sees a post that waits");
                self.posts.forget_placeless(post);
            }
        }
    }

    fn thin_tombstones(&mut self) {
        let mut of_authors: FxHashMap<DidIndex, Vec<(Tid, Key, u32)>> = FxHashMap::default();
        for (number, row) in self.posts.iter().filter(|(_, row)| !row.is_held) {
            of_authors.entry(row.author).or_default().push((row.version.rev, row.key.clone(), number));
        }
        let most = level(of_authors.values().map(Vec::len), with_room(self.bounds.tombstones));
        for mut tombstones in of_authors.into_values().filter(|tombstones| tombstones.len() > most) {
            tombstones.sort_unstable();
            for &(.., number) in &tombstones[..tombstones.len() - most] {
                self.reached.count(Bound::Tombstones);
                self.posts.forget_placeless(number);
            }
        }
    }
}
