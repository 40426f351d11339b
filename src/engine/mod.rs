//! The only composer and the only place that starts threads.
#![forbid(unsafe_code)]
