//! What could not become an order and is kept in Postgres.

use prometheus::IntCounter;

use super::{Maker, MeasuredGauge};
use crate::store::RejectsMeasured;

/// All replicas measure the same table, so take the maximum over them, not the sum.
#[derive(Debug)]
pub struct RejectsMetrics {
    kept: MeasuredGauge,
    bytes: MeasuredGauge,
    limit: MeasuredGauge,
    alarm: MeasuredGauge,
    /// Rejects this replica deleted because of their age.
    pub expired: IntCounter,
}

impl RejectsMetrics {
    pub(super) fn new(maker: &Maker) -> Self {
        Self {
            kept: maker.measured("rejects_kept", "Rejects kept in Postgres; many are an estimate"),
            bytes: maker.measured("rejects_bytes", "Their payloads; many are an estimate"),
            limit: maker.measured("rejects_alarm_bytes", "Payloads over which the alarm is raised"),
            alarm: maker.measured("rejects_alarm", "1 while the payloads are over that"),
            expired: maker.counter(
                "rejects_expired_total",
                "Rejects deleted because they were older than rejects.keep_for",
            ),
        }
    }

    /// Notes what was measured, and whether that is too much.
    pub fn set(&self, measured: RejectsMeasured, limit_bytes: u64, alarm: bool) {
        self.kept.set(Some(measured.rows));
        self.bytes.set(Some(measured.bytes));
        self.limit.set(Some(limit_bytes));
        self.alarm.set(Some(alarm.into()));
    }

    /// Notes that Postgres could not be asked.
    pub fn unknown(&self) {
        self.kept.set(None);
        self.bytes.set(None);
        self.alarm.set(None);
    }
}
