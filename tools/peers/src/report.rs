//! The results: as data, as a page, and as pictures.

use std::fmt::Write;
use std::path::Path;
use std::process::Command;

use serde::{Deserialize, Serialize};

use crate::consume::Wire;
use crate::engine::root;
use crate::{http, ingest, live, memory};

/// All that was measured. What never was is `None`.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Results {
    /// What a frame costs.
    pub ingest: Option<Measured<Vec<ingest::Row>>>,
    /// What a skeleton costs, and how long it is waited for.
    pub http: Option<Measured<http::Results>>,
    /// From an event to the feed.
    pub live: Option<Measured<Vec<live::Row>>>,
    /// Memory and starting.
    pub memory: Option<Measured<Vec<memory::Row>>>,
    /// What the benches of the parts printed at their ends, by their names.
    pub micro: Option<Measured<Vec<(String, String)>>>,
}

/// One part, and under which conditions it was measured.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Measured<T> {
    /// When, in which commit, and on what.
    pub run: Run,
    /// The figures.
    pub figures: T,
}

/// Under which conditions.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Run {
    /// UTC, to the minute.
    pub date: String,
    /// The commit, with `+` where files of the tree were changed.
    pub commit: String,
    /// The processor.
    pub machine: String,
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
    let lock = include_str!("../Cargo.lock");
    let package = |block: &str| {
        let field = |name: &str| {
            let line = block.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(" = \""));
            line.map(|value| value.trim_end_matches('"').to_owned())
        };
        Some((field("name")?, field("version")?))
    };
    lock.split("[[package]]").filter_map(package).filter(|(name, _)| PEERS.contains(&name.as_str())).collect()
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
    put("README.md", page(results));
    for (name, picture) in pictures(results) {
        put(name, picture);
    }
}

// --- the page

fn page(results: &Results) -> String {
    let mut out = "# Results\n\nWritten by `cargo run --release --manifest-path tools/peers/Cargo.toml -- run`. Each part says when and \
                   where it was measured; the next run overwrites the parts that it measures. Data: `results.json`.\n\n"
        .to_owned();
    targets(results, &mut out);
    if let Some(Measured { run, figures }) = &results.ingest {
        ingest_tables(run, figures, &mut out);
    }
    if let Some(Measured { run, figures }) = &results.http {
        http_tables(run, figures, &mut out);
    }
    if let Some(Measured { run, figures }) = &results.live {
        live_table(run, figures, &mut out);
    }
    if let Some(Measured { run, figures }) = &results.memory {
        memory_table(run, figures, &mut out);
    }
    if let Some(Measured { run, figures }) = &results.micro {
        let _text = write!(out, "## The parts alone\n\n{run}\n\n");
        for (name, text) in figures {
            let _text = write!(
                out,
                "### `cargo bench --no-default-features --bench {name}`\n\n```text\n{}\n```\n\n",
                text.trim()
            );
        }
    }
    out.truncate(out.trim_end().len());
    out + "\n"
}

impl std::fmt::Display for Run {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let versions: Vec<String> = self.versions.iter().map(|(name, version)| format!("{name} {version}")).collect();
        let Self { date, commit, machine, rustc, command, rounds, seed, .. } = self;
        write!(
            f,
            "*{date} · commit {commit} · {machine} · {rustc} · `{command}` · {rounds} rounds, medians · seed {seed} · "
        )?;
        write!(f, "{}*", versions.join(", "))
    }
}

/// A figure and what it should be.
struct Target {
    what: String,
    figure: Option<f64>,
    bound: f64,
    at_least: bool,
    unit: &'static str,
}

/// The share of hits that the targets are about.
const TARGET_HITS: f64 = 0.003;

