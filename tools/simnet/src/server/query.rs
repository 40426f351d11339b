//! What a client asks for: the query of its handshake, and `options_update`.
//!
//! In: text. Out: a [`Request`], or the JSON error that the host answers with.

use std::collections::HashSet;

use serde::Deserialize;

use crate::event::Dialect;
use crate::reel::{Mark, Reel};

/// Patterns of collections that one client may name.
const COLLECTIONS_MAX: usize = 100;
/// DIDs that one client may name.
const DIDS_MAX: usize = 10_000;
/// A cursor below this is a sequence number; from here on, a moment in microseconds.
const SEQ_BELOW: u64 = 1_000_000_000_000_000;

/// A handshake that is refused.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Refusal {
    pub status: u16,
    pub error: &'static str,
    pub message: String,
}

impl Refusal {
    pub fn new(status: u16, error: &'static str, message: impl Into<String>) -> Self {
        Self { status, error, message: message.into() }
    }

    fn bad(message: impl Into<String>) -> Self {
        Self::new(400, "InvalidRequest", message)
    }
}

/// Where to begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cursor {
    /// At the first event of this stream time, in microseconds.
    Time(i64),
    /// At this sequence number.
    Seq(u64),
}

/// A subscription.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Request {
    pub dialect: Dialect,
    pub cursor: Option<Cursor>,
    pub filter: Filter,
    /// v1: nothing is sent before the first `options_update`.
    pub require_hello: bool,
    /// How the messages are compressed, if at all.
    pub zstd: Option<Zstd>,
}

/// By which dictionary a client wants its messages compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Zstd {
    /// v1: the one that everybody has.
    Shared,
    /// v2: the one of this id.
    Named(u32),
}

/// What a request is for.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Asked {
    Events(Box<Request>),
    /// `getZstdDictionary`: the one of this id, or the current one.
    Dictionary(Option<u32>),
    /// How often each fault has happened.
    Fired,
}

impl Asked {
    /// Parses path and query.
    pub fn parse(target: &str) -> Result<Self, Refusal> {
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let pairs = query.split('&').filter(|pair| !pair.is_empty()).map(|pair| {
            let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
            Ok((decode(key)?, decode(value)?))
        });
        let mut request = match path {
            "/subscribe" => Request::new(Dialect::V1),
            "/xrpc/network.bsky.jetstream.subscribeEvents" => Request::new(Dialect::V2),
            "/xrpc/network.bsky.jetstream.getZstdDictionary" => return Self::dictionary(pairs),
            "/simnet/fired" => return Ok(Self::Fired),
            _ => return Err(Refusal::new(404, "NotFound", format!("there is nothing at {path}"))),
        };
        for pair in pairs {
            let (key, value) = pair?;
            request.parameter(&key, value)?;
        }
        request.filter.check()?;
        Ok(Self::Events(Box::new(request)))
    }

    fn dictionary(pairs: impl Iterator<Item = Result<(String, String), Refusal>>) -> Result<Self, Refusal> {
        let mut id = None;
        for pair in pairs {
            let (key, value) = pair?;
            if key == "id" {
                let number: u64 =
                    value.parse().map_err(|_| Refusal::bad("id must be an integer zstd dictionary ID"))?;
                // No dictionary has an id of more than 32 bits, nor 0: neither is found.
                id = Some(u32::try_from(number).unwrap_or(0));
            }
        }
        Ok(Self::Dictionary(id))
    }
}

/// What a client wants to see.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Filter {
    /// Exact, or `prefix.*`; of commits only. Empty: all.
    pub collections: Vec<String>,
    /// Empty: all.
    pub dids: Vec<String>,
    /// Empty: all.
    pub kinds: Vec<String>,
    /// 0: no bound.
    pub message_bytes_max: usize,
}

impl Request {
    /// A subscription without any parameter.
    fn new(dialect: Dialect) -> Self {
        Self { dialect, cursor: None, filter: Filter::default(), require_hello: false, zstd: None }
    }

