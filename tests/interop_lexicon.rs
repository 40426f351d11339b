//! The validator against the protocol's interop files: lexicon documents, records against a catalog, and the data model.
//!
//! What is not judged is named in [`UNJUDGED`], with the reason, and counted; a file that no test reads fails.

mod interop;

use std::collections::BTreeSet;

use atrarium::lexicon::{Lexicons, data};
use atrarium::syntax::Cid;
use interop::Interop;
use serde_json::Value;

/// What stands in the files and is not judged here: the file, the key of its cases (or all of it), and why.
const UNJUDGED: [(&str, &str, &str); 7] = [
    ("lexicon/record-data-valid.json", "rkey", "the form of a record key is never judged"),
    ("lexicon/record-data-invalid.json", "rkey", "the form of a record key is never judged"),
    ("data-model/data-model-fixtures.json", "cbor_base64", "the stream carries JSON: no DAG-CBOR is read or written"),
    ("data-model/data-model-fixtures.json", "cid as a hash", "of a CID only the form is known; no record is hashed"),
    ("crypto/signature-fixtures.json", "", "nothing is signed or verified yet"),
    ("crypto/w3c_didkey_K256.json", "", "no key is read yet"),
    ("crypto/w3c_didkey_P256.json", "", "no key is read yet"),
];

/// The cases of one file. `keys` are those that a case may have: one that is not known is not passed over.
fn cases(interop: &Interop, file: &str, keys: &[&str]) -> Vec<(String, Value)> {
    let cases: Vec<Value> = serde_json::from_str(&interop.text(file)).expect("an array of cases");
    assert!(!cases.is_empty(), "{file} holds no case");
    println!("{file}: {} cases", cases.len());
    for (unjudged, key, why) in UNJUDGED.iter().filter(|(of, key, _)| *of == file && !key.is_empty()) {
        let key_of_case = key.split(' ').next().expect("a word");
        let count = cases.iter().filter(|case| case.get(key_of_case).is_some()).count();
        println!("{unjudged}: {count} × {key:?} not judged: {why}");
        assert!(count > 0, "{file} has no {key} any more");
    }
    for case in &cases {
        let unknown: Vec<&String> =
            case.as_object().expect("an object").keys().filter(|key| !keys.contains(&key.as_str())).collect();
        assert!(unknown.is_empty(), "{file}: nobody judges {unknown:?} of {case}");
    }
    let name = |case: &Value| ["name", "note"].iter().find_map(|key| case.get(key)?.as_str().map(str::to_owned));
    cases.into_iter().enumerate().map(|(at, case)| (name(&case).unwrap_or(format!("case {at}")), case)).collect()
}

/// Judges cases that are all valid.
fn all_valid(file: &str, cases: &[(String, Value)], judged: impl Fn(&Value) -> Result<(), String>) {
    let refused = cases.iter().filter_map(|(name, case)| judged(case).err().map(|why| format!("{name}: {why}")));
    let refused: Vec<String> = refused.collect();
    assert!(refused.is_empty(), "{file}: refused:\n{}", refused.join("\n"));
}

/// Judges cases that are all invalid, and for what: `reasons` holds a part of the message for each, by name, in order.
fn all_invalid(
    file: &str,
    cases: &[(String, Value)],
    reasons: &[(&str, &str)],
    judged: impl Fn(&Value) -> Result<(), String>,
) {
    let mut wrong = Vec::new();
    for ((name, case), (known, reason)) in cases.iter().zip(reasons) {
        match judged(case) {
            Err(why) if why.contains(reason) && name == known => {}
            is => wrong.push(format!("{name} (expected {known}: {reason}): {is:?}")),
        }
    }
    assert!(wrong.is_empty(), "{file}: judged wrong:\n{}", wrong.join("\n"));
    assert_eq!(cases.len(), reasons.len(), "{file}: a reason for each case");
}

fn documents(interop: &Interop) {
    let judged =
        |case: &Value| Lexicons::parse([case["lexicon"].to_string().as_str()]).map(drop).map_err(|e| e.to_string());
    let keys = ["name", "lexicon"];
    let file = "lexicon/lexicon-valid.json";
    all_valid(file, &cases(interop, file, &keys), judged);
    let file = "lexicon/lexicon-invalid.json";
    let reasons = [
        ("invalid lexicon field", "invalid type: string \"one\", expected u32"),
        ("invalid id field", "invalid type: integer `2`, expected a string"),
        ("invalid NSID", "not a valid NSID"),
        ("defined unknown", "\"unknown\" cannot stand alone"),
        ("defined ref", "\"ref\" cannot stand alone"),
        ("non-main primary", "can only be \"main\""),
        ("record missing type object", "missing field `type`"),
    ];
    all_invalid(file, &cases(interop, file, &keys), &reasons, judged);
}

