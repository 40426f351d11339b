//! Requests of readers: target and body in, an answer out that keeps its promises.
//!
//! Input: method (1 byte), the target up to the first line feed, then the body. The queries are held against the URL
//! standard's reader of forms.
#![no_main]

use std::collections::BTreeMap;
use std::pin::pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};

use atrarium::clock::{Clock, Now};
use atrarium::fact::{CommunityId, CommunityInfo, FeedMix};
use atrarium::limits::{HTTP_TARGET_BYTES_MAX, PAGE_CURSOR_BYTES_MAX};
use atrarium::serve::{Feeds, Identity, ServeConfig, Site, SkeletonError};
use atrarium::syntax::{Did, RecordUri, Time};
use atrarium::telemetry::Telemetry;
use atrarium_fuzz::take_u8;
use hyper::body::{Body, Bytes};
use hyper::http::request::Parts;
use hyper::{Method, Request, Uri};
use libfuzzer_sys::fuzz_target;
use serde_json::Value;

const METHODS: [Method; 5] = [Method::GET, Method::HEAD, Method::POST, Method::OPTIONS, Method::PUT];

/// What was asked for last.
#[derive(Clone, Debug, PartialEq)]
struct Asked {
    rkey: String,
    owner: Option<String>,
    limit: usize,
    cursor: Option<String>,
}

/// One feed that writes down what it is asked for.
#[derive(Clone, Default)]
struct Recorder(Arc<Mutex<Option<Asked>>>);

impl Feeds for Recorder {
    fn skeleton(
        &self,
        rkey: &str,
        owner: Option<&Did>,
        _now: Time,
        limit: usize,
        cursor: Option<&str>,
    ) -> Result<Bytes, SkeletonError> {
        let (owner, cursor) = (owner.map(ToString::to_string), cursor.map(str::to_owned));
        *self.0.lock().expect("nobody panics") = Some(Asked { rkey: rkey.to_owned(), owner, limit, cursor });
        if rkey != "a1b2c3d4" {
            return Err(SkeletonError::UnknownFeed);
        }
        Ok(Bytes::from_static(br#"{"feed":[]}"#))
    }

    fn serves(&self, id: CommunityId) -> bool {
        id == CommunityId(0xa1b2_c3d4)
    }

    fn feeds(&self) -> Vec<(CommunityId, Arc<CommunityInfo>)> {
        let uri = RecordUri::parse("at://did:web:o/net.atrarium.community.config/self").expect("a URI");
        let mix = FeedMix { own: 10_000, parent: 0, global: 0 };
        vec![(
            CommunityId(0xa1b2_c3d4),
            Arc::new(CommunityInfo { uri, name: "n".into(), mix, parent: None, pinned: None }),
        )]
    }

    fn feeds_version(&self) -> u64 {
        1
    }
}

fn site() -> (Site<Recorder>, Recorder) {
    let recorder = Recorder::default();
    let identity: Identity = ServeConfig { public_url: Some("https://feeds.example".into()), ..ServeConfig::default() }
        .resolve(3000)
        .expect("a valid configuration");
    let clock = Clock::manual(1_786_000_000_000_000);
    let (now, telemetry) = (Arc::new(Now::new(clock.clone())), Arc::new(Telemetry::default()));
    let site = Site::new(recorder.clone(), identity, now, clock, telemetry);
    (site, recorder)
}

thread_local! {
    static SITE: (Site<Recorder>, Recorder) = site();
}

fuzz_target!(|data: &[u8]| {
    let mut data = data;
    let method = METHODS[usize::from(take_u8(&mut data)) % METHODS.len()].clone();
    let (target, body) = match data.iter().position(|&byte| byte == b'\n') {
        Some(at) => (&data[..at], &data[at + 1..]),
        None => (data, &[][..]),
    };
    // What hyper hands over: a target that is a path, within its bound.
    let Ok(uri) = Uri::try_from(target) else { return };
    if target.len() > HTTP_TARGET_BYTES_MAX || !target.starts_with(b"/") {
        return;
    }
    let request = Request::builder().method(method).uri(uri).body(()).expect("a request");
    let (head, ()) = request.into_parts();
    SITE.with(|(site, recorder)| {
        *recorder.0.lock().expect("nobody panics") = None;
        let Some(answer) = site.respond(&head, body) else { return };
        let asked = recorder.0.lock().expect("nobody panics").clone();
        judge(&head, answer.status().as_u16(), &bytes_of(answer.into_body()), asked.as_ref());
    });
});

/// The bytes of a body that is whole.
fn bytes_of(body: impl Body<Data: AsRef<[u8]>>) -> Vec<u8> {
    let (mut body, mut context, mut out) = (pin!(body), Context::from_waker(Waker::noop()), Vec::new());
    while let Poll::Ready(Some(frame)) = body.as_mut().poll_frame(&mut context) {
        let Ok(frame) = frame else { panic!("a body in memory does not fail") };
        out.extend_from_slice(frame.data_ref().expect("data").as_ref());
    }
    out
}

fn judge(head: &Parts, status: u16, body: &[u8], asked: Option<&Asked>) {
    assert!(matches!(status, 200 | 204 | 400 | 404 | 405 | 501 | 503), "{status}");
    let path = head.uri.path();
    if status >= 400 && path.starts_with("/xrpc/") {
        let error: Value = serde_json::from_slice(body).expect("an error of XRPC is JSON");
        assert!(error["error"].is_string() && error["message"].is_string(), "{error}");
    }
    if path == "/xrpc/app.bsky.feed.getFeedSkeleton" && (head.method == Method::GET || head.method == Method::HEAD) {
        skeleton(head.uri.query().unwrap_or(""), status, asked);
    } else {
        assert_eq!(asked, None);
    }
}

/// What a query asks for, by the URL standard; `None` where it is refused.
fn skeleton(query: &str, status: u16, asked: Option<&Asked>) {
    let mut values: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (name, value) in url::form_urlencoded::parse(query.as_bytes()) {
        values.entry(name.into_owned()).or_default().push(value.into_owned());
    }
    let Some(asked) = asked else {
        assert_eq!(status, 400);
        return;
    };
    let one = |name: &str| {
        let values = values.get(name).map_or(&[][..], Vec::as_slice);
        assert!(values.len() <= 1, "{name} was given twice");
        values.first()
    };
    let feed = one("feed").expect("a feed was asked for");
    let parts: Vec<&str> = feed.strip_prefix("at://").expect("an AT-URI").split('/').collect();
    assert_eq!(parts[1..], ["app.bsky.feed.generator", asked.rkey.as_str()]);
    let publisher = parts[0] == "did:web:feeds.example";
    assert_eq!(asked.owner.as_deref(), (!publisher).then_some(parts[0]));
    let limit = one("limit").map_or(Some(50), |text| text.parse().ok());
    assert_eq!(limit, Some(asked.limit));
    assert!((1..=100).contains(&asked.limit));
    assert_eq!(one("cursor"), asked.cursor.as_ref());
    assert!(asked.cursor.as_ref().is_none_or(|cursor| cursor.len() <= PAGE_CURSOR_BYTES_MAX));
    assert_eq!(status, if asked.rkey == "a1b2c3d4" { 200 } else { 400 });
}
