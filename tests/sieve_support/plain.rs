//! The sieve once more, by `serde_json::Value` and `HashMap`: no bytes are searched, nothing is hashed by hand.

use std::collections::HashMap;

use atrarium::fact::Collection;
use atrarium::ingest::sieve::Verdict;
use atrarium::limits::{DAY_MICROS, DISPLACEMENT_MICROS, RETENTION_MICROS};
use atrarium::syntax::{Did, OrphanKind, RecordKey, Tid, Time, parse_datetime};
use atrarium::telemetry::Reason;
use serde_json::Value;

/// What the plain sieve says of a frame.
#[derive(Clone, Debug, PartialEq)]
pub enum Said {
    Skip,
    /// Skipped, but what it told is remembered: it must not be overlooked.
    Remembered,
    Refused(Reason),
    Pass {
        kind: &'static str,
        orphan: Option<(Tid, OrphanKind, Time)>,
    },
    Identity(String),
    Info(String),
    Stop(String),
}

/// What the sieve under test has said, in the plain one's words.
pub fn said(verdict: Verdict) -> Said {
    match verdict {
        Verdict::Skip => Said::Skip,
        Verdict::Refused(reason) => Said::Refused(reason),
        Verdict::Pass(route) => Said::Pass {
            kind: route.kind,
            orphan: route.orphan.map(|orphan| (orphan.rev, orphan.kind, orphan.witnessed)),
        },
        Verdict::Identity(did) => Said::Identity(did.to_string()),
        Verdict::Info { name, .. } => Said::Info(name),
        Verdict::Stop { error, .. } => Said::Stop(error),
    }
}

type Post = (String, String);

#[derive(Default)]
pub struct Plain {
    /// The latest day on which a post was let pass.
    seen: HashMap<Post, i64>,
    latest_day: i64,
    orphans: HashMap<Post, (Tid, OrphanKind, Time)>,
}

impl Plain {
    /// Times must not go back from one call to the next.
    pub fn look(&mut self, frame: &[u8]) -> Said {
        self.judge(frame).unwrap_or_else(Said::Refused)
    }

    fn judge(&mut self, frame: &[u8]) -> Result<Said, Reason> {
        let value: Value = serde_json::from_slice(frame).map_err(|_| Reason::Garbage)?;
        if !value.is_object() {
            return Err(Reason::Garbage);
        }
        // Flatten the wires: the kind, the envelope with DID and time, the fields, and how time is said.
        let (kind, outer, inner, time) = match &value["$type"] {
            Value::Null => {
                let kind = text(&value["kind"])?;
                (
                    kind,
                    &value,
                    &value["commit"],
                    value["time_us"].as_i64().filter(|&micros| micros >= 0).map(Time::from_micros),
                )
            }
            form => match text(form)? {
                "error" => return Ok(Said::Stop(text(&value["error"])?.to_owned())),
                "message" => {
                    let payload = &value["payload"];
                    let name = text(&payload["$type"])?;
                    let kind =
                        name.strip_prefix("network.bsky.jetstream.subscribeEvents#").ok_or(Reason::UnknownKind)?;
                    let time = payload["time"].as_str().and_then(|time| parse_datetime(time).ok());
                    (kind, payload, payload, time.filter(|_| payload["seq"].is_u64()))
                }
                _ => return Err(Reason::UnknownKind),
            },
        };
        if kind == "info" {
            return Ok(Said::Info(text(&outer["name"])?.to_owned()));
        }
        let kind =
            ["commit", "identity", "account", "sync"].into_iter().find(|&k| k == kind).ok_or(Reason::UnknownKind)?;
        let did = text(&outer["did"])?;
        Did::check(did).map_err(|_| Reason::BadDid)?;
        let time = time.ok_or(Reason::Malformed)?;
        match kind {
            "commit" => self.judge_commit(did, inner, time),
            "account" => {
                let account = &outer["account"];
                let is_whole = account["active"].is_boolean()
                    && account["time"].as_str().is_some_and(|time| parse_datetime(time).is_ok())
                    && (account["status"].is_null() || account["status"].is_string());
                if is_whole { Ok(Said::Pass { kind, orphan: None }) } else { Err(Reason::Malformed) }
            }
            "sync" => Ok(Said::Pass { kind, orphan: None }),
            _ => Ok(Said::Identity(did.to_owned())),
        }
    }

    fn judge_commit(&mut self, did: &str, commit: &Value, time: Time) -> Result<Said, Reason> {
        let operation = text(&commit["operation"])?;
        let collection = text(&commit["collection"])?;
        let rkey = text(&commit["rkey"])?;
        RecordKey::check(rkey).map_err(|_| Reason::BadRecordKey)?;
        let rev = Tid::parse(text(&commit["rev"])?).map_err(|_| Reason::BadRev)?;
        let record = match operation {
            "create" | "update" if commit["record"].is_null() => return Err(Reason::Malformed),
            "create" | "update" => &commit["record"],
            "delete" => &Value::Null,
            _ => return Err(Reason::UnknownOperation),
        };
        let passed = |orphan| Ok(Said::Pass { kind: "commit", orphan });
        match Collection::from_nsid(collection) {
            None => return Ok(Said::Skip),
            Some(Collection::Post) => {}
            Some(_) => return passed(None),
        }
        let post = (did.to_owned(), rkey.to_owned());
        if mentions(record) {
            let day = time.micros().div_euclid(DAY_MICROS);
            self.latest_day = self.latest_day.max(day);
            self.seen.insert(post.clone(), day);
            return passed(self.orphans.remove(&post));
        }
        let kind = match operation {
            "create" => return Ok(Said::Skip),
            "update" => OrphanKind::Updated,
            _ => OrphanKind::Deleted,
        };
        if self.seen.get(&post).is_some_and(|&day| self.latest_day - day <= RETENTION_MICROS / DAY_MICROS + 1) {
            return passed(None);
        }
        self.orphans.retain(|_, &mut (_, _, witnessed)| time.micros_since(witnessed) <= DISPLACEMENT_MICROS);
        let known = self.orphans.entry(post).or_insert((rev, kind, time));
        if (known.0, known.1) < (rev, kind) {
            *known = (rev, kind, time);
        }
        Ok(Said::Remembered)
    }
}

fn text(value: &Value) -> Result<&str, Reason> {
    value.as_str().ok_or(Reason::Malformed)
}

/// Whether any text in a record, a key or a value, says `atrarium_`.
fn mentions(value: &Value) -> bool {
    match value {
        Value::String(text) => text.contains("atrarium_"),
        Value::Array(values) => values.iter().any(mentions),
        Value::Object(fields) => fields.iter().any(|(key, value)| key.contains("atrarium_") || mentions(value)),
        _ => false,
    }
}