    fn parameter(&mut self, key: &str, value: String) -> Result<(), Refusal> {
        let filter = &mut self.filter;
        match (self.dialect, key) {
            (Dialect::V1, "wantedCollections") | (Dialect::V2, "collections") => filter.collections.push(value),
            (Dialect::V1, "wantedDids") | (Dialect::V2, "dids") => filter.dids.push(value),
            (Dialect::V2, "kinds") => filter.kinds.push(value),
            (_, "maxMessageSizeBytes") => {
                filter.message_bytes_max =
                    value.parse().map_err(|_| Refusal::bad("maxMessageSizeBytes is not a number"))?;
            }
            (_, "cursor") if value.is_empty() => {}
            (_, "cursor") => self.cursor = Some(parse_cursor(&value)?),
            (Dialect::V1, "requireHello") => self.require_hello = value == "true",
            (_, "compress") if value == "true" => self.compress("compress=true")?,
            (Dialect::V2, "zstdDictionary") if !value.is_empty() => {
                let id = value.parse().ok().filter(|&id: &u32| id > 0);
                let id =
                    id.ok_or_else(|| Refusal::bad("zstdDictionary must be a positive integer zstd dictionary ID"))?;
                self.zstd = Some(Zstd::Named(id));
            }
            _ => {}
        }
        Ok(())
    }

    /// Asks for compression as v1 has it; `by` says how.
    pub fn compress(&mut self, by: &str) -> Result<(), Refusal> {
        if self.dialect == Dialect::V2 {
            return Err(Refusal::bad(format!("{by} is of /subscribe (v1); here it is zstdDictionary=<id>")));
        }
        self.zstd = Some(Zstd::Shared);
        Ok(())
    }
}

/// As Jetstream tells them apart, in both dialects: by their size.
fn parse_cursor(value: &str) -> Result<Cursor, Refusal> {
    let number: u64 = value.parse().map_err(|_| Refusal::bad(format!("the cursor {value:?} is not a number")))?;
    Ok(match number {
        SEQ_BELOW.. => Cursor::Time(i64::try_from(number).unwrap_or(i64::MAX)),
        _ => Cursor::Seq(number),
    })
}

fn decode(text: &str) -> Result<String, Refusal> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'+' => b' ',
            b'%' => {
                let hex =
                    [rest.next(), rest.next()].map(|digit| digit.and_then(|digit| char::from(digit).to_digit(16)));
                let [Some(high), Some(low)] = hex else { return Err(Refusal::bad("a broken % in the query")) };
                (high * 16 + low) as u8
            }
            byte => byte,
        });
    }
    String::from_utf8(bytes).map_err(|_| Refusal::bad("the query is not UTF-8"))
}

/// The message by which a v1 client changes what it wants.
#[derive(Deserialize)]
struct Update {
    #[serde(rename = "type")]
    kind: String,
    payload: Payload,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Payload {
    #[serde(default)]
    wanted_collections: Vec<String>,
    #[serde(default)]
    wanted_dids: Vec<String>,
    #[serde(default)]
    max_message_size_bytes: usize,
}

impl Filter {
    /// Parses an `options_update`.
    pub fn from_update(message: &[u8]) -> Result<Self, Refusal> {
        let update: Update =
            serde_json::from_slice(message).map_err(|error| Refusal::bad(format!("no options_update: {error}")))?;
        if update.kind != "options_update" {
            return Err(Refusal::bad("the only message is options_update"));
        }
        let filter = Self {
            collections: update.payload.wanted_collections,
            dids: update.payload.wanted_dids,
            kinds: Vec::new(),
            message_bytes_max: update.payload.max_message_size_bytes,
        };
        filter.check()?;
        Ok(filter)
    }

    fn check(&self) -> Result<(), Refusal> {
        if self.collections.len() > COLLECTIONS_MAX {
            return Err(Refusal::bad(format!("more than {COLLECTIONS_MAX} collections")));
        }
        if self.dids.len() > DIDS_MAX {
            return Err(Refusal::bad(format!("more than {DIDS_MAX} DIDs")));
        }
        for pattern in &self.collections {
            let name = pattern.strip_suffix(".*").unwrap_or(pattern);
            let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-');
            if name.is_empty() || !name.chars().all(plain) {
                return Err(Refusal::bad(format!("{pattern:?} is neither a collection nor a prefix.*")));
            }
        }
        match self.kinds.iter().find(|kind| !["commit", "identity", "account", "sync"].contains(&kind.as_str())) {
            Some(kind) => Err(Refusal::bad(format!("unknown kind {kind:?}"))),
            None => Ok(()),
        }
    }

