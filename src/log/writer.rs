//! The writer: appends batches, makes them durable, and stops for good when it cannot know what is on the disk.
//!
//! In: payloads. Out: LSNs, and up to which of them everything is durable.
//! ```text
//! append        encode ─► write behind the last record                   no space: cut back, sync that, try again later
//! begin_sync    ─► PendingSync, which any thread runs ─► finish_sync: what was written before it began is durable ─► mark, unsynced
//! rotate        fdatasync the full segment ─► create the next: file, fdatasync, directory sync
//! close         sync ─► stop ─► fdatasync
//! ```
//! While a sync is under way more is appended: the next one then serves all of that. One is under way at a time.
//!
//! What always holds:
//! - `durable_lsn <= last_lsn`, and the growing segment ends where the last whole record ends.
//! - A sync that was begun is about the batches before it, and a mark names no other.
//! - After the first error that leaves the disk unknown, every later call gives the same error.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::record::{self, Head, Kind};
use super::repair::{self, Growing, Opened, Recovered, new_salt};
use super::segment::{self, HEADER_BYTES, Header, Segment};
use super::snapshot::{SnapshotDone, SnapshotWriter, Taken};
use super::{Item, LogError, Lsn, lock, log_dir};
use crate::disk::{Disk, FileSync, Lock};
use crate::limits::{LOG_RECORD_BYTES_MAX, SEGMENT_AGE_SECONDS, SEGMENT_BYTES};

/// How a log is written.
#[derive(Clone, Debug)]
pub struct Options {
    /// A segment is closed when the next batch would make it larger than this, in bytes. A single batch may be larger.
    pub segment_bytes: u64,
    /// A segment that has a batch is closed when it is older than this, in seconds.
    pub segment_age_seconds: u32,
    /// The time at opening, in seconds since the epoch; 0 is "not known".
    pub now: u32,
    /// Where salts come from. Seed it anew for each process, with what nobody can guess: a payload must not be able to quote a record.
    pub rng: fastrand::Rng,
}

impl Options {
    /// Segments of [`SEGMENT_BYTES`] and [`SEGMENT_AGE_SECONDS`].
    pub fn new(now: u32, rng: fastrand::Rng) -> Self {
        Self { segment_bytes: SEGMENT_BYTES, segment_age_seconds: SEGMENT_AGE_SECONDS, now, rng }
    }
}

/// How far a log has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogStatus {
    /// LSN of the last batch; 0 where there is none.
    pub last_lsn: Lsn,
    /// LSN of the last batch that is known to be durable.
    pub durable_lsn: Lsn,
    /// The last LSN that the newest snapshot holds; 0 where there is none.
    pub snapshot_lsn: Lsn,
    /// How many segments there are, the growing one included.
    pub segments: u64,
    /// How many bytes they hold.
    pub bytes: u64,
}

/// A log that is open for appending. Dropping it without [`Log::close`] is what a crash does: nothing durable is lost.
#[derive(Debug)]
pub struct Log {
    disk: Arc<dyn Disk>,
    log_dir: PathBuf,
    options: Options,
    growing: Growing,
    sealed: u64,
    sealed_bytes: u64,
    last_lsn: Lsn,
    durable_lsn: Lsn,
    /// What the newest snapshot holds.
    snapshot_lsn: Lsn,
    /// A sync was begun and has not come back.
    syncing: bool,
    /// Why nothing works any more.
    poison: Option<LogError>,
    /// The record that is being written.
    buffer: Vec<u8>,
    _lock: Lock,
}

