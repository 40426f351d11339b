//! What an append costs the writer: alone, and while more readers read than there are processors, so that any of them may
//! lose its processor in the middle of a page.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use atrarium::clock::Clock;
use atrarium::fact::{Change, CommunityId, PostKey, Tags};
use atrarium::view::{View, Writer};

use super::naive::Naive;
use super::{COMMUNITIES, POSTS, name, page, post};

/// Where appends go.
const BUSY: CommunityId = CommunityId(3);
/// Appends alone.
const COUNT: u64 = 100_000;
/// Where appends under readers go, in turn; a quarter of all pages are read there.
const BUSY_TOO: [u32; 4] = [10, 11, 12, 13];
/// Appends under readers, in all.
const PREEMPTED: u64 = 10_000;
/// …or fewer, where they take longer than this: behind a mutex they do.
const PREEMPTED_TIME: Duration = Duration::from_secs(10);
/// Readers for each processor.
const READERS: usize = 4;
/// Between two appends.
const INTERVAL: Duration = Duration::from_micros(50);

/// Nanoseconds for each append, of the view and of the naive design: posts made ahead, in order, in one community; the
/// view publishes by 64.
pub fn alone(writer: &mut Writer, naive: &Naive) -> (f64, f64) {
    let clock = Clock::real();
    let posts: Vec<PostKey> = (POSTS..POSTS + COUNT).map(|at| post(BUSY.0, at)).collect();
    let id = name(BUSY.0);
    let before = clock.monotonic();
    for post in &posts {
        naive.append(&id, post);
    }
    let naive = clock.monotonic() - before;
    let before = clock.monotonic();
    for (at, post) in posts.into_iter().enumerate() {
        writer.apply(Change::Insert { id: BUSY, post, tags: Tags::One(BUSY), hidden: false });
        if at % 64 == 0 {
            writer.publish();
        }
    }
    writer.publish();
    let view = clock.monotonic() - before;
    (view.as_nanos() as f64 / COUNT as f64, naive.as_nanos() as f64 / COUNT as f64)
}

/// The 99.9th percentiles of appends, in microseconds.
pub struct Preempted {
    pub view: f64,
    /// With a publishing behind each, as where each batch has one post.
    pub view_published: f64,
    pub naive: f64,
}

/// Appends, of the view and of the naive design. A post that comes in order is seen before it is published, but for the
/// first of each chunk.
pub fn preempted(writer: &mut Writer, view: &View, naive: &Naive) -> Preempted {
    let names = BUSY_TOO.map(name);
    let clock = Clock::real();
    let [naive, _] = measure(
        &clock,
        |number, out| naive.page(&name(number), None, out),
        |at, post| {
            naive.append(&names[at], &post);
            clock.monotonic()
        },
    );
    let [view, view_published] = measure(
        &clock,
        |number, out| page(view, number, None, out),
        |at, post| {
            let id = CommunityId(BUSY_TOO[at]);
            writer.apply(Change::Insert { id, post, tags: Tags::One(id), hidden: false });
            let applied = clock.monotonic();
            writer.publish();
            applied
        },
    );
    Preempted { view, view_published, naive }
}

/// The 99.9th percentiles of the time until `append` has seen its post in, and until it has returned.
fn measure(
    clock: &Clock,
    read: impl Fn(u32, &mut Vec<u8>) + Sync,
    mut append: impl FnMut(usize, PostKey) -> Duration,
) -> [f64; 2] {
    let readers = READERS * std::thread::available_parallelism().map_or(1, usize::from);
    let (each, places) = (PREEMPTED / BUSY_TOO.len() as u64, BUSY_TOO.into_iter().enumerate());
    let posts: Vec<(usize, PostKey)> = (POSTS..POSTS + each)
        .flat_map(|number| places.clone().map(move |(at, community)| (at, post(community, number))))
        .collect();
    let is_over = AtomicBool::new(false);
    let times: Vec<[Duration; 2]> = std::thread::scope(|scope| {
        for seed in 0..readers {
            let (read, is_over) = (&read, &is_over);
            scope.spawn(move || {
                let (mut random, mut out) = (fastrand::Rng::with_seed(seed as u64), Vec::new());
                while !is_over.load(Ordering::Relaxed) {
                    let is_busy = random.u8(..4) == 0;
                    let number = if is_busy { BUSY_TOO[random.usize(..4)] } else { random.u32(0..COMMUNITIES) };
                    read(number, &mut out);
                }
            });
        }
        let started = clock.monotonic();
        let append_one = |(at, post)| {
            #[expect(clippy::disallowed_methods, reason = "a writer that waits for the stream")]
            std::thread::sleep(INTERVAL);
            let before = clock.monotonic();
            let applied = append(at, post);
            (before, [applied - before, clock.monotonic() - before])
        };
        let timed = posts.into_iter().map(append_one);
        let times = timed.take_while(|(at, _)| *at - started < PREEMPTED_TIME).map(|(_, time)| time).collect();
        is_over.store(true, Ordering::Relaxed);
        times
    });
    [0, 1].map(|which| {
        let mut times: Vec<Duration> = times.iter().map(|times| times[which]).collect();
        times.sort_unstable();
        times[times.len() - 1 - times.len() / 1000].as_nanos() as f64 / 1000.0
    })
}
