//! Under which conditions a part was measured.

use std::process::Command;

use serde::{Deserialize, Serialize};

use crate::engine::root;

/// Under which conditions.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Run {
    /// UTC, to the minute.
    pub date: String,
    /// The commit, with `+` where files of the tree were changed.
    pub commit: String,
    /// The processor.
    pub machine: String,
    /// How many of them.
    #[serde(default)]
    pub processors: usize,
    /// The compiler.
    pub rustc: String,
    /// How the command was called.
    pub command: String,
    /// Rounds; every figure is a median of them.
    pub rounds: usize,
    /// The seed of every network.
    pub seed: u64,
    /// Peers and their versions.
    pub versions: Vec<(String, String)>,
}

impl Run {
    /// This one.
    pub fn new(rounds: usize) -> Self {
        let date = simnet::parse_time("now").map(|time| time.to_string()).unwrap_or_default();
        let changed = !output("git", &["status", "--porcelain", "--untracked-files=no"]).is_empty();
        Self {
            date: date.chars().take(16).collect::<String>() + "Z",
            commit: output("git", &["rev-parse", "--short", "HEAD"]) + if changed { "+" } else { "" },
            machine: crate::machine::model(),
            processors: crate::machine::processors(),
            rustc: output("rustc", &["--version"]),
            command: command(),
            rounds,
            seed: simnet::Options::default().seed,
            versions: versions(),
        }
    }
}

/// How this was called, without paths: they are of one machine alone.
fn command() -> String {
    let mut words: Vec<String> = Vec::new();
    let mut arguments = std::env::args().skip(1);
    while let Some(word) = arguments.next() {
        match word.as_str() {
            "--atrarium" | "--out" => drop(arguments.next()),
            _ if word.starts_with("--atrarium=") || word.starts_with("--out=") => {}
            _ => words.push(word),
        }
    }
    words.join(" ")
}

fn output(program: &str, arguments: &[&str]) -> String {
    let done = Command::new(program).args(arguments).current_dir(root()).output();
    done.map(|done| String::from_utf8_lossy(&done.stdout).trim().to_owned()).unwrap_or_default()
}

/// Of the lock file.
fn versions() -> Vec<(String, String)> {
    const PEERS: [&str; 8] =
        ["tokio-tungstenite", "serde_json", "rocketman", "jetstream-oxide", "axum", "rusqlite", "tungstenite", "zstd"];
    let lock = include_str!("../../Cargo.lock");
    let package = |block: &str| {
        let field = |name: &str| {
            let line = block.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(" = \""));
            line.map(|value| value.trim_end_matches('"').to_owned())
        };
        Some((field("name")?, field("version")?))
    };
    lock.split("[[package]]").filter_map(package).filter(|(name, _)| PEERS.contains(&name.as_str())).collect()
}

impl std::fmt::Display for Run {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let versions: Vec<String> = self.versions.iter().map(|(name, version)| format!("{name} {version}")).collect();
        let Self { date, commit, machine, rustc, command, seed, .. } = self;
        let rounds = match self.rounds {
            1 => "1 round".to_owned(),
            rounds => format!("{rounds} rounds, medians"),
        };
        write!(f, "*{date} · commit {commit} · {machine} · {rustc} · `{command}` · {rounds} · seed {seed} · ")?;
        write!(f, "{}*", versions.join(", "))
    }
}
