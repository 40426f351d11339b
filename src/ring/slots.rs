//! The slots of a ring and its two indices: the only unsafe code of the program.
//!
//! In: items staged by the one [`Writing`] end. Out: items taken by the one [`Reading`] end. Neither end can be cloned,
//! and each changes only through `&mut self`, so "one thread writes, one thread reads" is held by the types.
//!
//! ```text
//!   slot i & (slots - 1) belongs to     for i in
//!   the reading end, filled             head .. tail (published)
//!   the writing end, filled             tail (published) .. tail (local): staged
//!   the writing end, empty              tail (local) .. head + slots
//! ```
//! A slot changes hands by a `Release` store of an index and the other end's `Acquire` load of it: `tail` hands over the
//! item, `head` hands back the room.
#![allow(unsafe_code)]

use std::mem::MaybeUninit;

use crossbeam_utils::CachePadded;

use crate::sync::{Arc, AtomicBool, AtomicUsize, Ordering, UnsafeCell};

/// The shared state that holds no item, so that a monitor can keep it longer than the ring lives.
pub(super) struct Indices {
    /// The next item to be taken. Only the reading end stores it.
    head: CachePadded<AtomicUsize>,
    /// The next item to be published. Only the writing end stores it.
    tail: CachePadded<AtomicUsize>,
    gone: CachePadded<Gone>,
    slots: usize,
}

/// Which end has gone away. Apart from the indices: it is read often, and written once.
struct Gone {
    writing: AtomicBool,
    reading: AtomicBool,
}

impl Indices {
    pub(super) const fn slots(&self) -> usize {
        self.slots
    }

    /// Items published and not released; at most all slots, whoever asks and whenever.
    pub(super) fn len(&self) -> usize {
        // Head first: read the other way round, a consumer in between would make the difference negative.
        let head = self.head.load(Ordering::Acquire);
        let tail = self.tail.load(Ordering::Acquire);
        tail.wrapping_sub(head).min(self.slots)
    }

    /// [`Indices::len`] as a share of all slots.
    pub(super) fn occupancy_ratio(&self) -> f64 {
        self.len() as f64 / self.slots as f64
    }
}

/// The cells, and their end: dropping it drops what nobody took.
struct Slots<T> {
    indices: Arc<Indices>,
    cells: Box<[UnsafeCell<MaybeUninit<T>>]>,
}

// SAFETY: items move from the writing thread to the reading one, hence `T: Send`. No `&T` is ever given out, so `T` need
// not be `Sync`. Who may touch which cell when is said at the top of this file.
unsafe impl<T: Send> Send for Slots<T> {}
// SAFETY: as above: through `&Slots` a cell is reached only by `write` and `read`, whose callers own it.
unsafe impl<T: Send> Sync for Slots<T> {}

impl<T> Slots<T> {
    fn cell(&self, index: usize) -> &UnsafeCell<MaybeUninit<T>> {
        &self.cells[index & (self.cells.len() - 1)]
    }

    /// # Safety
    /// The caller is the writing end, `index` is its local tail, and `index - head < slots`.
    unsafe fn write(&self, index: usize, item: T) {
        self.cell(index).with_mut(|cell| {
            // SAFETY: the pointer comes from a live cell; the caller owns the slot, so nothing else touches it.
            let cell = unsafe { &mut *cell };
            cell.write(item);
        });
    }

    /// # Safety
    /// The caller is the reading end (or has the slots to itself), `index` is its local head and is before the
    /// published tail, and the caller counts the item as taken from now on.
    unsafe fn read(&self, index: usize) -> T {
        self.cell(index).with_mut(|cell| {
            // SAFETY: the pointer comes from a live cell; the caller owns the slot, so nothing else touches it.
            let cell = unsafe { &*cell };
            // SAFETY: the slot is before the published tail, so `write` filled it; it is read out once, because the
            // caller's head moves past it and the slot is only filled anew after that head has been released.
            unsafe { cell.assume_init_read() }
        })
    }
}

impl<T> Drop for Slots<T> {
    fn drop(&mut self) {
        // Both ends have stored their last index in their own `drop`, and are gone.
        let head = self.indices.head.load(Ordering::Acquire);
        let tail = self.indices.tail.load(Ordering::Acquire);
        let mut unread = Unread { slots: self, head, tail };
        unread.drop_all();
    }
}

/// Drops what nobody took, and goes on with the rest where one item's `drop` panics.
struct Unread<'a, T> {
    slots: &'a Slots<T>,
    head: usize,
    tail: usize,
}

impl<T> Unread<'_, T> {
    fn drop_all(&mut self) {
        while self.head != self.tail {
            let at = self.head;
            self.head = at.wrapping_add(1);
            // SAFETY: the ends are gone, so the slots are ours alone; `at` is before the tail, and is not met again.
            drop(unsafe { self.slots.read(at) });
        }
    }
}

