//! Which frames matter.
//!
//! In: the bytes of every frame, and the text of the posts among them. Out: whether a frame may matter ([`prefilter`]),
//! whether a record has been let pass before ([`Seen`]), what was told of records that nobody knew yet ([`Orphans`]), and
//! the community hashtags of a text ([`Tags`]).
//!
//! ```text
//! frame ──prefilter──► Nothing                        99 of 100
//!              └─────► Named | Change | Unclear ──parse──► Seen, Orphans ──► worker ──Tags──► ids
//! ```
//!
//! What always holds: the prefilter and the fingerprints may be wrong one way only. They may say that a frame matters
//! which does not; they never say that it does not where it does. [`Tags`] is exact.
//!
//! Architecture Invariant: nothing here knows what an event is. The prefilter reads bytes; a community id is a number.
#![forbid(unsafe_code)]

mod orphans;
mod prefilter;
mod seen;
mod table;
mod tags;

pub use orphans::{Orphans, Queued};
pub use prefilter::{Names, Possible, prefilter, prefilter_unnamed};
pub use seen::Seen;
pub use tags::Tags;
