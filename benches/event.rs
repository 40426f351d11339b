//! Frames that matter, parsed, against a parse of everything: `cargo bench --no-default-features --bench event`.
//!
//! *Parse* is [`event::parse`]: the head of a frame, its record left as it is written. *Facts* is all that a worker does with
//! a frame: the record is read, held against its lexicon and typed as well. The reference does less than either: it makes a
//! `serde_json::Value` of the frame, and nobody has yet asked it anything.
//! Posts, and records of `net.atrarium.*`, which lexicons are asked about.

mod support;

use std::hint::black_box;
use std::sync::Arc;

use atrarium::fact::{Collection, Fact, Host};
use atrarium::ingest::worker::Parser;
use atrarium::telemetry::Telemetry;
use atrarium::wire::event::{self, Event};
use serde_json::Value;
use support::{Bench, Time, Wire};

const FRAMES: u64 = 3_000;

fn main() {
    let mut bench = Bench::new();
    let (mut parser, host) = (Parser::new(None, Arc::new(Telemetry::default())), Host::new("h"));
    for wire in Wire::ALL {
        let mut frames = support::hits(wire, FRAMES);
        // Broken records, and accounts, are another matter.
        frames.retain(|frame| is_read_alike(frame, &mut parser, &host));
        let (posts, ours): (Vec<_>, Vec<_>) = frames.into_iter().partition(|frame| is_post(frame));
        measure(&mut bench, &format!("posts ({})", wire.as_str()), &posts);
        measure(&mut bench, &format!("our own records ({})", wire.as_str()), &ours);
    }
    bench.finish();
}

fn is_post(frame: &[u8]) -> bool {
    matches!(event::parse(frame).expect("a commit").event, Event::Commit(commit) if commit.collection == Collection::Post.nsid())
}

fn measure(bench: &mut Bench, what: &str, frames: &[Vec<u8>]) {
    assert!(frames.len() > 100, "only {} frames of {what}", frames.len());
    let (mut parser, host) = (Parser::new(None, Arc::new(Telemetry::default())), Host::new("h"));
    let mut facts = Vec::new();
    let [parse, whole, value] = bench.sides(
        &format!("a frame of {what}"),
        frames.len(),
        Time::Processor,
        [
            (
                "parse",
                Box::new(|| {
                    for frame in frames {
                        black_box(event::parse(black_box(frame)).expect("a commit"));
                    }
                }),
            ),
            (
                "facts",
                Box::new(|| {
                    for frame in frames {
                        facts.clear();
                        parser.facts(black_box(frame), &host, None, &mut facts).expect("a record");
                        black_box(&facts);
                    }
                }),
            ),
            (
                "serde_json::Value",
                Box::new(|| {
                    for frame in frames {
                        black_box(serde_json::from_slice::<Value>(black_box(frame)).expect("JSON"));
                    }
                }),
            ),
        ],
    );
    bench.ratio(&format!("parse of {what}"), "serde_json::Value", parse, value);
    bench.ratio(&format!("facts of {what}"), "serde_json::Value", whole, value);
}

/// Whether a frame is of a record that is taken. All sides must have read the same there.
fn is_read_alike(frame: &[u8], parser: &mut Parser, host: &Host) -> bool {
    let mut facts = Vec::new();
    if parser.facts(frame, host, None, &mut facts).is_err() {
        return false;
    }
    let [Fact::Record(fact)] = &facts[..] else { return false };
    let Event::Commit(commit) = event::parse(frame).expect("what has facts is parsed").event else {
        panic!("a record has come with something else than a commit")
    };
    let value: Value = serde_json::from_slice(frame).expect("JSON");
    let envelope = value.get("payload").unwrap_or(&value);
    let fields = envelope.get("commit").unwrap_or(envelope);
    let said = [&envelope["did"], &fields["rkey"], &fields["collection"], &fields["operation"], &fields["rev"]];
    let (rkey, rev) = (fact.rkey.to_string(), fact.rev.tid().to_string());
    let parsed = [&commit.did, &commit.rkey, &commit.collection, commit.operation.as_str(), &commit.rev.to_string()];
    let fact = [fact.did.as_str(), &rkey, fact.body.collection().nsid(), commit.operation.as_str(), &rev];
    assert_eq!(said.map(|field| field.as_str().expect("text")), parsed, "{value}");
    assert_eq!(parsed, fact, "{value}");
    let record: Option<Value> = commit.record.map(|record| serde_json::from_str(record.get()).expect("JSON"));
    assert_eq!(record.as_ref(), fields.get("record"), "{value}");
    true
}
