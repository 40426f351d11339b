//! A socket that is watched: where in an exchange it stands, and since when.
//!
//! ```text
//!          first byte            head is whole            answer is made            all is written
//!  ┌► Idle ──────────► Head ──────────────────► Exchange ────────────► Answered ───────────────────┐
//!  └───────────────────────────────────────────────────────────────────────────────────────────────┘
//!    any of them ──── hyper shuts down ───► Closing
//! ```
//! In: hyper's reads and writes. Out: the same on the socket, and [`Watch::due`], the moment by which the present phase
//! must end. hyper has a timeout for heads alone, and none that tells a slow head from an idle connection. (Half a head
//! that was pipelined behind a whole request lies in hyper's buffer already: until more of it comes, it counts as idle.)
//!
//! Two more things happen here, because hyper gives no other place for them:
//! - hyper answers a head that it cannot parse by itself, without a body. Such an answer is the only thing that is ever
//!   written before a request is whole; it gets its JSON body here.
//! - A socket that is closed while the client still sends is reset, and the client may lose an answer that is on its way.
//!   So after an early answer, what still comes is discarded for a while.

use std::io::{self, IoSlice};
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use hyper::StatusCode;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

use super::connection::Handler;
use super::{Bounds, answer};

/// Where an exchange stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Phase {
    /// Between two requests.
    Idle,
    /// A request head is on its way.
    Head,
    /// The head is whole; the handler, or the request's body, is worked on.
    Exchange,
    /// The answer is made and not yet handed to the kernel.
    Answered,
    /// Our side is shut; what the client still sends is discarded.
    Closing,
}

/// What the socket, the service and the driver of one connection share. All three run in one task, so nothing is ever
/// contended; atomics only because the task must be `Send`.
#[derive(Debug)]
pub(super) struct Watch {
    phase: AtomicU8,
    /// When the phase began, in microseconds of the monotonic clock.
    since_micros: AtomicU64,
    /// Whether a line has ended since the head began: then its target is whole.
    target_read: AtomicBool,
    /// Whether the client may still be sending what nobody will read.
    unread: AtomicBool,
}

impl Watch {
    /// Of a connection that has just been accepted: its first head is due.
    pub(super) fn new(now: Duration) -> Self {
        let watch = Self {
            phase: AtomicU8::new(Phase::Head as u8),
            since_micros: AtomicU64::new(0),
            target_read: AtomicBool::new(false),
            unread: AtomicBool::new(false),
        };
        watch.enter(Phase::Head, now);
        watch
    }

