//! All frames of a network or of files, in memory and ready to send.
//!
//! In: events. Out: websocket frames (unmasked text, one an event; `press` makes compressed ones) in both dialects, found by position, by stream time and
//! by sequence number.
//!
//! ```text
//! round 0: frames 0 … n-1      round 1: frames n … 2n-1, the same moved by one span of time and n numbers      …
//! ```
//! A film (the frames of one dialect) is made when it is first asked for: about 550 bytes an event; with `repeats`, about
//! 100 more for what moves in it.
//!
//! Always: a position's frame is the same for everyone.

use std::collections::HashMap;
use std::sync::{Arc, OnceLock};

use crate::event::{Dialect, Event, Kind};
use crate::json::{Line, Slot, move_slot};
use crate::network::FIRST_SEQ;
use crate::websocket::{TEXT, header};
use crate::{Network, Options};

/// By how much the numbers of another host differ.
const OTHER_NUMBERS: u64 = 6_000_000_000;

/// See the module.
pub struct Reel {
    source: Source,
    repeats: bool,
    v1_cursor: bool,
    times: Vec<i64>,
    /// The greatest time of any event up to this one: files need not be in order.
    reach: Vec<i64>,
    seqs: Vec<u64>,
    marks: Vec<Mark>,
    kinds: Names,
    collections: Names,
    dids: Names,
    v1: OnceLock<Film>,
    v2: OnceLock<Film>,
}

enum Source {
    Network(Options),
    Events(Vec<Event>),
}

/// What filters ask of a frame: indices into [`Reel::kinds`], [`Reel::collections`] and [`Reel::dids`].
#[derive(Clone, Copy, Debug)]
pub(crate) struct Mark {
    pub kind: u32,
    pub collection: u32,
    pub did: u32,
}

/// Words, each once.
#[derive(Debug, Default)]
pub(crate) struct Names {
    pub words: Vec<Arc<str>>,
    index: HashMap<Arc<str>, u32>,
}

impl Names {
    fn index(&mut self, word: &str) -> u32 {
        if let Some(&index) = self.index.get(word) {
            return index;
        }
        let (word, index): (Arc<str>, u32) = (word.into(), self.words.len() as u32);
        self.words.push(word.clone());
        self.index.insert(word, index);
        index
    }
}

/// The frames of one dialect.
#[derive(Debug, Default)]
pub(crate) struct Film {
    bytes: Vec<u8>,
    /// Where each frame starts; one more for the end.
    starts: Vec<usize>,
    slots: Vec<Slot>,
    slot_starts: Vec<usize>,
}

impl Reel {
    /// Of a seeded network. `repeats`: it goes on for ever, moved in time. `v1_cursor`: v1 frames carry `cursor`, as v2
    /// hosts send it.
    pub fn of_network(options: &Options, repeats: bool, v1_cursor: bool) -> Self {
        Self::new(Source::Network(options.clone()), repeats, v1_cursor)
    }

    /// Of events that were read from files. With `repeats`, sequence numbers are invented.
    pub fn of_events(mut events: Vec<Event>, repeats: bool, v1_cursor: bool) -> Self {
        if repeats {
            for (event, seq) in events.iter_mut().zip(FIRST_SEQ..) {
                event.seq = seq;
            }
        }
        Self::new(Source::Events(events), repeats, v1_cursor)
    }

    fn new(source: Source, repeats: bool, v1_cursor: bool) -> Self {
        let mut reel = Self {
            source,
            repeats,
            v1_cursor,
            times: Vec::new(),
            reach: Vec::new(),
            seqs: Vec::new(),
            marks: Vec::new(),
            kinds: Names::default(),
            collections: Names::default(),
            dids: Names::default(),
            v1: OnceLock::new(),
            v2: OnceLock::new(),
        };
        match std::mem::replace(&mut reel.source, Source::Events(Vec::new())) {
            Source::Network(options) => {
                Network::new(&options).for_each(|event| reel.mark(&event));
                reel.source = Source::Network(options);
            }
            Source::Events(events) => {
                events.iter().for_each(|event| reel.mark(event));
                reel.source = Source::Events(events);
            }
        }
        reel
    }

    fn mark(&mut self, event: &Event) {
        let time = event.time.micros();
        self.times.push(time);
        self.reach.push(self.reach.last().map_or(time, |&reach| reach.max(time)));
        self.seqs.push(event.seq);
        self.marks.push(Mark {
            kind: self.kinds.index(event.kind_name()),
            collection: self.collections.index(event.collection()),
            did: self.dids.index(&event.did),
        });
    }

    /// The same events as another host numbers them: of the same order, with numbers that mean something else here.
    pub fn of_another_host(mut self) -> Self {
        // Less where that is possible: here, a number of the first host then lies in the future.
        let less = self.seqs.iter().all(|&seq| seq > OTHER_NUMBERS);
        let renumber = |seq: u64| if less { seq - OTHER_NUMBERS } else { seq + OTHER_NUMBERS };
        self.seqs.iter_mut().for_each(|seq| *seq = renumber(*seq));
        (self.v1, self.v2) = (OnceLock::new(), OnceLock::new());
        self
    }

