//! What the lanes make of a connection that does not begin where it was asked to: a gap fact, or another try. And when workers
//! hear of what came.

use std::sync::{Arc, Mutex};

use atrarium::clock::{Clock, Now};
use atrarium::fact::{Cursor, Dialect, GapReason, Host};
use atrarium::ingest::lanes::{Hooks, Lanes, Parcel, Parts};
use atrarium::ingest::reader::{Pressure, Sink};
use atrarium::ingest::sieve::Sieve;
use atrarium::limits::{STAGED_PARCELS_MAX, STAGED_READINGS_MAX};
use atrarium::ring::{self, Consumer, Signal};
use atrarium::syntax::{Did, Time};
use atrarium::telemetry::Telemetry;
use atrarium::wire::endpoint::{Ask, Endpoint, Start};

const NOW: Time = Time::from_micros(1_795_500_000_000_000);
const HOUR: i64 = 3_600_000_000;

/// Lanes whose log ends at number 1000 of host `a`, ten hours before now.
struct Bench {
    lanes: Lanes,
    out: Consumer<Parcel>,
    endpoint: Endpoint,
    /// Whose identities have changed, as the hooks heard.
    changed: Arc<Mutex<Vec<Did>>>,
}

struct Heard(Arc<Mutex<Vec<Did>>>);

impl Hooks for Heard {
    fn connected(&mut self, _: &Endpoint) {}
    fn disconnected(&mut self, _: &Endpoint, _: &str) {}
    fn identity_changed(&mut self, did: Did) {
        self.0.lock().expect("nobody panics with it").push(did);
    }
}

fn newest() -> Cursor {
    Cursor { host: Host::new("a"), dialect: Dialect::V2, value: 1000, time: NOW.plus_micros(-10 * HOUR) }
}

fn bench(url: &str, resume: Option<Cursor>) -> Bench {
    let clock = Clock::manual(NOW.micros());
    let (ring, out) = ring::channel(64, &Signal::new());
    let (telemetry, changed) = (Arc::new(Telemetry::default()), Arc::default());
    let lanes = Lanes::new(Parts {
        sieve: Sieve::new(1, Arc::clone(&telemetry), false),
        rings: vec![ring],
        now: Arc::new(Now::new(clock.clone())),
        clock,
        telemetry,
        resume,
        hooks: Box::new(Heard(Arc::clone(&changed))),
    });
    Bench { lanes, out, changed, endpoint: Endpoint::parse(url).expect("a sound URL") }
}

impl Bench {
    fn connect(&mut self, start: Start) {
        self.lanes.connected(&self.endpoint, &Ask { start, zstd: None });
    }

    /// One event of this number, so long before now.
    fn event(&mut self, seq: u64, before: i64) -> Pressure {
        let frame = format!(
            "{{\"$type\":\"message\",\"payload\":{{\"$type\":\"network.bsky.jetstream.subscribeEvents#identity\",\
             \"did\":\"did:plc:ewvi7nxzyoun6zhxrhs64oiz\",\"identity\":{{}},\"seq\":{seq},\"time\":\"{}\"}}}}",
            NOW.plus_micros(-before)
        );
        let pressure = self.lanes.frame(frame.as_bytes(), &self.endpoint);
        if pressure != Pressure::Rewind {
            self.lanes.pause(Some(frame.as_bytes()));
        }
        pressure
    }

    fn info(&mut self, name: &str) {
        let frame = format!(
            "{{\"$type\":\"message\",\"payload\":{{\"$type\":\"network.bsky.jetstream.subscribeEvents#info\",\
             \"message\":\"m\",\"name\":\"{name}\"}}}}"
        );
        assert_eq!(self.lanes.frame(frame.as_bytes(), &self.endpoint), Pressure::Go);
    }

    fn gaps(&mut self) -> Vec<GapReason> {
        let mut gaps = Vec::new();
        self.out.drain(64, |parcel| {
            if let Parcel::Gap(gap) = parcel {
                assert_eq!((gap.did, gap.host.as_str()), (None, "a"));
                gaps.push(gap.reason);
            }
        });
        gaps
    }
}

/// While more comes, a worker is woken for many frames together; when nothing more comes, for each.
#[test]
fn workers_are_woken_when_much_waits_or_nothing_more_comes() {
    let mut bench = bench("ws://a", None);
    bench.connect(Start::Oldest);
    let frame = |seq: usize| {
        format!(
            "{{\"$type\":\"message\",\"payload\":{{\"$type\":\"network.bsky.jetstream.subscribeEvents#sync\",\
             \"did\":\"did:plc:ewvi7nxzyoun6zhxrhs64oiz\",\"sync\":{{}},\"seq\":{seq},\"time\":\"{NOW}\"}}}}"
        )
    };
    let read = |bench: &mut Bench, frames: std::ops::Range<usize>| {
        frames.for_each(|seq| {
            assert_eq!(bench.lanes.frame(frame(seq).as_bytes(), &bench.endpoint), Pressure::Go);
        });
        bench.lanes.pause(None);
    };
    let seen = |bench: &mut Bench| bench.out.drain(usize::MAX, |_| ());
    read(&mut bench, 0..3);
    assert_eq!(seen(&mut bench), 0, "more may come at once");
    bench.lanes.idle();
    assert_eq!(seen(&mut bench), 3);
    read(&mut bench, 0..STAGED_PARCELS_MAX);
    assert_eq!(seen(&mut bench), STAGED_PARCELS_MAX, "much waits");
    read(&mut bench, 0..1);
    for _ in 1..STAGED_READINGS_MAX {
        assert_eq!(seen(&mut bench), 0);
        read(&mut bench, 0..0);
    }
    assert_eq!(seen(&mut bench), 1, "it has waited for long");
    read(&mut bench, 0..1);
    bench.lanes.disconnected(&bench.endpoint, "over");
    assert!(seen(&mut bench) >= 1, "the end is the end");
}

