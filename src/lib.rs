//! Atrarium: an in-memory feed engine with a write-ahead log.
#![deny(unsafe_code)]

pub mod clock;
pub mod community;
pub mod disk;
pub mod engine;
pub mod fact;
pub mod filter;
pub mod ingest;
pub mod lexicon;
pub mod limits;
pub mod log;
pub mod ring;
#[cfg(feature = "server")]
pub mod serve;
pub mod syntax;
pub mod telemetry;
pub mod view;
pub mod wire;
