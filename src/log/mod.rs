//! The write-ahead log: bytes and LSNs, never communities.
//!
//! ```text
//! DIR/lock                                one writer at a time
//! DIR/log/00000000000000000001.seg        header | batch | mark | batch | batch | mark …
//! DIR/log/00000000000000000734.seg        named by its first LSN; only the last one grows
//! ```
//!
//! In: payloads, each to be one batch. Out: the same payloads, in order, after whatever happened in between.
//! What always holds:
//! - LSNs are dense from 1;
//! - when [`Log::sync`] has returned LSN n, every batch up to n is found again by any later [`Log::open`], or that refuses;
//! - a segment is synced before its successor is created; a file's creation syncs the file and its directory;
//! - after a sync that failed nothing more is written, and nothing is tried again.
//!
//! The layout is drawn in [`record`], the table of recovery in [`recovery`].
#![forbid(unsafe_code)]

mod error;
mod open;
mod read;
pub mod record;
pub mod recovery;
mod segment;
#[cfg(test)]
mod tests;
mod writer;

pub use error::{Fault, LogError};
pub use open::Recovered;
pub use read::{CheckReport, ReadReport, Verdict, check, read};
pub use writer::{Log, LogStatus, Options};

/// One batch of the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry<'a> {
    /// Its LSN.
    pub lsn: u64,
    /// The version of its payload, as given to [`Log::append`].
    pub version: u8,
    /// Its payload.
    pub payload: &'a [u8],
    /// Bytes of the log before its end, for a progress bar.
    pub offset: u64,
    /// Bytes of the log in all, as they were when reading began.
    pub total: u64,
}

/// Who is handed each batch. An error ends the reading, as [`LogError::Payload`].
pub type Each<'a> = &'a mut dyn FnMut(Entry<'_>) -> Result<(), String>;
