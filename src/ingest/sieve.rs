//! Looks at every frame and says where it goes.
//!
//! In: each frame of the stream, in its order, on one thread. Out: a [`Verdict`]. This is all the work that the filtering
//! thread does for a frame.
//!
//! ```text
//! post with "atrarium_"           enter its fingerprint, take its orphan   pass
//! post without, create                                                     skip
//! post without, update or delete  fingerprint known                        pass
//!                                 not known: it is an orphan, and a fact   skip
//! one of our four collections                                              pass
//! another collection                                                       skip
//! account, sync                                                            pass
//! identity, info, error                                                    told to the caller
//! ```
//!
//! What always holds: a post's fingerprint is entered before the frame behind it is looked at, so a delete finds it however
//! far behind the workers are. All frames of one DID go to the same worker. Every frame is counted, every refusal by its
//! reason; without `strict`, only damage behind the head of a commit that cannot matter passes unseen.

use std::hash::{Hash, Hasher};
use std::sync::Arc;

use memchr::memmem;
use rustc_hash::FxHasher;

use crate::fact::Collection;
use crate::filter::{Names, Orphans, Possible, Seen, prefilter, prefilter_unnamed};
use crate::limits::{CLOCK_AHEAD_MICROS, FRAME_BYTES_MAX};
use crate::syntax::{Did, Fingerprint, Orphan, OrphanKind, RecordKey, Time};
use crate::telemetry::{Reason, Telemetry};
use crate::wire::event::{self, Commit, Event, Operation, Position};
use crate::wire::session::Run;

/// What is to be done with a frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Nothing.
    Skip,
    /// Nothing: it is broken, or of a later time. Counted.
    Refused(Reason),
    /// A worker is to parse it.
    Pass(Route),
    /// Nothing, but an account's keys or handle may have changed.
    Identity(Did),
    /// Nothing, but the host has told something that an operator may want to read.
    Info {
        /// Such as `OutdatedCursor`.
        name: String,
        /// In words.
        message: Option<String>,
    },
    /// The host is about to close the connection. Counted as [`Reason::ErrorFrame`].
    Stop {
        /// Such as `ConsumerTooSlow`.
        error: String,
        /// In words.
        message: Option<String>,
    },
}

impl Verdict {
    /// Whether a worker is to parse the frame.
    pub const fn is_pass(&self) -> bool {
        matches!(self, Self::Pass(_))
    }
}

/// Where a frame goes, and what goes with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Route {
    /// 0 <= worker < workers; the same for all frames of one DID.
    pub worker: usize,
    /// [`Event::kind`]
    pub kind: &'static str,
    /// A delete or an update of the same post that came before it, and was skipped then. Both become facts, in whatever
    /// order: its rev may be greater or smaller than the frame's.
    pub orphan: Option<Orphan>,
}

/// What [`Sieve::skip`] has taken.
#[derive(Clone, Copy, Debug)]
pub struct Skipped<'a> {
    /// So many frames that cannot matter.
    pub frames: u64,
    /// The last of them.
    pub last: Option<&'a [u8]>,
    /// One that may, and was not looked at.
    pub next: Option<&'a [u8]>,
}

/// The state of the filtering thread.
#[derive(Debug)]
pub struct Sieve {
    workers: usize,
    telemetry: Arc<Telemetry>,
    strict: bool,
    seen: Seen,
    orphans: Orphans,
    /// Those that are to become facts.
    fresh: Vec<(Fingerprint, Orphan)>,
    wall: Option<Time>,
    last_kind: Option<&'static str>,
}

impl Sieve {
    /// A sieve for this many workers (at least 1). A strict one parses every frame in full, so that each refusal and each
    /// kind is counted exactly: it is for files, and takes some ten times as long.
    pub fn new(workers: usize, telemetry: Arc<Telemetry>, strict: bool) -> Self {
        let (seen, orphans) = (Seen::new(), Orphans::new());
        Self {
            workers: workers.max(1),
            telemetry,
            strict,
            seen,
            orphans,
            fresh: Vec::new(),
            wall: None,
            last_kind: None,
        }
    }

