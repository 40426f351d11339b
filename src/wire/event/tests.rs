use super::*;

const V1: &str = r#"{"did":"did:plc:wq4aajammjtxdomz3e23667t","time_us":1783175888085434,"kind":"commit","commit":{"rev":"3mptbypluud2a","operation":"create","collection":"app.bsky.feed.like","rkey":"3mptbyplj5d2a","record":{"$type":"app.bsky.feed.like"},"cid":"bafyreiguce4jh7kcbmof3pmcvasifqtw24b6isakj5ve5ga2b4z4alpc4i"}}"#;
const V2: &str = r#"{"$type":"message","payload":{"$type":"network.bsky.jetstream.subscribeEvents#commit","cid":"bafyreiguce4jh7kcbmof3pmcvasifqtw24b6isakj5ve5ga2b4z4alpc4i","collection":"app.bsky.feed.like","did":"did:plc:wq4aajammjtxdomz3e23667t","operation":"create","record":{"$type":"app.bsky.feed.like"},"rev":"3mptbypluud2a","rkey":"3mptbyplj5d2a","seq":91107,"time":"2026-07-04T14:38:08.085434Z"}}"#;

fn commit(frame: &str) -> (Position, Dialect, Commit<'_>) {
    let frame = parse(frame.as_bytes()).unwrap();
    let Event::Commit(commit) = frame.event else { panic!("{frame:?}") };
    (frame.position, frame.dialect, commit)
}

fn refusal(frame: &str) -> Reason {
    parse(frame.as_bytes()).expect_err(frame)
}

