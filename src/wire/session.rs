//! One websocket connection, without a socket: bytes in, messages and bytes out.
//!
//! ```text
//! recv ─► space()  received(n) ─┬─ a whole message in one plain frame ─► UTF-8 ─┬─► next() ─► Event
//!                               └─ anything else ─► gate ─► tungstenite ────────┘
//! send ◄─ output() sent(n)     ◄────────── handshake, pong, ping, close
//! ```
//!
//! Nearly every message comes in one frame that has nothing special about it, whole in the receive buffer: it is handed out
//! where it lies. The handshake, fragments, control frames, the closing handshake, whatever is longer than the buffer and
//! whatever breaks RFC 6455 are tungstenite's, and every check with them. Its stream is two buffers in memory, and it sees
//! one frame at a time, so it stands between two frames whenever the next one is looked at. [`Session::without_shortcut`]
//! gives everything to tungstenite: a fuzz target holds the two against each other.
//!
//! What always holds:
//! - No data frame is ever sent: a v2 host closes on the first one. Pings, pongs and close are all that goes out.
//! - A message above [`FRAME_BYTES_MAX`] is told as [`Event::Refused`] and skipped, and
//!   so is a text that is not UTF-8; the connection goes on. RFC 6455 §8.1 would have the connection failed for the
//!   latter; but the same text would come again after each reconnect, and the stream would stand still.
//! - After an error or [`Event::Closed`] nothing more comes out.

mod gate;

use std::borrow::Cow;
use std::io::{self, Read, Write};
use std::ops::Range;

use bytes::Bytes;
use tungstenite::client::IntoClientRequest;
use tungstenite::handshake::MidHandshake;
use tungstenite::protocol::frame::coding::CloseCode;
use tungstenite::protocol::{CloseFrame, Role, WebSocketConfig};
use tungstenite::{ClientHandshake, HandshakeError, Message, Utf8Bytes, WebSocket};

use self::gate::{Alone, Front, Gate, Step};
use crate::limits::{FRAME_BYTES_MAX, RECEIVE_BUFFER_BYTES, UPGRADE_BYTES_MAX};
use crate::syntax::scan::is_ascii;
use crate::telemetry::Reason;

/// What comes out of a session. A message lies in the session's buffers: copy what is to be kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event<'a> {
    /// The handshake is done.
    Open,
    /// A text message: UTF-8, that was checked.
    Text(Cow<'a, [u8]>),
    /// A binary message.
    Binary(Cow<'a, [u8]>),
    /// A message was skipped: it was too large, or its text is not UTF-8.
    Refused(Reason),
    /// The host has closed. What [`Session::output`] holds is the answer to that.
    Closed {
        /// The status code; 1005 where none was given.
        code: u16,
        /// What the host says about it; may be empty.
        reason: String,
    },
}

impl Event<'_> {
    /// The same, for as long as one likes.
    pub fn into_owned(self) -> Event<'static> {
        match self {
            Self::Open => Event::Open,
            Self::Text(text) => Event::Text(Cow::Owned(text.into_owned())),
            Self::Binary(bytes) => Event::Binary(Cow::Owned(bytes.into_owned())),
            Self::Refused(reason) => Event::Refused(reason),
            Self::Closed { code, reason } => Event::Closed { code, reason },
        }
    }
}

/// Text messages, one behind the other, where they lie. (`input[*start..]` is still there.)
#[derive(Debug)]
pub struct Run<'a> {
    input: &'a [u8],
    start: &'a mut usize,
    begin: usize,
    last: &'a mut Place,
    count: u64,
}

impl<'a> Run<'a> {
    /// All bytes from the first message of the run on, with the heads in between, and whatever follows.
    pub fn bytes(&self) -> &'a [u8] {
        &self.input[self.begin..]
    }

    /// So many of [`Run::bytes`] were taken.
    #[inline]
    pub fn taken(&self) -> usize {
        *self.start - self.begin
    }

    /// So many messages were taken.
    pub fn messages(&self) -> u64 {
        self.count
    }
}