    /// Enters a post of the recovered fold, with the time at which it was witnessed.
    pub fn seed(&mut self, did: &Did, rkey: &RecordKey, time: Time) {
        self.enter(Fingerprint::of(did.as_str(), rkey.as_str()), time);
    }

    /// Enters an orphan of the recovered fold.
    pub fn seed_orphan(&mut self, fingerprint: Fingerprint, orphan: Orphan) {
        self.orphans.remember(fingerprint, orphan);
    }

    /// Orphans that were not known before, since this was last called. They must be durable before a cursor is that lies
    /// behind them: after a restart their frames are not told again, and a late create may still come.
    pub fn take_orphans(&mut self) -> Vec<(Fingerprint, Orphan)> {
        std::mem::take(&mut self.fresh)
    }

    /// How many orphans [`take_orphans`](Self::take_orphans) would return.
    pub fn untaken_orphans(&self) -> usize {
        self.fresh.len()
    }

    /// Tells a live sieve the wall clock, now and then. A frame that is too far ahead of it counts as of now, so that one
    /// wrong time does not make the sieve forget what it knows. A sieve that was never told believes every frame.
    pub fn set_wall(&mut self, wall: Time) {
        self.wall = Some(wall);
    }

    /// Looks at one frame, and counts it.
    pub fn look(&mut self, frame: &[u8]) -> Verdict {
        // One sieve looks at the stream, so these two have one writer.
        self.telemetry.frames.add_alone(1);
        self.telemetry.frame_bytes.add_alone(frame.len() as u64);
        self.last_kind = None;
        let verdict = self.judge(frame);
        match &verdict {
            Verdict::Pass(_) => self.telemetry.hits.increment(),
            Verdict::Refused(reason) => self.telemetry.refuse(*reason),
            Verdict::Stop { .. } => self.telemetry.refuse(Reason::ErrorFrame),
            Verdict::Skip | Verdict::Identity(_) | Verdict::Info { .. } => {}
        }
        verdict
    }

    /// Takes frames of a run while they cannot matter, at most so many, and counts them. The first that may matter is given
    /// back, to be looked at. `names` are those of the run's bytes.
    pub fn skip<'a>(&mut self, run: &mut Run<'a>, names: &mut Names<'a>, most: u64) -> Skipped<'a> {
        let (mut frames, mut bytes, mut last, mut next) = (0, 0, None, None);
        while frames < most {
            let Some(frame) = run.next() else { break };
            if self.strict || names.is_before(run.taken()) || prefilter_unnamed(frame) != Possible::Nothing {
                next = Some(frame);
                break;
            }
            frames += 1;
            bytes += frame.len() as u64;
            last = Some(frame);
        }
        self.telemetry.frames.add_alone(frames);
        self.telemetry.frame_bytes.add_alone(bytes);
        Skipped { frames, last, next }
    }

