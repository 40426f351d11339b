//! The view against a naive list, read page by page; against readers on other threads; and at its edges.

mod fill;
mod heads;
mod naive;
mod pinned;
mod retag;
mod threads;

use std::sync::Arc;

use super::{Community, Page, PageCursor, View, Writer};
use crate::fact::{Change, CommunityId, CommunityInfo, FeedMix, PostKey, Tags};
use crate::limits::{CHUNK_ENTRIES, CHUNK_ENTRIES_FIRST, RETENTION_MICROS};
use crate::syntax::{Did, RecordKey, RecordUri, Tid, Time};

fn did(text: &str) -> Did {
    Did::parse(text).expect("a DID")
}

fn info(owner: &str, rkey: &str) -> Arc<CommunityInfo> {
    let uri = format!("at://{owner}/net.atrarium.community.config/{rkey}");
    Arc::new(CommunityInfo {
        uri: RecordUri::parse(&uri).expect("a record URI"),
        name: "name".into(),
        mix: FeedMix { own: 10_000, parent: 0, global: 0 },
        parent: None,
        pinned: None,
    })
}

fn post(time_millis: i64, author: &str, rkey: &str) -> PostKey {
    PostKey { time_millis, did: did(author), rkey: RecordKey::parse(rkey).expect("a record key") }
}

fn uri(post: &PostKey) -> String {
    format!("at://{}/app.bsky.feed.post/{}", post.did, post.rkey)
}

const ID: CommunityId = CommunityId(0xa1b2_c3d4);
const AUTHOR: &str = "did:plc:ewvi7nxzyoun6zhxrhs64oiz";

fn insert(post: &PostKey) -> Change {
    Change::Insert { id: ID, post: post.clone(), tags: Tags::One(ID), hidden: false }
}

fn remove(post: &PostKey) -> Change {
    Change::Remove { id: ID, post: post.clone() }
}

/// A view with one community and one author who is shown.
fn opened() -> (Writer, View) {
    let (mut writer, view) = super::new();
    writer.apply(Change::Open { id: ID, info: info(AUTHOR, "self") });
    writer.apply(Change::Author { id: ID, did: did(AUTHOR), shown: true });
    writer.publish();
    (writer, view)
}

/// Posts `from..to`, one a second.
fn posts(from: u64, to: u64) -> Vec<PostKey> {
    (from..to).map(|at| post(at as i64 * 1000, AUTHOR, &Tid::from_u64(at).to_string())).collect()
}

/// All pages, one after the other, each held against the rules for pages; limits as given, over and over. Each is also
/// asked for as HTTP threads do, so often that a first page is kept, and served as it was kept.
fn read_all(view: &View, id: CommunityId, now: Time, limits: &[usize]) -> Vec<String> {
    let community = &*view.find(id).expect("served");
    let mut all = Vec::new();
    let mut after: Option<PageCursor> = None;
    for limit in limits.iter().cycle() {
        let page = community.page(now, *limit, after.as_ref());
        assert!(page.len() <= *limit);
        assert!(!page.is_empty() || page.cursor().is_none(), "an empty page with a cursor");
        check_json(id, &page);
        check_bodies(view, community, &page, now, *limit, after.as_ref());
        all.extend(page.uris());
        let Some(cursor) = page.cursor() else { return all };
        assert_eq!(page.len(), *limit, "a page that is not the last one is full");
        assert_ne!(Some(&cursor), after.as_ref());
        after = Some(PageCursor::parse(&cursor.to_string()).expect("its own cursor"));
    }
    unreachable!("the limits go round for ever")
}

