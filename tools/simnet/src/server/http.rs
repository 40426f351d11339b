//! The first words of a connection: HTTP.
//!
//! In: bytes up to the empty line. Out: a JSON error and the end, or the zstd dictionary and the end, or the handshake (checked
//! and answered by tungstenite) and a session.

use std::io::{self, Read};
use std::net::TcpStream;
use std::time::Duration;

use tungstenite::handshake::server as handshake;
use tungstenite::http::Request as HttpRequest;

use super::Shared;
use super::faults::{Client, Fault};
use super::link::Link;
use super::query::{Asked, Refusal, Request};
use super::session::Session;
use crate::dictionary::Dictionary;
use crate::event::Dialect;
use crate::press::Press;
use crate::reel::Reel;

const HEAD_BYTES_MAX: usize = 64 << 10;
const HEAD_TIMEOUT: Duration = Duration::from_secs(10);

/// What a connection is answered with.
enum Answer<'a> {
    /// The bytes of the handshake's answer, and a session.
    Upgrade(Vec<u8>, Box<Request>, Option<&'a Press>, Vec<Fault>),
    Dictionary(&'a Dictionary),
    /// How often each fault has happened.
    Fired,
}

/// Serves one connection until it ends.
pub(super) fn serve(stream: TcpStream, shared: &Shared) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut link = Link::new(stream, shared.tls.as_ref())?;
    link.set_read_timeout(Some(HEAD_TIMEOUT))?;
    let (head, early) = read_head(&mut link)?;
    match answer(&head, shared) {
        Ok(Answer::Upgrade(response, request, press, faults)) => {
            // The film may have to be made first: a client waits for it here, not in the middle of its stream.
            prepare(&shared.reel, request.dialect, press);
            link.write_all(&response)?;
            link.set_read_timeout(None)?;
            Session::new(shared, link, *request, press, faults).run(early)
        }
        Ok(Answer::Dictionary(dictionary)) => send_dictionary(&link, dictionary),
        Ok(Answer::Fired) => send_json(&link, "200 OK", &serde_json::json!(shared.faults.fired())),
        Err(refusal) => refuse(&link, &refusal),
    }
}

/// Makes the frames that a session is going to send.
pub(super) fn prepare(reel: &Reel, dialect: Dialect, press: Option<&Press>) {
    if let Some(press) = press {
        press.film(reel);
    }
    // What moves in a later round moves in plain text.
    if press.is_none() || reel.repeats() {
        reel.film(dialect);
    }
}

/// Reads up to the empty line; what follows it belongs to the session.
fn read_head(link: &mut Link) -> io::Result<(String, Vec<u8>)> {
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
        match link.read(&mut chunk)? {
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            count => bytes.extend_from_slice(&chunk[..count]),
        }
    }
}

/// Decides what is answered, and which faults this connection meets.
fn answer<'a>(head: &str, shared: &'a Shared) -> Result<Answer<'a>, Refusal> {
    let bad = |message: &str| Refusal::new(400, "InvalidRequest", message);
    let mut lines = head.split("\r\n");
    let mut words = lines.next().unwrap_or_default().split(' ');
    let (Some(method), Some(target)) = (words.next(), words.next()) else { return Err(bad("no request line")) };
    let mut request = match Asked::parse(target)? {
        Asked::Events(request) => request,
        Asked::Fired => return Ok(Answer::Fired),
        Asked::Dictionary(id) => return shared.presses.dictionary(id).map(Answer::Dictionary),
    };
    let mut http = HttpRequest::builder().method(method).uri(target);
    for line in lines.filter(|line| !line.is_empty()) {
        let (name, value) = line.split_once(':').ok_or_else(|| bad("a header without a colon"))?;
        if name.eq_ignore_ascii_case("socket-encoding") && value.contains("zstd") {
            request.compress("Socket-Encoding: zstd")?;
        }
        http = http.header(name, value.trim());
    }
    let http = http.body(()).map_err(|error| bad(&error.to_string()))?;
    let upgraded = handshake::create_response(&http)
        .map_err(|error| Refusal::new(426, "UpgradeRequired", format!("no websocket handshake: {error}")))?;
    let press = request.zstd.map(|zstd| shared.presses.asked(zstd)).transpose()?;
    let faults = shared.faults.plan(Client::from(&*request));
    for &fault in &faults {
        let refusal = match fault {
            Fault::Http503 => Refusal::new(503, "ServiceUnavailable", "bootstrapping, try again later"),
            Fault::CursorTooOld => Refusal::new(400, "CursorTooOld", "the cursor is below the floor"),
            Fault::RetiredDictionary => {
                shared.presses.retire();
                let Some(Err(refusal)) = request.zstd.map(|zstd| shared.presses.asked(zstd)) else { continue };
                refusal
            }
            _ => continue,
        };
        shared.faults.fire(fault);
        return Err(refusal);
    }
    let mut response = Vec::new();
    handshake::write_response(&mut response, &upgraded).map_err(|error| bad(&error.to_string()))?;
    Ok(Answer::Upgrade(response, request, press, faults))
}

/// As Jetstream answers: a year of caching, because an id names one content.
fn send_dictionary(link: &Link, dictionary: &Dictionary) -> io::Result<()> {
    let id = dictionary.id();
    let head = format!(
        "HTTP/1.1 200 OK\r\nContent-Type: application/octet-stream\r\nContent-Length: {}\r\nConnection: close\r\n\
         ETag: \"zstd-dict-{id}\"\r\nCache-Control: public, max-age=31536000, immutable\r\n\
         X-Zstd-Dictionary-Id: {id}\r\n\r\n",
        dictionary.bytes().len()
    );
    link.write_all(&[head.as_bytes(), dictionary.bytes()].concat())?;
    link.end(true)
}

fn refuse(link: &Link, refusal: &Refusal) -> io::Result<()> {
    let reason = match refusal.status {
        400 => "Bad Request",
        404 => "Not Found",
        426 => "Upgrade Required",
        _ => "Service Unavailable",
    };
    let body = serde_json::json!({"error": refusal.error, "message": refusal.message});
    send_json(link, &format!("{} {reason}", refusal.status), &body)
}

fn send_json(link: &Link, status: &str, body: &serde_json::Value) -> io::Result<()> {
    let body = body.to_string();
    let answer = format!(
        "HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    );
    // One write: many clients take for the body of a refused handshake what came together with its head.
    link.write_all(answer.as_bytes())?;
    link.end(true)
}
