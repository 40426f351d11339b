//! Pages and appends, against the design one would write first: `cargo bench --no-default-features --bench view`.
//!
//! The naive design is a `Mutex<VecDeque>` of posts with `String`s per community, filtered on reading and rendered by
//! `serde_json`. The last lines are ratios of the medians of interleaved runs.

use std::collections::{HashMap, HashSet, VecDeque};
use std::hint::black_box;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use atrarium::clock::Clock;
use atrarium::fact::{Change, CommunityId, CommunityInfo, FeedMix, PostKey, Tags};
use atrarium::syntax::{Did, RecordKey, RecordUri, Tid, Time};
use atrarium::view::{PageCursor, View, Writer};
use criterion::Criterion;
use serde::Serialize;

const COMMUNITIES: u32 = 2_000;
const POSTS: u64 = 300;
const AUTHORS: u64 = 30;
const PAGE: usize = 50;
const MIX: FeedMix = FeedMix { own: 10_000, parent: 0, global: 0 };
const START_MILLIS: i64 = 1_790_000_000_000;
const NOW: Time = Time::from_millis(START_MILLIS + 10_000_000);

fn did(number: u64) -> String {
    let mut random = fastrand::Rng::with_seed(number);
    let id: String = (0..24).map(|_| char::from(b"234567abcdefghijklmnopqrstuvwxyz"[random.usize(0..32)])).collect();
    format!("did:plc:{id}")
}

fn post(community: u32, number: u64) -> PostKey {
    let time_millis = START_MILLIS + number as i64 * 1000;
    let author = did(u64::from(community) * 7 + number % AUTHORS);
    PostKey {
        time_millis,
        did: Did::parse(&author).expect("a DID"),
        rkey: RecordKey::from(Tid::from_time(Time::from_millis(time_millis), number as u16)),
    }
}

// --- this design

/// A community that takes half of its page from its parent and from all others.
const MIXED: CommunityId = CommunityId(6);

fn info(id: CommunityId, mix: FeedMix, parent: Option<CommunityId>) -> Arc<CommunityInfo> {
    let uri = format!("at://{}/net.atrarium.community.config/{}", did(0), id.0);
    Arc::new(CommunityInfo { uri: RecordUri::parse(&uri).expect("a URI"), name: "name".into(), mix, parent })
}

fn filled() -> (Writer, View) {
    let (mut writer, view) = atrarium::view::new();
    for number in 0..COMMUNITIES {
        let id = CommunityId(number);
        writer.apply(Change::Open { id, info: info(id, MIX, None) });
        for author in 0..AUTHORS {
            writer.apply(Change::Author { id, did: post(number, author).did, shown: true });
        }
        for at in 0..POSTS {
            writer.apply(Change::Insert { id, post: post(number, at), tags: Tags::One(id), hidden: false });
        }
    }
    // Once more for the global ring, in the order of a stream.
    for (at, number) in (0..POSTS).flat_map(|at| (0..COMMUNITIES).map(move |number| (at, number))) {
        writer.apply(Change::Share { post: post(number, at), tags: Tags::One(CommunityId(number)) });
    }
    let mix = FeedMix { own: 5000, parent: 3000, global: 2000 };
    writer.apply(Change::Open { id: MIXED, info: info(MIXED, mix, Some(CommunityId(7))) });
    writer.publish();
    (writer, view)
}

fn page(view: &View, id: u32, after: Option<&PageCursor>, out: &mut Vec<u8>) {
    out.clear();
    let community = view.find(CommunityId(id)).expect("served");
    view.page(&community, NOW, PAGE, after).write_json(out);
    black_box(&out);
}

// --- the naive one

struct NaivePost {
    did: String,
    rkey: String,
    time_millis: i64,
    hidden: bool,
}

#[derive(Default)]
struct NaiveCommunity {
    posts: VecDeque<NaivePost>,
    members: HashSet<String>,
}

type Naive = Mutex<HashMap<String, NaiveCommunity>>;

#[derive(Serialize)]
struct NaivePage {
    feed: Vec<NaiveItem>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cursor: Option<String>,
}

#[derive(Serialize)]
struct NaiveItem {
    post: String,
}

fn naive_filled() -> Naive {
    let mut communities = HashMap::<String, NaiveCommunity>::new();
    for number in 0..COMMUNITIES {
        let community = communities.entry(format!("{number:08x}")).or_default();
        for post in (0..POSTS).map(|at| post(number, at)) {
            community.members.insert(post.did.to_string());
            naive_append(community, &post);
        }
    }
    Mutex::new(communities)
}

fn naive_append(community: &mut NaiveCommunity, post: &PostKey) {
    let (did, rkey) = (post.did.to_string(), post.rkey.to_string());
    community.posts.push_front(NaivePost { did, rkey, time_millis: post.time_millis, hidden: false });
}

fn naive_page(naive: &Naive, id: &str, after_millis: Option<i64>, out: &mut Vec<u8>) {
    out.clear();
    let communities = naive.lock().expect("not poisoned");
    let community = &communities[id];
    let start = after_millis.map_or(0, |after| community.posts.partition_point(|post| post.time_millis >= after));
    let is_visible = |post: &&NaivePost| {
        !post.hidden
            && community.members.contains(&post.did)
            && NOW.micros() - post.time_millis * 1000 < atrarium::limits::RETENTION_MICROS
    };
    let mut visible = community.posts.range(start..).filter(is_visible);
    let items: Vec<&NaivePost> = visible.by_ref().take(PAGE).collect();
    let cursor = visible.next().and(items.last()).map(|last| format!("{}::{}", last.time_millis, last.rkey));
    let item = |post: &&NaivePost| NaiveItem { post: format!("at://{}/app.bsky.feed.post/{}", post.did, post.rkey) };
    let page = NaivePage { feed: items.iter().map(item).collect(), cursor };
    serde_json::to_writer(&mut *out, &page).expect("a page is JSON");
    black_box(&out);
}

