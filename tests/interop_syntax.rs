//! Every type of `syntax` against every line of the protocol's interop files, and once more through the lexicon validator,
//! as a string of that format in a record.
//!
//! `NAME_syntax_valid.txt` and `NAME_syntax_invalid.txt` judge a form. `NAME_parse_invalid.txt` lists text that has the
//! form and still says nothing: the check of the form takes it, the parser refuses it.

mod interop;

use atrarium::lexicon::Lexicons;
use atrarium::syntax::{
    AtIdentifier, AtUri, Cid, Did, Handle, Language, Nsid, RecordKey, SyntaxError, Tid, Uri, check_datetime,
    parse_datetime,
};
use interop::Interop;
use serde_json::json;

type Check = fn(&str) -> Result<(), SyntaxError>;

/// One type.
struct Type {
    /// As the files are named.
    name: &'static str,
    /// As lexicons name the format.
    format: &'static str,
    /// The check of the form.
    form: Check,
    /// The whole check.
    whole: Check,
}

/// A type whose check is that of its form alone, and which keeps the text as it was.
macro_rules! text_type {
    ($name:literal, $format:literal, $type:ident, $form:ident) => {
        Type {
            name: $name,
            format: $format,
            form: $type::$form,
            whole: |text| {
                let parsed = $type::parse(text)?;
                assert_eq!((parsed.as_str(), parsed.to_string().as_str()), (text, text), "what is parsed is kept");
                Ok(())
            },
        }
    };
}

const TYPES: [Type; 11] = [
    text_type!("atidentifier", "at-identifier", AtIdentifier, check),
    text_type!("aturi", "at-uri", AtUri, check),
    text_type!("cid", "cid", Cid, check),
    Type { name: "datetime", format: "datetime", form: check_datetime, whole: |text| parse_datetime(text).map(drop) },
    text_type!("did", "did", Did, check),
    text_type!("handle", "handle", Handle, check),
    text_type!("language", "language", Language, check_form),
    text_type!("nsid", "nsid", Nsid, check),
    text_type!("recordkey", "record-key", RecordKey, check),
    Type {
        name: "tid",
        format: "tid",
        form: |text| Tid::parse(text).map(drop),
        whole: |text| {
            assert_eq!(Tid::parse(text)?.to_string(), text, "what is parsed is written the same");
            Ok(())
        },
    },
    text_type!("uri", "uri", Uri, check),
];

/// The lines that are cases. A comment is `#` and a space, or `#` alone: `#extra` is a case. Lines are not trimmed: some
/// are wrong because of a space.
fn cases(text: &str) -> impl Iterator<Item = &str> {
    text.split('\n').filter(|line| !line.is_empty() && *line != "#" && !line.starts_with("# "))
}

fn judged(of: &Type, text: &str) -> (bool, bool, bool) {
    let document = json!({"lexicon": 1, "id": "a.b.c", "defs": {"main": {"type": "record", "key": "tid", "record": {
        "type": "object", "properties": {"it": {"type": "string", "format": of.format}}}}}});
    let lexicons = Lexicons::parse([document.to_string().as_str()]).expect("a lexicon");
    let record = lexicons.record("a.b.c").expect("a record");
    let is_valid = record.validate(&json!({"$type": "a.b.c", "it": text})).is_ok();
    ((of.form)(text).is_ok(), (of.whole)(text).is_ok(), is_valid)
}

#[test]
fn every_line_of_every_file_is_judged_right() {
    let Some(interop) = Interop::open("interop_syntax") else { return };
    let (mut wrong, mut total) = (Vec::new(), 0);
    for file in interop.files("syntax") {
        let text = interop.text(&file);
        let name = file.strip_prefix("syntax/").and_then(|name| name.strip_suffix(".txt"));
        let (name, kind) = name.and_then(|name| name.split_once('_')).expect("NAME_KIND.txt");
        let of = TYPES.iter().find(|known| known.name == name).unwrap_or_else(|| panic!("{file}: no such type here"));
        // Whether the form is right, whether the whole is, and whether a record may hold it.
        let expected = match kind {
            "syntax_valid" => (true, true, true),
            "syntax_invalid" => (false, false, false),
            "parse_invalid" => (true, false, false),
            _ => panic!("{file}: an unknown kind of file"),
        };
        let mut count = 0;
        for line in cases(&text) {
            count += 1;
            let is = judged(of, line);
            if is != expected {
                wrong.push(format!("{file}: {line:.80}: is {is:?}, must be {expected:?}"));
            }
        }
        assert!(count > 0, "{file} holds no case");
        println!("{file}: {count} lines");
        total += count;
    }
    println!("{total} lines in all, {} judged wrong", wrong.len());
    assert!(wrong.is_empty(), "judged wrong:\n{}", wrong.join("\n"));
    interop.assert_all_read("syntax");
}

#[test]
fn every_type_has_its_files_and_refuses_what_is_empty() {
    let Some(interop) = Interop::open("interop_syntax") else { return };
    let files = interop.files("syntax");
    for of in &TYPES {
        for kind in ["syntax_valid", "syntax_invalid"] {
            assert!(files.contains(&format!("syntax/{}_{kind}.txt", of.name)), "{} {kind}", of.name);
        }
        assert_eq!(judged(of, ""), (false, false, false), "{}", of.name);
    }
}
