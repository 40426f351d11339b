//! What is checked of this machine, of the server as the outside sees it, and of the publisher's repository.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use atrarium::clock::Clock;
use atrarium::disk::RealDisk;
use atrarium::engine::recover;
use atrarium::identity::place::{Place, place};
use atrarium::identity::shell::Identities;
use atrarium::identity::{DialError, Http, Request, Response};
use atrarium::publish::{About, GENERATOR, Pds, Wanted, plan};
use atrarium::serve::Identity;
use atrarium::syntax::{AtUri, Time};
use serde_json::Value;

use super::super::publish;
use super::Seen;

/// How far this machine's clock may be from that of others.
const CLOCK_SKEW: Duration = Duration::from_secs(30);
/// After this the AppView gives up.
const APP_VIEW_PATIENCE: Duration = Duration::from_secs(5);
/// What the AppView asks for at a time.
const APP_VIEW_LIMIT: usize = 30;

/// What the checks need.
pub struct Examination {
    pub identity: Identity,
    pub http: Arc<dyn Http>,
    pub identities: Identities,
    pub directory: String,
    pub data_dir: PathBuf,
    pub clock: Clock,
    /// The communities of the log, after [`Examination::data_directory`].
    pub wanted: Vec<Wanted>,
}

impl Examination {
    async fn get(&self, url: String) -> Result<Response, DialError> {
        self.http.send(Request::get(url).of_operator()).await
    }

    /// Against the `date` of the directory.
    pub async fn clock(&self) -> Seen {
        const REMEDY: &str =
            "let this machine follow a time server (chrony, systemd-timesyncd): tokens and feeds go by its clock";
        const UNREACHED: &str =
            "allow this machine to reach the directory of did:plc (--plc-directory), which callers' keys come from";
        let answer = self.get(format!("{}/_health", self.directory)).await;
        let answer = answer.map_err(|error| (format!("no clock to compare with: {error}"), UNREACHED))?;
        let theirs = answer.header("date").and_then(|text| httpdate::parse_http_date(text).ok());
        let Some(theirs) = theirs else {
            return Ok(format!("{} says no date: nothing to compare with", self.directory));
        };
        let ours = SystemTime::UNIX_EPOCH + Duration::from_micros(self.clock.wall_micros().unsigned_abs());
        let difference = ours.duration_since(theirs).unwrap_or_else(|error| error.duration());
        let says = format!("{:.0} s from that of {}", difference.as_secs_f64(), self.directory);
        if difference > CLOCK_SKEW { Err((says, REMEDY)) } else { Ok(says) }
    }

    /// Whether it is there, can be written, and holds a log that folds.
    pub fn data_directory(&mut self) -> Seen {
        const MISSING: &str = "make it, or name another with --data-dir; serve makes it at its first start";
        const REMEDY: &str = "let the user of the server write there, and make room on the disk";
        const LOG: &str = "see `atrarium log check`";
        let name = self.data_dir.display();
        if !self.data_dir.is_dir() {
            return Err((format!("{name} is no directory"), MISSING));
        }
        let probe = self.data_dir.join(format!("doctor-{}.tmp", std::process::id()));
        let written = std::fs::write(&probe, [0; 4096]).and_then(|()| std::fs::remove_file(&probe));
        written.map_err(|error| (format!("{name} cannot be written: {error}"), REMEDY))?;
        let folded = recover::read(&RealDisk, &self.data_dir, &mut |_, _| {});
        let (folded, _) = folded.map_err(|error| (format!("{name}: {error}"), LOG))?;
        self.wanted = publish::wanted(&folded.fold);
        let stats = folded.fold.stats();
        Ok(format!("{name} can be written; its log has {} communities and {} posts", stats.communities, stats.posts))
    }

    pub async fn public_url(&self) -> Seen {
        const REMEDY: &str =
            "let DNS name this machine, let the proxy before it have a certificate and pass everything on to --listen";
        let url = format!("{}/xrpc/_health", self.identity.public_url);
        let answer = self.get(url.clone()).await.map_err(|error| (error.to_string(), REMEDY))?;
        let version = serde_json::from_slice::<Value>(&answer.body).ok();
        let version = version.as_ref().and_then(|body| body["version"].as_str());
        match version {
            Some(version) if answer.is_ok() => Ok(format!("{url} answers: version {version}")),
            _ => Err((format!("{url} answers {}, and not as this server does", answer.status), REMEDY)),
        }
    }

    /// As the outside sees it.
    pub async fn did_document(&self) -> Seen {
        const REMEDY: &str = "start serve with the same --public-url, and let the proxy pass /.well-known/did.json on";
        if !self.identity.service_did.as_str().starts_with("did:web:") {
            return Ok("the service DID is no did:web: its document is elsewhere".to_owned());
        }
        let url = format!("{}/.well-known/did.json", self.identity.public_url);
        let answer = self.get(url.clone()).await.map_err(|error| (error.to_string(), REMEDY))?;
        if !answer.is_ok() {
            return Err((format!("{url} answers {}", answer.status), REMEDY));
        }
        self.names_this(&answer.body)
            .map(|()| format!("{url} names this service"))
            .map_err(|why| (format!("{url}: {why}"), REMEDY))
    }

