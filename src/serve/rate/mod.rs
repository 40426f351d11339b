//! How much each caller may ask for: by the DID that a request proves, else by its address.
//!
//! In: a request's class, where it comes from, who it is. Out: a [`Verdict`]: what is left, or that it must wait. A request
//! whose token has not been judged is counted to its address, and to its account when it has been ([`callers`]); until then it
//! is refused where the quota of the account that it names is used up.
//!
//! ```text
//!              a DID is proved              by address                     no limit
//!   feeds      getFeedSkeleton, describeFeedGenerator, sendInteractions    loopback, the small routes, OPTIONS
//!   dashboard  /api/…
//! ```
//! Each pair has a [`Quota`] of its own. Those of addresses are large for feeds: the AppView asks for all its readers from
//! a handful of addresses, and whoever measures does so from one. An IPv6 caller is their /64, for they have all of it.
//! Who comes from this very machine is not counted: that is a proxy which nobody has named with `--trusted-proxy`, behind
//! which all the world would share one bucket, or it is the operator.
//!
//! What always holds: memory is of a fixed size (`buckets`); no lock is taken; no caller is stored, only 16 bits of a hash
//! with a random key.
//!
//! [`callers`]: super::callers

mod address;
mod buckets;

use std::hash::{BuildHasher, Hash, RandomState};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use hyper::header::{ACCESS_CONTROL_EXPOSE_HEADERS, AUTHORIZATION, HeaderName, HeaderValue, RETRY_AFTER};
use hyper::{HeaderMap, StatusCode};

pub use address::{Cidr, CidrError};
pub use buckets::Quota;
use buckets::{Buckets, Taken};

use super::answer::{self, Answer};
use super::callers::{Caller, Callers};
use crate::limits;
use crate::syntax::Did;
use crate::telemetry::{Limited, Telemetry};

/// What an operator decides about limits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RateLimits {
    /// For each kind of caller, in the order of [`Limited::ALL`].
    pub quotas: [Quota; Limited::ALL.len()],
    /// Proxies whose `X-Forwarded-For` is believed.
    pub trusted_proxies: Vec<Cidr>,
}

impl Default for RateLimits {
    fn default() -> Self {
        Self { quotas: limits::RATE_QUOTAS_DEFAULT.map(Quota::per_hour), trusted_proxies: Vec::new() }
    }
}

/// What is limited together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Class {
    Feeds,
    Dashboard,
}

/// Where a request came from, and when.
#[derive(Clone, Copy, Debug)]
pub(super) struct Arrival {
    /// The other end of the socket.
    pub peer: IpAddr,
    /// On the monotonic clock.
    pub at: Duration,
}

/// See the [module](self).
pub(super) struct Limiter {
    settings: RateLimits,
    callers: Option<Arc<dyn Callers>>,
    buckets: Buckets,
    hasher: RandomState,
}

/// What was said to one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Verdict {
    limited: Limited,
    quota: Quota,
    taken: Taken,
}

impl Limiter {
    pub fn new(settings: RateLimits, callers: Option<Arc<dyn Callers>>) -> Self {
        Self { settings, callers, buckets: Buckets::new(limits::RATE_CALLERS), hasher: RandomState::new() }
    }

