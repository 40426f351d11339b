//! The only place that dials out.
//!
//! ```text
//! URL ──► Target ──► every address of its name, judged ──► connect to one of those ──► TLS ──► one exchange ──► closed
//! ```
//!
//! In: a [`Request`]. Out: its answer within [`DIAL_TIMEOUT_MILLIS`], or which rule it broke. Names are looked up once, here,
//! and what is dialled is the very address that was judged: a name that leads elsewhere a moment later changes nothing. A host
//! of whose addresses one is not public is not dialled at all.

mod dns;
mod exchange;
mod system;

use std::future::Future;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use super::http::{Answering, DialError, Http, Request, Response};
use super::target::Target;
use crate::clock::Clock;
use crate::limits::{DIAL_ADDRESSES_TRIED_MAX, DIAL_ATTEMPT_MILLIS, DIAL_TIMEOUT_MILLIS};
use crate::trust::{self, TlsError};

pub use dns::Dns;
pub use system::System;

/// What the operator allows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Policy {
    /// Whether this machine itself may be dialled, on any port and without TLS: for development.
    pub allow_loopback: bool,
    /// Certificates (PEM) of authorities that are trusted beside the public ones.
    pub extra_roots: Option<Vec<u8>>,
}

/// Names and sockets. [`System`] is the machine's own; tests give their own names, and count what is dialled.
pub trait Net: Send + Sync {
    /// Every address of a name, none judged yet.
    fn lookup<'a>(&'a self, name: &'a str) -> Pin<Box<dyn Future<Output = io::Result<Vec<IpAddr>>> + Send + 'a>>;
    /// A connection to exactly this address.
    fn connect(&self, address: SocketAddr) -> Pin<Box<dyn Future<Output = io::Result<TcpStream>> + Send + '_>>;
}

/// Sends requests, each over a connection of its own. Cheap to clone.
#[derive(Clone)]
pub struct Dialer {
    net: Arc<dyn Net>,
    tls: TlsConnector,
    allow_loopback: bool,
}

impl std::fmt::Debug for Dialer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Dialer").field("allow_loopback", &self.allow_loopback).finish_non_exhaustive()
    }
}

impl Dialer {
    /// Dials with the machine's own names and sockets.
    ///
    /// # Errors
    /// `policy.extra_roots` holds no certificate, or a broken one.
    pub fn new(policy: &Policy, clock: &Clock) -> Result<Self, TlsError> {
        Self::with_net(policy, clock, Arc::new(System))
    }

    /// Dials with other names and sockets. They are judged no less.
    ///
    /// # Errors
    /// As for [`Dialer::new`].
    pub fn with_net(policy: &Policy, clock: &Clock, net: Arc<dyn Net>) -> Result<Self, TlsError> {
        let config: ClientConfig = trust::client(policy.extra_roots.as_deref(), clock)?;
        Ok(Self { net, tls: Arc::new(config).into(), allow_loopback: policy.allow_loopback })
    }

    async fn exchange(&self, target: &Target, request: Request) -> Result<Response, DialError> {
        let socket = self.connect(target).await?;
        let _best_effort = socket.set_nodelay(true);
        if !target.is_tls {
            return exchange::over(socket, target, request).await;
        }
        let tls = |why: String| DialError::Tls { host: target.host.clone(), why };
        let name = ServerName::try_from(target.host.clone()).map_err(|error| tls(error.to_string()))?;
        let socket = self.tls.connect(name, socket).await.map_err(|error| tls(error.to_string()))?;
        exchange::over(socket, target, request).await
    }

    /// A connection to one of the host's addresses, all of which have been judged.
    async fn connect(&self, target: &Target) -> Result<TcpStream, DialError> {
        let lookup = |why: String| DialError::Lookup { host: target.host.clone(), why };
        let addresses = match target.literal {
            Some(address) => vec![address],
            None => self.net.lookup(&target.host).await.map_err(|error| lookup(error.to_string()))?,
        };
        addresses.iter().try_for_each(|&address| target.admit(address))?;
        let count = addresses.len().min(DIAL_ADDRESSES_TRIED_MAX);
        let mut last = None;
        for &address in &addresses[..count] {
            let connecting = self.net.connect(SocketAddr::new(address, target.port));
            let why = match timeout(Duration::from_millis(DIAL_ATTEMPT_MILLIS), connecting).await {
                Ok(Ok(socket)) => return Ok(socket),
                Ok(Err(error)) => error.to_string(),
                Err(_) => format!("no answer within {DIAL_ATTEMPT_MILLIS} ms"),
            };
            last = Some(format!("{address}: {why}"));
        }
        Err(match last {
            Some(why) => DialError::Connect { host: target.host.clone(), why },
            None => lookup("the name is there, but without an address".to_owned()),
        })
    }
}

impl Http for Dialer {
    fn send(&self, request: Request) -> Answering<'_> {
        Box::pin(async move {
            let target = Target::parse(&request.url, request.whose, self.allow_loopback)?;
            let whole = self.exchange(&target, request);
            match timeout(Duration::from_millis(DIAL_TIMEOUT_MILLIS), whole).await {
                Ok(answer) => answer,
                Err(_) => Err(DialError::Timeout { host: target.host.clone(), millis: DIAL_TIMEOUT_MILLIS }),
            }
        })
    }
}
