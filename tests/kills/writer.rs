//! The small child: it opens a log, appends batches whose content their LSN decides, syncs, and says what is durable.
//!
//! ```text
//! child   O        R lsn          S lsn       D lsn            P lsn         T lsn          C          O …
//!         opening  opened, all    a sync      it has           a snapshot    it counts      it stops
//!                  is durable     begins      answered         begins                       on purpose
//! ```
//! One line each on stderr, as it happens. A sync runs beside appends or alone. Half an hour passes with each batch, so
//! segments get old, and go when two snapshots hold what is in them. Lives are short, so most kills meet something under way; the log has small segments, and the child opens it anew now and
//! then, so recovery, rotation and snapshots are met as often as appending.

use std::fmt;
use std::io::{Read, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use atrarium::disk::RealDisk;
use atrarium::log::{Entry, Item, Log, LogError, Lsn, Options, Verdict, check, read};
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
    pub in_snapshot: u64,
    pub in_stop: u64,
    /// Between those: mostly in an append.
    pub elsewhere: u64,
    /// Batches that were answered for.
    pub answered: u64,
    /// Batches that were found, over all checks.
    pub found: u64,
    /// Kills that left a torn tail.
    pub torn: u64,
    /// Snapshots that counted.
    pub snapshots: u64,
    /// Logs that have lost their beginning to retention.
    pub shortened: u64,
}

impl fmt::Display for Total {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { kills, at_start, in_recovery, in_sync, in_snapshot, in_stop, elsewhere, .. } = self;
        let Self { answered, found, torn, snapshots, shortened, .. } = self;
        write!(
            f,
            "kills of the writer: {kills}, of them {in_recovery} within recovery, {in_sync} within a sync, {in_snapshot} within \
             a snapshot, {in_stop} within a stop, {at_start} at the start, {elsewhere} elsewhere; {torn} torn tails; {answered} \
             batches answered for, lost = 0 ({found} items found by {kills} readings); {snapshots} snapshots, {shortened} \
             logs shortened by retention"
        )
    }
}

