//! `atrarium serve`, killed under load while readers read: every post that was shown is there after the restart.
//!
//! The stream is a made network without whatever takes a post away (deletes, edits, actions, accounts, memberships that
//! end), so that once shown is always shown, and the feeds at the end are the model's.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Child, Stdio};
use std::time::Duration;

use fastrand::Rng;
use model::{Delivery, Model};
use serde_json::Value;
use simnet::server::{Pace, Server, ServerOptions};
use simnet::{Dialect, Event, Kind, Line, Network, Operation, Options, Reel};

use crate::kill_after;
use crate::process::{Engine, atrarium};

/// The longest life.
const LIFE: Duration = Duration::from_millis(700);
/// Lives of one data directory.
const LIVES: u64 = 10;

/// What the kills have met.
#[derive(Debug, Default)]
pub struct Total {
    pub kills: u64,
    /// Before it listened: it was starting, or recovering.
    pub before_listening: u64,
    /// Posts that readers were shown before a kill, and found again after it.
    pub shown: u64,
    pub feeds: u64,
}

impl fmt::Display for Total {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "kills of serve: {}, of them {} before it listened; {} posts shown before a kill, lost = 0; {} feeds equal the \
             model's",
            self.kills, self.before_listening, self.shown, self.feeds
        )
    }
}

/// Posts by feed.
type Feeds = BTreeMap<String, BTreeSet<String>>;

/// Kills as many engines as asked.
pub fn campaign(kills: u64, seed: u64) -> Total {
    let mut total = Total::default();
    for nth in 0..kills.div_ceil(LIVES) {
        chain(seed << 32 | nth, LIVES.min(kills - nth * LIVES), &mut total);
    }
    total
}

/// One data directory over all its lives.
fn chain(seed: u64, lives: u64, total: &mut Total) {
    let dialect = if seed.is_multiple_of(2) { Dialect::V1 } else { Dialect::V2 };
    let (events, expected) = growing_network(seed % 1000);
    let last = events.last().expect("events").time.to_string();
    let pace = Pace::PerSecond(events.len() as f64 / 4.0);
    let server = Server::start(
        "127.0.0.1:0",
        Reel::of_events(events, false, true),
        ServerOptions { pace, ..ServerOptions::default() },
    )
    .expect("a free port");
    let path = if dialect == Dialect::V1 { "/subscribe" } else { "" };
    let upstream = format!("ws://{}{path}", server.address());
    let home = tempfile::tempdir().expect("a directory");
    let (mut rng, mut shown) = (Rng::with_seed(seed), Feeds::new());
    for life in 0..lives {
        let listened =
            live(home.path(), &upstream, LIFE.mul_f64(rng.f64()), &mut shown, &format!("seed {seed}, life {life}"));
        total.kills += 1;
        total.before_listening += u64::from(!listened);
    }
    let engine = Engine::start(home.path(), &[upstream], &[]);
    assert_shown(&everything(engine.http).expect("it runs"), &shown, &format!("seed {seed}, at the end"));
    engine.wait_for(&last);
    let feeds = everything(engine.http).expect("it runs");
    assert_eq!(feeds, expected, "seed {seed}: the feeds at the end");
    total.shown += shown.values().map(|posts| posts.len() as u64).sum::<u64>();
    total.feeds += feeds.len() as u64;
}

/// A network in which posts only ever appear, and what its feeds are in the end.
fn growing_network(seed: u64) -> (Vec<Event>, Feeds) {
    let options = Options { events: 30_000, communities: 12, seed, hit_rate: 0.3, ..Options::default() };
    let (mut model, mut line, mut events) = (Model::new(), Line::default(), Vec::new());
    let mut known = BTreeSet::new();
    for event in Network::new(&options).filter(|event| only_adds(event, &mut known)) {
        line.clear();
        event.write(Dialect::V1, false, &mut line);
        model.add(Delivery::Frame(std::str::from_utf8(&line.bytes).expect("text")));
        events.push(event);
    }
    let feeds = model.feeds(model.latest_witnessed().expect("events"));
    (events, feeds.into_iter().map(|(id, posts)| (id, posts.into_iter().collect())).collect())
}

/// Whether nothing that is shown can go by this event: it is a record that was not there before, and no action.
fn only_adds(event: &Event, known: &mut BTreeSet<String>) -> bool {
    match &event.kind {
        Kind::Commit { operation: Operation::Create, collection, rkey, .. } => {
            *collection != "net.atrarium.moderation.action"
                && known.insert(format!("{} {collection} {rkey:?}", event.did))
        }
        _ => false,
    }
}