    /// How many frames one round has.
    pub fn len(&self) -> u64 {
        self.times.len() as u64
    }

    /// Whether there is no frame at all.
    pub fn is_empty(&self) -> bool {
        self.times.is_empty()
    }

    /// Whether it goes on for ever.
    pub(crate) fn repeats(&self) -> bool {
        self.repeats
    }

    /// How many frames there will ever be.
    pub(crate) fn total(&self) -> u64 {
        if self.repeats && !self.is_empty() { u64::MAX } else { self.len() }
    }

    pub(crate) fn mark_of(&self, position: u64) -> Mark {
        self.marks[self.within(position)]
    }

    pub(crate) fn kinds(&self) -> &[Arc<str>] {
        &self.kinds.words
    }

    pub(crate) fn collections(&self) -> &[Arc<str>] {
        &self.collections.words
    }

    pub(crate) fn dids(&self) -> &[Arc<str>] {
        &self.dids.words
    }

    fn within(&self, position: u64) -> usize {
        (position % self.len()) as usize
    }

    /// By how many microseconds a round is moved.
    fn span_micros(&self) -> i64 {
        let (first, last) = (self.times.first().copied().unwrap_or(0), self.reach.last().copied().unwrap_or(0));
        (last - first).saturating_add(2_000)
    }

    /// Stream time of a frame, in microseconds.
    pub(crate) fn time_micros(&self, position: u64) -> i64 {
        let round = (position / self.len()) as i64;
        self.times[self.within(position)].saturating_add(round.saturating_mul(self.span_micros()))
    }

    /// The first frame whose stream time is at least `micros`.
    pub(crate) fn at_time(&self, micros: i64) -> u64 {
        let Some(&first) = self.times.first() else { return 0 };
        let past = micros.saturating_sub(first);
        let round = if self.repeats && past > 0 { past / self.span_micros() } else { 0 };
        let local = micros.saturating_sub(round * self.span_micros());
        round as u64 * self.len() + self.reach.partition_point(|&reach| reach < local) as u64
    }

    /// The first frame whose sequence number is at least `seq`.
    pub(crate) fn at_seq(&self, seq: u64) -> u64 {
        match self.seqs.first() {
            Some(&first) if self.repeats => seq.saturating_sub(first),
            _ => self.seqs.partition_point(|&known| known < seq) as u64,
        }
    }

    /// The film of a dialect; made now, if nobody has asked for it yet.
    pub(crate) fn film(&self, dialect: Dialect) -> &Film {
        let cell = match dialect {
            Dialect::V1 => &self.v1,
            Dialect::V2 => &self.v2,
        };
        cell.get_or_init(|| {
            let mut film = Film::default();
            self.each_line(dialect, &mut |line| film.add(line, self.repeats));
            film.finish();
            film
        })
    }

    /// Writes every event of the first round; an empty line for one that the dialect does not tell.
    pub(crate) fn each_line(&self, dialect: Dialect, take: &mut dyn FnMut(&Line)) {
        let mut line = Line::default();
        let mut write = |mut event: Event, seq: u64| {
            line.clear();
            event.seq = seq;
            if !(dialect == Dialect::V1 && matches!(event.kind, Kind::Named("sync", _))) {
                event.write(dialect, self.v1_cursor, &mut line);
            }
            take(&line);
        };
        let seqs = self.seqs.iter().copied();
        match &self.source {
            Source::Network(options) => Network::new(options).zip(seqs).for_each(|(event, seq)| write(event, seq)),
            Source::Events(events) => events.iter().cloned().zip(seqs).for_each(|(event, seq)| write(event, seq)),
        }
    }

    /// The bytes of consecutive frames, where they stand next to each other unmoved: in round 0. Up to `bytes_max`, and at
    /// least one frame. Also the position after the last of them.
    pub(crate) fn run<'a>(&self, film: &'a Film, from: u64, until: u64, bytes_max: usize) -> Option<(&'a [u8], u64)> {
        let until = until.min(self.len());
        if from >= until {
            return None;
        }
        let start = film.starts[from as usize];
        let fits = film.starts[from as usize + 1..=until as usize].partition_point(|&end| end - start <= bytes_max);
        let end = from as usize + fits.max(1);
        Some((&film.bytes[start..film.starts[end]], end as u64))
    }

    /// Appends one frame, moved by its round.
    pub(crate) fn append(&self, film: &Film, position: u64, out: &mut Vec<u8>) {
        let (at, round) = (self.within(position), position / self.len());
        let start = out.len();
        out.extend_from_slice(&film.bytes[film.starts[at]..film.starts[at + 1]]);
        if round > 0 {
            let shift_micros = (round as i64).saturating_mul(self.span_micros());
            for &slot in &film.slots[film.slot_starts[at]..film.slot_starts[at + 1]] {
                move_slot(&mut out[start..], slot, shift_micros, round * self.len());
            }
        }
    }

    /// Size of a frame on the wire, in bytes.
    pub(crate) fn frame_bytes(&self, film: &Film, position: u64) -> usize {
        let at = self.within(position);
        film.starts[at + 1] - film.starts[at]
    }
}

