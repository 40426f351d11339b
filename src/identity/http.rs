//! A request to the outside world and what came of it, as plain data, and the one way to send it.
//!
//! In: a URL, often a stranger's. Out: status, headers and body within a bound, or the rule that was broken. Whoever needs the
//! network takes an [`Http`]; the program gives a `Dialer`, a test gives a table.

use std::future::Future;
use std::net::IpAddr;
use std::pin::Pin;

use serde::Serialize;

use crate::limits::DIAL_BODY_BYTES_MAX;

/// What is to be done there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Method {
    /// To read.
    Get,
    /// To change.
    Post,
}

impl Method {
    /// The word of HTTP.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Post => "POST",
        }
    }
}

/// Whose URL it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Whose {
    /// The operator of this program gave it: any port.
    Operator,
    /// It came from a document, a token or a record: port 443 alone.
    Stranger,
}

/// One request. It is sent once: nothing in here follows redirects or tries again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// To read or to change.
    pub method: Method,
    /// `https://HOST/PATH?QUERY`. A fragment is not sent.
    pub url: String,
    /// Who gave the URL.
    pub whose: Whose,
    /// Header fields beside `host`, `user-agent`, `connection` and `content-length`, which are the dialer's own.
    pub headers: Vec<(&'static str, String)>,
    /// What is sent behind the head.
    pub body: Vec<u8>,
    /// The most bytes of body that are taken of the answer; a longer one is an error. At most [`DIAL_BODY_BYTES_MAX`].
    pub answer_bytes_max: usize,
}

impl Request {
    /// Reads a stranger's URL.
    pub fn get(url: impl Into<String>) -> Self {
        Self {
            method: Method::Get,
            url: url.into(),
            whose: Whose::Stranger,
            headers: Vec::new(),
            body: Vec::new(),
            answer_bytes_max: DIAL_BODY_BYTES_MAX,
        }
    }

    /// Posts JSON to a stranger's URL.
    ///
    /// # Errors
    /// `body` cannot be written as JSON.
    pub fn post_json(url: impl Into<String>, body: &impl Serialize) -> Result<Self, serde_json::Error> {
        let body = serde_json::to_vec(body)?;
        let headers = vec![("content-type", "application/json".to_owned())];
        Ok(Self { method: Method::Post, headers, body, ..Self::get(url) })
    }

    /// The same, to a URL that the operator gave.
    #[must_use]
    pub fn of_operator(self) -> Self {
        Self { whose: Whose::Operator, ..self }
    }

    /// The same, with one more header field.
    #[must_use]
    pub fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    /// The same, where an answer of more than `bytes` is an error.
    #[must_use]
    pub fn at_most(self, bytes: usize) -> Self {
        Self { answer_bytes_max: bytes.min(DIAL_BODY_BYTES_MAX), ..self }
    }
}

/// An answer. Redirects are none: they are [`DialError::Redirect`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Response {
    /// 200 to 299 where it was done, 400 to 599 where not.
    pub status: u16,
    /// Header fields, names in lower case. Values that are no ASCII text are left out.
    pub headers: Vec<(String, String)>,
    /// The whole body.
    pub body: Vec<u8>,
}

impl Response {
    /// Whether it was done.
    pub const fn is_ok(&self) -> bool {
        matches!(self.status, 200..=299)
    }

    /// The first header field of a name, which is in lower case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }
}

