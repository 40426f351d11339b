//! What the tests of records share: valid records, and short ways to read them.

mod facts;
mod hostile;
mod limits;
mod older;
mod ours;
mod posts;

use serde_json::{Value, json};

use super::*;

const OWNER: &str = "did:plc:owner";
const CONFIG_URI: &str = "at://did:plc:owner/net.atrarium.community.config/3kabc";
const POST_URI: &str = "at://did:plc:author/app.bsky.feed.post/3lpost";
/// A family of four: one grapheme, 25 bytes.
const FAMILY: &str = "👨‍👩‍👧‍👦";

fn read_text(collection: Collection, record: &str) -> Result<Body, Refusal> {
    let raw: &RawValue = serde_json::from_str(record).expect("the test's record is JSON");
    Records::new().body(collection, raw)
}

fn read(collection: Collection, record: &Value) -> Result<Body, Refusal> {
    read_text(collection, &record.to_string())
}

/// A valid record of a collection, with every field.
fn valid(collection: Collection) -> Value {
    match collection {
        Collection::Post => json!({"$type": "app.bsky.feed.post", "text": "", "createdAt": "2026-07-04T14:38:08.999Z"}),
        Collection::Config => json!({
            "$type": "net.atrarium.community.config", "name": "Bees", "description": "All about bees",
            "hashtag": "#atrarium_0a1b2c3d", "stage": "theme",
            "parentCommunity": "at://did:plc:parent/net.atrarium.community.config/3kparent",
            "feedMix": {"own": 60, "parent": 30, "global": 10}, "moderators": ["did:plc:one", "did:web:two.example"],
            "accessType": "invite-only", "pinnedPost": POST_URI,
            "createdAt": "2026-07-04T14:38:08.999Z", "updatedAt": "2026-07-05T00:00:00Z",
        }),
        Collection::Membership => json!({
            "$type": "net.atrarium.community.membership", "community": CONFIG_URI, "role": "member",
            "joinedAt": "2026-07-04T14:38:08.999Z", "active": true,
        }),
        Collection::Acceptance => json!({
            "$type": "net.atrarium.community.acceptance", "community": CONFIG_URI, "subject": OWNER,
            "createdAt": "2026-07-04T14:38:08.999Z",
        }),
        Collection::Action => json!({
            "$type": "net.atrarium.moderation.action", "action": "hide_post", "target": POST_URI,
            "community": CONFIG_URI, "reason": "spam", "createdAt": "2026-07-04T14:38:08.999Z",
        }),
    }
}

/// The collections that have a lexicon.
const OURS: [Collection; 4] = [Collection::Config, Collection::Membership, Collection::Acceptance, Collection::Action];

/// A valid record with one field changed.
fn with(collection: Collection, field: &str, value: Value) -> Value {
    let mut record = valid(collection);
    record[field] = value;
    record
}

/// Why a record is refused: the reason, and the detail.
fn refusal(collection: Collection, record: &Value) -> (Reason, String) {
    match read(collection, record) {
        Err(Refusal { reason, detail }) => (reason, detail),
        Ok(body) => panic!("{record} was taken as {body:?}"),
    }
}

/// The config read from a valid record with one field changed.
fn config_with(field: &str, value: Value) -> crate::fact::Config {
    match read(Collection::Config, &with(Collection::Config, field, value)) {
        Ok(Body::Config(config)) => *config,
        other => panic!("{other:?}"),
    }
}
