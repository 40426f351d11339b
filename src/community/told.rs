//! Who is told what changes for readers: somebody who listens, or nobody.

use crate::fact::Change;

/// Where changes go. Where nobody listens none is even made: nothing is copied for it.
pub(super) struct Told<'a>(Option<&'a mut Vec<Change>>);

impl<'a> Told<'a> {
    pub fn to(out: &'a mut Vec<Change>) -> Self {
        Self(Some(out))
    }

    pub fn nobody() -> Self {
        Self(None)
    }

    pub fn push(&mut self, change: impl FnOnce() -> Change) {
        if let Some(out) = &mut self.0 {
            out.push(change());
        }
    }
}
