//! Compressed messages, and dictionaries.
//!
//! Input: mode (1 byte), place of the damage (2), bytes. Mode 0: the bytes are a message; 1: they follow the magic number of
//! one; 2: they are its content, and the message is damaged at that place; 3: they are a dictionary.
#![no_main]

use std::cell::RefCell;
use std::sync::OnceLock;

use atrarium::limits::FRAME_BYTES_MAX;
use atrarium::telemetry::Reason;
use atrarium::wire::zstd::{Decoder, Dictionary};
use atrarium_fuzz::{take_u8, take_u16};
use libfuzzer_sys::fuzz_target;
use zstd::bulk::Compressor;
use zstd::dict::EncoderDictionary;

/// A message that is always the same.
static GOOD: OnceLock<Vec<u8>> = OnceLock::new();
const WORDS: &[u8] = br#"{"$type":"message","payload":{"operation":"create"}}"#;

fuzz_target!(|data: &[u8]| {
    let mut data = data;
    let (mode, place) = (take_u8(&mut data), take_u16(&mut data));
    match mode % 4 {
        0 => message(data),
        1 => message(&[&[0x28, 0xb5, 0x2f, 0xfd], data].concat()),
        2 => damaged(data, place),
        _ => dictionary(data),
    }
});

/// A trained dictionary, with an id and tables: made once, always the same.
fn trained() -> &'static [u8] {
    static TRAINED: OnceLock<Vec<u8>> = OnceLock::new();
    TRAINED.get_or_init(|| {
        let mut rng = fastrand::Rng::with_seed(1);
        let mut sample = || {
            let text: String = (0..8).map(|_| rng.lowercase()).collect();
            format!(r#"{{"did":"did:plc:{text}","kind":"commit","commit":{{"collection":"app.bsky.feed.post","rkey":"{}"}}}}"#, rng.u32(..))
        };
        let samples: Vec<String> = (0..2000).map(|_| sample()).collect();
        zstd::dict::from_samples(&samples, 8 << 10).expect("samples enough")
    })
}

thread_local! {
    /// One for all inputs, as a connection has it: no message may spoil it for the next.
    static DECODER: RefCell<Decoder> = RefCell::new(
        Decoder::new(&Dictionary::parse(trained()).expect("a dictionary")).expect("memory for a context"),
    );
    static ENCODERS: [EncoderDictionary<'static>; 3] = [1, 3, 12].map(|level| EncoderDictionary::copy(trained(), level));
}

fn decode(message: &[u8]) -> Result<Vec<u8>, Reason> {
    DECODER.with_borrow_mut(|decoder| decoder.decode(message).map(<[u8]>::to_vec))
}

/// With the dictionary; `how` chooses among three levels.
fn compressed(content: &[u8], how: u16) -> Vec<u8> {
    ENCODERS.with(|encoders| {
        let encoder = &encoders[usize::from(how) % encoders.len()];
        let mut compressor = Compressor::with_prepared_dictionary(encoder).expect("memory for a context");
        compressor.compress(content).expect("memory enough")
    })
}

/// Whatever a message says, it keeps to the bound and leaves the decoder as good as new.
fn message(bytes: &[u8]) {
    let first = decode(bytes);
    if let Ok(content) = &first {
        assert!(content.len() <= FRAME_BYTES_MAX);
    }
    let good = GOOD.get_or_init(|| compressed(WORDS, 0));
    assert_eq!(decode(good).as_deref(), Ok(WORDS), "it goes on");
    assert_eq!(decode(bytes), first, "and says the same again");
}

fn damaged(content: &[u8], place: u16) {
    let mut message = compressed(content, place);
    assert_eq!(decode(&message).as_deref(), Ok(content));
    let at = usize::from(place) % message.len();
    message[at] ^= 1 << (place % 8);
    self::message(&message);
    message.truncate(at);
    self::message(&message);
}

fn dictionary(bytes: &[u8]) {
    // The magic number of a dictionary, or the fuzzer would have to guess it.
    let bytes = [&[0x37, 0xa4, 0x30, 0xec], bytes].concat();
    let Ok(dictionary) = Dictionary::parse(&bytes) else { return };
    let Ok(mut decoder) = Decoder::new(&dictionary) else { return };
    if let Ok(mut compressor) = Compressor::with_dictionary(1, &bytes)
        && let Ok(message) = compressor.compress(WORDS)
    {
        assert_eq!(decoder.decode(&message), Ok(WORDS), "what a dictionary has packed it unpacks");
    }
}