/// Why there is no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DialError {
    /// Not a URL, or one without a host.
    #[error("{url:?} is not a URL that can be asked ({why}): it must be https://HOST/PATH")]
    Url {
        /// As given, cut short.
        url: String,
        /// What is wrong.
        why: String,
    },
    /// Neither `https`, nor `http` where loopback is allowed.
    #[error("{url:?} is not https: nothing is asked in the clear (http is for loopback, where that is allowed)")]
    Scheme {
        /// As given, cut short.
        url: String,
    },
    /// `user:password@`
    #[error("{url:?} holds a user name or a password: remove it")]
    Userinfo {
        /// As given, cut short.
        url: String,
    },
    /// Another port than 443 in a stranger's URL.
    #[error("{url:?} names port {port}: what others publish is asked on port 443 alone")]
    Port {
        /// As given, cut short.
        url: String,
        /// The port.
        port: u16,
    },
    /// The name leads to an address that is not public unicast. Nothing was dialled.
    #[error("{host} leads to {address}, which is {what}: only public addresses are dialled{}", if *.what == "loopback" { " (loopback can be allowed for development)" } else { "" })]
    NotPublic {
        /// The host.
        host: String,
        /// Where it leads.
        address: IpAddr,
        /// What that is.
        what: &'static str,
    },
    /// What is asked in the clear, or on a stranger's port, leads elsewhere than to loopback. Nothing was dialled.
    #[error("{host} leads to {address}: http, and other ports than 443 of others, are for loopback alone")]
    NotLoopback {
        /// The host.
        host: String,
        /// Where it leads.
        address: IpAddr,
    },
    /// The name cannot be resolved.
    #[error("{host} has no address ({why}): check the name, and the resolver of this machine")]
    Lookup {
        /// The host.
        host: String,
        /// What the system says.
        why: String,
    },
    /// None of its addresses takes a connection.
    #[error("{host} takes no connection ({why})")]
    Connect {
        /// The host.
        host: String,
        /// Of the last address that was tried.
        why: String,
    },
    /// The certificate, or the handshake.
    #[error("TLS with {host} failed ({why}): it must have a certificate for this name of an authority that is trusted")]
    Tls {
        /// The host.
        host: String,
        /// What the library says.
        why: String,
    },
    /// [`DIAL_TIMEOUT_MILLIS`](crate::limits::DIAL_TIMEOUT_MILLIS) have passed.
    #[error("{host} did not answer within {millis} ms")]
    Timeout {
        /// The host.
        host: String,
        /// How long it was waited for.
        millis: u64,
    },
    /// 3xx. It is not followed.
    #[error("{host} answers {status} and names {location:?}: redirects are not followed")]
    Redirect {
        /// The host.
        host: String,
        /// The status.
        status: u16,
        /// The header field of that name, cut short; empty where there is none.
        location: String,
    },
    /// A body beyond [`Request::answer_bytes_max`].
    #[error("{host} answers more than {limit} bytes")]
    TooLarge {
        /// The host.
        host: String,
        /// The bound.
        limit: usize,
    },
    /// Not HTTP, or cut off.
    #[error("{host} does not answer as HTTP asks ({why})")]
    Http {
        /// The host.
        host: String,
        /// What the library says.
        why: String,
    },
    /// A header field that cannot be sent. It is not told: it may be a secret.
    #[error("the request to {host} cannot be written: a header field of it is no text")]
    Request {
        /// The host.
        host: String,
    },
}

impl DialError {
    /// The label in metrics.
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Url { .. } => "url",
            Self::Scheme { .. } => "scheme",
            Self::Userinfo { .. } => "userinfo",
            Self::Port { .. } => "port",
            Self::NotPublic { .. } => "not_public",
            Self::NotLoopback { .. } => "not_loopback",
            Self::Lookup { .. } => "lookup",
            Self::Connect { .. } => "connect",
            Self::Tls { .. } => "tls",
            Self::Timeout { .. } => "timeout",
            Self::Redirect { .. } => "redirect",
            Self::TooLarge { .. } => "too_large",
            Self::Http { .. } => "http",
            Self::Request { .. } => "request",
        }
    }
}

/// What an [`Http`] gives: an answer, later.
pub type Answering<'a> = Pin<Box<dyn Future<Output = Result<Response, DialError>> + Send + 'a>>;

/// Sends requests to the outside world.
pub trait Http: Send + Sync {
    /// Sends one, once. Dropping the future gives it up.
    fn send(&self, request: Request) -> Answering<'_>;
}

impl<T: Http + ?Sized> Http for std::sync::Arc<T> {
    fn send(&self, request: Request) -> Answering<'_> {
        (**self).send(request)
    }
}
