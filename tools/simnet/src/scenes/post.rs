//! Posts of communities: tags in every place, edits, deletes, and what only looks like a tag.

use atrarium::syntax::Time;

use super::background::{facet, tag_facet};
use crate::event::{Key, Kind, Operation};
use crate::json::{Json, datetime, object, text};
use crate::words;
use crate::world::{Draft, Edit, Later, POST, PostRef, World};

const DAY_MICROS: i64 = 86_400_000_000;

/// Where a post carries its tag.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    Text,
    TextAndFacet,
    Facet,
    Tags,
    TwoCommunities,
    BesideMalformed,
    NearMiss,
    LinkOrEmbed,
    Nowhere,
}

const PLACES: [Place; 8] = [
    Place::Text,
    Place::TextAndFacet,
    Place::Facet,
    Place::Tags,
    Place::TwoCommunities,
    Place::BesideMalformed,
    Place::NearMiss,
    Place::LinkOrEmbed,
];
const PLACE_WEIGHTS: [u32; 8] = [46, 18, 7, 7, 5, 3, 9, 4];

/// Somebody posts.
pub(crate) fn scene(world: &mut World) -> Draft {
    let community = world.a_community();
    let (author, feature) = an_author(world, community);
    let rkey = world.key(author);
    let post = PostRef { author, rkey, community };
    if world.one_in(30) {
        return never_tagged(world, post);
    }
    if world.one_in(30) {
        let delay = world.delay();
        world.after(delay, Later::EditPost(post.clone(), Edit::Add));
        return write(world, &post, Operation::Create, Place::Nowhere).featuring("post: tagged by an edit later");
    }
    let place = PLACES[words::weighted(&mut world.rng, &PLACE_WEIGHTS)];
    let mut draft = write(world, &post, Operation::Create, place).featuring(feature);
    forge_rev(world, author, &mut draft);
    if !matches!(place, Place::NearMiss | Place::LinkOrEmbed) {
        world.remember_post(post.clone());
    }
    aftermath(world, post, draft)
}

/// Members, the owner, somebody who joins only later, and vandals who never do.
fn an_author(world: &mut World, community: usize) -> (usize, &'static str) {
    let point = world.rng.u8(0..100);
    if point < 8 {
        return (world.a_stranger(), "post: by a vandal");
    }
    if point < 13 {
        let newcomer = world.add_repo();
        let delay = world.delay();
        world.after(delay, Later::Join(newcomer, community, None));
        return (newcomer, "post: before its membership");
    }
    let members = std::mem::take(&mut world.communities[community].members);
    let member = world.any(&members);
    world.communities[community].members = members;
    match member {
        Some(member) if point < 93 => (member, "post: by a member"),
        _ => (world.communities[community].owner, "post: by the owner"),
    }
}

/// What comes of a post that has just been written.
fn aftermath(world: &mut World, post: PostRef, draft: Draft) -> Draft {
    match world.rng.u8(0..100) {
        0..=8 => {
            let delay = world.delay();
            world.after(delay, Later::EditPost(post, Edit::Remove));
        }
        9..=16 => {
            let delay = world.delay();
            world.after(delay, Later::DeletePost(post));
        }
        17 | 18 => {
            let delay = world.short_delay();
            world.after(delay, Later::Tell(draft.featuring("post: told after its delete")));
            return delete(world, &post).featuring("delete: told before the post");
        }
        19 | 20 => {
            let delay = world.short_delay();
            world.after(delay, Later::Tell(draft.featuring("post: told after its edit")));
            return write(world, &post, Operation::Update, Place::Nowhere).featuring("edit: told before the post");
        }
        21 | 22 => {
            let delay = world.delay();
            world.after(delay, Later::Tell(draft.clone().featuring("redelivery")));
        }
        23 | 24 => second_of_commit(world, &post, &draft),
        _ => {}
    }
    draft
}

/// A thread: two posts in one commit, with one rev and one stream time.
fn second_of_commit(world: &mut World, first: &PostRef, draft: &Draft) {
    let post = PostRef { rkey: world.key(first.author), ..first.clone() };
    let mut second = write(world, &post, Operation::Create, Place::Text).featuring("post: second of its commit");
    if let (Kind::Commit { rev: of_first, .. }, Kind::Commit { rev, .. }) = (&draft.kind, &mut second.kind) {
        *rev = *of_first;
    }
    world.remember_post(post);
    world.ready.push_back(second);
}

