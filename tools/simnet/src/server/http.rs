//! The first words of a connection: HTTP.
//!
//! In: bytes up to the empty line. Out: a JSON error and the end, or the handshake (checked and answered by tungstenite) and
//! a session.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use tungstenite::handshake::server as handshake;
use tungstenite::http::Request as HttpRequest;

use super::Shared;
use super::faults::Fault;
use super::query::{Refusal, Request};
use super::session::Session;

const HEAD_BYTES_MAX: usize = 64 << 10;
const HEAD_TIMEOUT: Duration = Duration::from_secs(10);

/// Serves one connection until it ends.
pub(super) fn serve(mut stream: TcpStream, shared: &Shared) -> io::Result<()> {
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(HEAD_TIMEOUT))?;
    let (head, early) = read_head(&mut stream)?;
    match answer(&head, shared) {
        Ok((response, request, faults)) => {
            // The film may have to be made first: a client waits for it here, not in the middle of its stream.
            shared.reel.film(request.dialect);
            stream.write_all(&response)?;
            stream.set_read_timeout(None)?;
            Session::new(shared, stream, request, faults).run(early)
        }
        Err(refusal) => refuse(&mut stream, &refusal),
    }
}

/// Reads up to the empty line; what follows it belongs to the session.
fn read_head(stream: &mut TcpStream) -> io::Result<(String, Vec<u8>)> {
    let mut bytes = Vec::new();
    let mut chunk = [0; 4096];
    loop {
        if let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
            let early = bytes.split_off(end + 4);
            return Ok((String::from_utf8_lossy(&bytes).into_owned(), early));
        }
        if bytes.len() > HEAD_BYTES_MAX {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "the request head is too long"));
        }
        match stream.read(&mut chunk)? {
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            count => bytes.extend_from_slice(&chunk[..count]),
        }
    }
}

/// Decides: the bytes of the handshake's answer, what is asked for, and the faults of this connection.
fn answer(head: &str, shared: &Shared) -> Result<(Vec<u8>, Request, Vec<Fault>), Refusal> {
    let bad = |message: &str| Refusal::new(400, "InvalidRequest", message);
    let mut lines = head.split("\r\n");
    let mut words = lines.next().unwrap_or_default().split(' ');
    let (Some(method), Some(target)) = (words.next(), words.next()) else { return Err(bad("no request line")) };
    let request = Request::parse(target)?;
    let mut http = HttpRequest::builder().method(method).uri(target);
    for line in lines.filter(|line| !line.is_empty()) {
        let (name, value) = line.split_once(':').ok_or_else(|| bad("a header without a colon"))?;
        if name.eq_ignore_ascii_case("socket-encoding") && value.contains("zstd") {
            return Err(Request::no_compression("Socket-Encoding"));
        }
        http = http.header(name, value.trim());
    }
    let http = http.body(()).map_err(|error| bad(&error.to_string()))?;
    let upgraded = handshake::create_response(&http)
        .map_err(|error| Refusal::new(426, "UpgradeRequired", format!("no websocket handshake: {error}")))?;
    let faults = shared.faults.plan(request.dialect, request.cursor.is_some());
    for fault in &faults {
        match fault {
            Fault::Http503 => return Err(Refusal::new(503, "ServiceUnavailable", "bootstrapping, try again later")),
            Fault::CursorTooOld => return Err(Refusal::new(400, "CursorTooOld", "the cursor is below the floor")),
            _ => {}
        }
    }
    let mut response = Vec::new();
    handshake::write_response(&mut response, &upgraded).map_err(|error| bad(&error.to_string()))?;
    Ok((response, request, faults))
}

fn refuse(stream: &mut TcpStream, refusal: &Refusal) -> io::Result<()> {
    let reason = match refusal.status {
        400 => "Bad Request",
        404 => "Not Found",
        426 => "Upgrade Required",
        _ => "Service Unavailable",
    };
    let body = serde_json::json!({"error": refusal.error, "message": refusal.message}).to_string();
    let answer = format!(
        "HTTP/1.1 {} {reason}\r\nContent-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
        refusal.status,
        body.len()
    );
    // One write: many clients take for the body of a refused handshake what came together with its head.
    stream.write_all(answer.as_bytes())
}
