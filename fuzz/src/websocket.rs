//! RFC 6455 as a client must read it, in its plainest form: all bytes at once, every frame copied.
//!
//! In: what a host sent after the handshake. Out: the events that a session must tell of it, and how it must end.

use atrarium::limits::{FRAME_BYTES_MAX, FRAME_SKIP_BYTES_MAX};
use atrarium::telemetry::Reason;
use atrarium::wire::session::Event;
use tungstenite::protocol::frame::coding::CloseCode;

/// How a session stands when all bytes are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// It waits for more.
    Open,
    /// The host has closed.
    Closed,
    /// The host broke the protocol.
    Broken,
    /// It began a frame that breaks the protocol, and did not end it: when that is noticed is left open.
    Breaking,
}

/// What a session must tell.
#[derive(Debug)]
pub struct Told {
    /// In order.
    pub events: Vec<Event<'static>>,
    /// In the end.
    pub end: End,
    /// How many whole pings came before it.
    pub pings: usize,
}

/// One frame, whole or not.
struct Frame<'a> {
    last: bool,
    reserved: bool,
    opcode: u8,
    masked: bool,
    /// What the header says.
    length: u64,
    /// As much as has come.
    payload: &'a [u8],
}

/// A message in parts.
enum Message {
    /// Its bytes so far.
    Taken { text: bool, bytes: Vec<u8> },
    /// It was told as refused; its parts are thrown away.
    Refused,
}

/// Reads everything.
pub fn read(mut bytes: &[u8]) -> Told {
    let mut told = Told { events: Vec::new(), end: End::Open, pings: 0 };
    let mut message: Option<(Message, u64)> = None;
    while let Some((frame, rest)) = next(bytes) {
        let whole = frame.payload.len() as u64 == frame.length;
        let broken = if whole { End::Broken } else { End::Breaking };
        if frame.masked || frame.reserved || frame.length > FRAME_SKIP_BYTES_MAX {
            told.end = broken;
            return told;
        }
        match frame.opcode {
            0..=2 => {
                let continues = frame.opcode == 0;
                if continues != message.is_some() {
                    told.end = match message {
                        // Found in the header alone.
                        Some((Message::Refused, _)) => End::Broken,
                        _ => broken,
                    };
                    return told;
                }
                let (mut so_far, sum) =
                    message.take().unwrap_or((Message::Taken { text: frame.opcode == 1, bytes: Vec::new() }, 0));
                let sum = sum.saturating_add(frame.length);
                if sum > FRAME_BYTES_MAX as u64 && !matches!(so_far, Message::Refused) {
                    told.events.push(Event::Refused(Reason::TooLarge));
                    so_far = Message::Refused;
                }
                if !whole {
                    return told;
                }
                message = so_far.with(&frame, &mut told.events).map(|message| (message, sum));
            }
            8..=10 if frame.last && frame.length <= 125 => {
                if !whole {
                    return told;
                }
                match frame.opcode {
                    8 => {
                        told.end = close(frame.payload, &mut told.events);
                        return told;
                    }
                    opcode => told.pings += usize::from(opcode == 9),
                }
            }
            _ => {
                told.end = broken;
                return told;
            }
        }
        bytes = rest;
    }
    told
}

impl Message {
    /// The message after one more whole part; `None` where that was the last.
    fn with(self, part: &Frame<'_>, events: &mut Vec<Event<'static>>) -> Option<Self> {
        let Self::Taken { text, mut bytes } = self else { return (!part.last).then_some(Self::Refused) };
        bytes.extend_from_slice(part.payload);
        if text && !is_text(&bytes, part.last) {
            events.push(Event::Refused(Reason::Garbage));
            return (!part.last).then_some(Self::Refused);
        }
        if !part.last {
            return Some(Self::Taken { text, bytes });
        }
        events.push(match text {
            true => Event::Text(bytes.into()),
            false => Event::Binary(bytes.into()),
        });
        None
    }
}

/// Whether bytes are UTF-8, or, where more may come, the beginning of it.
fn is_text(bytes: &[u8], all: bool) -> bool {
    match std::str::from_utf8(bytes) {
        Ok(_) => true,
        Err(error) => !all && error.error_len().is_none(),
    }
}

fn close(payload: &[u8], events: &mut Vec<Event<'static>>) -> End {
    let (code, reason) = match payload {
        [] => (1005, ""),
        [_] => return End::Broken,
        [high, low, reason @ ..] => match std::str::from_utf8(reason) {
            Ok(reason) => (u16::from_be_bytes([*high, *low]), reason),
            Err(_) => return End::Broken,
        },
    };
    // A code that no host may send is told as what it is: 1005 stands for "none".
    let allowed = code == 1005 && payload.is_empty() || CloseCode::from(code).is_allowed();
    let (code, reason) = if allowed { (code, reason) } else { (1002, "Protocol violation") };
    events.push(Event::Closed { code, reason: reason.to_owned() });
    End::Closed
}

/// The first frame and what is behind it; `None` where its header has not come whole.
fn next(bytes: &[u8]) -> Option<(Frame<'_>, &[u8])> {
    let [first, second, rest @ ..] = bytes else { return None };
    let masked = second & 0x80 != 0;
    let (length, rest) = match second & 0x7f {
        126 => rest.split_first_chunk().map(|(length, rest)| (u64::from(u16::from_be_bytes(*length)), rest))?,
        127 => rest.split_first_chunk().map(|(length, rest)| (u64::from_be_bytes(*length), rest))?,
        length => (u64::from(length), rest),
    };
    let rest = if masked { rest.get(4..)? } else { rest };
    let available = usize::try_from(length).map_or(rest.len(), |length| length.min(rest.len()));
    let (payload, rest) = rest.split_at(available);
    let frame =
        Frame { last: first & 0x80 != 0, reserved: first & 0x70 != 0, opcode: first & 0x0f, masked, length, payload };
    Some((frame, rest))
}
