//! What zstd alone costs: every message, decompressed into one buffer, with the dictionary prepared once.

use std::hint::black_box;

use super::session::messages;
use super::{Count, Stream, Told};
use crate::machine::Stopwatch;

pub fn run(stream: &Stream) -> Told {
    let dictionary = stream.dictionary().expect("a compressed wire has a dictionary");
    let mut all = Vec::new();
    messages(stream, |message| all.push(message.to_vec()));
    let mut decoder = zstd::bulk::Decompressor::with_dictionary(dictionary.bytes()).expect("a dictionary");
    let mut room = Vec::with_capacity(1 << 20);
    let mut count = Count::new(stream, Stopwatch::of_thread);
    for message in &all {
        room.clear();
        decoder.decompress_to_buffer(message, &mut room).expect("a sound message");
        black_box(&room);
        count.add(1);
    }
    count.told(0)
}