impl<T> Drop for Unread<'_, T> {
    fn drop(&mut self) {
        self.drop_all();
    }
}

/// Makes the two ends. `slots` is a power of two.
pub(super) fn new<T: Send>(slots: usize) -> (Writing<T>, Reading<T>) {
    let indices = Arc::new(Indices {
        head: CachePadded::new(AtomicUsize::new(0)),
        tail: CachePadded::new(AtomicUsize::new(0)),
        gone: CachePadded::new(Gone { writing: AtomicBool::new(false), reading: AtomicBool::new(false) }),
        slots,
    });
    let cells = (0..slots).map(|_| UnsafeCell::new(MaybeUninit::uninit())).collect();
    let shared = Arc::new(Slots { indices: Arc::clone(&indices), cells });
    let writing =
        Writing { indices: Arc::clone(&indices), slots: Arc::clone(&shared), tail: 0, tail_published: 0, head: 0 };
    (writing, Reading { indices, slots: shared, head: 0, head_released: 0, tail: 0 })
}

/// The end that fills slots.
pub(super) struct Writing<T> {
    indices: Arc<Indices>,
    slots: Arc<Slots<T>>,
    /// `tail_published <= tail <= head + slots`
    tail: usize,
    tail_published: usize,
    /// The head as last seen: the real one is not before it.
    head: usize,
}

impl<T> Writing<T> {
    pub(super) const fn indices(&self) -> &Arc<Indices> {
        &self.indices
    }

    pub(super) fn reader_is_gone(&self) -> bool {
        self.indices.gone.reading.load(Ordering::Acquire)
    }

    /// Free slots. Looks at the shared head only where the copy says that there are none.
    pub(super) fn room(&mut self) -> usize {
        let room = self.indices.slots - self.tail.wrapping_sub(self.head);
        if room > 0 {
            return room;
        }
        self.head = self.indices.head.load(Ordering::Acquire);
        self.indices.slots - self.tail.wrapping_sub(self.head)
    }

    /// Whether there is a free slot, by the shared head.
    pub(super) fn has_room(&self) -> bool {
        self.tail.wrapping_sub(self.indices.head.load(Ordering::Acquire)) < self.indices.slots
    }

    /// Fills a slot, unseen by the reading end until [`Writing::publish`]. Gives the item back where none is free.
    pub(super) fn stage(&mut self, item: T) -> Result<(), T> {
        if self.room() == 0 {
            return Err(item);
        }
        // SAFETY: this is the one writing end, `tail` is its local tail, and there is room.
        unsafe { self.slots.write(self.tail, item) };
        self.tail = self.tail.wrapping_add(1);
        Ok(())
    }

    /// Hands over all that is staged; `false` where nothing is.
    pub(super) fn publish(&mut self) -> bool {
        if self.tail == self.tail_published {
            return false;
        }
        self.indices.tail.store(self.tail, Ordering::Release);
        self.tail_published = self.tail;
        true
    }
}

impl<T> Drop for Writing<T> {
    fn drop(&mut self) {
        self.publish();
        // After the last publish: who sees the flag sees every item.
        self.indices.gone.writing.store(true, Ordering::Release);
    }
}

/// The end that empties slots.
pub(super) struct Reading<T> {
    indices: Arc<Indices>,
    slots: Arc<Slots<T>>,
    /// `head_released <= head <= tail`
    head: usize,
    head_released: usize,
    /// The tail as last seen: the real one is not before it.
    tail: usize,
}

impl<T> Reading<T> {
    pub(super) const fn indices(&self) -> &Arc<Indices> {
        &self.indices
    }

    pub(super) fn writer_is_gone(&self) -> bool {
        self.indices.gone.writing.load(Ordering::Acquire)
    }

    /// Whether every published item has been taken, by the shared tail.
    pub(super) fn is_empty(&self) -> bool {
        self.head == self.indices.tail.load(Ordering::Acquire)
    }

    /// Takes the next item. Its slot is free for the writing end after [`Reading::release`].
    pub(super) fn take(&mut self) -> Option<T> {
        if self.head == self.tail {
            self.tail = self.indices.tail.load(Ordering::Acquire);
            if self.head == self.tail {
                return None;
            }
        }
        let at = self.head;
        self.head = at.wrapping_add(1);
        // SAFETY: this is the one reading end, `at` was its local head and is before the published tail; the head has
        // moved past it, so the item counts as taken.
        Some(unsafe { self.slots.read(at) })
    }

    /// Hands back the slots of all that was taken; `false` where there are none.
    pub(super) fn release(&mut self) -> bool {
        if self.head == self.head_released {
            return false;
        }
        self.indices.head.store(self.head, Ordering::Release);
        self.head_released = self.head;
        true
    }
}

impl<T> Drop for Reading<T> {
    fn drop(&mut self) {
        self.release();
        self.indices.gone.reading.store(true, Ordering::Release);
    }
}
