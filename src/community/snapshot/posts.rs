//! Posts: the winning version of each, held or not.
//!
//! ```text
//! author | flags | rkey: 8 bytes, or a text | rev, as the difference to the rkey | witnessed, as that to the rev's time
//!        | CID as flagged | created, as the difference to the rev's time | hashtags: how many, each 4 bytes and its place
//! flags  1 put  2 has created  4 the rkey is no TID  8 a CID follows (`version`)
//! place  0 nowhere: not held, or given up there  1 waits  2 in the ring
//! ```
//! The usual post takes about 30 bytes: a rkey and its rev, createdAt and witnessed lie within seconds of each other.

use rustc_hash::FxHashMap;

use super::bytes::{Fault, In, Out};
use super::people::take_did;
use super::{Chunks, Ranks, Section, version};
use crate::community::Fold;
use crate::community::feeds::{Feed, Place};
use crate::community::names::{DidIndex, Key};
use crate::community::posts::{Places, PostBody, PostRow, Posts};
use crate::community::version::{CidPrefix, Version};
use crate::fact::CommunityId;
use crate::syntax::{Tid, Time};

const PUT: u8 = 1;
const CREATED: u8 = 2;
const TEXT_KEY: u8 = 4;
const CID: u8 = 8;

const NOWHERE: u8 = 0;
const WAITS: u8 = 1;
const IN_RING: u8 = 2;

/// Where a place of a restored post stands until the lists of its feeds are made.
impl Place {
    pub const WAITS: u32 = 0;
    pub const IN_RING: u32 = 1;
}

type Feeds = FxHashMap<CommunityId, Feed>;

pub(super) fn save<E>(posts: &Posts, feeds: &Feeds, ranks: &Ranks, chunks: &mut Chunks<'_, E>) -> Result<(), E> {
    let in_rings = InRings::new(posts, feeds);
    for (number, row) in posts.iter() {
        chunks.row(Section::Posts, |out| {
            let PostRow { author, key, is_held, is_shared: _, version } = &*row;
            let body = version.body.as_ref();
            let created = body.and_then(|body| body.created);
            let has_cid = version.cid != CidPrefix::NONE;
            let flag = |is_set: bool, flag: u8| if is_set { flag } else { 0 };
            out.index(ranks.did(*author));
            out.byte(
                flag(body.is_some(), PUT)
                    | flag(created.is_some(), CREATED)
                    | flag(matches!(key, Key::Text(_)), TEXT_KEY)
                    | flag(has_cid, CID),
            );
            match key {
                Key::Tid(tid) => out.tid(*tid),
                Key::Text(text) => out.text(text.as_str()),
            }
            out.difference(version.rev.to_u64().wrapping_sub(base_of(key)) as i64);
            out.time_near(version.witnessed, version.rev.time());
            if has_cid {
                version::put_cid(out, &version.cid);
            }
            if let Some(created) = created {
                out.time_near(created, version.rev.time());
            }
            if let Some(body) = body {
                put_places(out, body, |place| if *is_held { in_rings.place(number, &row, place) } else { NOWHERE });
            }
        })?;
    }
    Ok(())
}

/// What a rev is near to.
fn base_of(key: &Key) -> u64 {
    match key {
        Key::Tid(tid) => tid.to_u64(),
        Key::Text(_) => 0,
    }
}

fn put_places(out: &mut Out<'_>, body: &PostBody, place_of: impl Fn(&Place) -> u8) {
    let PostBody { created: _, places } = body;
    out.number(places.len() as u64);
    for place in places.iter() {
        out.bytes(&place.id.0.to_le_bytes());
        out.byte(place_of(place));
    }
}

/// Which posts stand in a ring: found list by list, for a look into the lists of each post would cost more.
struct InRings<'a> {
    feeds: &'a Feeds,
    /// By number: whether it is in some ring.
    somewhere: Vec<bool>,
}

impl<'a> InRings<'a> {
    fn new(posts: &Posts, feeds: &'a Feeds) -> Self {
        let mut somewhere = vec![false; posts.numbers()];
        for author in feeds.values().flat_map(|feed| feed.authors.values()) {
            author.posts[..author.in_ring].iter().for_each(|&number| somewhere[number as usize] = true);
        }
        Self { feeds, somewhere }
    }

    fn place(&self, number: u32, row: &PostRow, place: &Place) -> u8 {
        if place.position == Place::NOWHERE {
            return NOWHERE;
        }
        let is_only_place = row.version.body.as_ref().is_some_and(|body| body.places.len() == 1);
        let is_in_ring = self.somewhere[number as usize] && (is_only_place || self.look_up(row.author, place));
        if is_in_ring { IN_RING } else { WAITS }
    }

    fn look_up(&self, author: DidIndex, place: &Place) -> bool {
        let author = self.feeds.get(&place.id).and_then(|feed| feed.authors.get(&author));
        author.is_some_and(|author| place.is_in_ring_of(author))
    }
}

pub(super) fn take(fold: &mut Fold, row: &mut In<'_>) -> Result<(), Fault> {
    let author = take_did(&fold.people, row)?;
    let flags = row.byte()?;
    if flags & !(PUT | CREATED | TEXT_KEY | CID) != 0 || (flags & CREATED != 0 && flags & PUT == 0) {
        return Err("flags of a post are unknown");
    }
    let key = if flags & TEXT_KEY != 0 { version::take_text_key(row)? } else { Key::Tid(row.tid()?) };
    let rev = Tid::from_u64(base_of(&key).wrapping_add(row.difference()? as u64));
    let witnessed = row.time_near(rev.time())?;
    let cid = if flags & CID != 0 { version::take_cid(row)? } else { CidPrefix::NONE };
    let created = if flags & CREATED != 0 { Some(row.time_near(rev.time())?) } else { None };
    let body = if flags & PUT != 0 { Some(take_body(row, created)?) } else { None };
    let version = Version { rev, witnessed, cid, body };
    let post = PostRow { author, key, is_held: false, is_shared: false, version };
    fold.posts.restore(post).ok_or("there are too many posts")
}

fn take_body(row: &mut In<'_>, created: Option<Time>) -> Result<PostBody, Fault> {
    let places = match row.count()? {
        // Nearly all: without a list.
        1 => Places::One(take_place(row)?),
        count => {
            let places: Vec<Place> = (0..count).map(|_| take_place(row)).collect::<Result<_, _>>()?;
            if !places.is_sorted_by(|a, b| a.id < b.id) {
                return Err("hashtags are not in order");
            }
            Places::many(places)
        }
    };
    Ok(PostBody { created, places })
}

fn take_place(row: &mut In<'_>) -> Result<Place, Fault> {
    let id = CommunityId(u32::from_le_bytes(row.array()?));
    let position = match row.byte()? {
        NOWHERE => Place::NOWHERE,
        WAITS => Place::WAITS,
        IN_RING => Place::IN_RING,
        _ => return Err("a place in a feed is unknown"),
    };
    Ok(Place { id, position, hidden: false })
}
