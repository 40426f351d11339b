//! One connection: what was sent either way, and how it goes on.

use std::collections::VecDeque;
use std::time::Duration;

use fastrand::Rng;
use simnet::Dialect;
use simnet::websocket::{BINARY, CLOSE, PING, PONG, TEXT, frame};

use super::{DICTIONARIES, Host};
use crate::faults::{Fault, Plan, Tally};
use crate::world::World;

/// See the module.
pub struct Conn {
    pub host: usize,
    /// Of the client, not read yet.
    pub inbox: Vec<u8>,
    /// For the client, not read yet from `taken` on.
    outbox: Vec<u8>,
    taken: usize,
    /// Where in the outbox a fault ends, which has happened when that is read.
    marks: VecDeque<(usize, Fault)>,
    pub(super) phase: Phase,
    /// What follows when the outbox is read.
    ending: Option<(Ending, Option<Fault>)>,
    /// It sends nothing any more: why, and since when.
    pub quiet: Option<(Fault, Duration)>,
    /// The session's first position, once there is one.
    pub began_at: Option<u64>,
}

/// How the network ends a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    Closed,
    Reset,
}

/// Where a connection stands.
pub(super) enum Phase {
    /// The request is not complete yet.
    Head,
    Stream(Stream),
    /// All is said.
    Over,
}

/// A subscription.
pub(super) struct Stream {
    pub(super) dialect: Dialect,
    /// What comes before `next`, in this order.
    pub(super) first: VecDeque<u64>,
    /// The next position.
    pub(super) next: u64,
    /// Which dictionary compresses.
    pub(super) zstd: Option<usize>,
}

/// What happens around a connection.
pub struct Around<'a> {
    pub world: &'a World,
    pub hosts: &'a mut [Host],
    pub plan: &'a mut Plan,
    pub rng: &'a mut Rng,
    /// Wall time in microseconds.
    pub wall: i64,
    pub now: Duration,
    /// The newest position that the client can have, if it has any.
    pub newest: Option<u64>,
    /// The client reads a few bytes at a time: nothing large comes.
    pub is_slow: bool,
}

impl Conn {
    pub fn new(host: usize, now: Duration, quiet: Option<Fault>) -> Self {
        Self {
            host,
            inbox: Vec::new(),
            outbox: Vec::new(),
            taken: 0,
            marks: VecDeque::new(),
            phase: Phase::Head,
            ending: None,
            quiet: quiet.map(|fault| (fault, now)),
            began_at: None,
        }
    }

    /// Whether a read would say something.
    pub fn is_readable(&self) -> bool {
        self.taken < self.outbox.len() || self.ending.is_some()
    }

    /// Gives the client some bytes; `Ok(0)` is "nothing now", `Err` is the end.
    pub fn read(&mut self, into: &mut [u8], tally: &mut Tally) -> Result<usize, Ending> {
        let left = &self.outbox[self.taken..];
        if left.is_empty() {
            let Some((ending, fault)) = &mut self.ending else { return Ok(0) };
            fault.take().into_iter().for_each(|fault| tally.fire(fault));
            return Err(*ending);
        }
        let count = left.len().min(into.len());
        into[..count].copy_from_slice(&left[..count]);
        self.taken += count;
        while let Some(&(_, fault)) = self.marks.front().filter(|(at, _)| *at <= self.taken) {
            tally.fire(fault);
            self.marks.pop_front();
        }
        if self.taken == self.outbox.len() {
            self.outbox.clear();
            self.taken = 0;
        }
        Ok(count)
    }

    /// Lets the host work: it hears the client, and sends until so many bytes wait.
    pub fn work(&mut self, room: usize, around: &mut Around<'_>) {
        if self.quiet.is_some() || self.ending.is_some() {
            return;
        }
        if matches!(self.phase, Phase::Head) && !self.answer(around) {
            return;
        }
        self.hear();
        self.stream(room, around);
    }

