//! One frame of the stream, in any dialect.
//!
//! Input: the frame.
#![no_main]

use atrarium::syntax::{Dialect, Did, RecordKey, Time};
use atrarium::wire::event::{self, Event, Frame, Operation};
use atrarium_fuzz::{has_twice, is_json};
use libfuzzer_sys::fuzz_target;
use serde_json::Value;

fuzz_target!(|data: &[u8]| {
    let value: Option<Value> = serde_json::from_slice(data).ok().filter(Value::is_object);
    let position = event::position(data);
    // The shortcut reads what the parser reads.
    assert_eq!(format!("{:?}", event::parse(data)), format!("{:?}", event::parse_any(data)));
    let frame = match event::parse(data) {
        Ok(frame) => frame,
        Err(_) => return,
    };
    let Frame { position: at, dialect, event } = &frame;
    assert!(is_json(data), "what is parsed is JSON");
    if at.value.is_some() {
        assert_eq!(position, Some(*at), "both readers of positions agree");
        assert!(at.time.micros() >= 0 || *dialect == Dialect::V2);
    } else {
        assert!(matches!(event, Event::Info { .. } | Event::Error { .. }));
        assert_eq!(at.time, Time::EPOCH);
    }
    words(event);
    // Of a key that stands twice the first one counts here, and the last one in a `Value`.
    if let Some(value) = value.filter(|_| !has_twice(data)) {
        compare(&frame, &value);
    }
});

/// What an event promises of its texts.
fn words(event: &Event<'_>) {
    match event {
        Event::Commit(commit) => {
            Did::check(&commit.did).expect("a DID");
            RecordKey::check(&commit.rkey).expect("a record key");
            assert_eq!(commit.record.is_none(), commit.operation == Operation::Delete);
            if let Some(record) = commit.record {
                let value: Value = match serde_json::from_str(record.get()) {
                    Ok(value) => value,
                    // Numbers beyond any float, nesting beyond serde_json's limit: skipped, never read.
                    Err(_) => return,
                };
                assert!(!value.is_null());
            }
        }
        Event::Identity { did } | Event::Account { did, .. } | Event::Sync { did } => Did::check(did).expect("a DID"),
        Event::Info { .. } | Event::Error { .. } => {}
    }
}

fn compare(frame: &Frame<'_>, value: &Value) {
    let outer = match frame.dialect {
        Dialect::V1 => value,
        Dialect::V2 => value.get("payload").unwrap_or(value),
    };
    let text = |value: &Value| value.as_str().map(str::to_owned);
    if let Some(said) = frame.position.value {
        let number = if frame.dialect == Dialect::V1 { &outer["time_us"] } else { &outer["seq"] };
        assert_eq!(number.as_u64(), Some(said));
    }
    match &frame.event {
        Event::Commit(commit) => {
            let fields = if frame.dialect == Dialect::V1 { &outer["commit"] } else { outer };
            assert_eq!(text(&outer["did"]).as_deref(), Some(&*commit.did));
            assert_eq!(text(&fields["collection"]).as_deref(), Some(&*commit.collection));
            assert_eq!(text(&fields["rkey"]).as_deref(), Some(&*commit.rkey));
            assert_eq!(text(&fields["operation"]).as_deref(), Some(commit.operation.as_str()));
            assert_eq!(text(&fields["rev"]), Some(commit.rev.to_string()));
            if let Some(record) = commit.record {
                assert_eq!(serde_json::from_str::<Value>(record.get()).ok().as_ref(), Some(&fields["record"]));
            }
        }
        Event::Account { did, active, status, .. } => {
            assert_eq!(text(&outer["did"]).as_deref(), Some(&**did));
            assert_eq!(outer["account"]["active"].as_bool(), Some(*active));
            assert_eq!(text(&outer["account"]["status"]).as_deref(), status.as_deref());
        }
        Event::Identity { did } | Event::Sync { did } => assert_eq!(text(&outer["did"]).as_deref(), Some(&**did)),
        Event::Info { name, .. } => assert_eq!(text(&outer["name"]).as_deref(), Some(&**name)),
        Event::Error { error, .. } => assert_eq!(text(&value["error"]).as_deref(), Some(&**error)),
    }
}
