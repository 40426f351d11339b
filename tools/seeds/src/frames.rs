//! Frames of a made network, a few of each sort, and what can be made of them.

use std::collections::BTreeMap;
use std::sync::Arc;

use atrarium::community::Fold;
use atrarium::fact::{Batch, Fact, Host};
use atrarium::ingest::worker::Parser;
use atrarium::telemetry::Telemetry;
use serde_json::Value;
use simnet::{Dialect, Line, Network, Options};

use crate::Seeds;

/// Frames kept of each sort: kind, collection and operation, in each wire.
const OF_EACH: usize = 6;

/// Frames of every sort that a network has.
pub struct Frames(Vec<Vec<u8>>);

impl Frames {
    /// Those of the network that a seed stands for.
    pub fn of_network(seed: u64) -> Self {
        let options = Options { events: 4000, communities: 8, hit_rate: 0.5, seed, ..Options::default() };
        let mut sorts: BTreeMap<String, Vec<Vec<u8>>> = BTreeMap::new();
        let mut line = Line::default();
        for event in Network::new(&options) {
            for (dialect, cursor) in [(Dialect::V1, false), (Dialect::V1, true), (Dialect::V2, false)] {
                line.clear();
                event.write(dialect, cursor, &mut line);
                let sort = format!("{dialect:?} {cursor} {}", sort_of(&line.bytes));
                let frames = sorts.entry(sort).or_default();
                if frames.len() < OF_EACH {
                    frames.push(line.bytes.clone());
                }
            }
        }
        let mut frames: Vec<Vec<u8>> = sorts.into_values().flatten().collect();
        frames.extend(
            [
                r##"{"$type":"message","payload":{"$type":"network.bsky.jetstream.subscribeEvents#info","name":"OutdatedCursor"}}"##,
                r#"{"$type":"error","error":"ConsumerTooSlow","message":"too slow"}"#,
            ]
            .map(|text| text.as_bytes().to_vec()),
        );
        Self(frames)
    }

    /// All of them.
    pub fn all(&self) -> &[Vec<u8>] {
        &self.0
    }

    /// Each for itself.
    pub fn single(&self) -> Seeds {
        self.0.clone()
    }

    /// Several, one a line. Of one wire, as they come from a host; their times ascend.
    pub fn lines(&self) -> Seeds {
        let mut seeds = self.single();
        seeds.extend(self.0.chunks(5).map(|frames| frames.join(&b'\n')));
        seeds
    }

    /// The records of commits, each behind the number of its collection.
    pub fn records(&self) -> Seeds {
        const COLLECTIONS: [&str; 5] = [
            "app.bsky.feed.post",
            "net.atrarium.community.config",
            "net.atrarium.community.membership",
            "net.atrarium.community.acceptance",
            "net.atrarium.moderation.action",
        ];
        let mut seeds = Seeds::new();
        for frame in &self.0 {
            let Ok(value) = serde_json::from_slice::<Value>(frame) else { continue };
            let Some(commit) = commit_of(&value) else { continue };
            let place = COLLECTIONS.iter().position(|name| commit["collection"] == **name);
            if let (Some(place), Some(record)) =
                (place.and_then(|place| u8::try_from(place).ok()), commit.get("record"))
            {
                seeds.push([&[place], record.to_string().as_bytes()].concat());
            }
        }
        // Older forms, which the network may not have written.
        let older = r##"{"name":"n","hashtag":"#atrarium_a1b2c3d4","stage":"theme","feedMix":{"own":0.5,"parent":0.3,"global":0.2},"moderators":[],"createdAt":"2026-01-01T00:00:00Z"}"##;
        seeds.push([&[1], older.as_bytes()].concat());
        let older = r#"{"action":"hide_post","target":{"uri":"at://did:web:a/app.bsky.feed.post/x","cid":"bafyreia"},"community":"at://did:web:o/net.atrarium.community.config/self","createdAt":"2026-01-01T00:00:00Z"}"#;
        seeds.push([&[4], older.as_bytes()].concat());
        seeds
    }

    /// The facts of frames.
    fn facts(&self) -> Vec<Fact> {
        let mut parser = Parser::new(None, Arc::new(Telemetry::default()));
        let (host, mut facts) = (Host::new("h.example"), Vec::new());
        for frame in &self.0 {
            // A network has records that are refused, too.
            let _refused = parser.facts(frame, &host, None, &mut facts);
        }
        facts
    }

    /// Snapshots of folds of more and more facts: a seed, then each chunk with its section, version and length.
    pub fn snapshots(&self) -> Seeds {
        let (mut fold, mut changes, mut seeds) = (Fold::new(), Vec::new(), Seeds::new());
        for (at, fact) in self.facts().iter().enumerate() {
            fold.apply(fact, &mut changes);
            changes.clear();
            if at % 16 == 0 {
                seeds.extend(snapshot(&fold));
            }
        }
        seeds
    }

    /// Encoded batches of a few facts.
    pub fn batches(&self) -> Seeds {
        self.facts().chunks(4).map(|facts| Batch::encode(facts, Vec::new())).collect()
    }
}

/// `None` where a chunk is too long for a seed.
fn snapshot(fold: &Fold) -> Option<Vec<u8>> {
    let mut bytes = vec![7];
    fold.save(&mut |section, version, payload| {
        bytes.extend([section, version]);
        bytes.extend(u16::try_from(payload.len())?.to_be_bytes());
        bytes.extend_from_slice(payload);
        Ok::<(), std::num::TryFromIntError>(())
    })
    .ok()
    .map(|()| bytes)
}

fn commit_of(value: &Value) -> Option<&Value> {
    value.get("commit").or_else(|| value.get("payload"))
}

fn sort_of(frame: &[u8]) -> String {
    let value: Value = serde_json::from_slice(frame).unwrap_or_default();
    let fields = commit_of(&value).unwrap_or(&value);
    format!("{} {} {} {}", value["kind"], fields["$type"], fields["collection"], fields["operation"])
}
