//! One stage of a run: the results of its files, and what they come to.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::BufReader;
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::failures::Failures;
use super::numbers;
use super::slo::{Slo, Term};
use super::statistics::{Latencies, Sample, Statistics};
use super::usage::Usage;
use super::vegeta::Outcomes;

/// A stage that sent a smaller share of what it was asked to has measured something else.
const ENOUGH: f64 = 0.95;

/// A stage is drawn with so many points at the most.
const MOST_MOMENTS: u64 = 200;

/// A term of the objectives that is broken, or that too few requests were sent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Breach {
    /// What is broken, in a word or two: `p99`, `success`, `too few`.
    pub what: &'static str,
    /// In a sentence.
    pub text: String,
}

/// Some seconds of a stage.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Moment {
    /// When they begin, in nanoseconds since 1970.
    pub time: i64,
    /// Requests sent in them.
    pub requests: u64,
    /// How many of these were not answered rightly.
    pub failed: u64,
    /// How long the answers to them took.
    pub latency_seconds: Latencies,
}

/// What the requests at one rate came to.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Stage {
    /// Requests a second that it was to send.
    pub rate: u32,
    /// What its results come to.
    #[serde(flatten)]
    pub statistics: Statistics,
    /// What is broken; nothing if it kept the objectives.
    pub breaches: Vec<Breach>,
    /// Whether all of its results could be read.
    pub complete: bool,
    /// Its parts, if there are several.
    pub parts: Vec<Part>,
    /// How it went, second by second, or in longer steps if it is long.
    pub timeline: Vec<Moment>,
    /// What the service used meanwhile, if that was watched.
    pub server: Option<Usage>,
}

/// A part of a stage.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Part {
    /// Its name.
    pub name: String,
    /// What its results come to.
    #[serde(flatten)]
    pub statistics: Statistics,
    /// Which objectives it breaks.
    pub breaches: Vec<Breach>,
}

impl Stage {
    /// Reads the files of a stage, by part. What cannot be read is added to `problems`.
    #[must_use]
    pub fn read(
        rate: u32,
        files: &BTreeMap<String, Vec<PathBuf>>,
        slo: &Slo,
        problems: &mut Vec<String>,
    ) -> Self {
        let (mut kinds, mut samples) = (Failures::default(), Vec::new());
        let before = problems.len();
        let parts = (0..).zip(files.values());
        let paths = parts.flat_map(|(part, paths)| paths.iter().map(move |path| (part, path)));
        let mut part_of = Vec::new();
        for (number, (part, path)) in (0..).zip(paths) {
            part_of.push(part);
            if let Err(problem) = read_file(path, number, &mut kinds, &mut samples) {
                problems.push(format!("{}: {problem}", path.display()));
            }
        }
        samples.sort_unstable_by_key(|sample: &Sample| sample.start);
        let statistics = Statistics::of(samples.iter(), &kinds);
        let mut breaches = breaches_of(slo, &statistics);
        breaches.extend(too_few(rate, &statistics));
        let part = |(number, name): (usize, &String)| {
            let is_of_it = |sample: &&Sample| part_of[usize::from(sample.file)] == number;
            let of_part = samples.iter().filter(is_of_it);
            let statistics = Statistics::of(of_part, &kinds);
            let breaches = breaches_of(slo, &statistics);
            Part { name: name.clone(), statistics, breaches }
        };
        let parts = (0..).zip(files.keys()).map(part);
        let parts: Vec<Part> = if files.len() > 1 { parts.collect() } else { Vec::new() };
        for part in &parts {
            breaches.extend(part.breaches.iter().map(|breach| Breach {
                what: breach.what,
                text: format!("of part {}, {}", part.name, breach.text),
            }));
        }
        Self {
            rate,
            statistics,
            breaches,
            complete: problems.len() == before,
            parts,
            timeline: timeline(&samples),
            server: None,
        }
    }

