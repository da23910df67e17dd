//! How long published orders took until they were served: `ingest-RATE.ndjson`.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufRead as _, BufReader};
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::numbers;
use super::slo::Slo;
use super::stage::{Breach, breaches, is_too_few, verdict};
use super::statistics::Latencies;

/// A line of the file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged, deny_unknown_fields)]
pub enum Line {
    /// What became of an order.
    Order(Order),
    /// The last line, without which the file is cut short: that these were all.
    End {
        /// Whether that is so.
        complete: bool,
        /// How many orders there were.
        orders: u64,
    },
}

/// What became of an order. All times are in nanoseconds since 1970.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Order {
    /// When it was published.
    pub sent: i64,
    /// When the broker's confirmation was there.
    pub confirmed: Option<i64>,
    /// When the service's first answer with it was there.
    pub served: Option<i64>,
    /// Why it was not confirmed or not served; the same words for the same cause.
    pub error: Option<String>,
}

impl Order {
    /// The time from publishing to `moment`, in nanoseconds: a clock that was set back meanwhile
    /// must not make a century of it.
    #[must_use]
    pub fn since_sent(&self, moment: i64) -> u64 {
        u64::try_from(moment.saturating_sub(self.sent)).unwrap_or(0)
    }
}

/// What the orders published at one rate came to.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct IngestStage {
    /// Orders a second that were to be published.
    pub rate: u32,
    /// Orders published.
    pub orders: u64,
    /// How many of them the broker confirmed.
    pub confirmed: u64,
    /// How many of them were served.
    pub served: u64,
    /// The share of the latter.
    pub success: f64,
    /// Orders published a second, from the first to the last.
    pub got: f64,
    /// From publishing to 200, of those that were served.
    pub latency_seconds: Latencies,
    /// From publishing to the broker's confirmation, of those that were confirmed.
    pub confirm_latency_seconds: Latencies,
    /// How many failures were of which kind.
    pub failures: BTreeMap<String, u64>,
    /// What is broken; nothing if it kept the objectives.
    pub breaches: Vec<Breach>,
    /// Whether the whole file could be read.
    pub complete: bool,
}

impl IngestStage {
    /// Reads a file. What cannot be read is added to `problems`.
    #[must_use]
    pub fn read(rate: u32, path: &Path, slo: &Slo, problems: &mut Vec<String>) -> Self {
        let mut orders = Orders::default();
        let read = orders.read(path);
        let complete = read.is_ok();
        if let Err(problem) = read {
            problems.push(format!("{}: {problem}", path.display()));
        }
        let got = numbers::per_second(orders.sent, orders.last.abs_diff(orders.first));
        let served = orders.served.len() as u64;
        let mut stage = Self {
            rate,
            orders: orders.sent,
            confirmed: orders.confirmed.len() as u64,
            served,
            success: numbers::ratio(served, orders.sent),
            got,
            latency_seconds: Latencies::of(orders.served),
            confirm_latency_seconds: Latencies::of(orders.confirmed),
            failures: orders.failures,
            breaches: Vec::new(),
            complete,
        };
        if stage.orders > 0 {
            stage.breaches = stage.judge(slo);
        }
        stage
    }

    fn judge(&self, slo: &Slo) -> Vec<Breach> {
        let mut breaches = breaches(slo, (self.served, self.orders), &self.latency_seconds);
        if is_too_few(self.rate, self.got) {
            let (got, rate) = (numbers::rate(self.got), numbers::rate(f64::from(self.rate)));
            let text = format!("{got} orders a second were published, of {rate} asked for");
            breaches.push(Breach { what: "too few", text });
        }
        breaches
    }

    /// Whether it published what it was asked to and kept the objectives.
    #[must_use]
    pub fn is_kept(&self) -> bool {
        self.complete && self.breaches.is_empty()
    }

    /// The verdict in a word or two.
    #[must_use]
    pub fn verdict(&self) -> String {
        verdict(self.complete, &self.breaches)
    }
}

/// What was read so far.
#[derive(Debug, Default)]
struct Orders {
    sent: u64,
    first: i64,
    last: i64,
    confirmed: Vec<u64>,
    served: Vec<u64>,
    failures: BTreeMap<String, u64>,
}

