//! Whose request it is.
//!
//! ```text
//!   token known        ──► Proved(DID)      counted to the account
//!   token not judged   ──► Claimed(DID)     counted to the address, and offered to the judges …
//!   no token, refused  ──► Nobody           counted to the address
//!                              … judges: it holds ──► Site::proved ──► counted to the account too
//! ```
//! In: an `authorization` header field. Out: a [`Caller`], at once.
//!
//! Judging a token costs more than a page (50 µs and at times a request to another host), and an account's PDS makes another
//! token for every request that it forwards. So a request is not kept waiting for it: it is answered, and counted to whoever
//! has made it when that is proved. What a token says of itself can use up nobody's quota; it only says whose quota is asked
//! about: where that is used up, the request is refused.

use std::io;
use std::sync::Arc;

use super::{Feeds, Site, Stop};
use crate::identity::token::{bearer, claimed_issuer};
use crate::identity::{Gate, Judges, Known};
use crate::syntax::Did;

/// Who a request comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Caller {
    /// This account has proved it.
    Proved(Arc<Did>),
    /// This account, as its token says: it is being judged, and [`Site::proved`] is told where it holds.
    Claimed(Did),
    /// Its token proves nothing.
    Nobody,
}

/// Who can say whose request it is. Without one everybody is their address.
pub trait Callers: Send + Sync + 'static {
    /// Whom this `authorization` header field proves to call `method`. Returns at once.
    fn caller(&self, authorization: &str, method: &'static str) -> Caller;
}

impl Callers for Gate {
    fn caller(&self, authorization: &str, method: &'static str) -> Caller {
        match self.known(authorization, method) {
            Known::Known(did) => Caller::Proved(did),
            Known::Unknown { .. } => {
                bearer(authorization).ok().and_then(claimed_issuer).map_or(Caller::Nobody, Caller::Claimed)
            }
            Known::Refused(_) => Caller::Nobody,
        }
    }
}

/// Judges the tokens that callers of `site` bring. Blocks until [`Stop::stop`]; what is being judged then is given up.
///
/// # Errors
/// The system gives no runtime.
pub fn run_judges<F: Feeds>(judges: Judges, site: Arc<Site<F>>, stop: &Stop) -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let stopped = stop.requested();
    runtime.block_on(async {
        tokio::select! {
            biased;
            () = stopped => {}
            () = judges.run(move |did, method| site.proved(did, method)) => {}
        }
    });
    // A look-up of a name may hold a thread of the runtime for longer than anybody waits for the end.
    runtime.shutdown_background();
    Ok(())
}
