//! The machine: time, processors, memory, and what is known of it.

use std::time::{Duration, Instant};

use rustix::time::{ClockId, clock_gettime};

/// Time that has passed, and time on a processor.
#[derive(Debug)]
pub struct Stopwatch {
    clock: ClockId,
    began: Instant,
    cpu: Duration,
}

fn read(clock: ClockId) -> Duration {
    let time = clock_gettime(clock);
    Duration::new(time.tv_sec.try_into().unwrap_or(0), time.tv_nsec.try_into().unwrap_or(0))
}

impl Stopwatch {
    /// Of this thread, from now on.
    pub fn of_thread() -> Self {
        Self::of(ClockId::ThreadCPUTime)
    }

    /// Of all threads of this process, from now on.
    pub fn of_process() -> Self {
        Self::of(ClockId::ProcessCPUTime)
    }

    fn of(clock: ClockId) -> Self {
        Self { clock, began: now(), cpu: read(clock) }
    }

    /// Time that has passed.
    pub fn wall(&self) -> Duration {
        self.began.elapsed()
    }

    /// Time on a processor.
    pub fn cpu(&self) -> Duration {
        read(self.clock) - self.cpu
    }
}

/// Monotonic time.
#[expect(clippy::disallowed_methods, reason = "no part of the engine, and this is its one place")]
pub fn now() -> Instant {
    Instant::now()
}

/// Starts a thread.
#[expect(clippy::disallowed_methods, reason = "no part of the engine, and this is its one place")]
pub fn spawn<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> std::thread::JoinHandle<T> {
    std::thread::spawn(work)
}

/// Does nothing for a while.
#[expect(clippy::disallowed_methods, reason = "no part of the engine, and this is its one place")]
pub fn pause(time: Duration) {
    std::thread::sleep(time);
}

/// Time on a processor of all threads of a process so far.
pub fn cpu_of(pid: u32) -> Duration {
    let tasks = std::fs::read_dir(format!("/proc/{pid}/task")).expect("it runs");
    let nanos = |task: std::fs::DirEntry| {
        let text = std::fs::read_to_string(task.path().join("schedstat")).ok()?;
        text.split(' ').next()?.parse::<u64>().ok()
    };
    Duration::from_nanos(tasks.filter_map(|task| nanos(task.ok()?)).sum())
}

/// What is resident of a process now, in bytes.
pub fn resident_of(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("it runs");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("a line");
    line.trim().trim_end_matches(" kB").trim().parse::<u64>().expect("a number") * 1024
}

/// What the processor is called, and how many of them there are.
pub fn model() -> String {
    let info = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let name = info.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    format!("{}, {} processors", name.map_or("unknown", |(_, name)| name.trim()), processors())
}

/// How many processors this program may use.
pub fn processors() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// The median of some figures.
pub fn median(mut figures: Vec<f64>) -> f64 {
    figures.sort_by(f64::total_cmp);
    figures.get(figures.len() / 2).copied().unwrap_or(f64::NAN)
}
