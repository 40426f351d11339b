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
