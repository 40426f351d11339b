//! The workbench of the reader's tests: hosts with scripts, a sink that takes notes, a reader at work.
#![allow(dead_code, reason = "each of the tests uses its part of it")]

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::ops::RangeInclusive;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread::JoinHandle;
use std::time::Duration;

use atrarium::clock::Clock;
use atrarium::fact::{Cursor, GapReason, Host};
#[cfg(feature = "server")]
use atrarium::ingest::reader::Tls;
use atrarium::ingest::reader::{Config, Pressure, Reader, Sink, Stop, Timeouts, WithoutCursor, Zstd};
use atrarium::syntax::Time;
use atrarium::telemetry::Reason;
use atrarium::wire::endpoint::{Ask, Endpoint};
use tungstenite::handshake::server::{Request, Response};
use tungstenite::protocol::frame::CloseFrame;
use tungstenite::protocol::frame::coding::CloseCode;
use tungstenite::{Message, WebSocket};

/// Longer than anything that a sound reader takes.
pub const PATIENCE: Duration = Duration::from_secs(20);

// --- a host

/// What a host does with one connection.
pub type Script = Box<dyn FnOnce(Guest) + Send>;

/// What a host reads and writes.
pub enum Stream {
    Plain(TcpStream),
    #[cfg(feature = "server")]
    Tls(Box<rustls::StreamOwned<rustls::ServerConnection, TcpStream>>),
}

impl Stream {
    fn socket(&self) -> &TcpStream {
        match self {
            Self::Plain(socket) => socket,
            #[cfg(feature = "server")]
            Self::Tls(stream) => stream.get_ref(),
        }
    }
}

impl Read for Stream {
    fn read(&mut self, into: &mut [u8]) -> std::io::Result<usize> {
        match self {
            Self::Plain(socket) => socket.read(into),
            #[cfg(feature = "server")]
            Self::Tls(stream) => stream.read(into),
        }
    }
}

impl Write for Stream {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        match self {
            Self::Plain(socket) => socket.write(bytes),
            #[cfg(feature = "server")]
            Self::Tls(stream) => stream.write(bytes),
        }
    }

    fn flush(&mut self) -> std::io::Result<()> {
        match self {
            Self::Plain(socket) => socket.flush(),
            #[cfg(feature = "server")]
            Self::Tls(stream) => stream.flush(),
        }
    }
}

/// One connection as its host sees it.
pub struct Guest {
    stream: Stream,
    asked: Sender<String>,
}

impl Guest {
    /// Agrees to the handshake, and tells the test what was asked for.
    pub fn accept(self) -> WebSocket<Stream> {
        let asked = self.asked;
        #[expect(clippy::result_large_err, reason = "the type is tungstenite's")]
        let note = move |request: &Request, response: Response| {
            let _test_is_over = asked.send(request.uri().to_string());
            Ok(response)
        };
        tungstenite::accept_hdr(self.stream, note).expect("the reader's request is sound")
    }

    /// The stream behind the request, and the answer that agrees to it.
    pub fn accept_by_hand(mut self) -> (Stream, String) {
        self.stream.socket().set_nodelay(true).expect("a socket");
        let request = self.request();
        let key = request.lines().find_map(|line| line.strip_prefix("Sec-WebSocket-Key: ")).expect("a key");
        let accept = tungstenite::handshake::derive_accept_key(key.as_bytes());
        let answer = format!(
            "HTTP/1.1 101 Ok\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: {accept}\r\n\r\n"
        );
        (self.stream, answer)
    }

    /// Reads the request, answers with these bytes, and hangs up.
    pub fn answer(mut self, bytes: &[u8]) {
        self.request();
        let _hung_up = self.stream.write_all(bytes);
    }

    /// Takes whatever comes first, answers with these bytes, and hangs up.
    pub fn answer_anything(mut self, bytes: &[u8]) {
        let _hung_up = self.stream.read(&mut [0; 16 << 10]).and_then(|_| self.stream.write_all(bytes));
    }

    /// Takes everything and says nothing.
    pub fn say_nothing(mut self) {
        let _until_hung_up = self.stream.read_to_end(&mut Vec::new());
    }

    fn request(&mut self) -> String {
        let mut request = Vec::new();
        let mut byte = [0];
        while !request.ends_with(b"\r\n\r\n") && self.stream.read_exact(&mut byte).is_ok() {
            request.push(byte[0]);
        }
        let request = String::from_utf8(request).expect("a request is text");
        let _test_is_over = self.asked.send(request.split(' ').nth(1).unwrap_or_default().to_owned());
        request
    }
}

