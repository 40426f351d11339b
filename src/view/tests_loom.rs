//! Every interleaving of the one writer with a reader, over the real rings, chunks and walks.
//!
//! The root is swapped by `arc-swap`, which loom cannot see into; a mutex around it stands for it here. What is tried is
//! what this module promises beyond that: the published length, the words of entries, their flags, and seats, all of
//! which readers see before a swap; and that what was rendered before a change is not served after it.

use std::sync::Arc as Shared;

use loom::sync::atomic::{AtomicBool, Ordering};
use loom::sync::{Arc, Mutex};
use loom::thread;

use super::author::Author;
use super::chunk::{Hashtags, Rkey};
use super::heads::{Generation, Heads, Horizon};
use super::pool::Pool;
use super::room::Room;
use super::root::Root;
use crate::fact::{CommunityId, PostKey, Tags};
use crate::limits::{CHUNK_ENTRIES, CHUNK_ENTRIES_FIRST, HEADS};
use crate::syntax::{Did, Tid};

/// What readers pin.
type Board = Arc<Mutex<Shared<Root>>>;

/// The writer's end.
struct Desk {
    room: Room,
    pool: Pool,
    board: Board,
}

const AUTHOR: &str = "did:web:a";
/// The DID of one lies in the seat itself, that of the other beside it.
const NEW_AUTHORS: [&str; 2] = ["did:plc:ewvi7nxzyoun6zhxrhs64oiz", "did:web:a.new"];

fn post(number: u64, author: &str) -> PostKey {
    let time_millis = i64::try_from(number).expect("small");
    PostKey { time_millis, did: Did::parse(author).expect("a DID"), rkey: Tid::from_u64(number).into() }
}

impl Desk {
    /// A ring of these posts, all of one author who is shown.
    fn new(hashtags: Hashtags, posts: std::ops::RangeInclusive<u64>) -> Self {
        let board = Arc::new(Mutex::new(Shared::default()));
        let mut desk = Self { room: Room::new(hashtags), pool: Pool::default(), board };
        assert!(desk.room.show(Author::new(AUTHOR), true, &mut desk.pool));
        posts.for_each(|number| desk.insert(number, AUTHOR));
        desk.publish();
        desk
    }

    fn insert(&mut self, number: u64, author: &str) {
        let tags = Tags::One(CommunityId(u32::try_from(number).expect("small")));
        assert!(self.room.insert(&post(number, author), tags, false, &mut self.pool));
    }

    fn publish(&mut self) {
        if let Some(root) = self.room.take_root() {
            *self.board.lock().expect("nobody panics") = Shared::new(root);
        }
    }
}

/// The numbers of the posts that a reader sees, newest first; each is whole.
fn read(board: &Board) -> Vec<u64> {
    let root = Shared::clone(&board.lock().expect("nobody panics"));
    let mut numbers = Vec::new();
    root.walk(None, i64::MIN, 1, |item, time_millis, _| {
        let (author, rkey) = root.words(&item);
        let Rkey::Tid(tid) = rkey else { panic!("{rkey:?}") };
        assert_eq!(i64::try_from(tid.to_u64()), Ok(time_millis), "the words of an entry belong together");
        let known = [AUTHOR, NEW_AUTHORS[0], NEW_AUTHORS[1]].map(Author::new);
        assert!(known.contains(&author), "whoever is shown is known: {author:?}");
        numbers.push(tid.to_u64());
        true
    });
    assert!(numbers.is_sorted_by(|a, b| a > b), "{numbers:?}");
    numbers
}

fn model(preemptions: usize, body: impl Fn() + Sync + Send + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(preemptions);
    builder.check(body);
}

/// Into the room of the last chunk, into a larger copy of it, and into a new one.
#[test]
fn what_comes_in_order_is_seen_whole_and_without_a_gap() {
    const { assert!(CHUNK_ENTRIES_FIRST == 2 && CHUNK_ENTRIES == 4) };
    for hashtags in [Hashtags::One, Hashtags::Many] {
        for before in [1, 2, 3, 4] {
            model(3, move || {
                let mut desk = Desk::new(hashtags, 1..=before);
                let board = Arc::clone(&desk.board);
                let writing = thread::spawn(move || {
                    for number in before + 1..=before + 2 {
                        desk.insert(number, AUTHOR);
                        desk.publish();
                    }
                });
                let (first, second) = (read(&board), read(&board));
                for seen in [&first, &second] {
                    assert!(
                        seen.len() as u64 >= before && seen.iter().copied().eq((1..=seen.len() as u64).rev()),
                        "{seen:?}"
                    );
                }
                assert!(first.len() <= second.len(), "what was seen is seen again");
                writing.join().expect("no panic");
                assert_eq!(read(&board).len() as u64, before + 2);
            });
        }
    }
}

