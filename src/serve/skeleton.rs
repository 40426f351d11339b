//! `app.bsky.feed.getFeedSkeleton`: one page of one feed.
//!
//! In: the query. Out: the bytes that the view renders, or an error that says which parameter is wrong. A feed is
//! `at://<authority>/app.bsky.feed.generator/<rkey>`, where the authority is the publisher (any community) or the
//! community's owner. Anything else that is an AT-URI is `UnknownFeed`.

use bytes::Bytes;
use hyper::StatusCode;

use super::answer::{self, Answer};
use super::identity::GENERATOR;
use super::query::{Query, QueryError};
use super::{Feeds, Site, SkeletonError};
use crate::limits::{PAGE_CURSOR_BYTES_MAX, PAGE_ITEMS_DEFAULT, PAGE_ITEMS_MAX};
use crate::syntax::{AtUri, Did, SyntaxError, Time};

/// Why there is no page. Says what to do.
#[derive(Debug, thiserror::Error)]
enum Refused {
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
    pub(super) fn skeleton(&self, query: Option<&str>) -> Answer {
        let started = self.clock.monotonic();
        let answer = match self.page(query) {
            Ok(page) => answer::json(StatusCode::OK, page),
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
        Ok(self.feeds.skeleton_body(rkey, owner.as_ref(), now, limit, cursor.as_deref())?)
    }

    /// The rkey of a feed, and whose it must be, where its authority is not the publisher.
    fn find<'a>(&self, feed: &'a str) -> Result<(&'a str, Option<Did>), Refused> {
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

fn parse_limit(text: &str) -> Result<usize, Refused> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let number = if digits { text.parse().ok() } else { None };
    number.filter(|limit| (1..=PAGE_ITEMS_MAX).contains(limit)).ok_or(Refused::Limit)
}