/// A host: one connection at a time, each by the next script; what comes after the last is hung up.
pub struct Server {
    /// `ws://127.0.0.1:port`
    pub url: String,
    asked: Receiver<String>,
    stop: Arc<AtomicBool>,
    address: std::net::SocketAddr,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    pub fn new(scripts: Vec<Script>) -> Self {
        Self::on(TcpListener::bind("127.0.0.1:0").expect("a free port"), scripts)
    }

    pub fn on(listener: TcpListener, scripts: Vec<Script>) -> Self {
        Self::with(listener, scripts, "ws", |socket| Some(Stream::Plain(socket)))
    }

    /// Under TLS. A connection that breaks off in the handshake uses up no script.
    #[cfg(feature = "server")]
    pub fn tls(config: &Arc<rustls::ServerConfig>, scripts: Vec<Script>) -> Self {
        let config = Arc::clone(config);
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        Self::with(listener, scripts, "wss", move |socket| {
            let session = rustls::ServerConnection::new(Arc::clone(&config)).expect("a sound configuration");
            let mut stream = rustls::StreamOwned::new(session, socket);
            stream.conn.complete_io(&mut stream.sock).ok()?;
            Some(Stream::Tls(Box::new(stream)))
        })
    }

    #[expect(clippy::disallowed_methods, reason = "a host of a test")]
    fn with(
        listener: TcpListener,
        scripts: Vec<Script>,
        scheme: &str,
        open: impl Fn(TcpStream) -> Option<Stream> + Send + 'static,
    ) -> Self {
        let address = listener.local_addr().expect("it is bound");
        let (sender, asked) = mpsc::channel();
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let thread = std::thread::spawn(move || {
            let mut scripts = scripts.into_iter();
            while let Ok((stream, _)) = listener.accept() {
                if stopped.load(Ordering::Relaxed) {
                    return;
                }
                if let Some(stream) = open(stream)
                    && let Some(script) = scripts.next()
                {
                    script(Guest { stream, asked: sender.clone() });
                }
            }
        });
        Self { url: format!("{scheme}://{address}"), asked, stop, address, thread: Some(thread) }
    }

    /// The request target of the next connection.
    pub fn asked(&self) -> String {
        self.asked.recv_timeout(PATIENCE).expect("a connection")
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        let _wakes_accept = TcpStream::connect(self.address);
        if let Some(thread) = self.thread.take()
            && !std::thread::panicking()
        {
            thread.join().expect("the host's script holds");
        }
    }
}

pub fn script(run: impl FnOnce(Guest) + Send + 'static) -> Script {
    Box::new(run)
}

/// Sends these frames and keeps the connection.
pub fn sends(seqs: RangeInclusive<u64>) -> Script {
    script(move |guest| {
        let mut socket = guest.accept();
        send(&mut socket, seqs);
        keep(socket);
    })
}

/// Sends these frames and closes.
pub fn closes_after(seqs: RangeInclusive<u64>) -> Script {
    script(move |guest| {
        let mut socket = guest.accept();
        send(&mut socket, seqs);
        close(socket);
    })
}

/// Frames in one lump of [`pings_behind_lumps`], and how many lumps there are.
pub const LUMP: u64 = 3_000;
pub const LUMPS: u64 = 20;

/// Sends lumps of frames as fast as it can, a ping behind each, and goes on when the ping is answered.
pub fn pings_behind_lumps() -> Script {
    script(move |guest| {
        let mut socket = guest.accept();
        for lump in 0..LUMPS {
            send(&mut socket, lump * LUMP + 1..=(lump + 1) * LUMP);
            let ping = format!("lump {lump}");
            socket.send(Message::Ping(ping.clone().into())).expect("the reader reads");
            match socket.read().expect("the reader answers") {
                Message::Pong(pong) => assert_eq!(&pong[..], ping.as_bytes()),
                other => panic!("{other:?}"),
            }
        }
        keep(socket);
    })
}

/// Makes room bit by bit, as a sink does that catches up, until every lump has come. More than a lump is never there.
pub fn catch_up(work: &Work) {
    for room in (1..=LUMPS * LUMP).step_by(700) {
        work.room.store(room as usize, Ordering::Relaxed);
        work.stop.wake();
        work.until("the room is used", |notes| notes.seqs.len() as u64 >= room);
    }
    work.room.store(usize::MAX, Ordering::Relaxed);
    work.stop.wake();
    work.until_seq(LUMPS * LUMP);
    assert_eq!(work.new_seqs().len() as u64, LUMPS * LUMP);
    assert_eq!(work.notes().connected, 1, "{:?}", work.notes().lost);
}

