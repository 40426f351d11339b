//! `atrarium log check|stat|dump`: looking at a log without changing it.

use std::collections::BTreeMap;
use std::io::{BufWriter, ErrorKind, Write};
use std::path::PathBuf;

use atrarium::clock::Clock;
use atrarium::disk::RealDisk;
use atrarium::fact::Batch;
use atrarium::log::{self, Entry, Hole, SalvageReport, Verdict};
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
    /// Before that: make a log that is refused as corrupt one that opens. What is damaged is given up and named; the damaged
    /// files are kept beside it
    #[arg(long)]
    salvage: bool,
}

pub fn run(args: &LogArgs) -> Result<(), Failure> {
    match &args.command {
        LogCommand::Check(target) => salvage(target).and_then(|salvaged| check(target, salvaged.as_ref())),
        LogCommand::Stat(target) => salvage(target).and_then(|_| stat(target)),
        LogCommand::Dump(target) => salvage(target).and_then(|_| dump(target)),
    }
}

/// Where that is asked for. What was done goes to stderr.
fn salvage(target: &Target) -> Result<Option<SalvageReport>, Failure> {
    if !target.salvage {
        return Ok(None);
    }
    let report = atrarium::engine::salvage::salvage(&target.dir, &Clock::real()).map_err(Failure::failed)?;
    for kept in &report.kept {
        eprintln!("damaged, kept aside: {}", kept.display());
    }
    for hole in &report.holes {
        let in_snapshot = if hole.last <= report.snapshot_lsn { ", which the snapshot holds" } else { "" };
        eprintln!("lost: LSN {} to {}{in_snapshot}", hole.first, hole.last);
    }
    if report.holes.is_empty() && report.kept.is_empty() {
        eprintln!("nothing to salvage");
    }
    Ok(Some(report))
}

fn holes_json(holes: &[Hole]) -> serde_json::Value {
    holes.iter().map(|hole| json!({"first_lsn": hole.first, "last_lsn": hole.last})).collect()
}

fn check(target: &Target, salvaged: Option<&SalvageReport>) -> Result<(), Failure> {
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
        let mut out = json!({
            "ok": ok, "segments": report.segments, "facts": facts,
            "first_lsn": report.first_lsn, "last_lsn": report.last_lsn, "faults": faults,
            "snapshots": report.snapshots, "snapshot_lsn": report.snapshot_lsn, "holes": holes_json(&report.holes),
        });
        if let Some(salvaged) = salvaged {
            out["salvaged"] = json!({"kept": salvaged.kept, "holes": holes_json(&salvaged.holes)});
        }
        print_json(&out)?;
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
        for hole in &report.holes {
            out += &format!("given up by salvage: LSN {} to {}\n", hole.first, hole.last);
        }
        let (segments, snapshots) = (report.segments, report.snapshots);
        out += &format!("{segments} segments, {snapshots} snapshots, {facts} facts: {word}\n");
        print_bytes(out.as_bytes())?;
    }
    match report.verdict() {
        Verdict::Clean => Ok(()),
        Verdict::TornTail => Err(Failure::silent(EXIT_TORN)),
        Verdict::Corrupt => Err(Failure::failed(format!(
            "the log in {} is corrupt: restore it from a copy, or give up what is damaged with --salvage",
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
    let snapshots = log::snapshots(&RealDisk, &target.dir).map_err(Failure::failed)?;
    if target.json {
        return print_json(&json!({
            "segments": report.segments, "bytes": report.bytes, "batches": report.batches, "facts": facts, "by_kind": kinds,
            "first_lsn": report.first_lsn, "last_lsn": report.last_lsn, "snapshots": snapshots,
        }));
    }
    let mut out = String::new();
    for snapshot in &snapshots {
        out += &format!("snapshot of LSN {}, {} bytes\n", snapshot.lsn, snapshot.bytes);
    }
    out += &format!(
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
