//! Who somebody is on the network: DIDs and their documents, keys, service tokens, and the one place that dials out.
//!
//! ```text
//! token ──► callers (known?) ──► shell ──► resolver (cached?) ──► dial ──► did:plc directory, did:web, DNS
//!                                  └──► token (judged with the key of the document)
//! ```
//!
//! In: what strangers say of themselves. Out: DIDs that have proved it. The state machines know no socket and no clock: `now`
//! comes in, in microseconds since the epoch. What awaits and what dials is in [`shell`] and [`dial`], with the server alone.
//!
//! What always holds: nothing is dialled but public addresses, judged at the moment of dialling ([`address`], [`dial`]); no
//! thread that answers readers ever waits for the outside ([`callers`]).
#![forbid(unsafe_code)]

pub mod address;
#[cfg(feature = "server")]
pub mod dial;
pub mod http;
pub mod target;

#[cfg(feature = "server")]
pub use dial::{Dialer, Policy};
pub use http::{Answering, DialError, Http, Method, Request, Response, Whose};
