//! The zstd dictionary that a host and its clients share.
//!
//! In: lines of the default network, or a file. Out: a dictionary (RFC 8878, section 5) with its id.
//!
//! ```text
//! 37 a4 30 ec | id (32 bits, little endian) | entropy tables | content
//! ```
//!
//! Always: an id names one content. The trained ones take theirs from their content, so that it changes with it.

use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::{fs, io};

use crate::event::Dialect;
use crate::json::Line;
use crate::{Network, Options};

const MAGIC: [u8; 4] = [0x37, 0xa4, 0x30, 0xec];
/// Size of a trained dictionary in bytes, as Jetstream's of v2.
const TRAINED_BYTES: usize = 64 << 10;
/// Lines that it is trained on.
const SAMPLES: u64 = 4_000;

/// A dictionary.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dictionary {
    id: u32,
    bytes: Vec<u8>,
}

/// Why there is no dictionary.
#[derive(Debug, thiserror::Error)]
pub enum DictionaryError {
    /// The file cannot be read.
    #[error("cannot read {0}: {1}")]
    Unreadable(PathBuf, #[source] io::Error),
    /// The bytes are something else.
    #[error("this is no zstd dictionary: it must begin with 37 a4 30 ec and an id that is not 0")]
    NoDictionary,
    /// zstd does not take it.
    #[error("zstd refuses the dictionary: {0}")]
    Refused(#[source] io::Error),
}

impl Dictionary {
    /// The dictionary of simnet for a dialect: trained on the default network, the same every time.
    pub fn of_simnet(dialect: Dialect) -> Self {
        static TRAINED: [OnceLock<Dictionary>; 2] = [const { OnceLock::new() }; 2];
        let cell = match dialect {
            Dialect::V1 => &TRAINED[0],
            Dialect::V2 => &TRAINED[1],
        };
        cell.get_or_init(|| {
            Self::train(&Options { events: SAMPLES, ..Options::default() }, dialect)
                .expect("invariant: the default network is enough to train on")
        })
        .clone()
    }

    /// Trains one on a network.
    ///
    /// # Errors
    /// The network is too small or too uniform to train on.
    pub fn train(options: &Options, dialect: Dialect) -> Result<Self, DictionaryError> {
        let mut lines: Vec<Vec<u8>> = Vec::new();
        let mut line = Line::default();
        for event in Network::new(options) {
            line.clear();
            event.write(dialect, false, &mut line);
            lines.push(line.bytes.clone());
        }
        let bytes = zstd::dict::from_samples(&lines, TRAINED_BYTES).map_err(DictionaryError::Refused)?;
        Self::parse(bytes)
    }

    /// Reads one from a file.
    ///
    /// # Errors
    /// The file cannot be read, or holds something else.
    pub fn read(path: &Path) -> Result<Self, DictionaryError> {
        let bytes = fs::read(path).map_err(|error| DictionaryError::Unreadable(path.into(), error))?;
        Self::parse(bytes)
    }

    /// Takes bytes for a dictionary.
    ///
    /// # Errors
    /// They are something else.
    pub fn parse(bytes: Vec<u8>) -> Result<Self, DictionaryError> {
        let id = match bytes.first_chunk::<8>() {
            Some([a, b, c, d, id @ ..]) if [*a, *b, *c, *d] == MAGIC => u32::from_le_bytes(*id),
            _ => return Err(DictionaryError::NoDictionary),
        };
        if id == 0 {
            return Err(DictionaryError::NoDictionary);
        }
        zstd::dict::DecoderDictionary::try_copy(&bytes).map_err(DictionaryError::Refused)?;
        zstd::dict::EncoderDictionary::try_copy(&bytes, 1).map_err(DictionaryError::Refused)?;
        Ok(Self { id, bytes })
    }

    /// Its id.
    pub fn id(&self) -> u32 {
        self.id
    }

    /// Itself.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The same content under the next id, as if it had been trained anew.
    pub(crate) fn successor(&self) -> Self {
        let id = self.id.checked_add(1).unwrap_or(1 << 16);
        let mut bytes = self.bytes.clone();
        bytes[4..8].copy_from_slice(&id.to_le_bytes());
        Self { id, bytes }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_network_trains_the_same_dictionary_and_it_helps() {
        let options = Options { events: SAMPLES, ..Options::default() };
        for dialect in [Dialect::V1, Dialect::V2] {
            let dictionary = Dictionary::train(&options, dialect).expect("trained");
            assert_eq!(dictionary, Dictionary::of_simnet(dialect));
            assert_eq!(Dictionary::parse(dictionary.bytes().to_vec()).expect("reads back").id(), dictionary.id());
            let (mut plain, mut with, mut without) = (0, 0, 0);
            let encoder = zstd::dict::EncoderDictionary::copy(dictionary.bytes(), 1);
            let mut compressor = zstd::bulk::Compressor::with_prepared_dictionary(&encoder).expect("a context");
            let mut line = Line::default();
            for event in Network::new(&Options { events: 1_000, seed: 9, ..Options::default() }) {
                line.clear();
                event.write(dialect, false, &mut line);
                plain += line.bytes.len();
                with += compressor.compress(&line.bytes).expect("compressed").len();
                without += zstd::bulk::compress(&line.bytes, 1).expect("compressed").len();
            }
            assert!(with * 10 < plain * 6 && with * 10 < without * 8, "{dialect:?}: {plain} {without} {with}");
        }
        assert_ne!(Dictionary::of_simnet(Dialect::V1).id(), Dictionary::of_simnet(Dialect::V2).id());
    }

    #[test]
    fn other_bytes_are_no_dictionary() {
        for bytes in [&b""[..], b"37a430ec", &[0x37, 0xa4, 0x30, 0xec, 0, 0, 0, 0, 1], &[0x37, 0xa4, 0x30, 0xec, 1]] {
            assert!(matches!(Dictionary::parse(bytes.to_vec()), Err(DictionaryError::NoDictionary)));
        }
        let broken = [0x37, 0xa4, 0x30, 0xec, 1, 0, 0, 0, 9, 9];
        assert!(matches!(Dictionary::parse(broken.to_vec()), Err(DictionaryError::Refused(_))));
    }

    #[test]
    fn a_successor_differs_in_its_id_alone() {
        let (old, new) = (Dictionary::of_simnet(Dialect::V2), Dictionary::of_simnet(Dialect::V2).successor());
        assert_eq!(new.id(), old.id() + 1);
        assert_eq!(new.bytes()[8..], old.bytes()[8..]);
        assert_eq!(Dictionary::parse(new.bytes().to_vec()).expect("valid"), new);
    }
}
