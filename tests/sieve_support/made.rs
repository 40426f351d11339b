//! Events, and how each wire writes them.

use atrarium::syntax::{Tid, Time};
use proptest::prelude::*;

/// One event of a made stream.
#[derive(Clone, Debug)]
pub struct Made {
    did: &'static str,
    /// Microseconds since the event before it.
    pub later: i64,
    what: What,
    wire: Wire,
    dress: Dress,
    damage: Option<Damage>,
}

#[derive(Clone, Debug)]
enum What {
    Commit { operation: &'static str, collection: &'static str, rkey: &'static str, rev: u64, text: String },
    Account { active: bool, status: Option<&'static str> },
    Identity(String),
    Sync,
    Info,
    Error,
    Unknown,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Wire {
    V1,
    V1OnV2Host,
    V2,
}

/// How an object is written: as the servers do, or as they might.
#[derive(Clone, Debug)]
struct Dress {
    shuffled: bool,
    spaced: bool,
    extra: bool,
    /// Go's encoder escapes `<`, `>` and `&` too.
    html: bool,
    seed: u64,
}

/// One thing that is wrong with a frame.
#[derive(Clone, Copy, Debug)]
enum Damage {
    Replace(&'static str, &'static str),
    Cut(usize),
    Append(&'static str),
}

/// Any event, in any wire, now and then broken.
pub fn made() -> impl Strategy<Value = Made> {
    let did = prop::sample::select(vec!["did:plc:wq4aajammjtxdomz3e23667t", "did:web:a.example", "did:plc:atrarium"]);
    let later = prop_oneof![20 => 0..60_000_000_i64, 1 => Just(3 * 3_600_000_000), 1 => Just(5 * 86_400_000_000)];
    let wire = prop_oneof![Just(Wire::V1), Just(Wire::V1OnV2Host), Just(Wire::V2)];
    (did, later, what(), wire, dress(), prop::option::weighted(0.1, damage()))
        .prop_map(|(did, later, what, wire, dress, damage)| Made { did, later, what, wire, dress, damage })
}

fn what() -> impl Strategy<Value = What> {
    let collection = prop_oneof![
        6 => Just("app.bsky.feed.post"),
        3 => Just("app.bsky.feed.like"),
        1 => prop::sample::select(vec![
            "net.atrarium.community.config", "net.atrarium.community.membership", "net.atrarium.community.acceptance",
            "net.atrarium.moderation.action", "net.atrarium.other.thing", "app.bsky.feed.postgate", "app.bsky.actor.profile",
        ]),
    ];
    let operation = prop_oneof![3 => Just("create"), 1 => Just("update"), 2 => Just("delete")];
    let rkey = prop::sample::select(vec!["3mptbyplj5d2a", "3mptbypcq372f", "self"]);
    let commit = (operation, collection, rkey, 0..4_u64, words())
        .prop_map(|(operation, collection, rkey, rev, text)| What::Commit { operation, collection, rkey, rev, text });
    let status = prop::option::of(prop::sample::select(vec!["deleted", "takendown", "atrarium_"]));
    prop_oneof![
        20 => commit,
        1 => (any::<bool>(), status).prop_map(|(active, status)| What::Account { active, status }),
        1 => words().prop_map(What::Identity),
        1 => Just(What::Sync),
        1 => prop_oneof![Just(What::Info), Just(What::Error), Just(What::Unknown)],
    ]
}

/// Text in which everything stands that a byte search might fall for.
fn words() -> impl Strategy<Value = String> {
    let word = prop_oneof![
        4 => "[a-z ]{0,12}",
        3 => "#atrarium_[0-9a-f]{8}",
        1 => any::<String>(),
        2 => prop::sample::select(vec![
            "atrarium", "atrarium_", "net.atrarium.community.config", "atrariu", "m_", "さん、", "😀", "\"", "\\", "<b>&", "\u{2028}\u{1}\n",
            "\"operation\":\"delete\"", "\"kind\":\"account\"", "{\"$type\":\"message\"}", "app.bsky.feed.post", "}}",
        ]).prop_map(str::to_owned),
    ];
    prop::collection::vec(word, 0..4).prop_map(|words| words.concat())
}

fn dress() -> impl Strategy<Value = Dress> {
    let odd = || prop::bool::weighted(0.2);
    (odd(), odd(), odd(), any::<bool>(), any::<u64>()).prop_map(|(shuffled, spaced, extra, html, seed)| Dress {
        shuffled,
        spaced,
        extra,
        html,
        seed,
    })
}

fn damage() -> impl Strategy<Value = Damage> {
    prop_oneof![
        (0..400_usize).prop_map(Damage::Cut),
        prop::sample::select(vec!["}", " x", "\u{0}", "{}"]).prop_map(Damage::Append),
        prop::sample::select(vec![
            ("did:", "dad:"),
            ("\"rkey\":\"", "\"rkey\":\"/"),
            ("\"rev\":\"", "\"rev\":\"1"),
            ("\"create\"", "\"merge\""),
            ("\"delete\"", "7"),
            ("\"commit\"", "\"labels\""),
            ("#commit", "#labels"),
            ("\"operation\"", "\"operational\""),
            ("\"collection\"", "\"collector\""),
            ("\"rkey\"", "\"rey\""),
            ("\"record\"", "\"recorder\""),
            ("\"did\"", "\"dad\""),
            ("\"time_us\":", "\"time_us\":-"),
            ("\"seq\":", "\"seq\":-"),
            ("\"active\":", "\"inactive\":"),
            ("\"message\"", "\"massage\""),
            ("\"time\":\"", "\"time\":\"x"),
            ("\"payload\"", "\"pay\""),
            (":{", ":["),
        ])
        .prop_map(|(from, to)| Damage::Replace(from, to)),
    ]
}

impl Made {
    /// The frame, as of `time`.
    pub fn frame(&self, time: Time) -> Vec<u8> {
        let mut writer = Writer { dress: &self.dress, random: fastrand::Rng::with_seed(self.dress.seed) };
        let mut frame = self.write(time, &mut writer).into_bytes();
        match self.damage {
            None => {}
            Some(Damage::Cut(at)) => frame.truncate(at),
            Some(Damage::Append(text)) => frame.extend(text.bytes()),
            Some(Damage::Replace(from, to)) => {
                frame = String::from_utf8(frame).expect("UTF-8 so far").replacen(from, to, 1).into_bytes();
            }
        }
        frame
    }

    fn write(&self, time: Time, w: &mut Writer<'_>) -> String {
        let inner = self.inner(time, w);
        let outer = |w: &Writer<'_>| vec![("did", w.text(self.did))];
        let seq = (time.micros() / 1000).to_string();
        let kind = match self.what {
            What::Commit { .. } => "commit",
            What::Account { .. } => "account",
            What::Identity(_) => "identity",
            What::Sync => "sync",
            What::Info => "info",
            What::Error => {
                let fields =
                    vec![("$type", w.text("error")), ("error", w.text("ConsumerTooSlow")), ("message", w.text("m"))];
                return w.object(fields);
            }
            What::Unknown => "labels",
        };
        if self.wire != Wire::V2 && !matches!(self.what, What::Info) {
            let mut fields = outer(w);
            fields.push(("time_us", time.micros().to_string()));
            if self.wire == Wire::V1OnV2Host {
                fields.push(("cursor", seq));
            }
            fields.push(("kind", w.text(kind)));
            fields.push((kind, w.object(inner)));
            return w.object(fields);
        }
        let mut fields = match self.what {
            What::Commit { .. } | What::Info => inner,
            _ => vec![(kind, w.object(inner))],
        };
        if !matches!(self.what, What::Info) {
            fields.extend(outer(w));
            fields.extend([("seq", seq), ("time", w.text(&time.to_string()))]);
        }
        fields.sort_unstable();
        fields.insert(0, ("$type", w.text(&format!("network.bsky.jetstream.subscribeEvents#{kind}"))));
        let envelope = vec![("$type", w.text("message")), ("payload", w.object(fields))];
        w.object(envelope)
    }

    /// What v1 nests under the name of the kind.
    fn inner(&self, time: Time, w: &mut Writer<'_>) -> Vec<(&'static str, String)> {
        match &self.what {
            What::Commit { operation, collection, rkey, rev, text } => {
                let rev = Tid::from_u64((2_000_000_000_000_000 << 10) + rev).to_string();
                let mut fields = vec![
                    ("rev", w.text(&rev)),
                    ("operation", w.text(operation)),
                    ("collection", w.text(collection)),
                    ("rkey", w.text(rkey)),
                ];
                if *operation != "delete" {
                    let record =
                        vec![("$type", w.text(collection)), ("langs", "[\"en\", null]".into()), ("text", w.text(text))];
                    fields
                        .extend([("record", w.object(record)), ("cid", w.text("bafyreiguce4jh7kcbmof3pmcvasifqtw24"))]);
                }
                fields
            }
            What::Account { active, status } => {
                let mut fields = vec![("active", active.to_string()), ("did", w.text(self.did)), ("seq", "7".into())];
                fields.extend(status.map(|status| ("status", w.text(status))));
                fields.push(("time", w.text(&time.to_string())));
                fields
            }
            What::Identity(handle) => vec![("did", w.text(self.did)), ("handle", w.text(handle)), ("seq", "7".into())],
            What::Info => vec![("message", w.text("m")), ("name", w.text("OutdatedCursor"))],
            What::Sync | What::Error | What::Unknown => {
                vec![("did", w.text(self.did)), ("rev", w.text("3mptbypluud2a"))]
            }
        }
    }
}

struct Writer<'a> {
    dress: &'a Dress,
    random: fastrand::Rng,
}

impl Writer<'_> {
    fn object(&mut self, mut fields: Vec<(&str, String)>) -> String {
        if self.dress.extra {
            let at = self.random.usize(0..=fields.len());
            let value =
                self.random.choice(["5", "null", "{\"kind\":[{}]}", "\"\"", "-1.5e3", "\"account\""]).expect("some");
            fields.insert(at, ("extra", value.to_owned()));
        }
        if self.dress.shuffled {
            self.random.shuffle(&mut fields);
        }
        let parts: Vec<String> = fields
            .iter()
            .map(|(key, value)| {
                format!("{}{}{}:{}{value}{}", self.space(), self.text(key), self.space(), self.space(), self.space())
            })
            .collect();
        format!("{}{{{}}}{}", self.space(), parts.join(","), self.space())
    }

    fn space(&mut self) -> &'static str {
        if self.dress.spaced { self.random.choice(["", " ", "\n\t"]).expect("some") } else { "" }
    }

    fn text(&self, text: &str) -> String {
        let json = serde_json::to_string(text).expect("any text");
        if !self.dress.html {
            return json;
        }
        [("<", "\\u003c"), (">", "\\u003e"), ("&", "\\u0026"), ("\u{2028}", "\\u2028")]
            .iter()
            .fold(json, |json, (from, to)| json.replace(from, to))
    }
}
