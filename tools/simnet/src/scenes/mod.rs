//! What happens in the network, by topic. Each scene takes the world and returns one commit (or event); what belongs to
//! it goes to `world.ready` (the same commit, told next) or to `world.after` (later).
//!
//! Each draft names what it is an example of; `simnet stats` counts these names.

pub(crate) mod account;
pub(crate) mod background;
pub(crate) mod broken;
pub(crate) mod config;
pub(crate) mod membership;
pub(crate) mod moderation;
pub(crate) mod post;

use crate::words;
use crate::world::{Draft, Later, World};

/// The next thing that concerns Atrarium.
pub(crate) fn next(world: &mut World) -> Draft {
    if let Some(later) = world.due() {
        return happen(world, later);
    }
    if world.one_in(4)
        && let Some(community) = world.communities.iter().position(|it| !it.announced)
    {
        return config::announce(world, community);
    }
    let broken = if world.options.clean { 0 } else { 12 };
    match words::weighted(&mut world.rng, &[480, 190, 45, 110, 10, 15, broken]) {
        0 => post::scene(world),
        1 => membership::scene(world),
        2 => config::scene(world),
        3 => moderation::scene(world),
        4 => moderation::acceptance_by_an_impostor(world),
        5 => account::scene(world),
        _ => broken::scene(world),
    }
}

fn happen(world: &mut World, later: Later) -> Draft {
    match later {
        Later::Tell(draft) => draft,
        Later::DeletePost(post) => post::delete(world, &post),
        Later::EditPost(post, edit) => post::edit(world, post, edit),
        Later::Post(post) => post::again(world, post),
        Later::Join(member, community, rkey) => membership::join(world, member, community, rkey),
        Later::Leave(membership, by_delete) => membership::leave(world, &membership, by_delete),
        Later::Recreate(community) => config::recreate(world, community),
        Later::MoveBack(community) => config::move_back(world, community),
        Later::TakeBack(author, collection, rkey) => moderation::take_back(world, author, collection, rkey),
        Later::Reverse(author, rkey, told) => moderation::reverse(world, author, rkey, told),
        Later::Accept(community, member) => moderation::accept(world, community, member),
        Later::Return(repo) => account::come_back(world, repo),
    }
}