impl<'a> Iterator for Run<'a> {
    type Item = &'a [u8];

    #[inline]
    fn next(&mut self) -> Option<&'a [u8]> {
        let Front::Whole { text: true, payload } = gate::front(&self.input[*self.start..]) else { return None };
        let payload = *self.start + payload.start..*self.start + payload.end;
        let text = &self.input[payload.clone()];
        // What is no UTF-8 is told, and counted, by `Session::next`.
        is_text(text).then_some(())?;
        *self.start = payload.end;
        *self.last = Place::Here(payload);
        self.count += 1;
        Some(text)
    }
}

/// Why a session is over.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SessionError {
    /// The URL cannot be put into a request.
    #[error("the request cannot be made: {0}")]
    Request(String),
    /// What answers is no HTTP server.
    #[error("what answers does not speak HTTP (it begins with {0:?}): check host and port")]
    NotHttp(String),
    /// An HTTP answer other than the upgrade.
    #[error("{refusal}")]
    Refused {
        /// What it says.
        refusal: Refusal,
    },
    /// The answer to the handshake is wrong.
    #[error("the websocket handshake failed: {0}")]
    Handshake(String),
    /// The host broke the websocket protocol after the handshake.
    #[error("the host broke the websocket protocol: {0}")]
    Protocol(String),
    /// The host hung up without a closing handshake.
    #[error("the host hung up without closing")]
    HungUp,
}

/// An HTTP answer other than the upgrade.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The HTTP status, such as 400 or 503.
    pub status: u16,
    /// `error` of a JSON body, such as `CursorTooOld`.
    pub error: Option<String>,
    /// `message` of a JSON body, or the beginning of one that is not JSON.
    pub message: String,
}

impl std::fmt::Display for Refusal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "the host answered {}", self.status)?;
        if let Some(error) = &self.error {
            write!(f, " {error}")?;
        }
        if !self.message.is_empty() {
            write!(f, ": {}", self.message)?;
        }
        Ok(())
    }
}

/// A client's side of one websocket connection.
#[derive(Debug)]
pub struct Session {
    phase: Phase,
    shortcut: bool,
    /// Where the last message lies.
    last: Place,
}

/// Where a message lies.
#[derive(Debug)]
enum Place {
    /// In the receive buffer.
    Here(Range<usize>),
    /// In a block of tungstenite's.
    Held(Bytes),
}

/// An [`Event`] whose message is [`Session::last`].
enum Found {
    Text,
    Binary,
    Other(Event<'static>),
}

#[derive(Debug)]
enum Phase {
    Handshake(MidHandshake<ClientHandshake<Wire>>),
    /// The head of an answer was read that is no upgrade; its body explains it.
    Refused {
        status: u16,
        length: Option<usize>,
        wire: Wire,
    },
    Open {
        socket: WebSocket<Wire>,
        gate: Gate,
        /// tungstenite may have something to say to what has passed.
        passed: bool,
    },
    /// Over: said or failed. What is left to send stays.
    Over(Wire),
}

impl Session {
    /// Begins a session: the request is in [`Session::output`].
    ///
    /// # Errors
    /// The URL is not one of a websocket.
    pub fn connect(url: &str) -> Result<Self, SessionError> {
        let fail = |error: tungstenite::Error| SessionError::Request(error.to_string());
        let request = url.into_client_request().map_err(fail)?;
        let start = ClientHandshake::start(Wire::new(), request, Some(config())).map_err(fail)?;
        match start.handshake() {
            Err(HandshakeError::Interrupted(mid)) => {
                Ok(Self { phase: Phase::Handshake(mid), shortcut: true, last: Place::Held(Bytes::new()) })
            }
            Err(HandshakeError::Failure(error)) => Err(fail(error)),
            Ok(_) => unreachable!("nothing was received, so nothing can have been agreed"),
        }
    }

    /// The same session, by tungstenite alone: the reference.
    #[must_use]
    pub fn without_shortcut(mut self) -> Self {
        self.shortcut = false;
        self
    }

