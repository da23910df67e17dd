//! Charts with the stages side by side, by rising rate.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::axis::{Linear, Log, Percent, Slots};
use super::chart::{Bar, Bound, Chart, Key, Line, time_label};
use super::percent;
use crate::load::numbers;
use crate::load::report::Report;
use crate::load::stage::Stage;
use crate::load::statistics::Latencies;

/// A percentile: its name, which is how its line looks, and its value.
type Percentile = (&'static str, &'static str, fn(&Latencies) -> u64);

const PERCENTILES: [Percentile; 5] = [
    ("p50", "p50", |latencies| latencies.p50),
    ("p90", "p90", |latencies| latencies.p90),
    ("p99", "p99", |latencies| latencies.p99),
    ("p999", "p99.9", |latencies| latencies.p999),
    ("max", "max", |latencies| latencies.max),
];

/// Kinds of failures that have a colour of their own.
const KINDS: usize = 4;

const RATES: &str = "requests a second asked for";

/// Latency by percentile.
pub(super) fn latencies(report: &Report) -> Option<Chart> {
    let stages = read(&report.stages);
    let rates: Vec<u32> = stages.iter().map(|stage| stage.rate).collect();
    let latencies: Vec<_> = stages.iter().map(|stage| stage.statistics.latency_seconds).collect();
    let mut chart = percentiles(&rates, &latencies, report.p99_bound)?;
    chart.title = "Latency over rate";
    chart.x_title = RATES;
    chart.knee = knee(report, &rates);
    Some(chart)
}

/// From publishing an order to 200 for it, by percentile.
pub(super) fn ingest(report: &Report) -> Option<Chart> {
    let stages: Vec<_> = report.ingest.iter().filter(|stage| stage.served > 0).collect();
    let rates: Vec<u32> = stages.iter().map(|stage| stage.rate).collect();
    let latencies: Vec<Latencies> = stages.iter().map(|stage| stage.latency_seconds).collect();
    let mut chart = percentiles(&rates, &latencies, report.ingest_p99_bound)?;
    chart.title = "From publishing to 200, over rate";
    chart.x_title = "orders a second published";
    Some(chart)
}

fn percentiles(rates: &[u32], latencies: &[Latencies], bound: Option<u64>) -> Option<Chart> {
    let slots = Slots::new(rates.len());
    let values = latencies.iter().flat_map(|of| PERCENTILES.map(|(_, _, value)| value(of)));
    let values = values.chain(bound).map(numbers::float);
    let scale = Log::around(values);
    let line = |(class, _, value): Percentile| {
        let point = |(slot, of): (usize, &Latencies)| {
            Some((slots.middle(slot), scale.place(numbers::float(value(of)))))
        };
        Line::new(class, latencies.iter().enumerate().map(point), true)
    };
    let mut alternative = String::new();
    for (rate, of) in rates.iter().zip(latencies) {
        let _ = write!(alternative, "At {} a second", numbers::grouped(f64::from(*rate)));
        for (_, name, value) in PERCENTILES {
            let _ = write!(alternative, ", {name} {}", numbers::duration(value(of)));
        }
        alternative.push_str(". ");
    }
    (!rates.is_empty()).then(|| Chart {
        about: "Logarithmic. Each line is the time within which that share of the answers came."
            .to_owned(),
        alternative,
        x_ticks: slots.ticks(rates),
        y_ticks: scale.ticks(time_label),
        lines: PERCENTILES.into_iter().map(line).collect(),
        bounds: bound.into_iter().map(|bound| p99_bound(&scale, bound)).collect(),
        legend: PERCENTILES.map(|(class, name, _)| Key::line(class, name)).into(),
        ..Chart::default()
    })
}

pub(super) fn p99_bound(scale: &Log, bound: u64) -> Bound {
    let y = Percent(100.0 - scale.place(numbers::float(bound)).0);
    Bound { y, label: format!("objective for p99: {}", time_label(numbers::float(bound))) }
}

