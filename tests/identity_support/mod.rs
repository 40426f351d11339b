//! Accounts with keys, the tokens that they sign, and a network that is a table.
#![allow(dead_code, reason = "each test file uses a part")]

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use atrarium::clock::Clock;
use atrarium::identity::http::{Answering, DialError, Http, Request, Response, Whose};
use atrarium::identity::key::{Curve, PublicKey};
use atrarium::identity::txt::{Records, Txt, TxtError};
use atrarium::identity::{Changes, Gate, Identities, Judges};
use atrarium::limits::SECOND_MICROS;
use atrarium::syntax::{Did, Handle};
use data_encoding::BASE64URL_NOPAD;
use k256::ecdsa::SigningKey;
use k256::ecdsa::signature::Signer;
use serde_json::json;

pub const NOW: i64 = 1_800_000_000;
pub const SERVICE: &str = "did:web:feeds.atrarium.net";
pub const METHOD: &str = "app.bsky.feed.getFeedSkeleton";
pub const ALICE: &str = "did:plc:aaaaaaaaaaaaaaaaaaaaaaaa";
pub const BOB: &str = "did:web:bob.dev";

/// What hosts answer, by URL, and what they were asked.
#[derive(Default)]
pub struct Network {
    answers: Mutex<HashMap<String, Result<Response, DialError>>>,
    records: Mutex<HashMap<String, Vec<String>>>,
    asked: Mutex<Vec<String>>,
}

impl Network {
    pub fn set(&self, url: &str, answer: Result<Response, DialError>) {
        self.answers.lock().expect("not poisoned").insert(url.to_owned(), answer);
    }

    pub fn body(&self, url: &str, body: &str) {
        self.set(url, Ok(Response { status: 200, headers: Vec::new(), body: body.into() }));
    }

    pub fn record(&self, name: &str, text: &str) {
        self.records.lock().expect("not poisoned").insert(name.to_owned(), vec![text.to_owned()]);
    }

    /// How often a URL was asked.
    pub fn count(&self, url: &str) -> usize {
        self.asked.lock().expect("not poisoned").iter().filter(|asked| *asked == url).count()
    }

    pub fn total(&self) -> usize {
        self.asked.lock().expect("not poisoned").len()
    }
}

impl Http for Network {
    fn send(&self, request: Request) -> Answering<'_> {
        self.asked.lock().expect("not poisoned").push(request.url.clone());
        assert_eq!(request.whose == Whose::Operator, request.url.starts_with(DIRECTORY), "{}", request.url);
        let answer = self.answers.lock().expect("not poisoned").get(&request.url).cloned();
        Box::pin(async move {
            // As long as a network would take, a little.
            tokio::time::sleep(Duration::from_millis(5)).await;
            answer.unwrap_or(Ok(Response { status: 404, ..Response::default() }))
        })
    }
}

impl Txt for Network {
    fn records<'a>(&'a self, name: &'a str) -> Records<'a> {
        self.asked.lock().expect("not poisoned").push(format!("dns:{name}"));
        let found = self.records.lock().expect("not poisoned").get(name).cloned().unwrap_or_default();
        let is_broken = found.iter().any(|record| record == "broken");
        let error = TxtError { name: name.to_owned(), why: "broken".to_owned() };
        Box::pin(std::future::ready(if is_broken { Err(error) } else { Ok(found) }))
    }
}

pub const DIRECTORY: &str = "https://plc.dev";

pub struct Rig {
    pub network: Arc<Network>,
    pub clock: Clock,
    pub identities: Identities,
}

pub fn rig() -> Rig {
    let (network, clock) = (Arc::new(Network::default()), Clock::manual(NOW * SECOND_MICROS));
    let (http, txt) = (Arc::clone(&network) as Arc<dyn Http>, Arc::clone(&network) as Arc<dyn Txt>);
    let identities = Identities::new("https://plc.dev/", http, txt, clock.clone()).expect("a directory");
    Rig { network, clock, identities }
}

impl Rig {
    pub fn publish(&self, of: &str, key: u8, handle: &str) {
        let url = match of.strip_prefix("did:web:") {
            Some(host) => format!("https://{host}/.well-known/did.json"),
            None => format!("{DIRECTORY}/{of}"),
        };
        self.network.body(&url, &document(of, key, handle));
    }

    pub fn gate(&self) -> (Gate, Judges, Changes) {
        Gate::new(did(SERVICE), self.identities.clone(), self.clock.clone())
    }
}

pub fn did(text: &str) -> Did {
    Did::parse(text).expect("a DID")
}

pub fn handle(text: &str) -> Handle {
    Handle::parse(text).expect("a handle")
}

pub fn key(seed: u8) -> SigningKey {
    SigningKey::from_slice(&[seed; 32]).expect("a key")
}

pub fn document(of: &str, seed: u8, handle: &str) -> String {
    let point = key(seed).verifying_key().to_sec1_point(true);
    let key = PublicKey::from_point(Curve::K256, point.as_bytes()).expect("a point").to_multikey();
    let method =
        json!({"id": format!("{of}#atproto"), "type": "Multikey", "controller": of, "publicKeyMultibase": key});
    json!({"id": of, "alsoKnownAs": [format!("at://{handle}")], "verificationMethod": [method]}).to_string()
}

/// A header field with a token for a call of [`METHOD`].
pub fn token(iss: &str, seed: u8, jti: &str) -> String {
    token_until(iss, seed, jti, NOW + 60)
}

pub fn token_until(iss: &str, seed: u8, jti: &str, exp: i64) -> String {
    let claims = json!({"iss": iss, "aud": SERVICE, "lxm": METHOD, "exp": exp, "jti": jti});
    let encode = |text: &str| BASE64URL_NOPAD.encode(text.as_bytes());
    let signed = format!("{}.{}", encode("{\"alg\":\"ES256K\",\"typ\":\"JWT\"}"), encode(&claims.to_string()));
    let signature: k256::ecdsa::Signature = key(seed).sign(signed.as_bytes());
    format!("Bearer {signed}.{}", BASE64URL_NOPAD.encode(&signature.to_bytes()))
}
