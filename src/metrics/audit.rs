//! The audit log.

use prometheus::IntCounter;

use super::Maker;

/// What became of records.
#[derive(Debug)]
pub struct AuditMetrics {
    /// Records that were written.
    pub written: IntCounter,
    /// Records that were lost, with `audit.on_overflow = drop`.
    pub dropped: IntCounter,
    /// Requests that were refused because they could not be recorded.
    pub refused: IntCounter,
    /// Attempts to write that failed.
    pub write_failures: IntCounter,
}

impl AuditMetrics {
    pub(super) fn new(maker: &Maker) -> Self {
        let records = maker.counters(
            "audit_records_total",
            "Records of the audit log: written, dropped because too many waited, or refused with \
             the request that they tell of",
            &["result"],
        );
        let record = |result| records.with_label_values(&[result]);
        Self {
            written: record("written"),
            dropped: record("dropped"),
            refused: record("refused"),
            write_failures: maker.counter(
                "audit_write_failures_total",
                "Attempts to write the audit log that failed; each is repeated",
            ),
        }
    }
}
