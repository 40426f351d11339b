//! Readers of skeletons on one thread: as fast as they are answered, or at a rate of their own.
//!
//! At a rate every request has its moment, whether or not those before it are answered, and its time counts from that moment:
//! a server that stands still for a while is charged for all who came meanwhile (no coordinated omission).

use std::collections::VecDeque;
use std::io::{self, Read, Write};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token};

use crate::machine;

/// What became of some requests.
#[derive(Debug)]
pub struct Outcome {
    /// How long each took, sorted.
    pub times: Vec<Duration>,
    /// From the first request to the last answer.
    pub wall: Duration,
    /// Bytes of answers.
    pub bytes: u64,
}

impl Outcome {
    /// What so large a share stays below.
    pub fn quantile(&self, share: f64) -> Duration {
        let at = (self.times.len().saturating_sub(1)) as f64 * share;
        self.times.get(at as usize).copied().unwrap_or_default()
    }
}

/// When requests are made.
#[derive(Clone, Copy, Debug)]
pub enum Pace {
    /// So many are always under way.
    Closed { connections: usize },
    /// So many a second, evenly.
    Open { per_second: u32 },
}

/// Connections of an open pace: as many as may be under way at once.
const CONNECTIONS: usize = 64;

struct Guest {
    stream: TcpStream,
    /// When the request under way was due.
    due: Option<Instant>,
    answer: Vec<u8>,
    filled: usize,
}

/// Asks for `feeds` in random order for some time.
pub fn run(server: SocketAddr, feeds: &[String], pace: Pace, time: Duration) -> Outcome {
    let mut load =
        Load::new(server, feeds, if let Pace::Closed { connections } = pace { connections } else { CONNECTIONS });
    let began = machine::now();
    match pace {
        Pace::Closed { .. } => load.closed(began + time),
        Pace::Open { per_second } => load.open(began, time, per_second),
    }
    let wall = began.elapsed();
    assert!(load.gone * 20 <= load.times.len(), "{} of {} feeds are gone", load.gone, load.times.len());
    load.times.sort_unstable();
    Outcome { times: load.times, wall, bytes: load.bytes }
}

struct Load<'a> {
    poll: Poll,
    events: Events,
    guests: Vec<Guest>,
    idle: Vec<usize>,
    feeds: &'a [String],
    rng: fastrand::Rng,
    times: Vec<Duration>,
    bytes: u64,
    gone: usize,
}

impl<'a> Load<'a> {
    fn new(server: SocketAddr, feeds: &'a [String], connections: usize) -> Self {
        let poll = Poll::new().expect("a poll");
        let guest = |number| {
            let stream = std::net::TcpStream::connect(server).expect("it listens");
            stream.set_nodelay(true).expect("a socket");
            stream.set_nonblocking(true).expect("a socket");
            let mut stream = TcpStream::from_std(stream);
            poll.registry().register(&mut stream, Token(number), Interest::READABLE).expect("registered");
            Guest { stream, due: None, answer: vec![0; 64 << 10], filled: 0 }
        };
        let guests = (0..connections).map(guest).collect();
        Self {
            guests,
            poll,
            events: Events::with_capacity(256),
            idle: (0..connections).collect(),
            feeds,
            rng: fastrand::Rng::with_seed(3),
            times: Vec::new(),
            bytes: 0,
            gone: 0,
        }
    }

    fn closed(&mut self, until: Instant) {
        while let Some(guest) = self.idle.pop() {
            self.ask(guest, machine::now());
        }
        loop {
            self.take(Some(Duration::from_millis(100)));
            let now = machine::now();
            if now < until {
                while let Some(guest) = self.idle.pop() {
                    self.ask(guest, machine::now());
                }
            } else if self.idle.len() == self.guests.len() {
                return;
            }
            assert!(now < until + Duration::from_secs(30), "requests are not answered");
        }
    }

    fn open(&mut self, began: Instant, time: Duration, per_second: u32) {
        let total = (f64::from(per_second) * time.as_secs_f64()) as u32;
        let due_of = |number: u32| began + Duration::from_secs_f64(f64::from(number) / f64::from(per_second));
        let mut waiting: VecDeque<Instant> = VecDeque::new();
        let mut made = 0;
        while self.times.len() < total as usize {
            let now = machine::now();
            while made < total && due_of(made) <= now {
                waiting.push_back(due_of(made));
                made += 1;
            }
            while let Some(&due) = waiting.front() {
                let Some(guest) = self.idle.pop() else { break };
                waiting.pop_front();
                self.ask(guest, due);
            }
            // A poll cannot wait for less than a millisecond: short waits are spent looking.
            let wait = (made < total).then(|| due_of(made).saturating_duration_since(machine::now()));
            let wait = wait.unwrap_or(Duration::from_millis(10)).as_millis().saturating_sub(1);
            self.take(Some(Duration::from_millis(u64::try_from(wait).unwrap_or(0))));
            assert!(now < began + time + Duration::from_secs(30), "requests are not answered");
        }
    }

    fn ask(&mut self, guest: usize, due: Instant) {
        let feed = &self.feeds[self.rng.usize(..self.feeds.len())];
        let request =
            format!("GET /xrpc/app.bsky.feed.getFeedSkeleton?feed={feed}&limit=50 HTTP/1.1\r\nhost: localhost\r\n\r\n");
        let guest = &mut self.guests[guest];
        guest.due = Some(due);
        guest.filled = 0;
        guest.stream.write_all(request.as_bytes()).expect("a request fits into the socket");
    }

    /// Takes the answers that have come.
    fn take(&mut self, wait: Option<Duration>) {
        match self.poll.poll(&mut self.events, wait) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => return,
            other => other.expect("it polls"),
        }
        for event in &self.events {
            let guest = &mut self.guests[event.token().0];
            loop {
                match guest.stream.read(&mut guest.answer[guest.filled..]) {
                    Ok(0) => panic!("the server hung up"),
                    Ok(count) => guest.filled += count,
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                    Err(error) => panic!("{error}"),
                }
            }
            let whole = length_of(&guest.answer[..guest.filled]).is_some_and(|length| guest.filled >= length);
            if whole && let Some(due) = guest.due.take() {
                let text = std::str::from_utf8(&guest.answer[..guest.filled]).expect("text");
                // While the stream goes on, a community may end between two requests.
                let is_gone = text.contains("UnknownFeed");
                assert!(is_gone || text.starts_with("HTTP/1.1 200"), "{text}");
                self.gone += usize::from(is_gone);
                self.times.push(due.elapsed());
                self.bytes += guest.filled as u64;
                self.idle.push(event.token().0);
            }
        }
    }
}

/// The length of an answer with its head, once that is there.
fn length_of(answer: &[u8]) -> Option<usize> {
    let end = answer.windows(4).position(|four| four == b"\r\n\r\n")?;
    let head = std::str::from_utf8(&answer[..end]).expect("a head is text");
    let length = head.lines().find_map(|line| {
        let (name, value) = line.split_once(": ")?;
        name.eq_ignore_ascii_case("content-length").then(|| value.parse::<usize>().ok())?
    });
    Some(end + 4 + length.expect("a length"))
}
