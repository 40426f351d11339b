//! What a running engine serves beside what it should.
//!
//! In: an engine's HTTP address, and the expected feeds. Out: how much was read, and what differs. Every feed that
//! `describeFeedGenerator` lists is read page by page, with limits from 1 to 100 mixed, over one connection.
//!
//! Always: a page that breaks the rules of paging (too many items, none and yet a cursor, the cursor that was sent) is a
//! difference too, and no feed can keep the comparison from ending.

use std::collections::{BTreeMap, HashSet};
use std::fmt::Write as _;
use std::io;

use serde::Deserialize;

use crate::fetch::{Client, Response};

const DESCRIBE: &str = "/xrpc/app.bsky.feed.describeFeedGenerator";
const SKELETON: &str = "/xrpc/app.bsky.feed.getFeedSkeleton";
/// The largest `limit` of a page.
const LIMIT_MAX: usize = 100;
/// Posts beyond the expected ones after which a feed is read no further.
const POSTS_TOO_MANY: usize = 1_000;

/// What a comparison has found.
#[derive(Debug, Default)]
pub struct Comparison {
    /// Feeds that were read.
    pub feeds: usize,
    /// Posts in them.
    pub posts: usize,
    /// Pages of them.
    pub pages: usize,
    /// Feeds that differ, one line each.
    pub differences: Vec<String>,
}

/// Why nothing could be compared.
#[derive(Debug, thiserror::Error)]
pub enum CompareError {
    /// The engine cannot be asked.
    #[error("cannot ask {address}: {source}")]
    Connection {
        /// Whom.
        address: String,
        /// Why.
        source: io::Error,
    },
    /// The answer is not that of a feed generator.
    #[error("{path} answers with {status}, and no list of feeds: {body}")]
    NoFeeds {
        /// What was asked.
        path: &'static str,
        /// The status.
        status: u16,
        /// The beginning of the body.
        body: String,
    },
}

#[derive(Deserialize)]
struct Described {
    feeds: Vec<DescribedFeed>,
}

#[derive(Deserialize)]
struct DescribedFeed {
    uri: String,
}

#[derive(Deserialize)]
struct Page {
    feed: Vec<Item>,
    cursor: Option<String>,
}

#[derive(Deserialize)]
struct Item {
    post: String,
}

/// Reads every feed of the engine at `address` (`host:port`), and compares them with `expected`. `seed` decides the limits.
///
/// # Errors
/// The engine cannot be asked, or does not list its feeds. Whatever is wrong with a single feed is a difference.
pub fn compare(address: &str, expected: &BTreeMap<String, Vec<String>>, seed: u64) -> Result<Comparison, CompareError> {
    let mut reader = Reader { client: Client::new(address), rng: fastrand::Rng::with_seed(seed), pages: 0 };
    let broken = |source| CompareError::Connection { address: address.to_string(), source };
    let mut served = reader.feeds().map_err(broken)??;
    let mut comparison = Comparison::default();
    for (id, posts) in expected {
        let Some(uri) = served.remove(id) else {
            comparison.differences.push(format!("feed {id} is not served; it holds {} posts", posts.len()));
            continue;
        };
        let (got, fault) = reader.feed(&uri, posts.len()).map_err(broken)?;
        comparison.feeds += 1;
        comparison.posts += got.len();
        if let Some(what) = fault.or_else(|| difference(&got, posts)) {
            comparison.differences.push(format!("feed {id}: {what}"));
        }
    }
    comparison.differences.extend(served.into_keys().map(|id| format!("feed {id} is served; it should not exist")));
    comparison.pages = reader.pages;
    Ok(comparison)
}

/// Asks page after page.
struct Reader {
    client: Client,
    rng: fastrand::Rng,
    pages: usize,
}

impl Reader {
    /// The feeds that the engine lists: AT-URI by id.
    fn feeds(&mut self) -> io::Result<Result<BTreeMap<String, String>, CompareError>> {
        let Response { status, body } = self.client.get(DESCRIBE)?;
        let Ok(described) = serde_json::from_slice::<Described>(&body) else {
            return Ok(Err(CompareError::NoFeeds { path: DESCRIBE, status, body: beginning(&body) }));
        };
        let id = |uri: &str| uri.rsplit('/').next().unwrap_or_default().to_string();
        Ok(Ok(described.feeds.into_iter().map(|feed| (id(&feed.uri), feed.uri)).collect()))
    }