impl Film {
    /// Adds a line as a frame; an empty one as nothing.
    fn add(&mut self, line: &Line, repeats: bool) {
        self.starts.push(self.bytes.len());
        self.slot_starts.push(self.slots.len());
        if line.bytes.is_empty() {
            return;
        }
        let before = self.bytes.len();
        header(TEXT, true, line.bytes.len() as u64, &mut self.bytes);
        let header_bytes = (self.bytes.len() - before) as u32;
        self.bytes.extend_from_slice(&line.bytes);
        if repeats {
            self.slots.extend(line.slots.iter().map(|slot| Slot { at: slot.at + header_bytes, ..*slot }));
        }
    }

    /// Adds frames that are made already, in which nothing moves; `ends` is where each ends in `bytes`.
    pub fn extend(&mut self, bytes: &[u8], ends: &[usize]) {
        let base = self.bytes.len();
        let mut start = 0;
        for &end in ends {
            self.starts.push(base + start);
            self.slot_starts.push(self.slots.len());
            start = end;
        }
        self.bytes.extend_from_slice(bytes);
    }

    /// Ends the last frame.
    pub fn finish(&mut self) {
        self.starts.push(self.bytes.len());
        self.slot_starts.push(self.slots.len());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_host_tells_the_same_under_other_numbers() {
        let options = Options { events: 500, ..Options::default() };
        let (one, other) =
            (Reel::of_network(&options, false, true), Reel::of_network(&options, false, true).of_another_host());
        for dialect in [Dialect::V1, Dialect::V2] {
            let (mut bytes, mut other_bytes) = (Vec::new(), Vec::new());
            (0..500).for_each(|at| one.append(one.film(dialect), at, &mut bytes));
            (0..500).for_each(|at| other.append(other.film(dialect), at, &mut other_bytes));
            for (at, (mut one, mut other)) in lines(&bytes).into_iter().zip(lines(&other_bytes)).enumerate() {
                let number = |line: &mut serde_json::Value| match dialect {
                    Dialect::V1 => line["cursor"].take().as_u64(),
                    Dialect::V2 => line["payload"]["seq"].take().as_u64(),
                };
                assert_eq!(number(&mut one), Some(FIRST_SEQ + at as u64));
                assert_eq!(number(&mut other), Some(FIRST_SEQ + at as u64 - OTHER_NUMBERS));
                assert_eq!(one, other);
            }
        }
        assert_eq!((other.at_seq(FIRST_SEQ - OTHER_NUMBERS + 7), other.at_seq(FIRST_SEQ)), (7, 500));
        assert_eq!(other.at_time(one.time_micros(9)), one.at_time(one.time_micros(9)));
    }

    #[test]
    fn a_later_round_is_the_first_one_of_a_later_epoch() {
        let options = Options { events: 2_000, hit_rate: 0.3, ..Options::default() };
        let reel = Reel::of_network(&options, true, true);
        let film = reel.film(Dialect::V1);
        let mut moved = Vec::new();
        (2_000..4_000).for_each(|position| reel.append(film, position, &mut moved));
        let commits: Vec<serde_json::Value> = lines(&moved);
        let mut first = Vec::new();
        (0..2_000).for_each(|position| reel.append(film, position, &mut first));
        for (at, (first, moved)) in lines(&first).iter().zip(&commits).enumerate() {
            let shift = reel.span_micros();
            assert_eq!(moved["time_us"].as_i64(), first["time_us"].as_i64().map(|time| time + shift));
            assert_eq!(moved["time_us"].as_i64(), Some(reel.time_micros(2_000 + at as u64)));
            assert_eq!(moved["cursor"].as_u64(), Some(FIRST_SEQ + 2_000 + at as u64));
            if let (Some(first), Some(moved)) = (first["commit"]["rev"].as_str(), moved["commit"]["rev"].as_str()) {
                let tid = |text: &str| atrarium::syntax::Tid::parse(text).expect("a TID");
                assert_eq!(tid(moved).time().micros_since(tid(first).time()), shift);
            }
        }
        assert_eq!(reel.at_seq(FIRST_SEQ + 2_345), 2_345);
        assert_eq!(reel.at_time(reel.time_micros(2_000)), 2_000);
    }

    fn lines(frames: &[u8]) -> Vec<serde_json::Value> {
        let mut rest = frames;
        let mut lines = Vec::new();
        while let [_, short, ..] = rest {
            let (from, length) = match short {
                126 => (4, usize::from(u16::from_be_bytes([rest[2], rest[3]]))),
                &short => (2, usize::from(short)),
            };
            lines.push(serde_json::from_slice(&rest[from..from + length]).expect("JSON"));
            rest = &rest[from + length..];
        }
        lines
    }
}
