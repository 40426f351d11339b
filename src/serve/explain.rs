//! `/api/explain?uri=at://…[&community=ID]`: why a post is visible in a feed, or is not.
//!
//! In: the query. Out: an [`Explanation`](crate::community::Explanation) as JSON, at one moment, of what is durable. It is
//! made by the one thread that folds ([`inquiry`](crate::community::inquiry)), and so this is the one route that waits for
//! another thread; it does so without blocking its own, and not for long. When too many ask, it says so with 503.

use std::sync::Arc;
use std::time::Duration;

use hyper::StatusCode;
use hyper::header::{HeaderValue, RETRY_AFTER};

use super::answer::{self, Answer, for_every_origin};
use super::connection::Reply;
use super::query::{Query, QueryError};
use super::{Feeds, Site};
use crate::community::Unexplained;
use crate::community::inquiry::{self, Busy, Pending};
use crate::fact::{Collection, CommunityId};
use crate::limits::{EXPLAIN_POLL_MILLIS, EXPLAIN_TIMEOUT_MILLIS};
use crate::syntax::{RecordUri, SyntaxError};
use crate::telemetry::Telemetry;

const POLL: Duration = Duration::from_millis(EXPLAIN_POLL_MILLIS);
const TIMEOUT: Duration = Duration::from_millis(EXPLAIN_TIMEOUT_MILLIS);

/// What is wrong with the parameters. Says what to do.
#[derive(Debug, thiserror::Error)]
enum Refused {
    #[error(transparent)]
    Query(#[from] QueryError),
    #[error("uri is missing: give uri=at://DID/app.bsky.feed.post/RKEY")]
    UriMissing,
    #[error("uri is {0}: give uri=at://DID/app.bsky.feed.post/RKEY")]
    Uri(SyntaxError),
    #[error("uri names no post: give uri=at://DID/app.bsky.feed.post/RKEY")]
    NoPost,
    #[error("community is {0}: give the 8 digits of its hashtag, or leave it out to hear of all")]
    Community(SyntaxError),
}

impl<F: Feeds> Site<F> {
    pub(super) fn explain(&self, query: Option<&str>) -> Reply<Self> {
        let Some(inquirer) = &self.inquirer else { return Reply::Now(busy(&self.telemetry)) };
        let (uri, only) = match parse(query) {
            Ok(question) => question,
            Err(refused) => return Reply::Now(for_every_origin(answer::invalid_request(&refused.to_string()))),
        };
        match inquirer.ask(uri, only) {
            Ok(pending) => Reply::Later(Box::pin(wait(pending, Arc::clone(&self.telemetry)))),
            Err(Busy) => Reply::Now(busy(&self.telemetry)),
        }
    }
}

fn parse(query: Option<&str>) -> Result<(RecordUri, Option<CommunityId>), Refused> {
    let [uri, community] = Query::new(query).values(["uri", "community"])?;
    let uri = RecordUri::parse(&uri.ok_or(Refused::UriMissing)?).map_err(Refused::Uri)?;
    if uri.collection.as_str() != Collection::Post.nsid() {
        return Err(Refused::NoPost);
    }
    let only = community.map(|text| CommunityId::parse(&text)).transpose().map_err(Refused::Community)?;
    Ok((uri, only))
}

/// Looks for the answer now and then. Nobody wakes this task: that would be the folding thread's work.
async fn wait(pending: Pending, telemetry: Arc<Telemetry>) -> Answer {
    let looks = TIMEOUT.as_millis() / POLL.as_millis();
    for _ in 0..looks {
        tokio::time::sleep(POLL).await;
        match pending.answer() {
            Ok(Some(answer)) => return render(answer),
            Ok(None) => {}
            Err(Busy) => break,
        }
    }
    busy(&telemetry)
}

fn render(answer: &inquiry::Answer) -> Answer {
    for_every_origin(match answer {
        Ok(explanation) => answer::json_of(StatusCode::OK, explanation),
        Err(unexplained) => not_found(unexplained),
    })
}

fn not_found(unexplained: &Unexplained) -> Answer {
    answer::error(StatusCode::NOT_FOUND, unexplained.name(), &unexplained.to_string())
}

fn busy(telemetry: &Telemetry) -> Answer {
    telemetry.explanations_refused.increment();
    let mut answer = answer::error(StatusCode::SERVICE_UNAVAILABLE, "ServiceUnavailable", &Busy.to_string());
    answer.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("1"));
    for_every_origin(answer)
}