#[test]
fn a_clamped_cursor_is_one_gap_fact() {
    let mut bench = bench("ws://a", Some(newest()));
    bench.connect(Start::Cursor { value: 1000 });
    assert_eq!(bench.event(5000, 9 * HOUR), Pressure::Go);
    assert_eq!(bench.event(5001, 9 * HOUR), Pressure::Go);
    assert_eq!(bench.gaps(), [GapReason::CursorClamped]);
    let changed = bench.changed.lock().expect("nobody panics with it");
    let expected = Did::parse("did:plc:ewvi7nxzyoun6zhxrhs64oiz").expect("a DID");
    assert_eq!(*changed, [expected.clone(), expected], "each identity event is told of");
}

#[test]
fn an_event_from_before_what_was_asked_for_hides_no_gap() {
    let mut bench = bench("ws://a", Some(newest()));
    bench.connect(Start::Time { at: NOW.plus_micros(-10 * HOUR) });
    assert_eq!(bench.event(4999, 90_000 * HOUR), Pressure::Go);
    assert_eq!(bench.gaps(), []);
    assert_eq!(bench.event(5000, 9 * HOUR), Pressure::Go);
    assert_eq!(bench.gaps(), [GapReason::CursorClamped]);
}

#[test]
fn a_stream_that_goes_on_where_it_was_is_no_gap() {
    let mut bench = bench("ws://a", Some(newest()));
    bench.connect(Start::Cursor { value: 1000 });
    assert_eq!(bench.event(1000, 10 * HOUR), Pressure::Go);
    assert_eq!(bench.event(9000, HOUR), Pressure::Go);
    assert_eq!(bench.gaps(), []);
}

#[test]
fn a_live_beginning_is_asked_for_its_oldest_and_is_a_gap_when_that_is_live_too() {
    let mut bench = bench("ws://a", Some(newest()));
    bench.connect(Start::Cursor { value: 1000 });
    assert_eq!(bench.event(90_000, 1), Pressure::Rewind);
    bench.lanes.disconnected(&bench.endpoint, "asked");
    assert_eq!(bench.lanes.resume(), Some(newest()), "what was not taken does not count");
    bench.connect(Start::Oldest);
    assert_eq!(bench.event(90_001, 1), Pressure::Go);
    assert_eq!(bench.gaps(), [GapReason::CursorClamped]);
}

#[test]
fn a_host_that_will_not_be_asked_for_its_oldest_is_believed_the_second_time() {
    let mut bench = bench("ws://a", Some(newest()));
    bench.connect(Start::Cursor { value: 1000 });
    assert_eq!(bench.event(3, 1), Pressure::Rewind);
    bench.lanes.disconnected(&bench.endpoint, "400 CursorTooOld: cursor 0 below lookback floor 2");
    bench.connect(Start::Cursor { value: 2 });
    assert_eq!(bench.event(2, 2), Pressure::Go);
    assert_eq!(bench.gaps(), [GapReason::CursorClamped]);
}

#[test]
fn a_host_that_counts_anew_is_asked_for_its_oldest() {
    let mut bench = bench("ws://a", Some(newest()));
    bench.connect(Start::Cursor { value: 1000 });
    assert_eq!(bench.event(3, 1), Pressure::Rewind);
    bench.connect(Start::Oldest);
    assert_eq!(bench.event(1, 11 * HOUR), Pressure::Go);
    assert_eq!(bench.gaps(), []);
}

#[test]
fn what_was_told_already_is_not_told_twice() {
    let mut bench = bench("ws://a", Some(newest()));
    let endpoint = bench.endpoint.clone();
    bench.lanes.gap(&endpoint, GapReason::CursorTooOld);
    bench.connect(Start::Cursor { value: 4000 });
    assert_eq!(bench.event(4000, 5 * HOUR), Pressure::Go);
    assert_eq!(bench.gaps(), [GapReason::CursorTooOld]);
}

#[test]
fn an_outdated_cursor_is_a_gap_where_something_was_read_before() {
    let mut known = bench("ws://a", Some(newest()));
    known.connect(Start::Time { at: NOW.plus_micros(-10 * HOUR) });
    known.info("OutdatedCursor");
    assert_eq!(known.event(5000, 9 * HOUR), Pressure::Go);
    known.info("SomethingElse");
    assert_eq!(known.gaps(), [GapReason::CursorTooOld]);

    let mut fresh = bench("ws://a", None);
    fresh.connect(Start::Oldest);
    fresh.info("OutdatedCursor");
    assert_eq!(fresh.event(5000, 9 * HOUR), Pressure::Go);
    assert_eq!(fresh.gaps(), []);
}
