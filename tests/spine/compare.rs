//! Every feed, page by page, against the model.

use std::collections::{BTreeMap, BTreeSet};

use super::process::{Engine, json};

/// What each feed must hold.
pub type Feeds = BTreeMap<String, Vec<String>>;

/// Reads every feed over HTTP, with pages of mixed sizes, and holds it against the model's. Counts the posts.
pub fn assert_feeds(engine: &Engine, expected: &Feeds, story: &str) -> usize {
    let described = json(engine.http, "/xrpc/app.bsky.feed.describeFeedGenerator");
    let publisher = described["did"].as_str().expect("a DID");
    let uris: Vec<&str> =
        described["feeds"].as_array().expect("feeds").iter().filter_map(|f| f["uri"].as_str()).collect();
    let served: BTreeSet<&str> = uris.iter().filter_map(|uri| uri.rsplit('/').next()).collect();
    assert_eq!(served, expected.keys().map(String::as_str).collect(), "{story}: which feeds are served");
    let mut rng = fastrand::Rng::with_seed(expected.len() as u64);
    for (id, posts) in expected {
        let feed = format!("at://{publisher}/app.bsky.feed.generator/{id}").replace('%', "%25").replace(':', "%3A");
        let mut read: Vec<String> = Vec::new();
        let mut cursor: Option<String> = None;
        loop {
            let limit = [1, 2, 7, 50, 100][rng.usize(0..5)];
            let after = cursor.as_ref().map(|cursor| format!("&cursor={cursor}")).unwrap_or_default();
            let page =
                json(engine.http, &format!("/xrpc/app.bsky.feed.getFeedSkeleton?feed={feed}&limit={limit}{after}"));
            let items = page["feed"].as_array().expect("feed");
            read.extend(items.iter().map(|item| item["post"].as_str().expect("post").to_owned()));
            assert!(items.len() <= limit, "{story}: feed {id}: more than the limit");
            let next = page["cursor"].as_str().map(str::to_owned);
            assert!(
                next.is_none() || (!items.is_empty() && next != cursor),
                "{story}: feed {id}: a cursor that leads on"
            );
            if next.is_none() {
                break;
            }
            cursor = next;
        }
        assert_eq!(&read, posts, "{story}: feed {id}");
    }
    expected.values().map(Vec::len).sum()
}
