//! Who asks: tokens that have been judged, for threads that cannot wait.
//!
//! ```text
//! Authorization ──► known(…) ──► Known(DID) | Refused(why) | Unknown ──► offered to be judged (shell), once
//!                      ▲                                                       │
//!                      └──────────── keep(…) ◄────────────────────────────────┘
//! ```
//!
//! In: the header field of a request, now; verdicts, from whoever has the time to reach them. Out: what is known. A look-up
//! waits for nobody: a table of fixed places, four for each token, each swapped whole. It allocates nothing when the token is
//! known. A token is found by its SHA-256 and nothing less, so no other text can be made that is taken for it, and no token
//! lies in memory.
//!
//! What always holds: a token counts until its `exp`, for its own method, and not after its issuer's identity has changed. A
//! refusal never takes the place of a token that holds. The used `jti` of writes are remembered until they end, or the write
//! is refused.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwapOption;
use sha2::{Digest, Sha256};

use super::tally::Tally;
use super::token::{Refusal, Verified, bearer};
use crate::limits::{TOKEN_IDS_USED_MAX, TOKEN_PENDING_MICROS, TOKEN_REFUSED_MICROS, TOKENS_MAX};
use crate::syntax::Did;

/// What is known of a request's token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Known {
    /// This account asks.
    Known(Arc<Did>),
    /// Nobody has judged it yet. It is being judged where it was offered before.
    Unknown {
        /// Whether it should be offered now.
        offer: bool,
    },
    /// It does not count, and why.
    Refused(Refusal),
}

/// The number of a token: its SHA-256.
type Number = [u8; 32];

/// Places where one token can be.
const WAYS: usize = 4;
/// Changes of identities are counted by so many parts of all DIDs: few enough to be small (128 KiB), enough that one seldom
/// concerns another: at ten changes a second, which is more than the network has, one token in 27 is judged anew within its
/// minute for nothing. A power of two.
const EPOCHS: usize = 1 << 14;

#[derive(Debug)]
struct Place {
    number: Number,
    verdict: Verdict,
    /// Until when it counts, in microseconds since the epoch.
    until: i64,
}

#[derive(Debug)]
enum Verdict {
    /// `epoch` is that of its issuer, from before their document was read.
    Holds {
        issuer: Arc<Did>,
        method: Box<str>,
        epoch: u64,
    },
    Refused(Refusal),
    Pending,
}

impl Place {
    /// What goes first when there is no room: what is over, then what is not proved.
    fn worth(&self, now: i64) -> (bool, i64) {
        (self.until > now && matches!(self.verdict, Verdict::Holds { .. }), self.until)
    }
}

/// The tokens that have been judged. Any number of threads ask, any number keep.
#[derive(Debug)]
pub struct Callers {
    places: Box<[ArcSwapOption<Place>]>,
    epochs: Box<[AtomicU64]>,
    used: Mutex<HashMap<Number, i64>>,
    tally: Tally,
}

impl Default for Callers {
    fn default() -> Self {
        Self::new()
    }
}

impl Callers {
    /// Nobody is known.
    pub fn new() -> Self {
        Self {
            places: (0..TOKENS_MAX).map(|_| ArcSwapOption::empty()).collect(),
            epochs: (0..EPOCHS).map(|_| AtomicU64::new(0)).collect(),
            used: Mutex::default(),
            tally: Tally::default(),
        }
    }

    /// What is known of the token in an `Authorization` header field, for a call of `method`. It waits for nobody.
    ///
    /// A token that is not known is marked as offered, so that the requests that come with it while it is judged do not offer
    /// it again. The request is counted.
    pub fn known(&self, authorization: &str, method: &str, now_micros: i64) -> Known {
        match bearer(authorization) {
            Ok(token) => self.look_up(token, method, now_micros),
            Err(why) => self.refuse(why),
        }
    }

    fn refuse(&self, why: Refusal) -> Known {
        self.tally.refuse(why);
        Known::Refused(why)
    }

