//! What a look at a frame costs, against what it could have cost: `cargo bench --no-default-features --bench filter`.
//!
//! For each form in which hosts write: the *walk*, from messages of a websocket in the receive buffer to which of them may
//! matter, as the reader does it; and the *prefilter* of one frame after the other. *memmem alone* looks for one needle in the
//! same bytes, and knows then neither where a frame ends nor what is a delete: the least there could be. `AhoCorasick::new`
//! is what one would take for two needles; `packed::Searcher` is the faster way to have them.

mod support;

use std::hint::black_box;
use std::sync::Arc;

use aho_corasick::{AhoCorasick, packed};
use atrarium::fact::Collection;
use atrarium::filter::{Names, Possible, Seen, prefilter, prefilter_unnamed};
use atrarium::ingest::sieve::Sieve;
use atrarium::limits::RECEIVE_BUFFER_BYTES;
use atrarium::syntax::{Fingerprint, Time};
use atrarium::telemetry::Telemetry;
use atrarium::wire::event::{self, Event, Operation};
use atrarium::wire::session::Session;
use criterion::BatchSize;
use memchr::memmem;
use support::{Bench, Wire};

const NEEDLES: [&str; 2] = ["atrarium_", "net.atrarium."];
const FRAMES: u64 = 4_000;

fn main() {
    let mut bench = Bench::new();
    for wire in Wire::ALL {
        let frames = support::stream(wire, FRAMES);
        walk(&mut bench, wire, &frames);
        looks(&mut bench, wire, &frames);
    }
    fingerprints(&mut bench);
    bench.finish();
}

fn walk(bench: &mut Bench, wire: Wire, frames: &[Vec<u8>]) {
    let pieces = support::pieces(frames);
    let one = memmem::Finder::new("atrarium");
    let mut session = support::session();
    let mut buffer = vec![0; RECEIVE_BUFFER_BYTES];
    let mut search = |piece: &[u8]| {
        let buffer = &mut buffer[..piece.len()];
        buffer.copy_from_slice(piece);
        one.find_iter(black_box(&*buffer)).count()
    };
    let mut verdicts = Vec::new();
    for piece in &pieces {
        look_along(&mut session, piece, |verdict| verdicts.push(verdict));
    }
    let alone: Vec<Possible> = frames.iter().map(|frame| prefilter(frame)).collect();
    assert!(verdicts == alone, "together as one by one");
    let named = alone.iter().filter(|it| **it == Possible::Named).count();
    let found: usize = pieces.iter().map(|piece| search(piece)).sum();
    assert!(found >= named && named > 0, "{named} frames of {found} finds");

    let [ours, memmem] = bench.sides(
        &format!("a frame in the receive buffer, {}", wire.as_str()),
        frames.len(),
        support::Time::Processor,
        [
            (
                "walk and prefilter",
                Box::new(|| {
                    let mut possible = 0;
                    for piece in &pieces {
                        look_along(&mut session, piece, |it| possible += usize::from(it != Possible::Nothing));
                    }
                    black_box(possible);
                }),
            ),
            ("memmem", Box::new(|| _ = black_box(pieces.iter().map(|piece| search(piece)).sum::<usize>()))),
        ],
    );
    bench.ratio(&format!("walk and prefilter ({})", wire.as_str()), "memmem alone", ours, memmem);
}

/// All messages of a piece, as [`Sieve::skip`] goes along them.
fn look_along(session: &mut Session, piece: &[u8], mut tell: impl FnMut(Possible)) {
    support::receive(session, piece);
    let mut run = session.run().expect("plain messages");
    let mut names = Names::new(run.bytes());
    while let Some(frame) = run.next() {
        let is_named = names.is_before(run.taken());
        tell(if is_named { Possible::Named } else { prefilter_unnamed(frame) });
    }
}

fn looks(bench: &mut Bench, wire: Wire, frames: &[Vec<u8>]) {
    let one = memmem::Finder::new("atrarium");
    let two = packed::Searcher::new(NEEDLES).expect("this processor has what it needs");
    let automaton = AhoCorasick::new(NEEDLES).expect("two short needles");
    let mut sieve = Sieve::new(2, Arc::new(Telemetry::default()), false);
    let mut strict = Sieve::new(2, Arc::new(Telemetry::default()), true);
    for frame in frames {
        let is_named = prefilter(frame) == Possible::Named;
        assert_eq!(is_named, one.find(frame).is_some());
        assert_eq!(two.find(frame).is_some(), automaton.is_match(frame));
        // The bare word is a name to the prefilter alone.
        assert!(is_named || !automaton.is_match(frame));
        assert!(prefilter(frame) != Possible::Nothing || is_nothing(frame), "{}", frame.escape_ascii());
        assert_eq!(sieve.look(frame).is_pass(), strict.look(frame).is_pass());
    }
    fn count<'a>(frames: &'a [Vec<u8>], mut look: impl FnMut(&[u8]) -> bool + 'a) -> Box<dyn FnMut() + 'a> {
        Box::new(move || _ = black_box(frames.iter().filter(|frame| look(black_box(frame))).count()))
    }
    let [ours, memmem, packed, automaton, _, _] = bench.sides(
        &format!("a frame, {}", wire.as_str()),
        frames.len(),
        support::Time::Processor,
        [
            ("prefilter", count(frames, |frame| prefilter(frame) != Possible::Nothing)),
            ("memmem", count(frames, |frame| one.find(frame).is_some())),
            ("packed::Searcher", count(frames, |frame| two.find(frame).is_some())),
            ("AhoCorasick::new", count(frames, |frame| automaton.is_match(frame))),
            ("sieve", count(frames, |frame| sieve.look(frame).is_pass())),
            ("sieve, strict", count(frames, |frame| strict.look(frame).is_pass())),
        ],
    );
    let what = format!("prefilter ({})", wire.as_str());
    bench.ratio(&what, "memmem alone", ours, memmem);
    bench.ratio(&what, "packed::Searcher", ours, packed);
    bench.ratio(&what, "AhoCorasick::new", ours, automaton);
}

/// What the parser says of a frame that does not name this network: a commit that changes no post.
fn is_nothing(frame: &[u8]) -> bool {
    match event::parse(frame).map(|frame| frame.event) {
        Ok(Event::Commit(commit)) => {
            commit.operation == Operation::Create || commit.collection != Collection::Post.nsid()
        }
        _ => false,
    }
}

fn fingerprints(bench: &mut Bench) {
    let post = |number: u64| Fingerprint::of("did:plc:wq4aajammjtxdomz3e23667t", &number.to_string());
    let posts: Vec<Fingerprint> = (0..1 << 20).map(post).collect();
    let mut seen = Seen::new();
    for (number, &fingerprint) in posts.iter().enumerate() {
        seen.enter(fingerprint, Time::from_millis(number as i64 * 600));
    }
    let mut at = 0;
    bench.criterion().bench_function("one of a million posts in 8 days: contains", |bencher| {
        bencher.iter(|| {
            at = (at + 7919) & (posts.len() - 1);
            seen.contains(black_box(posts[at]))
        });
    });
    bench.criterion().bench_function("a million posts on one day, from nothing: enter all", |bencher| {
        bencher.iter_batched_ref(
            Seen::new,
            |seen| posts.iter().filter(|&&fingerprint| seen.enter(fingerprint, Time::EPOCH)).count(),
            BatchSize::PerIteration,
        );
    });
}
