//! Who is there, and what each scene may ask of them.
//!
//! In: the options. Out: repositories, communities, moments, and [`Draft`]s: commits that have been made and not yet been
//! told by the stream. Scenes (`scenes/`) decide what happens; `network` decides when it is told.
//!
//! Always: within one repository revs only grow; everything comes from one generator.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use atrarium::syntax::{Tid, Time};
use fastrand::Rng;

use crate::event::{Key, Kind, Operation};
use crate::json::Json;
use crate::{Options, words};

pub(crate) const POST: &str = "app.bsky.feed.post";
pub(crate) const CONFIG: &str = model::CONFIG;
pub(crate) const MEMBERSHIP: &str = model::MEMBERSHIP;
pub(crate) const ACCEPTANCE: &str = model::ACCEPTANCE;
pub(crate) const ACTION: &str = model::ACTION;

/// Something that has happened and waits for its place in the stream.
#[derive(Clone, Debug)]
pub(crate) struct Draft {
    pub did: Arc<str>,
    pub kind: Kind,
    pub features: Vec<&'static str>,
}

impl Draft {
    pub fn featuring(mut self, feature: &'static str) -> Self {
        self.features.push(feature);
        self
    }
}

/// What is to happen later.
#[derive(Debug)]
pub(crate) enum Later {
    /// The stream tells this only now: late, or once more.
    Tell(Draft),
    /// A post is deleted.
    DeletePost(PostRef),
    /// A post loses its tags, or gets them again.
    EditPost(PostRef, Edit),
    /// A post comes (again) at this place.
    Post(PostRef),
    /// Somebody joins, perhaps by the record they once had.
    Join(usize, usize, Option<Key>),
    /// Somebody leaves, by an inactive record or by deleting it.
    Leave(MembershipRef, bool),
    /// A config is created again where it was.
    Recreate(usize),
    /// A community goes back to its own hashtag.
    MoveBack(usize),
    /// An action's or an acceptance's record is deleted.
    TakeBack(usize, &'static str, Key),
    /// An action's record is changed.
    Reverse(usize, Key, ActionTold),
    /// An acceptance is written.
    Accept(usize, usize),
    /// An account comes back.
    Return(usize),
}

/// What an edit does to a post's tags.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Edit {
    Remove,
    Add,
}

/// A post with (or once with, or later with) a community's tag.
#[derive(Clone, Debug)]
pub(crate) struct PostRef {
    pub author: usize,
    pub rkey: Key,
    pub community: usize,
}

/// A membership record.
#[derive(Clone, Debug)]
pub(crate) struct MembershipRef {
    pub member: usize,
    pub community: usize,
    pub rkey: Key,
}

/// What an action said.
#[derive(Clone, Debug)]
pub(crate) struct ActionTold {
    pub community: usize,
    pub hides: bool,
    pub on: bool,
    pub target: Json,
}

/// A repository.
#[derive(Debug)]
pub(crate) struct Repo {
    pub did: Arc<str>,
    clock: u16,
    last_rev: u64,
    last_key: u64,
    commits: u32,
}

/// A community. What stands here is what its people know, not what the stream has told.
#[derive(Debug)]
pub(crate) struct Community {
    pub id: String,
    pub owner: usize,
    pub rkey: Arc<str>,
    pub announced: bool,
    pub exists: bool,
    /// Its hashtag, where it has moved to another one.
    pub moved_to: Option<String>,
    pub stage: &'static str,
    pub parent: Option<usize>,
    pub invite_only: bool,
    pub moderators: Vec<usize>,
    pub dismissed: Vec<usize>,
    pub members: Vec<usize>,
    pub posts: VecDeque<PostRef>,
    pub hidden: Vec<PostRef>,
    pub blocked: Vec<usize>,
    pub updates: u32,
}

/// Everything.
pub(crate) struct World {
    pub options: Options,
    pub rng: Rng,
    /// Stream time.
    pub now: Time,
    /// About where stream time will end.
    pub end: Time,
    pub repos: Vec<Repo>,
    /// The first of `repos` that plays a part in Atrarium; those before are bystanders.
    pub cast_from: usize,
    pub communities: Vec<Community>,
    shared_moment: Time,
    /// Told right after the event in hand, with the same stream time: they are one commit.
    pub ready: VecDeque<Draft>,
    later: BTreeMap<(u64, u64), Later>,
    order: u64,
    /// Index of the event in hand.
    pub index: u64,
}

/// Posts that a community remembers for hiding, editing and deleting.
const POSTS_REMEMBERED: usize = 64;

