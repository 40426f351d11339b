//! A consumer as one writes it: a socket of `tokio-tungstenite`, each message parsed whole, posts with a hashtag kept in a map.

use std::collections::{HashMap, VecDeque};

use futures_util::StreamExt;
use serde_json::Value;
use tokio_tungstenite::connect_async;
use tokio_tungstenite::tungstenite::Message;
use zstd::bulk::Decompressor;

use super::{Count, Stream, Told, is_hit, runtime};
use crate::machine::Stopwatch;

pub fn run(stream: &Stream) -> Told {
    let (count, feeds) = runtime().block_on(read(stream));
    count.told(feeds.values().map(VecDeque::len).sum::<usize>() as u64)
}

/// The posts of each hashtag.
type Feeds = HashMap<String, VecDeque<String>>;

async fn read(stream: &Stream) -> (Count, Feeds) {
    let mut count = Count::new(stream, Stopwatch::of_process);
    let (mut socket, _) = connect_async(stream.url()).await.expect("the host listens");
    let dictionary = stream.dictionary();
    let mut decoder = dictionary.map(|it| Decompressor::with_dictionary(it.bytes()).expect("a dictionary"));
    let mut feeds = Feeds::new();
    while count.seen < stream.frames {
        let event: Value = match socket.next().await.expect("the host goes on").expect("a sound stream") {
            Message::Text(text) => serde_json::from_str(&text).expect("JSON"),
            Message::Binary(bytes) => {
                let decoder = decoder.as_mut().expect("it was asked for compressed");
                let text = decoder.decompress(&bytes, 4 << 20).expect("a sound message");
                serde_json::from_slice(&text).expect("JSON")
            }
            _ => continue,
        };
        keep(&event, &mut feeds);
        count.add(1);
    }
    (count, feeds)
}

/// Puts a post that carries a hashtag into the feed of that.
fn keep(event: &Value, feeds: &mut Feeds) -> Option<()> {
    let (commit, did) = match event.get("commit") {
        Some(commit) => (commit, &event["did"]),
        None => (event.get("payload")?, &event["payload"]["did"]),
    };
    if commit["collection"] != "app.bsky.feed.post" || commit["operation"] == "delete" {
        return None;
    }
    let text = commit["record"]["text"].as_str()?;
    if !is_hit(text) {
        return None;
    }
    let tag: String = text.split("#atrarium_").nth(1)?.chars().take(8).collect();
    let uri = format!("at://{}/app.bsky.feed.post/{}", did.as_str()?, commit["rkey"].as_str()?);
    feeds.entry(tag).or_default().push_front(uri);
    Some(())
}
