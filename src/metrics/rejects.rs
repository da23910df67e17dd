//! What could not become an order and is kept in Postgres.

use prometheus::{IntCounter, IntGauge};

use super::Maker;
use crate::store::RejectsMeasured;

/// All replicas measure the same table, so take the maximum over them, not the sum.
#[derive(Debug)]
pub struct RejectsMetrics {
    kept: IntGauge,
    bytes: IntGauge,
    limit: IntGauge,
    alarm: IntGauge,
    /// Rejects this replica deleted because of their age.
    pub expired: IntCounter,
}

impl RejectsMetrics {
    pub(super) fn new(maker: &Maker) -> Self {
        Self {
            kept: maker.gauge("rejects_kept", "Rejects kept in Postgres; many are an estimate"),
            bytes: maker.gauge("rejects_bytes", "Their payloads; many are an estimate"),
            limit: maker.gauge("rejects_alarm_bytes", "Payloads over which the alarm is raised"),
            alarm: maker.gauge("rejects_alarm", "1 while the payloads are over that"),
            expired: maker.counter(
                "rejects_expired_total",
                "Rejects deleted because they were older than rejects.keep_for",
            ),
        }
    }

    /// Notes what was measured, and whether that is too much.
    pub fn set(&self, measured: RejectsMeasured, limit_bytes: u64, alarm: bool) {
        for (gauge, value) in [
            (&self.kept, measured.rows),
            (&self.bytes, measured.bytes),
            (&self.limit, limit_bytes),
            (&self.alarm, alarm.into()),
        ] {
            gauge.set(i64::try_from(value).unwrap_or(i64::MAX));
        }
    }
}
