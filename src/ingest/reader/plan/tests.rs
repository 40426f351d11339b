use super::*;

const NOW: Time = Time::from_micros(1_795_500_000_000_000);
const MINUTE: i64 = 60_000_000;

fn plan(urls: &[&str], without_cursor: WithoutCursor) -> Plan {
    let endpoints = urls.iter().map(|url| Endpoint::parse(url).unwrap()).collect();
    Plan::new(Config::new(endpoints, without_cursor), fastrand::Rng::with_seed(1))
}

fn v2(urls: &[&str]) -> Plan {
    plan(urls, WithoutCursor::Oldest)
}

fn at(host: &str, dialect: Dialect, value: u64, micros: i64) -> Cursor {
    Cursor { host: Host::new(host), dialect, value, time: NOW.plus_micros(micros) }
}

fn start(plan: &mut Plan, cursor: &Cursor) -> Start {
    plan.next(Some(cursor.clone()), NOW).ask.start
}

fn end(plan: &mut Plan, of: Next, kind: Kind, cursor: Option<&Cursor>) -> After {
    plan.ended(&Outcome { of, kind, frames: cursor.is_some(), cursor: cursor.cloned() })
}

#[test]
fn without_a_cursor_the_operator_says_where_to_begin() {
    assert_eq!(plan(&["ws://a"], WithoutCursor::Live).next(None, NOW).ask.start, Start::Live);
    assert_eq!(v2(&["ws://a"]).next(None, NOW).ask.start, Start::Oldest);
    let cursor = at("a", Dialect::V2, 7, 0);
    assert_eq!(start(&mut plan(&["ws://a"], WithoutCursor::Live), &cursor), Start::Cursor { value: 7 });
}

#[test]
fn of_another_host_or_dialect_only_the_time_counts() {
    let rewound = Start::Time { at: NOW.plus_micros(-HOST_REWIND_MICROS) };
    for cursor in [at("b", Dialect::V2, 7, 0), at("a:81", Dialect::V2, 7, 0), at("a", Dialect::V1, 7, 0)] {
        assert_eq!(start(&mut v2(&["ws://a"]), &cursor), rewound);
    }
}

#[test]
fn what_brought_something_new_is_asked_again_at_once() {
    let mut plan = v2(&["ws://a", "ws://b"]);
    for value in 1..5 {
        let next = plan.next(None, NOW);
        assert_eq!(next.at, 0);
        let moved = at("a", Dialect::V2, value, i64::try_from(value).unwrap());
        assert!(end(&mut plan, next, Kind::Other, Some(&moved)).wait <= Duration::from_millis(BACKOFF_FIRST_MILLIS));
    }
}

/// All operations of one commit have the same time on v2: a greater number is progress, too.
#[test]
fn a_greater_number_at_the_same_time_is_progress() {
    let mut plan = v2(&["ws://a", "ws://b"]);
    let next = plan.next(Some(at("a", Dialect::V2, 7, 0)), NOW);
    end(&mut plan, next, Kind::Other, Some(&at("a", Dialect::V2, 8, 0)));
    assert_eq!(plan.next(None, NOW).at, 0);
}

#[test]
fn without_progress_the_endpoints_take_turns_and_the_wait_grows_to_its_bound() {
    let mut plan = v2(&["ws://a", "ws://b", "ws://c"]);
    let cursor = at("a", Dialect::V2, 7, 0);
    let mut waits = Vec::new();
    for round in 0..40 {
        let next = plan.next(Some(cursor.clone()), NOW);
        assert_eq!(next.at, round % 3);
        waits.push(end(&mut plan, next, Kind::Other, Some(&cursor)).wait);
    }
    let (first, most) = (Duration::from_millis(BACKOFF_FIRST_MILLIS), Duration::from_millis(BACKOFF_MAX_MILLIS));
    assert!(waits[..3].iter().all(|wait| (first / 2..=first).contains(wait)), "{waits:?}");
    assert!(waits[9..12].iter().all(|wait| (first * 4..=first * 8).contains(wait)), "{waits:?}");
    assert!(waits[36..].iter().all(|wait| (most / 2..=most).contains(wait)), "{waits:?}");
    let jittered: std::collections::BTreeSet<_> = waits[36..].iter().collect();
    assert!(jittered.len() > 1, "every process would come at the same time: {waits:?}");
    let next = plan.next(None, NOW);
    let moved = at("b", Dialect::V2, 900, 1);
    assert!(end(&mut plan, next, Kind::Other, Some(&moved)).wait <= first, "progress resets the wait");
}