pub fn frame(seq: u64) -> String {
    format!("{{\"seq\":{seq}}}")
}

pub fn send(socket: &mut WebSocket<Stream>, seqs: impl IntoIterator<Item = u64>) {
    for seq in seqs {
        // A reader that was asked to reconnect hangs up in the middle.
        let _hung_up = socket.send(Message::text(frame(seq)));
    }
}

pub fn close(mut socket: WebSocket<Stream>) {
    let _hung_up = socket.close(Some(CloseFrame { code: CloseCode::Restart, reason: "bye".into() }));
    keep(socket);
}

/// Keeps a connection until the reader hangs up, and gives what it sent. No data frame may be among it.
pub fn keep(mut socket: WebSocket<Stream>) -> Vec<Message> {
    let mut got = Vec::new();
    while let Ok(message) = socket.read() {
        assert!(!message.is_text() && !message.is_binary(), "a v2 host closes on a data frame: {message}");
        got.push(message);
    }
    got
}

// --- a sink

/// What the sink was told.
#[derive(Default)]
pub struct Notes {
    pub seqs: Vec<u64>,
    pub refused: Vec<Reason>,
    pub gaps: Vec<GapReason>,
    pub lost: Vec<String>,
    pub ticks: usize,
    pub connected: usize,
    /// Pauses that named another frame than the last one.
    pub wrong_pauses: usize,
    /// How many messages there were when nothing more came for the last time.
    pub idle_after: usize,
    resume: Option<Cursor>,
}

struct Desk {
    notes: Arc<Mutex<Notes>>,
    room: Arc<AtomicUsize>,
    special: Option<(u64, Pressure)>,
}

impl Desk {
    fn notes(&self) -> MutexGuard<'_, Notes> {
        self.notes.lock().expect("no thread panics with it")
    }
}

fn seq_of(frame: &[u8]) -> u64 {
    let text = std::str::from_utf8(frame).expect("only text arrives");
    text.trim_matches(|c: char| !c.is_ascii_digit()).parse().expect("the frames of this test")
}

/// The stream time of frame 0, in microseconds.
const TIME_0: i64 = 1_795_500_000_000_000;

impl Sink for Desk {
    fn frame(&mut self, frame: &[u8], endpoint: &Endpoint) -> Pressure {
        let seq = seq_of(frame);
        let host = Host::new(&endpoint.host_name());
        let time = Time::from_micros(TIME_0 + i64::try_from(seq).expect("a small number"));
        let mut notes = self.notes();
        notes.seqs.push(seq);
        notes.resume = Some(Cursor { host, dialect: endpoint.dialect(), value: seq, time });
        match self.special {
            Some((at, pressure)) if at == seq => pressure,
            _ if notes.seqs.len() >= self.room.load(Ordering::Relaxed) => Pressure::Full,
            _ => Pressure::Go,
        }
    }

    fn pause(&mut self, last: Option<&[u8]>) {
        let mut notes = self.notes();
        let Some(last) = last.map(seq_of) else { return };
        notes.wrong_pauses += usize::from(notes.seqs.last() != Some(&last));
    }

    fn idle(&mut self) {
        let mut notes = self.notes();
        notes.idle_after = notes.seqs.len();
    }

    fn tick(&mut self) {
        self.notes().ticks += 1;
    }

    fn ready(&mut self) -> bool {
        self.notes().seqs.len() < self.room.load(Ordering::Relaxed)
    }

    fn resume(&self) -> Option<Cursor> {
        self.notes().resume.clone()
    }

    fn refused(&mut self, reason: Reason) {
        self.notes().refused.push(reason);
    }

    fn gap(&mut self, _endpoint: &Endpoint, reason: GapReason) {
        self.notes().gaps.push(reason);
    }

    fn connected(&mut self, _endpoint: &Endpoint, _ask: &Ask) {
        self.notes().connected += 1;
    }

    fn disconnected(&mut self, _endpoint: &Endpoint, why: &str) {
        self.notes().lost.push(why.to_owned());
    }
}

// --- a reader at work

