//! One page of a feed, collected, and its rendering.
//!
//! In: what a walk found, with the pin that keeps it. Out: the body of `getFeedSkeleton`:
//!
//! ```text
//!   {"feed":[item,item,…],"cursor":"…","reqId":"a1b2c3d4"}     no cursor at the end; no reqId where there is no item
//!   item: {"post":"at://did:plc:…/app.bsky.feed.post/3k…"}     of another source, "feedContext":"parent" or "global" too
//!   pin:  {"post":"at://…","reason":{"$type":"app.bsky.feed.defs#skeletonReasonPin"},"feedContext":"pin"}
//! ```
//! What always holds: there is a cursor exactly where at least one more item was visible behind the last one; so a page
//! without items has none.
//!
//! `reqId` is the community's id, the same on all its pages: apps send it back with what their readers do, and so it is known
//! in which community that was. A `feedContext` on each item would say the same, for a third more bytes (50 × 30 of 4 kB);
//! so the community's own posts have none, which is nearly always nearly all of a page.

use std::sync::atomic::Ordering;

use super::chunk::Key;
use super::cursor::{self, PageCursor};
use super::entry::{Entry, Meta};
use super::line::{LINE_LENGTH, write_uri};
use super::mix::{Each, GLOBAL, OWN, PARENT};
use super::root::{Pin, Root};
use crate::fact::CommunityId;
use crate::syntax::RecordUri;

/// A page, holding on to what it shows. Render it and drop it: while it lives, what it shows is kept in memory.
pub struct Page {
    id: CommunityId,
    pins: Pins,
    /// What stands above all items: on the first page of a community that pins a post.
    pinned: Option<RecordUri>,
    items: Vec<Item>,
    end: Option<End>,
}

/// The roots that a page shows items of.
pub(super) struct Pins {
    pub(super) own: Pin,
    /// Of a mixed page: the parent's root, where there is a parent, and the global one.
    pub(super) others: Option<Box<(Option<Pin>, Pin)>>,
}

impl Pins {
    /// The root of a source, where it has one.
    pub(super) fn root(&self, source: usize) -> Option<&Root> {
        match (source, &self.others) {
            (OWN, _) => Some(&self.own),
            (PARENT, Some(others)) => others.0.as_ref().map(|pin| &***pin),
            (GLOBAL, Some(others)) => Some(&others.1),
            _ => None,
        }
    }
}

/// One entry, as the walk saw it.
#[derive(Clone, Copy)]
pub(super) struct Item {
    pub(super) rkey: u64,
    pub(super) meta: Meta,
    /// Of the pinned root. Chunks hold at least one of at most 2^32 posts.
    pub(super) chunk: u32,
    source: u8,
}

/// What the cursor says.
pub(super) enum End {
    /// Behind the last item.
    Own,
    /// Whatever it says.
    Mixed(Box<PageCursor>),
}

impl Item {
    /// Of the community's own posts.
    pub(super) fn new(entry: &Entry, meta: Meta, chunk: usize) -> Self {
        Self { rkey: entry.rkey.load(Ordering::Relaxed), meta, chunk: chunk as u32, source: OWN as u8 }
    }

    #[must_use]
    pub(super) const fn of_source(self, source: usize) -> Self {
        Self { source: source as u8, ..self }
    }

    pub(super) const fn source(&self) -> usize {
        self.source as usize
    }
}

impl Page {
    /// Of the community's own posts alone.
    pub(super) const fn own(id: CommunityId, root: Pin, items: Vec<Item>, end: Option<End>) -> Self {
        Self { id, pins: Pins { own: root, others: None }, pinned: None, items, end }
    }

    /// Of several sources.
    pub(super) const fn mixed(id: CommunityId, pins: Pins, items: Vec<Item>, end: Option<End>) -> Self {
        Self { id, pins, pinned: None, items, end }
    }

    /// With a post above all others.
    #[must_use]
    pub(super) fn with_pinned(self, pinned: Option<RecordUri>) -> Self {
        Self { pinned, ..self }
    }

    /// Items on this page, the pinned one among them.
    pub fn len(&self) -> usize {
        self.items.len() + usize::from(self.pinned.is_some())
    }

