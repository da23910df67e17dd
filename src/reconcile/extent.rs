//! The channel as the broker's monitor shows it.

use std::time::Duration;

use anyhow::Context as _;
use tokio::time::timeout;

use super::retry::Failure;
use crate::broker::monitor::{Channel, Monitor};

/// How long the monitor may take to answer.
const MONITOR_TIMEOUT: Duration = Duration::from_secs(5);

/// The channel as the monitor shows it now.
pub(super) async fn ask(monitor: &Monitor) -> Result<Channel, Failure> {
    let answer = timeout(MONITOR_TIMEOUT, monitor.channel()).await;
    answer
        .with_context(|| format!("no answer within {MONITOR_TIMEOUT:?}"))
        .and_then(|answer| answer)
        .context("`broker.monitor_url` does not tell where the channel ends")
        .map_err(Failure::Transient)
}
