//! The engine below the sockets, in one process: lines into a log, and the feeds that come out of it.

use std::collections::BTreeMap;

use atrarium::clock::Clock;
use atrarium::disk::RealDisk;
use atrarium::engine::recover;
use atrarium::engine::replay::Replay;
use atrarium::syntax::Time;
use atrarium::view::{Community, View};

/// Replays lines into a new data directory, in so many parts with a restart after each, and reads it back from the log.
/// Returns the refusals of all parts too.
pub fn replayed<L: AsRef<str>>(lines: &[L], parts: usize) -> (BTreeMap<&'static str, u64>, View) {
    let home = tempfile::tempdir().expect("a directory");
    let mut refused = BTreeMap::new();
    for part in lines.chunks(lines.len().div_ceil(parts)) {
        let mut replay = Replay::open(home.path(), &Clock::real(), &mut |_, _| {}).expect("a log");
        // Where there are restarts, they go through snapshots.
        if parts > 1 {
            replay.snapshot_every(1);
        }
        for line in part {
            replay.frame(line.as_ref().as_bytes()).expect("the disk holds");
        }
        for (reason, count) in replay.finish().expect("the disk holds").by_reason {
            *refused.entry(reason.as_str()).or_default() += count;
        }
    }
    let (_, view) = recover::read(&RealDisk, home.path(), &mut |_, _| {}).expect("the log");
    (refused, view)
}

/// The own posts of every community, page by page.
pub fn feeds(view: &View, now: Time) -> BTreeMap<String, Vec<String>> {
    let read = |community: &Community| {
        let (mut posts, mut after) = (Vec::new(), None);
        loop {
            let page = community.page(now, 13, after.as_ref());
            posts.extend(page.uris());
            after = page.cursor();
            if after.is_none() {
                return posts;
            }
        }
    };
    view.communities().iter().map(|community| (community.id().to_string(), read(community))).collect()
}
