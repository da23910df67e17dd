//! How far the group is behind, as the broker's own monitor tells it.
//!
//! The monitor tells how many messages a member has not acknowledged, but not which: so neither
//! the sequence nor the age of the oldest is known here. How old messages are when they are
//! settled, each replica measures itself.

use std::time::Duration;

use anyhow::Context as _;
use tokio::sync::watch;
use tokio::time::{MissedTickBehavior, interval, timeout};
use tokio_util::sync::CancellationToken;

use super::losses::Seen;
use super::{LossTracker, MonitorState};
use crate::broker::monitor::{Channel, Member, Monitor};
use crate::config::Broker;
use crate::metrics::{Lag, Metrics};
use crate::retry::{self, until_done};
use crate::store::Store;

/// Time between two looks, and the most that one may take.
const INTERVAL: Duration = Duration::from_secs(5);

/// Time between two attempts to ask Postgres before messages are taken.
const RETRY: Duration = Duration::from_millis(500);

/// Looks at the channel through the broker's monitor.
#[derive(Debug)]
pub struct LagWatch {
    monitor: Monitor,
    store: Store,
    state: MonitorState,
    losses: LossTracker,
    metrics: Metrics,
    looked: watch::Sender<bool>,
}

impl LagWatch {
    /// None when the settings name no monitor. Whether it answers goes into `state`, what it
    /// sees deleted into `losses`.
    #[must_use]
    pub fn new(
        settings: &Broker,
        store: Store,
        state: MonitorState,
        losses: LossTracker,
        metrics: Metrics,
    ) -> Option<Self> {
        let monitor = Monitor::new(settings)?;
        state.configured();
        Some(Self { monitor, store, state, losses, metrics, looked: watch::Sender::new(false) })
    }

    /// Resolves when it is known what is stored and the first look is over, however it went. A
    /// loss that happened while no replica ran shows only until the group moves on, so whoever
    /// makes it move waits for this. The schema must be there.
    pub fn first_look(&self) -> impl Future<Output = ()> + Send + use<> {
        let mut looked = self.looked.subscribe();
        let (store, losses) = (self.store.clone(), self.losses.clone());
        async move {
            // Once an order of a new channel is stored, the newest tells nothing of the old one.
            let remember = || remember_stored(&store, &losses);
            until_done(retry::every(RETRY), remember, |_: &Unknown| {}).await;
            // An error means that the watch has ended: there will be no look.
            let _ = looked.wait_for(|looked| *looked).await;
        }
    }

    /// Looks every few seconds until `stop`.
    pub async fn run(self, stop: CancellationToken) {
        let mut looks = interval(INTERVAL);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut stored_known = false;
        while stop.run_until_cancelled(looks.tick()).await.is_some() {
            if !stored_known {
                stored_known = remember_stored(&self.store, &self.losses).await.is_ok();
            }
            let looked = timeout(INTERVAL, self.monitor.channel()).await;
            match looked.context("no answer in time").and_then(|looked| looked) {
                Ok(channel) => self.answered(&channel),
                Err(error) => self.silent(&format!("{error:#}")),
            }
            self.looked.send_replace(true);
        }
    }

    fn answered(&self, channel: &Channel) {
        let lag = self.take(channel);
        self.metrics.lag.set(Some(lag));
        if self.state.answers(lag) {
            tracing::info!("The broker's monitor answers again");
        }
    }

    fn silent(&self, error: &str) {
        self.metrics.lag.set(None);
        if self.state.silent(error.to_owned()) {
            tracing::warn!(
                error,
                "The broker's monitor does not answer; until it does, lag and losses are not known"
            );
        }
    }

    /// Notes and logs what is lost; where the group stands.
    fn take(&self, channel: &Channel) -> Lag {
        let members: Vec<&Member> = self.monitor.members(channel).collect();
        let new = self.losses.observe(&Seen::of_channel(channel, last_sent(&members)));
        if !new.reset.is_empty() {
            self.metrics.lag.resets.inc();
            tracing::error!(
                "The channel began anew: {}; what was published to the old one and not taken is \
                 lost unless its senders have it",
                new.reset
            );
        }
        if !new.lost.is_empty() {
            tracing::error!(
                sequences = new.lost,
                "Lost to retention: sequences {}, which the broker deleted before anybody took \
                 them; raise its limits",
                new.lost
            );
        }
        if !new.perhaps.is_empty() {
            tracing::warn!(
                sequences = new.perhaps,
                "Perhaps lost to retention: sequences {}, which the broker deleted between two \
                 looks at it; raise its limits",
                new.perhaps
            );
        }
        lag(channel, &members, self.losses.counts())
    }
}

/// What is stored is not known yet: Postgres cannot be asked, or has no schema.
struct Unknown;

/// Only Postgres knows of a channel that began anew while no replica ran.
async fn remember_stored(store: &Store, losses: &LossTracker) -> Result<(), Unknown> {
    let asked = timeout(INTERVAL, store.newest_sequence(None)).await;
    let Ok(Ok(newest)) = asked else { return Err(Unknown) };
    losses.remember_stored(newest.unwrap_or(0));
    Ok(())
}

/// A member's `last_sent` is its own; only the highest is the group's. None without a group.
fn last_sent(members: &[&Member]) -> Option<u64> {
    members.iter().map(|member| member.last_sent).max()
}

fn lag(channel: &Channel, members: &[&Member], (lost, perhaps_lost): (u64, u64)) -> Lag {
    let last_sent_sequence = last_sent(members).unwrap_or(0);
    Lag {
        last_sequence: channel.last_seq,
        last_sent_sequence,
        pending: members.iter().map(|member| member.pending_count).sum(),
        undelivered: channel.last_seq.saturating_sub(last_sent_sequence),
        lost_to_retention: lost,
        perhaps_lost_to_retention: perhaps_lost,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Settings;
    use crate::log_limit::tests::LoggedLines;

    /// Nothing listens on port 1, so that every look fails.
    #[tokio::test(start_paused = true)]
    async fn an_hour_without_the_monitor_is_one_line() {
        let logged = LoggedLines::collect();
        let monitor = ["broker.monitor_url=http://127.0.0.1:1".to_owned()];
        let settings = Settings::load(None, &monitor, std::iter::empty()).expect("settings");
        let store = Store::new("postgres://127.0.0.1:1/none", 1, INTERVAL).expect("a store");
        let (state, losses) = (MonitorState::default(), LossTracker::default());
        let watch = LagWatch::new(&settings.broker, store, state.clone(), losses, Metrics::new());
        let watch = watch.expect("a monitor is configured").run(CancellationToken::new());
        timeout(Duration::from_hours(1), watch).await.expect_err("it looks without end");
        let lines = logged.take();
        assert_eq!(lines.len(), 1, "{lines:#?}");
        assert!(lines[0].starts_with("WARN The broker's monitor does not answer"), "{lines:#?}");
        assert!(state.describe().is_err());
        assert!(state.answers(Lag::default()), "it is told once more");
    }

    #[test]
    fn the_groups_position_is_that_of_its_foremost_member() {
        let member = |last_sent, pending_count| Member {
            queue_name: "d:g".to_owned(),
            last_sent,
            pending_count,
        };
        let (a, b) = (member(70, 3), member(90, 4));
        let channel = Channel { msgs: 100, first_seq: 1, last_seq: 100, ..Channel::default() };
        let lag = lag(&channel, &[&a, &b], (0, 0));
        assert_eq!((lag.last_sent_sequence, lag.undelivered, lag.pending), (90, 10, 7));
        assert_eq!(last_sent(&[]), None);
    }
}
