//! A frame that misses allocates nothing, from the receive buffer through websocket, UTF-8, prefilter and sieve to the lanes.

#[allow(dead_code, reason = "shared with other tests")]
mod reader_rig;

use atrarium::wire::zstd::{Decoder, Dictionary};
use reader_rig::{Rig, message, misses};
use simnet::Dialect;

#[test]
fn a_frame_that_misses_allocates_nothing() {
    for dialect in [Dialect::V1, Dialect::V2] {
        let frames = misses(dialect);
        assert!(frames.len() > 2000, "{}", frames.len());
        let dictionary = simnet::Dictionary::of_simnet(dialect);
        let mut decoder = Decoder::new(&Dictionary::parse(dictionary.bytes()).expect("a dictionary")).expect("zstd");
        let mut press = zstd::bulk::Compressor::with_dictionary(3, dictionary.bytes()).expect("zstd");
        for is_compressed in [false, true] {
            let pieces: Vec<Vec<u8>> = frames
                .chunks(200)
                .map(|frames| {
                    let one = |frame: &String| match is_compressed {
                        false => message(1, frame.as_bytes()),
                        true => message(2, &press.compress(frame.as_bytes()).expect("zstd")),
                    };
                    frames.iter().map(one).collect::<Vec<_>>().concat()
                })
                .collect();
            let mut rig = Rig::new(dialect);
            let mut counted = (0, 0);
            // Three times: buffers find their size with the first.
            for round in 0..3 {
                for piece in &pieces {
                    rig.receive(piece);
                    let mut taken = 0;
                    let work = || taken = rig.take(is_compressed.then_some(&mut decoder));
                    let allocated = allocation_counter::measure(work).count_total;
                    if round > 0 {
                        counted.0 += taken;
                        counted.1 += allocated;
                    }
                }
            }
            let (taken, allocations) = counted;
            assert_eq!(taken, 2 * frames.len() as u64, "{dialect:?}, compressed: {is_compressed}");
            assert_eq!(rig.telemetry.hits.get(), 0, "these are misses");
            // A token after every 4,096 frames is what allocates: the position, for all workers to share.
            let tokens = taken / 4096 + 1;
            assert!(
                allocations <= 2 * tokens,
                "{dialect:?}, compressed: {is_compressed}: {allocations} in {taken} frames"
            );
        }
    }
}
