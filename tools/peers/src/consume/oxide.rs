//! `jetstream-oxide`, as its example uses it.

use jetstream_oxide::events::JetstreamEvent::Commit;
use jetstream_oxide::events::commit::CommitEvent;
use jetstream_oxide::{JetstreamCompression, JetstreamConfig, JetstreamConnector};

use super::{Count, Stream, Told, is_hit, leave, runtime};
use crate::machine::Stopwatch;

pub fn run(stream: &Stream) -> Told {
    let mut count = Count::new(stream, Stopwatch::of_process);
    runtime().block_on(async {
        let zstd = stream.wire.is_zstd();
        let config = JetstreamConfig {
            endpoint: format!("ws://{}/subscribe?cursor=1000000000000000", stream.host),
            compression: if zstd { JetstreamCompression::Zstd } else { JetstreamCompression::None },
            ..JetstreamConfig::default()
        };
        let receiver = JetstreamConnector::new(config).expect("a configuration").connect().await.expect("it connects");
        let mut hits = 0;
        for left in (1..=stream.frames).rev() {
            let event = receiver.recv_async().await.unwrap_or_else(|_| panic!("it gave up, {left} before the end"));
            count.add(1);
            let Commit(CommitEvent::Create { commit, .. } | CommitEvent::Update { commit, .. }) = event else {
                continue;
            };
            hits += u64::from(text_of(&commit.record).is_some_and(is_hit));
        }
        leave(&count.told(hits))
    })
}

fn text_of(record: &atrium_api::record::KnownRecord) -> Option<&str> {
    match record {
        atrium_api::record::KnownRecord::AppBskyFeedPost(post) => Some(&post.text),
        _ => None,
    }
}
