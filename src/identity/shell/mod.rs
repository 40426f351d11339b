//! What awaits: the rules of [`resolver`](super::resolver), [`token`](super::token) and [`callers`](super::callers), with an
//! [`Http`](super::Http) beneath.
//!
//! [`Identities`] reads documents and handles. [`Gate`] and [`Judges`] are the two ends of a bounded queue: threads that
//! answer readers ask at the gate and go on; the judges do what takes time, on the control thread.
//!
//! In: names and tokens. Out: who they are. Everything here needs a runtime of tokio with time.

mod judges;
mod lookup;

pub use judges::{Changes, Gate, Judges, Use};
pub use lookup::{DirectoryError, Identities};
