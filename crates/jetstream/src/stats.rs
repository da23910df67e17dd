//! Counters of a session.

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
    /// Of those, messages the server had delivered before, to us or to another member.
    pub redelivered: u64,
    /// Redeliveries of a message that was still in hand, dropped.
    pub duplicates_suppressed: u64,
    /// Messages dropped unacknowledged because the queue's byte budget was full; the server
    /// sends them again after the ack wait. As nothing is pulled that does not fit, these are
    /// messages of pulls that were given up and came all the same.
    pub shed: u64,
    /// Pulled messages whose reply subject could not be read, dropped.
    pub garbled: u64,
    /// Acknowledgements given to the NATS client to send.
    pub acks: u64,
    /// Messages handed back to the server at the end.
    pub naks: u64,
    /// Requests for messages.
    pub pulls: u64,
    /// Times the NATS link came back.
    pub reconnects: u64,
    /// Times pulling began anew: after the link came back, the server ended a pull for another
    /// reason than its time, or did not end it.
    pub session_rebuilds: u64,
    /// Messages the NATS client dropped because its own buffer was full.
    pub slow_consumer_drops: u64,
}

/// The counters of what is under the queue, which counts the rest itself.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    pub(crate) link: Arc<LinkCounters>,
    pub(crate) naks: Counter,
    pub(crate) pulls: Counter,
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
            naks: self.naks.get(),
            pulls: self.pulls.get(),
            reconnects: self.link.reconnects.load(Ordering::Relaxed),
            session_rebuilds: self.session_rebuilds.get(),
            slow_consumer_drops: self.link.slow_consumer_drops.load(Ordering::Relaxed),
        }
    }
}
