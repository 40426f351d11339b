//! Reading ahead: the memory that some facts will need, before they are folded one by one.
//!
//! In: a run of facts. Out: nothing that anybody could tell, but that a fold of millions of posts waits less.
//!
//! A post needs its author, its slot in the index and its author's list in a feed. Each lies anywhere, each is found by the one
//! before, and while one is waited for nothing else is done: that was more than half of what a fact cost (measured with
//! `tests/fold_restore`, two million posts of a hundred thousand authors). Here the same step is taken for all facts of a
//! run before the next: such loads do not hang on each other, and the processor waits for many at once.

use std::hint::black_box;

use super::Fold;
use super::names::{DidIndex, Key};
use crate::fact::{Body, Fact, Record};

/// So many facts at a time: what was read for them stays in the processor's nearest cache until it is needed.
pub(super) const RUN: usize = 64;

/// Room for what is found on the way.
#[derive(Debug, Default)]
pub(super) struct Warm {
    people: Vec<u32>,
    posts: Vec<u32>,
}

impl Fold {
    /// Reads ahead for some facts, at best for [`RUN`] of them.
    pub(super) fn warm(&self, facts: &[Fact], room: &mut Warm) {
        let records =
            || facts.iter().filter_map(|fact| if let Fact::Record(record) = fact { Some(record) } else { None });
        self.people.warm(records().map(|record| &record.did), &mut room.people);
        let authors = || records().zip(&room.people).map(|(record, &number)| (record, DidIndex(number)));
        let is_post =
            |record: &Record| matches!(record.body, Body::Post(_) | Body::Deleted(crate::fact::Collection::Post));
        let posts = authors().filter(|(record, _)| is_post(record));
        self.posts.warm(posts.map(|(record, author)| (author, Key::from(&record.rkey))), &mut room.posts);
        let lists = authors().filter_map(|(record, author)| {
            let Body::Post(post) = &record.body else { return None };
            self.feeds.get(post.tags.first()?)?.authors.get(&author)
        });
        let ends = lists.filter_map(|author| author.posts.last()).fold(0, |sum: u32, &post| sum ^ post);
        black_box(ends);
    }
}