impl Total {
    fn add(&mut self, other: &Self) {
        self.kills += other.kills;
        self.at_start += other.at_start;
        self.in_recovery += other.in_recovery;
        self.in_sync += other.in_sync;
        self.in_snapshot += other.in_snapshot;
        self.in_stop += other.in_stop;
        self.elsewhere += other.elsewhere;
        self.answered += other.answered;
        self.found += other.found;
        self.torn += other.torn;
        self.snapshots += other.snapshots;
        self.shortened += other.shortened;
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

/// The state that a snapshot holds: up to which LSN, and much that follows from it.
fn state(lsn: Lsn) -> Vec<u8> {
    let mut rng = Rng::with_seed(!lsn);
    let rest = (0..rng.usize(..40_000)).map(|_| rng.u8(..));
    lsn.to_le_bytes().into_iter().chain(rest).collect()
}

/// Holds items against what their LSNs decide.
#[derive(Default)]
struct Judge {
    /// The last LSN that was read, or that the snapshot holds.
    last: Lsn,
    items: u64,
}

impl Judge {
    fn item(&mut self, item: Item<'_>) -> Result<(), String> {
        self.items += 1;
        match item {
            Item::Chunk(chunk) => {
                let lsn = chunk.payload.first_chunk().map_or(0, |bytes| Lsn::from_le_bytes(*bytes));
                let is_right = self.items == 1 && chunk.payload == state(lsn);
                self.last = lsn;
                if is_right { Ok(()) } else { Err("this is not the state that was put".to_owned()) }
            }
            Item::Hole(hole) => Err(format!("a hole, where nothing was salvaged: {hole:?}")),
            Item::Entry(entry) => {
                self.last += 1;
                if entry.lsn != self.last {
                    return Err(format!("LSN {} was expected, {} comes", self.last, entry.lsn));
                }
                entry_is_right(entry)
            }
        }
    }
}

fn entry_is_right(entry: Entry<'_>) -> Result<(), String> {
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
    let mut snapshot = 0;
    for life in 0..lives {
        let said = live(home.path(), LIFE.mul_f64(rng.f64()));
        let story = || format!("seed {seed}, life {life}: the child said {:?}", said.lines().last());
        total.kills += 1;
        match said.lines().last().and_then(|line| line.chars().next()) {
            None => total.at_start += 1,
            Some('O') => total.in_recovery += 1,
            Some('S') => total.in_sync += 1,
            Some('P') => total.in_snapshot += 1,
            Some('C') => total.in_stop += 1,
            Some('R' | 'D' | 'T') => total.elsewhere += 1,
            Some(_) => panic!("{}: {said}", story()),
        }
        for line in said.lines().filter(|line| line.starts_with(['R', 'D'])) {
            let lsn: Lsn = line[2..].parse().unwrap_or_else(|_| panic!("{}: {said}", story()));
            assert!(lsn >= answered, "{}: {answered} was answered for, and now {lsn} is the last", story());
            answered = lsn;
        }
        for line in said.lines().filter(|line| line.starts_with('T')) {
            snapshot = line[2..].parse().unwrap_or_else(|_| panic!("{}: {said}", story()));
            total.snapshots += 1;
        }
        match verify(home.path(), answered, snapshot, &mut total) {
            Ok(found) => total.found += found,
            Err(error) => panic!("{}: {error}; the log is kept in {}", story(), home.keep().display()),
        }
    }
    total.answered = answered;
    total.shortened = close(home.path(), answered);
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

/// Everything up to `answered` is there, in order and with its content, and no snapshot before `snapshot` is read; what is
/// wrong, in words. How many items there are.
fn verify(dir: &Path, answered: Lsn, snapshot: Lsn, total: &mut Total) -> Result<u64, String> {
    let report = match check(&RealDisk, dir, &mut entry_is_right) {
        Ok(report) => report,
        Err(LogError::Missing { .. }) if answered == 0 => return Ok(0),
        Err(error) => return Err(error.to_string()),
    };
    if report.verdict() == Verdict::Corrupt {
        return Err(format!("{:?}", report.faults));
    }
    total.torn += u64::from(report.verdict() == Verdict::TornTail);
    let mut judge = Judge::default();
    let reading = read(&RealDisk, dir, &mut |item| judge.item(item)).map_err(|error| error.to_string())?;
    let last = judge.last;
    if last < answered || report.last_lsn.max(report.snapshot_lsn) != last || reading.last_lsn != last {
        return Err(format!("{answered} batches were answered for, {last} are there; {reading:?}; {report:?}"));
    }
    if reading.snapshot_lsn < snapshot {
        return Err(format!("the snapshot of LSN {snapshot} counted, that of {} is read", reading.snapshot_lsn));
    }
    Ok(judge.items)
}

/// The log opens, stops on purpose, and is clean then. Whether retention has taken its beginning: 0 or 1.
fn close(dir: &Path, answered: Lsn) -> u64 {
    let (log, recovered) = open(dir).expect("it opens");
    assert!(recovered >= answered, "{answered} batches were answered for, {recovered} are there");
    log.close().expect("a healthy disk");
    let report = check(&RealDisk, dir, &mut entry_is_right).expect("it can be read");
    assert_eq!((report.verdict(), report.last_lsn), (Verdict::Clean, recovered), "{:?}", report.faults);
    u64::from(report.first_lsn > 1)
}

/// The moment of a batch, in seconds since the epoch.
fn moment(lsn: Lsn) -> u32 {
    1_786_000_000 + 1800 * u32::try_from(lsn).expect("few")
}

fn open(dir: &Path) -> Result<(Log, Lsn), LogError> {
    // Salts must differ from one process to the next.
    let rng = Rng::with_seed(u64::from(std::process::id()) ^ dir.as_os_str().len() as u64);
    let options = Options { segment_bytes: SEGMENT_BYTES, ..Options::new(moment(0), rng) };
    let mut judge = Judge::default();
    let (log, recovered) = Log::open(Arc::new(RealDisk), dir, options, &mut |item| judge.item(item))?;
    Ok((log, recovered.last_lsn))
}

/// What the child does. It never comes back.
pub fn write_until_killed(dir: &Path) -> ! {
    let mut rng = Rng::with_seed(u64::from(std::process::id()));
    loop {
        write(dir, &mut rng).unwrap_or_else(|error| panic!("{error}"));
    }
}

/// Opens the log, writes for some rounds, and stops or breaks off.
fn write(dir: &Path, rng: &mut Rng) -> Result<(), LogError> {
    say('O', 0);
    let (mut log, last) = open(dir)?;
    say('R', last);
    for _ in 0..rng.usize(1..40) {
        for _ in 0..rng.usize(1..6) {
            append(&mut log)?;
        }
        say('S', log.status().last_lsn);
        let durable = if rng.bool() { log.sync()? } else { sync_beside_appends(&mut log)? };
        say('D', durable);
        if rng.u8(..8) == 0 {
            say('P', durable);
            let mut snapshot = log.begin_snapshot(durable)?;
            snapshot.put(1, 1, &state(durable))?;
            log.finish_snapshot(snapshot.finish()?.run())?;
            say('T', durable);
        }
    }
    if rng.bool() {
        say('C', log.status().last_lsn);
        log.close()?;
    }
    Ok(())
}

fn append(log: &mut Log) -> Result<Lsn, LogError> {
    let lsn = log.status().last_lsn + 1;
    log.tell_time(moment(lsn));
    log.append(version(lsn), &payload(lsn))
}

/// A sync on another thread, while more is appended.
fn sync_beside_appends(log: &mut Log) -> Result<Lsn, LogError> {
    let Some(sync) = log.begin_sync()? else { return Ok(log.status().durable_lsn) };
    std::thread::scope(|scope| {
        let syncing = scope.spawn(|| sync.run());
        while !syncing.is_finished() {
            match append(log) {
                Ok(_) => {}
                // The next batch needs another segment, which waits for the sync.
                Err(LogError::Busy) => break,
                Err(error) => return Err(error),
            }
        }
        log.finish_sync(syncing.join().expect("a sync does not panic"))
    })
}

/// One line, in one write.
fn say(what: char, lsn: Lsn) {
    std::io::stderr().write_all(format!("{what} {lsn}\n").as_bytes()).expect("somebody listens");
}
