//! From the socket to the log.
#![forbid(unsafe_code)]

pub mod committer;
pub mod lanes;
pub mod reader;
pub mod record;
pub mod sieve;
pub mod worker;
