//! Pages and appends, against the design one would write first: `cargo bench --no-default-features --bench view`.
//!
//! The last lines are ratios of medians of interleaved runs; of appends under readers, of the 99.9th percentiles.
//!
//! | page | what is read |
//! |---|---|
//! | hot | the first page of one community, again and again: rendered once. "Walked" is the same page, collected and rendered each time |
//! | random | behind a random post of a random community: ten thousand such places in turn |
//! | cold cursor | behind a post deep in a random community, each place once, after the processor's caches have been filled with something else |
//! | all hidden | a community of which nothing is shown; walked |
//! | mixed | the first page of a community that takes half of it from its parent and from all others |

#[path = "view/appends.rs"]
mod appends;
#[path = "view/naive.rs"]
mod naive;

use std::hint::black_box;
use std::sync::Arc;
use std::time::Duration;

use atrarium::clock::Clock;
use atrarium::fact::{Change, CommunityId, CommunityInfo, FeedMix, PostKey, Tags};
use atrarium::syntax::{Did, RecordKey, RecordUri, Tid, Time};
use atrarium::view::{PageCursor, View, Writer};
use criterion::Criterion;

use naive::Naive;

const COMMUNITIES: u32 = 2_000;
const POSTS: u64 = 300;
const AUTHORS: u64 = 30;
const PAGE: usize = 50;
const MIX: FeedMix = FeedMix { own: 10_000, parent: 0, global: 0 };
const START_MILLIS: i64 = 1_790_000_000_000;
const NOW: Time = Time::from_millis(START_MILLIS + 150_000_000);

fn did(number: u64) -> String {
    let mut random = fastrand::Rng::with_seed(number);
    let id: String = (0..24).map(|_| char::from(b"234567abcdefghijklmnopqrstuvwxyz"[random.usize(0..32)])).collect();
    format!("did:plc:{id}")
}

fn post(community: u32, number: u64) -> PostKey {
    // A post a second, in waves of four minutes: from one in two seconds to four in one.
    let waves = 30_000.0 * (f64::from(community) + number as f64 / 40.0).sin();
    let time_millis = START_MILLIS + number as i64 * 1000 + waves as i64;
    let author = did(u64::from(community) * 7 + number % AUTHORS);
    PostKey {
        time_millis,
        did: Did::parse(&author).expect("a DID"),
        rkey: RecordKey::from(Tid::from_time(Time::from_millis(time_millis), number as u16)),
    }
}

/// A community's id as text.
fn name(community: u32) -> String {
    format!("{community:08x}")
}

const HOT: u32 = 5;
/// A community that takes half of its page from its parent and from all others.
const MIXED: CommunityId = CommunityId(6);
const PARENT: CommunityId = CommunityId(7);
/// A community of which nothing is shown.
const HIDDEN: CommunityId = CommunityId(8);

fn info(id: CommunityId, mix: FeedMix, parent: Option<CommunityId>) -> Arc<CommunityInfo> {
    let uri = format!("at://{}/net.atrarium.community.config/{}", did(0), id.0);
    Arc::new(CommunityInfo {
        uri: RecordUri::parse(&uri).expect("a URI"),
        name: "name".into(),
        mix,
        parent,
        pinned: None,
    })
}

/// Both designs, with the same posts.
fn filled() -> (Writer, View, Naive) {
    let (mut writer, view) = atrarium::view::new();
    let naive = Naive::default();
    for number in 0..COMMUNITIES {
        let (id, text) = (CommunityId(number), name(number));
        writer.apply(Change::Open { id, info: info(id, MIX, None) });
        for author in 0..AUTHORS {
            writer.apply(Change::Author { id, did: post(number, author).did, shown: true });
        }
        for post in (0..POSTS).map(|at| post(number, at)) {
            naive.insert(&text, &post);
            writer.apply(Change::Insert { id, post, tags: Tags::One(id), hidden: id == HIDDEN });
        }
    }
    naive.hide_all(&name(HIDDEN.0));
    // Once more for the list of all, in the order of a stream.
    for (at, number) in (0..POSTS).flat_map(|at| (0..COMMUNITIES).map(move |number| (at, number))) {
        let post = post(number, at);
        naive.share(&name(number), &post);
        writer.apply(Change::Share { post, tags: Tags::One(CommunityId(number)) });
    }
    let mix = FeedMix { own: 5000, parent: 3000, global: 2000 };
    writer.apply(Change::Open { id: MIXED, info: info(MIXED, mix, Some(PARENT)) });
    writer.publish();
    (writer, view, naive)
}

