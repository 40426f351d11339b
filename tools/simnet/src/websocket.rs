//! Frames of websockets as a server writes them (RFC 6455, 5.2): for this one, and for tests that write their own.

/// Another part of a message.
pub const CONTINUATION: u8 = 0;
/// A message of text, or its first part.
pub const TEXT: u8 = 1;
/// A message of bytes, or its first part.
pub const BINARY: u8 = 2;
/// The end.
pub const CLOSE: u8 = 8;
/// Asks for a pong.
pub const PING: u8 = 9;
/// Answers a ping.
pub const PONG: u8 = 10;

/// Appends the header of a server's frame (RFC 6455, 5.2): never masked.
///
/// ```text
/// FIN 0 0 0 opcode | 0 length (7 bits)                      up to 125
///                  | 0 126 | length (16 bits, big endian)   up to 65,535
///                  | 0 127 | length (64 bits, big endian)
/// ```
pub fn header(opcode: u8, last: bool, length: u64, out: &mut Vec<u8>) {
    out.push(if last { 0x80 | opcode } else { opcode });
    match length {
        0..=125 => out.push(length as u8),
        126..=0xffff => {
            out.push(126);
            out.extend_from_slice(&(length as u16).to_be_bytes());
        }
        _ => {
            out.push(127);
            out.extend_from_slice(&length.to_be_bytes());
        }
    }
}

/// Appends a whole frame.
pub fn frame(opcode: u8, payload: &[u8], out: &mut Vec<u8>) {
    header(opcode, true, payload.len() as u64, out);
    out.extend_from_slice(payload);
}

/// What a whole frame of a server holds.
pub(crate) fn payload(frame: &[u8]) -> &[u8] {
    match frame[1] {
        126 => &frame[4..],
        127 => &frame[10..],
        _ => &frame[2..],
    }
}
