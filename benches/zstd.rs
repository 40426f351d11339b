//! Compressed messages: the decoder of a connection against zstd alone, and against a decoder made anew for each message.
//!
//! `cargo bench --no-default-features --bench zstd`. The decoder checks what a message says of itself before it believes it, and
//! keeps its context, its dictionary and its room. *Bulk decoding alone* is the least there could be: one call of zstd with
//! a prepared dictionary, into room that is there. `rocketman` and `jetstream-oxide` make a `zstd::stream::Decoder` for each
//! message, from a prepared dictionary.

mod support;

use std::hint::black_box;
use std::io::Read;

use atrarium::wire::zstd::{Decoder, Dictionary};
use support::{Bench, Time, Wire};
use zstd::bulk::{Compressor, Decompressor};
use zstd::dict::DecoderDictionary;

const MESSAGES: u64 = 4_000;

fn main() {
    let mut bench = Bench::new();
    for wire in [Wire::V1, Wire::V2] {
        measure(&mut bench, wire);
    }
    bench.finish();
}

fn measure(bench: &mut Bench, wire: Wire) {
    let frames = support::stream(wire, MESSAGES);
    let dictionary = simnet::Dictionary::of_simnet(wire.dialect());
    let mut press = Compressor::with_dictionary(3, dictionary.bytes()).expect("zstd");
    let messages: Vec<Vec<u8>> = frames.iter().map(|frame| press.compress(frame).expect("zstd")).collect();

    let ours = Dictionary::parse(dictionary.bytes()).expect("a dictionary");
    let mut decoder = Decoder::new(&ours).expect("zstd");
    let mut bulk = Decompressor::with_dictionary(dictionary.bytes()).expect("zstd");
    let mut room = Vec::with_capacity(1 << 20);
    let prepared = DecoderDictionary::copy(dictionary.bytes());
    let anew = |message: &[u8], text: &mut Vec<u8>| {
        text.clear();
        let mut decoder = zstd::stream::Decoder::with_prepared_dictionary(message, &prepared).expect("zstd");
        decoder.read_to_end(text).expect("a sound message");
    };
    let mut text = Vec::new();
    for (frame, message) in frames.iter().zip(&messages) {
        assert_eq!(decoder.decode(message), Ok(&frame[..]));
        room.clear();
        bulk.decompress_to_buffer(message, &mut room).expect("a sound message");
        anew(message, &mut text);
        assert!(room == *frame && text == *frame, "all three give what was compressed");
    }

    let [ours, alone, fresh] = bench.sides(
        &format!("a compressed message, {}", wire.as_str()),
        messages.len(),
        Time::Processor,
        [
            (
                "decoder",
                Box::new(|| {
                    for message in &messages {
                        black_box(decoder.decode(black_box(message)).expect("a sound message"));
                    }
                }),
            ),
            (
                "bulk alone",
                Box::new(|| {
                    for message in &messages {
                        room.clear();
                        black_box(bulk.decompress_to_buffer(black_box(message), &mut room).expect("a sound message"));
                    }
                }),
            ),
            (
                "stream::Decoder for each",
                Box::new(|| {
                    for message in &messages {
                        anew(black_box(message), &mut text);
                        black_box(&text);
                    }
                }),
            ),
        ],
    );
    let what = format!("zstd ({})", wire.as_str());
    bench.ratio(&what, "bulk decoding alone", ours, alone);
    bench.ratio(&what, "a stream::Decoder for each message", ours, fresh);
}
