//! One line of Jetstream, read as plain JSON.
//!
//! In: text. Out: what it tells, and when the stream told it. Both dialects, told apart by content; fields in any
//! order, unknown ones ignored.

use atrarium::syntax::{Did, RecordKey, Tid, Time, parse_datetime};
use serde_json::Value;

/// What a frame tells.
#[derive(Clone, Debug)]
pub enum Event {
    /// One operation on one record.
    Commit(Commit),
    /// An account's status.
    Account(Account),
    /// A kind that no rule asks about: identity, sync, info, and what comes later.
    Other,
}

/// One operation on one record.
#[derive(Clone, Debug)]
pub struct Commit {
    /// Stream time.
    pub witnessed: Time,
    /// The repository.
    pub did: Did,
    /// The commit's revision.
    pub rev: Tid,
    /// Any collection.
    pub collection: String,
    /// The record key.
    pub rkey: RecordKey,
    /// Put or delete.
    pub operation: Operation,
    /// The content id.
    pub cid: Option<String>,
    /// The record, on a put.
    pub record: Option<Value>,
}

/// Create and update are the same thing: the record is now this.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    /// `create` or `update`
    Put,
    /// `delete`
    Delete,
}

/// An account's status.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    /// Stream time.
    pub witnessed: Time,
    /// The account.
    pub did: Did,
    /// Whether it is to be shown.
    pub active: bool,
    /// Why not.
    pub status: Option<String>,
    /// The inner time, by which states are ordered.
    pub time: Time,
}

type Refused = &'static str;

/// Reads one line: its stream time, where it has one, and its event.
///
/// # Errors
/// The reason for which it is refused.
pub fn parse(line: &str) -> Result<(Option<Time>, Event), Refused> {
    let value: Value = serde_json::from_str(line).map_err(|_| "garbage")?;
    if !value.is_object() {
        return Err("garbage");
    }
    match value["$type"].as_str() {
        Some("error") => Err("error_frame"),
        Some(_) => parse_v2(&value["payload"]),
        None => parse_v1(&value),
    }
}

fn parse_v1(value: &Value) -> Result<(Option<Time>, Event), Refused> {
    let witnessed = Time::from_micros(value["time_us"].as_i64().ok_or("malformed")?);
    let event = match value["kind"].as_str().ok_or("malformed")? {
        "commit" => parse_commit(&value["did"], witnessed, &value["commit"])?,
        "account" => parse_account(&value["did"], witnessed, &value["account"])?,
        "identity" => Event::Other,
        _ => return Err("unknown_kind"),
    };
    Ok((Some(witnessed), event))
}

fn parse_v2(payload: &Value) -> Result<(Option<Time>, Event), Refused> {
    let kind = payload["$type"].as_str().ok_or("malformed")?;
    let kind = kind.strip_prefix("network.bsky.jetstream.subscribeEvents").unwrap_or(kind);
    let witnessed = || parse_datetime(payload["time"].as_str().ok_or("malformed")?).map_err(|_| "malformed");
    let event = match kind {
        "#commit" => parse_commit(&payload["did"], witnessed()?, payload)?,
        "#account" => parse_account(&payload["did"], witnessed()?, &payload["account"])?,
        "#identity" | "#sync" => Event::Other,
        "#info" => return Ok((None, Event::Other)),
        _ => return Err("unknown_kind"),
    };
    Ok((Some(witnessed()?), event))
}

fn parse_commit(did: &Value, witnessed: Time, fields: &Value) -> Result<Event, Refused> {
    let text = |name: &str| fields[name].as_str().ok_or("malformed");
    Ok(Event::Commit(Commit {
        witnessed,
        did: Did::parse(did.as_str().ok_or("malformed")?).map_err(|_| "bad_did")?,
        rev: Tid::parse(text("rev")?).map_err(|_| "bad_rev")?,
        collection: text("collection")?.into(),
        rkey: RecordKey::parse(text("rkey")?).map_err(|_| "bad_record_key")?,
        operation: match text("operation")? {
            "create" | "update" => Operation::Put,
            "delete" => Operation::Delete,
            _ => return Err("unknown_operation"),
        },
        cid: fields["cid"].as_str().map(Into::into),
        record: fields.get("record").cloned(),
    }))
}

fn parse_account(did: &Value, witnessed: Time, fields: &Value) -> Result<Event, Refused> {
    Ok(Event::Account(Account {
        witnessed,
        did: Did::parse(did.as_str().ok_or("malformed")?).map_err(|_| "bad_did")?,
        active: fields["active"].as_bool().ok_or("malformed")?,
        status: fields["status"].as_str().map(Into::into),
        time: fields["time"].as_str().and_then(|text| parse_datetime(text).ok()).ok_or("malformed")?,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_dialects_tell_the_same() {
        let v1 = r#"{"did":"did:plc:a","time_us":1783175888085434,"cursor":7,"kind":"commit","commit":{"rev":"3mptbypluud2a","operation":"delete","collection":"app.bsky.feed.like","rkey":"x"}}"#;
        let v2 = r##"{"$type":"message","payload":{"$type":"network.bsky.jetstream.subscribeEvents#commit","collection":"app.bsky.feed.like","did":"did:plc:a","operation":"delete","rev":"3mptbypluud2a","rkey":"x","seq":7,"time":"2026-07-04T14:38:08.085434Z"}}"##;
        assert_eq!(format!("{:?}", parse(v1)), format!("{:?}", parse(v2)));
        assert!(matches!(parse(v1), Ok((Some(_), Event::Commit(_)))));
    }

    #[test]
    fn what_cannot_be_read_is_refused_by_name() {
        let refused = |line: &str| parse(line).expect_err("refused");
        assert_eq!(refused("{"), "garbage");
        assert_eq!(refused("[]"), "garbage");
        assert_eq!(refused(r#"{"$type":"error","error":"ConsumerTooSlow"}"#), "error_frame");
        assert_eq!(refused(r#"{"did":"did:plc:a","time_us":1,"kind":"tomorrow"}"#), "unknown_kind");
        assert_eq!(refused(r#"{"did":"did:plc:a","time_us":1,"kind":"commit","commit":{}}"#), "malformed");
    }
}
