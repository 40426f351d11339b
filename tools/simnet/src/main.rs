//! `simnet`: the command line of the network simulator.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use atrarium::syntax::Time;
use clap::{Args, Parser, Subcommand};
use simnet::server::{Fault, Pace, Server, ServerOptions, Timeline};
use simnet::{Authority, Dialect, Dictionary, EPOCH, Network, Options, Reel};

/// A seeded network of communities, told as Jetstream v1 and v2 tell it, with known feeds. The same options give the
/// same bytes.
#[derive(Parser)]
#[command(version, max_term_width = 110)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Writes the network as JSON lines
    Write {
        /// Where to; `-` is stdout
        file: PathBuf,
        #[command(flatten)]
        network: NetworkArgs,
    },
    /// Says what each feed must hold, newest first: {"feeds":{"<id>":["at://…",…]}}
    Expect {
        #[command(flatten)]
        network: NetworkArgs,
        /// The moment of reading; without it, the latest witnessed time of the stream
        #[arg(long, value_parser = simnet::parse_time)]
        now: Option<Time>,
    },
    /// Reads every feed of a running engine page by page, and compares it with `expect`
    ///
    /// Prints `feeds N posts N pages N differing N`; the first feeds that differ are named on stderr, and it exits with 1.
    Compare {
        /// The engine's HTTP listener, `host:port`
        #[arg(long, value_name = "ADDR")]
        http: String,
        #[command(flatten)]
        network: NetworkArgs,
        /// The moment of reading; without it, the latest witnessed time of the stream
        #[arg(long, value_parser = simnet::parse_time)]
        now: Option<Time>,
    },
    /// Counts what happens in the network
    Stats {
        #[command(flatten)]
        network: NetworkArgs,
    },
    /// Serves the network, or files, as a host of Jetstream
    ///
    /// `/subscribe` is v1, `/xrpc/network.bsky.jetstream.subscribeEvents` is v2. Prints `listening ADDR`. After the last
    /// event a connection stays open and answers pings. v1 compresses by `compress=true`, v2 by `zstdDictionary=<id>`;
    /// `getZstdDictionary` hands out the dictionary of v2, `simnet dictionary` writes either.
    Serve(Box<ServeArgs>),
    /// Writes the zstd dictionary that `serve` compresses with, and prints its id: always the same one
    Dictionary {
        /// Where to
        file: PathBuf,
        /// Whose
        #[arg(long, value_enum, default_value = "v2")]
        dialect: Dialect,
    },
}

/// What decides everything about the network
#[derive(Args)]
struct NetworkArgs {
    /// How many events the stream tells
    #[arg(long, default_value_t = 10_000)]
    events: u64,
    /// How many communities there are
    #[arg(long, default_value_t = 20)]
    communities: usize,
    /// Everything comes from it
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// When stream time begins: RFC 3339, or `now`
    #[arg(long, default_value_t = EPOCH, value_parser = simnet::parse_time)]
    epoch: Time,
    /// The share of frames that concern Atrarium
    #[arg(long, default_value_t = 0.05)]
    hit_rate: f64,
    /// Events in a second of stream time
    #[arg(long, default_value_t = 500)]
    density: u32,
    /// Leaves out records that break their lexicon (a reader refuses these, and counts them)
    #[arg(long)]
    clean: bool,
    /// The form of `write`; `serve` prepares its frames before it listens, and the other form's when it is asked for.
    /// `expect` and `stats` are the same for both
    #[arg(long, value_enum)]
    dialect: Option<Dialect>,
}

