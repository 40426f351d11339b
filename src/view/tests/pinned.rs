//! Pinned posts: first on the first page, once, and nowhere else; however long the pages and whatever the mix.

use std::sync::Arc;

use super::{AUTHOR, ID, did, info, insert, post, posts, read, uri};
use crate::fact::{Change, CommunityId, CommunityInfo, Excluded, FeedMix, PostKey, Tags};
use crate::limits::RETENTION_MICROS;
use crate::syntax::{RecordUri, Time};
use crate::view::{PageCursor, View, Writer};

const OTHER: CommunityId = CommunityId(7);

fn pins(pinned: &str, mix: FeedMix) -> Change {
    let pinned = RecordUri::parse(pinned).expect("a URI");
    let info = CommunityInfo { mix, pinned: Some(pinned), ..(*info(AUTHOR, "self")).clone() };
    Change::Open { id: ID, info: Arc::new(info) }
}

const OWN: FeedMix = FeedMix { own: 10_000, parent: 0, global: 0 };
const MIXED: FeedMix = FeedMix { own: 6000, parent: 0, global: 4000 };

/// Ten posts of its own, ten that it may take from others.
fn filled() -> (Writer, View, Vec<PostKey>) {
    let (mut writer, view) = super::opened();
    let own = posts(0, 10);
    own.iter().for_each(|post| writer.apply(insert(post)));
    let others: Vec<PostKey> = (0..10).map(|at| post(500 + at * 1000, "did:web:other", &format!("o{at}"))).collect();
    for post in own.iter().map(|post| (post, ID)).chain(others.iter().map(|post| (post, OTHER))) {
        writer.apply(Change::Share { post: post.0.clone(), tags: Tags::One(post.1) });
    }
    writer.publish();
    (writer, view, own.into_iter().chain(others).collect())
}

/// All pages of a limit; with what always holds of pages.
fn walk(view: &View, now: Time, limit: usize) -> Vec<String> {
    let community = view.find(ID).expect("served");
    let (mut all, mut after): (Vec<String>, Option<PageCursor>) = (Vec::new(), None);
    loop {
        let page = view.page(&community, now, limit, after.as_ref());
        assert!(page.len() <= limit && (!page.is_empty() || page.cursor().is_none()));
        let mut body = Vec::new();
        page.write_json(&mut body);
        assert_eq!(view.body(&community, now, limit, after.as_ref(), 0), body, "as HTTP threads ask");
        let json: serde_json::Value = serde_json::from_slice(&body).expect("JSON");
        let told: Vec<_> = json["feed"].as_array().expect("a list").iter().collect();
        assert_eq!(told.len(), page.len());
        for (at, item) in told.iter().enumerate() {
            let is_pin = item["reason"]["$type"] == "app.bsky.feed.defs#skeletonReasonPin";
            assert!(!is_pin || (at == 0 && after.is_none()), "{json}");
            let of_another = item["post"].as_str().is_some_and(|uri| uri.contains("did:web:other"));
            let context: serde_json::Value = if is_pin { "pin".into() } else { of_another.then_some("global").into() };
            assert_eq!(item["feedContext"], context);
        }
        all.extend(page.uris());
        let Some(cursor) = page.cursor() else { return all };
        assert_eq!(page.len(), limit, "a page that is not the last one is full");
        let cursor = PageCursor::parse(&cursor.to_string()).expect("its own cursor");
        assert_ne!(Some(&cursor), after.as_ref());
        after = Some(cursor);
    }
}

#[test]
fn it_is_first_and_met_once_whatever_the_limit_and_the_mix() {
    let stranger = "at://did:web:stranger/app.bsky.feed.post/3l".to_owned();
    for mix in [OWN, MIXED] {
        let (mut writer, view, all) = filled();
        let own = &all[..10];
        // One of the community's own, one of another's, one that nobody knows.
        for pinned in [uri(&own[9]), uri(&own[4]), uri(&own[0]), uri(&all[14]), stranger.clone()] {
            writer.apply(pins(&pinned, mix));
            writer.publish();
            let shown = if mix == OWN { own } else { &all[..] };
            let mut expected: Vec<String> = shown.iter().map(uri).filter(|uri| *uri != pinned).collect();
            expected.sort_unstable();
            for limit in 1..=23 {
                let mut met = walk(&view, Time::EPOCH, limit);
                assert_eq!(met.remove(0), pinned, "limit {limit}");
                if mix == OWN {
                    assert!(met.is_sorted_by_key(|uri| std::cmp::Reverse(
                        own.iter().position(|post| super::uri(post) == *uri)
                    )));
                }
                met.sort_unstable();
                assert_eq!(met, expected, "{pinned} by pages of {limit}");
            }
        }
    }
}

#[test]
fn it_does_not_grow_old_and_a_feed_of_nothing_else_has_one_page() {
    let (mut writer, view, own) = filled();
    writer.apply(pins(&uri(&own[3]), OWN));
    writer.publish();
    let later = Time::from_micros(2 * RETENTION_MICROS);
    for limit in [1, 50] {
        assert_eq!(walk(&view, later, limit), [uri(&own[3])]);
    }
}

#[test]
fn what_the_community_hides_is_not_pinned() {
    let (mut writer, view, all) = filled();
    let pinned = &all[4];
    writer.apply(pins(&uri(pinned), MIXED));
    let what = Excluded::Post { did: pinned.did.clone(), rkey: pinned.rkey.clone() };
    for (change, is_hidden) in [
        (vec![], false),
        (
            vec![
                Change::Exclude { id: ID, what: what.clone(), excluded: true },
                Change::Hide { id: ID, post: pinned.clone(), hidden: true },
            ],
            true,
        ),
        (
            vec![
                Change::Exclude { id: ID, what, excluded: false },
                Change::Hide { id: ID, post: pinned.clone(), hidden: false },
            ],
            false,
        ),
        (vec![Change::Exclude { id: ID, what: Excluded::Account(did(AUTHOR)), excluded: true }], true),
    ] {
        change.into_iter().for_each(|change| writer.apply(change));
        writer.publish();
        assert_ne!(walk(&view, Time::EPOCH, 5)[0] == uri(pinned), is_hidden);
    }
}

/// A pinned page is made anew, and what was kept from before the pin is served again behind it.
#[test]
fn a_pin_comes_and_goes_at_once() {
    let (mut writer, view, all) = filled();
    let plain = read(&view, Time::EPOCH);
    assert_eq!(plain.len(), 10);
    for _ in 0..2 {
        writer.apply(pins(&uri(&all[2]), OWN));
        assert_eq!(walk(&view, Time::EPOCH, 7)[0], uri(&all[2]));
        writer.apply(Change::Open { id: ID, info: info(AUTHOR, "self") });
        assert_eq!(walk(&view, Time::EPOCH, 7), plain);
    }
}
