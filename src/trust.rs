//! Whom TLS trusts: the authorities that may certify a host, and how TLS is spoken with it.
//!
//! In: the operator's own roots and a clock. Out: one configuration of rustls, for the reader's sockets and for the dialer of
//! identities alike. Certificates are verified against the system's roots, Mozilla's bundled ones and the operator's own. That
//! check cannot be turned off.
#![forbid(unsafe_code)]

use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::time_provider::TimeProvider;
use rustls::{ClientConfig, RootCertStore};
use tracing::{debug, warn};

use crate::clock::Clock;

/// Why there can be no TLS.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TlsError {
    /// The operator's own roots.
    #[error("the CA file cannot be used ({0}): it must hold certificates in PEM, each from BEGIN to END CERTIFICATE")]
    Ca(String),
    /// The library.
    #[error("TLS cannot be set up: {0}")]
    Setup(String),
}

/// Trusts the roots of the system, the bundled ones of Mozilla, and those in `ca`, the text of a PEM file. A certificate is
/// judged at the time of `clock`. HTTP/1.1 alone is offered.
///
/// # Errors
/// `ca` holds no certificate, or a broken one.
pub fn client(ca: Option<&[u8]>, clock: &Clock) -> Result<ClientConfig, TlsError> {
    let setup = |error: rustls::Error| TlsError::Setup(error.to_string());
    let mut roots = RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
    let system = rustls_native_certs::load_native_certs();
    for error in &system.errors {
        warn!(%error, "some roots of the system cannot be read: going on without them");
    }
    let (added, ignored) = roots.add_parsable_certificates(system.certs);
    debug!(added, ignored, "roots of the system");
    if let Some(pem) = ca {
        add_own(&mut roots, pem)?;
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = ClientConfig::builder_with_details(provider, Arc::new(Wall(clock.clone())))
        .with_safe_default_protocol_versions()
        .map_err(setup)?
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(config)
}

fn add_own(roots: &mut RootCertStore, pem: &[u8]) -> Result<(), TlsError> {
    let mut count = 0;
    for certificate in CertificateDer::pem_slice_iter(pem) {
        let certificate = certificate.map_err(|error| TlsError::Ca(error.to_string()))?;
        roots.add(certificate).map_err(|error| TlsError::Ca(error.to_string()))?;
        count += 1;
    }
    if count == 0 {
        return Err(TlsError::Ca("there is no certificate in it".to_owned()));
    }
    Ok(())
}

/// The program's own clock, for rustls.
#[derive(Debug)]
struct Wall(Clock);

impl TimeProvider for Wall {
    fn current_time(&self) -> Option<UnixTime> {
        let micros = u64::try_from(self.0.wall_micros()).ok()?;
        Some(UnixTime::since_unix_epoch(Duration::from_micros(micros)))
    }
}
