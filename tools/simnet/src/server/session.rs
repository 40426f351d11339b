//! One subscription: writes frames from the client's cursor on.
//!
//! In: the reel, the timeline, what the client says, the faults of this connection. Out: bytes, many frames a write.
//!
//! Always: frames go out in the order of the reel, each once, from the first one asked for; only faults break this, and
//! only as their names say.

use std::io::{self, Read};
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, RecvTimeoutError, TryRecvError, channel};
use std::time::{Duration, Instant};

mod mischief;

use super::client::{self, Said};
use super::faults::Fault;
use super::link::Link;
use super::query::{Cursor, Filter, Request, Sieve};
use super::{Pace, Shared};
use crate::event::Dialect;
use crate::machine;
use crate::press::{Press, Squeezer};
use crate::reel::{Film, Reel};
use crate::websocket::{BINARY, CLOSE, CONTINUATION, PING, PONG, TEXT, frame, header, payload};

/// Bytes of frames in one write.
const WRITE_BYTES: usize = 1 << 20;
/// Frames that a filter looks at before the client is heard again.
const LOOK_FRAMES: u64 = 65_536;
const PING_INTERVAL: Duration = Duration::from_secs(5);
/// A client that says nothing for this long, pings or not, is gone.
const PONG_TIMEOUT: Duration = Duration::from_secs(60);
/// A write that takes longer finds no reader.
const WRITE_TIMEOUT: Duration = Duration::from_secs(300);
/// How long the client may take to close its side.
const LINGER: Duration = Duration::from_secs(2);
/// How long a silent host is silent.
const SILENCE: Duration = Duration::from_secs(300);
/// The first fault comes after this many frames…
const FAULT_FIRST: u64 = 24;
/// …and each further one after so many more. Twice the blocks of `reorder-at-seam`, so that faults do not meet.
const FAULT_STEP: u64 = 2 * BLOCK;
/// Events that `v1-clamp` leaves out.
const V1_CLAMP: u64 = 500;
/// Events in a block of `duplicate` and `reorder-at-seam`.
const BLOCK: u64 = 64;

/// How a session ends.
#[derive(Debug)]
enum End {
    /// The TCP connection is closed after what was written.
    Drop,
    /// A close frame first.
    Close(u16, &'static str),
    /// The client has closed; its code is sent back.
    Echo(Vec<u8>),
    /// There is nobody left to write to.
    Gone(io::Error),
}

impl From<io::Error> for End {
    fn from(error: io::Error) -> Self {
        Self::Gone(error)
    }
}

pub(super) struct Session<'a> {
    shared: &'a Shared,
    reel: &'a Reel,
    film: &'a Film,
    /// Where messages are compressed.
    press: Option<&'a Press>,
    squeezer: Option<Squeezer<'a>>,
    link: Link,
    dialect: Dialect,
    sieve: Option<Sieve>,
    waits_for_hello: bool,
    /// The next frame of the reel.
    next: u64,
    /// Frames written to this client.
    sent: u64,
    /// Faults to come, by the count of frames before them, the next one last.
    faults: Vec<(u64, Fault)>,
    heard: Instant,
    pinged: Instant,
    out: Vec<u8>,
}

impl<'a> Session<'a> {
    /// `press`: where messages are compressed. Its film, or the plain one, has been made.
    pub fn new(shared: &'a Shared, link: Link, request: Request, press: Option<&'a Press>, faults: Vec<Fault>) -> Self {
        let reel = &shared.reel;
        let mut next = match request.cursor {
            None => shared.live(),
            Some(Cursor::Time(micros)) => reel.at_time(micros),
            Some(Cursor::Seq(seq)) => reel.at_seq(seq),
        };
        if faults.contains(&Fault::V1Clamp) {
            shared.faults.fire(Fault::V1Clamp);
            next += V1_CLAMP;
        }
        let places = (0..).map(|step| FAULT_FIRST + step * FAULT_STEP);
        let to_come = faults.into_iter().filter(|&fault| fault != Fault::V1Clamp);
        let mut faults: Vec<(u64, Fault)> = places.zip(to_come).collect();
        faults.reverse();
        let now = machine::now();
        Self {
            shared,
            reel,
            film: press.map_or_else(|| reel.film(request.dialect), |press| press.film(reel)),
            press,
            squeezer: press.map(Press::squeezer),
            link,
            dialect: request.dialect,
            sieve: request.filter.compile(reel),
            waits_for_hello: request.require_hello,
            // A cursor from the future waits for nothing: it is now.
            next: next.min(shared.head()),
            sent: 0,
            faults,
            heard: now,
            pinged: now,
            out: Vec::new(),
        }
    }

