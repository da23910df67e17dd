//! Gauges whose source may be away.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use prometheus::IntGauge;
use prometheus::core::{Collector, Desc};
use prometheus::proto::MetricFamily;

/// A gauge that is absent while its value is unknown: neither the last value, which would be
/// taken for the present one, nor a zero that nobody has measured.
#[derive(Debug, Clone)]
pub(super) struct MeasuredGauge {
    gauge: IntGauge,
    known: Arc<AtomicBool>,
}

impl MeasuredGauge {
    pub(super) fn new(gauge: IntGauge) -> Self {
        Self { gauge, known: Arc::default() }
    }

    /// None while the source does not answer.
    pub(super) fn set(&self, value: Option<u64>) {
        if let Some(value) = value {
            self.gauge.set(i64::try_from(value).unwrap_or(i64::MAX));
        }
        self.known.store(value.is_some(), Ordering::Release);
    }
}

impl Collector for MeasuredGauge {
    fn desc(&self) -> Vec<&Desc> {
        self.gauge.desc()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        if self.known.load(Ordering::Acquire) { self.gauge.collect() } else { Vec::new() }
    }
}
