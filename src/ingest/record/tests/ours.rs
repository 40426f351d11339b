//! Records of `net.atrarium.*`: what they become, and what is refused for which reason.

use super::*;
use crate::fact::{Acceptance, AccessType, Action, CommunityId, Config, FeedMix, Membership, Stage, Target, Verb};
use crate::syntax::{AtUri, Did, RecordUri, parse_datetime};

fn did(text: &str) -> Did {
    Did::parse(text).expect("valid")
}

fn uri(text: &str) -> RecordUri {
    RecordUri::parse(text).expect("valid")
}

#[test]
fn every_field_arrives() {
    let made = parse_datetime("2026-07-04T14:38:08.999Z").expect("valid");
    let expected = Config {
        name: "Bees".into(),
        id: CommunityId(0x0a1b_2c3d),
        stage: Stage::Theme,
        feed_mix: FeedMix { own: 6000, parent: 3000, global: 1000 },
        moderators: vec![did("did:plc:one"), did("did:web:two.example")],
        created: made,
        description: Some("All about bees".into()),
        parent: AtUri::parse("at://did:plc:parent/net.atrarium.community.config/3kparent").ok(),
        access: AccessType::InviteOnly,
        pinned_post: AtUri::parse(POST_URI).ok(),
        updated: parse_datetime("2026-07-05T00:00:00Z").ok(),
    };
    assert_eq!(read(Collection::Config, &valid(Collection::Config)), Ok(Body::Config(Box::new(expected))));
    let community = uri(CONFIG_URI);
    let expected = Membership { community: community.clone(), active: true, joined: made };
    assert_eq!(read(Collection::Membership, &valid(Collection::Membership)), Ok(Body::Membership(expected)));
    let expected = Acceptance { community: community.clone(), subject: did(OWNER), created: made };
    assert_eq!(read(Collection::Acceptance, &valid(Collection::Acceptance)), Ok(Body::Acceptance(expected)));
    let target = Target::Record(uri(POST_URI));
    let expected = Action { verb: Verb::HidePost, target, community, created: made, reason: Some("spam".into()) };
    assert_eq!(read(Collection::Action, &valid(Collection::Action)), Ok(Body::Action(expected)));
}

#[test]
fn what_is_optional_may_be_absent() {
    let record = json!({
        "$type": "net.atrarium.community.config", "name": "Bees", "hashtag": "#atrarium_0a1b2c3d", "stage": "community",
        "feedMix": {"own": 100, "parent": 0, "global": 0}, "moderators": [], "createdAt": "2026-07-04T14:38:08.999Z",
    });
    let Ok(Body::Config(config)) = read(Collection::Config, &record) else { panic!("refused") };
    assert_eq!(config.access, AccessType::Open);
    assert_eq!((config.description, config.parent, config.pinned_post, config.updated), (None, None, None, None));
    let mut action = valid(Collection::Action);
    action.as_object_mut().expect("an object").remove("reason");
    assert!(read(Collection::Action, &action).is_ok());
}

#[test]
fn what_is_required_may_not_be_absent() {
    let required: [(Collection, &[&str]); 4] = [
        (Collection::Config, &["$type", "name", "hashtag", "stage", "feedMix", "moderators", "createdAt"]),
        (Collection::Membership, &["$type", "community", "role", "joinedAt"]),
        (Collection::Acceptance, &["$type", "community", "subject", "createdAt"]),
        (Collection::Action, &["$type", "action", "target", "community", "createdAt"]),
    ];
    for (collection, fields) in required {
        for &field in fields {
            let mut record = valid(collection);
            record.as_object_mut().expect("an object").remove(field);
            let (reason, detail) = refusal(collection, &record);
            assert_eq!(reason, Reason::Lexicon, "{detail}");
            assert!(detail.starts_with(&format!("{field}: is missing")), "{detail}");
        }
    }
    for share in ["own", "parent", "global"] {
        let mut record = valid(Collection::Config);
        record["feedMix"].as_object_mut().expect("an object").remove(share);
        assert_eq!(refusal(Collection::Config, &record), (Reason::Lexicon, format!("feedMix.{share}: is missing")));
    }
}