    /// Runs until either side ends it. `early` is what the client sent right behind its handshake.
    pub fn run(mut self, early: Vec<u8>) -> io::Result<()> {
        self.link.set_write_timeout(Some(WRITE_TIMEOUT))?;
        let (to, said) = channel();
        let socket = io::Cursor::new(early).chain(self.link.clone());
        machine::spawn("simnet-client", move || client::listen(io::BufReader::new(socket), &to))?;
        let Err(end) = self.stream_on(&said);
        for (_, fault) in self.faults.drain(..) {
            self.shared.faults.give_back(fault);
        }
        let mut last = Vec::new();
        // What looks as if the network had cut the connection says no goodbye in TLS either.
        let politely = !matches!(end, End::Drop);
        match end {
            End::Drop => {}
            End::Close(code, why) => {
                let mut payload = code.to_be_bytes().to_vec();
                payload.extend_from_slice(why.as_bytes());
                frame(CLOSE, &payload, &mut last);
            }
            End::Echo(payload) => frame(CLOSE, &payload[..payload.len().min(125)], &mut last),
            End::Gone(error) => return Err(error),
        }
        self.link.write_all(&last)?;
        self.link.end(politely)?;
        // The client's side first, so that nothing it has not read yet is lost to a reset.
        let until = machine::now() + LINGER;
        while !matches!(said.recv_timeout(until.saturating_duration_since(machine::now())), Ok(Said::Gone) | Err(_)) {}
        Ok(())
    }

    fn stream_on(&mut self, said: &Receiver<Said>) -> Result<std::convert::Infallible, End> {
        loop {
            self.hear_all(said)?;
            self.keep_alive()?;
            if self.waits_for_hello {
                self.rest(said, Duration::from_millis(20))?;
                continue;
            }
            if self.shared.options.drop_after.is_some_and(|frames| self.sent >= frames) {
                return Err(End::Drop);
            }
            if let Some(&(at, fault)) = self.faults.last()
                && (at <= self.sent || fault == Fault::Silence)
            {
                self.faults.pop();
                self.commit(fault, said)?;
                continue;
            }
            let head = self.shared.head();
            if self.next < head {
                self.send_until(head)?;
            } else {
                let patience = if self.shared.options.pace == Pace::Max { 50 } else { 1 };
                self.rest(said, Duration::from_millis(patience))?;
            }
        }
    }

    /// How many frames may go out before something must happen.
    fn frames_allowed(&self) -> u64 {
        let until_drop = self.shared.options.drop_after.map_or(u64::MAX, |frames| frames.saturating_sub(self.sent));
        let until_fault = self.faults.last().map_or(u64::MAX, |(at, _)| at.saturating_sub(self.sent));
        until_drop.min(until_fault)
    }

    /// Writes some frames before `head`: one write.
    fn send_until(&mut self, head: u64) -> Result<(), End> {
        let allowed = self.frames_allowed();
        if self.sieve.is_none()
            && let Some((bytes, after)) =
                self.reel.run(self.film, self.next, head.min(self.next.saturating_add(allowed)), WRITE_BYTES)
        {
            self.link.write_all(bytes)?;
            self.count(after - self.next);
            self.next = after;
            return Ok(());
        }
        self.out.clear();
        let (mut frames, stop) = (0, head.min(self.next.saturating_add(LOOK_FRAMES)));
        while self.next < stop && frames < allowed && self.out.len() < WRITE_BYTES {
            frames += u64::from(self.take(self.next));
            self.next += 1;
        }
        self.flush()?;
        self.count(frames);
        Ok(())
    }

