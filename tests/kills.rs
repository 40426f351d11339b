//! Real processes on the real disk, killed with SIGKILL at random moments, again and again: what was answered for is there.
//!
//! ```text
//! cargo test --test kills -- --nocapture                                    a few kills
//! KILLS=5000 cargo test --release --test kills -- --nocapture               the campaign
//! KILLS_SEED=7 …                                                            other moments
//! ```
//! `KILLS` is the number of kills of the small child (`kills/writer.rs`); `atrarium serve` (`kills/engine.rs`) is killed a
//! twentieth as often, for each of its lives takes half a second.
//!
//! SIGKILL leaves the page cache: what this shows is that the program answers for nothing too early, and that each of its
//! steps may be its last. What a power cut adds to that is the simulated disk's to show (`log::tests::crash`).
#![allow(clippy::disallowed_methods, reason = "tests wait for other processes, by the real clock")]

#[path = "kills/engine.rs"]
mod engine;
#[path = "spine/process.rs"]
#[allow(dead_code, reason = "shared with tests that measure")]
mod process;
#[path = "kills/writer.rs"]
mod writer;

use std::time::Duration;

/// A number from the environment.
fn number(name: &str, default: u64) -> u64 {
    match std::env::var(name) {
        Ok(text) => text.parse().unwrap_or_else(|_| panic!("{name}={text}: give a number")),
        Err(_) => default,
    }
}

/// Kills a process after some time, unless it has ended.
fn kill_after(pid: u32, time: Duration) -> std::thread::JoinHandle<()> {
    let pid = i32::try_from(pid).ok().and_then(rustix::process::Pid::from_raw).expect("a process id");
    std::thread::spawn(move || {
        std::thread::sleep(time);
        // Nobody has waited for it yet, so the id is still its own.
        rustix::process::kill_process(pid, rustix::process::Signal::KILL).expect("it was started");
    })
}

#[test]
fn what_a_writer_has_answered_for_is_there_after_every_kill() {
    let (kills, seed) = (number("KILLS", 60), number("KILLS_SEED", 1));
    let total = writer::campaign(kills, seed);
    println!("{total}");
    assert_eq!(total.kills, kills);
    assert!(total.in_recovery > 0 && total.in_sync > 0 && total.answered > 0, "the kills met nothing: {total}");
    assert!(kills < 300 || (total.in_snapshot > 0 && total.shortened > 0), "the kills met no snapshot: {total}");
}

#[test]
fn what_a_reader_was_shown_is_there_after_every_kill() {
    let (kills, seed) = (number("KILLS", 60).div_ceil(20), number("KILLS_SEED", 1));
    let total = engine::campaign(kills, seed);
    println!("{total}");
    assert!(total.shown > 0, "no reader was shown anything before a kill: {total}");
}

/// Not a test: the process that [`writer`] kills. It ends at once where nobody has asked for it.
#[test]
#[ignore = "the process that the other tests kill"]
fn child() {
    if let Some(dir) = std::env::var_os(writer::CHILD) {
        writer::write_until_killed(dir.as_ref());
    }
}
