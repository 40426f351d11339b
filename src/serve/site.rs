//! The HTTP listener's routes.
//!
//! ```text
//! /xrpc/app.bsky.feed.getFeedSkeleton          GET    skeleton
//! /xrpc/app.bsky.feed.describeFeedGenerator    GET    describe
//! /xrpc/app.bsky.feed.sendInteractions         POST   interactions
//! /xrpc/_health                                GET    version
//! /xrpc/…                                             501 MethodNotImplemented
//! /api/explain                                 GET    why a post is visible, or is not
//! /.well-known/did.json                        GET    the service's DID document, of a did:web
//! /                                            GET    what this server is
//! …                                                   404
//! ```
//! HEAD goes wherever GET goes; OPTIONS names the methods. Every XRPC answer may be read by pages of every origin. What costs
//! something is counted to its caller first (`rate`).
//!
//! No answer has `content-language`: it would say in which languages a page's posts are, and of a post only its tags are
//! kept. The errors are English.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use bytes::Bytes;
use hyper::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_MAX_AGE, ALLOW, HeaderValue,
};
use hyper::http::request::Parts;
use hyper::{HeaderMap, Method, StatusCode};

use super::answer::{self, Answer, for_every_origin};
use super::connection::{Handler, Reply};
use super::describe::Described;
use super::prebuilt::Prebuilt;
use super::rate::{Arrival, Class, Limiter, Verdict};
use super::{Bounds, Callers, Feeds, Identity, RateLimits, Tally};
use crate::clock::{Clock, Now};
use crate::community::inquiry::Inquirer;
use crate::syntax::Did;
use crate::telemetry::Telemetry;

/// What the HTTP threads share: the feeds, who serves them, and the time.
pub struct Site<F> {
    pub(super) feeds: F,
    pub(super) identity: Identity,
    pub(super) now: Arc<Now>,
    pub(super) clock: Clock,
    pub(super) telemetry: Arc<Telemetry>,
    pub(super) described: Described,
    /// The publisher DID after one more percent-decoding, see [`Site::is_publisher`].
    pub(super) publisher_decoded: String,
    /// Whom to ask why; without it that question is answered 503.
    pub(super) inquirer: Option<Inquirer>,
    pub(super) tally: Arc<Tally>,
    limiter: Option<Limiter>,
    bounds: Bounds,
    health: Bytes,
    did_document: Option<Prebuilt>,
}

const XRPC: &str = "/xrpc/";
/// What a token for `/api/explain` is for.
const EXPLAIN: &str = "net.atrarium.explain";

/// A path that is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Route {
    Home,
    DidDocument,
    Health,
    Skeleton,
    Describe,
    Interactions,
    Explain,
}

impl Route {
    fn of(path: &str) -> Option<Self> {
        Some(match path {
            "/xrpc/app.bsky.feed.getFeedSkeleton" => Self::Skeleton,
            "/xrpc/app.bsky.feed.describeFeedGenerator" => Self::Describe,
            "/xrpc/app.bsky.feed.sendInteractions" => Self::Interactions,
            "/xrpc/_health" => Self::Health,
            "/api/explain" => Self::Explain,
            "/.well-known/did.json" => Self::DidDocument,
            "/" => Self::Home,
            _ => return None,
        })
    }

    fn allows(self, method: &Method) -> bool {
        if self == Self::Interactions {
            method == Method::POST
        } else {
            method == Method::GET || method == Method::HEAD
        }
    }

    /// What it is limited with, and the method for which its tokens are (`lxm`); `None` for what costs next to nothing.
    const fn limited(self) -> Option<(Class, &'static str)> {
        match self {
            Self::Skeleton => Some((Class::Feeds, "app.bsky.feed.getFeedSkeleton")),
            Self::Describe => Some((Class::Feeds, "app.bsky.feed.describeFeedGenerator")),
            Self::Interactions => Some((Class::Feeds, "app.bsky.feed.sendInteractions")),
            Self::Explain => Some((Class::Dashboard, EXPLAIN)),
            Self::Home | Self::DidDocument | Self::Health => None,
        }
    }

