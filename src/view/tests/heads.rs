//! First pages that were rendered before: the same as a walk makes, at every moment and after every change.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::threads::Over;
use super::{AUTHOR, ID, check_bodies, did, info, insert, opened, post, posts, remove, uri};
use crate::fact::{Change, CommunityId, CommunityInfo, FeedMix, PostKey, Tags};
use crate::limits::{HEAD_BYTES_MAX, PAGE_ITEMS_MAX, RETENTION_MICROS};
use crate::syntax::{Tid, Time};
use crate::view::View;

fn body(view: &View, now: Time, limit: usize) -> String {
    let community = view.find(ID).expect("served");
    String::from_utf8(view.body(&community, now, limit, None, 0).into()).expect("text")
}

/// Whether it is served without being made anew.
fn is_kept(view: &View, now: Time, limit: usize) -> bool {
    let community = view.find(ID).expect("served");
    let [a, b] = [(); 2].map(|()| view.body(&community, now, limit, None, 0));
    a.as_ptr() == b.as_ptr()
}

/// Without any `publish` between: what is seen early is seen in bodies too.
#[test]
fn every_change_that_shows_at_once_makes_a_body_anew() {
    let (mut writer, view) = opened();
    let posts = posts(0, 20);
    posts.iter().for_each(|post| writer.apply(insert(post)));
    writer.publish();
    let bob = "did:web:bob";
    writer.apply(Change::Author { id: ID, did: did(bob), shown: true });
    let late = post(20_000, AUTHOR, &Tid::from_u64(20).to_string());
    let late_too = post(21_000, bob, &Tid::from_u64(21).to_string());
    let hide = |hidden| Change::Hide { id: ID, post: posts[19].clone(), hidden };
    let show = |who, shown| Change::Author { id: ID, did: did(who), shown };
    let changes: [(Change, usize); 11] = [
        (hide(true), 19),
        (hide(false), 20),
        (insert(&late), 21),
        (insert(&late_too), 22),
        (show(bob, false), 21),
        (show(bob, true), 22),
        (show(AUTHOR, false), 1),
        (show(AUTHOR, true), 22),
        (remove(&late_too), 21),
        (insert(&late_too), 22),
        (Change::Evict { before_millis: 5_000 }, 17),
    ];
    for (change, count) in changes {
        let text = format!("{change:?}");
        assert!((0..3).any(|_| is_kept(&view, Time::EPOCH, 50)), "asked for often enough: {text}");
        writer.apply(change);
        assert_eq!(body(&view, Time::EPOCH, 50).matches("\"post\"").count(), count, "{text}");
        let community = view.find(ID).expect("served");
        let page = community.page(Time::EPOCH, 50, None);
        check_bodies(&view, &community, &page, Time::EPOCH, 50, None);
    }
}

/// A late post is not seen before its root is, whatever was kept between.
#[test]
fn a_root_makes_a_body_anew() {
    let (mut writer, view) = opened();
    let posts = posts(0, 20);
    posts.iter().filter(|post| **post != posts[7]).for_each(|post| writer.apply(insert(post)));
    writer.publish();
    writer.apply(insert(&posts[7]));
    assert!((0..3).any(|_| is_kept(&view, Time::EPOCH, 50)));
    writer.publish();
    assert!(body(&view, Time::EPOCH, 50).contains(&uri(&posts[7])));
}

/// Time alone takes posts away, and with the last one behind the page its cursor.
#[test]
fn a_body_is_given_only_while_a_walk_would_make_the_same() {
    let (mut writer, view) = opened();
    posts(0, 20).iter().for_each(|post| writer.apply(insert(post)));
    writer.publish();
    let community = view.find(ID).expect("served");
    let mut random = fastrand::Rng::with_seed(1);
    for _ in 0..500 {
        let now = Time::from_micros(RETENTION_MICROS + random.i64(-3..25) * 1_000_000 + random.i64(-1..2) * 1000);
        let limit = random.usize(0..25);
        check_bodies(&view, &community, &community.page(now, limit, None), now, limit, None);
    }
}

