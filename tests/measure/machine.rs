//! What the machine says of a process.

/// User and system time of the threads of a process so far, in seconds, by the start of their names.
pub fn cpu_seconds(pid: u32, thread: &str) -> f64 {
    let tasks = std::fs::read_dir(format!("/proc/{pid}/task")).expect("it runs");
    let seconds = |task: std::fs::DirEntry| {
        let name = std::fs::read_to_string(task.path().join("comm")).ok()?;
        let stat = std::fs::read_to_string(task.path().join("stat")).ok()?;
        let fields: Vec<&str> = stat.rsplit(')').next()?.split_whitespace().collect();
        let ticks = fields[11].parse::<f64>().ok()? + fields[12].parse::<f64>().ok()?;
        name.starts_with(thread).then_some(ticks / 100.0)
    };
    tasks.filter_map(|task| seconds(task.ok()?)).sum()
}

/// A line of `/proc/PID/status` in megabytes: `VmRSS` is what is resident now, `VmHWM` the most so far.
pub fn megabytes(pid: u32, line: &str) -> f64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("it runs");
    let found = status.lines().find_map(|it| it.strip_prefix(line)?.strip_prefix(':')).expect("a line");
    found.trim().trim_end_matches(" kB").trim().parse::<f64>().expect("a number") * 1024.0 / 1e6
}
