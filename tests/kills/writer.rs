//! The small child: it opens a log, appends batches whose content their LSN decides, syncs, and says what is durable.
//!
//! ```text
//! child   O        R lsn          S lsn       D lsn            C          O …    one line each on stderr, as it happens
//!         opening  opened, all    a sync      it has           it stops
//!                  is durable     begins      answered         on purpose
//! ```
//! Lives are short, so most kills meet something under way; the log has small segments, and the child opens it anew now and
//! then, so recovery and rotation are met as often as appending.

use std::fmt;
use std::io::{Read, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use atrarium::disk::RealDisk;
use atrarium::log::{Entry, Log, LogError, Lsn, Options, Verdict, check, read};
use fastrand::Rng;

use crate::kill_after;

/// Names the directory to a child, and tells it that it is one.
pub const CHILD: &str = "KILLS_CHILD_DIR";
/// Lives of one log: then it is thrown away, so that it stays small.
const LIVES: u64 = 25;
/// The longest life.
const LIFE: Duration = Duration::from_millis(120);
const SEGMENT_BYTES: u64 = 48 << 10;
/// Chains of lives at the same time.
const CHAINS: u64 = 2;

/// What the kills have met.
#[derive(Debug, Default)]
pub struct Total {
    pub kills: u64,
    /// Before the log was being opened.
    pub at_start: u64,
    pub in_recovery: u64,
    pub in_sync: u64,
    pub in_stop: u64,
    /// Between those: mostly in an append.
    pub elsewhere: u64,
    /// Batches that were answered for.
    pub answered: u64,
    /// Batches that were found, over all checks.
    pub found: u64,
    /// Kills that left a torn tail.
    pub torn: u64,
    pub segments: u64,
}

impl fmt::Display for Total {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "kills of the writer: {}, of them {} within recovery, {} within a sync, {} within a stop, {} at the start, {} \
             elsewhere; {} torn tails; {} batches answered for in {} segments, lost = 0 ({} found by {} checks)",
            self.kills,
            self.in_recovery,
            self.in_sync,
            self.in_stop,
            self.at_start,
            self.elsewhere,
            self.torn,
            self.answered,
            self.segments,
            self.found,
            self.kills
        )
    }
}

impl Total {
    fn add(&mut self, other: &Self) {
        self.kills += other.kills;
        self.at_start += other.at_start;
        self.in_recovery += other.in_recovery;
        self.in_sync += other.in_sync;
        self.in_stop += other.in_stop;
        self.elsewhere += other.elsewhere;
        self.answered += other.answered;
        self.found += other.found;
        self.torn += other.torn;
        self.segments += other.segments;
    }
}

/// The content of a batch.
fn payload(lsn: Lsn) -> Vec<u8> {
    let mut rng = Rng::with_seed(lsn);
    let length = if rng.u8(..) == 0 { rng.usize(..60_000) } else { rng.usize(..3000) };
    (0..length).map(|_| rng.u8(..)).collect()
}

fn version(lsn: Lsn) -> u8 {
    lsn.to_le_bytes()[0]
}

/// Holds an entry against what its LSN decides.
fn judge(entry: Entry<'_>) -> Result<(), String> {
    let is_right = entry.version == version(entry.lsn) && entry.payload == payload(entry.lsn);
    if is_right { Ok(()) } else { Err("this is not what was appended".to_owned()) }
}

/// Kills as many children as asked, and holds the log against what each has said.
pub fn campaign(kills: u64, seed: u64) -> Total {
    let chains = kills.div_ceil(LIVES);
    let (next, mut total) = (AtomicU64::new(0), Total::default());
    std::thread::scope(|scope| {
        let work = || {
            let mut part = Total::default();
            loop {
                let nth = next.fetch_add(1, Ordering::Relaxed);
                if nth >= chains {
                    return part;
                }
                part.add(&chain(seed << 32 | nth, LIVES.min(kills - nth * LIVES)));
            }
        };
        let threads: Vec<_> = (0..CHAINS).map(|_| scope.spawn(work)).collect();
        for thread in threads {
            total.add(&thread.join().expect("the thread says what went wrong"));
        }
    });
    total
}

