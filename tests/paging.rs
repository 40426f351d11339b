//! The paging proof: readers walk from page to page, over plain and mixed feeds, while a writer inserts (late too), hides,
//! unhides, edits, deletes, blocks, lets people join and leave, changes mixes and parents, evicts, and starts anew.
//!
//! | claim | tried by |
//! |---|---|
//! | what was visible throughout, from one source, is met exactly once | `Walk::end` |
//! | nothing is met twice, unless it changed its time or its source | `Walk::take` |
//! | only the last page is short; no page but the last is empty; no more than `limit`; a cursor leads on | `Walk::take` |
//!
//! `ATRARIUM_MIX_SEEDS=0..10000 cargo test --no-default-features --test paging` looks longer.

mod mixing_support;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::atomic::{AtomicBool, Ordering};

use atrarium::fact::{Change, CommunityId, CommunityInfo, Excluded, FeedMix, PostKey, Tags};
use atrarium::syntax::{Did, RecordKey, RecordUri, Tid, Time};
use atrarium::view::{PageCursor, View, Writer};
use mixing_support::{Net, checked_cursor, mix, seeds};
use model::Mixed;

/// Where an item stands: its time and its source.
type Standing = (i64, usize);

/// One reader's walk through one feed.
struct Walk {
    story: String,
    cursor: Option<PageCursor>,
    /// What was visible at every moment so far, and stood in the same place.
    throughout: HashMap<String, Standing>,
    /// What has stood in more than one place since the walk began.
    moved: HashSet<String>,
    /// Where each item was seen to stand last.
    standings: HashMap<String, Standing>,
    met: HashMap<String, usize>,
    parent: Option<String>,
}

/// What walks have shown.
#[derive(Debug, Default)]
struct Met {
    walks: usize,
    mixed_walks: usize,
    pages: usize,
    items: usize,
    /// Items that had to be met, and were.
    throughout: usize,
}

fn standings(mixed: &Mixed) -> HashMap<String, Standing> {
    let mut all = HashMap::new();
    for (source, places) in mixed.sources.iter().enumerate().filter(|(source, _)| mixed.shares[*source] > 0) {
        all.extend(places.iter().map(|(time, uri)| (uri.clone(), (*time, source))));
    }
    all
}

impl Walk {
    fn begin(story: String, mixed: &Mixed) -> Self {
        let standings = standings(mixed);
        let parent = mixed.parent.clone();
        let (cursor, moved, met) = (None, HashSet::new(), HashMap::new());
        Self { story, cursor, throughout: standings.clone(), moved, standings, met, parent }
    }

    /// Something has happened: what is not where it was is no more "throughout".
    fn observe(&mut self, mixed: &Mixed) {
        let now = standings(mixed);
        // Another parent: what was parent's may be global's now. Own is what it was.
        let relinked = self.parent != mixed.parent;
        self.throughout.retain(|uri, standing| now.get(uri) == Some(standing) && (!relinked || standing.1 == 0));
        for (uri, standing) in now {
            if self.standings.insert(uri.clone(), standing).is_some_and(|before| before != standing) {
                self.moved.insert(uri);
            }
        }
    }

    /// The next page. Says whether more follows.
    fn take(&mut self, net: &mut Net, id: &str, met: &mut Met) -> bool {
        let limit = net.rng.usize(1..=8);
        let community = net.view.find_feed(id, None).expect("served");
        let page = net.view.page(&community, net.now(), limit, self.cursor.as_ref());
        self.cursor = checked_cursor(&page, limit, self.cursor.as_ref(), &self.story);
        assert!(self.cursor.is_none() || page.len() == limit, "{}: a short page in the middle", self.story);
        for uri in page.uris() {
            let times = self.met.entry(uri.clone()).or_default();
            *times += 1;
            assert!(*times == 1 || self.moved.contains(&uri), "{}: {uri} twice", self.story);
        }
        met.pages += 1;
        met.items += page.len();
        self.cursor.is_some()
    }

