//! The stream as bytes and as events.
#![forbid(unsafe_code)]

pub mod endpoint;
pub mod event;
pub mod http;
pub mod session;
pub mod zstd;