#[test]
fn every_field_is_held_to_its_type() {
    let odd = [json!(null), json!(0.5), json!([0.5]), json!([null]), json!({"x": 1}), json!("\u{0}")];
    for collection in OURS {
        for field in valid(collection).as_object().expect("an object").keys() {
            for odd in &odd {
                let free_text = odd.is_string() && ["name", "description", "reason"].contains(&field.as_str());
                let record = with(collection, field, odd.clone());
                match read(collection, &record) {
                    Ok(_) => assert!(free_text, "{record}"),
                    Err(refusal) => assert!(refusal.detail.contains(field.as_str()), "{field}: {refusal:?}"),
                }
            }
        }
    }
}

#[test]
fn the_type_is_that_of_the_collection() {
    for collection in OURS {
        for other in Collection::ALL.into_iter().filter(|&other| other != collection) {
            assert_eq!(refusal(collection, &with(collection, "$type", other.nsid().into())).0, Reason::Lexicon);
        }
        let main = format!("{}#main", collection.nsid());
        assert_eq!(refusal(collection, &with(collection, "$type", main.into())).0, Reason::Lexicon);
    }
}

/// Every word that the lexicon lists is known here, and no other.
#[test]
fn words_are_those_of_the_lexicon() {
    let words: [(Collection, &str, &[&str]); 4] = [
        (Collection::Config, "stage", &["theme", "community", "graduated"]),
        (Collection::Config, "accessType", &["open", "invite-only"]),
        (Collection::Membership, "role", &["owner", "moderator", "member"]),
        (Collection::Action, "action", &["hide_post", "unhide_post"]),
    ];
    for (collection, field, words) in words {
        for &word in words {
            assert!(read(collection, &with(collection, field, word.into())).is_ok(), "{word}");
        }
        for no in ["", "Theme", "open ", "guest", "invite_only", "ban_user"] {
            let (reason, detail) = refusal(collection, &with(collection, field, no.into()));
            assert_eq!(reason, Reason::Lexicon, "{detail}");
            assert!(detail.starts_with(&format!("{field}: is not one of")), "{detail}");
        }
    }
    let stages = [Stage::Theme, Stage::Community, Stage::Graduated];
    assert_eq!(stages.map(|stage| config_with("stage", stage.as_str().into()).stage), stages);
}

#[test]
fn a_hashtag_has_one_form() {
    assert_eq!(config_with("hashtag", "#atrarium_ffffffff".into()).id, CommunityId(u32::MAX));
    let odd = [
        "",
        "#atrarium_0a1b2c3",
        "#atrarium_0a1b2c3d4",
        "#atrarium_0A1B2C3D",
        "#atrarium_0a1b2c3g",
        "#Atrarium_0a1b2c3d",
        "＃atrarium_0a1b2c3d",
        "atrarium_0a1b2c3d",
        " #atrarium_0a1b2c3d",
        "#atrarium_0a1b2c3 ",
        "#atrarium_+a1b2c3d",
        "#atrariumx0a1b2c3d",
    ];
    for no in odd {
        assert_eq!(
            refusal(Collection::Config, &with(Collection::Config, "hashtag", no.into())).0,
            Reason::Lexicon,
            "{no}"
        );
    }
}

#[test]
fn moderators_count_once_each() {
    let twice = json!(["did:plc:b", "did:plc:a", "did:plc:b", "did:plc:a"]);
    assert_eq!(config_with("moderators", twice).moderators, [did("did:plc:b"), did("did:plc:a")]);
    let handle = with(Collection::Config, "moderators", json!(["did:plc:a", "alice.example.com"]));
    let (reason, detail) = refusal(Collection::Config, &handle);
    assert_eq!(reason, Reason::Lexicon);
    assert!(detail.starts_with("moderators[1]: is not a valid DID"), "{detail}");
}