impl World {
    pub fn new(options: &Options) -> Self {
        let mut rng = Rng::with_seed(options.seed);
        let bystanders = usize::try_from(options.events / 20).unwrap_or(usize::MAX).clamp(200, 20_000);
        let span_micros = i64::try_from(options.events).unwrap_or(i64::MAX).saturating_mul(options.gap_micros());
        let mut world = Self {
            rng: rng.fork(),
            now: options.epoch,
            end: options.epoch.plus_micros(span_micros),
            repos: Vec::new(),
            cast_from: bystanders,
            communities: Vec::new(),
            shared_moment: Time::EPOCH,
            ready: VecDeque::new(),
            later: BTreeMap::new(),
            order: 0,
            index: 0,
            options: options.clone(),
        };
        for _ in 0..bystanders {
            world.add_repo();
        }
        for number in 0..options.communities {
            world.add_community(number);
        }
        world
    }

    /// A new repository, most with a `did:plc`, some with a `did:web`; among those, pairs that sort differently alone
    /// and in a URI.
    pub fn add_repo(&mut self) -> usize {
        let number = self.repos.len();
        let did = match self.rng.u8(0..16) {
            0 => {
                let tail = ["", ".example", "-b", "%3A8080", ".example.com"][self.rng.usize(0..5)];
                format!("did:web:w{:x}{tail}", number / 2 * 2)
            }
            _ => words::did_plc(&mut self.rng),
        };
        let taken = number.is_multiple_of(2) || self.repos.last().is_none_or(|last| *last.did != *did);
        let did = if taken { did } else { words::did_plc(&mut self.rng) };
        let clock = self.rng.u16(0..1024);
        self.repos.push(Repo { did: did.into(), clock, last_rev: 0, last_key: 0, commits: 0 });
        number
    }

    fn add_community(&mut self, number: usize) {
        let owner = self.add_repo();
        let number_bits = u32::try_from(number).expect("invariant: Options bounds the communities");
        let id = format!("{:08x}", (self.rng.u32(..) & !0x1f_ffff) | number_bits);
        // The same in each round: a later round puts new versions of the same config.
        let rkey = match self.rng.u8(0..10) {
            0 => format!("the-{id}.home"),
            _ => Tid::from_time(Time::from_micros(1_750_000_000_000_000 + self.rng.i64(0..1 << 44)), 5).to_string(),
        };
        let stage = ["community", "graduated", "theme"][words::weighted(&mut self.rng, &[6, 2, 2])];
        let parent = (stage == "theme" && number > 0).then(|| self.rng.usize(0..number));
        let moderators = (0..words::weighted(&mut self.rng, &[3, 3, 2, 1])).map(|_| self.add_repo()).collect();
        let invite_only = self.rng.u8(0..8) == 0;
        self.communities.push(Community {
            id,
            owner,
            rkey: rkey.into(),
            announced: false,
            exists: false,
            moved_to: None,
            stage,
            parent,
            invite_only,
            moderators,
            dismissed: Vec::new(),
            members: Vec::new(),
            posts: VecDeque::new(),
            hidden: Vec::new(),
            blocked: Vec::new(),
            updates: 0,
        });
    }

    // --- choosing

    pub fn one_in(&mut self, count: u32) -> bool {
        self.rng.u32(0..count) == 0
    }

    pub fn any<T: Clone>(&mut self, list: &[T]) -> Option<T> {
        (!list.is_empty()).then(|| list[self.rng.usize(0..list.len())].clone())
    }

    /// A community; small ones and large ones: the earlier ones are busier.
    pub fn a_community(&mut self) -> usize {
        let count = self.communities.len();
        let point = self.rng.f64();
        ((point * point * count as f64) as usize).min(count - 1)
    }

    /// Somebody who plays no part in the community: a passer-by of the network, or of another community.
    pub fn a_stranger(&mut self) -> usize {
        let (from, to) = (self.cast_from, self.repos.len());
        if self.one_in(3) || from == to { self.add_repo() } else { self.rng.usize(from..to) }
    }

    // --- moments

    /// A delay in events that ends, most of the time, before the stream does.
    pub fn delay(&mut self) -> u64 {
        let most = (self.options.events / 8).clamp(8, 20_000);
        self.rng.u64(1..=most)
    }

    /// A short delay in events: out of order, yet close.
    pub fn short_delay(&mut self) -> u64 {
        let most = (self.options.events / 100).clamp(4, 2_000);
        self.rng.u64(1..=most)
    }

    pub fn after(&mut self, delay: u64, what: Later) {
        self.order += 1;
        self.later.insert((self.index + delay, self.order), what);
    }

