//! Who asks: the look-up of a token that has been judged, against judging it.
//!
//! `cargo bench --no-default-features --bench tokens`. All sides take the same header fields, as the AppView sends them, and find
//! the same callers. A token that was never seen is offered to be judged: that is what most requests through a PDS cost.
//! Judging is what a server without the cache would do on its hot path, with every document at hand. The references for the
//! look-up alone are a `DashMap` by the SHA-256 of the token, as ours is, and one by its text: that one has no SHA-256 to
//! reckon, and holds the tokens themselves in memory.

mod support;

use std::cell::Cell;
use std::hint::black_box;
use std::sync::Arc;

use atrarium::identity::document::Document;
use atrarium::identity::key::{Curve, PublicKey};
use atrarium::identity::token::{Expectations, Token, Verified, bearer, claimed_issuer};
use atrarium::identity::{Callers, Known};
use atrarium::limits::{SECOND_MICROS, TOKEN_PENDING_MICROS};
use atrarium::syntax::Did;
use dashmap::DashMap;
use data_encoding::BASE64URL_NOPAD;
use k256::ecdsa::signature::Signer as _;
use sha2::{Digest as _, Sha256};
use support::{Bench, Time};

const NOW: i64 = 1_800_000_000;
const SERVICE: &str = "did:web:feeds.atrarium.net";
const METHOD: &str = "app.bsky.feed.getFeedSkeleton";
const TOKENS: usize = 1000;

fn main() {
    support::pin(0);
    for curve in [Curve::K256, Curve::P256] {
        let callers: Vec<Caller> = (0..TOKENS).map(|number| Caller::new(curve, number)).collect();
        measure(curve, &callers);
    }
}

/// Who, for which method, until when.
type Value = (Arc<Did>, Box<str>, i64);

fn hash(token: &str) -> [u8; 32] {
    Sha256::digest(token.as_bytes()).into()
}

struct Caller {
    header: String,
    document: Document,
}

impl Caller {
    fn new(curve: Curve, number: usize) -> Self {
        let did = Did::parse(&format!("did:plc:{number:a>24}")).expect("a DID");
        let mut seed = [7; 32];
        seed[..8].copy_from_slice(&(number as u64 + 1).to_le_bytes());
        let encode = |text: String| BASE64URL_NOPAD.encode(text.as_bytes());
        let signed = format!(
            "{}.{}",
            encode(format!("{{\"typ\":\"JWT\",\"alg\":\"{}\"}}", curve.algorithm())),
            encode(format!(
                "{{\"iat\":{NOW},\"iss\":\"{did}\",\"aud\":\"{SERVICE}\",\"exp\":{},\"lxm\":\"{METHOD}\",\"jti\":\"{number:032x}\"}}",
                NOW + 60
            ))
        );
        let (point, signature) = match curve {
            Curve::K256 => {
                let key = k256::ecdsa::SigningKey::from_slice(&seed).expect("a key");
                let signature: k256::ecdsa::Signature = key.sign(signed.as_bytes());
                (key.verifying_key().to_sec1_point(true).as_bytes().to_vec(), signature.to_bytes().to_vec())
            }
            Curve::P256 => {
                let key = p256::ecdsa::SigningKey::from_slice(&seed).expect("a key");
                let signature: p256::ecdsa::Signature = key.sign(signed.as_bytes());
                let signature = signature.normalize_s();
                (key.verifying_key().to_sec1_point(true).as_bytes().to_vec(), signature.to_bytes().to_vec())
            }
        };
        let key = PublicKey::from_point(curve, &point).map_err(Into::into);
        let header = format!("Bearer {signed}.{}", BASE64URL_NOPAD.encode(&signature));
        Self { header, document: Document { did, key, handle: None, pds: None } }
    }

    fn judge(&self, service: &Did) -> Verified {
        let token = Token::parse(bearer(&self.header).expect("a bearer")).expect("a token");
        let now_micros = NOW * SECOND_MICROS;
        token.judge(&Expectations { service, method: METHOD, needs_id: false, now_micros }).expect("sound claims");
        token.verify(&self.document).expect("signed")
    }
}

