//! Staying registered: the server's heartbeats answered, our own pings sent.
//!
//! Both are tasks of their own, so that neither ever waits behind the user's work.

use std::time::Duration;

use async_nats::{Client, StatusCode, Subscriber};
use bytes::Bytes;
use futures_util::StreamExt as _;
use nats_link::Chain;
use prost::Message as _;
use tokio::time::{MissedTickBehavior, interval_at, timeout};
use tokio_util::sync::CancellationToken;

use crate::error::Lost;
use crate::protocol::{Ping, PingResponse};
use crate::transport::Transport;

/// Answers each heartbeat with an empty message, until `ended`, and calls `lose` if the link has
/// ended first, over which they come.
pub(super) fn answer_heartbeats(
    client: Client,
    mut heartbeats: Subscriber,
    ended: CancellationToken,
    lose: impl FnOnce(Lost) + Send + 'static,
) {
    let answering = async move {
        while let Some(heartbeat) = heartbeats.next().await {
            let Some(reply) = heartbeat.reply else {
                continue;
            };
            if let Err(error) = client.publish(reply, Bytes::new()).await {
                tracing::debug!(%error, "A heartbeat could not be answered");
            }
        }
    };
    tokio::spawn(async move {
        if ended.run_until_cancelled(answering).await.is_some() {
            lose(Lost::PingsUnanswered);
        }
    });
}

/// What it takes to ping for one registration.
pub(super) struct Pings {
    pub(super) transport: Transport,
    pub(super) subject: String,
    pub(super) conn_id: Bytes,
    pub(super) interval: Duration,
    /// Pings in a row that may stay unanswered.
    pub(super) max_out: u32,
}

/// Pings until `ended`, and calls `lose` once if the registration turns out to be gone.
pub(super) fn ping(
    pings: Pings,
    ended: CancellationToken,
    lose: impl FnOnce(Lost) + Send + 'static,
) {
    tokio::spawn(async move {
        if let Some(lost) = ended.run_until_cancelled(pings.run()).await {
            lose(lost);
        }
    });
}

impl Pings {
    async fn run(self) -> Lost {
        let (inbox, mut replies) = loop {
            match self.transport.subscribe_inbox(self.interval).await {
                Ok(subscribed) => break subscribed,
                Err(error) => {
                    tracing::debug!(error = %Chain(&error), "The ping inbox could not be subscribed");
                }
            }
        };
        let payload = Bytes::from(Ping { conn_id: self.conn_id }.encode_to_vec());
        let client = self.transport.client();
        let mut ticks = interval_at(tokio::time::Instant::now() + self.interval, self.interval);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut out = 0_u32;
        loop {
            tokio::select! {
                Some(reply) = replies.next() => match classify(reply.status, &reply.payload) {
                    PingReply::Registered => out = 0,
                    PingReply::Replaced => return Lost::Replaced,
                    PingReply::Other => {}
                },
                _ = ticks.tick() => {
                    out += 1;
                    if out > self.max_out {
                        return Lost::PingsUnanswered;
                    }
                    let (subject, inbox) = (self.subject.clone(), inbox.clone());
                    let ping = client.publish_with_reply(subject, inbox, payload.clone());
                    // A full command queue must not stop the counting.
                    if timeout(self.interval, ping).await.is_err() {
                        tracing::debug!("A ping could not be queued in time");
                    }
                }
            }
        }
    }
}

#[derive(Debug, PartialEq, Eq)]
enum PingReply {
    /// The registration still holds: an empty answer.
    Registered,
    /// The server does not know this registration, or no more.
    Replaced,
    /// Not an answer of a streaming server.
    Other,
}

/// An empty answer means all is well, but so does "no responders" look: its payload is empty
/// too, and only its status tells that no streaming server was there.
fn classify(status: Option<StatusCode>, payload: &[u8]) -> PingReply {
    if status.is_some() {
        return PingReply::Other;
    }
    match PingResponse::decode(payload) {
        Ok(answer) if answer.error.is_empty() => PingReply::Registered,
        Ok(_) => PingReply::Replaced,
        Err(_) => PingReply::Other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_an_empty_answer_with_no_status_proves_the_registration() {
        let replaced = PingResponse { error: "client has been replaced".into() }.encode_to_vec();
        assert_eq!(classify(None, b""), PingReply::Registered);
        assert_eq!(classify(Some(StatusCode::NO_RESPONDERS), b""), PingReply::Other);
        assert_eq!(classify(None, &replaced), PingReply::Replaced);
        assert_eq!(classify(None, &[0xff, 0xff]), PingReply::Other);
    }
}
