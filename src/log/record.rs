//! One record: a batch, or a mark.
//!
//! ```text
//!  0        4        8                16               24       28   29   30    32              8-byte aligned
//!  ┌────────┬────────┬────────────────┬────────────────┬────────┬────┬────┬─────┬─────────┬───────┐
//!  │ crc32  │ len    │ lsn            │ durable lsn    │ salt   │kind│vers│  0  │ payload │ zeros │
//!  └────────┴────────┴────────────────┴────────────────┴────────┴────┴────┴─────┴─────────┴───────┘
//!           ◄──────────────────────── the checksum covers this, the zeros too ───────────────────►
//! ```
//! Little endian. `len` is the payload's, in bytes. `salt` is the segment's: a record of another segment, left in reused
//! space or quoted in somebody's payload, is no record here (nobody who writes payloads can know the salt).
//!
//! A **batch** has the next LSN, and the durable LSN of the moment when it was appended. A **mark** has no LSN of its own:
//! its `lsn` repeats that of the last batch before it, its `durable lsn` names the last batch that was written before
//! the sync began that has made it durable. So LSNs count batches and nothing else: they are the same on every node,
//! whatever its disk went through, a lost mark leaves no hole, and a mark must agree with the batch before it.
//! A **hole** is written by salvage alone: its `lsn` is the last batch that is lost, its `durable lsn` the one before the first.
//! **Chunks** and **ends** stand in snapshots alone (`snapshot`).
//! A **stop** is a mark that was itself synced: a writer ended there on purpose, or a repair did.

use super::Lsn;
use crate::limits::LOG_RECORD_BYTES_MAX;

/// Size of a record without its payload, in bytes; of a whole mark.
pub(super) const HEAD_BYTES: usize = 32;
/// Records begin at multiples of this, in bytes.
pub(super) const ALIGN_BYTES: usize = 8;

/// What a record is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Batch = 1,
    Mark = 2,
    Stop = 3,
    Hole = 6,
}

/// What a record's number says it is, in segments and in snapshots.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum RawKind {
    Segments(Kind),
    Chunk,
    End,
    Unknown,
}

const CHUNK: u8 = 4;
const END: u8 = 5;

/// The fields before the payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Head {
    pub len: u32,
    pub lsn: Lsn,
    pub durable: Lsn,
    pub salt: u32,
    pub kind: u8,
    pub version: u8,
    pub reserved: u16,
}

/// Size of a record with a payload of `len` bytes, in bytes.
pub(super) const fn size(len: usize) -> usize {
    HEAD_BYTES + len.next_multiple_of(ALIGN_BYTES)
}

impl Head {
    /// The head of a batch.
    pub fn batch(salt: u32, lsn: Lsn, durable: Lsn, version: u8) -> Self {
        Self { len: 0, lsn, durable, salt, kind: Kind::Batch as u8, version, reserved: 0 }
    }

    /// The head of a mark after batch `last`.
    pub fn mark(kind: Kind, salt: u32, last: Lsn, durable: Lsn) -> Self {
        Self { len: 0, lsn: last, durable, salt, kind: kind as u8, version: 0, reserved: 0 }
    }

    /// The head of a hole from `first` to `last`.
    pub fn hole(salt: u32, first: Lsn, last: Lsn) -> Self {
        Self { len: 0, lsn: last, durable: first - 1, salt, kind: Kind::Hole as u8, version: 0, reserved: 0 }
    }

    /// The head of a snapshot's chunk of that number.
    pub fn chunk(salt: u32, number: u64, snapshot: Lsn, section: u8, version: u8) -> Self {
        Self { len: 0, lsn: number, durable: snapshot, salt, kind: CHUNK, version, reserved: u16::from(section) }
    }

    /// The head of a snapshot's end, after so many chunks.
    pub fn end(salt: u32, chunks: u64, snapshot: Lsn) -> Self {
        Self { len: 0, lsn: chunks, durable: snapshot, salt, kind: END, version: 0, reserved: 0 }
    }

