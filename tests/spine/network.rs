//! A network of `simnet`, what its feeds must be, and the eight ways to read it.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use simnet::server::{Server, ServerOptions};
use simnet::{Authority, Dialect, Dictionary, Options, Reel};

use super::compare::Feeds;

/// A network, and what its feeds must be.
pub struct Network {
    pub options: Options,
    pub feeds: Feeds,
    /// Stream time of the last frame.
    pub last: String,
}

impl Network {
    pub fn new(options: Options) -> Self {
        let model = simnet::model_of(&options, Dialect::V1);
        let now = model.latest_witnessed().expect("a network has events");
        let last = simnet::Network::new(&options).last().expect("events").time.to_string();
        Self { feeds: model.feeds(now), options, last }
    }

    pub fn reel(&self) -> Arc<Reel> {
        Arc::new(Reel::of_network(&self.options, false, true))
    }

    pub fn serve(&self, options: ServerOptions) -> Server {
        serve(self.reel(), options)
    }
}

pub fn serve(reel: impl Into<Arc<Reel>>, options: ServerOptions) -> Server {
    Server::start("127.0.0.1:0", reel, options).expect("a free port")
}

/// A way in which the stream can be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Way {
    pub dialect: Dialect,
    pub zstd: bool,
    pub tls: bool,
}

impl Way {
    pub const PLAIN: [Self; 2] = [Self::new(Dialect::V1, false, false), Self::new(Dialect::V2, false, false)];
    pub const ALL: [Self; 8] = [
        Self::new(Dialect::V1, false, false),
        Self::new(Dialect::V1, true, false),
        Self::new(Dialect::V2, false, false),
        Self::new(Dialect::V2, true, false),
        Self::new(Dialect::V1, false, true),
        Self::new(Dialect::V1, true, true),
        Self::new(Dialect::V2, false, true),
        Self::new(Dialect::V2, true, true),
    ];

    pub const fn new(dialect: Dialect, zstd: bool, tls: bool) -> Self {
        Self { dialect, zstd, tls }
    }

    /// The flags of `atrarium serve` for it. What they name is written into `dir`.
    pub fn flags(self, dir: &Path, authority: Option<&Authority>) -> Vec<String> {
        let mut flags = vec!["--zstd".to_owned(), if self.zstd { "on" } else { "off" }.to_owned()];
        let mut file = |flag: &str, name: &str, bytes: &[u8]| {
            let path = dir.join(name);
            std::fs::write(&path, bytes).expect("written");
            flags.extend([flag.to_owned(), path.to_str().expect("UTF-8").to_owned()]);
        };
        if self.zstd && self.dialect == Dialect::V1 {
            file("--zstd-dictionary", "v1.zdict", Dictionary::of_simnet(Dialect::V1).bytes());
        }
        if let Some(authority) = authority.filter(|_| self.tls) {
            file("--upstream-ca", "ca.pem", authority.ca_pem().as_bytes());
        }
        flags
    }

    pub fn url(self, server: &Server) -> String {
        let scheme = if self.tls { "wss" } else { "ws" };
        let path = if self.dialect == Dialect::V1 { "/subscribe" } else { "" };
        format!("{scheme}://{}{path}", server.address())
    }
}

impl fmt::Display for Way {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let wire = if self.zstd { "zstd" } else { "plain" };
        let scheme = if self.tls { "wss" } else { "ws" };
        let dialect = if self.dialect == Dialect::V1 { "v1" } else { "v2" };
        write!(f, "{dialect} {wire} {scheme}")
    }
}
