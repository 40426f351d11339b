//! One generator record: what it says of a community.
//!
//! In: a community's name and description. Out: the record, within the limits of its lexicon (`app.bsky.feed.generator`).

use serde_json::{Map, Value, json};
use unicode_segmentation::UnicodeSegmentation;

use super::GENERATOR;
use crate::fact::CommunityId;
use crate::syntax::{Did, Time};

/// Of `displayName`: graphemes, and bytes.
const NAME: (usize, usize) = (24, 240);
/// Of `description`: graphemes, and bytes.
const DESCRIPTION: (usize, usize) = (300, 3000);

/// A community whose feed is to be published.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// Its id: the record key.
    pub id: CommunityId,
    /// Its name; cut to 24 graphemes.
    pub name: String,
    /// Its description; cut to 300 graphemes.
    pub description: Option<String>,
}

/// What all records say alike.
#[derive(Clone, Debug, PartialEq)]
pub struct About {
    /// Who answers for the feeds.
    pub service: Did,
    /// The picture of all feeds, as the PDS has named it; what is there stays where this is absent.
    pub avatar: Option<Value>,
    /// When records that are made now were made.
    pub now: Time,
}

impl Wanted {
    /// The record, made from the one that is there, where there is one: what this program does not know of is kept.
    pub(super) fn record(&self, about: &About, known: Option<&Value>) -> Value {
        let mut record = known.and_then(Value::as_object).cloned().unwrap_or_default();
        put(&mut record, "$type", json!(GENERATOR));
        put(&mut record, "did", json!(about.service.as_str()));
        put(&mut record, "displayName", json!(self.display_name()));
        match self.description.as_deref().map(|text| cut(text, DESCRIPTION)).filter(|text| !text.is_empty()) {
            Some(text) => put(&mut record, "description", json!(text)),
            None => drop(record.remove("description")),
        }
        // Facets point into the former text.
        if known.and_then(|known| known.get("description")) != record.get("description") {
            record.remove("descriptionFacets");
        }
        if let Some(avatar) = &about.avatar {
            put(&mut record, "avatar", avatar.clone());
        }
        // This server takes them.
        put(&mut record, "acceptsInteractions", json!(true));
        if !record.get("createdAt").is_some_and(Value::is_string) {
            put(&mut record, "createdAt", json!(about.now.to_string()));
        }
        Value::Object(record)
    }

    fn display_name(&self) -> String {
        match cut(&self.name, NAME) {
            empty if empty.is_empty() => format!("#atrarium_{}", self.id),
            name => name,
        }
    }
}

fn put(record: &mut Map<String, Value>, key: &str, value: Value) {
    record.insert(key.to_owned(), value);
}

/// A text of so many graphemes and bytes at most; one that is cut ends in "…".
fn cut(text: &str, (graphemes, bytes): (usize, usize)) -> String {
    let text = text.trim();
    if text.len() <= bytes && text.graphemes(true).count() <= graphemes {
        return text.to_owned();
    }
    const ELLIPSIS: &str = "…";
    let mut kept = String::new();
    for grapheme in text.graphemes(true).take(graphemes - 1) {
        if kept.len() + grapheme.len() + ELLIPSIS.len() > bytes {
            break;
        }
        kept += grapheme;
    }
    kept.truncate(kept.trim_end().len());
    kept + ELLIPSIS
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_cut_in_graphemes_and_bytes() {
        let family = "👨‍👩‍👧‍👦";
        assert_eq!(cut(&family.repeat(24), (24, 1000)), family.repeat(24));
        assert_eq!(cut(&family.repeat(25), (24, 1000)), family.repeat(23) + "…");
        assert_eq!(cut(&family.repeat(24), NAME).len(), 9 * family.len() + 3, "25 bytes each, 240 at most");
        assert_eq!(cut("  a b  ", NAME), "a b");
        assert_eq!(cut(&format!("{} {}", "a".repeat(22), "b".repeat(9)), NAME), "a".repeat(22) + "…");
    }

    #[test]
    fn what_others_have_put_into_a_record_stays() {
        let about =
            About { service: Did::parse("did:web:feeds.example.org").expect("a DID"), avatar: None, now: Time::EPOCH };
        let wanted = Wanted { id: CommunityId(7), name: "Cats".into(), description: Some("All cats".into()) };
        let made = wanted.record(&about, None);
        let expected = json!({
            "$type": GENERATOR, "did": "did:web:feeds.example.org", "displayName": "Cats", "description": "All cats",
            "acceptsInteractions": true, "createdAt": "1970-01-01T00:00:00.000000Z",
        });
        assert_eq!(made, expected);
        let mut known = made.clone();
        for (key, value) in
            [("contentMode", json!("x")), ("avatar", json!({"ref": 1})), ("descriptionFacets", json!([]))]
        {
            known[key] = value;
        }
        let about = About { now: Time::from_millis(5), ..about };
        assert_eq!(wanted.record(&about, Some(&known)), known, "nothing is to be changed");
        let other = Wanted { description: None, name: " ".into(), ..wanted };
        let record = other.record(&about, Some(&known));
        assert_eq!((&record["displayName"], &record["contentMode"]), (&json!("#atrarium_00000007"), &json!("x")));
        assert!(record.get("description").is_none() && record.get("descriptionFacets").is_none());
        assert_eq!(record["createdAt"], known["createdAt"]);
    }
}
