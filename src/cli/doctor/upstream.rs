//! Whether the upstream can be reached, and moves.

use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use atrarium::clock::Clock;
use atrarium::fact::{Cursor, GapReason};
use atrarium::ingest::reader::{Config, Pressure, Reader, Sink, Stop, Tls, WithoutCursor};
use atrarium::syntax::Time;
use atrarium::telemetry::Reason;
use atrarium::wire::endpoint::{Ask, Endpoint};
use atrarium::wire::event;

use super::super::Failure;
use super::super::config::File;
use super::super::serve::PUBLIC_HOSTS;
use super::Seen;

/// How long a frame is waited for, hosts that do not answer included.
const PATIENCE: Duration = Duration::from_secs(15);
/// How often each host is tried within that.
const TRIES: usize = 3;
/// A stream that is further behind than this, in microseconds, is not live.
const LAG_MICROS: i64 = 60_000_000;

/// The hosts to be tried.
pub struct Upstream(Config);

impl Upstream {
    pub fn new(given: &[String], ca: Option<&Path>, file: &File) -> Result<Self, Failure> {
        let given = Some(given.to_vec()).filter(|urls| !urls.is_empty()).or_else(|| file.upstream.clone());
        let urls = given.unwrap_or_else(|| PUBLIC_HOSTS.map(str::to_owned).to_vec());
        let parse =
            |url: &String| Endpoint::parse(url).map_err(|error| Failure::usage(format!("--upstream {url}: {error}")));
        let endpoints = urls.iter().map(parse).collect::<Result<Vec<_>, _>>()?;
        let ca = ca.or(file.upstream_ca.as_deref());
        let read = |path: &Path| {
            std::fs::read(path).map_err(|error| Failure::usage(format!("--upstream-ca {}: {error}", path.display())))
        };
        let ca = ca.map(read).transpose()?;
        let tls = Tls::new(ca.as_deref(), &Clock::real())
            .map_err(|error| Failure::usage(format!("--upstream-ca: {error}")))?;
        Ok(Self(Config { tls: Some(tls), ..Config::new(endpoints, WithoutCursor::Live) }))
    }

    /// Reads until the first frame.
    pub fn moves(self, clock: &Clock) -> Seen {
        const REMEDY: &str = "check the network and --upstream; another host may do";
        let seen = Arc::new(Watch::default());
        let until = clock.monotonic() + PATIENCE;
        let tries = TRIES * self.0.endpoints.len();
        let first = First { seen: Arc::clone(&seen), clock: clock.clone(), until, tries };
        // The jitter between tries is of no account here.
        let rng = fastrand::Rng::with_seed(0);
        let reader = Reader::new(self.0, first, clock.clone(), rng);
        let reader = reader.map_err(|error| (format!("no sockets: {error}"), REMEDY))?;
        if seen.stop.set(reader.stop_handle()).is_ok() {
            reader.run();
        }
        let witnessed = seen.witnessed.load(Ordering::Relaxed);
        if witnessed == 0 {
            let why = seen.why.lock().map(|why| why.clone()).unwrap_or_default();
            let seconds = PATIENCE.as_secs();
            let why = if why.is_empty() { format!("nothing came within {seconds} s") } else { why };
            return Err((format!("no frame: {why}"), REMEDY));
        }
        let witnessed = Time::from_micros(i64::try_from(witnessed).unwrap_or(i64::MAX));
        let lag = clock.wall_micros() - witnessed.micros();
        let host = seen.host.lock().map(|host| host.clone()).unwrap_or_default();
        let says = format!("{host} sends frames; the last is of {witnessed}, {:.1} s ago", lag as f64 / 1e6);
        if lag.abs() > LAG_MICROS {
            return Err((
                says,
                "the host is behind, or this machine's clock is wrong: compare both, or try another host",
            ));
        }
        Ok(says)
    }
}

#[derive(Default)]
struct Watch {
    /// Stream time in microseconds; 0 before the first frame.
    witnessed: AtomicU64,
    host: Mutex<String>,
    why: Mutex<String>,
    /// What stops the reader.
    stop: OnceLock<Stop>,
}

/// Takes one frame, and stops the reader.
struct First {
    seen: Arc<Watch>,
    clock: Clock,
    until: Duration,
    /// How often a connection may still be lost, or not be made.
    tries: usize,
}

impl First {
    fn end(&self) {
        if let Some(stop) = self.seen.stop.get() {
            stop.stop();
        }
    }
}

impl Sink for First {
    fn frame(&mut self, frame: &[u8], endpoint: &Endpoint) -> Pressure {
        if let Ok(parsed) = event::parse(frame) {
            let micros = u64::try_from(parsed.position.time.micros()).unwrap_or(0);
            self.seen.witnessed.store(micros, Ordering::Relaxed);
            if let Ok(mut host) = self.seen.host.lock() {
                *host = endpoint.to_string();
            }
            self.end();
        }
        Pressure::Go
    }

    fn pause(&mut self, _: Option<&[u8]>) {}
    fn idle(&mut self) {}

    fn tick(&mut self) {
        if self.clock.monotonic() >= self.until {
            self.end();
        }
    }

    fn ready(&mut self) -> bool {
        true
    }

    fn resume(&self) -> Option<Cursor> {
        None
    }

    fn refused(&mut self, _: Reason) {}

    fn gap(&mut self, _: &Endpoint, _: GapReason) {}

    fn connected(&mut self, _: &Endpoint, _: &Ask) {}

    fn disconnected(&mut self, endpoint: &Endpoint, why: &str) {
        if let Ok(mut known) = self.seen.why.lock() {
            *known = format!("{endpoint}: {why}");
        }
        self.tries = self.tries.saturating_sub(1);
        if self.tries == 0 {
            self.end();
        }
    }
}
