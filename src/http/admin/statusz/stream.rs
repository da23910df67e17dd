//! What is known of the stream.

use super::Statusz;
use super::gather::moment;
use crate::ingest::MonitorReply;
use crate::status::StreamLag;

impl Statusz {
    pub(super) fn stream_lag(&self) -> StreamLag {
        let (monitor, losses) = (&self.admin.stream_monitor, &self.admin.stream_losses);
        let (jetstream, lag, silence) = match monitor.reply() {
            MonitorReply::NotConfigured | MonitorReply::NotAsked => ("not_asked", None, None),
            MonitorReply::Answers(lag) => ("answers", Some(lag), None),
            MonitorReply::Silent { since, why } => ("silent", None, Some((moment(since), why))),
        };
        let (silent_since, detail) = silence.unzip();
        let stream = lag.and_then(|lag| lag.stream);
        let group = lag.and_then(|lag| lag.group);
        let store = lag.and_then(|lag| lag.store);
        // Counted by this process, so true whether JetStream answers or not.
        let (lost_messages, perhaps_lost_messages) = losses.counts();
        StreamLag {
            jetstream: jetstream.to_owned(),
            detail,
            silent_since,
            first_sequence: stream.map(|stream| stream.first_sequence),
            last_sequence: stream.map(|stream| stream.last_sequence),
            delivered_sequence: group.map(|group| group.delivered_sequence),
            ack_floor_sequence: group.map(|group| group.ack_floor_sequence),
            undelivered_messages: group.map(|group| group.undelivered),
            pending_messages: group.map(|group| group.pending),
            redelivered_messages: group.map(|group| group.redelivered),
            replicas: stream.map(|stream| stream.replicas),
            current_replicas: stream.map(|stream| stream.current_replicas),
            offline_replicas: stream.map(|stream| stream.offline_replicas),
            store_bytes: store.map(|store| store.bytes),
            store_limit_bytes: store.map(|store| store.limit),
            lost_messages,
            perhaps_lost_messages,
            stream_reset: losses.describe_reset(),
        }
    }
}
