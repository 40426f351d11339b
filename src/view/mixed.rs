//! A page that several sources give to.
//!
//! In: the roots of the sources, pinned; the shares; where each source goes on. Out: a page, merged by time.
//!
//! ```text
//!   own      the community's ring                                         ─┐ quota
//!   parent   the parent's ring     less what carries our hashtag           ─┤ each newest first,  ──► merged ──► page
//!   global   the global ring       less what carries ours or the parent's  ─┘ from its own position
//!                                  less what we hide, and whom we block
//! ```
//! So a post belongs to one source by its hashtags alone, whether it is visible there or not. What a source shows follows
//! the rules of the community it comes from, by that one's own flags, and ours on top.
//!
//! What always holds:
//! - a page has `limit` items, or all there are; a cursor, exactly where a source has more;
//! - a pinned post is the first item of the first page, in the share of nobody, and no source gives it on any page. Where the
//!   community hides it or blocks its author, nothing is pinned. (Whoever reads on while another post is pinned may meet one
//!   of the two twice or not at all: a cursor does not say what was pinned.)
//! - each source is read from its own position on, in order: nothing of it is skipped or repeated. A post that changes
//!   its source while somebody reads (an edit of its hashtags, another parent) may be met in both or in neither.
//!
//! What a cursor says of another mix than the present one is taken so that nothing is repeated:
//! - a source that has had no share while this reader read starts behind the oldest item that any source was read to:
//!   whoever reads on goes back in time, and newer items would stand out of it;
//! - a source that lost its share keeps its position, and has it again when the share returns;
//! - where the parent is another one (or has come, or gone), posts have moved between parent and global: both go on from
//!   the older of their positions;
//! - a debt to a source without a share is forgiven, and with it what the others are owed.

use super::author::Author;
use super::chunk::Rkey;
use super::community::{Community, oldest_visible_millis};
use super::cursor::{PageCursor, Position};
use super::excluded::Excluded;
use super::mix::{self, Each, GLOBAL, OWN, PARENT, SOURCES};
use super::page::{End, Item, Page, Pins};
use super::root::{Root, Step, Steps};
use crate::fact::{CommunityId, CommunityInfo};
use crate::limits::PAGE_ITEMS_MAX;
use crate::syntax::{RecordUri, Time};

/// The page of a community whose mix is `info`'s.
pub(super) fn page(
    community: &Community,
    info: &CommunityInfo,
    pins: Pins,
    now: Time,
    limit: usize,
    after: Option<&PageCursor>,
) -> Page {
    let limit = limit.clamp(1, PAGE_ITEMS_MAX);
    let excluded = community.excluded();
    let pinned = info.pinned.as_ref().filter(|pinned| !hides(&excluded, pinned));
    let on_top = pinned.filter(|_| after.is_none());
    let limit = limit - usize::from(on_top.is_some());
    let shares = [info.mix.own, info.mix.parent, info.mix.global];
    let (quotas, carries) = mix::quotas(limit, shares, debts(after, shares));
    let mut positions = starts(after, shares, info.parent);

    let oldest_millis = oldest_visible_millis(now);
    let nothing = Root::default();
    let without = [&[][..], &[Some(community.id())], &[Some(community.id()), info.parent]];
    let mut sources: Each<Source<'_>> = std::array::from_fn(|source| {
        let root = pins.root(source).filter(|_| shares[source] > 0).unwrap_or(&nothing);
        let excluded = Some(&**excluded).filter(|excluded| source != OWN && !excluded.is_empty());
        Source {
            root,
            steps: Steps::new(root, positions[source].key(), oldest_millis),
            taken: Vec::new(),
            ahead: None,
            left_out: LeftOut {
                without: without[source],
                pinned: pinned.map(Named::new),
                excluded,
                root,
                name: String::new(),
            },
        }
    });
    fill(&mut sources, limit, shares, quotas);

    let more = sources.iter_mut().any(Source::has_more);
    for (position, source) in positions.iter_mut().zip(&sources) {
        if let Some(last) = source.taken.last() {
            *position = Position::Behind(source.root.key(last).to_post());
        }
    }
    let items = merge(&sources);
    let end = match on_top.filter(|_| items.is_empty()) {
        Some(pinned) => PageCursor::behind_pinned(pinned),
        None => PageCursor { positions, carries, parent: info.parent },
    };
    let end = more.then(|| End::Mixed(Box::new(end)));
    Page::mixed(community.id(), pins, items, end).with_pinned(on_top.cloned())
}

/// Whether a community keeps a post out that its config pins.
fn hides(excluded: &Excluded, pinned: &RecordUri) -> bool {
    let (did, rkey) = (pinned.did.as_str(), pinned.rkey.as_str());
    excluded.has_account(did) || (excluded.has_posts() && excluded.has_post(&format!("{did}/{rkey}")))
}

/// What the pages before have left owing, where that still has a meaning.
fn debts(after: Option<&PageCursor>, shares: Each<u16>) -> Each<i32> {
    let carries = after.map_or([0; SOURCES], |after| after.carries);
    let is_owed = |(carry, share): (&i32, &u16)| *carry == 0 || *share > 0;
    if carries.iter().zip(&shares).all(is_owed) { carries } else { [0; SOURCES] }
}