    /// Whether there is none. Then there is no cursor either.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The AT-URIs, in the order of the feed.
    pub fn uris(&self) -> impl Iterator<Item = String> + '_ {
        let items = self.items.iter().map(|item| {
            let (author, rkey) = self.root(item).words(item);
            let mut text = Vec::new();
            write_uri(author, rkey, &mut text);
            String::from_utf8(text).expect("invariant: DIDs and record keys are ASCII")
        });
        self.pinned.iter().map(RecordUri::to_string).chain(items)
    }

    /// Where the next page goes on; `None` where nothing visible follows.
    pub fn cursor(&self) -> Option<PageCursor> {
        match self.end.as_ref()? {
            End::Own => Some(PageCursor::behind(self.last_key()?.to_post())),
            End::Mixed(cursor) => Some((**cursor).clone()),
        }
    }

    fn last_key(&self) -> Option<Key<'_>> {
        self.items.last().map(|item| self.root(item).key(item))
    }

    /// Where an item came from.
    #[inline]
    fn root(&self, item: &Item) -> &Root {
        if item.source == OWN as u8 {
            return &self.pins.own;
        }
        self.pins.root(item.source()).expect("invariant: the item came from there")
    }

    /// Appends the page as the body of `getFeedSkeleton`.
    ///
    /// Nothing is escaped: DIDs, record keys and page cursors hold no character that JSON would want escaped.
    pub fn write_json(&self, out: &mut Vec<u8>) {
        begin(self.len(), out);
        if let Some(pinned) = &self.pinned {
            write_pinned(pinned, out);
        }
        for item in &self.items {
            self.root(item).write_line(item, out);
            if let Some(source) = SOURCE_NAMES[item.source()] {
                write_source(source, out);
            }
        }
        end_items(self.len(), out);
        if let Some(end) = &self.end {
            write_cursor(out, |out| match end {
                End::Own => {
                    cursor::write_own(self.last_key().expect("invariant: a page without items has no cursor"), out);
                }
                End::Mixed(cursor) => cursor.write(out),
            });
        }
        end(self.len(), self.id, out);
    }
}

/// Begins a body of about so many items.
pub(super) fn begin(items: usize, out: &mut Vec<u8>) {
    out.reserve(FRAME_BYTES + items * LINE_LENGTH);
    out.extend_from_slice(b"{\"feed\":[");
}

/// Ends the items of a body; how many there are.
pub(super) fn end_items(items: usize, out: &mut Vec<u8>) {
    if items > 0 {
        // The comma after the last item.
        out.pop();
    }
    out.push(b']');
}

/// The cursor of a body, as text that `write` appends.
pub(super) fn write_cursor(out: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>)) {
    out.extend_from_slice(b",\"cursor\":\"");
    write(out);
    out.push(b'"');
}

/// Ends a body of so many items, of a community.
pub(super) fn end(items: usize, id: CommunityId, out: &mut Vec<u8>) {
    if items > 0 {
        out.extend_from_slice(b",\"reqId\":\"");
        let digits = (0..8).map(|at| b"0123456789abcdef"[(id.0 >> (28 - 4 * at)) as usize & 15]);
        out.extend(digits);
        out.push(b'"');
    }
    out.push(b'}');
}

/// `feedContext` by source.
const SOURCE_NAMES: Each<Option<&str>> = [None, Some("parent"), Some("global")];

/// Adds to the line before where the item comes from.
fn write_source(source: &str, out: &mut Vec<u8>) {
    out.truncate(out.len() - "},".len());
    out.extend_from_slice(b",\"feedContext\":\"");
    out.extend_from_slice(source.as_bytes());
    out.extend_from_slice(b"\"},");
}

fn write_pinned(pinned: &RecordUri, out: &mut Vec<u8>) {
    out.extend_from_slice(b"{\"post\":\"");
    out.extend_from_slice(pinned.to_string().as_bytes());
    out.extend_from_slice(b"\",\"reason\":{\"$type\":\"app.bsky.feed.defs#skeletonReasonPin\"}},");
    write_source("pin", out);
}

impl std::fmt::Debug for Page {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Page").field("items", &self.len()).field("cursor", &self.cursor()).finish()
    }
}

/// Enough for all but the items, with a cursor of the usual length.
const FRAME_BYTES: usize = 160;
