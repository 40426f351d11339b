//! The ends of the queue of tokens that wait to be judged, and of the ring of identities that have changed.
//!
//! Nobody is woken for a change: when the stream is caught up there are tens of thousands of them a second, and waking a thread
//! takes longer than all else that is done for one.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinSet;

use super::Identities;
use crate::clock::Clock;
use crate::identity::callers::{Callers, Known};
use crate::identity::place::place;
use crate::identity::resolver::Missing;
use crate::identity::token::{Expectations, Refusal, Token, Verified, bearer};
use crate::limits::{
    IDENTITY_CHANGES_POLL_MILLIS, IDENTITY_CHANGES_WAITING_MAX, TOKENS_JUDGED_AT_ONCE_MAX, TOKENS_WAITING_MAX,
};
use crate::ring::{self, Consumer, Full, Producer, Signal};
use crate::syntax::Did;

/// What a token is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Use {
    /// To read: it may be used again until it ends.
    Read,
    /// To write: once.
    Write,
}

/// Where requests ask who sent them. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Gate {
    bench: Arc<Bench>,
    offers: mpsc::Sender<Offer>,
}

/// Where the thread that reads the stream tells of identities that have changed.
#[derive(Debug)]
pub struct Changes {
    ring: Producer<Did>,
    bench: Arc<Bench>,
}

/// Whoever judges the tokens that were offered. [`Judges::run`] is one task of the control thread.
#[derive(Debug)]
pub struct Judges {
    bench: Arc<Bench>,
    offers: mpsc::Receiver<Offer>,
    changes: Consumer<Did>,
}

#[derive(Debug)]
struct Offer {
    token: Box<str>,
    method: &'static str,
}

/// What both need.
#[derive(Debug)]
struct Bench {
    service: Did,
    callers: Callers,
    identities: Identities,
    clock: Clock,
}

impl Gate {
    /// A gate for tokens whose `aud` is `service`, the judges behind it, and where they hear of changes.
    pub fn new(service: Did, identities: Identities, clock: Clock) -> (Self, Judges, Changes) {
        let (to_judges, offers) = mpsc::channel(TOKENS_WAITING_MAX);
        let (ring, changes) = ring::channel(IDENTITY_CHANGES_WAITING_MAX, &Signal::new());
        let bench = Arc::new(Bench { service, callers: Callers::new(), identities, clock });
        let gate = Self { bench: Arc::clone(&bench), offers: to_judges };
        (gate, Judges { bench: Arc::clone(&bench), offers, changes }, Changes { ring, bench })
    }

    /// What is known of the caller who sends this `Authorization` header field with a call of `method`: for answers that do
    /// not depend on it much. It never waits, and allocates nothing where the token is known. A token that is not known is
    /// offered to the judges; where too many wait, it is dropped and counted.
    pub fn known(&self, authorization: &str, method: &'static str) -> Known {
        let callers = &self.bench.callers;
        let known = callers.known(authorization, method, self.bench.clock.wall_micros());
        if known == (Known::Unknown { offer: true })
            && let Ok(token) = bearer(authorization)
            && self.offers.try_send(Offer { token: token.into(), method }).is_err()
        {
            callers.dropped(token);
        }
        known
    }

    /// Who sends this `Authorization` header field, for answers that depend on it. It may read the issuer's document, and
    /// takes some seconds then.
    ///
    /// # Errors
    /// The token does not count, or for a write was used before.
    pub async fn verify_now(&self, authorization: &str, method: &'static str, used: Use) -> Result<Did, Refusal> {
        let bench = &self.bench;
        let token = bearer(authorization).inspect_err(|&why| bench.callers.tally().refuse(why))?;
        if used == Use::Read
            && let Known::Known(did) = bench.callers.known(authorization, method, bench.clock.wall_micros())
        {
            return Ok((*did).clone());
        }
        let verified = bench.judge_and_keep(token, method, used).await?;
        if used == Use::Write {
            let once = bench.callers.use_once(&verified, bench.clock.wall_micros());
            once.inspect_err(|&why| bench.callers.tally().refuse(why))?;
        }
        Ok(verified.issuer)
    }

    /// What was counted, and who is known.
    pub fn callers(&self) -> &Callers {
        &self.bench.callers
    }

    /// Where identities are read.
    pub fn identities(&self) -> &Identities {
        &self.bench.identities
    }
}

