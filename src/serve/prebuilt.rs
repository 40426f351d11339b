//! Bodies that are made once and sent often: with an entity tag, and compressed ahead.
//!
//! In: a body, a request's headers. Out: the body, its gzip form where that is asked for and smaller, or 304 where the
//! client has it already.
//!
//! Only what is made once is compressed. A page of a feed is not: 50 items take 4 kB, and the fastest level needs longer for
//! them than all else that the answer costs (10 µs) several times over, to spare a proxy in the same data centre 3 kB.
//!
//! The tag is weak, for both forms have the same one: it says that they mean the same, not that they are the same bytes.

use std::io::Write;

use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use hyper::header::{ACCEPT_ENCODING, CACHE_CONTROL, CONTENT_ENCODING, ETAG, HeaderValue, IF_NONE_MATCH, VARY};
use hyper::{HeaderMap, StatusCode};
use xxhash_rust::xxh3::xxh3_64;

use super::answer::{self, Answer};
use crate::limits::HTTP_CACHE_SECONDS;

/// See the [module](self). Clones share the bytes.
#[derive(Clone, Debug)]
pub(super) struct Prebuilt {
    content_type: HeaderValue,
    body: Bytes,
    gzip: Option<Bytes>,
    tag: HeaderValue,
    cache: HeaderValue,
}

impl Prebuilt {
    /// JSON that may be cached for [`HTTP_CACHE_SECONDS`].
    pub fn json(body: impl Into<Bytes>) -> Self {
        let body = body.into();
        let gzip = gzip(&body).filter(|gzip| gzip.len() < body.len());
        let cache = HeaderValue::try_from(format!("public, max-age={HTTP_CACHE_SECONDS}"));
        let cache = cache.expect("invariant: ASCII is a header's value");
        Self { content_type: answer::JSON, tag: tag(&body), body, gzip, cache }
    }

    pub fn answer(&self, asked: &HeaderMap) -> Answer {
        let mut answer = if has_already(asked, &self.tag) {
            not_modified()
        } else if let Some(gzip) = self.gzip.as_ref().filter(|_| accepts_gzip(asked)) {
            let mut answer = answer::body(StatusCode::OK, self.content_type.clone(), gzip.clone());
            answer.headers_mut().insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
            answer
        } else {
            answer::body(StatusCode::OK, self.content_type.clone(), self.body.clone())
        };
        let headers = answer.headers_mut();
        headers.insert(ETAG, self.tag.clone());
        headers.insert(CACHE_CONTROL, self.cache.clone());
        headers.insert(VARY, HeaderValue::from_static("accept-encoding"));
        answer
    }
}

/// 304: the client's copy is as good as new.
pub(super) fn not_modified() -> Answer {
    let mut answer = Answer::default();
    *answer.status_mut() = StatusCode::NOT_MODIFIED;
    answer
}

/// The weak tag of a body: the same for the same bytes, on every node and after every restart.
pub(super) fn tag(body: &[u8]) -> HeaderValue {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    let hash = xxh3_64(body);
    let mut text = *b"W/\"................\"";
    for (at, byte) in text[3..19].iter_mut().enumerate() {
        *byte = HEX[(hash >> (60 - 4 * at)) as usize & 15];
    }
    HeaderValue::from_bytes(&text).expect("invariant: ASCII is a header's value")
}

/// Whether `if-none-match` names a tag, in any of its forms.
pub(super) fn has_already(asked: &HeaderMap, tag: &HeaderValue) -> bool {
    let opaque = |text: &str| text.trim().trim_start_matches("W/").to_owned();
    let lists = asked.get_all(IF_NONE_MATCH).into_iter().filter_map(|list| list.to_str().ok());
    let Ok(ours) = tag.to_str() else { return false };
    lists.flat_map(|list| list.split(',')).any(|theirs| theirs.trim() == "*" || opaque(theirs) == opaque(ours))
}

/// Whether `accept-encoding` takes gzip: by its name or by `*`, and not with a weight of 0.
fn accepts_gzip(asked: &HeaderMap) -> bool {
    let lists = asked.get_all(ACCEPT_ENCODING).into_iter().filter_map(|list| list.to_str().ok());
    let mut by_any = false;
    for coding in lists.flat_map(|list| list.split(',')) {
        let (name, weight) = coding.split_once(';').unwrap_or((coding, "q=1"));
        let weight = weight.trim().strip_prefix("q=").and_then(|weight| weight.parse::<f32>().ok());
        let taken = weight.is_some_and(|weight| weight > 0.0);
        match name.trim() {
            name if name.eq_ignore_ascii_case("gzip") || name.eq_ignore_ascii_case("x-gzip") => return taken,
            "*" => by_any = taken,
            _ => {}
        }
    }
    by_any
}

fn gzip(body: &[u8]) -> Option<Bytes> {
    let mut encoder = GzEncoder::new(Vec::with_capacity(body.len() / 4), Compression::default());
    encoder.write_all(body).ok()?;
    encoder.finish().ok().map(Bytes::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(name: hyper::header::HeaderName, lists: &[&'static str]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        lists.iter().for_each(|list| {
            headers.append(&name, HeaderValue::from_static(list));
        });
        headers
    }

    #[test]
    fn gzip_is_taken_where_it_is_named_with_a_weight() {
        for (lists, taken) in [
            (&[][..], false),
            (&["gzip"], true),
            (&["br, GZIP;q=0.5"], true),
            (&["br", "x-gzip"], true),
            (&["gzip;q=0"], false),
            (&["*"], true),
            (&["*, gzip; q=0.000"], false),
            (&["gzip;q=0, *"], false),
            (&["identity, br, zstd"], false),
            (&["*;q=0"], false),
            (&["gzip;level=1"], false),
        ] {
            assert_eq!(accepts_gzip(&headers(ACCEPT_ENCODING, lists)), taken, "{lists:?}");
        }
    }

    #[test]
    fn a_tag_is_recognised_in_all_its_forms() {
        let tag = tag(b"abc");
        assert_eq!(tag.len(), 20);
        let text: &'static str = Box::leak(tag.to_str().expect("ASCII").to_owned().into_boxed_str());
        let strong: &'static str = &text[2..];
        for (lists, known) in [
            (vec![text], true),
            (vec![strong], true),
            (vec!["\"x\"", text], true),
            (vec!["*"], true),
            (vec!["W/\"x\", W/\"y\""], false),
            (vec![""], false),
            (vec![], false),
        ] {
            assert_eq!(has_already(&headers(IF_NONE_MATCH, &lists), &tag), known, "{lists:?}");
        }
        assert_ne!(super::tag(b"abd"), tag);
    }

    /// `cargo test --release --lib -- --ignored the_price_of_a_tag --nocapture`
    #[test]
    #[ignore = "a measurement"]
    fn the_price_of_a_tag() {
        let page: Vec<u8> = (0..4_400_u32).map(|at| (at * 31 % 251) as u8).collect();
        let clock = crate::clock::Clock::real();
        let rounds = 1_000_000_u32;
        let began = clock.monotonic();
        (0..rounds).for_each(|_| drop(std::hint::black_box(super::tag(std::hint::black_box(&page)))));
        println!("{:?} for the tag of a page of 50 items", (clock.monotonic() - began) / rounds);
    }
}
