//! Posts: the hashtags in them and when they say they were made.
//!
//! A post is held against no lexicon. Text, facets, `tags` and `createdAt` are read, each for itself: one that is
//! malformed counts as absent, and so does a single facet, feature or tag among others. Nothing else is looked at, not
//! even whether a facet says which part of the text it is about.

use serde_json::value::RawValue;

use super::json;
use crate::fact::{CommunityId, Post};
use crate::filter::Tags;
use crate::syntax::{Time, parse_datetime};

/// The kind of a facet's feature that is a hashtag.
const TAG_FEATURE: &str = "app.bsky.richtext.facet#tag";

/// Reads a post. `found` is room to work in.
pub(super) fn read(record: &RawValue, tags: &Tags, found: &mut Vec<u32>) -> Post {
    let (mut text, mut facets, mut listed, mut created) = (None, None, None, None);
    json::fields(record, |key, value| match key {
        b"text" => text = Some(value),
        b"facets" => facets = Some(value),
        b"tags" => listed = Some(value),
        b"createdAt" => created = Some(value),
        _ => {}
    });
    found.clear();
    if let Some(text) = text.and_then(json::text) {
        tags.in_text(&text, found);
    }
    if let Some(facets) = facets {
        for_each_tag_feature(facets, |tag| found.extend(Tags::exact(tag)));
    }
    if let Some(listed) = listed {
        json::elements(listed, |tag| found.extend(json::text(tag).and_then(|tag| Tags::exact(&tag))));
    }
    found.sort_unstable();
    found.dedup();
    Post { tags: found.iter().copied().map(CommunityId).collect(), created: created.and_then(moment) }
}

/// `createdAt` where it is valid: a datetime, after the epoch.
fn moment(value: &RawValue) -> Option<Time> {
    parse_datetime(&json::text(value)?).ok().filter(|&time| time > Time::EPOCH)
}

fn for_each_tag_feature(facets: &RawValue, mut each: impl FnMut(&str)) {
    json::elements(facets, |facet| {
        let mut features = None;
        json::fields(facet, |key, value| {
            if key == b"features" {
                features = Some(value);
            }
        });
        if let Some(features) = features {
            json::elements(features, |feature| {
                if let Some(tag) = tag_of(feature).and_then(json::text) {
                    each(&tag);
                }
            });
        }
    });
}

/// The `tag` of a feature that is a hashtag.
fn tag_of(feature: &RawValue) -> Option<&RawValue> {
    let (mut kind, mut tag) = (None, None);
    json::fields(feature, |key, value| match key {
        b"$type" => kind = Some(value),
        b"tag" => tag = Some(value),
        _ => {}
    });
    kind.and_then(json::text).is_some_and(|kind| kind == TAG_FEATURE).then_some(tag)?
}
