//! The files of `lexicons/` against the rules they are written by: where they lie, what they require, and that they
//! agree with the program that reads them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use atrarium::fact::Collection;
use atrarium::lexicon::Lexicons;
use atrarium::limits;
use serde_json::Value;

fn files(folder: &Path, out: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).expect("readable") {
        let path = entry.expect("readable").path();
        if path.is_dir() { files(&path, out) } else { out.push(path) }
    }
}

/// Every document below `lexicons/`, by the NSID that its path spells.
fn documents() -> BTreeMap<String, Value> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("lexicons");
    let mut paths = Vec::new();
    files(&root, &mut paths);
    let read = |path: &PathBuf| {
        let nsid =
            path.with_extension("").strip_prefix(&root).expect("below").to_str().expect("UTF-8").replace('/', ".");
        (nsid, serde_json::from_str(&std::fs::read_to_string(path).expect("UTF-8")).expect("JSON"))
    };
    paths.iter().map(read).collect()
}

fn record(document: &Value) -> &Value {
    &document["defs"]["main"]["record"]
}

#[test]
fn every_collection_but_that_of_posts_has_its_file_and_no_other_lies_there() {
    let documents = documents();
    let ours: Vec<&str> =
        Collection::ALL.iter().map(|collection| collection.nsid()).filter(|nsid| nsid.starts_with("net.")).collect();
    assert_eq!(ours.len(), 4);
    assert_eq!(documents.keys().map(String::as_str).collect::<Vec<_>>(), {
        let mut sorted = ours.clone();
        sorted.sort_unstable();
        sorted
    });
    for (nsid, document) in &documents {
        assert_eq!(document["id"], **nsid);
        assert_eq!(document["defs"]["main"]["key"], "tid", "{nsid}");
        assert!(Lexicons::atrarium().record(nsid).is_some(), "{nsid} is not built in");
    }
}

#[test]
fn the_fields_are_those_of_the_design() {
    let expected = [
        (
            "net.atrarium.community.config",
            "name hashtag stage feedMix moderators createdAt",
            "description parentCommunity accessType pinnedPost updatedAt",
        ),
        ("net.atrarium.community.membership", "community role joinedAt active", ""),
        ("net.atrarium.community.acceptance", "community subject createdAt", ""),
        ("net.atrarium.moderation.action", "action target community createdAt", "reason"),
    ];
    let documents = documents();
    for (nsid, required, optional) in expected {
        let record = record(&documents[nsid]);
        let words = |text: &'static str| text.split_whitespace().collect::<Vec<_>>();
        assert_eq!(record["required"], Value::from(words(required)), "{nsid}");
        let mut all: Vec<&str> = words(required).into_iter().chain(words(optional)).collect();
        all.sort_unstable();
        let properties = record["properties"].as_object().expect("an object");
        let mut fields: Vec<&str> = properties.keys().map(String::as_str).collect();
        fields.sort_unstable();
        assert_eq!(fields, all, "{nsid}");
        for field in fields {
            assert!(record["properties"][field]["description"].is_string(), "{nsid}: {field} is not described");
        }
    }
}

/// A text may be as long in graphemes as the design says, whatever it is written with: the longest emoji in use (a
/// family of four with skin tones) has 41 bytes.
#[test]
fn a_bound_in_bytes_never_undercuts_the_one_in_graphemes() {
    let mut bounded = Vec::new();
    for (nsid, document) in documents() {
        for (field, rule) in record(&document)["properties"].as_object().expect("an object") {
            if let Some(graphemes) = rule["maxGraphemes"].as_u64() {
                assert_eq!(rule["maxLength"].as_u64(), Some(graphemes * 64), "{nsid}: {field}");
                bounded.push((field.clone(), graphemes));
            }
        }
    }
    bounded.sort();
    assert_eq!(bounded, [("description".into(), 500), ("name".into(), 100), ("reason".into(), 500)]);
}

#[test]
fn the_bounds_agree_with_those_of_the_program() {
    let documents = documents();
    let config = &record(&documents["net.atrarium.community.config"])["properties"];
    assert_eq!(config["moderators"]["maxLength"], limits::MODERATORS_MAX);
    assert_eq!(config["hashtag"]["maxLength"], "#atrarium_".len() + 8);
    let reason = &record(&documents["net.atrarium.moderation.action"])["properties"]["reason"];
    assert_eq!(reason["knownValues"].as_array().map(Vec::len), Some(15));
    assert!(reason["description"].as_str().expect("described").contains("never write personal or confidential"));
}

/// The keys that the specification has for each type (<https://atproto.com/specs/lexicon>), without `type` and
/// `description`, which all of them have.
fn keys_of(kind: &str) -> &'static [&'static str] {
    match kind {
        "record" => &["key", "record"],
        "object" => &["properties", "required", "nullable"],
        "string" => &[
            "format",
            "minLength",
            "maxLength",
            "minGraphemes",
            "maxGraphemes",
            "enum",
            "knownValues",
            "default",
            "const",
        ],
        "integer" => &["minimum", "maximum", "enum", "default", "const"],
        "boolean" => &["default", "const"],
        "array" => &["items", "minLength", "maxLength"],
        "ref" => &["ref"],
        _ => &[],
    }
}

