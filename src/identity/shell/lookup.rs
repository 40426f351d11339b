//! Documents of DIDs, and handles in both directions.

use std::future::Future;
use std::hash::Hash;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::timeout;
use tracing::debug;
use url::Url;

use crate::clock::Clock;
use crate::identity::document::Document;
use crate::identity::http::{DialError, Http, Request};
use crate::identity::place::{Place, did_of_body, did_of_records, is_resolved, place};
use crate::identity::resolver::{Ask, Cache, Missing, Told};
use crate::identity::txt::Txt;
use crate::limits::{DOCUMENT_BYTES_MAX, IDENTITIES_MAX, IDENTITY_FLIGHT_MICROS, WELL_KNOWN_BYTES_MAX};
use crate::syntax::{Did, Handle};
use crate::telemetry::Counter;

/// A directory URL that cannot be one.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the directory {0:?} is not a URL of the form https://HOST or https://HOST/PATH: use https://plc.directory")]
pub struct DirectoryError(String);

/// Reads who somebody is, and keeps it. Clones share what is kept.
#[derive(Clone)]
pub struct Identities(Arc<Inner>);

struct Inner {
    http: Arc<dyn Http>,
    txt: Arc<dyn Txt>,
    /// Without a slash at the end.
    directory: String,
    clock: Clock,
    documents: Mutex<Cache<Did, Arc<Document>>>,
    handles: Mutex<Cache<Handle, Did>>,
    /// Said to all who wait, whenever a flight ends.
    landed: watch::Sender<()>,
    reads: Counter,
    failed: Counter,
}

impl std::fmt::Debug for Identities {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Identities").field("directory", &self.0.directory).finish_non_exhaustive()
    }
}

impl Identities {
    /// Reads did:plc at `directory`, such as `https://plc.directory`; the rest is where it says itself.
    ///
    /// # Errors
    /// `directory` is not a URL without query and fragment.
    pub fn new(directory: &str, http: Arc<dyn Http>, txt: Arc<dyn Txt>, clock: Clock) -> Result<Self, DirectoryError> {
        let fail = || DirectoryError(directory.to_owned());
        let url = Url::parse(directory).map_err(|_| fail())?;
        if !matches!(url.scheme(), "https" | "http") || url.query().is_some() || url.fragment().is_some() {
            return Err(fail());
        }
        Ok(Self(Arc::new(Inner {
            http,
            txt,
            directory: url.as_str().trim_end_matches('/').to_owned(),
            clock,
            documents: Mutex::new(Cache::new(IDENTITIES_MAX)),
            handles: Mutex::new(Cache::new(IDENTITIES_MAX)),
            landed: watch::Sender::new(()),
            reads: Counter::default(),
            failed: Counter::default(),
        })))
    }

    /// The document of a DID, up to a day old unless an event of the stream said that it has changed.
    ///
    /// # Errors
    /// There is none, or it cannot be read now.
    pub async fn document(&self, did: &Did) -> Result<Arc<Document>, Missing> {
        self.get(documents, did, false).await
    }

    /// The same, read anew if it was not within the last minute.
    ///
    /// # Errors
    /// There is none, or it cannot be read now and nothing is kept.
    pub async fn document_anew(&self, did: &Did) -> Result<Arc<Document>, Missing> {
        self.get(documents, did, true).await
    }

    /// The DID that a handle leads to and that claims the handle itself.
    ///
    /// # Errors
    /// One of the two is not so, or cannot be read now.
    pub async fn did_of(&self, handle: &Handle) -> Result<Did, Missing> {
        let handle = lower(handle);
        let did = self.get(handles, &handle, false).await?;
        let document = self.document(&did).await?;
        if document.handle.as_ref() == Some(&handle) { Ok(did) } else { Err(Missing::Absent) }
    }

    /// The handle that a DID claims and that leads back to it; `None` where there is none, or it leads elsewhere.
    ///
    /// # Errors
    /// The DID has no document, or something cannot be read now.
    pub async fn handle_of(&self, did: &Did) -> Result<Option<Handle>, Missing> {
        let document = self.document(did).await?;
        let Some(handle) = &document.handle else { return Ok(None) };
        match self.get(handles, handle, false).await {
            Ok(back) if back == *did => Ok(Some(handle.clone())),
            Ok(_) | Err(Missing::Absent) => Ok(None),
            Err(Missing::Failed) => Err(Missing::Failed),
        }
    }

    /// An `identity` event of the stream: what is kept of this DID, and of the handle that it had or has now, is out of date.
    /// Returns at once.
    pub fn identity_event(&self, did: &Did, handle: Option<&Handle>) {
        let before = lock(&self.0.documents).peek(did).and_then(|document| document.handle.clone());
        lock(&self.0.documents).forget(did);
        for handle in before.iter().chain(handle.map(lower).as_ref()) {
            lock(&self.0.handles).forget(handle);
        }
    }

    /// How often something was read, and how often in vain.
    pub fn reads(&self) -> (u64, u64) {
        (self.0.reads.get(), self.0.failed.get())
    }

