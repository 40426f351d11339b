//! Which endpoint is tried next, what it is asked for, and how long to wait before that. No clock, no socket.
//!
//! | the last connection | next |
//! |---|---|
//! | brought something new | the same endpoint, after the first wait |
//! | brought nothing new | the next endpoint; each round over all of them waits twice as long as the one before |
//! | was refused with `CursorTooOld` | the same endpoint, from the floor that it names; without one, from 7 days ago |
//! | has a dictionary that does not work | the same endpoint, with another one or without |
//! | did not begin where it was asked | the same endpoint, from its oldest |
//! | brought nothing new [`STUCK_TRIES`] times, being asked for a position moved back | that position itself, not moved back: a gap |
//! | broke the protocol at the same position, not moved back, [`STUCK_TRIES`] times | behind that position: 1, 2, 4 … further, a gap each |
//!
//! What is asked for: the endpoint's own newest cursor, where it is not much behind (on v1 less
//! [`V1_REWIND_MICROS`](crate::limits::V1_REWIND_MICROS), for its times are not in order); else, from another host's, only the
//! time, less [`HOST_REWIND_MICROS`](crate::limits::HOST_REWIND_MICROS) (DESIGN §1). A v2 host takes a moment as well as a
//! sequence number. One that knows only sequence numbers would take the moment for a number far ahead and be silent, or
//! start live: silence is noticed here, the latter by the sink ([`Pressure::Rewind`](super::Pressure::Rewind)), and then
//! it is asked for its oldest: slow, and complete.

use std::time::Duration;

use crate::fact::{Cursor, Dialect, GapReason, Host};
use crate::limits::{
    BACKOFF_FIRST_MILLIS, BACKOFF_MAX_MILLIS, CONNECT_TIMEOUT_MILLIS, FIRST_DATA_TIMEOUT_MILLIS, HOST_REWIND_MICROS,
    IDLE_TIMEOUT_MILLIS, RETENTION_MICROS, STUCK_STEP_MAX, STUCK_TRIES, TIME_CURSOR_MIN, V1_REWIND_MICROS,
};
use crate::syntax::Time;
use crate::wire::endpoint::{Ask, Endpoint, Start};
use crate::wire::session::Refusal;

/// What a reader reads, and how patiently.
#[derive(Clone, Debug)]
pub struct Config {
    /// Tried in turn; at least one.
    pub endpoints: Vec<Endpoint>,
    /// Where to begin when there is no cursor.
    pub without_cursor: WithoutCursor,
    /// How long things may take.
    pub timeouts: Timeouts,
    /// Which streams are asked for compressed.
    pub zstd: super::Zstd,
    /// How `wss://` is spoken; needed where an endpoint is one.
    #[cfg(feature = "server")]
    pub tls: Option<super::Tls>,
}

impl Config {
    /// With the timeouts of [`limits`](crate::limits), plain, and without TLS.
    pub fn new(endpoints: Vec<Endpoint>, without_cursor: WithoutCursor) -> Self {
        Self {
            endpoints,
            without_cursor,
            timeouts: Timeouts::default(),
            zstd: super::Zstd::default(),
            #[cfg(feature = "server")]
            tls: None,
        }
    }
}

/// Where to begin when there is no cursor: `--from`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum WithoutCursor {
    /// From now on.
    Live,
    /// From the oldest that the host has.
    #[default]
    Oldest,
}

/// How long things may take. The defaults stand in [`limits`](crate::limits).
#[derive(Clone, Copy, Debug)]
pub struct Timeouts {
    /// From the first packet to the end of the handshake.
    pub connect: Duration,
    /// From there to the first text message.
    pub first_data: Duration,
    /// From one text message to the next; a ping goes out at half of it.
    pub idle: Duration,
    /// The first wait between two tries.
    pub backoff_first: Duration,
    /// The longest one.
    pub backoff_max: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            connect: Duration::from_millis(CONNECT_TIMEOUT_MILLIS),
            first_data: Duration::from_millis(FIRST_DATA_TIMEOUT_MILLIS),
            idle: Duration::from_millis(IDLE_TIMEOUT_MILLIS),
            backoff_first: Duration::from_millis(BACKOFF_FIRST_MILLIS),
            backoff_max: Duration::from_millis(BACKOFF_MAX_MILLIS),
        }
    }
}

/// How a connection ended, as far as it matters here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// 400 `CursorTooOld`, with the floor where the message names it.
    CursorTooOld { floor: Option<u64> },
    /// The websocket protocol was broken after the handshake.
    Protocol,
    /// Accepted, and nothing came.
    Silent,
    /// The dictionary does not work.
    Dictionary,
    /// The sink says that the host did not begin where it was asked to.
    Rewind,
    /// Anything else.
    Other,
}

