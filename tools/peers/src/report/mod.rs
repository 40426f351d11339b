//! The results: as data, as a page, and as pictures.
//!
//! `run` under which conditions · `page` the tables, and the words above them · `targets` what the figures should be ·
//! `pictures` bars.

mod page;
mod pictures;
mod run;
mod targets;

use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::{http, ingest, live, memory, micro, scaling};

pub use run::Run;

/// All that was measured. What never was is `None`.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Results {
    /// What a frame costs.
    pub ingest: Option<Measured<Vec<ingest::Row>>>,
    /// What more workers bring.
    pub scaling: Option<Measured<Vec<scaling::Row>>>,
    /// What a skeleton costs, and how long it is waited for.
    pub http: Option<Measured<http::Results>>,
    /// From an event to the feed.
    pub live: Option<Measured<Vec<live::Row>>>,
    /// Memory and starting.
    pub memory: Option<Measured<Vec<memory::Row>>>,
    /// What the benches of the parts printed at their ends, by their names.
    pub micro: Option<Measured<micro::Printed>>,
    /// Whether frames that miss allocate nothing.
    pub allocations: Option<Measured<micro::Allocations>>,
}

/// One part, and under which conditions it was measured.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Measured<T> {
    /// When, in which commit, and on what.
    pub run: Run,
    /// The figures.
    pub figures: T,
}

/// What was measured before, into the same directory.
pub fn read(dir: &Path) -> Results {
    let text = std::fs::read(dir.join("results.json")).unwrap_or_default();
    serde_json::from_slice(&text).unwrap_or_default()
}

/// Writes everything into a directory.
pub fn write(results: &Results, dir: &Path) {
    std::fs::create_dir_all(dir).expect("a directory");
    let put = |name: &str, text: String| std::fs::write(dir.join(name), text).expect("written");
    put("results.json", serde_json::to_string_pretty(results).expect("text") + "\n");
    put("README.md", page::page(results));
    for (name, picture) in pictures::pictures(results) {
        put(name, picture);
    }
}

/// Three digits that mean something.
fn short(figure: f64) -> String {
    match figure {
        _ if figure >= 100.0 => format!("{figure:.0}"),
        _ if figure >= 10.0 => format!("{figure:.1}"),
        _ => format!("{figure:.2}"),
    }
}
