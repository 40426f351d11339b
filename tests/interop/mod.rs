//! Where the protocol's interop files lie: `$ATRARIUM_FIXTURES`, or `../shared/fixtures` beside the project.

use std::path::PathBuf;

/// The folder `interop/` of the fixtures. Without it the caller has nothing to test; that is said, not hidden.
pub fn folder(test: &str) -> Option<PathBuf> {
    let beside = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../shared/fixtures");
    let fixtures = std::env::var_os("ATRARIUM_FIXTURES").map_or(beside, PathBuf::from);
    let folder = fixtures.join("interop");
    if folder.is_dir() {
        return Some(folder);
    }
    println!("skipped: {test}: there is no {} (set ATRARIUM_FIXTURES)", folder.display());
    None
}

/// The text of one of its files.
pub fn read(folder: &std::path::Path, name: &str) -> String {
    std::fs::read_to_string(folder.join(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}