/// The rendering, against a JSON library.
fn check_json(id: CommunityId, page: &Page) {
    let mut body = b"kept".to_vec();
    page.write_json(&mut body);
    let feed: Vec<_> = page.uris().map(|uri| serde_json::json!({ "post": uri })).collect();
    let mut expected = serde_json::json!({ "feed": feed });
    if let Some(cursor) = page.cursor() {
        expected["cursor"] = cursor.to_string().into();
    }
    if !page.is_empty() {
        expected["reqId"] = id.to_string().into();
    }
    let body = body.strip_prefix(b"kept").expect("what was there stays");
    assert_eq!(serde_json::from_slice::<serde_json::Value>(body).expect("JSON"), expected);
}

/// Rendered before or not, the body is that of the page.
fn check_bodies(view: &View, community: &Community, page: &Page, now: Time, limit: usize, after: Option<&PageCursor>) {
    let mut expected = Vec::new();
    page.write_json(&mut expected);
    for _ in 0..3 {
        let mut body = b"kept".to_vec();
        view.write_page(community, now, limit, after, &mut body);
        assert_eq!(body.strip_prefix(b"kept"), Some(&expected[..]));
        assert_eq!(view.body(community, now, limit, after, 0), expected);
    }
}

fn read(view: &View, now: Time) -> Vec<String> {
    read_all(view, ID, now, &[7])
}

#[test]
fn an_empty_page_is_an_empty_feed() {
    let (_writer, view) = opened();
    let mut body = Vec::new();
    view.find(ID).expect("served").page(Time::EPOCH, 50, None).write_json(&mut body);
    assert_eq!(body, b"{\"feed\":[]}");
}

#[test]
fn a_page_is_rendered_as_the_protocol_says() {
    let (mut writer, view) = opened();
    let posts = [post(1, AUTHOR, "3jzfcijpj2z2a"), post(2, AUTHOR, "self"), post(3, AUTHOR, "3jzfcijpj2z2b")];
    posts.iter().for_each(|post| writer.apply(insert(post)));
    writer.publish();
    let community = view.find(ID).expect("served");
    let page = community.page(Time::EPOCH, 2, None);
    let mut body = Vec::new();
    page.write_json(&mut body);
    let cursor = page.cursor().expect("one more follows");
    assert_eq!(*cursor.oldest(), posts[1]);
    assert_eq!(
        String::from_utf8(body).expect("text"),
        format!(
            "{{\"feed\":[{{\"post\":\"at://{AUTHOR}/app.bsky.feed.post/3jzfcijpj2z2b\"}},\
             {{\"post\":\"at://{AUTHOR}/app.bsky.feed.post/self\"}}],\"cursor\":\"{cursor}\",\"reqId\":\"a1b2c3d4\"}}"
        )
    );
    let mut body = Vec::new();
    community.page(Time::EPOCH, 2, Some(&cursor)).write_json(&mut body);
    assert!(body.ends_with(b"3jzfcijpj2z2a\"}],\"reqId\":\"a1b2c3d4\"}"), "no cursor at the end");
}

#[test]
fn limits_out_of_range_are_taken_as_the_nearest() {
    let (mut writer, view) = opened();
    posts(0, 150).iter().for_each(|post| writer.apply(insert(post)));
    writer.publish();
    let community = view.find(ID).expect("served");
    assert_eq!(community.page(Time::EPOCH, 0, None).len(), 1);
    assert_eq!(community.page(Time::EPOCH, usize::MAX, None).len(), 100);
}

/// The look-ahead: what follows but is not visible gives no cursor.
#[test]
fn no_cursor_where_only_hidden_posts_follow() {
    let (mut writer, view) = opened();
    let posts = posts(0, 600);
    posts.iter().for_each(|post| writer.apply(insert(post)));
    for post in &posts[..590] {
        writer.apply(Change::Hide { id: ID, post: post.clone(), hidden: true });
    }
    writer.publish();
    let community = view.find(ID).expect("served");
    let page = community.page(Time::EPOCH, 10, None);
    assert_eq!((page.len(), page.cursor()), (10, None));
    let page = community.page(Time::EPOCH, 9, None);
    assert_eq!(page.cursor().map(|cursor| cursor.oldest().clone()), Some(posts[591].clone()));
}