#[derive(Args)]
struct ServeArgs {
    /// Where to listen; port 0 takes a free one
    #[arg(long, default_value = "127.0.0.1:6008")]
    listen: String,
    #[command(flatten)]
    network: NetworkArgs,
    /// A second host of the same network, on the same timeline, with other sequence numbers: a client can switch between
    /// the two. Prints `second-host ADDR` after `listening ADDR`
    #[arg(long, value_name = "ADDR")]
    second_host: Option<String>,
    /// The faults of the second host. `disconnect,http-503` on both makes a client switch to and fro
    #[arg(long, value_delimiter = ',', requires = "second_host")]
    second_faults: Vec<String>,
    /// Serves these lines (v1 or v2) instead of a seeded network
    #[arg(long, num_args = 1..)]
    file: Vec<PathBuf>,
    /// Frames a second, on one timeline for all that begins with the first connection: a client without a cursor starts
    /// at what is emitted next. `max`: everything is history at once, and a client without a cursor gets all of it.
    /// `live`: each frame at its stream time, by the wall clock (`--epoch now`, `--density N`)
    #[arg(long, default_value = "max", value_parser = parse_rate)]
    rate: Pace,
    /// Goes on for ever: the same network again, moved in time (revs, record keys and dates too), with further sequence
    /// numbers. Of files only stream time, revs and numbers move
    #[arg(long)]
    repeat: bool,
    /// Faults, by name, separated by commas; each happens on 3 connections at most. `help` lists them;
    /// `GET /simnet/fired` says how often each has happened
    #[arg(long, value_delimiter = ',')]
    faults: Vec<String>,
    /// The zstd dictionary to compress with in place of simnet's own, in both dialects
    #[arg(long, value_name = "FILE")]
    dictionary: Option<PathBuf>,
    /// The zstd dictionary of v1, where it is another one
    #[arg(long, value_name = "FILE")]
    dictionary_v1: Option<PathBuf>,
    /// With `--dialect`: prepares the compressed frames before it listens, not the plain ones
    #[arg(long, requires = "dialect")]
    zstd_ahead: bool,
    /// Speaks TLS (`wss://`, `https://`) with a certificate of an authority made at this start
    #[arg(long)]
    tls: bool,
    /// Where the authority's certificate is written in PEM, before it listens, for clients to trust
    #[arg(long, value_name = "FILE", requires = "tls")]
    tls_ca: Option<PathBuf>,
    /// The names and addresses on the host's certificate; without it, those of this machine and the address it listens on
    #[arg(long, value_name = "NAME", requires = "tls", value_delimiter = ',')]
    tls_names: Vec<String>,
    /// Closes each connection after this many frames
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..))]
    drop_after: Option<u64>,
    /// Whether v1 frames carry `cursor`, the sequence number, as v2 hosts send it
    #[arg(long, default_value = "on", value_parser = parse_switch, action = clap::ArgAction::Set)]
    v1_cursor: bool,
}

/// How many feeds that differ are named.
const DIFFERENCES_TOLD: usize = 20;

fn parse_rate(text: &str) -> Result<Pace, String> {
    match text.parse::<f64>() {
        _ if text == "max" => Ok(Pace::Max),
        _ if text == "live" => Ok(Pace::Live),
        Ok(rate) if rate > 0.0 && rate.is_finite() => Ok(Pace::PerSecond(rate)),
        _ => Err("write a number of frames a second, max, or live".into()),
    }
}

fn parse_switch(text: &str) -> Result<bool, String> {
    match text {
        "on" => Ok(true),
        "off" => Ok(false),
        _ => Err("write on or off".into()),
    }
}

impl NetworkArgs {
    fn options(&self) -> Result<Options, Failure> {
        let options = Options {
            events: self.events,
            communities: self.communities,
            seed: self.seed,
            epoch: self.epoch,
            hit_rate: self.hit_rate,
            density: self.density,
            clean: self.clean,
        };
        options.check().map_err(Failure::Usage)?;
        Ok(options)
    }
}

/// Why the program ends without success.
enum Failure {
    Usage(String),
    Failed(String),
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self::Failed(error.to_string())
    }
}

fn main() -> ExitCode {
    match run(Cli::parse().command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(Failure::Usage(why)) => {
            eprintln!("simnet: {why}");
            ExitCode::from(2)
        }
        Err(Failure::Failed(why)) => {
            eprintln!("simnet: {why}");
            ExitCode::from(1)
        }
    }
}

fn run(command: Command) -> Result<(), Failure> {
    match command {
        Command::Write { file, network } => write(&file, &network),
        Command::Expect { network, now } => {
            let feeds = simnet::expect(&network.options()?, now);
            print_line(&serde_json::json!({ "feeds": feeds }).to_string())
        }
        Command::Compare { http, network, now } => compare(&http, &network.options()?, now),
        Command::Stats { network } => stats(&network.options()?),
        Command::Serve(args) => serve(&args),
        Command::Dictionary { file, dialect } => {
            let dictionary = Dictionary::of_simnet(dialect);
            std::fs::write(&file, dictionary.bytes())
                .map_err(|error| Failure::Failed(format!("cannot write {file:?}: {error}")))?;
            print_line(&dictionary.id().to_string())
        }
    }
}

fn print_line(line: &str) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    writeln!(out, "{line}")?;
    Ok(out.flush()?)
}

fn write(file: &PathBuf, network: &NetworkArgs) -> Result<(), Failure> {
    let (options, dialect) = (network.options()?, network.dialect.unwrap_or(Dialect::V1));
    let written = if file.as_os_str() == "-" {
        Network::write(&options, dialect, &mut BufWriter::with_capacity(1 << 20, io::stdout().lock()))
    } else {
        let out = File::create(file).map_err(|error| Failure::Failed(format!("cannot create {file:?}: {error}")))?;
        Network::write(&options, dialect, &mut BufWriter::with_capacity(1 << 20, out))
    };
    match written {
        // Whoever reads has seen enough.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        written => Ok(written?),
    }
}

