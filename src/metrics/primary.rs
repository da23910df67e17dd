//! Changes of the primary of Postgres, and the repairs after them.

use prometheus::{IntCounter, IntCounterVec, IntGauge};

use super::Maker;

/// Changes of the primary, and repairs.
#[derive(Debug)]
pub struct PrimaryMetrics {
    /// Times that Postgres was another primary than before.
    pub changes: IntCounter,
    /// 1 while a repair is not finished.
    pub repair_pending: IntGauge,
    /// Messages put back, by what they became.
    pub restored: IntCounterVec,
    /// Orders that were in memory and that Postgres lacks, also after a repair.
    pub lost: IntCounter,
}

impl PrimaryMetrics {
    pub(super) fn new(maker: &Maker) -> Self {
        let restored = maker.counters(
            "repair_restored_total",
            "Messages that a new primary lacked, put back by what they became",
            &["kind"],
        );
        for kind in ["order", "reject"] {
            restored.with_label_values(&[kind]);
        }
        Self {
            restored,
            changes: maker.counter(
                "db_primary_changes_total",
                "Times that Postgres was another primary than before",
            ),
            repair_pending: maker
                .gauge("repair_pending", "1 while what a new primary may lack is not put back yet"),
            lost: maker.counter(
                "db_lost_orders_total",
                "Orders that this replica had in memory and a new primary lacks, also after a repair",
            ),
        }
    }
}