impl Changes {
    /// An `identity` event of the stream: nothing that is known of this DID counts any more, as soon as [`Judges::run`] has heard
    /// of it, which looks every [`IDENTITY_CHANGES_POLL_MILLIS`]. This waits for a lock only where more than
    /// [`IDENTITY_CHANGES_WAITING_MAX`] changes have not been heard of.
    pub fn tell(&mut self, did: Did) {
        if let Err(Full(did)) = self.ring.push(did) {
            self.bench.identity_changed(&did);
        }
    }
}

impl Judges {
    /// Judges until every [`Gate`] and the [`Changes`] are gone. `proved` is told of each token that was offered and holds: who calls what. Dropping the
    /// future gives up what is being judged.
    pub async fn run(self, proved: impl Fn(&Did, &'static str) + Send + Sync + 'static) {
        let Self { bench, offers, changes } = self;
        // No change waits for a judge.
        tokio::join!(judge_offers(&bench, offers, Arc::new(proved)), hear_changes(&bench, changes));
    }
}

async fn judge_offers(
    bench: &Arc<Bench>,
    mut offers: mpsc::Receiver<Offer>,
    proved: Arc<impl Fn(&Did, &'static str) + Send + Sync + 'static>,
) {
    let permits = Arc::new(Semaphore::new(TOKENS_JUDGED_AT_ONCE_MAX));
    let mut trials = JoinSet::new();
    while let Some(Offer { token, method }) = offers.recv().await {
        let Ok(permit) = Arc::clone(&permits).acquire_owned().await else { return };
        while trials.try_join_next().is_some() {}
        let (bench, proved) = (Arc::clone(bench), Arc::clone(&proved));
        trials.spawn(async move {
            if let Ok(verified) = bench.judge_and_keep(&token, method, Use::Read).await {
                proved(&verified.issuer, method);
            }
            drop(permit);
        });
    }
    while trials.join_next().await.is_some() {}
}

async fn hear_changes(bench: &Bench, mut changes: Consumer<Did>) {
    loop {
        let is_over = changes.is_closed();
        changes.drain(usize::MAX, |did| bench.identity_changed(&did));
        if is_over {
            return;
        }
        tokio::time::sleep(Duration::from_millis(IDENTITY_CHANGES_POLL_MILLIS)).await;
    }
}

impl Bench {
    /// In this order: a token that is judged between the two, by the old document, does not count after them.
    fn identity_changed(&self, did: &Did) {
        self.callers.tally().changed.increment();
        self.identities.identity_event(did, None);
        self.callers.forget(did);
    }

    async fn judge_and_keep(&self, text: &str, method: &str, used: Use) -> Result<Verified, Refusal> {
        let refuse = |&why: &Refusal| self.callers.keep_refused(text, why, self.clock.wall_micros());
        let token = Token::parse(text).inspect_err(refuse)?;
        let epoch = self.callers.epoch(token.issuer());
        let verified = self.judge(&token, method, used).await.inspect_err(refuse)?;
        self.callers.keep(text, &verified, epoch, self.clock.wall_micros());
        Ok(verified)
    }

    async fn judge(&self, token: &Token<'_>, method: &str, used: Use) -> Result<Verified, Refusal> {
        let now_micros = self.clock.wall_micros();
        let needs_id = used == Use::Write;
        // Before anything is fetched: what is refused anyhow must cost no other host a request.
        token.judge(&Expectations { service: &self.service, method, needs_id, now_micros })?;
        if place(token.issuer()).is_none() {
            return Err(Refusal::IssuerMethod);
        }
        let document = self.identities.document(token.issuer()).await.map_err(refusal)?;
        let verified = match token.verify(&document) {
            Err(why) if why.may_heal() => {
                self.callers.tally().forced.increment();
                let anew = self.identities.document_anew(token.issuer()).await.map_err(|_| why)?;
                if anew.key == document.key {
                    return Err(why);
                }
                token.verify(&anew)?
            }
            other => other?,
        };
        // Reading took its time.
        if verified.expires_micros <= self.clock.wall_micros() { Err(Refusal::Expired) } else { Ok(verified) }
    }
}

fn refusal(missing: Missing) -> Refusal {
    match missing {
        Missing::Absent => Refusal::UnknownIssuer,
        Missing::Failed => Refusal::Unresolved,
    }
}
