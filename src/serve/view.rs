//! The view as [`Feeds`].

use std::sync::Arc;

use super::{Feeds, SkeletonError};
use crate::fact::{CommunityId, CommunityInfo};
use crate::syntax::{Did, Time};
use crate::view::{PageCursor, View};

impl Feeds for View {
    fn skeleton(
        &self,
        rkey: &str,
        owner: Option<&Did>,
        now: Time,
        limit: usize,
        cursor: Option<&str>,
        out: &mut Vec<u8>,
    ) -> Result<(), SkeletonError> {
        let community = self.find_feed(rkey, owner).ok_or(SkeletonError::UnknownFeed)?;
        let after = cursor.map(PageCursor::parse).transpose().map_err(|_| SkeletonError::BadCursor)?;
        self.page(&community, now, limit, after.as_ref()).write_json(out);
        Ok(())
    }

    fn feeds(&self) -> Vec<(CommunityId, Arc<CommunityInfo>)> {
        self.communities().iter().map(|community| (community.id(), community.info())).collect()
    }

    fn feeds_version(&self) -> u64 {
        self.version()
    }
}
