//! TXT records, from the resolver that the system names.

use std::net::SocketAddr;
use std::time::Duration;

use hickory_resolver::config::{NameServerConfig, ResolverConfig};
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::net::{DnsError, NetError};
use hickory_resolver::proto::op::ResponseCode;
use hickory_resolver::proto::rr::RData;
use hickory_resolver::{ResolverBuilder, TokioResolver};
use tokio::time::timeout;

use crate::identity::txt::{Records, Txt, TxtError};
use crate::limits::DIAL_TIMEOUT_MILLIS;

/// The resolver of this machine. Needs a runtime of tokio with I/O and time. Cheap to clone.
#[derive(Clone)]
pub struct Dns(TokioResolver);

impl std::fmt::Debug for Dns {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Dns").finish_non_exhaustive()
    }
}

impl Dns {
    /// Asks whom the system's configuration names.
    ///
    /// # Errors
    /// The configuration cannot be read. [`NoTxt`](crate::identity::txt::NoTxt) does without.
    pub fn new() -> Result<Self, TxtError> {
        Self::with(TokioResolver::builder_tokio().map_err(|error| fail(&error))?)
    }

    /// Asks this server alone.
    ///
    /// # Errors
    /// The library cannot be set up.
    pub fn at(server: SocketAddr) -> Result<Self, TxtError> {
        let mut ways = NameServerConfig::udp_and_tcp(server.ip());
        ways.connections.iter_mut().for_each(|way| way.port = server.port());
        let config = ResolverConfig::from_parts(None, Vec::new(), vec![ways]);
        Self::with(TokioResolver::builder_with_config(config, TokioRuntimeProvider::default()))
    }

    fn with(mut builder: ResolverBuilder<TokioRuntimeProvider>) -> Result<Self, TxtError> {
        let options = builder.options_mut();
        options.timeout = Duration::from_millis(DIAL_TIMEOUT_MILLIS / 2);
        options.attempts = 1;
        // What was found is kept by whoever asks, who is told when it changes.
        options.cache_size = 0;
        Ok(Self(builder.build().map_err(|error| fail(&error))?))
    }
}

fn fail(error: &NetError) -> TxtError {
    TxtError { name: "any name".to_owned(), why: error.to_string() }
}

impl Txt for Dns {
    fn records<'a>(&'a self, name: &'a str) -> Records<'a> {
        Box::pin(async move {
            let fail = |why: String| TxtError { name: name.to_owned(), why };
            // With the dot at its end the name is whole: no domain of this machine is tried behind it.
            let looked_up = self.0.txt_lookup(format!("{name}."));
            match timeout(Duration::from_millis(DIAL_TIMEOUT_MILLIS), looked_up).await {
                Ok(Ok(found)) => Ok(found.answers().iter().filter_map(|record| text(&record.data)).collect()),
                Ok(Err(error)) if is_none(&error) => Ok(Vec::new()),
                Ok(Err(error)) => Err(fail(error.to_string())),
                Err(_) => Err(fail(format!("no answer within {DIAL_TIMEOUT_MILLIS} ms"))),
            }
        })
    }
}

/// Whether the server has said that there is none, and not that it cannot say.
fn is_none(error: &NetError) -> bool {
    let NetError::Dns(DnsError::NoRecordsFound(none)) = error else { return false };
    matches!(none.response_code, ResponseCode::NoError | ResponseCode::NXDomain)
}

/// The text of a TXT record: its strings, one behind the other. `None` for other records and for what is no text.
fn text(data: &RData) -> Option<String> {
    let RData::TXT(txt) = data else { return None };
    String::from_utf8(txt.txt_data.iter().flat_map(|part| part.iter().copied()).collect()).ok()
}
