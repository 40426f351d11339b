//! Recorded frames into a data directory, on one thread: sieve, parser, log, fold.
//!
//! The sieve is strict here: every frame is parsed whole, so each refusal is counted where it is. A fact that the fold
//! already holds is not written again, so replaying twice changes nothing.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use super::recover::Opened;
use super::{StartError, recover, seeded};
use crate::clock::Clock;
use crate::disk::RealDisk;
use crate::fact::{Batch, Cursor, Fact, Host};
use crate::ingest::committer::{self, Folded};
use crate::ingest::record::Refusal;
use crate::ingest::sieve::{Sieve, Verdict};
use crate::ingest::worker::Parser;
use crate::limits::{BATCH_FACTS_MAX, SNAPSHOT_LOG_BYTES};
use crate::log::{Log, LogError, Lsn};
use crate::telemetry::{Reason, Telemetry};

/// The name under which recorded frames stand in the log.
const HOST: &str = "file";

/// A replay under way. It holds the lock of the data directory.
pub struct Replay {
    log: Log,
    folded: Folded,
    sieve: Sieve,
    parser: Parser,
    telemetry: Arc<Telemetry>,
    host: Host,
    facts: Vec<Fact>,
    pending: Vec<Fact>,
    /// The greatest position seen.
    cursor: Option<Cursor>,
    /// Bytes of batches behind the newest snapshot.
    bytes_behind: u64,
    /// When it is that much, a snapshot is taken.
    snapshot_bytes: u64,
    summary: Summary,
}

/// What a replay did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// Frames read.
    pub read: u64,
    /// Frames of each kind; refused ones have none.
    pub by_kind: BTreeMap<&'static str, u64>,
    /// Refusals by reason.
    pub by_reason: BTreeMap<Reason, u64>,
    /// Facts of records and accounts that the log did not hold before.
    pub facts: u64,
}

impl Summary {
    /// All refusals.
    pub fn refused(&self) -> u64 {
        self.by_reason.values().sum()
    }
}

impl Replay {
    /// Opens, locks and recovers the data directory.
    ///
    /// # Errors
    /// The directory is in use or not writable, or its log is corrupt.
    pub fn open(data_dir: &Path, clock: &Clock, progress: recover::Progress<'_>) -> Result<Self, StartError> {
        let telemetry = Arc::new(Telemetry::default());
        let mut sieve = Sieve::new(1, Arc::clone(&telemetry), true);
        let mut opened = recover::open(Arc::new(RealDisk), data_dir, clock, seeded(clock), progress)?;
        opened.ready(Some(&mut sieve))?;
        let Opened { log, folded, replayed_bytes, .. } = opened;
        let parser = Parser::new(None, Arc::clone(&telemetry));
        Ok(Self {
            log,
            folded,
            sieve,
            parser,
            telemetry,
            host: Host::new(HOST),
            facts: Vec::new(),
            pending: Vec::new(),
            cursor: None,
            bytes_behind: replayed_bytes,
            snapshot_bytes: SNAPSHOT_LOG_BYTES,
            summary: Summary::default(),
        })
    }

    /// Takes a snapshot whenever so many bytes of batches stand behind the last one, instead of [`SNAPSHOT_LOG_BYTES`].
    pub fn snapshot_every(&mut self, bytes: u64) {
        self.snapshot_bytes = bytes;
    }

    /// Takes one frame in. A refusal is counted and returned, so that the caller can say where it was.
    ///
    /// # Errors
    /// The log's.
    pub fn frame(&mut self, frame: &[u8]) -> Result<Option<Refusal>, LogError> {
        self.summary.read += 1;
        let verdict = self.sieve.look(frame);
        if let Some(kind) = self.sieve.last_kind() {
            *self.summary.by_kind.entry(kind).or_default() += 1;
        }
        self.advance(frame);
        let refusal = match verdict {
            Verdict::Skip | Verdict::Identity(_) | Verdict::Info { .. } => None,
            Verdict::Refused(reason) => Some(Refusal::from(reason)),
            Verdict::Stop { .. } => Some(Refusal::from(Reason::ErrorFrame)),
            Verdict::Pass(route) => self.parser.facts(frame, &self.host, route.orphan, &mut self.facts).err(),
        };
        self.pending.append(&mut self.facts);
        if self.pending.len().max(self.sieve.untaken_orphans()) >= BATCH_FACTS_MAX {
            self.commit()?;
        }
        Ok(refusal)
    }

    /// Counts a line that is larger than any frame may be.
    pub fn too_large(&mut self) {
        self.summary.read += 1;
        self.telemetry.refuse(Reason::TooLarge);
    }

    fn advance(&mut self, frame: &[u8]) {
        let Ok(parsed) = crate::wire::event::parse(frame) else { return };
        let Some(value) = parsed.position.value else { return };
        let time = parsed.position.time;
        if self.cursor.as_ref().is_none_or(|cursor| cursor.time < time) {
            self.cursor = Some(Cursor { host: self.host.clone(), dialect: parsed.dialect, value, time });
        }
    }

    fn commit(&mut self) -> Result<(), LogError> {
        let orphans = self.sieve.take_orphans();
        if !orphans.is_empty() {
            self.pending.push(Fact::Orphans(orphans));
        }
        // Folded one by one, so that a frame that a file holds twice is kept once. Nobody reads this fold while the
        // batch is not yet on disk.
        let mut kept = Vec::with_capacity(self.pending.len());
        for fact in self.pending.drain(..) {
            if !self.folded.fold.is_known(&fact) {
                self.folded.apply(std::slice::from_ref(&fact));
                kept.push(fact);
            }
        }
        if kept.is_empty() {
            return Ok(());
        }
        self.summary.facts +=
            kept.iter().filter(|fact| matches!(fact, Fact::Record(_) | Fact::Account(_))).count() as u64;
        let encoded = Batch::encode(&kept, Vec::new());
        self.log.append(Batch::VERSION, &encoded)?;
        let durable = self.log.sync()?;
        self.bytes_behind += encoded.len() as u64;
        if self.bytes_behind >= self.snapshot_bytes {
            self.take_snapshot(durable);
        }
        Ok(())
    }

    /// Without it the next start takes longer, and that is all.
    fn take_snapshot(&mut self, lsn: Lsn) {
        self.bytes_behind = 0;
        let pending = committer::save(&self.folded.fold, &mut self.log, lsn);
        if let Err(error) = pending.and_then(|pending| self.log.finish_snapshot(pending.run())) {
            tracing::error!(%error, "no snapshot this time");
        }
    }

    /// Writes what is pending and how far the frames went, and closes the log.
    ///
    /// # Errors
    /// The log's.
    pub fn finish(mut self) -> Result<Summary, LogError> {
        if let Some(cursor) = self.cursor.take() {
            self.pending.push(Fact::Clock(cursor.time));
            self.pending.push(Fact::Cursor(cursor));
        }
        self.commit()?;
        self.summary.by_reason = self.telemetry.refusals().collect();
        self.log.close()?;
        Ok(self.summary)
    }
}
