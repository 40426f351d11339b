//! The page: one table for each part, and what is to be known to read it.

use std::fmt::Write;

use super::targets::{self, NOT_MEASURED};
use super::{Measured, Results, Run, short};
use crate::consume::Wire;
use crate::{http, ingest, live, memory, micro, scaling};

/// All of it.
pub fn page(results: &Results) -> String {
    let mut out = "# Results\n\nWritten by `cargo run --release --manifest-path tools/peers/Cargo.toml -- run`. Each part says when and \
                   where it was measured; the next run overwrites the parts that it measures. Data: `results.json`.\n\n"
        .to_owned();
    targets::table(results, &mut out);
    if let Some(Measured { run, figures }) = &results.ingest {
        ingest_tables(run, figures, &mut out);
    }
    if let Some(Measured { run, figures }) = &results.scaling {
        scaling_table(run, figures, &mut out);
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
        micro_tables(run, figures, &mut out);
    }
    if let Some(Measured { run, figures }) = &results.allocations {
        let holds = if figures.holds { "it holds" } else { "**it does not hold**" };
        let _text = write!(
            out,
            "## Allocations\n\n{run}\n\nThat a frame which misses allocates nothing, from the receive buffer to the ring, plain and \
             compressed (a token after 4,096 frames has its own): {holds}, by `{}`.\n\n",
            figures.command
        );
    }
    out.truncate(out.trim_end().len());
    out + "\n"
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
         written and folded on one thread. `start`: from the start of the process until it listens and shows everything; \
         `without a snapshot`: the same after the snapshots were removed, so that all of the log is folded. In brackets million posts \
         a second.\n\n\
         | communities | posts | resident, MB | bytes a post | on disk, MB | replay, s | start, s | without a snapshot, s |\n\
         |---|---|---|---|---|---|---|---|\n",
    );
    for row in rows {
        let each = |bytes: u64| (bytes - row.empty) as f64 / row.posts as f64;
        let seconds = |it: f64| format!("{it:.1} ({:.2})", row.posts as f64 / it / 1e6);
        let _text = writeln!(
            out,
            "| {} | {} | {:.0} | {:.0} | {:.0} | {} | {} | {} |",
            row.communities,
            row.posts,
            row.resident as f64 / 1e6,
            each(row.resident),
            row.disk as f64 / 1e6,
            seconds(row.replay),
            seconds(row.start),
            row.start_from_log.map_or(NOT_MEASURED.to_owned(), seconds)
        );
    }
    out.push('\n');
}

fn scaling_table(run: &Run, rows: &[scaling::Row], out: &mut String) {
    let _text = write!(
        out,
        "## More workers\n\n{run}\n\nThe whole engine with so many threads that parse; beside them run its reader, which also decompresses \
         and looks at every frame, its committer, and the host that sends. All of them share the {} processors of this machine: more \
         workers bring more only where some are idle. Nanoseconds on a processor for a frame, all threads; in brackets thousand \
         frames a second. The first quarter of each stream is not counted.\n\n![frames a second](scaling.svg)\n\n| |",
        run.processors
    );
    let workers = scaling::WORKERS;
    workers.iter().for_each(|count| out.push_str(&format!(" {count} |")));
    let _text = writeln!(out, "\n|---|{}", "---|".repeat(workers.len()));
    for same in rows.chunk_by(|a, b| (a.wire, a.hit_rate) == (b.wire, b.hit_rate)) {
        let _text = write!(out, "| {}, {} % hits |", same[0].wire, same[0].hit_rate * 100.0);
        for count in workers {
            let cell = same.iter().find(|row| row.workers == count);
            let cell = cell.map(|row| format!("{:.0} ({:.0})", row.cpu_nanos, row.per_second / 1e3));
            let _text = write!(out, " {} |", cell.unwrap_or_default());
        }
        out.push('\n');
    }
    out.push('\n');
}

fn micro_tables(run: &Run, figures: &micro::Printed, out: &mut String) {
    let _text = write!(
        out,
        "## The parts alone\n\n{run}\n\nEach beside a reference in one process, turn by turn, medians of their turns. Above 1: that many \
         times faster than the reference; below 1: slower. What each bench says of its reference stands at the head of its file.\n\n\
         | bench | what | against | |\n|---|---|---|---|\n"
    );
    for (name, text) in figures {
        for micro::Ratio { what, reference, times } in micro::ratios(text) {
            let _text = writeln!(out, "| {name} | {what} | {reference} | {times:.1}× |");
        }
    }
    out.push('\n');
    for (name, text) in figures {
        let _text =
            write!(out, "### `cargo bench --no-default-features --bench {name}`\n\n```text\n{}\n```\n\n", text.trim());
    }
}
