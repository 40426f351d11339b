//! The only door to the file system.
#![forbid(unsafe_code)]
