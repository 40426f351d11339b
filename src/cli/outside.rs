//! What commands share that ask the outside world: who this server is, and how others are reached.

use std::sync::Arc;

use atrarium::clock::Clock;
use atrarium::identity::dial::Dns;
use atrarium::identity::shell::Identities;
use atrarium::identity::{Dialer, Http, Policy};
use atrarium::serve::{Identity, ServeConfig};
use atrarium::syntax::Did;
use clap::Args;

use super::Failure;
use super::config::File;

const DIRECTORY: &str = "https://plc.directory";

#[derive(Args)]
pub struct OutsideArgs {
    /// The account whose repository holds the feeds' records
    #[arg(long, env = "ATRARIUM_PUBLISHER_DID", value_name = "DID")]
    publisher_did: Option<String>,
    /// How the network reaches the server, such as https://feeds.example.org: its host is the service DID
    #[arg(long, env = "ATRARIUM_PUBLIC_URL", value_name = "URL")]
    public_url: Option<String>,
    /// The DID of the service, where it is not that of the public URL
    #[arg(long, env = "ATRARIUM_SERVICE_DID", value_name = "DID")]
    service_did: Option<String>,
    #[command(flatten)]
    reach: ReachArgs,
}

/// How others are reached.
#[derive(Args, Default)]
pub struct ReachArgs {
    /// The directory of did:plc [default: https://plc.directory]
    #[arg(long, env = "ATRARIUM_PLC_DIRECTORY", value_name = "URL")]
    plc_directory: Option<String>,
    /// Ask servers on this machine too, and without TLS: for development
    #[arg(long, env = "ATRARIUM_ALLOW_LOOPBACK")]
    allow_loopback: bool,
}

impl ReachArgs {
    /// The directory of did:plc.
    pub fn directory(&self, file: &File) -> String {
        self.plc_directory.clone().or_else(|| file.plc_directory.clone()).unwrap_or_else(|| DIRECTORY.to_owned())
    }

    /// Whom may be asked.
    pub fn policy(&self, file: &File) -> Policy {
        let allow_loopback = self.allow_loopback || file.allow_loopback.unwrap_or(false);
        Policy { allow_loopback, ..Policy::default() }
    }
}

impl OutsideArgs {
    /// Who this server is. The publisher must be said: no account is the service itself.
    pub fn identity(&self, file: &File) -> Result<Identity, Failure> {
        let did = |flag: &str, text: Option<String>| {
            let parse =
                |text: String| Did::parse(&text).map_err(|error| Failure::usage(format!("--{flag} {text}: {error}")));
            text.map(parse).transpose()
        };
        let config = ServeConfig {
            public_url: self.public_url.clone().or_else(|| file.public_url.clone()),
            service_did: did("service-did", self.service_did.clone())?,
            publisher_did: did("publisher-did", self.publisher_did.clone().or_else(|| file.publisher_did.clone()))?,
        };
        if config.publisher_did.is_none() {
            return Err(Failure::usage(
                "--publisher-did is missing: give the DID of the account that publishes the feeds",
            ));
        }
        if config.public_url.is_none() {
            return Err(Failure::usage(
                "--public-url is missing: give the URL at which the network reaches the server",
            ));
        }
        config.resolve(0).map_err(Failure::usage)
    }

    /// The way out.
    pub fn http(&self, file: &File, clock: &Clock) -> Result<Arc<dyn Http>, Failure> {
        Ok(Arc::new(Dialer::new(&self.reach.policy(file), clock).map_err(Failure::failed)?))
    }

    /// The directory of did:plc.
    pub fn directory(&self, file: &File) -> String {
        self.reach.directory(file)
    }

    /// Who is who.
    pub fn identities(&self, file: &File, http: Arc<dyn Http>, clock: &Clock) -> Result<Identities, Failure> {
        let txt = Arc::new(Dns::new().map_err(Failure::failed)?);
        Identities::new(&self.directory(file), http, txt, clock.clone()).map_err(Failure::usage)
    }
}

/// Runs what awaits.
pub fn block_on<T>(future: impl Future<Output = T>) -> Result<T, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    Ok(runtime.map_err(|error| Failure::failed(format!("cannot start: {error}")))?.block_on(future))
}
