//! What a record says, or why it is refused.
//!
//! In: a collection and plain JSON. Out: the few things that rules ask about. "Validation applies to `net.atrarium.*`
//! records alone; the form of the rkey is never judged." Unknown fields are tolerated everywhere.

use std::collections::BTreeSet;

use atrarium::syntax::{AtUri, Did, RecordUri, Time, parse_datetime};
use serde_json::Value;
use unicode_segmentation::UnicodeSegmentation;

use crate::{ACCEPTANCE, ACTION, CONFIG, MEMBERSHIP, POST, tag};

/// What a version of a record says.
#[derive(Clone, Debug, PartialEq)]
pub enum Content {
    /// A post.
    Post(Post),
    /// A community's config.
    Config(Config),
    /// A membership.
    Membership(Membership),
    /// An acceptance.
    Acceptance(Acceptance),
    /// A moderation action.
    Action(Action),
}

/// `app.bsky.feed.post`
#[derive(Clone, Debug, PartialEq)]
pub struct Post {
    /// Ids of communities.
    pub tags: BTreeSet<String>,
    /// `createdAt`, where it is valid.
    pub created: Option<Time>,
}

/// `net.atrarium.community.config`
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// Of its hashtag, without `#atrarium_`.
    pub id: String,
    /// Its name.
    pub name: String,
    /// `theme`, `community` or `graduated`.
    pub stage: String,
    /// The shares of a page.
    pub feed_mix: FeedMix,
    /// Who moderates beside the owner.
    pub moderators: Vec<Did>,
    /// AT-URI of the parent community's config.
    pub parent: Option<String>,
    /// Whether a membership needs an acceptance.
    pub invite_only: bool,
}

/// The shares of a page in percent; they sum to 100.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct FeedMix {
    /// The community itself.
    pub own: f64,
    /// Its parent.
    pub parent: f64,
    /// All communities.
    pub global: f64,
}

/// `net.atrarium.community.membership`. Its `role` gives no authority and is not kept.
#[derive(Clone, Debug, PartialEq)]
pub struct Membership {
    /// AT-URI of the config.
    pub community: String,
    /// Absent counts as true.
    pub active: bool,
}

/// `net.atrarium.community.acceptance`
#[derive(Clone, Debug, PartialEq)]
pub struct Acceptance {
    /// AT-URI of the config.
    pub community: String,
    /// Who is accepted.
    pub subject: Did,
}

/// `net.atrarium.moderation.action`
#[derive(Clone, Debug, PartialEq)]
pub struct Action {
    /// AT-URI of the config.
    pub community: String,
    /// What is done.
    pub verb: Verb,
    /// To what.
    pub target: Target,
}

/// What an action does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verb {
    /// `hide_post` (on) or `unhide_post` (off)
    Hide(bool),
    /// `block_user` (on) or `unblock_user` (off)
    Block(bool),
}

/// What an action is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// AT-URI of a record.
    Record(String),
    /// An account.
    Account(Did),
}

/// Why a record is refused: `lexicon`, `normalise` or `target`.
type Refused = &'static str;

/// Reads a record of one of [`COLLECTIONS`](crate::COLLECTIONS).
///
/// # Errors
/// The reason for which it is refused: `lexicon`, `normalise` or `target`.
pub fn read(collection: &str, value: &Value) -> Result<Content, Refused> {
    if collection != POST && !value.is_object() {
        return Err("lexicon");
    }
    let content = match collection {
        POST => return Ok(Content::Post(post(value))),
        CONFIG => config(value).map(Content::Config),
        MEMBERSHIP => membership(value).map(Content::Membership),
        ACCEPTANCE => acceptance(value).map(Content::Acceptance),
        ACTION => action(value).map(Content::Action),
        _ => Err("lexicon"),
    };
    // Every record says what it is. Older forms are turned into the present one before that is looked at.
    if value["$type"] != collection && content != Err("normalise") { Err("lexicon") } else { content }
}

