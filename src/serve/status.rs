//! `/status`: one JSON object for scripts and for people. INTERFACES lists its keys.

use std::collections::BTreeMap;

use serde::Serialize;

use super::tally::CommunityInteractions;
use crate::clock::Clock;
use crate::fact::Gap;
use crate::syntax::Time;
use crate::telemetry::Telemetry;

/// The state of the engine.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Status {
    /// Of the program.
    pub version: &'static str,
    /// The stream.
    pub upstream: UpstreamStatus,
    /// Frames received since the start.
    pub frames: u64,
    /// Frames that the sieve let pass, since the start.
    pub hits: u64,
    /// Facts made durable since the start.
    pub facts: u64,
    /// Refusals since the start by reason; reasons that were not met are left out.
    pub refused: BTreeMap<&'static str, u64>,
    /// Communities served.
    pub communities: i64,
    /// Posts in the view.
    pub posts: i64,
    /// The log.
    pub log: LogStatus,
    /// What readers did, since the start.
    pub interactions: InteractionsStatus,
    /// What is suspect, and not yet repaired.
    pub gaps: Vec<GapStatus>,
}

/// The connection to the stream.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct UpstreamStatus {
    /// The host that is read, or tried.
    pub url: String,
    /// `v1` or `v2`.
    pub dialect: &'static str,
    /// Whether frames can come.
    pub connected: bool,
    /// The last durable cursor of that host, in its dialect's terms; `null` before the first.
    pub cursor: Option<u64>,
    /// Stream time of that cursor (RFC 3339, UTC): everything up to it is durable and can be read.
    pub cursor_time: Option<String>,
    /// Latest witnessed time (RFC 3339, UTC); `null` before the first frame.
    pub witnessed: Option<String>,
    /// How far the wall clock is past the latest witnessed time, in seconds; `null` before the first frame.
    pub lag_seconds: Option<f64>,
}

/// The log.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct LogStatus {
    /// The last LSN written.
    pub last_lsn: i64,
    /// The last LSN known to be on disk.
    pub durable_lsn: i64,
    /// The last LSN that the newest snapshot holds; 0 where there is none.
    pub snapshot_lsn: i64,
    /// Files.
    pub segments: i64,
    /// Bytes in all of them.
    pub bytes: i64,
}

/// What readers did with what feeds have shown them. Anybody may send such, so these are hints and no votes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct InteractionsStatus {
    /// All of them.
    pub total: u64,
    /// By event; those that were not met are left out.
    pub events: BTreeMap<&'static str, u64>,
    /// What is not told with the others, by reason; reasons that were not met are left out.
    pub left_out: BTreeMap<&'static str, u64>,
    /// The communities with most of them, those with most first.
    pub communities: Vec<CommunityInteractions>,
}

/// Something that the stream may have failed to tell.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct GapStatus {
    /// Stream time when it was noticed (RFC 3339, UTC).
    pub witnessed: String,
    /// Whose stream.
    pub host: String,
    /// The suspect repository; `null` means all of them.
    pub did: Option<String>,
    /// Why.
    pub reason: &'static str,
}

impl From<&Gap> for GapStatus {
    fn from(gap: &Gap) -> Self {
        Self {
            witnessed: gap.witnessed.to_string(),
            host: gap.host.as_str().to_owned(),
            did: gap.did.as_ref().map(ToString::to_string),
            reason: gap.reason.as_str(),
        }
    }
}

impl Status {
    /// Gathers what [`Telemetry`] counts around what it does not know. `upstream` needs no times: they are filled in from
    /// the latest witnessed time and `clock`.
    pub fn gather(telemetry: &Telemetry, clock: &Clock, upstream: UpstreamStatus, gaps: Vec<GapStatus>) -> Self {
        Self {
            version: env!("CARGO_PKG_VERSION"),
            upstream: UpstreamStatus {
                witnessed: witnessed(telemetry).map(|time| time.to_string()),
                lag_seconds: lag_seconds(telemetry, clock),
                ..upstream
            },
            frames: telemetry.frames.get(),
            hits: telemetry.hits.get(),
            facts: telemetry.facts().map(|(_, count)| count).sum(),
            refused: telemetry.refusals().map(|(reason, count)| (reason.as_str(), count)).collect(),
            communities: telemetry.communities.get(),
            posts: telemetry.posts.get(),
            log: LogStatus {
                last_lsn: telemetry.last_lsn.get(),
                durable_lsn: telemetry.durable_lsn.get(),
                snapshot_lsn: telemetry.snapshot_lsn.get(),
                segments: telemetry.segments.get(),
                bytes: telemetry.log_bytes.get(),
            },
            interactions: InteractionsStatus {
                total: telemetry.interactions().map(|(_, count)| count).sum(),
                events: telemetry.interactions().map(|(event, count)| (event.as_str(), count)).filter(met).collect(),
                left_out: telemetry.left_out().map(|(why, count)| (why.as_str(), count)).filter(met).collect(),
                communities: Vec::new(),
            },
            gaps,
        }
    }
}

fn met((_, count): &(&'static str, u64)) -> bool {
    *count > 0
}

/// Latest witnessed time, after the first frame.
fn witnessed(telemetry: &Telemetry) -> Option<Time> {
    Some(telemetry.witnessed_micros.get()).filter(|&micros| micros != 0).map(Time::from_micros)
}

/// How far the wall clock is past the latest witnessed time, in seconds. A stream ahead of the clock has no lag.
pub(super) fn lag_seconds(telemetry: &Telemetry, clock: &Clock) -> Option<f64> {
    let lag_micros = Time::from_micros(clock.wall_micros()).micros_since(witnessed(telemetry)?);
    Some(lag_micros.max(0) as f64 / 1e6)
}

/// How long no frame has come, in seconds; before the first one, since the start.
pub(super) fn silence_seconds(telemetry: &Telemetry, clock: &Clock) -> f64 {
    let now_micros = i64::try_from(clock.monotonic().as_micros()).unwrap_or(i64::MAX);
    let last_micros = telemetry.last_frame_monotonic_micros.get().max(0);
    now_micros.saturating_sub(last_micros).max(0) as f64 / 1e6
}
