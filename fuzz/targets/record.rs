//! The record of a commit, read, judged and typed.
//!
//! Input: collection (1 byte), then the record's JSON.
#![no_main]

use std::cell::RefCell;

use atrarium::fact::{Batch, Body, Collection, Fact, Host};
use atrarium::ingest::record::Records;
use atrarium::limits::MODERATORS_MAX;
use atrarium::syntax::{Tid, Time};
use atrarium::wire::event::{Commit, Operation};
use atrarium_fuzz::take_u8;
use libfuzzer_sys::fuzz_target;
use serde_json::value::RawValue;

const COLLECTIONS: [Collection; 5] =
    [Collection::Post, Collection::Config, Collection::Membership, Collection::Acceptance, Collection::Action];

thread_local! {
    /// Made once, as a worker has it: nothing may be left in it of the records before.
    static RECORDS: RefCell<Records> = RefCell::new(Records::new());
}

fuzz_target!(|data: &[u8]| {
    let mut data = data;
    let collection = COLLECTIONS[usize::from(take_u8(&mut data)) % COLLECTIONS.len()];
    let Ok(record) = serde_json::from_slice::<&RawValue>(data) else { return };
    let commit = Commit {
        did: "did:plc:wq4aajammjtxdomz3e23667t".into(),
        rev: Tid::from_u64(7),
        operation: Operation::Create,
        collection: collection.nsid().into(),
        rkey: "self".into(),
        cid: None,
        record: Some(record),
    };
    let read = || RECORDS.with_borrow_mut(|records| records.fact(&commit, Time::EPOCH, &Host::new("test")));
    let first = read();
    assert_eq!(first, read(), "nothing is left of the record before");
    let fact = match first {
        Ok(fact) => fact.expect("a collection of ours"),
        Err(refusal) => {
            assert!(collection != Collection::Post, "a post is never refused");
            assert!(refusal.detail.len() < 2000, "{} bytes of detail", refusal.detail.len());
            return;
        }
    };
    judge(&fact, collection);
    let payload = Batch::encode(std::slice::from_ref(&fact), Vec::new());
    assert_eq!(
        Batch::decode(Batch::VERSION, &payload).map(|batch| batch.facts),
        Ok(vec![fact]),
        "the log gives it back"
    );
});

fn judge(fact: &Fact, collection: Collection) {
    let Fact::Record(record) = fact else { panic!("a record: {fact:?}") };
    assert_eq!(record.body.collection(), collection);
    match &record.body {
        Body::Post(post) => {
            assert!(post.tags.is_sorted_by(|a, b| a < b), "sorted, each once: {:?}", post.tags);
            assert!(post.created.is_none_or(|created| created > Time::EPOCH), "{:?}", post.created);
        }
        Body::Config(config) => {
            let mix = config.feed_mix;
            assert_eq!(u32::from(mix.own) + u32::from(mix.parent) + u32::from(mix.global), 10_000);
            assert!(config.moderators.len() <= MODERATORS_MAX);
        }
        _ => {}
    }
}
