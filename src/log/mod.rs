//! The write-ahead log: bytes and LSNs.
#![forbid(unsafe_code)]
