//! From a whole frame to a fact.

use super::*;
use crate::syntax::{Tid, parse_datetime};
use crate::wire::event::{Event, parse};

const REV: &str = "3mptbypluud2a";
const CID: &str = "bafyreiguce4jh7kcbmof3pmcvasifqtw24b6isakj5ve5ga2b4z4alpc4i";

fn fact_of(frame: &Value) -> Result<Option<Fact>, Refusal> {
    let text = frame.to_string();
    let frame = parse(text.as_bytes()).expect("a frame");
    let Event::Commit(commit) = &frame.event else { panic!("no commit") };
    Records::new().fact(commit, frame.position.time, &Host::new("file"))
}

fn frame(operation: &str, collection: &str, record: Option<Value>, cid: Option<&str>) -> Value {
    let mut commit = json!({"rev": REV, "operation": operation, "collection": collection, "rkey": "3kabc"});
    commit.as_object_mut().expect("an object").extend(record.map(|record| ("record".into(), record)));
    commit.as_object_mut().expect("an object").extend(cid.map(|cid| ("cid".into(), cid.into())));
    json!({"did": OWNER, "time_us": 1_783_175_888_085_434_u64, "kind": "commit", "commit": commit})
}

fn record_of(fact: Result<Option<Fact>, Refusal>) -> fact::Record {
    match fact {
        Ok(Some(Fact::Record(record))) => record,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_create_becomes_a_fact_with_all_its_places() {
    for collection in Collection::ALL {
        for operation in ["create", "update"] {
            let record = record_of(fact_of(&frame(operation, collection.nsid(), Some(valid(collection)), Some(CID))));
            assert_eq!(record.witnessed, parse_datetime("2026-07-04T14:38:08.085434Z").expect("valid"));
            assert_eq!((record.did.as_str(), record.rkey.as_str(), record.host.as_str()), (OWNER, "3kabc", "file"));
            assert_eq!(record.rev, Rev::Exact(Tid::parse(REV).expect("valid")));
            assert_eq!(record.cid.as_ref().map(Cid::as_str), Some(CID));
            assert_eq!(Ok(record.body), read(collection, &valid(collection)));
        }
    }
}

#[test]
fn a_delete_becomes_a_tombstone() {
    for collection in Collection::ALL {
        let record = record_of(fact_of(&frame("delete", collection.nsid(), None, None)));
        assert_eq!((record.body, record.cid), (Body::Deleted(collection), None));
    }
}

#[test]
fn other_collections_are_nobody_s() {
    for other in ["app.bsky.feed.like", "net.atrarium.community.other", "net.atrarium.community.config2"] {
        assert_eq!(fact_of(&frame("create", other, Some(json!({})), None)), Ok(None));
        assert_eq!(fact_of(&frame("delete", other, None, None)), Ok(None));
    }
}

#[test]
fn a_garbled_cid_counts_as_absent_and_a_bad_record_is_refused() {
    let post = valid(Collection::Post);
    let record = record_of(fact_of(&frame("create", Collection::Post.nsid(), Some(post), Some("not a cid"))));
    assert_eq!(record.cid, None);
    let refused = fact_of(&frame("create", Collection::Config.nsid(), Some(json!({})), Some(CID)));
    assert_eq!(refused.expect_err("empty").reason, Reason::Lexicon);
}
