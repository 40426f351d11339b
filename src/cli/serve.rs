//! `atrarium serve`.

use std::io::IsTerminal;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use atrarium::clock::Clock;
use atrarium::engine::{Config, Engine, From as EngineFrom, StartError};
use atrarium::ingest::reader::Zstd;
use atrarium::syntax::Did;
use atrarium::wire::endpoint::Endpoint;
use atrarium::wire::zstd::Dictionary;
use clap::{Args, ValueEnum};
use serde::Deserialize;
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::flag;

use super::config::File;
use super::outside::ReachArgs;
use super::rates::RateArgs;
use super::{DataDir, Failure, progress};

/// The public hosts of Jetstream v2.
pub const PUBLIC_HOSTS: [&str; 2] = ["wss://jetstream.us-east.bsky.network", "wss://jetstream.us-west.bsky.network"];

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OnOff {
    On,
    Off,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum StartFrom {
    Live,
    Oldest,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    Text,
    Json,
}

#[derive(Args)]
pub struct ServeArgs {
    /// A Jetstream host; several are tried in turn. The path /subscribe means v1,
    /// /xrpc/network.bsky.jetstream.subscribeEvents or none means v2 [default: the public v2 hosts]
    #[arg(long, env = "ATRARIUM_UPSTREAM", value_name = "URL", value_delimiter = ',')]
    upstream: Vec<String>,
    /// Certificates (PEM) of an authority of your own that wss:// hosts may be certified by [default: the public ones]
    #[arg(long, env = "ATRARIUM_UPSTREAM_CA", value_name = "FILE")]
    upstream_ca: Option<PathBuf>,
    #[command(flatten)]
    data_dir: DataDir,
    /// Where readers are answered; port 0 takes a free one [default: 127.0.0.1:3000]
    #[arg(long, env = "ATRARIUM_LISTEN", value_name = "ADDR")]
    listen: Option<SocketAddr>,
    /// Where metrics, health and status are answered [default: 127.0.0.1:3001]
    #[arg(long, env = "ATRARIUM_ADMIN_LISTEN", value_name = "ADDR")]
    admin_listen: Option<SocketAddr>,
    /// How the network reaches this server, such as https://feeds.example.org; its host becomes the service DID
    /// [default: did:web:localhost%3A<port>]
    #[arg(long, env = "ATRARIUM_PUBLIC_URL", value_name = "URL")]
    public_url: Option<String>,
    /// The DID of this service, where it is not the did:web of the public URL; a did:plc must have a service #bsky_fg
    /// [default: the did:web of --public-url]
    #[arg(long, env = "ATRARIUM_SERVICE_DID", value_name = "DID")]
    service_did: Option<String>,
    /// The account that publishes the feeds [default: the service DID]
    #[arg(long, env = "ATRARIUM_PUBLISHER_DID", value_name = "DID")]
    publisher_did: Option<String>,
    /// Compressed streams [default: on for v2; for v1 on where --zstd-dictionary is given]
    #[arg(long, env = "ATRARIUM_ZSTD", value_name = "on|off")]
    zstd: Option<OnOff>,
    /// The zstd dictionary of v1, as its server has it
    #[arg(long, env = "ATRARIUM_ZSTD_DICTIONARY", value_name = "FILE")]
    zstd_dictionary: Option<PathBuf>,
    /// Where to begin when the log holds no cursor [default: oldest]
    #[arg(long, env = "ATRARIUM_FROM", value_name = "live|oldest")]
    from: Option<StartFrom>,
    /// Threads that parse [default: half of the processors, at most 8]
    #[arg(long, env = "ATRARIUM_WORKERS", value_name = "N", value_parser = threads)]
    workers: Option<usize>,
    /// Threads that answer readers [default: half of the processors]
    #[arg(long, env = "ATRARIUM_HTTP_THREADS", value_name = "N", value_parser = threads)]
    http_threads: Option<usize>,
    /// Pin each thread to a processor
    #[arg(long, env = "ATRARIUM_PIN")]
    pin: bool,
    #[command(flatten)]
    rates: RateArgs,
    #[command(flatten)]
    reach: ReachArgs,
    /// The form of log lines on stderr [default: text]
    #[arg(long, env = "ATRARIUM_LOG_FORMAT", value_name = "text|json")]
    log_format: Option<LogFormat>,
}

/// A number of threads: 1 to 256.
fn threads(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(count @ 1..=256) => Ok(count),
        _ => Err("give a number from 1 to 256".to_owned()),
    }
}

