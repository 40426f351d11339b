//! Compressed messages: a shared dictionary, and the decoder of one connection.
//!
//! In: one binary message, which is one whole zstd frame made with the dictionary. Out: its text, in a buffer that is used
//! again for the next one. One context and one prepared dictionary serve the whole connection.
//!
//! ```text
//! dictionary  37 a4 30 ec | id, u32 | tables and content          the server trains a new one now and then
//! message     28 b5 2f fd | descriptor | window, where the descriptor says so | dictionary id | length | blocks
//! ```
//!
//! What always holds: a message never decodes to more than [`FRAME_BYTES_MAX`], whatever its header claims or leaves out,
//! and its window is bounded (decoding at one go needs no window of its own; the bound is for the header's sanity). What
//! cannot be decoded is a [`Reason`], never an end.
//!
//! This runs on the reader's thread, so the order of the stream needs no care. Moving it to the workers would need this:
//! the filter looks at plain text and must see the stream in order, so decoders would have to hand back what they decode,
//! numbered, to the one thread that filters, before it routes by DID.

use std::sync::Arc;

use zstd::bulk::Decompressor;
use zstd::zstd_safe;

use crate::limits::{DICTIONARY_BYTES_MAX, FRAME_BYTES_MAX, ZSTD_WINDOW_LOG_MAX};
use crate::telemetry::Reason;

/// A dictionary that both sides know. Cheap to clone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dictionary {
    id: u32,
    bytes: Arc<[u8]>,
}

/// Bytes that are no dictionary.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DictionaryError {
    /// Another kind of file.
    #[error(
        "this is no zstd dictionary: it does not begin with 37 a4 30 ec; give the file as the Jetstream server has it"
    )]
    NotADictionary,
    /// Too long.
    #[error(
        "this dictionary has {0} bytes, more than {DICTIONARY_BYTES_MAX}: give the file as the Jetstream server has it"
    )]
    TooLong(usize),
    /// zstd refuses it.
    #[error("zstd cannot use this dictionary ({0}): give the file as the Jetstream server has it")]
    Broken(String),
}

const DICTIONARY_MAGIC: [u8; 4] = [0x37, 0xa4, 0x30, 0xec];

impl Dictionary {
    /// Checks the bytes of a dictionary.
    ///
    /// # Errors
    /// It is none, is too long, or zstd cannot use it.
    pub fn parse(bytes: &[u8]) -> Result<Self, DictionaryError> {
        let (magic, rest) = bytes.split_first_chunk().ok_or(DictionaryError::NotADictionary)?;
        let (id, _) = rest.split_first_chunk().ok_or(DictionaryError::NotADictionary)?;
        if *magic != DICTIONARY_MAGIC {
            return Err(DictionaryError::NotADictionary);
        }
        if bytes.len() > DICTIONARY_BYTES_MAX {
            return Err(DictionaryError::TooLong(bytes.len()));
        }
        let dictionary = Self { id: u32::from_le_bytes(*id), bytes: bytes.into() };
        Decoder::new(&dictionary).map(|_works| dictionary)
    }

    /// The number by which a host knows it: it stands in the dictionary.
    pub fn id(&self) -> u32 {
        self.id
    }
}

/// Decodes the messages of one connection.
pub struct Decoder {
    context: Decompressor<'static>,
    text: Vec<u8>,
}

impl Decoder {
    /// Prepares the dictionary.
    ///
    /// # Errors
    /// zstd cannot use it.
    pub fn new(dictionary: &Dictionary) -> Result<Self, DictionaryError> {
        let broken = |error: std::io::Error| DictionaryError::Broken(error.to_string());
        // Loaded once: zstd keeps it, prepared, for all frames to come.
        let mut context = Decompressor::with_dictionary(&dictionary.bytes).map_err(broken)?;
        context.window_log_max(ZSTD_WINDOW_LOG_MAX).map_err(broken)?;
        Ok(Self { context, text: Vec::new() })
    }

    /// The text that was decoded last; empty after a failure.
    pub fn text(&self) -> &[u8] {
        &self.text
    }

    /// The text of a message, until the next call.
    ///
    /// # Errors
    /// [`Reason::TooLarge`] where the frame says that it is longer than [`FRAME_BYTES_MAX`]; [`Reason::Zstd`] where it is
    /// longer without saying so, was made with another dictionary, or is no sound zstd frame.
    pub fn decode(&mut self, message: &[u8]) -> Result<&[u8], Reason> {
        self.text.clear();
        if window_log(message).is_none_or(|log| log > ZSTD_WINDOW_LOG_MAX) {
            return Err(Reason::Zstd);
        }
        let room = match zstd_safe::get_frame_content_size(message) {
            Ok(Some(said)) if said > FRAME_BYTES_MAX as u64 => return Err(Reason::TooLarge),
            Ok(Some(said)) => usize::try_from(said).map_err(|_| Reason::TooLarge)?,
            Ok(None) => FRAME_BYTES_MAX,
            Err(_) => return Err(Reason::Zstd),
        };
        // Only zstd's view of the room is bounded by what is reserved here: a buffer that is longer from before is cut by
        // the check behind.
        self.text.reserve(room);
        self.context.decompress_to_buffer(message, &mut self.text).map_err(|_| Reason::Zstd)?;
        if self.text.len() > FRAME_BYTES_MAX { Err(Reason::TooLarge) } else { Ok(&self.text) }
    }
}

