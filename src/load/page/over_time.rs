//! Charts over the time of the run, with the stages as bands.

use std::fmt::Write as _;

use super::axis::{Linear, Log, Percent, Span, compact};
use super::chart::{Band, Chart, Key, Line, time_label};
use super::over_rates::p99_bound;
use crate::load::numbers;
use crate::load::report::Report;
use crate::load::statistics::Latencies;
use crate::load::usage::Point;

/// A percentile: how its line looks, and its value.
type Percentile = (&'static str, fn(&Latencies) -> u64);

/// Lines of replicas that look different; more look like those again.
const LOOKS: usize = 6;

const SINCE: &str = "minutes:seconds since the run began";

/// The median and p99 of each second.
pub(super) fn latency(report: &Report) -> Option<Chart> {
    let span = span(report)?;
    let moments = || report.stages.iter().flat_map(|stage| &stage.timeline);
    moments().next()?;
    let shown: [Percentile; 2] =
        [("p50", |latencies| latencies.p50), ("p99", |latencies| latencies.p99)];
    let values = moments().flat_map(|at| shown.map(|(_, value)| value(&at.latency_seconds)));
    let scale = Log::around(values.chain(report.p99_bound).map(numbers::float));
    let lines = shown.map(|(class, value)| {
        let points = report.stages.iter().flat_map(|stage| {
            let points = stage.timeline.iter().map(|at| {
                let value = numbers::float(value(&at.latency_seconds));
                Some((span.place(at.time), scale.place(value)))
            });
            // Between two stages there is no line.
            points.chain([None])
        });
        Line::new(class, points, false)
    });
    let mut alternative = String::new();
    for stage in &report.stages {
        let p99 = || stage.timeline.iter().map(|at| at.latency_seconds.p99);
        if let (Some(least), Some(most)) = (p99().min(), p99().max()) {
            let _ = write!(
                alternative,
                "At {} a second, p99 of each second was from {} to {}. ",
                numbers::grouped(f64::from(stage.rate)),
                numbers::duration(least),
                numbers::duration(most)
            );
        }
    }
    Some(Chart {
        title: "Latency over time",
        about: "Logarithmic, a point a second. Bands are stages, named by requests a second."
            .to_owned(),
        alternative,
        is_wide: true,
        x_title: SINCE,
        x_ticks: span.ticks(),
        y_ticks: scale.ticks(time_label),
        bands: bands(report, span),
        lines: lines.into(),
        bounds: report.p99_bound.into_iter().map(|bound| p99_bound(&scale, bound)).collect(),
        legend: vec![Key::line("p50", "p50"), Key::line("p99", "p99")],
        ..Chart::default()
    })
}

/// Processors and memory of each replica; nothing if nobody watched.
pub(super) fn server(report: &Report) -> Vec<Chart> {
    let Some(span) = span(report) else { return Vec::new() };
    if report.server.0.is_empty() {
        return Vec::new();
    }
    let memory = |point: &Point| Some(numbers::float(point.resident_bytes) / 1_048_576.0);
    let cores = usage(report, span, |point| point.cores, numbers::plain);
    let memory =
        usage(report, span, memory, |mebibytes| format!("{} MiB", numbers::grouped(mebibytes)));
    let cores = Chart {
        title: "Processors in use",
        about: "Cores of each replica of the service, between two samples.".to_owned(),
        ..cores
    };
    let memory = Chart {
        title: "Memory",
        about: "Resident memory of each replica of the service.".to_owned(),
        ..memory
    };
    vec![cores, memory]
}

fn usage(
    report: &Report,
    span: Span,
    value: impl Fn(&Point) -> Option<f64>,
    label: impl Fn(f64) -> String,
) -> Chart {
    let replicas = &report.server.0;
    let most = replicas.values().flatten().filter_map(&value).fold(0.0, f64::max);
    let scale = Linear::up_to(most);
    let look = |number: usize| format!("replica{}", number % LOOKS);
    let line = |(number, points): (usize, &Vec<Point>)| {
        let place = |point: &Point| Some((span.place(point.time), scale.place(value(point)?)));
        Line::new(look(number), points.iter().map(place), false)
    };
    let mut alternative = String::new();
    for (target, points) in replicas {
        let most = label(points.iter().filter_map(&value).fold(0.0, f64::max));
        let _ = write!(alternative, "{target}: at most {most}. ");
    }
    Chart {
        alternative,
        x_title: SINCE,
        x_ticks: span.ticks(),
        y_ticks: scale.ticks(&label),
        bands: bands(report, span),
        lines: replicas.values().enumerate().map(line).collect(),
        legend: replicas
            .keys()
            .enumerate()
            .map(|(number, target)| Key::line(look(number), target))
            .collect(),
        ..Chart::default()
    }
}

/// From the first to the last that is known of the run.
fn span(report: &Report) -> Option<Span> {
    let stages = report.stages.iter().filter(|stage| stage.statistics.requests > 0);
    let stages = stages.flat_map(|stage| [stage.statistics.start, stage.statistics.end]);
    let samples = report.server.0.values().flatten().map(|point| point.time);
    let times: Vec<i64> = stages.chain(samples).collect();
    Some(Span { start: *times.iter().min()?, end: *times.iter().max()? })
}

fn bands(report: &Report, span: Span) -> Vec<Band> {
    let mut stages: Vec<_> =
        report.stages.iter().filter(|stage| stage.statistics.requests > 0).collect();
    stages.sort_by_key(|stage| stage.statistics.start);
    let band = |(number, stage): (usize, &&crate::load::stage::Stage)| {
        let [x, end] = [stage.statistics.start, stage.statistics.end].map(|at| span.place(at));
        Band {
            x,
            width: Percent(end.0 - x.0),
            middle: Percent(f64::midpoint(x.0, end.0)),
            label: compact(stage.rate),
            is_even: number % 2 == 0,
            is_minor: number % 2 == 1,
        }
    };
    stages.iter().enumerate().map(band).collect()
}
