//! Which endpoint is asked to compress, and with which dictionary.
//!
//! | what happens | v2 | v1 |
//! |---|---|---|
//! | nothing yet | fetch its current dictionary from the host | the operator's file |
//! | the fetch fails | this connection is plain; the next one tries again | |
//! | 400 `UnknownZstdDictionary`, or nothing can be decoded | fetch once more | plain from now on |
//! | …and again, or the host gives the same one | plain from now on | |
//! | messages are decoded | as if nothing had happened: a later change may be followed again | |

use tracing::warn;

use crate::fact::Dialect;
use crate::wire::endpoint::Endpoint;
use crate::wire::zstd::Dictionary;

/// Which streams are asked for compressed. By default none.
#[derive(Clone, Debug, Default)]
pub struct Zstd {
    /// Whether v2 hosts are.
    pub v2: bool,
    /// The dictionary with which v1 hosts are: it is never sent by them.
    pub v1: Option<Dictionary>,
}

/// What is agreed with each endpoint, by its index.
pub(super) struct Compression(Vec<State>);

#[derive(Debug, PartialEq, Eq)]
enum State {
    /// Plain.
    Off,
    /// v2: a dictionary is needed, and another one than this.
    Needed { not: Option<u32> },
    /// In use. `instead_of`: the one that it has replaced, until it has been of use.
    Has { dictionary: Dictionary, instead_of: Option<u32> },
}

impl Compression {
    pub(super) fn new(wanted: &Zstd, endpoints: &[Endpoint]) -> Self {
        let state = |endpoint: &Endpoint| match (endpoint.dialect(), &wanted.v1) {
            (Dialect::V2, _) if wanted.v2 => State::Needed { not: None },
            (Dialect::V1, Some(dictionary)) => State::Has { dictionary: dictionary.clone(), instead_of: None },
            _ => State::Off,
        };
        Self(endpoints.iter().map(state).collect())
    }

    pub(super) fn needs_dictionary(&self, at: usize) -> bool {
        matches!(self.0[at], State::Needed { .. })
    }

    pub(super) fn dictionary(&self, at: usize) -> Option<&Dictionary> {
        match &self.0[at] {
            State::Has { dictionary, .. } => Some(dictionary),
            _ => None,
        }
    }

    /// The host has given its dictionary.
    pub(super) fn fetched(&mut self, at: usize, dictionary: Dictionary) {
        let State::Needed { not } = self.0[at] else { return };
        self.0[at] = if not == Some(dictionary.id()) {
            warn!(id = dictionary.id(), "the host gives the dictionary that did not work: reading it uncompressed");
            State::Off
        } else {
            State::Has { dictionary, instead_of: not }
        };
    }

    /// The dictionary does not work: the host does not know it, or its messages were made with another one.
    pub(super) fn failed(&mut self, at: usize, endpoint: &Endpoint) {
        let State::Has { dictionary, instead_of } = &self.0[at] else { return };
        self.0[at] = if endpoint.dialect() == Dialect::V2 && instead_of.is_none() {
            State::Needed { not: Some(dictionary.id()) }
        } else {
            warn!(
                host = endpoint.host_name(),
                id = dictionary.id(),
                "the dictionary does not work: reading uncompressed"
            );
            State::Off
        };
    }

    /// Messages were decoded.
    pub(super) fn worked(&mut self, at: usize) {
        if let State::Has { instead_of, .. } = &mut self.0[at] {
            *instead_of = None;
        }
    }
}
