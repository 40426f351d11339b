//! Authority: who may moderate a community at a moment.
//!
//! In: a DID, a community, a moment. Out: the grounds on which they may.
//!
//! Architecture Invariant: no membership is read here. The role in it is the member's own claim.

use super::Fold;
use super::names::DidIndex;
use crate::fact::Stage;
use crate::syntax::Time;

/// Why somebody may moderate a community.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Grounds {
    /// The config lies in their repository.
    Owner,
    /// The config in force named them.
    Moderator,
    /// The config in force was a theme's, and the graduated parent (by number) is theirs or names them.
    Parent(u32),
}

impl Fold {
    /// The grounds on which `did` had authority in `community` at `moment`.
    pub(super) fn authority(&self, did: DidIndex, community: u32, moment: Time) -> Option<Grounds> {
        if self.communities[community].owner == did {
            return Some(Grounds::Owner);
        }
        let body = self.config_at(community, moment)?;
        let who = &self.people[did].did;
        if body.config.moderators.contains(who) {
            return Some(Grounds::Moderator);
        }
        let parent = body.parent.filter(|_| body.config.stage == Stage::Theme)?;
        let above = &self.config_at(parent, moment)?.config;
        let graduated = above.stage == Stage::Graduated;
        let named = self.communities[parent].owner == did || above.moderators.contains(who);
        (graduated && named).then_some(Grounds::Parent(parent))
    }
}
