//! TLS over a socket that never blocks.
//!
//! ```text
//! socket ─► incoming (records) ─► rustls decrypts ─► the caller's buffer
//! socket ◄─ outgoing (records) ◄─ rustls encrypts ◄─ the caller's bytes
//! ```
//!
//! rustls is used without its own buffers: the socket fills `incoming` in large reads, rustls decrypts there and hands each
//! record out once, and it is copied once, to where the caller wants it. What rustls wants to say (handshake, key updates,
//! alerts) goes through `outgoing`, in order.
//!
//! What always holds: nothing is sent in the clear, and no byte of the host reaches the caller before its certificate has
//! been verified, against the system's roots, Mozilla's bundled ones and the operator's own. That check cannot be turned off.

use std::collections::BTreeSet;
use std::io::{self, Read, Write};
use std::sync::Arc;

use mio::net::TcpStream;
use rustls::client::UnbufferedClientConnection;
use rustls::pki_types::ServerName;
use rustls::unbuffered::{ConnectionState, EncodeError, EncryptError, UnbufferedStatus};
use rustls::{AlertDescription, CertificateError, ClientConfig};

use crate::clock::Clock;
use crate::limits::TLS_BUFFER_BYTES;
use crate::syntax::Time;
use crate::trust;
pub use crate::trust::TlsError;

/// Whom a `wss://` host must be certified by, and how TLS is spoken. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Tls {
    config: Arc<ClientConfig>,
    clock: Clock,
}

impl Tls {
    /// Trusts the roots of the system, the bundled ones of Mozilla, and those in `ca`, the text of a PEM file. A
    /// certificate is judged at the time of `clock`.
    ///
    /// # Errors
    /// `ca` holds no certificate, or a broken one.
    pub fn new(ca: Option<&[u8]>, clock: &Clock) -> Result<Self, TlsError> {
        let config = trust::client(ca, clock)?;
        Ok(Self { config: Arc::new(config), clock: clock.clone() })
    }

    /// Begins TLS with `host` on a socket that is connected to it. The handshake goes on in reads and writes.
    pub(super) fn begin(&self, host: &str, socket: TcpStream) -> io::Result<TlsStream> {
        let bare = host.trim_start_matches('[').trim_end_matches(']');
        let name = ServerName::try_from(bare.to_owned())
            .map_err(|_| io::Error::other(format!("{host} is no name that a certificate can hold: check the URL")))?;
        let session = UnbufferedClientConnection::new(Arc::clone(&self.config), name)
            .map_err(|error| io::Error::other(format!("TLS with {host} cannot begin: {error}")))?;
        Ok(TlsStream {
            socket,
            session,
            incoming: vec![0; TLS_BUFFER_BYTES].into(),
            start: 0,
            end: 0,
            outgoing: Vec::new(),
            spill: Vec::new(),
            closed: false,
            failed: None,
            host: host.to_owned(),
            clock: self.clock.clone(),
        })
    }
}

/// One TLS connection. It reads and writes as the socket does: what cannot go on now is `WouldBlock`.
pub struct TlsStream {
    socket: TcpStream,
    session: UnbufferedClientConnection,
    /// `incoming[start..end]` was received and is not decrypted yet.
    incoming: Box<[u8]>,
    start: usize,
    end: usize,
    /// Records that wait to be sent.
    outgoing: Vec<u8>,
    /// Decrypted, and found no room at the caller's. At most what `incoming` held.
    spill: Vec<u8>,
    /// The host has said that nothing more comes.
    closed: bool,
    /// What ended the session: rustls must not be asked again after that.
    failed: Option<String>,
    host: String,
    clock: Clock,
}

impl TlsStream {
    pub(super) fn socket(&mut self) -> &mut TcpStream {
        &mut self.socket
    }

    /// Says goodbye, as far as the socket takes it now.
    pub(super) fn close(&mut self) {
        if let Ok(status) = self.advance(&mut [])
            && status.open
        {
            let Self { session, incoming, start, end, outgoing, .. } = self;
            let UnbufferedStatus { discard, state } = session.process_tls_records(&mut incoming[*start..*end]);
            if let Ok(ConnectionState::WriteTraffic(mut traffic)) = state {
                let _said_already = append(outgoing, 64, |room| traffic.queue_close_notify(room));
            }
            *start += discard;
        }
        let _best_effort = self.send();
    }