/// One log over all its lives.
fn chain(seed: u64, lives: u64) -> Total {
    let home = tempfile::tempdir().expect("a directory");
    let (mut rng, mut total, mut answered) = (Rng::with_seed(seed), Total::default(), 0);
    for life in 0..lives {
        let said = live(home.path(), LIFE.mul_f64(rng.f64()));
        let story = || format!("seed {seed}, life {life}: the child said {:?}", said.lines().last());
        total.kills += 1;
        match said.lines().last().and_then(|line| line.chars().next()) {
            None => total.at_start += 1,
            Some('O') => total.in_recovery += 1,
            Some('S') => total.in_sync += 1,
            Some('C') => total.in_stop += 1,
            Some('R' | 'D') => total.elsewhere += 1,
            Some(_) => panic!("{}: {said}", story()),
        }
        for line in said.lines().filter(|line| line.starts_with(['R', 'D'])) {
            let lsn: Lsn = line[2..].parse().unwrap_or_else(|_| panic!("{}: {said}", story()));
            assert!(lsn >= answered, "{}: {answered} was answered for, and now {lsn} is the last", story());
            answered = lsn;
        }
        let found = verify(home.path(), answered, &mut total).unwrap_or_else(|error| {
            let kept = home.keep();
            panic!("{}: {error}; the log is kept in {}", story(), kept.display())
        });
        total.found += found;
    }
    total.answered = answered;
    close(home.path(), answered);
    total.segments = check(&RealDisk, home.path(), &mut judge).expect("it was just closed").segments;
    total
}

/// One life of a child: all it has said.
fn live(dir: &Path, time: Duration) -> String {
    let mut child = Command::new(std::env::current_exe().expect("this program"))
        .args(["--exact", "child", "--ignored", "--nocapture"])
        .env(CHILD, dir)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .expect("it starts");
    let killer = kill_after(child.id(), time);
    let mut said = Vec::new();
    child.stderr.take().expect("piped").read_to_end(&mut said).expect("it speaks until it is killed");
    killer.join().expect("it kills");
    let status = child.wait().expect("it ends");
    let said = String::from_utf8(said).expect("UTF-8");
    let signal = std::os::unix::process::ExitStatusExt::signal(&status);
    assert_eq!(signal, Some(9), "the child ended by itself: {status}: {said}");
    // Its last line may have been cut, and says nothing then.
    let whole = said.rfind('\n').map_or(0, |end| end + 1);
    said[..whole].to_owned()
}

/// Everything up to `answered` is there, in order and with its content; what is wrong, in words. How many batches there are.
fn verify(dir: &Path, answered: Lsn, total: &mut Total) -> Result<u64, String> {
    let report = match check(&RealDisk, dir, &mut judge) {
        Ok(report) => report,
        Err(LogError::Missing { .. }) if answered == 0 => return Ok(0),
        Err(error) => return Err(error.to_string()),
    };
    if report.verdict() == Verdict::Corrupt {
        return Err(format!("{:?}", report.faults));
    }
    total.torn += u64::from(report.verdict() == Verdict::TornTail);
    let mut last = 0;
    let reading = read(&RealDisk, dir, &mut |entry| {
        last += 1;
        if entry.lsn != last { Err(format!("{last} was expected")) } else { judge(entry) }
    })
    .map_err(|error| error.to_string())?;
    if last < answered || report.last_lsn != last || reading.last_lsn != last {
        return Err(format!("{answered} batches were answered for, {last} are there"));
    }
    Ok(last)
}

/// The log opens, stops on purpose, and is clean then.
fn close(dir: &Path, answered: Lsn) {
    let (log, recovered) = open(dir).expect("it opens");
    assert!(recovered >= answered, "{answered} batches were answered for, {recovered} are there");
    log.close().expect("a healthy disk");
    let report = check(&RealDisk, dir, &mut judge).expect("it can be read");
    assert_eq!((report.verdict(), report.last_lsn), (Verdict::Clean, recovered), "{:?}", report.faults);
}

fn open(dir: &Path) -> Result<(Log, Lsn), LogError> {
    // Salts must differ from one process to the next.
    let rng = Rng::with_seed(u64::from(std::process::id()) ^ dir.as_os_str().len() as u64);
    let options = Options { segment_bytes: SEGMENT_BYTES, ..Options::new(rng) };
    let (log, recovered) = Log::open(Arc::new(RealDisk), dir, options, &mut judge)?;
    Ok((log, recovered.last_lsn))
}

/// What the child does. It never comes back.
pub fn write_until_killed(dir: &Path) -> ! {
    let mut rng = Rng::with_seed(u64::from(std::process::id()));
    loop {
        say('O', 0);
        let (mut log, mut last) = open(dir).unwrap_or_else(|error| panic!("{error}"));
        say('R', last);
        for _ in 0..rng.usize(1..60) {
            for _ in 0..rng.usize(1..6) {
                last = log.append(version(last + 1), &payload(last + 1)).unwrap_or_else(|error| panic!("{error}"));
            }
            say('S', last);
            let durable = log.sync().unwrap_or_else(|error| panic!("{error}"));
            say('D', durable);
        }
        if rng.bool() {
            say('C', last);
            log.close().unwrap_or_else(|error| panic!("{error}"));
        }
    }
}

/// One line, in one write.
fn say(what: char, lsn: Lsn) {
    std::io::stderr().write_all(format!("{what} {lsn}\n").as_bytes()).expect("somebody listens");
}
