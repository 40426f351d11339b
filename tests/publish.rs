//! Publishing against a PDS in memory, which counts, refuses and loses answers as the reference one does.

use std::collections::BTreeMap;
use std::future::ready;
use std::pin::pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};

use atrarium::fact::CommunityId;
use atrarium::identity::{Answering, DialError, Http, Request, Response};
use atrarium::limits::{PUBLISH_POINTS_PER_HOUR, PUBLISH_WRITES_PER_CALL};
use atrarium::publish::{About, Change, GENERATOR, Pds, PdsError, Plan, Points, Wanted, plan};
use atrarium::syntax::{Did, Time};
use serde_json::{Value, json};

const PUBLISHER: &str = "did:plc:ewvi7nxzyoun6zhxrhs64oiz";
const PASSWORD: &str = "abcd-efgh-ijkl-mnop";
const URL: &str = "https://pds.example.org";

#[derive(Default)]
struct State {
    records: BTreeMap<String, Value>,
    /// Of the access token that counts now.
    session: u32,
    calls: Vec<String>,
    points: u64,
    /// Refuses writes beyond these points.
    points_max: Option<u64>,
    /// Does this many writes more, and loses the answer of the last.
    loses_after: Option<usize>,
}

#[derive(Clone, Default)]
struct Fake(Arc<Mutex<State>>);

impl Fake {
    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.0.lock().expect("nobody panics")
    }

    /// Records, and points spent.
    fn totals(&self) -> (usize, u64) {
        let state = self.state();
        (state.records.len(), state.points)
    }

    fn answer(&self, request: &Request) -> Result<Response, DialError> {
        let mut state = self.state();
        let (path, query) =
            request.url.strip_prefix(URL).expect("the PDS").split_once('?').unwrap_or((&request.url[URL.len()..], ""));
        let method = path.strip_prefix("/xrpc/").expect("XRPC").to_owned();
        state.calls.push(method.clone());
        let body: Value = serde_json::from_slice(&request.body).unwrap_or_default();
        let bearer = request.headers.iter().find(|(name, _)| *name == "authorization").map(|(_, value)| value.clone());
        let is_in = bearer == Some(format!("Bearer access-{}", state.session));
        let session = |state: &State| json!({ "did": PUBLISHER, "accessJwt": format!("access-{}", state.session), "refreshJwt": "refresh" });
        Ok(match method.as_str() {
            "com.atproto.server.createSession" if body["password"] == PASSWORD => json_of(200, session(&state)),
            "com.atproto.server.createSession" => {
                json_of(401, json!({ "error": "AuthenticationRequired", "message": "Invalid identifier or password" }))
            }
            "com.atproto.server.refreshSession" if bearer.as_deref() == Some("Bearer refresh") => {
                assert!(request.body.is_empty() && request.headers.len() == 1, "the PDS refuses a body here");
                state.session += 1;
                json_of(200, session(&state))
            }
            "com.atproto.repo.listRecords" => json_of(200, state.list(query)),
            _ if !is_in => json_of(400, json!({ "error": "ExpiredToken", "message": "Token has expired" })),
            "com.atproto.repo.uploadBlob" => {
                assert_eq!(request.headers[0], ("content-type", "image/png".to_owned()));
                json_of(200, json!({ "blob": { "$type": "blob", "size": request.body.len() } }))
            }
            "com.atproto.repo.applyWrites" => return state.apply(&body),
            _ => json_of(501, json!({ "error": "MethodNotImplemented", "message": "" })),
        })
    }
}

fn json_of(status: u16, body: Value) -> Response {
    Response { status, headers: Vec::new(), body: body.to_string().into_bytes() }
}

impl State {
    fn list(&self, query: &str) -> Value {
        let query: BTreeMap<_, _> = url::form_urlencoded::parse(query.as_bytes()).into_owned().collect();
        assert_eq!((query["repo"].as_str(), query["collection"].as_str()), (PUBLISHER, GENERATOR));
        let after = query.get("cursor").cloned().unwrap_or_default();
        let rest: Vec<_> = self.records.iter().filter(|(rkey, _)| **rkey > after).take(100).collect();
        let records: Vec<Value> = rest
            .iter()
            .map(|(rkey, value)| json!({ "uri": format!("at://{PUBLISHER}/{GENERATOR}/{rkey}"), "cid": "bafy", "value": value }))
            .collect();
        match rest.last() {
            Some((last, _)) => json!({ "records": records, "cursor": last }),
            None => json!({ "records": records }),
        }
    }

