//! What the engine tells of itself: the source behind `/status`, `/health/ready` and the ring gauges.
//!
//! Three threads write here (reader: the connection; committer: cursors and gaps; everybody: counters), the admin thread
//! reads. The lock is held for a copy of a few words, by threads that meet here a few times a second.

use std::sync::{Arc, Mutex, PoisonError};

use crate::clock::{Clock, Now};
use crate::community::Fold;
use crate::fact::{Cursor, Gap};
use crate::limits::{IDLE_TIMEOUT_MILLIS, SECOND_MICROS};
use crate::ring::Monitor;
use crate::serve::{AdminSource, GapStatus, RingOccupancy, Status, UpstreamStatus};
use crate::syntax::Time;
use crate::telemetry::Telemetry;
use crate::wire::endpoint::Endpoint;

/// A stream is caught up when its latest witnessed time is at most this far behind the wall clock.
const CAUGHT_UP_MICROS: i64 = 30 * SECOND_MICROS;

/// Where the threads write and the admin listener reads.
#[derive(Clone)]
pub struct Board {
    shared: Arc<Mutex<Shared>>,
    telemetry: Arc<Telemetry>,
    clock: Clock,
    now: Arc<Now>,
    rings: Arc<[Monitor]>,
    memory: fn() -> Option<u64>,
}

#[derive(Default)]
struct Shared {
    upstream: Upstream,
    cursor: Option<Cursor>,
    gaps: Vec<Gap>,
    gaps_seen: u64,
}

/// The connection to the stream, as the reader last told.
#[derive(Clone, Default)]
struct Upstream {
    url: String,
    dialect: &'static str,
    connected: bool,
    why: String,
}

impl Board {
    /// A board on which nothing is written yet.
    pub fn new(
        telemetry: Arc<Telemetry>,
        clock: Clock,
        now: Arc<Now>,
        rings: Vec<Monitor>,
        memory: fn() -> Option<u64>,
    ) -> Self {
        Self { shared: Arc::default(), telemetry, clock, now, rings: rings.into(), memory }
    }

    /// What the committer tells after each batch.
    pub fn observe(&self, fold: &Fold) {
        self.with(|shared| {
            shared.cursor = fold.cursor().cloned();
            if fold.gaps_seen() != shared.gaps_seen {
                shared.gaps_seen = fold.gaps_seen();
                shared.gaps = fold.gaps().cloned().collect();
            }
        });
    }

    fn with<T>(&self, work: impl FnOnce(&mut Shared) -> T) -> T {
        // A panic elsewhere leaves nothing half written here: each field is replaced whole.
        work(&mut self.shared.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn silence_micros(&self) -> Option<i64> {
        let last = Some(self.telemetry.last_frame_monotonic_micros.get()).filter(|&micros| micros > 0)?;
        let now = i64::try_from(self.clock.monotonic().as_micros()).unwrap_or(i64::MAX);
        Some(now.saturating_sub(last))
    }

    /// A connection is open.
    pub fn connected(&self, endpoint: &Endpoint) {
        let url = endpoint.to_string();
        let dialect = endpoint.dialect().as_str();
        self.with(|shared| shared.upstream = Upstream { url, dialect, connected: true, why: String::new() });
    }

    /// It is lost, or could not be made.
    pub fn disconnected(&self, endpoint: &Endpoint, why: &str) {
        let url = endpoint.to_string();
        let dialect = endpoint.dialect().as_str();
        self.with(|shared| shared.upstream = Upstream { url, dialect, connected: false, why: why.to_owned() });
    }
}

impl AdminSource for Board {
    fn readiness(&self) -> Result<(), String> {
        let upstream = self.with(|shared| shared.upstream.clone());
        if !upstream.connected {
            let why = if upstream.why.is_empty() { "not tried yet" } else { &upstream.why };
            return Err(format!("no stream is connected: {why}"));
        }
        let silence = self.silence_micros().ok_or_else(|| format!("{} has sent nothing yet", upstream.url))?;
        if silence > IDLE_TIMEOUT_MILLIS as i64 * 1000 {
            return Err(format!("{} has been silent for {} s", upstream.url, silence / SECOND_MICROS));
        }
        let Some(witnessed) = self.now.witnessed_micros() else {
            return Err("no position in the stream is known yet".to_owned());
        };
        let lag = self.clock.wall_micros().saturating_sub(witnessed);
        if lag > CAUGHT_UP_MICROS {
            return Err(format!("catching up: {} s behind", lag / SECOND_MICROS));
        }
        Ok(())
    }

    fn status(&self) -> Status {
        let (upstream, cursor, gaps) =
            self.with(|shared| (shared.upstream.clone(), shared.cursor.clone(), shared.gaps.clone()));
        let upstream = UpstreamStatus {
            url: upstream.url,
            dialect: upstream.dialect,
            connected: upstream.connected,
            cursor: cursor.as_ref().map(|cursor| cursor.value),
            cursor_time: cursor.map(|cursor| cursor.time.to_string()),
            ..UpstreamStatus::default()
        };
        Status::gather(&self.telemetry, &self.clock, upstream, gaps.iter().map(GapStatus::from).collect())
    }

    fn ring_occupancy(&self) -> Vec<RingOccupancy> {
        let ring = |(at, monitor): (usize, &Monitor)| RingOccupancy {
            worker: at.to_string(),
            ratio: monitor.occupancy_ratio(),
        };
        self.rings.iter().enumerate().map(ring).collect()
    }

    fn memory_bytes(&self) -> Option<u64> {
        (self.memory)()
    }
}

/// The witnessed time of a recovered log, for a [`Now`] that goes on from it.
pub fn resume_now(now: &Now, telemetry: &Telemetry, fold: &Fold) {
    if let Some(clock) = fold.clock() {
        now.resume(clock.micros());
    }
    if let Some(witnessed) = fold.latest_witnessed() {
        now.witness(witnessed.micros());
        telemetry.witnessed_micros.set(Time::micros(witnessed));
    }
}
