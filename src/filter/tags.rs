//! The exact hashtag.
//!
//! In: the decoded text of a post, or one tag of its facets or `tags`. Out: community ids.
//!
//! The rule (DESIGN §3, "Tag in text"): `#atrarium_` and 8 lower-case hex digits; it begins at the start or after a
//! character that is no letter, mark, digit, `_`, `/` or `#`; it ends at the end or before a character that is no letter,
//! mark, digit or `_`. Letter, mark and digit are Unicode's general categories L, M and Nd.

use regex_automata::meta::Regex;
use regex_automata::{Anchored, Input};

/// What every tag starts with, without the `#`.
const PREFIX: &str = "atrarium_";
/// Hex digits of an id.
const ID_DIGITS: usize = 8;

/// Finds community hashtags. Making one compiles two expressions (about a millisecond): make one per thread.
#[derive(Debug)]
pub struct Tags {
    /// The tag alone, without a look at its neighbours: expressions that consume their neighbours lose every second one
    /// of two tags that share a space, and this engine has no lookaround.
    candidate: Regex,
    /// One character of a word.
    word: Regex,
}

impl Default for Tags {
    fn default() -> Self {
        Self::new()
    }
}

impl Tags {
    /// Compiles the expressions.
    pub fn new() -> Self {
        let compile = |pattern| Regex::new(pattern).expect("invariant: the pattern is a constant that compiles");
        Self { candidate: compile(r"#atrarium_[0-9a-f]{8}"), word: compile(r"[\p{L}\p{M}\p{Nd}_]") }
    }

    /// Appends the id of every hashtag in `text`, in the order in which they stand there, one that stands twice twice.
    pub fn in_text(&self, text: &str, out: &mut Vec<u32>) {
        for found in self.candidate.find_iter(text) {
            let (before, after) = (&text[..found.start()], &text[found.end()..]);
            if self.may_begin_after(before) && !self.is_word(after.chars().next()) {
                out.extend(parse_id(&text[found.end() - ID_DIGITS..found.end()]));
            }
        }
    }

    /// The id of a tag as facets and `tags` hold it: exactly `atrarium_` and 8 lower-case hex digits, without `#`.
    pub fn exact(tag: &str) -> Option<u32> {
        parse_id(tag.strip_prefix(PREFIX)?)
    }

    fn may_begin_after(&self, before: &str) -> bool {
        let last = before.chars().next_back();
        !matches!(last, Some('/' | '#')) && !self.is_word(last)
    }

    fn is_word(&self, neighbour: Option<char>) -> bool {
        match neighbour {
            None => false,
            Some(ascii) if ascii.is_ascii() => ascii.is_ascii_alphanumeric() || ascii == '_',
            Some(other) => {
                let mut bytes = [0; 4];
                let text: &str = other.encode_utf8(&mut bytes);
                self.word.is_match(Input::new(text).anchored(Anchored::Yes))
            }
        }
    }
}

