//! What readers see.
#![forbid(unsafe_code)]
