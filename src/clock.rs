//! The only place that reads time.
//!
//! Everything else is handed a [`Clock`], or a moment. So a test, a simulation and a replay are the same program with
//! another clock.
#![forbid(unsafe_code)]

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// A source of wall time and of monotonic time.
#[derive(Clone, Debug)]
pub struct Clock(Source);

#[derive(Clone, Debug)]
enum Source {
    Real { started: Instant },
    Manual { micros: Arc<AtomicI64>, started_micros: i64 },
}

impl Clock {
    /// The machine's own clocks.
    #[expect(clippy::disallowed_methods, reason = "this is the one place")]
    pub fn real() -> Self {
        Self(Source::Real { started: Instant::now() })
    }

    /// A clock that moves only when [`Clock::advance`] is called. Clones share the same hands.
    pub fn manual(start_micros: i64) -> Self {
        Self(Source::Manual { micros: Arc::new(AtomicI64::new(start_micros)), started_micros: start_micros })
    }

    /// Wall time in microseconds since the epoch. It may jump.
    #[expect(clippy::disallowed_methods, reason = "this is the one place")]
    pub fn wall_micros(&self) -> i64 {
        match &self.0 {
            Source::Real { .. } => match SystemTime::now().duration_since(UNIX_EPOCH) {
                Ok(since) => i64::try_from(since.as_micros()).unwrap_or(i64::MAX),
                Err(before) => i64::try_from(before.duration().as_micros()).map_or(i64::MIN, |micros| -micros),
            },
            Source::Manual { micros, .. } => micros.load(Ordering::Relaxed),
        }
    }

    /// Time since this clock was made. It never goes back.
    pub fn monotonic(&self) -> Duration {
        match &self.0 {
            Source::Real { started } => started.elapsed(),
            Source::Manual { micros, started_micros } => {
                let micros = micros.load(Ordering::Relaxed).saturating_sub(*started_micros);
                Duration::from_micros(u64::try_from(micros).unwrap_or(0))
            }
        }
    }

    /// Moves a manual clock forward; a real one moves by itself.
    pub fn advance(&self, by: Duration) {
        if let Source::Manual { micros, .. } = &self.0 {
            micros.fetch_add(i64::try_from(by.as_micros()).unwrap_or(i64::MAX), Ordering::Relaxed);
        }
    }
}

/// The moment at which feeds are read while serving (DESIGN §3, "Now").
///
/// It is the wall clock, bounded to [`CLOCK_AHEAD_MICROS`](crate::limits::CLOCK_AHEAD_MICROS) past the latest witnessed
/// time, plus the time that has passed on the monotonic clock since that was witnessed. So a board that boots in 2099
/// evicts nothing, while a stream that stands still does not stop posts from growing old. It never goes back.
///
/// One thread witnesses; any number of threads read.
#[derive(Debug)]
pub struct Now {
    clock: Clock,
    /// Latest witnessed time in microseconds, or [`NOTHING`].
    witnessed: AtomicI64,
    /// Monotonic microseconds when it was witnessed.
    witnessed_at: AtomicI64,
    /// The latest moment that was given out.
    given: AtomicI64,
}

/// Nothing has been witnessed yet.
const NOTHING: i64 = i64::MIN;

impl Now {
    /// A now before anything was witnessed: it is the wall clock.
    pub fn new(clock: Clock) -> Self {
        Self {
            clock,
            witnessed: AtomicI64::new(NOTHING),
            witnessed_at: AtomicI64::new(0),
            given: AtomicI64::new(NOTHING),
        }
    }

    /// Goes on from a recovered log: now is not before `given_micros`.
    pub fn resume(&self, given_micros: i64) {
        self.given.fetch_max(given_micros, Ordering::Relaxed);
    }

    /// The stream has reached this moment. An earlier one than before changes nothing but says that the stream moves.
    pub fn witness(&self, micros: i64) {
        self.witnessed.fetch_max(micros, Ordering::Relaxed);
        self.witnessed_at.store(self.monotonic_micros(), Ordering::Relaxed);
    }

    /// Latest witnessed time in microseconds; `None` before the first.
    pub fn witnessed_micros(&self) -> Option<i64> {
        Some(self.witnessed.load(Ordering::Relaxed)).filter(|&micros| micros != NOTHING)
    }

    /// Now, in microseconds since the epoch.
    pub fn micros(&self) -> i64 {
        let wall = self.clock.wall_micros();
        let Some(witnessed) = self.witnessed_micros() else {
            // Not kept: the wall clock may be wrong, and nothing is there yet that it could evict.
            return wall.max(self.given.load(Ordering::Relaxed));
        };
        let since = self.monotonic_micros().saturating_sub(self.witnessed_at.load(Ordering::Relaxed)).max(0);
        let bound = witnessed.saturating_add(crate::limits::CLOCK_AHEAD_MICROS).saturating_add(since);
        let now = wall.min(bound);
        self.given.fetch_max(now, Ordering::Relaxed).max(now)
    }

    fn monotonic_micros(&self) -> i64 {
        i64::try_from(self.clock.monotonic().as_micros()).unwrap_or(i64::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::{CLOCK_AHEAD_MICROS, MINUTE_MICROS, SECOND_MICROS};

    #[test]
    fn a_wall_clock_far_ahead_is_bounded_by_the_stream() {
        let clock = Clock::manual(4_000_000_000 * SECOND_MICROS);
        let now = Now::new(clock.clone());
        assert_eq!(now.micros(), 4_000_000_000 * SECOND_MICROS, "nothing to be bounded by");
        now.witness(1_000 * SECOND_MICROS);
        assert_eq!(now.micros(), 1_000 * SECOND_MICROS + CLOCK_AHEAD_MICROS);
        clock.advance(Duration::from_secs(60));
        assert_eq!(now.micros(), 1_000 * SECOND_MICROS + CLOCK_AHEAD_MICROS + MINUTE_MICROS, "silence still ages");
    }

    #[test]
    fn a_wall_clock_near_the_stream_is_now() {
        let clock = Clock::manual(1_000 * SECOND_MICROS);
        let now = Now::new(clock.clone());
        now.witness(999 * SECOND_MICROS);
        assert_eq!(now.micros(), 1_000 * SECOND_MICROS);
    }

    #[test]
    fn it_never_goes_back() {
        let clock = Clock::manual(1_000 * SECOND_MICROS);
        let now = Now::new(clock.clone());
        now.witness(1_000 * SECOND_MICROS);
        let before = now.micros();
        now.witness(10 * SECOND_MICROS);
        assert!(now.micros() >= before);
        now.resume(2_000 * SECOND_MICROS);
        assert_eq!(now.micros(), 2_000 * SECOND_MICROS);
    }
}
