//! One connection: hyper between a watched socket and a handler.
//!
//! In: an accepted socket. Out: nothing; it ends when the client closes, when a phase lasts too long, or when the listener
//! stops (a request in flight is finished first).

use std::convert::Infallible;
use std::future::{Future, poll_fn};
use std::net::IpAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use hyper::body::{Body, Incoming};
use hyper::http::request::Parts;
use hyper::server::conn::http1;
use hyper::service::Service;
use hyper::{Request, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

use super::answer::{Answer, invalid_request, refuse};
use super::rate::Arrival;
use super::watched::{Phase, Watch, Watched};
use super::{Bounds, Stop};
use crate::clock::Clock;
use crate::limits;
use crate::telemetry::Telemetry;

/// What stands behind a listener.
pub(super) trait Handler: Send + Sync + Sized + 'static {
    /// Answers a request whose head is within the bounds of [`limits`], or asks for its body first.
    fn answer(&self, head: &Parts, arrival: Arrival) -> Reply<Self>;
    /// Told of every answer's status, also of those that were made without the handler.
    fn answered(&self, status: StatusCode);
    /// How long clients are waited for.
    fn bounds(&self) -> &Bounds;
    /// For its monotonic time.
    fn clock(&self) -> &Clock;
    /// For connections that were refused or cut.
    fn telemetry(&self) -> &Telemetry;
}

/// What a handler says to a request.
pub(super) enum Reply<H> {
    /// The answer. The body, where there is one, is not read.
    Now(Answer),
    /// The answer depends on the body, which is read first, up to [`limits::HTTP_BODY_BYTES_MAX`].
    WithBody(MakeAnswer<H>),
    /// The answer comes from another thread, within the bound of an exchange. The body is not read.
    Later(Pin<Box<dyn Future<Output = Answer> + Send>>),
}

/// Answers a request whose body has come.
pub(super) type MakeAnswer<H> = Box<dyn FnOnce(&H, &[u8]) -> Answer + Send>;

/// Serves one connection to its end. Whether it was cut, though something was owed to the client, is counted.
pub(super) async fn drive<H: Handler>((stream, peer): (TcpStream, IpAddr), handler: Arc<H>, stop: Stop) {
    let watch = Arc::new(Watch::new(handler.clock().monotonic()));
    let socket = Watched::new(stream, Arc::clone(&watch), Arc::clone(&handler));
    let exchange = Exchange { handler: Arc::clone(&handler), watch: Arc::clone(&watch), peer };
    let mut connection = pin!(http().serve_connection(TokioIo::new(socket), exchange));
    let mut stopped = pin!(stop.requested());
    let mut stopping = false;
    let mut alarm = pin!(tokio::time::sleep(Duration::ZERO));
    // When the alarm rings, on our own clock. It is set anew only for an earlier moment: a phase that ends in time, as
    // nearly all do, costs no timer.
    let mut rings_at = Duration::MAX;
    let cut = poll_fn(|context| {
        if !stopping && stopped.as_mut().poll(context).is_ready() {
            stopping = true;
            connection.as_mut().graceful_shutdown();
        }
        if connection.as_mut().poll(context).is_ready() {
            return Poll::Ready(false);
        }
        loop {
            let (now, due) = (handler.clock().monotonic(), watch.due(handler.bounds()));
            if due <= now {
                return Poll::Ready(!watch.is_idle());
            }
            if due < rings_at {
                alarm.set(tokio::time::sleep(due - now));
                rings_at = due;
            }
            if alarm.as_mut().poll(context).is_pending() {
                return Poll::Pending;
            }
            rings_at = Duration::MAX;
        }
    });
    if cut.await {
        handler.telemetry().connections_timed_out.increment();
    }
}

/// hyper's settings. Its own timeout is off: [`Watched`] tells an idle connection from a slow head. A client that has
/// shut its sending side after the request still wants the answer. Head and body go out as one piece: copying a page costs less
/// than the kernel's work on two pieces (4 % of all that a skeleton costs, alternating runs).
fn http() -> http1::Builder {
    let mut builder = http1::Builder::new();
    builder
        .header_read_timeout(None)
        .half_close(true)
        .writev(false)
        .max_buf_size(limits::HTTP_HEAD_BYTES_MAX)
        .max_headers(limits::HTTP_HEADERS_MAX);
    builder
}