fn targets(results: &Results, out: &mut String) {
    let ingest = |wire, who: &str| {
        let row = results
            .ingest
            .iter()
            .flat_map(|it| &it.figures)
            .find(|row| row.wire == wire && row.hit_rate == TARGET_HITS && row.who == who);
        row.cloned()
    };
    let cpu = |wire, who: &str| ingest(wire, who)?.cpu_nanos;
    let over = |a: Option<f64>, b: Option<f64>| Some(a? / b?);
    let cost = |who: &str| results.http.as_ref()?.figures.costs.iter().find(|it| it.who == who).map(|it| it.cpu_micros);
    let mut all: Vec<Target> = Vec::new();
    let mut most = |what: String, figure, bound, unit| all.push(Target { what, figure, bound, at_least: false, unit });
    for wire in [Wire::V1, Wire::V2] {
        let ratio = over(cpu(wire, "reader"), cpu(wire, "bare"));
        most(format!("reader, CPU a frame, against a bare `recv` loop ({wire})"), ratio, 1.3, "×");
    }
    for wire in [Wire::V1Zstd, Wire::V2Zstd] {
        let ratio = over(cpu(wire, ingest::ENGINE), cpu(wire, "decode"));
        most(format!("whole engine, CPU a frame, against zstd alone ({wire})"), ratio, 1.3, "×");
    }
    let mut rows = results.live.iter().flat_map(|it| &it.figures);
    if let Some(row) = rows.find(|row| row.per_second == 5000) {
        let group = atrarium::limits::BATCH_DELAY_MILLIS as f64 + row.sync;
        most("event to feed at 5,000 events/s, p50, against one group commit".into(), Some(row.p50 / group), 2.0, "×");
        most("the same, p99".into(), Some(row.p99), 50.0, " ms");
    }
    let waits = results.http.iter().flat_map(|it| &it.figures.waits);
    let busy = waits.clone().find(|it| it.who == ingest::ENGINE && it.ingest > 0 && it.per_second == 5000);
    most("skeletons at 5,000/s while 50,000 events/s come, p99".into(), busy.map(|it| it.p99 / 1e3), 2.0, " ms");
    for row in results.memory.iter().flat_map(|it| &it.figures) {
        let bytes = (row.resident - row.empty) as f64 / row.posts as f64;
        most(
            format!("memory for a post, {} posts in {} communities", row.posts, row.communities),
            Some(bytes),
            40.0,
            " bytes",
        );
    }
    let mut least = |what: String, figure, bound, unit| all.push(Target { what, figure, bound, at_least: true, unit });
    for wire in [Wire::V1, Wire::V2] {
        let ratio = over(cpu(wire, "naive"), cpu(wire, ingest::ENGINE));
        least(
            format!("`tokio-tungstenite` + `serde_json`, CPU a frame, against the whole engine ({wire})"),
            ratio,
            12.0,
            "×",
        );
    }
    for (who, bound) in [("rocketman", 15.0), ("jetstream-oxide", 35.0)] {
        let ratio = over(cpu(Wire::V1, who), cpu(Wire::V1, ingest::ENGINE));
        least(format!("`{who}`, CPU a frame, against the whole engine (v1)"), ratio, bound, "×");
    }
    let speed = |who: &str| ingest(Wire::V1Zstd, who)?.per_second;
    least(
        "zstd ingest, frames/s, against `jetstream-oxide` (v1)".into(),
        over(speed(ingest::ENGINE), speed("jetstream-oxide")),
        12.0,
        "×",
    );
    for (who, bound) in [("raw", 0.75), ("axum-json", 1.7), ("starter-kit", 20.0)] {
        least(format!("skeletons a core, against `{who}`"), over(cost(who), cost(ingest::ENGINE)), bound, "×");
    }
    for row in results.memory.iter().flat_map(|it| &it.figures) {
        let rate = row.posts as f64 / row.start / 1e6;
        least(format!("start of {} posts", row.posts), Some(rate), 5.0, " M posts/s");
    }
    out.push_str("| target | wanted | measured | |\n|---|---|---|---|\n");
    for Target { what, figure, bound, at_least, unit } in all {
        let Some(figure) = figure else { continue };
        let sign = if at_least { "≥" } else { "≤" };
        let reached = if at_least { figure >= bound } else { figure <= bound };
        let word = if reached { "reached" } else { "missed" };
        let _text = writeln!(out, "| {what} | {sign} {bound}{unit} | {}{unit} | {word} |", short(figure));
    }
    out.push('\n');
}

/// Three digits that mean something.
fn short(figure: f64) -> String {
    match figure {
        _ if figure >= 100.0 => format!("{figure:.0}"),
        _ if figure >= 10.0 => format!("{figure:.1}"),
        _ => format!("{figure:.2}"),
    }
}

