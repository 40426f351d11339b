//! Batches: the payload of one log record.
//!
//! ```text
//! postcard sequence of Fact:  count (varint) | fact | fact | …      fact: variant (varint) | fields in order
//! ```
//! The version of this form stands in the log record's header ([`Batch::VERSION`]).

use super::Fact;

/// Facts that become durable together.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Batch {
    /// In the order in which they are folded.
    pub facts: Vec<Fact>,
}

/// Bytes that are no batch.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BatchError {
    /// Written by a later program.
    #[error("the batch has version {0}, this program reads version {known}: use the program that wrote it", known = Batch::VERSION)]
    Version(u8),
    /// The checksum was right, yet the facts cannot be read.
    #[error("the batch cannot be decoded: {0}")]
    Malformed(postcard::Error),
    /// Bytes after the last fact.
    #[error("{0} bytes follow the last fact of the batch")]
    Trailing(usize),
}

impl Batch {
    /// The version of the encoding.
    pub const VERSION: u8 = 1;

    /// Appends the encoded batch to `out`.
    ///
    /// # Panics
    /// Never: every type of [`Fact`] can be encoded, and a `Vec` can grow.
    pub fn encode(facts: &[Fact], out: Vec<u8>) -> Vec<u8> {
        postcard::to_extend(facts, out).expect("invariant: facts hold only types that postcard can encode")
    }

    /// Decodes what [`Batch::encode`] wrote.
    ///
    /// # Errors
    /// Another version, or bytes that are no batch.
    pub fn decode(version: u8, payload: &[u8]) -> Result<Self, BatchError> {
        if version != Self::VERSION {
            return Err(BatchError::Version(version));
        }
        let (facts, rest) = postcard::take_from_bytes(payload).map_err(BatchError::Malformed)?;
        if !rest.is_empty() {
            return Err(BatchError::Trailing(rest.len()));
        }
        Ok(Self { facts })
    }
}
