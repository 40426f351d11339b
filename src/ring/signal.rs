//! The signal that a thread sleeps on until one of its rings has something for it.
//!
//! In: [`Signal::notify`] from whoever has changed what is waited for. Out: the sleeper wakes.
//!
//! ```text
//!   sleeper                          notifier
//!   lock                             change what is waited for
//!   sleeping = true                  fence
//!   fence                            sleeping?  no: done (one load)
//!   ready?  yes: do not sleep                   yes: lock, sleeping = false, wake
//!   unlock and sleep, at once
//! ```
//! The two fences are sequentially consistent, so at least one of the two sees the other: either the sleeper sees the
//! change, or the notifier sees the sleeper. In the second case the lock makes the notifier wait until the sleeper
//! really sleeps. So no wake-up is lost.
#![forbid(unsafe_code)]

use std::sync::PoisonError;
use std::time::Duration;

use crossbeam_utils::CachePadded;

use crate::sync::{AtomicBool, Condvar, Mutex, Ordering, fence};

/// What one thread sleeps on, for any number of rings. Any thread may notify; only one may wait.
pub struct Signal {
    sleeping: CachePadded<AtomicBool>,
    lock: Mutex<()>,
    wake: Condvar,
}

impl Signal {
    /// A signal on which nobody sleeps.
    pub fn new() -> std::sync::Arc<Self> {
        std::sync::Arc::new(Self {
            sleeping: CachePadded::new(AtomicBool::new(false)),
            lock: Mutex::new(()),
            wake: Condvar::new(),
        })
    }

    /// Returns when `ready()` holds, or after a [`Signal::notify`], or after `timeout`; now and then for no reason, so
    /// callers look again and wait again. `ready` must look at shared state, and must not notify this signal.
    ///
    /// It looks a few times before it sleeps: what comes within microseconds costs no system call.
    pub fn wait(&self, ready: impl Fn() -> bool, timeout: Duration) {
        if timeout.is_zero() || look_a_few_times(&ready) {
            return;
        }
        // A poisoned lock means that a `ready` panicked; the lock guards no data that could be broken.
        let guard = self.lock.lock().unwrap_or_else(PoisonError::into_inner);
        self.sleeping.store(true, Ordering::Relaxed);
        fence(Ordering::SeqCst);
        if !ready() {
            drop(self.wake.wait_timeout(guard, timeout).unwrap_or_else(PoisonError::into_inner));
        }
        self.sleeping.store(false, Ordering::Relaxed);
    }

    /// Wakes who sleeps. What it waits for must have been changed before, by this thread.
    pub fn notify(&self) {
        fence(Ordering::SeqCst);
        if self.sleeping.load(Ordering::Relaxed) {
            self.wake_up();
        }
    }

    #[cold]
    fn wake_up(&self) {
        let _guard = self.lock.lock().unwrap_or_else(PoisonError::into_inner);
        // The next notifier need not wake it again.
        self.sleeping.store(false, Ordering::Relaxed);
        self.wake.notify_one();
    }
}

impl std::fmt::Debug for Signal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Signal").field("sleeping", &self.sleeping.load(Ordering::Relaxed)).finish_non_exhaustive()
    }
}

#[cfg(not(loom))]
fn look_a_few_times(ready: &impl Fn() -> bool) -> bool {
    let backoff = crossbeam_utils::Backoff::new();
    while !backoff.is_completed() {
        if ready() {
            return true;
        }
        backoff.snooze();
    }
    ready()
}

/// Loom tries every moment at which `ready` can begin to hold by itself.
#[cfg(loom)]
fn look_a_few_times(ready: &impl Fn() -> bool) -> bool {
    ready()
}