    /// Prepares the filter for the words of a reel; `None` where everything passes.
    pub fn compile(&self, reel: &Reel) -> Option<Sieve> {
        if *self == Self::default() {
            return None;
        }
        let pass =
            |words: &[std::sync::Arc<str>], passes: &dyn Fn(&str) -> bool| words.iter().map(|it| passes(it)).collect();
        let dids: HashSet<&str> = self.dids.iter().map(String::as_str).collect();
        Some(Sieve {
            kinds: pass(reel.kinds(), &|kind| self.kinds.is_empty() || self.kinds.iter().any(|it| it == kind)),
            // The empty word stands for events that are no commits.
            collections: pass(reel.collections(), &|word| word.is_empty() || self.wants(word)),
            dids: pass(reel.dids(), &|did| dids.is_empty() || dids.contains(did)),
            message_bytes_max: self.message_bytes_max,
        })
    }

    fn wants(&self, collection: &str) -> bool {
        self.collections.is_empty()
            || self.collections.iter().any(|pattern| match pattern.strip_suffix('*') {
                Some(prefix) => collection.starts_with(prefix),
                None => collection == pattern,
            })
    }
}

/// A [`Filter`] by index.
pub(super) struct Sieve {
    kinds: Vec<bool>,
    collections: Vec<bool>,
    dids: Vec<bool>,
    message_bytes_max: usize,
}

impl Sieve {
    pub fn passes(&self, mark: Mark, frame_bytes: usize) -> bool {
        self.kinds[mark.kind as usize]
            && self.collections[mark.collection as usize]
            && self.dids[mark.did as usize]
            && (self.message_bytes_max == 0 || frame_bytes <= self.message_bytes_max)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn events(target: &str) -> Request {
        match Asked::parse(target) {
            Ok(Asked::Events(request)) => *request,
            other => panic!("{target}: {other:?}"),
        }
    }

    #[test]
    fn requests_of_both_dialects() {
        let v1 = events("/subscribe?wantedCollections=app.bsky.*&wantedCollections=a.b.c&cursor=1783175888085434");
        assert_eq!((v1.dialect, v1.cursor), (Dialect::V1, Some(Cursor::Time(1_783_175_888_085_434))));
        assert!(v1.filter.wants("app.bsky.feed.post") && v1.filter.wants("a.b.c") && !v1.filter.wants("a.b.cd"));
        let path = "/xrpc/network.bsky.jetstream.subscribeEvents";
        let v2 = events(&format!("{path}?cursor=7&kinds=commit&dids=did%3Aplc%3Aa&zstdDictionary=20260811"));
        assert_eq!((v2.dialect, v2.cursor), (Dialect::V2, Some(Cursor::Seq(7))));
        assert_eq!((&v2.filter.dids[..], v2.zstd), (&["did:plc:a".to_string()][..], Some(Zstd::Named(20_260_811))));
        assert_eq!(events("/subscribe?cursor=7").cursor, Some(Cursor::Seq(7)));
        let moment = Some(Cursor::Time(1_783_175_888_085_434));
        assert_eq!(events(&format!("{path}?cursor=1783175888085434")).cursor, moment);
        assert_eq!(events("/subscribe?compress=true").zstd, Some(Zstd::Shared));
        assert_eq!(events("/subscribe?compress=false&zstdDictionary=5").zstd, None, "v1 knows no ids");
        let path = "/xrpc/network.bsky.jetstream.getZstdDictionary";
        for (query, id) in [("", None), ("?id=7", Some(7)), ("?id=99999999999", Some(0))] {
            assert_eq!(Asked::parse(&format!("{path}{query}")), Ok(Asked::Dictionary(id)));
        }
    }

    #[test]
    fn what_cannot_be_asked_is_refused_with_a_status() {
        let path = "/xrpc/network.bsky.jetstream.subscribeEvents";
        let many = "&collections=a.b.c".repeat(101);
        for (target, status) in [
            ("/nowhere".into(), 404),
            ("/xrpc/network.bsky.jetstream.getZstdDictionary?id=latest".into(), 400),
            (format!("{path}?compress=true"), 400),
            ("/subscribe?cursor=soon".into(), 400),
            ("/subscribe?wantedCollections=%zz".into(), 400),
            (format!("{path}?zstdDictionary=0"), 400),
            (format!("{path}?zstdDictionary=abc"), 400),
            (format!("{path}?kinds=gossip"), 400),
            (format!("{path}?collections=a%20b"), 400),
            (format!("{path}?x=y{many}"), 400),
        ] {
            assert_eq!(Asked::parse(&target).expect_err("refused").status, status, "{target}");
        }
    }
}
