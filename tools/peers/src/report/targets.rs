//! What the figures should be, and what they are.

use std::fmt::Write;

use super::{Results, short};
use crate::consume::Wire;
use crate::ingest::ENGINE;
use crate::micro;

/// What stands where a figure would, and where a part or a bench did not give one.
pub const NOT_MEASURED: &str = "not measured";

/// The share of hits that the targets are about.
pub const TARGET_HITS: f64 = 0.003;

/// A figure and what it should be.
struct Target {
    what: String,
    wanted: String,
    /// What was measured, and whether that is as wanted. What was not measured is never reached.
    measured: Option<(String, bool)>,
}

impl Target {
    fn most(what: impl Into<String>, figure: Option<f64>, bound: f64, unit: &str) -> Self {
        let measured = figure.map(|it| (format!("{}{unit}", short(it)), it <= bound));
        Self { what: what.into(), wanted: format!("≤ {bound}{unit}"), measured }
    }

    fn least(what: impl Into<String>, figure: Option<f64>, bound: f64, unit: &str) -> Self {
        let measured = figure.map(|it| (format!("{}{unit}", short(it)), it >= bound));
        Self { what: what.into(), wanted: format!("≥ {bound}{unit}"), measured }
    }
}

/// The table of all of them.
pub fn table(results: &Results, out: &mut String) {
    out.push_str("| target | wanted | measured | |\n|---|---|---|---|\n");
    let parts = [ingest, live, http, memory, parts_alone, allocations];
    for Target { what, wanted, measured } in parts.iter().flat_map(|part| part(results)) {
        let (figure, word) = match &measured {
            Some((figure, true)) => (figure.as_str(), "reached"),
            Some((figure, false)) => (figure.as_str(), "missed"),
            None => (NOT_MEASURED, ""),
        };
        let _text = writeln!(out, "| {what} | {wanted} | {figure} | {word} |");
    }
    out.push('\n');
}

fn over(a: Option<f64>, b: Option<f64>) -> Option<f64> {
    Some(a? / b?)
}

fn ingest(results: &Results) -> Vec<Target> {
    let row = |wire, who: &str| {
        let mut rows = results.ingest.iter().flat_map(|it| &it.figures);
        rows.find(|row| row.wire == wire && row.hit_rate == TARGET_HITS && row.who == who)
    };
    let cpu = |wire, who: &str| row(wire, who)?.cpu_nanos;
    let speed = |who: &str| row(Wire::V1Zstd, who)?.per_second;
    let mut all = Vec::new();
    for wire in [Wire::V1, Wire::V2] {
        let what = format!("reader, CPU a frame, against a bare `recv` loop ({wire})");
        all.push(Target::most(what, over(cpu(wire, "reader"), cpu(wire, "bare")), 1.3, "×"));
    }
    for wire in [Wire::V1Zstd, Wire::V2Zstd] {
        let what = format!("whole engine, CPU a frame, against zstd alone ({wire})");
        all.push(Target::most(what, over(cpu(wire, ENGINE), cpu(wire, "decode")), 1.3, "×"));
    }
    for wire in [Wire::V1, Wire::V2] {
        let what = format!("`tokio-tungstenite` + `serde_json`, CPU a frame, against the whole engine ({wire})");
        all.push(Target::least(what, over(cpu(wire, "naive"), cpu(wire, ENGINE)), 12.0, "×"));
    }
    for (who, bound) in [("rocketman", 15.0), ("jetstream-oxide", 35.0)] {
        let what = format!("`{who}`, CPU a frame, against the whole engine (v1)");
        all.push(Target::least(what, over(cpu(Wire::V1, who), cpu(Wire::V1, ENGINE)), bound, "×"));
    }
    let ratio = over(speed(ENGINE), speed("jetstream-oxide"));
    all.push(Target::least("zstd ingest, frames/s, against `jetstream-oxide` (v1)", ratio, 12.0, "×"));
    all
}

