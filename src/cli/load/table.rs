//! A report as text: at most 110 columns, so that `kubectl logs` is readable.

use std::collections::BTreeMap;
use std::io::{self, Write};

use crate::load::ingested::IngestStage;
use crate::load::numbers::{count, grouped, milliseconds, rate, share};
use crate::load::report::Report;
use crate::load::stage::{Part, Stage};
use crate::load::statistics::{Latencies, Statistics};
use crate::load::wrk::Maximum;

/// Kinds of failures of a stage that are named.
const NAMED: usize = 5;

/// Prints the tables, what is wrong, and as the last line the verdict.
pub(super) fn print(output: &mut impl Write, report: &Report) -> io::Result<()> {
    if !report.stages.is_empty() {
        writeln!(output, "Lookups; objectives: {}", report.slo)?;
        head(output, "rate/s", "success")?;
        for stage in &report.stages {
            stage_row(output, stage)?;
            for part in &stage.parts {
                part_row(output, part)?;
            }
        }
        writeln!(output)?;
    }
    if !report.ingest.is_empty() {
        writeln!(output, "Ingest, from publishing to 200; objectives: {}", report.ingest_slo)?;
        head(output, "orders/s", "served")?;
        for stage in &report.ingest {
            ingest_row(output, stage)?;
        }
        writeln!(output)?;
    }
    wrk_table(output, &report.wrk)?;
    what_is_wrong(output, report)?;
    if let Some(knee) = report.knee() {
        writeln!(output, "Knee: {knee}")?;
    }
    writeln!(output, "{}: {}", report.verdict, report.summary())
}

fn wrk_table(output: &mut impl Write, maxima: &[Maximum]) -> io::Result<()> {
    if maxima.is_empty() {
        return Ok(());
    }
    writeln!(output, "At the most, by wrk; not judged")?;
    writeln!(
        output,
        "{:<14} {:>8} {:>8} {:>8} {:>8}",
        "kind", "got/s", "errors", "p50 ms", "p99 ms"
    )?;
    for maximum in maxima {
        let [got, errors, p50, p99] = maximum.shown().map(|(_, text)| text);
        writeln!(output, "{:<14} {got:>8} {errors:>8} {p50:>8} {p99:>8}", maximum.name)?;
    }
    writeln!(output)
}

fn head(output: &mut impl Write, rate: &str, success: &str) -> io::Result<()> {
    row(output, rate, "got/s", success, ["p50 ms", "p90 ms", "p99 ms", "max ms"], "verdict")
}

fn row(
    output: &mut impl Write,
    name: &str,
    got: &str,
    success: &str,
    [p50, p90, p99, max]: [&str; 4],
    verdict: &str,
) -> io::Result<()> {
    writeln!(
        output,
        "{name:<14} {got:>8} {success:>8} {p50:>8} {p90:>8} {p99:>8} {max:>8}  {verdict}"
    )
}

fn stage_row(output: &mut impl Write, stage: &Stage) -> io::Result<()> {
    statistics_row(output, &grouped(f64::from(stage.rate)), &stage.statistics, &stage.verdict())
}

fn part_row(output: &mut impl Write, part: &Part) -> io::Result<()> {
    let name: String = part.name.chars().take(12).collect();
    let verdict = crate::load::stage::verdict(true, &part.breaches);
    statistics_row(output, &format!("  {name}"), &part.statistics, &verdict)
}

fn statistics_row(
    output: &mut impl Write,
    name: &str,
    statistics: &Statistics,
    verdict: &str,
) -> io::Result<()> {
    let Statistics { requests, successes, got, .. } = statistics;
    let success = share(*successes, *requests);
    let latencies = latencies(&statistics.latency_seconds);
    row(output, name, &rate(*got), &success, latencies.each_ref().map(|text| &**text), verdict)
}

fn ingest_row(output: &mut impl Write, stage: &IngestStage) -> io::Result<()> {
    let served = share(stage.served, stage.orders);
    let latencies = latencies(&stage.latency_seconds);
    let latencies = latencies.each_ref().map(|text| &**text);
    let name = grouped(f64::from(stage.rate));
    row(output, &name, &rate(stage.got), &served, latencies, &stage.verdict())
}

fn latencies(latencies: &Latencies) -> [String; 4] {
    [latencies.p50, latencies.p90, latencies.p99, latencies.max].map(milliseconds)
}

/// A line for each thing that is wrong, the worst first.
fn what_is_wrong(output: &mut impl Write, report: &Report) -> io::Result<()> {
    for problem in &report.problems {
        writeln!(output, "{problem}")?;
    }
    for stage in &report.stages {
        let name = format!("{}/s", grouped(f64::from(stage.rate)));
        for breach in &stage.breaches {
            writeln!(output, "{name}: {}", breach.text)?;
        }
        failures(output, &name, &stage.statistics.failures, stage.statistics.requests)?;
    }
    for stage in &report.ingest {
        let name = format!("ingest {}/s", grouped(f64::from(stage.rate)));
        for breach in &stage.breaches {
            writeln!(output, "{name}: {}", breach.text)?;
        }
        failures(output, &name, &stage.failures, stage.orders)?;
    }
    for note in &report.notes {
        writeln!(output, "{note}")?;
    }
    Ok(())
}

fn failures(
    output: &mut impl Write,
    name: &str,
    failures: &BTreeMap<String, u64>,
    all: u64,
) -> io::Result<()> {
    if failures.is_empty() {
        return Ok(());
    }
    let failed: u64 = failures.values().sum();
    writeln!(output, "{name}: {} of {} failed:", count(failed), count(all))?;
    let mut kinds: Vec<(&String, &u64)> = failures.iter().collect();
    kinds.sort_by_key(|(_, number)| std::cmp::Reverse(**number));
    for (kind, number) in kinds.iter().take(NAMED) {
        writeln!(output, "  {:>8}  {kind}", count(**number))?;
    }
    if kinds.len() > NAMED {
        writeln!(output, "            and {} other kinds", kinds.len() - NAMED)?;
    }
    Ok(())
}
