//! Page cursors: one text each, and whatever else is refused.

use proptest::prelude::*;

use super::*;

fn key() -> impl Strategy<Value = PostKey> {
    let did = prop_oneof!["did:plc:[a-z2-7]{24}", "did:web:[a-z0-9.]{1,30}[a-z]"];
    let rkey = prop_oneof![
        any::<u64>().prop_map(|number| Tid::from_u64(number).to_string()),
        "[A-Za-z0-9_:~-]{1,40}".prop_map(|text: String| text),
    ];
    (any::<i64>(), did, rkey).prop_map(|(time_millis, did, rkey)| PostKey {
        time_millis,
        did: Did::parse(&did).expect("a DID"),
        rkey: RecordKey::parse(&rkey).expect("a record key"),
    })
}

fn position() -> impl Strategy<Value = Position> {
    prop_oneof![Just(Position::Absent), Just(Position::Top), key().prop_map(Position::Behind)]
}

fn mixed() -> impl Strategy<Value = PageCursor> {
    let parent = proptest::option::of(any::<u32>().prop_map(CommunityId));
    let debt = || prop_oneof![Just(0), -4999i32..5000];
    ([position(), position(), position()], key(), 0..SOURCES, debt(), debt(), parent).prop_map(
        |(mut positions, last, source, a, b, parent)| {
            positions[source] = Position::Behind(last);
            if positions[PARENT] == Position::Absent && positions[GLOBAL] == Position::Absent {
                return PageCursor::behind(positions[OWN].key().cloned().expect("one is there"));
            }
            let owes = |source: usize, carry: i32| if positions[source] == Position::Absent { 0 } else { carry };
            let (mut parent_owes, mut global_owes) = (owes(PARENT, a), owes(GLOBAL, b));
            if positions[OWN] == Position::Absent {
                let can = positions[PARENT] != Position::Absent && positions[GLOBAL] != Position::Absent;
                parent_owes = if can { a } else { 0 };
                global_owes = -parent_owes;
            }
            PageCursor { positions, carries: [-(parent_owes + global_owes), parent_owes, global_owes], parent }
        },
    )
}

fn cursor() -> impl Strategy<Value = PageCursor> {
    prop_oneof![key().prop_map(PageCursor::behind), mixed()]
}

