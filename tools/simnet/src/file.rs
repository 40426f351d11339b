//! Lines of a file as events, so that a v1 file can be served as v2 and the other way round.
//!
//! In: JSON lines of v1 (with or without `cursor`) and v2, mixed. Out: events; records, identities and accounts keep
//! their own bytes. A line without a sequence number is given the one after the line before. A line that is not
//! understood is served as it stands, in both dialects.

use std::borrow::Cow;
use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::path::{Path, PathBuf};

use atrarium::syntax::{Tid, Time};
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::event::{Event, Key, Kind, Operation};
use crate::json::Json;
use crate::network::FIRST_SEQ;

/// A file that cannot be served.
#[derive(Debug, thiserror::Error)]
#[error("cannot read {path}: {source}")]
pub struct FileError {
    /// Which file.
    pub path: PathBuf,
    /// Why.
    pub source: io::Error,
}

/// Reads the events of some files, one after the other.
///
/// # Errors
/// A file that cannot be read, or is no text.
pub fn read_files(paths: &[PathBuf]) -> Result<Vec<Event>, FileError> {
    let mut events = Vec::new();
    for path in paths {
        read_file(path, &mut events).map_err(|source| FileError { path: path.clone(), source })?;
    }
    Ok(events)
}

fn read_file(path: &Path, events: &mut Vec<Event>) -> io::Result<()> {
    for line in BufReader::new(File::open(path)?).lines() {
        let line = line?;
        if line.trim().is_empty() {
            continue;
        }
        let previous = events.last().map(|event| (event.seq, event.time));
        events.push(read_line(&line, previous));
    }
    Ok(())
}

/// The event of a line; `previous` is the sequence number and stream time of the line before.
fn read_line(line: &str, previous: Option<(u64, Time)>) -> Event {
    let next_seq = previous.map_or(FIRST_SEQ, |(seq, _)| seq + 1);
    let mut event = read_v1(line).or_else(|| read_v2(line)).unwrap_or_else(|| Event {
        seq: 0,
        time: previous.map_or(Time::EPOCH, |(_, time)| time),
        did: "".into(),
        kind: Kind::Verbatim(line.into()),
        features: Vec::new(),
    });
    if event.seq < next_seq && (event.seq == 0 || previous.is_some()) {
        event.seq = next_seq;
    }
    event
}

#[derive(Deserialize)]
struct V1<'a> {
    did: Cow<'a, str>,
    time_us: i64,
    #[serde(default)]
    cursor: u64,
    kind: Cow<'a, str>,
    #[serde(borrow)]
    commit: Option<CommitFields<'a>>,
    #[serde(borrow)]
    identity: Option<&'a RawValue>,
    #[serde(borrow)]
    account: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct CommitFields<'a> {
    rev: Cow<'a, str>,
    operation: Cow<'a, str>,
    collection: Cow<'a, str>,
    rkey: Cow<'a, str>,
    #[serde(borrow)]
    record: Option<&'a RawValue>,
    cid: Option<Cow<'a, str>>,
}

fn read_v1(line: &str) -> Option<Event> {
    let frame: V1<'_> = serde_json::from_str(line).ok()?;
    let kind = match &*frame.kind {
        "commit" => commit(frame.commit?)?,
        "identity" => Kind::Named("identity", raw(frame.identity?)),
        "account" => Kind::Named("account", raw(frame.account?)),
        _ => return None,
    };
    let time = Time::from_micros(frame.time_us);
    Some(Event { seq: frame.cursor, time, did: (&*frame.did).into(), kind, features: Vec::new() })
}

#[derive(Deserialize)]
struct V2<'a> {
    #[serde(borrow)]
    payload: &'a RawValue,
}

#[derive(Deserialize)]
struct Payload<'a> {
    #[serde(rename = "$type")]
    kind: Cow<'a, str>,
    did: Cow<'a, str>,
    seq: u64,
    time: Cow<'a, str>,
    #[serde(borrow)]
    identity: Option<&'a RawValue>,
    #[serde(borrow)]
    account: Option<&'a RawValue>,
    #[serde(borrow)]
    sync: Option<&'a RawValue>,
}

fn read_v2(line: &str) -> Option<Event> {
    let frame: V2<'_> = serde_json::from_str(line).ok()?;
    let payload: Payload<'_> = serde_json::from_str(frame.payload.get()).ok()?;
    let kind = match payload.kind.rsplit('#').next()? {
        "commit" => commit(serde_json::from_str(frame.payload.get()).ok()?)?,
        "identity" => Kind::Named("identity", raw(payload.identity?)),
        "account" => Kind::Named("account", raw(payload.account?)),
        "sync" => Kind::Named("sync", raw(payload.sync?)),
        _ => return None,
    };
    let time = payload.time.parse().ok()?;
    Some(Event { seq: payload.seq, time, did: (&*payload.did).into(), kind, features: Vec::new() })
}

fn commit(fields: CommitFields<'_>) -> Option<Kind> {
    let operation = match &*fields.operation {
        "create" => Operation::Create,
        "update" => Operation::Update,
        "delete" => Operation::Delete,
        _ => return None,
    };
    let cid = fields.cid.unwrap_or_default();
    Some(Kind::Commit {
        rev: Tid::parse(&fields.rev).ok()?,
        operation,
        collection: fields.collection.into_owned().into(),
        rkey: Key::Fixed((&*fields.rkey).into()),
        record: fields.record.map(|record| (raw(record), (&*cid).into())),
    })
}

fn raw(value: &RawValue) -> Json {
    Json::Raw(value.get().to_string().into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::json::Line;
    use crate::{Dialect, Network, Options};

    fn written(event: &Event, dialect: Dialect, cursor: bool) -> String {
        let mut line = Line::default();
        event.write(dialect, cursor, &mut line);
        String::from_utf8(line.bytes).expect("text")
    }

    #[test]
    fn a_line_of_either_dialect_becomes_the_other_and_itself_again() {
        for event in Network::new(&Options { events: 3_000, hit_rate: 0.5, ..Options::default() }) {
            let (v1, v1_bare, v2) = (
                written(&event, Dialect::V1, true),
                written(&event, Dialect::V1, false),
                written(&event, Dialect::V2, false),
            );
            let previous = Some((event.seq - 1, event.time));
            for line in [&v1, &v1_bare, &v2] {
                let read = read_line(line, previous);
                assert_eq!(written(&read, Dialect::V1, true), v1);
                assert_eq!(written(&read, Dialect::V2, false), v2);
            }
        }
    }

    #[test]
    fn what_is_not_understood_is_served_as_it_stands() {
        for line in ["{\"kind\":\"tomorrow\"}", "no JSON", "{}"] {
            let read = read_line(line, Some((5, Time::from_micros(7))));
            assert_eq!((read.seq, read.time.micros()), (6, 7));
            assert_eq!(written(&read, Dialect::V1, true), line);
            assert_eq!(written(&read, Dialect::V2, false), line);
        }
    }
}
