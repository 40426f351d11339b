//! Records: the layout of the log's bytes, encoded and judged.
//!
//! ```text
//! segment header, 32 bytes                       record, 40 bytes and its payload, 8-byte aligned
//!  0  magic "ATRARLOG"                            0  crc32 of bytes 4..40+len            u32
//!  8  crc32 of bytes 12..32            u32        4  len, bytes of the payload           u32
//! 12  version                          u32        8  lsn                                 u64
//! 16  first LSN                        u64       16  durable lsn                         u64
//! 24  salt                             u64       24  segment salt                        u64
//!                                                32  kind                                u8
//!                                                33  version of the payload              u8
//!                                                34  zero                                6 bytes
//!                                                40  payload, then zeros to a multiple of 8
//! ```
//! Little endian. A **batch** has the LSN after the one before it. A **mark** consumes no LSN: it repeats that of the batch
//! before it, has no payload, and its `durable lsn` is the last LSN that was written before a sync *began* that has come
//! back. A batch carries the durable LSN known when it was written, which says the same.
//!
//! The salt is the segment's own, so bytes that another segment left on the disk are no records of this one.

/// Bytes of a segment's header.
pub const HEADER_BYTES: usize = 32;
/// Bytes of a record before its payload.
pub const RECORD_BYTES: usize = 40;
/// The version of the segment format that is written and read.
pub const SEGMENT_VERSION: u32 = 1;

const MAGIC: &[u8; 8] = b"ATRARLOG";
const ALIGN: usize = 8;

/// A segment's header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// The LSN of its first batch.
    pub first_lsn: u64,
    /// Stands in each of its records.
    pub salt: u64,
}

/// What the beginning of a segment file is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HeaderState {
    /// A header of this program's version.
    Valid(Header),
    /// A header of another version, whole and undamaged.
    UnknownVersion(u32),
    /// Fewer bytes than a header has, or damaged ones.
    Invalid,
}

impl Header {
    /// The bytes.
    pub fn encode(self) -> [u8; HEADER_BYTES] {
        let mut bytes = [0; HEADER_BYTES];
        bytes[..8].copy_from_slice(MAGIC);
        bytes[12..16].copy_from_slice(&SEGMENT_VERSION.to_le_bytes());
        bytes[16..24].copy_from_slice(&self.first_lsn.to_le_bytes());
        bytes[24..32].copy_from_slice(&self.salt.to_le_bytes());
        let crc = crc32fast::hash(&bytes[12..]);
        bytes[8..12].copy_from_slice(&crc.to_le_bytes());
        bytes
    }

    /// Judges the beginning of a file.
    pub fn judge(bytes: &[u8]) -> HeaderState {
        let Some(bytes) = bytes.get(..HEADER_BYTES) else { return HeaderState::Invalid };
        if &bytes[..8] != MAGIC || u32_at(bytes, 8) != crc32fast::hash(&bytes[12..]) {
            return HeaderState::Invalid;
        }
        match u32_at(bytes, 12) {
            SEGMENT_VERSION => HeaderState::Valid(Self { first_lsn: u64_at(bytes, 16), salt: u64_at(bytes, 24) }),
            version => HeaderState::UnknownVersion(version),
        }
    }
}

/// What a record is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Facts.
    Batch,
    /// A sync has come back.
    Mark,
}

impl Kind {
    const fn to_byte(self) -> u8 {
        match self {
            Self::Batch => 1,
            Self::Mark => 2,
        }
    }
}

/// A record's words, without its payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Words {
    /// What it is.
    pub kind: Kind,
    /// The version of its payload; 0 of a mark.
    pub version: u8,
    /// Its LSN.
    pub lsn: u64,
    /// The LSN up to which everything was on disk when it was written.
    pub durable_lsn: u64,
}

/// A record whose checksum is right.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Record<'a> {
    /// Its words.
    pub words: Words,
    /// Its payload.
    pub payload: &'a [u8],
    /// Bytes from its beginning to the next record's.
    pub bytes: usize,
}

/// What stands at a place of a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Judged<'a> {
    /// A record.
    Valid(Record<'a>),
    /// A record of a kind that this program does not know, whole and undamaged.
    UnknownKind(u8),
    /// Nothing: the segment ends here.
    End,
    /// No record of this segment, and why.
    Invalid(&'static str),
}

/// Bytes that a record with a payload of `len` bytes takes.
pub const fn padded(len: usize) -> usize {
    (RECORD_BYTES + len).next_multiple_of(ALIGN)
}

/// Appends a record to `out`.
///
/// # Panics
/// Never: the caller holds the payload below [`LOG_RECORD_BYTES_MAX`](crate::limits::LOG_RECORD_BYTES_MAX).
pub fn encode(words: Words, salt: u64, payload: &[u8], out: &mut Vec<u8>) {
    let start = out.len();
    let len = u32::try_from(payload.len()).expect("invariant: payloads are bounded far below 4 GiB");
    out.extend_from_slice(&[0; 4]);
    out.extend_from_slice(&len.to_le_bytes());
    out.extend_from_slice(&words.lsn.to_le_bytes());
    out.extend_from_slice(&words.durable_lsn.to_le_bytes());
    out.extend_from_slice(&salt.to_le_bytes());
    out.extend_from_slice(&[words.kind.to_byte(), words.version, 0, 0, 0, 0, 0, 0]);
    out.extend_from_slice(payload);
    let crc = crc32fast::hash(&out[start + 4..]);
    out[start..start + 4].copy_from_slice(&crc.to_le_bytes());
    out.resize(start + padded(payload.len()), 0);
}

/// Judges what stands at `offset` of a segment with this salt.
pub fn judge(segment: &[u8], offset: usize, salt: u64) -> Judged<'_> {
    let rest = segment.get(offset..).unwrap_or_default();
    if rest.is_empty() {
        return Judged::End;
    }
    let Some(head) = rest.get(..RECORD_BYTES) else { return Judged::Invalid("a record is cut off in its header") };
    if u64_at(head, 24) != salt {
        return Judged::Invalid("the segment's salt is missing");
    }
    let len = u32_at(head, 4) as usize;
    if len > crate::limits::LOG_RECORD_BYTES_MAX {
        return Judged::Invalid("the length is out of bounds");
    }
    let Some(whole) = rest.get(..padded(len)) else { return Judged::Invalid("a record is cut off in its payload") };
    if u32_at(head, 0) != crc32fast::hash(&whole[4..RECORD_BYTES + len]) {
        return Judged::Invalid("the checksum is wrong");
    }
    if whole[RECORD_BYTES + len..].iter().any(|&byte| byte != 0) || head[34..].iter().any(|&byte| byte != 0) {
        return Judged::Invalid("the padding is not zero");
    }
    let kind = match head[32] {
        1 => Kind::Batch,
        2 => Kind::Mark,
        kind => return Judged::UnknownKind(kind),
    };
    let words = Words { kind, version: head[33], lsn: u64_at(head, 8), durable_lsn: u64_at(head, 16) };
    Judged::Valid(Record { words, payload: &whole[RECORD_BYTES..RECORD_BYTES + len], bytes: padded(len) })
}

