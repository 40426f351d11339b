//! One segment: a file of records, named by the LSN of its first batch.
//!
//! ```text
//!  0                8        12       16               24       28       32
//!  ┌────────────────┬────────┬────────┬────────────────┬────────┬────────┬─ records …
//!  │ "atrarium"     │version │ salt   │ first lsn      │created │ crc32  │
//!  └────────────────┴────────┴────────┴────────────────┴────────┴────────┴─
//!  ◄────────────── the checksum covers this ──────────────────►
//! ```
//! Little endian. `created` is in seconds since the epoch, by the clock of whoever created the segment; 0 is "not known".
//! It decides when the segment is old enough to be closed or dropped, and nothing else. In every version to come the first 32 bytes keep the places of magic, version and checksum, so that
//! a later version can be told from damage.
//!
//! A segment is synced before its successor is created, and nothing is written to it after that. The header is on disk
//! before the first record is written: so a wrong header with records behind it is damage, a wrong header alone is a
//! creation that did not end.

use std::io;
use std::path::{Path, PathBuf};

use super::{FIRST_LSN, LAST_LSN, LogError, Lsn};
use crate::disk::{Disk, DiskFile, Mode};

/// Size of a segment's header in bytes.
pub(super) const HEADER_BYTES: usize = 32;
/// What a file with such a header is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Magic {
    Segment,
    Snapshot,
}

impl Magic {
    const fn bytes(self) -> &'static [u8; 8] {
        match self {
            Self::Segment => b"atrarium",
            Self::Snapshot => b"atrasnap",
        }
    }
}

/// The version of the segment's form that this program writes and reads.
const VERSION: u32 = 1;

/// A segment's name in the file system.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Segment {
    /// LSN of its first batch, whether or not that was written yet.
    pub first: Lsn,
    pub path: PathBuf,
}

impl Segment {
    /// The segment of `log_dir` that begins with `first`.
    pub fn new(log_dir: &Path, first: Lsn) -> Self {
        Self { first, path: log_dir.join(format!("{first:020}.seg")) }
    }

    fn from_name(log_dir: &Path, name: &str) -> Option<Self> {
        let digits = name.strip_suffix(".seg")?;
        if digits.len() != 20 || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        let first = digits.parse().ok().filter(|first| (FIRST_LSN..=LAST_LSN).contains(first))?;
        Some(Self::new(log_dir, first))
    }

    /// Its length in bytes.
    pub fn size(&self, disk: &dyn Disk) -> Result<u64, LogError> {
        let size = disk.open(&self.path, Mode::Read).and_then(|file| file.size());
        size.map_err(|error| LogError::read(&self.path, 0, error))
    }

    /// Where a repair prepares this segment's successor of the same name.
    pub fn repair_path(&self) -> PathBuf {
        self.path.with_extension(REPAIR_EXTENSION)
    }

    /// Where the segment is kept as salvage has found it.
    pub fn damaged_path(&self) -> PathBuf {
        self.path.with_extension("seg.damaged")
    }

    /// Where the tail is kept that was cut off at `offset`.
    pub fn torn_path(&self, offset: u64) -> PathBuf {
        self.path.with_extension(format!("seg.{offset}.torn"))
    }
}

const REPAIR_EXTENSION: &str = "seg.tmp";
/// Of repairs and snapshots that did not end.
const DRAFT_ENDING: &str = ".tmp";

/// The segments of a log, in order.
pub(super) fn list(disk: &dyn Disk, log_dir: &Path) -> io::Result<Vec<Segment>> {
    let names = disk.list(log_dir)?;
    let mut segments: Vec<Segment> = names.iter().filter_map(|name| Segment::from_name(log_dir, name)).collect();
    segments.sort_by_key(|segment| segment.first);
    Ok(segments)
}

/// When a segment was created, in seconds since the epoch; `None` where its header does not say so.
pub(super) fn created(disk: &dyn Disk, segment: &Segment) -> Option<u32> {
    let mut bytes = [0; HEADER_BYTES];
    let length = disk.open(&segment.path, Mode::Read).and_then(|file| file.read_at(0, &mut bytes)).ok()?;
    let header = Header::decode(Magic::Segment, &bytes[..length]).ok()?;
    Some(header.created).filter(|&created| created > 0)
}

/// Removes what repairs and snapshots have left that did not end.
pub(super) fn remove_drafts(disk: &dyn Disk, log_dir: &Path) -> io::Result<()> {
    let names = disk.list(log_dir)?;
    names.iter().filter(|name| name.ends_with(DRAFT_ENDING)).try_for_each(|name| disk.remove(&log_dir.join(name)))
}

/// What stands at the start of a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Header {
    pub first: Lsn,
    pub salt: u32,
    /// In seconds since the epoch; 0 where that was not known.
    pub created: u32,
}

