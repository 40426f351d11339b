//! What the tests of the sieve share: frames made of events, and a sieve as plain as can be.

pub mod made;
pub mod plain;

use std::path::PathBuf;

/// The real frames, one a line; `None` (and a word about it) where the fixtures are missing.
pub fn real_frames() -> Option<Vec<String>> {
    let folder = std::env::var_os("ATRARIUM_FIXTURES")
        .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../shared/fixtures"), PathBuf::from);
    let path = folder.join("jetstream/real_v1_20260704.jsonl");
    match std::fs::read_to_string(&path) {
        Ok(text) => Some(text.lines().map(str::to_owned).collect()),
        Err(error) => {
            println!("skipped: {}: {error}", path.display());
            None
        }
    }
}
