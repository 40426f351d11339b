//! The first pages that are asked for most, as they were rendered.
//!
//! In: a page's body, from a reader who has walked for it. Out: the same body to others, as long as a walk would make the
//! same.
//!
//! ```text
//!   writer    generation odd │ the change │ generation even, another one
//!   reader    reads the generation; even: a body of this community, limit and generation is served; there is none: walks,
//!             and keeps the body under the generation that was read before the walk
//! ```
//! A change is thus in every walk that begins under the generation behind it, and a body from before the change has a
//! generation that never comes again. While a change is under way nothing is served from here or kept: readers walk, and
//! see it as it goes. So the engine's answers never go back: who has seen a change in a walk reads the generation as odd or
//! later, and is not given what was rendered before it.
//!
//! Time alone changes a page too: a body says from which moment to which it holds.
//!
//! Memory is bounded: [`HEADS`] slots, found by community and limit, each with at most one body of at most
//! [`HEAD_BYTES_MAX`]. A body is kept only where the same was asked for twice since the last change, with nothing else of
//! that slot walked for between, so that communities that are seldom read do not push out what is read often.

use std::hash::{BuildHasher, BuildHasherDefault};
use std::sync::Arc;

use bytes::Bytes;
use rustc_hash::FxHasher;

use crate::limits::{HEAD_BYTES_MAX, HEADS};
use crate::sync::{AtomicU64, Ordering, fence};

/// How often what readers see of a community has changed.
#[derive(Debug)]
pub(super) struct Generation {
    /// Another one for each community that was ever opened.
    birth: u64,
    /// Odd while a change is under way.
    number: AtomicU64,
}

impl Generation {
    pub(super) fn new(birth: u64) -> Self {
        Self { birth, number: AtomicU64::new(0) }
    }

    /// Writer only: everything that may show on a page of this community is changed in here.
    pub(super) fn change<R>(&self, act: impl FnOnce() -> R) -> R {
        let number = self.number.load(Ordering::Relaxed);
        self.number.store(number + 1, Ordering::Relaxed);
        // What is stored from here on is not seen before the odd number is: see `ask`.
        fence(Ordering::Release);
        let done = act();
        // Who reads this number sees all that was stored.
        self.number.store(number + 2, Ordering::Release);
        done
    }

    /// What a reader is about to ask for; `None` while a change is under way. `oldest_millis` is the oldest time that a post
    /// on the page may have.
    pub(super) fn ask(&self, limit: usize, oldest_millis: i64) -> Option<Ask> {
        // Pairs with the writer's fence: who has seen a flag of a change, in an earlier walk, reads the odd number or a
        // later one, though flags are plain stores and loads.
        fence(Ordering::Acquire);
        let number = self.number.load(Ordering::Acquire);
        let ask = Ask { birth: self.birth, number, limit: limit as u64, oldest_millis };
        number.is_multiple_of(2).then_some(ask)
    }
}

/// One first page at one moment.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ask {
    birth: u64,
    number: u64,
    limit: u64,
    oldest_millis: i64,
}

/// The moments at which a walk makes the same page, said by the oldest time that a post may have at them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Horizon {
    pub(super) from_millis: i64,
    /// The time of the oldest post that the page needs: the last that is on it, or where there is a cursor, the next one.
    pub(super) until_millis: i64,
}

impl Ask {
    fn slot(self) -> usize {
        hash((self.birth, self.limit)) as usize % HEADS
    }

    /// A number for this community, limit and generation; that two have the same does no harm.
    fn ticket(self) -> u64 {
        hash((self.birth, self.limit, self.number))
    }
}

fn hash(key: impl std::hash::Hash) -> u64 {
    BuildHasherDefault::<FxHasher>::default().hash_one(key)
}

/// A rendered page.
#[derive(Debug)]
struct Head {
    ask: Ask,
    horizon: Horizon,
    body: Bytes,
}

impl Head {
    fn answers(&self, ask: Ask) -> bool {
        let is_same = (self.ask.birth, self.ask.number, self.ask.limit) == (ask.birth, ask.number, ask.limit);
        is_same && (self.horizon.from_millis..=self.horizon.until_millis).contains(&ask.oldest_millis)
    }
}

/// See the [module](self).
pub(super) struct Heads(Box<[Slot]>);

#[derive(Default)]
struct Slot {
    /// The ticket of the last page that was walked for.
    asked: AtomicU64,
    head: Swap,
}

impl Default for Heads {
    fn default() -> Self {
        Self((0..HEADS).map(|_| Slot::default()).collect())
    }
}

impl Heads {
    /// Lends the body to `serve`, where there is one.
    pub(super) fn serve<R>(&self, ask: Ask, serve: impl FnOnce(&Bytes) -> R) -> Option<R> {
        self.0[ask.slot()].head.read(|head| head.filter(|head| head.answers(ask)).map(|head| serve(&head.body)))
    }

    /// Takes a body that was made after the asking, where it is asked for often enough.
    pub(super) fn offer(&self, ask: Ask, body: &[u8], horizon: Horizon) {
        let slot = &self.0[ask.slot()];
        // Several readers may take each other's place here; then a body is kept a walk sooner or later.
        if slot.asked.load(Ordering::Relaxed) != ask.ticket() {
            slot.asked.store(ask.ticket(), Ordering::Relaxed);
        } else if body.len() <= HEAD_BYTES_MAX {
            slot.head.store(Head { ask, horizon, body: Bytes::copy_from_slice(body) });
        }
    }
}

/// What is swapped whole.
#[cfg(not(loom))]
#[derive(Default)]
struct Swap(arc_swap::ArcSwapOption<Head>);

#[cfg(not(loom))]
impl Swap {
    fn read<R>(&self, read: impl FnOnce(Option<&Head>) -> R) -> R {
        read(self.0.load().as_deref())
    }

    fn store(&self, head: Head) {
        self.0.store(Some(Arc::new(head)));
    }
}

/// loom cannot see into `arc-swap`.
#[cfg(loom)]
#[derive(Default)]
struct Swap(crate::sync::Mutex<Option<Arc<Head>>>);

#[cfg(loom)]
impl Swap {
    fn read<R>(&self, read: impl FnOnce(Option<&Head>) -> R) -> R {
        let head = self.0.lock().expect("nobody panics").clone();
        read(head.as_deref())
    }

    fn store(&self, head: Head) {
        *self.0.lock().expect("nobody panics") = Some(Arc::new(head));
    }
}