    fn end(&self, met: &mut Met) {
        for uri in self.throughout.keys() {
            assert_eq!(self.met.get(uri), Some(&1), "{}: {uri} was there all the time", self.story);
        }
        met.walks += 1;
        met.mixed_walks += usize::from(self.throughout.values().any(|(_, source)| *source > 0));
        met.throughout += self.throughout.len();
    }
}

#[test]
fn walks_hold_in_every_interleaving() {
    let mut met = Met::default();
    for seed in seeds(2000..2030) {
        let mut net = Net::new(seed, 1 + (seed % 5) as u32);
        (0..150).for_each(|_| net.act());
        net.folded.publish();
        let mut walks: BTreeMap<String, Walk> = BTreeMap::new();
        for step in 0..120 {
            // Mostly quiet, so that walks come far.
            (0..[0, 0, 1, 3][net.rng.usize(..4)]).for_each(|_| net.act());
            if net.rng.u32(..30) == 0 {
                net.restart();
            }
            net.folded.publish();
            let now = net.now();
            let mixed = net.model.mixed(now);
            walks.retain(|id, _| mixed.contains_key(id));
            for (id, mixed) in &mixed {
                let begin = || Walk::begin(format!("seed {seed}, from step {step}, feed {id}"), mixed);
                let walk = walks.entry(id.clone()).or_insert_with(begin);
                walk.observe(mixed);
                if !walk.take(&mut net, id, &mut met) {
                    walk.end(&mut met);
                    walks.remove(id);
                }
            }
        }
    }
    println!("{met:?}");
    assert!(met.walks > 200 && met.mixed_walks > 50 && met.throughout > 1000, "too tame: {met:?}");
}

// --- with real threads

const HOME: CommunityId = CommunityId(1);
const PARENT: CommunityId = CommunityId(2);
const OTHERS: std::ops::Range<u32> = 3..8;
const NOW: Time = Time::from_millis(1_800_000_000_000);
/// Posts that nobody touches, at even times, in turn of own, parent and global.
const STABLE: i64 = 600;

fn did(number: u64) -> Did {
    Did::parse(&format!("did:web:author{number}")).expect("a DID")
}

fn open(writer: &mut Writer, id: CommunityId, mix: FeedMix, parent: Option<CommunityId>) {
    let uri = RecordUri::parse("at://did:web:owner/net.atrarium.community.config/self").expect("a URI");
    writer.apply(Change::Open {
        id,
        info: std::sync::Arc::new(CommunityInfo { uri, name: "n".into(), mix, parent, pinned: None }),
    });
}

fn key(time: i64, who: u64, number: u64) -> PostKey {
    PostKey {
        time_millis: NOW.millis() - 1_000_000 + time,
        did: did(who),
        rkey: RecordKey::from(Tid::from_u64(number)),
    }
}

fn uri(post: &PostKey) -> String {
    format!("at://{}/app.bsky.feed.post/{}", post.did, post.rkey)
}

/// Visible in its community, and so shared.
fn insert(writer: &mut Writer, id: CommunityId, post: &PostKey) {
    let tags = Tags::One(id);
    writer.apply(Change::Insert { id, post: post.clone(), tags: tags.clone(), hidden: false });
    writer.apply(Change::Author { id, did: post.did.clone(), shown: true });
    writer.apply(Change::Share { post: post.clone(), tags });
}

fn remove(writer: &mut Writer, id: CommunityId, post: PostKey) {
    writer.apply(Change::Remove { id, post: post.clone() });
    writer.apply(Change::Unshare { post });
}

