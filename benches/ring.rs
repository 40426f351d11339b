//! 32-byte items through the ring, against `crossbeam_queue::ArrayQueue`: `cargo bench --no-default-features --bench ring`.
//!
//! Two threads, as in the engine. The last line is the ratio of the medians of interleaved runs, because the speed of a
//! machine drifts and ratios do not.

use std::hint::black_box;
use std::time::Duration;

use atrarium::clock::Clock;
use atrarium::ring::{Signal, channel};
use criterion::{Criterion, Throughput};
use crossbeam_queue::ArrayQueue;

type Item = [u64; 4];

const SLOTS: usize = 4096;
const ITEMS: u64 = 400_000;
const BATCH: u64 = 64;
const LONG: Duration = Duration::from_secs(60);

/// Staged one by one, published and released by 64.
fn through_the_ring() {
    let signal = Signal::new();
    let (mut producer, mut consumer) = channel::<Item>(SLOTS, &signal);
    std::thread::scope(|scope| {
        scope.spawn(move || {
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
                black_box(item);
            }) == 0
            {
                signal.wait(|| !consumer.is_empty() || consumer.is_closed(), LONG);
            }
        }
    });
}

/// Each item published and notified by itself.
fn through_the_ring_one_by_one() {
    let signal = Signal::new();
    let (mut producer, mut consumer) = channel::<Item>(SLOTS, &signal);
    std::thread::scope(|scope| {
        scope.spawn(move || {
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
                Some(item) => drop(black_box(item)),
                None => signal.wait(|| !consumer.is_empty() || consumer.is_closed(), LONG),
            }
        }
    });
}

fn through_array_queue() {
    let queue = ArrayQueue::<Item>::new(SLOTS);
    std::thread::scope(|scope| {
        scope.spawn(|| {
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
                    black_box(item);
                    left -= 1;
                    backoff.reset();
                }
                None => backoff.snooze(),
            }
        }
    });
}

/// The median time of each body in nanoseconds per item, over interleaved runs.
fn medians<const N: usize>(runs: usize, bodies: [fn(); N]) -> [f64; N] {
    let clock = Clock::real();
    let mut times = [const { Vec::new() }; N];
    for _ in 0..runs {
        for (body, times) in bodies.iter().zip(&mut times) {
            let before = clock.monotonic();
            body();
            times.push((clock.monotonic() - before).as_nanos() as f64 / ITEMS as f64);
        }
    }
    times.map(|mut times| {
        times.sort_by(f64::total_cmp);
        times[times.len() / 2]
    })
}

fn main() {
    let mut criterion = Criterion::default()
        .sample_size(10)
        .warm_up_time(Duration::from_millis(200))
        .measurement_time(Duration::from_secs(1))
        .configure_from_args();
    let mut group = criterion.benchmark_group("ring");
    group.throughput(Throughput::Elements(ITEMS));
    group.bench_function("batches of 64", |bench| bench.iter(through_the_ring));
    group.bench_function("one by one", |bench| bench.iter(through_the_ring_one_by_one));
    group.bench_function("ArrayQueue", |bench| bench.iter(through_array_queue));
    group.finish();
    criterion.final_summary();

    let [ring, single, queue] = medians(9, [through_the_ring, through_the_ring_one_by_one, through_array_queue]);
    println!("ns per 32-byte item: ring {ring:.1}, ring one by one {single:.1}, ArrayQueue {queue:.1}");
    println!("ring vs ArrayQueue: {:.1}x", queue / ring);
}
