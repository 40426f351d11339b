//! The rings from the reader to the workers, and the position tokens in them.
//!
//! ```text
//!                    ┌─ ring 0 ─► worker 0     a frame goes to the worker of its DID
//! reader ─► sieve ───┼─ ring 1 ─► worker 1     a token goes to all of them, idle ones too
//!                    └─ ring N ─► worker N
//! ```
//!
//! What always holds: a token that names position P is behind every frame and every orphan up to P in every ring. So whoever has drained
//! a token from all rings has every fact up to P, and the stream's cursor can never lead the data.
//!
//! When a ring is full, what is for it waits here (one frame and the tokens behind it) and the reader stops reading its
//! socket. Nothing is dropped.

mod beginning;

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use self::beginning::Beginning;
use super::reader::{Pressure, Sink};
use super::sieve::{Route, Sieve, Verdict};
use crate::clock::{Clock, Now};
use crate::fact::{Cursor, Gap, GapReason, Host};
use crate::filter::Names;
use crate::limits::{CLOCK_AHEAD_MICROS, STAGED_PARCELS_MAX, STAGED_READINGS_MAX, TOKEN_FRAMES, TOKEN_INTERVAL_MILLIS};
use crate::ring::{Full, Producer};
use crate::syntax::{Did, Fingerprint, Orphan, Time};
use crate::telemetry::{Reason, Telemetry};
use crate::wire::endpoint::{Ask, Endpoint, Start};
use crate::wire::event;
use crate::wire::session::Run;

/// What the reader hands to one worker.
#[derive(Debug)]
pub enum Parcel {
    /// A frame that the sieve let pass.
    Frame(Letter),
    /// Something may be missing.
    Gap(Gap),
    /// Orphans that the sieve has met since the last token.
    Orphans(Vec<(Fingerprint, Orphan)>),
    /// Every frame up to this position has been handed out.
    Token(Token),
}

/// A frame on its way to its worker.
#[derive(Debug)]
pub struct Letter {
    /// The bytes of the message.
    pub frame: Bytes,
    /// Who sent it.
    pub host: Host,
    /// A delete or update of the same record that came before it and matched nothing then.
    pub orphan: Option<Orphan>,
}

/// A position in the stream, numbered in the order in which the tokens were made.
#[derive(Clone, Debug)]
pub struct Token {
    /// Dense from 1. The least of the last tokens of all rings is the stream's cursor.
    pub number: u64,
    /// The position.
    pub cursor: Arc<Cursor>,
}

/// The reader's side of all rings.
pub struct Lanes {
    sieve: Sieve,
    lanes: Vec<Lane>,
    clock: Clock,
    now: Arc<Now>,
    telemetry: Arc<Telemetry>,
    /// A copy of the last frame before a pause: its position is what a token says that is made meanwhile. The frames before
    /// it need none.
    last: Vec<u8>,
    frames_since_token: u64,
    frames_since_tick: u64,
    token_at: Duration,
    tokens: u64,
    /// Readings of the socket since the workers were woken.
    pauses: usize,
    /// The newest position known: that of the last token, or of the recovered log.
    resume: Option<Arc<Cursor>>,
    /// The latest time of any position that was known: a host may tell once more what was read already.
    reached: Option<Time>,
    host: Option<Host>,
    /// What the connection was asked for, and the newest position known then, until the first event that says where it began.
    asked: Option<(Start, Option<Arc<Cursor>>)>,
    /// A gap was told since the last event: what was left out is known.
    gap_told: bool,
    /// Who did not begin where it was asked to, and is to be asked for its oldest: whatever it begins with then is all that it
    /// has. (It may refuse to be asked for its oldest, and name its floor.)
    rewound: Option<Host>,
    hooks: Box<dyn Hooks>,
}

struct Lane {
    ring: Producer<Parcel>,
    /// Parcels that came since the worker was last woken.
    staged: usize,
    /// In order, behind what the ring holds.
    overflow: VecDeque<Parcel>,
}

