//! The benches of the parts, each beside its reference: what they print at their ends; and the test that counts allocations.

use std::process::{Command, Output};

use serde::{Deserialize, Serialize};

use crate::engine::root;

const BENCHES: [&str; 11] =
    ["filter", "session", "zstd", "event", "tags", "ring", "log", "fold", "map", "view", "tokens"];

/// Words of criterion's own lines.
const CRITERION: [&str; 12] = [
    "time:",
    "thrpt:",
    "change:",
    "outliers",
    "high mild",
    "high severe",
    "low mild",
    "low severe",
    "Benchmarking",
    "Performance has",
    "No change in performance",
    "Change within noise",
];

/// What each bench printed behind what criterion has to say, by its name.
pub type Printed = Vec<(String, String)>;

/// Runs them all, one after the other; `quick` once around.
pub fn run(quick: bool) -> Printed {
    BENCHES.iter().map(|name| ((*name).to_owned(), bench(name, quick))).collect()
}

fn bench(name: &str, quick: bool) -> String {
    eprintln!("cargo bench --bench {name}");
    let mut arguments = vec!["bench", "--no-default-features", "--bench", name];
    if quick {
        arguments.extend(["--", "--quick"]);
    }
    let done = cargo(&arguments);
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    let text = String::from_utf8_lossy(&done.stdout);
    // Criterion's own lines are for who looks at one bench; the tables behind them have the ratios.
    let lines: Vec<&str> = text.lines().collect();
    let is_criterions = |line: &&str| CRITERION.iter().any(|word| line.contains(word));
    let from = lines.iter().rposition(is_criterions).map_or(0, |at| at + 1);
    lines[from..].join("\n").trim().to_owned()
}

fn cargo(arguments: &[&str]) -> Output {
    let mut cargo = Command::new(std::env::var("CARGO").unwrap_or_else(|_| "cargo".into()));
    cargo.args(arguments).current_dir(root()).output().expect("cargo can be run")
}

/// A line that names a ratio: `WHAT vs REFERENCE: N.Nx`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Ratio<'a> {
    /// What is that many times faster.
    pub what: &'a str,
    /// Than what.
    pub reference: &'a str,
    /// How many times.
    pub times: f64,
}

/// The ratios that a bench has printed, in order.
pub fn ratios(text: &str) -> impl Iterator<Item = Ratio<'_>> {
    text.lines().filter_map(|line| {
        let (names, times) = line.trim().rsplit_once(": ")?;
        let (what, reference) = names.split_once(" vs ")?;
        Some(Ratio { what, reference, times: times.strip_suffix('x')?.parse().ok()? })
    })
}

/// The figure of a line `WHAT: N.N UNIT`; `None` where there is no such line.
pub fn figure(text: &str, what: &str, unit: &str) -> Option<f64> {
    let figure =
        |line: &str| line.trim().strip_prefix(what)?.strip_prefix(": ")?.strip_suffix(unit)?.trim().parse().ok();
    text.lines().find_map(figure)
}

/// Whether frames that miss allocate nothing, as the test of that says.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Allocations {
    /// The command.
    pub command: String,
    /// Whether it holds.
    pub holds: bool,
}

/// Runs the test.
pub fn allocations() -> Allocations {
    let command = "test --release --no-default-features --test allocations";
    eprintln!("cargo {command}");
    let done = cargo(&command.split(' ').collect::<Vec<_>>());
    let told = String::from_utf8_lossy(&done.stdout);
    // A test that was not run proves nothing.
    let (ran, holds) = (told.contains("running 1 test"), done.status.success());
    assert!(ran, "the test of allocations was not run: {told}{}", String::from_utf8_lossy(&done.stderr));
    Allocations { command: format!("cargo {command}"), holds }
}
