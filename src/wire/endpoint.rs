//! Where the stream is read: an upstream URL, parsed once, and the request that asks for a position.
//!
//! In: the text of `--upstream`. Out: host, port, dialect, TLS or not (`wss`), and the URL of one connection. The path says the dialect:
//!
//! ```text
//! ws://host/subscribe                                          v1
//! ws://host/xrpc/network.bsky.jetstream.subscribeEvents        v2
//! ws://host   ws://host/                                       v2
//! ```
//!
//! What always holds: the query parameters that the operator gave (`wantedCollections=`, `collections=`, `kinds=` …) are
//! kept as they are; the ones that this program must say itself are refused, so that nothing is said twice. No collection
//! is filtered by default: the filter of this engine is faster than the network.
//!
//! How a position is asked for (the `cursor` parameter), from the lexicon of `subscribeEvents` and the code of both servers:
//!
//! | start | v1 | v2 |
//! |---|---|---|
//! | live | none | none |
//! | a cursor of this host | its microseconds | its sequence number, inclusive |
//! | a moment, known from another host | microseconds | microseconds: from 10¹⁵ on a v2 cursor is a moment, too |
//! | oldest | 10¹⁵, a moment in 2001, which every host moves up to its oldest | 0, "before the first event" |
//!
//! Below its floor a v2 host answers a sequence number with 400 `CursorTooOld` and names the floor, which the reader then
//! asks for; a moment it moves up to the floor. On v1 numbers below 10¹⁵ are sequence numbers where the host is a v2 host,
//! so "oldest" is never said as a small number there.

use url::Url;

use crate::limits::TIME_CURSOR_MIN;
use crate::syntax::{Dialect, Time};

const V1_PATH: &str = "/subscribe";
const V2_PATH: &str = "/xrpc/network.bsky.jetstream.subscribeEvents";

/// Parameters that this program says itself, or that would change what it is sent into what it cannot read.
const RESERVED: [&str; 4] = ["cursor", "compress", "zstdDictionary", "requireHello"];

/// One upstream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// Without `cursor`; its path is that of the dialect.
    url: Url,
    dialect: Dialect,
}

/// An upstream URL that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EndpointError {
    /// Not a URL at all.
    #[error("the upstream {text:?} is not a URL ({why}): use wss://host or wss://host/subscribe")]
    NotAUrl {
        /// As given.
        text: String,
        /// What the URL standard says.
        why: String,
    },
    /// Another scheme.
    #[error("the upstream {text:?} has the scheme {scheme}: use ws:// or wss://")]
    Scheme {
        /// As given.
        text: String,
        /// Its scheme.
        scheme: String,
    },
    /// A path that belongs to no dialect.
    #[error("the upstream {text:?} has the path {path}: use {V1_PATH} for v1, and {V2_PATH} or no path for v2")]
    Path {
        /// As given.
        text: String,
        /// Its path.
        path: String,
    },
    /// `user:password@`
    #[error("the upstream {text:?} holds a user name or a password, which no host of the stream asks for: remove it")]
    Credentials {
        /// As given.
        text: String,
    },
    /// A parameter that is not the operator's to give.
    #[error("the upstream {text:?} has the parameter {name:?}, which this program sets itself: remove it")]
    Reserved {
        /// As given.
        text: String,
        /// The parameter.
        name: String,
    },
}

/// From where on a host is asked to send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start {
    /// From now on.
    Live,
    /// From the oldest that the host has.
    Oldest,
    /// From a position of this very host and dialect: microseconds on v1, a sequence number on v2. Inclusive.
    Cursor {
        /// The position.
        value: u64,
    },
    /// From a moment: all that is known where the position is another host's.
    Time {
        /// The moment of stream time.
        at: Time,
    },
}

/// What one connection asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ask {
    /// From where on.
    pub start: Start,
    /// Compressed, with the dictionary of this id. (v1 hosts know one alone, and its id is not told to them.)
    pub zstd: Option<u32>,
}

