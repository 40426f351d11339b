//! 32-byte items through the ring, against `crossbeam_queue::ArrayQueue`: `cargo bench --no-default-features --bench ring`.
//!
//! Two threads, as in the engine, each on a processor of its own.

mod support;

use std::hint::black_box;
use std::time::Duration;

use atrarium::ring::{Signal, channel};
use crossbeam_queue::ArrayQueue;
use support::{Bench, Time};

type Item = [u64; 4];

const SLOTS: usize = 4096;
const ITEMS: u64 = 400_000;
const BATCH: u64 = 64;
const LONG: Duration = Duration::from_secs(60);

/// Staged one by one, published and released by 64. The sum of what has come out, as with the others.
fn through_the_ring() -> u64 {
    let mut sum = 0;
    let signal = Signal::new();
    let (mut producer, mut consumer) = channel::<Item>(SLOTS, &signal);
    std::thread::scope(|scope| {
        scope.spawn(move || {
            support::pin(1);
            for at in 0..ITEMS {
                let mut item = [at; 4];
                while let Err(full) = producer.stage(item) {
                    item = full.0;
                    producer.wait_for_space(LONG);
                }
                if at % BATCH == BATCH - 1 {
                    producer.publish();
                }
            }
        });
        while !consumer.is_closed() {
            if consumer.drain(BATCH as usize, |item| {
                sum += black_box(item)[0];
            }) == 0
            {
                signal.wait(|| !consumer.is_empty() || consumer.is_closed(), LONG);
            }
        }
    });
    sum
}

/// Each item published and notified by itself.
fn through_the_ring_one_by_one() -> u64 {
    let mut sum = 0;
    let signal = Signal::new();
    let (mut producer, mut consumer) = channel::<Item>(SLOTS, &signal);
    std::thread::scope(|scope| {
        scope.spawn(move || {
            support::pin(1);
            for at in 0..ITEMS {
                let mut item = [at; 4];
                while let Err(full) = producer.push(item) {
                    item = full.0;
                    producer.wait_for_space(LONG);
                }
            }
        });
        while !consumer.is_closed() {
            match consumer.pop() {
                Some(item) => sum += black_box(item)[0],
                None => signal.wait(|| !consumer.is_empty() || consumer.is_closed(), LONG),
            }
        }
    });
    sum
}

fn through_array_queue() -> u64 {
    let mut sum = 0;
    let queue = ArrayQueue::<Item>::new(SLOTS);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            support::pin(1);
            for at in 0..ITEMS {
                let mut item = [at; 4];
                let backoff = crossbeam_utils::Backoff::new();
                while let Err(back) = queue.push(item) {
                    item = back;
                    backoff.snooze();
                }
            }
        });
        let mut left = ITEMS;
        let backoff = crossbeam_utils::Backoff::new();
        while left > 0 {
            match queue.pop() {
                Some(item) => {
                    sum += black_box(item)[0];
                    left -= 1;
                    backoff.reset();
                }
                None => backoff.snooze(),
            }
        }
    });
    sum
}

fn main() {
    support::pin(0);
    let all = ITEMS * (ITEMS - 1) / 2;
    for pass in [through_the_ring, through_the_ring_one_by_one, through_array_queue] {
        assert_eq!(pass(), all, "every item comes out once");
    }
    let mut bench = Bench::new();
    let [ring, single, queue] = bench.sides(
        "a 32-byte item",
        ITEMS as usize,
        Time::Passing,
        [
            ("ring", Box::new(|| _ = through_the_ring())),
            ("ring, one by one", Box::new(|| _ = through_the_ring_one_by_one())),
            ("ArrayQueue", Box::new(|| _ = through_array_queue())),
        ],
    );
    bench.ratio("ring", "ArrayQueue", ring, queue);
    bench.ratio("ring, one by one", "ArrayQueue", single, queue);
    bench.finish();
}
