//! TLS of our own requests.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{
    ClientConfig, ConfigBuilder, DigitallySignedStruct, Error, RootCertStore, SignatureScheme,
    client::WantsClientCert,
};

use super::{pem, port, provider};

/// What a client trusts and shows, each a file in PEM.
#[derive(Debug, Clone, Default)]
pub struct ClientFiles {
    /// The authorities that are trusted; without, those of the system.
    pub ca: Option<PathBuf>,
    /// The certificate shown to a server that asks for one, and its key.
    pub pair: Option<(PathBuf, PathBuf)>,
}

/// How to speak to servers whose URL begins with `https://`.
#[derive(Debug, Clone)]
pub struct ClientTls(pub(crate) Arc<ClientConfig>);

type Builder = ConfigBuilder<ClientConfig, WantsClientCert>;

impl ClientTls {
    /// Of a client that only speaks plain HTTP: it trusts nobody.
    #[must_use]
    pub fn none() -> Self {
        Self(Arc::new(trusting(RootCertStore::empty()).with_no_client_auth()))
    }

    /// Trusts as `files` say.
    ///
    /// # Errors
    /// Which file is wrong, and what it must be.
    pub fn load(files: &ClientFiles) -> Result<Self, String> {
        let roots = match &files.ca {
            Some(path) => port::authorities_of(&read(path)?)
                .map_err(|why| format!("{} {why}", path.display()))?,
            None => of_the_system()?,
        };
        showing(trusting(roots), files)
    }

    /// Trusts whoever answers, for questions of this machine to itself: its certificate is for the
    /// name that others know it by.
    ///
    /// # Errors
    /// As of [`ClientTls::load`].
    pub fn of_this_machine(files: &ClientFiles) -> Result<Self, String> {
        let builder = builder().dangerous().with_custom_certificate_verifier(Arc::new(Anybody));
        showing(builder, files)
    }
}

fn builder() -> ConfigBuilder<ClientConfig, rustls::WantsVerifier> {
    ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .expect("ring has the ciphers of TLS 1.2 and 1.3")
}

fn trusting(roots: RootCertStore) -> Builder {
    builder().with_root_certificates(roots)
}

fn showing(builder: Builder, files: &ClientFiles) -> Result<ClientTls, String> {
    let config = match &files.pair {
        None => builder.with_no_client_auth(),
        Some((certificate, key)) => {
            let (at, key_at) = (certificate.display(), key.display());
            let chain = pem::certificates(&read(certificate)?);
            let key = pem::private_key(&read(key)?).map_err(|why| format!("{key_at} {why}"))?;
            builder
                .with_client_auth_cert(chain.map_err(|why| format!("{at} {why}"))?, key)
                .map_err(|error| format!("{key_at} is not the key of {at}: {error}"))?
        }
    };
    Ok(ClientTls(Arc::new(config)))
}

fn read(path: &Path) -> Result<Vec<u8>, String> {
    fs::read(path).map_err(|error| format!("{} cannot be read: {error}", path.display()))
}

fn of_the_system() -> Result<RootCertStore, String> {
    let mut roots = RootCertStore::empty();
    // Some of them may be of a kind that nobody can use; those are not trusted.
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if roots.is_empty() {
        return Err(
            "this system has no certificates of authorities; name them in a file".to_owned()
        );
    }
    Ok(roots)
}

/// Accepts every certificate, as the probes of Kubernetes do, from whoever has its key.
#[derive(Debug)]
struct Anybody;

impl ServerCertVerifier for Anybody {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &provider().signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signature, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &provider().signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        provider().signature_verification_algorithms.supported_schemes()
    }
}