/// Runs until SIGTERM or SIGINT, or until the engine fails.
pub fn run(args: ServeArgs, file: File) -> Result<(), Failure> {
    start_logging(args.log_format.or(file.log_format).unwrap_or(LogFormat::Text));
    let config = config(args, file)?;
    let asked = Arc::new(AtomicBool::new(false));
    for signal in [SIGTERM, SIGINT] {
        flag::register(signal, Arc::clone(&asked))
            .map_err(|error| Failure::failed(format!("cannot listen for signals: {error}")))?;
    }
    let bar = progress::bytes("reading the log", 0);
    let report = bar.clone();
    let engine = Engine::start(config, Clock::real(), &mut |done, total| {
        report.set_length(total);
        report.set_position(done);
    });
    bar.finish_and_clear();
    let engine = engine.map_err(|error| match error {
        StartError::Config(_) => Failure::usage(error),
        other => Failure::failed(other),
    })?;
    let line = format!("listening http={} admin={}\n", engine.http_addr(), engine.admin_addr());
    super::print_bytes(line.as_bytes())?;
    engine.join(|| asked.load(Ordering::Relaxed)).map_err(Failure::failed)
}

fn start_logging(format: LogFormat) {
    let filter = tracing_subscriber::EnvFilter::try_from_env("ATRARIUM_LOG")
        .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new("info"));
    let is_terminal = std::io::stderr().is_terminal();
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_ansi(is_terminal);
    match format {
        LogFormat::Text => builder.init(),
        LogFormat::Json => builder.json().init(),
    }
}

/// Which streams are asked for compressed.
fn zstd(wanted: Option<OnOff>, dictionary: Option<&Path>) -> Result<Zstd, Failure> {
    const FLAG: &str = "--zstd-dictionary";
    if wanted == Some(OnOff::Off) {
        return Ok(Zstd::default());
    }
    let v1 = dictionary.map(|path| {
        Dictionary::parse(&read(FLAG, path)?)
            .map_err(|error| Failure::usage(format!("{FLAG} {}: {error}", path.display())))
    });
    Ok(Zstd { v2: true, v1: v1.transpose()? })
}

/// A file that a flag names.
fn read(flag: &str, path: &Path) -> Result<Vec<u8>, Failure> {
    std::fs::read(path).map_err(|error| Failure::usage(format!("{flag} {}: {error}", path.display())))
}

/// A DID that a flag gives.
fn did(flag: &str, text: Option<String>) -> Result<Option<Did>, Failure> {
    text.map(|did| Did::parse(&did).map_err(|error| Failure::usage(format!("{flag} {did}: {error}")))).transpose()
}

/// Flag, then environment (both are in `args`), then file, then default.
fn config(args: ServeArgs, file: File) -> Result<Config, Failure> {
    let rate_limits = args.rates.settings(&file)?;
    let (plc_directory, dial) = (args.reach.directory(&file), args.reach.policy(&file));
    let data_dir = args.data_dir.or_default(&file);
    let given = Some(args.upstream).filter(|urls| !urls.is_empty()).or(file.upstream);
    let urls = given.unwrap_or_else(|| PUBLIC_HOSTS.map(str::to_owned).to_vec());
    let upstreams = urls
        .iter()
        .map(|url| Endpoint::parse(url).map_err(|error| Failure::usage(format!("--upstream {url}: {error}"))))
        .collect::<Result<Vec<_>, _>>()?;
    let upstream_ca = args.upstream_ca.or(file.upstream_ca).map(|path| read("--upstream-ca", &path)).transpose()?;
    let zstd = zstd(args.zstd.or(file.zstd), args.zstd_dictionary.or(file.zstd_dictionary).as_deref())?;
    let service_did = did("--service-did", args.service_did.or(file.service_did))?;
    let publisher_did = did("--publisher-did", args.publisher_did.or(file.publisher_did))?;
    let processors = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let default_listen = |port| SocketAddr::from(([127, 0, 0, 1], port));
    Ok(Config {
        upstreams,
        upstream_ca,
        zstd,
        data_dir,
        listen: args.listen.or(file.listen).unwrap_or_else(|| default_listen(3000)),
        admin_listen: args.admin_listen.or(file.admin_listen).unwrap_or_else(|| default_listen(3001)),
        public_url: args.public_url.or(file.public_url),
        service_did,
        publisher_did,
        rate_limits,
        plc_directory,
        dial,
        from: match args.from.or(file.from).unwrap_or(StartFrom::Oldest) {
            StartFrom::Live => EngineFrom::Live,
            StartFrom::Oldest => EngineFrom::Oldest,
        },
        workers: args.workers.or(file.workers).unwrap_or_else(|| (processors / 2).clamp(1, 8)),
        http_threads: args.http_threads.or(file.http_threads).unwrap_or_else(|| (processors / 2).max(1)),
        pin: args.pin || file.pin.unwrap_or(false),
    })
}
