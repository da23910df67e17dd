//! An ordinary subscriber of our own that reads the whole channel, straight from the broker.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use stan::{Options, Session, StartPosition, SubscriptionOptions};
use testbed::broker::CLUSTER_ID;
use tokio_util::sync::CancellationToken;

use crate::ledger::Ledger;
use crate::world::CHANNEL;

/// Writes down every message until `stop`.
pub(crate) async fn run(url: String, ledger: Arc<Ledger>, stop: CancellationToken) -> Result<()> {
    let mut options = Options::new(&url, CLUSTER_ID, "observer");
    options.request_timeout = Duration::from_millis(500);
    options.ping_interval = Duration::from_secs(1);
    options.ping_max_out = 2;
    let mut subscription = SubscriptionOptions::plain(CHANNEL);
    subscription.durable_name = Some("observer".to_owned());
    subscription.start_position = StartPosition::First;
    subscription.ack_wait = Duration::from_secs(1);
    subscription.max_in_flight = 4096;
    let session = Session::supervise(options, subscription).await?;
    let messages = session.messages();
    while let Some(Some(message)) = stop.run_until_cancelled(messages.recv()).await {
        ledger.observe(message.sequence, message.timestamp, &message.data);
        message.ack();
    }
    session.close().await;
    Ok(())
}
