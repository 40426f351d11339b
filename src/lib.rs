//! Atrarium: an in-memory feed engine with a write-ahead log.
#![deny(unsafe_code)]

pub mod clock;
pub mod fact;
pub mod limits;
pub mod syntax;