    /// Answers pings and closes.
    fn hear(&mut self) {
        while let Some((opcode, payload, length)) = client_frame(&self.inbox) {
            self.inbox.drain(..length);
            match opcode {
                PING => self.send(PONG, &payload, None),
                PONG => {}
                CLOSE => {
                    self.send(CLOSE, &payload, None);
                    return self.end(Ending::Closed, None);
                }
                other => panic!("the client has sent a frame of opcode {other}"),
            }
        }
    }

    fn stream(&mut self, room: usize, around: &mut Around<'_>) {
        let head = around.world.head(around.wall);
        while self.outbox.len() - self.taken < room && self.ending.is_none() && self.quiet.is_none() {
            let Phase::Stream(stream) = &mut self.phase else { return };
            if stream.next >= head && stream.first.is_empty() {
                return;
            }
            if let Some(fault) = around.plan.while_streaming(around.rng) {
                self.commit(fault, head, around);
                continue;
            }
            let position = stream.take();
            let text = around.hosts[self.host].text(position, around.world);
            // A dialect does not tell every event.
            if !text.is_empty() {
                self.put_message(&text, None);
            }
        }
    }

    /// Sends a text, compressed where events are.
    pub(super) fn put_message(&mut self, text: &[u8], fault: Option<Fault>) {
        let zstd = if let Phase::Stream(stream) = &self.phase { stream.zstd } else { None };
        match zstd {
            Some(dictionary) => self.send(BINARY, &compressed(text, dictionary), fault),
            None => self.send(TEXT, text, fault),
        }
    }

    /// Sends a whole frame.
    pub(super) fn send(&mut self, opcode: u8, payload: &[u8], fault: Option<Fault>) {
        frame(opcode, payload, &mut self.outbox);
        self.mark(fault);
    }

    /// Sends bytes as they are.
    pub(super) fn send_raw(&mut self, bytes: &[u8], fault: Option<Fault>) {
        self.outbox.extend_from_slice(bytes);
        self.mark(fault);
    }

    /// The fault has happened when everything up to here is read.
    pub(super) fn mark(&mut self, fault: Option<Fault>) {
        self.marks.extend(fault.map(|fault| (self.outbox.len(), fault)));
    }

    /// Nothing more is sent; what follows the last byte is the end.
    pub(super) fn end(&mut self, ending: Ending, fault: Option<Fault>) {
        self.ending = Some((ending, fault));
        self.phase = Phase::Over;
    }

    /// The network loses a part of what is under way, and ends.
    pub(super) fn cut(&mut self, ending: Ending, fault: Fault, rng: &mut Rng) {
        let keep = self.taken + rng.usize(0..=self.outbox.len() - self.taken);
        self.outbox.truncate(keep);
        self.marks.retain(|(at, _)| *at <= keep);
        self.end(ending, Some(fault));
    }
}

impl Stream {
    pub(super) fn take(&mut self) -> u64 {
        self.first.pop_front().unwrap_or_else(|| {
            self.next += 1;
            self.next - 1
        })
    }
}

/// A message as a zstd frame.
pub(super) fn compressed(text: &[u8], dictionary: usize) -> Vec<u8> {
    use std::cell::RefCell;
    use zstd::bulk::Compressor;
    thread_local! {
        static PRESSES: [RefCell<Compressor<'static>>; 3] = std::array::from_fn(|at| {
            RefCell::new(Compressor::with_prepared_dictionary(&DICTIONARIES[at].1).expect("a context"))
        });
    }
    PRESSES.with(|presses| presses[dictionary].borrow_mut().compress(text).expect("compressed"))
}

/// A whole frame of a client at the beginning of `bytes`: opcode, payload, and how long it is.
fn client_frame(bytes: &[u8]) -> Option<(u8, Vec<u8>, usize)> {
    let (&first, &second) = (bytes.first()?, bytes.get(1)?);
    assert!(first & 0xf0 == 0x80 && second & 0x80 != 0, "a frame of the client is final and masked");
    let length = usize::from(second & 0x7f);
    assert!(length <= 125, "the client has nothing long to say");
    let whole = bytes.get(..6 + length)?;
    let payload = whole[6..].iter().zip(whole[2..6].iter().cycle()).map(|(byte, mask)| byte ^ mask).collect();
    Some((first & 0x0f, payload, whole.len()))
}