#[test]
fn a_community_is_the_uri_of_a_config() {
    let odd = [
        "at://did:plc:owner",
        "at://did:plc:owner/net.atrarium.community.config",
        "at://alice.example.com/net.atrarium.community.config/3kabc",
        "at://did:plc:owner/app.bsky.feed.post/3kabc",
        "did:plc:owner",
        "",
        "at://did:plc:owner/net.atrarium.community.config/3kabc/",
    ];
    for collection in [Collection::Membership, Collection::Acceptance, Collection::Action] {
        for no in odd {
            let (reason, detail) = refusal(collection, &with(collection, "community", no.into()));
            assert_eq!(reason, Reason::Lexicon, "{no}: {detail}");
            assert!(detail.contains("community"), "{detail}");
        }
        let any_rkey = "at://did:web:x.example/net.atrarium.community.config/no:tid~";
        assert!(read(collection, &with(collection, "community", any_rkey.into())).is_ok());
    }
}

#[test]
fn a_target_fits_its_verb() {
    let cases = [
        ("hide_post", POST_URI, true),
        ("unhide_post", "at://did:plc:a/com.example.other/x", true),
        ("hide_post", "at://did:plc:a", false),
        ("hide_post", "at://did:plc:a/app.bsky.feed.post", false),
        ("hide_post", "at://alice.example.com/app.bsky.feed.post/3l", false),
        ("hide_post", "did:plc:a", false),
        ("unhide_post", "https://bsky.app/profile/did:plc:a/post/3l", false),
        ("block_user", "did:plc:a", true),
        ("unblock_user", "did:web:a.example", true),
        ("block_user", POST_URI, false),
        ("unblock_user", "at://did:plc:a", false),
        ("block_user", "did:plc:", false),
    ];
    for (verb, target, fits) in cases {
        let mut record = with(Collection::Action, "action", verb.into());
        record["target"] = target.into();
        match read(Collection::Action, &record) {
            Ok(Body::Action(action)) => {
                assert!(fits, "{verb} {target}");
                assert_eq!(action.verb.as_str(), verb);
            }
            other => assert!(
                !fits && other.as_ref().is_err_and(|r| r.reason == Reason::Target),
                "{verb} {target}: {other:?}"
            ),
        }
    }
    let handle = with(Collection::Action, "target", "alice.example.com".into());
    assert_eq!(refusal(Collection::Action, &handle).0, Reason::Lexicon, "no URI at all");
}

#[test]
fn unknown_fields_are_tolerated_whatever_they_hold() {
    let odd = [json!(null), json!(0.5), json!({"$bytes": 1}), json!({"$type": ""}), json!([[[]]])];
    for collection in OURS {
        for odd in &odd {
            let mut record = with(collection, "unknown", odd.clone());
            if collection == Collection::Config {
                record["feedMix"]["unknown"] = odd.clone();
            }
            assert_eq!(read(collection, &record), read(collection, &valid(collection)), "{record}");
        }
        let mut text = valid(collection).to_string();
        let deep =
            format!(",\"deep\":{}{},\"\\ud800\":\"\\ud800\",\"far\":1e999}}", "[".repeat(10_000), "]".repeat(10_000));
        text.replace_range(text.len() - 1.., &deep);
        assert_eq!(read_text(collection, &text), read(collection, &valid(collection)));
    }
}

#[test]
fn of_a_field_that_stands_twice_the_last_one_counts() {
    let active = |text: &str| {
        let record = valid(Collection::Membership).to_string().replace("\"active\":true", text);
        match read_text(Collection::Membership, &record) {
            Ok(Body::Membership(membership)) => Some(membership.active),
            _ => None,
        }
    };
    assert_eq!(active(r#""active":true,"active":false"#), Some(false));
    assert_eq!(active(r#""active":false,"active":true"#), Some(true));
    assert_eq!(active(r#""active":1e999,"active":true"#), Some(true));
    assert_eq!(active(r#""active":true,"active":1"#), None);
}

#[test]
fn a_membership_rests_where_it_says_so() {
    let Ok(Body::Membership(membership)) =
        read(Collection::Membership, &with(Collection::Membership, "active", false.into()))
    else {
        panic!("refused")
    };
    assert!(!membership.active);
}
