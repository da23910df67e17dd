//! How far the group is behind in a stream of JetStream, what the stream has lost, and how its
//! servers are, as JetStream itself tells.

use std::time::Duration;

use jetstream::{ConsumerInfo, StreamInfo};
use tokio::sync::watch;
use tokio::time::{MissedTickBehavior, interval, timeout};
use tokio_util::sync::CancellationToken;

use super::losses::{Place, Seen};
use super::{LossTracker, MonitorState};
use crate::broker::stream_servers::{StreamServers, Told, Untold};
use crate::config::JetStream;
use crate::metrics::{GroupProgress, Metrics, StreamExtent, StreamLag};
use crate::source::Source;
use crate::store::Store;

/// Time between two looks, and the most that one may take.
const INTERVAL: Duration = Duration::from_secs(5);

/// Time between two looks until Postgres has said what is stored.
const RETRY: Duration = Duration::from_millis(500);

/// Looks at the stream and its consumer over a connection of its own.
#[derive(Debug)]
pub struct StreamWatch {
    servers: StreamServers,
    source: Source,
    store: Store,
    state: MonitorState<StreamLag>,
    losses: LossTracker,
    metrics: Metrics,
    looked: watch::Sender<bool>,
}

impl StreamWatch {
    /// None when the settings name no servers. What JetStream tells goes into `state`, what is
    /// seen deleted into `losses`.
    ///
    /// # Errors
    /// A credentials file that cannot be read or holds none.
    pub fn new(
        settings: &JetStream,
        client_id: &str,
        store: Store,
        state: MonitorState<StreamLag>,
        losses: LossTracker,
        metrics: Metrics,
    ) -> anyhow::Result<Option<Self>> {
        let Some(servers) = StreamServers::new(settings, client_id)? else { return Ok(None) };
        state.configured();
        let source = Source::stream(&settings.stream);
        let looked = watch::Sender::new(false);
        Ok(Some(Self { servers, source, store, state, losses, metrics, looked }))
    }

    /// Resolves when it is known what is stored and a look after that is over, however it went:
    /// once orders of a new stream are stored, nobody can tell it from the old one. The schema
    /// must be there.
    pub fn first_look(&self) -> impl Future<Output = ()> + Send + use<> {
        let mut looked = self.looked.subscribe();
        async move {
            // An error means that the watch has ended: there will be no look.
            let _ = looked.wait_for(|looked| *looked).await;
        }
    }

    /// Looks every few seconds until `stop`.
    pub async fn run(mut self, stop: CancellationToken) {
        let mut looks = interval(INTERVAL);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut stored_known = false;
        while stop.run_until_cancelled(looks.tick()).await.is_some() {
            // Before the look: what is stored by then, the stream has by then too.
            if !stored_known {
                stored_known = self.remember_stored().await;
            }
            match self.servers.ask(INTERVAL).await {
                Ok(told) => self.answered(&told),
                Err(untold) => self.silent(untold),
            }
            if stored_known {
                self.looked.send_replace(true);
            } else {
                looks.reset_after(RETRY);
            }
        }
    }

    /// Only Postgres knows of a stream that began anew while no replica ran. Whether it told.
    async fn remember_stored(&self) -> bool {
        let asked = timeout(INTERVAL, self.store.newest_sequence(self.source.column())).await;
        let Ok(Ok(newest)) = asked else { return false };
        self.losses.remember_stored(newest.unwrap_or(0));
        true
    }

    fn answered(&self, told: &Told) {
        if let Some(stream) = &told.stream {
            self.note_losses(&seen(stream, told.group.as_ref()));
        }
        let (lost_to_retention, perhaps_lost_to_retention) = self.losses.counts();
        let lag = StreamLag {
            stream: told.stream.as_ref().map(extent),
            group: told.group.as_ref().map(progress),
            store: told.store,
            lost_to_retention,
            perhaps_lost_to_retention,
        };
        self.metrics.stream_lag.answered(&lag);
        if self.state.answers(lag) {
            tracing::info!("JetStream tells again how the stream is");
        }
    }

