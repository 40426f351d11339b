//! Language tags: BCP 47, that is RFC 5646, <https://atproto.com/specs/lexicon#language>.

use std::iter::Peekable;
use std::str::Split;

use super::{SyntaxError, text_type};

/// A language tag, such as `pt-BR`. At most 128 bytes.
///
/// Two things are stricter here than in RFC 5646, as the protocol's interop files judge them: the language is two or
/// three *lower-case* letters, and nothing else (longer ones are reserved there, and none was ever registered).
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Language(Box<str>);

text_type!(Language);

/// The tags of RFC 5646 that are older than its grammar and do not follow it.
const IRREGULAR: [&str; 17] = [
    "en-GB-oed",
    "i-ami",
    "i-bnn",
    "i-default",
    "i-enochian",
    "i-hak",
    "i-klingon",
    "i-lux",
    "i-mingo",
    "i-navajo",
    "i-pwn",
    "i-tao",
    "i-tay",
    "i-tsu",
    "sgn-BE-FR",
    "sgn-BE-NL",
    "sgn-CH-DE",
];

type Subtags<'a> = Peekable<Split<'a, char>>;

impl Language {
    /// Checks without keeping: the form, and that no variant and no extension stands twice (RFC 5646 §2.2.9).
    ///
    /// # Errors
    /// Names the broken rule.
    pub fn check(text: &str) -> Result<(), SyntaxError> {
        let repeatable = read(text)?;
        let twice = repeatable
            .iter()
            .enumerate()
            .any(|(at, one)| repeatable[..at].iter().any(|two| one.eq_ignore_ascii_case(two)));
        if twice {
            return Err(SyntaxError::new("language tag", "a variant or an extension stands twice"));
        }
        Ok(())
    }

    /// Checks the form alone.
    ///
    /// # Errors
    /// Names the broken rule.
    pub fn check_form(text: &str) -> Result<(), SyntaxError> {
        read(text).map(drop)
    }
}

/// Walks the subtags in the order of the grammar. Out: what may not stand twice, variants (four characters and more)
/// and the single characters that open extensions.
fn read(text: &str) -> Result<Vec<&str>, SyntaxError> {
    let fail = |why| SyntaxError::new("language tag", why);
    if text.len() > 128 {
        return Err(fail("longer than 128 bytes"));
    }
    if IRREGULAR.iter().any(|tag| tag.eq_ignore_ascii_case(text)) {
        return Ok(Vec::new());
    }
    let mut subtags: Subtags<'_> = text.split('-').peekable();
    let mut repeatable = Vec::new();
    if !private_use(&mut subtags)? {
        language(&mut subtags)?;
        subtags.next_if(|tag| tag.len() == 4 && letters(tag));
        subtags.next_if(|tag| tag.len() == 2 && letters(tag) || tag.len() == 3 && digits(tag));
        while let Some(variant) = subtags.next_if(|tag| is_variant(tag)) {
            repeatable.push(variant);
        }
        while let Some(singleton) = subtags.next_if(|tag| tag.len() == 1 && alphanumeric(tag) && !is_x(tag)) {
            repeatable.push(singleton);
            if take(&mut subtags, 2) == 0 {
                return Err(fail("an extension is empty"));
            }
        }
        private_use(&mut subtags)?;
    }
    match subtags.next() {
        None => Ok(repeatable),
        Some(_) => Err(fail("a part does not fit its place")),
    }
}

/// The language and its up to three extended ones.
fn language(subtags: &mut Subtags<'_>) -> Result<(), SyntaxError> {
    let is_language = |tag: &&str| (2..=3).contains(&tag.len()) && tag.bytes().all(|b| b.is_ascii_lowercase());
    if subtags.next_if(is_language).is_none() {
        return Err(SyntaxError::new("language tag", "the language is not two or three lower-case letters"));
    }
    for _ in 0..3 {
        subtags.next_if(|tag| tag.len() == 3 && letters(tag));
    }
    Ok(())
}

/// `x-…`, and whether it stood there.
fn private_use(subtags: &mut Subtags<'_>) -> Result<bool, SyntaxError> {
    if subtags.next_if(|tag| is_x(tag)).is_none() {
        return Ok(false);
    }
    match take(subtags, 1) {
        0 => Err(SyntaxError::new("language tag", "nothing follows \"x\"")),
        _ => Ok(true),
    }
}

/// Takes subtags of `shortest` to eight letters and digits, and says how many.
fn take(subtags: &mut Subtags<'_>, shortest: usize) -> usize {
    let mut taken = 0;
    while subtags.next_if(|tag| (shortest..=8).contains(&tag.len()) && alphanumeric(tag)).is_some() {
        taken += 1;
    }
    taken
}

fn is_variant(tag: &str) -> bool {
    let long = (5..=8).contains(&tag.len());
    let short = tag.len() == 4 && tag.starts_with(|c: char| c.is_ascii_digit());
    (long || short) && alphanumeric(tag)
}

fn is_x(tag: &str) -> bool {
    tag.eq_ignore_ascii_case("x")
}

fn letters(tag: &str) -> bool {
    tag.bytes().all(|b| b.is_ascii_alphabetic())
}

fn digits(tag: &str) -> bool {
    tag.bytes().all(|b| b.is_ascii_digit())
}

fn alphanumeric(tag: &str) -> bool {
    tag.bytes().all(|b| b.is_ascii_alphanumeric())
}
