//! `atrarium log check|stat|dump`: looking at a log without changing it.

use std::collections::BTreeMap;
use std::io::{BufWriter, ErrorKind, Write};
use std::path::PathBuf;

use atrarium::disk::RealDisk;
use atrarium::fact::Batch;
use atrarium::log::{self, Entry, Verdict};
use clap::{Args, Subcommand};
use serde_json::json;

use super::{Failure, print_bytes, print_json, progress};

/// `log check` of a log that has nothing but a torn tail.
const EXIT_TORN: u8 = 3;

#[derive(Args)]
pub struct LogArgs {
    #[command(subcommand)]
    command: LogCommand,
}

#[derive(Subcommand)]
enum LogCommand {
    /// Verify every byte: 0 clean, 1 corrupt, 3 torn tail only.
    Check(Target),
    /// Count what the log holds.
    Stat(Target),
    /// Print one fact a line.
    Dump(Target),
}

#[derive(Args)]
struct Target {
    /// The data directory
    #[arg(value_name = "DIR")]
    dir: PathBuf,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

pub fn run(args: &LogArgs) -> Result<(), Failure> {
    match &args.command {
        LogCommand::Check(target) => check(target),
        LogCommand::Stat(target) => stat(target),
        LogCommand::Dump(target) => dump(target),
    }
}

fn check(target: &Target) -> Result<(), Failure> {
    let total = log::size(&RealDisk, &target.dir).map_err(Failure::failed)?;
    let bar = progress::bytes("checking", total);
    let mut facts = 0;
    let report = log::check(&RealDisk, &target.dir, &mut |entry| {
        bar.inc(entry.payload.len() as u64);
        facts += decode(&entry)?.facts.len() as u64;
        Ok(())
    });
    bar.finish_and_clear();
    let report = report.map_err(Failure::failed)?;
    let ok = report.verdict() == Verdict::Clean;
    if target.json {
        let faults: Vec<_> = report
            .faults
            .iter()
            .map(|fault| json!({"file": fault.file, "offset": fault.offset, "lsn": fault.lsn, "what": fault.what}))
            .collect();
        print_json(&json!({
            "ok": ok, "segments": report.segments, "facts": facts,
            "first_lsn": report.first_lsn, "last_lsn": report.last_lsn, "faults": faults,
        }))?;
    } else {
        let mut out = String::new();
        for fault in &report.faults {
            out += &format!("{}: offset {}: {}\n", fault.file.display(), fault.offset, fault.what);
        }
        let word = match report.verdict() {
            Verdict::Clean => "clean",
            Verdict::TornTail => "a torn tail, which the next `serve` or `replay` cuts off and keeps aside",
            Verdict::Corrupt => "corrupt",
        };
        out += &format!("{} segments, {facts} facts: {word}\n", report.segments);
        print_bytes(out.as_bytes())?;
    }
    match report.verdict() {
        Verdict::Clean => Ok(()),
        Verdict::TornTail => Err(Failure::silent(EXIT_TORN)),
        Verdict::Corrupt => Err(Failure::failed(format!(
            "the log in {} is corrupt: restore it from a copy, or start anew in another directory",
            target.dir.display()
        ))),
    }
}

fn decode(entry: &Entry<'_>) -> Result<Batch, String> {
    Batch::decode(entry.version, entry.payload).map_err(|error| error.to_string())
}

fn stat(target: &Target) -> Result<(), Failure> {
    let mut kinds: BTreeMap<&str, u64> = BTreeMap::new();
    let report = log::read_batches(&RealDisk, &target.dir, &mut |entry| {
        for fact in decode(&entry)?.facts {
            *kinds.entry(fact.kind()).or_default() += 1;
        }
        Ok(())
    })
    .map_err(Failure::failed)?;
    let facts: u64 = kinds.values().sum();
    if target.json {
        return print_json(&json!({
            "segments": report.segments, "bytes": report.bytes, "batches": report.batches, "facts": facts, "by_kind": kinds,
            "first_lsn": report.first_lsn, "last_lsn": report.last_lsn,
        }));
    }
    let mut out = format!(
        "{} segments, {} bytes, {} batches (LSN {} to {}), {facts} facts\n",
        report.segments, report.bytes, report.batches, report.first_lsn, report.last_lsn
    );
    for (kind, count) in kinds {
        out += &format!("  {kind:<12}{count:>12}\n");
    }
    print_bytes(out.as_bytes())
}

fn dump(target: &Target) -> Result<(), Failure> {
    let mut out = BufWriter::with_capacity(1 << 16, std::io::stdout().lock());
    let mut gone = false;
    let mut write = |line: &str| match writeln!(out, "{line}") {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => {
            gone = true;
            Err(error.to_string())
        }
        other => other.map_err(|error| error.to_string()),
    };
    let result = log::read_batches(&RealDisk, &target.dir, &mut |entry| {
        for fact in decode(&entry)?.facts {
            let fact = serde_json::to_value(&fact).map_err(|error| error.to_string())?;
            if target.json {
                write(&json!({"lsn": entry.lsn, "fact": fact}).to_string())?;
            } else {
                write(&format!("{} {fact}", entry.lsn))?;
            }
        }
        Ok(())
    });
    match result {
        // Whoever was reading has seen enough.
        Err(_) if gone => Ok(()),
        other => other.map(|_| ()).map_err(Failure::failed),
    }
}
