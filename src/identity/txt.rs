//! TXT records, as somebody else reads them.

use std::future::Future;
use std::pin::Pin;

/// What a [`Txt`] gives: every record of a name, the strings of each put together; empty where there is none.
pub type Records<'a> = Pin<Box<dyn Future<Output = Result<Vec<String>, TxtError>> + Send + 'a>>;

/// The records of a name could not be read: which is not the same as that there are none.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the TXT records of {name} cannot be read ({why}): check the resolver of this machine")]
pub struct TxtError {
    /// The name.
    pub name: String,
    /// What the library says.
    pub why: String,
}

/// Reads TXT records.
pub trait Txt: Send + Sync {
    /// Those of a name, within [`DIAL_TIMEOUT_MILLIS`](crate::limits::DIAL_TIMEOUT_MILLIS).
    fn records<'a>(&'a self, name: &'a str) -> Records<'a>;
}

/// No TXT records at all: handles are then looked up under `/.well-known` alone.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoTxt;

impl Txt for NoTxt {
    fn records<'a>(&'a self, _name: &'a str) -> Records<'a> {
        Box::pin(std::future::ready(Ok(Vec::new())))
    }
}