    /// Puts a frame into the buffer, if the client wants it.
    fn take(&mut self, position: u64) -> bool {
        let wanted = self
            .sieve
            .as_ref()
            .is_none_or(|sieve| sieve.passes(self.reel.mark_of(position), self.reel.frame_bytes(self.film, position)));
        if wanted {
            match &mut self.squeezer {
                Some(squeezer) if position >= self.reel.len() => {
                    let mut plain = Vec::new();
                    self.reel.append(self.reel.film(self.dialect), position, &mut plain);
                    squeezer.frame(payload(&plain), &mut self.out);
                }
                _ => self.reel.append(self.film, position, &mut self.out),
            }
        }
        wanted
    }

    fn flush(&mut self) -> io::Result<()> {
        self.link.write_all(&self.out)?;
        self.out.clear();
        Ok(())
    }

    fn count(&mut self, frames: u64) {
        self.sent += frames;
        self.shared.sent.fetch_add(frames, Ordering::Relaxed);
    }

    fn send(&mut self, opcode: u8, payload: &[u8]) -> io::Result<()> {
        self.out.clear();
        frame(opcode, payload, &mut self.out);
        self.flush()
    }

    /// Sends a message that is no event of the reel, compressed where events are.
    fn send_message(&mut self, text: &str) -> io::Result<()> {
        self.out.clear();
        self.put_message(text);
        self.flush()
    }

    fn put_message(&mut self, text: &str) {
        match &mut self.squeezer {
            Some(squeezer) => squeezer.frame(text.as_bytes(), &mut self.out),
            None => frame(TEXT, text.as_bytes(), &mut self.out),
        }
    }

    // --- the client

    fn hear_all(&mut self, said: &Receiver<Said>) -> Result<(), End> {
        loop {
            match said.try_recv() {
                Ok(word) => self.hear(word)?,
                Err(TryRecvError::Empty) => return Ok(()),
                Err(TryRecvError::Disconnected) => return Err(gone()),
            }
        }
    }

    /// Waits, yet hears.
    fn rest(&mut self, said: &Receiver<Said>, time: Duration) -> Result<(), End> {
        match said.recv_timeout(time) {
            Ok(word) => self.hear(word),
            Err(RecvTimeoutError::Timeout) => Ok(()),
            Err(RecvTimeoutError::Disconnected) => Err(gone()),
        }
    }

    fn hear(&mut self, word: Said) -> Result<(), End> {
        self.heard = machine::now();
        match word {
            Said::Ping(payload) => self.send(PONG, &payload)?,
            Said::Pong => {}
            Said::Close(payload) => return Err(End::Echo(payload)),
            Said::Gone => return Err(gone()),
            Said::Data(_) if self.dialect == Dialect::V2 => {
                return Err(End::Close(1008, "clients must not send data"));
            }
            Said::Data(message) => {
                let filter = Filter::from_update(&message).map_err(|_| End::Close(1008, "no options_update"))?;
                self.sieve = filter.compile(self.reel);
                self.waits_for_hello = false;
            }
        }
        Ok(())
    }

    fn keep_alive(&mut self) -> Result<(), End> {
        if self.shared.is_stopping() {
            return Err(End::Drop);
        }
        let now = machine::now();
        if now.duration_since(self.pinged) >= PING_INTERVAL {
            if now.duration_since(self.heard) >= PONG_TIMEOUT {
                return Err(End::Close(1001, "no pong"));
            }
            self.pinged = now;
            self.send(PING, b"simnet")?;
        }
        Ok(())
    }
}

fn gone() -> End {
    End::Gone(io::ErrorKind::ConnectionAborted.into())
}
