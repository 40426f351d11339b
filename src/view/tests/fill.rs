//! Posts in bulk: a ring that was filled is the one that the same posts make one by one.

use rustc_hash::FxHashMap;

use super::retag::{a_post, carried, tags};
use crate::fact::{FilledPost, PostKey, ShortKey, Tags};
use crate::limits::CHUNK_ENTRIES;
use crate::syntax::Did;
use crate::view::author::Author;
use crate::view::chunk::Hashtags;
use crate::view::pool::Pool;
use crate::view::room::{FilledSeats, Room};
use crate::view::root::Root;

/// Among what is shared nothing is hidden.
fn is_hidden(post: &PostKey, hashtags: Hashtags) -> bool {
    hashtags == Hashtags::One && post.time_millis % 5 == 0
}

fn filled(hashtags: Hashtags, posts: &[(PostKey, Tags)]) -> (FilledSeats, Vec<FilledPost>) {
    let mut authors: Vec<Did> = posts.iter().map(|(post, _)| post.did.clone()).collect();
    authors.sort();
    authors.dedup();
    let of = |(post, tags): &(PostKey, Tags)| FilledPost {
        time_millis: post.time_millis,
        author: u32::try_from(authors.binary_search(&post.did).expect("one of them")).expect("few"),
        hidden: is_hidden(post, hashtags),
        rkey: post.rkey.as_tid().map_or_else(|| ShortKey::Text(post.rkey.clone()), ShortKey::Tid),
        tags: tags.clone(),
    };
    let posts = posts.iter().map(of).collect();
    (FilledSeats { id: None, authors: authors.into(), seats: FxHashMap::default() }, posts)
}

fn root(room: &mut Room) -> Root {
    room.is_dirty = true;
    room.take_root().expect("it is dirty")
}

#[test]
fn a_filled_ring_is_the_one_that_inserts_make() {
    let mut rng = fastrand::Rng::with_seed(6);
    for hashtags in [Hashtags::One, Hashtags::Many] {
        for _ in 0..40 {
            let mut posts: Vec<(PostKey, Tags)> =
                (0..rng.u64(1..1500)).map(|number| (a_post(number), tags(rng.u32(1..16)))).collect();
            posts.sort_by(|(a, _), (b, _)| a.cmp(b));
            let (mut told, mut bulk, mut pool) = (Room::new(hashtags), Room::new(hashtags), Pool::default());
            let mut rest = &posts[..];
            while !rest.is_empty() {
                let (piece, later) = rest.split_at(rng.usize(1..=rest.len()));
                rest = later;
                // One time in four they come one by one here too, and then behind a chunk with room in it.
                let (mut seats, mut piece_filled) = filled(hashtags, piece);
                if rng.u32(..8) == 0 {
                    piece_filled.reverse();
                }
                for (post, tags) in piece {
                    told.show(Author::new(post.did.as_str()), true, &mut pool);
                    bulk.show(Author::new(post.did.as_str()), true, &mut pool);
                    assert!(told.insert(post, tags.clone(), is_hidden(post, hashtags), &mut pool));
                }
                if rng.u32(..4) == 0 {
                    for (post, tags) in piece {
                        assert!(bulk.insert(post, tags.clone(), is_hidden(post, hashtags), &mut pool));
                    }
                } else {
                    assert_eq!(bulk.fill(&mut seats, piece_filled, &mut pool), piece.len());
                }
                assert_eq!((bulk.live, bulk.oldest_millis()), (told.live, told.oldest_millis()));
            }
            assert_eq!(carried(&root(&mut bulk)), carried(&root(&mut told)));
            // And it goes on as usual.
            let late = a_post(700);
            for room in [&mut told, &mut bulk] {
                room.remove(&late);
                room.insert(&late, tags(3), false, &mut pool);
                room.insert(&a_post(2000), tags(1), false, &mut pool);
            }
            assert_eq!(carried(&root(&mut bulk)), carried(&root(&mut told)));
        }
    }
}

#[test]
fn full_chunks_are_filled() {
    let posts: Vec<(PostKey, Tags)> =
        (0..4 * CHUNK_ENTRIES as u64).map(|number| (a_post(2 * number), tags(1))).collect();
    let (mut seats, posts) = filled(Hashtags::One, &posts);
    let (mut room, mut pool) = (Room::new(Hashtags::One), Pool::default());
    room.fill(&mut seats, posts, &mut pool);
    let root = root(&mut room);
    let lengths: Vec<usize> = root.chunks.iter().map(|chunk| chunk.entries().len()).collect();
    assert_eq!(lengths, [CHUNK_ENTRIES; 4]);
}

#[test]
fn what_is_there_already_is_not_filled_again() {
    let posts: Vec<(PostKey, Tags)> = (0..300).map(|number| (a_post(number), tags(1))).collect();
    let mut sorted = posts;
    sorted.sort_by(|(a, _), (b, _)| a.cmp(b));
    let (mut room, mut pool) = (Room::new(Hashtags::One), Pool::default());
    let (mut seats, first) = filled(Hashtags::One, &sorted[..200]);
    assert_eq!(room.fill(&mut seats, first, &mut pool), 200);
    let (mut seats, all) = filled(Hashtags::One, &sorted);
    assert_eq!(room.fill(&mut seats, all, &mut pool), 100);
    assert_eq!(room.live, 300);
}
