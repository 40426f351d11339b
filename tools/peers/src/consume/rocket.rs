//! `rocketman`, as its example `spew-bsky-posts` uses it.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use rocketman::connection::JetstreamConnection;
use rocketman::endpoints::JetstreamEndpoints;
use rocketman::handler::{self, Ingestors};
use rocketman::ingestion::LexiconIngestor;
use rocketman::options::JetstreamOptions;
use rocketman::types::event::{Commit, Event};
use serde_json::Value;

use super::{Count, Stream, Told, is_hit, leave, runtime};
use crate::machine::Stopwatch;

struct Posts(Arc<AtomicU64>);

#[async_trait]
impl LexiconIngestor for Posts {
    async fn ingest(&self, message: Event<Value>) -> anyhow::Result<()> {
        if let Some(Commit { record: Some(record), .. }) = message.commit
            && let Some(Value::String(text)) = record.get("text")
            && is_hit(text)
        {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
        Ok(())
    }
}

pub fn run(stream: &Stream) -> Told {
    let mut count = Count::new(stream, Stopwatch::of_process);
    runtime().block_on(async {
        let options = JetstreamOptions::builder()
            .ws_url(JetstreamEndpoints::Custom(format!("ws://{}/subscribe", stream.host)))
            .compress(stream.wire.is_zstd())
            .build();
        let jetstream = JetstreamConnection::new(options);
        let hits = Arc::new(AtomicU64::new(0));
        let mut ingestors = Ingestors::new();
        ingestors.commits.insert("app.bsky.feed.post".to_owned(), Box::new(Posts(Arc::clone(&hits))));
        let cursor = Arc::new(Mutex::new(Some(1_000_000_000_000_000)));
        let (messages, reconnect) = (jetstream.get_msg_rx(), jetstream.get_reconnect_tx());
        let (frames, position) = (stream.frames, Arc::clone(&cursor));
        tokio::spawn(async move {
            for _ in 0..frames {
                let message = messages.recv().await.expect("the host goes on");
                // It says what it cannot read, and goes on.
                let _unread =
                    handler::handle_message(message, &ingestors, reconnect.clone(), Arc::clone(&position)).await;
                count.add(1);
            }
            leave(&count.told(hits.load(Ordering::Relaxed)));
        });
        let ended = jetstream.connect(cursor).await;
        panic!("it ended before the stream did: {:?}", ended.map_err(|error| error.to_string()));
    })
}
