//! Walking through one segment, record by record, and judging where the walk ends.

use std::io;
use std::path::{Path, PathBuf};

use super::record::{ALIGN_BYTES, Kind, Record};
use super::recovery::{Action, Case, Found, Marked, Place, decide};
use super::scan::{Parsed, Scan, Sighting};
use super::segment::{HEADER_BYTES, Header, HeaderError, Magic, Segment};
use super::{Each, Entry, Hole, Item, LAST_LSN, LogError, Lsn};
use crate::disk::{Disk, Mode};
use crate::limits::LOG_READ_BYTES;

/// Where and why a walk ended.
#[derive(Debug)]
pub(super) struct End {
    pub found: Found,
    pub offset: u64,
    /// The LSN that should stand there.
    pub lsn: Lsn,
    detail: Detail,
}

#[derive(Debug)]
enum Detail {
    None,
    Io(io::Error),
    Text(String),
}

/// An [`End`] and the row of the table that it meets.
#[derive(Debug)]
pub(super) struct Judgement {
    pub case: &'static Case,
    pub end: End,
}

impl End {
    fn new(found: Found, offset: u64, lsn: Lsn) -> Self {
        Self { found, offset, lsn, detail: Detail::None }
    }

    fn text(found: Found, offset: u64, lsn: Lsn, text: String) -> Self {
        Self { detail: Detail::Text(text), ..Self::new(found, offset, lsn) }
    }

    fn io(offset: u64, lsn: Lsn, error: io::Error) -> Self {
        Self { detail: Detail::Io(error), ..Self::new(Found::ReadError, offset, lsn) }
    }

    /// What was found, in words.
    pub fn what(&self) -> String {
        match (&self.detail, self.found) {
            (Detail::Text(text), _) => text.clone(),
            (Detail::Io(error), _) => format!("cannot be read: {error}"),
            (Detail::None, Found::NoHeader) => "the segment has no whole header".to_owned(),
            (Detail::None, Found::BadHeader) => "the segment's header is damaged".to_owned(),
            (Detail::None, Found::Zeros) => "zeros instead of a record".to_owned(),
            (Detail::None, _) => "bytes that are no record".to_owned(),
        }
    }
}

impl End {
    /// The errors that no damage is: the disk cannot be read, or a later program has written this.
    pub fn refuse_unreadable(self, path: &Path) -> Result<(), LogError> {
        let (offset, lsn, what) = (self.offset, self.lsn, self.what());
        match (self.found, self.detail) {
            (_, Detail::Io(error)) => Err(LogError::read(path, offset, error)),
            (Found::Unknown, _) => Err(LogError::Version { file: path.to_owned(), offset, lsn, what }),
            _ => Ok(()),
        }
    }
}

impl Judgement {
    /// What is to be done, and where; an error where the table refuses.
    pub fn accept(self, path: &Path) -> Result<(Action, End), LogError> {
        let (file, end) = (path.to_owned(), self.end);
        let (offset, lsn, what) = (end.offset, end.lsn, end.what());
        match (self.case.action, end.detail) {
            (Action::RefuseRead, Detail::Io(error)) => Err(LogError::read(path, offset, error)),
            (Action::RefuseVersion, _) => Err(LogError::Version { file, offset, lsn, what }),
            (Action::RefuseRead | Action::RefuseCorrupt, _) => Err(LogError::Corrupt { file, offset, lsn, what }),
            (action, detail) => Ok((action, End { detail, ..end })),
        }
    }
}

/// Walks through a segment that should begin with `expected`, hands on its batches, and judges its end. There is no walk
/// where the segment has no header to begin with.
pub(super) fn survey(
    disk: &dyn Disk,
    segment: &Segment,
    place: Place,
    expected: Lsn,
    each: Each<'_>,
) -> Result<(Option<Walk>, Judgement), LogError> {
    match Walk::open(disk, segment, expected) {
        Ok(mut walk) => {
            let judgement = walk.judge(place, &mut |record| deliver(&segment.path, record, each))?;
            Ok((Some(walk), judgement))
        }
        Err(end) => Ok((None, Judgement { case: decide(end.found, place, Marked::No), end })),
    }
}

/// A walk through one segment. It can be gone on with after it has ended: a segment may grow.
#[derive(Debug)]
pub(super) struct Walk {
    pub path: PathBuf,
    pub scan: Scan,
    pub salt: u32,
    /// When the segment was created, in seconds since the epoch; 0 where that is not known.
    pub created: u32,
    first: Lsn,
    /// Where the next record should begin.
    pub at: u64,
    /// The LSN that the next batch should have.
    pub next: Lsn,
    /// The last LSN that is known to be durable.
    pub durable: Lsn,
    /// Whether a mark in this segment names the last batch: then its bytes and its name are on the disk.
    marked: bool,
    /// Where the last batch ends: nothing but marks follows.
    pub batches_end: u64,
    /// How many batches were passed.
    pub batches: u64,
}

