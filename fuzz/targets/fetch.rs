//! One GET, its answer in random cuts; and the URL of an upstream.
//!
//! Input: seed of the cuts (2 bytes), then the answer; its first line is tried as a URL too.
#![no_main]

use atrarium::limits::DICTIONARY_BYTES_MAX;
use atrarium::syntax::{Dialect, Time};
use atrarium::wire::endpoint::{Ask, Endpoint, Start};
use atrarium::wire::http::{Get, GetError};
use atrarium::wire::session::Session;
use atrarium_fuzz::{Cuts, take_u16};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let mut data = data;
    let seed = take_u16(&mut data);
    let whole = exchange(std::iter::once(data));
    let cut = exchange(Cuts::new(seed).parts(data));
    match (&whole, &cut) {
        (Ok(a), Ok(b)) => assert_eq!(a, b),
        // How much of the body of a refusal was read is left open.
        (Err(GetError::Refused(a)), Err(GetError::Refused(b))) => assert_eq!(a.status, b.status),
        (Err(a), Err(b)) => assert_eq!(std::mem::discriminant(a), std::mem::discriminant(b)),
        (a, b) => panic!("whole: {a:?}, in parts: {b:?}"),
    }
    if let Ok(body) = whole {
        assert!(body.len() <= DICTIONARY_BYTES_MAX);
    }
    endpoint(data.split(|&byte| byte == b'\n').next().and_then(|line| std::str::from_utf8(line).ok()).unwrap_or(""));
});

fn exchange<'a>(parts: impl Iterator<Item = &'a [u8]>) -> Result<Vec<u8>, GetError> {
    let mut get = Get::new("h.example", "/xrpc/network.bsky.jetstream.getZstdDictionary");
    for part in parts {
        if let Some(body) = get.received(part, false)? {
            return Ok(body);
        }
    }
    get.received(&[], true).map(|body| body.expect("the connection has ended: a body or an error"))
}

/// What is taken for an upstream can be asked for a stream.
fn endpoint(text: &str) {
    let Ok(endpoint) = Endpoint::parse(text) else { return };
    let _ = (endpoint.host_name(), endpoint.port(), endpoint.is_tls(), endpoint.dictionary_target());
    assert!(!endpoint.host().is_empty());
    assert_eq!(Endpoint::parse(endpoint.url()).map(|again| again.url().to_owned()).as_deref(), Ok(endpoint.url()));
    let value = if endpoint.dialect() == Dialect::V1 { 1_786_000_000_000_000 } else { 7 };
    for start in [Start::Live, Start::Oldest, Start::Cursor { value }, Start::Time { at: Time::EPOCH }] {
        for zstd in [None, Some(7)] {
            // It may refuse a URL that the URL standard allows, and says so.
            let _session = Session::connect(&endpoint.request_url(&Ask { start, zstd }));
        }
    }
}
