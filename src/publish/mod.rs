//! Publishing: the generator records of all communities in the publisher's repository.
//!
//! ```text
//! communities ─┐
//!              ├─► plan: what to create, update, remove ──► steps, within points ──► the publisher's PDS
//! repository ──┘        (a dry run ends here)
//! ```
//! In: the served communities, and the records that are there. Out: writes, in batches. Nothing is remembered of a run but
//! the points that it spent: a run that was interrupted is gone on with by running again, for what was written is found in
//! the repository.
//!
//! Architecture Invariant: nothing here reads a clock or sleeps; moments are told. The one who runs it waits.
#![forbid(unsafe_code)]

mod pds;
mod plan;
mod points;
mod record;

pub use pds::{Pds, PdsError};
pub use plan::{Change, Plan, Step, plan};
pub use points::Points;
pub use record::{About, Wanted};

/// The collection of the records.
pub const GENERATOR: &str = "app.bsky.feed.generator";