    /// Whether a DID document is of the service DID, and says that this server makes feeds.
    fn names_this(&self, body: &[u8]) -> Result<(), String> {
        let document: Value = serde_json::from_slice(body).map_err(|error| format!("no JSON ({error})"))?;
        let Identity { service_did, public_url, .. } = &self.identity;
        if document["id"] != service_did.as_str() {
            return Err(format!("it is of {}, not of {service_did}", document["id"]));
        }
        let full = format!("{service_did}#bsky_fg");
        let services = document["service"].as_array().map_or(&[][..], Vec::as_slice);
        let service = services.iter().find(|service| service["id"] == "#bsky_fg" || service["id"] == full.as_str());
        let service = service.ok_or("it has no service #bsky_fg")?;
        if service["type"] != "BskyFeedGenerator" || service["serviceEndpoint"] != public_url.as_str() {
            return Err(format!("its #bsky_fg is {} at {}", service["type"], service["serviceEndpoint"]));
        }
        Ok(())
    }

    /// As the network resolves it.
    pub async fn service_did(&self) -> Seen {
        const REMEDY: &str = "mend the DID's document: of a did:web it is this server's own, of a did:plc its operator updates the directory";
        let did = &self.identity.service_did;
        let url = match place(did) {
            Some(Place::Directory) => format!("{}/{did}", self.directory.trim_end_matches('/')),
            Some(Place::Host(url)) => url,
            None => return Err((format!("{did} is of a form that the network does not resolve"), REMEDY)),
        };
        let answer = self.get(url.clone()).await.map_err(|error| (error.to_string(), REMEDY))?;
        if !answer.is_ok() {
            return Err((format!("{url} answers {}", answer.status), REMEDY));
        }
        self.names_this(&answer.body)
            .map(|()| format!("{did} leads here"))
            .map_err(|why| (format!("{url}: {why}"), REMEDY))
    }

    /// Against the communities of the log.
    pub async fn records(&self) -> Seen {
        const REMEDY: &str = "run `atrarium publish` (first with --dry-run)";
        const UNKNOWN: &str = "check --publisher-did: its DID document must name its PDS";
        let publisher = &self.identity.publisher_did;
        let document = self.identities.document(publisher).await;
        let document =
            document.map_err(|missing| (format!("{publisher} cannot be resolved ({missing:?})"), UNKNOWN))?;
        let url = document.pds.as_deref().ok_or_else(|| (format!("{publisher} names no PDS"), UNKNOWN))?;
        let records = Pds::new(Arc::clone(&self.http), url, false).records(publisher).await;
        let records = records.map_err(|error| (error.to_string(), UNKNOWN))?;
        let about = About {
            service: self.identity.service_did.clone(),
            avatar: None,
            now: Time::from_micros(self.clock.wall_micros()),
        };
        let plan = plan(&records, &self.wanted, &about, true);
        let says = format!("{} records are as they should be, {} are to be written", plan.unchanged, plan.steps.len());
        if plan.steps.is_empty() { Ok(says) } else { Err((says, REMEDY)) }
    }

    /// The first feed, as the AppView asks for it.
    pub async fn skeleton(&self) -> Seen {
        const REMEDY: &str = "look at the server's log; the AppView shows nothing of a feed that it is answered so";
        const NONE: &str = "no community is known yet: wait for the stream, or replay recorded frames";
        let origin = &self.identity.public_url;
        let fail = |error: DialError| (error.to_string(), REMEDY);
        let described = self.get(format!("{origin}/xrpc/app.bsky.feed.describeFeedGenerator")).await.map_err(fail)?;
        let described: Value = serde_json::from_slice(&described.body).unwrap_or_default();
        let Some(uri) = described["feeds"][0]["uri"].as_str().map(str::to_owned) else {
            return Err(("the server describes no feed".to_owned(), NONE));
        };
        if !uri.starts_with(&format!("at://{}/{GENERATOR}/", self.identity.publisher_did)) {
            return Err((
                format!("the server's feeds are not the publisher's: {uri}"),
                "start serve with the same --publisher-did",
            ));
        }
        let query: String = url::form_urlencoded::Serializer::new(String::new())
            .append_pair("feed", &uri)
            .append_pair("limit", &APP_VIEW_LIMIT.to_string())
            .finish();
        let began = self.clock.monotonic();
        let answer = self.get(format!("{origin}/xrpc/app.bsky.feed.getFeedSkeleton?{query}")).await.map_err(fail)?;
        let took = self.clock.monotonic().saturating_sub(began);
        let fault = fault_of(&answer).or_else(|| (took > APP_VIEW_PATIENCE).then(|| "it takes too long".to_owned()));
        match fault {
            None => Ok(format!("{uri} answers as the AppView wants, in {} ms", took.as_millis())),
            Some(why) => Err((format!("{uri}: {why} (in {} ms)", took.as_millis()), REMEDY)),
        }
    }
}

/// What the AppView would not take.
fn fault_of(answer: &Response) -> Option<String> {
    if !answer.is_ok() {
        return Some(format!("it answers {}", answer.status));
    }
    if !answer.header("content-type").is_some_and(|kind| kind.starts_with("application/json")) {
        return Some("its answer is not application/json".to_owned());
    }
    let body: Value = match serde_json::from_slice(&answer.body) {
        Ok(body) => body,
        Err(error) => return Some(format!("its answer is no JSON ({error})")),
    };
    let Some(items) = body["feed"].as_array() else { return Some("its answer has no list `feed`".to_owned()) };
    let bad = items.iter().find(|item| item["post"].as_str().is_none_or(|uri| AtUri::check(uri).is_err()));
    match bad {
        Some(item) => Some(format!("an item is no AT-URI: {item}")),
        None if items.len() > APP_VIEW_LIMIT => Some("it gives more items than were asked for".to_owned()),
        None if items.is_empty() && body.get("cursor").is_some() => Some("it gives a cursor without items".to_owned()),
        None => None,
    }
}
