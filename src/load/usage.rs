//! What the service used while it was under load: `server.ndjson`.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::numbers;

/// A line of the file: what one replica had used at a moment.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Line {
    /// Nanoseconds since 1970.
    pub time: i64,
    /// The replica, as host and port.
    pub target: String,
    /// Seconds of processors since it started.
    pub cpu_seconds: f64,
    /// Bytes of memory that it has.
    pub resident_bytes: u64,
}

/// What all replicas together used during a stage.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Usage {
    /// Processors in use, on average.
    pub cores: f64,
    /// Bytes of memory, the most of each replica.
    pub resident_bytes: u64,
}

/// What one replica used at a moment.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Point {
    /// Nanoseconds since 1970.
    pub time: i64,
    /// Processors in use since the point before; unknown at the first, and after a restart.
    pub cores: Option<f64>,
    /// Bytes of memory.
    pub resident_bytes: u64,
}

/// What each replica used, over time.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
#[serde(transparent)]
pub struct Replicas(pub BTreeMap<String, Vec<Point>>);

/// Reads the file. A last line that is not ended was cut short, and is left out.
///
/// # Errors
/// The file cannot be read, or a line is none of it; which is named.
pub fn read(path: &Path) -> Result<Replicas, String> {
    let text = fs::read_to_string(path).map_err(|error| error.to_string())?;
    let mut lines: BTreeMap<String, Vec<Line>> = BTreeMap::new();
    for (number, line) in (1..).zip(text.split_inclusive('\n')) {
        let Some(line) = line.strip_suffix('\n') else { break };
        let line: Line =
            serde_json::from_str(line).map_err(|error| format!("line {number}: {error}"))?;
        lines.entry(line.target.clone()).or_default().push(line);
    }
    let replicas = lines.into_iter().map(|(target, mut lines)| {
        lines.sort_by_key(|line| line.time);
        (target, points(&lines))
    });
    Ok(Replicas(replicas.collect()))
}

fn points(lines: &[Line]) -> Vec<Point> {
    let before = [None].into_iter().chain(lines.iter().map(Some));
    let point = |(line, before): (&Line, Option<&Line>)| Point {
        time: line.time,
        cores: before.and_then(|before| cores(before, line)),
        resident_bytes: line.resident_bytes,
    };
    lines.iter().zip(before).map(point).collect()
}

/// The processors in use between two moments; none if no time passed, or if it began anew.
fn cores(before: &Line, after: &Line) -> Option<f64> {
    let time = u64::try_from(after.time.checked_sub(before.time)?).ok()?;
    let used = after.cpu_seconds - before.cpu_seconds;
    (time > 0 && used >= 0.0).then(|| used / numbers::seconds(time))
}

impl Replicas {
    /// What they used from `start` to `end`, both in nanoseconds since 1970; none if nobody
    /// looked often enough.
    #[must_use]
    pub fn between(&self, start: i64, end: i64) -> Option<Usage> {
        let mut all: Option<Usage> = None;
        for points in self.0.values() {
            // The second before belongs to the first point within.
            let within = || points.iter().filter(|point| (start..=end).contains(&point.time));
            let cores: Vec<f64> = within().filter_map(|point| point.cores).collect();
            let Ok(count) = u32::try_from(cores.len()) else { continue };
            if count == 0 {
                continue;
            }
            let used = all.get_or_insert(Usage { cores: 0.0, resident_bytes: 0 });
            used.cores += cores.iter().sum::<f64>() / f64::from(count);
            used.resident_bytes += within().map(|point| point.resident_bytes).max().unwrap_or(0);
        }
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Replicas, String> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("server.ndjson");
        fs::write(&path, text).unwrap();
        super::read(&path)
    }

    fn line(second: i64, target: &str, cpu_seconds: f64) -> String {
        let time = second * 1_000_000_000;
        let line = Line { time, target: target.to_owned(), cpu_seconds, resident_bytes: 1 << 20 };
        serde_json::to_string(&line).unwrap() + "\n"
    }

    #[test]
    fn processors_are_what_the_seconds_of_them_grow_by() {
        let (a, b) = ("a:8081", "b:8081");
        let lines = [
            line(1, a, 10.0),
            line(1, b, 5.0),
            line(2, a, 10.5),
            line(2, b, 5.25),
            line(4, a, 12.5),
            line(4, b, 0.5),
            line(5, b, 0.75),
        ];
        let replicas = read(&lines.concat()).unwrap();
        let cores = |target: &str| -> Vec<Option<f64>> {
            replicas.0[target].iter().map(|point| point.cores).collect()
        };
        assert_eq!(cores(a), [None, Some(0.5), Some(1.0)]);
        assert_eq!(cores(b), [None, Some(0.25), None, Some(0.25)], "it was started again");
        let used = replicas.between(2_000_000_000, 4_000_000_000).unwrap();
        assert_eq!(used, Usage { cores: 0.75 + 0.25, resident_bytes: 2 << 20 });
        assert_eq!(replicas.between(6_000_000_000, 7_000_000_000), None);
    }

    #[test]
    fn a_line_cut_short_is_left_out_and_a_wrong_one_named() {
        let good = line(1, "a", 1.0);
        assert_eq!(read(&(good.clone() + "{\"time\":12")).unwrap().0["a"].len(), 1);
        let error = read(&(good + "hello\n")).unwrap_err();
        assert!(error.starts_with("line 2: "), "{error}");
        assert!(read("").unwrap().0.is_empty());
    }
}
