//! The view as [`Feeds`].

use std::sync::Arc;

use bytes::Bytes;

use super::{Feeds, SkeletonError};
use crate::fact::{CommunityId, CommunityInfo};
use crate::syntax::{Did, Time};
use crate::view::{PageCursor, View};

/// Room for one item of a page, in bytes: `{"post":"at://did:plc:…/app.bsky.feed.post/…"},` takes 82 with a did:plc.
const ITEM_BYTES: usize = 96;

impl Feeds for View {
    fn skeleton(
        &self,
        rkey: &str,
        owner: Option<&Did>,
        now: Time,
        limit: usize,
        cursor: Option<&str>,
    ) -> Result<Bytes, SkeletonError> {
        let community = self.find_feed(rkey, owner).ok_or(SkeletonError::UnknownFeed)?;
        let after = cursor.map(PageCursor::parse).transpose().map_err(|_| SkeletonError::BadCursor)?;
        Ok(self.body(&community, now, limit, after.as_ref(), limit * ITEM_BYTES))
    }

    fn serves(&self, id: CommunityId) -> bool {
        self.find(id).is_some()
    }

    fn feeds(&self) -> Vec<(CommunityId, Arc<CommunityInfo>)> {
        self.communities().iter().map(|community| (community.id(), community.info())).collect()
    }

    fn feeds_version(&self) -> u64 {
        self.version()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fact::{Change, FeedMix, PostKey, Tags};
    use crate::syntax::{RecordKey, RecordUri};

    /// What is asked for over HTTP is the mixed page, with a cursor that leads on.
    #[test]
    fn a_skeleton_is_mixed_as_the_config_says() {
        let (mut writer, view) = crate::view::new();
        let (here, there) = (CommunityId(1), CommunityId(2));
        let uri = RecordUri::parse("at://did:web:o/net.atrarium.community.config/self").expect("a URI");
        for (id, mix) in [
            (here, FeedMix { own: 5000, parent: 0, global: 5000 }),
            (there, FeedMix { own: 10_000, parent: 0, global: 0 }),
        ] {
            let info = CommunityInfo { uri: uri.clone(), name: "n".into(), mix, parent: None, pinned: None };
            writer.apply(Change::Open { id, info: Arc::new(info) });
        }
        for (time_millis, rkey) in [(1, "a"), (2, "b")] {
            let did = Did::parse("did:web:a").expect("a DID");
            let post = PostKey { time_millis, did, rkey: RecordKey::parse(rkey).expect("a record key") };
            writer.apply(Change::Share { post, tags: Tags::One(there) });
        }
        writer.publish();
        let mut cursor: Option<String> = None;
        for (rkey, more) in [("b", true), ("a", false)] {
            let body = view.skeleton("00000001", None, Time::EPOCH, 1, cursor.as_deref()).expect("served");
            let body: serde_json::Value = serde_json::from_slice(&body).expect("JSON");
            assert_eq!(body["feed"][0]["post"], format!("at://did:web:a/app.bsky.feed.post/{rkey}"));
            cursor = body["cursor"].as_str().map(Into::into);
            assert_eq!(cursor.is_some(), more);
        }
        assert_eq!(view.skeleton("00000001", None, Time::EPOCH, 1, Some("x")), Err(SkeletonError::BadCursor));
    }
}
