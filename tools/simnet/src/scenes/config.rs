//! Configs: announced, changed, deleted, re-created, moved, told late, and claimed by others.

use crate::event::{Key, Operation};
use crate::json::{Json, object, text};
use crate::words;
use crate::world::{CONFIG, Draft, Later, World};

/// One community is never deleted nor moved, so that the smallest network has a feed.
pub(super) const ALWAYS_THERE: usize = 0;

/// A community begins.
pub(crate) fn announce(world: &mut World, community: usize) -> Draft {
    let it = &mut world.communities[community];
    (it.announced, it.exists) = (true, true);
    let feature = match it.stage {
        "theme" => "config: theme",
        "graduated" => "config: graduated",
        _ => "config: community",
    };
    let invite_only = it.invite_only;
    let draft = write(world, community, Operation::Create).featuring(feature);
    if invite_only { draft.featuring("config: invite-only") } else { draft }
}

/// A config is created again where it was deleted.
pub(crate) fn recreate(world: &mut World, community: usize) -> Draft {
    world.communities[community].exists = true;
    write(world, community, Operation::Create).featuring("config: created again")
}

/// A community goes back to its own hashtag.
pub(crate) fn move_back(world: &mut World, community: usize) -> Draft {
    world.communities[community].moved_to = None;
    write(world, community, Operation::Update).featuring("config: moves back to its hashtag")
}

/// Some change of some config.
pub(crate) fn scene(world: &mut World) -> Draft {
    let first = world.a_community();
    let count = world.communities.len();
    let Some(community) = (0..count).map(|step| (first + step) % count).find(|&at| world.communities[at].exists) else {
        return super::post::scene(world);
    };
    let mut draft = match words::weighted(&mut world.rng, &[28, 20, 10, 8, 15, 6, 2, 11]) {
        0 => {
            let newcomer = if world.one_in(2) { world.a_stranger() } else { world.add_repo() };
            world.communities[community].moderators.push(newcomer);
            write(world, community, Operation::Update).featuring("config: moderator added")
        }
        1 => dismiss(world, community),
        2 => {
            let invite_only = &mut world.communities[community].invite_only;
            *invite_only = !*invite_only;
            write(world, community, Operation::Update).featuring("config: access changed")
        }
        3 => {
            let stage = ["theme", "community", "graduated"][world.rng.usize(0..3)];
            world.communities[community].stage = stage;
            write(world, community, Operation::Update).featuring("config: stage changed")
        }
        4 => write(world, community, Operation::Update).featuring("config: renamed"),
        5 if community != ALWAYS_THERE => return delete(world, community),
        6 if community != ALWAYS_THERE => return move_away(world, community),
        5 | 6 => write(world, community, Operation::Update).featuring("config: renamed"),
        _ => return claim_of_a_stranger(world, community),
    };
    if world.one_in(8) {
        let delay = world.short_delay();
        world.after(delay, Later::Tell(draft.featuring("config: told late")));
        draft = super::moderation::by_the_newest_moderator(world, community);
    }
    draft
}

fn dismiss(world: &mut World, community: usize) -> Draft {
    let it = &mut world.communities[community];
    match it.moderators.pop() {
        Some(moderator) => {
            it.dismissed.push(moderator);
            write(world, community, Operation::Update).featuring("config: moderator dismissed")
        }
        None => write(world, community, Operation::Update).featuring("config: renamed"),
    }
}

fn delete(world: &mut World, community: usize) -> Draft {
    let it = &mut world.communities[community];
    it.exists = false;
    let (owner, rkey) = (it.owner, Key::Fixed(it.rkey.clone()));
    if !world.one_in(3) {
        let delay = world.delay();
        world.after(delay, Later::Recreate(community));
    }
    world.delete(owner, CONFIG, rkey).featuring("config: deleted")
}

fn move_away(world: &mut World, community: usize) -> Draft {
    // This bit is set in no community's own id, so nobody meets this tag by chance.
    let id = format!("{:08x}", world.rng.u32(..) | 0x10_0000);
    world.communities[community].moved_to = Some(id);
    let delay = world.delay();
    world.after(delay, Later::MoveBack(community));
    write(world, community, Operation::Update).featuring("config: moves to another hashtag")
}

/// Somebody else claims a hashtag that is taken.
fn claim_of_a_stranger(world: &mut World, community: usize) -> Draft {
    let stranger = world.a_stranger();
    let rkey = world.key(stranger);
    let record = record(world, community);
    world.put(stranger, Operation::Create, CONFIG, rkey, record).featuring("config: foreign claim of a taken hashtag")
}

/// A commit of the config as its people know it now.
fn write(world: &mut World, community: usize, operation: Operation) -> Draft {
    let record = record(world, community);
    let it = &mut world.communities[community];
    it.updates += 1;
    let (owner, rkey) = (it.owner, Key::Fixed(it.rkey.clone()));
    world.put(owner, operation, CONFIG, rkey, record)
}

/// The record of the config as its people know it now.
pub(crate) fn record(world: &mut World, community: usize) -> Json {
    let created = Json::At(world.just_now());
    let it = &world.communities[community];
    let moderators = it.moderators.iter().map(|&moderator| text(world.did(moderator).to_string())).collect();
    let mut fields = vec![
        ("$type", text(CONFIG)),
        ("createdAt", created),
        ("hashtag", text(format!("#{}", world.word(community)))),
        ("moderators", Json::List(moderators)),
        ("name", text(format!("Community {community} · 庭 <{}>", it.updates))),
        ("stage", text(it.stage)),
    ];
    if it.invite_only {
        fields.push(("accessType", text("invite-only")));
    }
    if let Some(parent) = it.parent {
        fields.push(("parentCommunity", world.community_uri(parent)));
    }
    fields.push(("feedMix", mix(world)));
    if world.one_in(2) {
        let (_, description) = words::sentences(&mut world.rng);
        fields.push(("description", text(description)));
    }
    if world.one_in(10) {
        fields.push(("theme-colour", text("#00ff00")));
    }
    object(fields)
}

/// All from the community itself, in each of the three forms.
fn mix(world: &mut World) -> Json {
    let (own, zero) =
        [("100", "0"), ("1.0", "0.0"), ("10000", "0"), ("1", "0")][words::weighted(&mut world.rng, &[85, 5, 5, 5])];
    object(vec![("global", Json::Raw(zero.into())), ("own", Json::Raw(own.into())), ("parent", Json::Raw(zero.into()))])
}
