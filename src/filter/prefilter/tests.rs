use super::*;

const V1: &str = r#"{"did":"did:plc:wq4aajammjtxdomz3e23667t","time_us":1783175888085434,"kind":"commit","commit":{"rev":"3mptbypluud2a","operation":"create","collection":"app.bsky.feed.like","rkey":"3mptbyplj5d2a","record":{"$type":"app.bsky.feed.like"},"cid":"bafyreiguce"}}"#;
const V2: &str = r#"{"$type":"message","payload":{"$type":"network.bsky.jetstream.subscribeEvents#commit","cid":"bafyreiguce","collection":"app.bsky.feed.like","did":"did:plc:wq4aajammjtxdomz3e23667t","operation":"create","record":{"$type":"app.bsky.feed.like"},"rev":"3mptbypluud2a","rkey":"3mptbyplj5d2a","seq":91107,"time":"2026-07-04T14:38:08.085434Z"}}"#;

fn wires() -> [String; 4] {
    let on_v2_host = V1.replace(r#","kind""#, r#","cursor":91107,"kind""#);
    [V1.to_owned(), on_v2_host, V2.to_owned(), V2.replace(r#""cid":"bafyreiguce","#, "")]
}

fn look(frame: &str) -> Possible {
    prefilter(frame.as_bytes())
}

#[test]
fn a_layout_of_today_is_read_at_once_and_as_the_walk_reads_it() {
    for frame in wires() {
        for (operation, collection) in [
            ("create", "app.bsky.feed.like"),
            ("create", "app.bsky.feed.post"),
            ("update", "app.bsky.feed.post"),
            ("delete", "app.bsky.feed.post"),
            ("delete", "app.bsky.feed.like"),
            ("merge", "app.bsky.feed.like"),
        ] {
            let frame = frame
                .replace("\"create\"", &format!("\"{operation}\""))
                .replace("\"collection\":\"app.bsky.feed.like\"", &format!("\"collection\":\"{collection}\""));
            let read = layout::read(frame.as_bytes());
            assert!(read.is_some(), "{frame}");
            assert_eq!(read, walk::read(frame.as_bytes()), "{frame}");
            let expected = match (operation, collection) {
                ("update" | "delete", "app.bsky.feed.post") => Possible::Change,
                ("merge", _) => Possible::Unclear,
                _ => Possible::Nothing,
            };
            assert_eq!(look(&frame), expected, "{frame}");
        }
    }
}

#[test]
fn both_needles_are_found_anywhere() {
    for frame in wires() {
        for needle in ["atrarium_", "net.atrarium."] {
            for at in (0..=frame.len()).filter(|&at| frame.is_char_boundary(at)) {
                let (before, after) = frame.split_at(at);
                assert_eq!(look(&format!("{before}{needle}{after}")), Possible::Named);
            }
        }
    }
}

#[test]
fn another_layout_is_walked() {
    for frame in [
        r#" {"kind" : "commit" ,"n":5,"commit":{ "collection":"app.bsky.feed.post","operation" :"delete", "rkey":"a"}}  "#,
        r##"{"$type":"message","payload":{"collection":"app.bsky.feed.post","seq":7,"operation":"delete","$type":"#commit","x":"y"}}"##,
    ] {
        assert_eq!(layout::read(frame.as_bytes()), None);
        assert_eq!(look(frame), Possible::Change, "{frame}");
        assert_eq!(look(&frame.replace("delete", "create")), Possible::Nothing, "{frame}");
    }
}

#[test]
fn what_cannot_be_read_is_unclear() {
    let odd = [
        (V1, "\"commit\",", "\"identity\","),
        (V1, "\"did\"", "\"d\\u0069d\""),
        (V1, "1783175888085434", "null"),
        (V1, "1783175888085434", "-5"),
        (V1, "1783175888085434", "5e3"),
        (V1, "\"operation\":\"create\"", "\"operation\":5"),
        (V1, "\"operation\":\"create\"", "\"operation\":\"cre\\u0061te\""),
        (V1, "\"commit\":{", "\"commit\":["),
        (V1, "\"rev\"", "\"record\":{},\"rev\""),
        (V2, "#commit", "#info"),
        (V2, "\"message\"", "\"error\""),
        (V2, "subscribeEvents#", "subscribeLabels#"),
    ];
    for (frame, from, to) in odd {
        let frame = frame.replacen(from, to, 1);
        assert_eq!(look(&frame), Possible::Unclear, "{frame}");
    }
    for frame in ["", " ", "{", "{}", "[]", "garbage", r#"{"did":"#] {
        assert_eq!(look(frame), Possible::Unclear, "{frame}");
    }
    for frame in wires() {
        for cut in 0..frame.len() {
            let is_closed = frame[..cut].ends_with('}');
            assert!(is_closed || look(&frame[..cut]) == Possible::Unclear, "{}", &frame[..cut]);
        }
    }
}

#[test]
fn of_a_double_key_the_first_counts() {
    let double = V1.replace("\"operation\":\"create\"", "\"operation\":\"delete\",\"operation\":\"create\"");
    let double = double.replace("\"collection\":\"app.bsky.feed.like\"", "\"collection\":\"app.bsky.feed.post\"");
    assert_eq!(look(&double), Possible::Change);
}