/// Revs are the author's own word.
fn forge_rev(world: &mut World, author: usize, draft: &mut Draft) {
    let Kind::Commit { rev, .. } = &mut draft.kind else { return };
    let fresh = world.is_fresh(author);
    let (claimed, feature) = match world.rng.u16(0..1000) {
        0..=4 => (world.now.plus_micros(world.rng.i64(1..400) * DAY_MICROS), "rev: forged future"),
        5..=300 if fresh => (long_ago(world), "rev: forged long ago"),
        301..=500 if fresh => (lately(world), "rev: forged some days ago"),
        _ => return,
    };
    if fresh {
        world.forget_revs(author);
    }
    *rev = world.rev_at(author, claimed);
    draft.features.push(feature);
}

/// A moment that makes a post too old, by half a day at least.
fn long_ago(world: &mut World) -> Time {
    let age = world.rng.i64(0..400 * DAY_MICROS);
    world.options.epoch.plus_micros(-15 * DAY_MICROS / 2 - age)
}

/// A moment of the last 6.5 days, seen from the end of the stream.
fn lately(world: &mut World) -> Time {
    let earliest = world.end.plus_micros(-13 * DAY_MICROS / 2).micros();
    let latest = world.now.micros() - 60_000_000;
    if earliest >= latest { world.just_now() } else { Time::from_micros(world.rng.i64(earliest..latest)) }
}

fn never_tagged(world: &mut World, post: PostRef) -> Draft {
    let delay = world.delay();
    world.after(delay, Later::DeletePost(post.clone()));
    write(world, &post, Operation::Create, Place::Nowhere).featuring("post: never tagged, deleted later")
}

/// A post is deleted.
pub(crate) fn delete(world: &mut World, post: &PostRef) -> Draft {
    world.forget_post(post);
    if world.one_in(4) {
        let delay = world.delay();
        world.after(delay, Later::Post(post.clone()));
    }
    world.delete(post.author, POST, post.rkey.clone()).featuring("delete of a post")
}

/// A post is edited.
pub(crate) fn edit(world: &mut World, post: PostRef, edit: Edit) -> Draft {
    match edit {
        Edit::Add => {
            let draft = write(world, &post, Operation::Update, Place::Text);
            world.remember_post(post);
            draft.featuring("edit: adds the tag")
        }
        Edit::Remove => {
            if world.one_in(3) {
                let delay = world.delay();
                world.after(delay, Later::EditPost(post.clone(), Edit::Add));
            }
            write(world, &post, Operation::Update, Place::Nowhere).featuring("edit: removes the tag")
        }
    }
}

/// A post comes where one was deleted, or where an action waits for it.
pub(crate) fn again(world: &mut World, post: PostRef) -> Draft {
    let draft = write(world, &post, Operation::Create, Place::Text);
    world.remember_post(post);
    draft.featuring("post: created where a delete or an action came first")
}

/// Writes the record of a post.
fn write(world: &mut World, post: &PostRef, operation: Operation, place: Place) -> Draft {
    let word = world.word(post.community);
    let (language, body) = words::sentences(&mut world.rng);
    let mut fields = vec![("$type", text(POST)), ("langs", Json::List(vec![text(language)]))];
    let mut features = Vec::new();
    carry_tag(world, place, &word, body, &mut fields, &mut features);
    features.extend(date(world, &mut fields));
    if world.one_in(20) {
        fields.push(("x-unknown", object(vec![("deep", Json::List(vec![Json::Number(1), text("#x\u{0}<")]))])));
        features.push("unknown field");
    }
    let mut draft = world.put(post.author, operation, POST, post.rkey.clone(), object(fields));
    if matches!(post.rkey, Key::Fixed(_)) {
        features.push("post: record key that is no TID");
    }
    draft.features = features;
    draft
}