impl Lane {
    /// The worker sees it, and is woken, with [`Lane::publish`].
    fn push(&mut self, parcel: Parcel) {
        self.staged += 1;
        if !self.overflow.is_empty() {
            self.overflow.push_back(parcel);
        } else if let Err(Full(parcel)) = self.ring.stage(parcel) {
            self.overflow.push_back(parcel);
        }
    }

    fn publish(&mut self) {
        self.staged = 0;
        self.ring.publish();
    }

    /// Moves what waits into the ring; true when nothing waits any more.
    fn flush(&mut self) -> bool {
        while let Some(parcel) = self.overflow.pop_front() {
            if let Err(Full(parcel)) = self.ring.stage(parcel) {
                self.overflow.push_front(parcel);
                return false;
            }
        }
        self.publish();
        true
    }
}

/// What the reader does, for `/status`.
pub trait Hooks: Send {
    /// A connection is open.
    fn connected(&mut self, endpoint: &Endpoint);
    /// It is lost, or could not be made.
    fn disconnected(&mut self, endpoint: &Endpoint, why: &str);
    /// An account's keys or handle may have changed. It must return at once.
    fn identity_changed(&mut self, did: Did);
}

/// Nobody wants to know.
impl Hooks for () {
    fn connected(&mut self, _: &Endpoint) {}
    fn disconnected(&mut self, _: &Endpoint, _: &str) {}
    fn identity_changed(&mut self, _: Did) {}
}

const TOKEN_INTERVAL: Duration = Duration::from_millis(TOKEN_INTERVAL_MILLIS);

/// All that the lanes are made of.
pub struct Parts {
    /// Looks at every frame. It knows every post of the recovered log.
    pub sieve: Sieve,
    /// One ring to each worker.
    pub rings: Vec<Producer<Parcel>>,
    /// Time.
    pub clock: Clock,
    /// The moment at which feeds are read: the lanes tell it what was witnessed.
    pub now: Arc<Now>,
    /// Counters.
    pub telemetry: Arc<Telemetry>,
    /// The cursor of the recovered log.
    pub resume: Option<Cursor>,
    /// Who wants to know of connections.
    pub hooks: Box<dyn Hooks>,
}

impl Lanes {
    /// Puts the lanes together.
    pub fn new(parts: Parts) -> Self {
        let lanes = parts.rings.into_iter().map(|ring| Lane { ring, staged: 0, overflow: VecDeque::new() }).collect();
        Self {
            sieve: parts.sieve,
            lanes,
            clock: parts.clock,
            now: parts.now,
            telemetry: parts.telemetry,
            last: Vec::new(),
            frames_since_token: 0,
            frames_since_tick: 0,
            token_at: Duration::ZERO,
            tokens: 0,
            pauses: 0,
            reached: parts.resume.as_ref().map(|cursor| cursor.time),
            resume: parts.resume.map(Arc::new),
            host: None,
            asked: None,
            gap_told: false,
            rewound: None,
            hooks: parts.hooks,
        }
    }

    /// Wakes the workers that have something to do.
    fn publish(&mut self) {
        self.pauses = 0;
        self.lanes.iter_mut().for_each(Lane::publish);
    }

    fn is_full(&self) -> bool {
        self.lanes.iter().any(|lane| !lane.overflow.is_empty())
    }

    /// Puts a token for the last frame before the pause into every ring.
    fn make_token_of_last(&mut self) {
        let mut last = std::mem::take(&mut self.last);
        if self.make_token(&last).is_some() {
            last.clear();
        }
        self.last = last;
        self.publish();
    }

    /// Puts a token into every ring for a frame, up to which all was handed out. Where it has no position the next one will do.
    fn make_token(&mut self, frame: &[u8]) -> Option<()> {
        self.hand_out_orphans();
        let host = self.host.as_ref()?;
        let parsed = event::parse(frame).ok()?;
        let value = parsed.position.value?;
        let (dialect, time) = (parsed.dialect, parsed.position.time);
        if self.is_ahead(time) {
            // A forged time would be the cursor of v1, and lead it past years of events. The next frame will do.
            return None;
        }
        let cursor = Arc::new(Cursor { host: host.clone(), dialect, value, time });
        self.frames_since_token = 0;
        self.token_at = self.clock.monotonic();
        self.tokens += 1;
        self.now.witness(time.micros());
        self.telemetry.witnessed_micros.set(self.now.witnessed_micros().unwrap_or_default());
        for lane in &mut self.lanes {
            lane.push(Parcel::Token(Token { number: self.tokens, cursor: Arc::clone(&cursor) }));
        }
        self.reached = self.reached.max(Some(time));
        self.resume = Some(cursor);
        Some(())
    }