impl Log {
    /// Locks `dir`, which is created where missing; judges, replays and repairs the log in it. `each` is called for every chunk
    /// of the newest snapshot and every batch after it, in order, before anything is changed. Then everything that was
    /// replayed is durable.
    ///
    /// # Errors
    /// [`LogError::Locked`], [`LogError::NotWritable`]; and what recovery refuses: [`LogError::Read`],
    /// [`LogError::Corrupt`], [`LogError::Version`], [`LogError::Entry`] (an error of `each`): then the log is as it was,
    /// and what `each` was told is void. Or the repair failed, and may be tried again.
    pub fn open(
        disk: Arc<dyn Disk>,
        dir: &Path,
        mut options: Options,
        each: &mut dyn FnMut(Item<'_>) -> Result<(), String>,
    ) -> Result<(Self, Recovered), LogError> {
        let log_dir = log_dir(dir);
        disk.create_dir_all(&log_dir).map_err(|source| LogError::not_writable(dir, source))?;
        let lock = lock(&*disk, dir)?;
        let Opened { growing, sealed, sealed_bytes, recovered } = repair::open(&*disk, &log_dir, &mut options, each)?;
        let log = Self {
            disk,
            log_dir,
            options,
            growing,
            sealed,
            sealed_bytes,
            last_lsn: recovered.last_lsn,
            durable_lsn: recovered.last_lsn,
            snapshot_lsn: recovered.snapshot_lsn,
            syncing: false,
            poison: None,
            buffer: Vec::new(),
            _lock: lock,
        };
        Ok((log, recovered))
    }

    /// Appends one batch and gives its LSN. It is durable when [`Log::sync`] has answered with that LSN or a later one.
    /// `version` is the payload's own, and comes back with it.
    ///
    /// # Errors
    /// [`LogError::NoSpace`], [`LogError::Busy`] and [`LogError::TooLarge`]: the batch is not in the log, which goes on; after
    /// the first two, try again later. Any other: the log takes nothing more, and whether the batch is in it shows when it is opened again.
    pub fn append(&mut self, version: u8, payload: &[u8]) -> Result<Lsn, LogError> {
        self.working()?;
        if payload.len() > LOG_RECORD_BYTES_MAX {
            return Err(LogError::TooLarge { bytes: payload.len() });
        }
        let end = self.growing.end + record::size(payload.len()) as u64;
        let is_full = end > self.options.segment_bytes || self.is_old();
        if is_full && self.last_lsn >= self.growing.segment.first {
            if self.syncing {
                return Err(LogError::Busy);
            }
            self.rotate()?;
        }
        let lsn = self.last_lsn + 1;
        self.write(Head::batch(self.growing.salt, lsn, self.durable_lsn, version), payload)?;
        self.last_lsn = lsn;
        Ok(lsn)
    }

    /// Says what time it is, in seconds since the epoch: segments are closed by age, and dated.
    pub fn tell_time(&mut self, now: u32) {
        self.options.now = self.options.now.max(now);
        if self.growing.created == 0 {
            self.growing.created = self.options.now;
        }
    }

    fn is_old(&self) -> bool {
        let created = self.growing.created;
        created > 0 && self.options.now.saturating_sub(created) >= self.options.segment_age_seconds
    }

    /// Makes everything durable that was appended, and gives the LSN of the last batch. Costs nothing where there is nothing
    /// new.
    ///
    /// # Errors
    /// Any of them but [`LogError::Busy`] ends the log: it takes nothing more. A sync is never tried again, because its
    /// success would prove nothing.
    pub fn sync(&mut self) -> Result<Lsn, LogError> {
        if self.syncing {
            return Err(LogError::Busy);
        }
        match self.begin_sync()? {
            Some(sync) => self.finish_sync(sync.run()),
            None => Ok(self.durable_lsn),
        }
    }

    /// Begins to make everything durable that was appended so far; `None` where there is nothing new, or where one is
    /// under way. More may be appended before its answer comes back by [`Log::finish_sync`].
    ///
    /// # Errors
    /// The one that has ended the log.
    pub fn begin_sync(&mut self) -> Result<Option<PendingSync>, LogError> {
        self.working()?;
        if self.syncing || self.durable_lsn == self.last_lsn {
            return Ok(None);
        }
        self.syncing = true;
        Ok(Some(PendingSync {
            file: self.growing.file.begin_sync(),
            path: self.growing.segment.path.clone(),
            upto: self.last_lsn,
        }))
    }

    /// Takes the answer to a sync that was begun, and gives the LSN up to which everything is durable.
    ///
    /// # Errors
    /// Any of them ends the log, as with [`Log::sync`].
    pub fn finish_sync(&mut self, done: SyncDone) -> Result<Lsn, LogError> {
        self.working()?;
        self.syncing = false;
        self.synced(done)?;
        self.mark(Kind::Mark)?;
        Ok(self.durable_lsn)
    }

    fn synced(&mut self, done: SyncDone) -> Result<(), LogError> {
        match done.result {
            Ok(()) => {
                self.durable_lsn = done.upto;
                Ok(())
            }
            Err(error) => Err(self.poison(error)),
        }
    }

    /// How far it has come.
    pub fn status(&self) -> LogStatus {
        LogStatus {
            last_lsn: self.last_lsn,
            durable_lsn: self.durable_lsn,
            snapshot_lsn: self.snapshot_lsn,
            segments: self.sealed + 1,
            bytes: self.sealed_bytes + self.growing.end,
        }
    }

    /// Begins a snapshot of the state that all batches up to `lsn` come to. They must be durable. Whatever becomes of it, the
    /// log goes on.
    ///
    /// # Errors
    /// [`LogError::NoSpace`], [`LogError::Write`]: there is no snapshot this time.
    ///
    /// # Panics
    /// Where `lsn` is not durable: a snapshot must not know more than the log.
    pub fn begin_snapshot(&mut self, lsn: Lsn) -> Result<SnapshotWriter, LogError> {
        assert!(lsn <= self.durable_lsn, "a snapshot of LSN {lsn}, where {} is durable", self.durable_lsn);
        let salt = new_salt(&mut self.options.rng, self.growing.salt);
        SnapshotWriter::create(Arc::clone(&self.disk), &self.log_dir, lsn, salt, self.options.now)
    }

    /// Takes note of what became of a snapshot, and of what it has made superfluous.
    ///
    /// # Errors
    /// Why it does not count. The log goes on; the next one may succeed.
    pub fn finish_snapshot(&mut self, done: SnapshotDone) -> Result<Taken, LogError> {
        let taken = done.0?;
        self.snapshot_lsn = taken.lsn;
        self.sealed -= taken.dropped.segments;
        self.sealed_bytes -= taken.dropped.segment_bytes;
        Ok(taken)
    }

    /// Stops on purpose: syncs, and says so at the end of the log. The lock ends.
    ///
    /// # Errors
    /// Those of [`Log::sync`]; [`LogError::Busy`] is one that a caller avoids by finishing what it has begun.
    pub fn close(mut self) -> Result<(), LogError> {
        self.sync()?;
        if self.mark(Kind::Stop)? { self.sync_growing() } else { Ok(()) }
    }

    fn working(&self) -> Result<(), LogError> {
        self.poison.clone().map_or(Ok(()), Err)
    }

    /// Remembers an error that ends the log.
    fn poison(&mut self, error: LogError) -> LogError {
        self.poison = Some(error.clone());
        error
    }

    /// Writes one record, wholly or not at all.
    fn write(&mut self, head: Head, payload: &[u8]) -> Result<(), LogError> {
        self.buffer.clear();
        head.encode(payload, &mut self.buffer);
        let Growing { segment, file, end, .. } = &mut self.growing;
        let Err(source) = file.write_all_at(*end, &self.buffer) else {
            *end += self.buffer.len() as u64;
            return Ok(());
        };
        let error = LogError::write(&segment.path, self.buffer.len(), source);
        if !matches!(error, LogError::NoSpace { .. }) {
            return Err(self.poison(error));
        }
        // The cut must be certain before anything else is written there: else a power cut may bring the batch back, though the
        // caller was told that it is not in the log. A sync that is under way does no harm: each error is told to one of both.
        let path = segment.path.clone();
        let cut = match file.truncate(*end) {
            Ok(()) => file.sync_data().map_err(|source| LogError::sync(&path, source)),
            Err(source) => Err(LogError::Write { file: path, source: Arc::new(source) }),
        };
        Err(cut.map_or_else(|worse| self.poison(worse), |()| error))
    }

    /// Writes a mark for what is durable. Where there is no room for it, the log does without, and says `false`: the next
    /// batch's head names the same LSN.
    fn mark(&mut self, kind: Kind) -> Result<bool, LogError> {
        match self.write(Head::mark(kind, self.growing.salt, self.last_lsn, self.durable_lsn), &[]) {
            Ok(()) => Ok(true),
            Err(LogError::NoSpace { .. }) => Ok(false),
            Err(error) => Err(error),
        }
    }

    fn sync_growing(&mut self) -> Result<(), LogError> {
        let path = self.growing.segment.path.clone();
        let sync = PendingSync { file: self.growing.file.begin_sync(), path, upto: self.last_lsn };
        self.synced(sync.run())
    }

    /// Seals the growing segment and creates its successor. Nothing is written to a segment after its last sync, not even
    /// a mark: that could be torn, and a sealed segment must be whole.
    fn rotate(&mut self) -> Result<(), LogError> {
        self.sync_growing()?;
        let segment = Segment::new(&self.log_dir, self.last_lsn + 1);
        let salt = new_salt(&mut self.options.rng, self.growing.salt);
        let created = self.options.now;
        let file = match segment::create(&*self.disk, &segment, Header { first: segment.first, salt, created }) {
            Ok(file) => file,
            Err(error @ LogError::NoSpace { .. }) => return Err(error),
            Err(error) => return Err(self.poison(error)),
        };
        self.sealed += 1;
        self.sealed_bytes += self.growing.end;
        self.growing = Growing { segment, file, salt, created, end: HEADER_BYTES as u64 };
        Ok(())
    }
}

/// A sync that was begun: run it on any thread, and give the answer to [`Log::finish_sync`]. Dropped, it is what a crash
/// before its end is.
#[derive(Debug)]
pub struct PendingSync {
    file: Box<dyn FileSync>,
    path: PathBuf,
    upto: Lsn,
}

impl PendingSync {
    /// Waits until the disk has answered.
    pub fn run(self) -> SyncDone {
        let Self { file, path, upto } = self;
        SyncDone { upto, result: file.run().map_err(|source| LogError::sync(&path, source)) }
    }
}

/// The disk's answer to a [`PendingSync`].
#[derive(Debug)]
pub struct SyncDone {
    upto: Lsn,
    result: Result<(), LogError>,
}