    async fn get<K: Name>(&self, kept: Kept<K>, name: &K, anew: bool) -> Result<K::Value, Missing> {
        let mut landed = self.0.landed.subscribe();
        loop {
            landed.mark_unchanged();
            let now = self.0.clock.wall_micros();
            let ask = {
                let mut cache = lock(kept(&self.0));
                if anew { cache.ask_anew(name, now) } else { cache.ask(name, now) }
            };
            match ask {
                Ask::Have(value) => return Ok(value),
                Ask::Refresh(value) => {
                    let (this, name) = (self.clone(), name.clone());
                    tokio::spawn(async move { this.fly(kept, &name).await });
                    return Ok(value);
                }
                Ask::Missing(why) => return Err(why),
                Ask::Fetch => return self.fly(kept, name).await,
                // Whoever flies says when they land, or are given up.
                Ask::Wait => {
                    let most = Duration::from_micros(IDENTITY_FLIGHT_MICROS.unsigned_abs());
                    let _landed_or_lost = timeout(most, landed.changed()).await;
                }
            }
        }
    }

    /// Reads a name for all who want it.
    async fn fly<K: Name>(&self, kept: Kept<K>, name: &K) -> Result<K::Value, Missing> {
        let mut flight = Flight { inner: &self.0, kept, name, is_over: false };
        // Once more, where an event came meanwhile; who is changed all the time is not waited for.
        for _ in 0..2 {
            let result = name.read(&self.0).await;
            self.0.reads.increment();
            if result.is_err() {
                self.0.failed.increment();
            }
            if lock(kept(&self.0)).told(name, result.clone(), self.0.clock.wall_micros()) == Told::Kept {
                flight.is_over = true;
                return result;
            }
        }
        Err(Missing::Failed)
    }
}

fn lower(handle: &Handle) -> Handle {
    Handle::parse(&handle.as_str().to_ascii_lowercase()).unwrap_or_else(|_| handle.clone())
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Which of the two caches.
type Kept<K> = fn(&Inner) -> &Mutex<Cache<K, <K as Name>::Value>>;

fn documents(inner: &Inner) -> &Mutex<Cache<Did, Arc<Document>>> {
    &inner.documents
}

fn handles(inner: &Inner) -> &Mutex<Cache<Handle, Did>> {
    &inner.handles
}

/// A flight that says when it ends, also where it is given up half-way.
struct Flight<'a, K: Name> {
    inner: &'a Inner,
    kept: Kept<K>,
    name: &'a K,
    is_over: bool,
}

impl<K: Name> Drop for Flight<'_, K> {
    fn drop(&mut self) {
        if !self.is_over {
            lock((self.kept)(self.inner)).lost(self.name);
        }
        self.inner.landed.send_replace(());
    }
}

/// What can be read of the network.
trait Name: Hash + Eq + Clone + Send + Sync + 'static {
    type Value: Clone + Send + Sync;
    fn read(&self, inner: &Inner) -> impl Future<Output = Result<Self::Value, Missing>> + Send;
}

impl Name for Did {
    type Value = Arc<Document>;

    async fn read(&self, inner: &Inner) -> Result<Arc<Document>, Missing> {
        let request = match place(self) {
            None => return Err(Missing::Absent),
            Some(Place::Directory) => Request::get(format!("{}/{self}", inner.directory)).of_operator(),
            Some(Place::Host(url)) => Request::get(url),
        };
        let body = ask(inner, request.at_most(DOCUMENT_BYTES_MAX)).await?;
        match Document::parse(self, &body) {
            Ok(document) => Ok(Arc::new(document)),
            Err(error) => {
                debug!(did = %self, %error, "no document");
                Err(Missing::Absent)
            }
        }
    }
}

impl Name for Handle {
    type Value = Did;

    async fn read(&self, inner: &Inner) -> Result<Did, Missing> {
        if !is_resolved(self) {
            return Err(Missing::Absent);
        }
        let records = inner.txt.records(&format!("_atproto.{self}")).await;
        if let Err(error) = &records {
            debug!(handle = %self, %error, "no records");
        }
        let by_records = records.as_deref().unwrap_or_default().iter().map(String::as_str);
        if let Some(did) = did_of_records(by_records)? {
            return Ok(did);
        }
        let request = Request::get(format!("https://{self}/.well-known/atproto-did")).at_most(WELL_KNOWN_BYTES_MAX);
        match ask(inner, request).await {
            Ok(body) => did_of_body(&body).ok_or(Missing::Absent),
            // Where the records could not be read, nobody knows whether there are some.
            Err(Missing::Absent) if records.is_err() => Err(Missing::Failed),
            Err(why) => Err(why),
        }
    }
}

/// The body of an answer 200.
async fn ask(inner: &Inner, request: Request) -> Result<Vec<u8>, Missing> {
    let url = request.url.clone();
    match inner.http.send(request).await {
        Ok(answer) if answer.status == 200 => Ok(answer.body),
        Ok(answer) => {
            debug!(url, status = answer.status, "not there");
            let is_gone = matches!(answer.status, 400 | 404 | 410);
            Err(if is_gone { Missing::Absent } else { Missing::Failed })
        }
        Err(error) => {
            debug!(url, %error, "not read");
            Err(missing(&error))
        }
    }
}

/// Whether another try could end differently.
fn missing(error: &DialError) -> Missing {
    match error {
        DialError::Url { .. }
        | DialError::Scheme { .. }
        | DialError::Userinfo { .. }
        | DialError::Port { .. }
        | DialError::NotPublic { .. }
        | DialError::NotLoopback { .. }
        | DialError::Redirect { .. }
        | DialError::TooLarge { .. }
        | DialError::Request { .. } => Missing::Absent,
        DialError::Lookup { .. }
        | DialError::Connect { .. }
        | DialError::Tls { .. }
        | DialError::Timeout { .. }
        | DialError::Http { .. } => Missing::Failed,
    }
}
