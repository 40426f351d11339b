//! Parses what the sieve let pass: a frame in, facts out.
//!
//! One author's frames all come to the same worker, in stream order, and leave it in that order. A worker keeps nothing
//! of one frame for the next. It never waits by itself: [`Worker::turn`] says what there is to wait for, and
//! [`Worker::run`] does.
//!
//! Architecture Invariant: a worker decides nothing about communities. It says what was written, not what it means.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use super::lanes::{Letter, Parcel, Token};
use super::record::{Records, Refusal};
use crate::clock::Clock;
use crate::fact::{Account, Body, Collection, Fact, Gap, GapReason, Host, Post, Record, Rev};
use crate::limits::CLOCK_AHEAD_MICROS;
use crate::ring::{Consumer, Full, Producer, Signal};
use crate::syntax::{Did, Orphan, OrphanKind, RecordKey, Time};
use crate::telemetry::{Reason, Telemetry};
use crate::wire::event::{self, Commit, Event};

/// Frames that a worker takes from its ring at once.
const DRAIN: usize = 64;
/// How long an idle worker sleeps before it looks again whether its ring was closed.
const IDLE: Duration = Duration::from_millis(250);

/// What a worker hands to the committer.
#[derive(Debug)]
pub enum Product {
    /// One fact.
    Fact(Box<Fact>),
    /// The fact of a delete or update that waited for its create: its own frame is long past.
    Orphan(Box<Fact>),
    /// Every fact of this worker up to this position has been handed out.
    Token(Token),
}

/// Turns frames into facts.
pub struct Parser {
    records: Records,
    /// The wall clock that bounds a live frame's time; `None` for a replay, whose frames are of the past.
    wall: Option<Clock>,
    telemetry: Arc<Telemetry>,
}

impl Parser {
    /// A parser of live frames where `wall` is given, else of recorded ones.
    pub fn new(wall: Option<Clock>, telemetry: Arc<Telemetry>) -> Self {
        Self { records: Records::new(), wall, telemetry }
    }

    /// Appends the facts of one frame to `out`, that of the orphan first. A frame or record that is refused is counted by its reason, and
    /// returned so that whoever replays a file can say where it was.
    ///
    /// # Errors
    /// The refusal of the frame or of the record in it. What was behind it in the stream is not touched by that.
    pub fn facts(
        &mut self,
        frame: &[u8],
        host: &Host,
        orphan: Option<Orphan>,
        out: &mut Vec<Fact>,
    ) -> Result<(), Refusal> {
        let result = self.try_facts(frame, host, orphan, out);
        if let Err(refusal) = &result {
            self.telemetry.refuse(refusal.reason);
        }
        result
    }

    fn try_facts(
        &mut self,
        frame: &[u8],
        host: &Host,
        orphan: Option<Orphan>,
        out: &mut Vec<Fact>,
    ) -> Result<(), Refusal> {
        let frame = event::parse(frame).map_err(Refusal::from)?;
        let witnessed = self.witnessed(frame.position.time);
        match frame.event {
            Event::Commit(commit) => self.commit(&commit, witnessed, host, orphan, out)?,
            Event::Account { did, active, status, time } => out.push(Fact::Account(Account {
                witnessed,
                host: host.clone(),
                did: Did::parse(&did).map_err(|_| Refusal::from(Reason::BadDid))?,
                active,
                status: status.as_deref().map(Into::into),
                time,
            })),
            Event::Sync { did } => {
                let did = Did::parse(&did).map_err(|_| Refusal::from(Reason::BadDid))?;
                out.push(Fact::Gap(Gap { witnessed, host: host.clone(), did: Some(did), reason: GapReason::Sync }));
            }
            // The sieve lets none of these pass; they hold nothing that is kept.
            Event::Identity { .. } | Event::Info { .. } | Event::Error { .. } => {}
        }
        Ok(())
    }

    fn commit(
        &mut self,
        commit: &Commit<'_>,
        witnessed: Time,
        host: &Host,
        orphan: Option<Orphan>,
        out: &mut Vec<Fact>,
    ) -> Result<(), Refusal> {
        if let Some(orphan) = orphan {
            out.push(Fact::Record(orphaned(orphan, commit, host)?));
        }
        out.extend(self.records.fact(commit, witnessed, host)?);
        Ok(())
    }

    /// The frame's own time; a live frame far ahead of the wall clock is witnessed at the wall clock (DESIGN §3).
    fn witnessed(&self, stream: Time) -> Time {
        let Some(clock) = &self.wall else { return stream };
        let wall = Time::from_micros(clock.wall_micros());
        if stream.micros_since(wall) <= CLOCK_AHEAD_MICROS {
            return stream;
        }
        self.telemetry.clock_ahead.increment();
        wall
    }
}

