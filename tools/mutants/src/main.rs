//! Puts deliberate faults into a copy of the program, one by one, and demands that a test catches each.
//!
//! ```text
//! cargo run -p mutants                 all faults of tools/mutants/{faults,storage,reading}.txt, and a table
//! cargo run -p mutants -- WORD…        those whose name or file holds one of the words (src/log, say)
//! cargo run -p mutants -- --check      only whether every fault can still be applied
//! ```
//! The copy lies in the target directory (`CARGO_TARGET_DIR`, else `target`) and is built there too. Exit code 0: every
//! fault was caught. A fault that survives, that cannot be applied any more, or that does not compile is a failure.
#![forbid(unsafe_code)]

mod list;

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Output};
use std::{env, fs, io};

use list::Fault;

/// What became of a fault.
enum Outcome {
    /// A test failed: the lines that say which.
    Caught(String),
    Survived,
    /// It could not be tried.
    Broken(String),
}

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    match run(&arguments) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

/// The top of the repository.
fn top() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn run(arguments: &[String]) -> Result<bool, String> {
    let faults = checked_list(&top())?;
    if arguments.iter().any(|argument| argument == "--check") {
        println!("{} faults can be applied", faults.len());
        return Ok(true);
    }
    let chosen = |fault: &&Fault| {
        arguments.is_empty()
            || arguments.iter().any(|word| fault.name.contains(word.as_str()) || fault.file.contains(word.as_str()))
    };
    let target = env::var_os("CARGO_TARGET_DIR").map_or_else(|| top().join("target"), PathBuf::from).join("mutants");
    let tree = target.join("tree");
    copy_tree(&top(), &tree).map_err(|error| format!("cannot copy the tree to {}: {error}", tree.display()))?;
    let mut all_caught = true;
    for fault in faults.iter().filter(chosen) {
        let outcome = try_fault(fault, &tree, &target);
        let (word, detail) = match &outcome {
            Outcome::Caught(by) => ("caught", by.as_str()),
            Outcome::Survived => ("SURVIVED", ""),
            Outcome::Broken(why) => ("BROKEN", why.as_str()),
        };
        all_caught &= matches!(outcome, Outcome::Caught(_));
        println!("{word:8} | {} | {} | {} | {detail}", fault.name, fault.file, fault.test.join(" "));
    }
    Ok(all_caught)
}

/// Faults of the rules, and of what makes facts durable.
const LISTS: [&str; 3] = ["faults.txt", "storage.txt", "reading.txt"];

/// The list, if every fault in it can be applied.
fn checked_list(top: &Path) -> Result<Vec<Fault>, String> {
    let mut text = String::new();
    for name in LISTS {
        let path = top.join("tools/mutants").join(name);
        text += &fs::read_to_string(&path).map_err(|error| format!("{}: {error}", path.display()))?;
        text += "\n";
    }
    let faults = list::parse(&text)?;
    let errors: Vec<String> = faults.iter().filter_map(|fault| faulty_text(fault, top).err()).collect();
    if errors.is_empty() { Ok(faults) } else { Err(errors.join("\n")) }
}

fn faulty_text(fault: &Fault, top: &Path) -> Result<String, String> {
    let text = fs::read_to_string(top.join(&fault.file)).map_err(|error| format!("{}: {error}", fault.file))?;
    fault.apply(&text)
}

/// Copies what is built; a file that is the same already keeps its time, so that little is built again.
fn copy_tree(from: &Path, to: &Path) -> io::Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let name = entry.file_name();
        let text = name.to_string_lossy();
        let is_dir = entry.file_type()?.is_dir();
        // What is built; a file may well be named so.
        if text.starts_with('.') || (is_dir && text.starts_with("target")) {
            continue;
        }
        let (from, to) = (entry.path(), to.join(&name));
        if is_dir {
            copy_tree(&from, &to)?;
        } else if fs::read(&to).ok() != Some(fs::read(&from)?) {
            fs::write(&to, fs::read(&from)?)?;
        }
    }
    // What is gone from the tree since the last copy.
    for entry in fs::read_dir(to)? {
        let old = entry?;
        if !from.join(old.file_name()).exists() {
            if old.file_type()?.is_dir() { fs::remove_dir_all(old.path())? } else { fs::remove_file(old.path())? }
        }
    }
    Ok(())
}

fn try_fault(fault: &Fault, tree: &Path, target: &Path) -> Outcome {
    let path = tree.join(&fault.file);
    let sound = match fs::read_to_string(&path) {
        Ok(sound) => sound,
        Err(error) => return Outcome::Broken(format!("{}: {error}", path.display())),
    };
    let outcome = fault.apply(&sound).and_then(|faulty| {
        fs::write(&path, faulty).map_err(|error| error.to_string())?;
        judge(fault, tree, target)
    });
    match (outcome, fs::write(&path, sound)) {
        (_, Err(error)) => Outcome::Broken(format!("{} was not mended: {error}", path.display())),
        (Ok(outcome), Ok(())) => outcome,
        (Err(why), Ok(())) => Outcome::Broken(why),
    }
}

fn judge(fault: &Fault, tree: &Path, target: &Path) -> Result<Outcome, String> {
    let built = cargo_test(fault, tree, target, true)?;
    if !built.status.success() {
        let errors = String::from_utf8_lossy(&built.stderr);
        let first = errors.lines().find(|line| line.starts_with("error")).unwrap_or("does not build");
        return Ok(Outcome::Broken(first.to_owned()));
    }
    let tested = cargo_test(fault, tree, target, false)?;
    if tested.status.success() {
        return Ok(Outcome::Survived);
    }
    Ok(Outcome::Caught(failed_tests(&String::from_utf8_lossy(&tested.stdout))))
}

fn cargo_test(fault: &Fault, tree: &Path, target: &Path, only_build: bool) -> Result<Output, String> {
    let mut command = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(tree).args(["test", "--no-default-features"]).args(&fault.test);
    if only_build {
        command.arg("--no-run");
    }
    // Never in the program's own target directory: cargo names what it builds of both trees alike, and one would be taken for
    // the other. With the suite's own number of histories all faults would take an hour.
    command.env("CARGO_TARGET_DIR", target).env("RUST_BACKTRACE", "0");
    command.env("FOLD_HISTORIES", env::var("FOLD_HISTORIES").unwrap_or_else(|_| "400".to_owned()));
    command.output().map_err(|error| format!("cargo does not start: {error}"))
}

/// The names of the tests that failed, and the seed where one was printed.
fn failed_tests(stdout: &str) -> String {
    let failed = stdout.lines().filter_map(|line| line.strip_prefix("test ")?.strip_suffix(" ... FAILED"));
    let seed = stdout
        .lines()
        .filter(|line| line.starts_with("seed "))
        .map(|line| line.split(',').take(2).collect::<Vec<_>>().join(","));
    let named: Vec<String> = failed.map(ToOwned::to_owned).chain(seed.take(1)).collect();
    named.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The list stays true while the program changes: every old text stands in its file exactly once.
    #[test]
    fn every_fault_can_be_applied() {
        let faults = checked_list(&top()).unwrap_or_else(|why| panic!("mend the lists in tools/mutants:\n{why}"));
        assert!(faults.len() >= 100, "{} faults", faults.len());
    }
}
