//! A listener's thread: accepts until it is told to stop, then lets the requests in flight end.
//!
//! In: a socket, what answers on it, and a [`Stop`]. Out: the function returns when the last connection has ended, within
//! [`Bounds::stop`](super::Bounds::stop). Each call has a runtime of its own on the thread that calls it.

use std::io;
use std::net::{IpAddr, TcpListener as StdListener};
use std::sync::Arc;
use std::time::Duration;

use hyper::StatusCode;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};

use super::connection::{Handler, drive};
use super::{Admin, AdminSocket, Feeds, HttpSocket, Site, answer};
use crate::limits;

/// Tells listeners to stop. Clones are the same button; any thread may press it.
#[derive(Clone, Debug)]
pub struct Stop(watch::Sender<bool>);

impl Default for Stop {
    fn default() -> Self {
        Self::new()
    }
}

impl Stop {
    /// One that has not been pressed.
    pub fn new() -> Self {
        Self(watch::Sender::new(false))
    }

    /// Tells all listeners that hold a clone to stop. Returns at once.
    pub fn stop(&self) {
        self.0.send_replace(true);
    }

    /// Whether they have been told.
    pub fn is_stopped(&self) -> bool {
        *self.0.borrow()
    }

    /// Ends when they are told.
    pub(super) fn requested(&self) -> impl Future<Output = ()> + Send + 'static {
        let mut told = self.0.subscribe();
        async move {
            // An error says that every button is gone. Nobody can press it any more, and somebody who still waits would
            // wait for ever: that is a stop too.
            let _ = told.wait_for(|&stopped| stopped).await;
        }
    }
}

/// Serves HTTP on one of the sockets that share a port. Blocks until [`Stop::stop`] and the end of the last request.
///
/// # Errors
/// The system gives no runtime, or does not take the socket.
pub fn run_http<F: Feeds>(socket: HttpSocket, site: Arc<Site<F>>, stop: &Stop) -> io::Result<()> {
    run(socket.0, site, stop)
}

/// Serves the admin listener. Blocks until [`Stop::stop`] and the end of the last request.
///
/// # Errors
/// The system gives no runtime, or does not take the socket.
pub fn run_admin(socket: AdminSocket, admin: Arc<Admin>, stop: &Stop) -> io::Result<()> {
    run(socket.0, admin, stop)
}

fn run<H: Handler>(socket: StdListener, handler: Arc<H>, stop: &Stop) -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let listener = TcpListener::from_std(socket)?;
        let places = Arc::new(Semaphore::new(handler.bounds().connections));
        accept(listener, &handler, &places, stop).await;
        finish(&handler, &places).await;
        Ok(())
    })
}

/// Accepts until the stop, and lets the listening socket go.
async fn accept<H: Handler>(listener: TcpListener, handler: &Arc<H>, places: &Arc<Semaphore>, stop: &Stop) {
    let mut stopped = std::pin::pin!(stop.requested());
    let mut failing = false;
    loop {
        let accepted = tokio::select! {
            biased;
            () = &mut stopped => return,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, address)) => {
                failing = false;
                admit((stream, address.ip()), handler, places, stop);
            }
            // The client has gone again before it was accepted.
            Err(error) if matches!(error.kind(), io::ErrorKind::ConnectionAborted | io::ErrorKind::Interrupted) => {}
            Err(error) => {
                handler.telemetry().connections_refused.increment();
                if !std::mem::replace(&mut failing, true) {
                    tracing::warn!(%error, "a connection cannot be accepted: raise the limit of open files");
                }
                tokio::time::sleep(Duration::from_millis(limits::HTTP_ACCEPT_PAUSE_MILLIS)).await;
            }
        }
    }
}

/// Gives a connection a task of its own, or says at once that there is no place for it. It is not left in the kernel's
/// queue: who waits there learns nothing, while who is refused can ask elsewhere.
fn admit<H: Handler>((stream, peer): (TcpStream, IpAddr), handler: &Arc<H>, places: &Arc<Semaphore>, stop: &Stop) {
    let Ok(place) = Arc::clone(places).try_acquire_owned() else {
        handler.telemetry().connections_refused.increment();
        handler.answered(StatusCode::SERVICE_UNAVAILABLE);
        refuse(&stream);
        return;
    };
    // An answer is written whole: to wait for more of it would only delay it. Where it cannot be set, it is slower.
    let _ = stream.set_nodelay(true);
    let connection = drive((stream, peer), Arc::clone(handler), stop.clone());
    tokio::spawn(async move {
        connection.await;
        drop(place);
    });
}

/// Says 503, as far as the socket takes it without waiting.
fn refuse(stream: &TcpStream) {
    let Some((name, message)) = answer::refusal(StatusCode::SERVICE_UNAVAILABLE) else { return };
    let body = answer::error_json(name, message);
    let head = format!(
        "HTTP/1.1 503 Service Unavailable\r\ncontent-type: application/json\r\ncontent-length: {}\r\nretry-after: 1\r\n\
         connection: close\r\n\r\n",
        body.len()
    );
    // What has already come is taken, or the close would reset the connection and take the answer with it.
    let _ = stream.try_read(&mut [0; 4096]);
    let _ = stream.try_write(&[head.as_bytes(), &body].concat());
}

/// Waits until every connection has ended, and cuts those that do not end in time when the runtime goes.
async fn finish<H: Handler>(handler: &Arc<H>, places: &Semaphore) {
    let all = u32::try_from(handler.bounds().connections).unwrap_or(u32::MAX);
    if tokio::time::timeout(handler.bounds().stop, places.acquire_many(all)).await.is_err() {
        let cut = handler.bounds().connections - places.available_permits();
        handler.telemetry().connections_timed_out.add(cut as u64);
        tracing::warn!(cut, "connections were still open at the end and were cut");
    }
}
