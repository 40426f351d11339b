//! The map of communities: a look-up by id, against a `DashMap` and a `HashMap` behind an `RwLock`.
//!
//! `cargo bench --no-default-features --bench map`. All three hold the same communities, and hand out an `Arc` of one, as a
//! request takes it; ids are random, all served. Alone, and with a second thread that does the same all the while, each on a processor of its own.

mod support;

use std::collections::HashMap;
use std::hint::black_box;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, RwLock};

use atrarium::fact::{Change, CommunityId, CommunityInfo, FeedMix};
use atrarium::syntax::RecordUri;
use atrarium::view::{Community, View, Writer};
use dashmap::DashMap;
use support::{Bench, Time};

const COMMUNITIES: u32 = 10_000;
const LOOKUPS: usize = 20_000;

fn main() {
    support::pin(0);
    let (_writer, view) = filled();
    let all = view.communities();
    let dash: DashMap<CommunityId, Arc<Community>> = all.iter().map(|it| (it.id(), Arc::clone(it))).collect();
    let locked: HashMap<CommunityId, Arc<Community>> = all.iter().map(|it| (it.id(), Arc::clone(it))).collect();
    let maps = Maps { view, dash, locked: RwLock::new(locked) };
    let ids = ids(1);
    for &id in ids.iter().chain(&[CommunityId(u32::MAX)]) {
        let found = [maps.in_view(id), maps.in_dash(id), maps.in_locked(id)];
        let found = found.each_ref().map(|it| it.as_ref().map(Arc::as_ptr));
        assert!(found[0] == found[1] && found[0] == found[2], "all three find the same under {id:?}");
        assert_eq!(found[0].is_some(), id.0 < COMMUNITIES * 7, "{id:?}");
    }

    let mut bench = Bench::new();
    measure(&mut bench, "one reader", &maps, &ids, &AtomicUsize::new(0));
    // A second thread goes on in the map that is measured.
    let (map, is_over) = (AtomicUsize::new(0), AtomicBool::new(false));
    std::thread::scope(|scope| {
        scope.spawn(|| {
            support::pin(1);
            for ids in self::ids(2).chunks(64).cycle().take_while(|_| !is_over.load(Ordering::Relaxed)) {
                maps.pass(ids, MAPS[map.load(Ordering::Relaxed)]);
            }
        });
        measure(&mut bench, "two readers", &maps, &ids, &map);
        is_over.store(true, Ordering::Relaxed);
    });
    bench.finish();
}

/// One look-up.
type Find = fn(&Maps, CommunityId) -> Option<Arc<Community>>;

const MAPS: [Find; 3] = [Maps::in_view, Maps::in_dash, Maps::in_locked];

/// `at` says all the while which map is read.
fn measure(bench: &mut Bench, readers: &str, maps: &Maps, ids: &[CommunityId], at: &AtomicUsize) {
    let side = |number: usize| -> Box<dyn FnMut() + '_> {
        Box::new(move || {
            at.store(number, Ordering::Relaxed);
            maps.pass(ids, MAPS[number]);
        })
    };
    let [ours, dash, locked] = bench.sides(
        &format!("a look-up, {readers}"),
        ids.len(),
        Time::Processor,
        [("view", side(0)), ("DashMap", side(1)), ("RwLock<HashMap>", side(2))],
    );
    let what = format!("map look-up, {readers}");
    bench.ratio(&what, "DashMap", ours, dash);
    bench.ratio(&what, "RwLock<HashMap>", ours, locked);
}

struct Maps {
    view: View,
    dash: DashMap<CommunityId, Arc<Community>>,
    locked: RwLock<HashMap<CommunityId, Arc<Community>>>,
}

impl Maps {
    fn in_view(&self, id: CommunityId) -> Option<Arc<Community>> {
        self.view.find(id)
    }

    fn in_dash(&self, id: CommunityId) -> Option<Arc<Community>> {
        self.dash.get(&id).map(|it| Arc::clone(&it))
    }

    fn in_locked(&self, id: CommunityId) -> Option<Arc<Community>> {
        self.locked.read().expect("not poisoned").get(&id).cloned()
    }

    fn pass(&self, ids: &[CommunityId], find: Find) {
        ids.iter().for_each(|&id| drop(black_box(find(self, black_box(id)))));
    }
}

/// Ids that are served, in no order.
fn ids(seed: u64) -> Vec<CommunityId> {
    let mut random = fastrand::Rng::with_seed(seed);
    (0..LOOKUPS).map(|_| CommunityId(random.u32(..COMMUNITIES) * 7)).collect()
}

fn filled() -> (Writer, View) {
    let (mut writer, view) = atrarium::view::new();
    let mix = FeedMix { own: 10_000, parent: 0, global: 0 };
    for id in (0..COMMUNITIES).map(|number| CommunityId(number * 7)) {
        let uri = format!("at://did:plc:{:024}/net.atrarium.community.config/self", id.0);
        let uri = RecordUri::parse(&uri).expect("a URI");
        writer.apply(Change::Open {
            id,
            info: Arc::new(CommunityInfo { uri, name: "name".into(), mix, parent: None, pinned: None }),
        });
    }
    writer.publish();
    (writer, view)
}