/// As the HTTP threads read.
fn page(view: &View, id: u32, after: Option<&PageCursor>, out: &mut Vec<u8>) {
    out.clear();
    let community = view.find(CommunityId(id)).expect("served");
    view.write_page(&community, NOW, PAGE, after, out);
    black_box(&out);
}

/// Collected and rendered, whatever was rendered before.
fn walked(view: &View, id: u32, out: &mut Vec<u8>) {
    out.clear();
    let community = view.find(CommunityId(id)).expect("served");
    view.page(&community, NOW, PAGE, None).write_json(out);
    black_box(&out);
}

/// The median time of each body in nanoseconds per call, over interleaved runs. `before` is called before each run.
fn medians<const N: usize>(
    runs: usize,
    calls: u32,
    mut before: impl FnMut(),
    mut bodies: [Box<dyn FnMut() + '_>; N],
) -> [f64; N] {
    let clock = Clock::real();
    let mut times = [const { Vec::new() }; N];
    for _ in 0..runs {
        for (body, times) in bodies.iter_mut().zip(&mut times) {
            before();
            let started = clock.monotonic();
            (0..calls).for_each(|_| body());
            times.push((clock.monotonic() - started).as_nanos() as f64 / f64::from(calls));
        }
    }
    times.map(|mut times| {
        times.sort_by(f64::total_cmp);
        times[times.len() / 2]
    })
}

/// Where readers are: a community, and behind which of its posts, in both forms.
struct Places {
    all: Vec<(u32, String, PageCursor)>,
    next: usize,
}

impl Places {
    fn new(seed: u64, count: usize, posts: std::ops::Range<u64>) -> Self {
        let mut random = fastrand::Rng::with_seed(seed);
        let place = |_| {
            let (community, at) = (random.u32(HIDDEN.0 + 1..COMMUNITIES), random.u64(posts.clone()));
            (community, name(community), PageCursor::behind(post(community, at)))
        };
        Self { all: (0..count).map(place).collect(), next: 0 }
    }

    fn random() -> Self {
        Self::new(1, 10_000, PAGE as u64 + 1..POSTS)
    }

    fn next(&mut self) -> &(u32, String, PageCursor) {
        self.next = (self.next + 1) % self.all.len();
        &self.all[self.next]
    }
}

/// Of the view and of the naive design, in nanoseconds.
fn cold_cursors(view: &View, naive: &Naive) -> [f64; 2] {
    const RUNS: usize = 60;
    const CALLS: u32 = 16;
    let deep = || Places::new(2, RUNS * CALLS as usize, PAGE as u64 + 1..POSTS / 2);
    let (mut places, mut naive_places) = (deep(), deep());
    let (mut out, mut naive_out) = (Vec::new(), Vec::new());
    // More than any cache of the processors at hand.
    let mut other = vec![1u8; 96 << 20];
    medians(
        RUNS,
        CALLS,
        || {
            other.iter_mut().step_by(64).for_each(|byte| *byte = byte.wrapping_add(1));
            black_box(&other);
        },
        [
            Box::new(|| {
                let (id, _, after) = places.next();
                page(view, *id, Some(after), &mut out);
            }),
            Box::new(|| {
                let (_, id, after) = naive_places.next();
                naive.page(id, Some(after.oldest().time_millis), &mut naive_out);
            }),
        ],
    )
}

fn main() {
    let (mut writer, view, naive) = filled();
    let (mut out, mut naive_out) = (Vec::new(), Vec::new());
    let items = |body: &[u8]| serde_json::from_slice::<serde_json::Value>(body).expect("JSON")["feed"].clone();
    for id in [HOT, HIDDEN.0] {
        page(&view, id, None, &mut out);
        naive.page(&name(id), None, &mut naive_out);
        assert_eq!(items(&out), items(&naive_out), "both designs show the same page");
    }

    let hot = name(HOT);
    let mut criterion = Criterion::default()
        .sample_size(20)
        .warm_up_time(Duration::from_millis(200))
        .measurement_time(Duration::from_secs(1))
        .configure_from_args();
    let mut group = criterion.benchmark_group("page of 50");
    group.bench_function("hot", |bench| bench.iter(|| page(&view, HOT, None, &mut out)));
    group.bench_function("hot, walked", |bench| bench.iter(|| walked(&view, HOT, &mut out)));
    group.bench_function("hot, of three sources", |bench| bench.iter(|| page(&view, MIXED.0, None, &mut out)));
    group.bench_function("hot, naive", |bench| bench.iter(|| naive.page(&hot, None, &mut naive_out)));
    let mut places = Places::random();
    group.bench_function("random", |bench| {
        bench.iter(|| {
            let (id, _, after) = places.next();
            page(&view, *id, Some(after), &mut out);
        });
    });
    group.finish();
    criterion.final_summary();
    // A profile is to be of the one benchmark that was asked for.
    if std::env::args().all(|argument| argument != "--profile-time") {
        ratios(&mut writer, &view, &naive);
    }
}

fn ratios(writer: &mut Writer, view: &View, naive: &Naive) {
    let (mut places, mut naive_places) = (Places::random(), Places::random());
    let [mixed, parent, hidden, hot] = [MIXED.0, PARENT.0, HIDDEN.0, HOT].map(name);
    let mut outs = [const { Vec::new() }; 9];
    let [out0, out1, out2, out3, out4, out5, out6, out7, out8] = &mut outs;
    let [hot, walked, naive_hot, random, naive_random, hidden, naive_hidden, mixed, naive_mixed] = medians(
        15,
        5_000,
        || {},
        [
            Box::new(|| page(view, HOT, None, out0)),
            Box::new(|| walked(view, HOT, out1)),
            Box::new(|| naive.page(&hot, None, out2)),
            Box::new(|| {
                let (id, _, after) = places.next();
                page(view, *id, Some(after), out3);
            }),
            Box::new(|| {
                let (_, id, after) = naive_places.next();
                naive.page(id, Some(after.oldest().time_millis), out4);
            }),
            Box::new(|| walked(view, HIDDEN.0, out5)),
            Box::new(|| naive.page(&hidden, None, out6)),
            Box::new(|| page(view, MIXED.0, None, out7)),
            Box::new(|| naive.mixed_page(&mixed, &parent, [25, 15, 10], out8)),
        ],
    );
    let [cold, naive_cold] = cold_cursors(view, naive);
    let (append, naive_append) = appends::alone(writer, naive);
    let preempted = appends::preempted(writer, view, naive);
    for (what, view, naive) in [
        ("hot page", hot, naive_hot),
        ("hot page, walked", walked, naive_hot),
        ("random page", random, naive_random),
        ("cold cursor page", cold, naive_cold),
        ("all hidden page", hidden, naive_hidden),
        ("mixed page", mixed, naive_mixed),
        ("append", append, naive_append),
    ] {
        println!("{what}: {view:.0} ns, naive {naive:.0} ns");
    }
    println!("view vs naive, hot page: {:.1}x", naive_hot / hot);
    println!("view vs naive, hot page, walked: {:.1}x", naive_hot / walked);
    println!("view vs naive, random page: {:.1}x", naive_random / random);
    println!("view vs naive, cold cursor page: {:.1}x", naive_cold / cold);
    println!("view vs naive, all hidden page: {:.1}x", naive_hidden / hidden);
    println!("view vs naive, mixed page: {:.1}x", naive_mixed / mixed);
    println!("view vs naive, append: {:.1}x", naive_append / append);
    println!("page of one source vs of three: {:.1}x", mixed / walked);
    let appends::Preempted { view, view_published, naive } = preempted;
    println!("append p99.9 under preempted readers, each published: {view_published:.2} us");
    println!("append p99.9 under preempted readers, Mutex vs view: {:.1}x", naive / view);
    println!("append p99.9 under preempted readers: {view:.2} us");
}
