//! The consuming end of a ring.
#![forbid(unsafe_code)]

use std::fmt;
use std::sync::Arc;

use super::send::LastWord;
use super::slots::Reading;
use super::{Monitor, Signal};

/// Takes items out of the ring. When it is dropped, a producer that waits for room is told.
pub struct Consumer<T> {
    end: Reading<T>,
    /// What the producer sleeps on.
    space: Arc<Signal>,
    /// Declared after `end`: it is dropped after the ring has been told that this end is gone.
    _last_word: LastWord,
}

impl<T> Consumer<T> {
    pub(super) fn new(end: Reading<T>, space: Arc<Signal>) -> Self {
        let last_word = LastWord(Arc::clone(&space));
        Self { end, space, _last_word: last_word }
    }

    /// Takes the next item, and releases its slot at once. For many items [`Consumer::drain`] is cheaper.
    pub fn pop(&mut self) -> Option<T> {
        let item = self.end.take();
        self.release();
        item
    }

    /// Takes at most `max` items, one after the other, and releases their slots together at the end, also where `each`
    /// panics. Says how many were taken.
    pub fn drain(&mut self, max: usize, mut each: impl FnMut(T)) -> usize {
        let releasing = Releasing(self);
        let mut count = 0;
        while count < max {
            let Some(item) = releasing.0.end.take() else { break };
            count += 1;
            each(item);
        }
        count
    }

    fn release(&mut self) {
        if self.end.release() {
            self.space.notify();
        }
    }

    /// Whether nothing is published that has not been taken.
    pub fn is_empty(&self) -> bool {
        self.end.is_empty()
    }

    /// Whether nothing is left and nothing will come: the producer is gone, and every item has been taken.
    pub fn is_closed(&self) -> bool {
        // In this order: the last item was published before the producer went.
        self.end.writer_is_gone() && self.end.is_empty()
    }

    /// A handle that looks at the occupancy from any thread.
    pub fn monitor(&self) -> Monitor {
        Monitor(self.end.indices().clone())
    }
}

/// Releases what was taken when it goes out of scope.
struct Releasing<'a, T>(&'a mut Consumer<T>);

impl<T> Drop for Releasing<'_, T> {
    fn drop(&mut self) {
        self.0.release();
    }
}

impl<T> fmt::Debug for Consumer<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Consumer").field(&self.monitor()).finish()
    }
}