    /// Counts a request; `None` where it is not limited. `method` is what its token must be for.
    pub fn count(
        &self,
        (class, method): (Class, &'static str),
        headers: &HeaderMap,
        arrival: Arrival,
        telemetry: &Telemetry,
    ) -> Option<Verdict> {
        match self.caller(method, headers) {
            Caller::Proved(did) => return Some(self.take(self.account(class, &did), arrival.at, telemetry)),
            Caller::Claimed(did) => {
                let bucket = self.account(class, &did);
                let taken = self.buckets.look(bucket.hash, micros(arrival.at), bucket.quota);
                if taken.refused_for_micros.is_some() {
                    telemetry.limit(bucket.limited);
                    return Some(Verdict { limited: bucket.limited, quota: bucket.quota, taken });
                }
            }
            Caller::Nobody => {}
        }
        let limited = if class == Class::Feeds { Limited::FeedsAddress } else { Limited::DashboardAddress };
        let network = network(address::client(arrival.peer, headers, &self.settings.trusted_proxies))?;
        Some(self.take(self.bucket(limited, network), arrival.at, telemetry))
    }

    /// Counts to an account a request that has been answered already. Where its quota is used up, nothing is taken.
    pub fn charge(&self, class: Class, did: &Did, at: Duration, telemetry: &Telemetry) {
        let bucket = self.account(class, did);
        if self.buckets.take(bucket.hash, micros(at), bucket.quota).forgot {
            telemetry.callers_forgotten.increment();
        }
    }

    fn take(&self, bucket: Bucket, at: Duration, telemetry: &Telemetry) -> Verdict {
        let Bucket { limited, quota, hash } = bucket;
        let taken = self.buckets.take(hash, micros(at), quota);
        if taken.refused_for_micros.is_some() {
            telemetry.limit(limited);
        }
        if taken.forgot {
            telemetry.callers_forgotten.increment();
        }
        Verdict { limited, quota, taken }
    }

    fn account(&self, class: Class, did: &Did) -> Bucket {
        let limited = if class == Class::Feeds { Limited::FeedsDid } else { Limited::DashboardDid };
        self.bucket(limited, did.as_str())
    }

    fn bucket(&self, limited: Limited, of: impl Hash) -> Bucket {
        let quota = self.settings.quotas[limited as usize];
        Bucket { limited, quota, hash: self.hasher.hash_one((limited as u8, of)) }
    }

    fn caller(&self, method: &'static str, headers: &HeaderMap) -> Caller {
        let known = || {
            let authorization = headers.get(AUTHORIZATION)?.to_str().ok()?;
            Some(self.callers.as_ref()?.caller(authorization, method))
        };
        known().unwrap_or(Caller::Nobody)
    }
}

/// One caller's bucket of one kind.
struct Bucket {
    limited: Limited,
    quota: Quota,
    hash: u64,
}

fn micros(at: Duration) -> u64 {
    u64::try_from(at.as_micros()).unwrap_or(u64::MAX)
}

/// What stands for an address: itself, or its /64; `None` for this machine's own. (An IPv4 address lies far below every
/// /64 that is routed.)
fn network(address: IpAddr) -> Option<u64> {
    match address {
        own if own.is_loopback() => None,
        IpAddr::V4(four) => Some(four.to_bits().into()),
        IpAddr::V6(six) => Some((six.to_bits() >> 64) as u64),
    }
}

const LIMIT: HeaderName = HeaderName::from_static("ratelimit-limit");
const REMAINING: HeaderName = HeaderName::from_static("ratelimit-remaining");
const RESET: HeaderName = HeaderName::from_static("ratelimit-reset");

impl Verdict {
    /// 429 with everything that is to be said, where the request must wait.
    pub fn refusal(&self) -> Option<Answer> {
        let seconds = whole_seconds(self.taken.refused_for_micros?);
        let by = if matches!(self.limited, Limited::FeedsDid | Limited::DashboardDid) { "account" } else { "address" };
        let message =
            format!("this {by} has used up its {} requests an hour: ask again in {seconds} s", self.quota.requests());
        let mut refusal = answer::error(StatusCode::TOO_MANY_REQUESTS, "RateLimitExceeded", &message);
        refusal.headers_mut().insert(RETRY_AFTER, HeaderValue::from(seconds));
        Some(self.told(refusal))
    }