impl Orders {
    fn read(&mut self, path: &Path) -> Result<(), String> {
        let file = File::open(path).map_err(|error| error.to_string())?;
        let mut ended = false;
        for (number, line) in (1..).zip(BufReader::new(file).lines()) {
            let line = line.map_err(|error| error.to_string())?;
            if ended {
                return Err(format!("line {number} stands behind the end"));
            }
            match serde_json::from_str(&line) {
                Ok(Line::Order(order)) => self.add(&order),
                Ok(Line::End { complete: true, orders }) if orders == self.sent => ended = true,
                Ok(Line::End { orders, .. }) => {
                    return Err(format!("ends with {} orders, of {orders}", self.sent));
                }
                Err(_) => return Err(format!("line {number} is no order of an ingest run")),
            }
        }
        match (ended, self.sent) {
            (false, orders) => Err(format!("ends within the run, after {orders} orders")),
            (true, 0) => Err("holds no orders".to_owned()),
            _ => Ok(()),
        }
    }

    fn add(&mut self, order: &Order) {
        let sent = order.sent;
        if self.sent == 0 {
            (self.first, self.last) = (sent, sent);
        }
        self.sent += 1;
        (self.first, self.last) = (self.first.min(sent), self.last.max(sent));
        self.confirmed.extend(order.confirmed.map(|moment| order.since_sent(moment)));
        match (order.served, order.error.as_deref()) {
            (Some(served), None) => self.served.push(order.since_sent(served)),
            (_, error) => {
                let kind = error.unwrap_or("not served").to_owned();
                *self.failures.entry(kind).or_default() += 1;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fmt::Write as _;
    use std::fs;

    use super::*;

    fn read(text: &str) -> (IngestStage, Vec<String>) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("ingest-10.ndjson");
        fs::write(&path, text).unwrap();
        let mut problems = Vec::new();
        let slo = "success>=1,p99<=2s".parse().unwrap();
        let stage = IngestStage::read(10, &path, &slo, &mut problems);
        (stage, problems)
    }

    fn run(orders: i64) -> String {
        (0..orders).fold(String::new(), |mut text, order| {
            let sent = 1_700_000_000_000_000_000 + order * 100_000_000;
            let (confirmed, served) = (sent + 1_000_000, sent + 20_000_000);
            let error = if order == 7 { "\"timeout\"" } else { "null" };
            let served = if order == 7 { "null".to_owned() } else { served.to_string() };
            writeln!(
                text,
                "{{\"sent\":{sent},\"confirmed\":{confirmed},\"served\":{served},\"error\":{error}}}"
            )
            .unwrap();
            text
        })
    }

    #[test]
    fn the_time_from_publish_to_200_is_measured() {
        let (stage, problems) = read(&(run(5) + "{\"complete\":true,\"orders\":5}\n"));
        assert!(problems.is_empty() && stage.is_kept(), "{problems:?} {stage:?}");
        assert_eq!((stage.orders, stage.confirmed, stage.served), (5, 5, 5));
        assert_eq!(stage.latency_seconds.p99, 20_000_000);
        assert_eq!(stage.confirm_latency_seconds.max, 1_000_000);
        assert!((stage.got - 10.0).abs() < 1e-9);
    }

    #[test]
    fn one_that_is_not_served_breaks_the_objective() {
        let (stage, problems) = read(&(run(10) + "{\"complete\":true,\"orders\":10}\n"));
        assert!(problems.is_empty(), "{problems:?}");
        assert_eq!(stage.verdict(), "broken: success");
        assert_eq!(stage.failures, BTreeMap::from([("timeout".to_owned(), 1)]));
    }

    #[test]
    fn a_file_that_is_not_whole_is_noticed() {
        let end = "{\"complete\":true,\"orders\":5}\n";
        for (text, said) in [
            (run(5), "ends within the run, after 5 orders"),
            (run(4) + end, "ends with 4 orders, of 5"),
            (run(5) + "{\"complete\":false,\"orders\":5}\n", "ends with 5 orders, of 5"),
            (run(5) + "{\"sent\":12", "line 6 is no order"),
            (run(5) + end + &run(1), "line 7 stands behind the end"),
            (String::new(), "after 0 orders"),
            ("{\"complete\":true,\"orders\":0}\n".to_owned(), "holds no orders"),
        ] {
            let (stage, problems) = read(&text);
            assert!(!stage.complete && problems[0].contains(said), "{said}: {problems:?}");
        }
    }
}