fn stats(options: &Options) -> Result<(), Failure> {
    let stats = simnet::stats(options);
    let feeds = simnet::expect(options, None);
    let sum = |count: usize| u64::try_from(count).unwrap_or(u64::MAX);
    let totals = BTreeMap::from([
        ("events", stats.events),
        ("bytes of a mean v1 frame", stats.bytes / stats.events.max(1)),
        ("bytes of the largest v1 frame", sum(stats.largest)),
        ("events that concern Atrarium", stats.atrarium),
        ("feeds served", sum(feeds.len())),
        ("feeds that are empty", sum(feeds.values().filter(|feed| feed.is_empty()).count())),
        ("posts in feeds", sum(feeds.values().map(Vec::len).sum())),
    ]);
    let report = serde_json::json!({"totals": totals, "kinds": stats.kinds, "features": stats.features});
    print_line(&serde_json::to_string_pretty(&report).map_err(|error| Failure::Failed(error.to_string()))?)
}

fn compare(http: &str, options: &Options, now: Option<Time>) -> Result<(), Failure> {
    let expected = simnet::expect(options, now);
    let found = simnet::compare(http, &expected, options.seed).map_err(|error| Failure::Failed(error.to_string()))?;
    let differing = found.differences.len();
    print_line(&format!("feeds {} posts {} pages {} differing {differing}", found.feeds, found.posts, found.pages))?;
    for difference in found.differences.iter().take(DIFFERENCES_TOLD) {
        eprintln!("{difference}");
    }
    match differing {
        0 => Ok(()),
        _ => Err(Failure::Failed(format!("{differing} feeds of {http} are not as they should be"))),
    }
}

fn serve(args: &ServeArgs) -> Result<(), Failure> {
    if args.faults.iter().any(|name| name == "help") {
        for fault in Fault::ALL {
            print_line(&format!("{:<24}{}", fault.name(), fault.about()))?;
        }
        return Ok(());
    }
    let (faults, second_faults) = (faults(&args.faults)?, faults(&args.second_faults)?);
    let read = |file: &Option<PathBuf>| file.as_deref().map(Dictionary::read).transpose();
    let dictionary_v2 = read(&args.dictionary).map_err(|error| Failure::Failed(error.to_string()))?;
    let dictionary_v1 = read(&args.dictionary_v1).map_err(|error| Failure::Failed(error.to_string()))?;
    let tls = args.tls.then(|| authority(args)).transpose()?;
    let options = ServerOptions {
        pace: args.rate,
        drop_after: args.drop_after,
        faults,
        dictionary_v1: dictionary_v1.or_else(|| dictionary_v2.clone()),
        dictionary_v2,
        tls,
        timeline: Timeline::default(),
    };
    let reel = reel(args)?;
    let second = match &args.second_host {
        Some(listen) => {
            let options = ServerOptions { faults: second_faults, ..options.clone() };
            Some(start(listen, self::reel(args)?.of_another_host(), options, args)?)
        }
        None => None,
    };
    let server = start(&args.listen, reel, options, args)?;
    print_line(&format!("listening {}", server.address()))?;
    if let Some(second) = &second {
        print_line(&format!("second-host {}", second.address()))?;
    }
    server.wait();
    Ok(())
}

fn faults(names: &[String]) -> Result<Vec<Fault>, Failure> {
    names.iter().map(|name| Fault::parse(name)).collect::<Result<_, _>>().map_err(Failure::Usage)
}

fn reel(args: &ServeArgs) -> Result<Reel, Failure> {
    if args.file.is_empty() {
        return Ok(Reel::of_network(&args.network.options()?, args.repeat, args.v1_cursor));
    }
    let events = simnet::read_files(&args.file).map_err(|error| Failure::Failed(error.to_string()))?;
    Ok(Reel::of_events(events, args.repeat, args.v1_cursor))
}

fn start(listen: &str, reel: Reel, options: ServerOptions, args: &ServeArgs) -> Result<Server, Failure> {
    let server = Server::start(listen, reel, options)
        .map_err(|error| Failure::Failed(format!("cannot listen on {listen}: {error}")))?;
    if let Some(dialect) = args.network.dialect {
        server.prepare(dialect, args.zstd_ahead);
    }
    Ok(server)
}

/// The authority of `--tls`; writes its certificate where `--tls-ca` says.
fn authority(args: &ServeArgs) -> Result<Arc<Authority>, Failure> {
    let failed = |why: String| Failure::Failed(why);
    let mut names = args.tls_names.clone();
    if names.is_empty() {
        names.extend(Authority::LOCAL.map(String::from));
        let host = args.listen.rsplit_once(':').map_or("", |(host, _)| host.trim_matches(['[', ']']));
        if !host.is_empty() && !names.iter().any(|name| name == host) {
            names.push(host.to_string());
        }
    }
    let authority = Authority::new(names).map_err(|error| failed(error.to_string()))?;
    if let Some(file) = &args.tls_ca {
        std::fs::write(file, authority.ca_pem()).map_err(|error| failed(format!("cannot write {file:?}: {error}")))?;
    }
    Ok(Arc::new(authority))
}
