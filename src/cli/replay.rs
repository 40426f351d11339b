//! `atrarium replay`: recorded frames into a data directory.

use std::collections::BTreeMap;
use std::fs::File as FsFile;
use std::io::{BufRead, BufReader, Read};
use std::path::PathBuf;
use std::time::Duration;

use atrarium::clock::Clock;
use atrarium::engine::replay::Replay;
use clap::Args;
use indicatif::ProgressBar;

use super::config::File;
use super::{DataDir, Failure, print_json, progress};

#[derive(Args)]
pub struct ReplayArgs {
    /// Files of frames, one JSON object a line; `-` is stdin; `.zst` files are decompressed
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    #[command(flatten)]
    data_dir: DataDir,
    /// Print one JSON object with the counts
    #[arg(long)]
    json: bool,
}

#[derive(serde::Serialize)]
struct Report<'a> {
    read: u64,
    refused: u64,
    by_reason: BTreeMap<&'a str, u64>,
    by_kind: BTreeMap<&'a str, u64>,
    facts: u64,
    seconds: f64,
}

/// The longest line that is read: a frame of the largest size and its end of line.
const LINE_BYTES_MAX: u64 = atrarium::limits::FRAME_BYTES_MAX as u64 + 2;

/// Reads every file, in the order given.
pub fn run(args: &ReplayArgs, file: &File) -> Result<(), Failure> {
    let clock = Clock::real();
    let started = clock.monotonic();
    // Every file is opened before anything is written: a mistyped name costs nothing.
    let inputs = args.files.iter().map(Input::open).collect::<Result<Vec<_>, _>>()?;
    let data_dir = args.data_dir.or_default(file);
    let bar = progress::bytes("reading the log", 0);
    let opened = Replay::open(&data_dir, &clock, &mut |done, total| {
        bar.set_length(total);
        bar.set_position(done);
    });
    bar.finish_and_clear();
    let mut replay = opened.map_err(Failure::failed)?;
    let bar = progress::bytes("replaying", inputs.iter().map(|input| input.bytes).sum());
    let mut refusals_told = 0;
    for input in inputs {
        read_lines(input, &mut replay, &bar, &mut refusals_told)?;
    }
    bar.finish_and_clear();
    let summary = replay.finish().map_err(Failure::failed)?;
    let seconds = clock.monotonic().saturating_sub(started);
    if args.json {
        return print_json(&Report {
            read: summary.read,
            refused: summary.refused(),
            by_reason: summary.by_reason.iter().map(|(reason, count)| (reason.as_str(), *count)).collect(),
            by_kind: summary.by_kind.iter().map(|(kind, count)| (*kind, *count)).collect(),
            facts: summary.facts,
            seconds: seconds.as_secs_f64(),
        });
    }
    eprintln!("{}", told(&summary, seconds));
    Ok(())
}

fn told(summary: &atrarium::engine::replay::Summary, seconds: Duration) -> String {
    let list = |counts: Vec<(&str, u64)>| {
        counts.iter().map(|(name, count)| format!("{name} {count}")).collect::<Vec<_>>().join(", ")
    };
    let kinds = list(summary.by_kind.iter().map(|(kind, count)| (*kind, *count)).collect());
    let reasons = list(summary.by_reason.iter().map(|(reason, count)| (reason.as_str(), *count)).collect());
    let refused = if reasons.is_empty() { "0 refused".to_owned() } else { format!("refused: {reasons}") };
    format!(
        "{} frames read ({kinds}), {refused}, {} facts kept, {:.1} s",
        summary.read,
        summary.facts,
        seconds.as_secs_f64()
    )
}

/// One file, or stdin, behind its decoder.
struct Input {
    name: String,
    reader: Box<dyn BufRead>,
    bytes: u64,
    bar: std::rc::Rc<std::cell::Cell<u64>>,
}

/// Counts what is read from the file itself, before decoding, for the progress bar.
struct Counted<R> {
    inner: R,
    read: std::rc::Rc<std::cell::Cell<u64>>,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let count = self.inner.read(buffer)?;
        self.read.set(self.read.get() + count as u64);
        Ok(count)
    }
}

impl Input {
    fn open(path: &PathBuf) -> Result<Self, Failure> {
        let read = std::rc::Rc::default();
        if path.as_os_str() == "-" {
            let inner = Counted { inner: std::io::stdin(), read: std::rc::Rc::clone(&read) };
            let reader = Box::new(BufReader::with_capacity(1 << 20, inner));
            return Ok(Self { name: "stdin".to_owned(), reader, bytes: 0, bar: read });
        }
        let fail = |error| Failure::failed(format!("cannot read {}: {error}", path.display()));
        let file = FsFile::open(path).map_err(fail)?;
        let metadata = file.metadata().map_err(fail)?;
        if metadata.is_dir() {
            return Err(Failure::failed(format!("{} is a directory: give a file of frames", path.display())));
        }
        let inner = Counted { inner: file, read: std::rc::Rc::clone(&read) };
        let reader: Box<dyn BufRead> = if path.extension().is_some_and(|extension| extension == "zst") {
            let decoder = zstd::stream::Decoder::new(inner).map_err(fail)?;
            Box::new(BufReader::with_capacity(1 << 20, decoder))
        } else {
            Box::new(BufReader::with_capacity(1 << 20, inner))
        };
        Ok(Self { name: path.display().to_string(), reader, bytes: metadata.len(), bar: read })
    }
}

/// Refusals that are told one by one; the rest is in the counts.
const REFUSALS_TOLD_MAX: u64 = 20;

fn read_lines(mut input: Input, replay: &mut Replay, bar: &ProgressBar, told: &mut u64) -> Result<(), Failure> {
    let before = bar.position();
    let mut line = Vec::new();
    for number in 1_u64.. {
        line.clear();
        let fail = |error| Failure::failed(format!("cannot read {}, line {number}: {error}", input.name));
        let mut limited = (&mut input.reader).take(LINE_BYTES_MAX);
        if limited.read_until(b'\n', &mut line).map_err(fail)? == 0 {
            return Ok(());
        }
        if line.len() as u64 == LINE_BYTES_MAX && !line.ends_with(b"\n") {
            skip_line(&mut input.reader).map_err(fail)?;
            replay.too_large();
            continue;
        }
        let frame = line.trim_ascii();
        if !frame.is_empty()
            && let Some(refusal) = replay.frame(frame).map_err(Failure::failed)?
        {
            *told += 1;
            if *told <= REFUSALS_TOLD_MAX {
                bar.suspend(|| eprintln!("{}, line {number}: refused: {refusal}", input.name));
            }
        }
        if number % 1024 == 0 {
            bar.set_position(before + input.bar.get());
        }
    }
    Ok(())
}

/// Reads to the end of a line that is longer than any frame may be.
fn skip_line(reader: &mut impl BufRead) -> std::io::Result<()> {
    loop {
        let buffer = reader.fill_buf()?;
        if buffer.is_empty() {
            return Ok(());
        }
        let (used, found) = match buffer.iter().position(|&byte| byte == b'\n') {
            Some(at) => (at + 1, true),
            None => (buffer.len(), false),
        };
        reader.consume(used);
        if found {
            return Ok(());
        }
    }
}
