//! Mixed pages against the model: random networks, every page of every feed; readers who read on while everything
//! changes; and the shares, counted.
//!
//! `ATRARIUM_MIX_SEEDS=0..10000 cargo test --no-default-features --test mixing` looks longer.

mod mixing_support;

use std::collections::{BTreeMap, BTreeSet};

use atrarium::fact::{CommunityId, Stage};
use atrarium::syntax::RecordUri;
use atrarium::view::PageCursor;
use mixing_support::{DAY, Net, checked_cursor, mix, seeds};
use model::{Mixed, Reader};

/// What a run met.
#[derive(Debug, Default)]
struct Met {
    feeds: usize,
    pages: usize,
    /// Items of own, parent and global.
    items: [usize; 3],
    /// Posts explained in feeds.
    explained: usize,
    /// Pages of one reader with a change in between.
    read_on: usize,
}

impl Met {
    fn count(&mut self, mixed: &Mixed, page: &[String]) {
        self.pages += 1;
        for uri in page {
            let of = |source: &Vec<(i64, String)>| source.iter().any(|(_, known)| known == uri);
            let source = mixed.sources.iter().position(of).expect("an item has a source");
            self.items[source] += 1;
        }
    }
}

/// What `explain` says of every post that any feed knows, in every feed.
fn explained(net: &Net, story: &str, met: &mut Met) {
    let now = net.now();
    let feeds = net.model.mixed(now);
    let posts: BTreeSet<&String> =
        feeds.values().flat_map(|mixed| &mixed.sources).flatten().map(|(_, uri)| uri).collect();
    for (id, mixed) in &feeds {
        let id = CommunityId::parse(id).expect("an id");
        let has_share = |(source, _): &(usize, &Vec<(i64, String)>)| mixed.shares[*source] > 0;
        let sources = mixed.sources.iter().enumerate().filter(has_share);
        let shown: BTreeSet<&String> = sources.flat_map(|(_, source)| source).map(|(_, uri)| uri).collect();
        for post in &posts {
            let uri = RecordUri::parse(post).expect("a URI");
            let told = net.folded.fold.explain(&uri, Some(id), now).expect("known");
            assert_eq!(told.communities[0].visible, shown.contains(post), "{story}, {post} in {id}: {told:#?}");
            met.explained += 1;
        }
    }
}

/// Every feed of the network, from its beginning to its end, against the model.
fn compare(net: &mut Net, story: &str, met: &mut Met) {
    net.folded.publish();
    let now = net.now();
    let expected = net.model.mixed(now);
    let served: Vec<String> = net.view.communities().iter().map(|community| community.id().to_string()).collect();
    assert!(served.iter().eq(expected.keys()), "{story}: {served:?}");
    assert_eq!(net.view.counts().ignored, 0, "{story}: every change means something");
    for (id, mixed) in &expected {
        met.feeds += 1;
        let community = net.view.find_feed(id, None).expect("served");
        let (mut cursor, mut reader): (Option<PageCursor>, Option<Reader>) = (None, None);
        loop {
            let limit = if net.rng.bool() { net.rng.usize(1..=6) } else { net.rng.usize(1..=100) };
            let (page, next) = mixed.page(limit, reader.as_ref());
            let got = net.view.page(&community, now, limit, cursor.as_ref());
            let story = format!("{story}, feed {id}, {:?}, limit {limit}", mixed.shares);
            assert_eq!(got.uris().collect::<Vec<_>>(), page, "{story}: {reader:?}");
            cursor = checked_cursor(&got, limit, cursor.as_ref(), &story);
            assert_eq!(cursor.is_some(), next.is_some(), "{story}: whether more follows");
            met.count(mixed, &page);
            reader = next;
            if reader.is_none() {
                break;
            }
        }
    }
}

