//! What a look at a frame costs, against what it could have cost.
//!
//! `cargo bench --no-default-features --bench filter` (about 15 s). At the end it prints ns per frame and the ratio of
//! each to the prefilter. The frames are real ones where the fixtures are there (`$ATRARIUM_FIXTURES`, or
//! `../shared/fixtures`), and made in their likeness otherwise.

use std::cell::RefCell;
use std::hint::black_box;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use aho_corasick::{AhoCorasick, packed};
use atrarium::clock::Clock;
use atrarium::filter::{Possible, Seen, prefilter};
use atrarium::ingest::sieve::Sieve;
use atrarium::syntax::{Fingerprint, Time};
use atrarium::telemetry::Telemetry;
use atrarium::wire::event;
use criterion::{BatchSize, Criterion};
use memchr::memmem;

const NEEDLES: [&str; 2] = ["atrarium_", "net.atrarium."];

fn main() {
    let frames = frames();
    let bytes: usize = frames.iter().map(Vec::len).sum();
    println!("{} frames, {} bytes on average", frames.len(), bytes / frames.len());
    let mut criterion = Criterion::default()
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_millis(1000))
        .sample_size(20)
        .without_plots()
        .configure_from_args();
    let table = looks(&mut criterion, &frames);
    fingerprints(&mut criterion);
    print_ratios(&table);
}

fn looks(criterion: &mut Criterion, frames: &[Vec<u8>]) -> Vec<(&'static str, f64)> {
    let one = memmem::Finder::new("atrarium");
    let ends: Vec<u8> = frames.concat();
    let two = packed::Searcher::new(NEEDLES);
    let automaton = AhoCorasick::new(NEEDLES).expect("two short needles");
    let mut sieve = Sieve::new(2, Arc::new(Telemetry::default()), false);
    let mut strict = Sieve::new(2, Arc::new(Telemetry::default()), true);

    let table = Table::default();
    table.measure(criterion, frames, "prefilter", |frame| prefilter(frame) != Possible::Nothing);
    table.measure(criterion, frames, "memmem, one needle, a frame at a time", |frame| one.find(frame).is_some());
    if let Some(two) = &two {
        table.measure(criterion, frames, "packed::Searcher, two needles", |frame| two.find(frame).is_some());
    }
    table.measure(criterion, frames, "AhoCorasick::new, two needles", |frame| automaton.is_match(frame));
    table.measure(criterion, frames, "wire::event::parse", |frame| event::parse(frame).is_ok());
    table.measure(criterion, frames, "serde_json::Value", |frame| {
        serde_json::from_slice::<serde_json::Value>(frame).is_ok_and(|value| value.is_object())
    });
    table.measure(criterion, frames, "sieve", |frame| sieve.look(frame).is_pass());
    table.measure(criterion, frames, "sieve, strict", |frame| strict.look(frame).is_pass());
    table.measure_all(criterion, frames.len(), "memmem, one needle, all frames in one buffer", || {
        one.find_iter(black_box(&ends)).count()
    });
    table.0.into_inner()
}

/// The least time of each, in nanoseconds per frame.
#[derive(Default)]
struct Table(RefCell<Vec<(&'static str, f64)>>);

impl Table {
    fn measure(&self, c: &mut Criterion, frames: &[Vec<u8>], name: &'static str, mut look: impl FnMut(&[u8]) -> bool) {
        self.measure_all(c, frames.len(), name, || frames.iter().filter(|frame| look(black_box(frame))).count());
    }

    fn measure_all(&self, c: &mut Criterion, frames: usize, name: &'static str, mut pass: impl FnMut() -> usize) {
        let clock = Clock::real();
        let mut least = f64::MAX;
        c.bench_function(name, |bencher| {
            bencher.iter_custom(|passes| {
                let started = clock.monotonic();
                for _ in 0..passes {
                    black_box(pass());
                }
                let taken = clock.monotonic() - started;
                least = least.min(taken.as_secs_f64() * 1e9 / passes as f64 / frames as f64);
                taken
            });
        });
        if least < f64::MAX {
            self.0.borrow_mut().push((name, least));
        }
    }
}

fn fingerprints(criterion: &mut Criterion) {
    let post = |number: u64| Fingerprint::of("did:plc:wq4aajammjtxdomz3e23667t", &number.to_string());
    let posts: Vec<Fingerprint> = (0..1 << 20).map(post).collect();
    let mut seen = Seen::new();
    for (number, &fingerprint) in posts.iter().enumerate() {
        seen.enter(fingerprint, Time::from_millis(number as i64 * 600));
    }
    let mut at = 0;
    criterion.bench_function("one of a million posts in 8 days: contains", |bencher| {
        bencher.iter(|| {
            at = (at + 7919) & (posts.len() - 1);
            seen.contains(black_box(posts[at]))
        });
    });
    criterion.bench_function("a million posts on one day, from nothing: enter all", |bencher| {
        bencher.iter_batched_ref(
            Seen::new,
            |seen| posts.iter().filter(|&&fingerprint| seen.enter(fingerprint, Time::EPOCH)).count(),
            BatchSize::PerIteration,
        );
    });
}

fn print_ratios(table: &[(&'static str, f64)]) {
    let Some(&(_, reference)) = table.first() else { return };
    println!("\nns per frame | to the prefilter |");
    for (name, nanos) in table {
        println!("{nanos:12.1} | {:16.2} | {name}", nanos / reference);
    }
}

fn frames() -> Vec<Vec<u8>> {
    let folder = std::env::var_os("ATRARIUM_FIXTURES")
        .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../shared/fixtures"), PathBuf::from);
    let path = folder.join("jetstream/real_v1_20260704.jsonl");
    match std::fs::read(&path) {
        Ok(text) => text.split(|&byte| byte == b'\n').filter(|line| !line.is_empty()).map(<[u8]>::to_vec).collect(),
        Err(_) => {
            println!("no real frames: made ones are used");
            (0..152).map(made_frame).collect()
        }
    }
}

/// A like, or every ninth time a post.
fn made_frame(number: usize) -> Vec<u8> {
    let (collection, record) = if number.is_multiple_of(9) {
        ("app.bsky.feed.post", format!(r#"{{"$type":"app.bsky.feed.post","text":"{}"}}"#, "lorem ipsum ".repeat(20)))
    } else {
        let subject = r#"{"cid":"bafyreiftot7eltsc3f6g4qktykmbv6jcmdmhcx5osscan6jpdxkpqcmcza","uri":"at://did:plc:r2zybk6op3ymzpz6jhqpkoy5/app.bsky.feed.post/3mpsjbtci2c2o"}"#;
        (
            "app.bsky.feed.like",
            format!(r#"{{"$type":"app.bsky.feed.like","createdAt":"2026-07-04T14:38:08.999Z","subject":{subject}}}"#),
        )
    };
    format!(
        r#"{{"did":"did:plc:wq4aajammjtxdomz3e23667t","time_us":{},"kind":"commit","commit":{{"rev":"3mptbypluud2a","operation":"create","collection":"{collection}","rkey":"3mptbyplj5d2a","record":{record},"cid":"bafyreiguce4jh7kcbmof3pmcvasifqtw24b6isakj5ve5ga2b4z4alpc4i"}}}}"#,
        1_783_175_888_085_434 + number
    )
    .into_bytes()
}