    /// An answer that says what is left.
    pub fn told(&self, mut answer: Answer) -> Answer {
        let headers = answer.headers_mut();
        headers.insert(LIMIT, HeaderValue::from(self.quota.requests()));
        headers.insert(REMAINING, HeaderValue::from(self.taken.remaining));
        headers.insert(RESET, HeaderValue::from(whole_seconds(self.taken.full_in_micros)));
        headers.insert(ACCESS_CONTROL_EXPOSE_HEADERS, HeaderValue::from_static("*"));
        answer
    }
}

/// Rounded up: who waits so long has waited long enough.
const fn whole_seconds(micros: u64) -> u64 {
    micros.div_ceil(1_000_000)
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Everybody;

    impl Callers for Everybody {
        fn caller(&self, authorization: &str, _: &'static str) -> Caller {
            let did = |text| Did::parse(text).ok();
            let proved = authorization.strip_prefix("Bearer ").and_then(did).map(|did| Caller::Proved(Arc::new(did)));
            let claimed = || authorization.strip_prefix("Claims ").and_then(did).map(Caller::Claimed);
            proved.or_else(claimed).unwrap_or(Caller::Nobody)
        }
    }

    fn limiter(quotas: [u32; 4]) -> Limiter {
        let trusted_proxies = vec!["10.0.0.0/8".parse().expect("a block")];
        let settings = RateLimits { quotas: quotas.map(Quota::per_hour), trusted_proxies };
        Limiter::new(settings, Some(Arc::new(Everybody)))
    }

    fn ask(limiter: &Limiter, class: Class, peer: &str, header: Option<(HeaderName, &str)>) -> Option<Verdict> {
        let mut headers = HeaderMap::new();
        if let Some((name, value)) = header {
            headers.insert(name, HeaderValue::from_str(value).expect("text"));
        }
        let arrival = Arrival { peer: peer.parse().expect("an address"), at: Duration::from_secs(1) };
        limiter.count((class, "net.atrarium.test"), &headers, arrival, &Telemetry::default())
    }

    #[test]
    fn each_kind_of_caller_has_its_own_quota() {
        let limiter = limiter([2, 3, 4, 5]);
        let bearer = Some((AUTHORIZATION, "Bearer did:plc:a"));
        let limit = |class, header| ask(&limiter, class, "203.0.113.1", header).map(|verdict| verdict.quota.requests());
        assert_eq!(limit(Class::Feeds, bearer.clone()), Some(2));
        assert_eq!(limit(Class::Feeds, None), Some(3));
        assert_eq!(limit(Class::Dashboard, bearer.clone()), Some(4));
        assert_eq!(limit(Class::Dashboard, Some((AUTHORIZATION, "Bearer nobody"))), Some(5), "proves nothing");
        for (peer, is_refused) in [("203.0.113.1", false), ("198.51.100.1", true)] {
            let verdict = ask(&limiter, Class::Feeds, peer, bearer.clone()).expect("limited");
            assert_eq!(verdict.refusal().is_some(), is_refused, "wherever they ask from");
        }
    }

    /// Who only says to be somebody uses up nothing of theirs, but is not let pass where that is used up.
    #[test]
    fn what_is_not_proved_is_counted_to_the_address_and_to_the_account_once_it_is() {
        let limiter = limiter([2, 3, 1, 1]);
        let claims = || Some((AUTHORIZATION, "Claims did:plc:a"));
        let told = |verdict: &Verdict| (verdict.limited, verdict.taken.remaining, verdict.refusal().is_some());
        let ask = |peer, header| ask(&limiter, Class::Feeds, peer, header).map(|verdict| told(&verdict));
        for left in [2, 1] {
            assert_eq!(ask("203.0.113.1", claims()), Some((Limited::FeedsAddress, left, false)));
        }
        assert_eq!(ask("127.0.0.1", claims()), None, "this machine has no limit");
        let (did, telemetry) = (Did::parse("did:plc:a").expect("a DID"), Telemetry::default());
        let at = Duration::from_secs(1);
        limiter.charge(Class::Feeds, &did, at, &telemetry);
        assert_eq!(ask("203.0.113.2", claims()), Some((Limited::FeedsAddress, 2, false)), "one is left");
        limiter.charge(Class::Feeds, &did, at, &telemetry);
        for peer in ["203.0.113.1", "203.0.113.2", "127.0.0.1"] {
            assert_eq!(ask(peer, claims()), Some((Limited::FeedsDid, 0, true)));
        }
        assert_eq!(
            ask("203.0.113.2", Some((AUTHORIZATION, "Claims did:plc:b"))),
            Some((Limited::FeedsAddress, 1, false))
        );
        // One that was answered before it was proved takes nothing of the time to come.
        limiter.charge(Class::Feeds, &did, at, &telemetry);
        let (half, over) = (Duration::from_secs(1 + 1799), Duration::from_secs(1 + 1801));
        let later = |at| {
            let headers = [(AUTHORIZATION, HeaderValue::from_static("Claims did:plc:a"))].into_iter().collect();
            let arrival = Arrival { peer: IpAddr::from([203, 0, 113, 9]), at };
            limiter.count((Class::Feeds, "net.atrarium.test"), &headers, arrival, &telemetry)
        };
        let is_refused = |verdict: Option<Verdict>| verdict.is_some_and(|verdict| verdict.refusal().is_some());
        assert!(is_refused(later(half)) && !is_refused(later(over)));
        assert_eq!(telemetry.limited().map(|(_, count)| count).sum::<u64>(), 1);
    }

    #[test]
    fn an_address_is_its_network_and_this_machine_has_no_limit() {
        let limiter = limiter([1; 4]);
        let refused = |peer: &str| ask(&limiter, Class::Feeds, peer, None).map(|verdict| verdict.refusal().is_some());
        assert_eq!(refused("2001:db8:0:1::1"), Some(false));
        assert_eq!(refused("2001:db8:0:1:ffff::2"), Some(true), "the same /64");
        assert_eq!(refused("2001:db8:0:2::1"), Some(false));
        assert_eq!(refused("203.0.113.1"), Some(false));
        assert_eq!(refused("::ffff:203.0.113.1"), Some(true), "the same address");
        for own in ["127.0.0.1", "127.8.8.8", "::1", "::ffff:127.0.0.1"] {
            assert_eq!([refused(own), refused(own)], [None, None]);
        }
        let forwarded = |for_whom| {
            let header = Some((HeaderName::from_static("x-forwarded-for"), for_whom));
            ask(&limiter, Class::Feeds, "10.0.0.1", header).map(|verdict| verdict.refusal().is_some())
        };
        assert_eq!(
            [forwarded("192.0.2.7"), forwarded("192.0.2.7"), forwarded("192.0.2.8")],
            [Some(false), Some(true), Some(false)]
        );
    }

    #[test]
    fn a_refusal_says_when_to_come_again() {
        let limiter = limiter([1; 4]);
        let bearer = || Some((AUTHORIZATION, "Bearer did:plc:a"));
        let headers = |answer: &Answer| {
            let text = |name| answer.headers().get(name).map(|value| value.to_str().expect("text").to_owned());
            [LIMIT, REMAINING, RESET, RETRY_AFTER].map(text)
        };
        let first = ask(&limiter, Class::Feeds, "203.0.113.1", bearer()).expect("limited");
        assert_eq!(first.refusal().map(|_| ()), None);
        let said = [Some("1"), Some("0"), Some("3600"), None].map(|text| text.map(str::to_owned));
        assert_eq!(headers(&first.told(Answer::default())), said);
        let refusal = ask(&limiter, Class::Feeds, "203.0.113.1", bearer()).expect("limited").refusal();
        let refusal = refusal.expect("refused");
        assert_eq!(refusal.status(), StatusCode::TOO_MANY_REQUESTS);
        let said = [Some("1"), Some("0"), Some("3600"), Some("3600")].map(|text| text.map(str::to_owned));
        assert_eq!(headers(&refusal), said);
    }
}
