//! The publisher's PDS: a session, the records that are there, and writes.
//!
//! In: calls of `com.atproto`. Out: their answers, or what went wrong and what to do. Every call is sent once; one whose
//! answer was lost may have been done.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::GENERATOR;
use super::plan::{Change, Step};
use crate::identity::{DialError, Http, Request, Response};
use crate::limits::PUBLISH_RECORDS_MAX;
use crate::syntax::{Did, RecordUri};

/// Why a PDS did not do what it was asked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PdsError {
    /// It was not reached, or broke a rule of how it is asked.
    #[error("{method}: {error}")]
    Dial {
        /// The method.
        method: &'static str,
        /// Why.
        error: DialError,
    },
    /// Its rate limit.
    #[error("{method}: the PDS takes no more writes for now ({message}){}", reset.map(|at| format!("; again at {at} s after the epoch")).unwrap_or_default())]
    Limited {
        /// The method.
        method: &'static str,
        /// Its own words.
        message: String,
        /// When it takes some again, in seconds since the epoch, where it says so.
        reset: Option<i64>,
    },
    /// Wrong identifier or password, or a session that has ended.
    #[error("{method}: the PDS does not let this account in ({message}): check the account, and its app password")]
    Denied {
        /// The method.
        method: &'static str,
        /// Its own words.
        message: String,
    },
    /// Any other refusal.
    #[error("{method}: the PDS answers {status} {message}")]
    Refused {
        /// The method.
        method: &'static str,
        /// The HTTP status.
        status: u16,
        /// Its own words.
        message: String,
    },
    /// An answer that is not what the method answers.
    #[error("{method}: the PDS answers what that method never does ({why})")]
    Answer {
        /// The method.
        method: &'static str,
        /// What is wrong.
        why: String,
    },
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Session {
    did: String,
    access_jwt: String,
    refresh_jwt: String,
}

/// A PDS, asked by one account.
pub struct Pds<H> {
    http: H,
    url: String,
    is_of_operator: bool,
    session: Option<Session>,
}

impl<H: Http> Pds<H> {
    /// The PDS at a URL (without a slash at the end): one that the operator gave, or one of a DID document.
    pub fn new(http: H, url: &str, is_of_operator: bool) -> Self {
        Self { http, url: url.trim_end_matches('/').to_owned(), is_of_operator, session: None }
    }

    /// Begins a session with an app password. Gives the account's DID.
    ///
    /// # Errors
    /// The PDS, or the password.
    pub async fn log_in(&mut self, identifier: &str, password: &str) -> Result<Did, PdsError> {
        const METHOD: &str = "com.atproto.server.createSession";
        let body = json!({ "identifier": identifier, "password": password });
        let session: Session = read(METHOD, self.send(METHOD, self.post(METHOD, &body)).await?)?;
        let did = Did::parse(&session.did).map_err(|error| answer(METHOD, error));
        self.session = Some(session);
        did
    }

    /// All generator records of a repository, by record key. Needs no session.
    ///
    /// # Errors
    /// The PDS; more than [`PUBLISH_RECORDS_MAX`] records.
    pub async fn records(&self, repo: &Did) -> Result<BTreeMap<String, Value>, PdsError> {
        const METHOD: &str = "com.atproto.repo.listRecords";
        #[derive(Deserialize)]
        struct Page {
            cursor: Option<String>,
            records: Vec<Entry>,
        }
        #[derive(Deserialize)]
        struct Entry {
            uri: String,
            value: Value,
        }
        let (mut records, mut cursor) = (BTreeMap::new(), None::<String>);
        loop {
            let mut query = url::form_urlencoded::Serializer::new(String::new());
            query.append_pair("repo", repo.as_str()).append_pair("collection", GENERATOR).append_pair("limit", "100");
            if let Some(cursor) = &cursor {
                query.append_pair("cursor", cursor);
            }
            let request = Request::get(format!("{}/xrpc/{METHOD}?{}", self.url, query.finish()));
            let page: Page = read(METHOD, self.send(METHOD, self.owned(request)).await?)?;
            let known = records.len();
            for Entry { uri, value } in page.records {
                let uri = RecordUri::parse(&uri).map_err(|error| answer(METHOD, error))?;
                records.insert(uri.rkey.as_str().to_owned(), value);
            }
            if records.len() > PUBLISH_RECORDS_MAX {
                return Err(answer(METHOD, format!("there are more than {PUBLISH_RECORDS_MAX} records")));
            }
            // A page without anything new would come again for ever.
            cursor = page.cursor.filter(|_| records.len() > known);
            if cursor.is_none() {
                return Ok(records);
            }
        }
    }

