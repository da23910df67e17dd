//! What a port needs to speak TLS, read out of files that may change.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};

use rustls::server::WebPkiClientVerifier;
use rustls::{Error, InconsistentKeys, RootCertStore, ServerConfig};

use super::validity::{self, Standing, Validity};
use super::{chain, pem, provider};
use crate::config::PortTls;

/// What becomes of a client without a certificate on a port that asks for one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WithoutCertificate {
    /// It is refused in the handshake.
    Refused,
    /// It may ask for `/livez` and `/readyz`: probes of Kubernetes have none.
    ProbesOnly,
}

/// The TLS of one port. Clones share it, and use what it is changed to.
#[derive(Debug, Clone)]
pub struct ServerTls(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    files: Files,
    in_force: RwLock<InForce>,
}

/// Where everything stands, and how it is named in errors.
#[derive(Debug)]
struct Files {
    /// The section of the settings, `http` or `admin`.
    port: &'static str,
    certificate: PathBuf,
    key: PathBuf,
    client_authorities: Option<PathBuf>,
    without_certificate: WithoutCertificate,
}

/// The bytes of the files at some moment.
#[derive(PartialEq, Eq)]
struct Contents {
    certificate: Vec<u8>,
    key: Vec<u8>,
    client_authorities: Option<Vec<u8>>,
}

struct InForce {
    contents: Contents,
    config: Arc<ServerConfig>,
    validity: Validity,
}

impl std::fmt::Debug for InForce {
    /// Without the key.
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("InForce").field("validity", &self.validity).finish_non_exhaustive()
    }
}

impl ServerTls {
    /// Reads the files of a port; nothing where it has none. `port` is the section of `settings`.
    ///
    /// # Errors
    /// Which file is wrong, and what it must be.
    pub(super) fn load(
        port: &'static str,
        settings: &PortTls,
        without_certificate: WithoutCertificate,
    ) -> Result<Option<Self>, String> {
        let Some((certificate, key)) = settings.pair() else { return Ok(None) };
        let files = Files {
            port,
            certificate: certificate.to_owned(),
            key: key.to_owned(),
            client_authorities: settings.client_ca_file.clone(),
            without_certificate,
        };
        let in_force = files.use_contents(files.read()?)?;
        Ok(Some(Self(Arc::new(Inner { files, in_force: RwLock::new(in_force) }))))
    }

    /// What new connections are served with.
    #[must_use]
    pub fn config(&self) -> Arc<ServerConfig> {
        Arc::clone(&self.read().config)
    }

    /// Whether clients that have presented no certificate may ask for nothing but probes.
    #[must_use]
    pub fn is_for_certificates(&self) -> bool {
        self.0.files.client_authorities.is_some()
    }