    /// Lets rustls work on what is there: decrypted bytes go to `into`, and what finds no room there to the spill.
    fn advance(&mut self, into: &mut [u8]) -> io::Result<Advanced> {
        if let Some(why) = &self.failed {
            return Err(io::Error::other(why.clone()));
        }
        let mut filled = 0;
        loop {
            let Self { session, incoming, start, end, outgoing, spill, closed, .. } = self;
            let UnbufferedStatus { mut discard, state } = session.process_tls_records(&mut incoming[*start..*end]);
            let mut rests = None;
            match state {
                Ok(ConnectionState::ReadTraffic(mut traffic)) => {
                    while let Some(record) = traffic.next_record() {
                        let record = record.map_err(io::Error::other)?;
                        discard += record.discard;
                        let count = record.payload.len().min(into.len() - filled);
                        let (fits, rest) = record.payload.split_at(count);
                        into[filled..filled + count].copy_from_slice(fits);
                        filled += count;
                        spill.extend_from_slice(rest);
                    }
                }
                Ok(ConnectionState::EncodeTlsData(mut data)) => {
                    append(outgoing, 0, |room| data.encode(room)).map_err(io::Error::other)?;
                }
                // They are in `outgoing`, which keeps their order.
                Ok(ConnectionState::TransmitTlsData(data)) => data.done(),
                Ok(ConnectionState::PeerClosed) => *closed = true,
                Ok(ConnectionState::WriteTraffic(_)) => rests = Some(true),
                Ok(_) => rests = Some(false),
                Err(error) => {
                    *start += discard;
                    return Err(self.fail(error));
                }
            }
            *start += discard;
            if let Some(open) = rests {
                return Ok(Advanced { filled, open });
            }
        }
    }

    /// Tells the host why, and says what to do.
    fn fail(&mut self, error: rustls::Error) -> io::Error {
        let UnbufferedStatus { state, .. } = self.session.process_tls_records(&mut []);
        if let Ok(ConnectionState::EncodeTlsData(mut alert)) = state
            && append(&mut self.outgoing, 0, |room| alert.encode(room)).is_ok()
        {
            let _best_effort = self.send();
        }
        let now = Time::from_micros(self.clock.wall_micros());
        let why = explain(&self.host, &error, now);
        self.failed = Some(why.clone());
        io::Error::other(why)
    }