#[test]
fn the_three_wires_say_the_same() {
    let v1_on_v2_host = V1.replace(r#""kind""#, r#""cursor":91107,"kind""#);
    let time = Time::from_micros(1_783_175_888_085_434);
    for (frame, dialect, value) in [
        (V1, Dialect::V1, 1_783_175_888_085_434),
        (&v1_on_v2_host, Dialect::V1, 1_783_175_888_085_434),
        (V2, Dialect::V2, 91_107),
    ] {
        let (position, found, commit) = commit(frame);
        assert_eq!((position, found), (Position { time, value: Some(value) }, dialect));
        assert_eq!(super::position(frame.as_bytes()), Some(position));
        assert_eq!(commit.did, "did:plc:wq4aajammjtxdomz3e23667t");
        assert_eq!(commit.rev.to_string(), "3mptbypluud2a");
        assert_eq!(commit.operation, Operation::Create);
        assert_eq!(commit.collection, "app.bsky.feed.like");
        assert_eq!(commit.rkey, "3mptbyplj5d2a");
        assert_eq!(commit.cid.as_deref(), Some("bafyreiguce4jh7kcbmof3pmcvasifqtw24b6isakj5ve5ga2b4z4alpc4i"));
        assert_eq!(commit.record.unwrap().get(), r#"{"$type":"app.bsky.feed.like"}"#);
    }
}

#[test]
fn text_borrows_unless_it_is_escaped() {
    let (_, _, plain) = commit(V1);
    assert!(matches!(
        (&plain.did, &plain.collection, &plain.rkey),
        (Cow::Borrowed(_), Cow::Borrowed(_), Cow::Borrowed(_))
    ));
    let escaped = V1.replace("app.bsky.feed.like\",\"rkey", "app.bsky.feed.\\u006cike\",\"rkey");
    assert_eq!(commit(&escaped).2.collection, "app.bsky.feed.like");
}

#[test]
fn order_whitespace_and_unknown_fields_are_tolerated() {
    let shuffled = "\n { \"commit\" : {\"record\":{\"a\":[{}]},\"extra\":{\"x\":[1,{}]},\"rkey\":\"k\",\"collection\":\"a.b.c\",\
        \"operation\":\"update\" , \"rev\":\"3mptbypluud2a\"},\"z\":null,\"identity\":7, \"kind\":\"commit\",\"time_us\":5,\
        \"did\":\"did:web:a.b\"} \r\n";
    let (position, _, commit) = commit(shuffled);
    assert_eq!(position, Position { time: Time::from_micros(5), value: Some(5) });
    assert_eq!((commit.operation, &*commit.rkey, commit.cid), (Operation::Update, "k", None));
}

#[test]
fn of_a_double_key_the_first_counts() {
    let double = V1.replace(r#""operation":"create""#, r#""operation":"create","operation":"delete","rkey":"first""#);
    let (_, _, commit) = commit(&double);
    assert_eq!((commit.operation, &*commit.rkey), (Operation::Create, "first"));
}

#[test]
fn a_delete_has_no_record() {
    let delete = V1.replace("create", "delete");
    let (_, _, commit) = commit(&delete);
    assert!(commit.record.is_none() && commit.cid.is_none());
}

#[test]
fn account_and_identity() {
    let inner = r#"{"active":false,"did":"did:plc:a","seq":3,"status":"takendown","time":"2026-07-04T14:38:07.877Z"}"#;
    let v1 = format!(r#"{{"did":"did:plc:a","time_us":9,"kind":"account","account":{inner}}}"#);
    let v2 = format!(
        r#"{{"$type":"message","payload":{{"$type":"network.bsky.jetstream.subscribeEvents#account","account":{inner},"did":"did:plc:a","seq":7,"time":"1970-01-01T00:00:00.000009Z"}}}}"#
    );
    for (text, value) in [(v1, 9), (v2, 7)] {
        let frame = parse(text.as_bytes()).unwrap();
        assert_eq!(frame.position, Position { time: Time::from_micros(9), value: Some(value) });
        let Event::Account { did, active, status, time } = frame.event else { panic!("{text}") };
        assert_eq!((&*did, active, status.as_deref()), ("did:plc:a", false, Some("takendown")));
        assert_eq!(time, parse_datetime("2026-07-04T14:38:07.877Z").unwrap());
        assert_eq!(refusal(&text.replace(r#""active":false"#, r#""active":0"#)), Reason::Malformed);
        assert_eq!(refusal(&text.replace("2026-07-04T", "2026-07-04 ")), Reason::Malformed);
        let without = text.replace(r#","status":"takendown""#, "");
        assert!(matches!(parse(without.as_bytes()).unwrap().event, Event::Account { status: None, .. }));
    }
    let identity = r#"{"did":"did:plc:a","time_us":9,"kind":"identity","identity":{"handle":"x"}}"#;
    assert!(matches!(parse(identity.as_bytes()).unwrap().event, Event::Identity { did } if did == "did:plc:a"));
    let sync = r##"{"$type":"message","payload":{"$type":"network.bsky.jetstream.subscribeEvents#sync","did":"did:plc:a","seq":1,"sync":{},"time":"1970-01-01T00:00:00Z"}}"##;
    assert!(matches!(parse(sync.as_bytes()).unwrap().event, Event::Sync { did } if did == "did:plc:a"));
}

#[test]
fn info_and_error_stand_nowhere() {
    let info = r##"{"$type":"message","payload":{"$type":"network.bsky.jetstream.subscribeEvents#info","message":"m","name":"OutdatedCursor"}}"##;
    let frame = parse(info.as_bytes()).unwrap();
    assert_eq!(frame.position, Position::NOWHERE);
    assert!(matches!(frame.event, Event::Info { name, .. } if name == "OutdatedCursor"));
    let error = r#"{"$type":"error","error":"ConsumerTooSlow","message":"slow"}"#;
    let Event::Error { error: name, message } = parse(error.as_bytes()).unwrap().event else { panic!() };
    assert_eq!((&*name, message.as_deref()), ("ConsumerTooSlow", Some("slow")));
    assert_eq!((super::position(info.as_bytes()), super::position(error.as_bytes())), (None, None));
}

#[test]
fn each_refusal_has_its_reason() {
    for garbage in ["", "  ", "null", "[]", "5", "\"x\"", "{", "{\"a\":}", "{} {}", "\u{feff}{}", "\u{0}"] {
        assert_eq!(refusal(garbage), Reason::Garbage, "{garbage:?}");
    }
    for cut in 1..V1.len() {
        assert_eq!(refusal(&V1[..cut]), Reason::Garbage);
    }
    assert_eq!(parse(b"{\"did\":\"\xff\"}").unwrap_err(), Reason::Garbage);
    let cases = [
        ("{}", "", "", Reason::Malformed),
        (V1, r#""kind":"commit""#, r#""kind":"labels""#, Reason::UnknownKind),
        (V1, r#""kind":"commit""#, r#""kind":7"#, Reason::Malformed),
        (V1, r#""operation":"create""#, r#""operation":"merge""#, Reason::UnknownOperation),
        (V1, r#""operation":"create""#, r#""operation":null"#, Reason::Malformed),
        (V1, "did:plc", "dad:plc", Reason::BadDid),
        (V1, r#""did":"#, r#""dad":"#, Reason::Malformed),
        (V1, r#""rkey":"3mptbyplj5d2a""#, r#""rkey":"a/b""#, Reason::BadRecordKey),
        (V1, "3mptbypluud2a", "3mptbypluud2", Reason::BadRev),
        (V1, "1783175888085434", "\"1783175888085434\"", Reason::Malformed),
        (V1, "1783175888085434", "-5", Reason::Malformed),
        (V1, "1783175888085434", "18446744073709551615", Reason::Malformed),
        (V1, r#""commit":{"#, r#""commit":5,"c":{"#, Reason::Malformed),
        (V1, r#""record":{"$type":"app.bsky.feed.like"}"#, r#""record":null"#, Reason::Malformed),
        (V2, "#commit", "#labels", Reason::UnknownKind),
        (V2, "subscribeEvents#commit", "subscribeLabels#commit", Reason::UnknownKind),
        (V2, r#""$type":"message""#, r#""$type":"massage""#, Reason::UnknownKind),
        (V2, r#""$type":"message""#, r#""$type":[{}]"#, Reason::Malformed),
        (V2, r#""payload":"#, r#""pay":"#, Reason::Malformed),
        (V2, "91107", "\"91107\"", Reason::Malformed),
        (V2, "2026-07-04T14:38:08.085434Z", "yesterday", Reason::Malformed),
    ];
    for (frame, from, to, reason) in cases {
        let broken = frame.replacen(from, to, 1);
        assert_eq!(refusal(&broken), reason, "{broken}");
    }
}

#[test]
fn a_position_needs_no_known_kind() {
    let unknown = V2.replace("#commit", "#labels");
    assert_eq!(super::position(unknown.as_bytes()).unwrap().value, Some(91_107));
    assert_eq!(super::position(b"{}"), None);
}

#[test]
fn deep_nesting_does_not_overflow() {
    let deep = V1.replace(r#"{"$type":"app.bsky.feed.like"}"#, &("[".repeat(100_000) + &"]".repeat(100_000)));
    assert!(commit(&deep).2.record.is_some());
    assert_eq!(refusal(&"[".repeat(100_000)), Reason::Garbage);
    let deep_key = format!(r#"{{"x":{}{}}}"#, "{\"a\":".repeat(100_000), "}".repeat(100_000));
    assert_eq!(refusal(&deep_key), Reason::Garbage);
}

/// Deletes of posts in the layouts of today, and everything that differs from one of them in one byte, or is cut short.
#[test]
fn the_shortcut_for_deletes_reads_what_the_parser_reads() {
    let v1 = r#"{"did":"did:plc:wq4aajammjtxdomz3e23667t","time_us":1783175888085434,"kind":"commit","commit":{"rev":"3mptbypluud2a","operation":"delete","collection":"app.bsky.feed.post","rkey":"3mptbyplj5d2a"}}"#;
    let on_v2_host = v1.replace(r#","kind""#, r#","cursor":91107,"kind""#);
    let v2 = r#"{"$type":"message","payload":{"$type":"network.bsky.jetstream.subscribeEvents#commit","collection":"app.bsky.feed.post","did":"did:web:example.com","operation":"delete","rev":"3mptbypluud2a","rkey":"self","seq":91107,"time":"2026-07-04T14:38:08.085434Z"}}"#;
    let (mut refused, mut taken) = (0, 0);
    for whole in [v1, &on_v2_host, v2] {
        assert!(plain::deleted_post(whole.as_bytes()).is_some(), "{whole}");
        let mut hold = |frame: &[u8]| {
            let (shortcut, parser) = (parse(frame), parse_any(frame));
            assert_eq!(format!("{shortcut:?}"), format!("{parser:?}"), "{}", String::from_utf8_lossy(frame));
            refused += usize::from(shortcut.is_err());
            taken += usize::from(plain::deleted_post(frame).is_some());
        };
        hold(format!("{whole} ").as_bytes());
        hold(format!("{whole}x").as_bytes());
        for at in 0..whole.len() {
            hold(&whole.as_bytes()[..at]);
            for byte in *b"\"\\}{:,0a1Z \x01\xc3" {
                let mut frame = whole.as_bytes().to_vec();
                frame[at] = byte;
                hold(&frame);
                frame.insert(at, whole.as_bytes()[at]);
                hold(&frame);
            }
        }
    }
    assert!(refused > 5000 && taken > 1000, "{refused} {taken}");
}