    pub(super) fn port(&self) -> &'static str {
        self.0.files.port
    }

    pub(super) fn validity(&self) -> Validity {
        self.read().validity
    }

    /// What a person should know of the certificate, if anything.
    pub(super) fn note(&self) -> Option<String> {
        let validity = self.validity();
        let what = match validity.standing(validity::now()) {
            Standing::Valid => return None,
            Standing::Expiring => "expires soon",
            Standing::Invalid => "is not valid now",
        };
        let (port, span) = (self.port(), validity.span());
        Some(format!("the certificate in `{port}.tls_cert_file` {what}: it is valid {span}"))
    }

    /// Looks at the files again, and uses them if they have changed: whether they had.
    ///
    /// # Errors
    /// Why they cannot be used; then nothing changes.
    pub(super) fn reload(&self) -> Result<bool, String> {
        let files = &self.0.files;
        let contents = files.read()?;
        if contents == self.read().contents {
            return Ok(false);
        }
        let changed = files.use_contents(contents)?;
        if changed.validity.standing(validity::now()) == Standing::Invalid {
            let span = changed.validity.span();
            return Err(files.certificate_error(&format!(
                "is not valid now, but {span}; it must be, to take the place of another"
            )));
        }
        // What an earlier session may be resumed with is in the old configuration, and gone with
        // it: nobody goes on with what another certificate or other authorities have granted.
        *self.0.in_force.write().unwrap_or_else(PoisonError::into_inner) = changed;
        Ok(true)
    }

    fn read(&self) -> std::sync::RwLockReadGuard<'_, InForce> {
        // Whoever writes it puts a whole one in place.
        self.0.in_force.read().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Files {
    fn read(&self) -> Result<Contents, String> {
        let read = |key: &str, path: &Path| {
            fs::read(path)
                .map_err(|error| self.error(key, path, &format!("cannot be read: {error}")))
        };
        let authorities = self.client_authorities.as_deref();
        Ok(Contents {
            certificate: read("tls_cert_file", &self.certificate)?,
            key: read("tls_key_file", &self.key)?,
            client_authorities: authorities
                .map(|path| read("tls_client_ca_file", path))
                .transpose()?,
        })
    }

    fn use_contents(&self, contents: Contents) -> Result<InForce, String> {
        let in_certificate = |why: String| self.certificate_error(&why);
        let chain = pem::certificates(&contents.certificate).map_err(in_certificate)?;
        let validity = chain::check(&chain).map_err(in_certificate)?;
        let key = pem::private_key(&contents.key).map_err(|why| self.key_error(&why))?;
        let builder = ServerConfig::builder_with_provider(provider())
            // 1.2 and 1.3; there is nothing older in the library.
            .with_safe_default_protocol_versions()
            .map_err(|error| self.certificate_error(&error.to_string()))?;
        let builder = match &contents.client_authorities {
            None => builder.with_no_client_auth(),
            Some(authorities) => {
                let roots =
                    authorities_of(authorities).map_err(|why| self.authorities_error(&why))?;
                let verifier =
                    WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider());
                let verifier = match self.without_certificate {
                    WithoutCertificate::Refused => verifier,
                    WithoutCertificate::ProbesOnly => verifier.allow_unauthenticated(),
                };
                let verifier =
                    verifier.build().map_err(|error| self.authorities_error(&error.to_string()))?;
                builder.with_client_cert_verifier(verifier)
            }
        };
        let mut config =
            builder.with_single_cert(chain, key).map_err(|error| self.pair_error(&error))?;
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(InForce { contents, config: Arc::new(config), validity })
    }

    fn pair_error(&self, error: &Error) -> String {
        if let Error::InconsistentKeys(InconsistentKeys::KeyMismatch) = error {
            let certificate = self.certificate.display();
            return self.key_error(&format!(
                "is not the key of the first certificate in {certificate}; it must be the one \
                 that the certificate was made for"
            ));
        }
        self.key_error(&format!(
            "cannot be used with the certificate: {error}; it must be RSA of 2048 bits or more, \
             ECDSA on P-256, P-384 or P-521, or Ed25519"
        ))
    }

    fn certificate_error(&self, why: &str) -> String {
        self.error("tls_cert_file", &self.certificate, why)
    }

    fn key_error(&self, why: &str) -> String {
        self.error("tls_key_file", &self.key, why)
    }

    fn authorities_error(&self, why: &str) -> String {
        let path = self.client_authorities.as_deref().unwrap_or(Path::new(""));
        self.error("tls_client_ca_file", path, why)
    }

    fn error(&self, key: &str, path: &Path, why: &str) -> String {
        format!("`{}.{key}` {} {why}", self.port, path.display())
    }
}

/// The certificates of authorities in a file.
pub(super) fn authorities_of(file: &[u8]) -> Result<RootCertStore, String> {
    let mut roots = RootCertStore::empty();
    for (at, certificate) in pem::certificates(file)?.into_iter().enumerate() {
        roots.add(certificate).map_err(|error| {
            format!("has a certificate that cannot be used, number {}: {error}", at + 1)
        })?;
    }
    Ok(roots)
}
