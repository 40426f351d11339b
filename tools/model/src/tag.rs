//! Which community hashtags a post carries.
//!
//! In: a post's text, facets and tags. Out: ids of 8 lower-case hex digits. Character by character, as DESIGN §3 says.

use std::collections::BTreeSet;
use std::sync::LazyLock;

use regex::Regex;
use serde_json::Value;

static WORD: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"^[\p{L}\p{M}\p{Nd}_]$").expect("invariant: a valid pattern"));

/// A Unicode letter, mark or digit, or `_`.
fn is_word(c: char) -> bool {
    WORD.is_match(c.encode_utf8(&mut [0; 4]))
}

fn is_id(text: &str) -> bool {
    text.len() == 8 && text.chars().all(|c| matches!(c, '0'..='9' | 'a'..='f'))
}

/// "Tag in text: lower case, ASCII `#`; it begins at the start or after a character that is no letter, mark, digit,
/// `_`, `/` or `#`; it ends at the end or before a character that is no Unicode letter, mark, digit or `_`."
pub fn tags_in_text(text: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for (at, _) in text.char_indices() {
        let (before, here) = text.split_at(at);
        let Some(rest) = here.strip_prefix("#atrarium_") else { continue };
        let id: String = rest.chars().take(8).collect();
        let begins = before.chars().next_back().is_none_or(|c| !is_word(c) && c != '/' && c != '#');
        let ends = rest.chars().nth(8).is_none_or(|c| !is_word(c));
        if is_id(&id) && begins && ends {
            found.insert(id);
        }
    }
    found
}

/// "Facet `#tag` features and `tags` hold exactly `atrarium_<8 hex>`, without `#`."
fn exact(tag: &str) -> Option<String> {
    tag.strip_prefix("atrarium_").filter(|id| is_id(id)).map(Into::into)
}

/// The union of the three places. What is malformed counts as absent, each element for itself.
pub(crate) fn tags_of_post(post: &Value) -> BTreeSet<String> {
    let mut found = post["text"].as_str().map(tags_in_text).unwrap_or_default();
    for facet in post["facets"].as_array().into_iter().flatten() {
        for feature in facet["features"].as_array().into_iter().flatten() {
            if feature["$type"] == "app.bsky.richtext.facet#tag" {
                found.extend(feature["tag"].as_str().and_then(exact));
            }
        }
    }
    for tag in post["tags"].as_array().into_iter().flatten() {
        found.extend(tag.as_str().and_then(exact));
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn has(text: &str) -> bool {
        tags_in_text(text) == BTreeSet::from(["a1b2c3d4".into()])
    }

    #[test]
    fn the_examples_of_the_design() {
        for yes in ["(#atrarium_a1b2c3d4).", "#atrarium_a1b2c3d4、はい", "#atrarium_a1b2c3d4", "。#atrarium_a1b2c3d4\n"]
        {
            assert!(has(yes), "{yes}");
        }
        for no in [
            "#atrarium_a1b2c3d4e",
            "#atrarium_a1b2c3d4さん",
            "x#atrarium_a1b2c3d4",
            "##atrarium_a1b2c3d4",
            "＃atrarium_a1b2c3d4",
            "https://a.b/#atrarium_a1b2c3d4",
            "#Atrarium_a1b2c3d4",
            "#atrarium_A1b2c3d4",
            "#atrarium_a1b2c3d",
            "#atrarium_a1b2c3d4_",
            "#atrarium_a1b2c3d4\u{301}",
            "#atrarium_a1b2c3d4\u{661}",
            "あ#atrarium_a1b2c3d4",
            "_#atrarium_a1b2c3d4",
            "atrarium_a1b2c3d4",
        ] {
            assert!(tags_in_text(no).is_empty(), "{no}");
        }
    }

    #[test]
    fn a_text_may_hold_several() {
        let tags = tags_in_text("#atrarium_00000001 #atrarium_00000002,#atrarium_00000001 #atrarium_0000000x");
        assert_eq!(tags.into_iter().collect::<Vec<_>>(), ["00000001", "00000002"]);
    }

    #[test]
    fn facets_and_tags_hold_the_bare_word_and_malformed_ones_are_skipped() {
        let tags = |json: &str| -> Vec<String> {
            tags_of_post(&serde_json::from_str(json).expect("JSON")).into_iter().collect()
        };
        assert_eq!(tags(r##"{"text":5,"tags":[7,"atrarium_0000000a","#atrarium_0000000b"]}"##), ["0000000a"]);
        let facet = r##"{"facets":[4,{"features":[{"$type":"app.bsky.richtext.facet#link","tag":"atrarium_00000001"},
            {"$type":"app.bsky.richtext.facet#tag","tag":"atrarium_00000002"},
            {"$type":"app.bsky.richtext.facet#tag","tag":9}]}],"tags":"atrarium_00000003"}"##;
        assert_eq!(tags(facet), ["00000002"]);
        assert!(tags(r##"{"facets":{},"embed":{"external":{"title":"#atrarium_00000001"}}}"##).is_empty());
    }
}