    /// Where the next bytes from the network go; empty only if nobody calls [`Session::next`].
    pub fn space(&mut self) -> &mut [u8] {
        self.last = Place::Held(Bytes::new());
        self.wire_mut().space()
    }

    /// Says that `count` bytes of [`Session::space`] were filled.
    pub fn received(&mut self, count: usize) {
        let wire = self.wire_mut();
        wire.end = (wire.end + count).min(wire.input.len());
    }

    /// What waits to be sent.
    pub fn output(&self) -> &[u8] {
        &self.wire().output
    }

    /// Says that `count` bytes of [`Session::output`] were sent.
    pub fn sent(&mut self, count: usize) {
        let output = &mut self.wire_mut().output;
        output.drain(..count.min(output.len()));
    }

    /// Puts a ping into the output, once the session is open.
    pub fn ping(&mut self) {
        if let Phase::Open { socket, .. } = &mut self.phase {
            // It can only fail once the connection is closing, and then no ping is needed.
            let _closing = socket.send(Message::Ping(Bytes::new()));
        }
    }

    /// Puts a close frame into the output, once the session is open; nothing is read any more.
    pub fn close(&mut self) {
        if let Phase::Open { socket, .. } = &mut self.phase {
            let frame = CloseFrame { code: CloseCode::Away, reason: Utf8Bytes::from_static("") };
            let _closed_already = socket.close(Some(frame));
        }
        self.finish();
    }

    /// The next thing that the received bytes say; `None` when more bytes are needed.
    ///
    /// # Errors
    /// The session is over.
    #[expect(clippy::should_implement_trait, reason = "it can go on after None, and lends what it gives")]
    #[inline]
    pub fn next(&mut self) -> Result<Option<Event<'_>>, SessionError> {
        Ok(self.find()?.map(|found| match found {
            Found::Text => Event::Text(Cow::Borrowed(self.last())),
            Found::Binary => Event::Binary(Cow::Borrowed(self.last())),
            Found::Other(event) => event,
        }))
    }

