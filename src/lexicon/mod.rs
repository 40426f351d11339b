//! Validation of records against the lexicons of `lexicons/`.
#![forbid(unsafe_code)]
