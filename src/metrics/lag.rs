//! Where the group stands in its channel, as the broker's monitor tells.

use prometheus::IntCounter;

use super::{Maker, MeasuredGauge};

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
    /// Messages that the broker's limits deleted before the group got them, since we look.
    pub lost_to_retention: u64,
    /// Messages deleted between two looks, of which nobody can tell whether the group got them.
    pub perhaps_lost_to_retention: u64,
}

/// Absent until the monitor is asked, which takes `broker.monitor_url`, and, except for what this
/// process has counted itself, while it does not answer.
#[derive(Debug)]
pub struct LagMetrics {
    monitor_up: MeasuredGauge,
    last_sequence: MeasuredGauge,
    last_sent: MeasuredGauge,
    pending: MeasuredGauge,
    undelivered: MeasuredGauge,
    lost: MeasuredGauge,
    perhaps_lost: MeasuredGauge,
    /// Times the channel began anew, with sequences from 1.
    pub resets: IntCounter,
}

impl LagMetrics {
    pub(super) fn new(maker: &Maker) -> Self {
        Self {
            monitor_up: maker.measured("stan_monitor_up", "1 while the broker's monitor answers"),
            last_sequence: maker
                .measured("stan_channel_last_sequence", "Number of the channel's newest message"),
            last_sent: maker.measured(
                "stan_subscription_last_sent_sequence",
                "Number of the newest message sent to the group",
            ),
            pending: maker.measured(
                "stan_subscription_pending_messages",
                "Messages sent to the group and not acknowledged",
            ),
            undelivered: maker.measured(
                "stan_subscription_undelivered_messages",
                "Messages not sent to the group yet",
            ),
            lost: maker.measured(
                "stan_lost_to_retention_messages",
                "Messages the broker deleted before the group got them, since the start",
            ),
            perhaps_lost: maker.measured(
                "stan_perhaps_lost_to_retention_messages",
                "Messages deleted between two looks at the broker, perhaps before the group got them",
            ),
            resets: maker.counter(
                "stan_channel_resets_total",
                "Times the channel was seen to have begun anew, with sequences from 1",
            ),
        }
    }

    /// Notes what the monitor said; none when it did not answer.
    pub fn set(&self, lag: Option<Lag>) {
        self.monitor_up.set(Some(lag.is_some().into()));
        self.last_sequence.set(lag.map(|lag| lag.last_sequence));
        self.last_sent.set(lag.map(|lag| lag.last_sent_sequence));
        self.pending.set(lag.map(|lag| lag.pending));
        self.undelivered.set(lag.map(|lag| lag.undelivered));
        // Counted by this process, so true whether the monitor answers or not.
        if let Some(lag) = lag {
            self.lost.set(Some(lag.lost_to_retention));
            self.perhaps_lost.set(Some(lag.perhaps_lost_to_retention));
        }
    }
}
