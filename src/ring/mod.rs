//! Bounded single-producer single-consumer rings, and the signal their consumer sleeps on.
//!
//! In: items from exactly one thread. Out: the same items, in the same order, in exactly one other thread.
//!
//! ```text
//!              head (the consumer's)              tail (the producer's)
//!                │                                  │
//!   … taken      ▼ published, not yet taken         ▼ staged, then free …
//!   ────────────[#][#][#][#][#][#][#][#][#][#][#][#][+][+][ ][ ]──────────   index & (slots - 1) is the slot
//! ```
//! Both indices only grow (and wrap with `usize`); `0 <= tail - head <= slots` always. Each end keeps a copy of the
//! other end's index and reads the shared one only when the copy leaves it nothing to do, so in a busy ring the ends
//! touch each other's cache lines once per lap, not once per item. Many items can be staged and published at once, and
//! many taken and their slots released at once.
//!
//! What always holds:
//! - An item comes out once, or is dropped once: with the ring, where nobody has taken it. A panic of the consumer's
//!   own code, or of an item's `drop`, loses no other item.
//! - An end that goes away is seen by the other one, and wakes it.
//! - Who sleeps on a [`Signal`] is woken by what it waits for, whenever it fell asleep; who notifies pays one load
//!   where nobody sleeps.
//!
//! Architecture Invariant: `slots.rs` holds all the unsafe code of the program; nothing here knows what an item is.
//!
//! Every interleaving of small rings is tried by `RUSTFLAGS="--cfg loom" cargo test --no-default-features --release
//! --lib ring::`.

mod recv;
mod send;
mod signal;
mod slots;

#[cfg(all(test, not(loom)))]
mod tests;
#[cfg(all(test, loom))]
mod tests_loom;

pub use recv::Consumer;
pub use send::{Full, Producer};
pub use signal::Signal;

use crate::sync::Arc;

/// Makes a ring. Its consumer sleeps on `consumer_signal`, which any number of rings may share.
///
/// # Panics
/// `slots` is not a power of two.
pub fn channel<T: Send>(slots: usize, consumer_signal: &std::sync::Arc<Signal>) -> (Producer<T>, Consumer<T>) {
    assert!(slots.is_power_of_two(), "a ring has a power of two of slots, not {slots}");
    let (writing, reading) = slots::new(slots);
    let space = Signal::new();
    let producer = Producer::new(writing, std::sync::Arc::clone(consumer_signal), std::sync::Arc::clone(&space));
    (producer, Consumer::new(reading, space))
}

/// Looks at how full a ring is, from any thread and for as long as wanted. It keeps no item alive.
#[derive(Clone)]
pub struct Monitor(Arc<slots::Indices>);

impl Monitor {
    /// Items published and not yet released. A moment's figure: both ends move on.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// [`Monitor::len`] as a share of all slots, 0 to 1.
    pub fn occupancy_ratio(&self) -> f64 {
        self.0.occupancy_ratio()
    }
}

impl std::fmt::Debug for Monitor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} of {} slots", self.len(), self.0.slots())
    }
}
