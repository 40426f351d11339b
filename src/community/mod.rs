//! The fold: the rules of communities.
#![forbid(unsafe_code)]