fn measure(curve: Curve, all: &[Caller]) {
    let service = Did::parse(SERVICE).expect("a DID");
    let (callers, by_text, by_hash) = (Callers::new(), DashMap::new(), DashMap::new());
    for caller in all {
        let verified = caller.judge(&service);
        let token = bearer(&caller.header).expect("a bearer");
        callers.keep(token, &verified, 0, NOW * SECOND_MICROS);
        let value = (Arc::new(verified.issuer), verified.method, verified.expires_micros);
        by_hash.insert(hash(token), value.clone());
        by_text.insert(token.to_owned(), value);
    }
    let known = |caller: &Caller| match callers.known(&caller.header, METHOD, NOW * SECOND_MICROS) {
        Known::Known(did) => Some(did),
        _ => None,
    };
    let counts =
        |(did, method, until): &Value| (**method == *METHOD && *until > NOW * SECOND_MICROS).then(|| Arc::clone(did));
    let in_texts = |caller: &Caller| counts(by_text.get(bearer(&caller.header).ok()?)?.value());
    let in_hashes = |caller: &Caller| counts(by_hash.get(&hash(bearer(&caller.header).ok()?))?.value());
    let (mut held, mut missed) = (Vec::new(), 0);
    for caller in all {
        assert_eq!(in_texts(caller).as_deref(), Some(&caller.document.did));
        assert_eq!(in_hashes(caller).as_deref(), Some(&caller.document.did));
        match known(caller) {
            Some(did) => {
                assert_eq!(*did, caller.document.did);
                held.push(caller);
            }
            None => missed += 1,
        }
    }
    assert!(missed < TOKENS / 100, "{missed} tokens found all their places taken");
    let bytes = all.iter().map(|caller| caller.header.len()).sum::<usize>() / all.len();

    let (fresh, now) = (Callers::new(), Cell::new(NOW * SECOND_MICROS));
    // What a request with a token that was never seen costs the thread that answers it. By the time of each round nobody
    // remembers the one before.
    let offer = |caller: &Caller| {
        assert_eq!(fresh.known(&caller.header, METHOD, now.get()), Known::Unknown { offer: true });
        let token = bearer(&caller.header).expect("a bearer");
        (claimed_issuer(token), Box::<str>::from(token))
    };
    let mut bench = Bench::new();
    let algorithm = curve.algorithm();
    let [found, by_hash, by_text, offered, judged] = bench.sides(
        &format!("a caller, {algorithm}"),
        held.len(),
        Time::Processor,
        [
            ("look-up", Box::new(|| held.iter().for_each(|caller| drop(black_box(known(black_box(caller))))))),
            (
                "DashMap by SHA-256",
                Box::new(|| held.iter().for_each(|caller| drop(black_box(in_hashes(black_box(caller)))))),
            ),
            (
                "DashMap by text",
                Box::new(|| held.iter().for_each(|caller| drop(black_box(in_texts(black_box(caller)))))),
            ),
            (
                "a new token",
                Box::new(|| {
                    now.set(now.get() + TOKEN_PENDING_MICROS);
                    held.iter().for_each(|caller| drop(black_box(offer(black_box(caller)))));
                }),
            ),
            (
                "judging",
                Box::new(|| {
                    held.iter().for_each(|caller| drop(black_box(black_box(caller).judge(&service))));
                }),
            ),
        ],
    );
    bench.ratio(&format!("caller look-up, {algorithm}"), "judging the token", found, judged);
    bench.ratio(&format!("caller look-up, {algorithm}"), "DashMap by SHA-256", found, by_hash);
    bench.ratio(&format!("caller look-up, {algorithm}"), "DashMap by text", found, by_text);
    bench.ratio(&format!("a new token offered, {algorithm}"), "judging the token", offered, judged);
    bench.say(format!("{bytes} bytes a header field; {missed} of {TOKENS} tokens found no place"));
    bench.finish();
}
