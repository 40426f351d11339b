//! The engine: puts the rooms together, and is the only place that starts threads.
//!
//! ```text
//! reader ─► workers ─► committer ─► view ◄─ http threads          admin thread: metrics, health, status
//! ```
//!
//! Stopping goes the same way as the data: the reader stops and drops its rings, each worker ends when its ring is
//! empty, the committer ends when all workers have gone and what they handed on is durable. Then the listeners stop.
//! If any thread ends by itself, all are stopped and [`Engine::join`] says why.
#![forbid(unsafe_code)]

mod beside;
pub mod recover;
pub mod replay;
#[cfg(feature = "server")]
mod running;
pub mod salvage;
#[cfg(feature = "server")]
mod status;
#[cfg(feature = "server")]
mod threads;

#[cfg(feature = "server")]
pub use running::{Config, Engine, From, RunError};

use crate::clock::Clock;
use crate::log::LogError;

/// Why the engine cannot start. Each says what to do.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The data directory or its log.
    #[error(transparent)]
    Log(#[from] LogError),
    /// The snapshot is whole, and its parts contradict each other.
    #[error("the newest snapshot cannot be restored ({0}): give it another name, so that the one before it is taken")]
    Snapshot(String),
    /// A listener.
    #[cfg(feature = "server")]
    #[error(transparent)]
    Bind(#[from] crate::serve::BindError),
    /// An option that contradicts the world.
    #[error("{0}")]
    Config(String),
    /// The operating system gives no more threads.
    #[error("cannot start the {name} thread: {error}; allow this process more threads")]
    Thread {
        /// Which thread.
        name: String,
        /// What the system said.
        error: std::io::Error,
    },
}

/// The one source of randomness: the jitter of reconnects and the salts of the log, nothing that could be
/// seen in a feed.
#[expect(clippy::disallowed_methods, reason = "this is the one place")]
fn seeded(clock: &Clock) -> fastrand::Rng {
    fastrand::Rng::with_seed(fastrand::u64(..) ^ clock.wall_micros().unsigned_abs())
}
