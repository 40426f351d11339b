//! `app.bsky.feed.sendInteractions`: what readers did with what a feed has shown them.
//!
//! In: the body, within its bound. Out: `{}`; the interactions are counted ([`Tally`](super::Tally)), and nothing else is
//! kept of them, who sent them least of all.
//!
//! Whose feed it was is told by what the skeleton has given for that: a page's `reqId` is the id of its community (and no
//! number of the request's: no reader can be followed by it). Where it did not come back, the body's `feed` is looked at,
//! which newer apps send. An interaction of no community that is served is counted by its event alone.
//!
//! One bad interaction does not spoil the others: the app sends what several screens have gathered in one request, and
//! would send all of them again.

use hyper::StatusCode;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::answer::{self, Answer, invalid_request};
use super::{Feeds, Site};
use crate::fact::CommunityId;
use crate::limits::{INTERACTION_ITEM_BYTES_MAX, INTERACTIONS_PER_REQUEST_MAX};
use crate::syntax::AtUri;
use crate::telemetry::{Event, LeftOut};

#[derive(Deserialize)]
struct Sent<'a> {
    #[serde(borrow)]
    interactions: Vec<&'a RawValue>,
    feed: Option<String>,
}

/// Fields that are not listed are tolerated.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Interaction {
    item: Option<String>,
    event: Option<String>,
    /// Says which source of the page the item came from; it is read only to refuse what is no text.
    #[serde(rename = "feedContext")]
    _feed_context: Option<String>,
    req_id: Option<String>,
}

/// What stands before the name of an event.
const EVENTS: &str = "app.bsky.feed.defs#";

impl<F: Feeds> Site<F> {
    pub(super) fn interactions(&self, body: &[u8]) -> Answer {
        let sent = match serde_json::from_slice::<Sent<'_>>(body) {
            Ok(sent) => sent,
            Err(error) => {
                return invalid_request(&format!(
                    "the body is not {{\"interactions\":[…]}} of app.bsky.feed.sendInteractions: {error}"
                ));
            }
        };
        let feed = sent.feed.as_deref().and_then(|feed| self.community_of(feed));
        for raw in sent.interactions.iter().take(INTERACTIONS_PER_REQUEST_MAX) {
            match serde_json::from_str(raw.get()) {
                Ok(interaction) => self.count_interaction(&interaction, feed),
                Err(_) => self.telemetry.leave_out(LeftOut::Malformed, 1),
            }
        }
        let excess = sent.interactions.len().saturating_sub(INTERACTIONS_PER_REQUEST_MAX);
        self.telemetry.leave_out(LeftOut::Excess, excess as u64);
        answer::json(StatusCode::OK, "{}")
    }

    fn count_interaction(&self, interaction: &Interaction, feed: Option<CommunityId>) {
        let item = interaction.item.as_deref();
        if item.is_some_and(|item| AtUri::check(item).is_err()) {
            return self.telemetry.leave_out(LeftOut::Malformed, 1);
        }
        let event = interaction.event.as_deref().map_or(Event::Other, event);
        self.telemetry.interaction(event);
        let named = interaction.req_id.as_deref().and_then(|id| CommunityId::parse(id).ok()).or(feed);
        match named.filter(|&id| self.feeds.serves(id)) {
            Some(id) => self.tally.count(id, item.filter(|item| item.len() <= INTERACTION_ITEM_BYTES_MAX), event),
            None => self.telemetry.leave_out(LeftOut::NoCommunity, 1),
        }
    }

    /// The community of a feed's URI, where the feed is named by its id.
    fn community_of(&self, feed: &str) -> Option<CommunityId> {
        let (rkey, _) = self.find(feed).ok()?;
        CommunityId::parse(rkey).ok()
    }
}

fn event(text: &str) -> Event {
    let known = |name| Event::ALL.iter().copied().find(|event| event.as_str() == name);
    text.strip_prefix(EVENTS).and_then(known).unwrap_or(Event::Other)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_known_by_their_full_name() {
        assert_eq!(event("app.bsky.feed.defs#requestLess"), Event::RequestLess);
        assert_eq!(event("app.bsky.feed.defs#interactionSeen"), Event::Seen);
        for other in ["requestLess", "app.bsky.feed.defs#", "app.bsky.feed.defs#new", "x#requestLess", ""] {
            assert_eq!(event(other), Event::Other, "{other}");
        }
    }
}
