//! The order in which the stream tells what happens.
//!
//! In: the world, and its scenes. Out: events with their stream time and sequence number.

use crate::Options;
use crate::event::Event;
use crate::scenes::{self, background::Background};
use crate::world::{Draft, World};

/// The first sequence number: as wide as those of the real network, and of one width for long.
pub(crate) const FIRST_SEQ: u64 = 10_000_000_001;

/// A seeded network: the iterator of its events, in the order of the stream.
pub struct Network {
    world: World,
    background: Background,
    /// Grows by the hit rate with each event; a whole one buys an event that concerns Atrarium.
    credit: f64,
}

impl Network {
    /// A network from its beginning.
    pub fn new(options: &Options) -> Self {
        Self { world: World::new(options), background: Background::default(), credit: 0.0 }
    }

    fn next_draft(&mut self) -> Draft {
        self.credit += self.world.options.hit_rate;
        if let Some(draft) = self.world.ready.pop_front() {
            self.credit -= 1.0;
            return draft;
        }
        self.advance_clock();
        if self.credit < 1.0 {
            return self.background.next(&mut self.world);
        }
        self.credit -= 1.0;
        scenes::next(&mut self.world)
    }

    fn advance_clock(&mut self) {
        let mean = self.world.options.gap_micros();
        let step = self.world.rng.i64(0..=2 * mean);
        self.world.now = self.world.now.plus_micros(step);
    }
}

impl Iterator for Network {
    type Item = Event;

    fn next(&mut self) -> Option<Event> {
        if self.world.index == self.world.options.events {
            return None;
        }
        let draft = self.next_draft();
        let event = Event {
            seq: FIRST_SEQ + self.world.index,
            time: self.world.now,
            did: draft.did,
            kind: draft.kind,
            features: draft.features,
        };
        self.world.index += 1;
        Some(event)
    }
}
