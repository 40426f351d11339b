//! How fast a host sends: a bare receive loop that walks frame headers and looks at nothing else.
//!
//! `cargo run --release -p simnet --example receive -- ws://127.0.0.1:6008/subscribe?cursor=1 2000000`
//!
//! A third argument is the file that `serve --tls-ca` wrote; it makes `wss://` possible. TLS is decrypted, zstd is not.

use std::error::Error;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use tungstenite::http::Uri;

#[expect(clippy::disallowed_methods, reason = "a stopwatch is all this program is")]
fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let (Some(url), Some(wanted)) = (arguments.next(), arguments.next()) else {
        return Err("usage: receive URL FRAMES [CA-FILE]".into());
    };
    let wanted: u64 = wanted.parse()?;
    let uri: Uri = url.parse()?;
    let tcp = TcpStream::connect(uri.authority().ok_or("the URL has no host")?.as_str())?;
    let mut stream: Box<dyn Read> = match arguments.next() {
        Some(ca) => upgraded(&url, tls(tcp, &uri, Path::new(&ca))?)?,
        None => upgraded(&url, tcp)?,
    };
    let mut buffer = vec![0; 256 << 10];
    let (mut held, mut frames, mut bytes) = (0, 0, 0);
    let started = Instant::now();
    while frames < wanted {
        let count = stream.read(&mut buffer[held..])?;
        if count == 0 {
            return Err(format!("the host ended after {frames} frames").into());
        }
        bytes += count;
        held += count;
        let (walked, whole) = walk(&buffer[..held]);
        frames += whole;
        buffer.copy_within(walked..held, 0);
        held -= walked;
    }
    let seconds = started.elapsed().as_secs_f64();
    println!(
        "{frames} frames in {seconds:.3} s: {:.0} frames/s, {:.0} MB/s, {:.0} ns a frame",
        frames as f64 / seconds,
        bytes as f64 / seconds / 1e6,
        seconds * 1e9 / frames as f64
    );
    Ok(())
}

/// The stream after the websocket handshake.
fn upgraded<S: Read + Write + 'static>(url: &str, stream: S) -> Result<Box<dyn Read>, Box<dyn Error>> {
    let (socket, _) = tungstenite::client(url, stream).map_err(|error| error.to_string())?;
    Ok(Box::new(socket.into_inner()))
}

fn tls(tcp: TcpStream, uri: &Uri, ca: &Path) -> Result<StreamOwned<ClientConnection, TcpStream>, Box<dyn Error>> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(ca)?)?;
    let config = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    let name = ServerName::try_from(uri.host().unwrap_or_default().to_string())?;
    Ok(StreamOwned::new(ClientConnection::new(Arc::new(config), name)?, tcp))
}

/// Bytes and number of the whole frames at the start of `buffer`.
fn walk(buffer: &[u8]) -> (usize, u64) {
    let (mut at, mut frames) = (0, 0);
    while let [_, length, rest @ ..] = &buffer[at..] {
        let end = match (length, rest) {
            (126, [high, low, ..]) => 4 + usize::from(u16::from_be_bytes([*high, *low])),
            (126 | 127, _) => break,
            (short, _) => 2 + usize::from(*short),
        };
        if at + end > buffer.len() {
            break;
        }
        at += end;
        frames += 1;
    }
    (at, frames)
}
