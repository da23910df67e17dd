//! Which stage runs, as the files of the results tell.

use std::fs::{self, DirEntry};
use std::path::Path;
use std::time::{Duration, SystemTime};

use crate::metrics::LoadStages;

/// A stage whose file has grown within this time runs. Results are written as they come, so this
/// is enough for stages of one request a second.
const QUIET: Duration = Duration::from_secs(3);

/// The rates of the stages that run at `now`, of the results in `directory`; zero where none
/// does, or where the directory cannot be read.
pub(super) fn running(directory: &Path, now: SystemTime) -> LoadStages {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    let mut files: Vec<_> = entries.filter_map(|entry| stage_file(&entry, now)).collect();
    // Between two stages both files are young; the younger counts.
    files.sort_by_key(|(modified, ..)| *modified);
    let mut stages = LoadStages::default();
    for (_, kind, rate) in files {
        match kind {
            Kind::Lookups => stages.lookups = rate,
            Kind::Ingest => stages.ingest = rate,
        }
    }
    stages
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Lookups,
    Ingest,
}

/// The kind and the rate of a stage whose file was written within [`QUIET`].
fn stage_file(entry: &DirEntry, now: SystemTime) -> Option<(SystemTime, Kind, u32)> {
    let (kind, rate) = stage_of(entry.file_name().to_str()?)?;
    let modified = entry.metadata().ok()?.modified().ok()?;
    let is_young = now.duration_since(modified).unwrap_or_default() < QUIET;
    is_young.then_some((modified, kind, rate))
}

/// `500.bin`, `500-kept.bin` or `ingest-500.ndjson`.
fn stage_of(name: &str) -> Option<(Kind, u32)> {
    if let Some(rest) = name.strip_prefix("ingest-") {
        return Some((Kind::Ingest, rest.strip_suffix(".ndjson")?.parse().ok()?));
    }
    let stem = name.strip_suffix(".bin")?;
    let rate = stem.split_once('-').map_or(stem, |(rate, _)| rate);
    Some((Kind::Lookups, rate.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_tells_kind_and_rate() {
        for (name, stage) in [
            ("500.bin", Some((Kind::Lookups, 500))),
            ("500-kept.bin", Some((Kind::Lookups, 500))),
            ("ingest-20.ndjson", Some((Kind::Ingest, 20))),
            ("targets.json", None),
            ("server.ndjson", None),
            ("x-500.bin", None),
            ("ingest-.ndjson", None),
        ] {
            assert_eq!(stage_of(name), stage, "{name}");
        }
    }

    #[test]
    fn the_stage_that_was_written_last_runs_until_nothing_is_written() {
        let directory = tempfile::tempdir().unwrap();
        let now = SystemTime::now();
        let write = |name: &str, seconds_ago| {
            let file = fs::File::create(directory.path().join(name)).unwrap();
            file.set_modified(now - Duration::from_secs(seconds_ago)).unwrap();
        };
        write("900.bin", 60);
        write("100.bin", 2);
        write("200.bin", 1);
        write("ingest-50.ndjson", 0);
        let stages = |now| running(directory.path(), now);
        assert_eq!(stages(now), LoadStages { lookups: 200, ingest: 50 });
        assert_eq!(stages(now + Duration::from_secs(2)), LoadStages { lookups: 0, ingest: 50 });
        assert_eq!(stages(now + Duration::from_secs(9)), LoadStages::default());
        assert_eq!(running(&directory.path().join("none"), now), LoadStages::default());
    }
}
