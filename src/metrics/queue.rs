//! What was taken from the brokers and not written yet, of all sessions together.

use prometheus::{IntCounter, IntGauge};

use super::Maker;
use crate::session::Monitor;

/// Messages between the sessions and the writers.
#[derive(Debug)]
pub(super) struct QueueMetrics {
    messages: IntGauge,
    bytes: IntGauge,
    in_hand: IntGauge,
    shed: IntCounter,
}

impl QueueMetrics {
    pub(super) fn new(maker: &Maker) -> Self {
        Self {
            messages: maker.gauge("ingest_queue_messages", "Messages waiting for a writer"),
            bytes: maker.gauge("ingest_queue_bytes", "Payload waiting for a writer"),
            in_hand: maker.gauge("ingest_in_hand_messages", "Messages not acknowledged yet"),
            shed: maker.counter(
                "ingest_shed_total",
                "Messages dropped unacknowledged over ingest.queue_max_bytes; they come again",
            ),
        }
    }

    pub(super) fn refresh<'a>(&self, sessions: impl Iterator<Item = &'a Monitor>) {
        let (mut messages, mut bytes, mut in_hand, mut shed) = (0, 0, 0, 0);
        for session in sessions {
            let depth = session.depth();
            messages += depth.messages;
            bytes += depth.bytes;
            in_hand += depth.in_hand;
            shed += session.stats().shed;
        }
        let whole = |n: usize| i64::try_from(n).unwrap_or(i64::MAX);
        self.messages.set(whole(messages));
        self.bytes.set(whole(bytes));
        self.in_hand.set(whole(in_hand));
        // The sessions' own counters are the truth; two scrapes at once may only be late.
        self.shed.inc_by(shed.saturating_sub(self.shed.get()));
    }
}