    /// Orphans are facts too: in front of the token, so that the cursor does not lead them.
    fn hand_out_orphans(&mut self) {
        let orphans = self.sieve.take_orphans();
        if !orphans.is_empty() {
            self.hand_out(Parcel::Orphans(orphans));
        }
    }

    /// Whichever worker: what is about no single repository has no order among facts.
    fn hand_out(&mut self, parcel: Parcel) {
        if let Some(lane) = self.lanes.first_mut() {
            lane.push(parcel);
        }
    }

    /// Whether a time runs so far ahead of the wall clock that it is not believed (DESIGN §3, "witnessed").
    fn is_ahead(&self, time: Time) -> bool {
        time.micros_since(Time::from_micros(self.clock.wall_micros())) > CLOCK_AHEAD_MICROS
    }

    /// Counts frames that were taken. A token is due after some.
    fn note(&mut self, frames: u64, last: &[u8]) {
        self.frames_since_token += frames;
        self.frames_since_tick += frames;
        if self.frames_since_token >= TOKEN_FRAMES && self.make_token(last).is_some() {
            self.last.clear();
        }
    }

    /// Hands a frame to its worker.
    #[inline(never)]
    fn pass(&mut self, frame: &[u8], route: Route) {
        let Some(host) = self.host.clone() else { return };
        let letter = Letter { frame: Bytes::copy_from_slice(frame), host, orphan: route.orphan };
        self.lanes[route.worker].push(Parcel::Frame(letter));
    }

    /// Holds the first event of a connection against what was asked for; true where the host is to be asked anew.
    fn begins_elsewhere(&mut self, frame: &[u8], endpoint: &Endpoint) -> bool {
        let Some((asked, newest)) = self.asked.clone() else { return false };
        let Some((position, value)) = event::position(frame).and_then(|at| Some((at, at.value?))) else { return false };
        if Beginning::is_open(asked, endpoint.dialect(), value, position.time) {
            return false;
        }
        self.asked = None;
        let told = std::mem::take(&mut self.gap_told);
        let Some((newest, reached)) = newest.zip(self.reached).filter(|_| !told) else { return false };
        let (host, dialect) = (Host::new(&endpoint.host_name()), endpoint.dialect());
        let rewound = self.rewound.take().is_some_and(|rewound| rewound == host);
        let first = Cursor { host, dialect, value, time: self.bounded(position.time) };
        match Beginning::of(asked, &newest, reached, &first, Time::from_micros(self.clock.wall_micros())) {
            Beginning::AsAsked => false,
            Beginning::Elsewhere if !rewound => {
                self.rewound = Some(first.host);
                true
            }
            Beginning::Elsewhere | Beginning::Late => {
                let (wanted, got) = (reached, first.time);
                tracing::warn!(host = endpoint.host_name(), %wanted, %got, "the host has left out what lies between");
                self.gap(endpoint, GapReason::CursorClamped);
                self.gap_told = false;
                false
            }
        }
    }

    /// A stream whose time runs far ahead of the wall clock is read at the wall clock (DESIGN §3, "witnessed").
    fn bounded(&self, time: Time) -> Time {
        let wall = Time::from_micros(self.clock.wall_micros());
        if time.micros_since(wall) > CLOCK_AHEAD_MICROS { wall } else { time }
    }
}

