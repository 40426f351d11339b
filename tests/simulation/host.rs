//! A host of the stream below its sockets: bytes of a client in, bytes of Jetstream out, and whatever goes wrong.
//!
//! What always holds: events go out in their order, each once, from the first one asked for; only faults break this, and
//! only as their names say. What is broken comes in addition to the events.

mod answer;
mod conn;
mod mischief;

use std::sync::LazyLock;

use atrarium::wire::endpoint::Endpoint;
use fastrand::Rng;
use simnet::{Dialect, Dictionary};
use zstd::dict::EncoderDictionary;

pub use conn::{Around, Conn, Ending};

use super::world::World;

/// The dictionaries of v1 and v2, and the one that follows the latter.
static DICTIONARIES: LazyLock<[(Dictionary, EncoderDictionary<'static>); 3]> = LazyLock::new(|| {
    let second = Dictionary::of_simnet(Dialect::V2);
    let mut third = second.bytes().to_vec();
    third[4..8].copy_from_slice(&(second.id() + 1).to_le_bytes());
    let third = Dictionary::parse(third).expect("a dictionary");
    [Dictionary::of_simnet(Dialect::V1), second, third].map(|dictionary| {
        let encoder = EncoderDictionary::copy(dictionary.bytes(), 1);
        (dictionary, encoder)
    })
});

/// The dictionary that v1 hosts share with their clients.
pub fn v1_dictionary() -> &'static [u8] {
    DICTIONARIES[0].0.bytes()
}

/// The least distance, in events and in microseconds, of what a host leaves out: less is not told from an event that was
/// erased (`CLAMP_NUMBERS`, `CLAMP_MICROS` of the limits).
const LOSS_EVENTS: u64 = 80;
const LOSS_MICROS: i64 = 16_000_000;

/// See the module.
pub struct Host {
    pub endpoint: Endpoint,
    dialect: Dialect,
    /// What its sequence numbers differ by.
    offset: i64,
    /// v1: whether it tells sequence numbers, too.
    tells_numbers: bool,
    /// Which of the dictionaries is the current one of v2: 1 or 2.
    dictionary: usize,
    /// Everything before this position is gone here.
    floor: u64,
    /// The text of each event, once it was asked for.
    texts: Vec<Option<Vec<u8>>>,
}

impl Host {
    pub fn new(number: usize, world: &World, rng: &mut Rng) -> Self {
        let dialect = if rng.bool() { Dialect::V1 } else { Dialect::V2 };
        let path = if dialect == Dialect::V1 { "/subscribe" } else { "" };
        Self {
            endpoint: Endpoint::parse(&format!("ws://h{number}.sim{path}")).expect("a URL"),
            dialect,
            offset: [0, -6_000_000_000, 6_000_000_000][rng.usize(..3)],
            tells_numbers: rng.bool(),
            dictionary: rng.usize(1..=2),
            floor: 0,
            texts: vec![None; world.events.len()],
        }
    }

    fn number(&self, position: u64) -> u64 {
        (simnet_first_number() + position).saturating_add_signed(self.offset)
    }

    /// The first position whose number is at least this one.
    fn at_number(&self, number: u64) -> u64 {
        number.saturating_add_signed(-self.offset).saturating_sub(simnet_first_number())
    }

    /// The text of an event; empty where the dialect does not tell it.
    fn text(&mut self, position: u64, world: &World) -> Vec<u8> {
        let number = self.number(position);
        let (dialect, tells_numbers) = (self.dialect, self.tells_numbers);
        let write = || world.text(position, number, dialect, tells_numbers);
        match self.texts.get_mut(position as usize) {
            Some(known) => known.get_or_insert_with(write).clone(),
            None => write(),
        }
    }

    /// It counts from lower numbers from now on.
    fn begin_anew(&mut self, rng: &mut Rng) {
        self.offset -= rng.i64(1_000_000..2_000_000);
        self.texts.iter_mut().for_each(|text| *text = None);
    }
}

/// The number of the first event: a reel says it.
fn simnet_first_number() -> u64 {
    static FIRST: LazyLock<u64> = LazyLock::new(|| {
        let one = simnet::Options { events: 1, ..simnet::Options::default() };
        simnet::Network::new(&one).next().expect("an event").seq
    });
    *FIRST
}