impl Walk {
    /// Opens a segment that should begin with `expected`.
    pub fn open(disk: &dyn Disk, segment: &Segment, expected: Lsn) -> Result<Self, End> {
        if segment.first != expected {
            let text = format!("LSN {expected} was expected, the segment begins with {}", segment.first);
            return Err(End::text(Found::Gap, 0, expected, text));
        }
        let file = disk.open(&segment.path, Mode::Read).map_err(|error| End::io(0, expected, error))?;
        let mut scan = Scan::new(file);
        let header = match read_header(&mut scan, expected) {
            // A header that was just being written is asked for again, now that something stands behind it.
            Err(End { found: Found::BadHeader, .. }) => {
                scan.forget();
                read_header(&mut scan, expected)
            }
            done => done,
        }?;
        Ok(Self::new(segment, scan, header))
    }

    /// For salvage: a walk through a segment whose header is damaged, by the salt of its first whole record; `None` where there
    /// is none.
    pub fn without_header(disk: &dyn Disk, segment: &Segment) -> Result<Option<Self>, LogError> {
        let failed = |error| LogError::read(&segment.path, 0, error);
        let mut scan = Scan::new(disk.open(&segment.path, Mode::Read).map_err(failed)?);
        let salt = scan.find_salt(HEADER_BYTES as u64).map_err(failed)?;
        Ok(salt.map(|salt| Self::new(segment, scan, Header { first: segment.first, salt, created: 0 })))
    }

    fn new(segment: &Segment, scan: Scan, header: Header) -> Self {
        Self {
            path: segment.path.clone(),
            scan,
            salt: header.salt,
            created: header.created,
            first: header.first,
            at: HEADER_BYTES as u64,
            next: header.first,
            // What is before this segment was durable before it was created.
            durable: header.first - 1,
            marked: false,
            batches_end: HEADER_BYTES as u64,
            batches: 0,
        }
    }

    /// Back to the first record.
    pub fn rewind(&mut self) {
        (self.at, self.next, self.batches) = (HEADER_BYTES as u64, self.first, 0);
        (self.durable, self.marked, self.batches_end) = (self.first - 1, false, HEADER_BYTES as u64);
    }