    /// What is due, oldest first.
    pub fn due(&mut self) -> Option<Later> {
        let first = self.later.first_entry()?;
        (first.key().0 <= self.index).then(|| first.remove())
    }

    /// A moment that some posts share to the millisecond.
    pub fn same_moment(&mut self) -> Time {
        if self.one_in(4) || self.shared_moment == Time::EPOCH {
            self.shared_moment = self.just_now();
        }
        self.shared_moment
    }

    /// A little before now: when the author's device says it was.
    pub fn just_now(&mut self) -> Time {
        let lag = self.rng.i64(100_000..3_000_000);
        self.now.plus_micros(-lag)
    }

    // --- writing

    /// The next rev of a repository: a little before now, after every earlier one.
    pub fn rev(&mut self, repo: usize) -> Tid {
        let lag = self.rng.i64(20_000..1_500_000);
        self.rev_at(repo, self.now.plus_micros(-lag))
    }

    /// The next rev of a repository that claims to have been made at `time`.
    pub fn rev_at(&mut self, repo: usize, time: Time) -> Tid {
        let repo = &mut self.repos[repo];
        repo.commits += 1;
        repo.last_rev = Tid::from_time(time, repo.clock).to_u64().max(repo.last_rev + 1024);
        Tid::from_u64(repo.last_rev)
    }

    /// Whether the repository has made no commit but the one in hand, so that its rev may still claim any time.
    pub fn is_fresh(&self, repo: usize) -> bool {
        self.repos[repo].commits == 1
    }

    /// The commit in hand is given another rev: the one it had never was.
    pub fn forget_revs(&mut self, repo: usize) {
        self.repos[repo].last_rev = 0;
    }

    /// A new record key: nearly always a TID of now.
    pub fn key(&mut self, repo: usize) -> Key {
        if repo >= self.cast_from && self.one_in(60) {
            return self.odd_key();
        }
        let lag = self.rng.i64(100_000..2_000_000);
        let repo = &mut self.repos[repo];
        repo.last_key = Tid::from_time(self.now.plus_micros(-lag), repo.clock).to_u64().max(repo.last_key + 1024);
        Key::Moving(Tid::from_u64(repo.last_key))
    }

    fn odd_key(&mut self) -> Key {
        let number = self.rng.u32(..);
        let form: String = match self.rng.u8(0..4) {
            0 => format!("hello-world_{number}"),
            1 => format!("3k.{number:x}~x:y"),
            2 => format!("{number:016}"),
            _ => format!("A{number:x}"),
        };
        Key::Fixed(form.into())
    }

    /// A commit of `repo` made now.
    pub fn put(
        &mut self,
        repo: usize,
        operation: Operation,
        collection: &'static str,
        rkey: Key,
        record: Json,
    ) -> Draft {
        let rev = self.rev(repo);
        let cid = words::cid(&mut self.rng).into();
        self.draft(
            repo,
            Kind::Commit { rev, operation, collection: collection.into(), rkey, record: Some((record, cid)) },
        )
    }

    /// A delete made now.
    pub fn delete(&mut self, repo: usize, collection: &'static str, rkey: Key) -> Draft {
        let rev = self.rev(repo);
        let operation = Operation::Delete;
        self.draft(repo, Kind::Commit { rev, operation, collection: collection.into(), rkey, record: None })
    }

    pub fn draft(&mut self, repo: usize, kind: Kind) -> Draft {
        Draft { did: self.repos[repo].did.clone(), kind, features: Vec::new() }
    }

    pub fn did(&self, repo: usize) -> Arc<str> {
        self.repos[repo].did.clone()
    }

    /// The config's AT-URI.
    pub fn community_uri(&self, community: usize) -> Json {
        let community = &self.communities[community];
        Json::Uri(self.did(community.owner), CONFIG, Key::Fixed(community.rkey.clone()))
    }

    /// The community's tag without `#`.
    pub fn word(&self, community: usize) -> String {
        let community = &self.communities[community];
        format!("atrarium_{}", community.moved_to.as_ref().unwrap_or(&community.id))
    }

    pub fn remember_post(&mut self, post: PostRef) {
        let posts = &mut self.communities[post.community].posts;
        posts.push_back(post);
        if posts.len() > POSTS_REMEMBERED {
            posts.pop_front();
        }
    }

    pub fn forget_post(&mut self, post: &PostRef) {
        let community = &mut self.communities[post.community];
        community.posts.retain(|it| it.rkey != post.rkey || it.author != post.author);
    }
}