fn parse_id(digits: &str) -> Option<u32> {
    let lower_hex = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    let fits = digits.len() == ID_DIGITS && digits.bytes().all(lower_hex);
    fits.then(|| u32::from_str_radix(digits, 16).ok()).flatten()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn ids(text: &str) -> Vec<u32> {
        let mut out = Vec::new();
        Tags::new().in_text(text, &mut out);
        out
    }

    #[test]
    fn the_examples_of_the_design() {
        let one = [0xa1b2_c3d4];
        for yes in [
            "#atrarium_a1b2c3d4",
            "(#atrarium_a1b2c3d4).",
            "#atrarium_a1b2c3d4、はい",
            "a #atrarium_a1b2c3d4 b",
            "\n#atrarium_a1b2c3d4\n",
            "はい。#atrarium_a1b2c3d4",
            "😀#atrarium_a1b2c3d4😀",
            "-#atrarium_a1b2c3d4-",
            "\"#atrarium_a1b2c3d4/",
            "&#atrarium_a1b2c3d4#",
            "\u{200b}#atrarium_a1b2c3d4\u{200b}",
        ] {
            assert_eq!(ids(yes), one, "{yes}");
        }
        for no in [
            "",
            "#atrarium_a1b2c3d4e",
            "#atrarium_a1b2c3d4さん",
            "x#atrarium_a1b2c3d4",
            "##atrarium_a1b2c3d4",
            "＃atrarium_a1b2c3d4",
            "さ#atrarium_a1b2c3d4",
            "_#atrarium_a1b2c3d4",
            "/#atrarium_a1b2c3d4",
            "7#atrarium_a1b2c3d4",
            "٣#atrarium_a1b2c3d4",
            "e\u{301}#atrarium_a1b2c3d4",
            "#atrarium_a1b2c3d4\u{301}",
            "#atrarium_a1b2c3d4_",
            "#atrarium_a1b2c3d4z",
            "#atrarium_a1b2c3d4٣",
            "#atrarium_a1b2c3d",
            "#Atrarium_a1b2c3d4",
            "#atrarium_A1B2C3D4",
            "#atrarium_a1b2c3dg",
            "atrarium_a1b2c3d4",
            "# atrarium_a1b2c3d4",
        ] {
            assert_eq!(ids(no), [0; 0], "{no}");
        }
    }

    #[test]
    fn several_tags_share_their_neighbours() {
        assert_eq!(ids("#atrarium_00000001 #atrarium_00000002,#atrarium_00000001"), [1, 2, 1]);
        // The second one begins after a digit of the first one.
        assert_eq!(ids("#atrarium_00000001#atrarium_00000002"), [1]);
        // The first one does not end; the second one stands well.
        assert_eq!(ids("#atrarium_00000001x #atrarium_00000002"), [2]);
        assert_eq!(ids("#atrarium_#atrarium_00000002"), [0; 0]);
        assert_eq!(ids("#atrarium_.#atrarium_00000002"), [2]);
    }

    #[test]
    fn an_exact_tag_has_no_hash_and_nothing_else() {
        assert_eq!(Tags::exact("atrarium_a1b2c3d4"), Some(0xa1b2_c3d4));
        for no in [
            "#atrarium_a1b2c3d4",
            "atrarium_a1b2c3d",
            "atrarium_a1b2c3d45",
            "atrarium_A1B2C3D4",
            "atrarium_+1b2c3d4",
            "",
        ] {
            assert_eq!(Tags::exact(no), None, "{no}");
        }
    }

    /// The rule once more, character by character.
    struct Naive {
        letter: Regex,
        mark: Regex,
        digit: Regex,
    }

    impl Naive {
        fn new() -> Self {
            let [letter, mark, digit] = [r"\A\p{L}\z", r"\A\p{M}\z", r"\A\p{Nd}\z"].map(|p| Regex::new(p).unwrap());
            Self { letter, mark, digit }
        }

        fn is_word(&self, c: char) -> bool {
            let text = c.to_string();
            c == '_' || [&self.letter, &self.mark, &self.digit].iter().any(|class| class.is_match(&text))
        }

        fn ids(&self, text: &str) -> Vec<u32> {
            let chars: Vec<char> = text.chars().collect();
            let mut out = Vec::new();
            for at in 0..chars.len() {
                let Some(tag) = chars.get(at..at + 18) else { break };
                let (head, digits) = tag.split_at(10);
                if !head.iter().copied().eq("#atrarium_".chars())
                    || !digits.iter().all(|c| matches!(c, '0'..='9' | 'a'..='f'))
                {
                    continue;
                }
                let begins = at == 0 || !(self.is_word(chars[at - 1]) || matches!(chars[at - 1], '/' | '#'));
                let ends = chars.get(at + 18).is_none_or(|&next| !self.is_word(next));
                if begins && ends {
                    out.push(u32::from_str_radix(&digits.iter().collect::<String>(), 16).unwrap());
                }
            }
            out
        }
    }

    /// Every character against the naive reading; and those of long standing against what `std` knows (a newer one may
    /// be a letter to one table and not yet to the other).
    #[test]
    fn a_word_is_what_unicode_says() {
        let (tags, naive) = (Tags::new(), Naive::new());
        for c in ('\0'..='\u{2fa1f}').filter(|c| !matches!(c, '\u{e000}'..='\u{f8ff}')) {
            assert_eq!(tags.is_word(Some(c)), naive.is_word(c), "{c:?}");
        }
        for c in '\0'..'\u{3000}' {
            let word = tags.is_word(Some(c));
            // Ⅷ and Ⓐ have case and are no letters.
            let cased = c.is_lowercase() || c.is_uppercase();
            assert!(word || !cased || matches!(c, '\u{2160}'..='\u{217f}' | '\u{24b6}'..='\u{24e9}'), "{c:?}");
            assert!(!word || c.is_alphanumeric() || c == '_' || naive.mark.is_match(&c.to_string()), "{c:?}");
        }
    }

    fn piece() -> impl Strategy<Value = String> {
        prop_oneof![
            6 => "[0-9a-f]{8}".prop_map(|id| format!("#atrarium_{id}")),
            1 => Just("#atrarium_".to_owned()),
            1 => "[0-9a-fA-F]{7,9}",
            2 => "[ #/_.,、。xさ７٣\u{301}\u{200d}＃😀&(]",
            1 => any::<char>().prop_map(String::from),
        ]
    }

    proptest! {
        #[test]
        fn text_equals_the_naive_reading(pieces in prop::collection::vec(piece(), 0..8)) {
            let text = pieces.concat();
            prop_assert_eq!(ids(&text), Naive::new().ids(&text), "{}", text);
        }
    }
}
