//! Where the channel ends.

use std::time::Duration;

use anyhow::Context as _;
use tokio::time::timeout;

use super::patience::Trouble;
use super::reader::Reader;
use crate::broker::monitor::{Channel, Monitor};

/// How long the monitor may take to answer.
const MONITOR_TIMEOUT: Duration = Duration::from_secs(5);

/// The sequence of the channel's newest message; 0 if it never had one.
///
/// The monitor knows it. Without one the broker is asked for the channel's last message. It sends
/// nothing from an empty channel and has no other way to say so; that silence proves nothing.
pub(super) async fn last_sequence(
    monitor: Option<&Monitor>,
    reader: &mut Reader,
) -> Result<u64, Trouble> {
    match monitor {
        Some(monitor) => Ok(ask(monitor).await?.last_seq),
        None => reader.newest().await,
    }
}

/// The channel as the monitor shows it now.
pub(super) async fn ask(monitor: &Monitor) -> Result<Channel, Trouble> {
    let answer = timeout(MONITOR_TIMEOUT, monitor.channel()).await;
    answer
        .with_context(|| format!("no answer within {MONITOR_TIMEOUT:?}"))
        .and_then(|answer| answer)
        .context("`broker.monitor_url` does not tell where the channel ends")
        .map_err(Trouble::Passing)
}
