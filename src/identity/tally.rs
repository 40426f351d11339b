//! What is counted of callers: `serve` renders it.

use super::token::Refusal;
use crate::telemetry::Counter;

/// What is counted of callers.
#[derive(Debug, Default)]
pub struct Tally {
    /// Requests whose token was known.
    pub known: Counter,
    /// Requests whose token had not been judged yet.
    pub unknown: Counter,
    /// Tokens that were not offered because too many waited.
    pub dropped: Counter,
    /// Tokens that were verified.
    pub verified: Counter,
    /// Documents that were read again because a signature did not hold.
    pub forced: Counter,
    /// Identities that have changed, as the stream said.
    pub changed: Counter,
    /// Requests whose token was known to be refused.
    pub refused_again: Counter,
    refused: Refusals,
}

#[derive(Debug)]
struct Refusals([Counter; Refusal::ALL.len()]);

impl Default for Refusals {
    fn default() -> Self {
        Self(std::array::from_fn(|_| Counter::default()))
    }
}

impl Tally {
    /// Counts a token that was refused.
    pub fn refuse(&self, why: Refusal) {
        self.refused.0[why as usize].increment();
    }

    /// How often each reason was met.
    pub fn refused(&self) -> impl Iterator<Item = (Refusal, u64)> + '_ {
        Refusal::ALL.iter().map(|&why| (why, self.refused.0[why as usize].get()))
    }
}