    /// Stores a picture. Gives the reference to it that records hold.
    ///
    /// # Errors
    /// The PDS.
    pub async fn upload(&mut self, bytes: &[u8], kind: &str) -> Result<Value, PdsError> {
        const METHOD: &str = "com.atproto.repo.uploadBlob";
        #[derive(Deserialize)]
        struct Uploaded {
            blob: Value,
        }
        let mut request = self.post(METHOD, &json!(null));
        request.body = bytes.to_vec();
        request.headers = vec![("content-type", kind.to_owned())];
        let uploaded: Uploaded = read(METHOD, self.send_signed(METHOD, request).await?)?;
        Ok(uploaded.blob)
    }

    /// Writes some steps, all of them or none.
    ///
    /// # Errors
    /// The PDS. Where the answer was lost, all may have been written.
    pub async fn write(&mut self, repo: &Did, steps: &[Step]) -> Result<(), PdsError> {
        const METHOD: &str = "com.atproto.repo.applyWrites";
        let writes: Vec<Value> = steps.iter().map(write).collect();
        let body = json!({ "repo": repo.as_str(), "writes": writes });
        self.send_signed(METHOD, self.post(METHOD, &body)).await.map(drop)
    }

    fn post(&self, method: &str, body: &Value) -> Request {
        let request = Request::post_json(format!("{}/xrpc/{method}", self.url), body);
        self.owned(request.expect("invariant: a value is JSON"))
    }

    fn owned(&self, request: Request) -> Request {
        if self.is_of_operator { request.of_operator() } else { request }
    }

    /// As the account. A session that has ended is renewed once.
    async fn send_signed(&mut self, method: &'static str, request: Request) -> Result<Response, PdsError> {
        let sent = self.send(method, self.signed(method, request.clone(), |session| &session.access_jwt)?).await;
        if !matches!(&sent, Err(PdsError::Denied { .. })) {
            return sent;
        }
        const REFRESH: &str = "com.atproto.server.refreshSession";
        let mut renewal = self.post(REFRESH, &json!(null));
        renewal.body.clear();
        renewal.headers.clear();
        let renewal = self.signed(REFRESH, renewal, |session| &session.refresh_jwt)?;
        self.session = Some(read(REFRESH, self.send(REFRESH, renewal).await?)?);
        self.send(method, self.signed(method, request, |session| &session.access_jwt)?).await
    }

    fn signed(
        &self,
        method: &'static str,
        request: Request,
        token: impl Fn(&Session) -> &String,
    ) -> Result<Request, PdsError> {
        let session = self.session.as_ref();
        let session = session.ok_or(PdsError::Denied { method, message: "no session was begun".to_owned() })?;
        Ok(request.with("authorization", format!("Bearer {}", token(session))))
    }

    async fn send(&self, method: &'static str, request: Request) -> Result<Response, PdsError> {
        let response = self.http.send(request).await.map_err(|error| PdsError::Dial { method, error })?;
        if response.is_ok() {
            return Ok(response);
        }
        #[derive(Default, Deserialize)]
        #[serde(default)]
        struct Told {
            error: String,
            message: String,
        }
        let Told { error, message } = serde_json::from_slice(&response.body).unwrap_or_default();
        let is_over = matches!(error.as_str(), "ExpiredToken" | "InvalidToken");
        let words: String = format!("{error} {message}").trim().chars().take(200).collect();
        Err(match response.status {
            429 => {
                let reset = response.header("ratelimit-reset").and_then(|text| text.parse().ok());
                PdsError::Limited { method, message: words, reset }
            }
            401 => PdsError::Denied { method, message: words },
            _ if is_over => PdsError::Denied { method, message: words },
            status => PdsError::Refused { method, status, message: words },
        })
    }
}

fn write(Step { rkey, change }: &Step) -> Value {
    let of = |what: &str| format!("com.atproto.repo.applyWrites#{what}");
    match change {
        Change::Create(record) => {
            json!({ "$type": of("create"), "collection": GENERATOR, "rkey": rkey, "value": record })
        }
        Change::Update { record, .. } => {
            json!({ "$type": of("update"), "collection": GENERATOR, "rkey": rkey, "value": record })
        }
        Change::Delete => json!({ "$type": of("delete"), "collection": GENERATOR, "rkey": rkey }),
    }
}

fn read<T: DeserializeOwned>(method: &'static str, response: Response) -> Result<T, PdsError> {
    serde_json::from_slice(&response.body).map_err(|error| answer(method, error))
}

fn answer(method: &'static str, why: impl ToString) -> PdsError {
    PdsError::Answer { method, why: why.to_string() }
}
