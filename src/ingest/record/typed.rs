//! Records that have passed their lexicon, as the types of `fact`.
//!
//! The lexicon has judged every field by itself. What it cannot say is said here: the exact form of a hashtag, that a
//! community is named by its config's URI, and that a target fits its verb.

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::Refusal;
use crate::fact::{
    Acceptance, AccessType, Action, Body, Collection, CommunityId, Config, FeedMix, Membership, Stage, Target, Verb,
};
use crate::syntax::{AtUri, Did, RecordUri, SyntaxError, Time, parse_datetime};
use crate::telemetry::Reason;

/// Types a valid record.
///
/// # Errors
/// [`Reason::Lexicon`] for what the lexicon's text describes and its rules cannot say, [`Reason::Target`].
pub(super) fn body(collection: Collection, record: Value, feed_mix: Option<FeedMix>) -> Result<Body, Refusal> {
    match collection {
        Collection::Config => config(of(record)?, feed_mix).map(|config| Body::Config(Box::new(config))),
        Collection::Membership => of(record).map(|fields: MembershipFields| {
            Body::Membership(Membership {
                community: fields.community.0,
                active: fields.active,
                joined: fields.joined_at.0,
            })
        }),
        Collection::Acceptance => of(record).map(|fields: AcceptanceFields| {
            Body::Acceptance(Acceptance {
                community: fields.community.0,
                subject: fields.subject,
                created: fields.created_at.0,
            })
        }),
        Collection::Action => action(of(record)?).map(Body::Action),
        Collection::Post => Err(Refusal::new(Reason::Lexicon, "a post has no lexicon here")),
    }
}

fn of<T: DeserializeOwned>(record: Value) -> Result<T, Refusal> {
    serde_json::from_value(record).map_err(|error| Refusal::new(Reason::Lexicon, error.to_string()))
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ConfigFields {
    name: Box<str>,
    hashtag: Hashtag,
    #[serde(with = "StageWord")]
    stage: Stage,
    moderators: Vec<Did>,
    created_at: Moment,
    description: Option<Box<str>>,
    parent_community: Option<AtUri>,
    #[serde(default = "open", with = "AccessWord")]
    access_type: AccessType,
    pinned_post: Option<AtUri>,
    updated_at: Option<Moment>,
}

/// `role` is the member's own claim: judged by the lexicon, and not kept.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct MembershipFields {
    community: ConfigUri,
    active: bool,
    joined_at: Moment,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct AcceptanceFields {
    community: ConfigUri,
    subject: Did,
    created_at: Moment,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ActionFields {
    #[serde(with = "VerbWord")]
    action: Verb,
    target: Box<str>,
    community: ConfigUri,
    created_at: Moment,
    reason: Option<Box<str>>,
}

/// The words of the lexicon for [`Stage`].
#[derive(Deserialize)]
#[serde(remote = "Stage", rename_all = "snake_case")]
enum StageWord {
    Theme,
    Community,
    Graduated,
}

/// The words of the lexicon for [`AccessType`].
#[derive(Deserialize)]
#[serde(remote = "AccessType", rename_all = "kebab-case")]
enum AccessWord {
    Open,
    InviteOnly,
}

const fn open() -> AccessType {
    AccessType::Open
}

/// The words of the lexicon for [`Verb`].
#[derive(Deserialize)]
#[serde(remote = "Verb", rename_all = "snake_case")]
enum VerbWord {
    HidePost,
    UnhidePost,
    BlockUser,
    UnblockUser,
}

#[derive(Deserialize)]
#[serde(try_from = "String")]
struct Moment(Time);

impl TryFrom<String> for Moment {
    type Error = SyntaxError;
    fn try_from(text: String) -> Result<Self, SyntaxError> {
        parse_datetime(&text).map(Self)
    }
}

#[derive(Deserialize)]
#[serde(try_from = "String")]
struct Hashtag(CommunityId);

impl TryFrom<String> for Hashtag {
    type Error = SyntaxError;
    fn try_from(text: String) -> Result<Self, SyntaxError> {
        CommunityId::parse_hashtag(&text).map(Self)
    }
}

/// `at://DID/net.atrarium.community.config/RKEY`
#[derive(Deserialize)]
#[serde(try_from = "String")]
struct ConfigUri(RecordUri);

impl TryFrom<String> for ConfigUri {
    type Error = SyntaxError;
    fn try_from(text: String) -> Result<Self, SyntaxError> {
        match RecordUri::parse(&text) {
            Ok(uri) if uri.collection.as_str() == Collection::Config.nsid() => Ok(Self(uri)),
            _ => Err(SyntaxError::new("community", "is not at://DID/net.atrarium.community.config/RKEY")),
        }
    }
}

fn config(fields: ConfigFields, feed_mix: Option<FeedMix>) -> Result<Config, Refusal> {
    // Whatever passes the lexicon has three whole shares, and those the normaliser has either read or refused.
    let feed_mix = feed_mix.ok_or_else(|| Refusal::new(Reason::Normalise, "feedMix: has no known form"))?;
    Ok(Config {
        name: fields.name,
        id: fields.hashtag.0,
        stage: fields.stage,
        feed_mix,
        moderators: each_once(fields.moderators),
        created: fields.created_at.0,
        description: fields.description,
        parent: fields.parent_community,
        access: fields.access_type,
        pinned_post: fields.pinned_post,
        updated: fields.updated_at.map(|moment| moment.0),
    })
}

/// In the order in which they stand first. There are at most 50.
fn each_once(moderators: Vec<Did>) -> Vec<Did> {
    let mut kept: Vec<Did> = Vec::with_capacity(moderators.len());
    for did in moderators {
        if !kept.contains(&did) {
            kept.push(did);
        }
    }
    kept
}

fn action(fields: ActionFields) -> Result<Action, Refusal> {
    Ok(Action {
        verb: fields.action,
        target: target(fields.action, &fields.target)?,
        community: fields.community.0,
        created: fields.created_at.0,
        reason: fields.reason,
    })
}

/// A post's verbs need a record in the repository of a DID, an account's need a DID. A handle names whoever holds it at
/// the moment, so it is neither.
fn target(verb: Verb, text: &str) -> Result<Target, Refusal> {
    let (target, needed) = match verb {
        Verb::HidePost | Verb::UnhidePost => {
            (RecordUri::parse(text).map(Target::Record), "a record's at://DID/COLLECTION/RKEY")
        }
        Verb::BlockUser | Verb::UnblockUser => (Did::parse(text).map(Target::Account), "an account's DID"),
    };
    target.map_err(|_| Refusal::new(Reason::Target, format!("target: {} needs {needed}", verb.as_str())))
}