    /// All posts of a feed, and the first rule of paging that it breaks.
    fn feed(&mut self, uri: &str, expected: usize) -> io::Result<(Vec<String>, Option<String>)> {
        let (mut posts, mut cursor): (Vec<String>, Option<String>) = (Vec::new(), None);
        loop {
            let limit = self.limit();
            let mut target = format!("{SKELETON}?feed={}&limit={limit}", escaped(uri));
            if let Some(cursor) = &cursor {
                write!(target, "&cursor={}", escaped(cursor)).expect("invariant: a String takes all text");
            }
            let Response { status, body } = self.client.get(&target)?;
            self.pages += 1;
            let page: Page = match serde_json::from_slice(&body) {
                Ok(page) if status == 200 => page,
                _ => return Ok((posts, Some(format!("{target} answers with {status}: {}", beginning(&body))))),
            };
            let count = page.feed.len();
            posts.extend(page.feed.into_iter().map(|item| item.post));
            let fault = match &page.cursor {
                _ if count > limit => format!("{target} gives {count} posts"),
                None => return Ok((posts, None)),
                Some(_) if count == 0 => format!("{target} gives no post, and yet a cursor"),
                next if *next == cursor => format!("{target} gives the cursor that was sent"),
                _ if posts.len() > expected + POSTS_TOO_MANY => format!("has no end; it should hold {expected} posts"),
                _ => {
                    cursor = page.cursor;
                    continue;
                }
            };
            return Ok((posts, Some(fault)));
        }
    }

    /// Small, large and odd ones.
    fn limit(&mut self) -> usize {
        match self.rng.u8(0..4) {
            0 => LIMIT_MAX,
            1 => self.rng.usize(1..=5),
            _ => self.rng.usize(1..=LIMIT_MAX),
        }
    }
}

/// What is different between two lists of posts, first things first.
fn difference(got: &[String], expected: &[String]) -> Option<String> {
    if got == expected {
        return None;
    }
    let at = got.iter().zip(expected).take_while(|(got, expected)| got == expected).count();
    let name = |posts: &[String]| posts.get(at).map_or("the end", String::as_str).to_string();
    let missing = absent(expected, got);
    let more = absent(got, expected);
    let distinct: HashSet<&String> = got.iter().collect();
    Some(format!(
        "{} posts, not {}: at {at} comes {}, not {}; {missing} missing, {more} too many, {} repeated",
        got.len(),
        expected.len(),
        name(got),
        name(expected),
        got.len() - distinct.len()
    ))
}

/// How many of `these` are not among `those`.
fn absent(these: &[String], those: &[String]) -> usize {
    let those: HashSet<&String> = those.iter().collect();
    these.iter().filter(|post| !those.contains(post)).count()
}

/// Text for a query.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => out.push(char::from(byte)),
            _ => write!(out, "%{byte:02X}").expect("invariant: a String takes all text"),
        }
    }
    out
}

fn beginning(body: &[u8]) -> String {
    String::from_utf8_lossy(&body[..body.len().min(200)]).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_difference_names_the_first_post_and_counts_the_others() {
        let posts = |names: &[&str]| names.iter().map(|name| format!("at://{name}")).collect::<Vec<_>>();
        let expected = posts(&["a", "b", "c"]);
        assert_eq!(difference(&expected, &expected), None);
        for (got, wanted) in [
            (&["a", "c"][..], "2 posts, not 3: at 1 comes at://c, not at://b; 1 missing, 0 too many, 0 repeated"),
            (&["a", "c", "b"], "3 posts, not 3: at 1 comes at://c, not at://b; 0 missing, 0 too many, 0 repeated"),
            (&["a", "b", "b", "c"], "4 posts, not 3: at 2 comes at://b, not at://c; 0 missing, 0 too many, 1 repeated"),
            (&["a", "b"], "2 posts, not 3: at 2 comes the end, not at://c; 1 missing, 0 too many, 0 repeated"),
            (
                &["a", "b", "c", "d"],
                "4 posts, not 3: at 3 comes at://d, not the end; 0 missing, 1 too many, 0 repeated",
            ),
        ] {
            assert_eq!(difference(&posts(got), &expected).as_deref(), Some(wanted));
        }
    }

    #[test]
    fn a_query_is_escaped() {
        assert_eq!(escaped("at://did:web:h%3A80/a"), "at%3A%2F%2Fdid%3Aweb%3Ah%253A80%2Fa");
    }
}
