//! How a stream of JetStream and its group are, as its leader tells.

use prometheus::IntCounter;

use super::{Maker, MeasuredGauge};

/// How the stream and the group that reads it are.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct StreamLag {
    /// None if there is no such stream.
    pub stream: Option<StreamExtent>,
    /// None if there is no such consumer.
    pub group: Option<GroupProgress>,
    /// None where nothing limits what is stored, or the limit is not known.
    pub store: Option<StoreUse>,
    /// Messages that were deleted before the group got them, since we look.
    pub lost_to_retention: u64,
    /// Messages that were deleted before they were known to be acknowledged.
    pub perhaps_lost_to_retention: u64,
}

/// What the stream holds, and who stores it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct StreamExtent {
    /// Number of its oldest message.
    pub first_sequence: u64,
    /// Number of its newest message.
    pub last_sequence: u64,
    /// Servers that store it.
    pub replicas: u64,
    /// Of those, the leader and those that have caught up with it.
    pub current_replicas: u64,
    /// Of those, the ones that the leader takes for gone.
    pub offline_replicas: u64,
    /// Operations that the last of them is behind the leader.
    pub replica_lag: u64,
}

/// How far the group is in the stream.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct GroupProgress {
    /// Number of the newest message that was delivered to it.
    pub delivered_sequence: u64,
    /// All messages up to this one are acknowledged.
    pub ack_floor_sequence: u64,
    /// Messages not delivered yet.
    pub undelivered: u64,
    /// Messages delivered and not acknowledged.
    pub pending: u64,
    /// Of those, the ones that were delivered more than once.
    pub redelivered: u64,
}

/// What is stored, and the most that may be.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct StoreUse {
    /// Bytes stored.
    pub bytes: u64,
    /// Bytes that may be stored, more than 0.
    pub limit: u64,
}

impl StoreUse {
    /// Whether more of the limit is used than of the other's.
    #[must_use]
    pub fn is_fuller_than(&self, other: &Self) -> bool {
        let share = |part: &Self, of: &Self| u128::from(part.bytes) * u128::from(of.limit);
        share(self, other) > share(other, self)
    }
}

/// Absent until JetStream has answered, and, except for what this process has counted itself,
/// while it does not.
#[derive(Debug)]
pub struct StreamLagMetrics {
    up: MeasuredGauge,
    has_leader: MeasuredGauge,
    first_sequence: MeasuredGauge,
    last_sequence: MeasuredGauge,
    replicas: MeasuredGauge,
    current_replicas: MeasuredGauge,
    offline_replicas: MeasuredGauge,
    replica_lag: MeasuredGauge,
    delivered: MeasuredGauge,
    ack_floor: MeasuredGauge,
    undelivered: MeasuredGauge,
    pending: MeasuredGauge,
    redelivered: MeasuredGauge,
    store: MeasuredGauge,
    store_limit: MeasuredGauge,
    lost: MeasuredGauge,
    perhaps_lost: MeasuredGauge,
    /// Times the stream began anew.
    pub resets: IntCounter,
}

impl StreamLagMetrics {
    pub(super) fn new(maker: &Maker) -> Self {
        let measured = |name: &str, help| maker.measured(&format!("jetstream_{name}"), help);
        Self {
            up: measured("watch_up", "1 while JetStream tells how the stream is"),
            has_leader: measured("has_leader", "1 while the stream and its consumer have a leader"),
            first_sequence: measured(
                "stream_first_sequence",
                "Number of the stream's oldest message",
            ),
            last_sequence: measured(
                "stream_last_sequence",
                "Number of the stream's newest message",
            ),
            replicas: measured("replicas", "Servers that store the stream"),
            current_replicas: measured(
                "current_replicas",
                "Servers that store the stream and have caught up, the leader included",
            ),
            offline_replicas: measured(
                "offline_replicas",
                "Servers that store the stream and are away",
            ),
            replica_lag: measured(
                "replica_lag_operations",
                "Operations that the last of the servers is behind the leader",
            ),
            delivered: measured(
                "consumer_delivered_sequence",
                "Number of the newest message delivered to the group",
            ),
            ack_floor: measured(
                "consumer_ack_floor_sequence",
                "Number up to which the group has acknowledged all messages",
            ),
            undelivered: measured(
                "consumer_undelivered_messages",
                "Messages not delivered to the group yet",
            ),
            pending: measured(
                "consumer_pending_messages",
                "Messages delivered to the group and not acknowledged",
            ),
            redelivered: measured(
                "consumer_redelivered_messages",
                "Messages not acknowledged that were delivered more than once",
            ),
            store: measured("store_bytes", "Bytes stored, where they have a limit"),
            store_limit: measured(
                "store_limit_bytes",
                "Most bytes that may be stored: the limit of server, account or stream of which most is used",
            ),
            lost: measured(
                "lost_to_retention_messages",
                "Messages deleted from the stream before the group got them, since the start",
            ),
            perhaps_lost: measured(
                "perhaps_lost_to_retention_messages",
                "Messages deleted from the stream before they were known to be acknowledged, since the start",
            ),
            resets: maker.counter(
                "jetstream_stream_resets_total",
                "Times the stream was seen to have begun anew",
            ),
        }
    }

