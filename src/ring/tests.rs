//! One enum of operations drives a ring and a `VecDeque`; then two real threads, and what happens when things end.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use proptest::prelude::*;

use super::{Consumer, Producer, Signal, channel};

/// Long enough for any wait that must not end by time.
const LONG: Duration = Duration::from_secs(60);

#[derive(Clone, Debug)]
enum Operation {
    Push,
    Stage,
    Publish,
    Extend(u8),
    Pop,
    Drain(u8),
    PanickingDrain(u8),
    DropProducer,
    DropConsumer,
}

fn operation() -> impl Strategy<Value = Operation> {
    prop_oneof![
        8 => Just(Operation::Push),
        8 => Just(Operation::Stage),
        4 => Just(Operation::Publish),
        4 => (0u8..20).prop_map(Operation::Extend),
        8 => Just(Operation::Pop),
        4 => (0u8..20).prop_map(Operation::Drain),
        2 => (1u8..20).prop_map(Operation::PanickingDrain),
        1 => Just(Operation::DropProducer),
        1 => Just(Operation::DropConsumer),
    ]
}

/// An item that knows its number and is counted while it lives.
#[derive(Clone, Debug)]
struct Item(u64, #[expect(dead_code, reason = "it counts by living")] Arc<()>);

struct Model {
    producer: Option<Producer<Item>>,
    consumer: Option<Consumer<Item>>,
    slots: usize,
    published: VecDeque<u64>,
    staged: VecDeque<u64>,
    next: u64,
    alive: Arc<()>,
}

impl Model {
    fn new(slots: usize) -> Self {
        let (producer, consumer) = channel(slots, &Signal::new());
        Self {
            producer: Some(producer),
            consumer: Some(consumer),
            slots,
            published: VecDeque::new(),
            staged: VecDeque::new(),
            next: 0,
            alive: Arc::new(()),
        }
    }

    fn item(&mut self) -> Item {
        self.next += 1;
        Item(self.next, Arc::clone(&self.alive))
    }

    fn has_room(&self) -> bool {
        self.consumer.is_some() && self.published.len() + self.staged.len() < self.slots
    }

    fn publish(&mut self) {
        self.published.append(&mut self.staged);
    }

    fn apply(&mut self, operation: &Operation) {
        match operation {
            Operation::Push | Operation::Stage => self.put(matches!(operation, Operation::Push)),
            Operation::Publish => {
                if let Some(producer) = &mut self.producer {
                    producer.publish();
                    self.publish();
                }
            }
            Operation::Extend(count) => self.extend(usize::from(*count)),
            Operation::Pop => {
                if let Some(consumer) = &mut self.consumer {
                    assert_eq!(consumer.pop().map(|item| item.0), self.published.pop_front());
                }
            }
            Operation::Drain(max) => self.drain(usize::from(*max)),
            Operation::PanickingDrain(at) => self.panicking_drain(usize::from(*at)),
            Operation::DropProducer => {
                if self.producer.take().is_some() {
                    self.publish();
                }
            }
            Operation::DropConsumer => self.consumer = None,
        }
        self.check();
    }

    fn put(&mut self, at_once: bool) {
        let (room, item) = (self.has_room(), self.item());
        let number = item.0;
        let Some(producer) = &mut self.producer else { return };
        let done = if at_once { producer.push(item) } else { producer.stage(item) };
        assert_eq!(done.is_ok(), room);
        match done {
            Ok(()) => self.staged.push_back(number),
            Err(full) => assert_eq!(full.0.0, number, "the item comes back"),
        }
        if at_once || !room {
            self.publish();
        }
    }

    fn extend(&mut self, count: usize) {
        let items: Vec<Item> = (0..count).map(|_| self.item()).collect();
        let Some(producer) = &mut self.producer else { return };
        let mut rest = items.iter().cloned();
        let taken = producer.extend(&mut rest);
        assert_eq!(rest.len(), count - taken, "what does not go in is not taken");
        let room = self.slots - self.published.len() - self.staged.len();
        assert_eq!(taken, if self.consumer.is_some() { room.min(count) } else { 0 });
        self.staged.extend(items[..taken].iter().map(|item| item.0));
        self.publish();
    }

    fn drain(&mut self, max: usize) {
        let Some(consumer) = &mut self.consumer else { return };
        let mut got = Vec::new();
        let count = consumer.drain(max, |item| got.push(item.0));
        let expected: Vec<u64> = self.published.drain(..max.min(self.published.len())).collect();
        assert_eq!((count, got), (expected.len(), expected));
    }

    fn panicking_drain(&mut self, at: usize) {
        let Some(consumer) = &mut self.consumer else { return };
        let mut count = 0;
        let _ = catch_unwind(AssertUnwindSafe(|| {
            consumer.drain(usize::MAX, |_| {
                count += 1;
                if count == at {
                    std::panic::resume_unwind(Box::new("on purpose"));
                }
            })
        }));
        assert_eq!(count, at.min(self.published.len()));
        self.published.drain(..count);
    }

    fn check(&self) {
        let ratio = self.published.len() as f64 / self.slots as f64;
        if let Some(producer) = &self.producer {
            assert_eq!(producer.len(), self.published.len());
            assert_eq!(producer.occupancy_ratio(), ratio);
            assert_eq!(producer.is_closed(), self.consumer.is_none());
            assert_eq!(producer.wait_for_space(Duration::ZERO), self.has_room());
        }
        if let Some(consumer) = &self.consumer {
            assert_eq!(consumer.is_empty(), self.published.is_empty());
            assert_eq!(consumer.is_closed(), self.producer.is_none() && self.published.is_empty());
            assert_eq!(consumer.monitor().occupancy_ratio(), ratio);
        }
        // Unread items live as long as one of the ends does.
        let in_the_ring = if self.producer.is_some() || self.consumer.is_some() {
            self.published.len() + self.staged.len()
        } else {
            0
        };
        assert_eq!(Arc::strong_count(&self.alive) - 1, in_the_ring);
    }
}

proptest! {
    #[test]
    fn a_ring_does_what_a_queue_does(slots in (0u32..5).prop_map(|power| 1 << power), operations in prop::collection::vec(operation(), 0..200)) {
        let mut model = Model::new(slots);
        for operation in &operations {
            model.apply(operation);
        }
        model.apply(&Operation::DropProducer);
        model.apply(&Operation::DropConsumer);
    }
}

/// Two threads pass numbers on; the consumer sees each once, in order. Batches and sleeps vary with `seed`.
fn pass_on(slots: usize, count: u64, seed: u64) {
    let signal = Signal::new();
    let (mut producer, mut consumer) = channel::<Box<u64>>(slots, &signal);
    std::thread::scope(|scope| {
        let producing = scope.spawn(move || {
            let mut random = fastrand::Rng::with_seed(seed);
            let mut next = 0;
            while next < count {
                let batch = random.u64(1..=8).min(count - next);
                let mut items = (next..next + batch).map(Box::new).collect::<Vec<_>>().into_iter();
                while items.len() > 0 {
                    if producer.extend(&mut items) == 0 {
                        producer.wait_for_space(LONG);
                    }
                }
                next += batch;
            }
        });
        let mut random = fastrand::Rng::with_seed(!seed);
        let mut expected = 0;
        while !consumer.is_closed() {
            signal.wait(|| !consumer.is_empty() || consumer.is_closed(), LONG);
            consumer.drain(random.usize(1..=16), |item| {
                assert_eq!(*item, expected);
                expected += 1;
            });
        }
        assert_eq!(expected, count);
        join(producing);
    });
}

/// The end of a scope waits for its threads too, but within std, where ThreadSanitizer does not see it.
fn join(thread: std::thread::ScopedJoinHandle<'_, ()>) {
    thread.join().expect("no thread panics");
}

#[test]
fn two_threads_pass_numbers_on_in_order() {
    for (slots, seed) in [(1, 1), (2, 2), (8, 3), (256, 4)] {
        pass_on(slots, if slots == 1 { 5_000 } else { 50_000 }, seed);
    }
}

/// As long as wanted: `STRESS=N` passes N million items through each of the rings.
#[test]
#[ignore = "long: STRESS=50 cargo test --release --no-default-features --lib stress -- --ignored --nocapture"]
fn stress_of_numbers_in_order() {
    let millions: u64 = std::env::var("STRESS").map_or(1, |text| text.parse().expect("STRESS: give a number"));
    for (slots, seed) in [(1, 1), (2, 2), (16, 3), (4096, 4)] {
        let count = if slots == 1 { millions * 100_000 } else { millions * 1_000_000 };
        pass_on(slots, count, seed);
        println!("{count} items through {slots} slots, each once and in order");
    }
}

#[test]
fn one_thread_sleeps_over_many_rings() {
    const RINGS: usize = 5;
    const ITEMS: u64 = 5_000;
    let signal = Signal::new();
    let (producers, mut consumers): (Vec<_>, Vec<_>) = (0..RINGS).map(|_| channel::<u64>(4, &signal)).unzip();
    std::thread::scope(|scope| {
        let produce = |mut producer: Producer<u64>| {
            for item in 0..ITEMS {
                while producer.push(item).is_err() {
                    producer.wait_for_space(LONG);
                }
            }
        };
        let producing: Vec<_> = producers.into_iter().map(|producer| scope.spawn(move || produce(producer))).collect();
        let mut expected = [0; RINGS];
        while !consumers.iter().all(Consumer::is_closed) {
            signal.wait(
                || consumers.iter().any(|ring| !ring.is_empty()) || consumers.iter().all(Consumer::is_closed),
                LONG,
            );
            for (ring, expected) in consumers.iter_mut().zip(&mut expected) {
                while let Some(item) = ring.pop() {
                    assert_eq!(item, *expected);
                    *expected += 1;
                }
            }
        }
        assert_eq!(expected, [ITEMS; RINGS]);
        producing.into_iter().for_each(join);
    });
}

#[test]
fn the_end_of_one_side_wakes_the_other() {
    let signal = Signal::new();
    let (producer, consumer) = channel::<u8>(2, &signal);
    std::thread::scope(|scope| {
        let ending = scope.spawn(move || drop(producer));
        while !consumer.is_closed() {
            signal.wait(|| consumer.is_closed(), LONG);
        }
        join(ending);
    });

    let (mut producer, consumer) = channel::<u8>(1, &Signal::new());
    producer.push(1).expect("there is room");
    std::thread::scope(|scope| {
        let ending = scope.spawn(move || drop(consumer));
        while !producer.is_closed() {
            assert!(!producer.wait_for_space(LONG), "nobody made room");
        }
        join(ending);
    });
    assert_eq!(producer.push(2).expect_err("nobody would see it").0, 2);
}

#[test]
fn waits_end_by_time() {
    let signal = Signal::new();
    signal.wait(|| false, Duration::from_millis(1));
    signal.notify();
    let (mut producer, _consumer) = channel::<u8>(1, &signal);
    assert!(producer.wait_for_space(Duration::from_millis(1)));
    producer.push(1).expect("there is room");
    assert!(!producer.wait_for_space(Duration::from_millis(1)));
}

/// Every item is dropped once, though some of them panic when they are dropped.
#[test]
fn a_panicking_drop_loses_no_other_item() {
    struct Bomb(Arc<AtomicUsize>, bool);
    impl Drop for Bomb {
        fn drop(&mut self) {
            self.0.fetch_add(1, Ordering::Relaxed);
            if self.1 {
                std::panic::resume_unwind(Box::new("on purpose"));
            }
        }
    }
    let dropped = Arc::new(AtomicUsize::new(0));
    let (mut producer, consumer) = channel(8, &Signal::new());
    for at in 0..5 {
        producer.push(Bomb(Arc::clone(&dropped), at == 2)).expect("there is room");
    }
    drop(consumer);
    assert_eq!(dropped.load(Ordering::Relaxed), 0);
    assert!(catch_unwind(AssertUnwindSafe(|| drop(producer))).is_err());
    assert_eq!(dropped.load(Ordering::Relaxed), 5);
}

#[test]
fn a_monitor_keeps_no_item_alive() {
    let alive = Arc::new(());
    let (mut producer, consumer) = channel(4, &Signal::new());
    producer.push(Arc::clone(&alive)).expect("there is room");
    let monitor = producer.monitor();
    assert_eq!((monitor.len(), monitor.is_empty(), monitor.occupancy_ratio()), (1, false, 0.25));
    drop((producer, consumer));
    assert_eq!(Arc::strong_count(&alive), 1);
    assert_eq!(format!("{monitor:?}"), "1 of 4 slots");
}

#[test]
#[should_panic(expected = "a power of two")]
fn slots_are_a_power_of_two() {
    drop(channel::<u8>(3, &Signal::new()));
}
