//! A small HTTP/1.1 client: GET over one connection that is kept.
//!
//! In: an address and paths. Out: status and body. An engine that says 429 or 503 is asked again after a while, as its
//! `Retry-After` says.
//!
//! Always: a body of at most [`BODY_BYTES_MAX`] is held; an answer without a length ends with its connection.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use crate::machine;

const BODY_BYTES_MAX: u64 = 64 << 20;
const HEAD_LINES_MAX: usize = 200;
const HEAD_LINE_BYTES_MAX: u64 = 16 << 10;
const TIMEOUT: Duration = Duration::from_secs(30);
/// How often an engine that has no time is asked again, and how long it may make us wait each time.
const PATIENCE: u32 = 30;
const WAIT_MAX: Duration = Duration::from_secs(5);

/// An answer.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Response {
    pub status: u16,
    pub body: Vec<u8>,
}

/// See the module.
pub(crate) struct Client {
    address: String,
    connection: Option<BufReader<TcpStream>>,
}

/// What the head of an answer says.
#[derive(Default)]
struct Head {
    status: u16,
    length: Option<u64>,
    closes: bool,
    retry_after: Option<u64>,
}

impl Client {
    /// Of `host:port`. Connects when it is first asked for something.
    pub fn new(address: &str) -> Self {
        let address = address.trim_start_matches("http://").trim_end_matches('/').to_string();
        Self { address, connection: None }
    }

    /// Gets what is at a path.
    pub fn get(&mut self, target: &str) -> io::Result<Response> {
        for _ in 0..PATIENCE {
            let (head, body) = self.ask(target)?;
            let wait = match (head.status, head.retry_after) {
                (429 | 503, Some(seconds)) => Duration::from_secs(seconds).min(WAIT_MAX),
                (429, None) => Duration::from_secs(1),
                _ => return Ok(Response { status: head.status, body }),
            };
            machine::pause(wait);
        }
        Err(io::Error::other("the engine has had no time for long: start it with --rate-limit off"))
    }

    fn ask(&mut self, target: &str) -> io::Result<(Head, Vec<u8>)> {
        let was_open = self.connection.is_some();
        match self.ask_once(target) {
            // A kept connection may have been closed in the meantime.
            Err(_) if was_open => self.ask_once(target),
            answer => answer,
        }
    }

    fn ask_once(&mut self, target: &str) -> io::Result<(Head, Vec<u8>)> {
        let mut connection = match self.connection.take() {
            Some(connection) => connection,
            None => {
                let stream = TcpStream::connect(&self.address)?;
                stream.set_nodelay(true)?;
                stream.set_read_timeout(Some(TIMEOUT))?;
                stream.set_write_timeout(Some(TIMEOUT))?;
                BufReader::with_capacity(64 << 10, stream)
            }
        };
        let request = format!("GET {target} HTTP/1.1\r\nHost: {}\r\nAccept: application/json\r\n\r\n", self.address);
        connection.get_mut().write_all(request.as_bytes())?;
        let head = read_head(&mut connection)?;
        let mut body = Vec::new();
        match head.length {
            Some(length) if length > BODY_BYTES_MAX => return Err(broken("the body is too large")),
            Some(length) => {
                (&mut connection).take(length).read_to_end(&mut body)?;
                if body.len() as u64 != length {
                    return Err(io::ErrorKind::UnexpectedEof.into());
                }
            }
            None if head.closes => {
                (&mut connection).take(BODY_BYTES_MAX).read_to_end(&mut body)?;
            }
            None => return Err(broken("an answer without Content-Length")),
        }
        if !head.closes {
            self.connection = Some(connection);
        }
        Ok((head, body))
    }
}

fn read_head(connection: &mut impl BufRead) -> io::Result<Head> {
    let status = line(connection)?;
    let mut words = status.split(' ');
    let (Some("HTTP/1.1" | "HTTP/1.0"), Some(Ok(status))) = (words.next(), words.next().map(str::parse)) else {
        return Err(broken("no status line"));
    };
    let mut head = Head { status, ..Head::default() };
    for _ in 0..HEAD_LINES_MAX {
        let line = line(connection)?;
        if line.is_empty() {
            return Ok(head);
        }
        let (name, value) = line.split_once(':').ok_or_else(|| broken("a header without a colon"))?;
        let value = value.trim();
        match name.to_ascii_lowercase().as_str() {
            "content-length" => head.length = Some(value.parse().map_err(|_| broken("no length"))?),
            "connection" => head.closes = value.eq_ignore_ascii_case("close"),
            "retry-after" => head.retry_after = value.parse().ok(),
            "transfer-encoding" => return Err(broken("Transfer-Encoding is not understood")),
            _ => {}
        }
    }
    Err(broken("too many headers"))
}

fn line(connection: &mut impl BufRead) -> io::Result<String> {
    let mut line = Vec::new();
    connection.take(HEAD_LINE_BYTES_MAX).read_until(b'\n', &mut line)?;
    let text = String::from_utf8(line).map_err(io::Error::other)?;
    match text.strip_suffix("\r\n") {
        Some(line) => Ok(line.to_string()),
        None if text.is_empty() => Err(io::ErrorKind::UnexpectedEof.into()),
        None => Err(broken("a line of the head does not end")),
    }
}

fn broken(why: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, why)
}