proptest! {
    #[test]
    fn a_cursor_survives_its_text(cursor in cursor()) {
        let text = cursor.to_string();
        prop_assert!(text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_'));
        prop_assert_eq!(PageCursor::parse(&text), Ok(cursor));
    }

    /// One byte changed, taken away or added: another cursor, or none; never the same, never another spelling.
    #[test]
    fn a_cursor_has_one_spelling(cursor in cursor(), at in any::<prop::sample::Index>(), byte in any::<char>(), how in 0..3) {
        let mut text: Vec<char> = cursor.to_string().chars().collect();
        let at = at.index(text.len());
        match how {
            0 => text[at] = byte,
            1 => drop(text.remove(at)),
            _ => text.insert(at, byte),
        }
        let changed: String = text.into_iter().collect();
        if let Ok(parsed) = PageCursor::parse(&changed) {
            prop_assert_eq!(parsed.to_string(), changed);
        }
    }

    #[test]
    fn nothing_panics(text in "\\PC{0,200}", bytes in prop::collection::vec(any::<u8>(), 0..100)) {
        let encoded = BASE64URL_NOPAD.encode(&bytes);
        for text in [text, encoded] {
            if let Ok(parsed) = PageCursor::parse(&text) {
                prop_assert_eq!(parsed.to_string(), text);
            }
        }
    }
}

#[test]
fn malformed_cursors_are_refused() {
    let (did, tid) = ("did:plc:ewvi7nxzyoun6zhxrhs64oiz", 0x1234_u64.to_be_bytes());
    let good = [&[1, 0], &[0; 8][..], &[0, 32], did.as_bytes(), &tid].concat();
    let parse = |bytes: &[u8]| PageCursor::parse(&BASE64URL_NOPAD.encode(bytes));
    assert!(parse(&good).is_ok());
    let with = |at: usize, byte: u8| {
        let mut bytes = good.clone();
        bytes[at] = byte;
        parse(&bytes)
    };
    assert_eq!(with(0, 2), Err(PageCursorError::Version(2)));
    assert_eq!(with(1, 4), Err(PageCursorError::Malformed("has an unknown form")));
    assert_eq!(with(11, 255), Err(CUT_SHORT));
    assert_eq!(with(12, b'x'), Err(PageCursorError::Malformed("names no DID")));
    assert_eq!(with(20, 0xff), Err(PageCursorError::Malformed("names no DID")));
    assert_eq!(parse(&[&good[..], &[0]].concat()), Err(PageCursorError::Malformed("goes on behind its end")));
    for length in 0..good.len() {
        assert!(parse(&good[..length]).is_err(), "{length}");
    }
    let text_form = |rkey: &str| parse(&[&[1, 1], &[0; 8][..], &[0, 32], did.as_bytes(), rkey.as_bytes()].concat());
    assert!(text_form("self").is_ok());
    let no_rkey = Err(PageCursorError::Malformed("names no record key"));
    for bad in ["", "..", "a/b", "é", "3jzfcijpj2z2a"] {
        assert_eq!(text_form(bad), no_rkey, "{bad:?}");
    }
    let text = BASE64URL_NOPAD.encode(&good);
    let not_base64 = Err(PageCursorError::Malformed("is not base64url without padding"));
    for bad in
        [format!("{text}=="), format!("{text} "), text.replace('A', "+"), format!("{}B", &text[..text.len() - 1])]
    {
        assert!(PageCursor::parse(&bad).is_err(), "{bad}");
    }
    assert_eq!(PageCursor::parse("a b"), not_base64);
    let long = PAGE_CURSOR_BYTES_MAX + 1;
    assert_eq!(PageCursor::parse(&"A".repeat(long)), Err(PageCursorError::TooLong(long)));
}

#[test]
fn malformed_mixed_cursors_are_refused() {
    let (did, tid) = (b"did:web:a", 0x1234_u64.to_be_bytes());
    let key = [&[0; 8][..], &[0, 9], did, &[0, 0], &tid].concat();
    let build = |form: u8, states: u8, carries: [i16; 2], rest: &[u8]| {
        let carries = carries.map(i16::to_be_bytes).concat();
        PageCursor::parse(&BASE64URL_NOPAD.encode(&[&[1, form, states], &carries[..], rest].concat()))
    };
    let bad = |why| Err(PageCursorError::Malformed(why));
    let (state, debt) = (bad("has an unknown state"), bad("owes what no page owes"));
    let good = build(2, 0b00_01_10, [-5000, 0], &key).expect("own behind a key, parent at its top");
    assert_eq!((good.carries, good.parent), ([5000, -5000, 0], None));
    assert_eq!(build(2, 0b00_01_10, [9999, 0], &key).map(|cursor| cursor.carries), Ok([-9999, 9999, 0]));
    let with_parent = build(6, 0b10_00_00, [0, 0], &[&[0, 0, 0, 7], &key[..]].concat()).expect("global alone");
    assert_eq!(with_parent.parent, Some(CommunityId(7)));
    assert_eq!(build(2, 0b00_00_10, [0, 0], &key), state, "has a shorter spelling");
    assert_eq!(build(2, 0b01_01_01, [0, 0], &[]), state, "comes after no item");
    assert_eq!(build(2, 0b00_11_10, [0, 0], &key), state);
    assert_eq!(build(2, 0b01_00_01_10, [0, 0], &key), state);
    assert_eq!(build(2, 0b00_01_10, [10_000, 0], &key), debt);
    assert_eq!(build(2, 0b00_01_10, [0, 1], &key), debt, "a source that is absent");
    assert_eq!(build(2, 0b01_01_10, [-6000, -6000], &key), debt, "own would be owed more than an item");
    assert_eq!(build(2, 0b00_01_10, [0, 0], &[&key[..], &[0]].concat()), bad("goes on behind its end"));
    assert_eq!(build(3, 0b00_01_10, [0, 0], &key), bad("has an unknown form"));
    assert_eq!(build(8, 0b00_01_10, [0, 0], &key), bad("has an unknown form"));
    for length in 0..key.len() {
        assert_eq!(build(2, 0b00_01_10, [0, 0], &key[..length]).ok(), None, "{length}");
    }
    for (rkey, is_read) in [("self", true), ("a/b", false), ("3jzfcijpj2z2a", false)] {
        let length = u16::try_from(rkey.len()).expect("short").to_be_bytes();
        let key = [&[0; 8][..], &[0, 9], did, &length, rkey.as_bytes()].concat();
        assert_eq!(build(2, 0b00_01_10, [0, 0], &key).is_ok(), is_read, "{rkey}");
    }
}

#[test]
fn the_longest_cursors_are_read() {
    let did = Did::parse(&format!("did:web:{}", "a".repeat(2040))).expect("2,048 bytes");
    let rkey = RecordKey::parse(&"r".repeat(512)).expect("512 bytes");
    let key = PostKey { time_millis: i64::MAX, did, rkey };
    let positions = [0; SOURCES].map(|_| Position::Behind(key.clone()));
    let mixed = PageCursor { positions, carries: [-9999, 9998, 1], parent: Some(CommunityId(u32::MAX)) };
    for cursor in [PageCursor::behind(key), mixed] {
        let text = cursor.to_string();
        assert!(text.len() <= PAGE_CURSOR_BYTES_MAX, "{}", text.len());
        assert_eq!(PageCursor::parse(&text), Ok(cursor));
    }
}

/// The figures that `limits` gives.
#[test]
fn cursors_of_the_usual_items_are_short() {
    let did = Did::parse("did:plc:ewvi7nxzyoun6zhxrhs64oiz").expect("a DID");
    let key = PostKey { time_millis: 0, did, rkey: Tid::from_u64(7).into() };
    let positions = [0; SOURCES].map(|_| Position::Behind(key.clone()));
    let mixed = PageCursor { positions, carries: [0; SOURCES], parent: Some(CommunityId(7)) };
    assert_eq!([PageCursor::behind(key), mixed].map(|cursor| cursor.to_string().len()), [70, 223]);
}
