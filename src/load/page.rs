//! A report as a page: one file that needs no network, no script and nothing beside it.

mod axis;
mod chart;
mod over_rates;
mod over_time;

use askama::Template;
use time::OffsetDateTime;

use super::ingested::IngestStage;
use super::numbers;
use super::report::{Report, Verdict};
use super::stage::{self, Stage};
use super::statistics::{Latencies, Statistics};
use super::usage::Usage;
use chart::Chart;

#[derive(Template)]
#[template(path = "load/report.html")]
struct Page<'a> {
    report: &'a Report,
    /// What the style calls the verdict.
    class: &'static str,
    word: &'static str,
    sign: &'static str,
    summary: String,
    knee: Option<String>,
    tiles: Vec<Tile>,
    /// What is wrong, in sentences.
    wrong: Vec<String>,
    has_usage: bool,
    rows: Vec<Row>,
    failures: Vec<(String, Vec<Count>)>,
    ingest_rows: Vec<Row>,
    charts: Vec<Chart>,
    ingest_charts: Vec<Chart>,
    server_charts: Vec<Chart>,
}

/// A number that is worth a large font.
struct Tile {
    name: &'static str,
    value: String,
    unit: &'static str,
}

/// How many failures a stage had of a kind.
struct Count {
    rate: String,
    failed: String,
    share: String,
}

/// A row of a table.
struct Row {
    name: String,
    is_part: bool,
    is_kept: bool,
    got: String,
    success: String,
    latencies: Latencies,
    usage: Option<Usage>,
    verdict: String,
}