    fn apply(&mut self, body: &Value) -> Result<Response, DialError> {
        assert_eq!(body["repo"], PUBLISHER);
        let writes = body["writes"].as_array().expect("a list");
        assert!(writes.len() <= PUBLISH_WRITES_PER_CALL);
        let kind = |write: &Value| {
            write["$type"].as_str().and_then(|text| text.rsplit('#').next()).unwrap_or_default().to_owned()
        };
        let cost: u64 = writes
            .iter()
            .map(|write| match kind(write).as_str() {
                "create" => 3,
                "update" => 2,
                _ => 1,
            })
            .sum();
        if self.points_max.is_some_and(|max| self.points + cost > max) {
            let headers = vec![("ratelimit-reset".to_owned(), "1800000000".to_owned())];
            let body = json!({ "error": "RateLimitExceeded", "message": "Rate Limit Exceeded" }).to_string();
            return Ok(Response { status: 429, headers, body: body.into_bytes() });
        }
        self.points += cost;
        for write in writes {
            assert_eq!(write["collection"], GENERATOR);
            let rkey = write["rkey"].as_str().expect("a key").to_owned();
            let known = self.records.contains_key(&rkey);
            match kind(write).as_str() {
                "create" => assert!(!known, "the PDS answers 500 to a create on a key that is there"),
                "update" => assert!(known),
                _ => assert!(self.records.remove(&rkey).is_some()),
            }
            if !write["value"].is_null() {
                self.records.insert(rkey, write["value"].clone());
            }
        }
        if let Some(left) = &mut self.loses_after {
            *left -= 1;
            if *left == 0 {
                return Err(DialError::Timeout { host: "pds.example.org".into(), millis: 3000 });
            }
        }
        Ok(json_of(200, json!({})))
    }
}

impl Http for Fake {
    fn send(&self, request: Request) -> Answering<'_> {
        Box::pin(ready(self.answer(&request)))
    }
}

/// The PDS in memory answers at once: nothing is ever waited for.
fn block_on<T>(future: impl Future<Output = T>) -> T {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(done) => done,
        Poll::Pending => panic!("it waits for something"),
    }
}

fn did(text: &str) -> Did {
    Did::parse(text).expect("a DID")
}

fn about() -> About {
    About { service: did("did:web:feeds.example.org"), avatar: None, now: Time::from_millis(1_790_000_000_000) }
}

fn wanted(ids: std::ops::Range<u32>) -> Vec<Wanted> {
    ids.map(|id| Wanted { id: CommunityId(id), name: format!("Community {id}"), description: None }).collect()
}

fn planned(fake: &Fake, wanted: &[Wanted]) -> Plan {
    let records = block_on(Pds::new(fake.clone(), URL, false).records(&did(PUBLISHER))).expect("they are listed");
    plan(&records, wanted, &about(), true)
}

/// Writes all steps; gives how many calls were done before one failed.
fn write(fake: &Fake, plan: &Plan) -> Result<(), PdsError> {
    block_on(async {
        let mut pds = Pds::new(fake.clone(), URL, false);
        pds.log_in(PUBLISHER, PASSWORD).await?;
        for steps in plan.steps.chunks(PUBLISH_WRITES_PER_CALL) {
            pds.write(&did(PUBLISHER), steps).await?;
        }
        Ok(())
    })
}

#[test]
fn ten_thousand_feeds_are_compared_page_by_page_and_nothing_is_written_twice() {
    let fake = Fake::default();
    let plan = planned(&fake, &wanted(0..10_000));
    assert_eq!((plan.steps.len(), plan.points(), plan.unchanged), (10_000, 30_000, 0));
    assert!(fake.state().records.is_empty(), "a plan writes nothing");
    write(&fake, &plan).expect("no bound");
    assert_eq!(fake.totals(), (10_000, 30_000));
    let again = planned(&fake, &wanted(0..10_000));
    assert_eq!((again.steps.len(), again.unchanged, again.foreign), (0, 10_000, 0));
    let record = fake.state().records["0000270f"].clone();
    assert_eq!(
        (&record["did"], &record["displayName"]),
        (&json!("did:web:feeds.example.org"), &json!("Community 9999"))
    );
}

