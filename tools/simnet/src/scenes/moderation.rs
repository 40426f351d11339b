//! Hiding, blocking, their reversals, and acceptances: by those who may, by those who once might, and by impostors.

use crate::event::{Key, Operation};
use crate::json::{Json, object, text};
use crate::words;
use crate::world::{ACCEPTANCE, ACTION, ActionTold, Draft, Later, POST, PostRef, World};

const REASONS: [&str; 5] = ["spam", "off_topic", "harassment", "ban_evasion", "other"];

/// Somebody moderates.
pub(crate) fn scene(world: &mut World) -> Draft {
    let community = world.a_community();
    let (author, feature) = an_author(world, community);
    act(world, community, author).featuring(feature)
}

/// The newest moderator acts at once, though the stream has not told yet that they are one.
pub(crate) fn by_the_newest_moderator(world: &mut World, community: usize) -> Draft {
    let it = &world.communities[community];
    let author = it.moderators.last().copied().unwrap_or(it.owner);
    act(world, community, author).featuring("action: before its author's listing is told")
}

fn an_author(world: &mut World, community: usize) -> (usize, &'static str) {
    let it = &world.communities[community];
    let (owner, parent) = (it.owner, it.parent);
    let (moderators, dismissed) = (it.moderators.clone(), it.dismissed.clone());
    match world.rng.u8(0..100) {
        0..=14 => (world.a_stranger(), "action: by an impostor"),
        15..=24 if parent.is_some() => {
            let parent = &world.communities[parent.expect("invariant: the guard")];
            let elder = parent.moderators.first().copied().unwrap_or(parent.owner);
            (elder, "action: by the parent's people")
        }
        25..=36 if !dismissed.is_empty() => {
            (dismissed[world.rng.usize(0..dismissed.len())], "action: by a dismissed moderator")
        }
        37..=70 if !moderators.is_empty() => {
            (moderators[world.rng.usize(0..moderators.len())], "action: by a moderator")
        }
        _ => (owner, "action: by the owner"),
    }
}

fn act(world: &mut World, community: usize, author: usize) -> Draft {
    match words::weighted(&mut world.rng, &[50, 10, 22, 9, 5, 2]) {
        0 => match newest_post(world, community) {
            Some(post) => {
                world.communities[community].hidden.push(post.clone());
                on_post(world, community, author, &post, true)
            }
            None => in_advance(world, community, author),
        },
        1 => {
            let hidden = world.communities[community].hidden.pop();
            match hidden.or_else(|| newest_post(world, community)) {
                Some(post) => on_post(world, community, author, &post, false),
                None => in_advance(world, community, author),
            }
        }
        2 => {
            let members = world.communities[community].members.clone();
            let subject = match world.any(&members) {
                Some(member) if !world.one_in(4) => member,
                _ => world.a_stranger(),
            };
            world.communities[community].blocked.push(subject);
            on_account(world, community, author, subject, true)
        }
        3 => {
            let blocked = world.communities[community].blocked.pop();
            let subject = match blocked {
                Some(subject) => subject,
                None => world.a_stranger(),
            };
            on_account(world, community, author, subject, false)
        }
        4 => in_advance(world, community, author),
        _ => {
            let owner = world.communities[community].owner;
            on_account(world, community, author, owner, true).featuring("action: block of the owner")
        }
    }
}

fn newest_post(world: &mut World, community: usize) -> Option<PostRef> {
    let count = world.communities[community].posts.len();
    (count > 0).then(|| world.communities[community].posts[world.rng.usize(0..count)].clone())
}

/// The action comes before its post.
fn in_advance(world: &mut World, community: usize, author: usize) -> Draft {
    let members = world.communities[community].members.clone();
    let member = world.any(&members).unwrap_or(world.communities[community].owner);
    let post = PostRef { author: member, rkey: world.key(member), community };
    let delay = world.short_delay();
    world.after(delay, Later::Post(post.clone()));
    on_post(world, community, author, &post, true).featuring("action: before its target")
}

