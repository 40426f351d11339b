//! From the view to HTTP.
#![forbid(unsafe_code)]
