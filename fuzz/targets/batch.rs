//! The payload of a log record: facts as bytes.
//!
//! Input: the payload.
#![no_main]

use atrarium::fact::Batch;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let Ok(batch) = Batch::decode(Batch::VERSION, data) else { return };
    // One content has more than one spelling (a varint may be longer than it must), but ours is read back.
    let ours = Batch::encode(&batch.facts, Vec::new());
    assert_eq!(Batch::decode(Batch::VERSION, &ours).as_ref(), Ok(&batch));
    assert!(ours.len() <= data.len(), "ours is the shortest");
    let json = serde_json::to_string(&batch.facts).expect("a dump can be written");
    assert!(!json.contains('\n'), "one line");
});
