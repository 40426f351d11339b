//! How fast a fold of many posts is made, saved and restored, and how much memory a post takes:
//! ```text
//! FOLD_POSTS=10000000 cargo test --release --test fold_restore -- --ignored --nocapture
//! ```

mod fold_support;

use std::convert::Infallible;
use std::time::Duration;

use atrarium::clock::Clock;
use atrarium::community::{Fold, Restoring};
use atrarium::fact::{Batch, Body, Collection, CommunityId, Fact, Post, Record, Rev};
use atrarium::syntax::{Did, RecordKey, Tid};
use atrarium::view;
use fastrand::Rng;
use fold_support::{DAY, at, cid, commit, config, config_body, config_uri, membership, put};

/// That of the binary: the figures hang on it.
#[cfg(feature = "server")]
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const COMMUNITIES: u32 = 1000;
const AUTHORS: u32 = 100_000;
const PIECE: u32 = 10_000;

fn author(number: u32) -> String {
    format!("did:plc:{number:024}")
}

fn owner(community: u32) -> String {
    author(1_000_000 + community)
}

/// Communities; each author but every tenth is a member of the three that they write in.
fn communities() -> Vec<Fact> {
    let mut facts: Vec<Fact> =
        (0..COMMUNITIES).map(|id| put(&owner(id), "self", i64::from(id), config_body(config(id)))).collect();
    for number in (0..AUTHORS).filter(|number| number % 10 != 0) {
        for nth in 0..3 {
            let community = config_uri(&owner((number * 7 + nth) % COMMUNITIES), "self");
            facts.push(put(&author(number), &format!("join{nth}"), i64::from(number), membership(&community)));
        }
    }
    facts
}

/// Posts of a week, in order, some thousand at a time.
struct Posts {
    rng: Rng,
    dids: Vec<Did>,
    template: Record,
    made: u32,
    total: u32,
}

impl Posts {
    fn new(total: u32) -> Self {
        let template = commit(&author(0), "self", 0, Body::Deleted(Collection::Post));
        let dids = (0..AUTHORS).map(|number| fold_support::did(&author(number))).collect();
        Self { rng: Rng::with_seed(7), dids, template, made: 0, total }
    }

    fn piece(&mut self) -> Option<Vec<Fact>> {
        let count = PIECE.min(self.total - self.made);
        let facts = (0..count).map(|_| self.post()).collect();
        (count > 0).then_some(facts)
    }

    fn post(&mut self) -> Fact {
        let time = at(i64::from(self.made) * (7 * DAY / i64::from(self.total)));
        self.made += 1;
        let who = self.rng.u32(..AUTHORS);
        let tid = Tid::from_time(time, 3);
        let witnessed = time.plus_micros(self.rng.i64(100_000..2_000_000));
        let rev = Rev::Exact(Tid::from_time(time.plus_micros(self.rng.i64(0..90_000)), 9));
        let tags = vec![CommunityId((who * 7 + self.rng.u32(..3)) % COMMUNITIES)];
        let body = Body::Post(Post { tags, created: Some(time.plus_micros(-self.rng.i64(0..900_000))) });
        let (did, rkey, cid) = (self.dids[who as usize].clone(), RecordKey::from(tid), Some(cid(1)));
        Fact::Record(Record { witnessed, did, rkey, rev, cid, body, ..self.template.clone() })
    }
}

/// What the process holds, in bytes.
fn memory() -> u64 {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages = statm.split(' ').nth(1).and_then(|pages| pages.parse::<u64>().ok());
    pages.unwrap_or(0) * 4096
}

/// How long this thread has had a processor: on a busy machine that is less than the time that has passed.
fn processor_time() -> Duration {
    let stat = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    Duration::from_nanos(stat.split(' ').next().and_then(|nanos| nanos.parse().ok()).unwrap_or(0))
}

struct Watch {
    clock: Clock,
    posts: u64,
}

/// Of one step: the time that has passed, and that of the processor.
#[derive(Clone, Copy, Default)]
struct Took {
    passed: Duration,
    processor: Duration,
}

impl std::ops::Add for Took {
    type Output = Self;
    fn add(self, other: Self) -> Self {
        Self { passed: self.passed + other.passed, processor: self.processor + other.processor }
    }
}

impl Watch {
    fn time(&self, work: &mut dyn FnMut()) -> Took {
        let (passed, processor) = (self.clock.monotonic(), processor_time());
        work();
        Took { passed: self.clock.monotonic() - passed, processor: processor_time() - processor }
    }

    fn tell(&self, name: &str, Took { passed, processor }: Took, before: u64) {
        let rate = self.posts as f64 / processor.as_secs_f64();
        let each = (memory() as f64 - before as f64) / self.posts as f64;
        println!(
            "{name}: {passed:.2?}, of which {processor:.2?} on a processor: {rate:.0} posts/s; {each:+.0} bytes a post"
        );
    }
}

#[test]
#[ignore = "a measurement: run it with --release"]
fn a_fold_of_millions_of_posts_is_saved_and_restored() {
    let total = std::env::var("FOLD_POSTS").ok().and_then(|text| text.parse().ok()).unwrap_or(1_000_000);
    let watch = Watch { clock: Clock::real(), posts: u64::from(total) };
    let timed = |work: &mut dyn FnMut()| watch.time(work);

    let (mut fold, mut before) = (Fold::new(), memory());
    fold.apply_untold(&communities());
    let (mut posts, mut folded, mut decoded) = (Posts::new(total), Took::default(), Took::default());
    while let Some(facts) = posts.piece() {
        let payload = Batch::encode(&facts, Vec::new());
        let mut batch = Batch::default();
        decoded = decoded + timed(&mut || batch = Batch::decode(Batch::VERSION, &payload).expect("valid"));
        folded = folded + timed(&mut || fold.apply_untold(&batch.facts));
    }
    watch.tell("decode", decoded, memory());
    watch.tell("fold, nobody told", folded, before);
    println!("{:?}", fold.stats());

    before = memory();
    let (mut writer, seen) = view::new();
    let shown = timed(&mut || {
        fold.show(&mut |change| writer.apply(change));
        writer.publish();
    });
    watch.tell("show into a view", shown, before);
    println!("{:?}", seen.counts());
    drop((writer, seen));

    before = memory();
    let mut chunks: Vec<(u8, u8, Vec<u8>)> = Vec::new();
    let saved = timed(&mut || {
        let saved: Result<(), Infallible> = fold.save(&mut |section, version, payload| {
            chunks.push((section, version, payload.to_vec()));
            Ok(())
        });
        saved.expect("never fails");
    });
    watch.tell("save", saved, before);
    let bytes: usize = chunks.iter().map(|(.., payload)| payload.len()).sum();
    println!("the snapshot has {bytes} bytes, {:.1} a post", bytes as f64 / f64::from(total));
    let stats = fold.stats();
    drop(fold);

    before = memory();
    let (mut writer, seen) = view::new();
    let (mut restoring, mut restored) = (Restoring::new(), Fold::new());
    let taken = timed(&mut || {
        for (section, version, payload) in &chunks {
            restoring.take(*section, *version, payload).expect("what was saved");
        }
    });
    watch.tell("restore: read the chunks", taken, before);
    let finished = timed(&mut || {
        restored = std::mem::take(&mut restoring).finish(&mut |change| writer.apply(change)).expect("what was saved");
        writer.publish();
    });
    watch.tell("restore: derive, show", finished, before);
    watch.tell("restore, all of it", taken + finished, before);
    assert_eq!((restored.stats(), seen.counts().ignored), (stats, 0));
}