#[test]
fn a_body_is_kept_when_it_is_asked_for_a_second_time() {
    let (mut writer, view) = opened();
    posts(0, 200).iter().for_each(|post| writer.apply(insert(post)));
    writer.publish();
    for round in 0..2 {
        let first = body(&view, Time::EPOCH, 50);
        assert!(!is_kept(&view, Time::EPOCH, 50), "the second is kept, and served from the third on");
        assert!(is_kept(&view, Time::EPOCH, 50));
        assert_eq!(body(&view, Time::EPOCH, 50), first);
        writer.apply(remove(&posts(round, round + 1)[0]));
    }
    // Pages from a cursor are not kept.
    let community = view.find(ID).expect("served");
    let after = community.page(Time::EPOCH, 50, None).cursor();
    let [a, b, c] = [(); 3].map(|()| view.body(&community, Time::EPOCH, 50, after.as_ref(), 0));
    assert!(a == b && b == c && a.as_ptr() != b.as_ptr() && b.as_ptr() != c.as_ptr());
}

/// However long names are, what is kept stays within its bound.
#[test]
fn a_long_body_is_not_kept() {
    let (mut writer, view) = opened();
    let author = format!("did:web:{}", "a".repeat(1000));
    writer.apply(Change::Author { id: ID, did: did(&author), shown: true });
    for number in 0..20 {
        writer.apply(insert(&post(number, &author, &Tid::from_u64(number as u64).to_string())));
    }
    writer.publish();
    assert!(body(&view, Time::EPOCH, 20).len() > HEAD_BYTES_MAX);
    assert!((0..4).all(|_| !is_kept(&view, Time::EPOCH, 20)));
    assert!((0..4).any(|_| is_kept(&view, Time::EPOCH, 10)));
    let usual = PAGE_ITEMS_MAX * super::super::line::LINE_LENGTH;
    assert!(usual < HEAD_BYTES_MAX, "{usual}");
}

/// A mixed page follows changes of other communities, of which this one's generation knows nothing: it is not kept.
#[test]
fn what_a_community_was_before_is_not_served() {
    let (mut writer, view) = opened();
    let (own, other) = (posts(0, 1), post(5_000, "did:web:bob", "self"));
    writer.apply(insert(&own[0]));
    writer.apply(Change::Share { post: other.clone(), tags: Tags::One(CommunityId(2)) });
    writer.publish();
    assert!((0..3).any(|_| is_kept(&view, Time::EPOCH, 50)));
    let mixed =
        CommunityInfo { mix: FeedMix { own: 5000, parent: 0, global: 5000 }, ..(*info(AUTHOR, "self")).clone() };
    writer.apply(Change::Open { id: ID, info: Arc::new(mixed) });
    assert!(body(&view, Time::EPOCH, 50).contains(&uri(&other)));
    writer.apply(Change::Unshare { post: other.clone() });
    assert!((0..4).all(|_| !body(&view, Time::EPOCH, 50).contains(&uri(&other))));
    writer.apply(Change::Open { id: ID, info: info(AUTHOR, "self") });
    assert!((0..3).any(|_| is_kept(&view, Time::EPOCH, 50)));
    // Another community by the same id begins anew.
    writer.apply(Change::Close { id: ID });
    writer.apply(Change::Open { id: ID, info: info(AUTHOR, "self") });
    writer.publish();
    assert_eq!(body(&view, Time::EPOCH, 50), "{\"feed\":[]}");
}

/// Each of many posts is hidden while readers ask; who asks after that does not get it, and who has missed it once does
/// not get it again.
#[test]
fn what_is_hidden_is_not_served_again() {
    for _ in 0..50 {
        let (mut writer, view) = opened();
        let posts: Vec<PostKey> = posts(0, 40);
        posts.iter().for_each(|post| writer.apply(insert(post)));
        writer.publish();
        let is_over = AtomicBool::new(false);
        std::thread::scope(|scope| {
            let readers = [(); 2].map(|()| {
                scope.spawn(|| {
                    let mut last = usize::MAX;
                    while !is_over.load(Ordering::Relaxed) {
                        let count = body(&view, Time::EPOCH, 50).matches("\"post\"").count();
                        assert!(count <= last, "{last} posts, then {count}");
                        last = count;
                    }
                })
            });
            let over = Over(&is_over);
            for post in &posts {
                writer.apply(Change::Hide { id: ID, post: post.clone(), hidden: true });
                assert!((0..3).all(|_| !body(&view, Time::EPOCH, 50).contains(&uri(post))), "hidden");
            }
            drop(over);
            // The end of a scope is inside std, where ThreadSanitizer does not see it; it sees a join.
            readers.into_iter().for_each(|reader| reader.join().expect("no reader panics"));
        });
    }
}
