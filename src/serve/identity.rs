//! Who this server is: its service DID, the publisher of its feeds, and where it is reached.
//!
//! In: what the operator has said. Out: names that are complete. INTERFACES: without a public URL the service DID is
//! `did:web:localhost%3A<port>`; the publisher DID defaults to the service DID.

use serde::Serialize;
use url::Url;

use crate::fact::CommunityId;
use crate::publish::GENERATOR;
use crate::syntax::Did;

/// What the operator has said about who this server is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ServeConfig {
    /// Where the server is reached from outside, such as `https://feeds.example.org`: scheme, host, maybe a port.
    pub public_url: Option<String>,
    /// The DID of the service; that of the public URL's host where absent.
    pub service_did: Option<Did>,
    /// The account whose repository holds the feeds' generator records; the service where absent.
    pub publisher_did: Option<Did>,
}

/// A public URL that cannot be one.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// No URL at all, or one with parts that an origin does not have.
    #[error("--public-url {0:?} is not of the form https://HOST or https://HOST:PORT: give it so, without a path")]
    NotAnOrigin(String),
    /// A host that `did:web` cannot name, such as an IPv6 address.
    #[error("--public-url {0:?} has a host that did:web cannot name: give one with a domain name")]
    NotADid(String),
}

/// Who this server is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// The DID of the service.
    pub service_did: Did,
    /// The account whose repository holds the feeds' generator records.
    pub publisher_did: Did,
    /// Where it is reached: scheme, host and maybe a port, without a slash at the end.
    pub public_url: String,
}

impl ServeConfig {
    /// Completes what was not said; `http_port` is the port that HTTP is listened for on.
    ///
    /// # Errors
    /// A public URL that cannot be one.
    pub fn resolve(&self, http_port: u16) -> Result<Identity, ConfigError> {
        let public_url = match &self.public_url {
            Some(text) => origin(text)?,
            None => format!("http://localhost:{http_port}"),
        };
        let service_did = match &self.service_did {
            Some(did) => did.clone(),
            None => did_web(&public_url)?,
        };
        let publisher_did = self.publisher_did.clone().unwrap_or_else(|| service_did.clone());
        Ok(Identity { service_did, publisher_did, public_url })
    }
}

/// Checks a public URL and writes it as browsers write an origin.
fn origin(text: &str) -> Result<String, ConfigError> {
    let fail = || ConfigError::NotAnOrigin(text.to_owned());
    let url = Url::parse(text).map_err(|_| fail())?;
    let only_an_origin = matches!(url.scheme(), "http" | "https")
        && url.path() == "/"
        && url.query().is_none()
        && url.fragment().is_none()
        && url.username().is_empty()
        && url.password().is_none();
    if only_an_origin { Ok(url.origin().ascii_serialization()) } else { Err(fail()) }
}

/// The `did:web` of an origin: its host, and `%3A` and its port where it has one.
fn did_web(origin: &str) -> Result<Did, ConfigError> {
    let host = origin.split_once("://").map_or(origin, |(_, host)| host);
    Did::parse(&format!("did:web:{}", host.replace(':', "%3A"))).map_err(|_| ConfigError::NotADid(origin.to_owned()))
}

impl Identity {
    /// The URI of a community's feed: its generator record in the publisher's repository.
    pub fn feed_uri(&self, id: CommunityId) -> String {
        format!("at://{}/{GENERATOR}/{id}", self.publisher_did)
    }

    /// The DID document that `/.well-known/did.json` answers with; `None` where the service DID is not a `did:web`, for
    /// then its document stands elsewhere.
    pub(super) fn did_document(&self) -> Option<Vec<u8>> {
        #[derive(Serialize)]
        struct Document<'a> {
            #[serde(rename = "@context")]
            context: [&'static str; 1],
            id: &'a str,
            service: [Service<'a>; 1],
        }
        #[derive(Serialize)]
        struct Service<'a> {
            id: &'static str,
            r#type: &'static str,
            #[serde(rename = "serviceEndpoint")]
            endpoint: &'a str,
        }
        let id = self.service_did.as_str();
        let service = Service { id: "#bsky_fg", r#type: "BskyFeedGenerator", endpoint: &self.public_url };
        let document = Document { context: ["https://www.w3.org/ns/did/v1"], id, service: [service] };
        id.starts_with("did:web:")
            .then(|| serde_json::to_vec(&document).expect("invariant: strings under fixed keys are JSON"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with_url(url: &str) -> Result<Identity, ConfigError> {
        ServeConfig { public_url: Some(url.to_owned()), ..ServeConfig::default() }.resolve(3000)
    }

    #[test]
    fn what_was_not_said_follows_from_the_port() {
        let identity = ServeConfig::default().resolve(4567).expect("nothing was said");
        assert_eq!(identity.service_did.as_str(), "did:web:localhost%3A4567");
        assert_eq!(identity.publisher_did, identity.service_did);
        assert_eq!(identity.public_url, "http://localhost:4567");
    }

    #[test]
    fn the_service_did_is_that_of_the_public_url() {
        for (url, did, endpoint) in [
            ("https://feeds.example.org", "did:web:feeds.example.org", "https://feeds.example.org"),
            ("https://Feeds.Example.org:443/", "did:web:feeds.example.org", "https://feeds.example.org"),
            ("https://feeds.example.org:8443", "did:web:feeds.example.org%3A8443", "https://feeds.example.org:8443"),
            ("http://127.0.0.1:3000", "did:web:127.0.0.1%3A3000", "http://127.0.0.1:3000"),
        ] {
            let identity = with_url(url).expect("an origin");
            assert_eq!((identity.service_did.as_str(), &*identity.public_url), (did, endpoint), "{url}");
        }
    }

    #[test]
    fn what_is_no_origin_is_refused() {
        for url in [
            "",
            "feeds.example.org",
            "ftp://a.example",
            "https://a.example/x",
            "https://a.example/?q",
            "https://u@a.example",
        ] {
            assert_eq!(with_url(url), Err(ConfigError::NotAnOrigin(url.to_owned())));
        }
        assert!(matches!(with_url("http://[::1]:3000"), Err(ConfigError::NotADid(_))));
    }

    #[test]
    fn only_a_did_web_has_its_document_here() {
        let mut identity = with_url("https://feeds.example.org").expect("an origin");
        let document = String::from_utf8(identity.did_document().expect("did:web")).expect("UTF-8");
        assert_eq!(
            document,
            r##"{"@context":["https://www.w3.org/ns/did/v1"],"id":"did:web:feeds.example.org","service":[{"id":"#bsky_fg","type":"BskyFeedGenerator","serviceEndpoint":"https://feeds.example.org"}]}"##
        );
        identity.service_did = Did::parse("did:plc:ewvi7nxzyoun6zhxrhs64oiz").expect("a DID");
        assert_eq!(identity.did_document(), None);
    }
}