    /// Whether it sent what it was asked to and kept the objectives.
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

/// `ok`, `incomplete`, or what is broken, each once.
#[must_use]
pub fn verdict(complete: bool, breaches: &[Breach]) -> String {
    if !complete {
        return "incomplete".to_owned();
    }
    let mut broken: Vec<&str> = Vec::new();
    for breach in breaches {
        if !broken.contains(&breach.what) {
            broken.push(breach.what);
        }
    }
    if broken.is_empty() { "ok".to_owned() } else { format!("broken: {}", broken.join(", ")) }
}

/// Says that fewer requests were sent than asked for.
#[must_use]
pub fn is_too_few(rate: u32, got: f64) -> bool {
    got < ENOUGH * f64::from(rate)
}

fn too_few(rate: u32, statistics: &Statistics) -> Option<Breach> {
    let got = statistics.got;
    (statistics.requests > 0 && is_too_few(rate, got)).then(|| Breach {
        what: "too few",
        text: format!(
            "{} requests a second were sent, of {} asked for: vegeta waited for answers, or for \
             a processor",
            numbers::rate(got),
            numbers::rate(f64::from(rate)),
        ),
    })
}

fn breaches_of(slo: &Slo, statistics: &Statistics) -> Vec<Breach> {
    // Of nothing, nothing can be said; that it is nothing is a problem of its own.
    if statistics.requests == 0 {
        return Vec::new();
    }
    breaches(slo, (statistics.successes, statistics.requests), &statistics.latency_seconds)
}

/// The terms that so many successes, of how many in all, and these latencies do not keep.
pub(super) fn breaches(slo: &Slo, counts: (u64, u64), latencies: &Latencies) -> Vec<Breach> {
    let breach = |term: &Term| {
        let text = term.breach(counts, latencies)?;
        Some(Breach { what: term.measure(), text })
    };
    slo.terms().iter().filter_map(breach).collect()
}

/// Reads a file to its end, or as far as it can be read.
fn read_file(
    path: &Path,
    number: u16,
    kinds: &mut Failures,
    samples: &mut Vec<Sample>,
) -> Result<(), String> {
    let file = File::open(path).map_err(|error| error.to_string())?;
    let mut outcomes = Outcomes::new(BufReader::new(file));
    let before = samples.len();
    // The numbers of an attack have no gaps, so the highest tells how many there were.
    let (mut stream, mut highest, mut sent) = (0, None, 0);
    loop {
        let read = samples.len() - before;
        let next = outcomes.advance();
        let next = next.map_err(|error| format!("{error}, after {read} results"))?;
        let Some(outcome) = next else { break };
        let sequence = outcome.sequence;
        samples.push(Sample {
            start: outcome.start,
            latency: outcome.latency,
            code: outcome.code,
            failure: kinds.number(&outcome),
            file: number,
        });
        if outcomes.streams() != stream {
            stream = outcomes.streams();
            sent += highest.take().map_or(0, |highest: u64| highest.saturating_add(1));
        }
        highest = highest.max(Some(sequence));
    }
    sent += highest.map_or(0, |highest| highest.saturating_add(1));
    match (samples.len() - before) as u64 {
        0 => Err("holds no results".to_owned()),
        read if read < sent => Err(format!("holds {read} results of {sent} that were sent")),
        _ => Ok(()),
    }
}

/// Divides samples, sorted by their start, into steps of whole seconds. What little comes after
/// the last whole one belongs to it: a point of few requests would stand out for nothing.
fn timeline(samples: &[Sample]) -> Vec<Moment> {
    let (Some(first), Some(last)) = (samples.first(), samples.last()) else { return Vec::new() };
    let seconds = (last.start.abs_diff(first.start) + numbers::SECOND / 2) / numbers::SECOND;
    let step = seconds.max(1).div_ceil(MOST_MOMENTS) * numbers::SECOND;
    let final_step = (seconds * numbers::SECOND).div_ceil(step).saturating_sub(1);
    let number = |sample: &Sample| (sample.start.abs_diff(first.start) / step).min(final_step);
    let same = samples.chunk_by(|one, next| number(one) == number(next));
    same.map(|samples| Moment {
        time: first.start.saturating_add_unsigned(number(&samples[0]) * step),
        requests: samples.len() as u64,
        failed: samples.iter().filter(|sample| sample.failure != 0).count() as u64,
        latency_seconds: Latencies::of(samples.iter().map(|sample| sample.latency).collect()),
    })
    .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64, failure: u16) -> Sample {
        let start = seconds * 1_000_000_000;
        Sample { start, latency: 5, code: 200, failure, file: 0 }
    }

    #[test]
    fn a_timeline_has_a_point_a_second_or_fewer() {
        let timeline = timeline(&[at(7, 0), at(7, 1), at(8, 0), at(10, 0), at(11, 0)]);
        let points: Vec<_> = timeline.iter().map(|at| (at.time, at.requests, at.failed)).collect();
        let second = 1_000_000_000;
        // The last one began when the fourth second was over.
        assert_eq!(points, [(7 * second, 2, 1), (8 * second, 1, 0), (10 * second, 2, 0)]);
        let long: Vec<Sample> = (0..3600).map(|second| at(second, 0)).collect();
        let long = super::timeline(&long);
        assert_eq!((long.len(), long[0].requests), (200, 18));
        assert!(super::timeline(&[]).is_empty());
    }

    #[test]
    fn what_is_broken_is_named_once() {
        let breach = |what| Breach { what, text: String::new() };
        assert_eq!(verdict(true, &[]), "ok");
        assert_eq!(
            verdict(true, &[breach("p99"), breach("max"), breach("p99")]),
            "broken: p99, max"
        );
        assert_eq!(verdict(false, &[breach("p99")]), "incomplete");
        assert!(is_too_few(100, 94.9) && !is_too_few(100, 95.0));
    }
}