/// Turns requests into answers.
struct Exchange<H> {
    handler: Arc<H>,
    watch: Arc<Watch>,
    peer: IpAddr,
}

impl<H: Handler> Service<Request<Incoming>> for Exchange<H> {
    type Response = Answer;
    type Error = Infallible;
    type Future = Answering;

    fn call(&self, request: Request<Incoming>) -> Answering {
        let at = self.handler.clock().monotonic();
        self.watch.enter(Phase::Exchange, at);
        let arrival = Arrival { peer: self.peer, at };
        let (head, body) = request.into_parts();
        let reply = too_large(&head).map_or_else(|| self.handler.answer(&head, arrival), Reply::Now);
        match reply {
            Reply::Now(answer) => {
                self.watch.set_unread(!body.is_end_stream());
                self.answered(&answer);
                Answering::Now(Some(answer))
            }
            Reply::WithBody(answer) => Answering::Later(Box::pin(self.again().read_and_answer(body, answer))),
            Reply::Later(answer) => {
                self.watch.set_unread(!body.is_end_stream());
                let this = self.again();
                Answering::Later(Box::pin(async move {
                    let answer = answer.await;
                    this.answered(&answer);
                    answer
                }))
            }
        }
    }
}

impl<H: Handler> Exchange<H> {
    /// The same exchange, for a future that outlives this call.
    fn again(&self) -> Self {
        Self { handler: Arc::clone(&self.handler), watch: Arc::clone(&self.watch), peer: self.peer }
    }

    async fn read_and_answer(self, body: Incoming, make: MakeAnswer<H>) -> Answer {
        // Where the length is announced, a body that is too large is refused before any of it is asked for.
        let answer = if body.size_hint().lower() > limits::HTTP_BODY_BYTES_MAX as u64 {
            Err(refuse(StatusCode::PAYLOAD_TOO_LARGE))
        } else {
            read(body).await.map(|bytes| make(&self.handler, &bytes))
        };
        self.watch.set_unread(answer.is_err());
        let answer = answer.unwrap_or_else(|refused| refused);
        self.answered(&answer);
        answer
    }

    fn answered(&self, answer: &Answer) {
        self.handler.answered(answer.status());
        self.watch.answered();
    }
}

async fn read(body: Incoming) -> Result<Bytes, Answer> {
    match Limited::new(body, limits::HTTP_BODY_BYTES_MAX).collect().await {
        Ok(whole) => Ok(whole.to_bytes()),
        Err(error) if error.is::<LengthLimitError>() => Err(refuse(StatusCode::PAYLOAD_TOO_LARGE)),
        Err(_) => Err(invalid_request("the body ended early: send all of what content-length announces")),
    }
}

/// The refusal of a head that is beyond its bounds, though hyper has read it.
fn too_large(head: &Parts) -> Option<Answer> {
    let target = head.uri.path_and_query().map_or(0, |target| target.as_str().len());
    if target > limits::HTTP_TARGET_BYTES_MAX {
        return Some(refuse(StatusCode::URI_TOO_LONG));
    }
    let around = ": \r\n".len();
    let headers: usize = head.headers.iter().map(|(name, value)| name.as_str().len() + value.len() + around).sum();
    (headers > limits::HTTP_HEADER_BYTES_MAX).then(|| refuse(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE))
}

/// An answer, or the wait for a body. What needs no body, which is nearly everything, needs no allocation either.
enum Answering {
    Now(Option<Answer>),
    Later(Pin<Box<dyn Future<Output = Answer> + Send>>),
}

impl Future for Answering {
    type Output = Result<Answer, Infallible>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        match self.get_mut() {
            Self::Now(answer) => answer.take().map_or(Poll::Pending, |answer| Poll::Ready(Ok(answer))),
            Self::Later(future) => future.as_mut().poll(context).map(Ok),
        }
    }
}