impl Endpoint {
    /// Parses an upstream URL.
    ///
    /// # Errors
    /// Names what is wrong with the URL and what to write instead.
    pub fn parse(text: &str) -> Result<Self, EndpointError> {
        let given = || text.to_owned();
        let mut url = Url::parse(text).map_err(|why| EndpointError::NotAUrl { text: given(), why: why.to_string() })?;
        match url.scheme() {
            "ws" | "wss" => {}
            scheme => return Err(EndpointError::Scheme { text: given(), scheme: scheme.to_owned() }),
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(EndpointError::Credentials { text: given() });
        }
        let dialect = match url.path() {
            V1_PATH => Dialect::V1,
            V2_PATH | "" | "/" => Dialect::V2,
            path => return Err(EndpointError::Path { text: given(), path: path.to_owned() }),
        };
        if let Some((name, _)) = url.query_pairs().find(|(name, _)| RESERVED.contains(&name.as_ref())) {
            return Err(EndpointError::Reserved { text: given(), name: name.into_owned() });
        }
        if dialect == Dialect::V2 {
            url.set_path(V2_PATH);
        }
        url.set_fragment(None);
        Ok(Self { url, dialect })
    }

    /// The form of the stream.
    pub fn dialect(&self) -> Dialect {
        self.dialect
    }

    /// Whether TLS is spoken: `wss://`.
    pub fn is_tls(&self) -> bool {
        self.url.scheme() == "wss"
    }

    /// The host as [`Host`](crate::fact::Host) names it: with its port where that is not the scheme's own.
    pub fn host_name(&self) -> String {
        match self.url.port() {
            Some(port) => format!("{}:{port}", self.host()),
            None => self.host().to_owned(),
        }
    }

    /// The name or address to resolve; an IPv6 address stands in brackets.
    pub fn host(&self) -> &str {
        self.url.host_str().expect("invariant: a ws URL has a host, the URL standard demands it")
    }

    /// The port to connect to.
    pub fn port(&self) -> u16 {
        self.url.port_or_known_default().expect("invariant: the URL standard knows the port of ws")
    }

    /// The URL without a position, for people, `/status` and logs.
    pub fn url(&self) -> &str {
        self.url.as_str()
    }

    /// The URL of one connection.
    pub fn request_url(&self, ask: &Ask) -> String {
        let cursor = self.cursor(ask.start).map(|cursor| format!("cursor={cursor}"));
        let zstd = ask.zstd.map(|id| match self.dialect {
            Dialect::V1 => "compress=true".to_owned(),
            Dialect::V2 => format!("zstdDictionary={id}"),
        });
        let mut url = self.url.clone();
        for said in [zstd, cursor].into_iter().flatten() {
            // Pushed onto the text, so that what the operator wrote is not encoded a second time.
            let query = match url.query() {
                Some(query) if !query.is_empty() => format!("{query}&{said}"),
                _ => said,
            };
            url.set_query(Some(&query));
        }
        url.into()
    }

    /// The request target that gives the host's current dictionary (v2).
    pub fn dictionary_target(&self) -> &'static str {
        "/xrpc/network.bsky.jetstream.getZstdDictionary"
    }

    fn cursor(&self, start: Start) -> Option<u64> {
        let moment = |at: Time| u64::try_from(at.micros()).unwrap_or(0).max(TIME_CURSOR_MIN);
        match (start, self.dialect) {
            (Start::Live, _) => None,
            (Start::Cursor { value }, _) => Some(value),
            (Start::Time { at }, _) => Some(moment(at)),
            (Start::Oldest, Dialect::V2) => Some(0),
            (Start::Oldest, Dialect::V1) => Some(moment(Time::EPOCH)),
        }
    }
}

impl std::fmt::Display for Endpoint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.url.as_str())
    }
}