impl Kind {
    pub(super) fn of_refusal(refusal: &Refusal) -> Self {
        match refusal.error.as_deref() {
            Some("CursorTooOld") => {}
            Some("UnknownZstdDictionary") => return Self::Dictionary,
            _ => return Self::Other,
        }
        // "cursor 0 below lookback floor 123; …": the number behind the last "floor".
        let floor = refusal.message.rfind("floor").and_then(|at| {
            let digits = refusal.message[at + 5..].trim_start_matches(|c: char| !c.is_ascii_digit());
            digits.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
        });
        Self::CursorTooOld { floor }
    }
}

/// The next connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Next {
    /// Index of the endpoint.
    pub(super) at: usize,
    pub(super) ask: Ask,
    /// It begins behind what could not be read, or was not read again: a gap.
    pub(super) skips: bool,
    /// It begins before a position that was read.
    rewinds: bool,
    /// When it was planned.
    now: Time,
}

/// What came of one.
#[derive(Clone, Debug)]
pub(super) struct Outcome {
    pub(super) of: Next,
    pub(super) kind: Kind,
    /// Whether anything came, new or not.
    pub(super) frames: bool,
    /// The sink's newest position afterwards.
    pub(super) cursor: Option<Cursor>,
}

/// What follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct After {
    pub(super) wait: Duration,
    pub(super) gap: Option<GapReason>,
}

/// What is known of one endpoint.
#[derive(Debug)]
struct Known {
    endpoint: Endpoint,
    host: Host,
    /// The newest position that was taken from it.
    cursor: Option<Cursor>,
    /// What to ask for instead, until something new comes.
    instead: Option<Start>,
    /// Refusals of the cursor in a row.
    refusals: u32,
    /// One of them was told as a gap.
    gap_told: bool,
    /// Breaks of the protocol in a row, where the stream was not moved back.
    breaks: u32,
    /// Silences in a row after it was asked for a moment.
    silences: u32,
    /// Connections in a row that began before the position and did not come to it. After [`STUCK_TRIES`] it is not moved back:
    /// what is late by the stream's disorder may be missing then.
    vain: u32,
    /// That was told as a gap.
    vain_told: bool,
}

/// A host that was silent this often after it was asked for a moment may not know moments.
const DEAF_TRIES: u32 = 2;

/// See the module.
pub(super) struct Plan {
    known: Vec<Known>,
    at: usize,
    /// The latest position that was taken from anywhere.
    newest: Option<Cursor>,
    /// Connections in a row that brought nothing new.
    failures: u32,
    without_cursor: WithoutCursor,
    timeouts: Timeouts,
    rng: fastrand::Rng,
}

impl Plan {
    pub(super) fn new(config: Config, rng: fastrand::Rng) -> Self {
        let known = config.endpoints.into_iter().map(Known::new).collect();
        let Config { without_cursor, timeouts, .. } = config;
        Self { known, at: 0, newest: None, failures: 0, without_cursor, timeouts, rng }
    }

    pub(super) fn endpoint(&self, at: usize) -> &Endpoint {
        &self.known[at].endpoint
    }

    pub(super) fn timeouts(&self) -> &Timeouts {
        &self.timeouts
    }

    /// The next connection. `cursor` is the sink's newest position, `now` the wall clock.
    pub(super) fn next(&mut self, cursor: Option<Cursor>, now: Time) -> Next {
        self.learn(cursor);
        let known = &self.known[self.at];
        let asked = known.instead.unwrap_or_else(|| self.start(known));
        let is_stuck = known.breaks >= STUCK_TRIES;
        let (start, skips) = match asked {
            Start::Cursor { value } if is_stuck => (known.behind(value), true),
            Start::Oldest if is_stuck && known.is_v2() => (known.behind(0), true),
            Start::Cursor { value } if known.instead.is_none() => {
                let rewound = known.rewound(value);
                if known.vain < STUCK_TRIES { (rewound, false) } else { (asked, rewound != asked && !known.vain_told) }
            }
            start => (start, false),
        };
        let rewinds = start != asked && !is_stuck;
        let known = &mut self.known[self.at];
        known.vain_told |= skips && !is_stuck;
        Next { at: self.at, ask: Ask { start, zstd: None }, skips, rewinds, now }
    }

    fn start(&self, known: &Known) -> Start {
        match (&self.newest, &known.cursor, self.without_cursor) {
            (Some(newest), Some(own), _) if newest.time.micros_since(own.time) <= HOST_REWIND_MICROS => {
                Start::Cursor { value: own.value }
            }
            (Some(newest), _, _) => Start::Time { at: newest.time.plus_micros(-HOST_REWIND_MICROS) },
            (None, _, WithoutCursor::Live) => Start::Live,
            (None, _, WithoutCursor::Oldest) => Start::Oldest,
        }
    }

