//! Which files of a run there are, by their names.
//!
//! | file | holds |
//! |---|---|
//! | `RATE.bin` | vegeta's results of the stage with that many requests a second |
//! | `RATE-PART.bin` | those of a part of that stage |
//! | `I/RATE.bin`, `I/RATE-PART.bin` | those of worker `I`, from 0, in a distributed run |
//! | `ingest-RATE.ndjson` | one line an order that was published |
//! | `server.ndjson` | what the service used meanwhile |
//! | `wrk.json` | what wrk got at the most |
//! | `run.json` | facts of the run, for the page |

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context as _;

/// The files of a run.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Folder {
    /// The results, by rate and part, each of all workers.
    pub stages: BTreeMap<u32, BTreeMap<String, Vec<PathBuf>>>,
    /// The orders that were published, by rate.
    pub ingest: BTreeMap<u32, PathBuf>,
    /// What the service used.
    pub server: Option<PathBuf>,
    /// What wrk got.
    pub wrk: Option<PathBuf>,
    /// Facts of the run.
    pub run: Option<PathBuf>,
    /// What is missing, in words.
    pub problems: Vec<String>,
    /// What looks like results and is not read, in words.
    pub notes: Vec<String>,
}

/// A rate and a part, which is empty if there is but one.
type Stage = (u32, String);

impl Folder {
    /// Looks what there is. If there are folders of workers, their results are the run's, and
    /// such as lie beside them are not read: they are a worker's own, which its folder has too.
    ///
    /// # Errors
    /// A folder cannot be read.
    pub fn read(dir: &Path) -> anyhow::Result<Self> {
        let mut folder = Self::default();
        let workers = workers(dir)?;
        let mut found: BTreeMap<u32, BTreeMap<Stage, PathBuf>> = BTreeMap::new();
        for (worker, place) in &workers {
            let results = folder.results(place)?;
            found.insert(*worker, results);
        }
        if workers.is_empty() {
            let results = folder.results(dir)?;
            found.insert(0, results);
        }
        folder.missing(&found);
        for ((rate, part), path) in found.into_values().flatten() {
            folder.stages.entry(rate).or_default().entry(part).or_default().push(path);
        }
        // What is not divided among workers the first one has.
        let places = [Some(dir.to_owned()), workers.get(&0).cloned()];
        for place in places.into_iter().flatten().rev() {
            folder.others(&place)?;
        }
        Ok(folder)
    }

    /// Whether there is nothing of a run.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.stages.is_empty() && self.ingest.is_empty()
    }

    fn results(&mut self, place: &Path) -> anyhow::Result<BTreeMap<Stage, PathBuf>> {
        let mut results = BTreeMap::new();
        for (name, path) in entries(place)? {
            let Some(stem) = name.strip_suffix(".bin") else { continue };
            let (rate, part) = stem.split_once('-').unwrap_or((stem, ""));
            match rate_of(rate) {
                Some(rate) => drop(results.insert((rate, part.to_owned()), path)),
                None => self.notes.push(format!(
                    "{} is not read: the name of results must be RATE.bin or RATE-PART.bin",
                    path.display()
                )),
            }
        }
        Ok(results)
    }

    /// Every worker must have results of every stage.
    fn missing(&mut self, found: &BTreeMap<u32, BTreeMap<Stage, PathBuf>>) {
        let all: BTreeSet<&Stage> = found.values().flat_map(BTreeMap::keys).collect();
        let last = found.keys().last().copied().unwrap_or(0);
        for worker in 0..=last {
            let Some(results) = found.get(&worker) else {
                self.problems.push(format!("there are no results of worker {worker}"));
                continue;
            };
            for (rate, part) in all.iter().filter(|stage| !results.contains_key(**stage)) {
                let dash = if part.is_empty() { "" } else { "-" };
                self.problems.push(format!("worker {worker} has no {rate}{dash}{part}.bin"));
            }
        }
    }

    fn others(&mut self, place: &Path) -> anyhow::Result<()> {
        for (name, path) in entries(place)? {
            match &*name {
                "server.ndjson" => self.server = Some(path),
                "wrk.json" => self.wrk = Some(path),
                "run.json" => self.run = Some(path),
                _ => {
                    let rate = name
                        .strip_prefix("ingest-")
                        .and_then(|name| name.strip_suffix(".ndjson").and_then(rate_of));
                    if let Some(rate) = rate {
                        self.ingest.insert(rate, path);
                    }
                }
            }
        }
        Ok(())
    }
}