impl Row {
    /// Milliseconds.
    fn shown(&self) -> [(&'static str, String); 6] {
        let Latencies { p50, p90, p95, p99, p999, max, .. } = self.latencies;
        let named =
            [("p50", p50), ("p90", p90), ("p95", p95), ("p99", p99), ("p99.9", p999), ("max", max)];
        named.map(|(name, time)| (name, numbers::milliseconds(time)))
    }

    fn cores(&self) -> String {
        self.usage.map_or_else(|| "–".to_owned(), |usage| format!("{:.2}", usage.cores))
    }

    fn memory(&self) -> String {
        self.usage.map_or_else(|| "–".to_owned(), |usage| mebibytes(usage.resident_bytes))
    }

    fn of(name: String, statistics: &Statistics) -> Self {
        Self {
            name,
            is_part: false,
            is_kept: true,
            got: numbers::rate(statistics.got),
            success: percent(statistics.successes, statistics.requests),
            latencies: statistics.latency_seconds,
            usage: None,
            verdict: String::new(),
        }
    }

    fn of_stage(stage: &Stage) -> Vec<Self> {
        let name = numbers::grouped(f64::from(stage.rate));
        let whole = Self {
            is_kept: stage.is_kept(),
            usage: stage.server,
            verdict: stage.verdict(),
            ..Self::of(name, &stage.statistics)
        };
        let part = |part: &stage::Part| Self {
            is_part: true,
            is_kept: part.breaches.is_empty(),
            verdict: stage::verdict(true, &part.breaches),
            ..Self::of(part.name.clone(), &part.statistics)
        };
        [whole].into_iter().chain(stage.parts.iter().map(part)).collect()
    }

    fn of_ingest(stage: &IngestStage) -> Self {
        Self {
            name: numbers::grouped(f64::from(stage.rate)),
            is_part: false,
            is_kept: stage.is_kept(),
            got: numbers::rate(stage.got),
            success: percent(stage.served, stage.orders),
            latencies: stage.latency_seconds,
            usage: None,
            verdict: stage.verdict(),
        }
    }
}

/// The page of a report.
///
/// # Panics
/// Never: a template of strings and numbers always renders.
#[must_use]
pub fn render(report: &Report) -> String {
    let (class, word, sign) = match report.verdict {
        Verdict::Passed => ("passed", "Passed", "✓"),
        Verdict::Failed => ("failed", "Failed", "✕"),
        Verdict::Incomplete => ("incomplete", "Incomplete", "!"),
    };
    let page = Page {
        report,
        class,
        word,
        sign,
        summary: report.summary(),
        knee: report.knee(),
        tiles: tiles(report),
        wrong: wrong(report),
        has_usage: report.stages.iter().any(|stage| stage.server.is_some()),
        rows: report.stages.iter().flat_map(Row::of_stage).collect(),
        failures: failures(report),
        ingest_rows: report.ingest.iter().map(Row::of_ingest).collect(),
        charts: [
            over_rates::latencies(report),
            over_rates::throughput(report),
            over_time::latency(report),
            over_rates::failures(report),
        ]
        .into_iter()
        .flatten()
        .collect(),
        ingest_charts: over_rates::ingest(report).into_iter().collect(),
        server_charts: over_time::server(report),
    };
    page.render().expect("a template of strings and numbers always renders")
}

fn tiles(report: &Report) -> Vec<Tile> {
    let stages = &report.stages;
    let mut tiles = Vec::new();
    if let Some(sustained) = stages.iter().find(|stage| Some(stage.rate) == report.sustained_rate) {
        let rate = numbers::grouped(f64::from(sustained.rate));
        tiles.push(Tile { name: "Highest rate kept", value: rate, unit: "requests/s" });
        let p99 = numbers::milliseconds(sustained.statistics.latency_seconds.p99);
        tiles.push(Tile { name: "p99 at that rate", value: p99, unit: "ms" });
    }
    if !stages.is_empty() {
        let sum = |of: fn(&Stage) -> u64| stages.iter().map(of).sum::<u64>();
        let requests = sum(|stage| stage.statistics.requests);
        let failed = sum(|stage| stage.statistics.failed());
        tiles.push(Tile { name: "Requests", value: numbers::count(requests), unit: "in all" });
        tiles.push(Tile { name: "Failed", value: numbers::count(failed), unit: "of them" });
    }
    if let Some(stage) = report.ingest.iter().take_while(|stage| stage.is_kept()).last() {
        let rate = numbers::grouped(f64::from(stage.rate));
        tiles.push(Tile { name: "Highest ingest rate kept", value: rate, unit: "orders/s" });
    }
    tiles
}

fn wrong(report: &Report) -> Vec<String> {
    let rate = |rate: u32| numbers::grouped(f64::from(rate));
    let of_stages = report.stages.iter().flat_map(|stage| {
        stage.breaches.iter().map(move |breach| format!("{}/s: {}", rate(stage.rate), breach.text))
    });
    let of_ingest = report.ingest.iter().flat_map(|stage| {
        let name = format!("ingest {}/s", rate(stage.rate));
        let failed: Vec<String> =
            stage.failures.iter().map(|(kind, count)| format!("{count} × {kind}")).collect();
        let failed = (!failed.is_empty()).then(|| format!("{name}: {}", failed.join(", ")));
        let breaches = stage.breaches.iter().map(move |breach| format!("{name}: {}", breach.text));
        breaches.collect::<Vec<_>>().into_iter().chain(failed)
    });
    let problems = report.problems.iter().chain(&report.notes).cloned();
    problems.chain(of_stages).chain(of_ingest).collect()
}

/// By kind, the most frequent first, how often each stage met it.
fn failures(report: &Report) -> Vec<(String, Vec<Count>)> {
    let kinds = over_rates::kinds(&report.stages).into_iter();
    kinds
        .map(|kind| {
            let counts = report.stages.iter().filter_map(|stage| {
                let failed = *stage.statistics.failures.get(kind)?;
                Some(Count {
                    rate: numbers::grouped(f64::from(stage.rate)),
                    failed: numbers::count(failed),
                    share: percent(failed, stage.statistics.requests),
                })
            });
            (kind.to_owned(), counts.collect())
        })
        .collect()
}

impl Page<'_> {
    /// When the run began, to the second.
    fn began(&self) -> Option<String> {
        let began = self.report.stages.iter().map(|stage| stage.statistics.start).min()?;
        let began = OffsetDateTime::from_unix_timestamp_nanos(i128::from(began)).ok()?;
        let (hour, minute, second) = began.to_hms();
        Some(format!("{} {hour:02}:{minute:02}:{second:02} UTC", began.date()))
    }

    /// From the first request to the last answer.
    fn lasted(&self) -> Option<String> {
        let stages = self.report.stages.iter().map(|stage| &stage.statistics);
        let began = stages.clone().map(|statistics| statistics.start).min()?;
        let ended = stages.map(|statistics| statistics.end).max()?;
        let seconds = ended.abs_diff(began).div_ceil(numbers::SECOND);
        Some(humantime::format_duration(std::time::Duration::from_secs(seconds)).to_string())
    }
}

/// A share in percent that never reads as all, or as nothing, if it is not.
fn percent(part: u64, whole: u64) -> String {
    let share = numbers::ratio(part, whole) * 100.0;
    match part {
        0 => "0 %".to_owned(),
        part if part == whole => "100 %".to_owned(),
        _ => format!("{:.2} %", ((share * 100.0).floor() / 100.0).max(0.01)),
    }
}

fn mebibytes(bytes: u64) -> String {
    numbers::grouped(numbers::float(bytes) / 1_048_576.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_is_not_rounded_to_all_or_nothing() {
        let shares = [percent(0, 9), percent(9, 9), percent(99_999, 100_000), percent(1, 1 << 40)];
        assert_eq!(shares, ["0 %", "100 %", "99.99 %", "0.01 %"]);
    }
}
