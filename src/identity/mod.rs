//! Who somebody is on the network: DIDs and their documents, keys, service tokens, and the one place that dials out.
//!
//! ```text
//! token ──► callers (known?) ──► shell ──► resolver (cached?) ──► dial ──► did:plc directory, did:web, DNS
//!                                  └──► token (judged with the key of the document)
//! ```
//!
//! In: what strangers say of themselves. Out: DIDs that have proved it. The state machines know no socket and no clock: `now`
//! comes in, in microseconds since the epoch. What awaits and what dials is in `shell` and `dial`, with the server alone.
//!
//! What always holds: nothing is dialled but public addresses, judged at the moment of dialling ([`address`], `dial`); no
//! thread that answers readers ever waits for the outside ([`callers`]).
#![forbid(unsafe_code)]

pub mod address;
pub mod callers;
#[cfg(feature = "server")]
pub mod dial;
pub mod document;
pub mod http;
pub mod key;
pub mod place;
pub mod resolver;
#[cfg(feature = "server")]
pub mod shell;
pub mod tally;
pub mod target;
pub mod token;
pub mod txt;

pub use callers::{Callers, Known};
#[cfg(feature = "server")]
pub use dial::{Dialer, Policy};
pub use document::Document;
pub use http::{Answering, DialError, Http, Method, Request, Response, Whose};
#[cfg(feature = "server")]
pub use shell::{Changes, Gate, Identities, Judges};
pub use token::{Refusal, Verified};
