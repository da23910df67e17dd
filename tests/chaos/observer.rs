//! Ordinary subscribers of our own that read all of the channel and the stream, straight from
//! their servers.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use jetstream::ConsumerOptions;
use stan::{Messages, Options, Session, StartPosition, SubscriptionOptions};
use testbed::broker::CLUSTER_ID;
use tokio_util::sync::CancellationToken;

use crate::ledger::Ledger;
use crate::origin::Origin;
use crate::streams;
use crate::world::{CHANNEL, STREAM, SUBJECT};

const NAME: &str = "observer";

/// Writes down every message of the channel until `stop`.
pub(crate) async fn of_channel(
    url: String,
    ledger: Arc<Ledger>,
    stop: CancellationToken,
) -> Result<()> {
    let mut options = Options::new(&url, CLUSTER_ID, NAME);
    options.request_timeout = Duration::from_millis(500);
    options.ping_interval = Duration::from_secs(1);
    options.ping_max_out = 2;
    let mut subscription = SubscriptionOptions::plain(CHANNEL);
    subscription.durable_name = Some(NAME.to_owned());
    subscription.start_position = StartPosition::First;
    subscription.ack_wait = Duration::from_secs(1);
    subscription.max_in_flight = 4096;
    let session = Session::supervise(options, subscription).await?;
    write_down(Origin::Channel, session.messages(), &ledger, &stop).await;
    session.close().await;
    Ok(())
}

/// Writes down every message of the stream until `stop`.
pub(crate) async fn of_stream(
    urls: String,
    replicas: usize,
    ledger: Arc<Ledger>,
    stop: CancellationToken,
) -> Result<()> {
    let mut consumer = ConsumerOptions::new(STREAM, SUBJECT, NAME);
    consumer.replicas = replicas;
    consumer.ack_wait = Duration::from_secs(1);
    let session = jetstream::Session::supervise(streams::options(&urls, NAME), consumer).await?;
    write_down(Origin::Stream, session.messages(), &ledger, &stop).await;
    session.close().await;
    Ok(())
}

async fn write_down(origin: Origin, messages: Messages, ledger: &Ledger, stop: &CancellationToken) {
    while let Some(Some(message)) = stop.run_until_cancelled(messages.recv()).await {
        ledger.observe((origin, message.sequence), message.timestamp, &message.data);
        message.ack();
    }
}
