//! Where identities say who they are: the places that the protocol gives to documents and handles.
//!
//! In: a DID, a handle, or what was found at such a place. Out: where to look, and the one DID that is said there.

use super::resolver::Missing;
use crate::syntax::{Did, Handle};

/// Where the document of a DID is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// In the directory of did:plc, under the DID.
    Directory,
    /// At this URL, which is a stranger's.
    Host(String),
}

/// Where the document of a DID is; `None` for methods and forms that atproto does not have.
pub fn place(did: &Did) -> Option<Place> {
    let text = did.as_str();
    if let Some(id) = text.strip_prefix("did:plc:") {
        let is_plc = id.len() == 24 && id.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'2'..=b'7'));
        return is_plc.then_some(Place::Directory);
    }
    let host = text.strip_prefix("did:web:")?;
    let (name, port) = match host.split_once("%3A").or_else(|| host.split_once("%3a")) {
        Some((name, port)) => (name, Some(port)),
        None => (host, None),
    };
    // Neither a path (a colon) nor anything else that is written in percent. "localhost" is for development: its address is judged
    // when it is dialled.
    if Handle::check(name).is_err() && name != "localhost" {
        return None;
    }
    match port {
        None => Some(Place::Host(format!("https://{name}/.well-known/did.json"))),
        Some(port) => {
            let number: u16 = port.parse().ok().filter(|_| port.bytes().all(|byte| byte.is_ascii_digit()))?;
            let scheme = if name == "localhost" { "http" } else { "https" };
            Some(Place::Host(format!("{scheme}://{name}:{number}/.well-known/did.json")))
        }
    }
}

/// Ends of names that the protocol never resolves. (`test` is for development, and does not exist in DNS.)
const NEVER_RESOLVED: [&str; 8] = ["alt", "arpa", "example", "internal", "invalid", "local", "localhost", "onion"];

/// Whether a handle may be resolved at all.
pub fn is_resolved(handle: &Handle) -> bool {
    let top = handle.as_str().rsplit('.').next().unwrap_or_default();
    !NEVER_RESOLVED.iter().any(|never| top.eq_ignore_ascii_case(never))
}

/// The DID in the TXT records of `_atproto.HANDLE`: `did=…` exactly once. `Ok(None)` where no record says one.
///
/// # Errors
/// Two different ones, or one that is no DID: nobody may choose.
pub fn did_of_records<'a>(records: impl IntoIterator<Item = &'a str>) -> Result<Option<Did>, Missing> {
    let mut found: Option<Did> = None;
    for text in records.into_iter().filter_map(|record| record.strip_prefix("did=")) {
        let did = Did::parse(text.trim_matches(' ')).map_err(|_| Missing::Absent)?;
        if found.as_ref().is_some_and(|known| *known != did) {
            return Err(Missing::Absent);
        }
        found = Some(did);
    }
    Ok(found)
}

/// The DID in the body of `/.well-known/atproto-did`.
pub fn did_of_body(body: &[u8]) -> Option<Did> {
    Did::parse(std::str::from_utf8(body).ok()?.trim_ascii()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn documents_are_where_the_method_says() {
        for (did, expected) in [
            ("did:plc:ewvi7nxzyoun6zhxrhs64oiz", Some("directory")),
            ("did:plc:EWVI7nxzyoun6zhxrhs64oiz", None),
            ("did:plc:ewvi7nxzyoun6zhxrhs64oi1", None),
            ("did:plc:ewvi7nxzyoun6zhxrhs64oi", None),
            ("did:plc:..", None),
            ("did:web:a.dev", Some("https://a.dev/.well-known/did.json")),
            ("did:web:a.dev%3A8443", Some("https://a.dev:8443/.well-known/did.json")),
            ("did:web:localhost%3A3000", Some("http://localhost:3000/.well-known/did.json")),
            ("did:web:localhost", Some("https://localhost/.well-known/did.json")),
            ("did:web:a.dev:user", None),
            ("did:web:a.dev%2Fx", None),
            ("did:web:a.dev%3A", None),
            ("did:web:a.dev%3A-1", None),
            ("did:web:a.dev%3A99999", None),
            ("did:web:a.dev%3A1%3A2", None),
            ("did:web:u%40a.dev", None),
            ("did:web:127.0.0.1", None),
            ("did:web:a", None),
            ("did:web:a.dev.", None),
            ("did:key:zQ3sh", None),
        ] {
            let place = place(&Did::parse(did).expect("a DID"));
            let is = place.as_ref().map(|place| match place {
                Place::Directory => "directory",
                Place::Host(url) => url,
            });
            assert_eq!(is, expected, "{did}");
        }
    }

    #[test]
    fn handles_lead_to_one_did_or_none() {
        let did = "did:plc:ewvi7nxzyoun6zhxrhs64oiz";
        let record = format!("did={did}");
        let parsed = Did::parse(did).expect("a DID");
        let some = Ok(Some(parsed.clone()));
        assert_eq!(did_of_records([&*record]), some);
        assert_eq!(did_of_records(["v=spf1", &record, &record]), some);
        assert_eq!(did_of_records(["v=spf1", "DID=x", " did=x"]), Ok(None));
        assert_eq!(did_of_records([&*record, "did=did:web:a.dev"]), Err(Missing::Absent));
        assert_eq!(did_of_records(["did=", &record]), Err(Missing::Absent));
        assert_eq!(did_of_body(format!(" {did}\r\n").as_bytes()), Some(parsed));
        for body in [&b""[..], b"<html>", b"did=did:web:a.dev", b"did:web:a.dev did:web:b.dev", b"\xff"] {
            assert_eq!(did_of_body(body), None);
        }
        for (handle, expected) in [("a.dev", true), ("a.test", true), ("a.Local", false), ("a.b.onion", false)] {
            assert_eq!(is_resolved(&Handle::parse(handle).expect("a handle")), expected, "{handle}");
        }
    }
}