/// "Of a post only text, facets, `tags` and `createdAt` are read; a malformed one counts as absent."
fn post(value: &Value) -> Post {
    Post {
        tags: tag::tags_of_post(value),
        created: value["createdAt"].as_str().and_then(|text| parse_datetime(text).ok()),
    }
}

/// "**name** ≤100 graphemes; **hashtag**; **stage** theme, community, graduated; **feedMix** {**own**, **parent**,
/// **global**}; **moderators** DIDs ≤50; **createdAt**; description ≤500 graphemes; parentCommunity AT-URI; accessType
/// open (default), invite-only; pinnedPost AT-URI; updatedAt"
fn config(value: &Value) -> Result<Config, Refused> {
    let feed_mix = feed_mix(&value["feedMix"])?;
    let name = text(value, "name", 100)?.ok_or("lexicon")?;
    let hashtag = text(value, "hashtag", usize::MAX)?.ok_or("lexicon")?;
    let id = hashtag.strip_prefix("#atrarium_").ok_or("lexicon")?;
    if id.len() != 8 || !id.chars().all(|c| matches!(c, '0'..='9' | 'a'..='f')) {
        return Err("lexicon");
    }
    let stage = one_of(value, "stage", &["theme", "community", "graduated"])?.ok_or("lexicon")?;
    let listed = value["moderators"].as_array().ok_or("lexicon")?;
    if listed.len() > 50 {
        return Err("lexicon");
    }
    let moderators = listed.iter().map(did).collect::<Result<Vec<Did>, Refused>>()?;
    datetime(value, "createdAt")?.ok_or("lexicon")?;
    datetime(value, "updatedAt")?;
    text(value, "description", 500)?;
    at_uri(value, "pinnedPost")?;
    Ok(Config {
        id: id.into(),
        name,
        stage,
        feed_mix,
        moderators,
        parent: at_uri(value, "parentCommunity")?,
        invite_only: one_of(value, "accessType", &["open", "invite-only"])?.as_deref() == Some("invite-only"),
    })
}

/// "`feedMix` is integers in percent that sum to 100; the reader also accepts the older fraction form (sum 1) and basis
/// points (sum 10000), judging the object as a whole, and rejects anything else." "Fraction sums within 1e-6."
fn feed_mix(value: &Value) -> Result<FeedMix, Refused> {
    if !value.is_object() {
        return Err("lexicon");
    }
    let parts = ["own", "parent", "global"].map(|name| value[name].as_f64());
    let [Some(own), Some(parent), Some(global)] = parts else { return Err("lexicon") };
    if own < 0.0 || parent < 0.0 || global < 0.0 {
        return Err("normalise");
    }
    let whole = ["own", "parent", "global"].iter().all(|name| value[name].as_u64().is_some());
    let sum = own + parent + global;
    let divisor = if whole && sum == 100.0 {
        1.0
    } else if whole && sum == 10_000.0 {
        100.0
    } else if (sum - 1.0).abs() <= 1e-6 {
        0.01
    } else {
        return Err("normalise");
    };
    Ok(FeedMix { own: own / divisor, parent: parent / divisor, global: global / divisor })
}

/// "**community** AT-URI of the config; **role** owner, moderator, member; **joinedAt**; **active** (absent counts as
/// true)"
fn membership(value: &Value) -> Result<Membership, Refused> {
    one_of(value, "role", &["owner", "moderator", "member"])?.ok_or("lexicon")?;
    datetime(value, "joinedAt")?.ok_or("lexicon")?;
    let active = match value.get("active") {
        None => true,
        Some(Value::Bool(active)) => *active,
        Some(_) => return Err("lexicon"),
    };
    Ok(Membership { community: community(value)?, active })
}

/// "**community**; **subject** DID; **createdAt**"
fn acceptance(value: &Value) -> Result<Acceptance, Refused> {
    datetime(value, "createdAt")?.ok_or("lexicon")?;
    Ok(Acceptance { community: community(value)?, subject: did(&value["subject"])? })
}

