//! `app.bsky.feed.describeFeedGenerator`: the list of feeds.
//!
//! In: the feeds. Out: one rendering of all of them, kept until their set changes: at 10,000 feeds it is 800 kB, and
//! nobody should make it twice, nor compress it twice (`prebuilt`).

use std::fmt::Write;
use std::sync::Arc;

use arc_swap::ArcSwapOption;
use hyper::HeaderMap;

use super::answer::Answer;
use super::prebuilt::Prebuilt;
use super::{Feeds, Identity, Site};

/// The last rendering. Threads that find it outdated at the same time render it each for itself; they all render the same.
#[derive(Debug, Default)]
pub(super) struct Described(ArcSwapOption<Rendered>);

#[derive(Debug)]
struct Rendered {
    /// The version of the feeds before they were read: they may be newer, and are then rendered once more.
    version: u64,
    list: Prebuilt,
}

impl<F: Feeds> Site<F> {
    pub(super) fn describe(&self, asked: &HeaderMap) -> Answer {
        self.described.list(&self.feeds, &self.identity).answer(asked)
    }
}

impl Described {
    fn list<F: Feeds>(&self, feeds: &F, identity: &Identity) -> Prebuilt {
        let version = feeds.feeds_version();
        if let Some(rendered) = &*self.0.load()
            && rendered.version == version
        {
            return rendered.list.clone();
        }
        let list = Prebuilt::json(render(feeds, identity));
        self.0.store(Some(Arc::new(Rendered { version, list: list.clone() })));
        list
    }
}

/// Neither DIDs nor ids hold a character that JSON escapes.
fn render<F: Feeds>(feeds: &F, identity: &Identity) -> String {
    let mut ids: Vec<_> = feeds.feeds().into_iter().map(|(id, _)| id).collect();
    ids.sort_unstable();
    let mut body = format!(r#"{{"did":"{}","feeds":["#, identity.service_did);
    for (at, &id) in ids.iter().enumerate() {
        let comma = if at == 0 { "" } else { "," };
        write!(body, r#"{comma}{{"uri":"{}"}}"#, identity.feed_uri(id)).expect("invariant: a String takes all text");
    }
    body.push_str("]}");
    body
}
