//! Reading one segment's bytes, in pieces, as they are now.
//!
//! A file is read until it ends, not until some size that was asked for earlier: it may be growing.

use std::io;

use super::Lsn;
use super::record::{ALIGN_BYTES, HEAD_BYTES, Head, Kind, Record, is_intact};
use crate::disk::DiskFile;
use crate::limits::LOG_READ_BYTES;

/// A window onto a file. It holds one record, or one piece, whichever is larger.
#[derive(Debug)]
pub(super) struct Scan {
    file: Box<dyn DiskFile>,
    window: Vec<u8>,
    /// Where the window begins, in bytes from the start of the file.
    start: u64,
}

/// What stands at some place of a segment.
#[derive(Debug)]
pub(super) enum Parsed<'a> {
    /// Nothing: the file ends here.
    End,
    /// No record of this segment.
    Bad,
    /// A whole record in a form that this program does not know.
    Unknown(Head),
    /// A record.
    Record(Record<'a>),
}

/// A batch or mark that was found by searching.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Sighting {
    pub offset: u64,
    pub size: u64,
    pub kind: Kind,
    pub lsn: Lsn,
    pub durable: Lsn,
}

impl Scan {
    pub fn new(file: Box<dyn DiskFile>) -> Self {
        Self { file, window: Vec::new(), start: 0 }
    }

    /// Forgets what was read: the file is asked again.
    pub fn forget(&mut self) {
        self.window.clear();
    }

    /// The bytes from `at` on: `want` of them, or as many as there are.
    pub fn bytes(&mut self, at: u64, want: usize) -> io::Result<&[u8]> {
        let window_end = self.start + self.window.len() as u64;
        if at < self.start || at > window_end {
            self.window.clear();
            self.start = at;
        }
        if at + want as u64 > self.start + self.window.len() as u64 {
            self.refill(at, want)?;
        }
        let from = (at - self.start) as usize;
        let to = (from + want).min(self.window.len());
        Ok(&self.window[from..to])
    }

    /// Lets the window begin at `at`, which lies in it or at its end, and hold `want` bytes where the file has them.
    fn refill(&mut self, at: u64, want: usize) -> io::Result<()> {
        self.window.drain(..(at - self.start) as usize);
        self.start = at;
        while self.window.len() < want {
            let held = self.window.len();
            // A length in a damaged head may be anything: the window grows with what the file has, not with what is said.
            self.window.resize(held + LOG_READ_BYTES, 0);
            let read = self.file.read_at(at + held as u64, &mut self.window[held..]);
            self.window.truncate(held + *read.as_ref().unwrap_or(&0));
            if read? == 0 {
                break;
            }
        }
        Ok(())
    }

    /// The whole record at `at`, whatever it is: its head, its payload, and its size in bytes.
    pub fn whole(&mut self, at: u64, salt: u32) -> io::Result<Option<(Head, &[u8], u64)>> {
        let Ok(head) = self.bytes(at, HEAD_BYTES)?.try_into().map(Head::read) else { return Ok(None) };
        let Some(size) = head.size().filter(|_| head.salt == salt) else { return Ok(None) };
        let bytes = self.bytes(at, size)?;
        if bytes.len() < size || !is_intact(bytes) {
            return Ok(None);
        }
        Ok(Some((head, &bytes[HEAD_BYTES..HEAD_BYTES + head.len as usize], size as u64)))
    }

    /// What stands at `at` of a segment.
    pub fn parse(&mut self, at: u64, salt: u32) -> io::Result<Parsed<'_>> {
        if self.bytes(at, 1)?.is_empty() {
            return Ok(Parsed::End);
        }
        let Some((head, payload, size)) = self.whole(at, salt)? else { return Ok(Parsed::Bad) };
        let Some(kind) = head.kind() else { return Ok(Parsed::Unknown(head)) };
        let (lsn, durable, version) = (head.lsn, head.durable, head.version);
        Ok(Parsed::Record(Record { offset: at, size, kind, lsn, durable, version, payload }))
    }

    /// The first record at or after `from`, where records may begin, that `accept` accepts.
    pub fn find(
        &mut self,
        mut from: u64,
        salt: u32,
        accept: impl Fn(&Sighting) -> bool,
    ) -> io::Result<Option<Sighting>> {
        loop {
            let sighting = match self.parse(from, salt)? {
                Parsed::End => return Ok(None),
                Parsed::Bad | Parsed::Unknown(_) => {
                    from += ALIGN_BYTES as u64;
                    continue;
                }
                Parsed::Record(Record { offset, size, kind, lsn, durable, .. }) => {
                    Sighting { offset, size, kind, lsn, durable }
                }
            };
            if accept(&sighting) {
                return Ok(Some(sighting));
            }
            from += sighting.size;
        }
    }

    /// The salt of the first whole record of whatever segment, from `from` on: where the header that tells it is damaged.
    pub fn find_salt(&mut self, mut from: u64) -> io::Result<Option<u32>> {
        loop {
            let Ok(head) = self.bytes(from, HEAD_BYTES)?.try_into().map(Head::read) else { return Ok(None) };
            if self.whole(from, head.salt)?.is_some() {
                return Ok(Some(head.salt));
            }
            from += ALIGN_BYTES as u64;
        }
    }

    /// Whether nothing but zeros follows.
    pub fn only_zeros(&mut self, mut at: u64) -> io::Result<bool> {
        loop {
            let bytes = self.bytes(at, LOG_READ_BYTES)?;
            if bytes.iter().any(|&byte| byte != 0) {
                return Ok(false);
            }
            if bytes.is_empty() {
                return Ok(true);
            }
            at += bytes.len() as u64;
        }
    }
}
