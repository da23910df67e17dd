//! Files for the link to a NATS server.

use std::path::PathBuf;

use super::reader::Section;

/// What a link to a NATS server is made with, beside the URL.
#[derive(Debug, Clone)]
pub struct NatsFiles {
    /// NATS credentials: a JWT and its seed.
    pub credentials: Option<PathBuf>,
    /// Trusted authorities for `tls://`, as PEM.
    pub tls_ca: Option<PathBuf>,
    /// The certificate we show to the server, as PEM.
    pub tls_cert: Option<PathBuf>,
    /// Its private key, as PEM.
    pub tls_key: Option<PathBuf>,
}

impl NatsFiles {
    pub(super) fn read(section: &mut Section<'_>) -> Self {
        Self {
            credentials: section.file("credentials_file"),
            tls_ca: section.file("tls_ca_file"),
            tls_cert: section.file("tls_cert_file"),
            tls_key: section.file("tls_key_file"),
        }
    }

    /// Whether the certificate has its key, and no key is without one.
    pub(super) fn is_pair(&self) -> bool {
        self.tls_cert.is_some() == self.tls_key.is_some()
    }
}
