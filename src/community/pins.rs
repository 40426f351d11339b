//! Pinned posts: what a config may pin, and when the view is told.
//!
//! In: the config in force, what account events said of the post's author. Out: [`CommunityInfo::pinned`].
//!
//! Any post of the network may be pinned: with the hashtag or without, of a member or not, however old. Nothing is known of
//! most such posts but their URI, so what is judged here is what holds of the URI alone: it is that of a post in the
//! repository of a DID; the account there is active; its deletion has not ended the post (of which the rkey tells the time).
//! That moderators hide the post or block its author is judged where the page is made, as for posts of other communities.
//! Whether the post itself was deleted is not: of a post without a hashtag no delete is heard. The AppView leaves out what it
//! does not find.
//!
//! What always holds: `Fold::pins` lists each open community whose config pins a post under that post's author, shown or
//! not, and nothing else.
//!
//! [`CommunityInfo::pinned`]: crate::fact::CommunityInfo::pinned

use std::collections::{BTreeMap, BTreeSet};

use super::Fold;
use super::told::Told;
use crate::fact::{Collection, Config};
use crate::syntax::{Did, RecordUri, Tid};

/// The open communities that pin a post of somebody.
pub(super) type Pins = BTreeMap<Did, BTreeSet<u32>>;

impl Config {
    /// The post that is to be pinned, where it is one.
    fn pin(&self) -> Option<RecordUri> {
        let uri = RecordUri::parse(self.pinned_post.as_ref()?.as_str()).ok()?;
        (uri.collection.as_str() == Collection::Post.nsid()).then_some(uri)
    }
}

impl Fold {
    /// The pin of a community, where its author's account allows it.
    pub(super) fn shown_pin(&self, config: &Config) -> Option<RecordUri> {
        let pin = config.pin()?;
        let Some(author) = self.people.find(&pin.did) else { return Some(pin) };
        let author = &self.people[author];
        let is_ended = author
            .account()
            .deleted_at
            .is_some_and(|deleted_at| Tid::parse(pin.rkey.as_str()).is_ok_and(|tid| tid.time() <= deleted_at));
        (author.is_active() && !is_ended).then_some(pin)
    }

    /// Files a community, which is open, under whose post it pins.
    pub(super) fn file_pin(&mut self, community: u32) {
        let author = self.live_config(community).and_then(|body| body.config.pin()).map(|pin| pin.did);
        if self.communities[community].pins == author {
            return;
        }
        self.unfile_pin(community);
        if let Some(author) = author {
            self.pins.entry(author.clone()).or_default().insert(community);
            self.communities[community].pins = Some(author);
        }
    }

    /// A community pins nothing any more, or is closed.
    pub(super) fn unfile_pin(&mut self, community: u32) {
        let Some(author) = self.communities[community].pins.take() else { return };
        if let Some(communities) = self.pins.get_mut(&author) {
            communities.remove(&community);
            if communities.is_empty() {
                self.pins.remove(&author);
            }
        }
    }

    /// Tells all who pin a post of somebody, after their account has changed.
    pub(super) fn sync_pins_of(&mut self, author: &Did, out: &mut Told<'_>) {
        let Some(communities) = self.pins.get(author).cloned() else { return };
        for community in communities {
            if let Some(id) = self.communities[community].open
                && let Some(info) = self.info(community)
            {
                self.open(id, community, info, out);
            }
        }
    }
}