/// Requests asked for, sent, and answered rightly.
pub(super) fn throughput(report: &Report) -> Option<Chart> {
    let stages = read(&report.stages);
    let rates: Vec<u32> = stages.iter().map(|stage| stage.rate).collect();
    let slots = Slots::new(rates.len());
    let most = stages.iter().map(|stage| f64::from(stage.rate).max(stage.statistics.got));
    let scale = Linear::up_to(most.fold(0.0, f64::max));
    let (mut bars, mut alternative) = (Vec::new(), String::new());
    for (slot, stage) in stages.iter().enumerate() {
        let (asked, got) = (f64::from(stage.rate), stage.statistics.got);
        let right = stage.statistics.throughput;
        for (class, share, value) in
            [("sent", 0.62, got), ("right", 0.34, right), ("asked", 0.62, asked)]
        {
            bars.push(Bar::new(class, slots.bar(slot, share), Percent(0.0), scale.place(value)));
        }
        let _ = write!(
            alternative,
            "Of {} requests a second asked for, {} were sent and {} answered rightly. ",
            numbers::grouped(asked),
            numbers::rate(got),
            numbers::rate(right)
        );
    }
    (!stages.is_empty()).then(|| Chart {
        title: "Throughput asked for and got",
        about: "Requests a second. Where the frame is not filled, less was sent than asked for."
            .to_owned(),
        alternative,
        x_title: RATES,
        x_ticks: slots.ticks(&rates),
        y_ticks: scale.ticks(numbers::grouped),
        bars,
        knee: knee(report, &rates),
        legend: vec![
            Key::area("asked", "asked for"),
            Key::area("sent", "sent"),
            Key::area("right", "answered rightly"),
        ],
        ..Chart::default()
    })
}

/// Which share of the requests failed, by kind; none if no request failed.
pub(super) fn failures(report: &Report) -> Option<Chart> {
    let stages = read(&report.stages);
    let kinds = kinds(&report.stages);
    let rates: Vec<u32> = stages.iter().map(|stage| stage.rate).collect();
    let slots = Slots::new(rates.len());
    let share =
        |failed: u64, stage: &Stage| numbers::ratio(failed, stage.statistics.requests) * 100.0;
    let most = stages.iter().map(|stage| share(stage.statistics.failed(), stage));
    let scale = Linear::up_to(most.fold(0.0, f64::max));
    let (mut bars, mut alternative) = (Vec::new(), String::new());
    for (slot, stage) in stages.iter().enumerate() {
        let mut below = 0;
        for (number, kind) in kinds.iter().enumerate() {
            let Some(failed) = stage.statistics.failures.get(*kind) else { continue };
            let [from, to] = [below, below + failed].map(|count| scale.place(share(count, stage)));
            bars.push(Bar::new(kind_class(number), slots.bar(slot, 0.62), from, to));
            below += failed;
        }
        let failed = percent(below, stage.statistics.requests);
        let rate = numbers::grouped(f64::from(stage.rate));
        let _ = write!(alternative, "At {rate} a second, {failed} failed. ");
    }
    let mut legend: Vec<Key> = (kinds.iter().take(KINDS).enumerate())
        .map(|(number, kind)| Key::area(kind_class(number), *kind))
        .collect();
    if kinds.len() > KINDS {
        legend.push(Key::area(kind_class(KINDS), "others"));
    }
    (!kinds.is_empty()).then(|| Chart {
        title: "Failures over rate, by kind",
        about: "Share of the requests. The numbers are under “Failures by kind”.".to_owned(),
        alternative,
        x_title: RATES,
        x_ticks: slots.ticks(&rates),
        y_ticks: scale.ticks(|share| format!("{} %", numbers::plain(share))),
        bars,
        legend,
        ..Chart::default()
    })
}

/// How the kind with this number looks; those beyond the colours look alike.
fn kind_class(number: usize) -> String {
    format!("kind{}", number.min(KINDS))
}

/// The kinds of failures, the most frequent first.
pub(super) fn kinds(stages: &[Stage]) -> Vec<&str> {
    let mut totals: BTreeMap<&str, u64> = BTreeMap::new();
    for (kind, count) in stages.iter().flat_map(|stage| &stage.statistics.failures) {
        *totals.entry(kind).or_default() += count;
    }
    let mut kinds: Vec<(&str, u64)> = totals.into_iter().collect();
    kinds.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    kinds.into_iter().map(|(kind, _)| kind).collect()
}

/// The stages of which anything was read.
fn read(stages: &[Stage]) -> Vec<&Stage> {
    stages.iter().filter(|stage| stage.statistics.requests > 0).collect()
}

/// Between the highest rate that was kept and the next; none if there is no next.
fn knee(report: &Report, rates: &[u32]) -> Option<Percent> {
    let sustained = rates.iter().position(|rate| Some(*rate) == report.sustained_rate)?;
    (sustained + 1 < rates.len()).then(|| Slots::new(rates.len()).end(sustained))
}
