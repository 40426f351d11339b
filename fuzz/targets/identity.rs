//! What strangers say of who they are: tokens and DID documents.
//!
//! Input: which (1 byte), then
//! - 0: an `authorization` header field, as it comes;
//! - 1: header and claims of a token as JSON, a line feed between them, and the signature behind another: so that what lies
//!   behind base64 is reached;
//! - 2: a DID, a line feed, its document.
//!
//! A token that is read is held against a plain reading by `serde_json::Value`; a document by what is written again.
#![no_main]

use atrarium::identity::document::Document;
use atrarium::identity::key::PublicKey;
use atrarium::identity::token::{Expectations, Token, bearer, claimed_issuer};
use atrarium::limits::{DOCUMENT_BYTES_MAX, SECOND_MICROS, TOKEN_BYTES_MAX};
use atrarium::syntax::Did;
use atrarium_fuzz::take_u8;
use data_encoding::BASE64URL_NOPAD;
use libfuzzer_sys::fuzz_target;
use serde_json::Value;

const SERVICE: &str = "did:web:feeds.atrarium.net";
const METHOD: &str = "app.bsky.feed.getFeedSkeleton";
const NOW_SECONDS: i64 = 1_800_000_000;

fuzz_target!(|data: &[u8]| {
    let mut data = data;
    match take_u8(&mut data) % 3 {
        0 => {
            let Ok(text) = std::str::from_utf8(data) else { return };
            if let Ok(token) = bearer(text) {
                assert!(!token.is_empty() && token.len() <= TOKEN_BYTES_MAX && text.contains(token));
                read(token);
            }
        }
        1 => {
            let mut parts = data.splitn(3, |&byte| byte == b'\n').map(|part| BASE64URL_NOPAD.encode(part));
            let [header, claims, signature] = [(); 3].map(|()| parts.next().unwrap_or_default());
            read(&format!("{header}.{claims}.{signature}"));
        }
        _ => {
            let Some(end) = data.iter().position(|&byte| byte == b'\n') else { return };
            let Some(did) = std::str::from_utf8(&data[..end]).ok().and_then(|text| Did::parse(text).ok()) else {
                return;
            };
            document(&did, &data[end + 1..]);
        }
    }
});

fn read(text: &str) {
    let Ok(token) = Token::parse(text) else { return };
    assert!(text.len() <= TOKEN_BYTES_MAX);
    assert_eq!(claimed_issuer(text).as_ref(), Some(token.issuer()), "both readings name the same account");
    let parts: Vec<&str> = text.split('.').collect();
    let [header, claims, signature] = parts[..] else { panic!("{} parts", parts.len()) };
    let decode = |part: &str| BASE64URL_NOPAD.decode(part.as_bytes()).expect("it was read");
    assert_eq!(decode(signature).len(), 64);
    let object = |part| serde_json::from_slice::<Value>(&decode(part)).expect("it was read");
    let (header, claims) = (object(header), object(claims));
    assert!(matches!(header["alg"].as_str(), Some("ES256K" | "ES256")), "{header}");
    assert!(header.get("typ").is_none_or(|kind| kind.as_str().is_some_and(|kind| kind.eq_ignore_ascii_case("JWT"))));
    let service = Did::parse(SERVICE).expect("a DID");
    for needs_id in [false, true] {
        let now_micros = NOW_SECONDS * SECOND_MICROS;
        let expected = Expectations { service: &service, method: METHOD, needs_id, now_micros };
        if token.judge(&expected).is_err() {
            continue;
        }
        let audience = claims["aud"].as_str().expect("it was judged");
        assert_eq!(audience.strip_suffix("#bsky_fg").unwrap_or(audience), SERVICE);
        assert_eq!(claims["lxm"].as_str(), Some(METHOD));
        let expires = claims["exp"].as_i64().expect("it was judged");
        assert!(NOW_SECONDS < expires && expires <= NOW_SECONDS + 300, "{expires}");
        assert!(claims["iat"].as_i64().is_none_or(|issued| issued < expires && issued <= NOW_SECONDS + 30));
        assert!(!needs_id || claims["jti"].as_str().is_some_and(|id| !id.is_empty()));
    }
}

fn document(did: &Did, bytes: &[u8]) {
    let Ok(document) = Document::parse(did, bytes) else { return };
    assert!(document.did == *did && bytes.len() <= DOCUMENT_BYTES_MAX);
    if let Ok(key) = &document.key {
        assert_eq!(PublicKey::from_multikey(&key.to_multikey()).as_ref(), Ok(key), "a key is written as it was read");
    }
    let handle = document.handle.as_ref().map(|handle| handle.as_str());
    assert_eq!(handle, handle.map(str::to_ascii_lowercase).as_deref());
    if let Some(pds) = &document.pds {
        let url = url::Url::parse(pds).expect("a URL");
        assert!(matches!(url.scheme(), "https" | "http") && !pds.ends_with('/'), "{pds}");
        assert!(url.username().is_empty() && url.password().is_none() && url.query().is_none(), "{pds}");
        assert_eq!(url.path(), "/", "{pds}");
    }
}
