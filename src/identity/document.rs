//! DID documents: what an identity says of itself, as far as this program needs it.
//!
//! In: bytes of the directory or of a stranger's host, and the DID that was asked for. Out: the key that signs for it, the
//! handle that it claims, and where its repository is. What is unknown is stepped over, what is broken makes that part alone
//! absent; only another DID than the one asked for, or no JSON object at all, refuses the whole
//! (<https://atproto.com/specs/did>).

use serde::Deserialize;
use serde_json::Value;
use url::{Host, Url};

use super::key::{Curve, KeyError, PublicKey};
use crate::limits::DOCUMENT_BYTES_MAX;
use crate::syntax::{Did, Handle};

/// What is known of an identity.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Document {
    /// Whose it is.
    pub did: Did,
    /// The key of `#atproto`, or why there is none.
    pub key: Result<PublicKey, KeyFault>,
    /// The handle that it claims, in lower case. It is proved only where the handle leads back.
    pub handle: Option<Handle>,
    /// Where its repository is: `https://HOST`, without a slash at the end; `http://` on loopback, for development.
    pub pds: Option<String>,
}

/// Why a document has no key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyFault {
    /// There is no verification method `#atproto`.
    #[error("there is no verification method #atproto")]
    Absent,
    /// It is controlled by another DID, or says nobody.
    #[error("the verification method #atproto is controlled by somebody else")]
    Controller,
    /// A type that the protocol does not know.
    #[error("the verification method #atproto is of an unknown type")]
    Type,
    /// Its key cannot be read.
    #[error("the verification method #atproto: {0}")]
    Key(#[from] KeyError),
}

/// Why bytes are not the document of a DID.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DocumentError {
    /// Beyond [`DOCUMENT_BYTES_MAX`].
    #[error("the document is longer than {DOCUMENT_BYTES_MAX} bytes")]
    TooLong,
    /// Not JSON, or no object with an `id`.
    #[error("the document is no JSON object with an id: {0}")]
    Json(String),
    /// It is somebody else's.
    #[error("the document is of another DID than the one asked for")]
    OtherDid,
}

#[derive(Deserialize)]
struct Raw {
    id: String,
    #[serde(default, rename = "alsoKnownAs")]
    also_known_as: Value,
    #[serde(default, rename = "verificationMethod")]
    verification_method: Value,
    #[serde(default)]
    service: Value,
}

impl Document {
    /// Reads the document of `did`.
    ///
    /// # Errors
    /// It is none, or somebody else's.
    pub fn parse(did: &Did, bytes: &[u8]) -> Result<Self, DocumentError> {
        if bytes.len() > DOCUMENT_BYTES_MAX {
            return Err(DocumentError::TooLong);
        }
        let raw: Raw = serde_json::from_slice(bytes).map_err(|error| DocumentError::Json(error.to_string()))?;
        if raw.id != did.as_str() {
            return Err(DocumentError::OtherDid);
        }
        Ok(Self {
            did: did.clone(),
            key: key(did, &raw.verification_method),
            handle: handle(&raw.also_known_as),
            pds: pds(did, &raw.service),
        })
    }
}

fn items(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

/// The first element with this fragment for its id, written alone or behind the DID.
fn with_fragment<'a>(did: &Did, list: &'a Value, fragment: &str) -> Option<&'a Value> {
    items(list).iter().find(|item| {
        let id = item["id"].as_str().unwrap_or_default();
        id.strip_prefix(did.as_str()).unwrap_or(id) == fragment
    })
}

