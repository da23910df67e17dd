//! What the monitor of a nats-server tells of its store.

use anyhow::ensure;
use http::StatusCode;
use serde::Deserialize;

use crate::config::JetStream;
use crate::http_client::HttpClient;
use crate::metrics::StoreUse;
use crate::tls::ClientTls;

/// The monitor answers less than a kilobyte; more is none of our servers.
const MAX_ANSWER: usize = 1 << 20;

/// Asks a server of the stream how full its store is.
#[derive(Debug, Clone)]
pub struct ServerMonitor {
    address: String,
    client: HttpClient,
}

/// `/jsz`, of which there is more.
#[derive(Deserialize)]
struct Answer {
    #[serde(default)]
    storage: u64,
    #[serde(default)]
    config: Config,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Config {
    max_storage: i64,
}

impl ServerMonitor {
    /// None when the settings name no monitor.
    #[must_use]
    pub fn new(settings: &JetStream) -> Option<Self> {
        let base = settings.monitor_url.as_ref()?.trim_end_matches('/');
        let client = HttpClient::new(&ClientTls::none(), MAX_ANSWER);
        Some(Self { address: format!("{base}/jsz"), client })
    }

    /// How full its store is; none if it has no limit. The caller bounds the waiting.
    ///
    /// # Errors
    /// A monitor that does not answer, or answers something else.
    pub async fn store(&self) -> anyhow::Result<Option<StoreUse>> {
        let (head, body) = self.client.get(&self.address).await?.into_parts();
        ensure!(head.status == StatusCode::OK, "the monitor answers {}", head.status);
        let Answer { storage: bytes, config } = serde_json::from_slice(&body)?;
        let limit = u64::try_from(config.max_storage).ok().filter(|limit| *limit > 0);
        Ok(limit.map(|limit| StoreUse { bytes, limit }))
    }
}