    fn silent(&self, Untold { why: error, has_no_leader }: Untold) {
        self.metrics.stream_lag.silent(has_no_leader);
        if self.state.silent(error.clone()) {
            tracing::warn!(
                error,
                "JetStream does not tell how the stream is; until it does, lag and losses are not \
                 known"
            );
        }
    }

    fn note_losses(&self, seen: &Seen) {
        let new = self.losses.observe(seen);
        if !new.reset.is_empty() {
            self.metrics.stream_lag.resets.inc();
            tracing::error!(
                "The stream began anew: {}; what was published to the old one and not taken is \
                 lost unless its senders have it",
                new.reset
            );
        }
        if !new.lost.is_empty() {
            tracing::error!(
                sequences = new.lost,
                "Lost from the stream: sequences {}, which were deleted before anybody took them; \
                 take its limits away",
                new.lost
            );
        }
        if !new.perhaps.is_empty() {
            tracing::warn!(
                sequences = new.perhaps,
                "Perhaps lost from the stream: sequences {}, which were deleted before they were \
                 known to be acknowledged; take its limits away",
                new.perhaps
            );
        }
    }
}

fn seen(stream: &StreamInfo, group: Option<&ConsumerInfo>) -> Seen {
    Seen {
        messages: stream.messages,
        first: stream.first_sequence,
        last: stream.last_sequence,
        created: Some(stream.created.clone()),
        group: group.map(|group| Place { sent: group.delivered, kept: group.ack_floor }),
    }
}

fn extent(stream: &StreamInfo) -> StreamExtent {
    let followers = stream.cluster.as_ref().map_or(&[][..], |cluster| &cluster.replicas);
    let count = |is: fn(&jetstream::Replica) -> bool| {
        followers.iter().filter(|replica| is(replica)).count() as u64
    };
    StreamExtent {
        first_sequence: stream.first_sequence,
        last_sequence: stream.last_sequence,
        // The leader is none of them.
        replicas: 1 + count(|_| true),
        current_replicas: 1 + count(|replica| replica.current && !replica.offline),
        offline_replicas: count(|replica| replica.offline),
        replica_lag: followers.iter().map(|replica| replica.lag).max().unwrap_or(0),
    }
}

fn progress(group: &ConsumerInfo) -> GroupProgress {
    GroupProgress {
        delivered_sequence: group.delivered,
        ack_floor_sequence: group.ack_floor,
        undelivered: group.num_pending,
        pending: group.num_ack_pending,
        redelivered: group.num_redelivered,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Settings;
    use crate::log_limit::tests::LoggedLines;

    /// Nothing listens on port 1, so that every look fails.
    #[tokio::test(start_paused = true)]
    async fn an_hour_without_the_servers_is_one_line() {
        let logged = LoggedLines::collect();
        let url = ["jetstream.url=nats://127.0.0.1:1".to_owned()];
        let settings = Settings::load(None, &url, std::iter::empty()).expect("settings");
        let store = Store::new("postgres://127.0.0.1:1/none", 1, INTERVAL).expect("a store");
        let (state, losses) = (MonitorState::default(), LossTracker::default());
        let (jetstream, metrics) = (&settings.jetstream, Metrics::new());
        let watch = StreamWatch::new(jetstream, "me", store, state.clone(), losses, metrics);
        let watch = watch.expect("options").expect("servers").run(CancellationToken::new());
        timeout(Duration::from_hours(1), watch).await.expect_err("it looks without end");
        let lines = logged.take();
        assert_eq!(lines.len(), 1, "{lines:#?}");
        assert!(
            lines[0].starts_with("WARN JetStream does not tell how the stream is"),
            "{lines:#?}"
        );
        assert!(state.describe().is_err());
        assert!(state.answers(StreamLag::default()), "it is told once more");
    }
}
