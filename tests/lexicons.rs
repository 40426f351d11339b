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