/// The hashtag of an entry is there before the entry is: a mixed page asks it.
#[test]
fn what_is_seen_has_its_hashtag() {
    model(3, || {
        let mut desk = Desk::new(Hashtags::Many, 1..=1);
        let board = Arc::clone(&desk.board);
        let writing = thread::spawn(move || desk.insert(2, AUTHOR));
        let root = Shared::clone(&board.lock().expect("nobody panics"));
        let mut steps = super::root::Steps::new(&root, None, i64::MIN);
        let mut carried = Vec::new();
        while steps
            .next(|step| {
                carried.push([1, 2].map(|id| step.carries(CommunityId(id))));
                true
            })
            .is_some()
        {}
        assert!(carried == [[true, false]] || carried == [[false, true], [true, false]], "{carried:?}");
        writing.join().expect("no panic");
    });
}

/// A late post copies its chunk; flags are changed in the chunk that readers may have pinned before.
#[test]
fn what_stays_is_seen_while_others_come_late_and_go() {
    model(3, || {
        let mut desk = Desk::new(Hashtags::One, 1..=1);
        desk.insert(4, AUTHOR);
        desk.publish();
        let board = Arc::clone(&desk.board);
        let writing = thread::spawn(move || {
            desk.insert(3, AUTHOR);
            desk.publish();
            assert!(desk.room.hide(&post(4, AUTHOR), true));
            assert!(desk.room.remove(&post(3, AUTHOR)));
            desk.publish();
        });
        let seen = read(&board);
        assert!(seen.contains(&1), "nobody has touched it: {seen:?}");
        assert!([&[4, 1][..], &[4, 3, 1], &[3, 1], &[1]].contains(&&seen[..]), "{seen:?}");
        writing.join().expect("no panic");
        assert_eq!(read(&board), [1]);
    });
}

/// An author's seat is taken, and shown, while a reader walks.
#[test]
fn a_new_author_is_known_when_their_post_is_seen() {
    for author in NEW_AUTHORS {
        model(3, move || {
            let mut desk = Desk::new(Hashtags::One, 1..=1);
            let board = Arc::clone(&desk.board);
            let writing = thread::spawn(move || {
                assert!(desk.room.show(Author::new(author), true, &mut desk.pool));
                desk.insert(2, author);
                desk.publish();
            });
            let seen = read(&board);
            assert!(seen == [1] || seen == [2, 1], "{seen:?}");
            writing.join().expect("no panic");
            assert_eq!(read(&board), [2, 1]);
        });
    }
}

/// What readers of bodies share: the board, and what was rendered from it.
struct Shelf {
    board: Board,
    generation: Generation,
    heads: Heads,
}

impl Shelf {
    /// The numbers of the posts on a first page, as a view gives it: kept, or walked for and offered.
    fn read(&self) -> Vec<u8> {
        let walk = || read(&self.board).into_iter().map(|number| u8::try_from(number).expect("small")).collect();
        let Some(ask) = self.generation.ask(50, 0) else { return walk() };
        self.heads.serve(ask, |body| body.to_vec()).unwrap_or_else(|| {
            let body: Vec<u8> = walk();
            self.heads.offer(ask, &body, Horizon { from_millis: i64::MIN, until_millis: i64::MAX });
            body
        })
    }
}

/// A reader who asks after a change, and one who has seen it before, are not given what was rendered without it; neither
/// by themselves nor by each other.
fn model_bodies(preemptions: usize, change: fn(&mut Desk), before: &'static [u8], after: &'static [u8]) {
    model(preemptions, move || {
        let mut desk = Desk::new(Hashtags::One, 1..=1);
        let (generation, heads) = (Generation::new(1), Heads::default());
        let shelf = Arc::new(Shelf { board: Arc::clone(&desk.board), generation, heads });
        let is_done = Arc::new(AtomicBool::new(false));
        let writing = {
            let (shelf, is_done) = (Arc::clone(&shelf), Arc::clone(&is_done));
            thread::spawn(move || {
                shelf.generation.change(|| change(&mut desk));
                is_done.store(true, Ordering::Release);
            })
        };
        let other = {
            let shelf = Arc::clone(&shelf);
            thread::spawn(move || [(); 2].map(|()| shelf.read()))
        };
        let was_done = is_done.load(Ordering::Acquire);
        let mine = [(); 2].map(|()| shelf.read());
        assert!(!was_done || mine.iter().all(|page| page == after), "asked after the change: {mine:?}");
        writing.join().expect("no panic");
        let others = other.join().expect("no panic");
        for pages in [&mine, &others] {
            assert!(pages.iter().all(|page| page == before || page == after), "{pages:?}");
            assert!(pages[0] != after || pages[1] == after, "what was seen is seen again: {pages:?}");
        }
        for _ in 0..3 {
            assert_eq!(shelf.read(), after, "after the change");
        }
    });
}

/// Where there is but one slot, and bodies are kept at the second asking.
#[test]
fn a_hide_is_not_followed_by_a_body_that_shows_the_post() {
    const { assert!(HEADS == 1) };
    model_bodies(2, |desk| assert!(desk.room.hide(&post(1, AUTHOR), true)), &[1], &[]);
}

#[test]
fn an_author_who_goes_is_not_in_a_body_that_comes_after() {
    model_bodies(2, |desk| assert!(desk.room.show(Author::new(AUTHOR), false, &mut desk.pool)), &[1], &[]);
}

#[test]
fn a_post_that_was_seen_is_in_every_body_that_comes_after() {
    model_bodies(2, |desk| desk.insert(2, AUTHOR), &[1], &[2, 1]);
}