    /// The text messages in front of what was received, as far as they lie there whole and plain; `None` where there is none, or
    /// tungstenite is at work. What is not taken of them comes with [`Session::next`].
    #[inline]
    pub fn run(&mut self) -> Option<Run<'_>> {
        let Phase::Open { socket, gate, passed: false } = &mut self.phase else { return None };
        if !self.shortcut || !gate.is_between() {
            return None;
        }
        let Wire { input, start, end, .. } = socket.get_mut();
        let begin = *start;
        Some(Run { input: &input[..*end], start, begin, last: &mut self.last, count: 0 })
    }

    /// The message that [`Session::next`] gave last, until [`Session::space`] is asked for.
    #[inline]
    pub fn last(&self) -> &[u8] {
        match &self.last {
            Place::Here(range) => self.wire().input.get(range.clone()).unwrap_or_default(),
            Place::Held(bytes) => bytes,
        }
    }

    fn find(&mut self) -> Result<Option<Found>, SessionError> {
        let result = match &mut self.phase {
            Phase::Handshake(_) => self.shake_hands(),
            Phase::Refused { .. } => self.read_refusal(false).map_or(Ok(None), Err),
            Phase::Open { .. } => self.read_message(),
            Phase::Over(wire) => {
                wire.start = wire.end;
                Ok(None)
            }
        };
        if matches!(result, Err(_) | Ok(Some(Found::Other(Event::Closed { .. })))) {
            self.finish();
        }
        result
    }

    /// The network has nothing more: why the session is over. Ask [`Session::next`] first for what is still in it.
    pub fn end(&mut self) -> SessionError {
        let error = match &self.phase {
            Phase::Refused { .. } => self.read_refusal(true).unwrap_or(SessionError::HungUp),
            _ => SessionError::HungUp,
        };
        self.finish();
        error
    }

    fn shake_hands(&mut self) -> Result<Option<Found>, SessionError> {
        let wire = self.wire_mut();
        match head_length(wire.unread())? {
            None => return Ok(None),
            Some(length) => wire.allowed = length,
        }
        let head = Head::read(wire.unread());
        let Phase::Handshake(mid) = std::mem::replace(&mut self.phase, Phase::Over(Wire::default())) else {
            unreachable!("only called in this phase");
        };
        let mut wire = match mid.handshake() {
            // tungstenite does not look for it (RFC 6455 §4.1): what follows could not be read.
            Ok(_) if head.has_extension => {
                return Err(SessionError::Handshake("the host uses an extension that was not asked for".into()));
            }
            Ok((socket, _response)) => {
                self.phase = Phase::Open { socket, gate: Gate::default(), passed: false };
                return Ok(Some(Found::Other(Event::Open)));
            }
            Err(HandshakeError::Interrupted(_)) => {
                return Err(SessionError::Handshake("the answer is cut short".into()));
            }
            Err(HandshakeError::Failure(tungstenite::Error::Http(_))) => Wire::default(),
            Err(HandshakeError::Failure(error)) => return Err(SessionError::Handshake(error.to_string())),
        };
        // tungstenite has dropped its stream with the error: the body was kept aside.
        wire.keep(&head.rest);
        self.phase = Phase::Refused { status: head.status, length: head.content_length, wire };
        self.read_refusal(false).map_or(Ok(None), Err)
    }

    /// The refusal, once its body is there, or `ended`, or it is as long as we care to read.
    fn read_refusal(&mut self, ended: bool) -> Option<SessionError> {
        let Phase::Refused { status, length, wire } = &self.phase else { return None };
        let body = wire.unread();
        let most = length.unwrap_or(UPGRADE_BYTES_MAX).min(UPGRADE_BYTES_MAX);
        let parsed = refusal_of(*status, &body[..body.len().min(most)]);
        let complete = body.len() >= most || parsed.error.is_some();
        (ended || complete).then_some(SessionError::Refused { refusal: parsed })
    }

    fn read_message(&mut self) -> Result<Option<Found>, SessionError> {
        loop {
            let Phase::Open { socket, gate, passed } = &mut self.phase else { return Ok(None) };
            if *passed {
                if let Some(found) = self.read_passed()? {
                    return Ok(Some(found));
                }
                continue;
            }
            if self.shortcut && gate.is_between() {
                let wire = socket.get_mut();
                match gate::front(wire.unread()) {
                    Front::Whole { text, payload } => {
                        let payload = wire.start + payload.start..wire.start + payload.end;
                        wire.start = payload.end;
                        if text && !is_text(&wire.input[payload.clone()]) {
                            return Ok(Some(Found::Other(Event::Refused(Reason::Garbage))));
                        }
                        self.last = Place::Here(payload);
                        return Ok(Some(if text { Found::Text } else { Found::Binary }));
                    }
                    Front::Wait => return Ok(None),
                    Front::Special => {}
                }
            }
            match gate.step(socket.get_ref().unread()) {
                Step::Wait => return Ok(None),
                Step::Pass(count) => {
                    socket.get_mut().allowed = count;
                    *passed = true;
                }
                Step::Drop(count) => socket.get_mut().start += count,
                Step::Refuse => {
                    self.forget_message();
                    return Ok(Some(Found::Other(Event::Refused(Reason::TooLarge))));
                }
                Step::Violation => return Err(unfinished()),
            }
        }
    }

    /// What tungstenite says of the bytes that have passed; `None` once it has taken them all.
    fn read_passed(&mut self) -> Result<Option<Found>, SessionError> {
        let Phase::Open { socket, gate, passed } = &mut self.phase else { return Ok(None) };
        loop {
            match socket.read() {
                Ok(Message::Text(text)) => {
                    self.last = Place::Held(text.into());
                    return Ok(Some(Found::Text));
                }
                Ok(Message::Binary(bytes)) => {
                    self.last = Place::Held(bytes);
                    return Ok(Some(Found::Binary));
                }
                Ok(Message::Close(frame)) => {
                    let _sent = socket.flush();
                    let (code, reason) = frame.map_or((1005, String::new()), |f| (f.code.into(), f.reason.to_string()));
                    return Ok(Some(Found::Other(Event::Closed { code, reason })));
                }
                Ok(Message::Ping(_) | Message::Pong(_) | Message::Frame(_)) => {}
                Err(tungstenite::Error::Io(error)) if error.kind() == io::ErrorKind::WouldBlock => {
                    *passed = false;
                    return Ok(None);
                }
                Err(tungstenite::Error::Utf8(_)) if gate.alone() != Some(Alone::Close) => {
                    if let Some(Alone::Fragment { .. }) = gate.alone() {
                        gate.refuse_rest();
                        self.forget_message();
                    }
                    return Ok(Some(Found::Other(Event::Refused(Reason::Garbage))));
                }
                Err(error) => return Err(SessionError::Protocol(error.to_string())),
            }
        }
    }

    /// Makes tungstenite forget a message of which it holds a part. It stands between two frames, so a new one can go on
    /// where the old one stood.
    fn forget_message(&mut self) {
        match std::mem::replace(&mut self.phase, Phase::Over(Wire::default())) {
            Phase::Open { socket, gate, .. } => {
                let socket = WebSocket::from_raw_socket(socket.into_inner(), Role::Client, Some(config()));
                self.phase = Phase::Open { socket, gate, passed: false };
            }
            other => self.phase = other,
        }
    }

    fn finish(&mut self) {
        self.phase = match std::mem::replace(&mut self.phase, Phase::Over(Wire::default())) {
            Phase::Open { socket, .. } => Phase::Over(socket.into_inner()),
            Phase::Refused { wire, .. } | Phase::Over(wire) => Phase::Over(wire),
            Phase::Handshake(_) => Phase::Over(Wire::default()),
        };
    }

    fn wire(&self) -> &Wire {
        match &self.phase {
            Phase::Handshake(mid) => mid.get_ref().get_ref(),
            Phase::Open { socket, .. } => socket.get_ref(),
            Phase::Refused { wire, .. } | Phase::Over(wire) => wire,
        }
    }

    fn wire_mut(&mut self) -> &mut Wire {
        match &mut self.phase {
            Phase::Handshake(mid) => mid.get_mut().get_mut(),
            Phase::Open { socket, .. } => socket.get_mut(),
            Phase::Refused { wire, .. } | Phase::Over(wire) => wire,
        }
    }
}

