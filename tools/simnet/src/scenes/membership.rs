//! Joining, leaving, and joining again.

use crate::event::{Key, Operation};
use crate::json::{Json, object, text};
use crate::world::{Draft, Later, MEMBERSHIP, MembershipRef, World};

/// Somebody joins some community.
pub(crate) fn scene(world: &mut World) -> Draft {
    let community = world.a_community();
    let member = if world.one_in(3) { world.a_stranger() } else { world.add_repo() };
    join(world, member, community, None)
}

/// Somebody joins, by a new record or by the one they once had.
pub(crate) fn join(world: &mut World, member: usize, community: usize, old: Option<Key>) -> Draft {
    let again = old.is_some();
    let rkey = match old {
        Some(rkey) => rkey,
        None => world.key(member),
    };
    let membership = MembershipRef { member, community, rkey };
    let before_config = !world.communities[community].announced;
    if !world.communities[community].members.contains(&member) {
        world.communities[community].members.push(member);
    }
    let mut draft = write(world, &membership, Operation::Create, true);
    draft.features.push(if again { "membership: again" } else { "membership: join" });
    if before_config {
        draft.features.push("membership: before its config");
    }
    consequences(world, membership, &draft);
    draft
}

fn consequences(world: &mut World, membership: MembershipRef, draft: &Draft) {
    let (community, member) = (membership.community, membership.member);
    if world.communities[community].invite_only && !world.one_in(4) {
        let delay = world.short_delay();
        world.after(delay, Later::Accept(community, member));
    }
    let point = world.rng.u8(0..100);
    let delay = world.delay();
    match point {
        0..=6 => world.after(delay, Later::Leave(membership, false)),
        7..=11 => world.after(delay, Later::Leave(membership, true)),
        12..=14 => world.after(delay, Later::Join(member, community, None)),
        15 | 16 => world.after(delay, Later::Tell(draft.clone().featuring("redelivery"))),
        _ => {}
    }
}

/// Somebody leaves.
pub(crate) fn leave(world: &mut World, membership: &MembershipRef, by_delete: bool) -> Draft {
    if world.one_in(2) {
        let old = if world.one_in(2) { Some(membership.rkey.clone()) } else { None };
        let delay = world.delay();
        world.after(delay, Later::Join(membership.member, membership.community, old));
    }
    if by_delete {
        world.delete(membership.member, MEMBERSHIP, membership.rkey.clone()).featuring("membership: left by delete")
    } else {
        write(world, membership, Operation::Update, false).featuring("membership: left by active false")
    }
}

fn write(world: &mut World, membership: &MembershipRef, operation: Operation, active: bool) -> Draft {
    let role = match world.rng.u8(0..20) {
        0 => "owner",
        1 => "moderator",
        _ => "member",
    };
    let mut fields = vec![
        ("$type", text(MEMBERSHIP)),
        ("community", world.community_uri(membership.community)),
        ("joinedAt", Json::At(world.just_now())),
        ("role", text(role)),
    ];
    if !active || !world.one_in(3) {
        fields.push(("active", Json::Bool(active)));
    }
    if world.one_in(20) {
        fields.push(("note", text("<hello> & \"welcome\"")));
    }
    let draft = world.put(membership.member, operation, MEMBERSHIP, membership.rkey.clone(), object(fields));
    if role == "member" { draft } else { draft.featuring("membership: forged role") }
}
