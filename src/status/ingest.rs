//! What a replica does: batches of messages, and orders in memory.

use serde::{Deserialize, Serialize};

/// A batch of messages that were settled.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Batch {
    /// When the last of them was settled.
    pub ended_at: String,
    /// From taking the batch to its last verdict.
    pub duration_seconds: f64,
    /// How many messages it had: the sum of the following.
    pub messages: u64,
    /// New orders.
    pub stored_messages: u64,
    /// The same order once more.
    pub duplicate_messages: u64,
    /// Other orders under an id that is taken.
    pub conflict_messages: u64,
    /// Kept as rejects because they are no orders.
    pub refused_messages: u64,
    /// Orders that were erased before, and are not stored again.
    pub erased_messages: u64,
    /// Not acknowledged; they come again.
    pub kept_messages: u64,
}

/// Orders in memory.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Cache {
    /// How many orders are in memory.
    pub orders: u64,
    /// What they take, overhead included.
    pub bytes: u64,
    /// The most that `bytes` may be (`cache.max_bytes`).
    pub max_bytes: u64,
    /// Lookups answered from memory.
    pub hits_total: u64,
    /// Lookups that had to ask Postgres.
    pub misses_total: u64,
    /// Share of the lookups that were hits, 0 to 1; `null` before the first.
    pub hit_ratio: Option<f64>,
    /// Filling it at the start.
    pub warm_up: WarmUp,
    /// Reading what other replicas store.
    pub following: Following,
}

/// Filling the cache at the start.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct WarmUp {
    /// Whether it is wanted (`cache.warm_up`).
    pub enabled: bool,
    /// Share of the table that was read, 0 to 1.
    pub progress_ratio: f64,
    /// Orders it read; `null` until it is over.
    pub rows: Option<u64>,
    /// How long it took; `null` until it is over.
    pub duration_seconds: Option<f64>,
}

/// Reading what other replicas store.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Following {
    /// Time between two looks (`cache.follow_interval`); 0 for none.
    pub interval_seconds: f64,
    /// Orders of other replicas read.
    pub orders_total: u64,
    /// Looks that left older orders to be read when asked for.
    pub skipped_total: u64,
}