    /// For the headers `allow` and `access-control-allow-methods`.
    const fn methods(self) -> &'static str {
        if matches!(self, Self::Interactions) { "POST, OPTIONS" } else { "GET, HEAD, OPTIONS" }
    }
}

impl<F: Feeds> Site<F> {
    /// A site that shows `feeds`. `now` is the moment at which feeds are read; `clock` measures how long things take.
    pub fn new(feeds: F, identity: Identity, now: Arc<Now>, clock: Clock, telemetry: Arc<Telemetry>) -> Self {
        let publisher = percent_encoding::percent_decode_str(identity.publisher_did.as_str());
        Self {
            publisher_decoded: publisher.decode_utf8_lossy().into_owned(),
            did_document: identity.did_document().map(Prebuilt::json),
            health: Bytes::from_static(concat!(r#"{"version":""#, env!("CARGO_PKG_VERSION"), r#""}"#).as_bytes()),
            described: Described::default(),
            inquirer: None,
            tally: Arc::new(Tally::new(Arc::clone(&telemetry))),
            limiter: None,
            bounds: Bounds::default(),
            feeds,
            identity,
            now,
            clock,
            telemetry,
        }
    }

    /// With other bounds than those of [`limits`](crate::limits).
    #[must_use]
    pub fn with_bounds(self, bounds: Bounds) -> Self {
        Self { bounds, ..self }
    }

    /// With somebody to ask for explanations.
    #[must_use]
    pub fn with_inquirer(self, inquirer: Inquirer) -> Self {
        Self { inquirer: Some(inquirer), ..self }
    }

    /// With limits to what each caller may ask for; `callers` says who they are.
    #[must_use]
    pub fn with_rate_limits(self, settings: RateLimits, callers: Option<Arc<dyn Callers>>) -> Self {
        Self { limiter: Some(Limiter::new(settings, callers)), ..self }
    }

    /// A token that came with a call of `method` holds, and is of `did`: the call, which has been answered, is counted to it.
    pub fn proved(&self, did: &Did, method: &str) {
        let class = if method == EXPLAIN { Class::Dashboard } else { Class::Feeds };
        if let Some(limiter) = &self.limiter {
            limiter.charge(class, did, self.clock.monotonic(), &self.telemetry);
        }
    }

    /// What readers did, for [`Admin::with_tally`](super::Admin::with_tally) and statistics.
    pub fn tally(&self) -> Arc<Tally> {
        Arc::clone(&self.tally)
    }

    /// Who this server is.
    pub fn identity(&self) -> &Identity {
        &self.identity
    }

    /// The answer to a request that came over no socket but from this machine, `body` and all. `None` where somebody else must be asked first.
    ///
    /// This is what fuzzing asks: everything between the HTTP of hyper and the feeds.
    pub fn respond(&self, head: &Parts, body: &[u8]) -> Option<Answer> {
        let arrival = Arrival { peer: IpAddr::V4(Ipv4Addr::LOCALHOST), at: self.clock.monotonic() };
        match Handler::answer(self, head, arrival) {
            Reply::Now(answer) => Some(answer),
            Reply::WithBody(make) => Some(make(self, body)),
            Reply::Later(_) => None,
        }
    }

    fn route(&self, head: &Parts, arrival: Arrival) -> Reply<Self> {
        let path = head.uri.path();
        let Some(route) = Route::of(path) else { return Reply::Now(unknown(path)) };
        if head.method == Method::OPTIONS {
            return Reply::Now(options(route));
        }
        if !route.allows(&head.method) {
            return Reply::Now(answer::method_not_allowed(route.methods()));
        }
        let Some(verdict) = self.judge(route, head, arrival) else { return self.reply(route, head, arrival) };
        match verdict.refusal() {
            Some(refusal) => Reply::Now(for_every_origin(refusal)),
            None => told(self.reply(route, head, arrival), verdict),
        }
    }

    /// Counts a request to its caller; `None` where it is not limited.
    fn judge(&self, route: Route, head: &Parts, arrival: Arrival) -> Option<Verdict> {
        self.limiter.as_ref()?.count(route.limited()?, &head.headers, arrival, &self.telemetry)
    }

    fn reply(&self, route: Route, head: &Parts, arrival: Arrival) -> Reply<Self> {
        Reply::Now(match route {
            Route::Skeleton => self.skeleton(head, arrival.at),
            Route::Describe => self.describe(&head.headers),
            Route::Interactions => {
                return Reply::WithBody(Box::new(|site, body| for_every_origin(site.interactions(body))));
            }
            Route::Explain => return self.explain(head.uri.query()),
            Route::Health => answer::json(StatusCode::OK, self.health.clone()),
            Route::DidDocument => self.did_document(&head.headers),
            Route::Home => self.home(),
        })
    }

    fn did_document(&self, asked: &HeaderMap) -> Answer {
        match &self.did_document {
            Some(document) => for_every_origin(document.answer(asked)),
            None => answer::error(
                StatusCode::NOT_FOUND,
                "NotFound",
                "the DID of this service is no did:web: ask its own registry for the document",
            ),
        }
    }

    /// Says what this server is, to somebody who opens it in a browser.
    fn home(&self) -> Answer {
        let page = format!(
            "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>Atrarium</title></head><body>\n\
             <h1>Atrarium {version}</h1>\n\
             <p>This server makes the feeds of {communities} communities on AT Protocol. Read them in the Bluesky app.</p>\n\
             <p><a href=\"/xrpc/app.bsky.feed.describeFeedGenerator\">The list of its feeds</a></p>\n</body></html>\n",
            version = env!("CARGO_PKG_VERSION"),
            communities = self.telemetry.communities.get(),
        );
        answer::body(StatusCode::OK, HeaderValue::from_static("text/html; charset=utf-8"), page)
    }
}

impl<F: Feeds> Handler for Site<F> {
    fn answer(&self, head: &Parts, arrival: Arrival) -> Reply<Self> {
        match self.route(head, arrival) {
            Reply::Now(answer) if head.uri.path().starts_with(XRPC) => Reply::Now(for_every_origin(answer)),
            reply => reply,
        }
    }

    fn answered(&self, status: StatusCode) {
        self.telemetry.answer(status.as_u16());
    }

    fn bounds(&self) -> &Bounds {
        &self.bounds
    }

    fn clock(&self) -> &Clock {
        &self.clock
    }

    fn telemetry(&self) -> &Telemetry {
        &self.telemetry
    }
}

/// A reply that says what is left to its caller.
fn told<F: Feeds>(reply: Reply<Site<F>>, verdict: Verdict) -> Reply<Site<F>> {
    match reply {
        Reply::Now(answer) => Reply::Now(verdict.told(answer)),
        Reply::WithBody(make) => Reply::WithBody(Box::new(move |site, body| verdict.told(make(site, body)))),
        Reply::Later(answer) => Reply::Later(Box::pin(async move { verdict.told(answer.await) })),
    }
}

fn unknown(path: &str) -> Answer {
    if path.len() > XRPC.len() && path.starts_with(XRPC) {
        let message = "this server does not have that method: it has app.bsky.feed.getFeedSkeleton, \
                       app.bsky.feed.describeFeedGenerator and app.bsky.feed.sendInteractions";
        return answer::error(StatusCode::NOT_IMPLEMENTED, "MethodNotImplemented", message);
    }
    let message = "nothing is at this path: see /xrpc/app.bsky.feed.describeFeedGenerator for what is here";
    answer::error(StatusCode::NOT_FOUND, "NotFound", message)
}

/// What browsers ask before they let a page of another origin ask.
fn options(route: Route) -> Answer {
    let mut answer = Answer::default();
    *answer.status_mut() = StatusCode::NO_CONTENT;
    let headers = answer.headers_mut();
    headers.insert(ALLOW, HeaderValue::from_static(route.methods()));
    headers.insert(ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static(route.methods()));
    headers.insert(ACCESS_CONTROL_ALLOW_HEADERS, HeaderValue::from_static("*, authorization"));
    headers.insert(ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static("86400"));
    answer
}