/// Where each source goes on.
fn starts(after: Option<&PageCursor>, shares: Each<u16>, parent: Option<CommunityId>) -> Each<Position> {
    let Some(after) = after else {
        return shares.map(|share| if share > 0 { Position::Top } else { Position::Absent });
    };
    let mut positions = after.positions.clone();
    if after.parent != parent && positions[PARENT] != Position::Absent && positions[GLOBAL] != Position::Absent {
        let older = match (positions[PARENT].key(), positions[GLOBAL].key()) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        };
        let older = older.map_or(Position::Top, |key| Position::Behind(key.clone()));
        positions[PARENT] = older.clone();
        positions[GLOBAL] = older;
    }
    for (position, share) in positions.iter_mut().zip(shares) {
        if share > 0 && *position == Position::Absent {
            *position = Position::Behind(after.oldest().clone());
        }
    }
    positions
}

/// Takes the quotas, and then from others what a short source could not give.
fn fill(sources: &mut Each<Source<'_>>, limit: usize, shares: Each<u16>, quotas: Each<usize>) {
    let mut parts = quotas;
    // A round gives all there is to give, or a source runs out: one round more than there are sources is enough.
    for _ in 0..=SOURCES {
        sources.iter_mut().zip(parts).for_each(|(source, part)| source.take(part));
        let missing = limit - sources.iter().map(|source| source.taken.len()).sum::<usize>();
        if missing == 0 {
            return;
        }
        let mut open = [false; SOURCES];
        open.iter_mut().zip(sources.iter_mut()).for_each(|(open, source)| *open = source.has_more());
        parts = mix::deal(missing, shares, open);
    }
}

/// One source of a page under way.
struct Source<'a> {
    root: &'a Root,
    steps: Steps<'a>,
    left_out: LeftOut<'a>,
    taken: Vec<Item>,
    /// What was looked at already.
    ahead: Option<Item>,
}

impl Source<'_> {
    fn next(&mut self) -> Option<Item> {
        self.ahead.take().or_else(|| self.steps.next(|step| !self.left_out.has(step)))
    }

    fn has_more(&mut self) -> bool {
        self.ahead = self.next();
        self.ahead.is_some()
    }

    fn take(&mut self, count: usize) {
        for _ in 0..count {
            let Some(item) = self.next() else { return };
            self.taken.push(item);
        }
    }
}

/// What a source does not give, though it is visible where it comes from.
struct LeftOut<'a> {
    /// What carries one of these hashtags belongs to another source.
    without: &'a [Option<CommunityId>],
    /// What stands above all sources.
    pinned: Option<Named<'a>>,
    excluded: Option<&'a Excluded>,
    root: &'a Root,
    /// Room for `DID/rkey`.
    name: String,
}

impl LeftOut<'_> {
    fn has(&mut self, step: &Step<'_>) -> bool {
        self.without.iter().flatten().any(|&id| step.carries(id))
            || self.pinned.as_ref().is_some_and(|pinned| pinned.is(self.root, &step.item))
            || self.excluded.is_some_and(|excluded| is_excluded(excluded, self.root, &step.item, &mut self.name))
    }
}

/// A post by its name, to be compared with items.
struct Named<'a> {
    author: Author<'a>,
    rkey: Rkey<'a>,
}

impl<'a> Named<'a> {
    fn new(uri: &'a RecordUri) -> Self {
        Self { author: Author::new(uri.did.as_str()), rkey: Rkey::new(uri.rkey.as_str()) }
    }

    fn is(&self, root: &Root, item: &Item) -> bool {
        let (author, rkey) = root.words(item);
        rkey == self.rkey && author == self.author
    }
}

fn is_excluded(excluded: &Excluded, root: &Root, item: &Item, name: &mut String) -> bool {
    let (author, rkey) = root.words(item);
    name.clear();
    author.push_to(name);
    excluded.has_account(name)
        || (excluded.has_posts() && {
            name.push('/');
            rkey.push_to(name);
            excluded.has_post(name)
        })
}

/// All that was taken, newest first. A post that is changing its source just now may have come from two: it is shown
/// once.
fn merge(sources: &Each<Source<'_>>) -> Vec<Item> {
    let of_source = |(number, source): (usize, &Source<'_>)| {
        let items: Vec<Item> = source.taken.iter().map(|item| item.of_source(number)).collect();
        items
    };
    let mut items: Vec<Item> = sources.iter().enumerate().flat_map(of_source).collect();
    let key = |item: &Item| sources[item.source()].root.key(item);
    // Times decide nearly always, and are cheaper to find than words.
    let time_millis = |item: &Item| sources[item.source()].root.time_millis(item);
    let newer = |a: &Item, b: &Item| time_millis(b).cmp(&time_millis(a)).then_with(|| key(b).cmp(&key(a)));
    // Three runs, each in order: the sort finds and merges them.
    items.sort_by(newer);
    items.dedup_by(|a, b| newer(a, b).is_eq());
    items
}