/// "**action** hide_post, unhide_post, block_user, unblock_user; **target** AT-URI or DID; **community**;
/// **createdAt**; reason ≤500 graphemes"
fn action(value: &Value) -> Result<Action, Refused> {
    let verb = match value["action"].as_str() {
        Some("hide_post") => Verb::Hide(true),
        Some("unhide_post") => Verb::Hide(false),
        Some("block_user") => Verb::Block(true),
        Some("unblock_user") => Verb::Block(false),
        _ => return Err("lexicon"),
    };
    datetime(value, "createdAt")?.ok_or("lexicon")?;
    text(value, "reason", 500)?;
    let target = target(value.get("target").ok_or("lexicon")?)?;
    match (verb, &target) {
        (Verb::Hide(_), Target::Record(_)) | (Verb::Block(_), Target::Account(_)) => {}
        _ => return Err("target"),
    }
    Ok(Action { community: community(value)?, verb, target })
}

/// "`target` is a string or the object form `{uri,cid}`/`{did}`."
fn target(value: &Value) -> Result<Target, Refused> {
    let word = match value {
        Value::Object(object) => {
            object.get("uri").or_else(|| object.get("did")).and_then(Value::as_str).ok_or("normalise")?
        }
        other => other.as_str().ok_or("lexicon")?,
    };
    if let Ok(did) = Did::parse(word) {
        return Ok(Target::Account(did));
    }
    RecordUri::parse(word).map(|uri| Target::Record(uri.to_string())).map_err(|_| "target")
}

/// A community is named by the AT-URI of its config.
fn community(value: &Value) -> Result<String, Refused> {
    let uri = RecordUri::parse(value["community"].as_str().ok_or("lexicon")?).map_err(|_| "lexicon")?;
    if uri.collection.as_str() != CONFIG {
        return Err("lexicon");
    }
    Ok(uri.to_string())
}

fn did(value: &Value) -> Result<Did, Refused> {
    Did::parse(value.as_str().ok_or("lexicon")?).map_err(|_| "lexicon")
}

fn text(value: &Value, field: &str, graphemes_max: usize) -> Result<Option<String>, Refused> {
    match value.get(field) {
        None => Ok(None),
        Some(Value::String(text)) if text.graphemes(true).count() <= graphemes_max => Ok(Some(text.clone())),
        Some(_) => Err("lexicon"),
    }
}

fn one_of(value: &Value, field: &str, words: &[&str]) -> Result<Option<String>, Refused> {
    match text(value, field, usize::MAX)? {
        Some(word) if !words.contains(&word.as_str()) => Err("lexicon"),
        word => Ok(word),
    }
}

fn datetime(value: &Value, field: &str) -> Result<Option<Time>, Refused> {
    text(value, field, usize::MAX)?.map(|text| parse_datetime(&text).map_err(|_| "lexicon")).transpose()
}

