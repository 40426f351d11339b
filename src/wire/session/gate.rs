//! The gate before tungstenite: how many of the received bytes it may see now.
//!
//! ```text
//!  0                   1                   2                   3
//! +-+-+-+-+-------+-+-------------+-------------------------------+
//! |F|R|R|R| opcode|M| length (7)  | 16 or 64 more bits of length  |   RFC 6455 §5.2
//! |I|S|S|S|       |A|             | where the 7 say 126 or 127    |
//! |N|V|V|V|       |S|             | then 4 bytes of mask, if M    |
//! +-+-+-+-+-------+-+-------------+-------------------------------+
//! ```
//!
//! In: the headers of the frames, in order. Out: so many bytes may pass, so many must be dropped. Why it is there: to
//! tungstenite one message above the limit is the end of the connection, and after the reconnect the same message would
//! come again. The gate lets such a message vanish, and it alone; the stream goes on behind it.
//!
//! What always holds: bytes pass in order and unchanged; only whole frames are dropped; a frame that breaks RFC 6455 is
//! let through, for tungstenite to refuse. Frames pass one at a time, so that at an error the caller knows where tungstenite
//! stands.
//!
//! [`front`] looks at the next frame before: most need neither gate nor tungstenite.

use std::ops::Range;

use crate::limits::{FRAME_BYTES_MAX, FRAME_SKIP_BYTES_MAX, RECEIVE_BUFFER_BYTES};

const CONTINUATION: u8 = 0x0;
const TEXT: u8 = 0x1;
const BINARY: u8 = 0x2;
const CLOSE: u8 = 0x8;

/// What stands in front of the input, between two frames and outside a fragmented message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Front {
    /// A whole message in one frame, of which nothing is to be checked but that a text is UTF-8.
    Whole { text: bool, payload: Range<usize> },
    /// The beginning of such a message, or of any frame.
    Wait,
    /// Anything else.
    Special,
}

/// RFC 6455 §5.2: FIN, no reserved bit, text or binary, no mask; and short enough for the receive buffer.
#[inline]
pub(super) fn front(input: &[u8]) -> Front {
    let [first, second, ..] = *input else { return Front::Wait };
    let text = match first {
        0x81 => true,
        0x82 => false,
        _ => return Front::Special,
    };
    let (head, length) = match second {
        0..126 => (2, usize::from(second)),
        126 => match input.get(2..4) {
            Some(length) => (4, usize::from(u16::from_be_bytes([length[0], length[1]]))),
            None => return Front::Wait,
        },
        127 => match input.get(2..10).and_then(|length| length.first_chunk()) {
            Some(length) => (10, usize::try_from(u64::from_be_bytes(*length)).unwrap_or(usize::MAX)),
            None => return Front::Wait,
        },
        _ => return Front::Special,
    };
    if length > RECEIVE_BUFFER_BYTES - head {
        return Front::Special;
    }
    if input.len() < head + length { Front::Wait } else { Front::Whole { text, payload: head..head + length } }
}

const _: () = assert!(RECEIVE_BUFFER_BYTES <= FRAME_BYTES_MAX, "what fits into the buffer is short enough");

/// The frame that passed last, where it was one of these.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Alone {
    /// One part of a fragmented message; whether it is the last one.
    Fragment { last: bool },
    /// A close frame.
    Close,
}

/// What to do with the received bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// Nothing before more bytes have come.
    Wait,
    /// Let this many bytes pass.
    Pass(usize),
    /// A message above the limit begins, or has grown above it: what tungstenite holds of it must go.
    Refuse,
    /// Throw this many bytes away.
    Drop(usize),
    /// A refused message was not finished when another one began.
    Violation,
}

/// Follows the frames of one connection.
#[derive(Debug, Default)]
pub(super) struct Gate {
    /// Bytes of the current frame that have not come yet, and what happens to them.
    rest: u64,
    dropping: bool,
    /// What the current or last frame is.
    alone: Option<Alone>,
    /// Bytes of the fragmented message so far; `None` outside one.
    message: Option<u64>,
    /// The message is refused: its parts are dropped.
    refused: bool,
    /// The frame in front was refused just now, and is to be dropped.
    judged: bool,
}

struct Header {
    bytes: usize,
    opcode: u8,
    last: bool,
    /// No reserved bit, no mask.
    plain: bool,
    /// Of the payload.
    length: u64,
}

