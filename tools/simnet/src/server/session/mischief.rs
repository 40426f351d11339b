//! The faults that happen within a session.
//!
//! In: a fault whose turn it is. Out: bytes that no good host would send, or none; the session goes on where it was, or ends.
//!
//! Always: a fault that needs more events than there are waits until there are more.

use std::io::Write as _;

use atrarium::syntax::Time;

use super::*;
use crate::dictionary::Dictionary;
use crate::websocket::payload;

/// How far a forged clock is off: ten years, in microseconds.
const JUMP_MICROS: i64 = 315_576_000_000_000;
/// What decides nothing in any community, whenever it is said to have happened.
const FORGED: &str = "app.bsky.feed.like";
/// The payload that `length-1gib` announces, and how much of it comes, in bytes.
const ANNOUNCED_BYTES: u64 = 1 << 30;
const ANNOUNCED_SENT: usize = 64 << 10;
/// How long it waits for the client's answer.
const ANNOUNCED_WAIT: Duration = Duration::from_secs(10);
const OVERSIZED_BYTES: usize = 5 << 20;
/// What the bomb decodes to: more than the 64 MiB that a client may be willing to hold.
const BOMB_BYTES: usize = 72 << 20;

impl Session<'_> {
    /// Does what the fault's name says; later, if it cannot happen now.
    pub(super) fn commit(&mut self, fault: Fault, said: &Receiver<Said>) -> Result<(), End> {
        if !self.can(fault) {
            self.faults.insert(0, (self.sent + BLOCK, fault));
            return Ok(());
        }
        self.shared.faults.fire(fault);
        match fault {
            Fault::Disconnect => return Err(End::Drop),
            Fault::Silence => return self.be_silent(said, SILENCE),
            Fault::SlowDrip => self.drip(said)?,
            Fault::Garbage => {
                for garbage in ["{\"did\":", "[]", "", "null", "\u{feff}{}", "{\"kind\":7,\"time_us\":\"x\"}"] {
                    self.send_message(garbage)?;
                }
            }
            Fault::Truncated => {
                let bytes = self.next_frame();
                self.link.write_all(&bytes[..bytes.len() / 2])?;
                return Err(End::Drop);
            }
            Fault::Oversized => self.send_message(&self.large_like(OVERSIZED_BYTES))?,
            Fault::ErrorFrame => {
                if self.dialect == Dialect::V2 {
                    self.send_message(
                        r#"{"$type":"error","error":"ConsumerTooSlow","message":"the consumer is too slow"}"#,
                    )?;
                }
                return Err(End::Close(1008, "ConsumerTooSlow"));
            }
            Fault::Duplicate => {
                self.block(self.next.saturating_sub(BLOCK), self.next)?;
            }
            Fault::Reorder => self.reorder()?,
            Fault::UnknownKind => self.send_message(&self.unknown_kind())?,
            Fault::Info => {
                let kind = "network.bsky.jetstream.subscribeEvents#info";
                self.send_message(&format!(
                    r#"{{"$type":"message","payload":{{"$type":"{kind}","message":"a word","name":"OutdatedCursor"}}}}"#
                ))?;
            }
            Fault::Binary => self.send(BINARY, b"\x28\xb5\x2f\xfd\x00\x01atrarium_\xff")?,
            Fault::Fragmented => self.fragment()?,
            Fault::PingFlood => {
                self.out.clear();
                for size in 0..2_000 {
                    frame(PING, &[b'p'; 125][..size % 126], &mut self.out);
                }
                self.flush()?;
            }
            Fault::Length1Gib => return self.announce_too_much(said),
            Fault::TruncatedZstd => {
                let whole = self.next_frame();
                let message = payload(&whole);
                self.send(BINARY, &message[..message.len() / 2])?;
            }
            Fault::ZstdBomb => self.send(BINARY, &bomb(&self.large_like(BOMB_BYTES))?)?,
            Fault::ZstdLength1Gib => self.send(BINARY, &ZSTD_1_GIB)?,
            Fault::WrongDictionary => self.use_another_dictionary()?,
            Fault::ClockAhead => self.forge_clock(JUMP_MICROS, self.next + BLOCK)?,
            Fault::ClockBack => self.forge_clock(-JUMP_MICROS, self.next + BLOCK)?,
            Fault::ClockCut => {
                let last = (self.next..self.next + BLOCK).rev().find(|&position| self.is_forgeable(position));
                self.forge_clock(JUMP_MICROS, last.map_or(self.next, |last| last + 1))?;
                return Err(End::Drop);
            }
            // These have happened before the session began.
            Fault::Http503 | Fault::CursorTooOld | Fault::RetiredDictionary | Fault::V1Clamp => {}
        }
        Ok(())
    }

    /// Whether there is what the fault needs.
    fn can(&self, fault: Fault) -> bool {
        let to_come = self.shared.head().saturating_sub(self.next).min(self.frames_allowed());
        match fault {
            Fault::Reorder => to_come >= 2 * BLOCK,
            Fault::ClockAhead | Fault::ClockBack | Fault::ClockCut => to_come >= BLOCK,
            Fault::SlowDrip | Fault::Fragmented | Fault::TruncatedZstd | Fault::WrongDictionary => to_come > 0,
            Fault::Duplicate => self.next > 0,
            _ => true,
        }
    }

    fn be_silent(&mut self, said: &Receiver<Said>, time: Duration) -> Result<(), End> {
        let until = machine::now() + time;
        while machine::now() < until && !self.shared.is_stopping() {
            self.rest(said, Duration::from_millis(50))?;
        }
        Err(End::Drop)
    }

    fn announce_too_much(&mut self, said: &Receiver<Said>) -> Result<(), End> {
        let opcode = if self.press.is_some() { BINARY } else { TEXT };
        self.out.clear();
        header(opcode, true, ANNOUNCED_BYTES, &mut self.out);
        self.out.resize(self.out.len() + ANNOUNCED_SENT, b'x');
        self.flush()?;
        // Nothing may be sent any more, not even a pong: it would land in the middle of the frame.
        let until = machine::now() + ANNOUNCED_WAIT;
        while machine::now() < until && !self.shared.is_stopping() {
            match said.recv_timeout(Duration::from_millis(50)) {
                Ok(Said::Close(_)) => return Err(End::Drop),
                Ok(Said::Gone) | Err(RecvTimeoutError::Disconnected) => return Err(gone()),
                Ok(_) | Err(RecvTimeoutError::Timeout) => {}
            }
        }
        Err(End::Drop)
    }

    /// The text of a whole frame.
    fn text_of(&self, whole: &[u8]) -> io::Result<String> {
        let message = payload(whole);
        let bytes = self.press.map_or_else(|| Ok(message.to_vec()), |press| press.open(message))?;
        String::from_utf8(bytes).map_err(io::Error::other)
    }

    fn use_another_dictionary(&mut self) -> Result<(), End> {
        let whole = self.next_frame();
        let text = self.text_of(&whole)?;
        let other = match self.dialect {
            Dialect::V1 => Dialect::V2,
            Dialect::V2 => Dialect::V1,
        };
        let press = Press::new(other, Dictionary::of_simnet(other));
        self.out.clear();
        press.squeezer().frame(text.as_bytes(), &mut self.out);
        Ok(self.flush()?)
    }

    fn is_forgeable(&self, position: u64) -> bool {
        &*self.reel.collections()[self.reel.mark_of(position).collection as usize] == FORGED
    }

    /// Sends the events before `to`; likes among them with a stream time that is `micros` off.
    fn forge_clock(&mut self, micros: i64, to: u64) -> Result<(), End> {
        let mut out = Vec::new();
        let mut frames = 0;
        for position in self.next..to {
            self.out.clear();
            if !self.take(position) {
                continue;
            }
            frames += 1;
            if self.is_forgeable(position) {
                let forged = forge_time(self.text_of(&self.out)?, self.dialect, micros);
                self.out.clear();
                self.put_message(&forged);
            }
            out.extend_from_slice(&self.out);
        }
        self.link.write_all(&out)?;
        self.next = to;
        self.count(frames);
        Ok(())
    }

    /// The frame that is next for this client, whole; an unimportant one after the end.
    fn next_frame(&mut self) -> Vec<u8> {
        let head = self.shared.head();
        self.out.clear();
        while self.next < head && !self.take(self.next) {
            self.next += 1;
        }
        if self.out.is_empty() {
            let text = self.unknown_kind();
            self.put_message(&text);
        }
        std::mem::take(&mut self.out)
    }

    fn drip(&mut self, said: &Receiver<Said>) -> Result<(), End> {
        let end = self.shared.head().min(self.next + 16);
        while self.next < end {
            self.out.clear();
            let taken = self.take(self.next);
            let bytes = std::mem::take(&mut self.out);
            for piece in bytes.chunks(16) {
                self.link.write_all(piece)?;
                // Between frames the client is heard; here a pong would land in the middle of one.
                machine::pause(Duration::from_millis(1));
            }
            self.next += 1;
            self.count(u64::from(taken));
            self.hear_all(said)?;
        }
        Ok(())
    }

    /// Sends the frames from one position to another, those that the client wants.
    fn block(&mut self, from: u64, to: u64) -> io::Result<u64> {
        self.out.clear();
        let frames = (from..to).map(|position| u64::from(self.take(position))).sum();
        self.flush()?;
        Ok(frames)
    }

    fn reorder(&mut self) -> Result<(), End> {
        let (from, seam, to) = (self.next, self.next + BLOCK, self.next + 2 * BLOCK);
        let frames = self.block(seam, to)? + self.block(from, seam)?;
        self.next = to;
        self.count(frames);
        Ok(())
    }

    fn fragment(&mut self) -> Result<(), End> {
        let whole = self.next_frame();
        let (opcode, payload) = (whole[0] & 0x0f, payload(&whole));
        let third = payload.len() / 3;
        let mut out = Vec::new();
        for (at, part) in [&payload[..third], &payload[third..2 * third], &payload[2 * third..]].into_iter().enumerate()
        {
            header(if at == 0 { opcode } else { CONTINUATION }, at == 2, part.len() as u64, &mut out);
            out.extend_from_slice(part);
            if at < 2 {
                frame(PING, b"between", &mut out);
            }
        }
        self.link.write_all(&out)?;
        if self.next < self.shared.head() {
            self.next += 1;
            self.count(1);
        }
        Ok(())
    }

    /// Stream time of what was sent last.
    fn time_micros(&self) -> i64 {
        if self.reel.is_empty() { 0 } else { self.reel.time_micros(self.next.saturating_sub(1)) }
    }

    fn unknown_kind(&self) -> String {
        let micros = self.time_micros();
        match self.dialect {
            Dialect::V1 => format!(
                r#"{{"did":"did:plc:tomorrow","time_us":{micros},"kind":"tomorrow","tomorrow":{{"atrarium_":[1,null]}}}}"#
            ),
            Dialect::V2 => {
                let time = atrarium::syntax::Time::from_micros(micros);
                let kind = "network.bsky.jetstream.subscribeEvents#tomorrow";
                format!(
                    r#"{{"$type":"message","payload":{{"$type":"{kind}","did":"did:plc:tomorrow","time":"{time}"}}}}"#
                )
            }
        }
    }

    /// A valid like with a note of so many bytes.
    fn large_like(&self, note_bytes: usize) -> String {
        let micros = self.time_micros();
        let rev = atrarium::syntax::Tid::from_time(atrarium::syntax::Time::from_micros(micros), 0);
        let record = format!(r#"{{"$type":"app.bsky.feed.like","note":"{}"}}"#, "x".repeat(note_bytes));
        let (did, rkey, cid) = ("did:plc:large", "large", "bafyreilarge");
        match self.dialect {
            Dialect::V1 => format!(
                r#"{{"did":"{did}","time_us":{micros},"kind":"commit","commit":{{"rev":"{rev}","operation":"create","collection":"app.bsky.feed.like","rkey":"{rkey}","record":{record},"cid":"{cid}"}}}}"#
            ),
            Dialect::V2 => {
                let time = atrarium::syntax::Time::from_micros(micros);
                let kind = "network.bsky.jetstream.subscribeEvents#commit";
                format!(
                    r#"{{"$type":"message","payload":{{"$type":"{kind}","cid":"{cid}","collection":"app.bsky.feed.like","did":"{did}","operation":"create","record":{record},"rev":"{rev}","rkey":"{rkey}","time":"{time}"}}}}"#
                )
            }
        }
    }
}

