//! What many results come to.

use std::collections::BTreeMap;

use serde::{Serialize, Serializer};

use super::failures::Failures;
use super::numbers;

/// What is kept of a result: 24 bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sample {
    /// When it was sent, in nanoseconds since 1970.
    pub start: i64,
    /// From then to the end of the answer, in nanoseconds.
    pub latency: u64,
    /// The status of the answer; 0 without one.
    pub code: u16,
    /// The kind of its failure; 0 for a success.
    pub failure: u16,
    /// The file that it was read from, by its number in the stage.
    pub file: u16,
}

/// How long answers took, in nanoseconds; those of failures count too. In JSON they are seconds.
///
/// Percentiles are exact, by nearest rank: p99 is the smallest latency that at least 99 % of the
/// requests did not exceed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct Latencies {
    /// The arithmetic mean.
    #[serde(serialize_with = "as_seconds")]
    pub mean: u64,
    /// The median.
    #[serde(serialize_with = "as_seconds")]
    pub p50: u64,
    /// The 90th percentile.
    #[serde(serialize_with = "as_seconds")]
    pub p90: u64,
    /// The 95th percentile.
    #[serde(serialize_with = "as_seconds")]
    pub p95: u64,
    /// The 99th percentile.
    #[serde(serialize_with = "as_seconds")]
    pub p99: u64,
    /// The 99.9th percentile.
    #[serde(rename = "p99.9", serialize_with = "as_seconds")]
    pub p999: u64,
    /// The longest.
    #[serde(serialize_with = "as_seconds")]
    pub max: u64,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands a reference")]
fn as_seconds<S: Serializer>(nanoseconds: &u64, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_f64(numbers::seconds(*nanoseconds))
}

impl Latencies {
    /// Of these, in nanoseconds; all 0 if there are none.
    #[must_use]
    pub fn of(mut latencies: Vec<u64>) -> Self {
        latencies.sort_unstable();
        let count = latencies.len() as u128;
        let sum: u128 = latencies.iter().copied().map(u128::from).sum();
        let percentile = |per_mille| nearest_rank(&latencies, per_mille);
        Self {
            mean: sum.checked_div(count).and_then(|mean| u64::try_from(mean).ok()).unwrap_or(0),
            p50: percentile(500),
            p90: percentile(900),
            p95: percentile(950),
            p99: percentile(990),
            p999: percentile(999),
            max: percentile(1000),
        }
    }
}

/// The smallest of the sorted `latencies` that so many thousandths do not exceed.
fn nearest_rank(latencies: &[u64], per_mille: usize) -> u64 {
    let rank = (latencies.len() * per_mille).div_ceil(1000);
    latencies.get(rank.saturating_sub(1)).copied().unwrap_or(0)
}

/// What the results of a stage, or of a part of it, come to.
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
pub struct Statistics {
    /// How many requests were sent.
    pub requests: u64,
    /// How many of them were answered rightly.
    pub successes: u64,
    /// The share of the latter.
    pub success: f64,
    /// Requests sent a second, from the first to the last: the sum over files, whose attacks may
    /// have begun a little after one another.
    pub got: f64,
    /// Right answers a second, from the first request to the last answer: the same sum.
    pub throughput: f64,
    /// How long answers took.
    pub latency_seconds: Latencies,
    /// How many answers had which status; 0 stands for no answer.
    pub status_codes: BTreeMap<u16, u64>,
    /// How many failures were of which kind.
    pub failures: BTreeMap<String, u64>,
    /// When the first request was sent, in nanoseconds since 1970.
    pub start: i64,
    /// When the last answer had come, in nanoseconds since 1970.
    pub end: i64,
}

/// What one vegeta sent: the results of a file.
struct Attack {
    requests: u64,
    successes: u64,
    /// When its first and its last request were sent, and when the last answer had come.
    start: i64,
    last: i64,
    end: i64,
}

impl Default for Attack {
    fn default() -> Self {
        Self { requests: 0, successes: 0, start: i64::MAX, last: i64::MIN, end: i64::MIN }
    }
}

impl Attack {
    fn count(&mut self, sample: &Sample) {
        self.requests += 1;
        self.successes += u64::from(sample.failure == 0);
        self.start = self.start.min(sample.start);
        self.last = self.last.max(sample.start);
        self.end = self.end.max(sample.start.saturating_add_unsigned(sample.latency));
    }
}