/// Two hosts that fail by turns must not walk the stream backwards, two minutes at each switch.
#[test]
fn hosts_that_fail_by_turns_go_on_where_they_were() {
    let mut plan = v2(&["ws://a", "ws://b"]);
    let a = at("a", Dialect::V2, 100, 0);
    let next = plan.next(Some(a.clone()), NOW);
    end(&mut plan, next, Kind::Other, Some(&a));
    let next = plan.next(Some(a), NOW);
    assert_eq!((next.at, next.ask.start), (1, Start::Time { at: NOW.plus_micros(-2 * MINUTE) }));
    let b = at("b", Dialect::V2, 5000, -MINUTE);
    end(&mut plan, next, Kind::Other, Some(&b));
    let next = plan.next(Some(b.clone()), NOW);
    assert_eq!((next.at, next.ask.start), (0, Start::Cursor { value: 100 }), "a's own position, not b's time");
    end(&mut plan, next, Kind::Other, Some(&b));
    assert_eq!(start(&mut plan, &b), Start::Cursor { value: 5000 });
    // Far ahead by a, b is asked for the moment again.
    let far = at("a", Dialect::V2, 9000, 60 * MINUTE);
    assert_eq!(start(&mut plan, &far), Start::Time { at: NOW.plus_micros(58 * MINUTE) });
}

#[test]
fn a_cursor_too_old_is_one_gap_and_goes_on_at_the_floor() {
    let mut plan = v2(&["ws://a", "ws://b"]);
    let cursor = at("a", Dialect::V2, 7, 0);
    let next = plan.next(Some(cursor.clone()), NOW);
    let after = end(&mut plan, next, Kind::CursorTooOld { floor: Some(500) }, Some(&cursor));
    assert_eq!(after.gap, Some(GapReason::CursorTooOld));
    let next = plan.next(Some(cursor.clone()), NOW);
    assert_eq!((next.at, next.ask.start), (0, Start::Cursor { value: 500 }));
    let after = end(&mut plan, next, Kind::CursorTooOld { floor: None }, Some(&cursor));
    assert_eq!(after.gap, None, "it is the same gap");
    assert_eq!(start(&mut plan, &cursor), Start::Time { at: NOW.plus_micros(-RETENTION_MICROS) });
    let next = plan.next(None, NOW);
    end(&mut plan, next, Kind::Other, Some(&at("a", Dialect::V2, 600, 1)));
    assert_eq!(start(&mut plan, &at("a", Dialect::V2, 601, 2)), Start::Cursor { value: 601 });
}

#[test]
fn the_oldest_is_found_by_asking_and_is_no_gap() {
    let mut plan = v2(&["ws://a"]);
    let next = plan.next(None, NOW);
    assert_eq!(end(&mut plan, next, Kind::CursorTooOld { floor: Some(500) }, None).gap, None);
    assert_eq!(plan.next(None, NOW).ask.start, Start::Cursor { value: 500 });
    for _ in 0..10 {
        let next = plan.next(None, NOW);
        end(&mut plan, next, Kind::CursorTooOld { floor: Some(500) }, None);
    }
    assert_eq!(plan.next(None, NOW).ask.start, Start::Live, "a host that refuses everything is read live at last");
}

#[test]
fn the_floor_is_read_from_the_message() {
    for (message, floor) in [
        ("subscribe: cursor too old: cursor 0 below lookback floor 123; re-backfill from your last seq", Some(123)),
        ("floor: 9", Some(9)),
        ("cursor 77 is too old", None),
        ("the floor is unknown", None),
        ("floor 99999999999999999999999", None),
    ] {
        let refusal = Refusal { status: 400, error: Some("CursorTooOld".into()), message: message.into() };
        assert_eq!(Kind::of_refusal(&refusal), Kind::CursorTooOld { floor }, "{message}");
    }
    let other = Refusal { status: 400, error: Some("InvalidRequest".into()), message: "floor 3".into() };
    assert_eq!(Kind::of_refusal(&other), Kind::Other);
}

#[test]
fn a_host_that_refuses_its_oldest_to_the_end_is_read_live_and_that_is_a_gap() {
    let mut plan = v2(&["ws://a"]);
    let cursor = at("a", Dialect::V2, 7, 0);
    let next = plan.next(Some(cursor.clone()), NOW);
    end(&mut plan, next, Kind::Rewind, Some(&cursor));
    let mut gaps = Vec::new();
    while start(&mut plan, &cursor) != Start::Live {
        let next = plan.next(Some(cursor.clone()), NOW);
        gaps.extend(end(&mut plan, next, Kind::CursorTooOld { floor: Some(500) }, Some(&cursor)).gap);
    }
    assert_eq!(gaps, [GapReason::CursorTooOld]);
}

#[test]
fn a_host_that_does_not_know_moments_is_asked_for_its_oldest() {
    let mut plan = v2(&["ws://a"]);
    let cursor = at("b", Dialect::V2, 7, 0);
    for _ in 0..DEAF_TRIES {
        let next = plan.next(Some(cursor.clone()), NOW);
        assert!(matches!(next.ask.start, Start::Time { .. }));
        end(&mut plan, next, Kind::Silent, Some(&cursor));
    }
    assert_eq!(start(&mut plan, &cursor), Start::Oldest);
    let mut plan = v2(&["ws://a", "ws://c"]);
    let next = plan.next(Some(cursor.clone()), NOW);
    end(&mut plan, next, Kind::Rewind, Some(&cursor));
    let next = plan.next(Some(cursor), NOW);
    assert_eq!((next.at, next.ask.start), (0, Start::Oldest));
}