    /// The [`Event::kind`] of the frame that was looked at last; `None` where it was refused.
    pub fn last_kind(&self) -> Option<&'static str> {
        self.last_kind
    }

    /// Where in the stream a frame stands: [`event::position`].
    pub fn position(frame: &[u8]) -> Option<Position> {
        event::position(frame)
    }

    fn judge(&mut self, frame: &[u8]) -> Verdict {
        if frame.len() > FRAME_BYTES_MAX {
            return Verdict::Refused(Reason::TooLarge);
        }
        if !self.strict && prefilter(frame) == Possible::Nothing {
            self.last_kind = Some("commit");
            return Verdict::Skip;
        }
        match event::parse(frame) {
            Err(reason) => Verdict::Refused(reason),
            Ok(frame) => {
                let kind = frame.event.kind();
                self.last_kind = Some(kind);
                let time = self.witnessed(frame.position.time);
                self.sort(frame.event, kind, time)
            }
        }
    }

    fn sort(&mut self, event: Event<'_>, kind: &'static str, time: Time) -> Verdict {
        let owned = |text: std::borrow::Cow<'_, str>| text.into_owned();
        match event {
            Event::Commit(commit) => match Collection::from_nsid(&commit.collection) {
                Some(Collection::Post) => self.sort_post(&commit, kind, time),
                Some(_) => self.pass(&commit.did, kind, None),
                None => Verdict::Skip,
            },
            Event::Account { did, .. } | Event::Sync { did } => self.pass(&did, kind, None),
            Event::Identity { did } => Did::parse(&did).map_or(Verdict::Refused(Reason::BadDid), Verdict::Identity),
            Event::Info { name, message } => Verdict::Info { name: owned(name), message: message.map(owned) },
            Event::Error { error, message } => Verdict::Stop { error: owned(error), message: message.map(owned) },
        }
    }

    fn sort_post(&mut self, post: &Commit<'_>, kind: &'static str, witnessed: Time) -> Verdict {
        let fingerprint = Fingerprint::of(&post.did, &post.rkey);
        let record = post.record.map_or("", |record| record.get());
        if memmem::find(record.as_bytes(), b"atrarium_").is_some() {
            self.enter(fingerprint, witnessed);
            let orphan = self.orphans.take(fingerprint);
            return self.pass(&post.did, kind, orphan);
        }
        let change = match post.operation {
            Operation::Create => return Verdict::Skip,
            Operation::Update => OrphanKind::Updated,
            Operation::Delete => OrphanKind::Deleted,
        };
        if self.seen.contains(fingerprint) {
            return self.pass(&post.did, kind, None);
        }
        let orphan = Orphan { rev: post.rev, kind: change, witnessed };
        let remembered = self.orphans.remember(fingerprint, orphan);
        if remembered.is_new {
            self.fresh.push((fingerprint, orphan));
        }
        self.telemetry.orphans_dropped.add(remembered.given_up);
        Verdict::Skip
    }

    fn enter(&mut self, fingerprint: Fingerprint, time: Time) {
        if !self.seen.enter(fingerprint, time) {
            self.telemetry.fingerprints_dropped.increment();
        }
    }

    fn pass(&self, did: &str, kind: &'static str, orphan: Option<Orphan>) -> Verdict {
        Verdict::Pass(Route { worker: worker_of(did, self.workers), kind, orphan })
    }

    /// As DESIGN §3 has it: what is more than 10 minutes ahead of the wall clock was witnessed at the wall clock.
    fn witnessed(&self, time: Time) -> Time {
        match self.wall {
            Some(wall) if time.micros_since(wall) > CLOCK_AHEAD_MICROS => wall,
            _ => time,
        }
    }
}

