//! The floors of the house: who may import whom, and who may touch the world.
//!
//! A file imports lower floors or its own folder. The table below is the whole rule; `src/lib.rs` draws it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Every module and its floor.
const FLOORS: &[(&str, u8)] = &[
    ("limits", 0),
    ("clock", 0),
    ("sync", 0),
    ("syntax", 0),
    ("telemetry", 0),
    ("ring", 1),
    ("disk", 1),
    ("trust", 1),
    ("wire", 2),
    ("filter", 2),
    ("fact", 2),
    ("log", 2),
    ("lexicon", 2),
    ("identity", 2),
    ("publish", 3),
    ("community", 3),
    ("view", 3),
    ("ingest", 4),
    ("serve", 4),
    ("engine", 5),
];

/// Words of the outside world, and the only places that may say them.
const DOORS: &[(&str, &[&str])] = &[
    ("std::fs", &["src/disk/"]),
    ("File::open", &["src/disk/"]),
    ("std::net::Tcp", &["src/ingest/reader", "src/serve/"]),
    ("mio::", &["src/ingest/reader"]),
    ("tokio::", &["src/serve/", "src/identity/dial", "src/identity/shell"]),
    ("hyper::", &["src/serve/", "src/identity/dial"]),
    ("Instant::now", &["src/clock.rs"]),
    ("SystemTime::now", &["src/clock.rs"]),
    ("thread::Builder", &["src/engine/"]),
    ("thread::spawn", &[]),
    ("unsafe ", &["src/ring/"]),
    ("unsafe{", &[]),
];

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn rust_files(dir: &Path, out: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(dir).expect("src is readable").map(|entry| entry.expect("entry").path()) {
        if entry.is_dir() {
            rust_files(&entry, out);
        } else if entry.extension().is_some_and(|extension| extension == "rs") {
            out.push(entry);
        }
    }
}

/// The library's files as `(path from the root, text without comments)`.
fn sources() -> Vec<(String, String)> {
    let mut files = Vec::new();
    rust_files(&root().join("src"), &mut files);
    files.sort();
    let relative = |path: &PathBuf| path.strip_prefix(root()).expect("below the root").to_string_lossy().into_owned();
    files.iter().map(|path| (relative(path), code_of(&std::fs::read_to_string(path).expect("UTF-8")))).collect()
}

/// Cuts comments off, line by line. A `//` inside a string is cut too, which can only hide a URL.
fn code_of(text: &str) -> String {
    text.lines().map(|line| line.split("//").next().unwrap_or_default()).collect::<Vec<_>>().join("\n")
}

/// Leaves the tests out: the doors are for what ships.
fn without_tests(code: &str) -> &str {
    code.split("#[cfg(test)]\nmod ").next().unwrap_or(code)
}

/// Whether a whole file is tests.
fn is_test(path: &str) -> bool {
    let name = path.rsplit('/').next().unwrap_or(path);
    name == "tests.rs" || name.starts_with("tests_") || path.contains("/tests/")
}

/// The module of a file below `src`: `src/log/record.rs` → `log`, `src/clock.rs` → `clock`.
fn module_of(path: &str) -> &str {
    let below = path.strip_prefix("src/").unwrap_or(path);
    below.split('/').next().unwrap_or(below).trim_end_matches(".rs")
}

/// Every module named after `crate::` in a text, also within `crate::{a, b::c}`.
fn imports(code: &str) -> Vec<String> {
    let mut found = Vec::new();
    for (at, _) in code.match_indices("crate::") {
        if code[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_' || c == '$') {
            continue;
        }
        let rest = &code[at + "crate::".len()..];
        if let Some(group) = rest.strip_prefix('{') {
            found.extend(group_heads(group));
        } else {
            found.push(head(rest));
        }
    }
    found
}

fn head(text: &str) -> String {
    text.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect()
}

/// The first word of each part of `a::b, c::{d, e}}`.
fn group_heads(group: &str) -> Vec<String> {
    let (mut depth, mut heads, mut start) = (0, Vec::new(), true);
    for (at, c) in group.char_indices() {
        match c {
            '{' => depth += 1,
            '}' if depth == 0 => break,
            '}' => depth -= 1,
            ',' if depth == 0 => start = true,
            _ if start && !c.is_whitespace() => {
                heads.push(head(&group[at..]));
                start = false;
            }
            _ => {}
        }
    }
    heads
}

#[test]
fn every_file_imports_lower_floors_or_its_own_folder() {
    let floors: BTreeMap<&str, u8> = FLOORS.iter().copied().collect();
    let mut wrong = Vec::new();
    for (path, code) in sources() {
        let module = module_of(&path);
        if matches!(module, "lib" | "main" | "cli") {
            continue;
        }
        let floor = *floors.get(module).unwrap_or_else(|| panic!("{path}: module {module} has no floor in this table"));
        for import in imports(&code) {
            let Some(&other) = floors.get(import.as_str()) else { continue };
            // The bounds are under everything, the other rooms of the ground floor included.
            let below = other < floor || import == "limits" || import == module;
            if !below {
                wrong.push(format!("{path} (floor {floor}) imports {import} (floor {other})"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn the_world_is_touched_only_at_its_doors() {
    let mut wrong = Vec::new();
    for (path, code) in sources() {
        if matches!(module_of(&path), "main" | "cli") || is_test(&path) {
            continue;
        }
        for &(word, doors) in DOORS {
            let said = without_tests(&code).lines().any(|line| says(line, word));
            if said && !doors.iter().any(|door| path.starts_with(door)) {
                wrong.push(format!("{path} says `{}`: only {doors:?} may", word.trim()));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Whether a line of code says a word that does not continue an identifier before it.
fn says(line: &str, word: &str) -> bool {
    line.match_indices(word).any(|(at, _)| !line[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_'))
}

#[test]
fn every_file_but_the_ring_forbids_unsafe_code() {
    let mut wrong = Vec::new();
    for (path, _) in sources() {
        let is_room = path.ends_with("/mod.rs") || path.matches('/').count() == 1;
        let module = module_of(&path);
        if !is_room || matches!(module, "lib" | "main" | "cli" | "ring") {
            continue;
        }
        let text = std::fs::read_to_string(root().join(&path)).expect("UTF-8");
        let nested = path.matches('/').count() > 2;
        if !nested && !text.contains("#![forbid(unsafe_code)]") {
            wrong.push(path);
        }
    }
    assert!(wrong.is_empty(), "without #![forbid(unsafe_code)]: {wrong:?}");
}

#[test]
fn the_scanner_sees_what_it_should() {
    assert_eq!(imports("use crate::{a, b::c, d::{e, f}}; crate::g::h"), ["a", "b", "d", "g"]);
    assert_eq!(imports("$crate::x; my_crate::y"), Vec::<String>::new());
    assert!(says("let t = Instant::now();", "Instant::now"));
    assert!(!says("fn not_unsafe () {}", "unsafe "));
    assert_eq!(module_of("src/log/record.rs"), "log");
    assert_eq!(code_of("a // crate::b"), "a ");
    assert!(is_test("src/ring/tests_loom.rs") && is_test("src/log/tests/rows.rs") && !is_test("src/log/read.rs"));
}