    /// Sends what waits, until nothing does.
    fn send(&mut self) -> io::Result<()> {
        while !self.outgoing.is_empty() {
            match self.socket.write(&self.outgoing) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(count) => drop(self.outgoing.drain(..count)),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Reads from the socket; false at its end.
    fn receive(&mut self) -> io::Result<bool> {
        if self.start > 0 {
            self.incoming.copy_within(self.start..self.end, 0);
            self.end -= self.start;
            self.start = 0;
        }
        if self.end == self.incoming.len() {
            return Err(io::Error::other(format!(
                "{} sends a TLS handshake of more than {TLS_BUFFER_BYTES} bytes: check host and port",
                self.host
            )));
        }
        let count = self.socket.read(&mut self.incoming[self.end..])?;
        self.end += count;
        Ok(count > 0)
    }
}

/// Where rustls rests.
struct Advanced {
    /// Bytes handed to the caller.
    filled: usize,
    /// Whether the caller's bytes can be sent.
    open: bool,
}

impl Read for TlsStream {
    /// Drives the handshake, too: before it is done there is nothing to read.
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        if !self.spill.is_empty() {
            let count = self.spill.len().min(into.len());
            into[..count].copy_from_slice(&self.spill[..count]);
            self.spill.drain(..count);
            return Ok(count);
        }
        loop {
            let filled = self.advance(into)?.filled;
            match self.send() {
                Err(error) if error.kind() != io::ErrorKind::WouldBlock => return Err(error),
                _ if filled > 0 => return Ok(filled),
                _ => {}
            }
            if self.closed || !self.receive()? {
                return Ok(0);
            }
        }
    }
}

impl Write for TlsStream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let open = self.advance(&mut [])?.open;
        self.send()?;
        if !open {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let Self { session, incoming, start, end, outgoing, .. } = self;
        let UnbufferedStatus { discard, state } = session.process_tls_records(&mut incoming[*start..*end]);
        if let Ok(ConnectionState::WriteTraffic(mut traffic)) = state {
            append(outgoing, bytes.len() + 64, |room| traffic.encrypt(bytes, room)).map_err(io::Error::other)?;
        }
        *start += discard;
        match self.send() {
            // They are ours now: what the socket does not take goes out with the next call.
            Err(error) if error.kind() != io::ErrorKind::WouldBlock => Err(error),
            _ => Ok(bytes.len()),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        self.send()
    }
}

/// An error that says how much room was missing.
trait Short {
    fn required(&self) -> Option<usize>;
}

impl Short for EncodeError {
    fn required(&self) -> Option<usize> {
        match self {
            Self::InsufficientSize(short) => Some(short.required_size),
            Self::AlreadyEncoded => None,
        }
    }
}

impl Short for EncryptError {
    fn required(&self) -> Option<usize> {
        match self {
            Self::InsufficientSize(short) => Some(short.required_size),
            Self::EncryptExhausted => None,
        }
    }
}

/// Appends what `write` writes; it is asked a second time, with the room that it wants, where `guess` bytes were too few.
fn append<E: Short>(
    to: &mut Vec<u8>,
    guess: usize,
    mut write: impl FnMut(&mut [u8]) -> Result<usize, E>,
) -> Result<(), E> {
    let before = to.len();
    to.resize(before + guess, 0);
    let result = match write(&mut to[before..]) {
        Err(error) => match error.required() {
            Some(required) => {
                to.resize(before + required, 0);
                write(&mut to[before..])
            }
            None => Err(error),
        },
        written => written,
    };
    to.truncate(before + result.as_ref().copied().unwrap_or(0));
    result.map(drop)
}

/// What went wrong, and what to do.
fn explain(host: &str, error: &rustls::Error, now: Time) -> String {
    use rustls::Error::{AlertReceived, InvalidCertificate, InvalidMessage};
    match error {
        // The latter where an authority has begun anew under its old name.
        InvalidCertificate(CertificateError::UnknownIssuer | CertificateError::BadSignature) => format!(
            "the certificate of {host} comes from nobody who is trusted here: if it is your own authority's, give its \
             certificate with --upstream-ca; if not, find out who answers there"
        ),
        InvalidCertificate(CertificateError::NotValidForNameContext { presented, .. }) => {
            let names: BTreeSet<_> = presented.iter().map(String::as_str).collect();
            let names = names.into_iter().collect::<Vec<_>>().join(", ");
            format!("the certificate of {host} is not for this name but for {names}: use a name that it holds")
        }
        InvalidCertificate(CertificateError::NotValidForName) => {
            format!("the certificate of {host} is not for this name: use a name that it holds")
        }
        InvalidCertificate(CertificateError::Expired | CertificateError::ExpiredContext { .. }) => format!(
            "the certificate of {host} has expired: its host must renew it, unless this machine's clock is wrong (it says \
             {now})"
        ),
        InvalidCertificate(CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. }) => format!(
            "the certificate of {host} is not valid yet: set this machine's clock, which says {now}, or wait for the host"
        ),
        InvalidCertificate(why) => {
            format!("the certificate of {host} cannot be trusted ({why}): its host must replace it")
        }
        InvalidMessage(_) => format!("what answers at {host} does not speak TLS: check the port, or use ws://"),
        AlertReceived(AlertDescription::NoApplicationProtocol) => {
            format!("{host} does not speak http/1.1 over TLS: check host and port")
        }
        AlertReceived(AlertDescription::UnrecognisedName) => {
            format!("{host} does not know itself by this name: check the URL")
        }
        other => format!("TLS with {host} failed: {other}"),
    }
}
