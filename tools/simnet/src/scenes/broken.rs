//! Records that break their lexicon. The engine counts and ignores them (`--clean` leaves them out).

use crate::event::{Key, Operation};
use crate::json::{Json, object, text};
use crate::world::{ACCEPTANCE, ACTION, CONFIG, Draft, MEMBERSHIP, World};

/// An invalid record of some collection: new, or a new version of a valid one, which stays in force.
pub(crate) fn scene(world: &mut World) -> Draft {
    let community = world.a_community();
    match world.rng.u8(0..4) {
        0 => config(world, community),
        1 => membership(world, community),
        2 => acceptance(world, community),
        _ => action(world, community),
    }
}

/// `record` with one field replaced, or taken away.
fn broken(record: Json, field: &'static str, value: Option<Json>) -> Json {
    let Json::Object(mut fields) = record else { return record };
    fields.retain(|(key, _)| *key != field);
    fields.extend(value.map(|value| (field, value)));
    object(fields)
}

fn config(world: &mut World, community: usize) -> Draft {
    let valid = super::config::record(world, community);
    let (field, value) = match world.rng.u8(0..9) {
        0 => ("name", None),
        1 => ("name", Some(text("名".repeat(101)))),
        2 => ("stage", Some(text("village"))),
        3 => ("createdAt", Some(text("someday"))),
        4 => ("hashtag", Some(text("#atrarium_NOTHEXAA"))),
        5 => ("moderators", Some(Json::List((0..51).map(|n| text(format!("did:plc:m{n}"))).collect()))),
        6 => ("moderators", Some(Json::List(vec![text("@alice")]))),
        7 => (
            "feedMix",
            Some(object(vec![("global", Json::Number(5)), ("own", Json::Number(80)), ("parent", Json::Number(5))])),
        ),
        _ => ("accessType", Some(text("secret"))),
    };
    let record = broken(valid, field, value);
    let it = &world.communities[community];
    if it.exists {
        let (owner, rkey) = (it.owner, Key::Fixed(it.rkey.clone()));
        return world.put(owner, Operation::Update, CONFIG, rkey, record).featuring("broken: version of a config");
    }
    new(world, CONFIG, record).featuring("broken: config")
}

fn membership(world: &mut World, community: usize) -> Draft {
    let valid = object(vec![
        ("$type", text(MEMBERSHIP)),
        ("community", world.community_uri(community)),
        ("joinedAt", Json::At(world.just_now())),
        ("role", text("member")),
    ]);
    let (field, value) = match world.rng.u8(0..4) {
        0 => ("role", Some(text("emperor"))),
        1 => ("joinedAt", None),
        2 => ("active", Some(text("yes"))),
        _ => ("community", Some(text("https://example.com/"))),
    };
    new(world, MEMBERSHIP, broken(valid, field, value)).featuring("broken: membership")
}

fn acceptance(world: &mut World, community: usize) -> Draft {
    let valid = object(vec![
        ("$type", text(ACCEPTANCE)),
        ("community", world.community_uri(community)),
        ("createdAt", Json::At(world.just_now())),
    ]);
    let value = if world.one_in(2) { None } else { Some(text("alice.example")) };
    new(world, ACCEPTANCE, broken(valid, "subject", value)).featuring("broken: acceptance")
}

fn action(world: &mut World, community: usize) -> Draft {
    let owner = world.communities[community].owner;
    let valid = object(vec![
        ("$type", text(ACTION)),
        ("action", text("block_user")),
        ("community", world.community_uri(community)),
        ("createdAt", Json::At(world.just_now())),
        ("target", text(world.did(owner).to_string())),
    ]);
    let (field, value) = match world.rng.u8(0..4) {
        0 => ("action", Some(text("banish"))),
        1 => ("action", Some(text("hide_post"))),
        2 => ("target", Some(Json::Number(1))),
        _ => ("createdAt", None),
    };
    let record = broken(valid, field, value);
    let rkey = world.key(owner);
    world.put(owner, Operation::Create, ACTION, rkey, record).featuring("broken: action")
}

fn new(world: &mut World, collection: &'static str, record: Json) -> Draft {
    let author = world.a_stranger();
    let rkey = world.key(author);
    world.put(author, Operation::Create, collection, rkey, record)
}
