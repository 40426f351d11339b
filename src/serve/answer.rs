//! Answers: a status, a content type, and bytes that are whole.

use bytes::Bytes;
use http_body_util::Full;
use hyper::header::{ACCESS_CONTROL_ALLOW_ORIGIN, ALLOW, CONTENT_TYPE, HeaderValue};
use hyper::{Response, StatusCode};
use serde::Serialize;

/// What is sent back.
pub(super) type Answer = Response<Full<Bytes>>;

pub(super) const JSON: HeaderValue = HeaderValue::from_static("application/json");
pub(super) const TEXT: HeaderValue = HeaderValue::from_static("text/plain; charset=utf-8");

/// An answer of a given type.
pub(super) fn body(status: StatusCode, content_type: HeaderValue, body: impl Into<Bytes>) -> Answer {
    let mut answer = Response::new(Full::new(body.into()));
    *answer.status_mut() = status;
    answer.headers_mut().insert(CONTENT_TYPE, content_type);
    answer
}

/// JSON that is already rendered.
pub(super) fn json(status: StatusCode, rendered: impl Into<Bytes>) -> Answer {
    body(status, JSON, rendered)
}

/// A value as JSON.
pub(super) fn json_of(status: StatusCode, value: &impl Serialize) -> Answer {
    json(status, serde_json::to_vec(value).expect("invariant: answers have string keys and no fallible parts"))
}

/// `{"error","message"}`, as XRPC defines it.
pub(super) fn error(status: StatusCode, error: &str, message: &str) -> Answer {
    json(status, error_json(error, message))
}

/// The body of [`error`].
pub(super) fn error_json(error: &str, message: &str) -> Vec<u8> {
    #[derive(Serialize)]
    struct ErrorBody<'a> {
        error: &'a str,
        message: &'a str,
    }
    serde_json::to_vec(&ErrorBody { error, message }).expect("invariant: two strings are JSON")
}

/// 400 `InvalidRequest`.
pub(super) fn invalid_request(message: &str) -> Answer {
    error(StatusCode::BAD_REQUEST, "InvalidRequest", message)
}

/// 405, with the methods that are allowed.
pub(super) fn method_not_allowed(allow: &'static str) -> Answer {
    let message = format!("this path does not know that method: use one of {allow}");
    let mut answer = error(StatusCode::METHOD_NOT_ALLOWED, "InvalidRequest", &message);
    answer.headers_mut().insert(ALLOW, HeaderValue::from_static(allow));
    answer
}

/// An error that any listener can meet before it has a request: its status, name and message.
pub(super) const fn refusal(status: StatusCode) -> Option<(&'static str, &'static str)> {
    Some(match status {
        StatusCode::BAD_REQUEST => ("InvalidRequest", "this is not a valid HTTP/1.1 request: check how it is written"),
        StatusCode::PAYLOAD_TOO_LARGE => ("PayloadTooLarge", "the body is too large: send at most 256 KiB"),
        StatusCode::URI_TOO_LONG => ("UriTooLong", "the request target is too long: use at most 16 KiB"),
        StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE => {
            ("HeaderFieldsTooLarge", "the request headers are too large: send at most 100 of them, and 32 KiB in all")
        }
        StatusCode::SERVICE_UNAVAILABLE => {
            ("NotEnoughResources", "all connections of this server are taken: try again in a second")
        }
        _ => return None,
    })
}

/// The answer to [`refusal`].
pub(super) fn refuse(status: StatusCode) -> Answer {
    let (name, message) = refusal(status).unwrap_or(("InternalServerError", "this request cannot be answered"));
    error(status, name, message)
}

/// Lets pages of every origin read the answer.
pub(super) fn for_every_origin(mut answer: Answer) -> Answer {
    answer.headers_mut().insert(ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
    answer
}

const _: () = {
    use crate::limits;
    assert!(limits::HTTP_BODY_BYTES_MAX == 256 << 10, "the message of 413 says so");
    assert!(limits::HTTP_TARGET_BYTES_MAX == 16 << 10, "the message of 414 says so");
    assert!(limits::HTTP_HEADER_BYTES_MAX == 32 << 10 && limits::HTTP_HEADERS_MAX == 100, "the message of 431 says so");
};
