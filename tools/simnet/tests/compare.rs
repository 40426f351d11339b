//! `compare` before engines that are right, and before some that are not.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use simnet::{CompareError, Options, compare, expect};

type Feeds = BTreeMap<String, Vec<String>>;

/// What is wrong with an engine.
#[derive(Clone, Copy, PartialEq)]
enum Wrong {
    Nothing,
    /// Each connection is closed after one answer.
    Closes,
    /// Every third request is told to come again.
    Busy,
    Repeats,
    IgnoresLimit,
    EmptyPageWithCursor,
    SameCursor,
    NoEnd,
    NoList,
}

/// Serves `feeds`, until the process ends.
fn engine(feeds: Feeds, wrong: Wrong) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("an address");
    let (feeds, requests) = (Arc::new(feeds), Arc::new(AtomicUsize::new(0)));
    spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let (feeds, requests) = (feeds.clone(), requests.clone());
            spawn(move || serve(stream, &feeds, wrong, &requests));
        }
    });
    address
}

#[expect(clippy::disallowed_methods, reason = "a server of a test")]
fn spawn(work: impl FnOnce() + Send + 'static) {
    std::thread::spawn(work);
}

fn serve(stream: TcpStream, feeds: &Feeds, wrong: Wrong, requests: &AtomicUsize) {
    let mut lines = BufReader::new(stream.try_clone().expect("a clone")).lines();
    let mut stream = stream;
    while let Some(Ok(first)) = lines.next() {
        while lines.next().is_some_and(|line| line.is_ok_and(|line| !line.is_empty())) {}
        let number = requests.fetch_add(1, Ordering::Relaxed);
        let (status, body) = match wrong {
            Wrong::Busy if number % 3 == 1 => ("429 Too Many Requests\r\nRetry-After: 0", "{}".to_string()),
            _ => answer(first.split(' ').nth(1).expect("a target"), feeds, wrong),
        };
        let close = if wrong == Wrong::Closes { "Connection: close\r\n" } else { "" };
        let head = format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\n{close}\r\n", body.len());
        if stream.write_all((head + &body).as_bytes()).is_err() || wrong == Wrong::Closes {
            return;
        }
    }
}

fn answer(target: &str, feeds: &Feeds, wrong: Wrong) -> (&'static str, String) {
    if target.ends_with("describeFeedGenerator") {
        let uri = |id: &String| serde_json::json!({"uri": format!("at://did:web:h%3A1/app.bsky.feed.generator/{id}")});
        let list: Vec<_> = feeds.keys().map(uri).collect();
        let body =
            if wrong == Wrong::NoList { "[]".into() } else { serde_json::json!({"did": "did:web:h", "feeds": list}) };
        return ("200 OK", body.to_string());
    }
    let value = |key: &str| {
        target.split(['?', '&']).find_map(|pair| pair.strip_prefix(key)?.strip_prefix('=')).map(str::to_string)
    };
    let feed = value("feed").expect("a feed").replace("%253A", "%3A").replace("%3A", ":").replace("%2F", "/");
    let posts = &feeds[feed.rsplit('/').next().expect("an id")];
    let limit: usize = value("limit").expect("a limit").parse().expect("a number");
    let sent: Option<usize> = value("cursor").map(|cursor| cursor.parse().expect("our own"));
    let from = sent.unwrap_or(0);
    let from = if wrong == Wrong::Repeats && from > 1 { from - 1 } else { from };
    let limit = if wrong == Wrong::IgnoresLimit { limit + 1 } else { limit };
    let to = posts.len().min(from + limit);
    let items: Vec<_> = posts[from.min(to)..to].iter().map(|post| serde_json::json!({"post": post})).collect();
    let mut body = serde_json::json!({"feed": items});
    match wrong {
        Wrong::EmptyPageWithCursor if to == posts.len() => {
            body["cursor"] = (to + 1).to_string().into();
            if sent == Some(to + 1) {
                body["feed"] = serde_json::json!([]);
            }
        }
        Wrong::SameCursor if sent.is_some() => body["cursor"] = sent.expect("some").to_string().into(),
        Wrong::NoEnd if to == posts.len() => body["cursor"] = format!("0{sent}", sent = sent.unwrap_or(0) % 2).into(),
        _ if to < posts.len() => body["cursor"] = to.to_string().into(),
        _ => {}
    }
    ("200 OK", body.to_string())
}

fn feeds() -> Feeds {
    expect(&Options { events: 8_000, communities: 6, hit_rate: 0.6, ..Options::default() }, None)
}

fn compared(served: Feeds, wrong: Wrong) -> simnet::Comparison {
    compare(&engine(served, wrong).to_string(), &feeds(), 7).expect("an engine")
}

#[test]
fn an_engine_that_is_right_does_not_differ() {
    let posts: usize = feeds().values().map(Vec::len).sum();
    for wrong in [Wrong::Nothing, Wrong::Closes, Wrong::Busy] {
        let comparison = compared(feeds(), wrong);
        assert_eq!(comparison.differences, Vec::<String>::new());
        assert_eq!((comparison.feeds, comparison.posts), (feeds().len(), posts));
        assert!(comparison.pages > feeds().len() && posts > 300, "{comparison:?}");
    }
}

#[test]
fn an_engine_with_other_feeds_differs_in_these() {
    let largest = feeds().into_iter().max_by_key(|(_, posts)| posts.len()).expect("feeds").0;
    let change = |change: &dyn Fn(&mut Vec<String>)| {
        let mut served = feeds();
        change(served.get_mut(&largest).expect("there"));
        compared(served, Wrong::Nothing).differences
    };
    for (differences, what) in [
        (change(&|posts| drop(posts.remove(3))), "1 missing, 0 too many"),
        (change(&|posts| posts.swap(0, 1)), "0 missing, 0 too many"),
        (change(&|posts| posts.push("at://did:plc:x/app.bsky.feed.post/y".into())), "0 missing, 1 too many"),
    ] {
        let [difference] = &differences[..] else { panic!("{differences:?}") };
        assert!(difference.starts_with(&format!("feed {largest}: ")) && difference.contains(what), "{difference}");
    }
    let mut served = feeds();
    served.remove(&largest);
    served.insert("00000000".into(), Vec::new());
    let differences = compared(served, Wrong::Nothing).differences;
    assert_eq!(differences.len(), 2, "{differences:?}");
    assert!(differences[0].contains("is not served") && differences[1].contains("should not exist"));
}

#[test]
fn an_engine_that_pages_badly_differs() {
    for (wrong, what) in [
        (Wrong::Repeats, "repeated"),
        (Wrong::IgnoresLimit, "gives"),
        (Wrong::EmptyPageWithCursor, "no post, and yet a cursor"),
        (Wrong::SameCursor, "the cursor that was sent"),
        (Wrong::NoEnd, "no end"),
    ] {
        let comparison = compared(feeds(), wrong);
        assert!(comparison.differences.iter().any(|difference| difference.contains(what)), "{what}: {comparison:?}");
    }
}

#[test]
fn what_is_no_engine_is_an_error() {
    let address = engine(feeds(), Wrong::NoList).to_string();
    assert!(matches!(compare(&address, &feeds(), 1), Err(CompareError::NoFeeds { status: 200, .. })));
    let nobody = TcpListener::bind("127.0.0.1:0").expect("a free port").local_addr().expect("an address");
    assert!(matches!(compare(&nobody.to_string(), &feeds(), 1), Err(CompareError::Connection { .. })));
}