    pub(super) fn enter(&self, phase: Phase, now: Duration) {
        self.phase.store(phase as u8, Ordering::Relaxed);
        self.since_micros.store(u64::try_from(now.as_micros()).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    /// The answer is made. The exchange goes on, and so does its time.
    pub(super) fn answered(&self) {
        self.phase.store(Phase::Answered as u8, Ordering::Relaxed);
    }

    /// Says whether the client may still be sending what nobody will read.
    pub(super) fn set_unread(&self, unread: bool) {
        self.unread.store(unread, Ordering::Relaxed);
    }

    /// When the present phase must have ended, on the monotonic clock.
    pub(super) fn due(&self, bounds: &Bounds) -> Duration {
        let bound = match self.phase() {
            Phase::Idle => bounds.idle,
            Phase::Head => bounds.head,
            Phase::Exchange | Phase::Answered => bounds.exchange,
            Phase::Closing => bounds.linger,
        };
        Duration::from_micros(self.since_micros.load(Ordering::Relaxed)).saturating_add(bound)
    }

    /// Whether nothing is owed to the client: a connection that ends here disappoints nobody.
    pub(super) fn is_idle(&self) -> bool {
        matches!(self.phase(), Phase::Idle | Phase::Closing)
    }

    fn phase(&self) -> Phase {
        const ALL: [Phase; 5] = [Phase::Idle, Phase::Head, Phase::Exchange, Phase::Answered, Phase::Closing];
        ALL[usize::from(self.phase.load(Ordering::Relaxed))]
    }
}

/// A socket with its [`Watch`].
pub(super) struct Watched<H> {
    stream: TcpStream,
    watch: Arc<Watch>,
    handler: Arc<H>,
    /// What is written in place of hyper's own answer, and how much of it is.
    refusal: Vec<u8>,
    refusal_written: usize,
}

impl<H: Handler> Watched<H> {
    pub(super) fn new(stream: TcpStream, watch: Arc<Watch>, handler: Arc<H>) -> Self {
        Self { stream, watch, handler, refusal: Vec::new(), refusal_written: 0 }
    }

    fn enter(&self, phase: Phase) {
        self.watch.enter(phase, self.handler.clock().monotonic());
    }

    /// Looks at what has come, where it belongs to a head.
    fn saw(&self, bytes: &[u8]) {
        let phase = self.watch.phase();
        if bytes.is_empty() || !matches!(phase, Phase::Idle | Phase::Head) {
            return;
        }
        if phase == Phase::Idle {
            self.watch.target_read.store(false, Ordering::Relaxed);
            self.enter(Phase::Head);
        }
        if memchr::memchr(b'\n', bytes).is_some() {
            self.watch.target_read.store(true, Ordering::Relaxed);
        }
    }

    /// Writes what is said instead of hyper's answer `theirs`; ready when all of it is written.
    fn poll_refuse(&mut self, context: &mut Context<'_>, theirs: &[u8]) -> Poll<io::Result<()>> {
        if self.refusal.is_empty() {
            let target_read = self.watch.target_read.load(Ordering::Relaxed);
            let (status, ours) = in_place_of(theirs, target_read);
            self.refusal = ours;
            self.refusal_written = 0;
            self.handler.answered(status);
            self.watch.set_unread(true);
        }
        while self.refusal_written < self.refusal.len() {
            let rest = &self.refusal[self.refusal_written..];
            match ready!(Pin::new(&mut self.stream).poll_write(context, rest))? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                written => self.refusal_written += written,
            }
        }
        self.refusal.clear();
        Poll::Ready(Ok(()))
    }

    /// Whether no request is being answered: what is written now is hyper's own word.
    fn is_before_a_request(&self) -> bool {
        matches!(self.watch.phase(), Phase::Idle | Phase::Head)
    }

    /// Reads and forgets, until the client has closed its side too.
    fn poll_discard(&mut self, context: &mut Context<'_>) -> Poll<()> {
        loop {
            let mut scratch = [MaybeUninit::uninit(); 4096];
            let mut buffer = ReadBuf::uninit(&mut scratch);
            match ready!(Pin::new(&mut self.stream).poll_read(context, &mut buffer)) {
                Ok(()) if !buffer.filled().is_empty() => {}
                _ => return Poll::Ready(()),
            }
        }
    }
}

/// Gives hyper's bodiless answer a body; and where the target is what was too large, the status that says so.
fn in_place_of(theirs: &[u8], target_read: bool) -> (StatusCode, Vec<u8>) {
    let head = String::from_utf8_lossy(theirs);
    let code = head.get(9..12).and_then(|code| code.parse().ok()).unwrap_or(StatusCode::BAD_REQUEST);
    let status = match code {
        StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE if !target_read => StatusCode::URI_TOO_LONG,
        status => status,
    };
    let Some((name, message)) = answer::refusal(status) else { return (status, theirs.to_vec()) };
    let body = answer::error_json(name, message);
    let mut ours = format!("HTTP/1.1 {status}\r\n");
    let kept = |line: &&str| !line.is_empty() && !line.to_ascii_lowercase().starts_with("content-length:");
    for line in head.split("\r\n").skip(1).filter(kept) {
        ours.push_str(line);
        ours.push_str("\r\n");
    }
    ours.push_str(&format!("content-type: application/json\r\ncontent-length: {}\r\n\r\n", body.len()));
    (status, [ours.into_bytes(), body].concat())
}

impl<H: Handler> AsyncRead for Watched<H> {
    fn poll_read(self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let before = buffer.filled().len();
        ready!(Pin::new(&mut this.stream).poll_read(context, buffer))?;
        this.saw(&buffer.filled()[before..]);
        Poll::Ready(Ok(()))
    }
}

impl<H: Handler> AsyncWrite for Watched<H> {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        if this.is_before_a_request() {
            ready!(this.poll_refuse(context, bytes))?;
            return Poll::Ready(Ok(bytes.len()));
        }
        Pin::new(&mut this.stream).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        if this.is_before_a_request() {
            let theirs: Vec<u8> = slices.iter().flat_map(|slice| slice.iter().copied()).collect();
            ready!(this.poll_refuse(context, &theirs))?;
            return Poll::Ready(Ok(theirs.len()));
        }
        Pin::new(&mut this.stream).poll_write_vectored(context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    /// hyper flushes when it has handed over all that it holds.
    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        ready!(Pin::new(&mut this.stream).poll_flush(context))?;
        if this.watch.phase() == Phase::Answered {
            this.enter(Phase::Idle);
        }
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.watch.phase() != Phase::Closing {
            ready!(Pin::new(&mut this.stream).poll_shutdown(context))?;
            this.enter(Phase::Closing);
        }
        if this.watch.unread.load(Ordering::Relaxed) {
            ready!(this.poll_discard(context));
        }
        Poll::Ready(Ok(()))
    }
}
