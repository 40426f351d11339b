//! A reader of skeletons, and what became of its requests.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use super::process::{Engine, get, json};

pub fn feeds_of(engine: &Engine) -> Vec<String> {
    let described = json(engine.http, "/xrpc/app.bsky.feed.describeFeedGenerator");
    let uris = described["feeds"].as_array().expect("feeds").iter();
    uris.map(|feed| feed["uri"].as_str().expect("a URI").replace('%', "%25")).collect()
}

/// One keep-alive connection, one request after the other for `time`; the time of each answer, sorted.
pub fn skeletons(engine: &Engine, feeds: &[String], time: Duration) -> Vec<Duration> {
    let mut stream = TcpStream::connect(engine.http).expect("it listens");
    stream.set_nodelay(true).expect("a socket");
    let mut buffer = vec![0; 64 << 10];
    let (mut times, begun) = (Vec::new(), Instant::now());
    while begun.elapsed() < time {
        let feed = &feeds[times.len() * 7 % feeds.len()];
        let request =
            format!("GET /xrpc/app.bsky.feed.getFeedSkeleton?feed={feed}&limit=50 HTTP/1.1\r\nhost: x\r\n\r\n");
        let started = Instant::now();
        stream.write_all(request.as_bytes()).expect("sent");
        let mut filled = 0;
        loop {
            filled += stream.read(&mut buffer[filled..]).expect("answered");
            let text = std::str::from_utf8(&buffer[..filled]).expect("UTF-8");
            let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
            // While the stream goes on, a community may end between two requests.
            let is_answer = head.starts_with("HTTP/1.1 200") || body.contains("UnknownFeed");
            assert!(is_answer, "{head}");
            let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")).expect("a length");
            if body.len() >= length.parse::<usize>().expect("a number") {
                break;
            }
        }
        times.push(started.elapsed());
    }
    times.sort_unstable();
    times
}

pub fn print_times(what: &str, times: &[Duration]) {
    let at = |share: f64| times[((times.len() - 1) as f64 * share) as usize].as_secs_f64() * 1e6;
    println!(
        "{what}: {} skeletons, p50 {:.0} µs, p99 {:.0} µs, p99.9 {:.0} µs",
        times.len(),
        at(0.5),
        at(0.99),
        at(0.999)
    );
}

/// A histogram of `/metrics`.
pub struct Histogram {
    /// Upper bound in seconds, and how many are at most that.
    buckets: Vec<(f64, f64)>,
    sum: f64,
}

impl Histogram {
    pub fn read(engine: &Engine, name: &str) -> Self {
        let metrics = get(engine.admin, "/metrics").1;
        let number = |text: &str| text.trim().parse::<f64>().expect("a number");
        let bucket = |line: &str| {
            let (bound, count) = line.strip_prefix(name)?.strip_prefix("_bucket{le=\"")?.split_once("\"} ")?;
            Some((if bound == "+Inf" { f64::INFINITY } else { number(bound) }, number(count)))
        };
        let sum = metrics.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix("_sum ")).expect(name);
        Self { buckets: metrics.lines().filter_map(bucket).collect(), sum: number(sum) }
    }

    pub fn count(&self) -> f64 {
        self.buckets.last().map_or(0.0, |last| last.1)
    }

    pub fn mean_micros(&self) -> f64 {
        self.sum / self.count() * 1e6
    }

    /// The least bound, in milliseconds, that so large a share stays below.
    pub fn bound_millis(&self, share: f64) -> f64 {
        let wanted = self.count() * share;
        self.buckets.iter().find(|(_, count)| *count >= wanted).map_or(f64::INFINITY, |(bound, _)| bound * 1e3)
    }
}
