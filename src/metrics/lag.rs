//! Where the group stands in its channel, as the broker's monitor tells.

use prometheus::IntGauge;

use super::Maker;
use crate::ingest::Lag;

/// Zero until the monitor is asked, which takes `broker.monitor_url`.
#[derive(Debug)]
pub struct LagMetrics {
    monitor_up: IntGauge,
    last_sequence: IntGauge,
    last_sent: IntGauge,
    pending: IntGauge,
    undelivered: IntGauge,
    lost: IntGauge,
    perhaps_lost: IntGauge,
}

impl LagMetrics {
    pub(super) fn new(maker: &Maker) -> Self {
        Self {
            monitor_up: maker.gauge("stan_monitor_up", "1 while the broker's monitor answers"),
            last_sequence: maker
                .gauge("stan_channel_last_sequence", "Number of the channel's newest message"),
            last_sent: maker.gauge(
                "stan_subscription_last_sent_sequence",
                "Number of the newest message sent to the group",
            ),
            pending: maker.gauge(
                "stan_subscription_pending_messages",
                "Messages sent to the group and not acknowledged",
            ),
            undelivered: maker.gauge(
                "stan_subscription_undelivered_messages",
                "Messages not sent to the group yet",
            ),
            lost: maker.gauge(
                "stan_lost_to_retention_messages",
                "Messages the broker deleted before the group got them, since the start",
            ),
            perhaps_lost: maker.gauge(
                "stan_perhaps_lost_to_retention_messages",
                "Messages deleted between two looks at the broker, perhaps before the group got them",
            ),
        }
    }

    /// Notes what the monitor said; none when it did not answer, which leaves the last values.
    pub fn set(&self, lag: Option<Lag>) {
        self.monitor_up.set(lag.is_some().into());
        let Some(lag) = lag else { return };
        for (gauge, value) in [
            (&self.last_sequence, lag.last_sequence),
            (&self.last_sent, lag.last_sent_sequence),
            (&self.pending, lag.pending),
            (&self.undelivered, lag.undelivered),
            (&self.lost, lag.lost_to_retention),
            (&self.perhaps_lost, lag.perhaps_lost_to_retention),
        ] {
            gauge.set(i64::try_from(value).unwrap_or(i64::MAX));
        }
    }
}