    /// Goes on to where it ends, and judges that. Errors are those of `visit`.
    pub fn judge(
        &mut self,
        place: Place,
        visit: &mut dyn FnMut(&Record<'_>) -> Result<(), LogError>,
    ) -> Result<Judgement, LogError> {
        let mut asked_again_at = None;
        loop {
            let (marked, end) = match self.run(visit) {
                Ok(end) => self.evidence(&end).map_or_else(|error| (Marked::No, self.read_error(error)), |m| (m, end)),
                Err(Halt::Io(error)) => (Marked::No, self.read_error(error)),
                Err(Halt::Visit(error)) => return Err(error),
            };
            let case = decide(end.found, place, marked);
            // A record may have been half-written when its bytes were read, and be named by a mark now, because its
            // writer went on meanwhile. So before damage is believed, the disk is asked again.
            if case.action != Action::RefuseCorrupt || asked_again_at == Some(self.at) {
                return Ok(Judgement { case, end });
            }
            asked_again_at = Some(self.at);
            self.scan.forget();
        }
    }

    fn read_error(&self, error: io::Error) -> End {
        End::io(self.at, self.next, error)
    }

    /// Passes records until something else is found.
    fn run(&mut self, visit: &mut dyn FnMut(&Record<'_>) -> Result<(), LogError>) -> Result<End, Halt> {
        loop {
            let record = match self.scan.parse(self.at, self.salt)? {
                Parsed::Record(record) => record,
                Parsed::End => return Ok(End::new(Found::Whole, self.at, self.next)),
                Parsed::Unknown(head) => {
                    let text = format!("record of kind {}, version {}", head.kind, head.version);
                    return Ok(End::text(Found::Unknown, self.at, self.next, text));
                }
                Parsed::Bad => {
                    let found = if self.scan.only_zeros(self.at)? { Found::Zeros } else { Found::Bad };
                    return Ok(End::new(found, self.at, self.next));
                }
            };
            if let Some(text) = misfit(&record, self.next) {
                return Ok(End::text(Found::Gap, self.at, self.next, text));
            }
            visit(&record).map_err(Halt::Visit)?;
            self.at += record.size;
            self.durable = self.durable.max(record.durable);
            if matches!(record.kind, Kind::Batch | Kind::Hole) {
                self.next = record.lsn + 1;
                self.batches += u64::from(record.kind == Kind::Batch);
                self.batches_end = self.at;
            }
            self.marked = matches!(record.kind, Kind::Mark | Kind::Stop) && record.durable == record.lsn;
        }
    }

    /// Whether a surviving mark vouches for what should stand where the walk has ended.
    fn evidence(&mut self, end: &End) -> io::Result<Marked> {
        let marked = match end.found {
            Found::Whole => self.marked,
            Found::Bad => {
                let from = self.at + ALIGN_BYTES as u64;
                self.scan.find(from, self.salt, |sighting| sighting.durable >= self.next)?.is_some()
            }
            _ => false,
        };
        Ok(if marked { Marked::Yes } else { Marked::No })
    }

    /// After damage: goes to the next record at or after `from` that can be one, and says which LSN is due there. `successor`
    /// is the LSN that the next segment begins with: what claims that one is none of this segment's.
    pub fn resume(&mut self, from: u64, successor: Option<Lsn>) -> io::Result<Option<Lsn>> {
        let end = successor.unwrap_or(LAST_LSN);
        let possible = |sighting: &Sighting| match sighting.kind {
            Kind::Batch | Kind::Hole => sighting.durable < sighting.lsn && sighting.lsn < end,
            Kind::Mark | Kind::Stop => sighting.durable <= sighting.lsn && sighting.lsn < end,
        };
        let Some(sighting) = self.scan.find(from, self.salt, possible)? else { return Ok(None) };
        self.at = sighting.offset;
        self.next = match sighting.kind {
            Kind::Batch => sighting.lsn,
            Kind::Hole => sighting.durable + 1,
            Kind::Mark | Kind::Stop => sighting.lsn + 1,
        };
        Ok(Some(self.next))
    }

    /// The bytes from `at` on, in pieces, until the file ends.
    pub fn copy_rest(
        &mut self,
        mut at: u64,
        put: &mut dyn FnMut(&[u8]) -> Result<(), LogError>,
    ) -> Result<(), LogError> {
        loop {
            let bytes = self.scan.bytes(at, LOG_READ_BYTES).map_err(|error| LogError::read(&self.path, at, error))?;
            if bytes.is_empty() {
                return Ok(());
            }
            put(bytes)?;
            at += bytes.len() as u64;
        }
    }
}

/// Why a walk cannot go on.
enum Halt {
    Io(io::Error),
    Visit(LogError),
}

impl From<io::Error> for Halt {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

/// Why a whole record does not belong where batch `next` is due; `None` where it does.
fn misfit(record: &Record<'_>, next: Lsn) -> Option<String> {
    let (lsn, durable) = (record.lsn, record.durable);
    match record.kind {
        Kind::Batch if lsn != next => Some(format!("LSN {next} was expected, {lsn} was found")),
        Kind::Batch if durable >= lsn => Some(format!("the batch calls LSN {durable} durable before it was written")),
        Kind::Hole if durable != next - 1 || lsn < next || lsn >= LAST_LSN => {
            Some(format!("LSN {next} was expected, a hole from {} to {lsn} was found", durable.saturating_add(1)))
        }
        Kind::Mark | Kind::Stop if lsn != next - 1 => Some(format!("a mark after LSN {lsn} follows LSN {}", next - 1)),
        Kind::Mark | Kind::Stop if durable > lsn => Some(format!("the mark names LSN {durable}, the last is {lsn}")),
        _ => None,
    }
}

fn read_header(scan: &mut Scan, expected: Lsn) -> Result<Header, End> {
    let failed = |error| End::io(0, expected, error);
    match Header::decode(Magic::Segment, scan.bytes(0, HEADER_BYTES).map_err(failed)?) {
        Ok(header) if header.first == expected => Ok(header),
        Ok(Header { first, .. }) => {
            let text = format!("the file's name says LSN {expected}, its header says {first}");
            Err(End::text(Found::Gap, 0, expected, text))
        }
        Err(HeaderError::Version(version)) => {
            Err(End::text(Found::Unknown, 0, expected, format!("segment of version {version}")))
        }
        Err(HeaderError::Bad) => {
            let alone = scan.only_zeros(HEADER_BYTES as u64).map_err(failed)?;
            Err(End::new(if alone { Found::NoHeader } else { Found::BadHeader }, 0, expected))
        }
    }
}

/// Hands a batch, or the place where some are lost, to whoever reads the log.
pub(super) fn deliver(path: &Path, record: &Record<'_>, each: Each<'_>) -> Result<(), LogError> {
    let (lsn, offset) = (record.lsn, record.offset);
    let item = match record.kind {
        Kind::Batch => Item::Entry(Entry { lsn, version: record.version, payload: record.payload }),
        Kind::Hole => Item::Hole(Hole { first: record.durable + 1, last: lsn }),
        Kind::Mark | Kind::Stop => return Ok(()),
    };
    each(item).map_err(|what| LogError::Entry { file: path.to_owned(), offset, lsn, what })
}