/// Bytes that are no header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum HeaderError {
    /// Cut short, or damaged.
    Bad,
    /// Whole, and of a later version.
    Version(u32),
}

impl Header {
    /// The header as bytes.
    pub fn encode(self, magic: Magic) -> [u8; HEADER_BYTES] {
        let mut bytes = [0; HEADER_BYTES];
        bytes[..8].copy_from_slice(magic.bytes());
        bytes[8..12].copy_from_slice(&VERSION.to_le_bytes());
        bytes[12..16].copy_from_slice(&self.salt.to_le_bytes());
        bytes[16..24].copy_from_slice(&self.first.to_le_bytes());
        bytes[24..28].copy_from_slice(&self.created.to_le_bytes());
        let crc = crc32fast::hash(&bytes[..28]);
        bytes[28..].copy_from_slice(&crc.to_le_bytes());
        bytes
    }

    /// Reads what [`Header::encode`] wrote; `bytes` may be too short.
    pub fn decode(magic: Magic, bytes: &[u8]) -> Result<Self, HeaderError> {
        let bytes: &[u8; HEADER_BYTES] =
            bytes.get(..HEADER_BYTES).and_then(|bytes| bytes.try_into().ok()).ok_or(HeaderError::Bad)?;
        let u32_at = |at: usize| u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]]);
        if bytes[..8] != *magic.bytes() || u32_at(28) != crc32fast::hash(&bytes[..28]) {
            return Err(HeaderError::Bad);
        }
        match u32_at(8) {
            VERSION => Ok(Self {
                first: u64::from(u32_at(16)) | u64::from(u32_at(20)) << 32,
                salt: u32_at(12),
                created: u32_at(24),
            }),
            version => Err(HeaderError::Version(version)),
        }
    }
}

/// Creates a segment for good: its header and its name survive a power cut when this returns.
///
/// # Errors
/// [`LogError::NoSpace`] leaves nothing behind; anything else leaves what recovery takes for a creation that did not end.
pub(super) fn create(disk: &dyn Disk, segment: &Segment, header: Header) -> Result<Box<dyn DiskFile>, LogError> {
    let path = &segment.path;
    let log_dir = path.parent().expect("invariant: a segment lies in the log's directory");
    let failed = |source| LogError::write(path, HEADER_BYTES, source);
    let mut file = disk.open(path, Mode::Create).map_err(failed)?;
    if let Err(source) = file.write_all_at(0, &header.encode(Magic::Segment)) {
        // The removal must last: the segment before this one may still take a smaller batch of the same LSN.
        disk.remove(path).map_err(|source| LogError::Write { file: path.clone(), source: source.into() })?;
        disk.sync_dir(log_dir).map_err(|source| LogError::sync(log_dir, source))?;
        return Err(failed(source));
    }
    file.sync_data().map_err(|source| LogError::sync(path, source))?;
    disk.sync_dir(log_dir).map_err(|source| LogError::sync(log_dir, source))?;
    Ok(file)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_is_read_as_written() {
        let header = Header { first: 0x1_0000_0002, salt: 77, created: 0xF000_0001 };
        let bytes = header.encode(Magic::Segment);
        assert_eq!(Header::decode(Magic::Segment, &bytes), Ok(header));
        for bit in 0..bytes.len() * 8 {
            let mut bytes = bytes;
            bytes[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(Header::decode(Magic::Segment, &bytes), Err(HeaderError::Bad), "bit {bit}");
        }
        for len in 0..bytes.len() {
            assert_eq!(Header::decode(Magic::Segment, &bytes[..len]), Err(HeaderError::Bad));
        }
    }

    #[test]
    fn a_later_version_is_told_from_damage() {
        let mut bytes = Header { first: 1, salt: 1, created: 0 }.encode(Magic::Segment);
        bytes[8] = 2;
        let crc = crc32fast::hash(&bytes[..28]);
        bytes[28..].copy_from_slice(&crc.to_le_bytes());
        assert_eq!(Header::decode(Magic::Segment, &bytes), Err(HeaderError::Version(2)));
    }

    #[test]
    fn only_exact_names_are_segments() {
        let dir = Path::new("/d");
        let segment = Segment::new(dir, 4711);
        assert_eq!(segment.path, Path::new("/d/00000000000000004711.seg"));
        assert_eq!(Segment::from_name(dir, "00000000000000004711.seg"), Some(segment.clone()));
        assert_eq!(segment.torn_path(96), Path::new("/d/00000000000000004711.seg.96.torn"));
        for name in
            ["4711.seg", "0000000000000000471x.seg", "00000000000000004711.seg.96.torn", "00000000000000004711.seg.tmp"]
        {
            assert_eq!(Segment::from_name(dir, name), None, "{name}");
        }
    }
}