#[test]
fn every_page_of_every_feed_is_the_models() {
    let mut met = Met::default();
    for seed in seeds(0..60) {
        let communities = 1 + (seed * 7 % 12) as u32;
        let mut net = Net::new(seed, communities);
        for step in 0..4 {
            (0..60).for_each(|_| net.act());
            if net.rng.u32(..3) == 0 {
                net.restart();
            }
            let story = format!("seed {seed}, step {step}");
            compare(&mut net, &story, &mut met);
            if seed % 3 == 0 {
                explained(&net, &story, &mut met);
            }
        }
    }
    println!("{met:?}");
    assert!(met.items.iter().all(|&items| items > 500), "the networks are too tame: {met:?}");
}

/// Readers who are somewhere in a feed while mixes, parents, hashtags and everything else change: the next page is what
/// the model says for where they are.
#[test]
fn readers_read_on_through_every_change() {
    let mut met = Met::default();
    for seed in seeds(1000..1040) {
        let mut net = Net::new(seed, 2 + (seed % 6) as u32);
        (0..80).for_each(|_| net.act());
        let mut readers: BTreeMap<String, (PageCursor, Reader)> = BTreeMap::new();
        for step in 0..60 {
            (0..net.rng.usize(0..4)).for_each(|_| net.act());
            if net.rng.u32(..20) == 0 {
                net.restart();
            }
            net.folded.publish();
            let now = net.now();
            for (id, mixed) in net.model.mixed(now) {
                let at = readers.remove(&id);
                met.read_on += usize::from(at.is_some());
                let (cursor, reader) = at.unzip();
                let limit = net.rng.usize(1..=5);
                let (page, next) = mixed.page(limit, reader.as_ref());
                let community = net.view.find_feed(&id, None).expect("served");
                let got = net.view.page(&community, now, limit, cursor.as_ref());
                let story = format!("seed {seed}, step {step}, feed {id}, {:?}, limit {limit}", mixed.shares);
                assert_eq!(got.uris().collect::<Vec<_>>(), page, "{story}: {reader:?}");
                met.count(&mixed, &page);
                readers
                    .extend(checked_cursor(&got, limit, cursor.as_ref(), &story).zip(next).map(|reader| (id, reader)));
            }
        }
    }
    println!("{met:?}");
    assert!(met.read_on > 1_000, "{met:?}");
}

/// "Over pages that are never short the sum given to a source differs from N × share by less than 1."
#[test]
fn shares_are_exact_over_many_pages() {
    for seed in seeds(0..30) {
        let mut net = Net::new(seed, 0);
        net.communities = 3;
        let own = net.rng.u16(0..=10_000);
        let parent = net.rng.u16(0..=10_000 - own);
        let shares = [own, parent, 10_000 - own - parent];
        net.configure_with(0, Stage::Theme, Some(1), mix(shares[0], shares[1], shares[2]));
        net.configure_with(1, Stage::Graduated, None, mix(10_000, 0, 0));
        net.configure_with(2, Stage::Community, None, mix(10_000, 0, 0));
        let owners = [0, 1, 2].map(|community| net.owner(community));
        for _ in 0..600 {
            let community = net.rng.usize(..3);
            let tags = vec![net.id(community as u32)];
            let created = net.some_time();
            net.post_of(&owners[community], tags, created);
        }
        net.folded.publish();
        let now = net.now();
        let id = net.id(0);
        let mixed = &net.model.mixed(now)[&id.to_string()];
        let community = net.view.find(id).expect("served");
        let (mut given, mut all, mut cursor) = ([0usize; 3], 0, None);
        while let limit = net.rng.usize(1..=9)
            && (0..3).all(|source| shares[source] == 0 || given[source] + limit < mixed.sources[source].len())
        {
            let page = net.view.page(&community, now, limit, cursor.as_ref());
            cursor = checked_cursor(&page, limit, cursor.as_ref(), &format!("seed {seed}"));
            assert_eq!(page.len(), limit);
            for uri in page.uris() {
                let of = |source: &Vec<(i64, String)>| source.iter().any(|(_, known)| *known == uri);
                given[mixed.sources.iter().position(of).expect("an item has a source")] += 1;
            }
            all += limit;
            for source in 0..3 {
                let owed = all as i64 * i64::from(shares[source]) - given[source] as i64 * 10_000;
                assert!(owed.abs() < 10_000, "seed {seed}: {given:?} of {all} with {shares:?}");
            }
        }
        assert!(all > 50, "seed {seed}: {all} items with {shares:?}");
    }
}