/// The fact of a delete or update that came before its create.
fn orphaned(orphan: Orphan, create: &Commit<'_>, host: &Host) -> Result<Record, Refusal> {
    let body = match orphan.kind {
        OrphanKind::Deleted => Body::Deleted(Collection::Post),
        // It was an update without a hashtag: nothing else of it is ever read.
        OrphanKind::Updated => Body::Post(Post { tags: Vec::new(), created: None }),
    };
    Ok(Record {
        witnessed: orphan.witnessed,
        host: host.clone(),
        did: Did::parse(&create.did).map_err(|_| Refusal::from(Reason::BadDid))?,
        rkey: RecordKey::parse(&create.rkey).map_err(|_| Refusal::from(Reason::BadRecordKey))?,
        rev: Rev::Exact(orphan.rev),
        cid: None,
        body,
    })
}

/// One worker: its ring of frames in, its ring of facts out.
pub struct Worker {
    parser: Parser,
    frames: Consumer<Parcel>,
    signal: Arc<Signal>,
    products: Producer<Product>,
    /// Taken from the ring of frames, and still to be worked on.
    parcels: VecDeque<Parcel>,
    /// Made, and still to be handed on, in front of everything that the parcels will give.
    outbox: VecDeque<Product>,
    /// Of one frame.
    facts: Vec<Fact>,
}

/// What a worker's turn came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turn {
    /// All that was taken is handed on; there may be more.
    Worked,
    /// There was nothing to take.
    Idle,
    /// The committer's ring has no room.
    Full,
    /// The reader has gone and all of it is handed on, or the committer has gone.
    Over,
}

impl Worker {
    /// `signal` is the one that `frames` was made with.
    pub fn new(parser: Parser, frames: Consumer<Parcel>, signal: Arc<Signal>, products: Producer<Product>) -> Self {
        let (parcels, outbox) = (VecDeque::with_capacity(DRAIN), VecDeque::new());
        Self { parser, frames, signal, products, parcels, outbox, facts: Vec::new() }
    }

    /// Works until the reader has closed its ring and everything in it is handed on, or the committer has gone.
    pub fn run(mut self) {
        loop {
            match self.turn() {
                Turn::Worked => {}
                Turn::Idle => {
                    let frames = &self.frames;
                    self.signal.wait(|| !frames.is_empty() || frames.is_closed(), IDLE);
                }
                Turn::Full => {
                    self.products.wait_for_space(IDLE);
                }
                Turn::Over => return,
            }
        }
    }

    /// Takes some frames, and hands on what is in them. Never waits.
    pub fn turn(&mut self) -> Turn {
        if self.parcels.is_empty() && self.outbox.is_empty() {
            let parcels = &mut self.parcels;
            self.frames.drain(DRAIN, |parcel| parcels.push_back(parcel));
            if self.parcels.is_empty() {
                return if self.frames.is_closed() { Turn::Over } else { Turn::Idle };
            }
        }
        loop {
            if !self.hand_on() {
                return if self.products.is_closed() { Turn::Over } else { Turn::Full };
            }
            match self.parcels.pop_front() {
                Some(parcel) => self.work(parcel),
                None => {
                    self.products.publish();
                    return Turn::Worked;
                }
            }
        }
    }

    fn work(&mut self, parcel: Parcel) {
        match parcel {
            Parcel::Token(token) => self.outbox.push_back(Product::Token(token)),
            Parcel::Gap(gap) => self.outbox.push_back(Product::Fact(Box::new(Fact::Gap(gap)))),
            Parcel::Orphans(orphans) => self.outbox.push_back(Product::Fact(Box::new(Fact::Orphans(orphans)))),
            Parcel::Frame(Letter { frame, host, orphan }) => {
                let mut orphan_comes = orphan.is_some();
                if let Err(refusal) = self.parser.facts(&frame, &host, orphan, &mut self.facts) {
                    tracing::debug!(reason = refusal.reason.as_str(), detail = %refusal.detail, "refused");
                }
                for fact in self.facts.drain(..) {
                    let product = if orphan_comes { Product::Orphan } else { Product::Fact };
                    orphan_comes = false;
                    self.outbox.push_back(product(Box::new(fact)));
                }
            }
        }
    }

    /// Hands on what is made; whether all of it found room. The committer sees it at the end of the turn, or when there is no
    /// room.
    fn hand_on(&mut self) -> bool {
        while let Some(product) = self.outbox.pop_front() {
            if let Err(Full(product)) = self.products.stage(product) {
                self.outbox.push_front(product);
                return false;
            }
        }
        true
    }
}
