//! From the socket to the log.
//!
//! ```text
//! reader ──frame──► sieve ──► lanes ──ring──► worker ──ring──► committer ──► log, fold, view
//! one thread, with its sieve and its side of the rings         N threads      one thread
//! ```
//! In: bytes of the stream. Out: durable, folded and published facts.
//! What always holds: one author's events stay in order all the way; a frame is dropped only by the sieve's verdict or
//! with a counted reason; whoever has no room makes the one before it wait, up to the socket.
#![forbid(unsafe_code)]

pub mod committer;
pub mod lanes;
pub mod reader;
pub mod record;
pub mod sieve;
pub mod worker;