/// How a reader is to work.
pub struct Setup {
    pub timeouts: Timeouts,
    /// So many frames may be taken.
    pub room: usize,
    /// What is said to this frame.
    pub special: Option<(u64, Pressure)>,
    pub without_cursor: WithoutCursor,
    /// PEM of an authority of the test, for `wss://`.
    pub ca: Option<String>,
    pub zstd: Zstd,
}

/// Tries again soon; waits long.
pub fn setup() -> Setup {
    let timeouts = Timeouts {
        backoff_first: Duration::from_millis(5),
        backoff_max: Duration::from_millis(20),
        ..Timeouts::default()
    };
    Setup {
        timeouts,
        room: usize::MAX,
        special: None,
        without_cursor: WithoutCursor::Live,
        ca: None,
        zstd: Zstd::default(),
    }
}

impl Setup {
    #[expect(clippy::disallowed_methods, reason = "the reader's thread of a test")]
    pub fn read(self, urls: &[&str]) -> Work {
        let endpoints = urls.iter().map(|url| Endpoint::parse(url).expect("a sound URL")).collect();
        let mut config = Config::new(endpoints, self.without_cursor);
        config.timeouts = self.timeouts;
        config.zstd = self.zstd;
        #[cfg(feature = "server")]
        if urls.iter().any(|url| url.starts_with("wss")) {
            let tls = Tls::new(self.ca.as_ref().map(String::as_bytes), &Clock::real());
            config.tls = Some(tls.expect("a sound authority"));
        }
        let notes = Arc::new(Mutex::new(Notes::default()));
        let room = Arc::new(AtomicUsize::new(self.room));
        let clock = Clock::real();
        let desk = Desk { notes: Arc::clone(&notes), room: Arc::clone(&room), special: self.special };
        let rng = fastrand::Rng::with_seed(7);
        let reader = Reader::new(config, desk, clock.clone(), rng).expect("the system has a poll");
        let stop = reader.stop_handle();
        let (sender, done) = mpsc::channel();
        let thread = std::thread::spawn(move || {
            reader.run();
            let _test_is_over = sender.send(());
        });
        Work { stop, room, notes, clock, done, thread: Some(thread) }
    }
}

/// A reader on its own thread.
pub struct Work {
    pub stop: Stop,
    pub room: Arc<AtomicUsize>,
    notes: Arc<Mutex<Notes>>,
    clock: Clock,
    done: Receiver<()>,
    thread: Option<JoinHandle<()>>,
}

impl Work {
    pub fn notes(&self) -> MutexGuard<'_, Notes> {
        self.notes.lock().expect("no thread panics with it")
    }

    /// Waits until the notes say so.
    pub fn until(&self, what: &str, ready: impl Fn(&Notes) -> bool) {
        let end = self.clock.monotonic() + PATIENCE;
        while !ready(&self.notes()) {
            let (late, notes) = (self.clock.monotonic() >= end, self.notes());
            assert!(!late, "{what}: {:?} frames, lost: {:?}", notes.seqs.len(), notes.lost);
            drop(notes);
            pause(2);
        }
    }

    pub fn until_seq(&self, seq: u64) {
        self.until("the last frame", |notes| notes.seqs.last() == Some(&seq));
    }

    /// Waits for a frame, and that nothing more comes for now.
    pub fn until_idle_after(&self, seq: u64) {
        let is_over = |notes: &Notes| notes.seqs.last() == Some(&seq) && notes.idle_after == notes.seqs.len();
        self.until("the last frame, and that it is the last for now", is_over);
    }

    /// Every frame that came, without the ones that came again after a reconnect; they are in order.
    pub fn new_seqs(&self) -> Vec<u64> {
        let mut seqs = self.notes().seqs.clone();
        seqs.dedup();
        assert!(seqs.is_sorted(), "{seqs:?}");
        seqs
    }

    /// Stops it, and says how long that took.
    pub fn end(&mut self) -> Duration {
        let asked = self.clock.monotonic();
        self.stop.stop();
        self.done.recv_timeout(PATIENCE).expect("the reader stops");
        self.clock.monotonic() - asked
    }
}

impl Drop for Work {
    fn drop(&mut self) {
        self.stop.stop();
        if let Some(thread) = self.thread.take()
            && !std::thread::panicking()
        {
            thread.join().expect("the reader does not panic");
            assert_eq!(self.notes().wrong_pauses, 0, "a pause names the last frame");
        }
    }
}

/// Lets time pass.
pub fn pause(millis: u64) {
    let (_keep, never) = mpsc::channel::<()>();
    let _timeout = never.recv_timeout(Duration::from_millis(millis));
}
