//! Hashtags of entries: kept through every copy of a chunk, changed in one step, and gone with what is removed.

use std::collections::BTreeMap;

use super::post;
use crate::fact::{CommunityId, PostKey, Tags};
use crate::syntax::Tid;
use crate::view::chunk::Hashtags;
use crate::view::pool::Pool;
use crate::view::room::Room;
use crate::view::root::{Root, Steps};

const COMMUNITIES: u32 = 4;

pub(super) fn tags(bits: u32) -> Tags {
    let ids: Vec<CommunityId> = (0..COMMUNITIES).filter(|id| bits >> id & 1 == 1).map(CommunityId).collect();
    if let [only] = ids[..] { Tags::One(only) } else { Tags::Many(ids.into()) }
}

pub(super) fn a_post(number: u64) -> PostKey {
    let rkey = if number.is_multiple_of(7) { format!("text{number}") } else { Tid::from_u64(number << 30).to_string() };
    post(number as i64 / 2, &format!("did:web:{}", number % 13), &rkey)
}

/// Every entry of a root with the hashtags it says it carries.
pub(super) fn carried(root: &Root) -> Vec<(PostKey, Vec<CommunityId>)> {
    let mut steps = Steps::new(root, None, i64::MIN);
    let mut all = Vec::new();
    loop {
        let mut ids = Vec::new();
        let step = steps.next(|step| {
            ids = (0..COMMUNITIES).map(CommunityId).filter(|&id| step.carries(id)).collect();
            true
        });
        let Some(item) = step else { return all };
        all.push((root.key(&item).to_post(), ids));
    }
}

#[test]
fn the_global_ring_has_each_shared_post_once_with_its_hashtags() {
    for seed in 0..20 {
        let mut rng = fastrand::Rng::with_seed(seed);
        let (mut room, mut pool) = (Room::new(Hashtags::Many), Pool::default());
        let mut plain: BTreeMap<PostKey, u32> = BTreeMap::new();
        let mut root = room.take_root().unwrap_or_default();
        let mut oldest = i64::MIN;
        for round in 0..3_000u64 {
            let number = if rng.bool() { round } else { rng.u64(0..round + 1) };
            let post = a_post(number);
            match rng.u8(0..10) {
                0..6 if post.time_millis >= oldest => {
                    let bits = if rng.u8(0..3) == 0 { rng.u32(1..16) } else { 1 << rng.u32(0..COMMUNITIES) };
                    assert!(room.share(&post, tags(bits), &mut pool));
                    plain.insert(post, bits);
                }
                6..8 => assert_eq!(room.remove(&post), plain.remove(&post).is_some()),
                8 if rng.u8(0..100) == 0 => {
                    oldest = round as i64 / 4;
                    room.evict(oldest);
                    plain.retain(|post, _| post.time_millis >= oldest);
                }
                _ => {}
            }
            if rng.u8(0..50) == 0 {
                root = room.take_root().unwrap_or(root);
                let expected = plain.iter().rev();
                let expected: Vec<_> =
                    expected.map(|(post, bits)| (post.clone(), tags(*bits).as_slice().to_vec())).collect();
                assert_eq!(carried(&root), expected, "seed {seed}, round {round}");
            }
        }
        assert_eq!(room.live, plain.len() as u64);
    }
}

/// A reader of the older root sees the older hashtags until the new root comes, and never misses the post.
#[test]
fn a_retag_is_one_step() {
    let (mut room, mut pool) = (Room::new(Hashtags::Many), Pool::default());
    (1..6).for_each(|number| assert!(room.share(&a_post(number), tags(1), &mut pool)));
    let before = room.take_root().expect("posts came");
    assert!(room.share(&a_post(3), tags(6), &mut pool));
    let of_third = |root: &Root| carried(root).into_iter().find(|(post, _)| *post == a_post(3)).expect("there").1;
    assert_eq!((of_third(&before), carried(&before).len()), (vec![CommunityId(0)], 5));
    let after = room.take_root().expect("one has changed");
    assert_eq!((of_third(&after), carried(&after).len()), (vec![CommunityId(1), CommunityId(2)], 5));
    assert!(room.share(&a_post(3), tags(6), &mut pool) && !room.is_dirty, "the same again is no change");
    assert!(!room.retag(&a_post(9), tags(1)), "not there");
}
