//! Traces on their way to the collector.

use prometheus::IntCounter;

use super::Maker;
use crate::telemetry;

/// Read off the process's own count when the metrics are.
#[derive(Debug)]
pub(super) struct TraceMetrics {
    dropped: IntCounter,
}

impl TraceMetrics {
    pub(super) fn new(maker: &Maker) -> Self {
        Self {
            dropped: maker.counter(
                "trace_spans_dropped_total",
                "Spans of sampled traces that could not be sent to the collector",
            ),
        }
    }

    pub(super) fn refresh(&self) {
        // The process's count is the truth; two scrapes at once may only be late.
        self.dropped.inc_by(telemetry::dropped_spans().saturating_sub(self.dropped.get()));
    }
}
