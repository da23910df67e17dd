//! How far the group is behind, as the broker's own monitor tells it.

use std::time::Duration;

use anyhow::{Context as _, ensure};
use bytes::Bytes;
use http::StatusCode;
use http_body_util::{BodyExt as _, Empty, Limited};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde::Deserialize;
use tokio::time::{MissedTickBehavior, interval, timeout};
use tokio_util::sync::CancellationToken;

use crate::config::Broker;
use crate::metrics::Metrics;

/// Time between two looks, and the most that one may take.
const INTERVAL: Duration = Duration::from_secs(5);

/// The monitor lists every subscription of the channel; more than this is none of our brokers.
const MAX_ANSWER: usize = 8 << 20;

/// Looks at the channel through the broker's monitor.
#[derive(Debug)]
pub struct LagWatch {
    address: String,
    group: String,
    metrics: Metrics,
    client: Client<HttpConnector, Empty<Bytes>>,
}

/// What the monitor says of a channel (`/streaming/channelsz`).
#[derive(Debug, Deserialize)]
struct Channel {
    first_seq: u64,
    last_seq: u64,
    #[serde(default)]
    subscriptions: Vec<Member>,
}

#[derive(Debug, Deserialize)]
struct Member {
    #[serde(default)]
    queue_name: String,
    last_sent: u64,
    pending_count: u64,
}

/// Where the group stands in its channel.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Lag {
    /// Number of the channel's newest message.
    pub last_sequence: u64,
    /// Number of the newest message that was sent to the group.
    pub last_sent_sequence: u64,
    /// Messages sent to the group and not acknowledged.
    pub pending: u64,
    /// Messages not sent to the group yet.
    pub undelivered: u64,
    /// Messages that the broker's limits deleted before the group got them.
    pub lost_to_retention: u64,
}

impl LagWatch {
    /// None when the settings name no monitor.
    #[must_use]
    pub fn new(settings: &Broker, metrics: Metrics) -> Option<Self> {
        let monitor = settings.monitor_url.as_ref()?;
        Some(Self {
            address: format!(
                "{}/streaming/channelsz?channel={}&subs=1",
                monitor.trim_end_matches('/'),
                settings.channel
            ),
            // The server names a durable group so.
            group: format!("{}:{}", settings.durable_name, settings.queue_group),
            metrics,
            client: Client::builder(TokioExecutor::new()).build_http(),
        })
    }

    /// Looks every few seconds until `stop`.
    pub async fn run(self, stop: CancellationToken) {
        let mut looks = interval(INTERVAL);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut lost = 0;
        while stop.run_until_cancelled(looks.tick()).await.is_some() {
            let looked = timeout(INTERVAL, self.look()).await;
            match looked.context("no answer in time").and_then(|looked| looked) {
                Ok(lag) => {
                    self.metrics.lag.set(Some(lag));
                    if lag.lost_to_retention > lost {
                        tracing::error!(
                            messages = lag.lost_to_retention,
                            "The broker deleted messages before anybody took them; \
                             raise its limits, which delete the oldest without a word"
                        );
                    }
                    lost = lag.lost_to_retention;
                }
                Err(error) => {
                    self.metrics.lag.set(None);
                    tracing::debug!(error = format!("{error:#}"), "The monitor does not answer");
                }
            }
        }
    }

    async fn look(&self) -> anyhow::Result<Lag> {
        let answer = self.client.get(self.address.parse()?).await?;
        ensure!(answer.status() == StatusCode::OK, "the monitor answers {}", answer.status());
        let body = Limited::new(answer.into_body(), MAX_ANSWER).collect().await;
        let body = body.map_err(|error| anyhow::anyhow!(error))?.to_bytes();
        Ok(lag(&serde_json::from_slice(&body)?, &self.group))
    }
}

/// A member's `last_sent` is its own; only the highest is the group's.
fn lag(channel: &Channel, group: &str) -> Lag {
    let members = || channel.subscriptions.iter().filter(|member| member.queue_name == group);
    let last_sent_sequence = members().map(|member| member.last_sent).max().unwrap_or(0);
    let begun = members().next().is_some();
    Lag {
        last_sequence: channel.last_seq,
        last_sent_sequence,
        pending: members().map(|member| member.pending_count).sum(),
        undelivered: channel.last_seq.saturating_sub(last_sent_sequence),
        // A group that has not begun has lost nothing: it begins with what there is.
        lost_to_retention: if begun {
            channel.first_seq.saturating_sub(last_sent_sequence + 1)
        } else {
            0
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn channel(first_seq: u64, last_seq: u64, members: &[(&str, u64, u64)]) -> Channel {
        let subscriptions = members
            .iter()
            .map(|&(queue_name, last_sent, pending_count)| Member {
                queue_name: queue_name.to_owned(),
                last_sent,
                pending_count,
            })
            .collect();
        Channel { first_seq, last_seq, subscriptions }
    }

    #[test]
    fn the_groups_position_is_that_of_its_foremost_member() {
        let channel = channel(1, 100, &[("d:g", 70, 3), ("d:g", 90, 4), ("other", 100, 9)]);
        let lag = lag(&channel, "d:g");
        assert_eq!((lag.last_sent_sequence, lag.undelivered, lag.pending), (90, 10, 7));
        assert_eq!(lag.lost_to_retention, 0);
    }

    #[test]
    fn messages_deleted_ahead_of_the_group_are_counted_as_lost() {
        assert_eq!(lag(&channel(71, 100, &[("d:g", 10, 0)]), "d:g").lost_to_retention, 60);
        assert_eq!(lag(&channel(71, 100, &[]), "d:g").lost_to_retention, 0);
    }
}
