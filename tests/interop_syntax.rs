//! Every type of `syntax` against every line of the protocol's interop files.
//!
//! `NAME_syntax_valid.txt` and `NAME_syntax_invalid.txt` judge a form. `NAME_parse_invalid.txt` lists text that has the
//! form and still says nothing: the check of the form takes it, the parser refuses it.

mod interop;

use atrarium::syntax::{
    AtIdentifier, AtUri, Cid, Did, Handle, Language, Nsid, RecordKey, SyntaxError, Tid, Uri, check_datetime,
    parse_datetime,
};

type Check = fn(&str) -> Result<(), SyntaxError>;

/// The files' name, the check of the form, and the whole check.
const TYPES: [(&str, Check, Check); 11] = [
    ("atidentifier", AtIdentifier::check, |text| AtIdentifier::parse(text).map(drop)),
    ("aturi", AtUri::check, |text| AtUri::parse(text).map(drop)),
    ("cid", Cid::check, |text| Cid::parse(text).map(drop)),
    ("datetime", check_datetime, |text| parse_datetime(text).map(drop)),
    ("did", Did::check, |text| Did::parse(text).map(drop)),
    ("handle", Handle::check, |text| Handle::parse(text).map(drop)),
    ("language", Language::check_form, |text| Language::parse(text).map(drop)),
    ("nsid", Nsid::check, |text| Nsid::parse(text).map(drop)),
    ("recordkey", RecordKey::check, |text| RecordKey::parse(text).map(drop)),
    ("tid", |text| Tid::parse(text).map(drop), |text| Tid::parse(text).map(drop)),
    ("uri", Uri::check, |text| Uri::parse(text).map(drop)),
];

/// The lines that count. They are not trimmed: some of them are wrong because of a space.
fn cases(text: &str) -> Vec<&str> {
    text.split('\n').filter(|line| !line.is_empty() && !line.starts_with('#')).collect()
}

#[test]
fn every_line_of_every_file_is_judged_right() {
    let Some(folder) = interop::folder("interop_syntax") else { return };
    let mut files: Vec<String> = std::fs::read_dir(folder.join("syntax"))
        .expect("interop/syntax is a folder")
        .map(|entry| entry.expect("readable").file_name().into_string().expect("UTF-8"))
        .collect();
    files.sort();
    let mut wrong = Vec::new();
    for file in &files {
        let text = interop::read(&folder, &format!("syntax/{file}"));
        let (name, kind) = file.trim_end_matches(".txt").split_once('_').expect("NAME_KIND.txt");
        let (_, form, whole) = TYPES.iter().find(|(known, ..)| *known == name).expect("a type that we have");
        // What each check should say: whether the form is right, and whether the whole is.
        let expected = match kind {
            "syntax_valid" => (true, true),
            "syntax_invalid" => (false, false),
            "parse_invalid" => (true, false),
            _ => panic!("{file}: an unknown kind of file"),
        };
        let lines = cases(&text);
        assert!(!lines.is_empty(), "{file} holds no case");
        for line in &lines {
            let judged = (form(line), whole(line));
            if (judged.0.is_ok(), judged.1.is_ok()) != expected {
                wrong.push(format!("{file}: {line:.80}: {judged:?}"));
            }
        }
        println!("{file}: {} lines", lines.len());
    }
    assert!(files.len() >= 24, "only {} files", files.len());
    assert!(wrong.is_empty(), "judged wrong:\n{}", wrong.join("\n"));
}
