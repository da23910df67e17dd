//! Counters of a session or a subscription.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use deliveries::{Counter, Deliveries};
use nats_link::LinkCounters;

/// The counters since the session began; each only grows.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stats {
    /// Messages put into the queue for the user.
    pub delivered: u64,
    /// Of those, messages the server had delivered before.
    pub redelivered: u64,
    /// Redeliveries of a message that was still in hand, dropped.
    pub duplicates_suppressed: u64,
    /// Messages dropped unacknowledged because the queue's byte budget was full; the server
    /// sends them again after the ack wait.
    pub shed: u64,
    /// Deliveries that could not be decoded.
    pub garbled: u64,
    /// Acknowledgements given to the NATS client to send.
    pub acks: u64,
    /// Times the NATS link came back.
    pub reconnects: u64,
    /// Times the registration with the streaming server was built anew after a loss.
    pub session_rebuilds: u64,
    /// Messages the NATS client dropped because its own buffer was full.
    pub slow_consumer_drops: u64,
}

/// The counters of what is under the queue, which counts the rest itself.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    pub(crate) link: Arc<LinkCounters>,
    pub(crate) session_rebuilds: Counter,
}

impl Counters {
    /// All counters now, with those of the queue.
    pub(crate) fn snapshot(&self, queue: &Deliveries) -> Stats {
        let queue = queue.counters().snapshot();
        Stats {
            delivered: queue.delivered,
            redelivered: queue.redelivered,
            duplicates_suppressed: queue.duplicates_suppressed,
            shed: queue.shed,
            garbled: queue.garbled,
            acks: queue.acks,
            reconnects: self.link.reconnects.load(Ordering::Relaxed),
            session_rebuilds: self.session_rebuilds.get(),
            slow_consumer_drops: self.link.slow_consumer_drops.load(Ordering::Relaxed),
        }
    }
}
