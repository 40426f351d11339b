//! Parses what the sieve let pass: a frame in, facts out.
//!
//! One author's frames all come to the same worker, in stream order, and leave it in that order. A worker keeps nothing
//! between two frames.
//!
//! Architecture Invariant: a worker decides nothing about communities. It says what was written, not what it means.

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

/// One worker thread: its ring of frames in, its ring of facts out.
pub struct Worker {
    parser: Parser,
    frames: Consumer<Parcel>,
    signal: Arc<Signal>,
    products: Producer<Product>,
}

impl Worker {
    /// `signal` is the one that `frames` was made with.
    pub fn new(parser: Parser, frames: Consumer<Parcel>, signal: Arc<Signal>, products: Producer<Product>) -> Self {
        Self { parser, frames, signal, products }
    }

    /// Works until the reader has closed its ring and everything in it is handed on, or the committer has gone.
    pub fn run(mut self) {
        let (mut parcels, mut facts) = (Vec::with_capacity(DRAIN), Vec::new());
        loop {
            self.frames.drain(DRAIN, |parcel| parcels.push(parcel));
            if parcels.is_empty() {
                if self.frames.is_closed() {
                    return;
                }
                let frames = &self.frames;
                self.signal.wait(|| !frames.is_empty() || frames.is_closed(), IDLE);
                continue;
            }
            for parcel in parcels.drain(..) {
                if self.work(parcel, &mut facts).is_none() {
                    return;
                }
            }
        }
    }

    fn work(&mut self, parcel: Parcel, facts: &mut Vec<Fact>) -> Option<()> {
        match parcel {
            Parcel::Token(token) => self.hand_on(Product::Token(token)),
            Parcel::Gap(gap) => self.hand_on(Product::Fact(Box::new(Fact::Gap(gap)))),
            Parcel::Orphans(orphans) => self.hand_on(Product::Fact(Box::new(Fact::Orphans(orphans)))),
            Parcel::Frame(Letter { frame, host, orphan }) => {
                let mut orphan_comes = orphan.is_some();
                if let Err(refusal) = self.parser.facts(&frame, &host, orphan, facts) {
                    tracing::debug!(reason = refusal.reason.as_str(), detail = %refusal.detail, "refused");
                }
                facts.drain(..).try_for_each(|fact| {
                    let product = if orphan_comes { Product::Orphan } else { Product::Fact };
                    orphan_comes = false;
                    self.hand_on(product(Box::new(fact)))
                })
            }
        }
    }

    /// Waits for room; `None` when the committer has gone.
    fn hand_on(&mut self, product: Product) -> Option<()> {
        let mut product = product;
        while let Err(Full(back)) = self.products.push(product) {
            if self.products.is_closed() {
                return None;
            }
            product = back;
            self.products.wait_for_space(IDLE);
        }
        Some(())
    }
}
