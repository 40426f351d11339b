//! The TOML file: the same names as the flags.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::Failure;
use super::serve::{LogFormat, OnOff, StartFrom};

/// A configuration file. Every key is optional; an unknown one is an error of usage.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct File {
    pub upstream: Option<Vec<String>>,
    pub upstream_ca: Option<PathBuf>,
    pub data_dir: Option<PathBuf>,
    pub listen: Option<SocketAddr>,
    pub admin_listen: Option<SocketAddr>,
    pub public_url: Option<String>,
    pub service_did: Option<String>,
    pub publisher_did: Option<String>,
    pub zstd: Option<OnOff>,
    pub zstd_dictionary: Option<PathBuf>,
    pub from: Option<StartFrom>,
    pub workers: Option<usize>,
    pub http_threads: Option<usize>,
    pub pin: Option<bool>,
    pub plc_directory: Option<String>,
    pub allow_loopback: Option<bool>,
    pub rate_limit: Option<OnOff>,
    pub trusted_proxy: Option<Vec<String>>,
    pub rate_feeds_did: Option<u32>,
    pub rate_feeds_address: Option<u32>,
    pub rate_dashboard_did: Option<u32>,
    pub rate_dashboard_address: Option<u32>,
    pub log_format: Option<LogFormat>,
}

impl File {
    /// Reads a file.
    pub fn read(path: &Path) -> Result<Self, Failure> {
        let text = std::fs::read_to_string(path)
            .map_err(|error| Failure::usage(format!("--config {}: {error}", path.display())))?;
        toml::from_str(&text).map_err(|error| {
            let line = error.span().map_or(0, |span| text[..span.start].matches('\n').count() + 1);
            Failure::usage(format!("--config {}, line {line}: {}", path.display(), error.message()))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_key_is_refused_by_name() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("atrarium.toml");
        std::fs::write(&path, "listen = \"127.0.0.1:0\"\nlissten = 1\n").expect("written");
        let failure = File::read(&path).expect_err("unknown");
        assert_eq!(failure.code, 2);
        assert!(failure.line.contains("lissten") && failure.line.contains("line 2"), "{}", failure.line);
    }

    #[test]
    fn the_keys_are_the_flags() {
        let text = "upstream=['ws://127.0.0.1:1/subscribe']\ndata-dir='x'\nlisten='127.0.0.1:0'\nadmin-listen='[::1]:0'\n\
                    public-url='https://a.example'\npublisher-did='did:plc:abc'\nzstd='off'\nfrom='live'\nworkers=2\n\
                    http-threads=1\npin=true\nrate-limit='on'\ntrusted-proxy=['10.0.0.0/8']\nlog-format='json'\n\
                    zstd-dictionary='d'\nupstream-ca='c'\nservice-did='did:plc:abc'\nrate-feeds-did=1\nrate-feeds-address=2\n\
                    rate-dashboard-did=3\nrate-dashboard-address=4\nplc-directory='https://p'\nallow-loopback=true\n";
        let file: File = toml::from_str(text).expect("all keys are known");
        assert_eq!(file.workers, Some(2));
        assert_eq!(file.from, Some(StartFrom::Live));
    }
}
