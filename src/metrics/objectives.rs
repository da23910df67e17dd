//! How well the objectives were met, by what was counted since the start.

use prometheus::Histogram;
use prometheus::core::Metric as _;

use super::Metrics;

/// So many, of so many.
pub type Counted = (u64, u64);

/// In which time a lookup is to be answered, in seconds; a bound of its histogram.
pub(super) const LOOKUP_WITHIN: f64 = 0.01;

/// In which time a message is to be settled, in seconds; a bound of its histogram.
pub(super) const SETTLED_WITHIN: f64 = 2.0;

impl Metrics {
    /// Lookups answered within 10 ms, and all lookups. Those in memory take microseconds and count
    /// as in time; an answer of "cannot tell" is none.
    #[must_use]
    pub fn lookups_in_time(&self) -> Counted {
        let hits = self.cache.hits.get();
        let (in_time, misses) = self.lookup.in_time();
        (hits + in_time, hits + misses)
    }

    /// Messages settled within 2 s of being published, and all that are settled.
    #[must_use]
    pub fn messages_in_time(&self) -> Counted {
        self.ingest.in_time()
    }

    /// Requests for orders that failed, and all of them.
    #[must_use]
    pub fn requests_failed(&self) -> Counted {
        self.http.failed()
    }
}

/// What was at most `bound`, and all that was observed; none in time if the histogram has no such
/// bound.
pub(super) fn at_most(histogram: &Histogram, bound: f64) -> Counted {
    let metric = histogram.metric();
    let histogram = metric.get_histogram();
    let mut buckets = histogram.get_bucket().iter();
    let bucket = buckets.find(|bucket| (bucket.upper_bound() - bound).abs() < f64::EPSILON);
    (bucket.map_or(0, prometheus::proto::Bucket::cumulative_count), histogram.get_sample_count())
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, SystemTime, UNIX_EPOCH};

    use ::http::{Method, StatusCode};

    use super::*;

    #[test]
    fn lookups_count_when_they_are_answered_and_in_time() {
        let metrics = Metrics::new();
        metrics.cache.hits.inc_by(5);
        for (result, millis) in
            [("found", 9), ("found", 11), ("absent", 2), ("absent", 200), ("cannot_tell", 1)]
        {
            metrics.lookup.observe(result, Duration::from_millis(millis));
        }
        assert_eq!(metrics.lookups_in_time(), (7, 10));
    }

    #[test]
    fn messages_count_by_their_age_when_they_are_settled() {
        let metrics = Metrics::new();
        let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970");
        for millis in [0, 1_900, 2_100, 60_000] {
            let stored_at = now.checked_sub(Duration::from_millis(millis)).expect("after 1970");
            metrics.ingest.observe_age(i64::try_from(stored_at.as_nanos()).expect("before 2262"));
        }
        assert_eq!(metrics.messages_in_time(), (2, 4));
    }

    #[test]
    fn requests_for_orders_fail_by_their_status() {
        let metrics = Metrics::new();
        metrics.http.lookup_hit.inc_by(3);
        for (route, status) in [
            ("order_api", StatusCode::NOT_FOUND),
            ("order_api", StatusCode::SERVICE_UNAVAILABLE),
            ("order_page", StatusCode::INTERNAL_SERVER_ERROR),
            ("static", StatusCode::SERVICE_UNAVAILABLE),
        ] {
            metrics.http.observe(&Method::GET, route, status, Duration::ZERO);
        }
        assert_eq!(metrics.requests_failed(), (2, 6));
    }
}
