//! Hashtags in the texts of posts, against what one would write: `cargo bench --no-default-features --bench tags`.
//!
//! The engine finds the tag alone, and looks at its two neighbours only then. The *one expression* says the whole rule at once,
//! neighbours included, on the same engine of regular expressions; *by characters* is the rule as it is told.

mod support;

use std::hint::black_box;

use atrarium::filter::Tags;
use regex_automata::meta::Regex;
use regex_automata::{Input, Span};
use serde_json::Value;
use support::{Bench, Time, Wire};

const FRAMES: u64 = 6_000;

fn main() {
    let mut bench = Bench::new();
    let all = texts();
    let tagged: Vec<String> = all.iter().filter(|text| text.contains("#atrarium_")).cloned().collect();
    let talk: Vec<String> = all.into_iter().filter(|text| !text.contains("#atrarium_")).collect();
    assert!(tagged.len() > 500 && talk.len() > 500, "{} texts with a tag, {} without", tagged.len(), talk.len());
    measure(&mut bench, "with a tag", &tagged);
    measure(&mut bench, "without", &talk);
    bench.finish();
}

/// The texts of posts: of communities, and of everybody else.
fn texts() -> Vec<String> {
    let mut frames = support::hits(Wire::V1, FRAMES);
    frames.extend(support::stream(Wire::V1, 2 * FRAMES));
    let text = |frame: &Vec<u8>| {
        let value: Value = serde_json::from_slice(frame).ok()?;
        Some(value["commit"]["record"]["text"].as_str()?.to_owned())
    };
    frames.iter().filter_map(text).collect()
}

fn measure(bench: &mut Bench, what: &str, texts: &[String]) {
    let (tags, one, plain) = (Tags::new(), OneExpression::new(), ByCharacters::new());
    let mut found = (Vec::new(), Vec::new(), Vec::new());
    for text in texts {
        tags.in_text(text, &mut found.0);
        one.in_text(text, &mut found.1);
        plain.in_text(text, &mut found.2);
        assert!(found.0 == found.1 && found.0 == found.2, "all three find the same in {text:?}");
    }
    let mut ids = (Vec::new(), Vec::new(), Vec::new());
    let [ours, one, plain] = bench.sides(
        &format!("a text {what}"),
        texts.len(),
        Time::Processor,
        [
            ("tags", Box::new(|| each(texts, &mut ids.0, |text, out| tags.in_text(text, out)))),
            ("one expression", Box::new(|| each(texts, &mut ids.1, |text, out| one.in_text(text, out)))),
            ("by characters", Box::new(|| each(texts, &mut ids.2, |text, out| plain.in_text(text, out)))),
        ],
    );
    bench.ratio(&format!("tags of a text {what}"), "one expression", ours, one);
    bench.ratio(&format!("tags of a text {what}"), "by characters", ours, plain);
}

fn each(texts: &[String], out: &mut Vec<u32>, find: impl Fn(&str, &mut Vec<u32>)) {
    out.clear();
    texts.iter().for_each(|text| find(black_box(text), out));
    black_box(&out);
}

/// Everything in one expression. It consumes its neighbours, so the next search begins at the end of the tag itself: two tags
/// may share what stands between them.
struct OneExpression(Regex);

impl OneExpression {
    fn new() -> Self {
        let word = r"\p{L}\p{M}\p{Nd}_";
        let pattern = format!(r"(?:^|[^{word}/#])#atrarium_([0-9a-f]{{8}})(?:$|[^{word}])");
        Self(Regex::new(&pattern).expect("it compiles"))
    }

    fn in_text(&self, text: &str, out: &mut Vec<u32>) {
        let mut captures = self.0.create_captures();
        let mut start = 0;
        loop {
            self.0.search_captures(&Input::new(text).span(start..text.len()), &mut captures);
            let Some(Span { start: from, end }) = captures.get_group(1) else { return };
            out.push(u32::from_str_radix(&text[from..end], 16).expect("hex digits"));
            start = end;
        }
    }
}

/// Character by character.
struct ByCharacters {
    word: Regex,
}

impl ByCharacters {
    const HEAD: &str = "#atrarium_";

    fn new() -> Self {
        Self { word: Regex::new(r"\A[\p{L}\p{M}\p{Nd}_]\z").expect("it compiles") }
    }

    fn is_word(&self, c: char) -> bool {
        match c {
            _ if c.is_ascii() => c.is_ascii_alphanumeric() || c == '_',
            _ => self.word.is_match(&*c.encode_utf8(&mut [0; 4])),
        }
    }

    fn in_text(&self, text: &str, out: &mut Vec<u32>) {
        let chars: Vec<char> = text.chars().collect();
        for at in 0..chars.len() {
            let Some(tag) = chars.get(at..at + 18) else { return };
            let (head, digits) = tag.split_at(10);
            let is_tag = head.iter().copied().eq(Self::HEAD.chars())
                && digits.iter().all(|c| matches!(c, '0'..='9' | 'a'..='f'));
            if !is_tag {
                continue;
            }
            let begins = at == 0 || !(self.is_word(chars[at - 1]) || matches!(chars[at - 1], '/' | '#'));
            let ends = chars.get(at + 18).is_none_or(|&next| !self.is_word(next));
            if begins && ends {
                let digits: String = digits.iter().collect();
                out.push(u32::from_str_radix(&digits, 16).expect("hex digits"));
            }
        }
    }
}
