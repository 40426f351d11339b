//! One connection with its websocket session, and the times by which something must have happened on it.
//!
//! ```text
//! begin ──up──► handshake ──Open──► waiting for data ──text──► reading
//!   └── within connect ──┘             └ within first data ┘      └ never silent for idle; a ping at half of it
//! ```

use std::io::{self, Read, Write};
use std::time::Duration;

use super::Why;
use super::plan::Timeouts;
use crate::wire::session::{Event, Run, Session, SessionError};

/// A stream that stands. It tells of news once: then it is read until it would block.
pub(super) struct Connection<T> {
    stream: T,
    session: Session,
    stage: Stage,
    readable: bool,
    /// The network has nothing more.
    ended: bool,
}

#[derive(Clone, Copy, Debug)]
enum Stage {
    /// The handshake must be done at this moment.
    Handshake { until: Duration },
    /// Open since then, without data.
    Waiting { since: Duration },
    /// Data came then.
    Reading { last: Duration, pinged: bool },
}

impl<T: Read + Write> Connection<T> {
    /// Of a stream that is up; the handshake must be done at `until`.
    pub(super) fn new(stream: T, session: Session, until: Duration) -> Self {
        Self { stream, session, stage: Stage::Handshake { until }, readable: true, ended: false }
    }

    /// The next thing that was received.
    #[inline]
    pub(super) fn next(&mut self) -> Result<Option<Event<'_>>, Why> {
        Ok(self.session.next()?)
    }

    /// Why it is over, where the network has nothing more. To be asked once [`Connection::next`] has nothing more either.
    pub(super) fn over(&mut self) -> Option<Why> {
        self.ended.then(|| self.session.end().into())
    }

    /// Plain messages that come before it.
    pub(super) fn run(&mut self) -> Option<Run<'_>> {
        self.session.run()
    }

    /// The message that [`Connection::next`] gave last, until [`Connection::read`].
    pub(super) fn last(&self) -> &[u8] {
        self.session.last()
    }

    /// Whether [`Connection::read`] may bring something.
    pub(super) fn may_read(&self) -> bool {
        self.readable && !self.ended
    }

    /// Reads once. What came must be taken with [`Connection::next`] before the next call.
    pub(super) fn read(&mut self) -> Result<(), Why> {
        match self.stream.read(self.session.space()) {
            Ok(0) => self.ended = true,
            Ok(count) => self.session.received(count),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => self.readable = false,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) if error.kind() == io::ErrorKind::ConnectionReset => self.ended = true,
            Err(error) => return Err(error.into()),
        }
        if self.ended {
            // What is still in the session comes first; then the end is told.
            self.readable = false;
        }
        Ok(())
    }

    /// There may be something to read again.
    pub(super) fn notice(&mut self) {
        self.readable = true;
    }

    /// Sends what can be sent now.
    pub(super) fn flush(&mut self) -> io::Result<()> {
        while !self.session.output().is_empty() {
            match self.stream.write(self.session.output()) {
                Ok(0) => return Ok(()),
                Ok(count) => self.session.sent(count),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                // The reading side knows better why: it may hold the host's last words.
                Err(error) if matches!(error.kind(), io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset) => {
                    let count = self.session.output().len();
                    self.session.sent(count);
                    self.readable = true;
                }
                Err(error) => return Err(error),
            }
        }
        match self.stream.flush() {
            Err(error) if error.kind() != io::ErrorKind::WouldBlock => Err(error),
            _ => Ok(()),
        }
    }

    /// The answer to a close, as far as the host still wants it.
    pub(super) fn flush_last_words(&mut self) {
        let _best_effort = self.flush();
    }

    /// Closes as a client that goes away.
    pub(super) fn say_goodbye(&mut self) {
        self.session.close();
        self.flush_last_words();
    }

    /// The handshake is done.
    pub(super) fn opened(&mut self, now: Duration) {
        self.stage = Stage::Waiting { since: now };
    }

    /// Data came, or we are the ones who do not read.
    pub(super) fn live(&mut self, now: Duration) {
        if !matches!(self.stage, Stage::Handshake { .. }) {
            self.stage = Stage::Reading { last: now, pinged: false };
        }
    }

    /// The moment at which this must be called again, or why the connection is given up. Pings where one is due.
    pub(super) fn due(&mut self, now: Duration, timeouts: &Timeouts) -> Result<Duration, Why> {
        let (until, why) = match self.stage {
            Stage::Handshake { until } => (until, Why::ConnectTimeout(timeouts.connect)),
            Stage::Waiting { since } => (since + timeouts.first_data, Why::Silent(timeouts.first_data)),
            Stage::Reading { last, .. } => (last + timeouts.idle, Why::Idle(timeouts.idle)),
        };
        if now >= until {
            // A refusal whose body does not end is a refusal all the same.
            return Err(match self.session.end() {
                refused @ SessionError::Refused { .. } => refused.into(),
                _ => why,
            });
        }
        let Stage::Reading { last, pinged: false } = self.stage else { return Ok(until) };
        let ping_at = last + timeouts.idle / 2;
        if now < ping_at {
            return Ok(ping_at);
        }
        self.stage = Stage::Reading { last, pinged: true };
        self.session.ping();
        self.flush()?;
        Ok(until)
    }

    /// The stream, to be closed.
    pub(super) fn into_stream(self) -> T {
        self.stream
    }
}