/// UTF-8. Nineteen of twenty messages are ASCII, which is seen in half the time.
#[inline]
fn is_text(bytes: &[u8]) -> bool {
    is_ascii(bytes) || simdutf8::basic::from_utf8(bytes).is_ok()
}

fn unfinished() -> SessionError {
    SessionError::Protocol("a message began before the one before it was finished".into())
}

/// The bytes that tungstenite takes at once: it clears as much for every read, and hands out slices of such blocks.
const BLOCK_BYTES: usize = 64 << 10;

fn config() -> WebSocketConfig {
    WebSocketConfig::default()
        .read_buffer_size(BLOCK_BYTES)
        .write_buffer_size(0)
        .max_message_size(Some(FRAME_BYTES_MAX))
        .max_frame_size(Some(FRAME_BYTES_MAX))
}

/// The stream that tungstenite reads and writes: what was received, as far as it may pass, and what is to be sent.
#[derive(Debug, Default)]
struct Wire {
    /// `input[start..end]` was received and not taken yet; 0 ≤ allowed ≤ end − start.
    input: Box<[u8]>,
    start: usize,
    end: usize,
    /// So many bytes from `start` may be read.
    allowed: usize,
    output: Vec<u8>,
}

impl Wire {
    fn new() -> Self {
        Self { input: vec![0; RECEIVE_BUFFER_BYTES].into(), ..Self::default() }
    }

    fn unread(&self) -> &[u8] {
        &self.input[self.start..self.end]
    }