fn key(did: &Did, methods: &Value) -> Result<PublicKey, KeyFault> {
    let method = with_fragment(did, methods, "#atproto").ok_or(KeyFault::Absent)?;
    if method["controller"].as_str() != Some(did.as_str()) {
        return Err(KeyFault::Controller);
    }
    let text = method["publicKeyMultibase"].as_str().unwrap_or_default();
    let key = match method["type"].as_str() {
        Some("Multikey") => PublicKey::from_multikey(text),
        Some("EcdsaSecp256k1VerificationKey2019") => PublicKey::from_legacy(Curve::K256, text),
        Some("EcdsaSecp256r1VerificationKey2019") => PublicKey::from_legacy(Curve::P256, text),
        _ => return Err(KeyFault::Type),
    };
    Ok(key?)
}

fn handle(names: &Value) -> Option<Handle> {
    let mut handles = items(names).iter().filter_map(|name| name.as_str()?.strip_prefix("at://"));
    // The first is the one that is meant: a broken one is not replaced by another.
    Handle::parse(&handles.next()?.to_ascii_lowercase()).ok()
}

fn pds(did: &Did, services: &Value) -> Option<String> {
    let service = with_fragment(did, services, "#atproto_pds")?;
    if service["type"].as_str() != Some("AtprotoPersonalDataServer") {
        return None;
    }
    let url = Url::parse(service["serviceEndpoint"].as_str()?).ok()?;
    let is_loopback = match url.host()? {
        Host::Domain(name) => name == "localhost",
        Host::Ipv4(address) => address.is_loopback(),
        Host::Ipv6(address) => address.is_loopback(),
    };
    let is_origin = url.path() == "/"
        && url.query().is_none()
        && url.fragment().is_none()
        && url.username().is_empty()
        && url.password().is_none();
    let is_spoken = url.scheme() == "https" || (url.scheme() == "http" && is_loopback);
    (is_origin && is_spoken).then(|| url.origin().ascii_serialization())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const DID: &str = "did:plc:ewvi7nxzyoun6zhxrhs64oiz";
    const KEY: &str = "zQ3shqwJEJyMBsBXCWyCBpUBMqxcon9oHB7mCvx4sSpMdLJwc";

    fn parse(document: &Value) -> Result<Document, DocumentError> {
        Document::parse(&Did::parse(DID).expect("a DID"), document.to_string().as_bytes())
    }

    /// As the directory answers.
    fn whole() -> Value {
        json!({
            "@context": ["https://www.w3.org/ns/did/v1", "https://w3id.org/security/multikey/v1"],
            "id": DID,
            "alsoKnownAs": ["https://a.dev", "at://Alice.Dev", "at://other.dev"],
            "verificationMethod": [
                {"id": format!("{DID}#other"), "type": "Multikey", "controller": DID, "publicKeyMultibase": "z"},
                {"id": format!("{DID}#atproto"), "type": "Multikey", "controller": DID, "publicKeyMultibase": KEY},
            ],
            "service": [{"id": "#atproto_pds", "type": "AtprotoPersonalDataServer", "serviceEndpoint": "https://pds.dev"}],
            "new": {"deep": [1, 2]},
        })
    }

    fn with(path: &str, value: Value) -> Document {
        let mut document = whole();
        *document.pointer_mut(path).expect("there") = value;
        parse(&document).expect("a document")
    }

    #[test]
    fn a_whole_document_is_read() {
        let document = parse(&whole()).expect("a document");
        assert_eq!(document.key, Ok(PublicKey::from_multikey(KEY).expect("a key")));
        assert_eq!(document.handle.as_ref().map(Handle::as_str), Some("alice.dev"));
        assert_eq!(document.pds.as_deref(), Some("https://pds.dev"));
    }

    #[test]
    fn another_did_and_no_object_are_refused() {
        let mut other = whole();
        other["id"] = json!("did:plc:aaaaaaaaaaaaaaaaaaaaaaaa");
        assert_eq!(parse(&other), Err(DocumentError::OtherDid));
        for bytes in ["", "[]", "null", "{}", "{\"id\":1}", "{\"id\":\"a\",\"id\":\"b\"}", &"[".repeat(10_000)] {
            let did = Did::parse(DID).expect("a DID");
            assert!(matches!(Document::parse(&did, bytes.as_bytes()), Err(DocumentError::Json(_))), "{bytes:.40}");
        }
        let long = " ".repeat(DOCUMENT_BYTES_MAX + 1);
        assert_eq!(Document::parse(&Did::parse(DID).expect("a DID"), long.as_bytes()), Err(DocumentError::TooLong));
    }

    #[test]
    fn a_part_that_is_broken_is_absent_and_the_rest_stays() {
        let one = "/verificationMethod/1";
        for (path, value, fault) in [
            ("/verificationMethod", json!(null), KeyFault::Absent),
            ("/verificationMethod", json!({}), KeyFault::Absent),
            ("/verificationMethod", json!([1, "x", null]), KeyFault::Absent),
            (&format!("{one}/id"), json!("#Atproto"), KeyFault::Absent),
            (&format!("{one}/id"), json!("did:plc:other#atproto"), KeyFault::Absent),
            (&format!("{one}/id"), json!(format!("{DID}/#atproto")), KeyFault::Absent),
            (&format!("{one}/controller"), json!("did:plc:other"), KeyFault::Controller),
            (&format!("{one}/controller"), json!(null), KeyFault::Controller),
            (&format!("{one}/type"), json!("JsonWebKey2020"), KeyFault::Type),
            (&format!("{one}/type"), json!(7), KeyFault::Type),
            (&format!("{one}/type"), json!("EcdsaSecp256k1VerificationKey2019"), KeyFault::Key(KeyError::Point)),
            (&format!("{one}/publicKeyMultibase"), json!(null), KeyFault::Key(KeyError::Base58)),
            (&format!("{one}/publicKeyMultibase"), json!(""), KeyFault::Key(KeyError::Base58)),
        ] {
            let document = with(path, value.clone());
            assert_eq!(document.key, Err(fault), "{path} {value}");
            assert!(document.handle.is_some() && document.pds.is_some(), "{path} {value}");
        }
        for value in [json!(null), json!("at://alice.dev"), json!(["at://"]), json!(["at://a.dev/x"]), json!([["x"]])] {
            let document = with("/alsoKnownAs", value.clone());
            assert!(document.handle.is_none() && document.key.is_ok(), "{value}");
        }
    }

    #[test]
    fn the_older_forms_of_keys_are_read() {
        let point = "z25z9DTpsiYYJKGsWmSPJK2NFN8PcJtZig12K59UgW7q5t";
        let method = json!({"id": "#atproto", "type": "EcdsaSecp256k1VerificationKey2019", "controller": DID,
            "publicKeyMultibase": point});
        let document = with("/verificationMethod", json!([method]));
        assert_eq!(document.key, PublicKey::from_multikey(KEY).map_err(KeyFault::Key));
    }

    #[test]
    fn a_repository_is_at_an_origin_under_https() {
        for (endpoint, expected) in [
            ("https://pds.dev/", Some("https://pds.dev")),
            ("https://PDS.dev:443", Some("https://pds.dev")),
            ("https://pds.dev:8443", Some("https://pds.dev:8443")), // the dialer judges ports
            ("http://localhost:2583", Some("http://localhost:2583")),
            ("http://127.0.0.1:2583", Some("http://127.0.0.1:2583")),
            ("http://pds.dev", None),
            ("https://pds.dev/x", None),
            ("https://pds.dev?x", None),
            ("https://u@pds.dev", None),
            ("wss://pds.dev", None),
            ("pds.dev", None),
            ("", None),
        ] {
            assert_eq!(with("/service/0/serviceEndpoint", json!(endpoint)).pds.as_deref(), expected, "{endpoint}");
        }
        assert_eq!(with("/service/0/type", json!("Other")).pds, None);
        assert_eq!(with("/service/0/id", json!("#pds")).pds, None);
        assert_eq!(with("/service", json!(7)).pds, None);
    }
}
