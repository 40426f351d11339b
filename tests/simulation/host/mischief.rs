//! The faults that happen within a session.

use atrarium::syntax::Time;
use simnet::Dialect;
use simnet::websocket::{BINARY, CLOSE, CONTINUATION, PING, TEXT, frame, header};

use super::conn::{Around, Phase, compressed};
use super::{Conn, Ending};
use crate::faults::Fault;
use crate::sim::SEAM_MICROS;
use crate::world::{like, padded_like};

/// How far a forged clock is off: ten years, in microseconds.
const JUMP_MICROS: i64 = 315_576_000_000_000;
/// More than `FRAME_BYTES_MAX` of the limits.
const OVERSIZED_BYTES: usize = (4 << 20) + 100;
const GARBAGE: [&str; 6] = ["{\"did\":", "[]", "", "null", "\u{feff}{}", "{\"kind\":7,\"time_us\":\"x\"}"];

impl Conn {
    /// Does what the fault's name says, where it can happen now.
    pub(super) fn commit(&mut self, fault: Fault, head: u64, around: &mut Around<'_>) {
        let Phase::Stream(stream) = &mut self.phase else { return };
        let (dialect, zstd, last) = (stream.dialect, stream.zstd, stream.next.saturating_sub(1));
        let (time, number) = (around.world.time(last), around.hosts[self.host].number(last));
        let some_like = |micros| like(micros, number, dialect, true);
        match fault {
            Fault::Disconnect => self.cut(Ending::Closed, fault, around.rng),
            Fault::Reset => self.cut(Ending::Reset, fault, around.rng),
            Fault::Stall => self.quiet = Some((fault, around.now)),
            Fault::Duplicate => {
                // Not from before its beginning: a host that leaves something out, and hides that behind what it had told
                // before, is found out by nobody.
                let from = stream.next.saturating_sub(around.rng.u64(1..64)).max(self.began_at.unwrap_or(0));
                stream.first.extend(from..stream.next);
                self.mark(Some(fault));
            }
            Fault::Reorder => self.reorder(head, around),
            Fault::Fragmented => self.fragment(around),
            Fault::Garbage => self.put_message(GARBAGE[around.rng.usize(..6)].as_bytes(), Some(fault)),
            Fault::Binary if zstd.is_none() => self.send(BINARY, b"\x28\xb5\x2f\xfd\x00\x01atrarium_\xff", Some(fault)),
            Fault::Oversized if !around.is_slow => {
                let text = padded_like(time, number, dialect, true, OVERSIZED_BYTES);
                self.send(TEXT, text.as_bytes(), Some(fault));
            }
            Fault::Length1Gib => {
                let mut bytes = Vec::new();
                header(TEXT, true, 1 << 30, &mut bytes);
                bytes.resize(200, b'x');
                self.send_raw(&bytes, None);
                self.quiet = Some((fault, around.now));
            }
            Fault::Violation => self.send_raw(&[0x83, 0x01, b'x'], Some(fault)),
            Fault::ErrorFrame => {
                if dialect == Dialect::V2 {
                    let text = br#"{"$type":"error","error":"ConsumerTooSlow","message":"the consumer is too slow"}"#;
                    self.put_message(text, Some(fault));
                }
                self.close(1008, "ConsumerTooSlow", fault);
            }
            Fault::CloseFrame => self.close(1001, "bye", fault),
            Fault::UnknownKind => self.put_message(unknown_kind(time, dialect).as_bytes(), Some(fault)),
            Fault::Info if dialect == Dialect::V2 => self.put_message(INFO.as_bytes(), Some(fault)),
            Fault::Pings => {
                (0..40).for_each(|size| self.send(PING, &[b'p'; 125][..size * 3], None));
                self.mark(Some(fault));
            }
            Fault::ClockAhead => self.put_message(some_like(time + JUMP_MICROS).as_bytes(), Some(fault)),
            Fault::ClockBack => self.put_message(some_like(time - JUMP_MICROS).as_bytes(), Some(fault)),
            Fault::TruncatedZstd => {
                if let Some(dictionary) = zstd {
                    let message = compressed(some_like(time).as_bytes(), dictionary);
                    self.send(BINARY, &message[..message.len() / 2], Some(fault));
                }
            }
            Fault::WrongDictionary => {
                if let Some(dictionary) = zstd {
                    self.send(BINARY, &compressed(some_like(time).as_bytes(), (dictionary + 1) % 3), Some(fault));
                }
            }
            Fault::NumbersAnew if dialect == Dialect::V2 => {
                around.hosts[self.host].begin_anew(around.rng);
                self.cut(Ending::Closed, fault, around.rng);
            }
            _ => {}
        }
    }

    fn close(&mut self, code: u16, why: &str, fault: Fault) {
        let payload = [&code.to_be_bytes()[..], why.as_bytes()].concat();
        self.send(CLOSE, &payload, Some(fault));
        self.end(Ending::Closed, None);
    }

    /// v1: two blocks of events change places.
    fn reorder(&mut self, head: u64, around: &mut Around<'_>) {
        let Phase::Stream(stream) = &mut self.phase else { return };
        let block = around.rng.u64(1..12);
        let (from, seam, to) = (stream.next, stream.next + block, stream.next + 2 * block);
        let span = around.world.time(to) - around.world.time(from);
        if stream.dialect != Dialect::V1 || to > head.min(around.world.len()) || span > SEAM_MICROS {
            return;
        }
        stream.first.extend((seam..to).chain(from..seam));
        stream.next = to;
        self.mark(Some(Fault::Reorder));
    }

    /// An event comes in three fragments, with pings between them.
    fn fragment(&mut self, around: &mut Around<'_>) {
        let Phase::Stream(stream) = &mut self.phase else { return };
        let (position, zstd) = (stream.take(), stream.zstd);
        let text = around.hosts[self.host].text(position, around.world);
        if text.is_empty() {
            return;
        }
        let (opcode, payload) = match zstd {
            Some(dictionary) => (BINARY, compressed(&text, dictionary)),
            None => (TEXT, text),
        };
        let (third, mut out) = (payload.len() / 3, Vec::new());
        for (at, part) in [&payload[..third], &payload[third..2 * third], &payload[2 * third..]].into_iter().enumerate()
        {
            header(if at == 0 { opcode } else { CONTINUATION }, at == 2, part.len() as u64, &mut out);
            out.extend_from_slice(part);
            if at < 2 {
                frame(PING, b"between", &mut out);
            }
        }
        self.send_raw(&out, Some(Fault::Fragmented));
    }
}

const INFO: &str = r#"{"$type":"message","payload":{"$type":"network.bsky.jetstream.subscribeEvents#info","message":"a word","name":"OutdatedCursor"}}"#;

fn unknown_kind(micros: i64, dialect: Dialect) -> String {
    match dialect {
        Dialect::V1 => format!(
            r#"{{"did":"did:plc:tomorrow","time_us":{micros},"kind":"tomorrow","tomorrow":{{"atrarium_":[1,null]}}}}"#
        ),
        Dialect::V2 => {
            let time = Time::from_micros(micros);
            let kind = "network.bsky.jetstream.subscribeEvents#tomorrow";
            format!(r#"{{"$type":"message","payload":{{"$type":"{kind}","did":"did:plc:tomorrow","time":"{time}"}}}}"#)
        }
    }
}
