//! One `GET` over HTTP/1.1, without a socket: bytes in, an answer out.
//!
//! In: what the host sends, in any pieces. Out: the request, and the body of an answer with status 200.
//!
//! What always holds: no more than a bound of head and body is kept; a body ends where its length, its chunks or the
//! connection say. Redirects are not followed: an upstream is named by its own URL.

use super::session::{Refusal, refusal_of};
use crate::limits::{DICTIONARY_BYTES_MAX, UPGRADE_BYTES_MAX};

/// One exchange.
#[derive(Debug)]
pub struct Get {
    output: Vec<u8>,
    input: Vec<u8>,
}

/// Why there is no body.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum GetError {
    /// Another status than 200.
    #[error("{0}")]
    Refused(Refusal),
    /// The connection ended too early.
    #[error("the host hung up before its answer was complete")]
    CutShort,
    /// More than we take.
    #[error("the answer is longer than {0} bytes")]
    TooLong(usize),
    /// Not the HTTP that we read.
    #[error("the answer breaks HTTP: {0}")]
    Broken(&'static str),
}

impl Get {
    /// Asks `host` (with its port, where that is not the scheme's own) for `target`.
    pub fn new(host: &str, target: &str) -> Self {
        let request = format!(
            "GET {target} HTTP/1.1\r\nHost: {host}\r\nUser-Agent: atrarium/{}\r\nAccept: application/octet-stream\r\n\
             Connection: close\r\n\r\n",
            env!("CARGO_PKG_VERSION")
        );
        Self { output: request.into_bytes(), input: Vec::new() }
    }

    /// What waits to be sent.
    pub fn output(&self) -> &[u8] {
        &self.output
    }

    /// Says that `count` bytes of [`Get::output`] were sent.
    pub fn sent(&mut self, count: usize) {
        self.output.drain(..count.min(self.output.len()));
    }

    /// Takes what was received. `ended` says that nothing more comes.
    ///
    /// # Errors
    /// The exchange is over without a body.
    pub fn received(&mut self, bytes: &[u8], ended: bool) -> Result<Option<Vec<u8>>, GetError> {
        self.input.extend_from_slice(bytes);
        let Some(head_bytes) = memchr::memmem::find(&self.input, b"\r\n\r\n").map(|at| at + 4) else {
            return match self.input.len() {
                UPGRADE_BYTES_MAX.. => Err(GetError::TooLong(UPGRADE_BYTES_MAX)),
                _ if ended => Err(GetError::CutShort),
                _ => Ok(None),
            };
        };
        let head = Head::read(&self.input[..head_bytes])?;
        let rest = &self.input[head_bytes..];
        let body = match head.body {
            Length::Chunks => chunks(rest)?,
            Length::Known(length) if length > DICTIONARY_BYTES_MAX => return Err(too_long()),
            Length::Known(length) => rest.get(..length).map(<[u8]>::to_vec),
            Length::UntilEnd => ended.then(|| rest.to_vec()),
        };
        match body {
            Some(body) if body.len() > DICTIONARY_BYTES_MAX => Err(too_long()),
            Some(body) if head.status == 200 => Ok(Some(body)),
            Some(body) => Err(GetError::Refused(refusal_of(head.status, &body))),
            // Each byte of the body may be a chunk of its own, six bytes long.
            None if rest.len() > 6 * DICTIONARY_BYTES_MAX => Err(too_long()),
            None if ended && head.status != 200 => Err(GetError::Refused(refusal_of(head.status, rest))),
            None if ended => Err(GetError::CutShort),
            None => Ok(None),
        }
    }
}

fn too_long() -> GetError {
    GetError::TooLong(DICTIONARY_BYTES_MAX)
}

struct Head {
    status: u16,
    body: Length,
}

enum Length {
    Known(usize),
    Chunks,
    UntilEnd,
}

impl Head {
    fn read(bytes: &[u8]) -> Result<Self, GetError> {
        let text = std::str::from_utf8(bytes).map_err(|_| GetError::Broken("its head is not text"))?;
        let mut lines = text.split("\r\n");
        let first = lines.next().unwrap_or_default();
        let status = first.strip_prefix("HTTP/1.").and_then(|rest| rest.get(2..5)?.parse().ok());
        let status = status.ok_or(GetError::Broken("it does not begin with HTTP/1.1 and a status"))?;
        let mut body = Length::UntilEnd;
        for (name, value) in lines.filter_map(|line| line.split_once(':')) {
            let value = value.trim();
            match name.to_ascii_lowercase().as_str() {
                "transfer-encoding" if value.eq_ignore_ascii_case("chunked") => body = Length::Chunks,
                "transfer-encoding" => return Err(GetError::Broken("its transfer encoding is not `chunked`")),
                "content-encoding" if !value.eq_ignore_ascii_case("identity") => {
                    return Err(GetError::Broken("its content is encoded, which was not asked for"));
                }
                "content-length" if !matches!(body, Length::Chunks) => {
                    body = Length::Known(value.parse().map_err(|_| GetError::Broken("its length is no number"))?);
                }
                _ => {}
            }
        }
        Ok(Self { status, body })
    }
}

