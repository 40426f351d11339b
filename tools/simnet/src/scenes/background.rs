//! Everybody else: likes, posts, reposts, follows, and the rest of the traffic that Atrarium must let go by.

use std::collections::VecDeque;
use std::sync::Arc;

use atrarium::syntax::Tid;
use fastrand::Rng;

use crate::event::{Key, Kind, Operation};
use crate::json::{Json, object, text};
use crate::words;
use crate::world::{Draft, POST, World};

const LIKE: &str = "app.bsky.feed.like";
const REPOST: &str = "app.bsky.feed.repost";
const FOLLOW: &str = "app.bsky.graph.follow";
const BLOCK: &str = "app.bsky.graph.block";
const PROFILE: &str = "app.bsky.actor.profile";

/// Posts that bystanders still talk about.
const RECENT_MAX: usize = 512;

/// What the bystanders remember.
#[derive(Debug, Default)]
pub(crate) struct Background {
    recent: VecDeque<(usize, Key)>,
}

impl Background {
    /// The next thing that does not concern Atrarium. Shares in tenths of a percent, as DESIGN §2 tells them.
    pub fn next(&mut self, world: &mut World) -> Draft {
        let repo = world.rng.usize(0..world.cast_from);
        match words::weighted(&mut world.rng, &[725, 86, 88, 34, 12, 6, 5, 9, 27, 2, 3, 2, 4, 1]) {
            0 => self.opinion(world, repo, LIKE),
            1 => self.post(world, repo),
            2 => self.opinion(world, repo, REPOST),
            3 => relation(world, repo, FOLLOW),
            4 => undo(world, repo, FOLLOW),
            5 => relation(world, repo, BLOCK),
            6 => profile(world, repo),
            7 => undo(world, repo, LIKE),
            8 => self.delete_post(world, repo),
            9 => self.update_post(world, repo),
            10 => identity(world, repo),
            11 => account(world, repo),
            12 => other_lexicon(world, repo),
            _ => undo(world, repo, REPOST),
        }
    }

    /// A like or a repost, often by way of somebody's repost.
    fn opinion(&mut self, world: &mut World, repo: usize, collection: &'static str) -> Draft {
        let mut fields = vec![
            ("$type", text(collection)),
            ("createdAt", Json::At(world.just_now())),
            ("subject", self.reference(world, POST)),
        ];
        if world.rng.u8(0..100) < 30 {
            fields.push(("via", self.reference(world, REPOST)));
        }
        let rkey = world.key(repo);
        world.put(repo, Operation::Create, collection, rkey, object(fields))
    }

    /// `{cid, uri}` of something that is not of this stream, or of a post that was.
    fn reference(&mut self, world: &mut World, collection: &'static str) -> Json {
        let (did, key): (Arc<str>, Key) = match self.recent.len() {
            recent if recent > 0 && collection == POST && world.one_in(3) => {
                let (author, key) = &self.recent[world.rng.usize(0..recent)];
                (world.did(*author), key.clone())
            }
            _ => (words::did_plc(&mut world.rng).into(), Key::Fixed(old_tid(world).to_string().into())),
        };
        object(vec![("cid", text(words::cid(&mut world.rng))), ("uri", Json::Uri(did, collection, key))])
    }

    fn post(&mut self, world: &mut World, repo: usize) -> Draft {
        let record = self.post_record(world);
        let rkey = world.key(repo);
        self.recent.push_back((repo, rkey.clone()));
        if self.recent.len() > RECENT_MAX {
            self.recent.pop_front();
        }
        world.put(repo, Operation::Create, POST, rkey, record)
    }

    fn post_record(&mut self, world: &mut World) -> Json {
        let (language, mut body) = words::sentences(&mut world.rng);
        let mut fields = vec![
            ("$type", text(POST)),
            ("createdAt", Json::At(world.just_now())),
            ("langs", Json::List(vec![text(language)])),
        ];
        if world.one_in(5) {
            let tag = words::other_tag(&mut world.rng);
            let start = body.len() + 1;
            body = format!("{body} #{tag}");
            fields.push(("facets", Json::List(vec![tag_facet(start, tag)])));
        }
        match world.rng.u8(0..10) {
            0..=3 => {
                let (parent, root) = (self.reference(world, POST), self.reference(world, POST));
                fields.push(("reply", object(vec![("parent", parent), ("root", root)])));
            }
            4 | 5 => fields.push(("embed", images(&mut world.rng))),
            6 => fields.push(("embed", external(&mut world.rng))),
            _ => {}
        }
        fields.push(("text", text(body)));
        object(fields)
    }

    /// Half of the deletes are of posts that this stream has shown.
    fn delete_post(&mut self, world: &mut World, repo: usize) -> Draft {
        if world.one_in(2)
            && let Some((author, rkey)) = self.recent.pop_front()
        {
            return world.delete(author, POST, rkey);
        }
        undo(world, repo, POST)
    }

