//! The orders in which a network could deliver one history.

use atrarium::fact::{Batch, Fact};
use fastrand::Rng;

use super::HOUR;

/// How facts come: each way is another promise that a network may break.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// As the history was made.
    AsMade,
    /// In order of stream time.
    InTime,
    /// Each repository's own order is kept, and the repositories are interleaved at random.
    Interleaved,
    /// Displaced by up to 2 hours of stream time.
    Displaced,
    /// Anyhow.
    Shuffled,
}

impl Order {
    /// All of them, in the order in which they are tried.
    pub const ALL: [Self; 5] = [Self::AsMade, Self::InTime, Self::Interleaved, Self::Displaced, Self::Shuffled];
}

/// A history as it is told once: in an order, with duplicates, with rewinds (a part is told again from an earlier point
/// on), and the positions after which the process restarts.
pub fn told(history: &[Fact], order: Order, rng: &mut Rng) -> (Vec<Fact>, Vec<usize>) {
    let mut facts = history.to_vec();
    match order {
        Order::AsMade => {}
        Order::InTime => facts.sort_by_key(stream_micros),
        Order::Interleaved => facts = interleaved(facts, rng),
        Order::Displaced => {
            let mut keyed: Vec<(i64, Fact)> =
                facts.into_iter().map(|fact| (stream_micros(&fact) + rng.i64(0..2 * HOUR), fact)).collect();
            keyed.sort_by_key(|(micros, _)| *micros);
            facts = keyed.into_iter().map(|(_, fact)| fact).collect();
        }
        Order::Shuffled => rng.shuffle(&mut facts),
    }
    if rng.bool() {
        for _ in 0..rng.usize(..=history.len() / 2) {
            let again = history[rng.usize(..history.len())].clone();
            facts.insert(rng.usize(..=facts.len()), again);
        }
    }
    for _ in 0..rng.usize(..3) {
        let to = rng.usize(..=facts.len());
        let from = rng.usize(..=to);
        let again = facts[from..to].to_vec();
        facts.splice(to..to, again);
    }
    let restarts = (0..rng.usize(..3)).map(|_| rng.usize(..=facts.len())).collect();
    (facts, restarts)
}

fn stream_micros(fact: &Fact) -> i64 {
    match fact {
        Fact::Record(record) => record.witnessed.micros(),
        Fact::Account(account) => account.witnessed.micros(),
        Fact::Clock(time) => time.micros(),
        Fact::Cursor(cursor) => cursor.time.micros(),
        Fact::Gap(gap) => gap.witnessed.micros(),
        Fact::Orphans(_) => 0,
    }
}

/// Facts of one repository, clocks and the rest stay in their order among themselves.
fn interleaved(facts: Vec<Fact>, rng: &mut Rng) -> Vec<Fact> {
    let repository = |fact: &Fact| match fact {
        Fact::Record(record) => record.did.to_string(),
        Fact::Account(account) => account.did.to_string(),
        _ => String::new(),
    };
    let mut queues: Vec<(String, std::collections::VecDeque<Fact>)> = Vec::new();
    for fact in facts {
        let of = repository(&fact);
        match queues.iter_mut().find(|(name, _)| *name == of) {
            Some((_, queue)) => queue.push_back(fact),
            None => queues.push((of, [fact].into())),
        }
    }
    let mut told = Vec::new();
    while !queues.is_empty() {
        let at = rng.usize(..queues.len());
        match queues[at].1.pop_front() {
            Some(fact) => told.push(fact),
            None => drop(queues.swap_remove(at)),
        }
    }
    told
}

/// What a log gives back of facts that were written to it.
pub fn through_the_log(facts: &[Fact]) -> Vec<Fact> {
    let payload = Batch::encode(facts, Vec::new());
    Batch::decode(Batch::VERSION, &payload).expect("what was encoded").facts
}

/// The least part of `told` that still `fails`: facts are left out, many at a time and then one by one, as long as it does.
pub fn shrunk(mut told: Vec<Fact>, fails: impl Fn(&[Fact]) -> bool) -> Vec<Fact> {
    let mut size = (told.len() / 2).max(1);
    loop {
        let (mut at, mut shorter) = (0, false);
        while at < told.len() {
            let mut fewer = told.clone();
            fewer.drain(at..(at + size).min(told.len()));
            if fails(&fewer) {
                (told, shorter) = (fewer, true);
            } else {
                at += size;
            }
        }
        match (size, shorter) {
            (1, false) => return told,
            (1, true) => {}
            _ => size = (size / 2).max(1),
        }
    }
}