#[test]
fn what_one_community_hides_others_still_show() {
    let mut net = Net::new(1, 0);
    net.communities = 3;
    net.configure_with(0, Stage::Community, None, mix(5000, 0, 5000));
    net.configure_with(1, Stage::Community, None, mix(5000, 0, 5000));
    net.configure_with(2, Stage::Community, None, mix(10_000, 0, 0));
    let author = net.owner(2);
    let tags = vec![net.id(2)];
    net.post_of(&author, tags, None);
    net.folded.publish();
    let shown = |net: &Net, community: u32| {
        let community = net.view.find(net.id(community)).expect("served");
        net.view.page(&community, net.now(), 50, None).len()
    };
    assert_eq!([shown(&net, 0), shown(&net, 1), shown(&net, 2)], [1, 1, 1]);
    net.block_by_owner(0, &author);
    net.folded.publish();
    assert_eq!([shown(&net, 0), shown(&net, 1), shown(&net, 2)], [0, 1, 1]);
    net.pass(8 * DAY);
    net.folded.publish();
    assert_eq!([shown(&net, 0), shown(&net, 1), shown(&net, 2)], [0, 0, 0]);
}

/// A mix that changes with every page, to one source and back too: never an item twice, and what the model says.
#[test]
fn a_mix_that_changes_with_every_page_repeats_nothing() {
    for seed in seeds(3000..3060) {
        let mut net = Net::new(seed, 0);
        net.communities = 3;
        net.configure_with(1, Stage::Graduated, None, mix(10_000, 0, 0));
        net.configure_with(2, Stage::Community, None, mix(10_000, 0, 0));
        net.configure_with(0, Stage::Theme, Some(1), mix(10_000, 0, 0));
        for _ in 0..120 {
            let community = net.rng.u32(..3);
            let (owner, tags, created) = (net.owner(community), vec![net.id(community)], net.some_time());
            net.post_of(&owner, tags, created);
        }
        let id = net.id(0);
        let (mut seen, mut cursor, mut reader) = (BTreeSet::new(), None, None);
        loop {
            let (a, b) = (net.rng.u16(1..5000), net.rng.u16(1..5000));
            let mixes =
                [[10_000, 0, 0], [10_000 - a, a, 0], [0, a, 10_000 - a], [a, b, 10_000 - a - b], [a, 0, 10_000 - a]];
            let shares = mixes[net.rng.usize(..mixes.len())];
            net.configure_with(0, Stage::Theme, Some(1), mix(shares[0], shares[1], shares[2]));
            net.folded.publish();
            let (now, limit) = (net.now(), net.rng.usize(1..=6));
            let (page, next) = net.model.mixed(now)[&id.to_string()].page(limit, reader.as_ref());
            let community = net.view.find(id).expect("served");
            let got = net.view.page(&community, now, limit, cursor.as_ref());
            let story = format!("seed {seed}, {shares:?}, limit {limit}");
            assert_eq!(got.uris().collect::<Vec<_>>(), page, "{story}: {reader:?}");
            page.into_iter().for_each(|uri| assert!(seen.insert(uri.clone()), "{story}: {uri} twice"));
            cursor = checked_cursor(&got, limit, cursor.as_ref(), &story);
            reader = next;
            if reader.is_none() {
                break;
            }
        }
        assert!(seen.len() > 5, "seed {seed}: {}", seen.len());
    }
}
