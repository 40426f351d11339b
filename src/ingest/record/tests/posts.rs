//! Posts: where tags are found, and what is malformed counts as absent, each for itself.

use super::*;
use crate::fact::{CommunityId, Post};
use crate::syntax::{Time, parse_datetime};

fn post_text(record: &str) -> Post {
    match read_text(Collection::Post, record) {
        Ok(Body::Post(post)) => post,
        other => panic!("a post is never refused: {other:?}"),
    }
}

fn tags(record: &Value) -> Vec<u32> {
    post_text(&record.to_string()).tags.into_iter().map(|CommunityId(id)| id).collect()
}

fn tag_feature(tag: &str) -> Value {
    json!({"$type": "app.bsky.richtext.facet#tag", "tag": tag})
}

#[test]
fn tags_come_from_text_facets_and_tags_and_each_stands_once() {
    let record = json!({
        "text": "#atrarium_00000003 and #atrarium_00000001, #atrarium_00000003",
        "facets": [{"index": {"byteStart": 0, "byteEnd": 3}, "features": [
            {"$type": "app.bsky.richtext.facet#link", "uri": "https://example.com/#atrarium_00000009"},
            tag_feature("atrarium_00000002"), tag_feature("atrarium_00000001"),
        ]}],
        "tags": ["atrarium_00000000", "bees", "atrarium_00000002"],
        "createdAt": "2026-07-04T14:38:08.999Z",
        "embed": {"title": "#atrarium_00000008", "tags": ["atrarium_00000008"]},
    });
    let post = post_text(&record.to_string());
    assert_eq!(post.tags, [0, 1, 2, 3].map(CommunityId));
    assert_eq!(post.created, parse_datetime("2026-07-04T14:38:08.999Z").ok());
}

#[test]
fn facets_and_tags_hold_the_tag_exactly() {
    for no in
        ["#atrarium_00000001", "atrarium_0000000", "atrarium_000000011", "Atrarium_00000001", "atrarium_0000000A", ""]
    {
        assert_eq!(tags(&json!({"tags": [no], "facets": [{"features": [tag_feature(no)]}]})), [0; 0], "{no}");
    }
    let link = json!({"$type": "app.bsky.richtext.facet#link", "tag": "atrarium_00000001"});
    let untyped = json!({"tag": "atrarium_00000001"});
    assert_eq!(tags(&json!({"facets": [{"features": [link, untyped]}]})), [0; 0]);
}

#[test]
fn a_malformed_part_counts_as_absent_and_the_others_count() {
    let whole = json!({
        "text": "#atrarium_00000001", "facets": [{"features": [tag_feature("atrarium_00000002")]}],
        "tags": ["atrarium_00000003"], "createdAt": "2026-07-04T14:38:08.999Z",
    });
    let odd = [json!(null), json!(1), json!(0.5), json!(true), json!({}), json!([]), json!([[]]), json!({"text": "x"})];
    for (field, gone) in [("text", 1), ("facets", 2), ("tags", 3), ("createdAt", 0)] {
        for odd in odd.iter().chain([&json!("x")]) {
            let mut record = whole.clone();
            record[field] = odd.clone();
            let expected: Vec<u32> = (1..=3).filter(|&id| id != gone).collect();
            assert_eq!(tags(&record), expected, "{record}");
            let created = post_text(&record.to_string()).created;
            assert_eq!(created.is_none(), field == "createdAt", "{record}");
        }
    }
}

#[test]
fn a_malformed_element_is_skipped_and_its_neighbours_count() {
    let good = tag_feature("atrarium_00000001");
    for odd in [json!(null), json!(1), json!("atrarium"), json!([]), json!({}), json!({"features": 1}), json!([good])] {
        let facet = json!({"features": [odd, good, odd]});
        let record = json!({"facets": [odd, facet, odd], "tags": [odd, "atrarium_00000002", odd]});
        assert_eq!(tags(&record), [1, 2], "{record}");
    }
    for odd_tag in [json!(null), json!(1), json!(["atrarium_00000001"])] {
        let features =
            json!([{"$type": "app.bsky.richtext.facet#tag", "tag": odd_tag}, tag_feature("atrarium_00000004")]);
        assert_eq!(tags(&json!({"facets": [{"features": features}]})), [4]);
    }
}

#[test]
fn a_record_that_is_no_object_is_a_post_without_tags() {
    for record in ["null", "1", "\"#atrarium_00000001\"", "[]", "{}"] {
        assert_eq!(post_text(record), Post { tags: vec![], created: None }, "{record}");
    }
}

#[test]
fn created_is_a_datetime_after_the_epoch() {
    let created = |text: &str| post_text(&json!({ "createdAt": text }).to_string()).created;
    for no in [
        "",
        "2026-07-04",
        "2026-13-04T00:00:00Z",
        "1970-01-01T00:00:00Z",
        "1969-12-31T23:59:59.999Z",
        "0000-01-01T00:00:00Z",
    ] {
        assert_eq!(created(no), None, "{no}");
    }
    assert_eq!(created("1970-01-01T00:00:00.000001Z"), Some(Time::from_micros(1)));
    assert_eq!(created("1970-01-01T01:00:00.001+01:00"), Some(Time::from_millis(1)));
    assert!(created("9999-12-31T23:59:59Z").is_some(), "a future date is the fold's to bound");
}

#[test]
fn escapes_and_the_order_of_keys_do_not_matter() {
    let record = r##"{"createdAt":"2026-07-04T14:38:08\u002e999Z","t\u0061gs":["atrarium_0000000\u0031"],"text":"\u0023atrarium_00000002\u003c",
        "facets":[{"features":[{"tag":"atrarium_00000003","$type":"app.bsky.richtext.facet\u0023tag"}]}]}"##;
    let post = post_text(record);
    assert_eq!(post.tags, [1, 2, 3].map(CommunityId));
    assert!(post.created.is_some());
}

#[test]
fn of_a_field_that_stands_twice_the_last_one_counts() {
    assert_eq!(post_text(r##"{"text":"#atrarium_00000001","text":"#atrarium_00000002"}"##).tags, [CommunityId(2)]);
    assert_eq!(post_text(r##"{"text":"#atrarium_00000001","text":7}"##).tags, []);
}

#[test]
fn nothing_is_left_over_from_the_post_before() {
    let mut records = Records::new();
    let first: &RawValue = serde_json::from_str(r#"{"tags":["atrarium_00000001"]}"#).expect("JSON");
    let second: &RawValue = serde_json::from_str(r#"{"tags":["atrarium_00000002"]}"#).expect("JSON");
    let mut tags = |record| match records.body(Collection::Post, record) {
        Ok(Body::Post(post)) => post.tags,
        other => panic!("{other:?}"),
    };
    assert_eq!(
        (tags(first), tags(second), tags(first)),
        (vec![CommunityId(1)], vec![CommunityId(2)], vec![CommunityId(1)])
    );
}