/// A cursor is a key: it goes on after its item, its chunk, and the whole community have gone and come back.
#[test]
fn a_cursor_survives_what_it_names() {
    let (mut writer, view) = opened();
    let posts = posts(0, 700);
    posts.iter().for_each(|post| writer.apply(insert(post)));
    writer.publish();
    let cursor = view.find(ID).expect("served").page(Time::EPOCH, 100, None).cursor().expect("more");
    assert_eq!(*cursor.oldest(), posts[600]);
    for post in &posts[400..700] {
        writer.apply(remove(post));
    }
    writer.publish();
    let expected: Vec<String> = posts[..400].iter().rev().map(uri).collect();
    let read_on = |view: &View| {
        let community = view.find(ID).expect("served");
        community.page(Time::EPOCH, 100, Some(&cursor)).uris().collect::<Vec<_>>()
    };
    assert_eq!(read_on(&view), expected[..100]);
    let (mut writer, view) = opened();
    posts[..400].iter().rev().for_each(|post| writer.apply(insert(post)));
    writer.publish();
    assert_eq!(read_on(&view), expected[..100]);
    writer.apply(Change::Evict { before_millis: posts[350].time_millis });
    writer.publish();
    assert_eq!(read_on(&view), expected[..50]);
}

#[test]
fn feeds_are_found_by_id_and_by_alias() {
    let (mut writer, view) = super::new();
    let (alice, bob) = ("did:plc:alice", "did:plc:bob");
    let open = |id, owner, rkey| Change::Open { id: CommunityId(id), info: info(owner, rkey) };
    writer.apply(open(7, bob, "self"));
    writer.apply(open(9, alice, "self"));
    writer.apply(open(8, alice, "00000007"));
    assert!(view.find(CommunityId(7)).is_none(), "not before it is published");
    writer.publish();
    let find =
        |rkey, owner: Option<&str>| view.find_feed(rkey, owner.map(did).as_ref()).map(|community| community.id().0);
    assert_eq!(find("00000007", None), Some(7), "the id comes first");
    assert_eq!(find("00000007", Some(bob)), Some(7));
    assert_eq!(find("00000007", Some(alice)), Some(8), "her config has that rkey");
    assert_eq!(find("00000008", Some(bob)), None);
    assert_eq!(find("self", None), Some(7), "the least id");
    assert_eq!((find("self", Some(alice)), find("self", Some(bob))), (Some(9), Some(7)));
    assert_eq!((find("self", Some("did:plc:carol")), find("other", None), find("", None)), (None, None, None));

    writer.apply(open(7, bob, "renamed"));
    writer.apply(Change::Close { id: CommunityId(8) });
    writer.publish();
    assert_eq!((find("self", None), find("renamed", None), find("00000007", Some(alice))), (Some(9), Some(7), None));
    let ids: Vec<u32> = view.communities().iter().map(|community| community.id().0).collect();
    assert_eq!(ids, [7, 9]);
    assert_eq!(
        view.find(CommunityId(7)).map(|community| community.info().uri.rkey.to_string()),
        Some("renamed".into())
    );
}

#[test]
fn what_is_not_there_is_counted() {
    let (mut writer, view) = super::new();
    let nobody = post(1, AUTHOR, "self");
    writer.apply(insert(&nobody));
    writer.apply(Change::Close { id: ID });
    writer.apply(Change::Author { id: ID, did: did(AUTHOR), shown: true });
    writer.publish();
    assert_eq!(view.counts().ignored, 3);
    let (mut writer, view) = opened();
    writer.apply(remove(&nobody));
    writer.apply(Change::Hide { id: ID, post: nobody.clone(), hidden: true });
    writer.apply(insert(&nobody));
    writer.apply(insert(&nobody));
    writer.apply(remove(&nobody));
    writer.apply(remove(&nobody));
    writer.publish();
    assert_eq!((view.counts().ignored, view.counts().posts), (4, 0));
}

