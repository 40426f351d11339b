//! Parses what the sieve let pass.