    fn look_up(&self, token: &str, method: &str, now: i64) -> Known {
        let number = number(&[token.as_bytes()]);
        let mut is_pending = false;
        for way in self.ways(&number) {
            let held = way.load();
            let Some(place) = held.as_deref().filter(|place| place.number == number && place.until > now) else {
                continue;
            };
            match &place.verdict {
                // The key may have been an old one.
                Verdict::Holds { issuer, epoch, .. } if self.epoch(issuer) != *epoch => {
                    way.compare_and_swap(&held, None);
                }
                Verdict::Holds { issuer, method: theirs, .. } if **theirs == *method => {
                    self.tally.known.increment();
                    return Known::Known(Arc::clone(issuer));
                }
                Verdict::Holds { .. } => return self.refuse(Refusal::Method),
                Verdict::Refused(why) => {
                    self.tally.refused_again.increment();
                    return Known::Refused(*why);
                }
                // Two threads may have put it in two places: the other may know more.
                Verdict::Pending => is_pending = true,
            }
        }
        self.tally.unknown.increment();
        if is_pending {
            return Known::Unknown { offer: false };
        }
        self.place(Place { number, verdict: Verdict::Pending, until: now + TOKEN_PENDING_MICROS }, now);
        Known::Unknown { offer: true }
    }

    /// How often an identity has changed, of this account or of one of few others. It is asked for before the account's document
    /// is, and said to [`Callers::keep`]: a token counts as long as it is the same.
    pub fn epoch(&self, did: &Did) -> u64 {
        self.epoch_of(did).load(Ordering::SeqCst)
    }

    /// Keeps that a token holds, and counts it. Where its issuer's identity has changed since `epoch` was read, it does not
    /// count: the key may be an old one.
    pub fn keep(&self, token: &str, verified: &Verified, epoch: u64, now_micros: i64) {
        self.tally.verified.increment();
        let number = number(&[token.as_bytes()]);
        let (issuer, method) = (Arc::new(verified.issuer.clone()), verified.method.clone());
        let until = verified.expires_micros;
        self.place(Place { number, verdict: Verdict::Holds { issuer, method, epoch }, until }, now_micros);
    }

    /// Keeps for a short time that a token does not count, and counts why.
    pub fn keep_refused(&self, token: &str, why: Refusal, now_micros: i64) {
        self.tally.refuse(why);
        let number = number(&[token.as_bytes()]);
        let until = now_micros + TOKEN_REFUSED_MICROS;
        self.place(Place { number, verdict: Verdict::Refused(why), until }, now_micros);
    }

    /// A token that was to be offered found no room there: the next request with it offers it again.
    pub fn dropped(&self, token: &str) {
        self.tally.dropped.increment();
        let number = number(&[token.as_bytes()]);
        for place in self.ways(&number) {
            let held = place.load();
            let is_pending = |held: &Place| held.number == number && matches!(held.verdict, Verdict::Pending);
            if held.as_deref().is_some_and(is_pending) {
                place.compare_and_swap(&held, None);
            }
        }
    }

    /// An account's identity has changed: its tokens are to be judged anew.
    pub fn forget(&self, did: &Did) {
        self.epoch_of(did).fetch_add(1, Ordering::SeqCst);
    }

    /// Marks a verified token as used, where it is for a write.
    ///
    /// # Errors
    /// It was used before, has no `jti`, or there is no room to remember it ([`TOKEN_IDS_USED_MAX`]).
    pub fn use_once(&self, verified: &Verified, now_micros: i64) -> Result<(), Refusal> {
        let id = verified.id.as_deref().ok_or(Refusal::NoId)?;
        // A DID holds no zero.
        let number = number(&[verified.issuer.as_str().as_bytes(), &[0], id.as_bytes()]);
        let mut used = self.used.lock().unwrap_or_else(PoisonError::into_inner);
        if used.get(&number).is_some_and(|&until| until > now_micros) {
            return Err(Refusal::Replay);
        }
        if used.len() >= TOKEN_IDS_USED_MAX {
            used.retain(|_, until| *until > now_micros);
            if used.len() >= TOKEN_IDS_USED_MAX {
                return Err(Refusal::ReplayFull);
            }
        }
        used.insert(number, verified.expires_micros);
        Ok(())
    }

    /// What was counted.
    pub const fn tally(&self) -> &Tally {
        &self.tally
    }

    fn epoch_of(&self, did: &Did) -> &AtomicU64 {
        let mut hasher = DefaultHasher::new();
        did.hash(&mut hasher);
        &self.epochs[hasher.finish() as usize & (EPOCHS - 1)]
    }