    /// Notes what JetStream said of the stream.
    pub fn answered(&self, lag: &StreamLag) {
        self.set(Some(lag), lag.stream.map(|_| true));
        self.lost.set(Some(lag.lost_to_retention));
        self.perhaps_lost.set(Some(lag.perhaps_lost_to_retention));
    }

    /// Notes that it said nothing of the stream, except perhaps that it has no leader.
    pub fn silent(&self, has_no_leader: bool) {
        self.set(None, has_no_leader.then_some(false));
    }

    fn set(&self, lag: Option<&StreamLag>, has_leader: Option<bool>) {
        let stream = lag.and_then(|lag| lag.stream);
        let group = lag.and_then(|lag| lag.group);
        let store = lag.and_then(|lag| lag.store);
        self.up.set(Some(lag.is_some().into()));
        self.has_leader.set(has_leader.map(u64::from));
        self.first_sequence.set(stream.map(|stream| stream.first_sequence));
        self.last_sequence.set(stream.map(|stream| stream.last_sequence));
        self.replicas.set(stream.map(|stream| stream.replicas));
        self.current_replicas.set(stream.map(|stream| stream.current_replicas));
        self.offline_replicas.set(stream.map(|stream| stream.offline_replicas));
        self.replica_lag.set(stream.map(|stream| stream.replica_lag));
        self.delivered.set(group.map(|group| group.delivered_sequence));
        self.ack_floor.set(group.map(|group| group.ack_floor_sequence));
        self.undelivered.set(group.map(|group| group.undelivered));
        self.pending.set(group.map(|group| group.pending));
        self.redelivered.set(group.map(|group| group.redelivered));
        self.store.set(store.map(|store| store.bytes));
        self.store_limit.set(store.map(|store| store.limit));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::Metrics;

    #[test]
    fn what_is_not_told_is_absent_and_what_was_counted_stays() {
        let metrics = Metrics::new();
        let value = |name: &str| {
            let text = metrics.render();
            let line = text.lines().find(|line| line.starts_with(&format!("{name} ")))?;
            line.rsplit_once(' ').map(|(_, value)| value.to_owned())
        };
        let told = || {
            ["watch_up", "has_leader", "replicas", "consumer_pending_messages", "store_bytes"]
                .map(|name| value(&format!("waybill_jetstream_{name}")))
        };
        let some = |value: &str| Some(value.to_owned());
        assert_eq!(told(), [const { None }; 5], "nobody was asked");
        metrics.stream_lag.answered(&StreamLag { lost_to_retention: 7, ..StreamLag::default() });
        assert_eq!(told(), [some("1"), None, None, None, None], "there is no stream");
        metrics.stream_lag.answered(&StreamLag {
            stream: Some(StreamExtent { replicas: 3, ..StreamExtent::default() }),
            group: Some(GroupProgress { pending: 5, ..GroupProgress::default() }),
            store: Some(StoreUse { bytes: 8, limit: 9 }),
            lost_to_retention: 7,
            ..StreamLag::default()
        });
        assert_eq!(told(), ["1", "1", "3", "5", "8"].map(some));
        metrics.stream_lag.silent(false);
        assert_eq!(told(), [some("0"), None, None, None, None]);
        metrics.stream_lag.silent(true);
        assert_eq!(told(), [some("0"), some("0"), None, None, None]);
        assert_eq!(value("waybill_jetstream_lost_to_retention_messages"), some("7"));
    }

    #[test]
    fn of_two_limits_the_one_that_is_nearer_counts() {
        let used = |bytes, limit| StoreUse { bytes, limit };
        assert!(used(9, 10).is_fuller_than(&used(80, 100)));
        assert!(!used(80, 100).is_fuller_than(&used(9, 10)));
        assert!(!used(u64::MAX, u64::MAX).is_fuller_than(&used(1, 1)));
    }
}
