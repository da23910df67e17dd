//! Counters of a queue.

use std::sync::atomic::{AtomicU64, Ordering};

/// The counters since the queue was made; each only grows.
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
    /// Acknowledgements given to the client to send.
    pub acks: u64,
}

/// The live side of [`Stats`].
#[derive(Debug, Default)]
pub struct Counters {
    pub(crate) delivered: Counter,
    pub(crate) redelivered: Counter,
    pub(crate) duplicates_suppressed: Counter,
    pub(crate) shed: Counter,
    /// Deliveries that could not be decoded; counted by whoever decodes.
    pub garbled: Counter,
    pub(crate) acks: Counter,
}

/// A number that only grows; statistics need no ordering between counters.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// Counts `n` more.
    pub fn add(&self, n: u64) {
        self.0.fetch_add(n, Ordering::Relaxed);
    }

    /// What was counted so far.
    #[must_use]
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

impl Counters {
    /// All of them now.
    #[must_use]
    pub fn snapshot(&self) -> Stats {
        Stats {
            delivered: self.delivered.get(),
            redelivered: self.redelivered.get(),
            duplicates_suppressed: self.duplicates_suppressed.get(),
            shed: self.shed.get(),
            garbled: self.garbled.get(),
            acks: self.acks.get(),
        }
    }
}