#[test]
fn what_cannot_be_read_is_passed_in_growing_steps() {
    let mut plan = v2(&["ws://a"]);
    let cursor = at("a", Dialect::V2, 7, 0);
    let mut asked = Vec::new();
    for _ in 0..20 {
        let next = plan.next(Some(cursor.clone()), NOW);
        let Start::Cursor { value } = next.ask.start else { panic!("{next:?}") };
        assert_eq!(next.skips, value != 7, "each step is told");
        asked.push(value);
        end(&mut plan, next, Kind::Protocol, Some(&cursor));
    }
    assert_eq!(asked[..6], [7, 7, 7, 9, 10, 12]);
    assert_eq!(asked[19], 7 + STUCK_STEP_MAX + 1, "a broken host cannot make us skip without bound");
    let next = plan.next(None, NOW);
    let behind = at("a", Dialect::V2, 2000, 5);
    end(&mut plan, next, Kind::Protocol, Some(&behind));
    assert_eq!(start(&mut plan, &behind), Start::Cursor { value: 2000 });

    let mut plan = super::tests::plan(&["ws://a/subscribe"], WithoutCursor::Oldest);
    let cursor = at("a", Dialect::V1, 1_795_500_000_000_000, 0);
    for _ in 0..2 * STUCK_TRIES {
        let next = plan.next(Some(cursor.clone()), NOW);
        end(&mut plan, next, Kind::Protocol, Some(&cursor));
    }
    assert_eq!(start(&mut plan, &cursor), Start::Cursor { value: 1_795_500_000_001_000 });
}

#[test]
fn a_v1_position_goes_back_over_its_disorder_unless_that_leads_nowhere() {
    let mut plan = plan(&["ws://a/subscribe"], WithoutCursor::Oldest);
    let micros = 1_795_500_000_000_000;
    let cursor = at("a", Dialect::V1, micros, 0);
    let rewound = Start::Cursor { value: micros - V1_REWIND_MICROS };
    assert_eq!(start(&mut plan, &cursor), rewound);
    let unreachable = plan.next(Some(cursor.clone()), NOW);
    plan.ended(&Outcome { of: unreachable, kind: Kind::Other, frames: false, cursor: Some(cursor.clone()) });
    assert_eq!(start(&mut plan, &cursor), rewound, "nothing came: nothing is known");

    // A host that hangs up before it has passed what it was asked to repeat would be read in a circle for ever. What the
    // stream's disorder has put before the position may be missing then: that is told, once.
    for kind in [Kind::Other, Kind::Protocol, Kind::Other] {
        let next = plan.next(Some(cursor.clone()), NOW);
        assert_eq!((next.ask.start, next.skips), (rewound, false));
        end(&mut plan, next, kind, Some(&cursor));
    }
    for skips in [true, false] {
        let next = plan.next(Some(cursor.clone()), NOW);
        assert_eq!((next.ask.start, next.skips), (Start::Cursor { value: micros }, skips));
        end(&mut plan, next, Kind::Other, Some(&cursor));
    }
    let newer = at("a", Dialect::V1, micros + 1, 1);
    let next = plan.next(Some(cursor), NOW);
    end(&mut plan, next, Kind::Other, Some(&newer));
    assert_eq!(start(&mut plan, &newer), Start::Cursor { value: micros + 1 - V1_REWIND_MICROS });
}

#[test]
fn on_v1_the_same_host_is_asked_for_a_little_more() {
    let value = NOW.micros().unsigned_abs();
    let mut plan = plan(&["ws://a/subscribe"], WithoutCursor::Live);
    let cursor = at("a", Dialect::V1, value, 0);
    assert_eq!(start(&mut plan, &cursor), Start::Cursor { value: value - V1_REWIND_MICROS });
    let low = at("a", Dialect::V1, TIME_CURSOR_MIN + 1, 1);
    assert_eq!(start(&mut plan, &low), Start::Cursor { value: TIME_CURSOR_MIN + 1 }, "never a sequence number");
}

#[test]
fn a_dictionary_that_does_not_work_is_no_reason_to_leave_the_host() {
    let refusal = Refusal { status: 400, error: Some("UnknownZstdDictionary".into()), message: String::new() };
    assert_eq!(Kind::of_refusal(&refusal), Kind::Dictionary);
    let mut plan = v2(&["ws://a", "ws://b"]);
    let next = plan.next(None, NOW);
    end(&mut plan, next, Kind::Dictionary, None);
    assert_eq!(plan.next(None, NOW).at, 0);
}