    /// Reads the first [`HEAD_BYTES`] of a record, believing nothing yet.
    pub fn read(bytes: &[u8; HEAD_BYTES]) -> Self {
        let u32_at = |at: usize| u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]]);
        let u64_at = |at: usize| u64::from(u32_at(at)) | u64::from(u32_at(at + 4)) << 32;
        Self {
            len: u32_at(4),
            lsn: u64_at(8),
            durable: u64_at(16),
            salt: u32_at(24),
            kind: bytes[28],
            version: bytes[29],
            reserved: u16::from_le_bytes([bytes[30], bytes[31]]),
        }
    }

    /// Size of the whole record in bytes; `None` where no record is that long.
    pub fn size(&self) -> Option<usize> {
        let len = usize::try_from(self.len).ok()?;
        (len <= LOG_RECORD_BYTES_MAX).then(|| size(len))
    }

    /// The kind; `None` where this program does not know the record's form.
    pub fn kind(&self) -> Option<Kind> {
        match (self.kind, self.version, self.reserved) {
            (1, _, 0) => Some(Kind::Batch),
            (2, 0, 0) => Some(Kind::Mark),
            (3, 0, 0) => Some(Kind::Stop),
            (6, 0, 0) => Some(Kind::Hole),
            _ => None,
        }
    }

    /// The kind of any record, of a segment or a snapshot.
    pub fn raw_kind(&self) -> RawKind {
        match (self.kind, self.version, self.reserved) {
            (CHUNK, ..) => RawKind::Chunk,
            (END, 0, 0) => RawKind::End,
            _ => self.kind().map_or(RawKind::Unknown, RawKind::Segments),
        }
    }

    /// Appends the whole record to `out`.
    pub fn encode(self, payload: &[u8], out: &mut Vec<u8>) {
        let start = out.len();
        let len = u32::try_from(payload.len()).expect("invariant: payloads end at LOG_RECORD_BYTES_MAX");
        out.extend_from_slice(&[0; 4]);
        out.extend_from_slice(&len.to_le_bytes());
        out.extend_from_slice(&self.lsn.to_le_bytes());
        out.extend_from_slice(&self.durable.to_le_bytes());
        out.extend_from_slice(&self.salt.to_le_bytes());
        out.extend_from_slice(&[self.kind, self.version]);
        out.extend_from_slice(&self.reserved.to_le_bytes());
        out.extend_from_slice(payload);
        out.resize(start + size(payload.len()), 0);
        let crc = crc32fast::hash(&out[start + 4..]);
        out[start..start + 4].copy_from_slice(&crc.to_le_bytes());
    }
}

/// Whether the checksum of a whole record is right.
pub(super) fn is_intact(record: &[u8]) -> bool {
    record.len() >= HEAD_BYTES && record[..4] == crc32fast::hash(&record[4..]).to_le_bytes()
}

/// A record whose checksum, salt and kind were right.
#[derive(Clone, Copy, Debug)]
pub(super) struct Record<'a> {
    /// Where it begins, in bytes from the start of its file.
    pub offset: u64,
    /// How long it is, in bytes.
    pub size: u64,
    pub kind: Kind,
    pub lsn: Lsn,
    pub durable: Lsn,
    pub version: u8,
    pub payload: &'a [u8],
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_layout_is_the_one_drawn() {
        let mut bytes = Vec::new();
        Head::batch(0x0403_0201, 0x1122, 0x33, 7).encode(b"abc", &mut bytes);
        assert_eq!(bytes.len(), 40);
        assert_eq!(bytes[4..8], [3, 0, 0, 0]);
        assert_eq!(bytes[8..16], [0x22, 0x11, 0, 0, 0, 0, 0, 0]);
        assert_eq!(bytes[16..24], [0x33, 0, 0, 0, 0, 0, 0, 0]);
        assert_eq!(bytes[24..32], [1, 2, 3, 4, 1, 7, 0, 0]);
        assert_eq!(bytes[32..], *b"abc\0\0\0\0\0");
        assert_eq!(bytes[..4], crc32fast::hash(&bytes[4..]).to_le_bytes());
    }

    #[test]
    fn forms_of_later_programs_are_unknown() {
        let marks = [Kind::Mark, Kind::Stop, Kind::Hole].map(|kind| Head::mark(kind, 1, 2, 2));
        for known in marks {
            assert_eq!(known.kind().map(|kind| kind as u8), Some(known.kind));
            assert_eq!(Head { version: 1, ..known }.kind(), None);
            assert_eq!(Head { reserved: 1, ..known }.kind(), None);
            assert_eq!(Head { kind: 9, ..known }.kind(), None);
        }
        let batch = Head::batch(1, 2, 2, 1);
        // The version of a batch is that of its payload, which another part judges.
        assert_eq!(Head { version: 200, ..batch }.kind(), Some(Kind::Batch));
        assert_eq!(Head { reserved: 1, ..batch }.kind(), None);
        let end = Head::end(1, 2, 2);
        assert_eq!(end.raw_kind(), RawKind::End);
        assert_eq!(Head { version: 1, ..end }.raw_kind(), RawKind::Unknown);
        assert_eq!(Head { reserved: 1, ..end }.raw_kind(), RawKind::Unknown);
        assert_eq!(Head { len: u32::MAX, ..batch }.size(), None);
    }

    proptest! {
        #[test]
        fn what_is_encoded_is_read(payload in prop::collection::vec(any::<u8>(), 0..300), lsn: u64, durable: u64, salt: u32, version: u8) {
            let mut bytes = vec![0xAA; 8];
            Head::batch(salt, lsn, durable, version).encode(&payload, &mut bytes);
            let record = &bytes[8..];
            prop_assert!(is_intact(record) && record.len().is_multiple_of(ALIGN_BYTES));
            let head = Head::read(record[..HEAD_BYTES].try_into().unwrap());
            prop_assert_eq!(head.size(), Some(record.len()));
            prop_assert_eq!((head.lsn, head.durable, head.salt, head.version), (lsn, durable, salt, version));
            prop_assert_eq!(&record[HEAD_BYTES..][..head.len as usize], &payload[..]);
        }
    }
}