impl Statistics {
    /// Of these results.
    #[must_use]
    pub fn of<'a>(samples: impl Iterator<Item = &'a Sample>, kinds: &Failures) -> Self {
        let mut all = Self { start: i64::MAX, end: i64::MIN, ..Self::default() };
        let mut latencies = Vec::new();
        let mut attacks: BTreeMap<u16, Attack> = BTreeMap::new();
        let mut failures: BTreeMap<u16, u64> = BTreeMap::new();
        for sample in samples {
            latencies.push(sample.latency);
            attacks.entry(sample.file).or_default().count(sample);
            *all.status_codes.entry(sample.code).or_default() += 1;
            if sample.failure != 0 {
                *failures.entry(sample.failure).or_default() += 1;
            }
        }
        if latencies.is_empty() {
            return Self::default();
        }
        for attack in attacks.values() {
            all.requests += attack.requests;
            all.successes += attack.successes;
            all.got += numbers::per_second(attack.requests, attack.last.abs_diff(attack.start));
            all.throughput += numbers::float(attack.successes)
                / numbers::seconds(attack.end.abs_diff(attack.start).max(1));
            all.start = all.start.min(attack.start);
            all.end = all.end.max(attack.end);
        }
        all.success = numbers::ratio(all.successes, all.requests);
        all.latency_seconds = Latencies::of(latencies);
        for (kind, count) in failures {
            *all.failures.entry(kinds.name(kind).to_owned()).or_default() += count;
        }
        all
    }

    /// How many requests were not answered rightly.
    #[must_use]
    pub fn failed(&self) -> u64 {
        self.requests - self.successes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_by_nearest_rank() {
        let hundred = Latencies::of((1..=100).rev().collect());
        assert_eq!(hundred.p50, 50);
        assert_eq!((hundred.p90, hundred.p95, hundred.p99), (90, 95, 99));
        assert_eq!((hundred.p999, hundred.max, hundred.mean), (100, 100, 50));
        let three = Latencies::of(vec![30, 10, 20]);
        assert_eq!((three.p50, three.p90, three.p99, three.max), (20, 30, 30, 30));
        assert_eq!(Latencies::of(vec![7]).p50, 7);
        assert_eq!(Latencies::of(Vec::new()), Latencies::default());
        let Latencies { p50, p99, max, .. } = Latencies::of((1..=200).collect());
        assert_eq!((p50, p99, max), (100, 198, 200), "times that were measured");
        let thousand = Latencies::of((1..=10_000).collect());
        assert_eq!(thousand.p999, 9_990);
    }

    #[test]
    fn rates_are_of_the_time_in_which_was_sent_and_answered() {
        let sample = |at: i64, failure| Sample {
            start: at * 1_000_000,
            latency: 500_000_000,
            code: if failure == 0 { 200 } else { 0 },
            failure,
            file: 0,
        };
        let samples: Vec<Sample> = (0..101).map(|number| sample(number * 10, 0)).collect();
        let statistics = Statistics::of(samples.iter(), &Failures::default());
        assert!((statistics.got - 100.0).abs() < 1e-9, "{statistics:?}");
        assert!((statistics.throughput - 101.0 / 1.5).abs() < 1e-9, "{statistics:?}");
        assert_eq!(statistics.status_codes, BTreeMap::from([(200, 101)]));
        // Another that began half a second later.
        let later = (50..151).map(|number| Sample { file: 1, ..sample(number * 10, 0) });
        let both: Vec<Sample> = samples.iter().copied().chain(later).collect();
        let both = Statistics::of(both.iter(), &Failures::default());
        assert!((both.got - 200.0).abs() < 1e-9, "{both:?}");
        assert!((both.throughput - 202.0 / 1.5).abs() < 1e-9, "{both:?}");
        assert_eq!((both.start, both.end), (0, 2_000_000_000));
        let half = [sample(0, 0), sample(1, 9)];
        let half = Statistics::of(half.iter(), &Failures::default());
        assert_eq!((half.requests, half.successes, half.failed()), (2, 1, 1));
        assert_eq!(half.failures.len(), 1);
        assert_eq!(Statistics::of([].iter(), &Failures::default()), Statistics::default());
    }
}
