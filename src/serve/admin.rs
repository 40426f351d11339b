//! The admin listener's routes.
//!
//! ```text
//! /metrics        OpenMetrics text          /health/live    200 while the process runs
//! /status         JSON, see `Status`        /health/ready   200, or 503 and why not
//! /               this list                 …               404
//! ```

use std::sync::Arc;

use hyper::header::{ALLOW, HeaderValue};
use hyper::http::request::Parts;
use hyper::{Method, StatusCode};
use prometheus_client::registry::Registry;
use serde::Serialize;

use super::answer::{self, Answer};
use super::connection::{Handler, Reply};
use super::metrics::{CallerFigures, OPENMETRICS, registry};
use super::rate::Arrival;
use super::tally::Tally;
use super::{Bounds, Status};
use crate::clock::Clock;
use crate::identity::Gate;
use crate::limits::ADMIN_CONNECTIONS_MAX;
use crate::telemetry::Telemetry;

/// What the engine knows and [`Telemetry`] does not count. Asked at each request, so it must be quick.
pub trait AdminSource: Send + Sync + 'static {
    /// Whether the feeds are caught up with the stream, and the stream moves.
    ///
    /// # Errors
    /// Why not, in words for an operator.
    fn readiness(&self) -> Result<(), String>;

    /// The state of the engine; [`Status::gather`] makes most of it.
    fn status(&self) -> Status;

    /// How full each ring is.
    fn ring_occupancy(&self) -> Vec<RingOccupancy>;

    /// Resident memory of the process; `None` where the system does not tell.
    fn memory_bytes(&self) -> Option<u64>;
}

/// How full the ring of one worker is.
#[derive(Clone, Debug, PartialEq)]
pub struct RingOccupancy {
    /// The worker, as the label `worker` names it.
    pub worker: String,
    /// From 0 (empty) to 1 (full).
    pub ratio: f64,
}

/// What the admin thread answers with.
pub struct Admin {
    source: Arc<dyn AdminSource>,
    clock: Clock,
    telemetry: Arc<Telemetry>,
    registry: Registry,
    tally: Option<Arc<Tally>>,
    bounds: Bounds,
}

const METHODS: &str = "GET, HEAD, OPTIONS";

impl Admin {
    /// `clock` must be the engine's own: the time of the last frame is on its monotonic scale.
    pub fn new(source: Arc<dyn AdminSource>, clock: Clock, telemetry: Arc<Telemetry>) -> Self {
        Self {
            registry: registry(Arc::clone(&telemetry), clock.clone(), Arc::clone(&source)),
            bounds: Bounds { connections: ADMIN_CONNECTIONS_MAX, ..Bounds::default() },
            tally: None,
            source,
            clock,
            telemetry,
        }
    }

    /// With other bounds than those of [`limits`](crate::limits).
    #[must_use]
    pub fn with_bounds(self, bounds: Bounds) -> Self {
        Self { bounds, ..self }
    }

    /// With the interactions that a site counts, for `/status`.
    #[must_use]
    pub fn with_tally(self, tally: Arc<Tally>) -> Self {
        Self { tally: Some(tally), ..self }
    }

    /// With what is counted of callers and their tokens, for `/metrics`.
    #[must_use]
    pub fn with_callers(mut self, gate: Gate) -> Self {
        self.registry.register_collector(Box::new(CallerFigures(gate)));
        self
    }

    fn get(&self, path: &str) -> Option<Answer> {
        Some(match path {
            "/metrics" => self.metrics(),
            "/status" => answer::json_of(StatusCode::OK, &self.status()),
            "/health/live" => answer::json(StatusCode::OK, r#"{"live":true}"#),
            "/health/ready" => self.ready(),
            "/" => answer::body(StatusCode::OK, answer::TEXT, "/metrics\n/status\n/health/live\n/health/ready\n"),
            _ => return None,
        })
    }

    fn status(&self) -> Status {
        let mut status = self.source.status();
        status.interactions.communities = self.tally.as_ref().map(|tally| tally.busiest()).unwrap_or_default();
        status
    }

    fn metrics(&self) -> Answer {
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &self.registry)
            .expect("invariant: a String takes all text");
        answer::body(StatusCode::OK, HeaderValue::from_static(OPENMETRICS), text)
    }

    fn ready(&self) -> Answer {
        #[derive(Serialize)]
        struct Ready {
            ready: bool,
            #[serde(skip_serializing_if = "Option::is_none")]
            why: Option<String>,
        }
        match self.source.readiness() {
            Ok(()) => answer::json_of(StatusCode::OK, &Ready { ready: true, why: None }),
            Err(why) => answer::json_of(StatusCode::SERVICE_UNAVAILABLE, &Ready { ready: false, why: Some(why) }),
        }
    }
}

impl Handler for Admin {
    fn answer(&self, head: &Parts, _: Arrival) -> Reply<Self> {
        let path = head.uri.path();
        let known = || matches!(path, "/metrics" | "/status" | "/health/live" | "/health/ready" | "/");
        Reply::Now(match head.method {
            Method::GET | Method::HEAD => self.get(path).unwrap_or_else(not_found),
            _ if !known() => not_found(),
            Method::OPTIONS => {
                let mut answer = Answer::default();
                *answer.status_mut() = StatusCode::NO_CONTENT;
                answer.headers_mut().insert(ALLOW, HeaderValue::from_static(METHODS));
                answer
            }
            _ => answer::method_not_allowed(METHODS),
        })
    }

    /// Scrapes and probes are not what operators want to count.
    fn answered(&self, _: StatusCode) {}

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

fn not_found() -> Answer {
    answer::error(StatusCode::NOT_FOUND, "NotFound", "nothing is at this path: see / for what is here")
}
