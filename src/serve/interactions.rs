//! `app.bsky.feed.sendInteractions`: what readers did with what a feed has shown them.
//!
//! In: the body, within its bound. Out: `{}`; the interactions are counted, and nothing else is kept of them.

use serde::Deserialize;

use hyper::StatusCode;

use super::answer::{self, Answer, invalid_request};
use super::{Feeds, Site};

#[derive(Deserialize)]
struct Sent {
    interactions: Vec<Interaction>,
}

/// Read only to refuse what is none. Fields that are not listed are tolerated.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
#[expect(dead_code, reason = "read to be checked")]
struct Interaction {
    item: Option<String>,
    event: Option<String>,
    feed_context: Option<String>,
    req_id: Option<String>,
}

impl<F: Feeds> Site<F> {
    pub(super) fn interactions(&self, body: &[u8]) -> Answer {
        match serde_json::from_slice::<Sent>(body) {
            Ok(sent) => {
                self.telemetry.interactions.add(sent.interactions.len() as u64);
                answer::json(StatusCode::OK, "{}")
            }
            Err(error) => invalid_request(&format!(
                "the body is not {{\"interactions\":[…]}} of app.bsky.feed.sendInteractions: {error}"
            )),
        }
    }
}
