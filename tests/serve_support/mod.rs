//! Servers and raw-socket clients for the tests of `serve`. Servers bind 127.0.0.1:0 and stop when they are dropped.
#![allow(dead_code, reason = "each test file uses a part")]

use std::io::{Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use atrarium::clock::{Clock, Now};
use atrarium::community::inquiry::{Answerer, inquiries};
use atrarium::fact::{CommunityId, CommunityInfo, FeedMix};
use atrarium::identity::{Gate, Judges};
use atrarium::serve::{
    Admin, AdminSource, Bounds, Caller, Callers, Feeds, Listeners, RateLimits, RingOccupancy, ServeConfig, Site,
    SkeletonError, Status, Stop, Tally, UpstreamStatus, run_admin, run_http, run_judges,
};
use atrarium::syntax::{Did, RecordUri, Time};
use atrarium::telemetry::Telemetry;
use bytes::Bytes;

/// How long a test waits for what must come.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// The owner of every community of [`Fake`].
pub const OWNER: &str = "did:plc:ewvi7nxzyoun6zhxrhs64oiz";

/// Feeds that answer with what they were asked.
#[derive(Clone, Default)]
pub struct Fake(Arc<Mutex<Vec<CommunityId>>>);

impl Fake {
    pub fn with(ids: &[u32]) -> Self {
        let feeds = Self::default();
        ids.iter().for_each(|&id| feeds.add(id));
        feeds
    }

    pub fn add(&self, id: u32) {
        self.0.lock().expect("no test panics with it").push(CommunityId(id));
    }
}

impl Feeds for Fake {
    fn skeleton(
        &self,
        rkey: &str,
        owner: Option<&Did>,
        now: Time,
        limit: usize,
        cursor: Option<&str>,
    ) -> Result<Bytes, SkeletonError> {
        let known = self.0.lock().expect("no test panics with it").iter().any(|id| id.to_string() == rkey);
        if !known || owner.is_some_and(|owner| owner.as_str() != OWNER) {
            return Err(SkeletonError::UnknownFeed);
        }
        if cursor.is_some_and(|cursor| !cursor.starts_with('c')) {
            return Err(SkeletonError::BadCursor);
        }
        let owner = owner.map_or("", Did::as_str);
        let cursor = cursor.unwrap_or_default();
        Ok(format!(r#"{{"feed":[],"asked":["{rkey}","{owner}","{now}",{limit},"{cursor}"]}}"#).into())
    }

    fn serves(&self, id: CommunityId) -> bool {
        self.0.lock().expect("no test panics with it").contains(&id)
    }

    fn feeds(&self) -> Vec<(CommunityId, Arc<CommunityInfo>)> {
        let uri = RecordUri::parse(&format!("at://{OWNER}/net.atrarium.community.config/3l")).expect("a URI");
        let info = Arc::new(CommunityInfo {
            uri,
            name: "A community".into(),
            mix: FeedMix { own: 10_000, parent: 0, global: 0 },
            parent: None,
            pinned: None,
        });
        self.0.lock().expect("no test panics with it").iter().map(|&id| (id, Arc::clone(&info))).collect()
    }

    fn feeds_version(&self) -> u64 {
        self.0.lock().expect("no test panics with it").len() as u64
    }
}

/// Takes everybody's word.
struct Believing;

impl Callers for Believing {
    fn caller(&self, authorization: &str, _: &'static str) -> Caller {
        let did = authorization.strip_prefix("Bearer ").and_then(|text| Did::parse(text).ok());
        did.map_or(Caller::Nobody, |did| Caller::Proved(Arc::new(did)))
    }
}

/// What the engine would tell the admin listener.
pub struct FakeEngine {
    pub telemetry: Arc<Telemetry>,
    pub clock: Clock,
    pub why_not: Mutex<Option<String>>,
}

impl AdminSource for FakeEngine {
    fn readiness(&self) -> Result<(), String> {
        self.why_not.lock().expect("no test panics with it").clone().map_or(Ok(()), Err)
    }

    fn status(&self) -> Status {
        let upstream = UpstreamStatus {
            url: "wss://jetstream.example".to_owned(),
            dialect: "v2",
            connected: true,
            cursor: Some(91_107),
            ..UpstreamStatus::default()
        };
        Status::gather(&self.telemetry, &self.clock, upstream, Vec::new())
    }

    fn ring_occupancy(&self) -> Vec<RingOccupancy> {
        [0.0, 0.25].iter().enumerate().map(|(at, &ratio)| RingOccupancy { worker: at.to_string(), ratio }).collect()
    }

    fn memory_bytes(&self) -> Option<u64> {
        Some(12_345_678)
    }
}

/// A moment for feeds to be read at: 2026-11-24T12:00:00Z.
pub const NOW_MICROS: i64 = 1_795_521_600_000_000;

/// A running server.
pub struct Server {
    pub http: SocketAddr,
    pub admin: SocketAddr,
    pub telemetry: Arc<Telemetry>,
    pub engine: Arc<FakeEngine>,
    pub feeds: Fake,
    pub tally: Arc<Tally>,
    /// The folding thread's end of the box of questions.
    pub answerer: Mutex<Answerer>,
    pub stop: Stop,
    threads: Vec<JoinHandle<()>>,
}

/// Bounds that a test can wait for.
pub fn short() -> Bounds {
    Bounds { head: Duration::from_millis(300), exchange: Duration::from_millis(600), ..Bounds::default() }
}

impl Server {
    pub fn start() -> Self {
        Self::start_with(1, Bounds::default(), &ServeConfig::default())
    }

    pub fn start_with(threads: usize, bounds: Bounds, config: &ServeConfig) -> Self {
        Self::start_limited(threads, bounds, config, None)
    }

    /// With limits; whoever sends `authorization: Bearer DID` is believed.
    pub fn start_limited(threads: usize, bounds: Bounds, config: &ServeConfig, limits: Option<RateLimits>) -> Self {
        Self::start_all(threads, bounds, config, limits, None)
    }

    /// With limits, and with judges who find out who calls.
    pub fn start_judged(config: &ServeConfig, limits: RateLimits, callers: (Gate, Judges)) -> Self {
        Self::start_all(2, Bounds::default(), config, Some(limits), Some(callers))
    }

    #[expect(clippy::disallowed_methods, reason = "the engine's part is played by the test")]
    fn start_all(
        threads: usize,
        bounds: Bounds,
        config: &ServeConfig,
        limits: Option<RateLimits>,
        callers: Option<(Gate, Judges)>,
    ) -> Self {
        let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let listeners = Listeners::bind(any, threads, any).expect("port 0 is free");
        let (http, admin) = (listeners.http_addr(), listeners.admin_addr());
        let (feeds, telemetry, clock) = (Fake::with(&[0xa1b2_c3d4, 7]), Arc::new(Telemetry::default()), Clock::real());
        let identity = config.resolve(http.port()).expect("a valid configuration");
        let now = Arc::new(Now::new(Clock::manual(NOW_MICROS)));
        let site = Site::new(feeds.clone(), identity, now, clock.clone(), Arc::clone(&telemetry));
        let (inquirer, answerer) = inquiries();
        let site = site.with_bounds(bounds.clone()).with_inquirer(inquirer);
        let (gate, judges) = callers.unzip();
        let by_gate = gate.clone().map(|gate| Arc::new(gate) as Arc<dyn Callers>);
        let site = match limits {
            Some(limits) => site.with_rate_limits(limits, by_gate.or_else(|| Some(Arc::new(Believing)))),
            None => site,
        };
        let site = Arc::new(site);
        let tally = site.tally();
        let engine =
            Arc::new(FakeEngine { telemetry: Arc::clone(&telemetry), clock: clock.clone(), why_not: Mutex::default() });
        let operator = Admin::new(Arc::clone(&engine) as Arc<dyn AdminSource>, clock, Arc::clone(&telemetry));
        let operator = operator.with_bounds(bounds).with_tally(Arc::clone(&tally));
        let operator = Arc::new(match gate {
            Some(gate) => operator.with_callers(gate),
            None => operator,
        });
        let stop = Stop::new();
        let mut running = Vec::new();
        if let Some(judges) = judges {
            let (site, stop) = (Arc::clone(&site), stop.clone());
            running.push(std::thread::spawn(move || run_judges(judges, site, &stop).expect("a runtime")));
        }
        for socket in listeners.http {
            let (site, stop) = (Arc::clone(&site), stop.clone());
            running.push(std::thread::spawn(move || run_http(socket, site, &stop).expect("a runtime")));
        }
        let button = stop.clone();
        running.push(std::thread::spawn(move || run_admin(listeners.admin, operator, &button).expect("a runtime")));
        let answerer = Mutex::new(answerer);
        Self { http, admin, telemetry, engine, feeds, tally, answerer, stop, threads: running }
    }

    /// Asks for a path of the HTTP listener on a connection of its own.
    pub fn get(&self, target: &str) -> Reply {
        Client::connect(self.http).ask(&format!("GET {target} HTTP/1.1\r\nhost: a\r\n\r\n"))
    }

    /// Sends any request to the HTTP listener on a connection of its own.
    pub fn ask(&self, request: &str) -> Reply {
        Client::connect(self.http).ask(request)
    }

    /// Asks the admin listener.
    pub fn admin(&self, target: &str) -> Reply {
        Client::connect(self.admin).ask(&format!("GET {target} HTTP/1.1\r\nhost: a\r\n\r\n"))
    }

    /// The publisher's URI of a feed, percent-encoded for a query.
    pub fn feed(&self, id: &str) -> String {
        format!("at%3A%2F%2Fdid%3Aweb%3Alocalhost%253A{}%2Fapp.bsky.feed.generator%2F{id}", self.http.port())
    }

    /// Stops, and waits for every thread.
    pub fn join(&mut self) {
        self.stop.stop();
        for thread in self.threads.drain(..) {
            thread.join().expect("a listener has panicked");
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.join();
    }
}

/// One answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: String,
}

impl Reply {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// The name of an XRPC error; checks its form.
    #[track_caller]
    pub fn error(&self) -> String {
        assert_eq!(self.header("content-type"), Some("application/json"), "{self:?}");
        let body: serde_json::Value = serde_json::from_str(&self.body).expect("JSON");
        let object = body.as_object().expect("an object");
        let mut keys: Vec<_> = object.keys().map(String::as_str).collect();
        keys.sort_unstable();
        assert_eq!(keys, ["error", "message"], "{self:?}");
        assert!(object["message"].as_str().is_some_and(|message| !message.is_empty()), "{self:?}");
        object["error"].as_str().expect("a name").to_owned()
    }
}

/// A connection that one writes to and reads from as one likes.
pub struct Client {
    pub stream: TcpStream,
    read: Vec<u8>,
}

impl Client {
    pub fn connect(to: SocketAddr) -> Self {
        let stream = TcpStream::connect(to).expect("the server listens");
        stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
        stream.set_write_timeout(Some(PATIENCE)).expect("a timeout");
        stream.set_nodelay(true).expect("an option");
        Self::of(stream)
    }

    /// On a connection that stands already.
    pub fn of(stream: TcpStream) -> Self {
        Self { stream, read: Vec::new() }
    }

    pub fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.stream.write_all(bytes.as_ref()).expect("the server reads");
    }

    /// Sends what the server may not read to its end.
    pub fn send_in_vain(&mut self, bytes: &[u8]) {
        let _ = self.stream.write_all(bytes);
    }

    pub fn shut(&mut self) {
        self.stream.shutdown(Shutdown::Write).expect("an open socket");
    }

    pub fn ask(&mut self, request: &str) -> Reply {
        self.send(request);
        if request.starts_with("HEAD ") { self.head() } else { self.reply() }
    }

    /// Reads one answer with its body.
    #[track_caller]
    pub fn reply(&mut self) -> Reply {
        let mut reply = self.head();
        if reply.status == 304 {
            return reply;
        }
        let length = reply.header("content-length").map_or(0, |length| length.parse().expect("a number"));
        while self.read.len() < length {
            assert!(self.more(), "the body ended early: {reply:?}");
        }
        reply.body = String::from_utf8(self.read.drain(..length).collect()).expect("UTF-8");
        reply
    }

    /// Reads one answer whose body is no text.
    #[track_caller]
    pub fn reply_bytes(&mut self) -> (Reply, Vec<u8>) {
        let reply = self.head();
        let length = reply.header("content-length").map_or(0, |length| length.parse().expect("a number"));
        while self.read.len() < length {
            assert!(self.more(), "the body ended early: {reply:?}");
        }
        (reply, self.read.drain(..length).collect())
    }

    /// Reads one answer that has no body, whatever it announces.
    #[track_caller]
    pub fn head(&mut self) -> Reply {
        let end = loop {
            if let Some(end) = memchr::memmem::find(&self.read, b"\r\n\r\n") {
                break end;
            }
            assert!(self.more(), "the head ended early: {:?}", String::from_utf8_lossy(&self.read));
        };
        let head: Vec<u8> = self.read.drain(..end + 4).collect();
        let head = String::from_utf8(head).expect("UTF-8");
        let mut lines = head.trim_end().split("\r\n");
        let status = lines.next().and_then(|line| line.split(' ').nth(1)).and_then(|code| code.parse().ok());
        let header = |line: &str| {
            let (name, value) = line.split_once(": ").expect("a header");
            (name.to_ascii_lowercase(), value.to_owned())
        };
        Reply { status: status.expect("a status line"), headers: lines.map(header).collect(), body: String::new() }
    }

    /// Whether the server has closed, without another answer.
    #[track_caller]
    pub fn is_closed(&mut self) -> bool {
        assert_eq!(String::from_utf8_lossy(&self.read), "", "something was left");
        !self.more()
    }

    fn more(&mut self) -> bool {
        let mut buffer = [0; 16 << 10];
        match self.stream.read(&mut buffer) {
            Ok(0) => false,
            Ok(count) => {
                self.read.extend_from_slice(&buffer[..count]);
                true
            }
            Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => false,
            Err(error) => panic!("nothing came: {error}"),
        }
    }
}
