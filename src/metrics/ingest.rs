//! From the channel into Postgres.

use std::time::Duration;

use order::Reason;
use prometheus::{Histogram, HistogramTimer, IntCounter, IntCounterVec};

use super::Maker;
use super::objectives::{Counted, SETTLED_WITHIN, at_most};
use super::wall_clock::WallClock;
use crate::source::Kind;
use crate::store::Class;

/// Messages by what became of them, and how long that took.
#[derive(Debug)]
pub struct IngestMetrics {
    messages: IntCounterVec,
    taken: IntCounterVec,
    rejected: IntCounterVec,
    errors: IntCounterVec,
    /// Messages that the broker had sent before.
    pub redelivered: IntCounter,
    batch_rows: Histogram,
    batch_duration: Histogram,
    age: Histogram,
    clock: WallClock,
}

impl IngestMetrics {
    pub(super) fn new(maker: &Maker) -> Self {
        let messages = maker.counters(
            "ingest_messages_total",
            "Messages by what became of them; kept means not acknowledged",
            &["result"],
        );
        let taken = maker.counters(
            "ingest_taken_messages_total",
            "Messages taken by writers, by where they are from",
            &["source"],
        );
        for source in Kind::ALL {
            taken.with_label_values(&[source.label()]);
        }
        let rejected =
            maker.counters("ingest_rejected_total", "Messages kept as rejects", &["reason"]);
        let errors =
            maker.counters("ingest_errors_total", "Writes that Postgres did not do", &["class"]);
        for result in ["stored", "duplicate", "conflict", "refused", "erased", "kept"] {
            messages.with_label_values(&[result]);
        }
        for reason in Reason::ALL {
            rejected.with_label_values(&[reason.as_str()]);
        }
        for class in Class::ALL {
            errors.with_label_values(&[class.as_str()]);
        }
        Self {
            messages,
            taken,
            rejected,
            errors,
            redelivered: maker
                .counter("ingest_redelivered_total", "Messages that the broker had sent before"),
            batch_rows: maker.histogram(
                "ingest_batch_rows",
                "Messages in a batch",
                &[1.0, 5.0, 20.0, 50.0, 100.0, 200.0, 500.0, 1000.0, 10_000.0],
            ),
            batch_duration: maker.histogram(
                "ingest_batch_duration_seconds",
                "From taking a batch to its last verdict",
                &[0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0, 30.0],
            ),
            age: maker.histogram(
                "ingest_end_to_end_seconds",
                "From the broker's storing a message to our acknowledging it",
                &[0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 5.0, 10.0, 60.0, 600.0],
            ),
            clock: WallClock::default(),
        }
    }

    /// Counts a batch of this source and times it until the timer is told to stop.
    #[expect(clippy::cast_precision_loss, reason = "a batch has at most ten thousand rows")]
    pub fn start_batch(&self, source: Kind, rows: usize) -> HistogramTimer {
        self.taken.with_label_values(&[source.label()]).inc_by(rows as u64);
        self.batch_rows.observe(rows as f64);
        self.batch_duration.start_timer()
    }

    /// Counts a message by its result: `stored`, `duplicate`, `conflict`, `refused`, `erased` or
    /// `kept`.
    /// `reason` is that of a reject.
    pub fn count(&self, result: &'static str, reason: Option<Reason>) {
        self.messages.with_label_values(&[result]).inc();
        if let Some(reason) = reason {
            self.rejected.with_label_values(&[reason.as_str()]).inc();
        }
    }

    /// Counts a write that failed.
    pub fn count_error(&self, class: Class) {
        self.errors.with_label_values(&[class.as_str()]).inc();
    }

    /// Messages that were settled in time, and all that were.
    pub(super) fn in_time(&self) -> Counted {
        at_most(&self.age, SETTLED_WITHIN)
    }

    /// Notes how old a message is; `stored_at` in nanoseconds since 1970, by the broker's clock.
    pub fn observe_age(&self, stored_at: i64) {
        let stored_at = Duration::from_nanos(u64::try_from(stored_at).unwrap_or(0));
        // Two clocks may disagree by a little; no message is younger than nothing.
        self.age.observe(self.clock.now().saturating_sub(stored_at).as_secs_f64());
    }
}