#[test]
fn what_is_served_no_more_is_removed_and_records_of_others_stay() {
    let fake = Fake::default();
    write(&fake, &planned(&fake, &wanted(0..4))).expect("no bound");
    let own =
        |did: &str| json!({ "$type": GENERATOR, "did": did, "displayName": "x", "createdAt": "2026-01-01T00:00:00Z" });
    fake.state().records.insert("whats-hot".into(), own("did:web:feeds.example.org"));
    fake.state().records.insert("deadbeef".into(), own("did:web:other.example"));
    let mut wanted = wanted(1..4);
    wanted[0].name = "Another name".into();
    let plan = planned(&fake, &wanted);
    let lines: Vec<String> = plan.steps.iter().map(ToString::to_string).collect();
    assert_eq!(lines, ["~ 00000001  Another name  (displayName)", "- 00000000"]);
    assert_eq!((plan.unchanged, plan.foreign, plan.points()), (2, 2, 3));
    write(&fake, &plan).expect("no bound");
    let keys: Vec<String> = fake.state().records.keys().cloned().collect();
    assert_eq!(keys, ["00000001", "00000002", "00000003", "deadbeef", "whats-hot"]);
    let mut kept = BTreeMap::new();
    kept.insert("00000009".to_owned(), own("did:web:feeds.example.org"));
    assert!(
        plan_of_nothing(&kept, false).steps.is_empty()
            && plan_of_nothing(&kept, true).steps[0].change == Change::Delete
    );
}

fn plan_of_nothing(records: &BTreeMap<String, Value>, removes: bool) -> Plan {
    plan(records, &[], &about(), removes)
}

#[test]
fn a_run_that_lost_its_answer_is_gone_on_with() {
    let fake = Fake::default();
    fake.state().loses_after = Some(3);
    let first = planned(&fake, &wanted(0..100));
    let error = write(&fake, &first).expect_err("the answer of the third call is lost");
    assert!(matches!(&error, PdsError::Dial { method: "com.atproto.repo.applyWrites", .. }), "{error}");
    fake.state().loses_after = None;
    let rest = planned(&fake, &wanted(0..100));
    assert_eq!((rest.unchanged, rest.steps.len()), (3 * PUBLISH_WRITES_PER_CALL, 100 - 3 * PUBLISH_WRITES_PER_CALL));
    write(&fake, &rest).expect("nothing is created twice");
    assert_eq!(fake.totals(), (100, 300));
}

#[test]
fn own_points_end_before_those_of_the_pds_do() {
    let (fake, mut points, mut now) = (Fake::default(), Points::default(), 1_800_000_000);
    fake.state().points_max = Some(PUBLISH_POINTS_PER_HOUR);
    let plan = planned(&fake, &wanted(0..3000));
    let (mut hours, began) = (0, now);
    for steps in plan.steps.chunks(PUBLISH_WRITES_PER_CALL) {
        let cost = steps.iter().map(|step| step.change.points()).sum();
        let at = points.available_at(now, cost);
        if at > now {
            hours += 1;
            fake.state().points = 0;
            now = at;
        }
        points.spend(now, cost);
        let part = Plan { steps: steps.to_vec(), ..Plan::default() };
        write(&fake, &part).expect("the PDS never refuses");
    }
    assert_eq!((fake.totals().0, hours, now - began), (3000, 1, 3600));
    fake.state().points_max = Some(0);
    let error = write(&fake, &planned(&fake, &wanted(0..3001))).expect_err("refused");
    assert!(matches!(error, PdsError::Limited { reset: Some(1_800_000_000), .. }), "{error}");
}

#[test]
fn a_session_that_has_ended_is_renewed_once_and_a_wrong_password_is_told() {
    let fake = Fake::default();
    block_on(async {
        let mut pds = Pds::new(fake.clone(), URL, false);
        assert_eq!(pds.log_in(PUBLISHER, PASSWORD).await, Ok(did(PUBLISHER)));
        fake.state().session = 7;
        let blob = pds.upload(b"\x89PNG", "image/png").await.expect("renewed");
        assert_eq!(blob["size"], 4);
        let error = pds.log_in(PUBLISHER, "wrong").await.expect_err("wrong");
        assert!(error.to_string().contains("app password"), "{error}");
        let mut nobody = Pds::new(fake.clone(), URL, false);
        assert!(matches!(nobody.write(&did(PUBLISHER), &[]).await, Err(PdsError::Denied { .. })));
    });
    let renewals = fake.state().calls.iter().filter(|call| call.ends_with("refreshSession")).count();
    assert_eq!(renewals, 1);
}