/// A zstd frame (RFC 8878, 3.1.1) of one block of 128 KiB, whose header announces 1 GiB in a single segment: the decoder
/// is asked for a window of that size.
///
/// ```text
/// magic | descriptor: content size of 4 bytes, single segment | content size | last block, RLE, 128 KiB | byte
/// ```
const ZSTD_1_GIB: [u8; 13] = [0x28, 0xb5, 0x2f, 0xfd, 0xa0, 0, 0, 0, 0x40, 0x03, 0x00, 0x10, b'x'];

/// A zstd frame of `text` that does not say how large it is.
fn bomb(text: &str) -> io::Result<Vec<u8>> {
    let mut encoder = zstd::stream::write::Encoder::new(Vec::new(), 1)?;
    encoder.write_all(text.as_bytes())?;
    encoder.finish()
}

/// Moves the stream time of a frame's text, and nothing else.
fn forge_time(mut text: String, dialect: Dialect, micros: i64) -> String {
    let (key, width) = match dialect {
        Dialect::V1 => ("\"time_us\":", 16),
        Dialect::V2 => ("\"time\":\"", 27),
    };
    // v1 tells it before the record, v2 after it.
    let at = match dialect {
        Dialect::V1 => text.find(key),
        Dialect::V2 => text.rfind(key),
    };
    let Some(at) = at.map(|at| at + key.len()) else { return text };
    let Some(old) = text.get(at..at + width) else { return text };
    let forged = match dialect {
        Dialect::V1 => old.parse().map(|time: i64| (time + micros).to_string()).ok(),
        Dialect::V2 => old.parse().map(|time: Time| time.plus_micros(micros).to_string()).ok(),
    };
    if let Some(forged) = forged {
        text.replace_range(at..at + width, &forged);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::json::Line;
    use crate::{Network, Options};

    #[test]
    fn a_forged_clock_changes_the_stream_time_alone() {
        for mut event in Network::new(&Options { events: 300, ..Options::default() }) {
            for dialect in [Dialect::V1, Dialect::V2] {
                let write = |event: &crate::Event| {
                    let mut line = Line::default();
                    event.write(dialect, true, &mut line);
                    String::from_utf8(line.bytes).expect("text")
                };
                let true_line = write(&event);
                let true_time = event.time;
                for micros in [JUMP_MICROS, -JUMP_MICROS] {
                    event.time = true_time.plus_micros(micros);
                    assert_eq!(forge_time(true_line.clone(), dialect, micros), write(&event));
                }
                event.time = true_time;
            }
        }
    }

    #[test]
    fn a_bomb_is_small_and_says_nothing_of_its_size() {
        let bomb = bomb(&"x".repeat(BOMB_BYTES)).expect("compressed");
        assert!(bomb.len() < 16 << 10, "{} bytes", bomb.len());
        assert_eq!(zstd::zstd_safe::get_frame_content_size(&bomb).expect("a frame"), None);
        assert_eq!(zstd::stream::decode_all(&bomb[..]).expect("valid").len(), BOMB_BYTES);
        let announced = zstd::zstd_safe::get_frame_content_size(&ZSTD_1_GIB).expect("a frame");
        assert_eq!(announced, Some(ANNOUNCED_BYTES));
    }
}
