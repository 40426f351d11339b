//! Segments: files of records, named by their first LSN, and what a look at one finds.
//!
//! In: a file's bytes and the LSN that is expected next. Out: its records in order, and how they end.

use std::path::{Path, PathBuf};

use super::record::{self, HEADER_BYTES, Header, HeaderState, Judged, Kind, Record};

/// The directory of the segments, below the data directory.
const LOG_DIR: &str = "log";
const EXTENSION: &str = "seg";

/// The directory of the segments.
pub fn log_dir(data_dir: &Path) -> PathBuf {
    data_dir.join(LOG_DIR)
}

/// The path of a segment: its first LSN in 20 digits, so that names sort as LSNs do.
pub fn path_of(data_dir: &Path, first_lsn: u64) -> PathBuf {
    log_dir(data_dir).join(format!("{first_lsn:020}.{EXTENSION}"))
}

/// The first LSN in a segment's name; `None` for any other file.
pub fn first_lsn_of(name: &str) -> Option<u64> {
    let digits = name.strip_suffix(EXTENSION)?.strip_suffix('.')?;
    let is_number = digits.len() == 20 && digits.bytes().all(|byte| byte.is_ascii_digit());
    digits.parse().ok().filter(|_| is_number)
}

/// How the records of a segment end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ending {
    /// With the file.
    Clean,
    /// The file has no header of its own.
    BadHeader {
        /// Whether records stand in it all the same.
        holds_records: bool,
    },
    /// The header is whole and of another version.
    UnknownVersion(u32),
    /// The header is whole and names another first LSN than the file's name, or than the segment before leads to.
    WrongFirstLsn(u64),
    /// At `end` stands something that is no record of this segment.
    Damage {
        /// Why it is none.
        what: &'static str,
        /// Whether a record behind it says that what was here was on disk.
        was_durable: bool,
    },
    /// At `end` stands a whole record of this segment that does not follow the one before it.
    BrokenSequence {
        /// Its LSN.
        lsn: u64,
    },
    /// At `end` stands a whole record of a kind of which this program knows nothing.
    UnknownKind(u8),
}

/// What a look at a segment found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scan {
    /// The header, where it is valid.
    pub header: Option<Header>,
    /// Bytes from the beginning to the end of the last valid record.
    pub end: usize,
    /// The LSN that the next batch must have.
    pub next_lsn: u64,
    /// The greatest LSN that a record here says was on disk.
    pub durable_lsn: u64,
    /// Whether the last record is a mark that covers every batch before it.
    pub ends_with_mark: bool,
    /// How it ends.
    pub ending: Ending,
}

/// Looks at a whole segment, and hands every batch to `each` with its offset.
///
/// # Errors
/// Whatever `each` says, at once.
pub fn scan<'a, E>(
    segment: &'a [u8],
    expected_lsn: u64,
    each: &mut dyn FnMut(usize, Record<'a>) -> Result<(), E>,
) -> Result<Scan, E> {
    let mut scan = Scan {
        header: None,
        end: 0,
        next_lsn: expected_lsn,
        durable_lsn: 0,
        ends_with_mark: false,
        ending: Ending::Clean,
    };
    let header = match Header::judge(segment) {
        HeaderState::Valid(header) => header,
        HeaderState::UnknownVersion(version) => {
            scan.ending = Ending::UnknownVersion(version);
            return Ok(scan);
        }
        HeaderState::Invalid => {
            scan.ending = Ending::BadHeader { holds_records: record::holds_any_record(segment) };
            return Ok(scan);
        }
    };
    if header.first_lsn != expected_lsn {
        scan.ending = Ending::WrongFirstLsn(header.first_lsn);
        return Ok(scan);
    }
    scan.header = Some(header);
    scan.end = HEADER_BYTES;
    loop {
        match record::judge(segment, scan.end, header.salt) {
            Judged::Valid(record) if scan.follows(&record) => {
                let offset = scan.end;
                scan.take(&record);
                if record.words.kind == Kind::Batch {
                    each(offset, record)?;
                }
            }
            Judged::Valid(record) => {
                scan.ending = Ending::BrokenSequence { lsn: record.words.lsn };
                return Ok(scan);
            }
            Judged::UnknownKind(kind) => {
                scan.ending = Ending::UnknownKind(kind);
                return Ok(scan);
            }
            Judged::End => return Ok(scan),
            Judged::Invalid(what) => {
                let was_durable = record::says_durable_behind(segment, scan.end, header.salt, scan.next_lsn);
                scan.ending = Ending::Damage { what, was_durable };
                return Ok(scan);
            }
        }
    }
}

impl Scan {
    /// Whether a record may stand here: a batch has the next LSN, a mark repeats the last; neither says that anything
    /// was on disk that is not before it.
    fn follows(&self, record: &Record<'_>) -> bool {
        let words = record.words;
        let last = self.next_lsn - 1;
        words.durable_lsn <= last && words.lsn == if words.kind == Kind::Batch { self.next_lsn } else { last }
    }

    fn take(&mut self, record: &Record<'_>) {
        self.end += record.bytes;
        self.durable_lsn = self.durable_lsn.max(record.words.durable_lsn);
        if record.words.kind == Kind::Batch {
            self.next_lsn += 1;
        }
        self.ends_with_mark = record.words.kind == Kind::Mark && self.durable_lsn == self.next_lsn - 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_first_lsns() {
        let path = path_of(Path::new("/d"), 17);
        let name = path.file_name().and_then(|name| name.to_str()).expect("a name");
        assert_eq!(first_lsn_of(name), Some(17));
        for other in ["17.seg", "00000000000000000017.torn", "0000000000000000001x.seg", "lock", ""] {
            assert_eq!(first_lsn_of(other), None, "{other}");
        }
    }
}
