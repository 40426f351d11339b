//! The protocol's words.
//!
//! Input: text; up to the first zero byte it is tried as each of them, and what follows is compared with it.
#![no_main]

use std::cmp::Ordering;

use atrarium::fact::CommunityId;
use atrarium::filter::Tags;
use atrarium::syntax::{
    AtIdentifier, AtUri, Cid, Did, Handle, Language, Nsid, RecordKey, RecordUri, Tid, Time, Uri, check_datetime,
    compare_repositories, parse_datetime,
};
use libfuzzer_sys::fuzz_target;

thread_local! {
    /// Made once: its automaton takes longer than everything else here.
    static TAGS: Tags = Tags::new();
}

macro_rules! prints {
    ($text:ident: $($name:ident)*) => {
        $(if let Ok(word) = $name::parse($text) {
            assert_eq!(word.to_string(), $text);
            assert_eq!(word.as_str(), $text);
        })*
    };
}

fuzz_target!(|data: &[u8]| {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let (text, other) = text.split_once('\0').unwrap_or((text, ""));
    prints!(text: AtIdentifier AtUri Cid Did Handle Language Nsid RecordKey Uri);
    if let Ok(tid) = Tid::parse(text) {
        assert_eq!(tid.to_string(), text);
        assert_eq!(Tid::from_u64(tid.to_u64()), tid);
        assert!(RecordKey::check(text).is_ok(), "a TID is a record key");
    }
    record_uri(text);
    datetime(text);
    if let Ok(id) = CommunityId::parse(text) {
        assert_eq!(id.to_string(), text);
        assert_eq!(CommunityId::parse_hashtag(&format!("#atrarium_{text}")), Ok(id));
    }
    if let (Ok(a), Ok(b)) = (Did::parse(text), Did::parse(other)) {
        let order = compare_repositories(&a, &b);
        assert_eq!(order, compare_repositories(&b, &a).reverse());
        assert_eq!(order == Ordering::Equal, a == b);
        // As AT-URIs are ordered: the DID and what follows it.
        assert_eq!(order, format!("at://{a}/x").cmp(&format!("at://{b}/x")));
    }
    tags(text);
});

fn record_uri(text: &str) {
    if let Ok(uri) = RecordUri::parse(text) {
        assert_eq!(uri.to_string(), text);
        let whole = AtUri::parse(text).expect("a record's URI is an AT-URI");
        assert_eq!(whole.to_record(), Some(uri));
    }
    if let Ok(uri) = AtUri::parse(text) {
        assert!(AtIdentifier::check(uri.authority()).is_ok());
        assert!(uri.rkey().is_none() || uri.collection().is_some());
        if let Some(record) = uri.to_record() {
            assert_eq!(RecordUri::parse(&record.to_string()), Ok(record));
        }
    }
}

fn datetime(text: &str) {
    let Ok(time) = parse_datetime(text) else { return };
    assert!(check_datetime(text).is_ok());
    assert_eq!(parse_datetime(&time.to_string()), Ok(time), "what is printed is read: {time}");
    assert!(Time::from_millis(time.millis()) <= time);
}

/// Hashtags by hand, character by character, against those that are found.
fn tags(text: &str) {
    let mut found = Vec::new();
    TAGS.with(|tags| tags.in_text(text, &mut found));
    found.sort_unstable();
    found.dedup();
    let mut plain = Vec::new();
    for (at, _) in text.match_indices("#") {
        let Some(id) = tag_at(text, at) else { continue };
        plain.push(id);
    }
    plain.sort_unstable();
    plain.dedup();
    if text.is_ascii() {
        assert_eq!(found, plain, "{text:?}");
    }
    // What is neither a letter nor a digit by the standard library may still be a mark: such neighbours are not judged here.
    assert!(plain.iter().all(|id| found.contains(id)), "{text:?}: {plain:?}, not {found:?}");
}

fn tag_at(text: &str, at: usize) -> Option<u32> {
    const LENGTH: usize = "#atrarium_".len();
    let rest = &text[at..];
    let (name, digits) = (rest.get(..LENGTH)?, rest.get(LENGTH..LENGTH + 8)?);
    let lower = digits.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte));
    let before = text[..at].chars().next_back();
    let after = rest[LENGTH + 8..].chars().next();
    let joins = |c: char| c.is_alphanumeric() || c == '_';
    let ends = after.is_none_or(|c| !joins(c) && c.is_ascii());
    let begins = before.is_none_or(|c| !joins(c) && c != '/' && c != '#' && c.is_ascii());
    let holds = name == "#atrarium_" && lower && begins && ends;
    if holds { u32::from_str_radix(digits, 16).ok() } else { None }
}