fn on_post(world: &mut World, community: usize, author: usize, post: &PostRef, on: bool) -> Draft {
    let uri = Json::Uri(world.did(post.author), POST, post.rkey.clone());
    let target =
        if world.one_in(5) { object(vec![("cid", text(words::cid(&mut world.rng))), ("uri", uri)]) } else { uri };
    write_new(world, author, ActionTold { community, hides: true, on, target })
}

fn on_account(world: &mut World, community: usize, author: usize, subject: usize, on: bool) -> Draft {
    let did = text(world.did(subject).to_string());
    let target = if world.one_in(5) { object(vec![("did", did)]) } else { did };
    write_new(world, author, ActionTold { community, hides: false, on, target })
}

fn write_new(world: &mut World, author: usize, told: ActionTold) -> Draft {
    let rkey = world.key(author);
    let draft = write(world, author, Operation::Create, rkey.clone(), &told);
    let point = world.rng.u8(0..100);
    let delay = world.delay();
    match point {
        0..=9 => world.after(delay, Later::TakeBack(author, ACTION, rkey)),
        10..=13 => world.after(delay, Later::Reverse(author, rkey, told)),
        14 | 15 => world.after(delay, Later::Tell(draft.clone().featuring("redelivery"))),
        _ => {}
    }
    draft
}

/// An action's record is changed to its contrary.
pub(crate) fn reverse(world: &mut World, author: usize, rkey: Key, told: ActionTold) -> Draft {
    let told = ActionTold { on: !told.on, ..told };
    write(world, author, Operation::Update, rkey, &told).featuring("action: record updated")
}

fn write(world: &mut World, author: usize, operation: Operation, rkey: Key, told: &ActionTold) -> Draft {
    let (verb, feature) = match (told.hides, told.on) {
        (true, true) => ("hide_post", "action: hide"),
        (true, false) => ("unhide_post", "action: unhide"),
        (false, true) => ("block_user", "action: block"),
        (false, false) => ("unblock_user", "action: unblock"),
    };
    let mut fields = vec![
        ("$type", text(ACTION)),
        ("action", text(verb)),
        ("community", world.community_uri(told.community)),
        ("createdAt", Json::At(world.just_now())),
        ("target", told.target.clone()),
    ];
    if world.one_in(3) {
        fields.push(("reason", text(REASONS[world.rng.usize(0..REASONS.len())])));
    }
    let draft = world.put(author, operation, ACTION, rkey, object(fields)).featuring(feature);
    if matches!(told.target, Json::Object(_)) { draft.featuring("action: target as an object") } else { draft }
}

/// Somebody with authority, most of the time, accepts a member.
pub(crate) fn accept(world: &mut World, community: usize, member: usize) -> Draft {
    let it = &world.communities[community];
    let author = it.moderators.first().copied().filter(|_| member.is_multiple_of(2)).unwrap_or(it.owner);
    write_acceptance(world, community, author, member).featuring("acceptance")
}

/// Somebody accepts a member without being asked.
pub(crate) fn acceptance_by_an_impostor(world: &mut World) -> Draft {
    let community = world.a_community();
    let members = world.communities[community].members.clone();
    let impostor = world.a_stranger();
    let member = world.any(&members).unwrap_or(impostor);
    write_acceptance(world, community, impostor, member).featuring("acceptance: by an impostor")
}

fn write_acceptance(world: &mut World, community: usize, author: usize, member: usize) -> Draft {
    let rkey = world.key(author);
    if world.one_in(8) {
        let delay = world.delay();
        world.after(delay, Later::TakeBack(author, ACCEPTANCE, rkey.clone()));
    }
    let record = object(vec![
        ("$type", text(ACCEPTANCE)),
        ("community", world.community_uri(community)),
        ("createdAt", Json::At(world.just_now())),
        ("subject", text(world.did(member).to_string())),
    ]);
    world.put(author, Operation::Create, ACCEPTANCE, rkey, record)
}

/// An action or an acceptance is taken back.
pub(crate) fn take_back(world: &mut World, author: usize, collection: &'static str, rkey: Key) -> Draft {
    let feature = if collection == ACTION { "action: taken back" } else { "acceptance: taken back" };
    world.delete(author, collection, rkey).featuring(feature)
}
