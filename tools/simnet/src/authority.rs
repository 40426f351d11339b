//! A certificate authority of one run, and the certificate of its host.
//!
//! In: the names and addresses by which clients may call the host. Out: the CA's certificate in PEM, for clients to trust, and
//! what a server needs. Keys never leave the process.

use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, KeyUsagePurpose};
use rustls::ServerConfig;
use rustls::pki_types::PrivateKeyDer;

/// A host's certificate, and the authority that vouches for it.
pub struct Authority {
    ca_pem: String,
    config: Arc<ServerConfig>,
}

/// Why there is no certificate.
#[derive(Debug, thiserror::Error)]
pub enum AuthorityError {
    /// It cannot be made.
    #[error("cannot make a certificate: {0}")]
    Certificate(#[from] rcgen::Error),
    /// It cannot be served.
    #[error("cannot serve TLS: {0}")]
    Tls(#[from] rustls::Error),
}

impl std::fmt::Debug for Authority {
    /// Without the key.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Authority").field("ca_pem", &self.ca_pem).finish_non_exhaustive()
    }
}

impl Authority {
    /// The names of a host on this machine.
    pub const LOCAL: [&str; 3] = ["localhost", "127.0.0.1", "::1"];

    /// A new one, for a host of these names and IP addresses.
    ///
    /// # Errors
    /// See [`AuthorityError`].
    pub fn new(names: impl IntoIterator<Item = impl Into<String>>) -> Result<Self, AuthorityError> {
        let (ca, issuer) = authority()?;
        let names: Vec<String> = names.into_iter().map(Into::into).collect();
        let key = KeyPair::generate()?;
        let mut params = CertificateParams::new(names)?;
        params.distinguished_name.push(DnType::CommonName, "simnet host");
        params.use_authority_key_identifier_extension = true;
        let certificate = params.signed_by(&key, &issuer)?;
        let key = PrivateKeyDer::try_from(key.serialize_der()).map_err(|why| rustls::Error::General(why.into()))?;
        // The provider is named: another crate of the workspace may bring a second one, and then none is the default.
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_single_cert(vec![certificate.der().clone()], key)?;
        Ok(Self { ca_pem: ca, config: Arc::new(config) })
    }

    /// The certificate that clients must trust, in PEM.
    pub fn ca_pem(&self) -> &str {
        &self.ca_pem
    }

    pub(crate) fn config(&self) -> Arc<ServerConfig> {
        self.config.clone()
    }
}

/// The certificate of an authority in PEM, and what signs in its name.
fn authority() -> Result<(String, Issuer<'static, KeyPair>), AuthorityError> {
    let key = KeyPair::generate()?;
    let mut params = CertificateParams::new(Vec::new())?;
    // Each has a name of its own, so that a client that trusts an earlier one meets an unknown issuer.
    let number: String = key.public_key_raw().iter().rev().take(4).map(|byte| format!("{byte:02x}")).collect();
    params.distinguished_name.push(DnType::CommonName, format!("simnet authority {number}"));
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign, KeyUsagePurpose::DigitalSignature];
    let certificate = params.self_signed(&key)?;
    Ok((certificate.pem(), Issuer::new(params, key)))
}