/// Everything that may happen beside the stable posts.
fn churn(writer: &mut Writer, rounds: usize, seed: u64) {
    let mut rng = fastrand::Rng::with_seed(seed);
    let mut there: Vec<(CommunityId, PostKey)> = Vec::new();
    let mut number = 1u64 << 40;
    for _ in 0..rounds {
        for _ in 0..rng.usize(1..12) {
            let at = rng.usize(..there.len().max(1));
            match rng.u32(..10) {
                0..5 => {
                    let id = CommunityId(rng.u32(1..OTHERS.end));
                    number += 1;
                    let time = if rng.bool() { STABLE * 2 + number as i64 % 1000 } else { rng.i64(0..STABLE * 2) };
                    let post = key(time, 100 + rng.u64(..30), number);
                    insert(writer, id, &post);
                    there.push((id, post));
                }
                5..7 if !there.is_empty() => {
                    let (id, post) = there.swap_remove(at);
                    remove(writer, id, post);
                }
                7 if !there.is_empty() => {
                    // Another hashtag, which takes it from one source to another.
                    let (id, post) = &there[at];
                    let tags = Tags::Many([*id, CommunityId(9)].into());
                    writer.apply(Change::Retag { id: *id, post: post.clone(), tags: tags.clone() });
                    writer.apply(Change::Share { post: post.clone(), tags });
                }
                _ => {
                    // Who is blocked here has written none of the stable posts.
                    let (did, excluded) = (did(100 + rng.u64(..30)), rng.bool());
                    writer.apply(Change::Exclude { id: HOME, what: Excluded::Account(did), excluded });
                }
            }
        }
        writer.publish();
    }
}

/// One walk: returns which stable posts it met, in which order.
fn walk(view: &View, rng: &mut fastrand::Rng, stable: &HashMap<String, PostKey>) {
    let community = view.find(HOME).expect("served");
    let (mut seen, mut stable_seen, mut cursor) = (HashSet::new(), 0, None);
    loop {
        let limit = rng.usize(1..=100);
        let page = view.page(&community, NOW, limit, cursor.as_ref());
        let keys: Vec<String> = page.uris().collect();
        let stable_keys: Vec<&PostKey> = keys.iter().filter_map(|uri| stable.get(uri)).collect();
        assert!(stable_keys.is_sorted_by(|a, b| a > b), "newest first");
        stable_seen += stable_keys.len();
        cursor = checked_cursor(&page, limit, cursor.as_ref(), "threads");
        for uri in keys {
            // Others carry the same hashtags for good, but for those that `churn` retags, which stay in their source.
            assert!(seen.insert(uri.clone()), "twice: {uri}");
        }
        if cursor.is_none() {
            break;
        }
    }
    assert_eq!(stable_seen, stable.len(), "every post that was visible throughout");
}

#[test]
fn walks_hold_beside_a_writer_on_another_thread() {
    let (mut writer, view) = atrarium::view::new();
    open(&mut writer, HOME, mix(5000, 3000, 2000), Some(PARENT));
    open(&mut writer, PARENT, mix(10_000, 0, 0), None);
    OTHERS.for_each(|id| open(&mut writer, CommunityId(id), mix(10_000, 0, 0), None));
    let mut stable = HashMap::new();
    for number in 0..STABLE {
        let id = [HOME, PARENT, CommunityId(OTHERS.start + number as u32 % 5)][number as usize % 3];
        let post = key(number * 2, number as u64 % 20, number as u64);
        insert(&mut writer, id, &post);
        stable.insert(uri(&post), post);
    }
    writer.publish();
    let is_over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for seed in 0..2 {
            let (view, stable, is_over) = (view.clone(), &stable, &is_over);
            scope.spawn(move || {
                let mut rng = fastrand::Rng::with_seed(seed);
                while !is_over.load(Ordering::Relaxed) {
                    walk(&view, &mut rng, stable);
                }
            });
        }
        // A writer that panics must not leave its readers reading for ever.
        struct Over<'a>(&'a AtomicBool);
        impl Drop for Over<'_> {
            fn drop(&mut self) {
                self.0.store(true, Ordering::Relaxed);
            }
        }
        let _over = Over(&is_over);
        churn(&mut writer, 1200, 7);
    });
    walk(&view, &mut fastrand::Rng::with_seed(3), &stable);
}