/// The body of a chunked answer, once its last chunk is there.
fn chunks(mut rest: &[u8]) -> Result<Option<Vec<u8>>, GetError> {
    let mut body = Vec::new();
    loop {
        let Some(end) = memchr::memmem::find(rest, b"\r\n") else {
            return if rest.len() > 1024 { Err(GetError::Broken("the size of a chunk has no end")) } else { Ok(None) };
        };
        let line = rest[..end].split(|&byte| byte == b';').next().unwrap_or_default();
        let size = std::str::from_utf8(line).ok().and_then(|text| usize::from_str_radix(text.trim(), 16).ok());
        let size = size.ok_or(GetError::Broken("the size of a chunk is no number"))?;
        if size == 0 {
            return Ok(Some(body));
        }
        if size > DICTIONARY_BYTES_MAX || body.len() + size > DICTIONARY_BYTES_MAX {
            return Err(too_long());
        }
        let Some((chunk, behind)) = rest[end + 2..].split_at_checked(size) else { return Ok(None) };
        body.extend_from_slice(chunk);
        match behind {
            [b'\r', b'\n', behind @ ..] => rest = behind,
            [] | [b'\r'] => return Ok(None),
            _ => return Err(GetError::Broken("a chunk is longer than it says")),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The answer, received in parts of this length.
    fn get(answer: &[u8], part: usize) -> Result<Option<Vec<u8>>, GetError> {
        let mut get = Get::new("h", "/x");
        for bytes in answer.chunks(part) {
            if let Some(body) = get.received(bytes, false)? {
                return Ok(Some(body));
            }
        }
        get.received(&[], true)
    }

    #[test]
    fn the_request_names_host_and_target() {
        let mut get = Get::new("h:6008", "/xrpc/a?b=1");
        let text = String::from_utf8(get.output().to_vec()).unwrap();
        assert!(
            text.starts_with("GET /xrpc/a?b=1 HTTP/1.1\r\nHost: h:6008\r\n") && text.ends_with("\r\n\r\n"),
            "{text}"
        );
        get.sent(text.len());
        assert!(get.output().is_empty());
    }

    #[test]
    fn a_body_ends_where_its_length_its_chunks_or_the_connection_say() {
        for answer in [
            "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
            "HTTP/1.1 200 OK\r\ncontent-length: 5\r\nX: y\r\n\r\nhello and what nobody asked for",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhe\r\n3;x=y\r\nllo\r\n0\r\n\r\n",
            "HTTP/1.0 200 OK\r\n\r\nhello",
        ] {
            for part in [1, 3, 1000] {
                assert_eq!(get(answer.as_bytes(), part), Ok(Some(b"hello".to_vec())), "{answer} {part}");
            }
        }
    }

    #[test]
    fn everything_else_says_what_was_wrong() {
        let huge = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", DICTIONARY_BYTES_MAX + 1);
        let chunk = format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{:x}\r\n", DICTIONARY_BYTES_MAX + 1);
        let head = format!("HTTP/1.1 200 OK\r\nX: {}", "y".repeat(UPGRADE_BYTES_MAX));
        let endless = [&b"HTTP/1.1 200 OK\r\n\r\n"[..], &vec![0; 6 * DICTIONARY_BYTES_MAX + 1]].concat();
        for (answer, says) in [
            (
                &b"HTTP/1.1 404 No\r\nContent-Length: 40\r\n\r\n{\"error\":\"DictionaryNotFound\",\"message\":1}"[..],
                "404",
            ),
            (b"HTTP/1.1 501 No\r\n\r\nno such method", "501: no such method"),
            (b"HTTP/1.1 302 Found\r\nLocation: /y\r\nContent-Length: 0\r\n\r\n", "302"),
            (b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhell", "hung up"),
            (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n", "hung up"),
            (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello6\r\n", "longer than it says"),
            (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nx\r\n", "no number"),
            (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\nx", "not `chunked`"),
            (b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n\r\nx", "encoded"),
            (b"220 mail ESMTP\r\n\r\n", "does not begin with HTTP/1.1"),
            (b"", "hung up"),
            (huge.as_bytes(), "longer than"),
            (chunk.as_bytes(), "longer than"),
            (head.as_bytes(), "longer than"),
            (&endless, "longer than"),
        ] {
            let error = get(answer, 64 << 10).unwrap_err().to_string();
            assert!(error.contains(says), "{says}: {error}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_survived(tail in prop::collection::vec(any::<u8>(), 0..500), chunked in any::<bool>()) {
            let head: &[u8] = if chunked { b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" } else { b"HTTP/1.1 " };
            let _whatever = get(&[head, &tail].concat(), 7);
        }
    }
}
