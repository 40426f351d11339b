//! One request and its answer over one connection.

use std::error::Error as _;
use std::pin::pin;

use bytes::Bytes;
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::client::conn::http1;
use hyper::header::{CONNECTION, HOST, LOCATION, USER_AGENT};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};

use crate::identity::http::{DialError, Request, Response};
use crate::identity::target::{Target, short};
use crate::limits::{DIAL_BODY_BYTES_MAX, DIAL_HEAD_BYTES_MAX, DIAL_HEADERS_MAX};

/// What this program calls itself.
const NAME: &str = concat!("atrarium/", env!("CARGO_PKG_VERSION"));

/// Sends the request over a connection, takes the whole answer, and closes.
pub(super) async fn over<S>(socket: S, target: &Target, request: Request) -> Result<Response, DialError>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let limit = request.answer_bytes_max.min(DIAL_BODY_BYTES_MAX);
    let message = message(target, request)?;
    let (mut sender, connection) = http1::Builder::new()
        .max_buf_size(DIAL_HEAD_BYTES_MAX)
        .max_headers(DIAL_HEADERS_MAX)
        .handshake(TokioIo::new(socket))
        .await
        .map_err(|error| broken(target, &error))?;
    let mut exchange = pin!(async {
        let answer = sender.send_request(message).await.map_err(|error| broken(target, &error))?;
        take(target, answer, limit).await
    });
    let connection = pin!(connection);
    tokio::select! {
        biased;
        answer = &mut exchange => answer,
        // What has come is still to be taken; what has not is an error there.
        _ended = connection => exchange.await,
    }
}

fn message(target: &Target, request: Request) -> Result<hyper::Request<Full<Bytes>>, DialError> {
    let mut message = hyper::Request::builder()
        .method(request.method.as_str())
        .uri(&target.path)
        .header(HOST, &target.authority)
        .header(USER_AGENT, NAME)
        .header(CONNECTION, "close");
    for (name, value) in request.headers {
        message = message.header(name, value);
    }
    message.body(Full::new(request.body.into())).map_err(|_| DialError::Request { host: target.host.clone() })
}

async fn take(
    target: &Target,
    answer: hyper::Response<hyper::body::Incoming>,
    limit: usize,
) -> Result<Response, DialError> {
    let (head, body) = answer.into_parts();
    if head.status.is_redirection() {
        let location = head.headers.get(LOCATION).map(|value| String::from_utf8_lossy(value.as_bytes()));
        return Err(DialError::Redirect {
            host: target.host.clone(),
            status: head.status.as_u16(),
            location: short(&location.unwrap_or_default()),
        });
    }
    let body = match Limited::new(body, limit).collect().await {
        Ok(body) => body.to_bytes().to_vec(),
        Err(error) if error.is::<LengthLimitError>() => {
            return Err(DialError::TooLarge { host: target.host.clone(), limit });
        }
        Err(error) => return Err(DialError::Http { host: target.host.clone(), why: error.to_string() }),
    };
    let text = |(name, value): (&hyper::header::HeaderName, &hyper::header::HeaderValue)| {
        Some((name.as_str().to_owned(), value.to_str().ok()?.to_owned()))
    };
    Ok(Response { status: head.status.as_u16(), headers: head.headers.iter().filter_map(text).collect(), body })
}

fn broken(target: &Target, error: &hyper::Error) -> DialError {
    let why = match error.source() {
        Some(cause) => format!("{error}: {cause}"),
        None => error.to_string(),
    };
    DialError::Http { host: target.host.clone(), why }
}
