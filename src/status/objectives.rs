//! How well the objectives were met.

use serde::{Deserialize, Serialize};

/// The objectives of the service, by what this replica has counted since it started.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Objectives {
    /// Of all lookups of orders, those answered within 10 ms with a 200, a 304 or a 404.
    pub lookups_answered_within_10_ms: Share,
    /// Of all messages that are settled, those settled within 2 s of being published: their
    /// orders are then in memory, and in Postgres for every other replica.
    pub messages_settled_within_2_s: Share,
    /// Of all requests for orders, those that failed: answered with a status of 500 or higher.
    pub requests_failed: Share,
}

/// So many of so many.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Share {
    /// How many are meant.
    pub count_total: u64,
    /// Of how many.
    pub of_total: u64,
    /// The one divided by the other, 0 to 1; `null` of none.
    pub ratio: Option<f64>,
}

impl Share {
    /// So many of so many.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "a ratio needs no more than 52 bits")]
    pub fn new(count_total: u64, of_total: u64) -> Self {
        let ratio = (of_total > 0).then(|| count_total as f64 / of_total as f64);
        Self { count_total, of_total, ratio }
    }
}