/// A fixed hash: after a restart an author's events go the same way, which makes runs comparable.
#[expect(clippy::cast_possible_truncation, reason = "a remainder of a usize fits into a usize")]
fn worker_of(did: &str, workers: usize) -> usize {
    let mut hasher = FxHasher::default();
    did.hash(&mut hasher);
    (hasher.finish() % workers as u64) as usize
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::DAY_MICROS;

    const DID: &str = "did:plc:wq4aajammjtxdomz3e23667t";
    const TAG: &str = "#atrarium_a1b2c3d4";

    fn sieve() -> Sieve {
        Sieve::new(4, Arc::new(Telemetry::default()), false)
    }

    fn post(operation: &str, rkey: &str, rev: &str, text: &str, micros: i64) -> String {
        let record = match operation {
            "delete" => String::new(),
            _ => format!(r#","record":{{"text":"{text}"}}"#),
        };
        format!(
            r#"{{"did":"{DID}","time_us":{micros},"kind":"commit","commit":{{"rev":"{rev}","operation":"{operation}","collection":"app.bsky.feed.post","rkey":"{rkey}"{record}}}}}"#
        )
    }

    fn look(sieve: &mut Sieve, frame: &str) -> Verdict {
        sieve.look(frame.as_bytes())
    }

    fn orphan_of(verdict: Verdict) -> Option<Orphan> {
        let Verdict::Pass(route) = verdict else { panic!("{verdict:?}") };
        route.orphan
    }

    #[test]
    fn a_delete_finds_the_post_before_it() {
        let mut sieve = sieve();
        assert!(look(&mut sieve, &post("create", "a", "3mptbypluud2a", TAG, 1)).is_pass());
        assert!(look(&mut sieve, &post("update", "a", "3mptbypluud2b", "no tag", 2)).is_pass());
        assert!(look(&mut sieve, &post("delete", "a", "3mptbypluud2c", "", 3)).is_pass());
        assert_eq!(look(&mut sieve, &post("delete", "b", "3mptbypluud2d", "", 4)), Verdict::Skip);
        assert_eq!(look(&mut sieve, &post("create", "c", "3mptbypluud2e", "no tag", 5)), Verdict::Skip);
        assert_eq!((sieve.telemetry.frames.get(), sieve.telemetry.hits.get()), (5, 3));
    }

    #[test]
    fn a_late_create_brings_its_orphan() {
        for (operation, kind) in [("delete", OrphanKind::Deleted), ("update", OrphanKind::Updated)] {
            let mut sieve = sieve();
            assert_eq!(look(&mut sieve, &post(operation, "a", "3mptbypluud2c", "no tag", 9)), Verdict::Skip);
            let create = post("create", "a", "3mptbypluud2a", TAG, 5);
            let orphan = orphan_of(look(&mut sieve, &create)).unwrap();
            assert_eq!((orphan.rev.to_string(), orphan.kind), ("3mptbypluud2c".to_owned(), kind));
            assert_eq!(orphan.witnessed, Time::from_micros(9));
            assert_eq!(orphan_of(look(&mut sieve, &create)), None, "it is brought once");
            assert!(look(&mut sieve, &post(operation, "a", "3mptbypluud2c", "no tag", 9)).is_pass());
        }
    }

    #[test]
    fn a_recovered_post_is_known() {
        let mut sieve = sieve();
        let (did, rkey) = (Did::parse(DID).unwrap(), RecordKey::parse("a").unwrap());
        sieve.seed(&did, &rkey, Time::EPOCH);
        assert!(look(&mut sieve, &post("delete", "a", "3mptbypluud2c", "", 9)).is_pass());
    }

    #[test]
    fn one_wrong_time_does_not_make_it_forget() {
        let now = 20_000 * DAY_MICROS;
        for (told, known) in [(true, true), (false, false)] {
            let mut sieve = sieve();
            if told {
                sieve.set_wall(Time::from_micros(now));
            }
            look(&mut sieve, &post("create", "a", "3mptbypluud2a", TAG, now));
            look(&mut sieve, &post("create", "b", "3mptbypluud2a", TAG, now + 1000 * DAY_MICROS));
            assert_eq!(look(&mut sieve, &post("delete", "a", "3mptbypluud2c", "", now)).is_pass(), known);
        }
    }

    #[test]
    fn what_is_told_and_what_is_refused() {
        let mut sieve = sieve();
        let error = r#"{"$type":"error","error":"ConsumerTooSlow"}"#;
        assert_eq!(look(&mut sieve, error), Verdict::Stop { error: "ConsumerTooSlow".into(), message: None });
        assert_eq!(sieve.last_kind(), Some("error"));
        let info = r##"{"$type":"message","payload":{"$type":"#info","name":"OutdatedCursor","message":"m"}}"##;
        assert_eq!(look(&mut sieve, info), Verdict::Info { name: "OutdatedCursor".into(), message: Some("m".into()) });
        assert_eq!(look(&mut sieve, "not json"), Verdict::Refused(Reason::Garbage));
        assert_eq!(sieve.last_kind(), None);
        let large = "x".repeat(FRAME_BYTES_MAX + 1);
        assert_eq!(look(&mut sieve, &large), Verdict::Refused(Reason::TooLarge));
        for reason in [Reason::ErrorFrame, Reason::Garbage, Reason::TooLarge] {
            assert_eq!(sieve.telemetry.refused(reason), 1, "{reason:?}");
        }
    }

    #[test]
    fn workers_share_the_work_and_keep_their_authors() {
        let mut counts = [0; 4];
        for number in 0..4000 {
            counts[worker_of(&format!("did:plc:{number}"), 4)] += 1;
        }
        assert!(counts.iter().all(|count| (800..1200).contains(count)), "{counts:?}");
        assert_eq!(worker_of(DID, 1), 0);
    }
}
