//! The two forms of the stream: DESIGN §2.

use serde::{Deserialize, Serialize};

/// The two forms of Jetstream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Dialect {
    /// `/subscribe`
    V1,
    /// `/xrpc/network.bsky.jetstream.subscribeEvents`
    V2,
}

impl Dialect {
    /// `v1` or `v2`, as flags and `/status` say it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::V1 => "v1",
            Self::V2 => "v2",
        }
    }
}
