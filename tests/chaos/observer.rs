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

/// Writes down every message of the channel until `stop`.
pub(crate) async fn of_channel(
    url: String,
    ledger: Arc<Ledger>,
    stop: CancellationToken,
) -> Result<()> {
    while !stop.is_cancelled() {
        let (life, name) = whom(&ledger, Origin::Channel);
        let mut options = Options::new(&url, CLUSTER_ID, &name);
        options.request_timeout = Duration::from_millis(500);
        options.ping_interval = Duration::from_secs(1);
        options.ping_max_out = 2;
        let mut subscription = SubscriptionOptions::plain(CHANNEL);
        subscription.durable_name = Some(name);
        subscription.start_position = StartPosition::First;
        subscription.ack_wait = Duration::from_secs(1);
        subscription.max_in_flight = 4096;
        let session = Session::supervise(options, subscription).await?;
        write_down(Origin::Channel, life, session.messages(), &ledger, &stop).await;
        session.close().await;
    }
    Ok(())
}

/// Writes down every message of the stream until `stop`.
pub(crate) async fn of_stream(
    urls: String,
    replicas: usize,
    ledger: Arc<Ledger>,
    stop: CancellationToken,
) -> Result<()> {
    while !stop.is_cancelled() {
        let (life, name) = whom(&ledger, Origin::Stream);
        let mut consumer = ConsumerOptions::new(STREAM, SUBJECT, &name);
        consumer.replicas = replicas;
        consumer.ack_wait = Duration::from_secs(1);
        let options = streams::options(&urls, &name);
        let session = jetstream::Session::supervise(options, consumer).await?;
        write_down(Origin::Stream, life, session.messages(), &ledger, &stop).await;
        session.close().await;
        // A cluster would go on electing a leader for it.
        let (urls, stop) = (urls.clone(), stop.clone());
        tokio::spawn(async move {
            stop.run_until_cancelled(streams::delete_consumer(&urls, &name)).await;
        });
    }
    Ok(())
}

/// In each life of the servers it is another one, which begins with the first message.
fn whom(ledger: &Ledger, origin: Origin) -> (u32, String) {
    let life = *ledger.life(origin).borrow();
    (life, format!("observer-{life}"))
}

/// Until `stop`, or until the servers are in another life.
async fn write_down(
    origin: Origin,
    life: u32,
    messages: Messages,
    ledger: &Ledger,
    stop: &CancellationToken,
) {
    let mut lives = ledger.life(origin);
    loop {
        let received = tokio::select! {
            received = stop.run_until_cancelled(messages.recv()) => received,
            // The ledger goes on for as long as this, and so does what it says of lives.
            _ = lives.wait_for(|now| *now != life) => return,
        };
        let Some(Some(message)) = received else { return };
        ledger.observe(life, (origin, message.sequence), message.timestamp, &message.data);
        message.ack();
    }
}