fn at_uri(value: &Value, field: &str) -> Result<Option<String>, Refused> {
    text(value, field, usize::MAX)?
        .map(|text| AtUri::parse(&text).map(|uri| uri.to_string()).map_err(|_| "lexicon"))
        .transpose()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn a_config() -> Value {
        json!({"$type": CONFIG, "name": "n", "hashtag": "#atrarium_a1b2c3d4", "stage": "community", "moderators": [],
            "feedMix": {"own": 100, "parent": 0, "global": 0}, "createdAt": "2026-07-01T00:00:00Z"})
    }

    fn with(mut value: Value, field: &str, to: Value) -> Value {
        value[field] = to;
        value
    }

    #[test]
    fn a_config_needs_each_required_field() {
        assert!(read(CONFIG, &a_config()).is_ok());
        assert_eq!(read(CONFIG, &with(a_config(), "$type", json!(MEMBERSHIP))), Err("lexicon"));
        for field in ["$type", "name", "hashtag", "stage", "moderators", "feedMix", "createdAt"] {
            let mut broken = a_config();
            broken.as_object_mut().expect("object").remove(field);
            assert_eq!(read(CONFIG, &broken), Err("lexicon"), "{field}");
        }
    }

    #[test]
    fn a_config_keeps_its_limits() {
        let dids = |count: usize| json!((0..count).map(|n| format!("did:plc:m{n}")).collect::<Vec<_>>());
        let family = "👨\u{200d}👩\u{200d}👧".repeat(100);
        for (field, good) in [
            ("name", json!(family)),
            ("moderators", dids(50)),
            ("accessType", json!("invite-only")),
            ("x-unknown", json!({"any": [1, 2]})),
        ] {
            assert!(read(CONFIG, &with(a_config(), field, good)).is_ok(), "{field}");
        }
        for (field, bad) in [
            ("name", json!("x".repeat(101))),
            ("description", json!("x".repeat(501))),
            ("moderators", dids(51)),
            ("moderators", json!(["not a did"])),
            ("hashtag", json!("#atrarium_A1B2C3D4")),
            ("hashtag", json!("atrarium_a1b2c3d4")),
            ("stage", json!("village")),
            ("createdAt", json!("yesterday")),
            ("pinnedPost", json!("https://example.com")),
            ("accessType", json!(7)),
        ] {
            assert_eq!(read(CONFIG, &with(a_config(), field, bad)), Err("lexicon"), "{field}");
        }
    }

    #[test]
    fn older_forms_of_the_mix_are_read_as_percent() {
        let mix = |own: Value, parent: Value, global: Value| {
            feed_mix(&json!({"own": own, "parent": parent, "global": global})).map(|mix| mix.own.round())
        };
        assert_eq!(mix(json!(80), json!(10), json!(10)), Ok(80.0));
        assert_eq!(mix(json!(8000), json!(1000), json!(1000)), Ok(80.0));
        assert_eq!(mix(json!(0.8), json!(0.1), json!(0.1)), Ok(80.0));
        assert_eq!(mix(json!(1), json!(0), json!(0)), Ok(100.0));
        assert_eq!(mix(json!(80), json!(10), json!(11)), Err("normalise"));
        assert_eq!(mix(json!(110), json!(-10), json!(0)), Err("normalise"));
        assert_eq!(mix(json!(0.8), json!(0.1), json!(0.11)), Err("normalise"));
        assert_eq!(mix(json!("80"), json!(10), json!(10)), Err("lexicon"));
    }

    #[test]
    fn an_action_fits_its_target_in_either_form() {
        let of = |verb: &str, target: Value| {
            read(
                ACTION,
                &json!({"$type": ACTION, "action": verb, "target": target, "createdAt": "2026-07-01T00:00:00Z",
                    "community": "at://did:plc:o/net.atrarium.community.config/3l"}),
            )
        };
        let post = "at://did:plc:a/app.bsky.feed.post/3l";
        assert_eq!(of("hide_post", json!(post)), of("hide_post", json!({"uri": post, "cid": "bafy"})));
        assert_eq!(of("block_user", json!("did:plc:a")), of("block_user", json!({"did": "did:plc:a"})));
        assert!(of("hide_post", json!(post)).is_ok());
        assert_eq!(of("hide_post", json!("did:plc:a")), Err("target"));
        assert_eq!(of("block_user", json!(post)), Err("target"));
        assert_eq!(of("hide_post", json!("at://alice.example/app.bsky.feed.post/3l")), Err("target"));
        assert_eq!(of("hide_post", json!({"cid": "bafy"})), Err("normalise"));
        assert_eq!(of("hide_post", json!(5)), Err("lexicon"));
        assert_eq!(of("shun", json!(post)), Err("lexicon"));
    }

    #[test]
    fn a_post_is_never_refused() {
        let created = |value: Value| match read(POST, &value) {
            Ok(Content::Post(post)) => post.created,
            other => panic!("{other:?}"),
        };
        assert_eq!(created(json!({"createdAt": "2026-07-01T00:00:00.5+09:00"})), "2026-06-30T15:00:00.5Z".parse().ok());
        assert_eq!(created(json!({"createdAt": "yesterday"})), None);
        assert_eq!(created(json!({"createdAt": 7, "text": []})), None);
        assert_eq!(created(json!("no object")), None);
    }
}
