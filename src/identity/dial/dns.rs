//! TXT records, from the resolver that the system names.

use std::time::Duration;

use hickory_resolver::TokioResolver;
use hickory_resolver::proto::rr::RData;
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
        let fail = |why: String| TxtError { name: "any name".to_owned(), why };
        let mut builder = TokioResolver::builder_tokio().map_err(|error| fail(error.to_string()))?;
        let options = builder.options_mut();
        options.timeout = Duration::from_millis(DIAL_TIMEOUT_MILLIS / 2);
        options.attempts = 1;
        // What was found is kept by whoever asks, who is told when it changes.
        options.cache_size = 0;
        Ok(Self(builder.build().map_err(|error| fail(error.to_string()))?))
    }
}

impl Txt for Dns {
    fn records<'a>(&'a self, name: &'a str) -> Records<'a> {
        Box::pin(async move {
            let fail = |why: String| TxtError { name: name.to_owned(), why };
            // With the dot at its end the name is whole: no domain of this machine is tried behind it.
            let looked_up = self.0.txt_lookup(format!("{name}."));
            match timeout(Duration::from_millis(DIAL_TIMEOUT_MILLIS), looked_up).await {
                Ok(Ok(found)) => Ok(found.answers().iter().filter_map(|record| text(&record.data)).collect()),
                Ok(Err(error)) if error.is_no_records_found() || error.is_nx_domain() => Ok(Vec::new()),
                Ok(Err(error)) => Err(fail(error.to_string())),
                Err(_) => Err(fail(format!("no answer within {DIAL_TIMEOUT_MILLIS} ms"))),
            }
        })
    }
}

/// The text of a TXT record: its strings, one behind the other. `None` for other records and for what is no text.
fn text(data: &RData) -> Option<String> {
    let RData::TXT(txt) = data else { return None };
    String::from_utf8(txt.txt_data.iter().flat_map(|part| part.iter().copied()).collect()).ok()
}
