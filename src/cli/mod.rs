//! The command line: flags in, one command run, an exit code out.
//!
//! Exit codes: 0 done; 1 failed, with one line on stderr (what, where, what to do); 2 usage. `log check` has 3 for a torn
//! tail. JSON goes to stdout, people's words and progress to stderr.

mod config;
mod doctor;
mod log;
mod offline;
mod outside;
mod progress;
mod publish;
mod rates;
mod replay;
mod serve;

use std::fmt::Display;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};

/// Feeds for communities on AT Protocol, from memory, with a write-ahead log.
#[derive(Parser)]
#[command(name = "atrarium", version, max_term_width = 100)]
#[command(
    after_help = "Every flag can be given as an environment variable too: ATRARIUM_ and its name, upper case, with \
                        _ for -. A flag wins over the environment, the environment over the TOML file."
)]
struct Cli {
    /// A TOML file with the same names as the flags.
    #[arg(long, global = true, env = "ATRARIUM_CONFIG", value_name = "FILE")]
    config: Option<PathBuf>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Read the stream, keep the log, answer getFeedSkeleton.
    Serve(Box<serve::ServeArgs>),
    /// Fold recorded frames (v1 and v2 lines, mixed, `.zst` too) into a data directory.
    Replay(replay::ReplayArgs),
    /// Print a feed as getFeedSkeleton would answer it (JSON).
    Feed(offline::FeedArgs),
    /// List the communities of a data directory.
    Communities(offline::CommunitiesArgs),
    /// Say why a post is, or is not, in its feeds.
    Explain(offline::ExplainArgs),
    /// Create, update and remove the feeds' records (app.bsky.feed.generator) in the publisher's repository.
    Publish(Box<publish::PublishArgs>),
    /// Check, in order, what a server needs to be read by the network, and say of each what to do.
    Doctor(Box<doctor::DoctorArgs>),
    /// Look at a log: check it, describe it, or print its facts.
    Log(log::LogArgs),
}

/// Where the log lies.
#[derive(Args, Clone)]
struct DataDir {
    /// The data directory [default: ./atrarium-data]
    #[arg(long = "data-dir", env = "ATRARIUM_DATA_DIR", value_name = "DIR")]
    data_dir: Option<PathBuf>,
}

impl DataDir {
    fn or_default(&self, file: &config::File) -> PathBuf {
        self.data_dir.clone().or_else(|| file.data_dir.clone()).unwrap_or_else(|| PathBuf::from("./atrarium-data"))
    }
}

/// Why a command ends without having done what it was asked.
#[derive(Debug)]
struct Failure {
    code: u8,
    line: String,
}

impl Failure {
    fn failed(line: impl Display) -> Self {
        Self { code: 1, line: line.to_string() }
    }

    fn usage(line: impl Display) -> Self {
        Self { code: 2, line: line.to_string() }
    }

    /// An exit code whose reason has been printed already.
    fn silent(code: u8) -> Self {
        Self { code, line: String::new() }
    }
}

/// Runs the command that the process was started with.
pub fn run() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // Where stdout or stderr is closed there is nobody left to tell.
            let _ = error.print();
            return ExitCode::from(if error.use_stderr() { 2 } else { 0 });
        }
    };
    match dispatch(cli) {
        Ok(()) => ExitCode::SUCCESS,
        Err(Failure { code, line }) => {
            if !line.is_empty() {
                eprintln!("atrarium: {}", line.replace('\n', " "));
            }
            ExitCode::from(code)
        }
    }
}

fn dispatch(cli: Cli) -> Result<(), Failure> {
    let file = cli.config.as_deref().map(config::File::read).transpose()?.unwrap_or_default();
    match cli.command {
        Command::Serve(args) => serve::run(*args, file),
        Command::Replay(args) => replay::run(&args, &file),
        Command::Feed(args) => offline::feed(&args, &file),
        Command::Communities(args) => offline::communities(&args, &file),
        Command::Explain(args) => offline::explain(&args, &file),
        Command::Publish(args) => publish::run(&args, &file),
        Command::Doctor(args) => doctor::run(*args, &file),
        Command::Log(args) => log::run(&args),
    }
}

/// Prints one JSON value on stdout. A reader that has gone away is not an error of ours.
fn print_json(value: &impl serde::Serialize) -> Result<(), Failure> {
    let mut bytes =
        serde_json::to_vec(value).map_err(|error| Failure::failed(format!("cannot write JSON: {error}")))?;
    bytes.push(b'\n');
    print_bytes(&bytes)
}

fn print_bytes(bytes: &[u8]) -> Result<(), Failure> {
    use std::io::{ErrorKind, Write};
    let mut out = std::io::stdout().lock();
    match out.write_all(bytes).and_then(|()| out.flush()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => {
            Err(Failure::failed(format!("cannot write to stdout: {error}")))
        }
        _ => Ok(()),
    }
}
