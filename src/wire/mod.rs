//! The stream as bytes and as events.
//!
//! ```text
//! URL ──endpoint──► where, in which dialect, from which position
//! bytes ──session──► messages ──event──► commits, accounts …
//! ```
//! In: what a socket gives. Out: events with their position. What always holds: nothing here opens a socket or reads a
//! clock, so every session can be played in memory; what breaks a rule is told by its reason, never by a panic.
#![forbid(unsafe_code)]

pub mod endpoint;
pub mod event;
pub mod http;
pub mod session;
pub mod zstd;