    /// Takes what came of a connection.
    pub(super) fn ended(&mut self, outcome: &Outcome) -> After {
        let progress = self.learn(outcome.cursor.clone());
        let known = &mut self.known[outcome.of.at];
        if progress {
            self.failures = 0;
            known.progressed();
        } else if outcome.of.rewinds && (outcome.frames || outcome.kind == Kind::Protocol) {
            // It ended before it had passed what it was asked to repeat.
            known.vain += 1;
        }
        match outcome.kind {
            Kind::CursorTooOld { floor } => return self.refused(outcome, floor),
            // Asked otherwise the next time.
            Kind::Dictionary => return After { wait: self.backoff(), gap: None },
            Kind::Rewind => {
                known.instead = Some(Start::Oldest);
                return After { wait: self.backoff(), gap: None };
            }
            Kind::Silent if known.is_deaf_to(outcome.of.ask.start) => {
                known.silences += 1;
                if known.silences >= DEAF_TRIES {
                    known.instead = Some(Start::Oldest);
                }
            }
            Kind::Protocol if !progress && !outcome.of.rewinds => known.breaks += 1,
            _ => {}
        }
        if !progress {
            self.at = (outcome.of.at + 1) % self.known.len();
        }
        After { wait: self.backoff(), gap: None }
    }

    /// The host no longer has the position. It is a gap where the position was one of ours, and where nothing is left but to
    /// read what is live.
    fn refused(&mut self, outcome: &Outcome, floor: Option<u64>) -> After {
        let has_read = self.newest.is_some();
        let known = &mut self.known[outcome.of.at];
        let ours = known.refusals == 0 && matches!(outcome.of.ask.start, Start::Cursor { .. } | Start::Time { .. });
        known.refusals += 1;
        let instead = match (floor, known.refusals) {
            // The floor rises all the time: it may have risen above the one that was named.
            (Some(value), ..=4) => Start::Cursor { value },
            (_, ..=6) => Start::Time { at: outcome.of.now.plus_micros(-RETENTION_MICROS) },
            _ => Start::Live,
        };
        known.instead = Some(instead);
        let is_gap = ours || (instead == Start::Live && has_read && !known.gap_told);
        known.gap_told |= is_gap;
        After { wait: self.backoff(), gap: is_gap.then_some(GapReason::CursorTooOld) }
    }

    /// Takes note of the sink's position; whether it is new.
    fn learn(&mut self, cursor: Option<Cursor>) -> bool {
        let Some(cursor) = cursor else { return false };
        let mut progress = self.newest.as_ref().is_none_or(|newest| newest.time < cursor.time);
        if let Some(known) = self.known.iter_mut().find(|known| known.is_of(&cursor)) {
            // A host that has begun anew counts from 1 again: its newest position is what was taken last, not the greatest.
            progress |= known.cursor.as_ref().is_some_and(|own| own.value < cursor.value);
            known.cursor = Some(cursor.clone());
        }
        if self.newest.as_ref().is_none_or(|newest| newest.time <= cursor.time) {
            self.newest = Some(cursor);
        }
        progress
    }

    /// The wait before the next try: half to all of a time that doubles with each round over the endpoints.
    fn backoff(&mut self) -> Duration {
        let round = self.failures / u32::try_from(self.known.len()).unwrap_or(u32::MAX);
        self.failures = self.failures.saturating_add(1);
        let full = self.timeouts.backoff_first.saturating_mul(1 << round.min(20)).min(self.timeouts.backoff_max);
        full.mul_f64(0.5 + self.rng.f64() / 2.0)
    }
}

impl Known {
    fn new(endpoint: Endpoint) -> Self {
        let host = Host::new(&endpoint.host_name());
        Self {
            endpoint,
            host,
            cursor: None,
            instead: None,
            refusals: 0,
            gap_told: false,
            breaks: 0,
            silences: 0,
            vain: 0,
            vain_told: false,
        }
    }

    fn is_of(&self, cursor: &Cursor) -> bool {
        self.host == cursor.host && self.endpoint.dialect() == cursor.dialect
    }

    fn progressed(&mut self) {
        self.instead = None;
        self.refusals = 0;
        self.gap_told = false;
        self.breaks = 0;
        self.silences = 0;
        self.vain = 0;
        self.vain_told = false;
    }

    /// Whether silence may mean that a moment was taken for a sequence number.
    fn is_deaf_to(&self, start: Start) -> bool {
        self.is_v2() && matches!(start, Start::Time { .. })
    }

    fn is_v2(&self) -> bool {
        self.endpoint.dialect() == Dialect::V2
    }

    /// Where the stream is taken up at a position that was read: on v1 a little before it. (Below the least moment it would
    /// become a sequence number.)
    fn rewound(&self, value: u64) -> Start {
        let before = value.saturating_sub(V1_REWIND_MICROS);
        let value = if self.is_v2() || before < TIME_CURSOR_MIN { value } else { before };
        Start::Cursor { value }
    }

    /// Where the stream is taken up behind a position that was read, and after which it cannot be.
    fn behind(&self, value: u64) -> Start {
        let step = 1_u64.checked_shl(self.breaks - STUCK_TRIES).unwrap_or(STUCK_STEP_MAX).min(STUCK_STEP_MAX);
        let step = match self.endpoint.dialect() {
            Dialect::V1 => step * 1000,
            // The first number behind it is the one that cannot be read.
            Dialect::V2 => step + 1,
        };
        Start::Cursor { value: value.saturating_add(step) }
    }
}

#[cfg(test)]
mod tests;