fn records(interop: &Interop) {
    let files = interop.files("lexicon/catalog");
    let documents: Vec<String> = files.iter().map(|file| interop.text(file)).collect();
    println!("lexicon/catalog: {} documents", documents.len());
    let catalog = Lexicons::parse(documents.iter().map(String::as_str)).expect("the catalog is well formed");
    for (file, document) in files.iter().zip(&documents) {
        let id: Value = serde_json::from_str(document).expect("JSON");
        let id = id["id"].as_str().expect("an id");
        assert_eq!(catalog.record(id).is_some(), file.ends_with("/record.json"), "{file}: records alone hold records");
    }
    let record = catalog.record("example.lexicon.record").expect("the catalog defines it");
    let judged = |case: &Value| record.validate(&case["data"]).map_err(|violation| violation.to_string());
    let keys = ["name", "data", "rkey"];
    let file = "lexicon/record-data-valid.json";
    all_valid(file, &cases(interop, file, &keys), judged);
    let file = "lexicon/record-data-invalid.json";
    for (name, case) in cases(interop, file, &keys) {
        assert!(judged(&case).is_err(), "{file}: {name} was let pass");
        refused_for_what_it_was_written_for(&name, case, &record);
    }
}

/// Some cases lack a required field too, and would be refused for that alone.
fn refused_for_what_it_was_written_for(name: &str, mut case: Value, record: &atrarium::lexicon::Record<'_>) {
    let data = case["data"].as_object_mut().expect("an object");
    let written_for = data.keys().find(|key| !["$type", "integer"].contains(&key.as_str())).cloned();
    let written_for = written_for.unwrap_or_else(|| "integer".into());
    if written_for != "integer" {
        data.insert("integer".into(), 1.into());
    }
    let violation = record.validate(&case["data"]).expect_err(name);
    let blamed = violation.path.split(['.', '[']).next();
    assert_eq!(blamed, Some(written_for.as_str()), "{name}: {violation}");
}

fn data_model(interop: &Interop) {
    let judged = |case: &Value| data::check(&case["json"]).map_err(|violation| violation.to_string());
    let file = "data-model/data-model-valid.json";
    all_valid(file, &cases(interop, file, &["note", "json"]), judged);
    let file = "data-model/data-model-invalid.json";
    let reasons = [
        ("top-level not an object", "is not an object"),
        ("float", "is a fraction"),
        ("record with $type null", "$type: is not a name"),
        ("record with $type wrong type", "$type: is not a name"),
        ("record with empty $type string", "$type: is not a name"),
        ("blob with string size", "size: is not an integer"),
        ("blob with missing key", "ref: is missing"),
        ("bytes with wrong field type", "is not of the form {\"$bytes\""),
        ("bytes with extra fields", "is not of the form {\"$bytes\""),
        ("link with wrong field type", "is not of the form {\"$link\""),
        ("link with bogus CID", "not a valid CID"),
        ("link with extra fields", "is not of the form {\"$link\""),
    ];
    all_invalid(file, &cases(interop, file, &["note", "json"]), &reasons, judged);
    let file = "data-model/data-model-fixtures.json";
    let fixtures = cases(interop, file, &["json", "cbor_base64", "cid"]);
    all_valid(file, &fixtures, judged);
    for (name, case) in &fixtures {
        assert_eq!(Cid::check(case["cid"].as_str().expect("text")), Ok(()), "{name}");
    }
    println!("{file}: {} CIDs have the form of one", fixtures.len());
}

#[test]
fn every_case_of_every_file_is_judged_right() {
    let Some(interop) = Interop::open("interop_lexicon") else { return };
    documents(&interop);
    records(&interop);
    data_model(&interop);
    interop.assert_all_read("lexicon");
    interop.assert_all_read("data-model");
}

/// `syntax` is judged by `interop_syntax`, line by line; all other files are judged above, or named.
#[test]
fn no_file_is_forgotten() {
    let Some(interop) = Interop::open("interop_lexicon") else { return };
    let folders = ["syntax/", "lexicon/", "data-model/"];
    let others: BTreeSet<String> =
        interop.files("").into_iter().filter(|file| !folders.iter().any(|folder| file.starts_with(folder))).collect();
    let mut named: BTreeSet<String> = BTreeSet::from(["LICENSE-CC0".to_owned()]);
    for (file, _, why) in UNJUDGED.iter().filter(|(_, key, _)| key.is_empty()) {
        let cases: Vec<Value> = serde_json::from_str(&interop.text(file)).expect("an array of cases");
        println!("{file}: {} cases not judged: {why}", cases.len());
        named.insert((*file).to_owned());
    }
    assert_eq!(others, named, "each file that no test judges is named with its reason");
}
