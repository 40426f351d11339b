//! Records that were written to do harm, and records that were not written at all: `body` answers every one of them.

use proptest::prelude::*;

use super::*;

/// A field of every collection that holds text, so that something hostile can stand there.
fn in_every_field(collection: Collection, hostile: &str) {
    let fields: Vec<String> = valid(collection).as_object().expect("an object").keys().cloned().collect();
    let more = ["facets", "tags", "unknown"].map(str::to_owned);
    for field in fields.into_iter().chain(more) {
        let record = with(collection, &field, "HERE".into()).to_string().replace("\"HERE\"", hostile);
        if let Err(refusal) = read_text(collection, &record) {
            assert!(refusal.detail.len() < 300, "a detail stays short: {}", refusal.detail);
            assert_ne!(collection, Collection::Post, "a post is never refused");
        }
    }
}

#[test]
fn hostile_values_in_every_field() {
    let hostile = [
        format!("\"{}\"", "x".repeat(1_000_000)),
        format!("\"{}\"", FAMILY.repeat(40_000)),
        format!("\"e{}\"", "\u{301}".repeat(500_000)),
        format!("\"{}\"", "#atrarium_0000000".repeat(60_000)),
        format!("{}{}", "[".repeat(10_000), "]".repeat(10_000)),
        format!("{}1{}", "{\"a\":".repeat(10_000), "}".repeat(10_000)),
        format!("[{}1]", "1,".repeat(300_000)),
        format!("[{}]", vec!["\"atrarium_00000001\""; 300].join(",")),
        "1e999".into(),
        "-1e999".into(),
        "99999999999999999999999999999999".into(),
        "1.000000000000000000000000000000001".into(),
        r#""\ud800""#.into(),
        r#"{"\udfff":1,"":2}"#.into(),
        r#""\u0000""#.into(),
    ];
    for collection in Collection::ALL {
        for hostile in &hostile {
            in_every_field(collection, hostile);
        }
    }
}

#[test]
fn three_hundred_tags_are_three_hundred_communities() {
    let tags: Vec<String> = (0..300).map(|id| format!("atrarium_{id:08x}")).collect();
    let text: String = tags.iter().map(|tag| format!("#{tag} ")).collect();
    for record in [json!({ "tags": tags }), json!({ "text": text })] {
        match read(Collection::Post, &record) {
            Ok(Body::Post(post)) => assert!(post.tags.iter().map(|id| id.0).eq(0..300)),
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn a_deep_facet_is_skipped_and_its_neighbour_counts() {
    let deep = "[".repeat(10_000) + &"]".repeat(10_000);
    let good = r#"{"features":[{"$type":"app.bsky.richtext.facet#tag","tag":"atrarium_00000001"}]}"#;
    let record = format!(r#"{{"facets":[{deep},{{"features":{deep}}},{good}],"tags":[{deep},"atrarium_00000002"]}}"#);
    match read_text(Collection::Post, &record) {
        Ok(Body::Post(post)) => assert!(post.tags.iter().map(|id| id.0).eq(1..=2)),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_field_nested_too_deep_is_refused() {
    let deep = "[".repeat(10_000) + &"]".repeat(10_000);
    let record = with(Collection::Config, "moderators", "HERE".into()).to_string().replace("\"HERE\"", &deep);
    let refusal = read_text(Collection::Config, &record).expect_err("too deep");
    assert_eq!(refusal.reason, Reason::Lexicon);
    assert!(refusal.detail.starts_with("moderators: cannot be read: recursion limit"), "{}", refusal.detail);
}

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        (-1..102_i64).prop_map(Value::from),
        ".{0,12}".prop_map(Value::from),
        prop::sample::select(vec![
            OWNER,
            CONFIG_URI,
            POST_URI,
            "did:plc:",
            "at://a.b/c.d.e/f",
            "#atrarium_0a1b2c3d",
            "atrarium_0a1b2c3d",
            "theme",
            "block_user",
            "open",
            "2026-07-04T14:38:08.999Z",
            "blob",
            "app.bsky.richtext.facet#tag",
        ])
        .prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 40, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
            prop::collection::hash_map(any_key(), inner, 0..6).prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

fn any_key() -> impl Strategy<Value = String> {
    let known = vec![
        "$type",
        "$bytes",
        "$link",
        "own",
        "parent",
        "global",
        "uri",
        "did",
        "cid",
        "features",
        "tag",
        "tags",
        "facets",
        "text",
        "createdAt",
        "feedMix",
        "target",
        "moderators",
        "name",
    ];
    prop_oneof![prop::sample::select(known).prop_map(str::to_owned), ".{0,4}"]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    /// Anything at all, and anything at all in each field of a valid record.
    #[test]
    fn body_answers_everything(anything in any_json()) {
        for collection in Collection::ALL {
            let _ = read(collection, &anything);
            for field in valid(collection).as_object().expect("an object").keys() {
                let _ = read(collection, &with(collection, field, anything.clone()));
            }
        }
    }

    /// What is taken has kept the rules, whatever the shares were.
    #[test]
    fn shares_that_are_taken_sum_to_the_whole(own in any_json(), parent in -1.0..1.1_f64, global in 0..10_001_i64) {
        for mix in [
            json!({"own": own, "parent": parent, "global": global}),
            json!({"own": 1.0 - parent, "parent": parent, "global": 0}),
            json!({"own": 10_000 - global, "parent": 0, "global": global}),
        ] {
            if let Ok(Body::Config(config)) = read(Collection::Config, &with(Collection::Config, "feedMix", mix)) {
                let mix = config.feed_mix;
                prop_assert_eq!(u32::from(mix.own) + u32::from(mix.parent) + u32::from(mix.global), 10_000);
            }
        }
    }

    /// A field that nobody reads changes nothing.
    #[test]
    fn unknown_fields_change_nothing(key in "[a-z]{1,3}x", anything in any_json()) {
        for collection in Collection::ALL {
            prop_assert_eq!(read(collection, &with(collection, &key, anything.clone())), read(collection, &valid(collection)));
        }
    }
}