impl std::fmt::Display for Start {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Live => f.write_str("live"),
            Self::Oldest => f.write_str("oldest"),
            Self::Cursor { value } => write!(f, "{value}"),
            Self::Time { at } => write!(f, "{at}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Time = Time::from_micros(1_795_500_000_000_000);

    fn asks(url: &str, start: Start) -> String {
        Endpoint::parse(url).unwrap().request_url(&Ask { start, zstd: None })
    }

    #[test]
    fn the_path_says_the_dialect() {
        for (url, dialect, host, port, name) in [
            ("ws://h.example/subscribe", Dialect::V1, "h.example", 80, "h.example"),
            ("ws://127.0.0.1:6008/subscribe?a=b", Dialect::V1, "127.0.0.1", 6008, "127.0.0.1:6008"),
            ("ws://h.example", Dialect::V2, "h.example", 80, "h.example"),
            ("ws://h.example/", Dialect::V2, "h.example", 80, "h.example"),
            ("ws://H.example:80/#x", Dialect::V2, "h.example", 80, "h.example"),
            ("ws://[::1]:6008", Dialect::V2, "[::1]", 6008, "[::1]:6008"),
            ("ws://h/xrpc/network.bsky.jetstream.subscribeEvents", Dialect::V2, "h", 80, "h"),
            ("wss://h/subscribe", Dialect::V1, "h", 443, "h"),
            ("wss://h:6008", Dialect::V2, "h", 6008, "h:6008"),
        ] {
            let endpoint = Endpoint::parse(url).unwrap();
            assert_eq!(endpoint.dialect(), dialect, "{url}");
            assert_eq!(endpoint.host(), host, "{url}");
            assert_eq!(endpoint.port(), port, "{url}");
            assert_eq!(endpoint.host_name(), name, "{url}");
            assert_eq!(endpoint.is_tls(), url.starts_with("wss"), "{url}");
        }
    }

    #[test]
    fn what_cannot_be_used_says_what_to_write() {
        for (url, says) in [
            ("jetstream", "is not a URL"),
            ("ws://", "is not a URL"),
            ("http://h/subscribe", "use ws:// or wss://"),
            ("ws://h/subscribe/", "use /subscribe for v1"),
            ("ws://h/xrpc/other", "no path for v2"),
            ("ws://u:p@h", "remove it"),
            ("ws://h?cursor=1", "\"cursor\", which this program sets itself"),
            ("ws://h/subscribe?wantedCollections=a&compress=true", "\"compress\""),
            ("ws://h?zstdDictionary=1", "\"zstdDictionary\""),
        ] {
            let error = Endpoint::parse(url).unwrap_err().to_string();
            assert!(error.contains(says), "{url}: {error}");
            assert!(error.contains(url), "{url}: {error}");
        }
    }

    #[test]
    fn a_position_is_asked_for_in_the_words_of_the_dialect() {
        let v1 = "ws://h/subscribe";
        assert_eq!(asks(v1, Start::Live), "ws://h/subscribe");
        assert_eq!(asks(v1, Start::Cursor { value: 7 }), "ws://h/subscribe?cursor=7");
        assert_eq!(asks(v1, Start::Time { at: NOW }), "ws://h/subscribe?cursor=1795500000000000");
        assert_eq!(asks(v1, Start::Oldest), "ws://h/subscribe?cursor=1000000000000000");
        let v2 = "ws://h";
        let base = "ws://h/xrpc/network.bsky.jetstream.subscribeEvents";
        assert_eq!(asks(v2, Start::Live), base);
        assert_eq!(asks(v2, Start::Cursor { value: 7 }), format!("{base}?cursor=7"));
        assert_eq!(asks(v2, Start::Time { at: NOW }), format!("{base}?cursor=1795500000000000"));
        assert_eq!(asks(v2, Start::Oldest), format!("{base}?cursor=0"));
    }

    #[test]
    fn compression_is_asked_for_in_the_words_of_the_dialect() {
        let asks = |url: &str, start| Endpoint::parse(url).unwrap().request_url(&Ask { start, zstd: Some(20_260_811) });
        assert_eq!(asks("ws://h/subscribe", Start::Live), "ws://h/subscribe?compress=true");
        let base = "wss://h/xrpc/network.bsky.jetstream.subscribeEvents";
        assert_eq!(asks("wss://h?a=b", Start::Oldest), format!("{base}?a=b&zstdDictionary=20260811&cursor=0"));
    }

    /// A moment must never be read as a sequence number.
    #[test]
    fn a_moment_is_at_least_ten_to_the_fifteen() {
        for micros in [i64::MIN, -1, 0, 5, 999_999_999_999_999] {
            let at = Time::from_micros(micros);
            assert!(asks("ws://h/subscribe", Start::Time { at }).ends_with("cursor=1000000000000000"));
            assert!(asks("ws://h/subscribe", Start::Oldest).ends_with("cursor=1000000000000000"));
        }
    }

    #[test]
    fn the_operators_parameters_stay_as_they_are() {
        assert_eq!(
            asks(
                "ws://h/subscribe?wantedCollections=app.bsky.feed.post&wantedCollections=a.b.*",
                Start::Cursor { value: 7 }
            ),
            "ws://h/subscribe?wantedCollections=app.bsky.feed.post&wantedCollections=a.b.*&cursor=7"
        );
        assert_eq!(asks("ws://h?a=%26", Start::Live), "ws://h/xrpc/network.bsky.jetstream.subscribeEvents?a=%26");
    }
}