fn ingest_tables(run: &Run, rows: &[ingest::Row], out: &mut String) {
    let _text = write!(
        out,
        "## A frame of the stream\n\n{run}\n\nNanoseconds on a processor for a frame, all threads (`bare`, `reader` and `decode`: the one thread \
         that does it); in brackets thousand frames a second, as fast as they come from one host on the same machine. The first \
         quarter of each stream is not counted.\n\n\
         ![nanoseconds a frame](ingest.svg)\n\n",
    );
    let mut rates: Vec<f64> = rows.iter().map(|row| row.hit_rate).collect();
    rates.dedup();
    let mut whos: Vec<&str> =
        ["bare", "decode", "reader", ingest::ENGINE, "naive", "rocketman", "jetstream-oxide"].into();
    whos.retain(|who| rows.iter().any(|row| row.who == *who));
    for rate in rates {
        let _text = write!(out, "### {} % hits\n\n| |", rate * 100.0);
        let wires: Vec<Wire> = Wire::ALL.into_iter().filter(|wire| rows.iter().any(|row| row.wire == *wire)).collect();
        wires.iter().for_each(|wire| out.push_str(&format!(" {wire} |")));
        let _text = writeln!(out, "\n|---|{}", "---|".repeat(wires.len()));
        for who in &whos {
            let _text = write!(out, "| {who} |");
            for wire in &wires {
                let row = rows.iter().find(|row| row.hit_rate == rate && row.wire == *wire && row.who == *who);
                let cell = row.map(|row| match (row.cpu_nanos, row.per_second) {
                    (Some(nanos), Some(rate)) => format!("{nanos:.0} ({:.0})", rate / 1e3),
                    _ => "gave up".to_owned(),
                });
                let _text = write!(out, " {} |", cell.unwrap_or_default());
            }
            out.push('\n');
        }
        out.push('\n');
    }
}

fn http_tables(run: &Run, results: &http::Results, out: &mut String) {
    let _text = write!(
        out,
        "## A skeleton\n\n{run}\n\n{} posts in feeds, {} feeds with at least one page of 50; the first page of a random one. One thread for \
         each server, 32 connections, as fast as they are answered:\n\n![microseconds a skeleton](skeletons.svg)\n\n\
         | | CPU, µs | skeletons/s | bytes |\n|---|---|---|---|\n",
        results.posts, results.feeds
    );
    for it in &results.costs {
        let _text = writeln!(out, "| {} | {} | {:.0} | {:.0} |", it.who, short(it.cpu_micros), it.per_second, it.bytes);
    }
    out.push_str(
        "\nAt a rate, each request at its moment, and its time counted from that (no coordinated omission); µs:\n\n\
         ![p99](waits.svg)\n\n| | requests/s | events/s meanwhile | p50 | p99 | p99.9 |\n|---|---|---|---|---|---|\n",
    );
    for it in &results.waits {
        let _text = writeln!(
            out,
            "| {} | {} | {} | {:.0} | {:.0} | {:.0} |",
            it.who, it.per_second, it.ingest, it.p50, it.p99, it.p999
        );
    }
    out.push('\n');
}

fn live_table(run: &Run, rows: &[live::Row], out: &mut String) {
    let _text = write!(
        out,
        "## From an event to the feed\n\n{run}\n\nEvery event is sent at its stream time; a reader asks for the first page some thousand times \
         a second. Milliseconds from the event until a page has it. A batch waits 2 ms for others, then it is synced.\n\n\
         ![event to feed](live.svg)\n\n| events/s | posts | p50 | p99 | most | a sync, mean |\n|---|---|---|---|---|---|\n",
    );
    for row in rows {
        let _text = writeln!(
            out,
            "| {} | {} | {} | {} | {} | {} |",
            row.per_second,
            row.posts,
            short(row.p50),
            short(row.p99),
            short(row.max),
            short(row.sync)
        );
    }
    out.push('\n');
}