// --- the measurement

/// The median time of each body in nanoseconds per call, over interleaved runs.
fn medians<const N: usize>(runs: usize, calls: u32, mut bodies: [Box<dyn FnMut() + '_>; N]) -> [f64; N] {
    let clock = Clock::real();
    let mut times = [const { Vec::new() }; N];
    for _ in 0..runs {
        for (body, times) in bodies.iter_mut().zip(&mut times) {
            let before = clock.monotonic();
            (0..calls).for_each(|_| body());
            times.push((clock.monotonic() - before).as_nanos() as f64 / f64::from(calls));
        }
    }
    times.map(|mut times| {
        times.sort_by(f64::total_cmp);
        times[times.len() / 2]
    })
}

/// Where random readers are: a community, and after which of its posts, in both forms.
struct Places {
    all: Vec<(u32, String, PageCursor)>,
    next: usize,
}

impl Places {
    fn new() -> Self {
        let mut random = fastrand::Rng::with_seed(1);
        let place = |_| {
            let (community, at) = (random.u32(0..COMMUNITIES), random.u64(PAGE as u64 + 1..POSTS));
            let community = if community == MIXED.0 { 5 } else { community };
            (community, format!("{community:08x}"), PageCursor::behind(post(community, at)))
        };
        Self { all: (0..10_000).map(place).collect(), next: 0 }
    }

    fn next(&mut self) -> &(u32, String, PageCursor) {
        self.next = (self.next + 1) % self.all.len();
        &self.all[self.next]
    }
}

fn main() {
    let (mut writer, view) = filled();
    let naive = naive_filled();
    let (mut out, mut naive_out) = (Vec::new(), Vec::new());
    page(&view, 5, None, &mut out);
    naive_page(&naive, "00000005", None, &mut naive_out);
    let items = |body: &[u8]| serde_json::from_slice::<serde_json::Value>(body).expect("JSON")["feed"].clone();
    assert_eq!(items(&out), items(&naive_out), "both designs show the same page");

    let mut criterion = Criterion::default()
        .sample_size(20)
        .warm_up_time(Duration::from_millis(200))
        .measurement_time(Duration::from_secs(1))
        .configure_from_args();
    let mut group = criterion.benchmark_group("page of 50");
    group.bench_function("hot", |bench| bench.iter(|| page(&view, 5, None, &mut out)));
    group.bench_function("hot, of three sources", |bench| bench.iter(|| page(&view, MIXED.0, None, &mut out)));
    group.bench_function("hot, naive", |bench| bench.iter(|| naive_page(&naive, "00000005", None, &mut naive_out)));
    let mut places = Places::new();
    group.bench_function("random", |bench| {
        bench.iter(|| {
            let (id, _, after) = places.next();
            page(&view, *id, Some(after), &mut out);
        });
    });
    group.finish();
    criterion.final_summary();

    let (mut places, mut naive_places) = (Places::new(), Places::new());
    let (mut random_out, mut naive_random_out) = (Vec::new(), Vec::new());
    let mut mixed_out = Vec::new();
    let [hot, naive_hot, random, naive_random, mixed] = medians(
        15,
        5_000,
        [
            Box::new(|| page(&view, 5, None, &mut out)),
            Box::new(|| naive_page(&naive, "00000005", None, &mut naive_out)),
            Box::new(|| {
                let (id, _, after) = places.next();
                page(&view, *id, Some(after), &mut random_out);
            }),
            Box::new(|| {
                let (_, id, after) = naive_places.next();
                naive_page(&naive, id, Some(after.oldest().time_millis), &mut naive_random_out);
            }),
            Box::new(|| page(&view, MIXED.0, None, &mut mixed_out)),
        ],
    );
    let (append, naive_append) = appends(&mut writer, &naive);
    println!(
        "ns: hot {hot:.0} (naive {naive_hot:.0}), random {random:.0} (naive {naive_random:.0}), append {append:.0} (naive {naive_append:.0})"
    );
    println!("view vs naive, hot page: {:.1}x", naive_hot / hot);
    println!("view vs naive, random page: {:.1}x", naive_random / random);
    println!("view vs naive, append: {:.1}x", naive_append / append);
    println!("page of one source vs of three: {:.1}x", mixed / hot);
}

/// Posts made ahead, so that the figure is that of the view: in order, in one community, published by 64.
fn appends(writer: &mut Writer, naive: &Naive) -> (f64, f64) {
    const COUNT: u64 = 100_000;
    let clock = Clock::real();
    let posts: Vec<PostKey> = (POSTS..POSTS + COUNT).map(|at| post(3, at)).collect();
    let before = clock.monotonic();
    for post in &posts {
        let mut communities = naive.lock().expect("not poisoned");
        naive_append(communities.get_mut("00000003").expect("there"), post);
    }
    let naive = clock.monotonic() - before;
    let before = clock.monotonic();
    for (at, post) in posts.into_iter().enumerate() {
        writer.apply(Change::Insert { id: CommunityId(3), post, tags: Tags::One(CommunityId(3)), hidden: false });
        if at % 64 == 0 {
            writer.publish();
        }
    }
    writer.publish();
    let view = clock.monotonic() - before;
    (view.as_nanos() as f64 / COUNT as f64, naive.as_nanos() as f64 / COUNT as f64)
}