impl Gate {
    /// What to do with `input`: the bytes that were received and neither passed nor dropped. Whatever is returned counts
    /// as done, and must be done before the next call; tungstenite must have taken everything that has passed before.
    pub(super) fn step(&mut self, input: &[u8]) -> Step {
        if self.rest > 0 {
            let count = self.take(input.len());
            return match (count, self.dropping) {
                (0, _) => Step::Wait,
                (_, true) => Step::Drop(count),
                (_, false) => Step::Pass(count),
            };
        }
        self.dropping = false;
        self.alone = None;
        let Some(header) = Header::read(input) else { return Step::Wait };
        let step = self.judge(&header);
        match step {
            Step::Pass(_) | Step::Drop(_) => self.rest = header.whole(),
            _ => return step,
        }
        let count = self.take(input.len());
        if self.dropping { Step::Drop(count) } else { Step::Pass(count) }
    }

    /// Whether the next byte is the first of a frame, and no message is under way.
    pub(super) fn is_between(&self) -> bool {
        self.rest == 0 && self.message.is_none() && !self.judged
    }

    /// The frame that passed last, where it was one of these.
    pub(super) fn alone(&self) -> Option<Alone> {
        self.alone
    }

    /// Drops what is still to come of the fragmented message whose part passed last.
    pub(super) fn refuse_rest(&mut self) {
        self.refused = self.message.is_some();
    }

    /// What happens to the frame of this header. The counts in `Pass` and `Drop` are the caller's to fill in.
    fn judge(&mut self, header: &Header) -> Step {
        let data = header.plain && matches!(header.opcode, CONTINUATION | TEXT | BINARY);
        if !data || header.length > FRAME_SKIP_BYTES_MAX {
            self.alone = (header.opcode == CLOSE).then_some(Alone::Close);
            return Step::Pass(0);
        }
        if std::mem::take(&mut self.judged) {
            return self.judge_part(header, 0);
        }
        match (header.opcode, self.message) {
            (CONTINUATION, None) => Step::Pass(0),
            (CONTINUATION, Some(sum)) => self.judge_part(header, sum),
            (_, Some(_)) if self.refused => Step::Violation,
            (_, Some(_)) => Step::Pass(0),
            (_, None) if header.last && header.length <= FRAME_BYTES_MAX as u64 => Step::Pass(0),
            (_, None) => self.judge_part(header, 0),
        }
    }

    /// Of a part of a fragmented message that had `sum` bytes before it, or of a whole message above the limit. It is met
    /// twice where it is the one that is too much: first it is told of, then it is dropped.
    fn judge_part(&mut self, header: &Header, sum: u64) -> Step {
        let sum = sum.saturating_add(header.length);
        if sum > FRAME_BYTES_MAX as u64 && !self.refused {
            self.refused = true;
            self.judged = true;
            return Step::Refuse;
        }
        if self.refused {
            self.dropping = true;
            self.refused = !header.last;
        } else {
            self.alone = Some(Alone::Fragment { last: header.last });
        }
        self.message = (!header.last).then_some(sum);
        if self.dropping { Step::Drop(0) } else { Step::Pass(0) }
    }

    /// Takes what is there of the rest of the frame.
    fn take(&mut self, available: usize) -> usize {
        let count = usize::try_from(self.rest).map_or(available, |rest| rest.min(available));
        self.rest -= count as u64;
        count
    }
}

impl Header {
    /// Reads a header; `None` where it has not come whole.
    fn read(input: &[u8]) -> Option<Self> {
        let (&first, &second) = (input.first()?, input.get(1)?);
        let (head, length) = match second & 0x7f {
            126 => (4, u64::from(u16::from_be_bytes(input.get(2..4)?.try_into().ok()?))),
            127 => (10, u64::from_be_bytes(input.get(2..10)?.try_into().ok()?)),
            length => (2, u64::from(length)),
        };
        let masked = second & 0x80 != 0;
        let bytes = if masked { head + 4 } else { head };
        if input.len() < bytes {
            return None;
        }
        let plain = !masked && first & 0x70 == 0;
        Some(Self { bytes, opcode: first & 0x0f, last: first & 0x80 != 0, plain, length })
    }

    /// Bytes of the frame. The length may be anything that 64 bits can say.
    fn whole(&self) -> u64 {
        self.length.saturating_add(self.bytes as u64)
    }
}