/// One life: whether it came to listen. What is shown first holds all that was shown before.
fn live(dir: &Path, upstream: &str, time: Duration, shown: &mut Feeds, story: &str) -> bool {
    let mut child = Reaped(
        atrarium()
            .args([
                "serve",
                "--upstream",
                upstream,
                "--listen",
                "127.0.0.1:0",
                "--admin-listen",
                "127.0.0.1:0",
                "--data-dir",
            ])
            .arg(dir)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("it starts"),
    );
    let killer = kill_after(child.0.id(), time);
    let mut line = String::new();
    BufReader::new(child.0.stdout.take().expect("piped")).read_line(&mut line).expect("a line, or the end");
    let address = line.split_whitespace().find_map(|word| word.strip_prefix("http="));
    let address: Option<SocketAddr> = address.and_then(|text| text.parse().ok());
    if let Some(address) = address {
        if let Some(feeds) = everything(address) {
            assert_shown(&feeds, shown, story);
            merge(shown, feeds);
        }
        // Readers go on until they are answered no more.
        while let Some(page) = newest(address, shown) {
            merge(shown, page);
        }
    }
    killer.join().expect("it kills");
    let status = child.0.wait().expect("it ends");
    let signal = std::os::unix::process::ExitStatusExt::signal(&status);
    assert_eq!(signal, Some(9), "{story}: it ended by itself: {status}");
    address.is_some()
}

/// A child that does not outlive its test.
struct Reaped(Child);

impl Drop for Reaped {
    fn drop(&mut self) {
        // It has ended already, unless the test has failed.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn merge(shown: &mut Feeds, feeds: Feeds) {
    for (id, posts) in feeds {
        shown.entry(id).or_default().extend(posts);
    }
}

fn assert_shown(feeds: &Feeds, shown: &Feeds, story: &str) {
    for (id, posts) in shown {
        let lost: Vec<&String> =
            posts.iter().filter(|post| !feeds.get(id).is_some_and(|feed| feed.contains(*post))).collect();
        assert!(lost.is_empty(), "{story}: feed {id} has shown {} posts and lost {lost:?}", posts.len());
    }
}

/// Every post of every feed; `None` where nobody answers any more.
fn everything(address: SocketAddr) -> Option<Feeds> {
    let described = json(address, "/xrpc/app.bsky.feed.describeFeedGenerator")?;
    let mut feeds = Feeds::new();
    for feed in described["feeds"].as_array().expect("feeds") {
        let uri = feed["uri"].as_str().expect("a URI");
        let (mut posts, mut after) = (BTreeSet::new(), String::new());
        loop {
            let page = page(address, uri, &after)?;
            posts.extend(posts_of(&page));
            let Some(cursor) = page["cursor"].as_str() else { break };
            after = format!("&cursor={cursor}");
        }
        feeds.insert(id_of(uri), posts);
    }
    Some(feeds)
}

/// The newest posts of every feed.
fn newest(address: SocketAddr, known: &Feeds) -> Option<Feeds> {
    let described = json(address, "/xrpc/app.bsky.feed.describeFeedGenerator")?;
    let feeds = described["feeds"].as_array().expect("feeds");
    assert!(feeds.len() >= known.len(), "a feed is gone");
    let uris = feeds.iter().filter_map(|feed| feed["uri"].as_str());
    uris.map(|uri| Some((id_of(uri), posts_of(&page(address, uri, "")?).collect()))).collect()
}

fn id_of(uri: &str) -> String {
    uri.rsplit('/').next().expect("a part").to_owned()
}

fn page(address: SocketAddr, uri: &str, after: &str) -> Option<Value> {
    let feed = uri.replace('%', "%25").replace(':', "%3A");
    json(address, &format!("/xrpc/app.bsky.feed.getFeedSkeleton?feed={feed}&limit=100{after}"))
}

fn posts_of(page: &Value) -> impl Iterator<Item = String> + '_ {
    page["feed"].as_array().expect("feed").iter().map(|item| item["post"].as_str().expect("a post").to_owned())
}

/// A GET that is answered with JSON; `None` where the answer does not come, or not whole.
fn json(address: SocketAddr, target: &str) -> Option<Value> {
    let mut stream = TcpStream::connect(address).ok()?;
    write!(stream, "GET {target} HTTP/1.1\r\nhost: test\r\nconnection: close\r\n\r\n").ok()?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).ok()?;
    let answer = String::from_utf8(answer).ok()?;
    let (head, body) = answer.split_once("\r\n\r\n")?;
    // A body that was cut is no JSON, and nobody was shown it.
    let value = serde_json::from_str(body).ok()?;
    assert!(head.starts_with("HTTP/1.1 200"), "{target}: {head}\n{body}");
    Some(value)
}
