//! Compressed frames: each message one whole zstd frame, made with a shared dictionary, sent as a binary message.
//!
//! In: a [`Reel`]'s lines and a [`Dictionary`]. Out: a [`Film`] of binary frames, made once, on all cores; and a [`Squeezer`]
//! for what cannot be made ahead: later rounds of `--repeat`, and faults.
//!
//! Always: the film holds the same events at the same positions as the plain one.

use std::io;
use std::sync::OnceLock;

use zstd::bulk::Compressor;
use zstd::dict::EncoderDictionary;

use crate::dictionary::Dictionary;
use crate::event::Dialect;
use crate::machine;
use crate::reel::{Film, Reel};
use crate::websocket::{BINARY, frame};

/// Level of compression. Jetstream takes its fastest one too.
const LEVEL: i32 = 1;
/// The largest text of an event, in bytes, that is made plain again.
const OPENED_BYTES_MAX: usize = 8 << 20;
/// Lines that are compressed together: enough that starting threads costs little.
const BATCH_LINES: usize = 32_768;

/// A dictionary and, once somebody has asked for them, the frames made with it.
pub(crate) struct Press {
    dialect: Dialect,
    dictionary: Dictionary,
    encoder: EncoderDictionary<'static>,
    film: OnceLock<Film>,
}

impl Press {
    pub fn new(dialect: Dialect, dictionary: Dictionary) -> Self {
        let encoder = EncoderDictionary::copy(dictionary.bytes(), LEVEL);
        Self { dialect, dictionary, encoder, film: OnceLock::new() }
    }

    pub fn dictionary(&self) -> &Dictionary {
        &self.dictionary
    }

    /// The compressed frames of a reel; made now, if nobody has asked for them yet.
    pub fn film(&self, reel: &Reel) -> &Film {
        self.film.get_or_init(|| {
            let mut film = Film::default();
            let mut batch = Batch::default();
            reel.each_line(self.dialect, &mut |line| {
                batch.texts.extend_from_slice(&line.bytes);
                batch.ends.push(batch.texts.len());
                if batch.ends.len() == BATCH_LINES {
                    self.develop(&batch, &mut film);
                    batch.texts.clear();
                    batch.ends.clear();
                }
            });
            self.develop(&batch, &mut film);
            film.finish();
            film
        })
    }

    /// A compressor of single messages.
    pub fn squeezer(&self) -> Squeezer<'_> {
        let compressor = Compressor::with_prepared_dictionary(&self.encoder)
            .expect("invariant: zstd has taken this dictionary, and has memory for a context");
        Squeezer { compressor, message: Vec::new() }
    }

    /// The text of a message that was made with this dictionary.
    pub fn open(&self, message: &[u8]) -> io::Result<Vec<u8>> {
        let mut decompressor = zstd::bulk::Decompressor::with_dictionary(self.dictionary.bytes())?;
        decompressor.decompress(message, OPENED_BYTES_MAX)
    }

    /// Compresses a batch on all cores, and adds it in its order.
    fn develop(&self, batch: &Batch, film: &mut Film) {
        let share = batch.ends.len().div_ceil(machine::cores()).max(1);
        let parts: Vec<_> = (0..batch.ends.len())
            .step_by(share)
            .map(|from| move || self.develop_part(batch, from, batch.ends.len().min(from + share)))
            .collect();
        for (bytes, ends) in machine::in_parallel(parts) {
            film.extend(&bytes, &ends);
        }
    }

    /// The frames of some lines of a batch, and where each ends.
    fn develop_part(&self, batch: &Batch, from: usize, to: usize) -> (Vec<u8>, Vec<usize>) {
        let mut squeezer = self.squeezer();
        let (mut bytes, mut ends) = (Vec::new(), Vec::with_capacity(to - from));
        for at in from..to {
            let start = if at == 0 { 0 } else { batch.ends[at - 1] };
            let text = &batch.texts[start..batch.ends[at]];
            // An empty line stands for an event that this dialect does not tell.
            if !text.is_empty() {
                squeezer.frame(text, &mut bytes);
            }
            ends.push(bytes.len());
        }
        (bytes, ends)
    }
}

#[derive(Default)]
struct Batch {
    texts: Vec<u8>,
    ends: Vec<usize>,
}

/// Compresses one message after the other.
pub(crate) struct Squeezer<'a> {
    compressor: Compressor<'a>,
    message: Vec<u8>,
}

impl Squeezer<'_> {
    /// Appends a whole binary frame that holds `text`.
    pub fn frame(&mut self, text: &[u8], out: &mut Vec<u8>) {
        frame(BINARY, self.message(text), out);
    }

    /// `text` as a zstd frame.
    pub fn message(&mut self, text: &[u8]) -> &[u8] {
        self.message.clear();
        self.message.reserve(zstd::zstd_safe::compress_bound(text.len()));
        self.compressor
            .compress_to_buffer(text, &mut self.message)
            .expect("invariant: the buffer takes the worst case");
        &self.message
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Options;
    use crate::websocket::payload;

    #[test]
    fn compressed_frames_hold_the_plain_ones() {
        let reel = Reel::of_network(&Options { events: 2_500, ..Options::default() }, false, true);
        for dialect in [Dialect::V1, Dialect::V2] {
            let press = Press::new(dialect, Dictionary::of_simnet(dialect));
            let (film, plain) = (press.film(&reel), reel.film(dialect));
            let mut decoder = zstd::bulk::Decompressor::with_dictionary(press.dictionary().bytes()).expect("valid");
            for position in 0..2_500 {
                let (mut pressed, mut text) = (Vec::new(), Vec::new());
                reel.append(film, position, &mut pressed);
                reel.append(plain, position, &mut text);
                assert_eq!(pressed[0] & 0x0f, BINARY);
                assert_eq!(decoder.decompress(payload(&pressed), 1 << 20).expect("decodes"), payload(&text));
            }
        }
    }
}