fn carry_tag(
    world: &mut World,
    place: Place,
    word: &str,
    mut body: String,
    fields: &mut Vec<(&'static str, Json)>,
    features: &mut Vec<&'static str>,
) {
    if world.one_in(150) {
        body = body.repeat(8_000 / body.len().max(1));
        features.push("post: large text");
    }
    match place {
        Place::Nowhere => {}
        Place::Text => {
            body = words::with_tag(&mut world.rng, &body, word);
            features.push("tag: in text");
        }
        Place::TextAndFacet => {
            fields.push(("facets", Json::List(vec![tag_facet(body.len() + 1, word)])));
            body = format!("{body} #{word}");
            features.push("tag: in text and facet");
        }
        Place::Facet => {
            fields.push(("facets", Json::List(vec![tag_facet(0, "art"), tag_facet(0, word)])));
            features.push("tag: in a facet only");
        }
        Place::Tags => {
            fields.push(("tags", Json::List(vec![text("art"), text(word.to_string())])));
            features.push("tag: in tags only");
        }
        Place::TwoCommunities => {
            let other = world.a_community();
            let other = world.word(other);
            body = words::with_tag(&mut world.rng, &format!("#{other} {body}"), word);
            features.push("tag: of two communities");
        }
        Place::BesideMalformed => body = beside_malformed(world, word, body, fields, features),
        Place::NearMiss => {
            let (why, missed) = words::with_near_miss(&mut world.rng, &body, word);
            body = missed;
            features.push(why);
        }
        Place::LinkOrEmbed => link_or_embed(world, word, &mut body, fields, features),
    }
    if !fields.iter().any(|(key, _)| *key == "text") {
        fields.push(("text", text(body)));
    }
}

/// One of the places is malformed, and another one carries the tag.
fn beside_malformed(
    world: &mut World,
    word: &str,
    body: String,
    fields: &mut Vec<(&'static str, Json)>,
    features: &mut Vec<&'static str>,
) -> String {
    match world.rng.u8(0..4) {
        0 => {
            fields.push(("text", Json::Number(7)));
            fields.push(("tags", Json::List(vec![text(word.to_string())])));
            features.push("malformed: text is a number");
        }
        1 => {
            fields.push(("facets", text("none")));
            features.push("malformed: facets are a string");
            return format!("{body} #{word}");
        }
        2 => {
            fields.push(("tags", Json::List(vec![Json::Number(3), text(word.to_string()), Json::Bool(true)])));
            features.push("malformed: some tags are no strings");
        }
        _ => {
            let feature = object(vec![("$type", text("app.bsky.richtext.facet#tag")), ("tag", Json::Number(5))]);
            fields.push(("facets", Json::List(vec![Json::Number(1), facet(0, 1, feature), tag_facet(0, word)])));
            features.push("malformed: some facets are none");
        }
    }
    body
}

/// The word stands where it does not count.
fn link_or_embed(
    world: &mut World,
    word: &str,
    body: &mut String,
    fields: &mut Vec<(&'static str, Json)>,
    features: &mut Vec<&'static str>,
) {
    match world.rng.u8(0..5) {
        0 => {
            let uri = format!("https://bsky.app/hashtag/{word}#{word}");
            let feature = object(vec![("$type", text("app.bsky.richtext.facet#link")), ("uri", text(uri))]);
            fields.push(("facets", Json::List(vec![facet(0, 4, feature)])));
            features.push("near miss: in a link facet only");
        }
        1 => {
            let external = object(vec![
                ("description", text(format!("about #{word}"))),
                ("title", text(format!("#{word}"))),
                ("uri", text(format!("https://example.com/{word}"))),
            ]);
            fields.push(("embed", object(vec![("$type", text("app.bsky.embed.external")), ("external", external)])));
            features.push("near miss: in an embed only");
        }
        2 => {
            fields.push(("tags", Json::List(vec![text(format!("#{word}")), text(word.to_uppercase())])));
            features.push("near miss: with a hash in tags");
        }
        3 => {
            fields.push(("facets", Json::List(vec![tag_facet(0, &format!("#{word}"))])));
            features.push("near miss: with a hash in a facet");
        }
        _ => {
            fields.push(("langs2", text(format!("#{word}"))));
            *body = format!("{body} atrarium");
            features.push("near miss: in an unknown field");
        }
    }
}

/// `createdAt`, in every quality.
fn date(world: &mut World, fields: &mut Vec<(&'static str, Json)>) -> Option<&'static str> {
    let (value, feature) = match world.rng.u8(0..100) {
        0..=5 => (Json::At(lately(world)), "date: back, young enough"),
        6..=8 => (Json::At(long_ago(world)), "date: back, too old"),
        9 => (text("1999-12-31T23:59:59.999Z"), "date: last century"),
        10 => (text("1970-01-01T00:00:00.000Z"), "date: the epoch itself"),
        11 | 12 => (text("2099-01-01T00:00:00Z"), "date: far future"),
        13 => (text("yesterday"), "date: garbage"),
        14 => (text("2026-06-31T00:00:00Z"), "date: not in the calendar"),
        15 => (Json::Number(1_783_000_000), "date: a number"),
        16 | 17 => return Some("date: absent"),
        18 | 19 => (text(in_japan(world.just_now())), "date: of another time zone"),
        20 => (text(format!("{}012345Z", &iso(world.just_now())[..26])), "date: in nanoseconds and finer"),
        21..=24 => (Json::At(world.same_moment()), "date: the same millisecond as another"),
        _ => {
            fields.push(("createdAt", Json::At(world.just_now())));
            return None;
        }
    };
    fields.push(("createdAt", value));
    Some(feature)
}

fn iso(time: Time) -> String {
    String::from_utf8_lossy(&datetime(time)).into_owned()
}

fn in_japan(time: Time) -> String {
    format!("{}+09:00", &iso(time.plus_micros(9 * 3_600_000_000))[..23])
}
