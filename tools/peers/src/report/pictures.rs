//! The pictures: bars.

use std::fmt::Write;

use super::targets::TARGET_HITS;
use super::{Measured, Results, short};
use crate::{http, live, scaling};

/// Their names, and what is in them.
pub fn pictures(results: &Results) -> Vec<(&'static str, String)> {
    let mut pictures = Vec::new();
    if let Some(Measured { figures: rows, .. }) = &results.ingest {
        let bars = rows.iter().filter(|row| row.hit_rate == TARGET_HITS);
        let bars: Vec<_> = bars.filter_map(|row| Some((format!("{} {}", row.wire, row.who), row.cpu_nanos?))).collect();
        pictures.push(("ingest.svg", bars_of("ns on a processor for a frame, 0.3 % hits (logarithmic)", &bars)));
    }
    if let Some(Measured { figures: rows, .. }) = &results.scaling {
        let label = |row: &scaling::Row| {
            let plural = if row.workers == 1 { "" } else { "s" };
            format!("{} {} % hits, {} worker{plural}", row.wire, row.hit_rate * 100.0, row.workers)
        };
        let bars: Vec<_> = rows.iter().map(|row| (label(row), row.per_second / 1e3)).collect();
        pictures.push(("scaling.svg", bars_of("thousand frames a second by workers (logarithmic)", &bars)));
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
        let ours = ["atrarium", "reader", "/s p", "worker"].iter().any(|word| label.contains(word));
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