/// The logarithm of the window that a frame asks for; `None` where it is no frame. RFC 8878 §3.1.1.1.
fn window_log(frame: &[u8]) -> Option<u32> {
    const SINGLE_SEGMENT: u8 = 0x20;
    let descriptor = *frame.strip_prefix(&[0x28, 0xb5, 0x2f, 0xfd])?.first()?;
    if descriptor & SINGLE_SEGMENT != 0 {
        // The window is the content, whose size is bounded elsewhere.
        return Some(0);
    }
    Some(10 + u32::from(*frame.get(5)? >> 3))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use proptest::prelude::*;
    use zstd::bulk::Compressor;

    use super::*;

    /// The dictionaries of production, where the fixtures are at hand.
    fn dictionaries() -> Vec<Vec<u8>> {
        let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/fixtures");
        let root = std::env::var_os("ATRARIUM_FIXTURES").map_or(beside, Into::into);
        let names = ["subscribe_v1.1612007021.zdict", "subscribe_events.20260811.zdict"];
        let read = |name: &&str| std::fs::read(root.join("jetstream").join(name)).ok();
        let found: Vec<_> = names.iter().filter_map(read).collect();
        if found.len() < names.len() {
            println!("skipped: no dictionaries in {}", root.display());
        }
        found
    }

    /// A frame of a dictionary; with its size in the header, or without.
    fn compress(dictionary: &[u8], text: &[u8], sized: bool) -> Vec<u8> {
        let mut compressor = Compressor::with_dictionary(3, dictionary).unwrap();
        compressor.include_contentsize(sized).unwrap();
        compressor.compress(text).unwrap()
    }

    #[test]
    fn messages_of_both_dialects_are_decoded_one_after_the_other() {
        for (bytes, id) in dictionaries().iter().zip([1_612_007_021, 20_260_811]) {
            let dictionary = Dictionary::parse(bytes).unwrap();
            assert_eq!(dictionary.id(), id);
            let mut decoder = Decoder::new(&dictionary).unwrap();
            for (at, sized) in [true, false, true, false].into_iter().enumerate() {
                let text = format!("{{\"did\":\"did:plc:{at}\",\"kind\":\"commit\"}}").repeat(1 + at * 1000);
                let frame = compress(bytes, text.as_bytes(), sized);
                assert!(frame.len() < text.len());
                assert_eq!(decoder.decode(&frame), Ok(text.as_bytes()));
            }
        }
    }

    #[test]
    fn what_must_not_be_decoded_is_a_reason_and_the_next_message_is_read() {
        for bytes in dictionaries() {
            let mut decoder = Decoder::new(&Dictionary::parse(&bytes).unwrap()).unwrap();
            let good = compress(&bytes, b"{\"a\":1}", true);
            let bomb = vec![b' '; FRAME_BYTES_MAX + 1];
            let mut other = bytes.clone();
            other[4] ^= 1;
            let mut window = compress(&bytes, b"{\"a\":1}", false);
            window[5] = 31 << 3;
            for (what, frame, reason) in [
                ("a bomb that says so", compress(&bytes, &bomb, true), Reason::TooLarge),
                ("a bomb that does not", compress(&bytes, &bomb, false), Reason::Zstd),
                ("another dictionary", compress(&other, b"{\"a\":1}", true), Reason::Zstd),
                ("cut short", good[..good.len() - 1].to_vec(), Reason::Zstd),
                ("something behind it", [&good[..], b"x"].concat(), Reason::Zstd),
                ("plain text", b"{\"a\":1}".to_vec(), Reason::Zstd),
                ("nothing", Vec::new(), Reason::Zstd),
                ("a window of 2 TiB", window, Reason::Zstd),
            ] {
                assert_eq!(decoder.decode(&frame), Err(reason), "{what}");
                assert_eq!(decoder.decode(&good), Ok(&b"{\"a\":1}"[..]), "after {what}");
            }
        }
    }

    #[test]
    fn what_is_no_dictionary_is_refused() {
        let long = [&DICTIONARY_MAGIC[..], &vec![0; DICTIONARY_BYTES_MAX]].concat();
        assert_eq!(Dictionary::parse(b"{\"error\":\"x\"}"), Err(DictionaryError::NotADictionary));
        assert_eq!(Dictionary::parse(&DICTIONARY_MAGIC), Err(DictionaryError::NotADictionary));
        assert_eq!(Dictionary::parse(&long), Err(DictionaryError::TooLong(long.len())));
        let broken = [&DICTIONARY_MAGIC[..], &[1, 0, 0, 0], &[0xff; 500]].concat();
        assert!(matches!(Dictionary::parse(&broken), Err(DictionaryError::Broken(_))));
    }

    proptest! {
        #[test]
        fn any_bytes_are_survived(tail in prop::collection::vec(any::<u8>(), 0..300)) {
            for bytes in dictionaries() {
                let mut decoder = Decoder::new(&Dictionary::parse(&bytes).unwrap()).unwrap();
                let frame = [&[0x28, 0xb5, 0x2f, 0xfd][..], &tail].concat();
                let _whatever = decoder.decode(&frame);
                let good = compress(&bytes, b"{\"a\":1}", true);
                prop_assert_eq!(decoder.decode(&good), Ok(&b"{\"a\":1}"[..]));
            }
        }
    }
}
