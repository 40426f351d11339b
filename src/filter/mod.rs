//! Which frames matter.
#![forbid(unsafe_code)]