    fn update_post(&mut self, world: &mut World, repo: usize) -> Draft {
        let (author, rkey) = match self.recent.back() {
            Some(recent) => recent.clone(),
            None => (repo, world.key(repo)),
        };
        let record = self.post_record(world);
        world.put(author, Operation::Update, POST, rkey, record)
    }
}

/// A TID of the last months.
fn old_tid(world: &mut World) -> Tid {
    let age = world.rng.i64(1_000_000..8_000_000_000_000);
    Tid::from_time(world.now.plus_micros(-age), world.rng.u16(0..1024))
}

fn relation(world: &mut World, repo: usize, collection: &'static str) -> Draft {
    let other = world.rng.usize(0..world.cast_from);
    let record = object(vec![
        ("$type", text(collection)),
        ("createdAt", Json::At(world.just_now())),
        ("subject", text(world.did(other).to_string())),
    ]);
    let rkey = world.key(repo);
    world.put(repo, Operation::Create, collection, rkey, record)
}

fn undo(world: &mut World, repo: usize, collection: &'static str) -> Draft {
    let rkey = Key::Fixed(old_tid(world).to_string().into());
    world.delete(repo, collection, rkey)
}

fn profile(world: &mut World, repo: usize) -> Draft {
    let (_, description) = words::sentences(&mut world.rng);
    let record = object(vec![
        ("$type", text(PROFILE)),
        ("avatar", blob(&mut world.rng)),
        ("createdAt", Json::At(world.just_now())),
        ("description", text(description)),
        ("displayName", text(format!("Bystander <{repo}>"))),
    ]);
    world.put(repo, Operation::Update, PROFILE, Key::Fixed("self".into()), record)
}

fn other_lexicon(world: &mut World, repo: usize) -> Draft {
    let collection = "fm.teal.alpha.actor.status";
    let (_, name) = words::sentences(&mut world.rng);
    let item = object(vec![("artists", Json::List(vec![])), ("trackName", text(name))]);
    let record = object(vec![("$type", text(collection)), ("item", item), ("time", Json::At(world.just_now()))]);
    world.put(repo, Operation::Update, collection, Key::Fixed("self".into()), record)
}

/// An identity event.
pub(crate) fn identity(world: &mut World, repo: usize) -> Draft {
    let value = object(vec![
        ("did", text(world.did(repo).to_string())),
        ("handle", text(format!("someone{repo}.example.com"))),
        ("seq", Json::Number(31_527_015_470 + world.index as i64)),
        ("time", Json::At(world.just_now())),
    ]);
    world.draft(repo, Kind::Named("identity", value))
}

/// A bystander's account: mostly new and active.
fn account(world: &mut World, repo: usize) -> Draft {
    let active = !world.one_in(5);
    let time = world.just_now();
    let mut fields = vec![
        ("active", Json::Bool(active)),
        ("did", text(world.did(repo).to_string())),
        ("seq", Json::Number(31_527_015_470 + world.index as i64)),
        ("time", Json::At(time)),
    ];
    if !active {
        fields.push(("status", text("deactivated")));
    }
    world.draft(repo, Kind::Named("account", object(fields)))
}

/// A facet over `#tag` that stands at byte `start`.
pub(crate) fn tag_facet(start: usize, tag: &str) -> Json {
    let feature = object(vec![("$type", text("app.bsky.richtext.facet#tag")), ("tag", text(tag.to_string()))]);
    facet(start, start + 1 + tag.len(), feature)
}

/// A facet with one feature.
pub(crate) fn facet(start: usize, end: usize, feature: Json) -> Json {
    let range = object(vec![("byteEnd", Json::Number(end as i64)), ("byteStart", Json::Number(start as i64))]);
    object(vec![("features", Json::List(vec![feature])), ("index", range)])
}

fn blob(rng: &mut Rng) -> Json {
    object(vec![
        ("$type", text("blob")),
        ("mimeType", text("image/jpeg")),
        ("ref", object(vec![("$link", text(words::cid(rng)))])),
        ("size", Json::Number(rng.i64(20_000..980_000))),
    ])
}

fn images(rng: &mut Rng) -> Json {
    let count = 1 + words::weighted(rng, &[6, 2, 1, 1]);
    let images = (0..count).map(|_| {
        let (_, alt) = words::sentences(rng);
        let ratio = object(vec![("height", Json::Number(1080)), ("width", Json::Number(1920))]);
        object(vec![("alt", text(alt)), ("aspectRatio", ratio), ("image", blob(rng))])
    });
    let images = images.collect();
    object(vec![("$type", text("app.bsky.embed.images")), ("images", Json::List(images))])
}

fn external(rng: &mut Rng) -> Json {
    let (_, title) = words::sentences(rng);
    let (_, description) = words::sentences(rng);
    let external = object(vec![
        ("description", text(description)),
        ("thumb", blob(rng)),
        ("title", text(title)),
        ("uri", text(format!("https://news.example.com/{}?a=1&b=2", rng.u32(..)))),
    ]);
    object(vec![("$type", text("app.bsky.embed.external")), ("external", external)])
}