fn live(results: &Results) -> Vec<Target> {
    let row = results.live.iter().flat_map(|it| &it.figures).find(|row| row.per_second == 5000);
    let groups = row.map(|row| row.p50 / (atrarium::limits::BATCH_DELAY_MILLIS as f64 + row.sync));
    vec![
        Target::most("event to feed at 5,000 events/s, p50, against one group commit", groups, 2.0, "×"),
        Target::most("the same, p99", row.map(|row| row.p99), 50.0, " ms"),
    ]
}

fn http(results: &Results) -> Vec<Target> {
    let figures = results.http.as_ref().map(|it| &it.figures);
    let mut waits = figures.iter().flat_map(|it| &it.waits);
    let busy = waits.find(|it| it.who == ENGINE && it.ingest > 0 && it.per_second == 5000);
    let cost = |who: &str| figures?.costs.iter().find(|it| it.who == who).map(|it| it.cpu_micros);
    let what = "skeletons at 5,000/s while 50,000 events/s come, p99";
    let mut all = vec![Target::most(what, busy.map(|it| it.p99 / 1e3), 2.0, " ms")];
    for (who, bound) in [("raw", 0.75), ("axum-json", 1.7), ("starter-kit", 20.0)] {
        let what = format!("skeletons a core, against `{who}`");
        all.push(Target::least(what, over(cost(who), cost(ENGINE)), bound, "×"));
    }
    all
}

fn memory(results: &Results) -> Vec<Target> {
    const BYTES: f64 = 40.0;
    const RATE: f64 = 5.0;
    let Some(rows) = results.memory.as_ref().map(|it| &it.figures) else {
        return vec![
            Target::most("memory for a post", None, BYTES, " bytes"),
            Target::least("start", None, RATE, " M posts/s"),
        ];
    };
    let mut all = Vec::new();
    for row in rows {
        let each = (row.resident - row.empty) as f64 / row.posts as f64;
        let what = format!("memory for a post, {} posts in {} communities", row.posts, row.communities);
        all.push(Target::most(what, Some(each), BYTES, " bytes"));
    }
    for row in rows {
        let rate = |seconds: f64| row.posts as f64 / seconds / 1e6;
        let what = format!("start of {} posts in {} communities", row.posts, row.communities);
        all.push(Target::least(what, Some(rate(row.start)), RATE, " M posts/s"));
    }
    all
}

fn parts_alone(results: &Results) -> Vec<Target> {
    let printed = |bench: &str| {
        let mut all = results.micro.iter().flat_map(|it| &it.figures);
        all.find(|(name, _)| name == bench).map_or("", |(_, text)| text)
    };
    let ratio = |bench: &str, what: &str, reference: &str| {
        let mut all = micro::ratios(printed(bench));
        all.find(|it| (it.what, it.reference) == (what, reference)).map(|it| it.times)
    };
    let mut all = Vec::new();
    for form in ["v1", "v2", "v1 on a v2 host"] {
        let times = ratio("filter", &format!("prefilter ({form})"), "AhoCorasick::new");
        all.push(Target::least(format!("prefilter against `AhoCorasick::new` ({form})"), times, 15.0, "×"));
    }
    all.push(Target::least("ring against `ArrayQueue`", ratio("ring", "ring", "ArrayQueue"), 8.0, "×"));
    for (page, bound) in [("hot", 15.0), ("random", 8.0), ("cold cursor", 2.5)] {
        let times = ratio("view", "view", &format!("naive, {page} page"));
        all.push(Target::least(format!("{page} page against the naive one"), times, bound, "×"));
    }
    const APPEND: &str = "append p99.9 under preempted readers";
    let micros = micro::figure(printed("view"), APPEND, "us");
    all.push(Target::most(APPEND, micros, 2.0, " µs"));
    let times = ratio("view", &format!("{APPEND}, Mutex"), "view");
    all.push(Target::least("the same of a `Mutex`, against this", times, 30.0, "×"));
    all
}

fn allocations(results: &Results) -> Vec<Target> {
    let measured = results.allocations.as_ref().map(|it| match it.figures.holds {
        true => ("0".to_owned(), true),
        false => ("more".to_owned(), false),
    });
    vec![Target { what: "allocations for a frame that misses".to_owned(), wanted: "0".to_owned(), measured }]
}
