//! Accounts: taken down, deactivated, deleted, and back again.

use atrarium::syntax::Time;

use super::background;
use crate::event::Kind;
use crate::json::{Json, object, text};
use crate::words;
use crate::world::{Draft, Later, World};

/// Something happens to the account of somebody who plays a part.
pub(crate) fn scene(world: &mut World) -> Draft {
    if world.repos.len() == world.cast_from {
        return super::post::scene(world);
    }
    let repo = world.rng.usize(world.cast_from..world.repos.len());
    let is_owner = world.communities.iter().any(|it| it.owner == repo);
    let stays = world.communities[super::config::ALWAYS_THERE].owner == repo;
    match words::weighted(&mut world.rng, &[25, 20, 12, 6, 8, 8, 20]) {
        0 => leaves(world, repo, "takendown", "account: taken down", 2),
        1 => leaves(world, repo, "deactivated", "account: deactivated", 1),
        2 if !stays && (!is_owner || world.one_in(4)) => leaves(world, repo, "deleted", "account: deleted", 3),
        3 => tie(world, repo),
        4 => older_state_later(world, repo),
        5 => {
            let unseen = world.add_repo();
            let community = world.a_community();
            let delay = world.delay();
            world.after(delay, Later::Join(unseen, community, None));
            status(world, unseen, false, Some("suspended"))
                .featuring("account: inactive before anything is known of it")
        }
        _ => background::identity(world, repo).featuring("identity"),
    }
}

/// The account goes; one time in `returns` it stays away.
fn leaves(world: &mut World, repo: usize, word: &'static str, feature: &'static str, returns: u32) -> Draft {
    if returns == 1 || !world.one_in(returns) {
        let delay = world.delay();
        world.after(delay, Later::Return(repo));
    }
    status(world, repo, false, Some(word)).featuring(feature)
}

/// The account is back; its owner may write again.
pub(crate) fn come_back(world: &mut World, repo: usize) -> Draft {
    let home = world.communities.iter().position(|it| it.members.contains(&repo));
    if let Some(community) = home
        && world.one_in(3)
    {
        let delay = world.short_delay();
        world.after(delay, Later::Join(repo, community, None));
    }
    status(world, repo, true, None).featuring("account: back")
}

/// Active and inactive with the same inner time: inactive wins, in whichever order they are told.
fn tie(world: &mut World, repo: usize) -> Draft {
    let time = world.just_now();
    let (first, second) = if world.one_in(2) { (true, false) } else { (false, true) };
    let of = |active: bool| if active { None } else { Some("deactivated") };
    let next = status_at(world, repo, second, of(second), time);
    world.ready.push_back(next.featuring("account: two states at one moment"));
    status_at(world, repo, first, of(first), time).featuring("account: two states at one moment")
}

/// The older state is told after the newer one.
fn older_state_later(world: &mut World, repo: usize) -> Draft {
    let (older, newer) = (world.just_now().plus_micros(-5_000_000), world.just_now());
    let late = status_at(world, repo, false, Some("takendown"), older).featuring("account: older state told later");
    let delay = world.short_delay();
    world.after(delay, Later::Tell(late));
    status_at(world, repo, true, None, newer).featuring("account: newer state told first")
}

fn status(world: &mut World, repo: usize, active: bool, status: Option<&'static str>) -> Draft {
    let time = world.just_now();
    status_at(world, repo, active, status, time)
}

fn status_at(world: &mut World, repo: usize, active: bool, status: Option<&'static str>, time: Time) -> Draft {
    let mut fields = vec![
        ("active", Json::Bool(active)),
        ("did", text(world.did(repo).to_string())),
        ("seq", Json::Number(31_527_015_470 + world.index as i64)),
        ("time", Json::At(time)),
    ];
    if let Some(status) = status {
        fields.push(("status", text(status)));
    }
    world.draft(repo, Kind::Named("account", object(fields)))
}