/// The folders of workers, by their numbers.
fn workers(dir: &Path) -> anyhow::Result<BTreeMap<u32, PathBuf>> {
    let mut workers = BTreeMap::new();
    for (name, path) in entries(dir)? {
        let is_number = !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_digit());
        if let (true, Ok(number)) = (is_number && path.is_dir(), name.parse::<u16>()) {
            workers.insert(u32::from(number), path);
        }
    }
    Ok(workers)
}

/// What is in a folder, with names, in no particular order.
fn entries(dir: &Path) -> anyhow::Result<Vec<(String, PathBuf)>> {
    let unreadable = || format!("cannot read the folder {}", dir.display());
    let mut entries = Vec::new();
    for entry in fs::read_dir(dir).with_context(unreadable)? {
        let entry = entry.with_context(unreadable)?;
        // A name that is no UTF-8 is none of these.
        if let Ok(name) = entry.file_name().into_string() {
            entries.push((name, entry.path()));
        }
    }
    Ok(entries)
}

/// A whole number above 0.
fn rate_of(text: &str) -> Option<u32> {
    let is_number = text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|rate| is_number && *rate > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder(names: &[&str]) -> (tempfile::TempDir, Folder) {
        let dir = tempfile::tempdir().unwrap();
        for name in names {
            let path = dir.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "").unwrap();
        }
        let folder = Folder::read(dir.path()).unwrap();
        (dir, folder)
    }

    /// The rates, each with its parts and how many files these have.
    fn stages(folder: &Folder) -> Vec<(u32, Vec<(&str, usize)>)> {
        let stages = folder.stages.iter();
        stages
            .map(|(rate, parts)| {
                (*rate, parts.iter().map(|(part, paths)| (&**part, paths.len())).collect())
            })
            .collect()
    }

    #[test]
    fn files_are_known_by_their_names() {
        let (_dir, folder) = folder(&[
            "1000.bin",
            "100-kept.bin",
            "100-new-1.bin",
            "warm-up.bin",
            "0.bin",
            "x.txt",
            "ingest-50.ndjson",
            "ingest-x.ndjson",
            "server.ndjson",
            "run.json",
        ]);
        let parts = vec![("kept", 1), ("new-1", 1)];
        assert_eq!(stages(&folder), [(100, parts), (1000, vec![("", 1)])]);
        assert_eq!(folder.ingest.keys().collect::<Vec<_>>(), [&50]);
        assert!(folder.server.is_some() && folder.run.is_some() && folder.problems.is_empty());
        assert_eq!(folder.notes.len(), 2, "{:?}", folder.notes);
    }

    #[test]
    fn the_same_stages_of_workers_are_one_and_none_may_be_missing() {
        let (_dir, whole) = folder(&["0/50.bin", "1/50.bin", "50.bin", "0/server.ndjson"]);
        assert_eq!(stages(&whole), [(50, vec![("", 2)])]);
        assert!(whole.problems.is_empty() && whole.server.is_some());
        let (_dir, lacking) = folder(&["0/50.bin", "0/60-a.bin", "2/50.bin"]);
        assert_eq!(
            lacking.problems,
            ["there are no results of worker 1", "worker 2 has no 60-a.bin"]
        );
    }

    #[test]
    fn a_folder_without_results_is_empty() {
        assert!(folder(&["server.ndjson"]).1.is_empty());
        assert!(Folder::read(Path::new("/nowhere/at/all")).is_err());
    }
}