/// Whether a record of this segment stands anywhere behind `offset` that says LSN `lsn` was on disk.
///
/// Every aligned place is tried: what lies between may be damaged, so no length in it can be trusted.
pub fn says_durable_behind(segment: &[u8], offset: usize, salt: u64, lsn: u64) -> bool {
    let first = offset.next_multiple_of(ALIGN);
    let salted = |&at: &usize| segment.get(at + 24..at + 32).is_some_and(|bytes| u64_at(bytes, 0) == salt);
    (first..segment.len()).step_by(ALIGN).filter(salted).any(|at| match judge(segment, at, salt) {
        Judged::Valid(record) => record.words.durable_lsn >= lsn,
        _ => false,
    })
}

/// Whether anything that looks like a record of some segment stands in the bytes: a checksum that is right. For files
/// whose header, and so whose salt, is lost.
pub fn holds_any_record(segment: &[u8]) -> bool {
    (0..segment.len()).step_by(ALIGN).any(|at| {
        let salt = segment.get(at + 24..at + 32).map(|bytes| u64_at(bytes, 0));
        salt.is_some_and(|salt| salt != 0 && matches!(judge(segment, at, salt), Judged::Valid(_)))
    })
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(bytes[at..at + 4].try_into().expect("invariant: four bytes"))
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(bytes[at..at + 8].try_into().expect("invariant: eight bytes"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const WORDS: Words = Words { kind: Kind::Batch, version: 1, lsn: 7, durable_lsn: 6 };

    #[test]
    fn a_record_is_read_as_it_was_written() {
        for len in [0, 1, 7, 8, 9, 4096] {
            let payload = vec![0xab; len];
            let mut bytes = vec![9; 16];
            encode(WORDS, 42, &payload, &mut bytes);
            assert_eq!(bytes.len() % 8, 0);
            let Judged::Valid(record) = judge(&bytes, 16, 42) else { panic!("valid") };
            assert_eq!((record.words, record.payload, record.bytes), (WORDS, &*payload, padded(len)));
            assert_eq!(judge(&bytes, bytes.len(), 42), Judged::End);
            assert!(matches!(judge(&bytes, 16, 43), Judged::Invalid(_)), "another segment's");
        }
    }

    #[test]
    fn every_flipped_bit_is_seen() {
        let mut bytes = Vec::new();
        encode(WORDS, 42, b"some payload", &mut bytes);
        for bit in 0..bytes.len() * 8 {
            let mut damaged = bytes.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            assert!(matches!(judge(&damaged, 0, 42), Judged::Invalid(_)), "bit {bit}");
        }
        let header = Header { first_lsn: 3, salt: 42 };
        for bit in 0..HEADER_BYTES * 8 {
            let mut damaged = header.encode();
            damaged[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(Header::judge(&damaged), HeaderState::Invalid, "bit {bit}");
        }
    }

    #[test]
    fn every_cut_is_seen() {
        let mut bytes = Vec::new();
        encode(WORDS, 42, b"some payload", &mut bytes);
        for length in 1..bytes.len() {
            assert!(matches!(judge(&bytes[..length], 0, 42), Judged::Invalid(_)), "{length} bytes");
        }
    }

    #[test]
    fn a_later_version_is_told_from_damage() {
        let mut bytes = Header { first_lsn: 1, salt: 2 }.encode();
        bytes[12..16].copy_from_slice(&9_u32.to_le_bytes());
        let crc = crc32fast::hash(&bytes[12..]);
        bytes[8..12].copy_from_slice(&crc.to_le_bytes());
        assert_eq!(Header::judge(&bytes), HeaderState::UnknownVersion(9));
    }

    #[test]
    fn a_mark_behind_damage_is_found_at_any_aligned_place() {
        let mut bytes = vec![0xff; 72];
        encode(Words { kind: Kind::Mark, version: 0, lsn: 9, durable_lsn: 9 }, 42, b"", &mut bytes);
        assert!(says_durable_behind(&bytes, 3, 42, 9));
        assert!(!says_durable_behind(&bytes, 3, 42, 10));
        assert!(!says_durable_behind(&bytes, 3, 41, 9));
        assert!(holds_any_record(&bytes) && !holds_any_record(&bytes[..72]));
    }
}
