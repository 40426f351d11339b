//! The protocol's interop files: where they lie, and which of them have been read.
//!
//! They lie in `$ATRARIUM_FIXTURES`, or in `../shared/fixtures` beside the project.
#![allow(dead_code, reason = "each test file uses a part")]

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// The folder `interop/` of the fixtures.
pub struct Interop {
    folder: PathBuf,
    read: RefCell<BTreeSet<String>>,
}

impl Interop {
    /// Without the folder the caller has nothing to test; that is said, not hidden.
    pub fn open(test: &str) -> Option<Self> {
        let beside = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../shared/fixtures");
        let fixtures = std::env::var_os("ATRARIUM_FIXTURES").map_or(beside, PathBuf::from);
        let folder = fixtures.join("interop");
        if !folder.is_dir() {
            println!("skipped: {test}: there is no {} (set ATRARIUM_FIXTURES)", folder.display());
            return None;
        }
        Some(Self { folder, read: RefCell::default() })
    }

    /// The text of one file, by its path from the folder.
    pub fn text(&self, file: &str) -> String {
        self.read.borrow_mut().insert(file.to_owned());
        std::fs::read_to_string(self.folder.join(file)).unwrap_or_else(|error| panic!("{file}: {error}"))
    }

    /// Every file below a part of the folder (all of it: ""), by its path from the folder, sorted.
    pub fn files(&self, part: &str) -> BTreeSet<String> {
        let mut files = BTreeSet::new();
        collect(&self.folder.join(part), &self.folder, &mut files);
        assert!(!files.is_empty(), "{part} holds no file");
        files
    }

    /// Fails where a part of the folder holds a file that was not read: nothing is forgotten when files come.
    pub fn assert_all_read(&self, part: &str) {
        let read = self.read.borrow();
        let forgotten: Vec<String> = self.files(part).into_iter().filter(|file| !read.contains(file)).collect();
        assert!(forgotten.is_empty(), "nobody judges {forgotten:?}: add them to this test");
    }
}

fn collect(folder: &Path, root: &Path, out: &mut BTreeSet<String>) {
    for entry in std::fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display())) {
        let path = entry.expect("readable").path();
        if path.is_dir() {
            collect(&path, root, out);
        } else {
            out.insert(path.strip_prefix(root).expect("below").to_str().expect("UTF-8").to_owned());
        }
    }
}