    fn space(&mut self) -> &mut [u8] {
        if self.input.is_empty() {
            *self = Self { output: std::mem::take(&mut self.output), ..Self::new() };
        }
        self.input.copy_within(self.start..self.end, 0);
        self.end -= self.start;
        self.start = 0;
        &mut self.input[self.end..]
    }

    /// Takes `bytes` as if they had just been received.
    fn keep(&mut self, bytes: &[u8]) {
        let space = self.space();
        let count = bytes.len().min(space.len());
        space[..count].copy_from_slice(&bytes[..count]);
        self.end += count;
    }
}

impl Read for Wire {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let count = self.allowed.min(into.len());
        if count == 0 {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        into[..count].copy_from_slice(&self.input[self.start..self.start + count]);
        self.start += count;
        self.allowed -= count;
        Ok(count)
    }
}

impl Write for Wire {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.output.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The length of the head of an HTTP answer, once it is there. tungstenite gets it in one piece: it takes a head that
/// comes in many small ones for an attack.
fn head_length(input: &[u8]) -> Result<Option<usize>, SessionError> {
    const BEGINS: &[u8] = b"HTTP/";
    let seen = input.len().min(BEGINS.len());
    if input[..seen] != BEGINS[..seen] {
        let shown = &input[..input.len().min(32)];
        return Err(SessionError::NotHttp(String::from_utf8_lossy(shown).into_owned()));
    }
    match memchr::memmem::find(&input[..input.len().min(UPGRADE_BYTES_MAX)], b"\r\n\r\n") {
        Some(at) => Ok(Some(at + 4)),
        None if input.len() >= UPGRADE_BYTES_MAX => {
            Err(SessionError::Handshake(format!("the head of the answer is longer than {UPGRADE_BYTES_MAX} bytes")))
        }
        None => Ok(None),
    }
}

/// What we need of an HTTP answer besides what tungstenite checks.
struct Head {
    status: u16,
    content_length: Option<usize>,
    /// None is ever asked for.
    has_extension: bool,
    /// What was received of the body.
    rest: Vec<u8>,
}

impl Head {
    fn read(input: &[u8]) -> Self {
        let end = memchr::memmem::find(input, b"\r\n\r\n").map_or(input.len(), |at| at + 4);
        let text = String::from_utf8_lossy(&input[..end]);
        let status = text.split_ascii_whitespace().nth(1).and_then(|status| status.parse().ok()).unwrap_or(0);
        let field = |wanted: &str| {
            let mut named = text.lines().filter_map(|line| line.split_once(':'));
            named.find(|(name, _)| name.eq_ignore_ascii_case(wanted)).map(|(_, value)| value.trim())
        };
        let content_length = field("content-length").and_then(|value| value.parse().ok());
        let has_extension = field("sec-websocket-extensions").is_some_and(|value| !value.is_empty());
        let rest = if status == 101 { Vec::new() } else { input[end..].to_vec() };
        Self { status, content_length, has_extension, rest }
    }
}

/// What a body says. A chunked one is not taken apart: its JSON begins at the first brace. More of the body does not change
/// what was understood of its beginning.
pub(super) fn refusal_of(status: u16, body: &[u8]) -> Refusal {
    #[derive(serde::Deserialize)]
    struct Body {
        error: String,
        #[serde(default)]
        message: String,
    }
    let json = memchr::memchr(b'{', body)
        .and_then(|from| serde_json::Deserializer::from_slice(&body[from..]).into_iter::<Body>().next()?.ok());
    match json {
        Some(Body { error, message }) => Refusal { status, error: Some(error), message: shown(&message) },
        None => Refusal { status, error: None, message: shown(&String::from_utf8_lossy(body)) },
    }
}

/// The beginning of a foreign text, fit for one line of a log.
fn shown(text: &str) -> String {
    text.trim().chars().map(|c| if c.is_control() { ' ' } else { c }).take(300).collect()
}

#[cfg(test)]
mod tests;
