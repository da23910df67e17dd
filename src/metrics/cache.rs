//! Orders in memory, and the lookups that were not.

use std::time::Duration;

use prometheus::{Gauge, HistogramVec, IntCounter, IntGauge};

use super::Maker;
use super::objectives::{Counted, LOOKUP_WITHIN, at_most};
use crate::health::Health;

/// How much is in memory at one moment.
#[derive(Debug, Clone, Copy)]
pub struct CacheSize {
    /// How many orders are in memory.
    pub entries: u64,
    /// Bytes of the orders, overhead included.
    pub bytes: u64,
    /// The most that `bytes` may be (`cache.max_bytes`).
    pub max_bytes: u64,
    /// How many orders are known to be erased.
    pub erased: u64,
    /// How long ago all that was erased was known; since the start if it never was.
    pub erasures_age: Duration,
}

/// Metrics of orders in memory, of the warm-up and of following.
#[derive(Debug)]
pub struct CacheMetrics {
    /// Lookups answered from memory.
    pub hits: IntCounter,
    /// Lookups that had to ask Postgres.
    pub misses: IntCounter,
    /// Orders that other replicas stored and this one read.
    pub followed: IntCounter,
    /// Rounds of following that left older orders out.
    pub follow_skipped: IntCounter,
    entries: IntGauge,
    bytes: IntGauge,
    max_bytes: IntGauge,
    erased: IntGauge,
    erasures_age: Gauge,
    warmed: IntGauge,
    warmup_progress: Gauge,
    warmup_duration: Gauge,
    warmup_rows: IntCounter,
}

impl CacheMetrics {
    pub(super) fn new(maker: &Maker) -> Self {
        Self {
            hits: maker.counter("cache_hits_total", "Lookups answered from memory"),
            misses: maker.counter("cache_misses_total", "Lookups that had to ask Postgres"),
            followed: maker.counter("cache_followed_total", "Orders of other replicas read"),
            follow_skipped: maker.counter(
                "cache_follow_skipped_total",
                "Rounds of following that left older orders to be read when asked for",
            ),
            entries: maker.gauge("cache_entries", "Orders in memory"),
            bytes: maker.gauge("cache_bytes", "Bytes of the orders in memory, overhead included"),
            max_bytes: maker.gauge("cache_max_bytes", "The bound on cache_bytes"),
            erased: maker.gauge("cache_erased_orders", "Erased orders known, which are kept out of memory"),
            erasures_age: maker.float_gauge(
                "cache_erasures_age_seconds",
                "How long ago Postgres was last asked what is erased; since the start if it never was",
            ),
            warmed: maker.gauge("cache_warmed", "1 when the warm-up is over"),
            warmup_progress: maker
                .float_gauge("cache_warmup_progress_ratio", "Share of the table that was read"),
            warmup_duration: maker
                .float_gauge("cache_warmup_duration_seconds", "How long the warm-up took"),
            warmup_rows: maker.counter("cache_warmup_rows_total", "Orders read by the warm-up"),
        }
    }

    /// Notes the end of a warm-up.
    pub fn warmed(&self, rows: u64, took: Duration) {
        self.warmup_rows.inc_by(rows);
        self.warmup_duration.set(took.as_secs_f64());
    }

    /// Orders read by the warm-up and how long it took; none before its end.
    #[must_use]
    pub fn warm_up(&self) -> Option<(u64, Duration)> {
        let took = Duration::from_secs_f64(self.warmup_duration.get());
        (!took.is_zero()).then(|| (self.warmup_rows.get(), took))
    }

    pub(super) fn refresh(&self, size: CacheSize, health: &Health) {
        let whole = |n: u64| i64::try_from(n).unwrap_or(i64::MAX);
        self.entries.set(whole(size.entries));
        self.bytes.set(whole(size.bytes));
        self.max_bytes.set(whole(size.max_bytes));
        self.erased.set(whole(size.erased));
        self.erasures_age.set(size.erasures_age.as_secs_f64());
        self.warmed.set(health.is_warm().into());
        self.warmup_progress.set(health.warm_ratio());
    }
}

/// The last is no answer.
const RESULTS: [&str; 4] = ["found", "absent", "erased", "cannot_tell"];

/// How long lookups took that asked Postgres, by result.
#[derive(Debug)]
pub struct LookupMetrics {
    duration: HistogramVec,
}

impl LookupMetrics {
    pub(super) fn new(maker: &Maker) -> Self {
        let duration = maker.histograms(
            "lookup_duration_seconds",
            "How long a lookup that was not in memory took",
            "result",
            &[0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.1, 0.5, 1.0, 2.5],
        );
        for result in RESULTS {
            duration.with_label_values(&[result]);
        }
        Self { duration }
    }

    /// Lookups that were answered in time, and all of them.
    pub(super) fn in_time(&self) -> Counted {
        let counted = RESULTS.map(|result| {
            let duration = self.duration.with_label_values(&[result]);
            let (in_time, all) = at_most(&duration, LOOKUP_WITHIN);
            (if result == "cannot_tell" { 0 } else { in_time }, all)
        });
        counted.into_iter().fold((0, 0), |sum, counted| (sum.0 + counted.0, sum.1 + counted.1))
    }

    /// Notes how a lookup ended: `found`, `absent`, `erased` or `cannot_tell`.
    pub fn observe(&self, result: &'static str, took: Duration) {
        self.duration.with_label_values(&[result]).observe(took.as_secs_f64());
    }
}
