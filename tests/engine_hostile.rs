//! What hostile people write, as the lines they write it in: sieve, parser, log, fold and view against the model, in
//! orders that a network could deliver, with duplicates and restarts in between.
//!
//! Forged roles and revs, foreign configs with a taken hashtag, `createdAt` in 1970 and 2099, a text of a million
//! characters, 300 hashtags in one post, records that break their lexicon, accounts that are deleted and come back.

mod engine_support;

use atrarium::syntax::{Tid, Time};
use engine_support::{feeds, replayed};
use fastrand::Rng;
use model::{Delivery, Model};
use serde_json::{Value, json};

const DIDS: [&str; 4] = ["did:plc:owner", "did:plc:mallory", "did:web:b", "did:web:b.c"];
const HASHTAGS: [&str; 2] = ["a1b2c3d4", "00000001"];
const RKEYS: [&str; 3] = ["3mabc222222zz", "3mabc222222zy", "self"];
const CONFIG: &str = "net.atrarium.community.config";
const MEMBERSHIP: &str = "net.atrarium.community.membership";
const ACCEPTANCE: &str = "net.atrarium.community.acceptance";
const ACTION: &str = "net.atrarium.moderation.action";
const POST: &str = "app.bsky.feed.post";
/// 2026-11-01T00:00:00Z. A history lasts less than the 2 hours for which the filter remembers a delete of what nobody knew.
const T0: i64 = 1_793_491_200_000_000;
const MINUTE: i64 = 60_000_000;

struct Writer {
    rng: Rng,
    lines: Vec<(&'static str, String)>,
}

impl Writer {
    fn history(seed: u64, length: usize) -> Vec<(&'static str, String)> {
        let mut writer = Self { rng: Rng::with_seed(seed), lines: Vec::new() };
        writer.put(DIDS[0], CONFIG, RKEYS[2], config(HASHTAGS[0], &[DIDS[2]]));
        for did in DIDS {
            writer.put(did, MEMBERSHIP, RKEYS[0], membership("owner", DIDS[0]));
        }
        while writer.lines.len() < length {
            writer.next();
        }
        writer.lines
    }

    fn pick<T: Copy>(&mut self, of: &[T]) -> T {
        of[self.rng.usize(..of.len())]
    }

    fn next(&mut self) {
        let (did, rkey, hashtag) = (self.pick(&DIDS), self.pick(&RKEYS), self.pick(&HASHTAGS));
        match self.rng.u32(..20) {
            0..8 => {
                let post = self.post(hashtag);
                self.put(did, POST, rkey, post);
            }
            8 => {
                let moderator = self.pick(&DIDS);
                self.put(did, CONFIG, RKEYS[2], config(hashtag, &[moderator]));
            }
            9 => {
                let mut closed = config(hashtag, &[]);
                closed["accessType"] = json!("invite-only");
                self.put(did, CONFIG, RKEYS[2], closed);
            }
            10 | 11 => {
                let role = self.pick(&["owner", "moderator", "member"]);
                let mut record = membership(role, DIDS[0]);
                if self.rng.u32(..3) == 0 {
                    record["active"] = json!(self.rng.bool());
                }
                self.put(did, MEMBERSHIP, rkey, record);
            }
            12..15 => {
                let action = self.action();
                self.put(did, ACTION, rkey, action);
            }
            15 => {
                let subject = self.pick(&DIDS);
                let record =
                    json!({"community": config_uri(DIDS[0]), "subject": subject, "createdAt": "2099-01-01T00:00:00Z"});
                self.put(did, ACCEPTANCE, rkey, record);
            }
            16 => self.account(did),
            17 => {
                let broken = self.pick(&[CONFIG, MEMBERSHIP, ACCEPTANCE, ACTION]);
                self.put(did, broken, rkey, json!({"community": 5, "createdAt": "yesterday"}));
            }
            _ => self.delete(),
        }
    }

    fn post(&mut self, hashtag: &str) -> Value {
        let created =
            self.pick(&["1970-01-01T00:00:00Z", "2099-12-31T23:59:59Z", "2026-11-01T00:30:00Z", "yesterday", ""]);
        match self.rng.u32(..12) {
            0 => json!({"text": format!("{} #atrarium_{hashtag}", "ä".repeat(1_000_000)), "createdAt": created}),
            1 => {
                let many: String = (0..300).map(|n| format!("#atrarium_{n:08x} ")).collect();
                json!({"text": many, "createdAt": created})
            }
            2 => {
                json!({"text": 5, "facets": {}, "tags": ["x", 7, format!("atrarium_{hashtag}")], "createdAt": created})
            }
            3 => json!({"text": format!("x#atrarium_{hashtag} #atrarium_{hashtag}さん"), "createdAt": created}),
            4 => json!({"text": "", "facets": [{"features": [
                {"$type": "app.bsky.richtext.facet#tag", "tag": format!("atrarium_{hashtag}")}]}], "createdAt": created}),
            5 => json!({"text": "the hashtag is gone", "createdAt": created}),
            _ => json!({"text": format!("(#atrarium_{hashtag})."), "createdAt": created}),
        }
    }

