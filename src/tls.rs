//! TLS of the ports that we serve, and of our own requests to them: rustls with the cryptography
//! of `ring`, as for the broker and Postgres.

mod chain;
mod client;
mod follow;
mod pem;
mod port;
#[cfg(test)]
mod tests;
mod validity;

use std::sync::{Arc, LazyLock};

use rustls::crypto::CryptoProvider;
use tokio_util::sync::CancellationToken;

use crate::config::{Settings, SettingsError};
use crate::metrics::Metrics;
pub use client::{ClientFiles, ClientTls};
use follow::Follower;
pub use port::{ServerTls, WithoutCertificate};

/// The one that is used for everything; none is installed for the whole process.
fn provider() -> Arc<CryptoProvider> {
    static PROVIDER: LazyLock<Arc<CryptoProvider>> =
        LazyLock::new(|| Arc::new(rustls::crypto::ring::default_provider()));
    Arc::clone(&PROVIDER)
}

/// The TLS of both ports; nothing for one that speaks plain HTTP.
#[derive(Debug, Clone)]
pub struct Ports {
    /// The port of page and API.
    pub http: Option<ServerTls>,
    /// The admin port.
    pub admin: Option<ServerTls>,
}

impl Ports {
    /// Reads the files that the settings name.
    ///
    /// # Errors
    /// What is wrong with them, of both ports at once.
    pub fn load(settings: &Settings) -> Result<Self, SettingsError> {
        let http = ServerTls::load("http", &settings.http.tls, WithoutCertificate::Refused);
        let admin = ServerTls::load("admin", &settings.admin.tls, WithoutCertificate::ProbesOnly);
        match (http, admin) {
            (Ok(http), Ok(admin)) => Ok(Self { http, admin }),
            (http, admin) => {
                let problems = [http.err(), admin.err()].into_iter().flatten().collect();
                Err(SettingsError { problems })
            }
        }
    }

    /// What a person should know of certificates that can be used, a sentence for each.
    #[must_use]
    pub fn notes(&self) -> Vec<String> {
        self.all().filter_map(ServerTls::note).collect()
    }

    /// Whether a port speaks TLS.
    #[must_use]
    pub fn any(&self) -> bool {
        self.all().next().is_some()
    }

    /// Uses what changes in the files, and tells when certificates expire, until `stop`.
    pub async fn follow(self, metrics: Metrics, stop: CancellationToken) {
        let followers = self.all().cloned().map(Follower::new).collect();
        follow::run(followers, metrics, stop).await;
    }

    fn all(&self) -> impl Iterator<Item = &ServerTls> {
        self.http.iter().chain(&self.admin)
    }
}