/// What is wrong with one definition or property, and with all below it.
fn faults(at: &str, rule: &Value, document: &Value, out: &mut Vec<String>) {
    let mut fault = |what: &str| out.push(format!("{at}: {what}"));
    let Some((object, kind)) = rule.as_object().zip(rule["type"].as_str()) else { return fault("has no type") };
    for key in object.keys().map(String::as_str).filter(|key| !["type", "description"].contains(key)) {
        if !keys_of(kind).contains(&key) {
            fault(&format!("has {key}, which is no key of a {kind}"));
        }
    }
    let described = object.get("description").and_then(Value::as_str).is_some_and(|text| text.ends_with('.'));
    if !described && !at.ends_with(".record") && !at.ends_with(".items") {
        fault("is not described in a sentence");
    }
    let has = |key: &str| object.contains_key(key);
    if kind == "string" && !["format", "maxLength", "enum"].iter().any(|key| has(key)) {
        fault("is a text without an end");
    }
    if has("enum") && has("knownValues") {
        fault("has both closed and open values");
    }
    if kind == "array" && !has("maxLength") {
        fault("is an array without an end");
    }
    if kind == "integer" && !(has("minimum") && has("maximum")) {
        fault("is a number without bounds");
    }
    let target = rule["ref"].as_str().and_then(|name| name.strip_prefix('#'));
    if kind == "ref" && target.is_none_or(|name| !document["defs"][name].is_object()) {
        fault("refers to nothing here");
    }
    for required in rule["required"].as_array().into_iter().flatten() {
        if !rule["properties"][required.as_str().unwrap_or_default()].is_object() {
            fault(&format!("requires {required}, which it does not have"));
        }
    }
    for part in ["record", "items"] {
        if has(part) {
            faults(&format!("{at}.{part}"), &rule[part], document, out);
        }
    }
    for (name, property) in rule["properties"].as_object().into_iter().flatten() {
        faults(&format!("{at}.{name}"), property, document, out);
    }
}

#[test]
fn the_documents_are_whole_described_and_bounded() {
    let mut out = Vec::new();
    for (nsid, document) in documents() {
        let mut keys: Vec<&str> = document.as_object().expect("an object").keys().map(String::as_str).collect();
        keys.sort_unstable();
        assert_eq!(keys, ["defs", "description", "id", "lexicon"], "{nsid}");
        for (name, definition) in document["defs"].as_object().expect("definitions") {
            faults(&format!("{nsid}#{name}"), definition, &document, &mut out);
        }
    }
    assert!(out.is_empty(), "{}", out.join("\n"));
}

/// Each example of the documents' own words is judged as they say.
#[test]
fn a_record_with_every_field_is_valid_and_without_any_one_required_field_is_not() {
    let uri = "at://did:plc:ewvi7nxzyoun6zhxrhs64oiz/net.atrarium.community.config/3l3qo2vuowo2b";
    let now = "2026-11-24T12:00:00Z";
    let records = [
        serde_json::json!({"$type": "net.atrarium.community.config", "name": "A", "description": "B",
            "hashtag": "#atrarium_a1b2c3d4", "stage": "theme", "parentCommunity": uri,
            "feedMix": {"own": 50, "parent": 30, "global": 20}, "moderators": ["did:plc:a"], "accessType": "invite-only",
            "pinnedPost": uri, "createdAt": now, "updatedAt": now}),
        serde_json::json!({"$type": "net.atrarium.community.membership", "community": uri, "role": "member",
            "joinedAt": now, "active": true}),
        serde_json::json!({"$type": "net.atrarium.community.acceptance", "community": uri, "subject": "did:plc:a",
            "createdAt": now}),
        serde_json::json!({"$type": "net.atrarium.moderation.action", "action": "hide_post", "target": uri,
            "community": uri, "reason": "spam", "createdAt": now}),
    ];
    let documents = documents();
    for whole in records {
        let nsid = whole["$type"].as_str().expect("a name");
        let lexicon = Lexicons::atrarium().record(nsid).expect("ours");
        let properties = record(&documents[nsid])["properties"].as_object().expect("an object");
        assert!(properties.keys().all(|field| whole.get(field).is_some()), "{nsid}: the example has every field");
        assert_eq!(lexicon.validate(&whole), Ok(()), "{nsid}");
        let required = record(&documents[nsid])["required"].as_array().expect("a list");
        for field in properties.keys() {
            let mut without = whole.clone();
            without.as_object_mut().expect("an object").remove(field);
            let is_required = required.iter().any(|it| it == &**field);
            assert_eq!(lexicon.validate(&without).is_err(), is_required, "{nsid} without {field}");
            let mut wrong = whole.clone();
            wrong[field] = serde_json::json!([{}]);
            assert!(lexicon.validate(&wrong).is_err(), "{nsid}: {field} may not be anything");
        }
    }
}
