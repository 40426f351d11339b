//! The validator against the protocol's interop files: lexicon documents, records against a catalog, and the data model.
//!
//! Out of scope, and said so: the binary form and the content ids of `data-model-fixtures.json` (its JSON is judged).

mod interop;

use std::path::Path;

use atrarium::lexicon::{Lexicons, data};
use serde_json::Value;

/// The cases of one file, as `(name, case)`.
fn cases(folder: &Path, file: &str) -> Vec<(String, Value)> {
    let cases: Vec<Value> = serde_json::from_str(&interop::read(folder, file)).expect("an array of cases");
    assert!(!cases.is_empty(), "{file} holds no case");
    println!("{file}: {} cases", cases.len());
    let name = |case: &Value| ["name", "note"].iter().find_map(|key| case.get(key)?.as_str().map(str::to_owned));
    cases.into_iter().enumerate().map(|(at, case)| (name(&case).unwrap_or(format!("case {at}")), case)).collect()
}

/// Judges every case of a file and says which were judged wrong.
fn judge(folder: &Path, file: &str, valid: bool, judged: impl Fn(&Value) -> Result<(), String>) {
    let mut wrong = Vec::new();
    for (name, case) in cases(folder, file) {
        let is = judged(&case);
        if is.is_ok() != valid {
            wrong.push(format!("{name}: {is:?}"));
        }
    }
    assert!(wrong.is_empty(), "{file}: judged wrong:\n{}", wrong.join("\n"));
}

#[test]
fn documents_are_judged_right() {
    let Some(folder) = interop::folder("interop_lexicon") else { return };
    let judged =
        |case: &Value| Lexicons::parse([case["lexicon"].to_string().as_str()]).map(drop).map_err(|e| e.to_string());
    judge(&folder, "lexicon/lexicon-valid.json", true, judged);
    judge(&folder, "lexicon/lexicon-invalid.json", false, judged);
}

#[test]
fn records_are_judged_right() {
    let Some(folder) = interop::folder("interop_lexicon") else { return };
    let mut documents = Vec::new();
    for entry in std::fs::read_dir(folder.join("lexicon/catalog")).expect("a folder") {
        documents.push(std::fs::read_to_string(entry.expect("readable").path()).expect("UTF-8"));
    }
    println!("lexicon/catalog: {} documents", documents.len());
    let catalog = Lexicons::parse(documents.iter().map(String::as_str)).expect("the catalog is well formed");
    let record = catalog.record("example.lexicon.record").expect("the catalog defines it");
    let judged = |case: &Value| record.validate(&case["data"]).map_err(|violation| violation.to_string());
    judge(&folder, "lexicon/record-data-valid.json", true, judged);
    judge(&folder, "lexicon/record-data-invalid.json", false, judged);
}

/// Some cases of the file lack a required field too, and would be refused for that alone.
#[test]
fn records_are_refused_for_the_reason_they_were_written_for() {
    let Some(folder) = interop::folder("interop_lexicon") else { return };
    let document = interop::read(&folder, "lexicon/catalog/record.json");
    let catalog = Lexicons::parse([document.as_str()]).expect("well formed");
    let record = catalog.record("example.lexicon.record").expect("defined");
    for (name, mut case) in cases(&folder, "lexicon/record-data-invalid.json") {
        let data = case["data"].as_object_mut().expect("an object");
        let written_for = data.keys().find(|key| !["$type", "integer"].contains(&key.as_str())).cloned();
        let written_for = written_for.unwrap_or_else(|| "integer".into());
        if written_for != "integer" {
            data.insert("integer".into(), 1.into());
        }
        let violation = record.validate(&case["data"]).expect_err(&name);
        let blamed = violation.path.split(['.', '[']).next();
        assert_eq!(blamed, Some(written_for.as_str()), "{name}: {violation}");
    }
}

#[test]
fn the_data_model_is_judged_right() {
    let Some(folder) = interop::folder("interop_lexicon") else { return };
    let judged = |case: &Value| data::check(&case["json"]).map_err(|violation| violation.to_string());
    judge(&folder, "data-model/data-model-valid.json", true, judged);
    judge(&folder, "data-model/data-model-invalid.json", false, judged);
    judge(&folder, "data-model/data-model-fixtures.json", true, judged);
}
