//! `app.bsky.feed.getFeedSkeleton`: one page of one feed.
//!
//! In: the query. Out: the bytes that the view renders, or an error that says which parameter is wrong. A feed is
//! `at://<authority>/app.bsky.feed.generator/<rkey>`, where the authority is the publisher (any community) or the
//! community's owner. Anything else that is an AT-URI is `UnknownFeed`.

use std::time::Duration;

use bytes::Bytes;
use hyper::header::{CACHE_CONTROL, ETAG, HeaderValue, IF_NONE_MATCH};
use hyper::http::request::Parts;
use hyper::{HeaderMap, StatusCode};

use super::answer::{self, Answer};
use super::query::{Query, QueryError};
use super::{Feeds, Site, SkeletonError, prebuilt};
use crate::limits::{PAGE_CURSOR_BYTES_MAX, PAGE_ITEMS_DEFAULT, PAGE_ITEMS_MAX};
use crate::publish::GENERATOR;
use crate::syntax::{AtUri, Did, SyntaxError, Time};

/// Why there is no page. Says what to do.
#[derive(Debug, thiserror::Error)]
pub(super) enum Refused {
    #[error(transparent)]
    Query(#[from] QueryError),
    #[error("feed is missing: give feed=at://DID/app.bsky.feed.generator/ID")]
    FeedMissing,
    #[error("feed is {0}: give feed=at://DID/app.bsky.feed.generator/ID")]
    Feed(#[from] SyntaxError),
    #[error("this server has no such feed: see app.bsky.feed.describeFeedGenerator for those it has")]
    UnknownFeed,
    #[error("limit is not a whole number from 1 to {PAGE_ITEMS_MAX}: give one, or none")]
    Limit,
    #[error("cursor was not given by a page of this feed: leave it out to begin at the newest post")]
    Cursor,
}

impl Refused {
    fn answer(&self) -> Answer {
        let error = if matches!(self, Self::UnknownFeed) { "UnknownFeed" } else { "InvalidRequest" };
        answer::error(StatusCode::BAD_REQUEST, error, &self.to_string())
    }
}

impl From<SkeletonError> for Refused {
    fn from(error: SkeletonError) -> Self {
        match error {
            SkeletonError::UnknownFeed => Self::UnknownFeed,
            SkeletonError::BadCursor => Self::Cursor,
        }
    }
}

impl<F: Feeds> Site<F> {
    /// `started` is when the request was whole, on the monotonic clock.
    pub(super) fn skeleton(&self, head: &Parts, started: Duration) -> Answer {
        let answer = match self.page(head.uri.query()) {
            Ok(page) => with_tag(page, &head.headers),
            Err(refused) => refused.answer(),
        };
        self.telemetry.skeleton.record(self.clock.monotonic().saturating_sub(started));
        answer
    }

    fn page(&self, query: Option<&str>) -> Result<Bytes, Refused> {
        let [feed, limit, cursor] = Query::new(query).values(["feed", "limit", "cursor"])?;
        let feed = feed.ok_or(Refused::FeedMissing)?;
        let limit = limit.map_or(Ok(PAGE_ITEMS_DEFAULT), |text| parse_limit(&text))?;
        if cursor.as_ref().is_some_and(|cursor| cursor.len() > PAGE_CURSOR_BYTES_MAX) {
            return Err(Refused::Cursor);
        }
        let (rkey, owner) = self.find(&feed)?;
        let now = Time::from_micros(self.now.micros());
        Ok(self.feeds.skeleton(rkey, owner.as_ref(), now, limit, cursor.as_deref())?)
    }

    /// The rkey of a feed, and whose it must be, where its authority is not the publisher.
    pub(super) fn find<'a>(&self, feed: &'a str) -> Result<(&'a str, Option<Did>), Refused> {
        AtUri::check(feed)?;
        let mut parts = feed["at://".len()..].split('/');
        let (Some(authority), Some(GENERATOR), Some(rkey)) = (parts.next(), parts.next(), parts.next()) else {
            return Err(Refused::UnknownFeed);
        };
        if self.is_publisher(authority) {
            return Ok((rkey, None));
        }
        // A handle is an AT-URI's authority too, but no feed is named by one.
        let owner = Did::parse(authority).map_err(|_| Refused::UnknownFeed)?;
        Ok((rkey, Some(owner)))
    }

    /// A DID such as `did:web:localhost%3A3000` must be percent-encoded once more in a query. Those who forget it send
    /// `did:web:localhost:3000`, and mean the same.
    fn is_publisher(&self, authority: &str) -> bool {
        authority == self.identity.publisher_did.as_str() || authority == self.publisher_decoded
    }
}

/// The page, or word that the client has it already. A page is to be asked for each time (moderation acts at once), and by
/// the reader's own client alone (who reads is counted).
fn with_tag(page: Bytes, asked: &HeaderMap) -> Answer {
    let tag = prebuilt::tag(&page);
    let mut answer = if asked.contains_key(IF_NONE_MATCH) && prebuilt::has_already(asked, &tag) {
        prebuilt::not_modified()
    } else {
        answer::json(StatusCode::OK, page)
    };
    let headers = answer.headers_mut();
    headers.insert(ETAG, tag);
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("private, no-cache"));
    answer
}

fn parse_limit(text: &str) -> Result<usize, Refused> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let number = if digits { text.parse().ok() } else { None };
    number.filter(|limit| (1..=PAGE_ITEMS_MAX).contains(limit)).ok_or(Refused::Limit)
}
