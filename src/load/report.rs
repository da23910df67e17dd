//! What a run came to: read from its files, and judged.

use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::bail;
use serde::Serialize;

use super::folder::Folder;
use super::ingested::IngestStage;
use super::numbers;
use super::slo::Slo;
use super::stage::Stage;
use super::usage::{self, Replicas};
use super::wrk::{self, Maximum};

/// Whether a run kept its objectives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// Every stage did.
    Passed,
    /// A stage did not.
    Failed,
    /// Not all results could be read.
    Incomplete,
}

impl fmt::Display for Verdict {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Passed => "PASSED",
            Self::Failed => "FAILED",
            Self::Incomplete => "INCOMPLETE",
        })
    }
}

/// A judged run. Serialized, it is `report.json`.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    /// Whether it kept its objectives.
    pub verdict: Verdict,
    /// What could not be read, in sentences.
    pub problems: Vec<String>,
    /// What was not read for its name, in sentences.
    pub notes: Vec<String>,
    /// What each stage of lookups must keep to.
    pub slo: String,
    /// The longest p99 allowed, in nanoseconds, if it is bounded.
    #[serde(skip)]
    pub p99_bound: Option<u64>,
    /// The highest rate up to which every stage kept to it.
    pub sustained_rate: Option<u32>,
    /// The stages, by rising rate.
    pub stages: Vec<Stage>,
    /// What each stage of ingest must keep to.
    pub ingest_slo: String,
    /// The longest p99 allowed in ingest, in nanoseconds, if it is bounded.
    #[serde(skip)]
    pub ingest_p99_bound: Option<u64>,
    /// The stages of ingest, by rising rate.
    pub ingest: Vec<IngestStage>,
    /// What each replica used, over time.
    pub server: Replicas,
    /// What wrk got at the most, by kind of request; it is not judged.
    pub wrk: Vec<Maximum>,
    /// Facts of the run, as whoever started it wrote them down.
    pub run: BTreeMap<String, String>,
}

impl Report {
    /// Reads and judges what is in `dir`.
    ///
    /// # Errors
    /// The folder cannot be read, or there are no results in it. What is there but cannot be read
    /// whole is none: it makes the verdict [`Verdict::Incomplete`].
    pub fn read(dir: &Path, slo: &Slo, ingest_slo: &Slo) -> anyhow::Result<Self> {
        let folder = Folder::read(dir)?;
        if folder.is_empty() {
            bail!(
                "there are no results in {}: neither RATE.bin, as `vegeta attack -output` writes \
                 them, nor ingest-RATE.ndjson",
                dir.display()
            );
        }
        let Folder { stages, ingest, server, wrk, run, mut problems, notes } = folder;
        let server = read_optional(server, usage::read, &mut problems);
        let wrk = read_optional(wrk, wrk::read, &mut problems);
        let run = read_optional(run, read_facts, &mut problems);
        // One after the other, so that the results of only one are in memory.
        let mut stages: Vec<Stage> = stages
            .iter()
            .map(|(rate, files)| Stage::read(*rate, files, slo, &mut problems))
            .collect();
        for stage in &mut stages {
            stage.server = server.between(stage.statistics.start, stage.statistics.end);
        }
        let ingest: Vec<IngestStage> = ingest
            .iter()
            .map(|(rate, path)| IngestStage::read(*rate, path, ingest_slo, &mut problems))
            .collect();
        let all_kept = stages.iter().all(Stage::is_kept) && ingest.iter().all(IngestStage::is_kept);
        let verdict = match (problems.is_empty(), all_kept) {
            (false, _) => Verdict::Incomplete,
            (true, true) => Verdict::Passed,
            (true, false) => Verdict::Failed,
        };
        let sustained = stages.iter().take_while(|stage| stage.is_kept()).last();
        Ok(Self {
            verdict,
            problems,
            notes,
            slo: slo.to_string(),
            p99_bound: slo.p99(),
            sustained_rate: sustained.map(|stage| stage.rate),
            stages,
            ingest_slo: ingest_slo.to_string(),
            ingest_p99_bound: ingest_slo.p99(),
            ingest,
            server,
            wrk,
            run,
        })
    }

    /// The verdict in a sentence.
    #[must_use]
    pub fn summary(&self) -> String {
        let all = self.stages.len() + self.ingest.len();
        let kept = self.stages.iter().filter(|stage| stage.is_kept()).count()
            + self.ingest.iter().filter(|stage| stage.is_kept()).count();
        match self.verdict {
            Verdict::Incomplete => "not all results could be read".to_owned(),
            Verdict::Passed if all == 1 => "the one stage kept its objectives".to_owned(),
            Verdict::Passed => format!("all {all} stages kept their objectives"),
            Verdict::Failed if all == 1 => "the one stage broke its objectives".to_owned(),
            Verdict::Failed => format!("{} of {all} stages broke their objectives", all - kept),
        }
    }

    /// Where the knee is, in a sentence; none if it is not known.
    #[must_use]
    pub fn knee(&self) -> Option<String> {
        if self.verdict == Verdict::Incomplete {
            return None;
        }
        let highest = self.stages.last()?.rate;
        let rate = |rate: u32| numbers::rate(f64::from(rate));
        Some(match self.sustained_rate {
            Some(sustained) if sustained == highest => {
                format!("no knee was reached up to {} requests a second", rate(highest))
            }
            Some(sustained) => {
                format!("{} requests a second is the highest rate that was kept", rate(sustained))
            }
            None => "not even the lowest rate was kept".to_owned(),
        })
    }
}

/// What is in the file, if there is one; what cannot be read is a problem.
fn read_optional<T: Default, E: fmt::Display>(
    path: Option<PathBuf>,
    read: impl FnOnce(&Path) -> Result<T, E>,
    problems: &mut Vec<String>,
) -> T {
    let Some(path) = path else { return T::default() };
    read(&path).unwrap_or_else(|error| {
        problems.push(format!("{}: {error}", path.display()));
        T::default()
    })
}

fn read_facts(path: &Path) -> anyhow::Result<BTreeMap<String, String>> {
    Ok(serde_json::from_str(&fs::read_to_string(path)?)?)
}