    fn ways(&self, number: &Number) -> &[ArcSwapOption<Place>] {
        let at = number.first_chunk().map_or(0, |bytes| u64::from_le_bytes(*bytes) as usize);
        let first = at & (TOKENS_MAX - 1) & !(WAYS - 1);
        &self.places[first..first + WAYS]
    }

    /// Puts it where it is already, or where the least is lost. What is not proved takes no place of what is.
    fn place(&self, new: Place, now: i64) {
        let ways = self.ways(&new.number);
        let same = ways.iter().find(|place| place.load().as_deref().is_some_and(|held| held.number == new.number));
        let least = || ways.iter().min_by_key(|place| place.load().as_deref().map(|held| held.worth(now)));
        let Some(place) = same.or_else(least) else { return };
        let held = place.load();
        let is_proved = held.as_deref().is_some_and(|held| held.worth(now).0);
        if is_proved && !matches!(new.verdict, Verdict::Holds { .. }) {
            return;
        }
        // Where another was quicker, its place stays: this one is judged again when it comes again.
        place.compare_and_swap(&held, Some(Arc::new(new)));
    }
}

fn number(parts: &[&[u8]]) -> Number {
    let mut hash = Sha256::new();
    parts.iter().for_each(|part| hash.update(part));
    hash.finalize().into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::SECOND_MICROS;

    const NOW: i64 = 1_800_000_000 * SECOND_MICROS;
    const METHOD: &str = "app.bsky.feed.getFeedSkeleton";

    fn verified(did: &str, id: &str) -> Verified {
        Verified {
            issuer: Did::parse(did).expect("a DID"),
            expires_micros: NOW + 60 * SECOND_MICROS,
            id: Some(id.into()),
            method: METHOD.into(),
        }
    }

    fn holder(known: &Known) -> Option<&str> {
        match known {
            Known::Known(did) => Some(did.as_str()),
            _ => None,
        }
    }

    #[test]
    fn a_token_is_offered_once_and_known_until_it_ends() {
        let callers = Callers::new();
        assert_eq!(callers.known("Bearer a.b.c", METHOD, NOW), Known::Unknown { offer: true });
        assert_eq!(callers.known("Bearer a.b.c", METHOD, NOW), Known::Unknown { offer: false });
        assert_eq!(
            callers.known("Bearer a.b.c", METHOD, NOW + TOKEN_PENDING_MICROS),
            Known::Unknown { offer: true },
            "whoever judged it is gone"
        );
        callers.keep("a.b.c", &verified("did:web:a.dev", "1"), 0, NOW);
        assert_eq!(holder(&callers.known("bearer  a.b.c", METHOD, NOW)), Some("did:web:a.dev"));
        let end = NOW + 60 * SECOND_MICROS;
        assert_eq!(holder(&callers.known("Bearer a.b.c", METHOD, end - 1)), Some("did:web:a.dev"));
        assert_eq!(callers.known("Bearer a.b.c", METHOD, end), Known::Unknown { offer: true });
        assert_eq!(callers.tally().known.get(), 2);
        assert_eq!(callers.tally().unknown.get(), 4);
    }

    #[test]
    fn a_token_is_for_its_method_alone() {
        let callers = Callers::new();
        callers.keep("a.b.c", &verified("did:web:a.dev", "1"), 0, NOW);
        let other = "app.bsky.feed.sendInteractions";
        assert_eq!(callers.known("Bearer a.b.c", other, NOW), Known::Refused(Refusal::Method));
        assert_eq!(callers.known("Bearer a.b.d", METHOD, NOW), Known::Unknown { offer: true });
        let refused: Vec<_> = callers.tally().refused().filter(|&(_, count)| count > 0).collect();
        assert_eq!(refused, [(Refusal::Method, 1)]);
    }

    #[test]
    fn a_refusal_is_remembered_for_a_while() {
        let callers = Callers::new();
        callers.keep_refused("a.b.c", Refusal::Signature, NOW);
        assert_eq!(callers.known("Bearer a.b.c", METHOD, NOW), Known::Refused(Refusal::Signature));
        let later = NOW + TOKEN_REFUSED_MICROS;
        assert_eq!(callers.known("Bearer a.b.c", METHOD, later), Known::Unknown { offer: true });
        for (header, why) in [
            ("", Refusal::Scheme),
            ("Bearer", Refusal::Scheme),
            ("Bearer ", Refusal::Scheme),
            ("a.b.c", Refusal::Scheme),
            ("DPoP a.b.c", Refusal::Scheme),
            ("Basic YTpi", Refusal::Scheme),
            (&format!("Bearer {}", "x".repeat(crate::limits::TOKEN_BYTES_MAX + 1)), Refusal::TooLong),
        ] {
            assert_eq!(callers.known(header, METHOD, NOW), Known::Refused(why), "{header:.20}");
        }
    }

    #[test]
    fn what_changed_is_forgotten_and_what_was_dropped_is_offered_again() {
        let callers = Callers::new();
        for (token, did) in [("a", "did:web:a.dev"), ("b", "did:web:b.dev"), ("c", "did:web:a.dev")] {
            callers.keep(token, &verified(did, "1"), 0, NOW);
        }
        callers.forget(&Did::parse("did:web:a.dev").expect("a DID"));
        assert_eq!(callers.known("Bearer a", METHOD, NOW), Known::Unknown { offer: true });
        assert_eq!(holder(&callers.known("Bearer b", METHOD, NOW)), Some("did:web:b.dev"));
        assert_eq!(callers.known("Bearer c", METHOD, NOW), Known::Unknown { offer: true });
        callers.dropped("a");
        assert_eq!(callers.known("Bearer a", METHOD, NOW), Known::Unknown { offer: true });
        assert_eq!(callers.tally().dropped.get(), 1);
        // A verdict by the document from before the change comes too late.
        let did = Did::parse("did:web:a.dev").expect("a DID");
        let epoch = callers.epoch(&did);
        callers.forget(&did);
        callers.keep("d", &verified("did:web:a.dev", "1"), epoch, NOW);
        assert_eq!(callers.known("Bearer d", METHOD, NOW), Known::Unknown { offer: true });
    }

    /// Many times more bad tokens than there are places push out none that holds.
    #[test]
    fn a_flood_of_bad_tokens_takes_no_place_of_good_ones() {
        let callers = Callers::new();
        let good: Vec<String> = (0..TOKENS_MAX / 8).map(|number| format!("good{number}")).collect();
        for token in &good {
            callers.keep(token, &verified("did:web:a.dev", token), 0, NOW);
        }
        let held = |token: &&String| holder(&callers.known(&format!("Bearer {token}"), METHOD, NOW)).is_some();
        let before = good.iter().filter(held).count();
        assert!(before > good.len() * 99 / 100, "{before} of {}", good.len());
        for number in 0..TOKENS_MAX * 4 {
            callers.known(&format!("Bearer bad{number}"), METHOD, NOW);
            callers.keep_refused(&format!("bad{number}"), Refusal::Signature, NOW);
        }
        assert_eq!(good.iter().filter(held).count(), before);
    }

    #[test]
    fn a_write_is_done_once() {
        let callers = Callers::new();
        let token = verified("did:web:a.dev", "1");
        assert_eq!(callers.use_once(&token, NOW), Ok(()));
        assert_eq!(callers.use_once(&token, NOW), Err(Refusal::Replay));
        assert_eq!(callers.use_once(&verified("did:web:a.dev", "2"), NOW), Ok(()));
        assert_eq!(callers.use_once(&verified("did:web:b.dev", "1"), NOW), Ok(()), "the number is its issuer's");
        assert_eq!(callers.use_once(&Verified { id: None, ..token.clone() }, NOW), Err(Refusal::NoId));
        for number in 3..TOKEN_IDS_USED_MAX {
            assert_eq!(callers.use_once(&verified("did:web:c.dev", &number.to_string()), NOW), Ok(()));
        }
        assert_eq!(callers.use_once(&verified("did:web:c.dev", "x"), NOW), Err(Refusal::ReplayFull));
        assert_eq!(callers.use_once(&token, NOW), Err(Refusal::Replay), "nothing was forgotten for want of room");
        let end = token.expires_micros;
        assert_eq!(callers.use_once(&verified("did:web:c.dev", "x"), end), Ok(()));
    }
}
