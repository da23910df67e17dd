//! Counters of a session or a subscription.

use std::sync::atomic::{AtomicU64, Ordering};

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

/// The live side of [`Stats`].
#[derive(Debug, Default)]
pub(crate) struct Counters {
    pub(crate) delivered: Counter,
    pub(crate) redelivered: Counter,
    pub(crate) duplicates_suppressed: Counter,
    pub(crate) shed: Counter,
    pub(crate) garbled: Counter,
    pub(crate) acks: Counter,
    pub(crate) reconnects: Counter,
    pub(crate) session_rebuilds: Counter,
    pub(crate) slow_consumer_drops: Counter,
}

/// A number that only grows; statistics need no ordering between counters.
#[derive(Debug, Default)]
pub(crate) struct Counter(AtomicU64);

impl Counter {
    pub(crate) fn add(&self, n: u64) {
        self.0.fetch_add(n, Ordering::Relaxed);
    }

    fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

impl Counters {
    pub(crate) fn snapshot(&self) -> Stats {
        Stats {
            delivered: self.delivered.get(),
            redelivered: self.redelivered.get(),
            duplicates_suppressed: self.duplicates_suppressed.get(),
            shed: self.shed.get(),
            garbled: self.garbled.get(),
            acks: self.acks.get(),
            reconnects: self.reconnects.get(),
            session_rebuilds: self.session_rebuilds.get(),
            slow_consumer_drops: self.slow_consumer_drops.get(),
        }
    }
}