fn memory_table(run: &Run, rows: &[memory::Row], out: &mut String) {
    let _text = write!(
        out,
        "## Memory and starting\n\n{run}\n\nThe whole process, everything counted, less what an empty one has. `replay`: the frames parsed, \
         written and folded on one thread. `start`: from the start of the process until it listens and shows everything.\n\n\
         | communities | posts | resident, MB | bytes a post | on disk, MB | replay, s | start, s |\n|---|---|---|---|---|---|---|\n",
    );
    for row in rows {
        let each = |bytes: u64| (bytes - row.empty) as f64 / row.posts as f64;
        let _text = writeln!(
            out,
            "| {} | {} | {:.0} | {:.0} | {:.0} | {:.1} | {:.1} |",
            row.communities,
            row.posts,
            row.resident as f64 / 1e6,
            each(row.resident),
            row.disk as f64 / 1e6,
            row.replay,
            row.start
        );
    }
    out.push('\n');
}

// --- the pictures

fn pictures(results: &Results) -> Vec<(&'static str, String)> {
    let mut pictures = Vec::new();
    if let Some(Measured { figures: rows, .. }) = &results.ingest {
        let bars = rows.iter().filter(|row| row.hit_rate == TARGET_HITS);
        let bars: Vec<_> = bars.filter_map(|row| Some((format!("{} {}", row.wire, row.who), row.cpu_nanos?))).collect();
        pictures.push(("ingest.svg", bars_of("ns on a processor for a frame, 0.3 % hits (logarithmic)", &bars)));
    }
    if let Some(Measured { figures: http, .. }) = &results.http {
        let bars: Vec<_> = http.costs.iter().map(|it| (it.who.clone(), it.cpu_micros)).collect();
        pictures.push(("skeletons.svg", bars_of("µs on a processor for a skeleton (logarithmic)", &bars)));
        let label = |it: &http::Waiting| {
            let busy = if it.ingest > 0 { ", reading" } else { "" };
            format!("{} {}/s{busy}", it.who, it.per_second)
        };
        let bars: Vec<_> = http.waits.iter().map(|it| (label(it), it.p99)).collect();
        pictures.push(("waits.svg", bars_of("p99 of a skeleton, µs (logarithmic)", &bars)));
    }
    if let Some(Measured { figures: rows, .. }) = &results.live {
        let both = |row: &live::Row| {
            [(format!("{}/s p50", row.per_second), row.p50), (format!("{}/s p99", row.per_second), row.p99)]
        };
        let bars: Vec<_> = rows.iter().flat_map(both).collect();
        pictures.push(("live.svg", bars_of("ms from the event to the feed (logarithmic)", &bars)));
    }
    pictures
}

/// Horizontal bars on a logarithmic scale, each with its figure.
fn bars_of(title: &str, bars: &[(String, f64)]) -> String {
    const ROW: usize = 22;
    const LEFT: f64 = 230.0;
    const WIDTH: f64 = 430.0;
    let least = bars.iter().map(|bar| bar.1).fold(f64::MAX, f64::min).max(1e-3);
    let most = bars.iter().map(|bar| bar.1).fold(0.0, f64::max);
    // A tenth of the width for the least one.
    let length = |figure: f64| WIDTH * (0.1 + 0.9 * (figure / least).ln().max(0.0) / (most / least).ln().max(0.1));
    let height = 40 + ROW * bars.len();
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"760\" height=\"{height}\" font-family=\"sans-serif\" font-size=\"12\">\n\
         <rect width=\"100%\" height=\"100%\" fill=\"#fff\"/>\n<text x=\"10\" y=\"20\" font-size=\"14\" fill=\"#111\">{title}</text>\n"
    );
    for (at, (label, figure)) in bars.iter().enumerate() {
        let y = 34 + ROW * at;
        let ours = ["atrarium", "reader", "/s p"].iter().any(|word| label.contains(word));
        let color = if ours { "#1a7f5a" } else { "#9aa4ad" };
        let _text = writeln!(
            out,
            "<text x=\"{}\" y=\"{}\" text-anchor=\"end\" fill=\"#111\">{label}</text>\n\
             <rect x=\"{LEFT}\" y=\"{y}\" width=\"{:.0}\" height=\"{}\" fill=\"{color}\"/>\n\
             <text x=\"{:.0}\" y=\"{}\" fill=\"#111\">{}</text>",
            LEFT - 8.0,
            y + 13,
            length(*figure),
            ROW - 6,
            LEFT + length(*figure) + 6.0,
            y + 13,
            short(*figure)
        );
    }
    out + "</svg>\n"
}
