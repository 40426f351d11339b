//! How much memory this process holds: the system says it in a file.

use std::fs;

/// Resident memory of this process in bytes, from `/proc/self/statm`; `None` where the system has no such file.
pub fn resident_bytes() -> Option<u64> {
    let text = fs::read_to_string("/proc/self/statm").ok()?;
    let pages: u64 = text.split_ascii_whitespace().nth(1)?.parse().ok()?;
    Some(pages * u64::try_from(rustix::param::page_size()).ok()?)
}
