//! The benches of the parts, each beside its reference: what they print at their ends.

use std::process::Command;

use crate::engine::root;

const BENCHES: [&str; 5] = ["filter", "ring", "view", "log", "session"];

/// Runs them all, one after the other.
pub fn run() -> Vec<(String, String)> {
    BENCHES.iter().map(|name| ((*name).to_owned(), bench(name))).collect()
}

fn bench(name: &str) -> String {
    eprintln!("cargo bench --bench {name}");
    let mut cargo = Command::new(std::env::var("CARGO").unwrap_or_else(|_| "cargo".into()));
    cargo.args(["bench", "--no-default-features", "--bench", name]).current_dir(root());
    let done = cargo.output().expect("cargo can be run");
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    let text = String::from_utf8_lossy(&done.stdout);
    // Criterion's own lines are for who looks at one bench; the tables behind them have the ratios.
    let lines: Vec<&str> = text.lines().collect();
    let is_criterions = |line: &&str| {
        ["time:", "thrpt:", "change:", "outliers", "high mild", "high severe", "low mild"]
            .iter()
            .any(|word| line.contains(word))
    };
    let from = lines.iter().rposition(is_criterions).map_or(0, |at| at + 1);
    lines[from..].join("\n").trim().to_owned()
}