/// A removed post leaves memory: more than half of no chunk is dead, and small chunks are put together.
#[test]
fn chunks_stay_full_enough() {
    let (mut writer, view) = opened();
    let posts = posts(0, 10_000);
    posts.iter().for_each(|post| writer.apply(insert(post)));
    for (at, post) in posts.iter().enumerate() {
        if at % 100 != 0 {
            writer.apply(remove(post));
        }
    }
    writer.publish();
    let community = view.find(ID).expect("served");
    let lengths: Vec<usize> = community.chunk_sizes().iter().map(|&(length, _)| length).collect();
    assert!(lengths.iter().sum::<usize>() <= 200, "{lengths:?}");
    assert!(lengths.len() <= 4, "{lengths:?}");
    assert_eq!(read(&view, Time::EPOCH).len(), 100);
}

/// Few posts take a small chunk, many take full ones, in order or a little out of it.
#[test]
fn chunks_grow() {
    for displaced in [false, true] {
        let (mut writer, view) = opened();
        let mut posts = posts(0, 20 * CHUNK_ENTRIES as u64);
        if displaced {
            posts.chunks_mut(5).for_each(<[PostKey]>::reverse);
        }
        writer.apply(insert(&posts[0]));
        writer.publish();
        let community = view.find(ID).expect("served");
        assert_eq!(community.chunk_sizes(), [(1, CHUNK_ENTRIES_FIRST)]);
        posts[1..].iter().for_each(|post| writer.apply(insert(post)));
        writer.publish();
        let capacities: Vec<usize> = community.chunk_sizes().iter().map(|&(_, capacity)| capacity).collect();
        assert!(capacities.iter().sum::<usize>() <= posts.len() + CHUNK_ENTRIES, "{capacities:?}");
        assert!(capacities.len() <= 27, "at least three quarters full: {capacities:?}");
    }
}

/// Times too far apart for one chunk's 32 bits of milliseconds.
#[test]
fn times_may_be_far_apart() {
    let (mut writer, view) = opened();
    let times = [i64::MIN, i64::MIN + 1, -1, 0, u32::MAX as i64, u32::MAX as i64 + 1, 1 << 40, i64::MAX];
    for order in [[0, 1, 2, 3, 4, 5, 6, 7], [7, 0, 3, 5, 1, 6, 2, 4]] {
        let posts: Vec<PostKey> = times.iter().map(|&time| post(time, AUTHOR, "self")).collect();
        order.iter().for_each(|&at| writer.apply(insert(&posts[at])));
        writer.publish();
        assert_eq!(view.counts().posts, 8);
        // A `now` this early ages nothing: all but what no clock can say is visible.
        assert_eq!(read(&view, Time::from_micros(i64::MIN)).len(), 6);
        posts.iter().for_each(|post| writer.apply(remove(post)));
    }
}

#[test]
fn eviction_touches_nobody_else() {
    let (mut writer, view) = super::new();
    for number in 0..1000 {
        let id = CommunityId(number);
        writer.apply(Change::Open { id, info: info(AUTHOR, "self") });
        writer.apply(Change::Author { id, did: did(AUTHOR), shown: true });
        writer.apply(Change::Insert {
            id,
            post: post(i64::from(number), AUTHOR, "self"),
            tags: Tags::One(id),
            hidden: false,
        });
    }
    writer.publish();
    let now = Time::from_micros(RETENTION_MICROS + 300_000);
    let visible = |view: &View| view.communities().iter().filter(|one| !one.page(now, 1, None).is_empty()).count();
    assert_eq!((visible(&view), view.counts().posts), (699, 1000), "age is judged at reading");
    writer.apply(Change::Evict { before_millis: 301 });
    writer.apply(Change::Evict { before_millis: 200 });
    writer.publish();
    assert_eq!((visible(&view), view.counts().posts, view.counts().communities), (699, 699, 1000));
}