    fn action(&mut self) -> Value {
        let (who, rkey) = (self.pick(&DIDS), self.pick(&RKEYS));
        let post = format!("at://{who}/{POST}/{rkey}");
        let (verb, target) = match self.rng.u32(..6) {
            0 => ("unhide_post", json!(post)),
            1 => ("hide_post", json!({"uri": post, "cid": "bafyreib"})),
            2 => ("block_user", json!({"did": who})),
            3 => ("unblock_user", json!(who)),
            4 => ("block_user", json!(post)),
            _ => ("hide_post", json!(post)),
        };
        let community = config_uri(self.pick(&[DIDS[0], DIDS[0], DIDS[1]]));
        json!({"action": verb, "target": target, "community": community, "createdAt": "1970-01-01T00:00:00Z"})
    }

    fn now(&mut self) -> i64 {
        T0 + self.rng.i64(0..100 * MINUTE)
    }

    fn account(&mut self, did: &'static str) {
        let (time, now) = (self.now(), self.now());
        let active = self.rng.bool();
        let mut account = json!({"active": active, "did": did, "seq": 1, "time": Time::from_micros(time).to_string()});
        if !active {
            account["status"] = json!(self.pick(&["deleted", "takendown"]));
        }
        self.lines.push((did, json!({"did": did, "time_us": now, "kind": "account", "account": account}).to_string()));
    }

    fn put(&mut self, did: &'static str, collection: &str, rkey: &str, mut record: Value) {
        // Every record says what it is; the model and the engine refuse one that does not.
        if self.rng.u32(..40) > 0 {
            record["$type"] = json!(collection);
        }
        self.commit(did, json!({"operation": "create", "collection": collection, "rkey": rkey, "record": record}));
    }

    fn delete(&mut self) {
        let (did, rkey) = (self.pick(&DIDS), self.pick(&RKEYS));
        let collection = self.pick(&[POST, POST, CONFIG, MEMBERSHIP, ACCEPTANCE, ACTION]);
        self.commit(did, json!({"operation": "delete", "collection": collection, "rkey": rkey}));
    }

    /// Of two commits with one rev and one CID the content decides, which the model writes down in other words: so each has
    /// its own CID, as it would have.
    fn commit(&mut self, did: &'static str, mut commit: Value) {
        let now = self.now();
        let forged = self.pick(&[0, 0, 0, 0, -90 * MINUTE, 600 * 24 * 60 * MINUTE]);
        let number = self.lines.len();
        commit["rev"] =
            json!(Tid::from_time(Time::from_micros(now + forged), u16::try_from(number).expect("short")).to_string());
        if commit["operation"] == "create" {
            let digits: String = format!("{number:04}").bytes().map(|digit| char::from(digit - b'0' + b'a')).collect();
            commit["cid"] = json!(format!("bafyrei{digits}aaaaaaaaaa"));
        }
        let line = json!({"did": did, "time_us": now, "kind": "commit", "commit": commit});
        self.lines.push((did, line.to_string()));
    }
}

fn config_uri(did: &str) -> String {
    format!("at://{did}/{CONFIG}/self")
}

fn config(hashtag: &str, moderators: &[&str]) -> Value {
    json!({"name": "n", "hashtag": format!("#atrarium_{hashtag}"), "stage": "community", "moderators": moderators,
        "feedMix": {"own": 100, "parent": 0, "global": 0}, "createdAt": "2026-07-01T00:00:00Z"})
}

fn membership(role: &str, owner: &str) -> Value {
    json!({"community": config_uri(owner), "role": role, "joinedAt": "1970-01-01T00:00:00Z", "active": true})
}

/// Each repository's own order is kept; or, where `shuffles`, nothing is. Some lines come twice.
fn order(lines: &[(&'static str, String)], shuffles: bool, rng: &mut Rng) -> Vec<String> {
    let mut left: Vec<&(&'static str, String)> = lines.iter().collect();
    let mut told = Vec::new();
    while !left.is_empty() {
        let any = rng.usize(..left.len());
        let did = left[any].0;
        let first = left.iter().position(|(other, _)| *other == did).expect("it is there");
        told.push(left.remove(if shuffles { any } else { first }).1.clone());
    }
    for _ in 0..rng.usize(..=lines.len() / 2) {
        let again = lines[rng.usize(..lines.len())].1.clone();
        told.insert(rng.usize(..=told.len()), again);
    }
    told
}

#[test]
fn what_hostile_people_write_ends_in_the_models_feeds_in_every_order() {
    let (mut feeds_compared, mut posts) = (0, 0);
    for seed in 0..24 {
        let history = Writer::history(seed, 40 + usize::try_from(seed).expect("small") * 3);
        let mut model = Model::new();
        history.iter().for_each(|(_, line)| model.add(Delivery::Frame(line)));
        let now = model.latest_witnessed().expect("lines");
        let expected = model.feeds(now);
        let mut rng = Rng::with_seed(seed);
        for nth in 0..4_usize {
            let told = order(&history, nth % 2 == 1, &mut rng);
            let (_, view) = replayed(&told, [1, 3, 1, 7][nth]);
            assert_eq!(feeds(&view, now), expected, "seed {seed}, order {nth}");
            feeds_compared += expected.len();
            posts += expected.values().map(Vec::len).sum::<usize>();
        }
    }
    println!("{feeds_compared} feeds, {posts} posts");
    assert!(feeds_compared >= 96 && posts > 100, "{feeds_compared} feeds, {posts} posts: the histories are too tame");
}
