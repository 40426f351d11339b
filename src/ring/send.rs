//! The producing end of a ring.
#![forbid(unsafe_code)]

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::slots::Writing;
use super::{Monitor, Signal};

/// Puts items into the ring. When it is dropped, what was staged is published, and the consumer is told.
pub struct Producer<T> {
    end: Writing<T>,
    /// What the consumer sleeps on.
    filled: Arc<Signal>,
    /// What this producer sleeps on in [`Producer::wait_for_space`].
    space: Arc<Signal>,
    /// Declared after `end`: it is dropped after the ring has been told that this end is gone.
    _last_word: LastWord,
}

/// The item did not go in: every slot is taken, or the consumer is gone ([`Producer::is_closed`] tells which).
#[derive(thiserror::Error)]
#[error("the ring is full, or its consumer is gone")]
pub struct Full<T>(
    /// The item.
    pub T,
);

impl<T> fmt::Debug for Full<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Full")
    }
}

/// Notifies when it is dropped.
pub(super) struct LastWord(pub(super) Arc<Signal>);

impl Drop for LastWord {
    fn drop(&mut self) {
        self.0.notify();
    }
}

impl<T> Producer<T> {
    pub(super) fn new(end: Writing<T>, filled: Arc<Signal>, space: Arc<Signal>) -> Self {
        let last_word = LastWord(Arc::clone(&filled));
        Self { end, filled, space, _last_word: last_word }
    }

    /// Puts `item` in and publishes it at once, with all that was staged before it.
    ///
    /// # Errors
    /// Gives the item back where the ring is full or its consumer is gone. What was staged is published all the same.
    pub fn push(&mut self, item: T) -> Result<(), Full<T>> {
        self.stage(item)?;
        self.publish();
        Ok(())
    }

    /// Puts `item` in; the consumer sees it after the next [`Producer::publish`].
    ///
    /// # Errors
    /// Gives the item back where the ring is full or its consumer is gone. What was staged is published then: nobody
    /// waits for room that a consumer cannot make.
    pub fn stage(&mut self, item: T) -> Result<(), Full<T>> {
        let staged = if self.end.reader_is_gone() { Err(item) } else { self.end.stage(item) };
        staged.map_err(|item| {
            self.publish();
            Full(item)
        })
    }

    /// Shows the consumer all that was staged, and wakes it.
    pub fn publish(&mut self) {
        if self.end.publish() {
            self.filled.notify();
        }
    }

    /// Takes from `items` as many as there is room for, and publishes them together. Says how many. No item is taken
    /// from `items` that does not go in.
    pub fn extend(&mut self, items: &mut impl Iterator<Item = T>) -> usize {
        let mut count = 0;
        while !self.end.reader_is_gone() && self.end.room() > 0 {
            let Some(item) = items.next() else { break };
            if self.end.stage(item).is_err() {
                unreachable!("invariant: there was room, and only this end takes room away");
            }
            count += 1;
        }
        self.publish();
        count
    }

    /// Waits until there is room, at most for `timeout`. `false`: there is none yet, or the consumer is gone; both may
    /// be said before the time is over.
    pub fn wait_for_space(&self, timeout: Duration) -> bool {
        self.space.wait(|| self.end.has_room() || self.end.reader_is_gone(), timeout);
        self.end.has_room() && !self.end.reader_is_gone()
    }

    /// Whether the consumer is gone: nothing that is put in will be seen.
    pub fn is_closed(&self) -> bool {
        self.end.reader_is_gone()
    }

    /// Items published and not yet released by the consumer.
    pub fn len(&self) -> usize {
        self.end.indices().len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// [`Producer::len`] as a share of all slots, 0 to 1.
    pub fn occupancy_ratio(&self) -> f64 {
        self.end.indices().occupancy_ratio()
    }

    /// A handle that looks at the occupancy from any thread.
    pub fn monitor(&self) -> Monitor {
        Monitor(self.end.indices().clone())
    }
}

impl<T> fmt::Debug for Producer<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Producer").field(&self.monitor()).finish()
    }
}
