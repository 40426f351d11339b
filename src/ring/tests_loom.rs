//! Every interleaving of small rings. A wait never ends by time here, so a lost wake-up is a deadlock, which loom reports;
//! a slot touched by both ends at once, and an item never dropped, are reported too.

use std::time::Duration;

use loom::sync::Arc;
use loom::thread;

use super::{Consumer, Signal, channel};

/// Loom's clock never moves.
const FOREVER: Duration = Duration::MAX;

/// Three preemptions find what two threads can do to each other; more take hours.
fn model(preemptions: usize, body: impl Fn() + Sync + Send + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(preemptions);
    builder.check(body);
}

/// Waits, then takes what is there, until the producer is gone.
fn drain_to_the_end(signal: &Signal, consumer: &mut Consumer<Arc<u8>>, batch: usize) -> Vec<u8> {
    let mut got = Vec::new();
    while !consumer.is_closed() {
        signal.wait(|| !consumer.is_empty() || consumer.is_closed(), FOREVER);
        if batch == 1 {
            got.extend(consumer.pop().map(|item| *item));
        } else {
            consumer.drain(batch, |item| got.push(*item));
        }
    }
    got
}

#[test]
fn push_and_pop() {
    model(3, || {
        let signal = Signal::new();
        let (mut producer, mut consumer) = channel(2, &signal);
        let pushing = thread::spawn(move || {
            for number in 0..3 {
                let mut item = Arc::new(number);
                while let Err(full) = producer.push(item) {
                    item = full.0;
                    producer.wait_for_space(FOREVER);
                }
            }
        });
        assert_eq!(drain_to_the_end(&signal, &mut consumer, 1), [0, 1, 2]);
        pushing.join().expect("no panic");
    });
}

#[test]
fn batches() {
    model(3, || {
        let signal = Signal::new();
        let (mut producer, mut consumer) = channel(2, &signal);
        let pushing = thread::spawn(move || {
            let mut items = (0..4).map(Arc::new);
            while items.len() > 0 {
                if producer.extend(&mut items) == 0 {
                    producer.wait_for_space(FOREVER);
                }
            }
        });
        assert_eq!(drain_to_the_end(&signal, &mut consumer, 2), [0, 1, 2, 3]);
        pushing.join().expect("no panic");
    });
}

/// What is staged and not published goes out with the producer; unread items are dropped once (loom counts its Arcs).
#[test]
fn both_ends_go_with_items_inside() {
    model(3, || {
        let signal = Signal::new();
        let (mut producer, mut consumer) = channel(2, &signal);
        let item = Arc::new(7);
        let staged = Arc::clone(&item);
        let pushing = thread::spawn(move || {
            // Both are refused where the consumer has gone already.
            drop(producer.push(Arc::new(6)));
            drop(producer.stage(staged));
        });
        let _ = consumer.pop();
        drop(consumer);
        pushing.join().expect("no panic");
        assert_eq!(Arc::strong_count(&item), 1);
    });
}

#[test]
fn a_consumer_that_goes_wakes_its_producer() {
    model(3, || {
        let (mut producer, consumer) = channel(1, &Signal::new());
        producer.push(Arc::new(0u8)).expect("there is room");
        let going = thread::spawn(move || drop(consumer));
        while !producer.is_closed() {
            assert!(!producer.wait_for_space(FOREVER));
        }
        assert!(producer.push(Arc::new(1)).is_err());
        going.join().expect("no panic");
    });
}

#[test]
fn a_producer_that_goes_wakes_its_consumer() {
    model(3, || {
        let signal = Signal::new();
        let (mut producer, mut consumer) = channel(2, &signal);
        producer.stage(Arc::new(5)).expect("there is room");
        let going = thread::spawn(move || drop(producer));
        assert_eq!(drain_to_the_end(&signal, &mut consumer, 2), [5]);
        going.join().expect("no panic");
    });
}

#[test]
fn one_sleeper_over_two_rings_misses_nothing() {
    model(2, || {
        let signal = Signal::new();
        let rings = [channel(1, &signal), channel(1, &signal)];
        let mut pushing = Vec::new();
        let mut consumers = Vec::new();
        for (mut producer, consumer) in rings {
            consumers.push(consumer);
            pushing.push(thread::spawn(move || producer.push(Arc::new(1u8)).expect("there is room")));
        }
        let mut got = 0;
        while got < 2 {
            signal.wait(|| consumers.iter().any(|ring| !ring.is_empty()), FOREVER);
            for ring in &mut consumers {
                got += usize::from(ring.pop().is_some());
            }
        }
        for thread in pushing {
            thread.join().expect("no panic");
        }
    });
}

/// The monitor is read while both ends move.
#[test]
fn a_monitor_never_sees_more_than_the_slots() {
    model(2, || {
        let (mut producer, mut consumer) = channel(1, &Signal::new());
        let monitor = producer.monitor();
        let pushing = thread::spawn(move || {
            drop(producer.push(1u8));
            drop(producer.push(2u8));
        });
        let watching = thread::spawn(move || assert!(monitor.len() <= 1));
        let _ = consumer.pop();
        for thread in [pushing, watching] {
            thread.join().expect("no panic");
        }
    });
}
