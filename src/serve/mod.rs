//! From the view to HTTP: the listener that readers ask, and the admin listener that operators ask.
//!
//! ```text
//!            HTTP threads, one socket each (SO_REUSEPORT)                       admin thread
//! reader ──► run_http ──► connection ──► Site ──► Feeds (the view)   operator ──► run_admin ──► Admin ──► AdminSource
//!            accept       timeouts       routes                                                  └──────► Telemetry
//!                                          └──► Callers (tokens) ◄── run_judges, a thread of its own
//! ```
//! In: requests, the view behind [`Feeds`], the engine's figures behind [`AdminSource`] and [`Telemetry`]. Out: answers.
//! What always holds:
//! - every wait for a client is bounded ([`Bounds`]); every connection that is cut or refused is counted;
//! - a request is answered on the thread that read it, and never waits for a writer; only `explain` asks another thread,
//!   which never waits for it. Readers take no lock; those who send interactions take one for each (`tally`);
//! - what clients can make grow is bounded: connections, callers (`rate`), what they did (`tally`);
//! - every refusal of a request is `{"error","message"}`, and the message says what to do.
//!
//! Architecture Invariant: no thread is started here. The engine runs [`run_http`], [`run_judges`] and [`run_admin`] on threads
//! of its own and stops them with [`Stop`], from any thread. Nothing here knows the stream, its filter or the log.
//!
//! [`Telemetry`]: crate::telemetry::Telemetry
#![forbid(unsafe_code)]

mod admin;
mod answer;
mod bind;
mod callers;
mod connection;
mod describe;
mod explain;
mod identity;
mod interactions;
mod metrics;
mod prebuilt;
mod query;
mod rate;
mod run;
mod site;
mod skeleton;
mod status;
mod tally;
mod view;
mod watched;

pub use admin::{Admin, AdminSource, RingOccupancy};
pub use bind::{AdminSocket, BindError, HttpSocket, Listeners};
pub use callers::{Caller, Callers, run_judges};
pub use identity::{ConfigError, Identity, ServeConfig};
pub use rate::{Cidr, CidrError, Quota, RateLimits};
pub use run::{Stop, run_admin, run_http};
pub use site::Site;
pub use status::{GapStatus, InteractionsStatus, LogStatus, Status, UpstreamStatus};
pub use tally::{CommunityInteractions, PostInteractions, Tally};

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use crate::fact::{CommunityId, CommunityInfo};
use crate::limits;
use crate::syntax::{Did, Time};

/// The feeds that are served: the view, as this floor needs it.
pub trait Feeds: Clone + Send + Sync + 'static {
    /// The body of one `getFeedSkeleton` answer, to be sent as it lies: at most `limit` items that are visible at `now`.
    ///
    /// `rkey` is a community's id, or its alias, the rkey of its config. `owner` restricts the search to the communities
    /// of that account; `None` means all of them. `cursor` is what the page before gave.
    ///
    /// # Errors
    /// No such feed, or a cursor that no page gave.
    fn skeleton(
        &self,
        rkey: &str,
        owner: Option<&Did>,
        now: Time,
        limit: usize,
        cursor: Option<&str>,
    ) -> Result<Bytes, SkeletonError>;

    /// Whether a community has a feed here.
    fn serves(&self, id: CommunityId) -> bool;

    /// Every feed that is served, in any order.
    fn feeds(&self) -> Vec<(CommunityId, Arc<CommunityInfo>)>;

    /// A number that is another one after the set of feeds has changed. It is read before [`Feeds::feeds`], and often.
    fn feeds_version(&self) -> u64;
}

/// Why there is no page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SkeletonError {
    /// No community has that feed, or not with that owner.
    UnknownFeed,
    /// No page has given that cursor.
    BadCursor,
}

/// How long clients are waited for, and how many of them are held. The defaults are those of [`limits`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// Connections that one thread holds at the same time; one more is answered 503 and closed.
    pub connections: usize,
    /// From the first byte of a request (or the start of the connection) to the end of its head.
    pub head: Duration,
    /// From the end of the head until the answer is handed to the kernel.
    pub exchange: Duration,
    /// Between two requests.
    pub idle: Duration,
    /// How long the rest of a request that was answered early is discarded.
    pub linger: Duration,
    /// From [`Stop::stop`] until the last connection is cut.
    pub stop: Duration,
}

impl Default for Bounds {
    fn default() -> Self {
        Self {
            connections: limits::HTTP_CONNECTIONS_MAX,
            head: Duration::from_millis(limits::HTTP_HEAD_TIMEOUT_MILLIS),
            exchange: Duration::from_millis(limits::HTTP_EXCHANGE_TIMEOUT_MILLIS),
            idle: Duration::from_millis(limits::HTTP_IDLE_TIMEOUT_MILLIS),
            linger: Duration::from_millis(limits::HTTP_LINGER_MILLIS),
            stop: Duration::from_millis(limits::STOP_TIMEOUT_MILLIS),
        }
    }
}