impl Sink for Lanes {
    fn frame(&mut self, frame: &[u8], endpoint: &Endpoint) -> Pressure {
        if self.asked.is_some() && self.begins_elsewhere(frame, endpoint) {
            return Pressure::Rewind;
        }
        if self.host.is_none() {
            self.host = Some(Host::new(&endpoint.host_name()));
        }
        match self.sieve.look(frame) {
            Verdict::Skip | Verdict::Refused(_) => {}
            Verdict::Identity(did) => self.hooks.identity_changed(did),
            Verdict::Info { name, message } => {
                tracing::info!(host = endpoint.host_name(), name, message, "the host remarks");
                // The oldest that there is, where nothing was read before, is no gap.
                if name == "OutdatedCursor" && self.resume.is_some() && !self.gap_told {
                    self.gap(endpoint, GapReason::CursorTooOld);
                }
            }
            Verdict::Stop { error, message } => {
                tracing::warn!(host = endpoint.host_name(), error, message, "the host ends the connection");
                return Pressure::Reconnect;
            }
            Verdict::Pass(route) => self.pass(frame, route),
        }
        self.note(1, frame);
        if self.is_full() { Pressure::Full } else { Pressure::Go }
    }

    fn frames(&mut self, run: &mut Run<'_>, endpoint: &Endpoint) -> Pressure {
        let mut names = Names::new(run.bytes());
        loop {
            // The first of a connection may be one that is not to be taken.
            let most =
                if self.asked.is_some() { 0 } else { TOKEN_FRAMES.saturating_sub(self.frames_since_token).max(1) };
            let skipped = self.sieve.skip(run, &mut names, most);
            if let Some(last) = skipped.last {
                self.note(skipped.frames, last);
            }
            let next = if most == 0 { run.next() } else { skipped.next };
            let pressure = match next {
                Some(frame) => self.frame(frame, endpoint),
                None if self.is_full() => Pressure::Full,
                None if most > 0 && skipped.frames == most => Pressure::Go,
                None => return Pressure::Go,
            };
            if pressure != Pressure::Go {
                return pressure;
            }
        }
    }

    fn pause(&mut self, last: Option<&[u8]>) {
        if let Some(last) = last {
            self.last.clear();
            self.last.extend_from_slice(last);
        }
        self.pauses += 1;
        if self.pauses >= STAGED_READINGS_MAX || self.lanes.iter().any(|lane| lane.staged >= STAGED_PARCELS_MAX) {
            self.publish();
        }
    }

    fn idle(&mut self) {
        self.publish();
    }

    fn tick(&mut self) {
        self.sieve.set_wall(Time::from_micros(self.clock.wall_micros()));
        let monotonic = self.clock.monotonic();
        if self.frames_since_tick > 0 {
            self.frames_since_tick = 0;
            let micros = i64::try_from(monotonic.as_micros()).unwrap_or(i64::MAX);
            self.telemetry.last_frame_monotonic_micros.set(micros);
        }
        if monotonic.saturating_sub(self.token_at) >= TOKEN_INTERVAL {
            self.make_token_of_last();
        }
    }

    fn ready(&mut self) -> bool {
        let mut is_ready = true;
        for lane in &mut self.lanes {
            is_ready &= lane.flush();
        }
        is_ready
    }

    fn resume(&self) -> Option<Cursor> {
        self.resume.as_deref().cloned()
    }

    fn refused(&mut self, reason: Reason) {
        self.telemetry.refuse(reason);
    }

    fn gap(&mut self, endpoint: &Endpoint, reason: GapReason) {
        let witnessed = Time::from_micros(self.now.witnessed_micros().unwrap_or_else(|| self.clock.wall_micros()));
        self.gap_told = true;
        let gap = Gap { witnessed, host: Host::new(&endpoint.host_name()), did: None, reason };
        self.hand_out(Parcel::Gap(gap));
        self.publish();
    }

    fn connected(&mut self, endpoint: &Endpoint, ask: &Ask) {
        self.asked = Some((ask.start, self.resume.clone()));
        self.host = None;
        self.last.clear();
        self.telemetry.connects.increment();
        self.hooks.connected(endpoint);
    }

    fn disconnected(&mut self, endpoint: &Endpoint, why: &str) {
        // The last frame's position is worth keeping: what follows starts behind it.
        self.make_token_of_last();
        self.telemetry.disconnects.increment();
        self.hooks.disconnected(endpoint, why);
    }
}
