//! The TLS of a port that we serve.

use std::path::{Path, PathBuf};

use super::reader::Section;

/// The `tls_*` keys of `[http]` and of `[admin]`, each a file in PEM.
#[derive(Debug, Clone, Default)]
pub struct PortTls {
    /// The certificate that clients are shown, and those of the authorities between it and one
    /// that they trust.
    pub cert_file: Option<PathBuf>,
    /// The private key of the certificate.
    pub key_file: Option<PathBuf>,
    /// The authorities whose certificates clients must present.
    pub client_ca_file: Option<PathBuf>,
}

impl PortTls {
    pub(super) fn read(section: &mut Section<'_>) -> Self {
        Self {
            cert_file: section.file("tls_cert_file"),
            key_file: section.file("tls_key_file"),
            client_ca_file: section.file("tls_client_ca_file"),
        }
    }

    /// Certificate and key; nothing where the port speaks plain HTTP.
    #[must_use]
    pub fn pair(&self) -> Option<(&Path, &Path)> {
        Some((self.cert_file.as_deref()?, self.key_file.as_deref()?))
    }

    /// Whether a certificate and its key are set both or not at all.
    pub(super) fn is_pair(&self) -> bool {
        self.cert_file.is_some() == self.key_file.is_some()
    }

    /// Whether clients are asked for certificates on a port with TLS only.
    pub(super) fn asks_over_tls(&self) -> bool {
        self.client_ca_file.is_none() || self.cert_file.is_some()
    }
}
