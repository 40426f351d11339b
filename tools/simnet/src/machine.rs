//! The machine below: its clock, and its threads. Nothing else in this crate asks for either.

use std::thread;
use std::time::{Duration, Instant, SystemTime};

/// Monotonic time.
#[expect(clippy::disallowed_methods, reason = "the simulator is no part of the engine, and this is its one place")]
pub(crate) fn now() -> Instant {
    Instant::now()
}

/// Wall time in microseconds since 1970; for `--epoch now` alone.
#[expect(clippy::disallowed_methods, reason = "the simulator is no part of the engine, and this is its one place")]
pub(crate) fn wall_micros() -> i64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_micros()).unwrap_or(i64::MAX)
}

/// Starts a named thread.
#[expect(clippy::disallowed_methods, reason = "the simulator is no part of the engine, and this is its one place")]
pub(crate) fn spawn(name: &str, work: impl FnOnce() + Send + 'static) -> std::io::Result<thread::JoinHandle<()>> {
    thread::Builder::new().name(name.into()).spawn(work)
}

/// Does nothing for a while.
#[expect(clippy::disallowed_methods, reason = "the simulator is no part of the engine, and this is its one place")]
pub(crate) fn pause(time: Duration) {
    thread::sleep(time);
}

/// How many threads can run at once.
pub(crate) fn cores() -> usize {
    thread::available_parallelism().map_or(1, usize::from)
}

/// Does all of some work at once; the results stand in the order of the work.
pub(crate) fn in_parallel<T: Send>(work: Vec<impl FnOnce() -> T + Send>) -> Vec<T> {
    thread::scope(|scope| {
        let threads: Vec<_> = work.into_iter().map(|part| scope.spawn(part)).collect();
        let joined = threads.into_iter().map(|thread| thread.join());
        joined.map(|result| result.unwrap_or_else(|panic| std::panic::resume_unwind(panic))).collect()
    })
}
