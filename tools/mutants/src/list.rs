//! The list of faults: `faults.txt`, read and checked.
//!
//! ```text
//! # name of the fault
//! file: path from the top of the repository
//! old:  text that stands in the file exactly once
//! new:  what it becomes; may be empty
//! test: what follows `cargo test --no-default-features` and must fail
//! ```
//! Entries are separated by empty lines. A line that begins with `//` is a remark.

use std::collections::BTreeSet;

/// One deliberate fault.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// What is wrong, in a few words. Unique.
    pub name: String,
    /// Which file, from the top of the repository.
    pub file: String,
    /// What stands there exactly once.
    pub old: String,
    /// What is put in its place.
    pub new: String,
    /// The arguments of `cargo test` that must fail.
    pub test: Vec<String>,
}

/// Reads a list.
///
/// # Errors
/// Says which entry lacks what, or stands twice.
pub fn parse(text: &str) -> Result<Vec<Fault>, String> {
    let lines: Vec<&str> = text.lines().filter(|line| !line.starts_with("//")).collect();
    let entries = lines.split(|line| line.trim().is_empty()).filter(|entry| !entry.is_empty());
    let faults = entries.map(parse_entry).collect::<Result<Vec<_>, _>>()?;
    let mut names = BTreeSet::new();
    match faults.iter().find(|fault| !names.insert(&fault.name)) {
        Some(twice) => Err(format!("{}: the name stands twice in the list", twice.name)),
        None => Ok(faults),
    }
}

fn parse_entry(lines: &[&str]) -> Result<Fault, String> {
    let [name, file, old, new, test] = lines else {
        return Err(format!("an entry of {} lines, not 5, begins with {:?}", lines.len(), lines[0]));
    };
    let field = |line: &str, label: &str| match line.strip_prefix(label) {
        Some(value) => Ok(value.trim().to_owned()),
        None => Err(format!("{line:?} should begin with {label:?}")),
    };
    let test = field(test, "test:")?.split_whitespace().map(ToOwned::to_owned).collect();
    Ok(Fault {
        name: field(name, "# ")?,
        file: field(file, "file:")?,
        old: field(old, "old:")?,
        new: field(new, "new:")?,
        test,
    })
}

impl Fault {
    /// The text of the file with the fault in it.
    ///
    /// # Errors
    /// The old text does not stand there exactly once, or nothing would change: the list is no longer true.
    pub fn apply(&self, text: &str) -> Result<String, String> {
        let found = text.matches(&self.old).count();
        if self.old.is_empty() || found != 1 {
            return Err(format!("{}: {:?} stands {found} times in {}, not once", self.name, self.old, self.file));
        }
        if self.old == self.new {
            return Err(format!("{}: old and new are the same", self.name));
        }
        Ok(text.replacen(&self.old, &self.new, 1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ENTRY: &str = "// remark\n# less\nfile: a.rs\nold:  a < b\nnew:  a <= b\ntest: --test a less\n";

    #[test]
    fn an_entry_is_read_and_applied() {
        let faults = parse(ENTRY).expect("an entry");
        assert_eq!(faults[0].test, ["--test", "a", "less"]);
        assert_eq!(faults[0].apply("if a < b {}").expect("once"), "if a <= b {}");
        assert!(faults[0].apply("if a < b && a < b {}").is_err());
        assert!(faults[0].apply("if b < a {}").is_err());
    }

    #[test]
    fn a_broken_list_is_refused() {
        assert!(parse(&format!("{ENTRY}\n{ENTRY}")).is_err(), "twice");
        assert!(parse("# less\nfile: a.rs\nold:  a\ntest: x\n").is_err(), "a line is missing");
        assert!(parse("# less\nfile: a.rs\nnew:  a\nold:  b\ntest: x\n").is_err(), "another order");
    }
}
